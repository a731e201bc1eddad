"""Read step: feeds page by page, sweeps key by key, both as one stream of batches with what already needs no work counted."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Container, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ml_connector.domain import Cursor, Record, RemoteId, Side, Stub
from ml_connector.ports.source import Feed, Source, Sweep
from ml_connector.ports.state import Links, Standing
from ml_connector.sync.job import Term

CHUNK = 100
"""Changed keys that are fetched together; adapters split it further where the vendor needs it."""

_TERM: dict[Standing, Term] = {
    "agreed": "unchanged",
    "skipped": "skipped",
    "parked": "parked",
    "rejected": "rejected",
    "conflicted": "conflicted",
}


def standing_term(standing: Standing) -> Term | None:
    """How a record that did not change counts; None when it wants a closer look all the same."""
    return _TERM.get(standing)


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the reading of one side stands."""

    cursor: Cursor | None = None  # of its feed
    swept_at: datetime | None = None  # the last sweep that reached its end
    full_at: datetime | None = None  # the last run that read every record anew


class Position(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a flow stands, kept as its one cursor."""

    left: Mark = Mark()
    right: Mark = Mark()
    signature: str = ""  # the flow's, when it last read everything
    opened: bool | None = (
        None  # creates are free: the target was empty at the first run, or a person has looked; None: not asked
    )

    def mark(self, side: Side) -> Mark:
        return self.left if side == "left" else self.right

    def at(self, side: Side, **moved: Any) -> "Position":
        """The position with that side's mark moved."""
        mark = msgspec.structs.replace(self.mark(side), **moved)
        return msgspec.structs.replace(self, left=mark) if side == "left" else msgspec.structs.replace(self, right=mark)

    def encoded(self) -> Cursor:
        return msgspec.json.encode(self).decode()


def position(cursor: Cursor) -> Position:
    return msgspec.json.decode(cursor, type=Position)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Records that need a look, how many did not (by ledger term), and the source's cursor behind them."""

    records: Sequence[Record] = ()
    settled: Counter[Term] = msgspec.field(default_factory=Counter)
    cursor: Cursor | None = None


async def read_feed(source: Feed, cursor: Cursor | None) -> AsyncIterator[Batch]:
    async for page in source.changed_since(cursor):
        yield Batch(records=page.records, cursor=page.cursor)


async def read_ids(source: Source, ids: Sequence[RemoteId], *, known: Container[RemoteId] = ()) -> AsyncIterator[Batch]:
    """Records by id. Of those ``known``, one that is not there (any more) comes as gone."""
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        records = await source.fetch(chunk)
        there = {record.id for record in records}
        gone = [Record(id=one, entity=None, gone=True) for one in chunk if one in known and one not in there]
        yield Batch(records=[*records, *gone])


class SweepReader:
    """Compares every swept key with what its link last saw, and fetches only what is new or differs."""

    def __init__(self, source: Sweep, links: Links, flow: str, side: Side, *, full: bool, first: bool, dry: bool) -> None:
        self._source, self._links, self._flow, self._side = source, links, flow, side
        self._full = full  # read every record anew
        self._dry = dry  # for a look: what is seen is not remembered
        self._first = first  # nothing is linked yet: expect every record to be new

    async def batches(self) -> AsyncIterator[Batch]:
        wanted: list[RemoteId] = []
        async for stubs in self._source.stubs(rows=self._full or self._first):
            settled, records = await self._sort(stubs, wanted)
            yield Batch(records=records, settled=settled)
            while len(wanted) >= CHUNK:
                yield Batch(records=await self._source.fetch(wanted[:CHUNK]))
                del wanted[:CHUNK]
        if wanted:
            yield Batch(records=await self._source.fetch(wanted))

    async def _sort(self, stubs: Sequence[Stub], wanted: list[RemoteId]) -> tuple[Counter[Term], list[Record]]:
        ids = [stub.id for stub in stubs]
        seen, _ = await asyncio.gather(self._links.seen(self._flow, self._side, ids), self._sight(ids))
        settled: Counter[Term] = Counter()
        records: list[Record] = []
        for stub in stubs:
            known = seen.get(stub.id)
            same = known is not None and known.version == stub.version and not known.due
            term = standing_term(known.standing) if known is not None and same else None
            if term is not None and not self._full:
                settled[term] += 1
            elif stub.record is not None:
                records.append(stub.record)
            else:
                wanted.append(stub.id)
        return settled, records

    async def _sight(self, ids: Sequence[RemoteId]) -> None:
        if not self._first and not self._dry:  # at first nothing is known that could be missing
            await self._links.sight(self._flow, self._side, ids)


def due_for_full(source: Sweep, mark: Mark, now: datetime) -> bool:
    """Versions do not tell everything: it is time again to read every record anew."""
    every: timedelta | None = source.full_every
    return every is not None and mark.full_at is not None and now - mark.full_at >= every
