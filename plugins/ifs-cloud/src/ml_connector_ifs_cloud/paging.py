"""Reading a whole set page by page, by the rules that IFS's paging needs. No request is made here: ``get`` does that.

Observed: a full page asked for with ``$top`` carries no nextLink; servers with a cap of their own link their shorter pages; a
silent cap looks like the end. So nothing is taken for the end but a chain of linked pages that holds fewer rows than asked for,
and at the first lone short page of a set, only once a request behind it came back empty.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final, Generic, TypeVar

import msgspec

from ml_connector.errors import ContractBroken
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud.places import Edm, Field, Paging
from ml_connector_ifs_cloud.rows import Row
from ml_connector_ifs_cloud.times import is_literal

R = TypeVar("R", bound=Row)

_KEYS: Final = re.compile(r"\([^)]*\)")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")


class Query(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """Rows of one set. ``order`` is the full key (behind a stamp, if sorted by one): rows are told apart by it."""

    path: str  # "/main/…/CustomerOrderHandling.svc/CustomerOrderSet"
    decoder: msgspec.json.Decoder[odata.Listing[R]]
    order: tuple[Field, ...]
    select: tuple[str, ...] = ()  # () selects everything
    filter: str = ""

    def text(self, *, more: str = "", top: int | None = None, skip: int | None = None) -> str:
        """The query text; ``more`` is a further condition."""
        names = [field.name for field in self.order]
        return odata.query(select=self.select, filter=odata.both(self.filter, more), orderby=names, top=top, skip=skip or None)

    @property
    def kind(self) -> str:
        """The set without keys: all customers' addresses are one kind of set."""
        return _KEYS.sub("()", self.path)

    def position(self, row: R) -> tuple[object, ...]:
        return tuple(getattr(row, field.name) for field in self.order)


Get = Callable[[Query[R], str], Awaitable[tuple[Sequence[R], str | None]]]
"""Fetches one page by query text or link: its rows, and the absolute link to the next page if the vendor gave one."""


class Pager:
    """The paging rules of one connection, and what they have learned about its sets."""

    def __init__(self, paging: Paging, page_size: int, *, short_page_ends: bool) -> None:
        self._by_key, self._links = paging == "keyset", paging != "skip_only"
        self._top = None if paging == "nextlink_only" else page_size
        self._short_page_ends = short_page_ends
        self._honest: set[str] = set()  # sets whose short pages proved to be the end
        self._capped: set[str] = set()  # sets whose short pages proved not to be
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def pages(self, query: Query[R], get: Get[R], *, start: str = "") -> AsyncGenerator[Sequence[R], None]:
        """Every row at least once, as the vendor pages them; ``start`` is a condition to begin with (see ``behind``).

        Skipping takes the last row along as an anchor. Where the anchor is not found, rows vanished meanwhile and others moved
        up: reading then goes on by key from the last row, so that none is missed.
        """
        by_key, condition, skip = self._by_key, start, 0
        last: R | None = None
        while True:
            target = query.text(more=condition, top=self._top, skip=skip)
            told, linked, new, moved = 0, False, False, False
            anchor = None if by_key else last
            while True:  # one stretch: what one request answers, over all pages that are linked to it
                rows, link = await get(query, target)
                told += len(rows)
                fresh: Sequence[R] | None = rows
                if anchor is not None:
                    fresh, anchor = _behind_anchor(query, rows, anchor), None
                if fresh is None:
                    moved = True
                    break
                if fresh:
                    if last is not None and query.position(fresh[-1]) == query.position(last):
                        raise _stuck(query.path)
                    last, new = fresh[-1], True
                    yield fresh
                if link is None or not self._links:
                    break
                if link == target:
                    raise _stuck(query.path)
                target, linked = link, True
            if self._top is None:
                return
            if moved:
                by_key = True
            elif not new:
                if told >= self._top:
                    raise _stuck(query.path)
                return
            assert last is not None  # a stretch without rows has returned
            if by_key:
                condition, skip, seen = behind(query.order, last), 0, 0
            else:
                skip, seen = skip + told - 1, skip + told
            if not moved and link is None and told < self._top:
                probe = query.text(more=condition, top=1, skip=seen)
                if linked or await self._is_end(query, get, probe):
                    return
            elif told >= self._top and query.kind not in self._capped:
                self._honest.add(query.kind)

    async def _is_end(self, query: Query[R], get: Get[R], probe: str) -> bool:
        """Whether a lone short page is the last one; asked of the server once for every kind of set."""
        if not self._short_page_ends:
            return False
        async with self._asking[query.kind]:
            if query.kind not in self._honest and query.kind not in self._capped:
                rows, _ = await get(query, probe)
                (self._capped if rows else self._honest).add(query.kind)
        return query.kind in self._honest


def behind(order: Sequence[Field], row: object) -> str:
    """The condition that holds for all rows sorted behind this one, by the server's own order."""
    head, *rest = order
    value = literal_of(head.edm, getattr(row, head.name))
    if not rest:
        return f"{head.name} gt {value}"
    return f"({head.name} gt {value} or ({head.name} eq {value} and {behind(rest, row)}))"


def literal_of(edm: Edm, value: object) -> str:
    """A key or stamp as it stands in a filter; the literal's type must be the property's. Raises ContractBroken for others."""
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    if edm == "string":
        return odata.literal(text)
    if edm == "decimal" and _NUMBER.fullmatch(text):
        return text
    if edm in ("date", "datetime") and is_literal(text):
        return text[:10] if edm == "date" else text
    raise ContractBroken(f'"{text[:40]}" is no {edm}', fix="Give the property's own edm in entities (see $metadata)")


def _behind_anchor(query: Query[R], rows: Sequence[R], anchor: R) -> Sequence[R] | None:
    wanted = query.position(anchor)
    for index, row in enumerate(rows):
        if query.position(row) == wanted:
            return rows[index + 1 :]
    return None


def _stuck(path: str) -> ContractBroken:
    return ContractBroken(f"{path} answers with the same page again and again", fix='Try paging = "keyset"')
