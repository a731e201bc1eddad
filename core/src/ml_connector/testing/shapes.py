"""What happens to an entity when it is stored: merged, put into the system's habits, looked into. Pure functions."""

from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Decimal
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


def reshaped(value: E, change: Callable[[str, Any], Any], path: str = "") -> E:
    """The struct with ``change(path, leaf)`` for every leaf, nested ones included; names of records (Ref) stay as they are."""
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        part, here = getattr(value, name), f"{path}{name}"
        if isinstance(part, Extra):
            changes[name] = Extra({key: change(f"{here}.{key}", one) for key, one in part.items()})
        elif isinstance(part, tuple):
            changes[name] = tuple(
                reshaped(one, change, f"{here}.") if isinstance(one, msgspec.Struct) else change(here, one) for one in part
            )
        elif isinstance(part, msgspec.Struct):
            if not isinstance(part, Ref):
                changes[name] = reshaped(part, change, f"{here}.")
        elif part is not UNSET and part is not None:
            changes[name] = change(here, part)
    return msgspec.structs.replace(value, **changes) if changes else value


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """What a system makes of values before it stores them, without a word to the writer.

    trims      blanks around texts are taken away
    rounds     numbers keep so many decimals (None: all)
    shortens   field path → most characters; the rest is cut off
    raises     field paths whose texts are stored in capitals
    """

    trims: bool = False
    rounds: int | None = None
    shortens: Mapping[str, int] = {}
    raises: frozenset[str] = frozenset()

    def applied(self, entity: E) -> E:
        """The entity as the system stores it."""
        return reshaped(entity, self.stored) if self != Habits() else entity

    def stored(self, path: str, value: Any) -> Any:
        """One value as the system stores it."""
        if isinstance(value, Decimal) and self.rounds is not None:
            return value.quantize(Decimal(1).scaleb(-self.rounds), ROUND_HALF_UP)
        if isinstance(value, str):
            value = value.upper() if path in self.raises else value
            value = value[: self.shortens[path]] if path in self.shortens else value
            return value.strip() if self.trims else value
        return value
