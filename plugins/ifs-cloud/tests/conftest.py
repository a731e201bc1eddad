"""A host that keeps everything in memory, a clock that tests own, and connections to a twin or to a scripted server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from ml_connector.ports.secrets import Secret, TokenRecord
from ml_connector.system import Connection
from ml_connector.twin import TwinClock
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_ifs_cloud.adapters import connect
from ml_connector_ifs_cloud.settings import IfsCloudSettings
from ml_connector_ifs_cloud.twin import IfsTwin

NOON = datetime(2026, 1, 20, 12, 0, tzinfo=UTC)
BASE = "https://acme.ifs.cloud"


class FakeClock:
    """Stands still until somebody sleeps."""

    def __init__(self, now: datetime = NOON) -> None:
        self.start, self.passed = now, 0.0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += seconds
        await asyncio.sleep(0)


class FakeSecrets:
    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values

    async def reveal(self, secret: Secret) -> str:
        return self.values[secret.reference.removeprefix("secret:")]


class FakeTokens:
    def __init__(self) -> None:
        self.records: dict[str, TokenRecord] = {}
        self._lock = asyncio.Lock()

    async def load(self, credential: str) -> TokenRecord:
        return self.records.get(credential, TokenRecord())

    async def save(self, credential: str, record: TokenRecord) -> None:
        self.records[credential] = record

    @asynccontextmanager
    async def refreshing(self, credential: str) -> AsyncIterator[None]:
        async with self._lock:
            yield


class FakeHost:
    connection = "erp"

    def __init__(self, transport: Any, secrets: Mapping[str, str]) -> None:
        self.clock, self.transport = FakeClock(), transport
        self.secrets, self.tokens = FakeSecrets(secrets), FakeTokens()


def settings_of(told: Mapping[str, Any]) -> IfsCloudSettings:
    """As the runner reads them: mistakes are msgspec.ValidationError with a path."""
    return msgspec.convert(dict(told), IfsCloudSettings, dec_hook=lambda kind, value: kind(value))


@pytest.fixture
def twin() -> IfsTwin:
    return IfsTwin(clock=TwinClock(lambda: NOON))


@pytest.fixture
async def open_twin() -> AsyncIterator[Callable[..., Connection]]:
    """``open_twin(twin, **settings)`` connects to a twin; connections are closed when the test ends."""
    opened: list[Connection] = []

    def open_(twin: IfsTwin, **told: Any) -> Connection:
        host = FakeHost(TwinTransport(twin), twin.secrets())
        opened.append(connect(settings_of({**twin.settings(BASE), "limits": FAST, **told}), host))
        return opened[-1]

    yield open_
    for connection in opened:
        await connection.close()


FAST = {"requests_per_minute": 1_000_000, "concurrency": 4}


class Script:
    """A server whose answers a test writes: path and query → answer. Tokens are given to anybody."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response | None]) -> None:
        self.answer, self.asked = answer, list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "/auth/realms/" in request.url.path:
            return httpx.Response(200, json={"access_token": "t", "expires_in": 180, "token_type": "Bearer"})
        self.asked.append(request.url.raw_path.decode())
        return self.answer(request) or httpx.Response(404, json={"error": {"code": "ODP_RESOURCE_NOTFOUND", "message": "?"}})


@pytest.fixture
def scripted() -> Callable[..., FakeHost]:
    """``scripted(script)``: a host whose network is the script."""
    return lambda script: FakeHost(httpx.MockTransport(script), {"ifs": "s3cret"})


@pytest.fixture
def told() -> dict[str, Any]:
    """Settings for a scripted server."""
    return {"base_url": BASE, "realm": "acme", "client_id": "ML", "client_secret": "secret:ifs", "limits": FAST}
