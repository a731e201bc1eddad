"""A batch is settled whole or not at all, and only by whoever holds the flow."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import text

from ml_connector.errors import ContractBroken, LeaseHeld, LeaseLost
from ml_connector.ports.notices import Notice
from ml_connector.ports.state import Counts, End, Lease, Retold, Settlement
from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.clock import SystemClock
from ml_connector_adapters.store import Store, open_store

sys.path.append(str(Path(__file__).parent))

from store_world import entry, intent, keep, link, pass_time, run


async def test_a_settlement_brings_its_links_cursor_run_and_audit_and_ends_its_intents_and_notices(store: Store) -> None:
    lease = await store.leases.claim("orders", "worker-1", 60)
    await store.intents.open(lease, [intent("10042"), intent("10043")])
    await store.inbox.add("orders", "left", [Notice(kind="order", ids=("SO10042",), dedupe="n1")])
    told = run()
    told.counts = Counts(read=1, written=1)
    settled = Settlement(
        links=[link()],
        audit=[entry()],
        ended_intents=["link-10042"],
        handled_notices=["n1"],
        cursor="2026-01-05|SO10042",
        run=told,
    )
    await store.settle(lease, settled)
    assert await store.links.by_number("10042") == [link()]
    assert await store.cursors.load("orders") == "2026-01-05|SO10042"
    assert await store.ledger.last("orders") == [told]
    assert [record.entry async for record in store.ledger.entries()] == [entry()]
    assert await store.intents.of("orders") == [intent("10043")]
    assert await store.inbox.waiting("orders", "left") == {}


async def test_nothing_is_kept_of_a_settlement_whose_lease_somebody_else_took_over(
    store: Store, state_clock: ManualClock
) -> None:
    stale = await keep(store, [link()], [entry()])
    await store.intents.open(stale, [intent("10043")])
    await pass_time(store, state_clock, 3601)
    await store.leases.claim("orders", "worker-2", 60)
    late = Settlement(
        links=[link(standing="gone")], audit=[entry()], ended_intents=["link-10043"], cursor="late", run=run("run-late")
    )
    with pytest.raises(LeaseLost, match="orders"):
        await store.settle(stale, late)
    assert await store.links.by_number("10042") == [link()]
    assert await store.cursors.load("orders") is None
    assert await store.ledger.last("orders") == []
    assert await store.ledger.verify() == (1, None)
    assert await store.intents.of("orders") == [intent("10043")]


async def test_a_failure_in_the_middle_of_a_settlement_undoes_what_came_before_it(store: Store) -> None:
    lease = await keep(store)
    async with store.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit RENAME TO audit_away"))
    with pytest.raises(Exception, match="audit"):
        await store.settle(lease, Settlement(links=[link()], audit=[entry()], cursor="early"))
    assert await store.links.by_number("10042") == []
    assert await store.cursors.load("orders") is None


@pytest.mark.parametrize("turns", [0, 1, 3, 6, 10, 15, 21, 28, 36, 45])
async def test_a_settlement_that_is_cancelled_at_any_moment_is_kept_whole_or_not_at_all(store: Store, turns: int) -> None:
    lease = await keep(store)
    task = asyncio.create_task(store.settle(lease, Settlement(links=[link()], audit=[entry()], cursor="c")))
    for _ in range(turns):
        await asyncio.sleep(0.0002)
    task.cancel()
    await asyncio.wait([task])
    kept = (len(await store.links.by_number("10042")), await store.ledger.verify(), await store.cursors.load("orders"))
    assert kept in [(0, (0, None), None), (1, (1, None), "c")]
    await store.settle(lease, Settlement(links=[link("10043")], audit=[entry("10043")]))
    assert await store.ledger.verify() == (kept[0] + 1, None)


async def test_a_create_is_refused_before_it_leaves_when_the_lease_is_lost(store: Store, state_clock: ManualClock) -> None:
    stale = await store.leases.claim("orders", "worker-1", 60)
    await pass_time(store, state_clock, 61)
    await store.leases.claim("orders", "worker-2", 60)
    with pytest.raises(LeaseLost):
        await store.intents.open(stale, [intent()])
    assert await store.intents.of("orders") == []


async def test_a_create_that_left_before_the_process_died_is_still_in_doubt_afterwards(
    state_url: str, state_clock: ManualClock
) -> None:
    script = f"""
import asyncio, os
from ml_connector_adapters.store import open_store
from ml_connector_adapters.clock import SystemClock
from store_world import intent
async def main():
    async with open_store({state_url!r}, clock=SystemClock()) as store:
        lease = await store.leases.claim("orders", "worker-1", 60)
        await store.intents.open(lease, [intent()])
        os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, cwd=Path(__file__).parent)
    assert await process.wait() == -9
    async with open_store(state_url, clock=state_clock) as store:
        assert await store.intents.of("orders") == [intent()]


WORKER = """
import asyncio, sys
from ml_connector.errors import LeaseLost
from ml_connector.ports.state import Settlement
from ml_connector_adapters.clock import SystemClock
from ml_connector_adapters.store import open_store
from store_world import entry, intent, link

async def main():
    async with open_store(sys.argv[1], clock=SystemClock()) as store:
        lease = await store.leases.claim("orders", "worker-1", 1)
        print("at work", flush=True)
        sys.stdin.readline()
        batch = Settlement(links=[link()], audit=[entry()], cursor="late")
        for commit in (store.settle(lease, batch), store.intents.open(lease, [intent()])):
            try:
                await commit
            except LeaseLost:
                print("refused", flush=True)

asyncio.run(main())
"""


async def at_work(state_url: str) -> Process:
    """A process that holds the flow for a second, and commits when it is told to."""
    how = {"cwd": Path(__file__).parent, "stdin": PIPE, "stdout": PIPE}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, state_url, **how)
    assert process.stdout is not None and await process.stdout.readline() == b"at work\n"
    return process


async def take_over(store: Store) -> Lease:
    """As soon as the lease of whoever has the flow ends."""
    while True:
        try:
            return await store.leases.claim("orders", "worker-2", 60)
        except LeaseHeld:
            await asyncio.sleep(0.05)


async def test_a_process_that_wakes_up_after_another_took_its_flow_is_refused_whatever_it_commits(state_url: str) -> None:
    async with open_store(state_url, clock=SystemClock()) as store:
        frozen = await at_work(state_url)
        frozen.send_signal(signal.SIGSTOP)
        lease = await asyncio.wait_for(take_over(store), 5)
        frozen.send_signal(signal.SIGCONT)
        assert (await frozen.communicate(b"go on\n"))[0] == b"refused\nrefused\n"
        assert await store.links.by_number("10042") == await store.intents.of("orders") == []
        assert (await store.cursors.load("orders"), await store.ledger.verify()) == (None, (0, None))
        await store.settle(lease, Settlement(links=[link()], audit=[entry()], cursor="ours"))


async def test_a_killed_process_is_replaced_when_its_lease_ends_and_not_before(state_url: str) -> None:
    async with open_store(state_url, clock=SystemClock()) as store:
        killed = await at_work(state_url)
        killed.kill()
        with pytest.raises(LeaseHeld, match="worker-1"):
            await store.leases.claim("orders", "worker-2", 60)
        assert (await asyncio.wait_for(take_over(store), 5)).fence == 2
        await killed.communicate()


async def test_two_records_that_claim_one_deal_are_named_and_nothing_of_the_batch_is_kept(store: Store) -> None:
    lease = await keep(store, [link("10042")])
    claims = [link("10050"), link("10043", right=End("5510042"))]
    with pytest.raises(ContractBroken, match="10042 and 10043 both claim the id 5510042 on the right"):
        await store.settle(lease, Settlement(links=claims, audit=[entry("10050")]))
    assert await store.links.by_number("10050") == []
    assert await store.ledger.verify() == (0, None)


async def test_of_two_processes_one_gets_the_flow_and_the_other_learns_who_has_it(
    state_url: str, state_clock: ManualClock
) -> None:
    async with open_store(state_url, clock=state_clock) as ours, open_store(state_url, clock=state_clock) as theirs:
        claims = (
            store.leases.claim("orders", name, 60)
            for store, name in ((ours, "worker-1"), (theirs, "worker-2"))
            for _ in "12345"
        )
        answers = await asyncio.gather(*claims, return_exceptions=True)
        [lease] = [answer for answer in answers if not isinstance(answer, BaseException)]
        refused = [answer for answer in answers if isinstance(answer, LeaseHeld)]
        assert len(refused) == 9
        assert all(lease.owner in str(answer) and f"{lease.until:%H:%M:%S} UTC" in str(answer) for answer in refused)


async def test_the_fence_grows_with_every_claim_and_never_falls(store: Store, state_clock: ManualClock) -> None:
    first = await store.leases.claim("orders", "worker-1", 60)
    await store.leases.release(first)
    second = await store.leases.claim("orders", "worker-1", 60)
    await pass_time(store, state_clock, 60)
    third = await store.leases.claim("orders", "worker-1", 60)
    assert (first.fence, second.fence, third.fence) == (1, 2, 3)


async def test_a_lease_is_renewed_by_its_holder_only(store: Store, state_clock: ManualClock) -> None:
    lease = await store.leases.claim("orders", "worker-1", 60)
    await pass_time(store, state_clock, 50)
    renewed = await store.leases.renew(lease, 60)
    await pass_time(store, state_clock, 50)
    with pytest.raises(LeaseHeld):
        await store.leases.claim("orders", "worker-2", 60)
    await store.leases.release(renewed)
    with pytest.raises(LeaseLost):
        await store.leases.renew(renewed, 60)


async def test_batches_of_two_flows_settle_side_by_side_and_their_audit_is_one_chain(store: Store) -> None:
    leases = [await store.leases.claim(flow, "worker-1", 60) for flow in ("accounts", "orders")]
    batches = [
        (lease, Settlement(audit=[entry(f"{lease.flow}{n}", flow=lease.flow)] * 7)) for lease in leases for n in range(10)
    ]
    await asyncio.gather(*(store.settle(*batch) for batch in batches))
    assert await store.ledger.verify() == (140, None)


async def test_another_flows_link_is_told_the_news_only_while_it_still_stands_as_it_was_read(store: Store) -> None:
    stood = link(agreed=b'{"stage":"Review"}', drift=b'["stage"]')
    lease = await keep(store, [stood], [])
    news = Retold(link=stood.id, was=b'{"stage":"Review"}', agreed=b'{"stage":"Won"}', drift=None)
    await store.settle(lease, Settlement(retold=[msgspec.structs.replace(news, was=b'{"stage":"Older"}')]))
    assert await store.links.by_number("10042") == [stood]
    await store.settle(lease, Settlement(retold=[news]))
    [told] = await store.links.by_number("10042")
    assert (told.agreed, told.drift, told.right) == (b'{"stage":"Won"}', None, stood.right)
