"""Reading one kind: by id, and as a feed of changes.

How changes are read. Change tracking tells what changed and what was deleted, in the order of row versions. Records without
children come whole with it; of the others it tells the ids, and they are then fetched with their children, which tracking
cannot show. It begins with a token that stands for now,
got by walking the table's ids, and only then is everything (or everything since a time) read in the order of ``modifiedon``:
what happens meanwhile is told by the token. Lines are tracked as well: an order whose pricing is skipped stays as it is.
Where a table is not tracked, ``modifiedon`` alone is followed, with an overlap, and deletions are not told.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from ml_connector.domain import Cursor, Instant, Kind, Page, Record, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_dynamics365_sales.api import Api, TokenExpired, is_id
from ml_connector_dynamics365_sales.convert import instant
from ml_connector_dynamics365_sales.looks import rows_by_id, whole
from ml_connector_dynamics365_sales.metadata import Metadata
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.wire import ETAG, Vendor

WALK: Final = 5000
"""Rows of a page in which only links and ids count: Dataverse's most."""
ROWS: Final = 500
CHANGES: Final = 1000
"""Rows of a page, unless the settings say otherwise: a page of records, and of changes, waits in memory."""


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a feed stands. ``links`` are delta links by entity set; ``since`` says that older records are still to be read."""

    links: dict[str, str] = {}
    since: str | None = None

    def told(self) -> Cursor:
        return msgspec.json.encode(self).decode()


class DynamicsSource:
    """A Feed of one kind."""

    def __init__(self, kind: Kind, api: Api, metadata: Metadata, settings: Settings, clock: Clock) -> None:
        self._kind, self._api, self._metadata, self._settings, self._clock = kind, api, metadata, settings, clock

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        """Full records by id; what is no id of Dataverse's is absent."""
        wanted = [one for one in dict.fromkeys(ids) if is_id(one)]
        if not wanted:
            return []
        plan = await self._metadata.plan(self._kind)
        return [plan.record(row) for row in await rows_by_id(self._api, plan, wanted)]

    def cursor_at(self, when: Instant) -> Cursor:
        return Place(since=_stamp(when)).told()

    async def changed_since(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        plan = await self._metadata.plan(self._kind)
        place = _place(cursor)
        if await self._tracked(plan):
            pages = self._by_tracking(plan, place)
        else:
            pages = self._by_time(plan, place)
        async for page in pages:
            yield page

    async def _tracked(self, plan: Plan) -> bool:
        if self._settings.changes == "poll":
            return False
        tracked = plan.definition.ChangeTrackingEnabled
        if not tracked and self._settings.changes == "track":
            raise ContractBroken(
                f"Change tracking is off for the table {plan.table.name}",
                fix='Switch it on (the table\'s properties, "Track changes"), or set changes = "auto"',
            )
        return tracked

    # -- by change tracking

    async def _by_tracking(self, plan: Plan, place: Place) -> AsyncIterator[Page]:
        if not place.links:
            place = Place(links=await self._baselines(plan), since=place.since or "")
        try:
            async for page in self._told(plan, place):
                yield page
        except TokenExpired:  # everything anew; what was deleted meanwhile is for a reconciliation to find
            async for page in self._told(plan, Place(links=await self._baselines(plan), since="")):
                yield page

    async def _told(self, plan: Plan, place: Place) -> AsyncIterator[Page]:
        if place.since is not None:
            async for page in self._since(plan, place):
                yield page
        async for page in self._news(plan, place.links):
            yield page

    async def _baselines(self, plan: Plan) -> dict[str, str]:
        """Delta links that stand for now. What is selected here is what they will tell of each record."""
        sets: dict[str, Sequence[str]] = {plan.entity_set: plan.select if plan.children is None else (plan.id,)}
        child = await self._metadata.child(self._kind)
        if plan.children is not None and child is not None and child.ChangeTrackingEnabled:
            sets[plan.children.entity_set] = (f"_{plan.children.parent}_value",)
        links: dict[str, str] = {}
        for entity_set, columns in reversed(sets.items()):
            async for page in self._api.pages(entity_set, columns, size=WALK, track=True):
                if page.delta_link is not None:
                    links[entity_set] = page.delta_link
            if entity_set not in links:
                raise ContractBroken(f"{entity_set} told no delta link", fix='Set changes = "poll"')
        return links

    async def _news(self, plan: Plan, known: Mapping[str, str]) -> AsyncIterator[Page]:
        """What the delta links tell: changed records oldest first and deletions, then records of which lines alone changed."""
        links = dict(known)
        told: set[str] = set()
        for entity_set in (plan.entity_set, *(name for name in known if name != plan.entity_set)):
            async for page in self._api.follow(links[entity_set], size=self._settings.page_size or CHANGES, track=True):
                own = entity_set == plan.entity_set
                gone = [str(row["id"]) for row in page.value if own and row.get("reason") == "deleted"]
                ids = [self._changed(plan, row, own=own) for row in page.value]
                fresh = [one for one in dict.fromkeys(ids) if one is not None and one not in told]
                told |= set(fresh)
                whole_rows = {str(row[plan.id]): row for row in page.value if own and _is_whole(plan, row)}
                lacking = [one for one in fresh if one not in whole_rows]
                rows = [whole_rows[one] for one in fresh if one in whole_rows]
                records = [plan.record(row) for row in (*rows, *await rows_by_id(self._api, plan, lacking))]
                records.sort(key=lambda record: record.changed_at or datetime.min.replace(tzinfo=UTC))
                records += [Record(id=one, entity=None, gone=True) for one in gone]
                links[entity_set] = page.delta_link or page.next_link or links[entity_set]
                if records or page.delta_link is not None:
                    yield Page(records=tuple(records), cursor=Place(links=dict(links)).told())

    @staticmethod
    def _changed(plan: Plan, row: Vendor, *, own: bool) -> str | None:
        if row.get("reason") == "deleted":
            return None
        if own:
            return str(row[plan.id])
        assert plan.children is not None
        parent = row.get(f"_{plan.children.parent}_value")
        return str(parent) if parent else None

    # -- by time

    async def _since(self, plan: Plan, place: Place) -> AsyncIterator[Page]:
        """Records in the order of ``modifiedon`` from ``since`` on ("" for all); the cursor keeps the links."""
        since = place.since
        where = f"modifiedon ge {since}" if since else ""
        order = ("modifiedon asc", f"{plan.id} asc")
        async for page in self._api.pages(
            plan.entity_set, plan.select, where=where, order=order, expand=plan.expand, size=self._settings.page_size or ROWS
        ):
            if page.value:
                rows = await whole(self._api, plan, page.value)
                last = str(page.value[-1]["modifiedon"])
                yield Page(records=tuple(plan.record(row) for row in rows), cursor=Place(links=place.links, since=last).told())

    async def _by_time(self, plan: Plan, place: Place) -> AsyncIterator[Page]:
        started = self._clock.now()
        async for page in self._since(plan, Place(since=place.since or "")):
            yield page
        # the next run begins a little before this one did: a change becomes visible later than its stamp
        until = started - timedelta(seconds=self._settings.overlap_s)
        since = place.since
        if since is None or since == "" or instant(since) < until:
            yield Page(records=(), cursor=Place(since=_stamp(until)).told())


def _is_whole(plan: Plan, row: Vendor) -> bool:
    """Whether a row that tracking told is the whole record: its link may be older than a column, or have told ids alone."""
    return plan.children is None and row.get("reason") != "deleted" and ETAG in row and all(one in row for one in plan.select)


def _place(cursor: Cursor | None) -> Place:
    if cursor is None:
        return Place()
    try:
        return msgspec.json.decode(cursor, type=Place)
    except msgspec.DecodeError:
        raise ContractBroken("the cursor is none of this plugin's", fix="Read the flow anew (see docs/operations.md)") from None


def _stamp(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
