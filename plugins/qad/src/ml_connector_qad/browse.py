"""Lists: one browse page by page, held against its own total, because a browse that is asked wrongly answers 200 and nothing.

Rows are flat objects with dotted keys ("customer.customerCode"), looked up literally. There is no order that could be relied
on, no link to a next page, and no word about deletions.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

import msgspec

from ml_connector.errors import ContractBroken, Unavailable
from ml_connector_qad import convert
from ml_connector_qad.api import Absent, Api, BadRequest

_TELL: Final = 12
"""Columns that an error names at most."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of one browse. ``columns`` is field → column; ``required`` are fields without which nothing can be done."""

    ids: tuple[str, ...]
    columns: Mapping[str, str]
    required: tuple[str, ...]
    filters: tuple[tuple[str, str, str], ...] = ()  # (column, op, value)
    days: frozenset[str] = frozenset()  # fields that hold dates


class Browser:
    """Reads browses of one connection."""

    def __init__(self, api: Api) -> None:
        self._api, self._rules = api, api.settings.browse
        self._pinned: dict[tuple[str, ...], str] = {}

    async def pages(
        self, listing: Listing, *, size: int | None = None, most: int | None = None, total: int | None = None
    ) -> AsyncGenerator[list[dict[str, Any]], None]:
        """Rows as field → value, page by page, at most ``most`` pages; ``total`` where the caller has asked for it already.

        Raises ContractBroken where nothing comes although the total says that there is something.
        """
        rules, size = self._rules, size or self._rules.page_size
        browse_id, call_id = await self._id(listing), uuid4().hex
        page, action, seen = rules.first_page, rules.action_first, 0
        while True:
            rows, more = await self._page(browse_id, listing, page, size, action, call_id)
            if not rows and page == rules.first_page:
                rows, more = await self._nothing(browse_id, listing, size, total)
            seen += len(rows)
            if rows:
                yield [self._named(row, listing, browse_id) for row in rows]
            done = more is False or (len(rows) < size and not (more and rows and total is not None and seen < total))
            page, action = page + 1, rules.action_next
            if done or (most is not None and page - rules.first_page >= most):
                return

    async def total(self, listing: Listing) -> int | None:
        """How many rows there are by the browse's own count; None where the guard is switched off."""
        if self._rules.zero_rows_guard == "off" or not self._rules.total_path:
            return None
        return await self._count(await self._id(listing), listing)

    async def _nothing(
        self, browse_id: str, listing: Listing, size: int, total: int | None
    ) -> tuple[list[dict[str, Any]], bool | None]:
        """The first page is empty: believe it only if the total agrees. It is asked for once more before."""
        rules = self._rules
        if total is None and rules.zero_rows_guard == "probe_total" and rules.total_path:
            total = await self._count(browse_id, listing)
        if not total:
            return [], False
        rows, more = await self._page(browse_id, listing, rules.first_page, size, rules.action_first, uuid4().hex)
        if not rows:
            raise ContractBroken(
                f"{browse_id} answers no rows, though it counts {total}",
                fix="Check browse.action_first, browse.first_page and browse.params: asked wrongly, a browse answers nothing",
                where=self._api.where,
            )
        return rows, more

    async def _page(
        self, browse_id: str, listing: Listing, page: int, size: int, action: str, call_id: str
    ) -> tuple[list[dict[str, Any]], bool | None]:
        """The rows as they came, and whether more follow (None: nothing is said)."""
        rules, names = self._rules, self._rules.params
        pairs = [
            (names.id, browse_id),
            (names.page, str(page)),
            (names.page_size, str(size)),
            (names.page_action, action),
            (names.call_id, call_id),
            *self._filters(listing),
        ]
        told = await self._api.get(rules.path, [(name, value) for name, value in pairs if name])
        rows = convert.at(told, rules.rows_path)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ContractBroken(
                f"{browse_id} answered without rows at {rules.rows_path}", fix="Check browse.rows_path", where=self._api.where
            )
        flag = convert.at(told, rules.more_path) if rules.more_path else None
        return rows, None if flag is None else flag in rules.more_true

    async def _count(self, browse_id: str, listing: Listing) -> int:
        rules = self._rules
        try:
            told = await self._api.get(rules.total_path, [(rules.params.id, browse_id), *self._filters(listing)])
        except Absent as error:
            error.fix = 'Correct browse_id or browse.total_path; without a count, set browse.zero_rows_guard = "off"'
            raise
        for path in rules.total_value_paths:
            try:
                count = convert.number(convert.at(told, path)) if not isinstance(convert.at(told, path), (dict, list)) else None
            except convert.Unreadable:
                count = None
            if count is not None:
                return int(count)
        raise ContractBroken(
            f"the count of {browse_id} is at none of {', '.join(rules.total_value_paths)}",
            fix='Add its place to browse.total_value_paths, or set browse.zero_rows_guard = "off"',
            where=self._api.where,
        )

    def _filters(self, listing: Listing) -> list[tuple[str, str]]:
        template, name = self._rules.filter_template, self._rules.params.filter
        return [
            (name, template.replace("{field}", column).replace("{op}", op).replace("{value}", value))
            for column, op, value in listing.filters
        ]

    async def _id(self, listing: Listing) -> str:
        """The first of the browse's ids that is served; found once."""
        if len(listing.ids) == 1:
            return listing.ids[0]
        if listing.ids not in self._pinned:
            for place, browse_id in enumerate(listing.ids):
                try:
                    rows, _ = await self._page(
                        browse_id, listing, self._rules.first_page, 1, self._rules.action_first, uuid4().hex
                    )
                except (Absent, BadRequest):
                    if place + 1 == len(listing.ids):
                        raise
                    continue
                if rows or place + 1 == len(listing.ids) or await self._known(browse_id, listing):
                    self._pinned[listing.ids] = browse_id
                    break
            else:
                self._pinned[listing.ids] = listing.ids[0]
        return self._pinned[listing.ids]

    async def _known(self, browse_id: str, listing: Listing) -> bool:
        """Whether an empty browse is one that the installation knows: it can be counted."""
        if self._rules.zero_rows_guard == "off":
            return True
        try:
            await self._count(browse_id, listing)
        except (ContractBroken, Unavailable):
            return False
        return True

    def _named(self, row: Mapping[str, Any], listing: Listing, browse_id: str) -> dict[str, Any]:
        """Field → value of the columns that are told. Raises ContractBroken where a required one is not there."""
        if missing := [listing.columns[field] for field in listing.required if listing.columns[field] not in row]:
            there = ", ".join(sorted(row)[:_TELL]) or "none"
            raise ContractBroken(
                f"{browse_id} has no column {', '.join(missing)}; it has {there}",
                fix="Correct prefix or columns of the kind, or add the column to the browse",
                where=self._api.where,
            )
        told = {field: row[column] for field, column in listing.columns.items() if column in row}
        layout = self._rules.row_date_format
        if layout is not None:
            for field in listing.days & told.keys():
                told[field] = self._day(told[field], layout)
        return told

    def _day(self, value: Any, layout: str) -> Any:
        """A row's date as a record writes it; what is none stays as it is and is told where it is mapped."""
        try:
            day = convert.day(value, layout)
        except convert.Unreadable:
            return value
        return day.strftime(self._api.settings.keyed.wire_datetime) if day is not None else None


def column_of(field: str, prefix: str, columns: Mapping[str, str], separator: str) -> str:
    return columns.get(field) or f"{prefix}{separator}{field}"


def told_columns(rows: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Fields that at least one of the rows has."""
    return frozenset(field for row in rows for field in row)
