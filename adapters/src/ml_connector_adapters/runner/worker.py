"""Runs flows of one workspace and draws the consequences of how they end: pauses, resumptions, exit codes."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ml_connector.errors import AuthRejected, ConfigError, ConnectorError, ContractBroken, LeaseHeld, RetryLater
from ml_connector.flows import Flow
from ml_connector.ports.state import Run
from ml_connector.system import Connection
from ml_connector.use_cases.run_flow import Ends, World, run_flow
from ml_connector_adapters.runner.blame import BlamedSink, blamed_source, culprit
from ml_connector_adapters.runner.owner import is_dead

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
            return await run_flow(flow, self.ends(flow), self.world, full=full, since=since, stop=stop, started=begin)

        try:
            try:
                run = await once()
            except LeaseHeld as held:
                if not is_dead(held.owner):
                    raise
                await self.world.state.leases.bury(flow.name, held.owner)
                run = await once()
        except ConnectorError as error:
            await self._pause(error)
            return Result(flow=flow.name, run=runs[0] if runs else None, error=error)
        for connection in (flow.left, flow.right):
            await self.world.state.pauses.resume(connection)
        return Result(flow=flow.name, run=run)

    def ends(self, flow: Flow) -> Ends:
        """What the flow works on. Raises ContractBroken when a connection lacks the ability."""
        left, right = self.connections[flow.left], self.connections[flow.right]
        source, sink = left.sources.get(flow.entity), right.sinks.get(flow.target)
        if source is None:
            raise ContractBroken(f"{flow.entity} cannot be read there", where=flow.left, fix="See: ml-connector systems")
        if sink is None:
            raise ContractBroken(f"{flow.target} cannot be written there", where=flow.right, fix="See: ml-connector systems")
        target = right.sources.get(flow.target)
        return Ends(
            source=blamed_source(source, flow.left),
            sink=BlamedSink(sink, flow.right),
            target=blamed_source(target, flow.right) if target is not None else None,
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
