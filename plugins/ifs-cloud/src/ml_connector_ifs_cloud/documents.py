"""Documents: header and lines are one record. Lines are read from their own set, by the key range of a header page."""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Final, Generic, NamedTuple, TypeAlias, TypeVar

from ml_connector.domain import Entity, Record, RemoteId, Stub, Version
from ml_connector.errors import ContractBroken, RecordRejected
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud import mapping
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.paging import Query, literal_of
from ml_connector_ifs_cloud.places import Field, Place
from ml_connector_ifs_cloud.places import Lines as LinesPlace
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rows import LINE_KEYS, LineKey, OrderLine, Row, decoder_of, with_extras
from ml_connector_ifs_cloud.tasks import both, together
from ml_connector_ifs_cloud.versions import content_version, order_version

H = TypeVar("H", bound=Row)
K = TypeVar("K", bound=Row)
L = TypeVar("L", bound=LineKey)
Lines: TypeAlias = dict[RemoteId, list[L] | None]
"""Lines by order; None where they could not be read."""

_WASTE: Final = 5
"""So many pages of other orders' lines are too many to read for one page of orders."""
_UNREAD: Final = "its lines could not be read: something between here and IFS refuses the / in its number"


class DocumentReader(Reader[H, K]):
    """Orders, quotations, and what has no lines at all (``lines`` None)."""

    def __init__(self, api: Api, place: Place, lines: LinesPlace | None, header: type[H], key: type[K], clock: Clock) -> None:
        super().__init__(api, place, header, key, clock)
        self.lines = lines
        keys = (place.key.name, *LINE_KEYS)
        self._line_order = tuple(Field(name=name, edm="decimal" if name == "LineItemNo" else "string") for name in LINE_KEYS)
        own = [lines.key_field] if lines is not None and lines.key_field else []
        self._selects = {OrderLine: tuple(dict.fromkeys((*keys, *(lines.select if lines else ()), *own))), LineKey: keys}
        self._decoders = {
            OrderLine: decoder_of(with_extras(OrderLine, (place.key.name, *own))),
            LineKey: decoder_of(with_extras(LineKey, (place.key.name,))),
        }
        self._sparse = False  # between the keys of a page lie mostly other documents' lines

    @abstractmethod
    def entity(self, row: H, lines: Sequence[OrderLine] | None) -> tuple[Entity, tuple[str, ...]]:
        """The document and what could not be placed; ``lines`` None: they could not be read, or there are none to read."""

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        if not ids or self.lines is None or await self._line_set() is None:
            return await super().fetch(ids)
        headers = self.api.by_keys(await self.headers(), self.place.key, ids)
        rows, lines = await both(headers, self._lines_of(ids, OrderLine))
        return [self._record(row, lines) for row in rows]

    async def standing(self, row: H) -> "Standing[H]":
        """An order with all its rows, for whoever wants to change them. Raises RecordRejected for unreadable lines."""
        lines = await self._lines_of([number := self.id_of(row)], OrderLine)
        if lines[number] is None and self.lines is not None:
            raise RecordRejected(_UNREAD, code="UNREAD", field="lines")
        return Standing(row, mapping.in_order(lines[number] or ()), self._record(row, lines).version)

    def line_path(self, found: EntitySet, number: RemoteId, row: OrderLine | None = None) -> str:
        """Where the lines of a document are, or one of them."""
        path = f"{self.api.entity_path(found, self.place.key, number)}/{self._nav}"
        if row is None:
            return path
        own = {"LineNo": row.LineNo, "RelNo": row.RelNo, "LineItemNo": row.LineItemNo}
        return path + odata.key(**self.api.key_of(self.place.key, number), **own)

    async def records(self, rows: Sequence[H]) -> list[Record]:
        lines = await self._lines_between([self.id_of(row) for row in rows], OrderLine)
        return [self._record(row, lines) for row in rows]

    async def scattered(self, rows: Sequence[H]) -> list[Record]:
        lines = await self._lines_of([self.id_of(row) for row in rows], OrderLine)
        return [self._record(row, lines) for row in rows]

    async def versions(self, rows: Sequence[K]) -> list[Stub]:
        lines = await self._lines_between([self.id_of(row) for row in rows], LineKey)
        return [Stub(id=self.id_of(row), version=self._version(row, lines[self.id_of(row)])) for row in rows]

    def _version(self, row: Row, lines: Sequence[LineKey] | None) -> Version:
        return self.etag_of(row) if self.lines is None else order_version(self.etag_of(row), lines)

    def _record(self, row: H, lines: Lines[OrderLine]) -> Record:
        number = self.id_of(row)
        own = lines[number]
        entity, warnings = self.entity(row, own)
        if self.by_content:
            version = content_version(row.etag, entity, "content")
        else:
            version = self._version(row, own)
        return Record(
            id=number,
            entity=entity,
            version=version,
            changed_at=self.changed_at(row, [line.etag for line in own or ()]),
            warnings=warnings if own is not None or self.lines is None else (*warnings, _UNREAD),
        )

    async def _lines_between(self, ids: Sequence[RemoteId], row: type[L]) -> Lines[L]:
        """The lines of a page of orders, by key range. Other orders' lines in the range are passed over.

        Where those are many, because the scope picks few orders of many, the orders are named instead of the range.
        """
        if self.lines is None:
            return dict.fromkeys(ids)
        found = await self._line_set()
        if found is None or not ids:
            return await self._lines_by_navigation(ids, row)
        if self._sparse:
            return await self._lines_of(ids, row)
        gathering = _Gathering[L](self.place.key.name, ids)
        async with aclosing(self.api.rows(self._query(found.path, row, self._range(ids)))) as pages:
            async for page in pages:
                gathering.add(page)
                if gathering.others > _WASTE * self.api.settings.page_size:
                    self._sparse = True
                    break
        return gathering.lines() if not self._sparse else await self._lines_of(ids, row)

    async def _lines_of(self, ids: Collection[RemoteId], row: type[L]) -> Lines[L]:
        """The lines of orders that need not be neighbours."""
        if self.lines is None:
            return dict.fromkeys(ids)
        found = await self._line_set()
        if found is None:
            return await self._lines_by_navigation(ids, row)
        gathering = _Gathering[L](self.place.key.name, ids)
        gathering.add(await self.api.by_keys(self._query(found.path, row), self.place.key, ids))
        return gathering.lines()

    async def _lines_by_navigation(self, ids: Collection[RemoteId], row: type[L]) -> Lines[L]:
        """One GET per order, where the flat set is not served."""
        found = await self.api.place(self.place)

        async def read(number: RemoteId) -> list[L] | None:
            try:
                return await self.api.all(self._query(self.line_path(found, number), row))
            except ContractBroken:
                if "/" not in number:
                    raise
                return None

        return dict(zip(ids, await together(read(number) for number in ids), strict=True))

    @property
    def _nav(self) -> str:
        assert self.lines is not None
        return self.lines.nav

    async def _line_set(self) -> EntitySet | None:
        service = (await self.api.place(self.place)).service
        options = [EntitySet(service, name) for name in self.lines.sets] if self.lines is not None else []
        return await self.api.first_served(options, self.place.key.name) if options else None

    def _query(self, path: str, row: type[L], condition: str = "") -> Query[L]:
        return Query(
            path=path,
            decoder=self._decoders[row],  # type: ignore[arg-type]
            order=(self.place.key, *self._line_order),
            select=self._selects[row] if self.api.settings.use_select else (),
            filter=condition,
        )

    def _range(self, ids: Sequence[RemoteId]) -> str:
        """From the first to the last key of a page, by whichever order the server compares.

        Sorting and comparing may follow different collations; where the page is not in code point order, the range by code
        point is asked for as well, and lines that belong to no order of the page are passed over.
        """
        edm = self.place.key.edm
        ordered = sorted(ids, key=Decimal if edm == "decimal" else str)
        ends = dict.fromkeys([(ids[0], ids[-1]), (ordered[0], ordered[-1])])
        name = self.place.key.name
        ranges = [f"{name} ge {literal_of(edm, first)} and {name} le {literal_of(edm, last)}" for first, last in ends]
        return ranges[0] if len(ranges) == 1 else odata.either(*(f"({part})" for part in ranges))


class Standing(NamedTuple, Generic[H]):
    """A document as it stands at IFS."""

    row: H
    lines: list[OrderLine]
    version: Version | None


class _Gathering(Generic[L]):
    """Lines by order, each once: a line may come twice when data moves while paging. The last one counts."""

    def __init__(self, key: str, ids: Iterable[RemoteId]) -> None:
        self._key = key
        self.others = 0  # lines of other orders
        self._lines: dict[RemoteId, dict[tuple[object, ...], L]] = {number: {} for number in ids}

    def add(self, rows: Iterable[L]) -> None:
        for row in rows:
            own = self._lines.get(str(getattr(row, self._key)))
            if own is None:
                self.others += 1
            else:
                own[row.LineNo, row.RelNo, row.LineItemNo] = row

    def lines(self) -> Lines[L]:
        return {number: list(own.values()) for number, own in self._lines.items()}
