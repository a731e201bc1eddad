"""Run one flow once: settle what is in doubt, look at the target, retry what is due, read what changed, write it."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from ml_connector.domain import Cursor
from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken, LeaseLost, RetryLater
from ml_connector.flows import Flow
from ml_connector.flows.fields import Projection
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Key, Sink
from ml_connector.ports.source import Feed, Source, Sweep
from ml_connector.ports.state import End, Lease, Link, Run, Settlement, Standing, State
from ml_connector.ports.telemetry import Telemetry
from ml_connector.sync.absence import mark_absent
from ml_connector.sync.crosswalk import Crosswalk
from ml_connector.sync.pipeline import Pipeline
from ml_connector.sync.prepare import Preparer
from ml_connector.sync.read import Position, SweepReader, due_for_full, position, read_feed, read_ids
from ml_connector.sync.watch import Watch
from ml_connector.sync.write import Writer

LEASE_S = 60.0
"""How long a dead runner keeps its flow from others."""
Outcome: TypeAlias = Literal["green", "attention", "failed"]
ATTENTION: tuple[Standing, ...] = ("parked", "rejected", "conflicted", "in_doubt")
"""Standings that a person should know of."""


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """What one flow works on: where it reads, where it writes, and how it looks at what it wrote (None: it cannot)."""

    source: Source
    sink: Sink
    target: Source | None


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What every use case is lent."""

    state: State
    clock: Clock
    telemetry: Telemetry
    new_id: Callable[[], str]
    owner: str  # this process, for leases
    flows: tuple[Flow, ...]  # all of the workspace, for refs between them


async def run_flow(
    flow: Flow,
    ends: Ends,
    world: World,
    *,
    full: bool = False,
    since: datetime | None = None,
    stop: asyncio.Event | None = None,
    started: Callable[[Run], None] | None = None,
) -> Run:
    """One run, from lease to ledger.

    ``full`` reads every record anew; ``since`` reads a feed again from that time on (a sweep: everything). ``started`` is
    handed the living Run, whose counts move while it goes on.
    Returns the ended run: green, or attention when some records wait for something. Raises LeaseHeld when another runner has
    the flow, and AuthRejected, RetryLater or ContractBroken after the run was booked as paused or failed: what was settled
    until then stays settled, and the next run goes on from there.
    """
    lease = await world.state.leases.claim(flow.name, world.owner, LEASE_S)
    with world.telemetry.span("sync.run", flow=flow.name) as span:
        run = Run(id=world.new_id(), flow=flow.name, trace_id=span.trace_id, started_at=world.clock.now())
        await world.state.ledger.start(run)
        if started is not None:
            started(run)
        heart = asyncio.create_task(_beat(lease, world))
        try:
            complete = await _Run(flow, ends, world, run, lease, stop or asyncio.Event()).whole(full=full, since=since)
            run.outcome = await _verdict(flow, world, run) if complete else "stopped"
        except ConnectorError as error:
            run.outcome = "paused" if isinstance(error, (AuthRejected, RetryLater)) else "failed"
            run.note = str(error)
            raise
        except BaseException:
            run.outcome, run.note = "failed", "the program was interrupted or has a defect; see the log"
            raise
        finally:
            heart.cancel()
            run.ended_at = world.clock.now()
            await world.state.ledger.finish(run)
            await world.state.leases.release(lease)
    return run


async def _beat(lease: Lease, world: World) -> None:
    """Keep the lease while the run lives. A lost lease is noticed where it matters: at the next settlement."""
    while True:
        await world.clock.sleep(LEASE_S / 3)
        try:
            await world.state.leases.renew(lease, LEASE_S)
        except LeaseLost:
            return


async def _verdict(flow: Flow, world: World, run: Run) -> Outcome:
    """Green only if the ledger adds up and nothing of the flow waits for anybody."""
    counts = run.counts
    if counts.read != counts.settled() + counts.unknown:
        run.note = f"the ledger does not add up: read {counts.read}, settled {counts.settled()}, unknown {counts.unknown}"
        return "failed"
    tally = await world.state.links.tally(flow.name)
    return "attention" if any(tally.get(standing) for standing in ATTENTION) else "green"


class _Run:
    """The steps of one run, in order."""

    def __init__(self, flow: Flow, ends: Ends, world: World, run: Run, lease: Lease, stop: asyncio.Event) -> None:
        self._flow, self._ends, self._world, self._run, self._lease, self._stop = flow, ends, world, run, lease, stop
        self._state, self._clock = world.state, world.clock
        self._crosswalk = Crosswalk(flow, world.flows, world.state.links)

    async def whole(self, *, full: bool, since: datetime | None) -> bool:
        """True when the source was read to its end."""
        accepts = await self._ends.sink.accepts()
        project = Projection(self._flow, accepts)
        signature = f"{self._flow.signature}/{hashlib.blake2b(repr(sorted(accepts)).encode(), digest_size=8).hexdigest()}"
        cursor = await self._state.cursors.load(self._flow.name)
        where = position(cursor) if cursor else Position(signature=signature)
        await self._settle_doubt()
        where = await self._look_at_target(where)
        sweep = self._ends.source if isinstance(self._ends.source, Sweep) else None
        overdue = sweep is not None and due_for_full(sweep, where, self._clock.now())
        anew = full or overdue or where.signature != signature
        pipeline = self._pipeline(project, anew=anew)
        await self._retry_due(pipeline)
        if self._stop.is_set():
            return False
        complete = await self._read(pipeline, where, anew=anew, since=since)
        if complete:
            await self._finish(signature, anew=anew)
        return complete

    def _pipeline(self, project: Projection, *, anew: bool) -> Pipeline:
        flow, ends, world = self._flow, self._ends, self._world
        preparer = Preparer(
            flow, self._state.links, self._crosswalk, project, ends.target, self._clock, world.new_id, anew=anew
        )
        writer = Writer(flow, ends.sink, ends.target, self._clock)
        return Pipeline(
            flow,
            self._run,
            self._lease,
            self._state,
            preparer,
            writer,
            ends.sink.limits,
            world.telemetry,
            self._clock,
            stop=self._stop,
        )

    async def _settle_doubt(self) -> None:
        """Creates that left before a crash: found ones are linked and read again, the others never happened."""
        intents = await self._state.intents.of(self._flow.name)
        if not intents:
            return
        keys = [Key(intent.field, intent.value) for intent in intents]
        found = await self._ends.sink.find(keys) if self._ends.sink.limits.find_by_key else {}
        known = await self._state.links.by_id(self._flow.name, "left", [intent.source_id for intent in intents])
        batch = Settlement(run=self._run, ended_intents=[intent.link for intent in intents])
        for intent, key in zip(intents, keys, strict=True):
            records = found.get(key)
            if not records:
                continue
            link = known.get(intent.source_id) or Link(
                id=intent.link,
                flow=self._flow.name,
                number=intent.value,
                left=End(intent.source_id),
                right=End(),
                standing="in_doubt",
            )
            batch.links.append(msgspec.structs.replace(link, right=End(records[0].id), standing="in_doubt", due=True))
        await self._state.settle(self._lease, batch)

    async def _look_at_target(self, where: Position) -> Position:
        """See what people did over there before anything is written, so that the audit keeps their values."""
        target = self._ends.target
        if target is None:
            return where
        watch = Watch(self._flow, self._run, self._lease, self._state, self._clock)
        noticed = await self._state.inbox.waiting(self._flow.name, self._flow.target)
        if noticed:
            notices = sorted({key for keys in noticed.values() for key in keys})
            where = await watch.carry(read_ids(target, list(noticed)), where, notices=notices)
        if not isinstance(target, Feed):
            return where
        if where.right is None:  # the first run: nothing of ours stands there yet
            return msgspec.structs.replace(where, right=target.cursor_at(self._clock.now()))
        return await watch.carry(read_feed(target, where.right), where)

    async def _retry_due(self, pipeline: Pipeline) -> None:
        """Records whose parent arrived, that a person asked for, or whose write was in doubt: read anew, not remembered."""
        links = self._state.links
        parents = await links.awaited(self._flow.name)
        names = await self._crosswalk.names(parents)
        await links.arrived(self._flow.name, [parent for parent in parents if parent in names])
        due = [link for link in await links.due(self._flow.name) if link.left.id is not None]
        if not due:
            return
        await pipeline.carry(read_ids(self._ends.source, [link.left.id for link in due if link.left.id is not None]))
        vanished = [link for link in await links.due(self._flow.name) if link.id in {was.id for was in due}]
        if vanished and not self._stop.is_set():
            settled = [
                msgspec.structs.replace(link, due=False) for link in vanished if link.standing not in ("in_doubt", "conflicted")
            ]
            await self._state.settle(self._lease, Settlement(run=self._run, links=settled))

    async def _read(self, pipeline: Pipeline, where: Position, *, anew: bool, since: datetime | None) -> bool:
        source = self._ends.source
        self._where = where
        if isinstance(source, Feed):
            start = source.cursor_at(since) if since is not None else None if anew else where.left
            return await pipeline.carry(read_feed(source, start), self._moved)
        if not isinstance(source, Sweep):
            raise ContractBroken(
                f"{self._flow.entity} can be looked up but not followed", where=self._flow.left, fix="Choose another strategy"
            )
        first = where.swept_at is None
        await self._state.links.forget_sightings(self._flow.name)
        reader = SweepReader(source, self._state.links, self._flow.name, full=anew or since is not None, first=first)
        complete = await pipeline.carry(reader.batches())
        if complete and not first:
            await mark_absent(self._flow, self._run, self._lease, self._state, self._clock)
        await self._state.links.forget_sightings(self._flow.name)
        return complete

    def _moved(self, cursor: Cursor) -> Cursor:
        self._where = msgspec.structs.replace(self._where, left=cursor)
        return self._where.encoded()

    async def _finish(self, signature: str, *, anew: bool) -> None:
        where, now = self._where, self._clock.now()
        full_at = now if anew or where.full_at is None else where.full_at
        where = msgspec.structs.replace(where, swept_at=now, full_at=full_at, signature=signature)
        await self._state.settle(self._lease, Settlement(run=self._run, cursor=where.encoded()))
