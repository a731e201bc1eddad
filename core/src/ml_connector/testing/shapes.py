"""What happens to an entity when it is stored: merged, trimmed, looked into. Pure functions."""

from typing import Any, TypeVar

import msgspec

from ml_connector.domain import UNSET, Address, Entity, Extra, Ref

E = TypeVar("E", bound=msgspec.Struct)


def merged(old: Entity, changes: Entity) -> Entity:
    """What stands after ``changes``: unset leaves alone, None clears; custom fields and parts of an address one by one."""
    values: dict[str, Any] = {}
    for name in changes.__struct_fields__:
        new, before = getattr(changes, name), getattr(old, name)
        if new is UNSET:
            continue
        if isinstance(new, Extra):
            new = Extra({**(before if isinstance(before, Extra) else {}), **new})
        elif isinstance(new, Address) and isinstance(before, Address):
            parts = {part: value for part in new.__struct_fields__ if (value := getattr(new, part)) is not UNSET}
            new = msgspec.structs.replace(before, **parts)
        values[name] = new
    return msgspec.structs.replace(old, **values)


def value_at(entity: Entity, path: str) -> object:
    """The value at a dotted path, ``extra.NAME`` included; UNSET where there is none."""
    head, _, rest = path.partition(".")
    value = getattr(entity, head, UNSET)
    if not rest or value in (UNSET, None):
        return value
    return value.get(rest, UNSET) if isinstance(value, Extra) else getattr(value, rest, UNSET)


def trimmed(value: E) -> E:
    """The struct with blanks around its texts taken away, nested ones included; names of records (Ref) stay as they are."""
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        part = getattr(value, name)
        if isinstance(part, str):
            changes[name] = part.strip()
        elif isinstance(part, msgspec.Struct) and not isinstance(part, Ref):
            changes[name] = trimmed(part)
        elif isinstance(part, tuple):
            changes[name] = tuple(trimmed(one) if isinstance(one, msgspec.Struct) else one for one in part)
    return msgspec.structs.replace(value, **changes) if changes else value
