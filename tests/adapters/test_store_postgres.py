"""What only a server can do to us: go away, refuse, keep a lock, tell another time; and how its driver comes along."""

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ml_connector.errors import ConfigError, LeaseHeld, Unavailable
from ml_connector.ports.state import Settlement
from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.store import Store, migrations, open_store, schema, status, upgrade
from ml_connector_adapters.store import postgres as driver
from ml_connector_adapters.store.leases import hold

sys.path.append(str(Path(__file__).parent))

from store_world import KEY, Postgres, entry, keep, link


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.fresh()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url, clock=ManualClock()) as store:
        yield store


async def test_a_server_that_stops_is_an_outage_in_words_and_work_goes_on_when_it_is_back(
    store: Store, url: str, postgres: Postgres
) -> None:
    lease = await keep(store, [link()], [entry()])
    batch = Settlement(links=[link("10043")], audit=[entry("10043")])
    postgres.stop()
    try:
        attempts = (store.settle(lease, batch), store.links.tally("orders"), store.leases.renew(lease, 60), status(url))
        for attempt in (*attempts, upgrade(url)):
            with pytest.raises(Unavailable, match=r"state: The state cannot be used: .+ See that the database server runs"):
                await attempt
    finally:
        postgres.start()
    await store.settle(lease, batch)
    assert await store.ledger.verify() == (2, None)


async def test_a_transaction_that_the_servers_restart_cut_off_is_an_outage_and_nothing_of_it_is_kept(
    store: Store, postgres: Postgres
) -> None:
    lease = await keep(store)
    with pytest.raises(Unavailable, match=r"terminating connection|connection was (closed|lost)"):
        async with store.database.writing() as connection:
            await store.links.write(connection, [link()])
            postgres.stop()
            postgres.start()
            await hold(connection, lease)
    assert await store.links.by_number("10042") == []


async def test_connections_that_a_restart_of_the_server_closed_are_replaced_without_a_word(
    store: Store, postgres: Postgres
) -> None:
    lease = await keep(store)
    postgres.stop()
    postgres.start()
    await asyncio.sleep(0.1)
    assert await store.links.tally("orders") == {}
    await store.settle(lease, Settlement(links=[link()]))


async def test_a_lock_that_somebody_keeps_for_too_long_is_an_outage_in_words(store: Store, url: str) -> None:
    lease = await keep(store)
    async with open_store(f"{url}&lock_timeout=100ms", clock=ManualClock()) as other, store.database.writing() as connection:
        await hold(connection, lease)
        with pytest.raises(Unavailable, match="lock timeout"):
            await other.leases.release(lease)


@pytest.mark.parametrize("state", ["08006", "25006", "40P01", "40001", "53100", "53300", "55P03", "57P01", "57P03", "58030"])
async def test_what_passes_by_itself_is_an_outage(store: Store, state: str) -> None:
    with pytest.raises(Unavailable, match="the server's words"):
        async with store.database.writing() as connection:
            await connection.execute(text(f"DO $$ BEGIN RAISE 'the server''s words' USING ERRCODE = '{state}'; END $$"))


@pytest.mark.parametrize("state", ["42P01", "22021", "23505"])
async def test_what_would_fail_again_is_no_outage(store: Store, state: str) -> None:
    with pytest.raises(DBAPIError, match="the server's words"):
        async with store.database.writing() as connection:
            await connection.execute(text(f"DO $$ BEGIN RAISE 'the server''s words' USING ERRCODE = '{state}'; END $$"))


async def test_a_process_that_froze_inside_a_transaction_holds_the_others_up_for_a_while_only(url: str, store: Store) -> None:
    impatient = f"{url}&idle_in_transaction_session_timeout=300ms"
    async with open_store(impatient, clock=ManualClock()) as frozen:
        lease = await keep(frozen)
        with pytest.raises(Unavailable):
            async with frozen.database.writing() as connection:
                await hold(connection, lease)
                await frozen.links.write(connection, [link()])
                await frozen.ledger.append(connection, [entry()])
                await asyncio.wait_for(keep(store, audit=[entry("7", flow="accounts")], flow="accounts"), 5)
    assert await store.links.by_number("10042") == []
    assert await store.ledger.verify() == (1, None)


async def test_whose_clock_is_a_day_ahead_does_not_take_a_flow_from_its_runner(url: str, store: Store) -> None:
    ahead = ManualClock(store.database.clock.now() + timedelta(days=1))
    lease = await store.leases.claim("orders", "worker-1", 60)
    async with open_store(url, clock=ahead) as theirs:
        with pytest.raises(LeaseHeld):
            await theirs.leases.claim("orders", "worker-2", 60)
        assert (await theirs.leases.renew(lease, 60)).until - lease.until < timedelta(seconds=30)


async def test_an_operator_who_touches_the_records_of_a_settlement_never_waits_in_a_circle_with_it(store: Store) -> None:
    everything = [link(f"{n:04}") for n in range(400)]
    lease = await keep(store, everything)
    ids = [one.id for one in everything]
    for _ in range(5):
        await asyncio.gather(
            store.settle(lease, Settlement(links=everything[::-1])),
            store.links.mark_due(ids, again=True),
            store.settle(lease, Settlement(links=everything)),
            store.links.mark_due(ids[::-1]),
            store.links.dismiss(ids[::-1]),
        )
    assert sum((await store.links.tally("orders")).values()) == 400


async def test_of_two_machines_with_different_master_keys_one_seals_and_the_other_is_told(url: str) -> None:
    async def put(store: Store, name: str) -> str:
        async with store.database.writing() as connection:
            try:
                await store.safe.put(connection, "secret", name, b"value")
            except ConfigError as error:
                return str(error)
        return "sealed"

    keys = ({"ML_CONNECTOR_KEY": KEY}, {"ML_CONNECTOR_KEY": KEY[::-1].lstrip("=") + "="})
    async with (
        open_store(url, clock=ManualClock(), environ=keys[0]) as ours,
        open_store(url, clock=ManualClock(), environ=keys[1]) as theirs,
    ):
        told = await asyncio.gather(*(put(store, f"{n}") for n in range(4) for store in (ours, theirs)))
        assert {frozenset(told[::2]), frozenset(told[1::2])} > {frozenset({"sealed"})}
        assert told.count("sealed") == 4 and all("not the one" in each for each in told if each != "sealed")


async def test_of_a_link_that_is_settled_twice_in_one_batch_the_last_word_counts(store: Store) -> None:
    await keep(store, [link(), link("7"), link(standing="gone")])
    assert await store.links.by_number("10042") == [link(standing="gone")]


async def test_no_index_depends_on_the_sorting_rules_of_a_locale(store: Store) -> None:
    by_locale = """
        SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
        WHERE c.relnamespace = current_schema()::regnamespace AND a.attcollation NOT IN (0, '"C"'::regcollation)"""
    async with store.engine.connect() as connection:
        assert [*(await connection.execute(text(by_locale))).scalars()] == [migrations.VERSION_TABLE]


async def test_processes_that_create_the_same_state_at_once_take_turns(url: str) -> None:
    script = f"import asyncio; from ml_connector_adapters.store import upgrade; asyncio.run(upgrade({url!r}))"
    processes = [await asyncio.create_subprocess_exec(sys.executable, "-c", script) for _ in range(3)]
    assert [await process.wait() for process in processes] == [0, 0, 0]
    assert await status(url) == (schema.HEAD, schema.HEAD)


async def test_a_database_that_is_not_there_is_a_mistake_and_not_an_outage(url: str) -> None:
    with pytest.raises(ConfigError, match='database "nowhere" does not exist'):
        await status(url.replace("/postgres?", "/nowhere?"))


async def test_a_user_without_the_right_to_create_tables_is_told_so(url: str, postgres: Postgres) -> None:
    postgres.run("DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN")
    with pytest.raises(ConfigError, match=r"permission denied.+must be allowed to create tables"):
        await upgrade(url.replace("postgres:@", "clerk@").partition("&search_path")[0])


async def test_without_the_driver_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'ml-connector\[postgres\]'"):
        await status("postgresql://sync@db.acme.example/acme")


async def test_sessions_can_be_told_from_others_and_a_url_may_set_what_it_wants(url: str) -> None:
    async with open_store(f"{url}&lock_timeout=5s", clock=ManualClock()) as store, store.engine.connect() as connection:
        told = [(await connection.execute(text(f"SHOW {name}"))).scalar() for name in ("application_name", "lock_timeout")]
    assert told == ["ml-connector", "5s"]
