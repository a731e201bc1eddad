"""Writes that left and of which nobody heard the end: a crash came between. Looked up, and told if they landed.

Nothing is written here. What did not land is decided anew when its record is read again, as it will be: no cursor has moved
past it.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from ml_connector.domain import ENTITIES, UNSET, Entity, Kind, Record, Side
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Key, Sink
from ml_connector.ports.state import Action, AuditEntry, Change, End, Intent, Lease, Link, Run, Settlement, State, Trouble
from ml_connector.sync import content
from ml_connector.sync.decide import drift_of
from ml_connector.sync.rules import Rules, There
from ml_connector.sync.settle import tally

_ACTIONS: Final[dict[str, Action]] = {"create": "created", "update": "updated", "remove": "removed"}
REASON: Final = "its answer was lost: the program ended before it came"
UNSURE: Final = "the program ended before an answer came; a record has its key now, and nothing of it shows whether we made it"
UNSEEN: Final = (
    "the program ended before an answer came; the record was edited since, and nothing of it shows whether this landed"
)
UNHEARD: Final = "the program ended before an answer came, and nothing has its key now: it never arrived, or was deleted since"


class Doubts:
    """Settles the open intents of one way of a flow."""

    def __init__(self, rules: Rules, sink: Sink, state: State, lease: Lease, run: Run, clock: Clock) -> None:
        self._rules, self._way, self._flow = rules, rules.way, rules.way.flow
        self._sink, self._state, self._lease, self._run, self._clock = sink, state, lease, run, clock

    async def settle(self) -> None:
        """Raises what looking raises; then they stay open."""
        intents = [each for each in await self._state.intents.of(self._flow.name) if each.side == self._way.far]
        if not intents:
            return
        links = self._state.links
        known = await links.by_id(self._flow.name, self._way.near, [intent.source_id for intent in intents])
        creates = [intent for intent in intents if intent.deed == "create"]
        keys = list(dict.fromkeys(Key(intent.field, intent.value) for intent in creates))
        found = await self._sink.find(keys) if keys and self._sink.limits.find_by_key else {}
        ids = [record.id for records in found.values() for record in records]
        holders = await links.by_id(self._flow.name, self._way.far, ids) if ids else {}
        there = await self._rules.see([record for records in found.values() for record in records])
        far = [end for intent in intents if (link := known.get(intent.source_id)) and (end := self._way.far_end(link).id)]
        there |= await self._rules.look(far)
        batch = Settlement(run=self._run, ended_intents=[intent.link for intent in intents])
        for intent in intents:
            link = known.get(intent.source_id) or self._fresh(intent)
            known_there = self._way.far_end(link).id in there
            if intent.deed == "create" and not known_there:
                records = found.get(Key(intent.field, intent.value), [])
                if records:
                    self._created(intent, link, [each for each in records if each.id not in holders], there, batch)
                else:
                    batch.audit.append(self._entry(intent, link, "noted", UNHEARD, ()))
            elif (stands := there.get(self._way.far_end(link).id or "")) is not None:
                if intent.deed == "create":
                    self._met(intent, link, stands, batch)
                else:
                    self._written(intent, link, stands, batch)
        await self._state.settle(self._lease, batch)

    def _fresh(self, intent: Intent) -> Link:
        link = Link(id=intent.link, flow=self._flow.name, number=intent.value, left=End(), right=End(), standing="in_doubt")
        return link.with_end(self._way.near, End(intent.source_id))

    def _created(
        self, intent: Intent, link: Link, records: Sequence[Record], there: dict[str, There], batch: Settlement
    ) -> None:
        if len(records) > 1:
            batch.links.append(self._ambiguous(link, records))
        elif records and (stands := there.get(records[0].id)) is not None:
            sent = self._sent(intent)
            besides = [path for path in content.fine(sent) if path != intent.field]
            filled = [path for path in besides if not content.is_empty(content.value_at(sent, path))]
            begun = bool(filled) and self._lacking(intent, stands).issuperset(filled)  # cut off behind the first call
            if (
                stands.ours(sent, None)
                or begun
                or any(content.akin(content.value_at(sent, path), content.value_at(stands.entity, path)) for path in besides)
            ):
                self._landed(intent, link, stands, batch)
            else:  # perhaps somebody else's, with the same key: compared like any other that was found by it
                link = link.with_end(self._way.far, End(stands.record.id))
                batch.links.append(msgspec.structs.replace(link, due=True))
                batch.audit.append(self._entry(intent, link, "noted", UNSURE, ()))

    def _met(self, intent: Intent, link: Link, stands: There, batch: Settlement) -> None:
        """A create whose record was found in another way before anybody heard of it: linked already, and still to be told."""
        if link.agreed is None:
            self._landed(intent, link, stands, batch)
            return
        self._tell(intent, link, batch)

    def _written(self, intent: Intent, link: Link, stands: There, batch: Settlement) -> None:
        """An update or a removal: it landed if the record moved, and the vendor says by us, or to what was sent."""
        version, sent = self._way.far_end(link).version, self._sent(intent)
        if version is not None and stands.record.version == version:
            # Seen already when the other side was read, or it moves no version over there; and still to be told. Where a write
            # takes several calls, only some may have been made: the rest is decided anew, and told when it lands.
            if landed := self._standing(intent, sent, stands):
                self._tell(intent, link, batch, landed)
            return
        before = _base(self._flow.target, link, self._way.far)
        if stands.ours(sent, before) or content.stands(sent, before, stands.entity):
            self._landed(intent, link, stands, batch)
        elif self._sink.limits.in_steps and (came := content.came(sent, content.fine(sent), before, stands.entity)):
            rest = {*_paths(sent)} - {*came}
            self._landed(intent, link, stands, batch, lacking=rest)
            unseen = tuple(change for change in _changes(intent) if change.field in rest)
            batch.audit.append(self._entry(intent, link, "noted", UNSEEN, unseen))
        else:  # somebody has been there, and what we sent may have stood there before
            batch.audit.append(self._entry(intent, link, "noted", UNSEEN, _changes(intent)))

    def _standing(self, intent: Intent, sent: Entity, stands: There) -> tuple[Change, ...]:
        """What was sent and stands there, and by the intent's own word did not before."""
        return tuple(
            change
            for change in _changes(intent)
            if change.old is not UNSET
            and content.akin(content.value_at(sent, change.field), content.value_at(stands.entity, change.field))
            and change.old != content.told(content.value_at(stands.entity, change.field), change.field)
        )

    def _landed(
        self, intent: Intent, link: Link, stands: There, batch: Settlement, *, lacking: Collection[str] | None = None
    ) -> None:
        lacking = self._lacking(intent, stands) if lacking is None else lacking
        link = landed(self._rules, intent, link, stands, lacking=lacking)
        batch.links.append(link)
        self._tell(intent, link, batch, tuple(change for change in _changes(intent) if change.field not in lacking))

    def _lacking(self, intent: Intent, stands: There) -> set[str]:
        """What was sent and is empty over there, where a write takes several calls: it was cut off before that one. Lines
        of which the first alone stand were cut off among them.

        Nobody cleared it, as far as can be told. It is not agreed, so that it is decided and written anew.
        """
        if not self._sink.limits.in_steps:
            return set()
        sent = self._sent(intent)
        return {path for path in _paths(sent) if _lacks(content.value_at(sent, path), content.value_at(stands.entity, path))}

    def _tell(self, intent: Intent, link: Link, batch: Settlement, changes: tuple[Change, ...] | None = None) -> None:
        tally(self._run.counts, "read")
        tally(self._run.counts, "written")
        told = _changes(intent) if changes is None else changes
        batch.audit.append(self._entry(intent, link, _ACTIONS[intent.deed], REASON, told))

    def _entry(self, intent: Intent, link: Link, action: Action, reason: str, changes: tuple[Change, ...]) -> AuditEntry:
        return AuditEntry(
            at=self._clock.now(),
            run=self._run.id,
            flow=self._flow.name,
            trace_id=self._run.trace_id,
            kind=self._way.kind,
            number=link.number,
            link=link.id,
            action=action,
            left=link.left.place,
            right=link.right.place,
            side=self._way.far,
            rule=intent.rule,
            reason=reason,
            changes=changes,
        )

    def _sent(self, intent: Intent) -> Entity:
        kind = self._flow.target  # common terms
        return content.decode(kind, intent.sent) if intent.sent is not None else ENTITIES[kind]()

    def _ambiguous(self, link: Link, records: Sequence[Record]) -> Link:
        trouble = Trouble(
            code="AMBIGUOUS",
            reason=f"a create's answer was lost, and now several have its key: {', '.join(one.id for one in records[:5])}",
            fix=f"Delete the needless ones at {self._way.target}, then: failures retry",
            side=self._way.near,
            since=self._clock.now(),
        )
        return msgspec.structs.replace(link, standing="conflicted", trouble=trouble)


def _paths(sent: Entity) -> list[str]:
    """Fields, and the parts of addresses among them: an intent's changes name the one or the other."""
    return list(dict.fromkeys((*content.fine(sent), *content.changed_fields(sent, None))))


def _lacks(ours: Any, theirs: Any) -> bool:
    return content.begun(ours, theirs) or (theirs is not UNSET and content.is_empty(theirs) and not content.is_empty(ours))


def landed(rules: Rules, intent: Intent, link: Link, stands: There, *, lacking: Collection[str] = ()) -> Link:
    """The link after a write that landed unheard, but for what is ``lacking``. It is due: what happened on both sides since is
    for the pipeline to see.

    Unless the vendor says that the last hand was ours, the version that stands is somebody's edit, which is still to be seen.
    """
    way, record = rules.way, stands.record
    end = End(record.id, record.version if record.by_us else None)
    if intent.deed == "remove":
        return msgspec.structs.replace(link.with_end(way.far, end), standing="gone", agreed=None, drift=None, due=False)
    kind = way.flow.target
    sent = content.decode(kind, intent.sent or b"{}")
    spelt = content.spelling(sent, stands.entity, by_us=record.by_us)
    if lacking:
        sent = content.only(sent, [path for path in content.fine(sent) if path not in lacking])
    paths = content.changed_fields(sent, None)
    values = {path: content.value_at(sent, path) for path in paths}
    filled = rules.filled(sent, spelt) if intent.deed == "create" else ()
    theirs = {
        path: content.value_at(spelt if path not in filled and content.tells(spelt, path) else sent, path) for path in paths
    }
    agreed = content.put(_base(kind, link, None), values)
    told = content.encode(agreed)
    for side, news in ((way.near, values), (way.far, theirs)):
        held = content.put(_base(kind, link, side), news)
        place = end if side == way.far else link.end(side)
        link = link.with_end(side, End(place.id, place.version, None if held == agreed else content.encode(held)))
    drift = [] if intent.deed == "create" else [name for name in drift_of(link) if name not in paths]
    return msgspec.structs.replace(
        link, standing="agreed", agreed=told, drift=msgspec.json.encode(drift) if drift else None, trouble=None, due=True
    )


def _base(kind: Kind, link: Link, side: Side | None) -> Entity:
    """What the link takes for agreed, or for held by a side; nothing where nothing is known."""
    told = (link.end(side).held if side is not None else None) or link.agreed
    return content.decode(kind, told) if told is not None else ENTITIES[kind]()


def _changes(intent: Intent) -> tuple[Change, ...]:
    if intent.changes is not None:
        return msgspec.json.decode(intent.changes, type=tuple[Change, ...])
    return content.changes_made(intent.sent) if intent.sent is not None else ()
