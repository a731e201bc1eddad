"""A state is created whole, upgraded on request, and never touched when it is not ours to read."""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from ml_connector.domain import Ref
from ml_connector.errors import ConfigError, Unavailable
from ml_connector.ports.state import End, Link, Trouble
from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.store import Store, migrations, open_store, schema, status, upgrade
from ml_connector_adapters.store.engine import open_engine, parse_url
from ml_connector_adapters.store.tables import METADATA

sys.path.append(str(Path(__file__).parent))

from store_world import intent, link


async def test_a_new_state_is_created_and_opens_again(state_url: str, state_clock: ManualClock) -> None:
    assert await status(state_url) == (None, schema.HEAD)
    async with open_store(state_url, clock=state_clock) as store:
        await store.leases.claim("orders", "worker-1", 60)
    assert await status(state_url) == (schema.HEAD, schema.HEAD)
    await upgrade(state_url)
    async with open_store(state_url, clock=state_clock, create=False) as store:
        assert await store.ledger.verify() == (0, None)


async def test_several_may_create_the_same_state_at_once(state_url: str, state_clock: ManualClock) -> None:
    await asyncio.gather(*(upgrade(state_url) for _ in range(3)))
    assert await status(state_url) == (schema.HEAD, schema.HEAD)


async def test_the_migrations_lead_to_the_tables_that_the_program_uses(store: Store) -> None:
    def differences(connection: object) -> list[object]:
        context = MigrationContext.configure(connection, opts={"version_table": migrations.VERSION_TABLE})  # type: ignore[arg-type]
        return list(compare_metadata(context, METADATA))

    async with store.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_state_of_one_way_flows_is_brought_to_two_ways_and_all_of_it_is_found(
    state_url: str, state_clock: ManualClock
) -> None:
    swept, mark = "2026-01-05T08:00:00Z", '"k|1"'
    was = (
        "INSERT INTO links (id, flow, number, left_id, left_version, right_id, right_version, standing, agreed, held, drift,"
        " missed, due, trouble, trouble_since, waits_kind, waits_key) VALUES ('l1', 'orders', '10042', 'SO1', 'v1', '55', 't1',"
        " 'agreed', :agreed, :held, :drift, 1, false, NULL, NULL, NULL, NULL), ('l2', 'orders', '10043', 'SO2', NULL, NULL,"
        " NULL, 'parked', NULL, NULL, NULL, 0, true, :trouble, NULL, 'account', 'C-1')",
        "INSERT INTO sightings (flow, id) VALUES ('orders', 'SO1')",
        "INSERT INTO intents (link, flow, kind, field, value, source_id, at)"
        " VALUES ('l2', 'orders', 'deal', 'name', '10043', 'SO2', 1767600000123456)",
        "INSERT INTO inbox (flow, dedupe, kind, ids, received_at) VALUES ('orders', 'n1', 'deal', :ids, 0)",
        "INSERT INTO cursors (flow, cursor, moved_at) VALUES ('a', :whole, 0), ('b', :fed, 0), ('c', '{}', 0)",
    )
    given = {
        "agreed": b"{}",
        "held": b'{"note": "x"}',
        "drift": b'["note"]',
        "trouble": '{"code":"PARENT_MISSING","reason":"no customer","waits_for":{"kind":"account","key":"C-1"}}',
        "ids": '["55"]',
        "whole": f'{{"left":{mark},"right":"r","swept_at":"{swept}","full_at":"{swept}","signature":"s"}}'.replace("k|", "ä|"),
        "fed": '{"left":"l"}',
    }
    engine = open_engine(parse_url(state_url))
    async with engine.begin() as connection:
        await connection.run_sync(schema.run_migrations, "0001")
        for statement in map(text, was):
            await connection.execute(statement, {name: given[name] for name in statement.compile().params})
    await engine.dispose()
    with pytest.raises(ConfigError, match="older version"):
        async with open_store(state_url, clock=state_clock):
            pass
    await upgrade(state_url)

    trouble = Trouble(code="PARENT_MISSING", reason="no customer", waits_for=Ref("account", "C-1"))
    settled = {"left": End("SO1", "v1", None, 1), "right": End("55", "t1", b'{"note": "x"}'), "agreed": b"{}"}
    async with open_store(state_url, clock=state_clock, create=False) as store:
        assert await store.links.by_id("orders", "left", ["SO1", "SO2"]) == {
            "SO1": Link(id="l1", flow="orders", number="10042", standing="agreed", drift=b'["note"]', **settled),
            "SO2": link("10043", "parked", id="l2", left=End("SO2"), right=End(), trouble=trouble, due=True),
        }
        assert await store.links.awaited("orders", "left") == [Ref("account", "C-1")]
        assert await store.intents.of("orders") == [intent("10043", link="l2", source_id="SO2")]
        assert await store.inbox.waiting("orders", "right") == {"55": ["n1"]}
        assert [found.id for found in await anext(store.links.unsighted("orders", "left"))] == ["l1", "l2"]
        assert [json.loads(await store.cursors.load(flow) or "") for flow in "abc"] == [
            {
                "left": {"cursor": "ä|1", "swept_at": swept, "full_at": swept},
                "right": {"cursor": "r"},
                "signature": "s",
                "opened": True,
            },
            {"left": {"cursor": "l"}, "opened": True},
            {"opened": True},
        ]


def test_every_revision_is_known_without_loading_alembic() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(migrations.REVISIONS)


def test_without_permission_to_create_a_missing_state_is_an_error_and_no_file(tmp_path: Path) -> None:
    async def look() -> None:
        async with open_store(f"sqlite:///{tmp_path}/state.db", clock=ManualClock(), create=False):
            pass

    with pytest.raises(ConfigError, match="db upgrade"):
        asyncio.run(look())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("revision", "advice"), [("9999", "pip install --upgrade"), ("0000", "ml-connector db upgrade")])
async def test_a_state_of_another_version_is_refused_and_not_a_byte_of_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str, advice: str
) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    await upgrade(url)
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE ml_connector_revision SET version_num = ?", [revision])
    connection.close()
    monkeypatch.setattr(schema, "REVISIONS", ("0000", *migrations.REVISIONS))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ConfigError, match=advice):
        async with open_store(url, clock=ManualClock()):
            pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


async def test_a_newer_state_is_not_upgraded_downwards(tmp_path: Path) -> None:
    await upgrade(f"sqlite:///{tmp_path}/state.db")
    with sqlite3.connect(tmp_path / "state.db") as connection:
        connection.execute("UPDATE ml_connector_revision SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigError, match="newer version"):
        await upgrade(f"sqlite:///{tmp_path}/state.db")


@pytest.mark.parametrize("content", [b"This is a letter to Acme, and not a database. " * 20, None])
async def test_somebody_elses_file_is_refused_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "letters.db"
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE letters (words TEXT)")
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"letters\.db"):
        async with open_store(f"sqlite:///{path}", clock=ManualClock()):
            pass
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "url", ["mysql://canary@host/db", "state.db", "sqlite://", "sqlite:///:memory:", "postgresql://canary@host"]
)
async def test_an_address_that_is_not_understood_is_explained_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match=r"sqlite:///state\.db") as refused:
        await status(url)
    assert "canary" not in str(refused.value)


async def test_reads_go_on_while_somebody_writes(store: Store) -> None:
    async with store.database.writing():
        assert await asyncio.wait_for(store.links.tally("orders"), 2) == {}


async def test_a_state_that_somebody_else_keeps_locked_is_an_outage_in_words(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/state.db", clock=ManualClock()) as store:
        async with store.database.writing() as connection:
            await connection.exec_driver_sql("PRAGMA busy_timeout=10")
        holder = sqlite3.connect(tmp_path / "state.db")
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="database is locked"):
            await store.leases.claim("orders", "worker-1", 60)
        holder.close()
        assert (await store.leases.claim("orders", "worker-1", 60)).fence == 1


async def test_customers_data_stays_out_of_the_databases_errors(store: Store) -> None:
    async with store.engine.begin() as connection:
        with pytest.raises(Exception, match=r"no such table|does not exist") as failed:
            await connection.execute(text("INSERT INTO nowhere VALUES (:who)"), {"who": "Acme GmbH"})
    assert "Acme" not in str(failed.value)
