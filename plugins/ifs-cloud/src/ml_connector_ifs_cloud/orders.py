"""Customer orders: header and lines are one record. Lines are read from their own set, by the key range of a header page."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Final, Generic, TypeAlias, TypeVar

from ml_connector.domain import Record, RemoteId, Stub
from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud import mapping
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.paging import Query, literal_of
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rows import LINE_KEYS, LineKey, OrderHeader, OrderKey, OrderLine, decoder_of
from ml_connector_ifs_cloud.settings import Field
from ml_connector_ifs_cloud.tasks import both, together
from ml_connector_ifs_cloud.versions import content_version, order_version

L = TypeVar("L", bound=LineKey)
Lines: TypeAlias = dict[RemoteId, list[L] | None]
"""Lines by order; None where they could not be read."""

_WASTE: Final = 5
"""So many pages of other orders' lines are too many to read for one page of orders."""
_UNREAD: Final = "its lines could not be read: something between here and IFS refuses the / in its number"


class OrderReader(Reader[OrderHeader, OrderKey]):
    """Orders of the configured companies and sites."""

    kind = "order"

    def __init__(self, api: Api, clock: Clock) -> None:
        self.orders = api.settings.entities.order
        super().__init__(api, self.orders, OrderHeader, OrderKey, clock)
        self._rows, self._line_keys = decoder_of(OrderLine), decoder_of(LineKey)
        self._sparse = False  # between the keys of a page lie mostly other orders' lines

    def scope(self, found: EntitySet) -> str:
        settings = self.api.settings
        return odata.both(
            odata.one_of("Company", settings.companies) if settings.companies else "",
            odata.one_of("Contract", settings.sites) if settings.sites else "",
        )

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        if not ids or await self._line_set() is None:
            return await super().fetch(ids)
        headers = self.api.by_keys(await self.headers(), self.place.key, ids)
        rows, lines = await both(headers, self._lines_of(ids, OrderLine))
        return [self._record(row, lines) for row in rows]

    async def records(self, rows: Sequence[OrderHeader]) -> list[Record]:
        lines = await self._lines_between([self.id_of(row) for row in rows], OrderLine)
        return [self._record(row, lines) for row in rows]

    async def scattered(self, rows: Sequence[OrderHeader]) -> list[Record]:
        lines = await self._lines_of([self.id_of(row) for row in rows], OrderLine)
        return [self._record(row, lines) for row in rows]

    async def versions(self, rows: Sequence[OrderKey]) -> list[Stub]:
        lines = await self._lines_between([self.id_of(row) for row in rows], LineKey)
        return [Stub(id=self.id_of(row), version=order_version(self.etag_of(row), lines[self.id_of(row)])) for row in rows]

    def _record(self, row: OrderHeader, lines: Lines[OrderLine]) -> Record:
        number = self.id_of(row)
        own = lines[number]
        entity, warnings = mapping.order(row, own, self.rules)
        if self.by_content:
            version = content_version(row.etag, entity, "content")
        else:
            version = order_version(self.etag_of(row), own)
        return Record(
            id=number,
            entity=entity,
            version=version,
            changed_at=self.changed_at(row, own or ()),
            warnings=warnings if own is not None else (*warnings, _UNREAD),
        )

    async def _lines_between(self, ids: Sequence[RemoteId], row: type[L]) -> Lines[L]:
        """The lines of a page of orders, by key range. Other orders' lines in the range are passed over.

        Where those are many, because the scope picks few orders of many, the orders are named instead of the range.
        """
        found = await self._line_set()
        if found is None or not ids:
            return await self._lines_by_navigation(ids, row)
        if self._sparse:
            return await self._lines_of(ids, row)
        gathering = _Gathering[L](ids)
        async with aclosing(self.api.rows(self._query(found.path, row, self._range(ids)))) as pages:
            async for page in pages:
                gathering.add(page)
                if gathering.others > _WASTE * self.api.settings.page_size:
                    self._sparse = True
                    break
        return gathering.lines() if not self._sparse else await self._lines_of(ids, row)

    async def _lines_of(self, ids: Collection[RemoteId], row: type[L]) -> Lines[L]:
        """The lines of orders that need not be neighbours."""
        found = await self._line_set()
        if found is None:
            return await self._lines_by_navigation(ids, row)
        gathering = _Gathering[L](ids)
        gathering.add(await self.api.by_keys(self._query(found.path, row), self.place.key, ids))
        return gathering.lines()

    async def _lines_by_navigation(self, ids: Collection[RemoteId], row: type[L]) -> Lines[L]:
        """One GET per order, where the flat set is not served."""
        found = await self.api.place(self.place)

        async def read(number: RemoteId) -> list[L] | None:
            path = f"{self.api.entity_path(found, self.place.key, number)}/{self.orders.lines.nav}"
            try:
                return await self.api.all(self._query(path, row))
            except ContractBroken:
                if "/" not in number:
                    raise
                return None

        return dict(zip(ids, await together(read(number) for number in ids), strict=True))

    async def _line_set(self) -> EntitySet | None:
        service = (await self.api.place(self.place)).service
        options = [EntitySet(service, name) for name in self.orders.lines.sets]
        return await self.api.first_served(options, self.place.key.name) if options else None

    def _query(self, path: str, row: type[L], condition: str = "") -> Query[L]:
        whole = row is OrderLine
        chosen = tuple(dict.fromkeys((*LINE_KEYS, *self.orders.lines.select))) if whole else LINE_KEYS
        return Query(
            path=path,
            decoder=self._rows if whole else self._line_keys,  # type: ignore[arg-type]
            order=(self.place.key, Field(name="LineNo"), Field(name="RelNo"), Field(name="LineItemNo", edm="decimal")),
            select=chosen if self.api.settings.use_select else (),
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


class _Gathering(Generic[L]):
    """Lines by order, each once: a line may come twice when data moves while paging. The last one counts."""

    def __init__(self, ids: Iterable[RemoteId]) -> None:
        self.others = 0  # lines of other orders
        self._lines: dict[RemoteId, dict[tuple[object, ...], L]] = {number: {} for number in ids}

    def add(self, rows: Iterable[L]) -> None:
        for row in rows:
            own = self._lines.get(str(row.OrderNo))
            if own is None:
                self.others += 1
            else:
                own[row.LineNo, row.RelNo, row.LineItemNo] = row

    def lines(self) -> Lines[L]:
        return {number: list(own.values()) for number, own in self._lines.items()}
