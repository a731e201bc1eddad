"""Run one flow once: settle what is in doubt, look at both sides, retry what is due, read what changed, write it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

import msgspec

from ml_connector.domain import Cursor, RemoteId, Side
from ml_connector.flows import Flow
from ml_connector.ports.source import Feed, Sweep
from ml_connector.ports.state import Lease, Link, Run, Settlement
from ml_connector.sync.absence import mark_absent
from ml_connector.sync.doubt import Doubts
from ml_connector.sync.passage import Ends, Itinerary, Passage, World, plan_out, strangers
from ml_connector.sync.pipeline import Pipeline
from ml_connector.sync.prepare import FIRST_LOAD
from ml_connector.sync.read import Batch, Position, read_feed, read_ids
from ml_connector.sync.watch import Watch
from ml_connector.sync.way import ways
from ml_connector.use_cases.booking import booked, verdict


async def run_flow(
    flow: Flow,
    ends: Ends,
    world: World,
    *,
    full: bool = False,
    since: datetime | None = None,
    create_all: bool = False,
    allow_missing: int = 0,
    stop: asyncio.Event | None = None,
    started: Callable[[Run], None] | None = None,
) -> Run:
    """One run, from lease to ledger.

    ``full`` reads every record anew; ``since`` reads a feed again from that time on (a sweep: everything). ``create_all`` lets
    a first load make records on a target that already holds some. ``allow_missing``: so many records that a sweep does not show
    may be taken as deleted at once, whatever share of all they are. ``started`` is handed the living Run, whose counts move
    while it goes on.
    Returns the ended run: green, or attention when some records wait for something. Raises LeaseHeld when another runner has
    the flow, and AuthRejected, RetryLater or ContractBroken after the run was booked as paused or failed: what was settled
    until then stays settled, and the next run goes on from there.
    """
    async with booked(flow, world, started) as (run, lease):
        steps = _Run(flow, ends, world, run, lease, stop or asyncio.Event())
        complete = await steps.whole(full=full, since=since, create_all=create_all, allow_missing=allow_missing)
        run.outcome = await verdict(flow, world, run) if complete else "stopped"
    return run


def _owed(link: Link) -> bool:
    """Due for what the other way has to write, not for a failure that this run met already."""
    return link.trouble is None or bool(link.trouble.clashes)


class _Run:
    """The steps of one run, in order."""

    def __init__(self, flow: Flow, ends: Ends, world: World, run: Run, lease: Lease, stop: asyncio.Event) -> None:
        self._flow, self._ends, self._world, self._run, self._lease, self._stop = flow, ends, world, run, lease, stop
        self._state, self._clock = world.state, world.clock
        self._where = Position()
        self._empty = False  # the target held nothing when this run began

    async def whole(self, *, full: bool, since: datetime | None, create_all: bool, allow_missing: int) -> bool:
        """True when both sides were read to their ends, as far as the flow reads them."""
        itinerary = await plan_out(self._flow, self._ends, self._world)
        self._where = await itinerary.where()
        await self._settle_doubt(itinerary)
        await self._gate(create_all=create_all)
        if not self._flow.two_way:
            await self._look_at_target()
        passages = self._passages(itinerary, full=full)
        pipelines = [(passage, anew, self._pipeline(passage)) for passage, anew in passages]
        for passage, _, pipeline in pipelines:
            await self._retry_due(passage, pipeline)
        for passage, anew, pipeline in pipelines:
            if self._stop.is_set() or not await self._read(passage, pipeline, anew=anew, since=since, allow=allow_missing):
                return False
        if self._flow.two_way:  # what one way found to be the other's to write
            for passage, _, pipeline in pipelines:
                await self._retry_due(passage, pipeline, only=_owed)
        await self._finish(itinerary.signature, [(passage, anew) for passage, anew, _ in pipelines])
        return True

    def _passages(self, itinerary: Itinerary, *, full: bool) -> list[tuple[Passage, bool]]:
        """The ways of the flow, each with whether all of its records must be read anew."""
        anew = full or self._where.signature != itinerary.signature
        now, creates = self._clock.now(), self._where.opened is True
        found: list[tuple[Passage, bool]] = []
        for way in ways(self._flow):
            again = anew or itinerary.overdue(way, self._where.mark(way.near), now)
            found.append((itinerary.passage(way, anew=again, creates=creates, empty=self._empty), again))
        return found

    def _pipeline(self, passage: Passage) -> Pipeline:
        return Pipeline(
            passage.way,
            self._run,
            self._lease,
            self._state,
            passage.preparer,
            passage.writer,
            passage.sink.limits,
            self._world.telemetry,
            self._clock,
            stop=self._stop,
        )

    async def _settle_doubt(self, itinerary: Itinerary) -> None:
        """Writes that left before a crash: those that landed are told, the others never happened."""
        for way in ways(self._flow):
            sink = self._ends.station(way.far).sink
            assert sink is not None
            await Doubts(itinerary.rules(way), sink, self._state, self._lease, self._run, self._clock).settle()

    async def _gate(self, *, create_all: bool) -> None:
        """Nothing is made on a system that held records of its own before the first run, until somebody has looked."""
        if self._where.opened is None and not create_all:
            sides: tuple[Side, ...] = ("left", "right") if self._flow.two_way else ("right",)
            filled = [await strangers(self._flow, side, self._ends, self._world) for side in sides]
            # a flow that makes nothing must find what other flows have made there
            self._empty = not self._flow.two_way and self._flow.creates and not filled[0]
            self._where = msgspec.structs.replace(self._where, opened=not (self._flow.creates and all(filled)))
        elif create_all and self._where.opened is not True:
            self._where = msgspec.structs.replace(self._where, opened=True)
            async for links in self._state.links.every(self._flow.name):
                held = [link.id for link in links if link.trouble is not None and link.trouble.code == FIRST_LOAD]
                await self._state.links.mark_due(held)
        else:
            return
        await self._state.settle(self._lease, Settlement(run=self._run, cursor=self._where.encoded()))

    async def _look_at_target(self) -> None:
        """See what people did over there before anything is written, so that the audit keeps their values."""
        target = self._ends.right.source
        if target is None:
            return
        returning = [other for other in self._world.flows if other.returns(self._flow)]
        watch = Watch(self._flow, self._run, self._lease, self._state, self._clock, returning)
        noticed, notices = await self._noticed("right")
        if noticed:
            known = await self._state.links.by_id(self._flow.name, "right", noticed)
            self._where = await watch.carry(read_ids(target, noticed, known=known), self._where, notices=notices)
        if not isinstance(target, Feed):
            return
        cursor = self._where.right.cursor
        if cursor is None:  # the first run: nothing of ours stands there yet
            self._where = self._where.at("right", cursor=target.cursor_at(self._clock.now()))
            await self._state.settle(self._lease, Settlement(run=self._run, cursor=self._where.encoded()))
        else:
            self._where = await watch.carry(read_feed(target, cursor), self._where)

    async def _retry_due(
        self, passage: Passage, pipeline: Pipeline, *, only: Callable[[Link], bool] = lambda link: True
    ) -> None:
        """Records whose parent arrived, that a person asked for, or whose write was in doubt: read anew, not remembered."""
        links, near = self._state.links, passage.way.near
        parents = await links.awaited(self._flow.name, near)
        names = await passage.crosswalk.names(near, parents)
        await links.arrived(self._flow.name, near, [parent for parent in parents if parent in names])
        due = [link for link in await links.due(self._flow.name) if link.end(near).id is not None and only(link)]
        if not due or self._stop.is_set():
            return
        seen: set[str] = set()
        await pipeline.carry(self._due(passage, due, seen))
        vanished = [link for link in due if link.end(near).id not in seen and link.standing not in ("in_doubt", "conflicted")]
        if vanished and not self._stop.is_set() and not self._flow.two_way:
            settled = [msgspec.structs.replace(link, due=False) for link in vanished]
            await self._state.settle(self._lease, Settlement(run=self._run, links=settled))

    async def _due(self, passage: Passage, due: Sequence[Link], seen: set[str]) -> AsyncIterator[Batch]:
        """The links' records as they stand; one that is known to be gone comes as such, for what is to be done about it."""
        links = {link.end(passage.way.near).id or "": link for link in due}
        known = {one for one, link in links.items() if self._to_be_told_gone(link)}
        async for batch in read_ids(passage.source, list(links), known=known):
            seen |= {record.id for record in batch.records}
            yield batch

    def _to_be_told_gone(self, link: Link) -> bool:
        """Two-way, a record that was dealt with as gone and is due all the same shall come back from the other side."""
        dealt_with = self._flow.deletes == "ignore" or link.agreed is None
        return link.standing == "gone" and not (self._flow.two_way and dealt_with)

    async def _read(self, passage: Passage, pipeline: Pipeline, *, anew: bool, since: datetime | None, allow: int) -> bool:
        """One side, from where it was left to its end."""
        side, links = passage.way.near, self._state.links
        await self._heed(passage, pipeline)
        mark = self._where.mark(side)
        sweeps = isinstance(passage.source, Sweep) and not isinstance(passage.source, Feed)
        if sweeps:
            await links.forget_sightings(self._flow.name, side)

        def moved(cursor: Cursor) -> Cursor:
            self._where = self._where.at(side, cursor=cursor)
            return self._where.encoded()

        complete = await pipeline.carry(passage.batches(links, mark, anew=anew, since=since), moved)
        if sweeps:
            if complete and mark.swept_at is not None:
                await mark_absent(passage.way, self._run, self._lease, self._state, self._clock, allowed=allow)
            await links.forget_sightings(self._flow.name, side)
        return complete

    async def _heed(self, passage: Passage, pipeline: Pipeline) -> None:
        """What notices named on the side that is read."""
        side = passage.way.near
        noticed, notices = await self._noticed(side)
        if not noticed:
            return
        known = await self._state.links.by_id(self._flow.name, side, noticed)
        if await pipeline.carry(read_ids(passage.source, noticed, known=known)):
            await self._state.settle(self._lease, Settlement(run=self._run, handled_notices=notices))

    async def _noticed(self, side: Side) -> tuple[list[RemoteId], list[str]]:
        """Ids that notices of that side named, and the notices' own keys."""
        waiting = await self._state.inbox.waiting(self._flow.name, side)
        return list(waiting), sorted({key for keys in waiting.values() for key in keys})

    async def _finish(self, signature: str, read: Sequence[tuple[Passage, bool]]) -> None:
        now = self._clock.now()
        for passage, anew in read:
            side = passage.way.near
            full_at = self._where.mark(side).full_at
            self._where = self._where.at(side, swept_at=now, full_at=now if anew or full_at is None else full_at)
        self._where = msgspec.structs.replace(self._where, signature=signature)
        await self._state.settle(self._lease, Settlement(run=self._run, cursor=self._where.encoded()))
