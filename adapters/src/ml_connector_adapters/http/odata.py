"""OData V4 text: literals, filters, keys and query options, encoded so that the strictest server reads what was meant.

OData 4.01 part 2 (URL conventions); spaces are always %20, since servers built on Olingo keep a plus sign as it is.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Generic, TypeAlias, TypeVar
from urllib.parse import quote
from uuid import UUID

import msgspec

T = TypeVar("T")

_QUERY_SAFE = "$'(),:/*"


class EnumLiteral(msgspec.Struct, frozen=True):
    """A member of an enumeration with the type's qualified name: ``Ns.Type'Member'``."""

    type: str
    member: str


Value: TypeAlias = str | bool | int | Decimal | datetime | date | UUID | EnumLiteral | None


def literal(value: Value) -> str:
    """The value as it stands in a filter, not percent-encoded.

    Strings are quoted and their quotes doubled; datetimes become UTC with "Z", in seconds or, if they have a fraction, in
    milliseconds (cut, never rounded up). Raises ValueError for naive datetimes and NaN, TypeError for float and other types.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, EnumLiteral):
        return f"{value.type}{literal(value.member)}"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone")
        text = value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds" if value.microsecond else "seconds")
        return text + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is no number")
        return format(value, "f")
    if isinstance(value, int | UUID):
        return str(value)
    raise TypeError(f"no OData literal for {type(value).__name__}; money is Decimal")


def eq(prop: str, value: Value) -> str:
    return f"{prop} eq {literal(value)}"


def ne(prop: str, value: Value) -> str:
    return f"{prop} ne {literal(value)}"


def gt(prop: str, value: Value) -> str:
    return f"{prop} gt {literal(value)}"


def ge(prop: str, value: Value) -> str:
    return f"{prop} ge {literal(value)}"


def lt(prop: str, value: Value) -> str:
    return f"{prop} lt {literal(value)}"


def le(prop: str, value: Value) -> str:
    return f"{prop} le {literal(value)}"


def both(*parts: str) -> str:
    """All of the conditions; empty ones are left out."""
    return " and ".join(part for part in parts if part)


def either(*parts: str) -> str:
    """Any of the conditions, in parentheses when there are several; empty ones are left out."""
    told = [part for part in parts if part]
    return f"({' or '.join(told)})" if len(told) > 1 else "".join(told)


def one_of(prop: str, values: Iterable[Value]) -> str:
    """The property has one of the values: a chain of ``or``, as not every server knows ``in``. ValueError for no values."""
    parts = [eq(prop, value) for value in values]
    if not parts:
        raise ValueError(f"{prop} cannot be one of no values")
    return either(*parts)


def key(**parts: Value) -> str:
    """The key of one entity, always named: ``(OrderNo='C1001',LineItemNo=0)``; values percent-encoded, "/" as %2F."""
    told = (name + "=" + quote(literal(value), safe="'") for name, value in parts.items())
    return f"({','.join(told)})"


def query(**options: str | int | Iterable[str] | None) -> str:
    """System query options in the given order: ``query(select=["OrderNo"], top=5)`` → ``?$select=OrderNo&$top=5``.

    Lists are joined by commas. None, "" and empty lists are left out; with nothing left the result is "".
    """
    told = []
    for name, value in options.items():
        text = _text(value)
        if text:
            told.append(f"${name}={quote(text, safe=_QUERY_SAFE)}")
    return "?" + "&".join(told) if told else ""


def _text(value: str | int | Iterable[str] | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return literal(value)
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else ",".join(value)


class Listing(msgspec.Struct, Generic[T]):
    """One page of a collection."""

    value: list[T]
    odata_next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    plain_next_link: str | None = msgspec.field(default=None, name="@nextLink")  # 4.01 servers may drop the prefix

    @property
    def next_link(self) -> str | None:
        """The vendor's link to the next page, to be followed as it is; None on the last page."""
        return self.odata_next_link or self.plain_next_link
