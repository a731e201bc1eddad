"""A Zoho organisation on this machine: the plugin in front, its twin behind, and no time but the twin's."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest

from ml_connector.ports.secrets import Secret, Token, TokenRecord
from ml_connector.system import Connection
from ml_connector.twin import TwinClock
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_zoho_crm.adapters import connect
from ml_connector_zoho_crm.settings import Settings
from ml_connector_zoho_crm.twin import ZohoTwin

BASE = "http://127.0.0.1:8123"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


class TwinsTime:
    """The host's clock: the twin's; sleeping moves it."""

    def __init__(self, clock: TwinClock) -> None:
        self.clock, self.slept = clock, 0.0

    def now(self) -> datetime:
        return self.clock.now()

    def monotonic(self) -> float:
        return (self.clock.now() - NOON).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.clock.advance(seconds)


class Purse:
    """Secrets by reference name, and tokens in memory."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self._secrets, self._records = secrets, {}

    async def reveal(self, secret: Secret) -> str:
        return self._secrets[secret.reference.removeprefix("secret:")]

    async def load(self, credential: str) -> TokenRecord:
        return self._records.get(credential, TokenRecord())

    async def save(self, credential: str, record: TokenRecord) -> None:
        self._records[credential] = record

    @asynccontextmanager
    async def refreshing(self, credential: str) -> AsyncIterator[None]:
        yield

    @property
    def token(self) -> Token | None:
        return next((record.token for record in self._records.values()), None)


class TwinHost:
    connection = "crm"

    def __init__(self, twin: ZohoTwin) -> None:
        self.clock = TwinsTime(twin.clock)
        self.secrets = self.tokens = Purse(twin.secrets())
        self.transport = TwinTransport(twin)
        self.random = Random(7)


class World:
    """One twin and one connection to it."""

    def __init__(self, twin: ZohoTwin, **settings: Any) -> None:
        self.twin, self.host = twin, TwinHost(twin)
        self.settings = settings_for(**{**twin.settings(BASE), "safety_lag_s": 20, **settings})
        self.connection: Connection = connect(self.settings, self.host)  # type: ignore[arg-type]

    def again(self, **settings: Any) -> "World":
        """Another connection to the same organisation, as after a restart with other settings."""
        return World(self.twin, **settings)

    def paths(self, method: str, part: str) -> list[str]:
        return [path for called, path, _ in self.twin.calls if called == method and part in path]

    def pass_time(self, **span: float) -> None:
        self.twin.clock.advance(timedelta(**span).total_seconds())


def settings_for(**values: Any) -> Settings:
    told = {"client_id": "1000.X", "client_secret": "env:S", "refresh_token": "env:R", **values}
    return msgspec.convert(told, Settings, dec_hook=lambda kind, value: kind(value))


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Settings as a user would write them, with what is not at issue filled in."""
    return settings_for


@pytest.fixture
def zoho() -> Callable[..., World]:
    """``zoho(order_lines="none", twin={…})``: a fresh organisation at noon, ERP keys in place, and a connection to it."""

    def build(*, twin: dict[str, Any] | None = None, **settings: Any) -> World:
        options = {"erp_fields": True, "clock": TwinClock(lambda: NOON), **(twin or {})}
        return World(ZohoTwin(**options), **settings)

    return build
