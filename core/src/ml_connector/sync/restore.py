"""What a run did to one record on one side, taken together from the audit, and what undoes it. Pure functions.

Contents are in common terms (the right side's), as the audit and the links keep them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ml_connector.domain import ENTITIES, UNSET, Entity, Kind, RemoteId, Side, Version
from ml_connector.ports.sink import Remove, Update, Write
from ml_connector.ports.state import Action, AuditEntry, AuditRecord, Change, End, Link
from ml_connector.sync import content
from ml_connector.sync.job import Term
from ml_connector.sync.rules import There

WRITES: Final[frozenset[Action]] = frozenset({"created", "updated", "adopted", "removed", "undone"})
"""What the audit calls outcomes that changed something over there."""


class Deed(msgspec.Struct, kw_only=True):
    """What the run did to one record on one side, and what becomes of that: ended once it has a ``term``."""

    entry: AuditEntry  # the last one of the run that tells of a write there
    changes: dict[str, Change]  # field → its way through the whole run
    made: bool = False
    retired: bool = False  # taken out of use, and what changed by that is not told
    since: str = ""  # the run that wrote it next, if one did
    link: Link | None = None  # as it shall stand
    wrote: Entity | None = None  # what the run wrote, at ``paths``
    before: Entity | None = None  # what stood there before the run, at ``paths``
    sent: Entity | None = None  # the same in the written side's terms
    seen: Entity | None = None  # what stands there now
    undone: tuple[Change, ...] = ()
    term: Term | None = None
    reason: str = ""

    @property
    def id(self) -> RemoteId:
        return self._end.id or ""

    @property
    def version(self) -> Version | None:
        """What the run's write left behind."""
        return self._end.version

    @property
    def _end(self) -> End:
        return self.entry.left if self.entry.side == "left" else self.entry.right

    @property
    def paths(self) -> list[str]:
        """What is to be restored: changed by the run, and the old value is known."""
        return [path for path, change in self.changes.items() if change.old is not UNSET and change.old != change.new]

    @property
    def lost(self) -> str:
        """What cannot be restored, in words; "" when there is nothing of that kind."""
        fields = [path for path, change in self.changes.items() if change.old is UNSET]
        return f"what stood there before is not known: {', '.join(fields)}" if fields and not self.made else ""

    @property
    def whole(self) -> bool:
        """Restored to the last field."""
        return self.term in ("written", "unchanged") and not self.lost

    def finish(self, term: Term, reason: str = "") -> None:
        self.term, self.reason = term, reason

    def prepare(self, where: str) -> None:
        """End what cannot be undone whatever stands at ``where``; take the values of the rest from the audit."""
        if self.link is None:
            self.finish("skipped", "it is not linked any more")
        elif self.retired:
            self.finish("skipped", "what it was before it was taken out of use is not known")
        elif self.version is None:
            self.finish("skipped", f"{where} tells no versions, so nobody knows whether somebody has edited it since")
        elif not self.made:
            self._take()

    def _take(self) -> None:
        if not self.paths:
            self.finish("skipped", self.lost)
            return
        ways = [self.changes[path] for path in self.paths]
        try:
            self.before = _entity(self.entry.kind, {way.field: way.old for way in ways})
            self.wrote = _entity(self.entry.kind, {way.field: way.new for way in ways if way.new is not UNSET})
        except msgspec.ValidationError as error:
            self.finish("skipped", f"the old values do not fit any more: {error}")
            return
        self.undone = tuple(Change(field=way.field, old=way.new, new=way.old) for way in ways)
        self.reason = self.lost

    def compare(self, there: There | None, where: str) -> None:
        """End it unless what stands there is what the run left behind."""
        if there is None:
            self.finish("conflicted", f"deleted at {where} since")
            return
        self.seen = there.entity
        if there.record.version == self.version:
            return
        if self.stands_at(there.entity):
            self.hold(there.entity, there.record.version)
            self.finish("unchanged", self.lost or "it stands like that already")
            return
        moved = [] if self.wrote is None else _unlike(self.wrote, there.entity, self.paths)
        fields = f": {', '.join(moved)}" if moved else ""
        who = f"run {self.since} wrote it" if self.since else f"edited at {where}"
        self.finish("conflicted", f"{who} since{fields}")

    def stands_at(self, there: Entity) -> bool:
        """Whether the old values stand there already."""
        return self.before is not None and not _unlike(self.before, there, self.paths)

    def write(self) -> Write:
        if self.made:
            return Remove(id=self.id, version=self.version)
        assert self.sent is not None
        return Update(id=self.id, changes=self.sent, version=self.version)

    def land(self, there: Entity | None, version: Version | None) -> None:
        """It was written. ``there`` is what the vendor made of it, where that was seen."""
        if self.made and there is not None and self.seen is not None:
            self.undone = content.changes_between(self.seen, there, content.changed_fields(there, self.seen))
        self.hold(there, version)
        self.finish("written", self.reason)

    def hold(self, there: Entity | None, version: Version | None) -> None:
        """The link once the side stands restored: as ``there`` says, or else as the audit does."""
        self.link = self.held(there, version)

    def held(self, there: Entity | None, version: Version | None) -> Link:
        assert self.link is not None
        agreed = self._decoded(self.link.agreed)
        base = self._decoded(self.link.end(self.entry.side).held or self.link.agreed)
        values: dict[str, Any] = {}
        if self.before is not None:
            values = {path: content.value_at(self.before, path) for path in self.paths}
        if there is not None:
            told = [change.field for change in self.undone] if self.made else self.paths
            values |= {path: content.value_at(there, path) for path in told if content.tells(there, path)}
        now = content.put(base, values)
        return self.link.with_end(self.entry.side, End(self.id, version, None if now == agreed else content.encode(now)))

    def _decoded(self, told: bytes | None) -> Entity:
        return content.decode(self.entry.kind, told) if told is not None else ENTITIES[self.entry.kind]()


def deeds(story: Iterable[AuditRecord], run: str) -> tuple[int, list[Deed]]:
    """What one run did to one record, a Deed per side, by all of its entries; and the number of the first that tells of it."""
    found: dict[Side, Deed] = {}
    first = 0
    for record in story:
        entry = record.entry
        if entry.action not in WRITES:
            continue
        deed = found.get(entry.side)
        if entry.run != run:
            if deed is not None:
                deed.since = deed.since or entry.run
            continue
        first = first or record.seq
        if deed is None:
            deed = found[entry.side] = Deed(entry=entry, changes={})
        deed.entry = entry
        deed.made |= entry.action == "created"
        deed.retired |= entry.action in ("removed", "undone") and not entry.changes
        for change in entry.changes:
            known = deed.changes.get(change.field, change)
            deed.changes[change.field] = Change(field=change.field, old=known.old, new=change.new)
    return first, [deed for deed in found.values() if deed.made or deed.retired or deed.paths or deed.lost]


def _entity(kind: Kind, values: Mapping[str, object]) -> Entity:
    """The audit's values at their paths. Raises ValidationError when they do not fit."""
    return content.put(ENTITIES[kind](), {path: content.untold(kind, path, value) for path, value in values.items()})


def _unlike(values: Entity, there: Entity, paths: Sequence[str]) -> list[str]:
    """Paths at which something else stands there."""
    return [path for path in paths if not content.alike(content.value_at(values, path), content.value_at(there, path))]
