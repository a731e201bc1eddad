"""A run's frame: the lease that lets nobody else at the flow, the span, the line in the ledger, and how it ended."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

from ml_connector.errors import AuthRejected, ConnectorError, LeaseLost, RetryLater
from ml_connector.flows import Flow
from ml_connector.ports.state import Lease, Run, Standing
from ml_connector.sync.passage import World

LEASE_S = 60.0
"""How long a dead runner keeps its flow from others."""
Outcome: TypeAlias = Literal["green", "attention", "failed"]
ATTENTION: tuple[Standing, ...] = ("parked", "rejected", "conflicted", "in_doubt")
"""Standings that a person should know of."""


@asynccontextmanager
async def booked(flow: Flow, world: World, started: Callable[[Run], None] | None = None) -> AsyncIterator[tuple[Run, Lease]]:
    """Hold the flow's lease and book a run of it. The block does the work and says how it ended (``run.outcome``).

    ``started`` is handed the living run. Raises LeaseHeld when somebody else has the flow. What the block raises is booked
    (paused for AuthRejected and RetryLater, else failed) and goes on.
    """
    lease = await world.state.leases.claim(flow.name, world.owner, LEASE_S)
    with world.telemetry.span("sync.run", flow=flow.name) as span:
        run = Run(id=world.new_id(), flow=flow.name, trace_id=span.trace_id, started_at=world.clock.now())
        await world.state.ledger.start(run)
        if started is not None:
            started(run)
        heart = asyncio.create_task(_beat(lease, world))
        try:
            yield run, lease
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


async def _beat(lease: Lease, world: World) -> None:
    """Keep the lease while the run lives. A lost lease is noticed where it matters: at the next settlement."""
    while True:
        await world.clock.sleep(LEASE_S / 3)
        try:
            await world.state.leases.renew(lease, LEASE_S)
        except LeaseLost:
            return


async def verdict(flow: Flow, world: World, run: Run) -> Outcome:
    """Green only if the ledger adds up and nothing of the flow waits for anybody."""
    counts = run.counts
    if counts.read != counts.settled() + counts.unknown:
        run.note = f"the ledger does not add up: read {counts.read}, settled {counts.settled()}, unknown {counts.unknown}"
        return "failed"
    tally = await world.state.links.tally(flow.name)
    return "attention" if any(tally.get(standing) for standing in ATTENTION) else "green"
