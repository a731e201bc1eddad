"""Decide step: what to do about one record whose refs are translated and that ``where`` lets through. Pure functions."""

from collections.abc import Callable

import msgspec

from ml_connector.domain import Entity
from ml_connector.flows import Flow
from ml_connector.ports.state import DELETED, Link
from ml_connector.sync import content

OVER = "changed at the owner, over an edit made there"
"""The rule under which a stray edit gives way."""
CUT_OFF = "new, and cut off before it was whole"
"""The rule under which a flow that only creates brings what a create of its own did not."""


class Make(msgspec.Struct, frozen=True, gc=False):
    """Bring it into being on the written side."""

    rule: str


class Set(msgspec.Struct, frozen=True):
    """Write these fields."""

    names: tuple[str, ...]
    rule: str


class Leave(msgspec.Struct, frozen=True):
    """Both sides hold what the flow says already."""


class Skip(msgspec.Struct, frozen=True):
    reason: str


Decision = Make | Set | Leave | Skip


def drift_of(link: Link) -> list[str]:
    """Fields that were changed on the written side since we agreed."""
    return msgspec.json.decode(link.drift, type=list[str]) if link.drift else []


def decide(
    flow: Flow, desired: Entity, link: Link | None, held: Entity | None, *, spared: Callable[[str], bool] = lambda field: False
) -> Decision:
    """``held`` is what the written side is known to hold in our fields (None: nothing is known of it); ``spared`` are fields
    whose edits over there are another flow's to carry back.

    The owner of the fields is the side that was read: a field that strayed over there is set again when the record changes at
    its owner, or at once where the flow says ``drift = "restore"``.
    """
    if link is None or link.right.id is None:
        return Make("new") if flow.creates else Skip('not there, and the flow has writes = "update"')
    drift = [name for name in drift_of(link) if not spared(name)]
    if not drift and link.agreed is not None and content.encode(desired) == link.agreed:
        return Leave()
    agreed = content.decode(flow.target, link.agreed) if link.agreed else held
    changed = content.changed_fields(desired, agreed)
    if not changed and not (drift and flow.drift == "restore"):
        return Leave()
    if DELETED in drift:
        return Make("deleted over there, the owner has it") if flow.creates else Skip("deleted over there")
    if not flow.updates:
        begun = content.decode(flow.target, link.agreed) if link.due and link.agreed else None
        owed = [name for name in changed if begun is not None and not content.tells(begun, name)]
        return Set(tuple(owed), CUT_OFF) if owed else Skip('there already, and the flow has writes = "create"')
    back = [name for name in drift if name not in changed]
    return Set((*changed, *back), "changed at the owner" if not drift else OVER)
