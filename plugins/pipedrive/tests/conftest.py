"""A Pipedrive company on this machine: the plugin in front, its twin behind, and no time but the twin's."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ml_connector.ports.sink import Create, Key, Outcome, Update, Write, Written
from ml_connector.system import Connection
from ml_connector.testing import ManualClock, MemoryTokens, memory_host
from ml_connector.twin import TwinClock
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_pipedrive.adapters import connect
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.twin import PipedriveTwin

BASE = "http://127.0.0.1:8123"


class World:
    """One twin and one connection to it."""

    def __init__(self, twin: PipedriveTwin, clock: ManualClock, **settings: Any) -> None:
        self.twin, self.clock = twin, clock
        self.settings = settings_for(**{**twin.settings(BASE), **settings})
        self.host = memory_host(
            "crm", clock=clock, secrets=secrets_of(twin), tokens=MemoryTokens(), transport=TwinTransport(twin)
        )
        self.connection: Connection = connect(self.settings, self.host)

    def again(self, **settings: Any) -> "World":
        """Another connection to the same company, as after a restart with other settings."""
        return World(self.twin, self.clock, **settings)

    def called(self, method: str, part: str) -> list[str]:
        return [path for made, path, _ in self.twin.calls if made == method and part in path]

    @property
    def spent(self) -> int:
        return self.twin.limits.spent

    async def write(self, write: Write) -> Outcome:
        [outcome] = await self.connection.sinks[kind_of(write)].write([write])
        return outcome

    async def create(self, entity: Any) -> Written:
        outcome = await self.write(Create(key=Key("number", entity.number), entity=entity))
        assert isinstance(outcome, Written), outcome
        return outcome

    async def update(self, made: Written, changes: Any) -> Outcome:
        return await self.write(Update(id=made.id, changes=changes, version=made.version))


def kind_of(write: Any) -> Any:
    entity = write.entity if isinstance(write, Create) else write.changes
    return type(entity).__name__.lower()


def secrets_of(twin: PipedriveTwin) -> dict[str, str]:
    return {**twin.secrets(), "gateway": "gateway-secret"}


def settings_for(**values: Any) -> Settings:
    told = {"api_token": "env:T", **values} if values.get("auth", "api_token") == "api_token" else values
    return msgspec.convert(told, Settings, dec_hook=lambda kind, value: kind(value))


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Settings as a user would write them, with what is not at issue filled in."""
    return settings_for


@pytest.fixture
def pipedrive() -> Callable[..., World]:
    """``pipedrive(lines=True, twin={…})``: a fresh company with ERP keys in place, and a connection to it."""

    def build(*, twin: dict[str, Any] | None = None, **settings: Any) -> World:
        clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
        options = {"erp_fields": True, "clock": TwinClock(clock.now), **(twin or {})}
        return World(PipedriveTwin(**options), clock, **settings)

    return build
