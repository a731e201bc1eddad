"""The rest of the in-memory world keeps its promises too: time, the engine's memory, what a host lends."""

import asyncio

import msgspec
import pytest

from ml_connector.errors import LeaseLost, Unavailable
from ml_connector.ports.state import AuditEntry, End, Link, Settlement
from ml_connector.testing import ManualClock, MemoryState, MemorySystem, SilentTelemetry, memory_connection


def _link(number: str) -> Link:
    return Link(id=f"L-{number}", flow="orders", number=number, left=End(number), right=End(f"crm-{number}"), standing="agreed")


def _entry(clock: ManualClock, number: str) -> AuditEntry:
    link = _link(number)
    return AuditEntry(
        at=clock.now(),
        run="run-1",
        flow="orders",
        trace_id="0" * 31 + "1",
        kind="deal",
        number=number,
        link=link.id,
        action="created",
        left=link.left,
        right=link.right,
    )


async def test_two_who_sleep_together_wake_at_their_own_times() -> None:
    clock = ManualClock()
    woken: list[tuple[float, float]] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.monotonic()))

    await asyncio.gather(sleep(10), sleep(5), sleep(7))
    assert woken == [(5, 5), (7, 7), (10, 10)]


async def test_a_heartbeat_in_the_background_never_outruns_the_work() -> None:
    clock = ManualClock()

    async def beat() -> None:
        while True:
            await clock.sleep(20)

    heart = asyncio.create_task(beat())
    for _ in range(1000):
        await asyncio.sleep(0)
    heart.cancel()
    assert clock.monotonic() == 0


async def test_a_worker_that_lost_its_lease_commits_nothing() -> None:
    clock = ManualClock()
    state = MemoryState(clock)
    old = await state.leases.claim("orders", "worker-1", 60)
    clock.advance(61)
    await state.leases.claim("orders", "worker-2", 60)
    with pytest.raises(LeaseLost):
        await state.settle(old, Settlement(links=[_link("10042")], audit=[_entry(clock, "10042")], cursor="17"))
    assert (state.links.rows, state.ledger.audit, state.cursors.rows) == ({}, [], {})


@pytest.mark.parametrize("after", [False, True])
async def test_a_commit_that_fails_is_kept_whole_or_not_at_all(after: bool) -> None:
    clock = ManualClock()
    state = MemoryState(clock)
    lease = await state.leases.claim("orders", "worker-1", 60)
    state.fail_next_settlement(Unavailable("The database went away"), after=after)
    with pytest.raises(Unavailable):
        await state.settle(lease, Settlement(links=[_link("10042")], audit=[_entry(clock, "10042")], cursor="17"))
    kept = 1 if after else 0
    assert (len(state.links.rows), len(state.ledger.audit), len(state.cursors.rows)) == (kept, kept, kept)


async def test_an_audit_entry_that_was_touched_is_found() -> None:
    clock = ManualClock()
    state = MemoryState(clock)
    lease = await state.leases.claim("orders", "worker-1", 60)
    await state.settle(lease, Settlement(audit=[_entry(clock, number) for number in ("10042", "10043", "10044")]))
    assert await state.ledger.verify() == (3, None)
    second = state.ledger.audit[1]
    state.ledger.audit[1] = msgspec.structs.replace(second, entry=_entry(clock, "10099"))
    assert await state.ledger.verify() == (3, 2)


async def test_a_system_answers_as_its_script_says_once() -> None:
    system = MemorySystem()
    feed = memory_connection(system).sources["account"]
    system.fail_once("C-100", Unavailable("The record is being repaired", after_s=90))
    with pytest.raises(Unavailable):
        await feed.fetch(["C-100"])
    assert await feed.fetch(["C-100"]) == []


def test_spans_within_one_another_share_a_trace() -> None:
    telemetry = SilentTelemetry()
    with telemetry.span("sync.run") as run, telemetry.span("sync.batch") as batch:
        batch.event("record.failed", number="10042")
    with telemetry.span("sync.run") as other:
        pass
    assert run.trace_id == batch.trace_id != other.trace_id
    assert {len(span.trace_id) for span in telemetry.spans} == {32}
