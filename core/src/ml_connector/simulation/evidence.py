"""What a stage leaves behind, prepared for the checks."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from ml_connector.domain import RemoteId, Side
from ml_connector.flows import Flow
from ml_connector.ports.state import AuditEntry, Link
from ml_connector.simulation.pair import PERSON, Deed, Stands, same
from ml_connector.simulation.stage import Stage
from ml_connector.sync.write import MET


class Evidence:
    """A stage after the play, with what the checks look up again and again."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.pair, self.state = stage, stage.pair, stage.state
        self.one_way = [flow for flow in stage.pair.flows if not flow.two_way]
        self.making = [flow for flow in self.one_way if flow.creates]  # the others complete what these made
        self.two_way = [flow for flow in stage.pair.flows if flow.two_way]
        self.entries = [record.entry for record in stage.state.ledger.audit]
        self.links: Mapping[tuple[str, RemoteId], list[Link]] = defaultdict(list)
        for link in stage.state.links.rows.values():
            if link.left.id is not None:
                self.links[link.flow, link.left.id].append(link)
        self.ours = [deed for deed in self.pair.deeds if deed.author != PERSON]
        self.numbers = {(deed.kind, deed.id): deed.number for deed in reversed(self.pair.deeds)}
        self._named = {(deed.side, deed.kind, deed.id): deed.number for deed in self.pair.deeds}

    def named(self, deed: Deed) -> str:
        """The number of the deed's record, also while it had none yet: the one that it came to bear."""
        return self._named[deed.side, deed.kind, deed.id]

    def parts(self, path: str, value: Any) -> dict[str, Any]:
        """A value of the audit by field path, refs by the number of the record that they name."""
        if value is msgspec.UNSET:
            return {}
        if isinstance(value, msgspec.Raw):
            value = msgspec.json.decode(value)
        if not isinstance(value, dict):
            return {path: value}
        if set(value) == {"kind", "key"}:
            return {path: self.numbers.get((value["kind"], value["key"]), value["key"])}
        if set(value) == {"amount", "currency"}:
            return {path: value["amount"]}
        if len(value) == 1 and next(iter(value)) in ("decimal", "date", "instant"):
            return {path: next(iter(value.values()))}
        return {f"{path}.{name}": part for name, part in value.items()}

    def stood(self, path: str, told: Any, stood: Any) -> bool:
        """Whether the audit's old value is what stood there, or what the system made that of."""
        habit = self.pair.habit
        return same_told(stood, told) or same(stood, habit("right", path, told)) or _amounts(stood, told, habit, path)

    def about(self, flow: Flow, remote_id: RemoteId) -> list[AuditEntry]:
        return [
            entry
            for entry in self.entries
            if entry.flow == flow.name and (entry.right.id == remote_id or self._right_of(entry.link) == remote_id)
        ]

    def _right_of(self, link: str) -> RemoteId | None:
        found = self.state.links.rows.get(link)
        return found.right.id if found is not None else None

    def rights(self, flow: Flow) -> dict[RemoteId, Stands]:
        return {one.id: one for one in self.pair.stands("right", flow.target)}

    def deeds(self, flow: Flow, remote_id: RemoteId, side: Side = "right") -> list[Deed]:
        return [deed for deed in self.pair.deeds if deed.side == side and deed.kind == flow.kind(side) and deed.id == remote_id]

    def edited_by_person(self, flow: Flow, remote_id: RemoteId, path: str) -> Deed | None:
        """The person's deed that left the field as it is, None when one of ours did, or nobody."""
        for deed in reversed(self.deeds(flow, remote_id)):
            if path in deed.changed or (deed.before is None and deed.after is not None):
                return deed if deed.author == PERSON else None
        return None

    def could_see(self, flow: Flow, deed: Deed) -> bool:
        """Whether the program had a way to learn of the edit: a feed over there, or a notice that it accepted."""
        if self.pair.follows("right", flow.target):
            return True
        return any(side == "right" and one == deed.id and at >= deed.at for at, side, one in self.stage.noticed)


def changes(evidence: Evidence, entry: AuditEntry) -> list[tuple[str, Any, Any]]:
    """Field path, old and new of every change that the entry tells, parts one by one; None where nothing was known."""
    found: list[tuple[str, Any, Any]] = []
    for change in entry.changes:
        old, new = evidence.parts(change.field, change.old), evidence.parts(change.field, change.new)
        found += [(path, old.get(path), new.get(path)) for path in dict.fromkeys((*new, *old))]
    return found


def same_told(stood: Any, told: Any) -> bool:
    """A value of a record and a value of the audit, where amounts and dates are text."""
    return (
        same(stood, told) or (stood is not None and told is not None and same(str(stood), str(told))) or _amounts(stood, told)
    )


def _amounts(
    one: Any, other: Any, habit: Callable[[Side, str, Any], Any] = lambda side, path, value: value, path: str = ""
) -> bool:
    try:
        return isinstance(one, Decimal) and Decimal(one) == habit("right", path, Decimal(str(other)))
    except InvalidOperation:
        return False


def unheard(evidence: Evidence, flow: Flow, number: str) -> bool:
    """Whether the audit says of the record that nobody can know what became of a write."""
    return any(entry.action == "noted" and (entry.flow, entry.number) == (flow.name, number) for entry in evidence.entries)


def met(evidence: Evidence, flow: Flow, remote: RemoteId, at: datetime) -> bool:
    """Whether a create came upon what a person had entered meanwhile: an upserting vendor's window.

    The audit says so, or, where the answer was lost as well, takes the record for ours.
    """
    told = [entry for entry in evidence.about(flow, remote) if entry.at >= at]
    entered = any(deed.before is None and deed.author == PERSON for deed in evidence.deeds(flow, remote))
    return any(entry.action == "adopted" and MET in entry.reason for entry in told) or (
        entered and any(entry.action == "created" for entry in told)
    )


def kept(evidence: Evidence, flow: Flow, deed: Deed, path: str) -> bool:
    """Whether a person edited the field right after this write of ours, and the audit tells what the write had found.

    If its answer was lost as well, nobody can know that it ever landed; what stood there before is told by the drift.
    """
    deeds = evidence.deeds(flow, deed.id)
    later = next((each for each in deeds[deeds.index(deed) + 1 :] if path in each.changed), None)
    return (later is not None and later.author == PERSON) and any(
        entry.action == "drifted" and each == path and evidence.stood(path, found, (deed.before or {}).get(path))
        for entry in evidence.about(flow, deed.id)
        for each, _, found in changes(evidence, entry)
    )
