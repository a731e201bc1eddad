"""Runs flows of one workspace and draws the consequences of how they end: pauses, resumptions, exit codes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

import msgspec

from ml_connector.domain import Side
from ml_connector.errors import AuthRejected, ConfigError, ConnectorError, ContractBroken, LeaseHeld, RetryLater
from ml_connector.flows import Flow
from ml_connector.ports.state import Run
from ml_connector.sync.passage import Ends, Station, World
from ml_connector.sync.way import ways
from ml_connector.system import Connection
from ml_connector.use_cases.run_flow import run_flow
from ml_connector_adapters.owner import is_dead
from ml_connector_adapters.runner.blame import BlamedSink, blamed_source, culprit

T = TypeVar("T")
PAUSE_S: Final = 60.0
"""How long a connection rests after an outage that names no time."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How one flow's run ended: with a run that was booked to its end, with an error, or both."""

    flow: str
    run: Run | None = None
    error: ConnectorError | None = None

    @property
    def exit_code(self) -> int:
        """0 green · 1 records need attention, or the flow cannot go on · 2 the configuration (or the key) is wrong · 3 a
        connection is paused · 4 another holds it."""
        if isinstance(self.error, ConfigError):
            return 2
        if isinstance(self.error, LeaseHeld):
            return 4
        if isinstance(self.error, (AuthRejected, RetryLater)):
            return 3
        if self.error is not None or self.run is None or self.run.outcome not in ("green", "stopped"):
            return 1
        return 0


def exit_code(results: Iterable[Result]) -> int:
    """The gravest of several: the configuration before a pause before a lease before attention."""
    codes = {result.exit_code for result in results}
    return next((code for code in (2, 3, 4, 1) if code in codes), 0)


class Worker:
    """One workspace at work. ``connections`` are those that could be built, by name."""

    def __init__(self, world: World, connections: Mapping[str, Connection]) -> None:
        self.world, self.connections = world, connections

    async def run(
        self,
        flow: Flow,
        *,
        full: bool = False,
        since: datetime | None = None,
        create_all: bool = False,
        allow_missing: int = 0,
        stop: asyncio.Event | None = None,
        started: Callable[[Run], None] | None = None,
    ) -> Result:
        """One run of one flow; every ConnectorError becomes part of the result, and its pause part of the state."""
        runs: list[Run] = []

        def begin(run: Run) -> None:
            runs.append(run)
            if started is not None:
                started(run)

        async def once() -> Run:
            return await run_flow(
                flow,
                self.ends(flow),
                self.world,
                full=full,
                since=since,
                create_all=create_all,
                allow_missing=allow_missing,
                stop=stop,
                started=begin,
            )

        try:
            run = await self.booked(flow, once)
        except ConnectorError as error:
            return Result(flow=flow.name, run=runs[0] if runs else None, error=error)
        for connection in (flow.left, flow.right):
            await self.world.state.pauses.resume(connection)
        return Result(flow=flow.name, run=run)

    async def booked(self, flow: Flow, work: Callable[[], Awaitable[T]]) -> T:
        """Do work that takes the flow's lease: a dead process's is taken over, a connection that refuses or is out pauses.

        Raises what the work raises.
        """
        try:
            try:
                return await work()
            except LeaseHeld as held:
                if not is_dead(held.owner):
                    raise
                await self.world.state.leases.bury(flow.name, held.owner)
                return await work()
        except ConnectorError as error:
            await self._pause(error)
            raise

    def ends(self, flow: Flow) -> Ends:
        """What the flow works on. Raises ContractBroken when a connection lacks the ability."""
        for way in ways(flow):
            source, sink = self.connections[way.source].sources, self.connections[way.target].sinks
            near, far = flow.kind(way.near), flow.kind(way.far)
            if near not in source:
                raise ContractBroken(f"{near} cannot be read there", where=way.source, fix="See: ml-connector systems")
            if far not in sink:
                raise ContractBroken(f"{far} cannot be written there", where=way.target, fix="See: ml-connector systems")
        return Ends(left=self._station(flow, "left", writes=flow.two_way), right=self._station(flow, "right", writes=True))

    def _station(self, flow: Flow, side: Side, *, writes: bool) -> Station:
        name, kind = flow.connection(side), flow.kind(side)
        connection = self.connections[name]
        source, sink = connection.sources.get(kind), connection.sinks.get(kind) if writes else None
        return Station(
            source=blamed_source(source, name) if source is not None else None,
            sink=BlamedSink(sink, name) if sink is not None else None,
        )

    async def _pause(self, error: ConnectorError) -> None:
        connection = culprit(error)
        until: datetime | None
        if connection is None:
            return
        if isinstance(error, AuthRejected):
            until = None
        elif isinstance(error, RetryLater):
            until = self.world.clock.now() + timedelta(seconds=error.after_s or PAUSE_S)
        else:
            return
        await self.world.state.pauses.pause(connection, str(error), until)
