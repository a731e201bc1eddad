"""The functions an expression may call: JMESPath's own over exact numbers, and those that mapping needs."""

import datetime as dt
import inspect
import re
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from jmespath.functions import Functions

from ml_connector.errors import RecordRejected

Tables: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Lookup tables by name: text → text, number, truth value."""

_ANY: Final[dict[str, Any]] = {"types": []}
_MORE: Final[dict[str, Any]] = {"types": [], "variadic": True}
_MISSING: Final = object()
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)  # "1e999999999" would fill the memory
_JSON: Final = msgspec.json.Encoder(decimal_format="number")
_NAMES: Final = {"str": "a text", "bool": "true or false", "list": "a list", "dict": "an object", "NoneType": "nothing"}


F = TypeVar("F", bound=Callable[..., Any])


def _takes(*parameters: dict[str, Any]) -> Callable[[F], F]:
    """jmespath.functions.signature with types: no ``types`` for a parameter means that the function looks for itself."""

    def mark(function: F) -> F:
        function.signature = parameters  # type: ignore[attr-defined]
        return function

    return mark


class Pack(Functions):  # type: ignore[misc]
    """Functions bound to one workspace's tables. Ours take null for null; JMESPath's own keep their rules about types.

    Wrong arguments raise ValueError with a message for people; a key without an entry in its table raises RecordRejected.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    @_takes(_ANY, _MORE)
    def _func_lookup(self, table: str, key: Any, default: Any = _MISSING) -> Any:
        """What the table says about the key; ``default`` where it says nothing; null for null."""
        if key is None:
            return None
        text = _text("lookup", key)
        found = self.tables[table].get(text, default)
        if found is _MISSING:
            raise RecordRejected(
                f'table {table} has no entry for "{text}"',
                code="TABLE",
                fix=f"Add it to [tables.{table}], or give lookup a default as its third argument",
            )
        return found

    @_takes(_ANY)
    def _func_decimal(self, value: Any) -> Decimal | None:
        """An exact number from a number or its text."""
        if value is None:
            return None
        number = self._func_to_number(value)
        if number is None:
            raise ValueError(f"decimal() cannot read {_shown(value)} as a number")
        return Decimal(number)

    @_takes(_ANY)
    def _func_to_number(self, value: Any) -> Decimal | int | None:
        """As JMESPath's, with exact numbers: null for what is no number."""
        if isinstance(value, str):
            return Decimal(value.strip()) if _NUMBER.fullmatch(value.strip()) else None
        if isinstance(value, float):
            return Decimal(str(value))
        return value if isinstance(value, (int, Decimal)) and not isinstance(value, bool) else None

    @_takes(_MORE)
    def _func_round(self, value: Any, digits: Any = 0) -> Decimal | None:
        """``value`` with so many digits behind the point; a half is rounded away from zero, as on an invoice."""
        if value is None:
            return None
        if not _is_number(value) or not _is_number(digits) or digits != int(digits) or abs(digits) > 20:
            raise ValueError(f"round() takes a number and a count of digits, it was given {_shown(value)}, {_shown(digits)}")
        rounded = Decimal(value).quantize(Decimal(1).scaleb(-int(digits)), ROUND_HALF_UP)
        return rounded if digits >= 0 else rounded.quantize(Decimal(1))

    @_takes({"types": ["array-number"]})
    def _func_avg(self, numbers: list[Any]) -> Decimal | None:
        return Decimal(sum(numbers)) / len(numbers) if numbers else None

    @_takes(_ANY)
    def _func_upper(self, value: Any) -> str | None:
        return None if value is None else _text("upper", value).upper()

    @_takes(_ANY)
    def _func_lower(self, value: Any) -> str | None:
        return None if value is None else _text("lower", value).lower()

    @_takes(_ANY)
    def _func_trim(self, value: Any) -> str | None:
        return None if value is None else _text("trim", value).strip()

    @_takes(_MORE)
    def _func_concat(self, first: Any, *others: Any) -> str:
        """All texts and numbers in a row; null adds nothing."""
        return "".join([_text("concat", value) for value in (first, *others) if value is not None])

    @_takes(_MORE)
    def _func_coalesce(self, first: Any, *others: Any) -> Any:
        """The first that is not null (an empty text is not null)."""
        return next((value for value in (first, *others) if value is not None), None)

    @_takes(_ANY, _ANY, _ANY)
    def _func_replace(self, value: Any, old: Any, new: Any) -> str | None:
        """Every ``old`` in the text becomes ``new``; both are plain texts, not patterns."""
        if value is None:
            return None
        if not isinstance(old, str) or not old or not isinstance(new, str):
            raise ValueError(
                f"replace() takes a text to look for and one to put there, it was given {_shown(old)}, {_shown(new)}"
            )
        return _text("replace", value).replace(old, new)

    @_takes(_ANY, _ANY)
    def _func_split(self, value: Any, separator: Any) -> list[str] | None:
        if value is None:
            return None
        if not isinstance(separator, str) or not separator:
            raise ValueError(f"split() takes a text to split at, it was given {_shown(separator)}")
        return _text("split", value).split(separator)

    @_takes(_ANY)
    def _func_date(self, value: Any) -> str | None:
        """The date of an ISO date or time, as written: times in records are UTC, so it is the date in UTC."""
        if value is None:
            return None
        try:
            return dt.date.fromisoformat(_text("date", value)[:10]).isoformat()
        except ValueError:
            raise ValueError(f"date() cannot read {_shown(value)} as a date") from None

    @_takes(_ANY)
    def _func_to_string(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        return format(value, "f") if isinstance(value, Decimal) else _JSON.encode(value).decode()

    @_takes(_ANY)
    def _func_type(self, value: Any) -> Any:
        return "number" if isinstance(value, Decimal) else super()._func_type(value)

    def _get_allowed_pytypes(self, types: list[str]) -> Any:
        """JMESPath goes by the names of Python types; a Decimal is a number too."""
        allowed, parts = super()._get_allowed_pytypes(types)
        with_decimal = [(*names, "Decimal") if "float" in names else names for names in parts]
        return ([*allowed, "Decimal"] if "float" in allowed else allowed), with_decimal

    def _convert_to_jmespath_type(self, pyobject: str) -> Any:
        return "number" if pyobject == "Decimal" else super()._convert_to_jmespath_type(pyobject)


def arity(name: str) -> tuple[int, int | None]:
    """Fewest and most arguments of a function; None: no upper bound. Raises KeyError for an unknown name."""
    spec = Pack.FUNCTION_TABLE[name]
    parameters = list(inspect.signature(spec["function"]).parameters.values())[1:]
    fewest = sum(1 for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD and one.default is one.empty)
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return max(fewest, len(spec["signature"])), None
    return fewest, len(parameters)


def type_name(value: object) -> str:
    """What a value is, in words: "a text"."""
    return _NAMES.get(type(value).__name__, "a number")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _text(function: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (int, float)):
        return str(value)
    raise ValueError(f"{function}() takes a single value, it was given {type_name(value)}")


def _shown(value: object) -> str:
    return f'"{value[:40]}"' if isinstance(value, str) else type_name(value)
