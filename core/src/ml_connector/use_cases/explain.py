"""Tell one record's story: where it stands in each flow, what either side holds and whose edit that was, and every change."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ml_connector.domain import UNSET, Entity, Instant, Kind, Side, Version
from ml_connector.flows import Flow
from ml_connector.ports.state import DELETED, AuditEntry, AuditRecord, Clash, Link, State
from ml_connector.sync import compare, content
from ml_connector.sync.decide import drift_of
from ml_connector.sync.restore import WRITES

PERSON: Final = "a person"
"""Who decided what no system said: by ``failures retry`` or by ``undo``."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Whose edit it was, and what the audit tells of it."""

    by: str  # a connection, or PERSON
    version: Version | None  # of the record at ``by`` that carried the edit
    at: Instant
    rule: str
    run: str
    trace_id: str
    seq: int  # the entry's number


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A field's value on one side as last seen, JSON-ready; UNSET: not known. ``origin`` None: the audit does not tell."""

    value: object
    origin: Origin | None


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One field on both sides. Values are in the right side's terms."""

    field: str
    agreed: object  # what the sides last agreed on
    left: Held
    right: Held
    differs: bool  # both tell it and do not agree; blanks, decimals and the order of lines are no difference
    clash: Clash | None = None  # it waits for a person's choice


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the audit, and whose edit it tells of."""

    record: AuditRecord
    by: str
    version: Version | None  # of the record at ``by``

    @property
    def entry(self) -> AuditEntry:
        return self.record.entry


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """One flow's share of the story."""

    flow: Flow
    link: Link
    drift: tuple[str, ...]  # fields edited on the written side since the sides last agreed
    fields: tuple[Field, ...]
    events: tuple[Event, ...]  # oldest first


async def explain(kind: Kind, number: str, flows: tuple[Flow, ...], state: State, *, field: str | None = None) -> list[Chapter]:
    """Chapters of the flows that carry records of ``kind`` (on either side) under this business number; [] if there is none.

    ``field`` narrows each chapter to one field, in the target's terms.
    """
    chapters: list[Chapter] = []
    for flow in flows:
        if kind not in (flow.entity, flow.target):
            continue
        for link in await state.links.by_number(number, flow.name):
            events = [_event(flow, record) async for record in state.ledger.entries(link=link.id)]
            fields = _fields(flow, link, events, field)
            told = [event for event in events if field is None or _touches(event, field, fields)]
            drift = tuple(drift_of(link))
            chapters.append(Chapter(flow=flow, link=link, drift=drift, fields=tuple(fields), events=tuple(told)))
    return chapters


def _touches(event: Event, field: str, fields: Sequence[Field]) -> bool:
    """Whether the entry tells of the field, or of the clash that it waits in."""
    clashed = event.entry.action == "conflicted" and any(each.clash is not None for each in fields)
    return clashed or any(about(change.field, field) for change in event.entry.changes)


def about(changed: str, field: str) -> bool:
    """Whether one is the other, or a part of it (``billing.city``, ``lines[1].quantity``)."""
    return any(
        whole == part or part.startswith((f"{whole}.", f"{whole}[")) for whole, part in ((changed, field), (field, changed))
    )


def _event(flow: Flow, record: AuditRecord) -> Event:
    """An edit made there is that side's; what was written is the other side's edit, unless a person decided it."""
    entry = record.entry
    if entry.action in ("undone", "noted") and (entry.rule.startswith("undo of") or entry.rule == "a person decided"):
        return Event(record=record, by=PERSON, version=None)
    side: Side = entry.side if entry.action == "drifted" else "left" if entry.side == "right" else "right"
    return Event(record=record, by=flow.connection(side), version=(entry.left if side == "left" else entry.right).version)


def _fields(flow: Flow, link: Link, events: Sequence[Event], field: str | None) -> list[Field]:
    """Every field that either side tells of, in the order in which the kind has them."""
    agreed = _decoded(flow, link.agreed)
    gone = link.drift is not None and drift_of(link) == [DELETED]
    views: dict[Side, Entity | None] = {
        "left": _decoded(flow, link.left.held) or agreed,
        "right": None if gone else _decoded(flow, link.right.held) or agreed,
    }
    clashes = {clash.field: clash for clash in (link.trouble.clashes if link.trouble is not None else ())}
    paths = [path for view in views.values() if view is not None for path in content.changed_fields(view, None)]
    apart = set(paths)  # where the record is gone on one side
    if (left := views["left"]) is not None and (right := views["right"]) is not None:
        apart = {path.partition("[")[0] for path, _, _ in compare.differences(left, right)}

    def held(side: Side, path: str) -> Held:
        clash = clashes.get(path)
        value = _value(views[side], path) if clash is None else clash.left if side == "left" else clash.right
        return Held(value=value, origin=_origin(flow, side, events, path, waits=clash is not None))

    return [
        Field(
            field=path,
            agreed=_value(agreed, path),
            left=held("left", path),
            right=held("right", path),
            differs=path in apart or path in clashes,
            clash=clashes.get(path),
        )
        for path in dict.fromkeys([*paths, *clashes])
        if field is None or about(path, field)
    ]


def _decoded(flow: Flow, told: bytes | None) -> Entity | None:
    return content.decode(flow.target, told) if told is not None else None


def _value(entity: Entity | None, path: str) -> object:
    if entity is None or path.partition("[")[0] != path:
        return UNSET
    value = content.value_at(entity, path)
    return UNSET if value is UNSET else content.told(value, path)


def _origin(flow: Flow, side: Side, events: Sequence[Event], path: str, *, waits: bool) -> Origin | None:
    """The newest entry that tells how this side came to its value: it was written, or was edited here and carried away.

    ``waits``: the value clashes, and the entry that says so is the first that tells of it.
    """
    for event in reversed(events):
        entry = event.entry
        version = (entry.left if side == "left" else entry.right).version
        if waits and entry.action == "conflicted":
            return _origin_of(event, flow.connection(side), version, entry.reason)
        change = next((change for change in entry.changes if about(change.field, path)), None)
        here = entry.side == side and (entry.action in WRITES or entry.action == "drifted")
        away = entry.side != side and entry.action in WRITES and event.by == flow.connection(side)
        if change is not None and (here or away):
            rule = change.rule if isinstance(change.rule, str) else entry.rule
            chosen = rule == "a person chose"
            return _origin_of(event, PERSON if chosen else event.by, None if chosen else event.version, rule)
    return None


def _origin_of(event: Event, by: str, version: Version | None, rule: str) -> Origin:
    entry = event.entry
    return Origin(by=by, version=version, at=entry.at, rule=rule, run=entry.run, trace_id=entry.trace_id, seq=event.record.seq)
