"""Which paths name something in an entity, in expressions (source) and in assignments (target)."""

import functools
from typing import Any, get_args, get_origin

import msgspec

from ml_connector.domain import ENTITIES, Address, Kind
from ml_connector.flows.fields import misnamed
from ml_connector_adapters.words import nearest


def unreadable(path: str, kind: Kind) -> str | None:
    """None when an expression over this kind finds something at ``path`` (``lines[].net``), else what is wrong."""
    known = _paths(ENTITIES[kind])
    if path in known or _custom(path, known):
        return None
    return _no_such(path, kind, known)


def unwritable(path: str, kind: Kind) -> str | None:
    """None when ``path`` names a field of the target (``stage``, ``billing.city``, ``extra.NAME``), else what is wrong."""
    if misnamed(path, kind) is None:
        return None
    if path.partition(".")[0] == "extra":
        return 'custom fields are written "extra.NAME"'
    return _no_such(path, kind, frozenset(known for known in _paths(ENTITIES[kind]) if misnamed(known, kind) is None))


def single(field: str, kind: Kind) -> bool:
    """Whether the field holds one value of its own: no address, no amount, no lines, no other record."""
    return not _structs_in(field, kind)


def indivisible(path: str, kind: Kind) -> bool:
    """Whether ``path`` names a part of what the merge takes as one value: an amount, a reference. Not so ``billing.city``."""
    head, dot, _ = path.partition(".")
    return bool(dot) and head != "extra" and Address not in _structs_in(head, kind)


def _structs_in(field: str, kind: Kind) -> list[type[msgspec.Struct]]:
    types = {one.name: one.type for one in msgspec.structs.fields(ENTITIES[kind])}
    return [struct for struct, _ in _inner(types[field])]


def _no_such(path: str, kind: Kind, known: frozenset[str]) -> str:
    hint = nearest(path, known)
    if "Did you mean" not in hint:
        hint = nearest(path, [name for name in known if "." not in name])
    return f'{kind} has no field "{path}"{hint}'


def _custom(path: str, known: frozenset[str]) -> bool:
    """Whether the path is a custom field of something known: their names are the systems' business."""
    parent, dot, name = path.rpartition(".")
    return bool(dot and name) and parent.rpartition(".")[2] == "extra" and parent in known


@functools.cache
def _paths(struct: type[msgspec.Struct]) -> frozenset[str]:
    found: set[str] = set()
    for field in msgspec.structs.fields(struct):
        found.add(field.name)
        for inner, mark in _inner(field.type):
            found |= {f"{field.name}{mark}.{path}" for path in _paths(inner)}
    return frozenset(found)


def _inner(kind: Any) -> list[tuple[type[msgspec.Struct], str]]:
    """Structs inside a field, with "[]" for those that are elements of a list."""
    found: list[tuple[type[msgspec.Struct], str]] = []
    for option in get_args(kind) or (kind,):
        if get_origin(option) is tuple:
            found.append((get_args(option)[0], "[]"))
        elif isinstance(option, type) and issubclass(option, msgspec.Struct):
            found.append((option, ""))
    return found
