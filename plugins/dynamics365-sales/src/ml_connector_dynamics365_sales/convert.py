"""One value between Dataverse and the trade's words. Readers get what is neither null nor empty, writers no None. Pure."""

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from ml_connector.errors import RecordRejected
from ml_connector_dynamics365_sales.wire import Attribute

NOON: Final = dt.time(12)
NO_CHOICE: Final = "NO_CHOICE"
FAULTS: Final = (ValueError, TypeError, KeyError, AttributeError, InvalidOperation)


class Codec(msgspec.Struct, frozen=True):
    """A reader and a writer of one kind of value."""

    read: Callable[[Any], Any]
    write: Callable[[Any], Any]


def number(value: Any) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))


def instant(value: str) -> dt.datetime:
    return dt.datetime.fromisoformat(value).astimezone(dt.UTC)


def _finite(value: Any) -> Decimal:
    told = number(value)
    if not told.is_finite():
        raise RecordRejected(f"{told} is not a number that Dynamics can hold", code="INVALID")
    return told


def _whole(value: Any) -> int:
    told = _finite(value)
    if told != told.to_integral_value():
        raise RecordRejected(f"{told} has a fraction, and the column takes whole numbers", code="INVALID")
    return int(told)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


DECIMAL: Final = Codec(read=number, write=_finite)
INTEGER: Final = Codec(read=int, write=_whole)
BOOLEAN: Final = Codec(read=_flag, write=_flag)
INSTANT: Final = Codec(read=instant, write=lambda value: f"{value.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}")


def text(attribute: Attribute) -> Codec:
    """Text of bounded length; nothing is cut."""
    limit, name = attribute.MaxLength, attribute.LogicalName

    def write(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError
        if limit and len(value) > limit:
            raise RecordRejected(
                f"{len(value)} characters, and the column {name} takes {limit}",
                code="TOO_LONG",
                fix="Shorten the text at its source, or lengthen the column in Dynamics",
            )
        return value

    return Codec(read=str, write=write)


def day(attribute: Attribute, zone: ZoneInfo) -> Codec:
    """A date. Columns that only look like dates hold an instant: noon in ``zone``, so that no time zone shows another day."""
    behaviour = attribute.DateTimeBehavior.Value if attribute.DateTimeBehavior else ""
    if behaviour == "DateOnly":
        return Codec(read=lambda value: dt.date.fromisoformat(value[:10]), write=lambda value: value.isoformat()[:10])

    def write(value: dt.date) -> str:
        noon = dt.datetime.combine(value, NOON, zone).astimezone(dt.UTC)
        return f"{noon:%Y-%m-%dT%H:%M:%SZ}"

    return Codec(read=lambda value: instant(value).astimezone(zone).date(), write=write)


def choice(attribute: Attribute, mapped: Mapping[str, int]) -> Codec:
    """Words ↔ numbers: the user's own words first, then the labels as the environment has them."""
    options = {option.Value: option.label for option in attribute.OptionSet.Options} if attribute.OptionSet else {}
    words = {label.casefold(): value for value, label in options.items()} | {w.casefold(): v for w, v in mapped.items()}
    back = {**options, **{value: word for word, value in reversed(list(mapped.items()))}}
    name = attribute.LogicalName

    def write(value: Any) -> int:
        told = words.get(str(value).strip().casefold())
        if told is None or (options and told not in options):
            shown = ", ".join(f'"{label}"' for label in list(options.values())[:12]) + (", …" if len(options) > 12 else "")
            raise RecordRejected(
                f'"{value}" is not among the choices of the column {name}: {shown}',
                code=NO_CHOICE,
                fix="Add the choice in Dynamics, or give the word a number in the setting choices",
            )
        return told

    return Codec(read=lambda value: back.get(int(value)) or str(value), write=write)


def custom(attribute: Attribute, zone: ZoneInfo) -> Codec | None:
    """How a custom column travels as ``extra.NAME``; None for what is no single value."""
    match attribute.AttributeType:
        case "String" | "Memo" | "Uniqueidentifier":
            return text(attribute)
        case "Integer" | "BigInt":
            return INTEGER
        case "Decimal" | "Double" | "Money":
            return DECIMAL
        case "Boolean":
            return BOOLEAN
        case "DateTime":
            only = attribute.DateTimeBehavior is not None and attribute.DateTimeBehavior.Value == "DateOnly"
            return day(attribute, zone) if only else INSTANT
        case "Picklist":
            return choice(attribute, {})
    return None
