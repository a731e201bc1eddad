"""Change feeds for tenants that have something to go by: a stamp on the row, or the History Log."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import msgspec

from ml_connector.domain import Cursor, Page, Record, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud.paging import Query, behind, literal_of
from ml_connector_ifs_cloud.places import Field
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rows import Row, decoder_of, with_extras
from ml_connector_ifs_cloud.tasks import ahead
from ml_connector_ifs_cloud.times import earlier

R = TypeVar("R", bound=Row)


class Mark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A cursor: how far a feed has come, in IFS's own texts.

    at           the newest stamp that was seen
    key, until   only in the middle of a run: the last row at ``at``, and the bound of that run
    load         only in the middle of a first load: the last key
    """

    at: str | None = None
    key: str | None = None
    until: str | None = None
    load: str | None = None

    def cursor(self) -> Cursor:
        return _encoder.encode(self).decode()


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Mark)


def mark_of(cursor: Cursor | None, where: str) -> Mark:
    """Raises ContractBroken for a text that is no cursor of these feeds."""
    if cursor is None:
        return Mark()
    try:
        return _decoder.decode(cursor)
    except msgspec.DecodeError as error:
        raise ContractBroken(
            "the flow's cursor is none of this feed's", fix="Run the flow with --full once", where=where
        ) from error


def mark_at(reader: Reader[Any, Any], when: datetime, stamp: Field) -> Mark:
    text = reader.rules.time.text(when)
    return Mark(at=text if stamp.edm == "datetime" else text[:10])


class Window:
    """One run's stretch of time: from the mark less the overlap up to now, or on from where a run was cut off."""

    def __init__(self, reader: Reader[Any, Any], mark: Mark, stamp: Field, key: Field) -> None:
        now = reader.rules.time.text(reader.clock.now())
        self.order = (stamp, key)
        self.mark = mark
        self.until = mark.until or (now if stamp.edm == "datetime" else now[:10])
        self.start, since = "", ""
        if mark.until is not None and mark.at is not None and mark.key is not None:
            self.start = behind(self.order, SimpleNamespace(**{stamp.name: mark.at, key.name: mark.key}))
        elif mark.at is not None:
            overlapped = earlier(mark.at, reader.api.settings.watermark_overlap_s)
            since = f"{stamp.name} ge {literal_of(stamp.edm, overlapped)}"
        self.condition = odata.both(since, f"{stamp.name} le {literal_of(stamp.edm, self.until)}")

    def after(self, row: Row) -> Mark:
        """In the middle: resumes behind exactly this row."""
        stamp, key = (getattr(row, field.name) for field in self.order)
        return Mark(at=str(stamp), key=str(key), until=self.until)


async def paged(
    window: Window, pages: AsyncGenerator[Sequence[R], None], work: Callable[[Sequence[R]], Awaitable[list[Record]]]
) -> AsyncGenerator[Page, None]:
    """Pages of records, each with a cursor behind it; the last one's ends the run. A run without rows yields nothing new."""

    async def done(rows: Sequence[R]) -> tuple[list[Record], Mark]:
        return await work(rows), window.after(rows[-1])

    held: list[Record] | None = None
    mark = window.mark
    async with aclosing(ahead(pages, done)) as told:
        async for records, behind_them in told:
            if held is not None:
                yield Page(records=tuple(held), cursor=mark.cursor())
            held, mark = records, behind_them
    if held is not None or mark.until is not None:
        yield Page(records=tuple(held or ()), cursor=Mark(at=mark.at).cursor())


class TimestampFeed:
    """Rows by their own stamp. With a creation stamp only new records show; nothing shows deletions."""

    def __init__(self, reader: Reader[Any, Any]) -> None:
        assert reader.place.stamp is not None  # settings see to it
        self._reader, self._stamp = reader, reader.place.stamp

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        return await self._reader.fetch(ids)

    def cursor_at(self, when: datetime) -> Cursor:
        return mark_at(self._reader, when, self._stamp).cursor()

    async def changed_since(self, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
        reader = self._reader
        window = Window(reader, mark_of(cursor, reader.api.where), self._stamp, reader.place.key)
        query = await reader.headers(by=(self._stamp,), condition=window.condition)
        async with aclosing(paged(window, reader.api.rows(query, start=window.start), reader.scattered)) as pages:
            async for page in pages:
                yield page


class HistoryFeed:
    """Keys from the History Log, records by key. Begins with a full load: the log knows only what happened since it is on."""

    def __init__(self, reader: Reader[Any, Any]) -> None:
        self._reader = reader
        self._log = log = reader.api.settings.entities.history
        account = reader.kind == "account"
        self._lus = log.account_lus if account else log.order_lus
        self._columns = log.account_columns if account else log.order_columns
        names = (log.key.name, log.time_field.name, log.lu_field, log.keys_field, log.type_field)
        self._names, self._decoder = names, decoder_of(with_extras(Row, names))

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        return await self._reader.fetch(ids)

    def cursor_at(self, when: datetime) -> Cursor:
        return mark_at(self._reader, when, self._log.time_field).cursor()

    async def changed_since(self, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
        reader, log = self._reader, self._log
        mark = mark_of(cursor, reader.api.where)
        if mark.at is None or mark.load is not None:
            async with aclosing(self._first_load(mark)) as pages:
                async for page in pages:
                    yield page
            return
        window = Window(reader, mark, log.time_field, log.key)
        service = reader.api.service(log.gateway, log.projection)
        query: Query[Row] = Query(
            path=f"{service.path}/{log.read_set}",
            decoder=self._decoder,
            order=window.order,
            select=self._names if reader.api.settings.use_select else (),
            filter=odata.both(odata.one_of(log.lu_field, self._lus), window.condition),
        )
        async with aclosing(paged(window, reader.api.rows(query, start=window.start), self._records)) as pages:
            async for page in pages:
                yield page

    async def _first_load(self, mark: Mark) -> AsyncGenerator[Page, None]:
        """Every record by key. The log is read from the time at which the load began."""
        reader = self._reader
        key = reader.place.key
        at = mark.at or reader.rules.time.text(reader.clock.now())
        start = behind((key,), SimpleNamespace(**{key.name: mark.load})) if mark.load is not None else ""
        held: tuple[Record, ...] = ()
        async with aclosing(reader.stubs(rows=True, start=start)) as pages:
            async for stubs in pages:
                if held:
                    yield Page(records=held, cursor=Mark(at=at, load=held[-1].id).cursor())
                held = tuple(stub.record for stub in stubs if stub.record is not None)
        yield Page(records=held, cursor=Mark(at=at).cursor())

    async def _records(self, rows: Sequence[Row]) -> list[Record]:
        """The records behind log rows, in the order in which they last changed; deleted ones as gone."""
        deleted: dict[RemoteId, bool] = {}
        for row in rows:
            number = self._parent(str(getattr(row, self._log.keys_field) or ""))
            if number is not None:
                deleted.pop(number, None)  # keep the place of the last change
                own = getattr(row, self._log.lu_field) == self._lus[0]
                deleted[number] = own and getattr(row, self._log.type_field) in self._log.deleted
        found = {record.id: record for record in await self._reader.fetch(list(deleted))}
        gone = {number: Record(id=number, entity=None, gone=True) for number, last in deleted.items() if last}
        return [record for number in deleted if (record := found.get(number) or gone.get(number)) is not None]

    def _parent(self, keys: str) -> RemoteId | None:
        """``ADDRESS_ID=1^CUSTOMER_ID=C-100^`` → ``C-100``: children and lines name the record that they belong to."""
        told = dict(part.split("=", 1) for part in keys.split("^") if "=" in part)
        return next((told[column] for column in self._columns if column in told), None)
