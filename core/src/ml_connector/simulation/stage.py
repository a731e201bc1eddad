"""Plays a story: people, faults and processes on one stage, in virtual time; and then the calm in which everything mends."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from random import Random
from typing import Any

import msgspec

from ml_connector.domain import RemoteId, Side
from ml_connector.errors import ConnectorError, NoticeRejected
from ml_connector.flows import Flow, in_order
from ml_connector.ports.notices import NoticeRequest
from ml_connector.ports.state import Lease
from ml_connector.ports.state import Run as Booked
from ml_connector.simulation.guarantees import ALONE, FENCED, FORGED, RESTS, Broken
from ml_connector.simulation.loop import VirtualClock
from ml_connector.simulation.pair import Pair
from ml_connector.simulation.process import Hangs, Killed, Process, ProcessClock, seen_by
from ml_connector.simulation.story import (
    Deliver,
    Forge,
    Run,
    RunFrozen,
    RunKilled,
    RunKilledAtWrite,
    RunKilledInCommit,
    RunMeanwhile,
    RunTwice,
    Step,
    Subscribe,
    Wait,
)
from ml_connector.sync.passage import Ends, Station, World
from ml_connector.system import Connection
from ml_connector.testing import MemoryState, SilentTelemetry
from ml_connector.use_cases.receive_notice import receive_notice
from ml_connector.use_cases.renew_subscriptions import renew_subscriptions
from ml_connector.use_cases.run_flow import run_flow

ROUNDS = 5
"""How many runs of every flow must be enough, once changes and faults have stopped; the last of them writes nothing."""
PUBLIC_URL = "https://sync.acme.example"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How one run of one flow ended; ``run`` None: it could not begin."""

    at: datetime
    process: str
    flow: str
    run: Booked | None
    error: BaseException | None


class Stage:
    """One pair, one state, and the processes that come and go."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.clock = pair, VirtualClock()
        self.state = MemoryState(self.clock)
        self.telemetry = SilentTelemetry()
        self.broken: list[Broken] = []
        self.ended: list[Ended] = []
        self.noticed: list[tuple[datetime, Side, RemoteId]] = []  # what accepted notices named
        self.calm_at: datetime | None = None
        self.rests_at = 0  # how many deeds there were before the last run
        self._ids, self._names, self._secrets = itertools.count(1), itertools.count(1), itertools.count(1)
        self._process: tuple[Process, World, Mapping[str, Connection]] | None = None

    async def play(self, steps: Sequence[Step]) -> None:
        """The story and the calm after it. What breaks on the way is kept in ``broken``."""
        for step in steps:
            try:
                await self._take(step)
            except Hangs as error:
                self._break(RESTS, str(error))
            await asyncio.sleep(1)
        await self._come_to_rest()

    def _break(self, invariant: str, what: str) -> None:
        self.broken.append(Broken(invariant, what))

    async def _take(self, step: Step) -> None:
        match step:
            case Wait():
                await asyncio.sleep(step.seconds)
            case Run():
                await self._run(full=step.full)
            case RunKilled():
                self._present()[0].dies_at = step.touch
                await self._run()
            case RunKilledAtWrite():
                self._present()[0].dies_at_write = step.write
                await self._run()
            case RunKilledInCommit():
                self._present()[0].dies_in_commit = (step.commit, step.after)
                await self._run()
            case RunMeanwhile():
                for place, edit in enumerate(step.edits):
                    self._present()[0].at[step.touch + place * step.apart] = partial(self.pair.perform, edit)
                await self._run()
            case RunTwice():
                await self._run_twice()
            case RunFrozen():
                await self._run_frozen(step)
            case Subscribe():
                await self._work(self._present(), self._subscribe(*self._present()))
            case Deliver():
                await self._deliver(step)
            case Forge():
                self.pair.perform(step)
                await self._forge()
            case _:
                self.pair.perform(step)

    def _people(self, edits: Sequence[Step]) -> None:
        for edit in edits:
            self.pair.perform(edit)

    # Processes

    def _present(self) -> tuple[Process, World, Mapping[str, Connection]]:
        """The process at hand; a new one after a death."""
        if self._process is None or self._process[0].dead:
            self._process = self._new_process()
        return self._process

    def _new_process(self) -> tuple[Process, World, Mapping[str, Connection]]:
        process = Process(f"process-{next(self._names)}")
        world = World(
            state=seen_by(self.state, process, self._settled),
            clock=ProcessClock(self.clock, process),
            telemetry=self.telemetry,
            new_id=lambda: f"id-{next(self._ids)}",
            owner=process.name,
            flows=tuple(self.pair.flows),
        )
        return process, world, self.pair.connect(process)

    def _settled(self, lease: Lease) -> None:
        held = self.state.leases.held.get(lease.flow)
        if held is None or held.fence != lease.fence:
            self._break(FENCED, f"{lease.owner} settled {lease.flow} after it had lost it")

    async def _work(self, process: tuple[Process, World, Mapping[str, Connection]], work: Any) -> None:
        """Let the process do one piece of work to its end, or to its own."""
        main = process[0].start(work)
        await self._await(process[0], main)

    async def _await(self, process: Process, main: asyncio.Task[None]) -> None:
        error = await process.wait(main)
        process.ready()
        if error is not None and not isinstance(error, Killed):
            self._break(ALONE, f"{type(error).__name__}: {error}")

    async def _run(self, *, full: bool = False, create_all: bool = False) -> None:
        present = self._present()
        await self._work(present, self._flows(*present, full=full, create_all=create_all))
        self.pair.ran()

    async def _run_twice(self) -> None:
        self.pair.sees_again()
        one, other = self._present(), self._new_process()
        both = one[0].start(self._flows(*one)), other[0].start(self._flows(*other))
        await self._await(one[0], both[0])
        await self._await(other[0], both[1])
        self.pair.ran()

    async def _run_frozen(self, step: RunFrozen) -> None:
        self.pair.sees_again()
        frozen = self._present()
        frozen[0].freezes_at = step.touch
        main = frozen[0].start(self._flows(*frozen))
        await frozen[0].until_frozen(main)
        self._people(step.edits)
        await asyncio.sleep(step.seconds)
        self._process = None
        await self._run()
        frozen[0].thaw()
        await self._await(frozen[0], main)

    async def _flows(
        self,
        process: Process,
        world: World,
        connections: Mapping[str, Connection],
        *,
        full: bool = False,
        create_all: bool = False,
    ) -> None:
        for flow in in_order(self.pair.flows):
            begun: list[Booked] = []
            error: ConnectorError | None = None
            try:
                await run_flow(flow, _ends(flow, connections), world, started=begun.append, full=full, create_all=create_all)
            except ConnectorError as failure:
                error = failure
            run = begun[0] if begun else None
            self.ended.append(Ended(at=self.clock.now(), process=process.name, flow=flow.name, run=run, error=error))

    # Notices

    async def _subscribe(self, process: Process, world: World, connections: Mapping[str, Connection]) -> None:
        for name, connection in connections.items():
            if connection.notices is None:
                continue
            try:
                await renew_subscriptions(
                    name,
                    connection.notices,
                    self.pair.flows,
                    world.state,
                    world.clock,
                    public_url=PUBLIC_URL,
                    new_secret=lambda: f"canary-notice-{next(self._secrets)}",
                )
            except ConnectorError:
                continue  # the runner comes back to it

    async def _deliver(self, step: Deliver) -> None:
        random = Random(step.seed)
        waiting = [one for one in self.pair.deliveries(step.side) for _ in range(random.choice((0, 1, 1, 2)))]
        random.shuffle(waiting)
        for request in waiting:
            await self._receive(request, step.side)

    async def _receive(self, request: NoticeRequest, side: Side) -> bool:
        """Whether the receiver took it."""
        _, _, connections = self._present()
        readers = {name: one.notices for name, one in connections.items() if one.notices is not None}
        before = set(self.state.inbox.rows)
        try:
            await receive_notice(request, readers, self.pair.flows, self.state)
        except NoticeRejected:
            return False
        for key in self.state.inbox.rows.keys() - before:
            self.noticed += [(self.clock.now(), side, one) for one in self.state.inbox.rows[key][1].ids]
        return True

    async def _forge(self) -> None:
        before = dict(self.state.inbox.rows)
        for request in self.pair.forgeries:
            taken = await self._receive(request, "left")
            if taken or self.state.inbox.rows != before:
                self._break(FORGED, f"a forged notice was taken: {request.body[:200]!r}")
        self.pair.forgeries.clear()

    # The calm

    async def _come_to_rest(self) -> None:
        self.pair.calm()
        self._process = None
        await asyncio.sleep(self.pair.patience)  # leases end, quotas fill up
        self.calm_at = self.clock.now()
        for _ in range(ROUNDS):
            self.rests_at, begun = len(self.pair.deeds), len(self.ended)
            try:
                await self._run(create_all=True)  # a person has looked at what a first load found over there
            except Hangs as error:
                self._break(RESTS, str(error))
                return
            for end in self.ended[begun:]:
                if end.error is not None:
                    self._break(RESTS, f"{end.flow} fails in calm weather: {end.error}")
            await asyncio.sleep(61)
        for end in self.ended[begun:]:
            if end.run is not None and end.run.counts.written:
                self._break(RESTS, f"run {ROUNDS} of {end.flow} after the storm still wrote {end.run.counts.written} records")


def _ends(flow: Flow, connections: Mapping[str, Connection]) -> Ends:
    left, right = connections[flow.left], connections[flow.right]
    return Ends(
        left=Station(source=left.sources.get(flow.entity), sink=left.sinks.get(flow.entity)),
        right=Station(source=right.sources.get(flow.target), sink=right.sinks.get(flow.target)),
    )
