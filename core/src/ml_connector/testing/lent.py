"""What a host lends to plugins, in memory: secrets, tokens, and telemetry that goes nowhere but can be looked at."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from random import Random
from typing import Any

import msgspec

from ml_connector.errors import AuthRejected
from ml_connector.ports.clock import Clock
from ml_connector.ports.secrets import Secret, TokenRecord
from ml_connector.ports.telemetry import Attribute
from ml_connector.testing.clock import ManualClock


class MemorySecrets:
    """``Secrets`` over a mapping from name to value, without the leading "secret:". Change ``values`` to rotate one."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self.values = dict(values or {})

    async def reveal(self, secret: Secret) -> str:
        scheme, _, name = secret.reference.partition(":")
        if scheme != "secret" or name not in self.values:
            raise AuthRejected(f"There is no {secret.reference}", fix=f'Put "{name}" into MemorySecrets')
        return self.values[name]

    def __repr__(self) -> str:
        return f"MemorySecrets({sorted(self.values)})"


class MemoryTokens:
    """``Tokens`` that outlive a connection, not the process. ``records`` is what the vault would hold."""

    def __init__(self) -> None:
        self.records: dict[str, TokenRecord] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def load(self, credential: str) -> TokenRecord:
        await asyncio.sleep(0)
        return self.records.get(credential, TokenRecord())

    async def save(self, credential: str, record: TokenRecord) -> None:
        await asyncio.sleep(0)
        self.records[credential] = record

    @asynccontextmanager
    async def refreshing(self, credential: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(credential, asyncio.Lock()):
            yield


class MemoryHost(msgspec.Struct, frozen=True, kw_only=True):
    """A ``Host`` made of fakes."""

    connection: str
    clock: Clock
    secrets: MemorySecrets
    tokens: MemoryTokens
    transport: Any = None
    random: Random = msgspec.field(default_factory=Random)


def memory_host(
    connection: str = "acme",
    *,
    clock: Clock | None = None,
    secrets: Mapping[str, str] | None = None,
    tokens: MemoryTokens | None = None,
    transport: Any = None,
) -> MemoryHost:
    """A host for one connection; pass the same ``tokens`` again to play a restart. ``transport`` may be a twin's."""
    return MemoryHost(
        connection=connection,
        clock=clock or ManualClock(),
        secrets=MemorySecrets(secrets),
        tokens=tokens or MemoryTokens(),
        transport=transport,
    )


class SilentSpan:
    """One span as it was recorded; ``failed`` names the exception that left it."""

    def __init__(self, name: str, trace_id: str, attributes: Mapping[str, Attribute]) -> None:
        self.name, self.trace_id, self.attributes = name, trace_id, dict(attributes)
        self.events: list[tuple[str, dict[str, Attribute]]] = []
        self.failed = ""

    def event(self, name: str, **attributes: Attribute) -> None:
        self.events.append((name, attributes))


class SilentTelemetry:
    """``Telemetry`` that remembers: ``spans`` in the order in which they began, ``counts`` by name.

    A span inside another shares its trace id, as in OpenTelemetry; ids are 32 hex digits, counted up.
    """

    def __init__(self) -> None:
        self.spans: list[SilentSpan] = []
        self.counts: Counter[str] = Counter()
        self.counted: list[tuple[str, int, dict[str, Attribute]]] = []
        self._current: ContextVar[str] = ContextVar("trace_id", default="")
        self._traces = 0

    @contextmanager
    def span(self, name: str, **attributes: Attribute) -> Iterator[SilentSpan]:
        trace_id = self._current.get()
        if not trace_id:
            self._traces += 1
            trace_id = f"{self._traces:032x}"
        span = SilentSpan(name, trace_id, attributes)
        self.spans.append(span)
        outer = self._current.set(trace_id)
        try:
            yield span
        except BaseException as error:
            span.failed = type(error).__name__
            raise
        finally:
            self._current.reset(outer)

    def count(self, name: str, amount: int, **attributes: Attribute) -> None:
        self.counts[name] += amount
        self.counted.append((name, amount, attributes))
