"""The rules of a one-way flow: the side that is read owns the fields, and what strays on the other is told as drift."""

from collections.abc import Sequence

import msgspec

from ml_connector.domain import Entity, Record, RemoteId
from ml_connector.flows import Flow
from ml_connector.flows.fields import with_refs
from ml_connector.ports.source import Source
from ml_connector.ports.state import DELETED, LOST, Action, Change, End
from ml_connector.sync import content
from ml_connector.sync.decide import OVER, Leave, Make, Set, Skip, decide, drift_of
from ml_connector.sync.job import Job, Names
from ml_connector.sync.rules import There, leave, skip
from ml_connector.sync.way import Way


class OneWay:
    """Fulfils Rules."""

    def __init__(self, way: Way, target: Source | None, returning: Sequence[Flow] = (), *, shared: bool = False) -> None:
        self.way, self._target = way, target
        self._shared = shared  # other flows write such records as well
        self._returning = returning  # flows that carry back what people do to what this one writes

    def _spared(self, field: str) -> bool:
        return field != DELETED and any(flow.carries(field) for flow in self._returning)

    def wants_look(self, job: Job) -> bool:
        return job.link.agreed is None or job.there.version is None

    @property
    def sees(self) -> bool:
        return self._target is not None

    @property
    def learns(self) -> bool:
        return False  # the echo tells, and nothing is lost if somebody edits before it is read: the owner wins anyway

    async def look(self, ids: Sequence[RemoteId]) -> dict[RemoteId, There]:
        return await self.see(await self._target.fetch(ids)) if ids and self._target is not None else {}

    async def see(self, records: Sequence[Record]) -> dict[RemoteId, There]:
        return {record.id: There(record, record.entity, shared=self._shared) for record in records if record.entity is not None}

    def decide(self, job: Job, entity: Entity, names: Names, there: There | None) -> None:
        flow = self.way.flow
        job.desired = desired = with_refs(entity, names) if names else entity
        edited: list[str] = []
        if there is not None:
            edited = [] if job.link.agreed is None else self._edited(job, there)
            job.stand(End(there.record.id, there.record.version, job.there.held))
        job.before = self._before(job, there)
        match decide(flow, desired, job.link, there.entity if there is not None else None, spared=self._spared):
            case Make(rule=rule):
                job.remake, job.before, job.rule = job.link.right.id is not None, None, rule
            case Set(names=fields, rule=rule):
                over = [name for name in edited if name not in fields and not self._spared(name)]
                job.names, job.rule = (*fields, *over), OVER if over else rule
            case Leave():
                if edited:  # nobody has told of that yet: it is still to be seen
                    job.stand(End(job.there.id, None, job.there.held))
                agreed = job.link.agreed or content.encode(desired)
                job.link = msgspec.structs.replace(job.link, standing="agreed", agreed=agreed)
                leave(job)
            case Skip(reason=reason):
                skip(job, reason)

    def _before(self, job: Job, there: There | None) -> Entity | None:
        if there is not None:
            return there.entity
        told = job.link.right.held or job.link.agreed
        return content.decode(self.way.kind, told) if told else None

    def rebase(self, job: Job, there: There, *, landed: bool) -> None:
        assert job.desired is not None
        action: Action = "created" if job.creates else "updated"
        landed = landed and there.moved(job.there)
        sent = self.changes(job)
        apart = set(content.strayed(job.desired, there.entity))
        wanted = job.names or content.changed_fields(job.desired, None)
        ours = landed and there.ours(self.sent(job), job.before)
        names = [] if ours else [name for name in wanted if name in apart or not content.tells(there.entity, name)]
        if landed:  # what a vendor may have made of it is no reason to write it again
            names = [
                name
                for name in names
                if not content.akin(content.value_at(job.desired, name), content.value_at(there.entity, name))
            ]
        if landed and (came := [name for name in wanted if name not in names]):
            job.tell(action, job.rule, [change for change in sent if change.field in came])
        edited = [name for name in self._edited(job, there) if name not in wanted]
        job.stand(End(there.record.id, there.record.version, job.there.held))
        job.before, job.remake = there.entity, False
        if names:
            job.names = (*names, *(name for name in edited if not self._spared(name)))
            job.rule = OVER if edited else job.rule or "the owner wins"
            return
        self.written(job, action, None)
        if landed and apart:  # what the vendor made of it is nobody's edit
            job.stand(End(there.record.id, there.record.version, content.encode(there.entity)))
        job.changes = ()
        news = job.known is None and not landed
        job.end("unchanged", "adopted" if news else None, reason="somebody wrote the same meanwhile" if news else "")

    def _edited(self, job: Job, there: There) -> list[str]:
        """Fields of ours that somebody changed over there since they were last seen."""
        told = job.there.held or job.link.agreed
        if told is None:
            return []
        seen = content.decode(self.way.kind, told)
        assert job.desired is not None
        return [name for name in content.strayed(job.desired, there.entity) if name in content.strayed(seen, there.entity)]

    def sent(self, job: Job) -> Entity:
        assert job.desired is not None
        return content.only(job.desired, job.names) if job.names else job.desired

    def changes(self, job: Job) -> tuple[Change, ...]:
        assert job.desired is not None
        if job.before is None and not job.names:
            return content.changes_made(job.sent or content.encode(job.desired))
        return content.changes_between(job.before, job.desired, job.names or content.changed_fields(job.desired, None))

    def written(self, job: Job, action: Action, learnt: Entity | None) -> None:
        assert job.desired is not None
        job.changes = self.changes(job)
        agreed = job.sent if job.sent is not None and not job.names else content.encode(job.desired)
        end, kept = job.link.right.place, [] if job.creates else [name for name in drift_of(job.link) if self._stays(job, name)]
        if kept and job.link.right.held is not None:
            held = content.decode(self.way.kind, job.link.right.held)
            strayed = content.put(job.desired, {name: content.value_at(held, name) for name in kept})
            end = End(end.id, end.version, content.encode(strayed))
        drift = msgspec.json.encode(kept) if kept else None
        job.link = msgspec.structs.replace(job.link, right=end, standing="agreed", agreed=agreed, drift=drift)
        job.end("written", action)

    def filled(self, near: Entity, learnt: Entity | None) -> tuple[str, ...]:
        return ()

    def _stays(self, job: Job, field: str) -> bool:
        """An edit over there that this write left alone, because another flow carries it back."""
        return self._spared(field) and field not in job.names

    def lose(self, job: Job) -> None:
        """The counterpart is gone: the owner has the record, so it is made again, where the flow may."""
        if not self.way.flow.creates:
            job.link = msgspec.structs.replace(job.link, standing="skipped", drift=LOST)
            job.end("skipped", "skipped", reason=f"deleted at {self.way.target}, and the flow does not create")
            return
        job.remake, job.names, job.before = True, (), None
        job.rule = f"deleted at {self.way.target}, the owner has it"
