"""Records of one kind by id, and rows made whole: deals with their lines, and the item numbers that these stand for."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from ml_connector.domain import Record
from ml_connector.ports.clock import Clock
from ml_connector_pipedrive import mapping
from ml_connector_pipedrive.api import IDS, Api
from ml_connector_pipedrive.plan import Plan
from ml_connector_pipedrive.wire import Vendor

SINGLE: Final = 10
"""Up to so many ids are read one by one (1 token each), more of them as a list (10 for a hundred)."""
KEEP: Final = timedelta(days=1)
"""How long a product's code is believed."""


class Codes:
    """Product id → code, kept a day: lines name products by id, people and ERPs by code."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api, self._clock = api, clock
        self._codes: dict[int, str | None] = {}
        self._forget_at = 0.0

    async def of(self, products: Sequence[int]) -> dict[int, str | None]:
        if self._clock.monotonic() >= self._forget_at:
            self._codes, self._forget_at = {}, self._clock.monotonic() + KEEP.total_seconds()
        unknown = [str(one) for one in dict.fromkeys(products) if one not in self._codes]
        for start in range(0, len(unknown), IDS):
            query: dict[str, str | int] = {"ids": ",".join(unknown[start : start + IDS]), "limit": IDS}
            async for rows in self._api.pages("products", query, essential=True):
                self._codes |= {row["id"]: row.get("code") or None for row in rows}
        return {one: self._codes.get(one) for one in products}


class Reading:
    """Shared by a kind's source and sink, so that both tell the same of a record."""

    def __init__(self, api: Api, codes: Codes, page_size: int) -> None:
        self._api, self._codes, self._page_size = api, codes, page_size

    async def rows(self, plan: Plan, ids: Sequence[str], *, essential: bool = False) -> list[Vendor]:
        """Living rows; what lists hide (archived deals) is asked for by itself."""
        found: list[Vendor] = []
        for start in range(0, len(ids), IDS) if len(ids) > SINGLE else ():
            query: dict[str, str | int] = {"ids": ",".join(ids[start : start + IDS]), "limit": IDS}
            async for rows in self._api.pages(plan.shape.plural, query, essential=essential):
                found += rows
        there = {str(row["id"]) for row in found}
        if len(ids) <= SINGLE or plan.kind == "deal":
            for record_id in ids:
                if record_id in there:
                    continue
                if (row := await self._api.record(plan.shape.plural, record_id, essential=essential)) is not None:
                    found.append(row)
        return found

    async def records(self, plan: Plan, rows: Sequence[Vendor]) -> tuple[Record, ...]:
        """Rows as records, deals with their lines where these are kept."""
        if not plan.lined or not rows:
            return tuple(mapping.record(plan, row) for row in rows)
        lines: dict[int, list[Vendor]] = {row["id"]: [] for row in rows}
        found = await self._api.lines([str(row["id"]) for row in rows], self._page_size)
        codes = await self._codes.of([line["product_id"] for line in found])
        for line in found:
            lines.setdefault(line["deal_id"], []).append({**line, "code": codes[line["product_id"]]})
        return tuple(mapping.record(plan, row, lines[row["id"]]) for row in rows)
