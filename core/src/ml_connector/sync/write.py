"""Write step: batches as wide as the vendor takes, every outcome taken seriously, nothing created twice."""

from collections.abc import Sequence

import msgspec

from ml_connector.domain import Record, RemoteId
from ml_connector.errors import RetryLater
from ml_connector.flows import Flow
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Conflict, Create, Key, Later, Outcome, Rejected, Sink, Unknown, Update, Write, Written
from ml_connector.ports.source import Source
from ml_connector.ports.state import Action, End, Trouble
from ml_connector.sync import content
from ml_connector.sync.decide import DELETED
from ml_connector.sync.job import Job

TRIES = 3
"""How often one record is tried within a run before it is set aside as moving, busy or in doubt."""


class Writer:
    """Carries out jobs of one flow on its sink. ``target`` looks at what stands there; None where the system cannot be read."""

    def __init__(self, flow: Flow, sink: Sink, target: Source | None, clock: Clock) -> None:
        self._flow, self._sink, self._target, self._clock = flow, sink, target, clock

    async def perform(self, jobs: Sequence[Job]) -> None:
        """End every job, at most a batch of them. Raises what stops a flow (AuthRejected, RetryLater, ContractBroken)."""
        left = list(jobs)
        for attempt in range(TRIES):
            outcomes = await self._sink.write([self._write(job) for job in left])
            doubtful: list[Job] = []
            moved: list[tuple[Job, Conflict]] = []
            again: list[Job] = []
            pause = 0.0
            for job, outcome in zip(left, outcomes, strict=True):
                self._take(job, outcome)
                match outcome:
                    case Conflict():
                        moved.append((job, outcome))
                    case Unknown():
                        doubtful.append(job)
                    case Later(after_s=after):
                        again.append(job)
                        pause = max(pause, after if after is not None else 2.0**attempt)
                    case _:
                        pass
            again += await self._look_again(moved)
            again += await self._look_up(doubtful)
            left = [job for job in again if job.term is None]
            if not left:
                return
            if pause and attempt + 1 < TRIES:
                await self._clock.sleep(pause)
        for job in left:
            self._give_up(job)

    def _write(self, job: Job) -> Write:
        assert job.desired is not None
        if job.creates:
            return Create(key=self._key(job), entity=content.without_empty(job.desired))
        assert job.link.right.id is not None
        return Update(id=job.link.right.id, changes=content.only(job.desired, job.names), version=job.link.right.version)

    def _key(self, job: Job) -> Key:
        return Key(self._flow.match[0], str(getattr(job.desired, self._flow.match[0])))

    def _take(self, job: Job, outcome: Outcome) -> None:
        match outcome:
            case Written():
                made: Action = "created" if outcome.created else "adopted"
                self._written(job, End(outcome.id, outcome.version), made if job.creates else "updated")
                job.reason = "; ".join(outcome.warnings)
            case Rejected():
                job.link = msgspec.structs.replace(job.link, standing="rejected")
                trouble = Trouble(
                    code=outcome.code, reason=outcome.reason, field=outcome.field, fix=outcome.fix, since=self._clock.now()
                )
                job.end("rejected", "rejected", reason=_words(outcome), trouble=trouble)
            case Conflict():
                job.reason = "the record kept changing over there while it was written"
            case Unknown(reason=reason) | Later(reason=reason):
                job.reason = reason

    def _written(self, job: Job, right: End, action: Action) -> None:
        assert job.desired is not None
        agreed = content.encode(job.desired)
        if job.before is None and not job.names:
            job.changes = content.changes_made(agreed)
        else:
            names = job.names or content.changed_fields(job.desired, None)
            job.changes = content.changes_between(job.before, job.desired, names)
        job.link = msgspec.structs.replace(
            job.link, right=right, standing="agreed", agreed=agreed, held=None, drift=None, missed=0
        )
        job.end("written", action)

    async def _look_again(self, moved: Sequence[tuple[Job, Conflict]]) -> list[Job]:
        """Somebody was faster. See what stands there now, keep it for the audit, and decide anew: the owner's value wins."""
        if not moved:
            return []
        ids = [conflict.id or job.link.right.id or "" for job, conflict in moved if conflict.current is not None]
        there = {record.id: record for record in await self._target.fetch(ids)} if self._target and ids else {}
        again: list[Job] = []
        for job, conflict in moved:
            record = there.get(conflict.id or job.link.right.id or "")
            if conflict.current is None or (self._target is not None and record is None):
                self._remake(job)
            elif record is not None:
                self._rebase(job, record)
            if job.term is None:
                again.append(job)
        return again

    def _remake(self, job: Job) -> None:
        if not self._flow.creates:
            job.link = msgspec.structs.replace(job.link, standing="skipped", drift=msgspec.json.encode([DELETED]))
            job.end("skipped", "skipped", reason=f"deleted at {self._flow.right}, and the flow does not create")
            return
        job.remake, job.names, job.before = True, (), None
        job.rule = f"deleted at {self._flow.right}, the owner has it"

    def _rebase(self, job: Job, record: Record) -> None:
        """Compare with what stands there, whoever put it: nothing left to do, or these fields at this version."""
        assert job.desired is not None
        assert record.entity is not None
        job.before = record.entity
        strayed = set(content.strayed(job.desired, record.entity))
        wanted = job.names or content.changed_fields(job.desired, None)
        names = [name for name in wanted if name in strayed or not content.tells(record.entity, name)]
        landed: Action = "created" if job.creates else "updated"
        job.remake = False
        job.link = msgspec.structs.replace(job.link, right=End(record.id, record.version))
        if names:
            job.names = tuple(names)
            job.rule = job.rule or "the owner wins"
        else:
            self._written(job, job.link.right, landed)

    async def _look_up(self, doubtful: Sequence[Job]) -> list[Job]:
        """Answers were lost. Look before anything is sent again; what cannot be looked at stays in doubt."""
        if not doubtful:
            return []
        try:
            found = await self._stands(doubtful)
        except RetryLater:
            found = None
        again: list[Job] = []
        for job in doubtful:
            if found is None or (job.creates and not self._sink.limits.find_by_key):
                self._doubt(job)
                continue
            record = found.get(job.link.id)
            if record is not None:
                self._rebase(job, record)
            elif not job.creates:
                self._remake(job)
            if job.term is None:
                again.append(job)
        return again

    async def _stands(self, jobs: Sequence[Job]) -> dict[str, Record]:
        """What stands at the target for these jobs, by link id; what is not there is absent."""
        created = {self._key(job): job for job in jobs if job.creates}
        updated: dict[RemoteId, Job] = {job.link.right.id: job for job in jobs if not job.creates and job.link.right.id}
        found: dict[str, Record] = {}
        for key, records in (await self._sink.find(list(created)) if created else {}).items():
            if records:
                found[created[key].link.id] = records[0]
        if updated and self._target is not None:
            found |= {updated[record.id].link.id: record for record in await self._target.fetch(list(updated))}
        return found

    def _doubt(self, job: Job) -> None:
        job.link = msgspec.structs.replace(job.link, standing="in_doubt")
        trouble = Trouble(
            code="UNKNOWN",
            reason=job.reason or "the answer was lost",
            fix="The next run looks the record up before anything is sent again",
            since=self._clock.now(),
        )
        job.end("unknown", "in_doubt", reason=job.reason, trouble=trouble)
        job.link = msgspec.structs.replace(job.link, due=True)

    def _give_up(self, job: Job) -> None:
        job.link = msgspec.structs.replace(job.link, standing="conflicted")
        trouble = Trouble(
            code="NOT_WRITTEN",
            reason=job.reason or "the record could not be written in several tries",
            fix="It is tried again by the next run",
            since=self._clock.now(),
        )
        job.end("conflicted", "conflicted", reason=trouble.reason, trouble=trouble)
        job.link = msgspec.structs.replace(job.link, due=True)


def _words(outcome: Rejected) -> str:
    place = f"{outcome.field}: " if outcome.field else ""
    return f"{outcome.code}, {place}{outcome.reason}"
