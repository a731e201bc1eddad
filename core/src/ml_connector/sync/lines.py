"""Lines, merged three ways under their keys. Pure functions."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from ml_connector.domain import UNSET, Line, Side
from ml_connector.ports.state import Clash
from ml_connector.sync import content

Settle: TypeAlias = Callable[[str], str]
"""Who wins at a path (``lines[KEY].quantity``, ``lines[KEY]``): "left", "right", or "clash" for a person."""

_FIELDS: Final = tuple(name for name in Line.__struct_fields__ if name != "key")


class Sheet(msgspec.Struct):
    """What both sides shall hold, and who does not hold it yet. With clashes the lines are of no use."""

    lines: tuple[Line, ...] = ()
    owed: set[Side] = msgspec.field(default_factory=set)
    clashes: list[Clash] = msgspec.field(default_factory=list)


def merge_lines(
    was_left: Sequence[Line], left: Sequence[Line], was_right: Sequence[Line], right: Sequence[Line], settle: Settle
) -> Sheet:
    """Left's lines in left's order, then those that only right has, in right's.

    A line that one side changed and the other deleted is a clash for the owner, like a field that both changed. A line that
    was never known on the side that lacks it is new, not deleted.
    """
    sheet = Sheet()
    sides = [{line.key: line for line in lines} for lines in (was_left, left, was_right, right)]
    merged: list[Line] = []
    for key in dict.fromkeys([*sides[1], *sides[3]]):
        a, is_a, b, is_b = (side.get(key) for side in sides)
        if is_a is not None and is_b is not None:
            merged.append(_both(key, a, is_a, b, is_b, settle, sheet))
        elif is_a is not None:
            merged += _one(key, "left", a, is_a, b, settle, sheet)
        elif is_b is not None:
            merged += _one(key, "right", b, is_b, a, settle, sheet)
    sheet.lines = tuple(merged)
    return sheet


def _one(
    key: str, side: Side, was: Line | None, line: Line, was_there: Line | None, settle: Settle, sheet: Sheet
) -> list[Line]:
    """A line that only ``side`` has: new there, or deleted on the other."""
    other: Side = "right" if side == "left" else "left"
    winner = side if was_there is None else other if line == was else settle(f"lines[{key}]")
    if winner == "clash":
        values = {side: content.told(line), other: None}
        sheet.clashes.append(Clash(field=f"lines[{key}]", agreed=content.told(was), left=values["left"], right=values["right"]))
        return []
    sheet.owed.add(other if winner == side else side)
    return [line] if winner == side else []


def _both(
    key: str, was_left: Line | None, left: Line, was_right: Line | None, right: Line, settle: Settle, sheet: Sheet
) -> Line:
    if left == right:
        return left
    values: dict[str, Any] = {}
    for name in _FIELDS:
        is_left, is_right = getattr(left, name), getattr(right, name)
        values[name] = is_right if is_left is UNSET else is_left
        if is_left is UNSET or is_right is UNSET or content.alike(is_left, is_right):
            continue
        left_moved, right_moved = is_left != getattr(was_left, name, UNSET), is_right != getattr(was_right, name, UNSET)
        if not left_moved and not right_moved:  # the vendors spell it differently, and that is known
            continue
        winner = settle(f"lines[{key}].{name}") if left_moved and right_moved else "left" if left_moved else "right"
        if winner == "clash":
            agreed, mine, theirs = (content.told(value) for value in (getattr(was_left, name, UNSET), is_left, is_right))
            sheet.clashes.append(Clash(field=f"lines[{key}].{name}", agreed=agreed, left=mine, right=theirs))
            continue
        sheet.owed.add("right" if winner == "left" else "left")
        values[name] = is_left if winner == "left" else is_right
    return msgspec.structs.replace(left, **values)
