"""Single values between Pipedrive and the canonical words. Pure. What cannot be stored is refused by field, never cut."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.domain import Address, Kind, Money, Ref
from ml_connector.domain.values import UNSET
from ml_connector.errors import RecordRejected

TEXT_LENGTH: Final = 255
LONG_TEXT: Final = 65_000
YES, NO = "Yes", "No"
PARTS: Final = {"city": "locality", "region": "admin_area_level_1", "postal_code": "postal_code", "country": "country"}
"""Part of a canonical address → Pipedrive's; the street is its route and house number."""


class Codec(msgspec.Struct, frozen=True):
    """How one field is read and written; neither is asked about None, and ``write`` raises Unstorable."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


class Unstorable(Exception):
    """A value that the field cannot hold, and what to do about it."""

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(what)
        self.what, self.fix = what, fix

    def at(self, field: str) -> RecordRejected:
        return RecordRejected(self.what, fix=self.fix, field=field, code="NOT_STORABLE")


def exact(value: Any) -> Decimal:
    """A number of the vendor's, the same Decimal however many zeros it was written with."""
    return Decimal(format(Decimal(value).normalize(), "f"))


def sent(value: Decimal) -> Decimal:
    """A number as Pipedrive keeps it, which is a double. Raises Unstorable where that would change it."""
    if Decimal(repr(float(value))) != value:
        raise Unstorable(f"{value} has more digits than Pipedrive keeps (about 15)")
    return value


def text(limit: int = TEXT_LENGTH) -> Codec:
    def write(value: Any) -> str:
        told = plain(value)
        if len(told) > limit:
            raise Unstorable(f"it has {len(told)} characters, Pipedrive takes {limit}", "Shorten it at the source")
        return told

    return Codec(str, write)


def plain(value: Any) -> str:
    """Any scalar as a person would type it."""
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else str(value)


def yes_or_no(inner: Codec) -> Codec:
    """A truth value in a field of words; other words are not known."""
    words = {YES.casefold(): True, "true": True, "1": True, NO.casefold(): False, "false": False, "0": False}
    return Codec(
        lambda value: words.get(str(inner.read(value)).casefold(), UNSET), lambda value: inner.write(YES if value else NO)
    )


def number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise Unstorable(f"{value!r} is no number")
    return sent(Decimal(value))


def whole(value: Any) -> int:
    if isinstance(value, bool) or Decimal(value) != int(value):
        raise Unstorable(f"{value} is no whole number, and Pipedrive keeps nothing else here")
    return int(value)


def day(value: Any) -> str:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise Unstorable(f"{value!r} is no date")
    return value.isoformat()


TEXT: Final = text()
NOTE: Final = text(LONG_TEXT)
NUMBER: Final = Codec(exact, number)
WHOLE: Final = Codec(int, whole)
DAY: Final = Codec(date.fromisoformat, day)
BOOLEAN: Final = Codec(bool, bool)
TIME: Final = Codec(lambda value: value["value"], lambda value: {"value": plain(value)})
PLACE: Final = Codec(lambda value: value["value"], lambda value: {"value": plain(value)})


def amount(home: str) -> Codec:
    """A monetary field as Money; ``home`` stands for a currency that is not named."""

    def write(value: Any) -> dict[str, Any]:
        if isinstance(value, Money):
            return {"value": number(value.amount), "currency": _currency(value.currency, home)}
        return {"value": number(value), "currency": _currency("", home)}

    return Codec(lambda value: Money(exact(value["value"]), value["currency"]), write)


def scalar_amount(home: str) -> Codec:
    """The same where only a number can be told: a custom field, in the company's currency."""
    inner = amount(home)
    return Codec(lambda value: exact(value["value"]), inner.write)


def home_amount(home: str) -> Codec:
    """A column of whole units without a currency."""

    def write(value: Money) -> int:
        if value.currency not in ("", home):
            raise Unstorable(f"it is in {value.currency}, and Pipedrive keeps {home or 'one currency'} here")
        return whole(value.amount)

    return Codec(lambda value: Money(exact(value), home), write)


def choice(options: Mapping[str, Any]) -> Codec:
    """An option by its label. ``options``: label → id."""
    labels = {str(id_): label for label, id_ in options.items()}

    def write(value: Any) -> Any:
        label = plain(value)
        if label not in options:
            raise Unstorable(
                f'"{label}" is not among its options: {", ".join(options) or "none"}',
                'Add the option in Pipedrive, or set new_options = "create"',
            )
        return options[label]

    return Codec(lambda value: labels.get(str(value), UNSET), write)


def choices(options: Mapping[str, Any]) -> Codec:
    """Several options as one text, ``A;B``."""
    one = choice(options)
    return Codec(
        lambda value: ";".join(label for each in value if (label := one.read(each)) is not UNSET),
        lambda value: [one.write(label.strip()) for label in plain(value).split(";") if label.strip()] or None,
    )


def ref(kind: Kind) -> Codec:
    def write(value: Any) -> int:
        if not value.key.isdigit():
            raise Unstorable(f"{value.key!r} is no id of Pipedrive's")
        return int(value.key)

    return Codec(lambda value: Ref(kind, str(value)), write)


def _currency(told: str, home: str) -> str:
    if not (told or home):
        raise Unstorable("no currency is named", "Set currency to the company's default currency")
    return told or home


def instant(value: Any) -> datetime | None:
    """A time of the vendor's, RFC 3339 with or without fractions."""
    return None if not value else datetime.fromisoformat(str(value)).astimezone(UTC)


def read_address(value: Mapping[str, Any] | None) -> Address | None:
    """Pipedrive's parts; where there is only the one line that people typed, that is the street."""
    if not value or not any(value.values()):
        return None
    parts = {ours: value.get(theirs) for ours, theirs in PARTS.items()}
    street = " ".join(part for part in (value.get("route"), value.get("street_number")) if part) or None
    if street is None and not any(parts.values()):
        street = value.get("value") or None
    return Address(street=street, **parts)


def write_address(wanted: Address | None, there: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The whole address, since Pipedrive clears the parts that are left out; unset parts stay as they are."""
    if wanted is None:
        return None
    kept = read_address(there) or Address(street=None, city=None, region=None, postal_code=None, country=None)
    parts = {name: told if (told := getattr(wanted, name)) is not UNSET else getattr(kept, name) for name in ("street", *PARTS)}
    parts = {name: None if value is UNSET else value for name, value in parts.items()}
    if not any(parts.values()):
        return None
    town = " ".join(part for part in (parts["postal_code"], parts["city"]) if part)
    line = ", ".join(part for part in (parts["street"], town, parts["region"], parts["country"]) if part)
    return {"value": line.replace("\n", ", "), "route": parts["street"], **{PARTS[name]: parts[name] for name in PARTS}}
