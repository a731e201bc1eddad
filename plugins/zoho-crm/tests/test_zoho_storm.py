"""A bad day at Zoho: whatever goes wrong on the way, every customer is there once and every change is read."""

import pytest

from ml_connector.domain import Account
from ml_connector.errors import RetryLater
from ml_connector.ports.sink import Create, Key, Update, Written
from ml_connector.twin import Fault

WEATHER = (
    Fault(kind="lost_before"),
    Fault(kind="lost_after"),
    Fault(kind="garbage"),
    Fault(kind="status", status=503),
    Fault(kind="status", status=429, body=b'{"code":"TOO_MANY_REQUESTS"}'),
    Fault(kind="expire_tokens", path="/crm/"),
)


async def insist(world, call):
    """Repeat as the engine does, an hour later each time, until nothing is raised."""
    for _ in range(60):
        try:
            return await call()
        except RetryLater:
            world.pass_time(hours=1)
    raise AssertionError("the storm should have let something through by now")


@pytest.mark.parametrize("seed", range(6))
async def test_every_customer_is_there_once_and_every_change_is_read(zoho, seed):
    world = zoho(coql_page=3)
    sink, source = world.connection.sinks["account"], world.connection.sources["account"]
    world.twin.faults.storm(seed, 0.2, WEATHER)
    waiting = {f"C-{n}" for n in range(20)}
    while waiting:
        writes = [Create(key=Key("number", n), entity=Account(number=n, name=f"Customer {n}")) for n in sorted(waiting)]
        outcomes = await insist(world, lambda writes=writes: sink.write(writes))
        waiting -= {write.key.value for write, outcome in zip(writes, outcomes, strict=True) if isinstance(outcome, Written)}
    numbers = [row["ERP_Customer_No"] for row in world.twin.records("Accounts").values()]
    assert sorted(numbers) == sorted({f"C-{n}" for n in range(20)})

    world.pass_time(hours=1)
    seen = {}
    cursor = None

    async def read_on():
        nonlocal cursor
        async for page in source.changed_since(cursor):
            seen.update({record.id: record for record in page.records})
            cursor = page.cursor

    await insist(world, read_on)
    assert len(seen) == 20
    changes = [Update(id=record.id, changes=Account(fax="1"), version=record.version) for record in seen.values()]
    await insist(world, lambda: sink.write(changes))
    world.pass_time(hours=1)
    await insist(world, read_on)
    stored = {record_id: row.get("Fax") for record_id, row in world.twin.records("Accounts").items()}
    assert {record.id: record.entity.fax for record in seen.values()} == stored
