"""Notices wait durably and collapse; channels are found by their secret path; connections pause."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from ml_connector.errors import Throttled
from ml_connector.ports.notices import Notice, Subscription
from ml_connector.ports.state import Settlement
from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.store import Store, open_store
from ml_connector_adapters.store.tables import METADATA

sys.path.append(str(Path(__file__).parent))

from store_world import KEY, MORNING, keep

CHANNEL = Subscription(
    id="1000068001",
    connection="zoho",
    kinds=("account", "deal"),
    callback_url="https://acme.example/notices/canary-path",
    secret="canary-proof",
    created_at=MORNING,
    expires_at=MORNING + timedelta(days=1),
)


def notice(dedupe: str, *ids: str) -> Notice:
    return Notice(kind="order", ids=ids, dedupe=dedupe)


async def test_a_storm_of_repeated_notices_collapses_and_ids_know_who_named_them(store: Store) -> None:
    storm = [notice("n1", "SO1", "SO2"), notice("n2", "SO1"), notice("n1", "SO1")]
    assert await store.inbox.add("orders", "left", storm) == 2
    assert await store.inbox.add("orders", "left", [notice("n2", "SO1")] * 50) == 0
    assert await store.inbox.add("quotes", "left", [notice("n1", "SQ1")]) == 1
    assert await store.inbox.waiting("orders", "left") == {"SO1": ["n1", "n2"], "SO2": ["n1"]}
    assert await store.inbox.waiting("orders", "right") == {}


async def test_storms_that_come_at_once_collapse_and_are_held_to_the_bound_together(store: Store) -> None:
    store.inbox.bound = 250
    storms = [[notice(f"{wave}-{n}", f"SO{n}") for n in range(100)] for wave in range(4)]
    orders = [order for storm in storms for order in (storm, storm[::-1])]
    answers = await asyncio.gather(*(store.inbox.add("orders", "left", order) for order in orders), return_exceptions=True)
    assert sum(answer for answer in answers if isinstance(answer, int)) == await store.inbox.size() == 200
    assert {type(answer) for answer in answers} == {int, Throttled}


async def test_a_handled_notice_is_remembered_for_a_day_and_another_flow_keeps_its_own(
    store: Store, state_clock: ManualClock
) -> None:
    await store.inbox.add("orders", "left", [notice("n1", "SO1")])
    await store.inbox.add("quotes", "left", [notice("n1", "SQ1")])
    await store.settle(await keep(store, flow="quotes"), Settlement(handled_notices=["n1"]))
    assert await store.inbox.waiting("orders", "left") == {"SO1": ["n1"]}
    assert await store.inbox.add("quotes", "left", [notice("n1", "SQ1")]) == 0
    state_clock.advance(24 * 3600 + 1)
    assert await store.inbox.add("quotes", "left", [notice("n1", "SQ1")]) == 1


async def test_the_inbox_takes_no_more_than_its_bound(store: Store) -> None:
    store.inbox.bound = 3
    await store.inbox.add("orders", "left", [notice("n1", "SO1"), notice("n2", "SO2")])
    with pytest.raises(Throttled, match="3 notices wait already"):
        await store.inbox.add("orders", "left", [notice("n3", "SO3"), notice("n4", "SO4")])
    assert await store.inbox.size() == 2
    await store.settle(await keep(store), Settlement(handled_notices=["n1", "n2"]))
    assert await store.inbox.add("orders", "left", [notice("n3", "SO3"), notice("n4", "SO4")]) == 2


async def test_a_channel_is_found_by_its_path_and_renewed_in_place(store: Store) -> None:
    await store.subscriptions.save(CHANNEL, "canary-path")
    renewed = Subscription(
        **{name: getattr(CHANNEL, name) for name in CHANNEL.__struct_fields__} | {"id": "2", "expires_at": None}
    )
    await store.subscriptions.save(renewed, "canary-path")
    assert await store.subscriptions.by_path("canary-path") == renewed
    await store.subscriptions.save(renewed, "another-path")
    assert await store.subscriptions.by_path("canary-path") is None
    assert await store.subscriptions.all() == [renewed]
    await store.subscriptions.remove(renewed)
    assert await store.subscriptions.all() == []


async def test_what_lets_a_stranger_call_us_is_nowhere_on_disk_in_clear(
    state_url: str, state_clock: ManualClock, tmp_path: Path
) -> None:
    async with open_store(state_url, clock=state_clock, environ={"ML_CONNECTOR_KEY": KEY}) as store:
        await store.subscriptions.save(CHANNEL, "canary-path")
        assert await store.subscriptions.by_path("canary-path") == CHANNEL
        kept = [path.read_bytes() for path in tmp_path.iterdir()]
        async with store.engine.connect() as connection:
            for table in METADATA.sorted_tables:
                kept.append(repr((await connection.execute(table.select())).all()).encode())
    kept += [path.read_bytes() for path in tmp_path.iterdir()]
    assert any(b"1000068001" in content for content in kept)
    assert not any(b"canary" in content for content in kept)


async def test_a_pause_ends_by_itself_or_waits_for_a_person(store: Store) -> None:
    await store.pauses.pause("zoho", "quota used up", MORNING + timedelta(hours=1))
    await store.pauses.pause("ifs", "credentials refused", None)
    assert await store.pauses.paused(MORNING) == {
        "ifs": ("credentials refused", None),
        "zoho": ("quota used up", MORNING + timedelta(hours=1)),
    }
    assert set(await store.pauses.paused(MORNING + timedelta(hours=1))) == {"ifs"}
    await store.pauses.resume("ifs")
    assert set(await store.pauses.paused(MORNING)) == {"zoho"}
