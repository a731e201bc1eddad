"""A stage over a plugin and its twin behind respx: the faults, counts and settings that every twin has alike."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from email.utils import format_datetime
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest
import respx

from ml_connector.domain import RemoteId
from ml_connector.ports.notices import NoticeRequest
from ml_connector.system import Connection, SystemSpec
from ml_connector.testing import ManualClock, MemoryTokens, memory_host
from ml_connector.twin import Fault, Twin, TwinClock
from ml_connector.twin import Kind as FaultKind
from ml_connector_adapters.http.twins import answer
from ml_connector_contract_tests.stage import Cut, Of, Stage

ELSEWHERE = "https://collector.example/page"


class TwinStage(Stage):
    """Subclass it with the plugin's ``spec``, its twin, and the handles that are the vendor's own.

    ``reads`` and ``writes`` say which request reads records of the kind and which writes them, as (method or None, part of
    the path); ``token_path`` is part of the token endpoint's path.
    """

    spec: ClassVar[SystemSpec]
    base_url: ClassVar[str] = "https://vendor.example"
    reads: ClassVar[tuple[str | None, str]]
    writes: ClassVar[tuple[str | None, str]] = (None, "")
    token_path: ClassVar[str]
    overrides: ClassVar[Mapping[str, object]] = {}
    """Settings that differ from the twin's own: small pages, above all."""

    def __init__(self, router: respx.Router) -> None:
        self.clock = ManualClock()
        self.twin = self.make_twin(TwinClock(self.clock.now))
        self._tokens = MemoryTokens()
        self._calls = self._mints = self._in_flight = self._peak = 0
        self._turns = 1
        self._steps, self._dead = 0, False
        self._cut: tuple[int, Cut, bool] | None = None
        self._abroad: list[str] = []
        self._alterations: list[Callable[[httpx.Response], httpx.Response]] = []
        router.route().mock(side_effect=self._answer)

    def make_twin(self, clock: TwinClock) -> Twin:
        raise NotImplementedError("make_twin: return the plugin's twin, with this clock")

    def connect(self) -> Connection:
        return self._connected("acme")

    def neighbour(self) -> Connection:
        return self._connected("acme2")

    def _connected(self, name: str) -> Connection:
        told = {**self.twin.settings(self.base_url), **self.overrides}
        settings = msgspec.convert(told, self.spec.settings, dec_hook=lambda kind, value: kind(value))
        host = memory_host(name, clock=self.clock, secrets=self.twin.secrets(), tokens=self._tokens)
        return self.spec.connect(settings, host)

    def facts(self) -> Iterable[tuple[str, Mapping[str, object]]]:
        return self.twin.facts(self.kind)

    def break_next_call(self, of: Of, *, times: int = 1) -> None:
        self._fault(of, "status", times=times, status=503)

    def lose_next_answer(self, of: Of, *, after: bool, times: int = 1) -> None:
        self._fault(of, "lost_after" if after else "lost_before", times=times)

    def garble_next_answer(self, of: Of, *, times: int = 1) -> None:
        self._fault(of, "garbage", times=times)

    def cut_off(self, call: int, cut: Cut, *, dies: bool) -> None:
        self._cut = (self._steps + call, cut, dies)

    def calm(self) -> None:
        self.twin.faults.calm()
        self._cut, self._dead = None, False

    def throttle_next_call(self, seconds: int | None, *, of: Of = "read", times: int = 1, as_date: bool = False) -> None:
        wait = None if seconds is None else str(seconds)
        if as_date:
            wait = format_datetime(self.clock.now() + timedelta(seconds=seconds or 0), usegmt=True)
        self._fault(of, "status", times=times, status=429, retry_after=wait)

    def expire_tokens(self) -> None:
        self.twin.faults.add(Fault("expire_tokens", method=self.reads[0], path=self.reads[1]))

    def redirect_next_call(self) -> None:
        self.alter_next_answer(lambda _: httpx.Response(302, headers={"location": ELSEWHERE}))

    def alter_next_answer(self, alteration: Callable[[httpx.Response], httpx.Response], *, times: int = 1) -> None:
        """What the twin says to the next reads is changed on its way."""
        self._alterations += [alteration] * times

    def calls(self) -> int:
        return self._calls

    def steps(self) -> int:
        return self._steps

    def mints(self) -> int:
        return self._mints

    def dawdle(self) -> None:
        self._turns = 200

    def peak(self) -> int:
        return self._peak

    def abroad(self) -> Sequence[str]:
        return self._abroad

    def secrets(self) -> Sequence[str]:
        tokens = [record.token.value for record in self._tokens.records.values() if record.token is not None]
        return [*self.twin.secrets().values(), *tokens]

    def sent(self) -> Sequence[NoticeRequest]:
        """Deliveries of notices that the twin has waiting, oldest first, as they reach the receiver."""
        return []

    def delivery(self) -> NoticeRequest:
        """What the vendor sends when a person edits a record."""
        before = len(self.sent())
        self.edit_as_person(self._edited, f"Acme {before} at {self.clock.now().isoformat()}")
        assert len(self.sent()) > before, "nobody is told of an edit"
        return self.sent()[-1]

    @cached_property
    def _edited(self) -> RemoteId:
        return self.put_as_person(999)

    def _fault(self, of: Of, kind: FaultKind, **more: Any) -> None:
        method, path = self.reads if of == "read" else self.writes
        self.twin.faults.add(Fault(kind, method=method, path=path, **more))

    def _is(self, request: httpx.Request, shape: tuple[str | None, str]) -> bool:
        return shape[0] in (None, request.method) and shape[1] in request.url.path

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        """The twin's answer, some turns of the loop later."""
        mint = self.token_path in request.url.path
        self._calls += 1
        self._mints += mint
        self._in_flight += not mint  # the token endpoint has its own limits
        self._peak = max(self._peak, self._in_flight)
        try:
            for _ in range(self._turns):
                await asyncio.sleep(0)
            if not str(request.url).startswith(self.base_url):
                self._abroad.append(request.url.host)
            told = await self._worked(request)
            altered = self._alterations and self._is(request, self.reads)
            return self._alterations.pop(0)(told) if altered else told
        finally:
            self._in_flight -= not mint

    async def _worked(self, request: httpx.Request) -> httpx.Response:
        """The twin's answer, unless the call is cut off."""
        if self._dead:
            raise httpx.ReadError("the process that asked is gone", request=request)
        self._steps += self.changes_something(request)
        if self._cut is None or self._cut[0] != self._steps or not self.changes_something(request):
            return await answer(self.twin, request)
        _, cut, self._dead = self._cut
        if cut == "server error":
            return httpx.Response(503)
        if cut == "lost after":
            await answer(self.twin, request)
        raise httpx.ReadError("the line is cut", request=request)

    def changes_something(self, request: httpx.Request) -> bool:
        """Whether it is a write: a query may go by POST too."""
        reading = request.method in ("GET", "HEAD") or self._is(request, self.reads)
        return not reading and self.token_path not in request.url.path


def staged(*kinds: type[TwinStage]) -> Any:
    """The fixture ``stage`` of a contract class, for each of these stages behind a router of its own."""

    @pytest.fixture(name="stage", params=kinds, ids=lambda kind: kind.__name__)
    def stage(self: object, request: pytest.FixtureRequest) -> Iterator[Stage]:
        with respx.mock(assert_all_called=False) as router:
            yield request.param(router)

    return stage


def lured(told: httpx.Response) -> httpx.Response:
    """A page of an OData list whose next one is elsewhere."""
    body = {**msgspec.json.decode(told.content), "@odata.nextLink": ELSEWHERE}
    return httpx.Response(200, headers={"content-type": "application/json"}, content=msgspec.json.encode(body))


def arrived(url: str, headers: Mapping[str, str], body: bytes) -> NoticeRequest:
    """A delivery as the receiver hands it over."""
    parts = urlsplit(url)
    return NoticeRequest(
        path_token=parts.path.rpartition("/")[2], query=dict(parse_qsl(parts.query)), headers=headers, body=body
    )


def retold(request: NoticeRequest, headers: Mapping[str, str] = {}, **fields: Any) -> NoticeRequest:
    """The same delivery with other headers and other fields in its body."""
    body = {**msgspec.json.decode(request.body), **fields}
    return msgspec.structs.replace(request, headers={**request.headers, **headers}, body=msgspec.json.encode(body))
