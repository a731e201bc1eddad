"""Reading one kind: lists in the order of change, records by id, and now and then the deals that lists hide."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ml_connector.domain import Cursor, Instant, Kind, Page, Record, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector_pipedrive import mapping
from ml_connector_pipedrive.api import Api, rfc3339
from ml_connector_pipedrive.metadata import Metadata
from ml_connector_pipedrive.plan import Plan
from ml_connector_pipedrive.reading import Reading
from ml_connector_pipedrive.settings import Settings, span
from ml_connector_pipedrive.wire import Vendor

BEGINNING: Final = datetime(2010, 1, 1, tzinfo=UTC)
"""Older than Pipedrive."""
_SORTED: Final = {"sort_by": "update_time", "sort_direction": "asc"}


class Place(msgspec.Struct, frozen=True):
    """Where reading goes on: everything before ``at`` was told; hidden deals were last looked at up to ``slow``."""

    at: datetime
    slow: datetime


_decoder: Final = msgspec.json.Decoder(Place)


class PipedriveSource:
    """A Feed of one kind."""

    def __init__(self, kind: Kind, api: Api, metadata: Metadata, reading: Reading, settings: Settings) -> None:
        self._kind, self._api, self._metadata, self._reading = kind, api, metadata, reading
        self._settings = settings

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        """Full records; ids that cannot be Pipedrive's are absent like those of deleted records."""
        wanted = [one for one in dict.fromkeys(ids) if one.isascii() and one.isdigit()]
        if not wanted:
            return []
        plan = await self._metadata.plan(self._kind)
        return list(await self._reading.records(plan, await self._reading.rows(plan, wanted)))

    async def changed_since(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        """Changes by ``update_time``, oldest first, from ``overlap_s`` before the place on, for what was committed late.

        A page's cursor is the time of its last record: whoever resumes there reads that second again. The last page's cursor is
        the vendor's now, less the overlap. Deals: every ``slow_every`` come those that were deleted or archived, which the list
        does not show.
        """
        plan = await self._metadata.plan(self._kind)
        now = self._api.now()
        start = _read(cursor) if cursor else None
        query: dict[str, str | int] = {"limit": self._settings.page_size, **_SORTED}
        if start is not None:
            query["updated_since"] = rfc3339(start.at - timedelta(seconds=self._settings.overlap_s))
        slow = start.slow if start else BEGINNING
        reached = start.at if start else None
        async for rows in self._api.pages(plan.shape.plural, query):
            last = mapping.changed_at(rows[-1])
            reached = max((each for each in (reached, last) if each is not None), default=None)
            place = None if reached is None else _written(Place(reached, slow))
            yield Page(records=await self._reading.records(plan, rows), cursor=place)
        if plan.kind == "deal" and now - slow >= span(self._settings.slow_every):
            async for page in self._hidden(plan, start):
                yield page
            slow = now
        yield Page(records=(), cursor=_written(Place(max(now, reached) if reached else now, slow)))

    def cursor_at(self, when: Instant) -> Cursor:
        """Everything that changed, or was deleted, at or after ``when``; the overlap comes on top."""
        at = when.astimezone(UTC).replace(microsecond=0)
        return _written(Place(at, at))

    async def _hidden(self, plan: Plan, start: Place | None) -> AsyncIterator[Page]:
        """Deals that were archived, and those that were deleted (not in a first pass, which found only what lives)."""
        query: dict[str, str | int] = {"limit": self._settings.page_size, **_SORTED}
        if start is not None:
            query["updated_since"] = rfc3339(start.slow - timedelta(seconds=self._settings.overlap_s))
        async for rows in self._api.pages("deals/archived", query):
            yield Page(records=await self._reading.records(plan, rows), cursor=None)
        if start is not None:
            async for rows in self._api.pages("deals", {"status": "deleted", **query}):
                yield Page(records=tuple(map(_gone, rows)), cursor=None)


def _gone(row: Vendor) -> Record:
    changed = mapping.changed_at(row)
    return Record(
        id=str(row["id"]), entity=None, version=changed.isoformat() if changed else None, changed_at=changed, gone=True
    )


def _written(place: Place) -> Cursor:
    return msgspec.json.encode(place).decode()


def _read(cursor: Cursor) -> Place:
    try:
        return _decoder.decode(cursor)
    except msgspec.DecodeError:
        raise ContractBroken(f"{cursor[:80]!r} is no cursor of Pipedrive's", fix="Run the flow with --full") from None
