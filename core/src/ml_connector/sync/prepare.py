"""From a batch of records to jobs: links found, echoes and unchanged dropped, refs translated, and a decision for each."""

from collections.abc import Callable, Sequence

import msgspec

from ml_connector.domain import UNSET, Entity, Record, Ref
from ml_connector.errors import RecordRejected
from ml_connector.flows import Flow
from ml_connector.flows.fields import Projection, refs_of, with_refs
from ml_connector.ports.clock import Clock
from ml_connector.ports.source import Source
from ml_connector.ports.state import End, Link, Links, Trouble
from ml_connector.sync import content
from ml_connector.sync.crosswalk import Crosswalk
from ml_connector.sync.decide import Leave, Make, Set, Skip, decide
from ml_connector.sync.job import Job
from ml_connector.sync.read import standing_term


class Preparer:
    """Turns records that one flow read into jobs; those with a ``term`` are ended, the others want writing."""

    def __init__(
        self,
        flow: Flow,
        links: Links,
        crosswalk: Crosswalk,
        project: Projection,
        target: Source | None,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        anew: bool,
    ) -> None:
        self._flow, self._links, self._crosswalk, self._project = flow, links, crosswalk, project
        self._target, self._clock, self._new_id = target, clock, new_id
        self._anew = anew  # map again even what did not change: the flow's rules did

    async def jobs(self, records: Sequence[Record], page: int) -> list[Job]:
        known = await self._links.by_id(self._flow.name, "left", [record.id for record in records])
        strangers = [record.id for record in records if record.id not in known]
        elsewhere = await self._crosswalk.counterparts(strangers) if strangers else {}
        jobs: list[Job] = []
        open_jobs: list[tuple[Job, Entity, list[Ref]]] = []
        for record in records:
            job = Job(record=record, link=self._link(record, known, elsewhere), known=known.get(record.id), page=page)
            jobs.append(job)
            if (entity := self._wanted(job)) is not None:
                open_jobs.append((job, entity, refs_of(entity)))
        names = await self._crosswalk.names(ref for _, _, refs in open_jobs for ref in refs)
        held = await self._held([job for job, _, _ in open_jobs])
        for job, entity, refs in open_jobs:
            if (missing := next((ref for ref in refs if ref not in names), None)) is not None:
                self._park(job, missing)
            else:
                self._decide(job, with_refs(entity, names) if refs else entity, held.get(job.link.right.id or ""))
        return jobs

    def _link(self, record: Record, known: dict[str, Link], elsewhere: dict[str, str]) -> Link:
        left = End(record.id, record.version)
        link = known.get(record.id)
        if link is not None:
            return msgspec.structs.replace(link, left=left, missed=0)
        number = record.entity.number if record.entity is not None else None
        return Link(
            id=self._new_id(),
            flow=self._flow.name,
            number=number if isinstance(number, str) and number else record.id,
            left=left,
            right=End(elsewhere.get(record.id)),
            standing="in_doubt",
        )

    def _wanted(self, job: Job) -> Entity | None:
        """What the target shall hold, in the source's terms; None when the job ended here."""
        record, known = job.record, job.known
        if record.gone or record.entity is None:
            self._gone(job)
            return None
        if known is not None and known.left.version == record.version is not None and not known.due and not self._anew:
            term = standing_term(known.standing)
            if term is not None:
                job.link = known
                job.term = term
                return None
        try:
            desired = self._project(record.entity)
        except RecordRejected as error:
            self._reject(job, error)
            return None
        if desired is None:
            self._skip(job, f"where: {self._flow.where_text}")
            return None
        if self._flow.creates and not getattr(desired, self._flow.match[0], UNSET):
            self._reject(job, RecordRejected(f"{self._flow.match[0]} is empty", code="NO_KEY", field=self._flow.match[0]))
            return None
        return desired

    async def _held(self, jobs: Sequence[Job]) -> dict[str, Record]:
        """What stands at the target for links that have a counterpart but nothing agreed yet."""
        ids = [job.link.right.id for job in jobs if job.link.right.id is not None and job.link.agreed is None]
        if not ids or self._target is None:
            return {}
        return {record.id: record for record in await self._target.fetch(ids)}

    def _decide(self, job: Job, desired: Entity, there: Record | None) -> None:
        job.desired = desired
        if there is not None:
            job.link = msgspec.structs.replace(job.link, right=End(there.id, there.version))
        job.before = self._before(job, there)
        match decide(self._flow, job.desired, job.link, there.entity if there is not None else None):
            case Make(rule=rule):
                job.remake, job.before, job.rule = job.link.right.id is not None, None, rule
            case Set(names=fields, rule=rule):
                job.names, job.rule = fields, rule
            case Leave():
                agreed = job.link.agreed or content.encode(job.desired)
                job.link = msgspec.structs.replace(job.link, standing="agreed", agreed=agreed)
                job.end("unchanged", None if job.known is not None else "adopted")
            case Skip(reason=reason):
                self._skip(job, reason)

    def _before(self, job: Job, there: Record | None) -> Entity | None:
        if there is not None:
            return there.entity
        told = job.link.held or job.link.agreed
        return content.decode(self._flow.target, told) if told else None

    def _gone(self, job: Job) -> None:
        job.link = msgspec.structs.replace(job.link, standing="gone")
        news = job.known is not None and job.known.standing != "gone"
        job.end("skipped", "gone" if news else None, reason=f"deleted at {self._flow.left}; the flow ignores deletions")

    def _skip(self, job: Job, reason: str) -> None:
        news = job.known is None or job.known.standing != "skipped"
        job.link = msgspec.structs.replace(job.link, standing="skipped")
        job.end("skipped", "skipped" if news else None, reason=reason)

    def _park(self, job: Job, parent: Ref) -> None:
        trouble = Trouble(
            code="PARENT_MISSING",
            reason=f"{parent.kind} {parent.key} has no counterpart at {self._flow.right} yet",
            fix=f"It goes on by itself when that {parent.kind} arrives",
            waits_for=parent,
            since=self._clock.now(),
        )
        news = job.known is None or job.known.standing != "parked"
        job.link = msgspec.structs.replace(job.link, standing="parked")
        job.end("parked", "parked" if news else None, reason=trouble.reason, trouble=trouble)

    def _reject(self, job: Job, error: RecordRejected) -> None:
        trouble = Trouble(code=error.code, reason=error.what, field=error.field, fix=error.fix, since=self._clock.now())
        job.link = msgspec.structs.replace(job.link, standing="rejected")
        job.end("rejected", "rejected", reason=str(error), trouble=trouble)
