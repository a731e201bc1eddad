"""The audit is complete, in order, and tells when somebody touched it; runs are told newest first."""

import hashlib
import json
import sys
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from ml_connector.ports.state import Change, Counts, End, Settlement
from ml_connector_adapters.store import Store

sys.path.append(str(Path(__file__).parent))

from store_world import MORNING, entry, keep, run


async def test_an_entrys_hash_can_be_made_of_its_row_by_anybody_as_the_docs_say(store: Store) -> None:
    await keep(store, audit=[entry(), entry("10043", side="left", right=End(), changes=(), reason="Größe > 3")])
    before = "0" * 64
    async with store.engine.connect() as connection:
        for row in (await connection.execute(text("SELECT * FROM audit ORDER BY seq"))).mappings():
            stood = {name: value for name, value in sorted(row.items()) if name != "hash" and value is not None}
            said = json.dumps(stood, ensure_ascii=False, separators=(",", ":"))
            assert row["hash"] == hashlib.sha256((before + said).encode()).hexdigest()
            before = row["hash"]


async def meddle(store: Store, *statements: str) -> None:
    async with store.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


SWAP = (
    "UPDATE audit SET seq = -seq WHERE seq IN (4, 5)",
    "UPDATE audit SET seq = 5 WHERE seq = -4",
    "UPDATE audit SET seq = 4 WHERE seq = -5",
)


@pytest.mark.parametrize(
    ("deed", "found"),
    [
        (["UPDATE audit SET reason = 'as agreed' WHERE seq = 3"], (9, 3)),
        (["UPDATE audit SET at = at + 1 WHERE seq = 9"], (9, 9)),
        (["UPDATE audit SET left_version = NULL WHERE seq = 3"], (9, 3)),
        (["UPDATE audit SET side = 'left' WHERE seq = 3"], (9, 3)),
        (["DELETE FROM audit WHERE seq = 6"], (8, 6)),
        (["DELETE FROM audit WHERE seq = 6", "UPDATE audit SET seq = seq - 1 WHERE seq > 6"], (8, 6)),
        (["DELETE FROM audit WHERE seq = 9"], (8, 9)),
        (SWAP, (9, 4)),
    ],
    ids=[
        "changed",
        "moved in time",
        "emptied",
        "turned round",
        "removed",
        "removed and renumbered",
        "cut off the end",
        "reordered",
    ],
)
async def test_an_entry_that_was_touched_is_found(store: Store, deed: list[str], found: tuple[int, int]) -> None:
    await keep(store, audit=[entry(str(n)) for n in range(9)])
    assert await store.ledger.verify() == (9, None)
    await meddle(store, *deed)
    assert await store.ledger.verify() == found


async def test_entries_are_numbered_without_gaps_across_settlements_that_failed(store: Store) -> None:
    lease = await keep(store, audit=[entry("1"), entry("2")])
    await store.leases.release(lease)
    with pytest.raises(Exception, match="lease"):
        await store.settle(lease, Settlement(audit=[entry("lost")]))
    await keep(store, audit=[entry("3")])
    assert [(record.seq, record.entry.number) async for record in store.ledger.entries()] == [(1, "1"), (2, "2"), (3, "3")]


async def test_an_entry_comes_back_as_it_was_with_unknown_and_cleared_values_apart(store: Store) -> None:
    changes = (
        Change(field="note", new=None),
        Change(field="total", old="12.50", new=["1.5", {"decimal": "2"}]),
        Change(field="x"),
    )
    told = entry(
        changes=changes, rule="owner: ifs", reason="Größe > 3 „m“", side="left", at=MORNING + timedelta(microseconds=1)
    )
    await keep(store, audit=[told])
    assert [record.entry async for record in store.ledger.entries()] == [told]
    assert await store.ledger.verify() == (1, None)


async def test_entries_are_told_of_one_link_one_run_or_since_a_time(store: Store) -> None:
    later = MORNING + timedelta(hours=1)
    await keep(store, audit=[entry("1"), entry("2"), entry("1", run="run-2", at=later), entry("2", run="run-2", at=later)])

    async def seqs(**which: object) -> list[int]:
        return [record.seq async for record in store.ledger.entries(**which)]  # type: ignore[arg-type]

    assert await seqs(link="link-1") == [1, 3]
    assert await seqs(run="run-2") == [3, 4]
    assert await seqs(since=later) == [3, 4]
    assert await seqs(since=MORNING, link="link-2", run="run-2") == [4]
    assert await seqs(since=later + timedelta(seconds=1)) == []


async def test_a_long_audit_is_read_and_verified_in_flat_memory(store: Store) -> None:
    lease = await keep(store)
    for _ in range(8):
        await store.settle(lease, Settlement(audit=[entry(reason="x" * 1000)] * 1000))
    tracemalloc.start()
    count = sum([1 async for _ in store.ledger.entries()])
    assert (count, await store.ledger.verify()) == (8000, (8000, None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000


async def test_runs_are_told_newest_first_as_they_ended(store: Store) -> None:
    for hour in range(3):
        await store.ledger.start(run(f"run-{hour}", MORNING + timedelta(hours=hour)))
    done = run("run-1", MORNING + timedelta(hours=1))
    done.ended_at, done.outcome, done.counts = MORNING + timedelta(hours=2), "green", Counts(read=5, unchanged=5)
    await store.ledger.finish(done)
    newest, before = await store.ledger.last("orders", count=2)
    assert (newest.id, newest.outcome, newest.ended_at) == ("run-2", "running", None)
    assert before == done
    assert await store.ledger.last("accounts") == []
