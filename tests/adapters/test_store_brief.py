"""Brief statements are done at once; whatever may wait for somebody leaves the event loop to others (decision 0026)."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.ports.state import Retold, Settlement
from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.store import Store, open_store
from ml_connector_adapters.store.sqlite import Connection

sys.path.append(str(Path(__file__).parent))

from store_world import entry, intent, keep, link


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path}/state.db", clock=ManualClock()) as store:
        yield store


async def others_had_a_turn(during: AbstractAsyncContextManager[AsyncConnection]) -> bool:
    """Whether anybody else came in while one statement was executed."""
    turns: list[str] = []
    async with during as connection:
        await connection.execute(text("SELECT 1"))  # whatever the first one needs besides
        asyncio.get_running_loop().call_soon(turns.append, "somebody else")
        await connection.execute(text("SELECT count(*) FROM links"))
        return bool(turns)


async def test_a_brief_statement_is_done_before_anybody_else_has_a_turn(file: Store) -> None:
    assert not await others_had_a_turn(file.database.reading(brief=True))
    assert not await others_had_a_turn(file.database.writing(brief=True))


async def test_other_statements_leave_the_event_loop_to_others_even_on_a_connection_that_was_brief_before(file: Store) -> None:
    for _ in range(2):
        assert await others_had_a_turn(file.database.reading())
        assert await others_had_a_turn(file.database.writing())
        assert not await others_had_a_turn(file.database.writing(brief=True))


async def test_a_brief_transaction_that_waits_for_another_process_keeps_nobody_else_waiting(
    file: Store, tmp_path: Path
) -> None:
    lease = await keep(file, [link()], [entry()])
    holder = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    opening = asyncio.create_task(file.intents.open(lease, [intent("10043")]))
    for _ in range(5):
        await asyncio.sleep(0.02)
        assert (await file.links.by_id("orders", "left", ["SO10042"]))["SO10042"] == link()
    assert not opening.done()
    holder.execute("COMMIT")
    holder.close()
    await asyncio.wait_for(opening, 30)
    assert await file.intents.of("orders") == [intent("10043")]


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was given to the driver's thread."""
    made: list[object] = []
    execute = Connection._execute

    def counted(connection: Connection, function: Any, *args: Any, **more: Any) -> Any:
        made.append(function)
        return execute(connection, function, *args, **more)

    monkeypatch.setattr(Connection, "_execute", counted)
    return made


@pytest.mark.parametrize(("count", "given"), [(1000, 0), (1001, 2)])
async def test_looking_up_more_than_a_thousand_records_is_left_to_the_drivers_thread(
    file: Store, trips: list[object], count: int, given: int
) -> None:
    ids = [f"SO{n}" for n in range(count)]
    await file.links.by_id("orders", "left", ids)  # whatever the first time needs besides
    trips.clear()
    assert await file.links.by_id("orders", "left", ids) == {}
    assert len(trips) == given


BULKY = {
    "links": lambda count: Settlement(links=[link(str(n)) for n in range(count)]),
    "audit": lambda count: Settlement(audit=[entry(str(n)) for n in range(count)]),
    "intents": lambda count: Settlement(ended_intents=[f"link-{n}" for n in range(count)]),
    "notices": lambda count: Settlement(handled_notices=[f"n{n}" for n in range(count)]),
    "retold": lambda count: Settlement(
        retold=[Retold(link=f"link-{n}", was=b"", agreed=b"", drift=None) for n in range(count)]
    ),
}


@pytest.mark.parametrize("part", BULKY)
async def test_of_a_settlement_with_more_than_a_thousand_rows_of_anything_all_is_left_to_the_drivers_thread(
    file: Store, trips: list[object], part: str
) -> None:
    lease = await keep(file)
    trips.clear()
    await file.settle(lease, BULKY[part](1000))
    assert len(trips) == 2  # to begin and to commit
    trips.clear()
    await file.settle(lease, BULKY[part](1001))
    assert len(trips) > 3


async def test_nothing_null_binary_or_boolean_changes_on_its_way_into_a_column(file: Store) -> None:
    odd = link(agreed=b"\x00\xff'", drift=None, due=True)
    await keep(file, [odd])
    assert (await file.links.by_id("orders", "left", ["SO10042"]))["SO10042"] == odd
