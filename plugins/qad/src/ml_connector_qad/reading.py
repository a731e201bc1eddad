"""Reading one kind: its browse for what there is, keyed reads for what it holds, its lines where it has some.

A version is a fingerprint of the mapped fields that the browse shows, so that a list tells what changed without reading it.
Lines move without their header; so documents that are open, or young enough, have their lines looked at in every sweep, and the
fingerprint of those is part of the version. The rest is seen when everything is read anew (``full_every_h``).
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.domain import Extra, Hold, Kind, Record, RemoteId, Stub
from ml_connector.errors import ContractBroken, Unavailable
from ml_connector_qad import convert
from ml_connector_qad.api import Api
from ml_connector_qad.billing import Billing
from ml_connector_qad.browse import Browser, Listing, column_of, told_columns
from ml_connector_qad.convert import Unreadable
from ml_connector_qad.handing import Handing
from ml_connector_qad.kinds import Document
from ml_connector_qad.lines import LineReader
from ml_connector_qad.mapping import DAYS, FieldMap, is_day
from ml_connector_qad.receipts import Gate, Received
from ml_connector_qad.records import Records
from ml_connector_qad.tasks import together

Row = dict[str, Any]
_DAY_S: Final = 86_400
ESSENTIAL: Final[dict[str, tuple[str, ...]]] = {
    "vendor": ("number", "name"),
    "product": ("number", "name"),
    "account": ("number", "name"),
    "purchase_order": ("number", "vendor"),
    "invoice": ("number", "vendor", "purchase_order", "status"),
    "order": ("number", "customer"),
}
"""Canonical fields without which a kind is not switched on."""


class Deep(msgspec.Struct, frozen=True):
    """What hangs on a document: its lines, what is invoiced on it, and the evidence for an invoice."""

    lines: list[Row] | None = None
    billed: Mapping[str, Any] = {}
    hold: Hold | None = None
    marks: tuple[str, ...] = ()  # what of it is part of the version


class Sight(msgspec.Struct):
    """What one sweep finds out once for all of its records."""

    posted: Mapping[str, Mapping[str, Decimal]] | None = None  # receipts by purchase order and line
    billed: dict[str, list[Row]] | None = None  # invoices by purchase order
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)  # purchase order → future of its lines


class Reader:
    """One kind. ``lines`` where it has some, ``gate`` where it waits for receipts, ``billing`` where it tells its invoices."""

    billing: Billing | None = None

    def __init__(
        self, kind: Kind, api: Api, browser: Browser, lines: LineReader | None = None, gate: Gate | None = None
    ) -> None:
        self.kind, self.api, self.browser, self.lines, self.gate = kind, api, browser, lines, gate
        self.map = FieldMap(kind, api.settings)
        self.place = self.map.place
        self.records = Records(api, self.place.component, self.sample)
        self.listing = self._listing()
        self.watched: frozenset[str] | None = None  # mapped fields that the browse shows; None: not seen yet
        self.confirmed = self.place.enabled is True
        self._learning = asyncio.Lock()
        self._evidence: Handing[list[Received]] = Handing(api.clock)

    @property
    def full_every(self) -> timedelta | None:
        return timedelta(hours=self.place.full_every_h) if self.place.full_every_h else None

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        """Full records by id; what does not exist is absent."""
        if not ids:
            return []
        await self.confirm()
        await self._learn()
        found = await together(self.one(record_id) for record_id in ids)
        return [record for record in found if record is not None]

    async def one(self, record_id: RemoteId) -> Record | None:
        row = await self.records.get(record_id)
        return await self.record(record_id, row) if row is not None else None

    async def record(self, record_id: RemoteId, row: Mapping[str, Any], deep: Deep | None = None) -> Record:
        """The record behind a whole row, with what hangs on it."""
        await self._learn()
        own = self.map.id_of(row) or record_id
        if deep is None:
            deep = await self.deep(own, row)
        entity, warnings = self.map.entity(row, deep.lines)
        if deep.billed:
            own_extras = entity.extra.as_dict() if isinstance(entity.extra, Extra) else {}
            entity = msgspec.structs.replace(entity, extra=Extra({**own_extras, **deep.billed}))
        return Record(
            id=own,
            entity=entity,
            version=self._version(row, deep),
            changed_at=self.changed_at(row),
            warnings=warnings,
            hold=deep.hold,
        )

    def changed_at(self, row: Mapping[str, Any]) -> datetime | None:
        """When the record last changed, by its stamp of day and seconds; None where it has none, or only the day."""
        try:
            day = convert.day(row.get(self.place.modified_field), self.api.settings.keyed.wire_datetime)
            seconds = convert.number(row.get(self.place.modified_time_field))
        except Unreadable:
            return None
        if day is None or seconds is None or not 0 <= seconds < _DAY_S:
            return None
        midnight = datetime.combine(day, time(), self.api.settings.time_zone)
        return (midnight + timedelta(seconds=float(seconds))).astimezone(UTC)

    async def deep(self, record_id: RemoteId, row: Mapping[str, Any]) -> Deep:
        """All that hangs on the record."""
        await self._learn()
        return await self._deep(record_id, row, whole=True)

    async def stubs(self, *, rows: bool) -> AsyncGenerator[Sequence[Stub], None]:
        """Every key with its version. Ends normally only if as many came as the browse counts."""
        await self.confirm()
        total = await self.browser.total(self.listing)
        seen: set[RemoteId] = set()
        raw = 0
        if self.lines is not None:
            self.lines.handing.clear()
        self._evidence.clear()
        sight = Sight(
            posted=await self.gate.posted() if self.gate is not None else None,
            billed=await self.billing.listed() if self.billing is not None else None,
        )
        async with aclosing(self.browser.pages(self.listing, total=total)) as pages:
            async for page in pages:
                if not seen:
                    self.watched = told_columns(page) & frozenset(self.map.wires)
                raw += len(page)
                fresh: list[tuple[RemoteId, Row]] = []
                for row in page:
                    record_id = self.checked(row)
                    if record_id not in seen:
                        seen.add(record_id)
                        fresh.append((record_id, row))
                yield await together(self._stub(one, row, sight) for one, row in fresh)
        await self._complete(len(seen), raw, total)

    async def sample(self) -> Row | None:
        """Some row of the browse; None where it has none."""
        async with aclosing(self.browser.pages(self.listing, size=1, most=1)) as pages:
            async for page in pages:
                return page[0]
        return None

    async def confirm(self) -> None:
        """See that a kind which rests on assumptions is there as it is declared, before anything of it is used.

        Raises ContractBroken with all that differs. A browse without rows has nothing to confirm by, and nothing to read.
        """
        if self.confirmed:
            return
        if self.place.enabled is False:
            raise ContractBroken(f"{self.kind} is switched off", fix=f"Set entities.{self.kind}.enabled", where=self.api.where)
        row = await self.sample()
        if row is None:
            return
        if lacks := await self.lacking(row):
            raise ContractBroken(
                f"{self.kind} rests on assumptions that do not hold here: {'; '.join(lacks)}",
                fix=f"Correct entities.{self.kind} by the instance's Swagger pages and browses; ping tells all that differs",
                where=self.api.where,
            )
        self.confirmed = True

    async def lacking(self, row: Mapping[str, Any]) -> list[str]:
        """What makes the kind unusable, going by a row of its browse and the record behind it."""
        record_id = self.checked(row)
        whole = await self.records.get(record_id) if self.place.detail == "keyed" else row
        if whole is None:
            return [f"{record_id} is listed, but {self.records.path} does not find it"]
        there = {*row, *whole}
        lacks = []
        for name in ESSENTIAL[self.kind]:
            sources = self.map.fields.get(name, ())
            if sources and not any(source in there for source in sources):
                lacks.append(f"neither the browse nor the record has {' or '.join(sources)} for {name}")
        return lacks

    def listing_for(self, *filters: tuple[str, str, str]) -> Listing:
        """The browse with further conditions, as (field, op, value)."""
        told = tuple((self.column(field), op, value) for field, op, value in filters)
        return msgspec.structs.replace(self.listing, filters=(*self.listing.filters, *told))

    def column(self, field: str) -> str:
        return column_of(field, self.place.prefix, self.place.columns, self.api.settings.browse.key_separator)

    # Versions

    def _version(self, row: Mapping[str, Any], deep: Deep) -> str:
        watched = self.watched if self.watched is not None else frozenset(self.map.wires)
        return self.map.digest(row, watched, *deep.marks)

    def _looked_into(self, row: Mapping[str, Any]) -> bool:
        """Whether what hangs on the document is looked at in every sweep; by fields that list and record both show."""
        place = self.place
        assert isinstance(place, Document)
        if place.open_filter is not None:
            field, value = place.open_filter
            told = convert.code(row.get(field)) if self._shows(field) else None
            return told is None or self.api.settings.codes.same(told, value)
        if place.window_field and self._shows(place.window_field):
            try:
                day = convert.day(row.get(place.window_field), self.api.settings.keyed.wire_datetime)
            except Unreadable:
                return True
            return day is None or day >= self.api.clock.now().date() - timedelta(days=place.window_days)
        return True

    def _shows(self, field: str) -> bool:
        return self.watched is None or field in self.watched

    async def _deep(self, record_id: RemoteId, row: Mapping[str, Any], *, whole: bool, sight: Sight | None = None) -> Deep:
        """What hangs on the record; unless ``whole`` only if its version needs it. ``sight``: what the sweep knows already."""
        if not isinstance(self.place, Document):
            return Deep()
        watch = self._looked_into(row)
        if self.gate is not None:
            return await self._judged(record_id, row, watch=watch, sight=sight) if whole or watch else Deep()
        billed = await self._billed(record_id, sight)
        if self.lines is None or not (whole or watch or billed):
            return Deep()
        lines = self.lines.handing.take(record_id) if whole else None
        if lines is None:
            lines = await self.lines.read(record_id)
        if not whole:
            self.lines.handing.put(record_id, lines)
        marks = (self.lines.digest(lines),) if watch else ()
        if self.billing is None:
            return Deep(lines=lines, marks=marks)
        extras = await self.billing.extras(record_id, billed, lines)
        return Deep(lines=lines, billed=extras, marks=(*marks, self.billing.mark(extras)) if billed else marks)

    async def _billed(self, record_id: RemoteId, sight: Sight | None) -> list[Row]:
        """The invoices of a purchase order, where they are told with it."""
        if self.billing is None:
            return []
        if sight is not None and sight.billed is not None:
            return sight.billed.get(self.api.settings.codes.plain(record_id), [])
        return await self.billing.of(record_id)

    async def _judged(self, record_id: RemoteId, row: Mapping[str, Any], *, watch: bool, sight: Sight | None) -> Deep:
        """The invoice with the verdict on it; ``sight`` is a sweep's, of which each purchase order is asked for once."""
        assert self.gate is not None
        names = self.map.fields.get("purchase_order", ())
        code = convert.code(row.get(names[0])) if names else None
        order_id = self.api.settings.codes.id(code) if code is not None else None
        found = self._evidence.take(record_id) if sight is None else None
        if found is None and order_id is not None:
            if sight is None:
                found = await self.gate.evidence(order_id)
            else:
                if order_id not in sight.evidence:
                    sight.evidence[order_id] = asyncio.ensure_future(self.gate.evidence(order_id, sight.posted))
                found = await sight.evidence[order_id]
                self._evidence.put(record_id, found)
        hold = self.gate.verdict(row, order_id, found or [])
        return Deep(hold=hold, marks=("held" if hold is not None else "free",) if watch else ())

    # Sweeping

    async def _stub(self, record_id: RemoteId, row: Row, sight: Sight) -> Stub:
        if self.place.change_strategy == "full":
            record = await self.one(record_id)
            return Stub(id=record_id, version=(record.version if record else None) or "", record=record)
        by_row = self.place.detail == "browse"
        deep = await self._deep(record_id, row, whole=by_row, sight=sight)
        told = await self.record(record_id, row, deep) if by_row else None
        return Stub(id=record_id, version=self._version(row, deep), record=told)

    def checked(self, row: Mapping[str, Any]) -> RemoteId:
        """The row's id. Raises ContractBroken for another company's row, and for one without a key."""
        self.records.check_scope(row)
        record_id = self.map.id_of(row)
        if record_id is None:
            raise ContractBroken(
                f"a row of {self.listing.ids[0]} has an empty key ({', '.join(self.place.component.keys)})",
                fix=f"Correct keys or columns of entities.{self.kind}",
                where=self.api.where,
            )
        return record_id

    async def _complete(self, keys: int, raw: int, before: int | None) -> None:
        """Raises where fewer records came than the browse counts: the rest would be taken for deleted."""
        counted = raw if self.place.count == "rows" else keys
        if before is None or self.place.count == "off" or counted == before:
            return
        after = await self.browser.total(self.listing)
        assert after is not None
        if counted == after or (before != after and counted >= min(before, after)):
            return
        what = f"{self.listing.ids[0]} gave {counted} records of {after}, so the list is not complete"
        if before != after:
            raise Unavailable(f"{what}; it moved meanwhile", where=self.api.where)
        raise ContractBroken(
            what,
            fix="Lower browse.page_size, or check browse.action_next; where a record has several rows, set count to rows",
            where=self.api.where,
        )

    async def _learn(self) -> None:
        """Which of the mapped fields the browse shows, from its first page, where no sweep has told yet."""
        if self.watched is not None:
            return
        async with self._learning:
            if self.watched is None:
                mapped = frozenset(self.map.wires)
                async with aclosing(self.browser.pages(self.listing, most=1)) as pages:
                    shown = [told_columns(page) async for page in pages]
                self.watched = shown[0] & mapped if shown else mapped

    def _listing(self) -> Listing:
        place = self.place
        stamps = [place.modified_field, place.modified_time_field] if place.change_strategy == "modified" else []
        fields = dict.fromkeys((*place.component.keys, *place.component.scope, *self.map.wires, *filter(None, stamps)))
        days = {names[0] for path, names in self.map.fields.items() if path in DAYS}
        return Listing(
            ids=(place.browse_id, *place.aliases),
            columns={field: self.column(field) for field in fields},
            required=(*place.component.keys, *stamps[:1]),
            filters=tuple((self.column(field), op, value) for field, op, value in place.filters),
            days=frozenset(days | set(stamps[:1]) | {source for source in place.custom_fields.values() if is_day(source)}),
        )
