"""COQL text (§ "COQL overview" of Zoho's v8 pages), built so that no value can break out of its quotes. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

IN_LIST: Final = 100
"""Most values of one ``in`` list."""
SELECT: Final = 500
"""Most fields of one select."""

_NAME: Final = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)?")
_ID_DIGITS: Final = 20
"""Most digits of an id: Zoho's have 19 today."""
_RESERVED: Final = frozenset(
    [
        "select",
        "from",
        "where",
        "and",
        "or",
        "not",
        "in",
        "like",
        "between",
        "is",
        "null",
        "order",
        "group",
        "by",
        "asc",
        "desc",
        "limit",
        "offset",
        "as",
    ]
)


def name(api_name: str) -> str:
    """A field's API name, quoted where it is a word of the language. Raises ValueError for what cannot be a name."""
    if not _NAME.fullmatch(api_name):
        raise ValueError(f"{api_name!r} is not an API name")
    return f"'{api_name}'" if api_name.lower() in _RESERVED else api_name


def text(value: str) -> str:
    """A text in single quotes, its own quotes doubled."""
    return "'" + value.replace("'", "''") + "'"


def moment(at: datetime) -> str:
    """An instant in UTC, whole seconds, quoted."""
    return f"'{at.astimezone(UTC).isoformat(timespec='seconds')}'"


def is_id(value: str) -> bool:
    """Whether this can be a record id at all: digits only, kept as text because 19 of them exceed a double."""
    return value.isascii() and value.isdigit() and len(value) <= _ID_DIGITS


def both(first: str, *others: str) -> str:
    """``and``, bracketed pairwise as Zoho demands: ((a and b) and c)."""
    for other in others:
        first = f"({first} and {other})"
    return first


def either(first: str, *others: str) -> str:
    """``or``, bracketed pairwise."""
    for other in others:
        first = f"({first} or {other})"
    return first


def compare(field: str, operator: str, value: str) -> str:
    """One criterion in brackets; ``value`` is already literal text."""
    return f"({name(field)} {operator} {value})"


def one_of(field: str, values: Iterable[str]) -> str:
    """``in`` over literal texts; the caller keeps to ``IN_LIST``."""
    return compare(field, "in", f"({', '.join(values)})")


def select(fields: Sequence[str], module: str, where: str, *, order: Sequence[str] = (), limit: int) -> str:
    """The whole query; ``order`` ascending."""
    query = f"select {', '.join(map(name, fields))} from {name(module)} where {where}"  # noqa: S608 names checked, values quoted
    if order:
        query += " order by " + ", ".join(f"{name(field)} asc" for field in order)
    return f"{query} limit {limit}"


def after(at: datetime | None, record_id: str, before: datetime, *, inclusive: bool = False) -> str:
    """Keyset criterion on (Modified_Time, id): what comes behind that place and before ``before``.

    A bare ``Modified_Time >`` would lose records of the same second. ``inclusive`` starts at ``at`` itself, whatever the id.
    """
    end = compare("Modified_Time", "<", moment(before))
    if at is None:
        return end
    if inclusive:
        return both(compare("Modified_Time", ">=", moment(at)), end)
    if not is_id(record_id):
        raise ValueError(f"{record_id!r} is not a record id")
    same = both(compare("Modified_Time", "=", moment(at)), compare("id", ">", record_id))
    return both(either(compare("Modified_Time", ">", moment(at)), same), end)
