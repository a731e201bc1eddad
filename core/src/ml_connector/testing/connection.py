"""The connector of a MemorySystem: a feed and a sweep over the same records, and a sink."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal

from ml_connector.domain import ENTITIES, Cursor, Entity, Instant, Kind, Page, Record, RemoteId, Stub
from ml_connector.errors import ContractBroken, Throttled, Unavailable
from ml_connector.ports.sink import (
    Conflict,
    Create,
    Key,
    Outcome,
    Rejected,
    Remove,
    SinkLimits,
    Unknown,
    Update,
    Write,
    Written,
)
from ml_connector.ports.source import Source
from ml_connector.system import Connection, Host
from ml_connector.testing.client import MemoryClient
from ml_connector.testing.lent import memory_host
from ml_connector.testing.notices import MemoryNotices
from ml_connector.testing.shapes import merged
from ml_connector.testing.system import MemorySystem, Row

FETCH_CHUNK: Final = 20
"""Most ids that one call takes."""


def memory_connection(
    system: MemorySystem,
    kinds: Iterable[Kind] = tuple(ENTITIES),
    *,
    host: Host | None = None,
    style: Literal["feed", "sweep"] = "feed",
    page: int = 50,
    batch: int = 10,
    parallel: int = 2,
) -> Connection:
    """Connect to the system: every kind with a source of the given style and a sink, and notices.

    Without a ``host`` it gets one that knows the system's secret. ``page`` is the size of feed and sweep pages, ``batch`` and
    ``parallel`` are the sink's limits.
    """
    client = MemoryClient(system, host or memory_host(clock=system.clock, secrets=system.secrets()))
    make = MemoryFeed if style == "feed" else MemorySweep
    limits = SinkLimits(batch=batch, parallel=parallel)
    sources: dict[Kind, Source] = {kind: make(kind, system, client, page) for kind in kinds}
    return Connection(
        sources=sources,
        sinks={kind: MemorySink(kind, system, client, limits) for kind in kinds},
        notices=MemoryNotices(system, client),
        close=client.close,
    )


class _Reader:
    """What feed and sweep have in common."""

    def __init__(self, kind: Kind, system: MemorySystem, client: MemoryClient, page: int) -> None:
        self._kind, self._system, self._client, self._page = kind, system, client, page

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        found: list[Record] = []
        for start in range(0, len(ids), FETCH_CHUNK):
            chunk = ids[start : start + FETCH_CHUNK]
            found += await self._client.call(partial(self._look, chunk), keys=chunk)
        return found

    def _look(self, ids: Sequence[RemoteId]) -> list[Record]:
        rows = (self._system.rows.get(one) for one in dict.fromkeys(ids))
        return [_record(row) for row in rows if row is not None and row.kind == self._kind and not row.gone]


class MemoryFeed(_Reader):
    """A ``Feed``: changes in the order of the system's own counter, so that a page's edge can fall anywhere."""

    async def changed_since(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        after = await self._client.call(lambda: self._position(cursor))
        end = self._system.moves  # what changes from now on is the next run's
        while rows := await self._client.call(partial(self._changes, after, end)):
            after = rows[-1].version
            yield Page(records=tuple(_record(row) for row in rows), cursor=str(after))

    def cursor_at(self, when: Instant) -> Cursor:
        return f"@{when.isoformat()}"

    def _position(self, cursor: Cursor | None) -> int:
        if cursor is None:
            return 0
        if cursor.isdecimal():
            return int(cursor)
        if not cursor.startswith("@"):
            raise ContractBroken("That is no cursor of this feed", fix="Read the flow from its beginning")
        when = datetime.fromisoformat(cursor[1:])
        return max((row.version for row in self._system.rows.values() if row.changed_at < when), default=0)

    def _changes(self, after: int, end: int) -> list[Row]:
        rows = [row for row in self._system.rows.values() if row.kind == self._kind and after < row.version <= end]
        return sorted(rows, key=lambda row: row.version)[: self._page]


class MemorySweep(_Reader):
    """A ``Sweep``: living records by id."""

    async def stubs(self, *, rows: bool) -> AsyncIterator[Sequence[Stub]]:
        after = ""
        while found := await self._client.call(partial(self._following, after)):
            after = found[-1].id
            yield [Stub(id=row.id, version=str(row.version), record=_record(row) if rows else None) for row in found]

    @property
    def full_every(self) -> timedelta | None:
        return None

    def _following(self, after: RemoteId) -> list[Row]:
        return sorted((row for row in self._system.living(self._kind) if row.id > after), key=lambda row: row.id)[: self._page]


class MemorySink:
    """A ``Sink`` that writes a batch in one call, record by record."""

    def __init__(self, kind: Kind, system: MemorySystem, client: MemoryClient, limits: SinkLimits) -> None:
        self._kind, self._system, self._client, self._limits = kind, system, client, limits

    @property
    def limits(self) -> SinkLimits:
        return self._limits

    async def accepts(self) -> frozenset[str]:
        return frozenset(ENTITIES[self._kind].__struct_fields__) | {"extra.*"}

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        def look() -> dict[Key, list[Record]]:
            return {key: [_record(row) for row in self._system.matching(self._kind, key)] for key in keys}

        return await self._client.call(look, keys=[key.value for key in keys]) if keys else {}

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        if len(writes) > self._limits.batch:
            raise ValueError(f"at most {self._limits.batch} writes at once, not {len(writes)}")
        if not writes:
            return []
        keys = [name for write in writes for name in _names(write)]
        try:
            return await self._client.call(lambda: [self._perform(write) for write in writes], keys=keys, repeatable=False)
        except Throttled:
            raise
        except (Unavailable, ContractBroken) as error:
            return [Unknown(reason=error.what) for _ in writes]

    def _perform(self, write: Write) -> Outcome:
        if (outcome := self._system.scripted(*_names(write))) is not None:
            return outcome
        match write:
            case Create():
                return self._create(write)
            case Update():
                row = self._standing(write)
                return row if isinstance(row, Conflict) else self._set(row, write.changes)
            case Remove():
                row = self._standing(write)
                return row if isinstance(row, Conflict) else self._retire(row)

    def _create(self, write: Create) -> Outcome:
        present = self._system.matching(self._kind, write.key)
        if present:
            return self._set(present[0], write.entity)
        if (refusal := self._system.refuses(self._kind, write.entity, over=None)) is not None:
            return refusal
        return written(self._system.store(write.entity, by_us=True), created=True)

    def _standing(self, write: Update | Remove) -> Row | Conflict:
        row = self._system.rows.get(write.id)
        if row is None or row.gone:
            return Conflict(current=None)
        if write.version is not None and write.version != str(row.version):
            return Conflict(current=str(row.version), id=row.id)
        return row

    def _set(self, row: Row, changes: Entity) -> Outcome:
        entity = merged(row.entity, changes)
        if (refusal := self._system.refuses(self._kind, entity, over=row.id)) is not None:
            return refusal
        return written(self._system.store(entity, by_us=True, over=row.id))

    def _retire(self, row: Row) -> Outcome:
        """Take the record out of use with whatever its kind has for that."""
        make: Callable[..., Entity] = ENTITIES[self._kind]
        for name, value in (("active", False), ("status", "Cancelled")):
            if name in row.entity.__struct_fields__:
                return self._set(row, make(**{name: value}))
        return Rejected(code="NOT_REMOVABLE", reason=f"a {self._kind} cannot be taken out of use", fix="Delete it by hand")


def _names(write: Write) -> tuple[str, ...]:
    return (write.key.value,) if isinstance(write, Create) else (write.id,)


def _record(row: Row) -> Record:
    return Record(
        id=row.id,
        entity=None if row.gone else row.entity,
        version=str(row.version),
        changed_at=row.changed_at,
        gone=row.gone,
        by_us=row.by_us,
    )


def written(row: Row, *, created: bool = False) -> Written:
    return Written(id=row.id, version=str(row.version), changed_at=row.changed_at, created=created)
