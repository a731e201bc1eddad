"""The composition root: the one module that knows dependency-injector. Open things come in, finished objects go out."""

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec
from dependency_injector import containers, providers

from ml_connector.ports.secrets import Secret, Token
from ml_connector.sync.passage import World
from ml_connector.system import Connection
from ml_connector_adapters import telemetry as otel
from ml_connector_adapters.clock import SystemClock
from ml_connector_adapters.config import Workspace
from ml_connector_adapters.owner import this_process
from ml_connector_adapters.runner.host import ConnectionHost, ConnectionTokens
from ml_connector_adapters.runner.worker import Worker
from ml_connector_adapters.store import Store, open_store
from ml_connector_adapters.vault import Vault

_PREFIX = uuid4().hex[:20]
_COUNT = count()


def new_id() -> str:
    """32 hex digits, unique: random per process and counted within it, so that rows of one run lie side by side on disk."""
    return f"{_PREFIX}{next(_COUNT):012x}"


class Root(containers.DeclarativeContainer):
    """One workspace's objects. ``store``, ``connections`` and ``workspace`` are opened by ``open_workspace``."""

    workspace = providers.Dependency(instance_of=Workspace)
    store = providers.Dependency(instance_of=Store)
    telemetry: providers.Dependency[otel.Telemetry] = providers.Dependency()
    connections: providers.Dependency[Mapping[str, Connection]] = providers.Dependency()
    clock = providers.Singleton(SystemClock)
    vault = providers.Singleton(Vault, store)
    host = providers.Factory(ConnectionHost, clock=clock, secrets=vault, tokens=vault)
    world = providers.Singleton(
        World,
        state=store,
        clock=clock,
        telemetry=telemetry,
        new_id=providers.Object(new_id),
        owner=providers.Callable(this_process),
        flows=workspace.provided.flows,
    )
    worker = providers.Singleton(Worker, world, connections)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """One workspace, ready to work; closed by the context that gave it."""

    workspace: Workspace
    store: Store
    vault: Vault
    world: World
    worker: Worker
    connections: Mapping[str, Connection]

    @property
    def key_origin(self) -> str:
        return self.vault.key_origin

    async def token(self, connection: str) -> Token | None:
        """The access token at hand for a connection (its ``repr`` hides it), None if there is none."""
        return await ConnectionTokens(connection, self.vault).living()


@asynccontextmanager
async def open_workspace(
    workspace: Workspace, *, telemetry: otel.Telemetry | None = None, transports: Mapping[str, Any] | None = None
) -> AsyncIterator[Opened]:
    """State, vault and connections of one workspace. ``transports`` replace the network per connection (twins in process).

    Without ``telemetry`` the process's providers are installed here and shut down at the end. Raises ConfigError.
    """
    root = Root(workspace=workspace)
    async with AsyncExitStack() as stack:
        if telemetry is None:
            telemetry = otel.install()
            stack.callback(otel.shutdown)
        root.telemetry.override(providers.Object(telemetry))
        store = await stack.enter_async_context(open_store(workspace.state, clock=root.clock()))
        root.store.override(providers.Object(store))
        connections: dict[str, Connection] = {}
        for name, configured in workspace.connections.items():
            host = root.host(name, transport=(transports or {}).get(name))
            connections[name] = configured.system.connect(configured.settings, host)
            stack.push_async_callback(connections[name].close)
        root.connections.override(providers.Object(connections))
        root.check_dependencies()
        gc.enable()
        gc.freeze()  # what stands here stays; records that pass by are many and short-lived, and form no circles
        gc.set_threshold(5_000, 10, 10)
        yield Opened(
            workspace=workspace,
            store=store,
            vault=root.vault(),
            world=root.world(),
            worker=root.worker(),
            connections=connections,
        )


@asynccontextmanager
async def open_vault(workspace: Workspace) -> AsyncIterator[Vault]:
    """The vault alone, for the commands that keep secrets before anything can connect."""
    async with open_store(workspace.state, clock=SystemClock()) as store:
        yield Vault(store)


async def keep_secret(workspace: Workspace, name: str, value: str) -> list[str]:
    """Put a secret into the vault. A connection that uses it and waits for a person goes on; returns the names of those."""
    clock = SystemClock()
    async with open_store(workspace.state, clock=clock) as store:
        await Vault(store).put(name, value)
        waiting = [each for each, (_, until) in (await store.pauses.paused(clock.now())).items() if until is None]
        freed = [
            each
            for each in waiting
            if each in workspace.connections and _uses(workspace.connections[each].settings, Secret(f"secret:{name}"))
        ]
        for connection in freed:
            await store.pauses.resume(connection)
    return freed


def _uses(settings: object, secret: Secret) -> bool:
    if isinstance(settings, msgspec.Struct):
        return any(_uses(part, secret) for part in msgspec.structs.astuple(settings))
    if isinstance(settings, Mapping):
        return any(_uses(part, secret) for part in settings.values())
    if isinstance(settings, (list, tuple)):
        return any(_uses(part, secret) for part in settings)
    return settings == secret
