"""Connections to the twin, and to servers whose answers a test writes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
import pytest

from ml_connector.domain import Record
from ml_connector.system import Connection
from ml_connector.testing import ManualClock, memory_host
from ml_connector.twin import TwinClock, TwinRequest, TwinResponse
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_ifs_cloud.adapters import connect
from ml_connector_ifs_cloud.settings import IfsCloudSettings
from ml_connector_ifs_cloud.twin import IfsTwin

BASE = "https://acme.ifs.cloud"
FAST = {"requests_per_minute": 1_000_000, "concurrency": 4}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 20, 12, 0, tzinfo=UTC))


@pytest.fixture
def twin(clock: ManualClock) -> IfsTwin:
    return IfsTwin(clock=TwinClock(clock.now))


@pytest.fixture
def settings() -> Callable[..., IfsCloudSettings]:
    """Settings as the runner reads them: mistakes are msgspec.ValidationError with a path."""

    def read(**told: Any) -> IfsCloudSettings:
        whole = {"base_url": BASE, "realm": "acme", "client_id": "ML", "client_secret": "secret:ifs", "limits": FAST, **told}
        return msgspec.convert(whole, IfsCloudSettings, dec_hook=lambda kind, value: kind(value))

    return read


@pytest.fixture
async def open_twin(clock: ManualClock, settings: Callable[..., IfsCloudSettings]) -> AsyncIterator[Callable[..., Connection]]:
    """``open_twin(twin, **settings)`` connects to a twin."""
    opened: list[Connection] = []

    def open_(twin: IfsTwin, **told: Any) -> Connection:
        host = memory_host("erp", clock=clock, secrets=twin.secrets(), transport=TwinTransport(twin))
        opened.append(connect(settings(**{**twin.settings(BASE), **told}), host))
        return opened[-1]

    yield open_
    for connection in opened:
        await connection.close()


class WatchedTwin(IfsTwin):
    """A twin that keeps the requests it was sent, and lets something happen just before one of them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.requests: list[TwinRequest] = []
        self._waiting: list[tuple[str, str, Callable[[], None]]] = []

    def before(self, method: str, path: str, happens: Callable[[], None]) -> None:
        """Once, before the next request with this method and this in its path."""
        self._waiting.append((method, path, happens))

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        self.requests.append(request)
        for waiting in list(self._waiting):
            if waiting[0] == request.method and waiting[1] in unquote(request.path):
                self._waiting.remove(waiting)
                waiting[2]()
        return await super().__call__(request)

    def changes(self) -> list[tuple[str, str]]:
        """Method and last segment of the path of every request that changes something, oldest first."""
        return [
            (request.method, unquote(request.path).rpartition("/")[2]) for request in self.requests if self.is_change(request)
        ]

    @staticmethod
    def is_change(request: TwinRequest) -> bool:
        return request.method != "GET" and "/auth/" not in request.path

    def table(self, set_name: str) -> list[dict[str, Any]]:
        """Every row with the columns that hold something."""
        return [{name: value for name, value in row.items() if value is not None} for row in self.rows(set_name)]


@pytest.fixture
def watched(clock: ManualClock) -> WatchedTwin:
    return WatchedTwin(clock=TwinClock(clock.now))


Reply = Callable[[str], Mapping[str, Any] | httpx.Response | None]
"""Decoded path and query, without the gateway → JSON to answer, a whole answer, or None for 404."""


class Server:
    """Answers as a test says. Tokens are given to anybody."""

    def __init__(self, reply: Reply, headers: Mapping[str, str]) -> None:
        self.reply, self.headers, self.asked, self.raw = reply, headers, list[str](), list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "/auth/realms/" in request.url.path:
            return httpx.Response(200, json={"access_token": "made-up-token", "expires_in": 180, "token_type": "Bearer"})
        self.raw.append(request.url.raw_path.decode())
        told = unquote(request.url.raw_path.decode().partition("/projection/v1/")[2])
        self.asked.append(told)
        answer = self.reply(told)
        if isinstance(answer, httpx.Response):
            return answer
        if answer is None:
            error = {"error": {"code": "ODP_RESOURCE_NOTFOUND", "message": "Metadata not found."}}
            return httpx.Response(404, json=error, headers=self.headers)
        return httpx.Response(
            200, content=msgspec.json.encode(answer), headers={"content-type": "application/json", **self.headers}
        )


@pytest.fixture
async def open_server(
    clock: ManualClock, settings: Callable[..., IfsCloudSettings]
) -> AsyncIterator[Callable[..., tuple[Connection, Server]]]:
    """``open_server(reply, **settings)`` connects to a server that answers as ``reply`` says."""
    opened: list[Connection] = []

    def open_(reply: Reply, *, headers: Mapping[str, str] = {}, **told: Any) -> tuple[Connection, Server]:
        server = Server(reply, headers)
        host = memory_host("erp", clock=clock, secrets={"ifs": "s3cret"}, transport=httpx.MockTransport(server))
        opened.append(connect(settings(**told), host))
        return opened[-1], server

    yield open_
    for connection in opened:
        await connection.close()


@pytest.fixture
def swept() -> Callable[..., Awaitable[dict[str, str]]]:
    """``await swept(connection, kind, rows=…)``: id → version of a whole sweep."""

    async def sweep(connection: Connection, kind: str, *, rows: bool = False) -> dict[str, str]:
        return {stub.id: stub.version async for stubs in connection.sources[kind].stubs(rows=rows) for stub in stubs}

    return sweep


@pytest.fixture
def read() -> Callable[..., Awaitable[Record]]:
    """``await read(connection, kind, id)``: the one record."""

    async def fetch(connection: Connection, kind: str, number: str) -> Record:
        [record] = await connection.sources[kind].fetch([number])
        return record

    return fetch
