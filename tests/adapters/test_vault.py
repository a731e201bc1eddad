"""Secrets are sealed, open only where they belong and under the right key, and survive the key's rotation."""

import asyncio
import base64
import logging
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from ml_connector.errors import AuthRejected, ConfigError
from ml_connector.ports.secrets import Secret, Token, TokenRecord
from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.store import Store, open_store
from ml_connector_adapters.store.keys import MasterKey
from ml_connector_adapters.vault import Vault

sys.path.append(str(Path(__file__).parent))

from store_world import MORNING

OLD, NEW, WRONG = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2, 3))
TOKEN = Token(value="canary-access", expires_at=MORNING, api_domain="https://www.zohoapis.eu")
Open = Callable[..., AbstractAsyncContextManager[Vault]]


@pytest.fixture
def vault_at(state_url: str, state_clock: ManualClock) -> Open:
    """Opens the vault as a process with this environment would."""

    @asynccontextmanager
    async def opened(**environ: str) -> AsyncIterator[Vault]:
        async with open_store(state_url, clock=state_clock, environ=environ) as store:
            yield Vault(store, environ=environ)

    return opened


@pytest.fixture
def vault(store: Store) -> Vault:
    return Vault(store, environ={"ZOHO_SECRET": "from the environment"})


async def test_a_secret_is_kept_replaced_listed_and_removed(vault: Vault, state_clock: ManualClock) -> None:
    await vault.put("zoho/refresh", "first")
    state_clock.advance(60)
    await vault.put("zoho/refresh", "zweites, größeres")
    assert await vault.get("zoho/refresh") == "zweites, größeres"
    [listed] = await vault.names()
    assert (listed.name, listed.changed_at - listed.created_at) == ("zoho/refresh", timedelta(seconds=60))
    assert (await vault.delete("zoho/refresh"), await vault.delete("zoho/refresh")) == (True, False)
    assert await vault.get("zoho/refresh") is None


async def test_what_a_reference_names_is_found_in_the_vault_the_environment_or_a_file(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from a file\n")
    await vault.put("zoho/refresh", "from the vault")
    assert await vault.reveal(Secret("secret:zoho/refresh")) == "from the vault"
    assert await vault.reveal(Secret("env:ZOHO_SECRET")) == "from the environment"
    assert await vault.reveal(Secret(f"file:{tmp_path}/token")) == "from a file"


@pytest.mark.parametrize(
    ("reference", "advice"),
    [
        ("secret:zoho/refresh", "ml-connector secrets set zoho/refresh"),
        ("env:IFS_SECRET", "Set the environment variable IFS_SECRET"),
        ("file:/nowhere/token", "/nowhere/token"),
    ],
)
async def test_a_missing_secret_says_what_to_do(vault: Vault, reference: str, advice: str) -> None:
    with pytest.raises(AuthRejected, match=advice):
        await vault.reveal(Secret(reference))


async def test_no_secret_is_on_disk_in_clear_nor_in_logs_errors_or_reprs(
    vault_at: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with vault_at() as vault:
        await vault.put("zoho/refresh", "canary-refresh")
        await vault.save("zoho", TokenRecord(token=TOKEN))
        await vault.rotate()
        shown = [caplog.text, repr(vault), repr(await vault.names()), vault.key_origin]
        on_disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    on_disk += b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"zoho/refresh" in on_disk and b"canary" not in on_disk
    assert not any("canary" in part for part in shown)
    with pytest.raises(ConfigError) as refused:
        MasterKey.parse("canary-key", "here")
    assert "canary" not in f"{refused.value!r} {refused.value}" and OLD not in repr(MasterKey.parse(OLD, "here"))


@pytest.mark.parametrize("realm", ["secret", "token"])
async def test_a_row_copied_to_another_name_or_altered_does_not_open(vault: Vault, store: Store, realm: str) -> None:
    await vault.put("zoho/refresh", "canary")
    copy = f"INSERT INTO sealed SELECT '{realm}', 'stolen', key_id, wrapped, box, created_at, changed_at FROM sealed"
    async with store.engine.begin() as connection:
        await connection.execute(text(copy))
    with pytest.raises(ConfigError, match=f"{realm} stolen was altered, or copied"):
        await (vault.get("stolen") if realm == "secret" else vault.load("stolen"))
    async with store.engine.begin() as connection:
        await connection.execute(text("UPDATE sealed SET box = wrapped WHERE name = 'zoho/refresh'"))
    with pytest.raises(ConfigError, match="secret zoho/refresh was altered"):
        await vault.get("zoho/refresh")


async def test_the_same_value_sealed_twice_looks_different(vault: Vault, store: Store) -> None:
    await vault.put("a", "same")
    await vault.put("b", "same")
    async with store.engine.connect() as connection:
        rows = (await connection.execute(text("SELECT wrapped, box FROM sealed"))).all()
    assert len({value for row in rows for value in row}) == 4


async def test_the_generated_key_file_is_for_its_owner_alone(vault_at: Open, tmp_path: Path) -> None:
    async with vault_at() as vault:
        assert not (tmp_path / "state.db.key").exists()
        await vault.put("zoho/refresh", "value")
        assert vault.key_origin == f"the generated file {tmp_path}/state.db.key"
    assert stat.S_IMODE((tmp_path / "state.db.key").stat().st_mode) == 0o600
    assert {path.name for path in tmp_path.iterdir()} == {"state.db", "state.db.key"}


async def test_a_key_may_come_from_the_environment_or_a_named_file(vault_at: Open, tmp_path: Path) -> None:
    (tmp_path / "master").write_text(f"{OLD}\n")
    async with vault_at(ML_CONNECTOR_KEY=OLD) as vault:
        assert vault.key_origin == "the environment variable ML_CONNECTOR_KEY"
        await vault.put("zoho/refresh", "value")
    async with vault_at(ML_CONNECTOR_KEY_FILE=str(tmp_path / "master")) as vault:
        assert await vault.get("zoho/refresh") == "value"
    assert not (tmp_path / "state.db.key").exists()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"ML_CONNECTOR_KEY": WRONG}, "not the one that the secrets here are sealed with"),
        ({"ML_CONNECTOR_KEY": "too short"}, "not base64 of 32 bytes"),
        ({"ML_CONNECTOR_KEY_FILE": "/nowhere/master"}, "/nowhere/master: ML_CONNECTOR_KEY_FILE names a file"),
        ({}, "state.db.key holds none"),
    ],
)
async def test_a_wrong_master_key_is_told_in_words_and_seals_nothing(
    vault_at: Open, environ: dict[str, str], words: str
) -> None:
    async with vault_at(ML_CONNECTOR_KEY=OLD) as vault:
        await vault.put("zoho/refresh", "value")
    async with vault_at(**environ) as vault:
        with pytest.raises(ConfigError, match=words):
            await vault.get("zoho/refresh")
        with pytest.raises(ConfigError, match=words):
            await vault.put("another", "value")
        assert [listed.name for listed in await vault.names()] == ["zoho/refresh"]


async def test_a_lost_master_key_is_overcome_by_starting_the_vault_anew(vault_at: Open) -> None:
    async with vault_at(ML_CONNECTOR_KEY=OLD) as vault:
        await vault.put("zoho/refresh", "value")
    async with vault_at(ML_CONNECTOR_KEY=NEW) as vault:
        assert await vault.forget_all() == 1
        await vault.put("zoho/refresh", "again")
        assert await vault.get("zoho/refresh") == "again"


async def test_rotation_wraps_everything_anew_and_other_processes_go_on(vault_at: Open, tmp_path: Path) -> None:
    async with vault_at() as ours, vault_at() as theirs:
        await ours.put("zoho/refresh", "value")
        await ours.save("zoho", TokenRecord(token=TOKEN))
        assert await theirs.get("zoho/refresh") == "value"
        before = (tmp_path / "state.db.key").read_text()
        assert await ours.rotate() == 2
        assert (tmp_path / "state.db.key").read_text().split() not in ([], before.split())
        assert await theirs.get("zoho/refresh") == "value"
        await theirs.put("another", "value")
        assert await ours.get("another") == "value"
    async with vault_at() as fresh:
        assert (await fresh.load("zoho")).token == TOKEN


@pytest.mark.parametrize("step", ["keys.next", "keys.add", "database.upsert", "keys.keep_only"])
async def test_a_rotation_cut_off_before_any_step_leaves_every_secret_readable(
    vault_at: Open, store: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    vault = Vault(store)
    for name in ("a", "b", "c"):
        await vault.put(name, f"value of {name}")
    part, method = step.split(".")
    monkeypatch.setattr({"keys": store.safe.keys, "database": store.database}[part], method, _die)
    with pytest.raises(ProcessDied):
        await vault.rotate()
    monkeypatch.undo()
    async with vault_at() as after:
        assert [await after.get(name) for name in ("a", "b", "c")] == ["value of a", "value of b", "value of c"]
        assert await after.rotate() == 3
        assert await after.get("a") == "value of a"


class ProcessDied(BaseException):
    """Nothing handles it, as nothing handles a kill."""


def _die(*_: object) -> None:
    raise ProcessDied


async def test_two_rotations_at_once_leave_one_key_and_every_secret_readable(vault_at: Open, tmp_path: Path) -> None:
    async with vault_at() as ours, vault_at() as theirs:
        await ours.put("zoho/refresh", "value")
        await asyncio.gather(ours.rotate(), theirs.rotate())
    async with vault_at() as after:
        assert await after.get("zoho/refresh") == "value"
    assert len((tmp_path / "state.db.key").read_text().split()) == 1


async def test_a_key_of_the_environment_is_rotated_by_putting_the_new_one_in_front(vault_at: Open) -> None:
    async with vault_at(ML_CONNECTOR_KEY=OLD) as vault:
        await vault.put("zoho/refresh", "value")
        with pytest.raises(ConfigError, match="in front of the present one"):
            await vault.rotate()
    async with vault_at(ML_CONNECTOR_KEY=f"{NEW},{OLD}") as vault:
        assert await vault.get("zoho/refresh") == "value"
        assert await vault.rotate() == 1
    async with vault_at(ML_CONNECTOR_KEY=NEW) as vault:
        assert await vault.get("zoho/refresh") == "value"


async def test_a_token_record_survives_a_restart_and_an_unknown_credential_is_empty(vault_at: Open) -> None:
    record = TokenRecord(token=TOKEN, minted=(MORNING, MORNING + timedelta(minutes=1)))
    async with vault_at() as vault:
        assert await vault.load("zoho") == TokenRecord()
        await vault.save("zoho", record)
    async with vault_at() as vault:
        assert await vault.load("zoho") == record


async def test_one_refresher_works_at_a_time_across_tasks_and_processes(vault_at: Open) -> None:
    async with vault_at() as ours, vault_at() as theirs:
        at_work = most = 0

        async def refresh(vault: Vault) -> None:
            nonlocal at_work, most
            async with vault.refreshing("zoho"):
                at_work += 1
                most = max(most, at_work)
                await asyncio.sleep(0.005)
                at_work -= 1

        await asyncio.gather(*(refresh(vault) for vault in (ours, theirs) * 4))
        assert most == 1


async def test_a_dead_refresher_holds_the_others_up_for_a_minute_at_most(vault_at: Open, state_clock: ManualClock) -> None:
    async with vault_at() as dead, vault_at() as living:
        held = dead.refreshing("zoho")
        await held.__aenter__()
        started = state_clock.now()
        async with living.refreshing("ifs"):
            assert state_clock.now() == started
        async with living.refreshing("zoho"):
            assert timedelta(seconds=59) < state_clock.now() - started <= timedelta(seconds=60.5)
        await held.__aexit__(None, None, None)


async def test_a_refresh_that_fails_lets_the_next_one_in_at_once(vault: Vault, state_clock: ManualClock) -> None:
    with pytest.raises(AuthRejected):
        async with vault.refreshing("zoho"):
            raise AuthRejected("refused")
    async with vault.refreshing("zoho"):
        assert state_clock.monotonic() == 0


async def test_a_refresher_that_was_killed_on_this_host_holds_nobody_up(
    vault: Vault, store: Store, state_clock: ManualClock
) -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    await store.leases.claim("refresh zoho", f"{socket.gethostname()}:{process.pid}:abc123", 60)
    started = state_clock.now()
    async with vault.refreshing("zoho"):
        assert state_clock.now() == started
