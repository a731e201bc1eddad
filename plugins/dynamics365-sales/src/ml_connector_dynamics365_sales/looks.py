"""Finding records by ids and by values: queries as wide as Dataverse takes them, several to a call."""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from ml_connector_adapters.http import odata
from ml_connector_dynamics365_sales.api import Api, is_id
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.wire import Rows, Vendor

CONDITIONS: Final = 500
"""Of one query (FetchXml reference, "filter", which is what a ``$filter`` becomes)."""
QUERIES: Final = 4
"""Of one call: two thousand orders with their lines are an answer of some ten megabytes."""
_LONG: Final = 60_000
"""Characters of a link within a batch, where Dataverse takes 65,536."""
_SHORT: Final = 7_000
"""Characters of a link by itself: Dataverse takes 32,768, proxies on the way often no more than 8 KB."""
_PAGE: Final = 5000
REVISED: Final = 7


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that have one of ``values`` in ``column``; ids stand without quotes in a filter."""

    entity_set: str
    select: Sequence[str]
    column: str
    values: Sequence[str]
    ids: bool = False
    expand: str = ""

    def queries(self) -> Iterator[str]:
        """Targets below the API's root, as few as the limits allow."""
        rest = list(dict.fromkeys(self.values))
        while rest:
            width = min(CONDITIONS, len(rest))
            while len(target := self._query(rest[:width])) > _LONG and width > 1:
                width = max(1, width * _LONG // len(target))
            yield target
            del rest[:width]

    def _query(self, values: Sequence[str]) -> str:
        where = (f"{self.column} eq {value.lower()}" if self.ids else odata.eq(self.column, value) for value in values)
        return self.entity_set + odata.query(select=self.select, filter=odata.either(*where), expand=self.expand)


def by_id(plan: Plan, ids: Sequence[str]) -> Look:
    """Whole records; what is not there is absent."""
    return Look(entity_set=plan.entity_set, select=plan.select, column=plan.id, values=ids, ids=True, expand=plan.expand)


def by_value(plan: Plan, column: str, values: Sequence[str]) -> Look:
    """Whole records. Neither case nor blanks behind a value matter, as at Dataverse (see ``folded``)."""
    told = [value.rstrip(" ") for value in values if value.strip()]
    if column == plan.id:
        return by_id(plan, [value for value in told if is_id(value)])
    return Look(entity_set=plan.entity_set, select=plan.select, column=column, values=told, expand=plan.expand)


async def looked(api: Api, looks: Sequence[Look]) -> list[list[Vendor]]:
    """The rows of each look, in as few calls as the limits allow."""
    rows: list[list[Vendor]] = [[] for _ in looks]
    queries = [(place, target) for place, look in enumerate(looks) for target in look.queries()]
    for start in range(0, len(queries), QUERIES):
        chunk = queries[start : start + QUERIES]
        for (place, _), page in zip(chunk, await _pages(api, [target for _, target in chunk]), strict=True):
            rows[place] += page.value
            if page.next_link is not None:
                async for further in api.follow(page.next_link, size=_PAGE):
                    rows[place] += further.value
    return rows


async def _pages(api: Api, targets: Sequence[str]) -> list[Rows]:
    if len(targets) > 1 or len(targets[0]) > _SHORT:
        return await api.found(targets)
    pages = [page async for page in api.follow(api.root + targets[0], size=_PAGE)]
    return [Rows(value=[row for page in pages for row in page.value])]


async def rows_by_id(api: Api, plan: Plan, ids: Sequence[str]) -> list[Vendor]:
    """Whole records with their children; what is not there is absent."""
    [rows] = await looked(api, [by_id(plan, ids)])
    return await whole(api, plan, rows)


async def whole(api: Api, plan: Plan, rows: Sequence[Vendor]) -> list[Vendor]:
    """The rows with all of their children: expanded collections have pages of their own."""
    if plan.children is None:
        return list(rows)
    for row in rows:
        link = row.pop(f"{plan.children.nav}@odata.nextLink", None)
        if link is not None:
            async for page in api.follow(str(link), size=_PAGE):
                row[plan.children.nav] = [*row[plan.children.nav], *page.value]
    return list(rows)


def known_by(plan: Plan, column: str, rows: Sequence[Vendor]) -> dict[str, list[Vendor]]:
    """Folded value → rows that have it. Of a revised quote only its latest revision counts."""
    told: dict[str, list[Vendor]] = {}
    for row in rows:
        if plan.kind != "quote" or row.get("statuscode") != REVISED:
            told.setdefault(folded(str(row[column])), []).append(row)
    return told


def folded(value: str) -> str:
    """Equal for what Dataverse takes for the same text: neither case nor blanks behind it count, blanks before it do."""
    return value.casefold().rstrip(" ")
