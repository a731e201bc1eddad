"""Following a kind by its stamp of the last change, where somebody added that column to its browse.

Stamps have the precision of a day, and the browse has no order: everything from a day before the last place on is listed, put
in order here and read again. Deletions do not show, nor does what changes on a business relation without its customer.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import date, datetime, timedelta
from typing import Final

from ml_connector.domain import Cursor, Page, Record, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector_qad import convert
from ml_connector_qad.convert import Unreadable
from ml_connector_qad.reading import Reader

_CHUNK: Final = 20
_LONG_AGO: Final = date(1900, 1, 1)


class ModifiedFeed:
    """A Feed over a reader. Cursors are days as the server counts them."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self.place, self._api = reader, reader.place, reader.api

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        return await self._reader.fetch(ids)

    def cursor_at(self, when: datetime) -> Cursor:
        return when.astimezone(self._api.settings.time_zone).date().isoformat()

    async def changed_since(self, cursor: Cursor | None) -> AsyncGenerator[Page, None]:
        await self._reader.confirm()
        today = self.cursor_at(self._api.clock.now())
        found = await self._listed(self._since(cursor))
        for start in range(0, len(found), _CHUNK):
            chunk = found[start : start + _CHUNK]
            places = {record_id: place for place, (_, record_id) in enumerate(chunk)}
            records = await self._reader.fetch(list(places))
            records.sort(key=lambda record: places.get(record.id, 0))
            yield Page(records=tuple(records), cursor=min(chunk[-1][0].isoformat(), today))
        yield Page(records=(), cursor=today)

    def _since(self, cursor: Cursor | None) -> date | None:
        if cursor is None:
            return None
        try:
            return date.fromisoformat(cursor) - timedelta(days=self.place.overlap_days)
        except (ValueError, OverflowError):
            raise ContractBroken(
                "the flow's cursor is none of this feed's", fix="Run the flow with --full once", where=self._api.where
            ) from None

    async def _listed(self, since: date | None) -> list[tuple[date, RemoteId]]:
        """Every key that changed since then with the day of its change, oldest first; one without a day comes first."""
        rules, place = self._api.settings.browse, self.place
        listing = self._reader.listing
        if since is not None:
            listing = self._reader.listing_for((place.modified_field, rules.ops.ge, since.strftime(rules.filter_date_format)))
        stamped: dict[RemoteId, tuple[date, int, RemoteId]] = {}
        async with aclosing(self._reader.browser.pages(listing)) as pages:
            async for page in pages:
                for row in page:
                    record_id = self._reader.checked(row)
                    try:
                        changed = convert.day(row.get(place.modified_field), self._api.settings.keyed.wire_datetime)
                        seconds = convert.number(row.get(place.modified_time_field))
                    except Unreadable as error:
                        raise ContractBroken(
                            f"{place.modified_field} of {record_id} cannot be read: {error}",
                            fix="Check modified_field and browse.row_date_format",
                            where=self._api.where,
                        ) from None
                    stamped[record_id] = (changed or _LONG_AGO, int(seconds or 0), record_id)
        return [(changed, record_id) for changed, _, record_id in sorted(stamped.values())]
