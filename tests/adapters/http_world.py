"""A small world for the tests of the HTTP kit: a clock that tests own, a vendor that counts, and a host that lends both."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast

import httpx
import msgspec

from ml_connector.errors import ConnectorError, RecordRejected, Throttled, Unavailable
from ml_connector.ports.secrets import Secret, TokenRecord
from ml_connector.twin import Faults, NoAnswer, Twin, TwinRequest, TwinResponse
from ml_connector_adapters.http import (
    Answer,
    HostRule,
    HttpClient,
    Limiter,
    Limits,
    Mints,
    OAuth,
    TokenRefused,
    retry_after,
)
from ml_connector_adapters.http.twins import TwinTransport

MORNING = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


class VirtualClock:
    """Time passes only while everybody sleeps: the sleeper who is due first moves it, once the others had their turns."""

    def __init__(self) -> None:
        self.passed = 0.0
        self._due: list[float] = []

    def now(self) -> datetime:
        return MORNING + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return 5_000.0 + self.passed

    async def sleep(self, seconds: float) -> None:
        due = self.passed + seconds
        heapq.heappush(self._due, due)
        try:
            while self.passed < due:
                for _ in range(25):
                    await asyncio.sleep(0)
                if self._due[0] == due:
                    self.passed = max(self.passed, due)
        finally:
            self._due.remove(due)
            heapq.heapify(self._due)


class MemoryTokens:
    def __init__(self) -> None:
        self.records: dict[str, bytes] = {}
        self._refreshing = asyncio.Lock()

    async def load(self, credential: str) -> TokenRecord:
        stored = self.records.get(credential)
        return msgspec.json.decode(stored, type=TokenRecord) if stored else TokenRecord()

    async def save(self, credential: str, record: TokenRecord) -> None:
        self.records[credential] = msgspec.json.encode(record)

    @asynccontextmanager
    async def refreshing(self, credential: str) -> AsyncIterator[None]:
        async with self._refreshing:
            yield


class DictSecrets(dict[str, str]):
    async def reveal(self, secret: Secret) -> str:
        return self[secret.reference]


class Vendor:
    """Answers ``/token`` and everything else; knows its tokens, and writes down what reached it, and when."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.faults = Faults()
        self.life_s, self.latency_s = 3600.0, 0.0
        self.token_answers: list[TwinResponse] = []  # said instead of a token, in this order
        self.answers: list[TwinResponse] = []  # said instead of "done", in this order
        self.valid: set[str] = set()
        self.mints: list[float] = []
        self.requests: list[TwinRequest] = []
        self.arrivals: list[float] = []
        self.done: list[tuple[str, str, bytes]] = []
        self.under_way = self.most_under_way = 0

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        fault = self.faults.next(request)
        if fault and fault.kind == "lost_before":
            raise NoAnswer
        for _ in range(3):
            await asyncio.sleep(0)  # others get their turn while a request is on its way
        answer = self._mint(request) if request.path == "/token" else await self._work(request)
        if fault and fault.kind == "lost_after":
            raise NoAnswer
        return answer

    def _mint(self, request: TwinRequest) -> TwinResponse:
        self.requests.append(request)
        self.mints.append(self._clock.passed)
        if self.token_answers:
            return self.token_answers.pop(0)
        value = f"token-{len(self.mints)}"
        self.valid.add(value)
        return json(200, {"access_token": value, "expires_in": self.life_s, "token_type": "Bearer"})

    async def _work(self, request: TwinRequest) -> TwinResponse:
        self.requests.append(request)
        self.arrivals.append(self._clock.passed)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._clock.sleep(self.latency_s)
            if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.valid:
                return json(401, {"error": f"invalid token {request.headers.get('authorization')}"})
            if self.answers:
                return self.answers.pop(0)
            self.done.append((request.method, request.target, request.body))
            return json(200, {"value": [], "order": "10042"})
        finally:
            self.under_way -= 1


class Line(TwinTransport):
    """The way to the vendor; ``down`` connections in a row cannot be made."""

    down = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.down > 0:
            self.down -= 1
            raise httpx.ConnectError("[Errno 111] Connection refused", request=request)
        return await super().handle_async_request(request)


class World:
    """One machine with one connection "acme" to one vendor. A second ``client()`` is a second process on the same store."""

    connection = "acme"

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.vendor = Vendor(self.clock)
        self.tokens = MemoryTokens()
        self.random = Random(7)
        self.secrets = DictSecrets({"secret:acme": "s3cret-of-acme"})
        self.twin = cast(Twin, self.vendor)
        self.transport: Any = Line(self.twin)
        self.hosts = HostRule("acme.test", "login.acme.test")

    def judge(self, answer: Answer) -> ConnectorError | None:
        after = retry_after(answer.headers, self.clock.now())
        match answer.status:
            case 401:
                return TokenRefused(f"the token was refused: {answer.text()}")
            case 429:
                return Throttled("too many requests", after_s=after)
            case 409:
                return Unavailable("the metadata cache is being refreshed", untouched=True)
            case status if status >= 500:
                return Unavailable(f"status {status}", after_s=after)
            case status if status >= 400:
                return RecordRejected(answer.text())
        return None

    async def form(self) -> dict[str, str]:
        secret = await self.secrets.reveal(Secret("secret:acme"))
        return {"grant_type": "client_credentials", "client_id": "ML_CONNECTOR", "client_secret": secret}

    def oauth(self, mints: Mints | None = None, leeway_s: float = 30, **more: Any) -> OAuth:
        form: Callable[[], Awaitable[dict[str, str]]] = more.pop("form", self.form)
        return OAuth(
            host=self,
            token_url="https://login.acme.test/token",
            form=form,
            hosts=self.hosts,
            mints=mints,
            leeway_s=leeway_s,
            **more,
        )

    def limiter(self, **limits: Any) -> Limiter:
        return Limiter(Limits(**{"concurrency": 50, **limits}), self.clock, where=self.connection)

    def client(self, *, limiter: Limiter | None = None, **more: Any) -> HttpClient:
        more.setdefault("oauth", self.oauth())
        return HttpClient(
            host=self,
            base_url=more.pop("base_url", "https://acme.test/v1"),
            judge=self.judge,
            limiter=limiter or self.limiter(),
            hosts=self.hosts,
            **more,
        )


def json(status: int, body: object, **headers: str) -> TwinResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return TwinResponse(status, msgspec.json.encode(body), {"content-type": "application/json", **named})
