"""Reading one kind: a keyset feed over COQL, deletions from the deleted-records list, the first load by Bulk Read."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ml_connector.domain import Cursor, Instant, Kind, Page, Record, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_zoho_crm import bulk, coql
from ml_connector_zoho_crm.api import Api
from ml_connector_zoho_crm.convert import instant
from ml_connector_zoho_crm.metadata import Metadata
from ml_connector_zoho_crm.plan import Plan
from ml_connector_zoho_crm.queries import with_lines
from ml_connector_zoho_crm.settings import Settings
from ml_connector_zoho_crm.wire import Vendor, version_of

_ORDER: Final = ("Modified_Time", "id")
_BULK_PAGE: Final = 500


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a cursor says: behind which record, and how far deletions have been told. Instants are UTC, whole seconds."""

    at: datetime
    id: str = ""  # "": behind everything of before ``at``
    deleted: datetime | None = None


_positions: Final = msgspec.json.Decoder(Position)


def encode_cursor(position: Position) -> Cursor:
    return msgspec.json.encode(position).decode()


def decode_cursor(cursor: Cursor) -> Position:
    """Raises ContractBroken for text that this adapter never returned."""
    try:
        return _positions.decode(cursor)
    except msgspec.DecodeError as error:
        raise ContractBroken(f"The stored cursor is none of Zoho's: {cursor[:60]!r}") from error


class ZohoSource:
    """A Feed of one kind."""

    def __init__(self, kind: Kind, api: Api, metadata: Metadata, settings: Settings, clock: Clock) -> None:
        self._kind, self._api, self._metadata, self._settings, self._clock = kind, api, metadata, settings, clock

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        """Full records; ids that cannot be Zoho's are absent like those of deleted records."""
        wanted = [record_id for record_id in dict.fromkeys(ids) if coql.is_id(record_id)]
        if not wanted:
            return []
        plan = await self._metadata.plan(self._kind)
        rows: list[Vendor] = []
        for start in range(0, len(wanted), coql.IN_LIST):
            chunk = wanted[start : start + coql.IN_LIST]
            where = coql.one_of("id", map(coql.text, chunk))
            rows += (await self._query(where, order=(), limit=coql.IN_LIST))[0]
        return list(await self._records(plan, rows))

    async def changed_since(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        """Changes by (Modified_Time, id), oldest first, up to a safety lag before now; deletions come at the end of a pass.

        A pass begins ``overlap_s`` before its cursor, for what was committed late. The cursor itself never goes back: what lies
        before it has been told once, and the next pass begins with the overlap again. A page's cursor keeps the old mark for
        deletions; only the last page, which tells them, moves it.
        """
        plan = await self._metadata.plan(self._kind)
        now = self._clock.now().replace(microsecond=0)
        end = now - timedelta(seconds=self._settings.safety_lag_s)
        start = decode_cursor(cursor) if cursor else None
        if start is None and await self._is_bulk(plan):
            async for page in self._bulk(plan, end):
                yield page
        else:
            async for page in self._keyset(plan, start, end):
                yield page
        gone = await self._deleted(plan, start, end)
        at = max(end, start.at) if start else end
        yield Page(records=tuple(gone), cursor=encode_cursor(Position(at=at, deleted=end)))

    def cursor_at(self, when: Instant) -> Cursor:
        """Everything that changed, or was deleted, at or after ``when``; the overlap comes on top."""
        at = when.astimezone(UTC).replace(microsecond=0)
        return encode_cursor(Position(at=at, deleted=at))

    async def _keyset(self, plan: Plan, start: Position | None, end: datetime) -> AsyncIterator[Page]:
        at = start.at - timedelta(seconds=self._settings.overlap_s) if start else None
        floor = (start.at, start.id) if start else None
        where = coql.after(at, "", end, inclusive=True)
        while True:
            rows, more = await self._query(where, order=_ORDER, limit=self._settings.page)
            if not rows:
                return
            last = (instant(rows[-1]["Modified_Time"]), str(rows[-1]["id"]))
            reached = max(last, floor) if floor else last
            position = Position(at=reached[0], id=reached[1], deleted=start.deleted if start else end)
            yield Page(records=await self._records(plan, rows), cursor=encode_cursor(position))
            if not more:
                return
            where = coql.after(last[0], last[1], end)

    async def _records(self, plan: Plan, rows: Sequence[Vendor]) -> tuple[Record, ...]:
        living = [row for row in rows if plan.living(row)]
        if plan.lines is not None:
            living = await with_lines(self._api, plan.lines, living, self._settings.line_page)
        return tuple(map(plan.record, living))

    async def _query(self, where: str, *, order: Sequence[str], limit: int) -> tuple[list[Vendor], bool]:
        """One query; when a column is gone from the organisation, once more with what is there now."""
        for attempt in (1, 2):
            plan = await self._metadata.plan(self._kind)
            query = coql.select(plan.selected(), plan.module, where, order=order, limit=limit)
            try:
                rows = await self._api.coql(query, limit)
            except ContractBroken as error:
                if attempt == 2 or error.code not in ("INVALID_QUERY", "INVALID_MODULE"):
                    raise
                self._metadata.forget()
            else:
                return rows.data, rows.info.more_records
        raise AssertionError("unreachable")

    async def _deleted(self, plan: Plan, start: Position | None, end: datetime) -> list[Record]:
        """Records deleted since the last pass told of deletions; none for a first pass, which found only what lives."""
        if start is None:
            return []
        since = (start.deleted or start.at) - timedelta(seconds=self._settings.overlap_s)
        gone: dict[str, Record] = {}
        for deleted in await self._api.deleted(plan.module, since):
            at = deleted.deleted_time
            gone[deleted.id] = Record(
                id=deleted.id, entity=None, version=version_of(at), changed_at=instant(at.isoformat()), gone=True
            )
        return list(gone.values())

    async def _is_bulk(self, plan: Plan) -> bool:
        """Bulk Read pays for many records, and can do it: no external field, not too many fields, no lines."""
        threshold = self._settings.bulk_read_from
        if threshold is None or plan.lines is not None or len(plan.select) > bulk.FIELDS:
            return False
        if any(plan.fields[api].external for api in plan.select if api in plan.fields):
            return False
        return await self._api.count(plan.module) > threshold

    async def _bulk(self, plan: Plan, end: datetime) -> AsyncIterator[Page]:
        """Unsorted, so there is no safe place to resume from before the end of it."""
        held: list[Record] = []
        async for row in bulk.read_all(
            self._api, self._clock, plan.module, plan.fields, plan.select, end, self._settings.bulk_patience_s
        ):
            if plan.living(row):
                held.append(plan.record(row))
            if len(held) == _BULK_PAGE:
                yield Page(records=tuple(held), cursor=None)
                held = []
        if held:
            yield Page(records=tuple(held), cursor=None)
