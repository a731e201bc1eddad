"""Python's types taken apart, and told in words."""

import datetime as dt
import re
import types
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import msgspec

from ml_connector.ports.secrets import Secret

SEQUENCES: Final = (list, tuple, set, frozenset, Sequence)
MAPPINGS: Final = (dict, Mapping)
_DELICATE: Final = re.compile(r"secret|password|token|key|credential", re.IGNORECASE)
_WORDS: Final[dict[Any, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    bool: "true or false",
    dt.date: "a date",
    dt.datetime: "a date with time",
    dt.timedelta: 'a span of time such as "15m"',
}
_BOUNDS: Final = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below", "pattern": "matching"}


def shown(found: Any, path: str) -> str:
    """A value in a message: shortened, and only what it is where its name sounds like a secret."""
    if isinstance(found, dict):
        return "a table"
    if isinstance(found, list):
        return "a list"
    if isinstance(found, bool):
        return str(found).lower()
    if found is None:
        return "nothing"
    if _DELICATE.search(path.rpartition(".")[2]):
        return _WORDS.get(type(found), "a value")
    return f'"{found[:40]}{"…" if len(found) > 40 else ""}"' if isinstance(found, str) else str(found)


def expected(kind: Any) -> str:
    """A type in words: ``a whole number of at least 1``."""
    options = options_of(kind)
    words: list[str] = []
    for option in options:
        if get_origin(option) is Literal:
            word = either(get_args(option))
        elif option is Secret:
            word = 'a reference to a secret: "secret:NAME", "env:NAME" or "file:PATH"'
        elif is_struct(option) or origin_of(option) in MAPPINGS:
            word = "a table"
        elif origin_of(option) in SEQUENCES:
            word = "a list"
        else:
            word = _WORDS.get(option, getattr(option, "__name__", str(option)))
        if word not in words:
            words.append(word)
    bounds = [
        f"{told} {bound}"
        for meta in metas(kind)
        for name, told in _BOUNDS.items()
        if (bound := getattr(meta, name)) is not None
    ]
    lengths = [
        f"{told} {bound} {'characters' if str in options else 'entries'}"
        for meta in metas(kind)
        for told, bound in (("with at least", meta.min_length), ("with at most", meta.max_length))
        if bound is not None
    ]
    return " ".join(filter(None, [" or ".join(words) or "a value", " and ".join([*bounds, *lengths])]))


def either(choices: Iterable[Any]) -> str:
    return " or ".join(f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices)


def options_of(kind: Any) -> list[Any]:
    """The members of a union without None, each without its annotations."""
    if get_origin(kind) is Annotated:
        return options_of(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [option for member in get_args(kind) if member is not type(None) for option in options_of(member)]
    return [] if kind is type(None) or kind is msgspec.UnsetType else [kind]


def metas(kind: Any) -> list[msgspec.Meta]:
    if get_origin(kind) is Annotated:
        own = [meta for meta in get_args(kind)[1:] if isinstance(meta, msgspec.Meta)]
        return [*metas(get_args(kind)[0]), *own]
    if get_origin(kind) in (Union, types.UnionType):
        return [meta for member in get_args(kind) for meta in metas(member)]
    return []


def origin_of(kind: Any) -> Any:
    return get_origin(kind) or kind


def is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def tag_field(kind: Any) -> str | None:
    field: str | None = kind.__struct_config__.tag_field
    return field
