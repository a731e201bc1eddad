"""Merge step of two-way flows: three ways, field by field, against what each side held when they last agreed. Pure functions.

A field is a path: a field of the entity, a part of an address (``billing.city``), a custom field (``extra.NAME``). Lines are
one path, merged line by line under their keys (``sync.lines``). Everything here is in common terms: the right side's.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ml_connector.domain import UNSET, Address, Entity, Extra, Side
from ml_connector.flows import Flow
from ml_connector.ports.state import Clash
from ml_connector.sync import content
from ml_connector.sync.lines import merge_lines

Verdict: TypeAlias = Literal["left", "right", "same", "clash"]
"""Whose value both shall have: one side's, whichever (they are alike), or a person must say."""

_COMPOSED: Final = (Address, Extra)


class View(msgspec.Struct, frozen=True, gc=False):
    """One side: what it held when the sides last agreed (None: they never did), and what it holds now."""

    base: Entity | None
    now: Entity


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of two views. A path is in one of the lists at most, except ``lines``, which may have to go both ways."""

    entity: Entity  # what both sides shall hold in the paths of the lists
    to_left: tuple[str, ...] = ()
    to_right: tuple[str, ...] = ()
    same: tuple[str, ...] = ()  # changed, and yet nothing has to be written
    clashes: tuple[Clash, ...] = ()
    rules: Mapping[str, str] = {}  # path → why it goes where it goes

    def to(self, side: Side) -> tuple[str, ...]:
        return self.to_left if side == "left" else self.to_right


def merge(
    flow: Flow,
    left: View,
    right: View,
    *,
    newer: Side | None = None,
    chosen: Entity | None = None,
    take: Side | None = None,
) -> Merged:
    """Merge what changed on either side since they last agreed.

    ``newer`` is the side whose record was changed later, where both tell. ``chosen`` holds values that a person gave: they are
    everybody's, whatever the sides say; ``take`` is the side that a person let win this time.
    """
    if take is not None:
        flow = msgspec.structs.replace(flow, owner=take, owners={})
    if left.now == left.base and right.now == right.base and chosen is None:
        return Merged(entity=left.now)
    found = _Lists(left.now)
    for path, was_left, is_left, was_right, is_right in _moved(left, right, chosen):
        if chosen is not None and content.tells(chosen, path):
            value = content.value_at(chosen, path)
            has: dict[Side, Any] = {"left": is_left, "right": is_right}
            found.owe(path, value, [side for side in has if has[side] != value], "a person chose")
        elif path == "lines" and _both_have_lines(was_left, is_left, was_right, is_right):
            _take_lines(flow, found, was_left, is_left, was_right, is_right, newer)
        else:
            verdict, rule = _verdict(flow, path, was_left, is_left, was_right, is_right, newer)
            found.take(path, verdict, rule, _agreed(was_left, was_right), is_left, is_right)
    return found.merged()


def _moved(left: View, right: View, chosen: Entity | None) -> Iterator[tuple[str, Any, Any, Any, Any]]:
    """(path, left's base, left now, right's base, right now) of each path that either side changed, or that a person chose."""
    names = left.now.__struct_fields__
    nothing = (UNSET,) * len(names)
    was_left, is_left = _values(left.base, nothing), msgspec.structs.astuple(left.now)
    was_right, is_right = _values(right.base, nothing), msgspec.structs.astuple(right.now)
    picked = _values(chosen, nothing)
    places = {*_differing(left, was_left, is_left), *_differing(right, was_right, is_right)}
    if chosen is not None:
        places |= {place for place, pick in enumerate(picked) if pick is not UNSET}
    for place in sorted(places):
        row = was_left[place], is_left[place], was_right[place], is_right[place]
        if any(type(part) in _COMPOSED for part in row) or type(picked[place]) in _COMPOSED:
            yield from _parts(names[place], *row, picked[place])
        elif _changed(row[0], row[1]) or _changed(row[2], row[3]) or picked[place] is not UNSET:
            yield names[place], *row


def _values(entity: Entity | None, nothing: tuple[Any, ...]) -> tuple[Any, ...]:
    return nothing if entity is None else msgspec.structs.astuple(entity)


def _differing(view: View, was: tuple[Any, ...], now: tuple[Any, ...]) -> list[int]:
    """Places of the fields in which the side is not as it was. Most sides are as they were, and that is soon seen."""
    if view.now == view.base:
        return []
    return [place for place, (a, b) in enumerate(zip(was, now, strict=True)) if a is not b and a != b]


def _parts(name: str, *values: Any) -> Iterator[tuple[str, Any, Any, Any, Any]]:
    """The same of each part of an address or of the custom fields."""
    told = [content.parts_of(value) for value in values]
    for part in dict.fromkeys(part for parts in told for part in parts):
        a, is_a, b, is_b, pick = (content.part(value, parts, part) for value, parts in zip(values, told, strict=True))
        if _changed(a, is_a) or _changed(b, is_b) or pick is not UNSET:
            yield f"{name}.{part}", a, is_a, b, is_b


def _changed(was: Any, now: Any) -> bool:
    """What a side does not tell (any more) has not changed."""
    return now is not UNSET and now != was


def _agreed(was_left: Any, was_right: Any) -> Any:
    return was_right if was_left is UNSET else was_left


def _verdict(
    flow: Flow, path: str, was_left: Any, is_left: Any, was_right: Any, is_right: Any, newer: Side | None
) -> tuple[Verdict, str]:
    if content.alike(is_left, is_right):
        return "same", "both say the same"
    if was_left is UNSET or was_right is UNSET:  # first contact: nobody knows who changed what
        if content.is_empty(is_left) or content.is_empty(is_right):
            side: Side = "right" if content.is_empty(is_left) else "left"
            return side, f"empty at {flow.connection('left' if side == 'right' else 'right')}"
    elif not _changed(was_right, is_right):
        return "left", f"changed at {flow.left}"
    elif not _changed(was_left, is_left):
        return "right", f"changed at {flow.right}"
    return settle(flow, path, newer)


def settle(flow: Flow, path: str, newer: Side | None) -> tuple[Verdict, str]:
    """Who wins a clash in this field, and the rule's name."""
    owner = flow.owner_of(path)
    if owner == "ask" or (owner == "newest" and newer is None):
        return "clash", "ask" if owner == "ask" else "newest, and the systems do not tell which is"
    if owner == "newest":
        assert newer is not None
        return newer, f"changed on both sides, newest: {flow.connection(newer)}"
    return owner, f"changed on both sides, owner: {flow.connection(owner)}"


def _both_have_lines(was_left: Any, is_left: Any, was_right: Any, is_right: Any) -> bool:
    """Whether both sides' lines are to be heard: both changed them, or nobody knows who did."""
    if not isinstance(is_left, tuple) or not isinstance(is_right, tuple):
        return False
    if was_left is UNSET or was_right is UNSET:
        return bool(is_left and is_right)
    return bool(is_left != was_left and is_right != was_right)


def _take_lines(
    flow: Flow, found: "_Lists", was_left: Any, is_left: Any, was_right: Any, is_right: Any, newer: Side | None
) -> None:
    was = [lines if isinstance(lines, tuple) else () for lines in (was_left, was_right)]
    sheet = merge_lines(was[0], is_left, was[1], is_right, lambda path: settle(flow, path, newer)[0])
    if sheet.clashes:
        found.clashes += sheet.clashes
    else:
        found.owe("lines", sheet.lines, sheet.owed, "line by line")


class _Lists:
    """The lists of a Merged in the making."""

    def __init__(self, left: Entity) -> None:
        self._left = left
        self._values: dict[str, Any] = {}
        self._to: dict[Side, list[str]] = {"left": [], "right": []}
        self._same: list[str] = []
        self._rules: dict[str, str] = {}
        self.clashes: list[Clash] = []

    def take(self, path: str, verdict: Verdict, rule: str, agreed: Any, is_left: Any, is_right: Any) -> None:
        if verdict == "clash":
            was, left, right = (content.told(value, path) for value in (agreed, is_left, is_right))
            self.clashes.append(Clash(field=path, agreed=was, left=left, right=right))
            return
        if verdict == "right" or is_left is UNSET:  # else it is what the left has already
            self._values[path] = is_right
        self._rules[path] = rule
        if verdict == "same":
            self._same.append(path)
        else:
            self._to["right" if verdict == "left" else "left"].append(path)

    def owe(self, path: str, value: Any, sides: Collection[Side], rule: str) -> None:
        """These sides shall have the value; the others have it already."""
        self._values[path], self._rules[path] = value, rule
        for side in sides:
            self._to[side].append(path)
        if not sides:
            self._same.append(path)

    def merged(self) -> Merged:
        return Merged(
            entity=content.put(self._left, self._values),
            to_left=tuple(self._to["left"]),
            to_right=tuple(self._to["right"]),
            same=tuple(self._same),
            clashes=tuple(self.clashes),
            rules=self._rules,
        )
