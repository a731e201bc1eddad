"""Say exactly what a run would create and change, without a write; and perform such a plan later, leaving out what moved.

A plan is what the engine decided at one moment over records at certain versions. Applying it decides again over what stands
there then: only a decision that comes out the same, over the same versions, is performed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import msgspec

from ml_connector.domain import Record, RemoteId, Side, Version
from ml_connector.flows import Flow
from ml_connector.ports.state import Change, Deed, Run
from ml_connector.sync.job import Job
from ml_connector.sync.passage import Ends, Passage, World, plan_out
from ml_connector.sync.pipeline import Pipeline
from ml_connector.sync.read import Batch, read_ids
from ml_connector.sync.rules import Rules
from ml_connector.sync.way import ways
from ml_connector.use_cases.booking import booked, verdict


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One write that a run would make."""

    deed: Deed
    side: Side  # the side that is written
    number: str
    near_id: RemoteId
    near_version: Version | None
    far_id: RemoteId | None = None
    far_version: Version | None = None
    rule: str = ""
    changes: tuple[Change, ...] = ()


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A step that was not performed, because something moved since it was planned."""

    step: Step
    reason: str


async def plan_flow(flow: Flow, ends: Ends, world: World, *, full: bool = False) -> AsyncIterator[Step]:
    """What the next run would write, in its order; nothing is written and no lease is taken.

    What waits for a write of this very plan (an order whose customer would be created) is not part of it. Raises what reading
    raises.
    """
    itinerary = await plan_out(flow, ends, world)
    where = await itinerary.where()
    anew = full or where.signature != itinerary.signature
    for way in ways(flow):
        mark = where.mark(way.near)
        again = anew or itinerary.overdue(way, mark, world.clock.now())
        passage = itinerary.passage(way, anew=again, creates=where.opened is not False)
        told: set[RemoteId] = set()  # those that were due: they are few
        due = [one for link in await world.state.links.due(flow.name) if (one := link.end(way.near).id) is not None]
        for batches in (read_ids(passage.source, due), passage.batches(world.state.links, mark, anew=again, dry=True)):
            async for batch in batches:
                fresh = {record.id: record for record in batch.records if record.id not in told}
                for job in await passage.preparer.jobs(list(fresh.values()), 0):
                    told |= {job.record.id} & set(due)
                    if job.term is None:
                        yield step_of(passage.rules, job)


def step_of(rules: Rules, job: Job) -> Step:
    """A job that wants writing, as a plan tells it."""
    deed: Deed = "remove" if job.removes else "create" if job.creates else "update"
    return Step(
        deed=deed,
        side=job.far,
        number=job.link.number,
        near_id=job.record.id,
        near_version=job.record.version,
        far_id=None if job.creates else job.there.id,
        far_version=None if job.creates else job.there.version,
        rule=job.rule,
        changes=() if job.removes else plain(rules.changes(job)),
    )


def plain(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Changes whose values are builtins, so that those read from a file compare with those decided now."""
    return msgspec.json.decode(msgspec.json.encode(changes), type=tuple[Change, ...])


async def apply_plan(
    flow: Flow,
    ends: Ends,
    world: World,
    steps: Sequence[Step],
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[Run], None] | None = None,
) -> tuple[Run, list[LeftOut]]:
    """Perform the steps that still come out the same, and nothing else; name the others. A run of its own in the ledger.

    Raises LeaseHeld, and what reading and writing raise.
    """
    left_out: list[LeftOut] = []
    ours: set[str] = set()
    async with booked(flow, world, started) as (run, lease):
        itinerary = await plan_out(flow, ends, world)
        complete = True
        for way in ways(flow):
            mine = {step.near_id: step for step in steps if step.side == way.far}
            passage = itinerary.passage(way, anew=True, creates=True, pinned=True)
            pinned = _Pinned(passage, mine, left_out, ours)
            pipeline = Pipeline(
                passage.way,
                run,
                lease,
                world.state,
                pinned,
                passage.writer,
                passage.sink.limits,
                world.telemetry,
                world.clock,
                stop=stop or asyncio.Event(),
            )
            complete = await pipeline.carry(_read(passage, mine)) and complete
            pinned.tell()
        run.outcome = await verdict(flow, world, run) if complete else "stopped"
    return run, left_out


async def _read(passage: Passage, steps: Mapping[RemoteId, Step]) -> AsyncIterator[Batch]:
    async for batch in read_ids(passage.source, list(steps)):
        yield batch
    removals = [one for one, step in steps.items() if step.deed == "remove"]
    there = {record.id for record in await passage.source.fetch(removals)} if removals else set()
    gone = [Record(id=one, entity=None, gone=True, version=steps[one].near_version) for one in removals if one not in there]
    if gone:
        yield Batch(records=gone)


class _Pinned:
    """A Preparer that lets through only what was planned."""

    def __init__(self, passage: Passage, steps: Mapping[RemoteId, Step], left_out: list[LeftOut], ours: set[str]) -> None:
        self._passage, self._steps, self._left_out = passage, steps, left_out
        self._passed: list[Job] = []
        self._ours = ours  # links that this application has written: what moved there moved by us

    async def jobs(self, records: Sequence[Record], page: int) -> list[Job]:
        jobs = await self._passage.preparer.jobs(records, page)
        for job in jobs:
            planned = self._steps[job.record.id]
            if job.term is not None:
                self._left_out.append(LeftOut(step=planned, reason=job.reason or "there is nothing to do any more"))
            elif (why := _moved(planned, step_of(self._passage.rules, job), ours=self._is_ours(job))) is not None:
                self._left_out.append(LeftOut(step=planned, reason=why))
                job.leave_alone(why)
            else:
                self._ours.add(job.link.id)
                self._passed.append(job)
        return jobs

    def tell(self) -> None:
        """Name what turned out to have moved only when it was written."""
        for job in self._passed:
            if job.term == "skipped":
                self._left_out.append(LeftOut(step=self._steps[job.record.id], reason=job.reason))

    def _is_ours(self, job: Job) -> bool:
        """Whether what is read now is what this application wrote there."""
        known = job.known
        return known is not None and known.id in self._ours and self._passage.way.near_end(known).version == job.record.version


def _moved(planned: Step, now: Step, *, ours: bool) -> str | None:
    """Why the step is not the same any more; None when it is. ``ours``: the record that is read was moved by us alone."""
    if ours:
        planned = msgspec.structs.replace(planned, near_version=now.near_version)
    if planned == now:
        return None
    if planned.near_version != now.near_version:
        return "the record was edited since, where it is read"
    if (planned.far_id, planned.far_version) != (now.far_id, now.far_version):
        return "the record was edited since, where it is written"
    if planned.deed != now.deed:
        return f"it would be a {now.deed} now"
    fields = sorted({change.field for change in planned.changes} ^ {change.field for change in now.changes})
    return f"other fields would be written now: {', '.join(fields)}" if fields else "other values would be written now"
