"""The composition root: finished objects, everything closed again, and a part that is missing is named."""

import msgspec
import pytest
from dependency_injector.errors import Error

from ml_connector.errors import AuthRejected
from ml_connector.ports.secrets import Secret, Token, TokenRecord
from ml_connector.system import Connection, SystemSpec
from ml_connector.testing import SilentTelemetry
from ml_connector_adapters.config import ConnectionConfig, Workspace
from ml_connector_adapters.runner.container import Root, keep_secret, new_id, open_vault, open_workspace
from ml_connector_adapters.runner.host import ConnectionTokens


class Settings(msgspec.Struct, frozen=True):
    """Secrets at the top, in a table and in a list."""

    key: Secret = Secret("secret:acme/key")
    more: dict[str, Secret] = {}
    proxies: tuple[Secret, ...] = ()


class Plugin:
    """A system that notes what it was lent, and when it was closed."""

    def __init__(self, breaks=None):
        self.hosts, self.closed, self._breaks = {}, [], breaks

    def connect(self, settings, host):
        if host.connection == self._breaks:
            raise ZeroDivisionError
        self.hosts[host.connection] = host

        async def close():
            self.closed.append(host.connection)

        return Connection(close=close)

    def workspace(self, folder, **connections):
        spec = SystemSpec(name="acme-erp", title="Acme", settings=Settings, connect=self.connect)
        configured = {
            name: ConnectionConfig(name=name, system=spec, settings=settings) for name, settings in connections.items()
        }
        values = {"name": "acme", "state": f"sqlite:///{folder}/acme.db", "public_url": None}
        return Workspace(**values, connections=configured, flows=(), tables={}, path=folder / "ml-connector.toml")


def test_a_missing_part_is_named_before_anything_runs():
    root = Root()
    with pytest.raises(Error, match="workspace") as told:
        root.check_dependencies()
    assert "store" in str(told.value)


async def test_connections_are_built_with_what_is_theirs_and_closed_at_the_end(tmp_path):
    plugin = Plugin()
    workspace = plugin.workspace(tmp_path, erp=Settings(), crm=Settings())
    async with open_workspace(workspace, telemetry=SilentTelemetry(), transports={"erp": "a wire"}) as here:
        assert list(here.connections) == ["erp", "crm"]
        assert (plugin.hosts["erp"].transport, plugin.hosts["crm"].transport) == ("a wire", None)
        with pytest.raises(AuthRejected, match="secret:acme/key") as told:
            await plugin.hosts["crm"].secrets.reveal(Secret("secret:acme/key"))
        assert told.value.where == "crm"
        assert plugin.closed == []
    assert sorted(plugin.closed) == ["crm", "erp"]


async def test_what_was_opened_is_closed_when_a_later_connection_cannot_be_built(tmp_path):
    plugin = Plugin(breaks="crm")
    workspace = plugin.workspace(tmp_path, erp=Settings(), crm=Settings())
    with pytest.raises(ZeroDivisionError):
        async with open_workspace(workspace, telemetry=SilentTelemetry()):
            raise AssertionError("it must not open")
    assert plugin.closed == ["erp"]


async def test_tokens_of_two_connections_never_meet(tmp_path):
    workspace = Plugin().workspace(tmp_path)
    async with open_workspace(workspace, telemetry=SilentTelemetry()) as here:
        erp, crm = (ConnectionTokens(name, here.vault) for name in ("erp", "crm"))
        token = Token(value="t-1", expires_at=here.world.clock.now())
        await erp.save("default", TokenRecord(token=token))
        assert (await crm.load("default")).token is None
        assert await here.token("erp") == token


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(key=Secret("env:X"), more={"b": Secret("secret:acme/key")}),
        Settings(key=Secret("env:X"), proxies=(Secret("secret:acme/key"),)),
    ],
)
async def test_a_new_secret_frees_the_connections_that_use_it_and_no_others(tmp_path, settings):
    workspace = Plugin().workspace(tmp_path, erp=settings, crm=Settings(key=Secret("secret:crm/key")))
    async with open_workspace(workspace, telemetry=SilentTelemetry()) as here:
        for name in ("erp", "crm"):
            await here.store.pauses.pause(name, "refused", None)
        assert await keep_secret(workspace, "acme/key", "s3cret") == ["erp"]
        assert list(await here.store.pauses.paused(here.world.clock.now())) == ["crm"]
    async with open_vault(workspace) as vault:
        assert await vault.reveal(Secret("secret:acme/key")) == "s3cret"


def test_ids_are_32_hex_digits_and_never_repeat():
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(len(one) == 32 and int(one, 16) for one in made)
    assert made == sorted(made)
