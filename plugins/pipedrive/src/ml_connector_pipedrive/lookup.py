"""Records by what a field holds: Pipedrive has no external id, and its search index lags behind what was just written.

A few values are searched one by one (20 tokens each), and what changed of late is listed beside it, for what the index has not
heard of. From ``search_up_to`` values on the field is listed once for all records (10 tokens per 500) and remembered; from then
on each question costs one list of what changed since. That memory is some hundred bytes a record and lasts as long as the
process; without it a first load would cost four times its tokens. Whatever is found is a hint: the caller reads and compares.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from ml_connector_pipedrive.api import Api, rfc3339
from ml_connector_pipedrive.plan import SEARCHABLE, Column, Plan
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.wire import Vendor

SETTLE_S: Final = 30.0
REMEMBERED: Final = 1000
"""More of our latest creates than can be under way at once."""
_SORTED: Final = {"sort_by": "update_time", "sort_direction": "asc"}


class Lookup:
    """Ids of one kind's records by the value of a column."""

    def __init__(self, api: Api, settings: Settings) -> None:
        self._api, self._settings = api, settings
        self._known: dict[str, dict[str, set[int]]] = {}  # field code → value → ids
        self._as_of: dict[str, datetime] = {}
        self._ours: dict[tuple[str, str], int] = {}
        self._lost: dict[tuple[str, str], datetime] = {}
        self._searched = 0
        self._asking = asyncio.Lock()

    async def ids(self, plan: Plan, column: Column, values: Iterable[str]) -> dict[str, list[int]]:
        """Ids of the records that may hold each value, oldest first; to be read and compared."""
        wanted = list(dict.fromkeys(value for value in values if value.strip()))
        found: dict[str, set[int]] = {value: set() for value in wanted}
        if not wanted:
            return {}
        async with self._asking:
            if self._is_dear(column, len(wanted)):
                await self._learn(plan, column)
            if (known := self._known.get(column.code)) is not None:
                await self._catch_up(plan, column, known)
                for value in wanted:
                    found[value] |= known.get(value, set())
            else:
                self._searched += len(wanted)
                await self._search(plan, column, found)
        return {value: sorted(ids) for value, ids in found.items()}

    def wrote(self, column: Column, value: str, record_id: int) -> None:
        """A record of our own making."""
        self._ours[column.code, value] = record_id
        if len(self._ours) > REMEMBERED:
            del self._ours[next(iter(self._ours))]

    def ours(self, column: Column, value: str) -> int | None:
        """The record that we wrote last with this value, which whoever looked before does not know of."""
        return self._ours.get((column.code, value))

    def lost(self, column: Column, value: str) -> None:
        """The answer to a create was lost: it may come into being yet."""
        self._lost[column.code, value] = self._api.now()

    def settles_in(self, column: Column, value: str) -> float:
        """Seconds until a record that is not there by then was certainly not created by what was lost."""
        lost = self._lost.get((column.code, value))
        left = 0.0 if lost is None else SETTLE_S - (self._api.now() - lost).total_seconds()
        if left <= 0:
            self._lost.pop((column.code, value), None)
        return max(0.0, left)

    def _is_dear(self, column: Column, count: int) -> bool:
        return column.code not in self._known and self._searched + count > self._settings.search_up_to

    async def _search(self, plan: Plan, column: Column, found: dict[str, set[int]]) -> None:
        if _searchable(plan, column):
            for value in found:
                found[value] |= set(await self._api.ids_with(plan.shape.singular, column.code, value))
        since = self._api.now() - timedelta(seconds=self._settings.index_lag_s)
        async for rows in self._changed(plan, since):
            for row in rows:
                value = column.held(row)
                if value in found:
                    found[value].add(row["id"])

    async def _learn(self, plan: Plan, column: Column) -> None:
        """Every value of the field, archived deals' too."""
        known: dict[str, set[int]] = {}
        began = self._api.now()
        query: dict[str, str | int] = {"limit": 500, **({"custom_fields": column.code} if column.custom else {})}
        for plural in (plan.shape.plural, *(("deals/archived",) if plan.kind == "deal" else ())):
            async for rows in self._api.pages(plural, query, essential=True):
                _note(known, column, rows)
        self._known[column.code], self._as_of[column.code] = known, began

    async def _catch_up(self, plan: Plan, column: Column, known: dict[str, set[int]]) -> None:
        began = self._api.now()
        since = self._as_of[column.code] - timedelta(seconds=self._settings.index_lag_s)
        async for rows in self._changed(plan, since):
            _note(known, column, rows)
        self._as_of[column.code] = began

    def _changed(self, plan: Plan, since: datetime) -> AsyncIterator[list[Vendor]]:
        query: dict[str, str | int] = {"updated_since": rfc3339(since), "limit": 500, **_SORTED}
        return self._api.pages(plan.shape.plural, query, essential=True)


def _searchable(plan: Plan, column: Column) -> bool:
    field = plan.schema.fields.get(column.code)
    return field is None or field.field_type in SEARCHABLE


def _note(known: dict[str, set[int]], column: Column, rows: Sequence[Vendor]) -> None:
    for row in rows:
        if isinstance(value := column.held(row), str) and value:
            known.setdefault(value, set()).add(row["id"])
