"""Write step: batches as wide as the vendor takes, every outcome taken seriously, nothing created twice."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from ml_connector.domain import Record, RemoteId
from ml_connector.errors import RetryLater
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import (
    Conflict,
    Create,
    Key,
    Later,
    Rejected,
    Remove,
    Sink,
    Unknown,
    Update,
    Write,
    Written,
)
from ml_connector.ports.state import Action, Deed, End, Intent, Link, Links, Trouble
from ml_connector.sync import content
from ml_connector.sync.job import Job, Term
from ml_connector.sync.rules import Rules, There

_Aside: TypeAlias = Literal["rejected", "conflicted", "in_doubt"]
MET: Final = "it stood there when it was to be made, entered by somebody meanwhile; what it held then is not known"
NO_KEY: Final = Key("", "")
TRIES = 3
"""How often one record is tried within a run before it is set aside as moving, busy or in doubt."""


class Writer:
    """Carries out jobs of one way of a flow on its sink.

    ``pinned``: what moved since it was decided is left alone, instead of being looked at and decided anew.
    """

    def __init__(self, rules: Rules, sink: Sink, links: Links, clock: Clock, *, pinned: bool = False) -> None:
        self._rules, self._sink, self._links, self._clock, self._pinned = rules, sink, links, clock, pinned
        self._way, self._flow, self._far, self._kind = rules.way, rules.way.flow, rules.way.far, rules.way.kind

    async def perform(self, jobs: Sequence[Job], leave: Callable[[Sequence[Job], int], Awaitable[None]]) -> None:
        """End every job, at most a batch of them. Raises what stops a flow (AuthRejected, RetryLater, ContractBroken).

        ``leave`` is told right before each call of the sink, with the number of the try, and raises when this process may not
        write any more.
        """
        left = list(jobs)
        for attempt in range(TRIES):
            await leave(left, attempt)
            outcomes = await self._sink.write([self._write(job) for job in left])
            landed: list[tuple[Job, Written]] = []
            doubtful: list[Job] = []
            moved: list[tuple[Job, Conflict]] = []
            again: list[Job] = []
            pause = 0.0
            for job, outcome in zip(left, outcomes, strict=True):
                match outcome:
                    case Written():
                        landed.append((job, outcome))
                    case Rejected():
                        self._reject(job, outcome)
                    case Conflict():
                        job.reason = "the record kept changing over there while it was written"
                        moved.append((job, outcome))
                    case Unknown(reason=reason):
                        job.reason = reason
                        doubtful.append(job)
                    case Later(reason=reason, after_s=after):
                        job.reason = reason
                        again.append(job)
                        pause = max(pause, after if after is not None else 2.0**attempt)
            await self._take(landed)
            again += await self._look_again(moved)
            again += await self._look_up(doubtful)
            left = [job for job in again if job.term is None]
            if not left:
                return
            if pause and attempt + 1 < TRIES:
                await self._clock.sleep(pause)
        for job in left:
            self._give_up(job)

    def intent(self, job: Job, now: datetime) -> Intent:
        """What is kept of the write before it leaves, so that it can be told even if nobody hears of its end."""
        deed: Deed = "remove" if job.removes else "create" if job.creates else "update"
        key = self.key(job) if deed == "create" else NO_KEY
        job.sent = None if job.removes else content.encode(self._rules.sent(job))
        return Intent(
            link=job.link.id,
            flow=self._flow.name,
            side=self._far,
            kind=self._kind,
            deed=deed,
            field=key.field,
            value=key.value,
            source_id=job.record.id,
            sent=job.sent,
            changes=msgspec.json.encode(self._rules.changes(job)) if deed == "update" else None,
            rule=job.rule,
            at=now,
        )

    def _write(self, job: Job) -> Write:
        if job.removes:
            assert job.there.id is not None
            return Remove(id=job.there.id, version=job.there.version)
        assert job.desired is not None
        if job.creates:
            return Create(key=self.key(job), entity=content.without_empty(job.desired))
        assert job.there.id is not None
        return Update(id=job.there.id, changes=content.only(job.desired, job.names), version=job.there.version)

    def key(self, job: Job) -> Key:
        """The first of the flow's keys that the record tells."""
        if job.key is None:
            for field in self._flow.match:
                if value := getattr(job.desired, field):
                    job.key = Key(field, str(value))
                    break
            assert job.key is not None  # see Preparer: a record without any was set aside
        return job.key

    async def _take(self, landed: Sequence[tuple[Job, Written]]) -> None:
        """What was written, with what the vendor made of it."""
        met = [outcome.id for job, outcome in landed if outcome.id != job.there.id and not outcome.created]
        holders = await self._holders(met)
        there: dict[RemoteId, There] = {}
        if self._rules.learns:
            there = await self._look([outcome.id for job, outcome in landed if not job.removes])
        for job, outcome in landed:
            holder = holders.setdefault(outcome.id, job.link)  # of two that became one in this batch the first keeps it
            if holder.id != job.link.id:
                self._collide(job, outcome.id, holder.number)
                continue
            if job.removes:
                self._removed(job, outcome)
                continue
            action: Action = "updated" if not job.creates else "created" if outcome.created else "adopted"
            found = there.get(outcome.id)
            job.stand(msgspec.structs.replace(job.there, id=outcome.id, version=outcome.version, missed=0))
            learnt = None
            if found is not None:
                ours = found.record.version == outcome.version
                learnt = content.spelling(self._rules.sent(job), found.entity, by_us=ours)
            self._rules.written(job, action, learnt)
            job.reason = "; ".join((MET,) * (action == "adopted") + outcome.warnings)

    async def _holders(self, ids: Sequence[RemoteId]) -> dict[RemoteId, Link]:
        """Links of this flow that have these ids over there."""
        return await self._links.by_id(self._flow.name, self._far, ids) if ids else {}

    async def _look(self, ids: Sequence[RemoteId]) -> dict[RemoteId, There]:
        """What the vendor made of our writes; when it cannot be seen now, what we wrote stands for it."""
        try:
            return await self._rules.look(ids)
        except RetryLater:
            return {}

    def _removed(self, job: Job, outcome: Written) -> None:
        job.stand(msgspec.structs.replace(job.there, version=outcome.version, held=None, missed=0))
        job.link = msgspec.structs.replace(job.link, standing="gone", agreed=None, drift=None)
        job.end("written", "removed", reason="; ".join(outcome.warnings))

    def _reject(self, job: Job, outcome: Rejected) -> None:
        trouble = Trouble(code=outcome.code, reason=outcome.reason, field=outcome.field, fix=outcome.fix)
        place = f"{outcome.field}: " if outcome.field else ""
        self._set_aside(job, "rejected", "rejected", trouble, reason=f"{outcome.code}, {place}{outcome.reason}")

    def _collide(self, job: Job, remote: RemoteId, number: str) -> None:
        trouble = Trouble(
            code="TAKEN",
            reason=f"{self._way.target} says that this is its record {remote}, which stands for {number} already",
            field=self._flow.match[0],
            fix="Give both records keys of their own, or take one of them out",
        )
        self._set_aside(job, "conflicted", "conflicted", trouble)

    def _doubt(self, job: Job) -> None:
        trouble = Trouble(
            code="UNKNOWN",
            reason=job.reason or "the answer was lost",
            fix="The next run looks the record up before anything is sent again",
        )
        self._set_aside(job, "unknown", "in_doubt", trouble, due=True)

    def _give_up(self, job: Job) -> None:
        trouble = Trouble(
            code="NOT_WRITTEN",
            reason=job.reason or "the record could not be written in several tries",
            fix="It is tried again by the next run",
        )
        self._set_aside(job, "conflicted", "conflicted", trouble, due=True)

    def _set_aside(
        self, job: Job, term: Term, standing: _Aside, trouble: Trouble, *, reason: str = "", due: bool = False
    ) -> None:
        """End a job that did not come to be written. ``due``: the next run looks at it by itself."""
        trouble = msgspec.structs.replace(trouble, since=self._clock.now(), side=self._way.near)
        job.link = msgspec.structs.replace(job.link, standing=standing)
        job.end(term, standing, reason=reason or trouble.reason, trouble=trouble)
        job.link = msgspec.structs.replace(job.link, due=due)

    async def _look_again(self, moved: Sequence[tuple[Job, Conflict]]) -> list[Job]:
        """Somebody was faster. See what stands there now, keep it for the audit, and decide anew."""
        if not moved:
            return []
        if self._pinned:
            for job, _ in moved:
                job.leave_alone("the record was edited since, where it is written")
            return []
        there = await self._rules.look([_named(job, conflict) for job, conflict in moved if conflict.current is not None])
        holders = await self._holders([now for job, conflict in moved if (now := _named(job, conflict)) != job.there.id])
        lost: list[Job] = []
        for job, conflict in moved:
            now = _named(job, conflict)
            if (holder := holders.setdefault(now, job.link)).id != job.link.id:
                self._collide(job, now, holder.number)
            elif now in there:
                self._rebase(job, there[now], landed=False)
            elif conflict.current is None or self._rules.sees:
                lost.append(job)
        await self._lose(lost)
        return [job for job, _ in moved if job.term is None]

    def _rebase(self, job: Job, there: There, *, landed: bool) -> None:
        if job.removes:
            job.stand(msgspec.structs.replace(job.there, id=there.record.id, version=there.record.version))
        else:
            self._rules.rebase(job, there, landed=landed)

    async def _lose(self, jobs: Sequence[Job]) -> None:
        """They are not there (any more). Before one is made again: somebody may have entered it anew, with the same key."""
        keys = {job.link.id: self.key(job) for job in jobs if not job.removes and self._sink.limits.find_by_key}
        found = await self._sink.find(list(dict.fromkeys(keys.values()))) if keys else {}
        there = await self._rules.see([record for records in found.values() for record in records])
        holders = await self._holders(list(there))
        for job in jobs:
            records = found.get(keys[job.link.id], []) if job.link.id in keys else []
            if job.removes:
                job.link = msgspec.structs.replace(job.link, standing="gone")
                job.end("unchanged", "gone", reason=f"deleted at {self._way.target} as well")
            elif len(records) > 1 or (records and records[0].id in holders):
                self._collide(job, records[0].id, holders[records[0].id].number if records[0].id in holders else "several")
            elif records:
                job.stand(End(records[0].id))
                self._rules.rebase(job, there[records[0].id], landed=False)
            else:
                self._rules.lose(job)

    async def _look_up(self, doubtful: Sequence[Job]) -> list[Job]:
        """Answers were lost. Look before anything is sent again; what cannot be looked at stays in doubt."""
        if not doubtful:
            return []
        try:
            found = await self._stands(doubtful)
        except RetryLater:
            found = None
        lost: list[Job] = []
        for job in doubtful:
            if found is None or (job.creates and not self._sink.limits.find_by_key):
                self._doubt(job)
            elif (there := found.get(job.link.id)) is not None:
                self._rebase(job, self._unproved(there), landed=True)
            elif not job.creates:
                lost.append(job)
        await self._lose(lost)
        return [job for job in doubtful if job.term is None]

    def _unproved(self, there: There) -> There:
        """What stands after a write of ours that nobody heard of. Where a write takes several calls, that the last hand was
        ours does not prove the whole of it: it may have been the first call's.
        """
        if not self._sink.limits.in_steps:
            return there
        return msgspec.structs.replace(there, record=msgspec.structs.replace(there.record, by_us=False))

    async def _stands(self, jobs: Sequence[Job]) -> dict[str, There]:
        """What stands at the target for these jobs, by link id; what is not there is absent."""
        created = {self.key(job): job for job in jobs if job.creates}
        ids = {job.there.id: job for job in jobs if not job.creates and job.there.id}
        made: list[Record] = []
        for key, records in (await self._sink.find(list(created)) if created else {}).items():
            if records:
                ids[records[0].id] = created[key]
                made.append(records[0])
        looked = await self._rules.look([job.there.id for job in jobs if not job.creates and job.there.id])
        return {ids[one].link.id: there for one, there in {**looked, **await self._rules.see(made)}.items()}


def _named(job: Job, conflict: Conflict) -> RemoteId:
    """The id under which the vendor has the record now."""
    return conflict.id or job.there.id or ""
