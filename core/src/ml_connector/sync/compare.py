"""Compare one record as both sides hold it, field by field, in common terms (the right side's). Pure functions.

What a vendor is known to make of a value is no difference: a field that neither side changed since it was last seen there.
"""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import msgspec

from ml_connector.domain import UNSET, Address, Entity, Extra, Kind, Line
from ml_connector.ports.state import Link
from ml_connector.sync import content
from ml_connector.sync.decide import drift_of

Apart: TypeAlias = tuple[str, Any, Any]
"""A path (``phone``, ``billing.city``, ``extra.NAME``, ``lines[KEY].unit``, ``lines[KEY]``), left's value and right's."""


class Bases(msgspec.Struct, frozen=True):
    """What each side was seen to hold when both were last taken to agree; None: nothing is known."""

    left: Entity | None = None
    right: Entity | None = None
    strayed: frozenset[str] = frozenset()  # fields of the right's base that somebody edited there: they were never agreed


NOTHING: Final = Bases()
"""Nothing is known."""


def bases(link: Link, kind: Kind) -> Bases:
    """What a link keeps; ``kind`` is the right side's."""
    agreed = content.decode(kind, link.agreed) if link.agreed else None
    left = content.decode(kind, link.left.held) if link.left.held else agreed
    right = content.decode(kind, link.right.held) if link.right.held else agreed
    return Bases(left, right, frozenset(drift_of(link)))


def unmoved(now: Entity, base: Entity | None) -> bool:
    """Whether everything that is told now was told before."""
    return base is not None and (now == base or not content.changed_fields(now, base))


def differences(left: Entity, right: Entity, known: Bases = NOTHING) -> list[Apart]:
    """What both sides tell and do not agree on, but for what is known of them."""
    return [apart for apart in _apart(left, right) if not _known(known, *apart)]


def _known(known: Bases, path: str, left: Any, right: Any) -> bool:
    head = path.partition("[")[0].partition(".")[0]
    if known.left is None or known.right is None or path in known.strayed or head in known.strayed:
        return False
    return (left, right) == (_at(known.left, path), _at(known.right, path))


def _apart(left: Entity, right: Entity) -> Iterator[Apart]:
    for name in left.__struct_fields__:
        ours, theirs = getattr(left, name), getattr(right, name)
        if ours is UNSET or theirs is UNSET or ours == theirs:
            continue
        if isinstance(ours, (Address, Extra)) or isinstance(theirs, (Address, Extra)):
            yield from _parts_apart(name, ours, theirs)
        elif name == "lines":
            yield from _lines_apart(ours or (), theirs or ())
        elif not content.alike(ours, theirs):
            yield name, ours, theirs


def _parts_apart(name: str, ours: Any, theirs: Any) -> Iterator[Apart]:
    told = content.parts_of(ours), content.parts_of(theirs)
    for part in dict.fromkeys((*told[0], *told[1])):
        mine, other = content.part(ours, told[0], part), content.part(theirs, told[1], part)
        if UNSET not in (mine, other) and not content.alike(mine, other):
            yield f"{name}.{part}", mine, other


def _lines_apart(ours: tuple[Line, ...], theirs: tuple[Line, ...]) -> Iterator[Apart]:
    """By their keys: where a vendor puts a line is its own affair."""
    mine, others = {line.key: line for line in ours}, {line.key: line for line in theirs}
    for key in dict.fromkeys((*mine, *others)):
        line, other = mine.get(key), others.get(key)
        if line is None or other is None:
            yield f"lines[{key}]", line, other
            continue
        for name in Line.__struct_fields__:
            a, b = getattr(line, name), getattr(other, name)
            if UNSET not in (a, b) and not content.alike(a, b):
                yield f"lines[{key}].{name}", a, b


def _at(entity: Entity, path: str) -> Any:
    """What stands at the path; UNSET where nothing is told, None for a line that is not there."""
    if not path.startswith("lines["):
        return content.value_at(entity, path)
    key, _, field = path.removeprefix("lines[").rpartition("]")
    line = next((line for line in _lines(entity) if line.key == key), None)
    return line if line is None or not field else getattr(line, field.removeprefix("."))


def _lines(entity: Entity) -> tuple[Line, ...]:
    lines = getattr(entity, "lines", ())
    return lines if isinstance(lines, tuple) else ()
