"""What a value must look like before a field takes it, and what the field then holds.

Texts are trimmed and an empty one becomes null (assumption: the vendor's forms do so); currency is rounded half up to the
field's decimal places.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ml_connector_zoho_crm.twin.schema import PERSONS, Field

PHONE = re.compile(r"\+?[ ]?(?=[^0-9A-Za-z]*[0-9A-Za-z])(?!.*(?:\.\.|--))[0-9A-Za-z(][0-9A-Za-z() .\-]*(?:[,;#]+[0-9A-Za-z]*)*")
EMAIL = re.compile(r"[^\s@<>()\[\]\",;:\\]+@[^\s@.,;:/]+(?:\.[^\s@.,;:/]+)+")
WEBSITE = re.compile(r"(?:(?:https?|ftp)://)?[^\s/:.@]+(?:\.[^\s/:.@]+)+(?::\d+)?(?:[/?#]\S*)?", re.IGNORECASE)
DATETIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
DIGITS = re.compile(r"-?\d+")

Check = Callable[[Any], Any]
Known = Callable[[str, str], bool]  # module name, id → whether that record lives


class Wrong(Exception):
    """The value does not fit. ``details`` joins api_name and json_path in the answer, ``under`` is a path below the field."""

    def __init__(self, message: str = "invalid data", /, under: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message, self.under, self.details = message, under, details


def compile_check(field: Field, known: Known, *, strict_picklists: bool = True) -> Check:
    """The check of one field: takes what was sent, not null, returns what is stored, raises Wrong."""
    kind = field.data_type
    if kind in ("text", "textarea", "phone", "email", "website"):
        pattern = {"phone": PHONE, "email": EMAIL, "website": WEBSITE}.get(kind)
        return _text(kind, field.length, pattern)
    if kind == "picklist":
        return _picklist(field, strict_picklists)
    if kind == "multiselectpicklist":
        return _picklists(field, strict_picklists)
    if kind == "lookup":
        assert field.target is not None
        return _lookup(field.target, known)
    if kind in PERSONS:
        return _lookup("users", known)
    if kind in ("currency", "double", "percent"):
        return _decimal(field)
    if kind in ("integer", "bigint"):
        return _integer(kind, field.length)
    return _OTHERS[kind]


def instant(text: Any) -> datetime:
    """An ISO 8601 time with offset and whole seconds, as aware UTC. Raises ValueError."""
    if not isinstance(text, str) or not DATETIME.fullmatch(text):
        raise ValueError(f"{text!r} is not an ISO 8601 time with offset and whole seconds")
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def _text(kind: str, length: int, pattern: re.Pattern[str] | None) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is not str:
            raise Wrong(expected_data_type=kind)
        text: str = value.strip()
        if len(text) > length:
            raise Wrong(maximum_length=length)
        if text and pattern is not None and not pattern.fullmatch(text):
            raise Wrong(expected_data_type=kind)
        return text or None

    return check


def _picklist(field: Field, strict: bool) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is not str:
            raise Wrong(expected_data_type="picklist")
        if value in field.choices:
            return value
        if not value or value == "-None-":
            return None
        if strict:
            raise Wrong(expected_data_type="picklist")
        field.choices.append(value)
        return value

    return check


def _picklists(field: Field, strict: bool) -> Check:
    one = _picklist(field, strict)

    def check(value: Any) -> list[str]:
        if not isinstance(value, list):
            raise Wrong(expected_data_type="jsonarray")
        # the tax of a product is told as [{"value": "VAT"}]
        plain = [item.get("value") if isinstance(item, dict) else item for item in value]
        return [kept for kept in map(one, plain) if kept is not None]

    return check


def _lookup(target: str, known: Known) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, dict):
            raise Wrong(expected_data_type="jsonobject")
        record_id = value.get("id")
        if record_id is None:
            raise Wrong("required field not found", under=".id", api_name="id")
        if not isinstance(record_id, str) or not known(target, record_id):
            raise Wrong("the id given seems to be invalid", under=".id", api_name="id")
        return record_id

    return check


def _decimal(field: Field) -> Check:
    step = None if field.decimal_place is None else Decimal(1).scaleb(-field.decimal_place)
    most = Decimal(10) ** field.length

    def check(value: Any) -> Decimal:
        if type(value) not in (int, Decimal):
            raise Wrong(expected_data_type="double")
        number = Decimal(value)
        if abs(number) >= most:
            raise Wrong(maximum_length=field.length)
        return number if step is None else number.quantize(step, ROUND_HALF_UP)

    return check


def _integer(kind: str, length: int) -> Check:
    def check(value: Any) -> int:
        if kind == "bigint" and isinstance(value, str) and DIGITS.fullmatch(value):
            value = int(value)
        if type(value) is not int:
            raise Wrong(expected_data_type=kind)
        if abs(value) >= 10**length:
            raise Wrong(maximum_length=length)
        return value

    return check


def _date(value: Any) -> str | None:
    if value == "":
        return None
    if not isinstance(value, str) or not DATE.fullmatch(value):
        raise Wrong(expected_data_type="date")
    try:
        date.fromisoformat(value)
    except ValueError:
        raise Wrong(expected_data_type="date") from None
    return value


def _datetime(value: Any) -> datetime:
    try:
        return instant(value)
    except ValueError:
        raise Wrong(expected_data_type="datetime") from None


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise Wrong(expected_data_type="boolean")
    return value


def _named(value: Any) -> list[dict[str, Any]]:
    """A list of objects with a name: tags, taxes of a line."""
    if not isinstance(value, list) or not all(isinstance(item, dict) and isinstance(item.get("name"), str) for item in value):
        raise Wrong(expected_data_type="jsonarray")
    return [dict(item) for item in value]


def _taxes(value: Any) -> list[dict[str, Any]]:
    taxes = _named(value)
    if not all(type(tax.get("percentage")) in (int, Decimal) for tax in taxes):
        raise Wrong(expected_data_type="double", under="[0].percentage", api_name="percentage")
    return taxes


_OTHERS: dict[str, Check] = {
    "date": _date,
    "datetime": _datetime,
    "boolean": _boolean,
    "tag": _named,
    "linetax": _taxes,
}
