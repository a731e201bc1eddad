"""Runs, and the audit: append-only, numbered without gaps, each entry's hash over itself and the hash before it.

hash = SHA-256 over the previous hash (64 zeros before the first) and the stored columns as JSON: names sorted, NULLs left out,
so that a column added later leaves old hashes as they are.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from hashlib import sha256
from operator import attrgetter
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.ports.state import AuditEntry, AuditRecord, Change, Counts, End, Run
from ml_connector_adapters.store.engine import CHUNK, Database, whole
from ml_connector_adapters.store.tables import AUDIT, HEADS, RUNS, from_micros, to_micros

CHAIN: Final = "audit"
START: Final = "0" * 64
"""The hash before the first entry."""

_HEAD: Final = select(HEADS.c.seq, HEADS.c.hash).where(HEADS.c.chain == CHAIN).with_for_update()
_MOVE_HEAD: Final = update(HEADS).where(HEADS.c.chain == CHAIN)

_json: Final = msgspec.json.Encoder()
_changes_in: Final = msgspec.json.Decoder(tuple[Change, ...])
_counts_in: Final = msgspec.json.Decoder(Counts)


class _Stored(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """An entry as its columns hold it. Encoded without a hash it is what the hash is made of: hence the names are sorted."""

    action: str
    at: int
    changes: str | None = None
    flow: str
    hash: str | None = None
    kind: str
    left_id: str | None = None
    left_version: str | None = None
    link: str
    number: str
    reason: str
    right_id: str | None = None
    right_version: str | None = None
    rule: str
    run: str
    seq: int
    side: str | None = None
    trace_id: str


class SqlLedger:
    """Fulfils Ledger; ``append`` and ``save`` take part in the settlement's transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._add = database.bulk(insert(AUDIT), pick=attrgetter)

    @whole
    async def start(self, run: Run) -> None:
        async with self._db.writing() as connection:
            await self.save(connection, run)

    async def finish(self, run: Run) -> None:
        await self.start(run)

    async def save(self, connection: AsyncConnection, run: Run) -> None:
        """The run as it stands now, in place of what was known of it."""
        row = msgspec.structs.asdict(run)
        row["started_at"] = to_micros(run.started_at)
        row["ended_at"] = run.ended_at and to_micros(run.ended_at)
        row["counts"] = _json.encode(run.counts).decode()
        await connection.execute(self._db.upsert(RUNS), row)

    async def last(self, flow: str, *, count: int = 1) -> list[Run]:
        newest = select(RUNS).where(RUNS.c.flow == flow).order_by(RUNS.c.started_at.desc(), RUNS.c.id.desc()).limit(count)
        async with self._db.reading() as connection:
            return [_run(row) for row in (await connection.execute(newest)).mappings()]

    async def append(self, connection: AsyncConnection, entries: Sequence[AuditEntry]) -> None:
        """Number and chain the entries behind the last one; the head stays locked until the transaction ends."""
        end, last = (await connection.execute(_HEAD)).one()
        rows: list[_Stored] = []
        for seq, entry in enumerate(entries, start=end + 1):
            row = _row(seq, entry)
            row.hash = last = _hash(last, row)
            rows.append(row)
        await self._add.execute(connection, rows)
        await connection.execute(_MOVE_HEAD, {"seq": end + len(rows), "hash": last})

    async def entries(
        self, *, since: datetime | None = None, link: str | None = None, run: str | None = None
    ) -> AsyncIterator[AuditRecord]:
        """In order of their numbers, a page at a time; ``since`` compares with the entries' own times."""
        wanted = select(AUDIT)
        after = 0
        if link is not None:
            wanted = wanted.where(AUDIT.c.link == link)
        if run is not None:
            wanted = wanted.where(AUDIT.c.run == run)
        if since is not None:
            recent = AUDIT.c.at >= to_micros(since)
            wanted = wanted.where(recent)
            async with self._db.reading() as connection:  # or the first page would read all that is older
                first = (await connection.execute(select(func.min(AUDIT.c.seq)).where(recent))).scalar()
            if first is None:
                return
            after = first - 1
        async for row in self._pages(wanted, after):
            yield AuditRecord(seq=row["seq"], entry=_entry(row), hash=row["hash"])

    async def verify(self) -> tuple[int, int | None]:
        """Entries that are settled meanwhile are left for the next time."""
        async with self._db.reading() as connection:
            end, end_hash = (await connection.execute(select(HEADS.c.seq, HEADS.c.hash).where(HEADS.c.chain == CHAIN))).one()
            count = (await connection.execute(select(func.count()).select_from(AUDIT).where(AUDIT.c.seq <= end))).scalar_one()
        seq, last = 0, START
        async for row in self._pages(select(AUDIT).where(AUDIT.c.seq <= end), 0):
            last = _hash(last, _Stored(**{**row, "hash": None}))
            if row["seq"] != seq + 1 or row["hash"] != last:
                return count, seq + 1
            seq += 1
        return count, None if (seq, last) == (end, end_hash) else seq + 1

    async def _pages(self, wanted: Any, after: int) -> AsyncIterator[RowMapping]:
        wanted = wanted.order_by(AUDIT.c.seq).limit(CHUNK)
        more = True
        while more:
            async with self._db.reading() as connection:
                page = (await connection.execute(wanted.where(AUDIT.c.seq > after))).mappings().all()
            for row in page:
                yield row
            more = len(page) == CHUNK
            after = page[-1]["seq"] if page else after


def chained(before: str, seq: int, entry: AuditEntry) -> str:
    """The hash that ``append`` gives the entry as number ``seq``, behind one with the hash ``before``."""
    return _hash(before, _row(seq, entry))


def _hash(before: str, row: _Stored) -> str:
    return sha256(before.encode() + _json.encode(row)).hexdigest()


def _row(seq: int, entry: AuditEntry) -> _Stored:
    return _Stored(
        seq=seq,
        at=to_micros(entry.at),
        run=entry.run,
        flow=entry.flow,
        trace_id=entry.trace_id,
        kind=entry.kind,
        number=entry.number,
        link=entry.link,
        action=entry.action,
        left_id=entry.left.id,
        left_version=entry.left.version,
        right_id=entry.right.id,
        right_version=entry.right.version,
        side=None if entry.side == "right" else entry.side,
        rule=entry.rule,
        reason=entry.reason,
        changes=_json.encode(entry.changes).decode() if entry.changes else None,
    )


def _entry(row: RowMapping) -> AuditEntry:
    return AuditEntry(
        at=from_micros(row["at"]),
        run=row["run"],
        flow=row["flow"],
        trace_id=row["trace_id"],
        kind=row["kind"],
        number=row["number"],
        link=row["link"],
        action=row["action"],
        left=End(row["left_id"], row["left_version"]),
        right=End(row["right_id"], row["right_version"]),
        side=row["side"] or "right",
        rule=row["rule"],
        reason=row["reason"],
        changes=() if row["changes"] is None else _changes_in.decode(row["changes"]),
    )


def _run(row: RowMapping) -> Run:
    ended = row["ended_at"]
    return Run(
        id=row["id"],
        flow=row["flow"],
        trace_id=row["trace_id"],
        started_at=from_micros(row["started_at"]),
        ended_at=None if ended is None else from_micros(ended),
        outcome=row["outcome"],
        note=row["note"],
        counts=_counts_in.decode(row["counts"]),
    )
