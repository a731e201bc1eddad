"""Reading one kind: by time of change where Oracle filters by it, else by sweeping every key.

Oracle keeps no snapshot while pages are read: what is edited meanwhile moves to the end, and offsets would skip its neighbours.
So a page asks for times from the last one on, and a row that was read already is passed over.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from ml_connector.domain import Cursor, Instant, Page, Record, RemoteId, Stub
from ml_connector.errors import ContractBroken
from ml_connector_oracle_fusion import query, wire
from ml_connector_oracle_fusion.api import Api, Resource, ended
from ml_connector_oracle_fusion.reading import Reader
from ml_connector_oracle_fusion.settings import Stamp
from ml_connector_oracle_fusion.wire import Listing, Vendor

BEGINNING: Final = datetime(1990, 1, 1, tzinfo=UTC)
STAMP: Final = "LastUpdateDate"
DELETED: Final = Resource(root="crm", name="deletedRecords", id="DeletedRecordId")


class Place(msgspec.Struct, frozen=True):
    """A cursor: everything that changed before ``at`` was told."""

    at: datetime


_decoder: Final = msgspec.json.Decoder(Place)


class Changes:
    """A Feed by ``LastUpdateDate``, from ``overlap_s`` before the last place up to ``lag_s`` before now.

    The overlap is for rows that were committed late: they are stamped before they can be seen. Deletions are not told, unless
    ``deleted_code`` says under which code the pod lists them.
    """

    def __init__(self, api: Api, reader: Reader, *, deleted_code: str = "") -> None:
        self._api, self._reader, self._deleted_code = api, reader, deleted_code
        self._overlap = timedelta(seconds=api.settings.overlap_s)

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        return await self._reader.records(await self._api.by_ids(self._reader.resource, ids))

    def cursor_at(self, when: Instant) -> Cursor:
        return _written(when)

    async def changed_since(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        until = self._settled()
        start = _read(cursor, self._api.where).at if cursor else None
        held: tuple[Page, datetime] | None = None
        since = start - self._overlap if start is not None else BEGINNING
        async for rows in self._pages(since, until):
            if held is not None:
                yield held[0]
            last = max(_changed(row) for row in rows)
            at = last if start is None else max(last, start)
            held = Page(records=tuple(await self._reader.records(rows)), cursor=_written(at)), at
        until = min(until, self._settled())  # by now the pod has told its own time
        gone = await self._gone(start) if start is not None and self._deleted_code else ()
        if held is not None:
            page, at = held
            yield Page(records=(*page.records, *gone), cursor=_written(max(at, until)))
        elif start is None or start < until:
            yield Page(records=gone, cursor=_written(until))

    def _settled(self) -> datetime:
        """Up to when everything can be seen, by the pod's clock as far as it is known."""
        return self._api.clock.now() + (self._api.skew or timedelta()) - timedelta(seconds=self._api.settings.lag_s)

    async def _pages(self, since: datetime, until: datetime) -> AsyncIterator[list[Vendor]]:
        """Rows of the window in the order of change, every page asked for by time and not by offset."""
        known: set[tuple[str, str]] = set()
        size = self._api.settings.page_size
        while True:
            style, listing = await self._api.timed(partial(self._ask, since, until))
            fresh = [row for row in listing.items if self._mark(row) not in known]
            known |= {self._mark(row) for row in fresh}
            if fresh:
                yield fresh
            if not listing.items or ended(listing, size):
                return
            last = query.cut(_changed(listing.items[-1]), style)
            if last > query.cut(since, style):
                since = last
                continue
            async for rows in self._tied(style, last, known):  # a whole page of one time: go through it by id
                yield rows
            since = last + query.STEP[style]

    def _mark(self, row: Vendor) -> tuple[str, str]:
        """A row as it was read: edited again, it is another."""
        return str(row[self._reader.resource.id]), f"{row.get(STAMP)} {wire.etag_of(row)}"

    async def _ask(self, since: datetime, until: datetime, style: Stamp) -> tuple[Stamp, Listing]:
        reader = self._reader
        window = f"{STAMP} >= {query.stamp(since, style)} and {STAMP} < {query.stamp(until, style)}"
        order = f"{STAMP}:asc,{reader.resource.id}:asc"
        listing = await self._api.page(
            reader.resource, q=query.both(window, reader.condition), orderBy=order, limit=self._api.settings.page_size
        )
        return style, listing

    async def _tied(self, style: Stamp, at: datetime, known: set[tuple[str, str]]) -> AsyncIterator[list[Vendor]]:
        """Every row of one time, by id."""
        after = at + query.STEP[style]
        window = f"{STAMP} >= {query.stamp(at, style)} and {STAMP} < {query.stamp(after, style)}"
        async for rows in self._api.walk(self._reader.resource, query.both(window, self._reader.condition)):
            fresh = [row for row in rows if self._mark(row) not in known]
            known |= {self._mark(row) for row in fresh}
            if fresh:
                yield fresh

    async def _gone(self, start: datetime) -> tuple[Record, ...]:
        """Deletions since the start, by the id that the pod kept of each.

        Oracle, Sales REST: "Deleted Records": ``CreationDate`` is the time of deletion.
        """
        found: list[Record] = []
        code = query.text(self._deleted_code)
        since = start - self._overlap

        async def ask(style: Stamp) -> list[Vendor]:
            condition = f"CreationDate >= {query.stamp(since, style)} and ObjectCode = {code}"
            return [row async for rows in self._api.walk(DELETED, condition) for row in rows]

        for row in await self._api.timed(ask):
            names = str(row.get("KeyAttributeNames") or "").split(",")
            values = str(row.get("KeyAttributeValues") or "").split(",")
            told = dict(zip((name.strip() for name in names), (value.strip() for value in values), strict=False))
            if told.get(self._reader.resource.id):
                found.append(Record(id=told[self._reader.resource.id], entity=None, gone=True))
        return tuple(found)


class Sweeping:
    """A Sweep: every key by its id, with the row's own version; the rows come along, since they were read anyway."""

    def __init__(self, api: Api, reader: Reader, full_every: timedelta | None) -> None:
        self._api, self._reader, self._full_every = api, reader, full_every

    @property
    def full_every(self) -> timedelta | None:
        return self._full_every

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        return await self._reader.records(await self._api.by_ids(self._reader.resource, ids))

    async def stubs(self, *, rows: bool) -> AsyncIterator[Sequence[Stub]]:
        async for found in self._api.walk(self._reader.resource, self._reader.condition):
            yield [
                Stub(id=record.id, version=record.version or "", record=record if rows else None)
                for record in await self._reader.records(found)
            ]


def _changed(row: Vendor) -> datetime:
    value = row.get(STAMP)
    if not value:
        raise ContractBroken(
            f"a row came without {STAMP}, by which changes are read", fix='Say strategy = "sweep" for the kind'
        )
    return wire.instant(str(value))


def _written(at: datetime) -> Cursor:
    return msgspec.json.encode(Place(at)).decode()


def _read(cursor: Cursor, where: str) -> Place:
    try:
        return _decoder.decode(cursor)
    except msgspec.DecodeError as error:
        fix = "Run the flow with --full once"
        raise ContractBroken("the flow's cursor is none of this feed's", fix=fix, where=where) from error
