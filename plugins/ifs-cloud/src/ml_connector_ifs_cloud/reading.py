"""What reading customers and reading orders have in common: the header set, its pages, and one record for every row."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Final, Generic, TypeVar

from ml_connector.domain import Kind, Record, RemoteId, Stub
from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.mapping import rules_of
from ml_connector_ifs_cloud.paging import Query
from ml_connector_ifs_cloud.places import Documents, Field, Place
from ml_connector_ifs_cloud.rows import Row, decoder_of, with_extras
from ml_connector_ifs_cloud.tasks import ahead
from ml_connector_ifs_cloud.times import digits_of, instant_of, is_literal

H = TypeVar("H", bound=Row)
K = TypeVar("K", bound=Row)

_WIDEST: Final = 4
"""Most pages read ahead, however many calls a connection may have under way: each waits in memory."""


class Reader(ABC, Generic[H, K]):
    """Reads one kind. A header row (H) becomes a record once its lines or children are read; a key row (K) only a stub."""

    kind: Kind
    group: int | None = None  # rows whose records are read together; None: a whole page

    def __init__(self, api: Api, place: Place, header: type[H], key: type[K], clock: Clock) -> None:
        self.api, self.place, self.clock = api, place, clock
        self.rules = rules_of(api.settings, self.kind, place.lines if isinstance(place, Documents) else None)
        self.by_content = place.change_strategy == "full"
        stamps = [place.stamp.name] if place.stamp and place.change_strategy == "timestamp" else []
        own = [*self.rules.extras.values(), *place.keys, *stamps]
        self.header = with_extras(header, own)
        self._headers, self._keys = decoder_of(self.header), decoder_of(key)
        self._select = tuple(dict.fromkeys((place.key.name, *place.select, *own)))

    @property
    @abstractmethod
    def fills(self) -> frozenset[str]:
        """Canonical fields that reading can fill, custom ones as ``extra.NAME``."""

    @property
    def key_names(self) -> tuple[str, ...]:
        """The properties of the vendor's key."""
        return (self.place.key.name,)

    @abstractmethod
    async def records(self, rows: Sequence[H]) -> list[Record]:
        """Full records for header rows that stand next to one another in key order."""

    @abstractmethod
    async def scattered(self, rows: Sequence[H]) -> list[Record]:
        """Full records for header rows in any order."""

    @abstractmethod
    async def versions(self, rows: Sequence[K]) -> list[Stub]:
        """Stubs for key rows that stand next to one another in key order, with the versions that full records have."""

    @abstractmethod
    def scope(self, found: EntitySet) -> str:
        """The condition for what belongs to this connection at all."""

    async def headers(self, *, by: Sequence[Field] = (), condition: str = "") -> Query[H]:
        """The query for full header rows in scope, sorted by ``by`` and the key."""
        found = await self.api.place(self.place)
        return Query(
            path=found.path,
            decoder=self._headers,
            order=(*by, self.place.key),
            select=self._select if self.api.settings.use_select else (),
            filter=odata.both(self.in_scope(found), condition),
        )

    def in_scope(self, found: EntitySet) -> str:
        return odata.both(f"({self.place.filter})" if self.place.filter else "", self.scope(found))

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        """Full records by id; what does not exist, or is out of scope, is absent."""
        if not ids:
            return []
        return await self.scattered(await self.api.by_keys(await self.headers(), self.place.key, ids))

    async def stubs(self, *, rows: bool, start: str = "") -> AsyncGenerator[Sequence[Stub], None]:
        """Every key with its version, in the server's order; with ``rows`` each with its record. Pages are read ahead."""
        query = await self.headers()
        if rows or self.reads_all:
            whole = ahead(self._grouped(self.api.rows(query, start=start)), self.records, width=self._width)
            async with aclosing(whole) as pages:
                async for records in pages:
                    yield [Stub(id=record.id, version=record.version or "", record=record) for record in records]
            return
        keys = Query(path=query.path, decoder=self._keys, order=query.order, select=(self.place.key.name,), filter=query.filter)
        async with aclosing(ahead(self.api.rows(keys, start=start), self.versions, width=self._width)) as found:
            async for stubs in found:
                yield stubs

    @property
    def _width(self) -> int:
        """Pages whose lines are read at once, beside the next page itself: as much as may be under way at IFS."""
        return max(2, min(self.api.settings.limits.concurrency - 1, _WIDEST))

    @property
    def reads_all(self) -> bool:
        """A version takes the whole record."""
        return self.by_content

    def text(self, name: str) -> Field:
        """A property to look records up by."""
        return self.place.key if name == self.place.key.name else Field(name=name)

    def id_of(self, row: Row) -> RemoteId:
        return str(getattr(row, self.place.key.name))

    def etag_of(self, row: Row) -> str:
        if row.etag is None:
            raise ContractBroken(
                f"{self.kind} {self.id_of(row)} came without @odata.etag, so that changes cannot be seen",
                fix='Take odata.metadata=none out of extra_headers, or set change_strategy = "full"',
                where=self.api.where,
            )
        return row.etag

    def changed_at(self, row: H, others: Iterable[str | None] = ()) -> datetime | None:
        """When the record last changed: its stamp, else what its ETag and ``others`` hint at; None where neither tells."""
        stamp = self.place.modified_field
        text = getattr(row, stamp.name, None) if stamp is not None else None
        if isinstance(text, str) and len(text) > 10 and is_literal(text):
            return self.rules.time.instant(text)
        if not self.api.settings.etag_version_hint:
            return None
        return instant_of(max(map(digits_of, (row.etag, *others))), self.rules.time)

    async def _grouped(self, pages: AsyncGenerator[Sequence[H], None]) -> AsyncGenerator[Sequence[H], None]:
        async for page in pages:
            size = self.group or len(page)
            for start in range(0, len(page), size):
                yield page[start : start + size]
