"""What a twin is: a small stateful emulator of one vendor's API, as strict as the vendor.

A twin is one async callable from request to answer. The same object therefore serves behind respx in contract tests, inside
the process in simulations, and over a real socket in ``ml-connector demo`` and ``ml-connector twin SYSTEM``.
"""

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Literal, Protocol, runtime_checkable

import msgspec


class TwinRequest(msgspec.Struct, frozen=True):
    """One HTTP request as it stood on the wire."""

    method: str  # upper case
    host: str  # the authority that was asked, "www.zohoapis.eu" or "127.0.0.1:8123"
    target: str  # path and query, percent-encoding untouched
    headers: Mapping[str, str]  # names in lower case
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path alone, still percent-encoded."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The query alone, still percent-encoded, "" when there is none."""
        return self.target.partition("?")[2]


class TwinResponse(msgspec.Struct, frozen=True):
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


class NoAnswer(Exception):
    """The connection drops without an answer; whether the work was done is what the caller cannot know."""


class TwinClock:
    """The twin's idea of now, always aware UTC; tests move it, nothing else does."""

    def __init__(self, base: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._base = base
        self._offset = timedelta()

    def now(self) -> datetime:
        return self._base() + self._offset

    def follow(self, base: Callable[[], datetime]) -> None:
        """Take the time from ``base`` from now on: simulations own it."""
        self._base = base

    def advance(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)


Kind = Literal["status", "lost_before", "lost_after", "garbage", "expire_tokens"]


class Fault(msgspec.Struct):
    """One scripted misbehaviour, spent after ``times`` matching requests.

    status          answer ``status`` (with ``Retry-After: retry_after`` if given) and do no work
    lost_before     drop the connection, no work done
    lost_after      do the work, then drop the connection
    garbage         do the work, then answer 200 with a body that is not JSON
    expire_tokens   forget every access token issued so far, then go on
    """

    kind: Kind
    status: int = 503
    retry_after: str | None = None
    body: bytes = b""
    method: str | None = None  # None matches every method
    path: str = ""  # a part of the path; "" matches every path
    skip: int = 0  # let so many matching requests pass first
    times: int = 1

    def matches(self, request: TwinRequest) -> bool:
        return (self.method is None or self.method == request.method) and self.path in request.path


class Faults:
    """What goes wrong: a script, and on top of it an optional storm drawn from a seeded generator."""

    def __init__(self) -> None:
        self.script: list[Fault] = []
        self._storm: tuple[Random, float, tuple[Fault, ...]] | None = None
        self._left = 0.0  # so often the storm strikes yet
        self.struck: list[tuple[str, str]] = []  # (kind, path) of every fault that happened

    def add(self, *faults: Fault) -> None:
        self.script.extend(faults)

    def storm(self, seed: int, rate: float, kinds: Sequence[Fault], *, most: float = math.inf) -> None:
        """From now on each request meets one of ``kinds`` with probability ``rate``, until ``most`` of them were struck."""
        self._storm, self._left = (Random(seed), rate, tuple(kinds)), most

    def calm(self) -> None:
        self.script.clear()
        self._storm = None

    def next(self, request: TwinRequest) -> Fault | None:
        """Take the fault that this request meets, if any."""
        for fault in self.script:
            if not fault.matches(request):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.script.remove(fault)
            self.struck.append((fault.kind, request.path))
            return fault
        if self._storm is not None and self._left > 0:
            random, rate, kinds = self._storm
            if random.random() < rate:
                candidates = [fault for fault in kinds if fault.matches(request)]
                if candidates:
                    fault = random.choice(candidates)
                    self._left -= 1
                    self.struck.append((fault.kind, request.path))
                    return fault
        return None

    async def meet(
        self,
        request: TwinRequest,
        work: Callable[[TwinRequest], Awaitable[TwinResponse]],
        *,
        forget: Callable[[], None],
        refusal: Callable[[int], TwinResponse] = TwinResponse,
        page: bytes = b"<html><body>Bad gateway</body></html>",
    ) -> TwinResponse:
        """What the caller gets: the answer of ``work``, or what the fault that this request meets makes of it.

        forget    forgets every access token issued so far
        refusal   how what stands before the vendor words a status, where the fault does not say it
        page      what it shows in place of an answer that is not JSON

        Raises NoAnswer when the line is cut.
        """
        fault = self.next(request)
        kind = fault.kind if fault is not None else None
        if fault is not None and kind == "status":
            said = refusal(fault.status)
            form = {"content-type": "application/json"} if fault.body.startswith(b"{") else {}
            wait = {"retry-after": fault.retry_after} if fault.retry_after is not None else {}
            return TwinResponse(fault.status, fault.body or said.body, {**said.headers, **form, **wait})
        if kind == "lost_before":
            raise NoAnswer(request.path)
        if kind == "expire_tokens":
            forget()
        response = await work(request)
        if kind == "lost_after":
            raise NoAnswer(request.path)
        if fault is not None and kind == "garbage":
            return TwinResponse(200, fault.body or page, {"content-type": "text/html"})
        return response


class Twin(Protocol):
    """A vendor's emulator, with the handles that tests, the demo and simulations pull."""

    clock: TwinClock
    faults: Faults
    settles_s: float  # how long an edit may be too young for the vendor's times to tell it; 0 where versions tell
    calls: list[tuple[str, str, int]]  # (method, path, status) of every answered request, oldest first

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        """Answer as the vendor would. Raises NoAnswer when a fault cuts the line."""
        ...

    def settings(self, base_url: str) -> dict[str, object]:
        """Connection settings (without ``system``) that reach this twin at ``base_url``; secrets as ``secret:twin/NAME``."""
        ...

    def secrets(self) -> dict[str, str]:
        """The values behind those secret references, by reference name (``twin/NAME``)."""
        ...

    def fill(self, accounts: int, orders: int, *, seed: int = 0) -> None:
        """Put made-up records in place, awkward ones among them; the same seed gives the same records."""
        ...

    def edit(self, kind: str, count: int, *, seed: int = 0) -> list[str]:
        """Change ``count`` records of the kind as a person would; returns their business numbers."""
        ...

    def facts(self, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        """What the twin's own tables hold: (business number, canonical field path → value), read without any plugin code."""
        ...


@runtime_checkable
class Clerk(Protocol):
    """What people write at a twin field by field, new records among it: for simulations that play both ways."""

    @property
    def numbers(self) -> bool:
        """Whether the vendor gives new accounts their business numbers; else a person does, here or on the other side."""
        ...

    def sets(self, kind: str, record: str, fields: Mapping[str, str | None]) -> str:
        """A person sets fields of a record: ``name``, ``phone`` and ``website`` of an account; None clears.

        ``record`` is its id as ``facts`` tell it, where they do, else its business number; "" enters a new one, to which
        ``fields`` give a name. ``number`` is among them where people give accounts the number that the ERP knows them by.
        Returns that id or number. Raises ValueError for what the vendor's own screens would not take.
        """
        ...

    def newcomers(self) -> Mapping[str, object]:
        """Settings of the connection, over the recipe's, without which the vendor takes no records that begin elsewhere."""
        ...


@runtime_checkable
class Desk(Protocol):
    """What people do at a twin that goes back to the other side: for demos, of systems where people begin records."""

    def enters(self, kind: str, *, customer: str = "") -> str:
        """A person enters a record of the kind, of the customer with this number, with lines where it can; returns its id."""
        ...

    def moves(self, kind: str, number: str, stage: str) -> None:
        """A person moves the record with this business number to a stage."""
        ...
