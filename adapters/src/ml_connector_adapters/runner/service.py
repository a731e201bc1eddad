"""The headless runner: every workspace's flows on their schedules and on notices, channels kept alive, a clean stop."""

import asyncio
import logging
import secrets
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from ml_connector.errors import ConnectorError, LeaseHeld
from ml_connector.flows import Flow
from ml_connector.ports.clock import Clock
from ml_connector.ports.notices import NoticeRequest, Notices
from ml_connector.sync.way import ways
from ml_connector.use_cases.receive_notice import receive_notice
from ml_connector.use_cases.renew_subscriptions import renew_subscriptions
from ml_connector_adapters.runner.blame import culprit
from ml_connector_adapters.runner.schedule import next_due
from ml_connector_adapters.runner.worker import Result, Worker

log = logging.getLogger("ml_connector")

TICK_S: Final = 1.0
REST_S: Final = 60.0
"""How long a flow rests, at least, after a trouble that is no connection's; its schedule may say longer."""
RENEW_S: Final = 300.0
"""How often channels are looked at; renewal itself happens at half life."""


class Tenant:
    """One workspace inside the service: which of its flows run, and which were asked to run."""

    def __init__(self, name: str, worker: Worker, public_url: str | None, clock: Clock, stop: asyncio.Event) -> None:
        self.name, self.worker = name, worker
        self._public_url, self._clock, self._stop = public_url, clock, stop
        self._running: dict[str, asyncio.Task[None]] = {}
        self._asked: set[str] = set()
        self._resting: dict[str, datetime] = {}  # flow → until when
        self._told: dict[str, str] = {}  # flow → the trouble last logged: an outage is told once

    @property
    def _flows(self) -> Sequence[Flow]:
        return self.worker.world.flows

    @property
    def notices(self) -> Mapping[str, Notices]:
        return {name: each.notices for name, each in self.worker.connections.items() if each.notices is not None}

    async def notice(self, request: NoticeRequest) -> None:
        """Take one notice and wake the flows that it concerns. Raises NoticeRejected."""
        self._asked |= await receive_notice(request, dict(self.notices), self._flows, self.worker.world.state)

    async def tend(self) -> None:
        """Start what is due, until told to stop; then wait for the batches in hand."""
        while not self._stop.is_set():
            try:
                due = await self._due()
                self._told.pop("state", None)
            except ConnectorError as error:  # the state is away: this workspace waits, the others need not know
                self._tell("state", str(error))
                due = []
            for flow in due:
                self._running[flow.name] = asyncio.create_task(self._run(flow))
            await _either(self._stop, self._clock.sleep(TICK_S))
        if self._running:
            await asyncio.wait(self._running.values())

    async def keep_channels(self) -> None:
        """Subscribe and renew; a vendor that refuses is logged once and polled instead."""
        if self._public_url is None:
            return
        while not self._stop.is_set():
            for name, notices in self.notices.items():
                world = self.worker.world
                try:
                    await renew_subscriptions(
                        name,
                        notices,
                        self._flows,
                        world.state,
                        self._clock,
                        public_url=self._public_url,
                        new_secret=lambda: secrets.token_urlsafe(32),
                    )
                    self._told.pop(f"channel {name}", None)
                except ConnectorError as error:
                    self._tell(f"channel {name}", str(error))
                except Exception:  # a plugin's defect costs its own channel, nothing else
                    log.exception("%s/channel %s: defect", self.name, name)
            await _either(self._stop, self._clock.sleep(RENEW_S))

    async def _due(self) -> list[Flow]:
        world = self.worker.world
        now = self._clock.now()
        paused = await world.state.pauses.paused(now)
        due: list[Flow] = []
        for flow in self._flows:
            blocked = flow.left in paused or flow.right in paused or flow.name in self._running
            if blocked or self._resting.get(flow.name, now) > now or any(name in self._running for name in flow.after):
                continue
            last = next(iter(await world.state.ledger.last(flow.name)), None)
            at = next_due(flow.schedule, last.started_at if last else None, now)
            if last is not None and last.outcome == "paused" and at is not None:
                at = now  # what held it up is over
            if flow.name in self._asked or (at is not None and at <= now):
                if any(other.name in flow.after for other in due):
                    continue  # its turn comes when those are through
                due.append(flow)
        return due

    async def _run(self, flow: Flow) -> None:
        self._asked.discard(flow.name)
        try:
            result = await self.worker.run(flow, stop=self._stop)
            self._report(flow, result)
            await self._wake_children(flow, result)
        except Exception:  # a defect in one flow is logged whole and must not stop the others
            log.exception("%s/%s: defect", self.name, flow.name)
            self._rest(flow)
        finally:
            del self._running[flow.name]

    def _rest(self, flow: Flow) -> None:
        self._resting[flow.name] = self._clock.now() + timedelta(seconds=REST_S)

    def _report(self, flow: Flow, result: Result) -> None:
        if result.error is not None:
            held = isinstance(result.error, LeaseHeld)
            self._tell(flow.name, str(result.error), logging.INFO if held else logging.WARNING)
            if not held and culprit(result.error) is None:  # no connection pauses for it, so the flow does
                self._rest(flow)
            return
        self._told.pop(flow.name, None)
        if result.run is not None:
            counts = result.run.counts
            log.info(
                "%s/%s: %s, read %d, written %d, needs attention %d (trace %s)",
                self.name,
                flow.name,
                result.run.outcome,
                counts.read,
                counts.written,
                counts.parked + counts.rejected + counts.conflicted,
                result.run.trace_id,
            )

    async def _wake_children(self, flow: Flow, result: Result) -> None:
        """Parents arrived: flows that wait for them need not wait for their schedule."""
        if result.run is None or not result.run.counts.written:
            return
        for child in self._flows:
            if flow.name not in child.after:
                continue
            links = self.worker.world.state.links
            if any([await links.awaited(child.name, way.near) for way in ways(child)]):
                self._asked.add(child.name)

    def _tell(self, about: str, trouble: str, level: int = logging.WARNING) -> None:
        if self._told.get(about) != trouble:
            self._told[about] = trouble
            log.log(level, "%s/%s: %s", self.name, about, trouble)


async def _either(stop: asyncio.Event, nap: Coroutine[None, None, None]) -> None:
    """Sleep, but wake at once when told to stop."""
    waits: list[asyncio.Task[object]] = [asyncio.create_task(stop.wait()), asyncio.create_task(nap)]
    _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for each in pending:
        each.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def serve(tenants: Sequence[Tenant]) -> None:
    """Tend all workspaces until their stop event is set; then finish what is in hand."""
    async with asyncio.TaskGroup() as tasks:
        for tenant in tenants:
            tasks.create_task(tenant.tend())
            tasks.create_task(tenant.keep_channels())
