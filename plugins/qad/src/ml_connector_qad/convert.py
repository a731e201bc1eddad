"""Values on QAD's wire and what they stand for: plain dates, exact numbers, codes, booleans. Pure functions.

Shapes: dates ``2026-01-15T00:00:00.000Z``, a date at a midnight that is called Z and never shifted by a zone; numbers are JSON
numbers; texts and codes may come with trailing blanks; empty is ``""`` or null.
"""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.errors import RecordRejected

_ISO_DAY: Final = 10
_TRUE: Final = ("true", "yes", "y", "1")
_FALSE: Final = ("false", "no", "n", "0")
_ANY: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


class Unreadable(ValueError):
    """A value of another shape than its field should have."""


def decode(body: bytes) -> Any:
    """JSON with exact numbers. Raises msgspec.DecodeError."""
    return _ANY.decode(body)


def encode(value: Any) -> bytes:
    """JSON with every digit of a Decimal, as a number: what was read goes back as it came."""
    return _ENCODER.encode(value)


def at(told: Any, path: str) -> Any:
    """What stands at a dotted path (numbers are places in lists); None where nothing does. "" is the whole."""
    for name in path.split(".") if path else ():
        if isinstance(told, Mapping):
            told = told.get(name)
        elif isinstance(told, list) and name.isdigit() and int(name) < len(told):
            told = told[int(name)]
        else:
            return None
    return told


def number(value: Any) -> Decimal | None:
    """Raises Unreadable."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise Unreadable(f"{value} is no number")
    try:
        exact = Decimal(str(value).strip())
    except ArithmeticError:
        raise Unreadable("it is no number") from None
    if not exact.is_finite():
        raise Unreadable("it is no finite number")
    return plain(exact)


def plain(exact: Decimal) -> Decimal:
    """The same amount without zeros at its end: a list writes 10 where a record writes 10.00."""
    shorter = exact.normalize()
    exponent = shorter.as_tuple().exponent
    return shorter.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 and shorter.adjusted() < 27 else shorter


def flag(value: Any) -> bool | None:
    """Raises Unreadable."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise Unreadable("it is neither true nor false")


def day(value: Any, layout: str) -> dt.date | None:
    """A plain date written as ``layout`` (strftime) or as ISO. Raises Unreadable."""
    if value is None or value in ("", "?"):
        return None
    text = str(value).strip()
    try:
        return dt.datetime.strptime(text, layout).date()
    except ValueError:
        pass
    try:
        return dt.date.fromisoformat(text[:_ISO_DAY])
    except ValueError:
        raise Unreadable(f"it is no date like {layout}") from None


def text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else f"{value}"


def code(value: Any) -> str | None:
    """A code: blanks at its end mean nothing."""
    told = text(value)
    return (told.strip() or None) if told is not None else None


def split_street(street: str, places: int, field: str) -> list[str]:
    """A street's lines, one per place. Raises RecordRejected for more lines than places: nothing is cut."""
    lines = street.split("\n")
    if len(lines) > places:
        raise RecordRejected(f"{len(lines)} lines do not fit the {places} that QAD has", code="TOO_MANY_LINES", field=field)
    return [*lines, *[""] * (places - len(lines))]


def escape(part: str) -> str:
    """One key value within an id or URI of several: a dot is written %2E (as in QAD's own URIs), a percent sign %25."""
    return part.replace("%", "%25").replace(".", "%2E")


def unescape(part: str) -> str:
    return part.replace("%2E", ".").replace("%2e", ".").replace("%25", "%")
