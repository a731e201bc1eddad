"""The tables of the state, and how a time stands in a column.

Times are whole microseconds since 1970 (UTC): lossless, ordered, and cheaper to bind and to read than text.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, cast

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, MetaData, Table, Text, text
from sqlmodel import Field, SQLModel

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(64)
def to_micros(at: datetime) -> int:
    """An aware time as a column holds it; whole-number arithmetic, because floats lose microseconds.

    A batch's rows have the same few times.
    """
    return (at - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Aware UTC."""
    return _EPOCH + timedelta(microseconds=micros)


class Base(SQLModel):
    """Keeps these tables apart from whatever else uses sqlmodel in the same process."""

    metadata = MetaData()
    model_config = {"defer_build": True}  # rows come and go through the tables: pydantic need not make ready to check them


# SQLite numbers rows by itself only in a column called INTEGER, which there holds 64 bits; PostgreSQL's has 32.
_SEQ: Final = BigInteger().with_variant(Integer, "sqlite")


def _key(**more: Any) -> Any:
    return Field(primary_key=True, **more)


def _time(*, null: bool = False) -> Any:
    return Field(sa_type=BigInteger, nullable=null)


def _text(*, null: bool = False) -> Any:
    return Field(sa_type=Text, nullable=null)


def _blob(*, null: bool = False) -> Any:
    return Field(sa_type=LargeBinary, nullable=null)


def _where(condition: str) -> dict[str, Any]:
    """A partial index. PostgreSQL's condition stands in the migration alone: to name it here would load that dialect."""
    return {"sqlite_where": text(condition)}


class LinkRow(Base, table=True):
    """A Link, flat. ``trouble`` holds the whole Trouble as JSON; the columns behind it repeat what is asked for."""

    __tablename__ = "links"
    __table_args__ = (
        Index("links_left", "flow", "left_id", unique=True),  # NULLs differ from each other in both databases
        Index("links_right", "flow", "right_id", unique=True),
        Index("links_number", "number"),
        # Few links are in these, and the others cost nothing to keep out.
        Index("links_standing", "flow", "standing", **_where("standing <> 'agreed'")),
        Index("links_due", "flow", **_where("due IS 1")),
        Index("links_drift", "flow", **_where("drift IS NOT NULL")),
        Index("links_waits", "flow", "waits_side", "waits_kind", "waits_key", **_where("waits_key IS NOT NULL")),
    )

    id: str = _key()
    flow: str
    number: str
    left_id: str | None
    left_version: str | None
    left_held: bytes | None = _blob(null=True)
    left_missed: int
    right_id: str | None
    right_version: str | None
    right_held: bytes | None = _blob(null=True)
    right_missed: int
    standing: str
    agreed: bytes | None = _blob(null=True)
    drift: bytes | None = _blob(null=True)
    instead: bytes | None = _blob(null=True)
    turns: bytes | None = _blob(null=True)
    due: bool
    trouble: str | None = _text(null=True)
    trouble_since: int | None = _time(null=True)
    waits_side: str | None
    waits_kind: str | None
    waits_key: str | None


class SightingRow(Base, table=True):
    """An id that the present sweep of that side of a flow saw."""

    __tablename__ = "sightings"
    __table_args__ = ({"sqlite_with_rowid": False},)

    flow: str = _key()
    side: str = _key()
    id: str = _key()


class IntentRow(Base, table=True):
    """A write that left, or is about to."""

    __tablename__ = "intents"
    __table_args__ = (Index("intents_flow", "flow", "at"),)

    link: str = _key()
    flow: str
    side: str
    kind: str
    deed: str
    field: str
    value: str
    source_id: str
    sent: bytes | None = _blob(null=True)
    changes: bytes | None = _blob(null=True)
    rule: str = _text()
    at: int = _time()


class RunRow(Base, table=True):
    """One run of one flow; its counts as JSON."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_flow", "flow", "started_at"),)

    id: str = _key()
    flow: str
    trace_id: str
    started_at: int = _time()
    ended_at: int | None = _time(null=True)
    outcome: str
    note: str = _text()
    counts: str = _text()


class AuditRow(Base, table=True):
    """One link of the audit chain: an outcome and the hash over it and its predecessor."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_at", "at", "seq"),
        Index("audit_link", "link", "seq"),
        Index("audit_run", "run", "seq"),
    )

    seq: int = Field(primary_key=True, sa_type=cast(Any, _SEQ), sa_column_kwargs={"autoincrement": False})
    at: int = _time()
    run: str
    flow: str
    trace_id: str
    kind: str
    number: str
    link: str
    action: str
    left_id: str | None
    left_version: str | None
    right_id: str | None
    right_version: str | None
    side: str | None  # that was written; NULL: right
    rule: str = _text()
    reason: str = _text()
    changes: str | None = _text(null=True)
    hash: str


class HeadRow(Base, table=True):
    """Where a chain ends, so that entries cut off its end are missed. One row, and settling locks it."""

    __tablename__ = "heads"

    chain: str = _key()
    seq: int = Field(sa_type=BigInteger)
    hash: str


class CursorRow(Base, table=True):
    """Where a flow's feed goes on."""

    __tablename__ = "cursors"

    flow: str = _key()
    cursor: str = _text()
    moved_at: int = _time()


class LeaseRow(Base, table=True):
    """Who runs a flow. The row stays when the lease ends, because ``fence`` must never fall."""

    __tablename__ = "leases"

    flow: str = _key()
    owner: str
    fence: int = Field(sa_type=BigInteger)
    until: int = _time()


class NoticeRow(Base, table=True):
    """A notice that waits for its flow, or (``handled_at``) did of late; its ids as JSON."""

    __tablename__ = "inbox"
    __table_args__ = (
        Index("inbox_waiting", "flow", "side", **_where("handled_at IS NULL")),
        Index("inbox_handled", "handled_at", **_where("handled_at IS NOT NULL")),
    )

    flow: str = _key()
    dedupe: str = _key()
    side: str
    ids: str = _text()
    received_at: int = _time()
    handled_at: int | None = _time(null=True)


class SubscriptionRow(Base, table=True):
    """A channel at a vendor, found by the hash of its path token; URL and secret are sealed in the safe under that hash."""

    __tablename__ = "subscriptions"
    __table_args__ = (Index("subscriptions_channel", "connection", "id"),)

    path: str = _key()
    id: str
    connection: str
    kinds: str = _text()
    created_at: int = _time()
    expires_at: int | None = _time(null=True)


class PauseRow(Base, table=True):
    """A connection that waits; ``until`` NULL waits for a person."""

    __tablename__ = "pauses"

    connection: str = _key()
    reason: str = _text()
    until: int | None = _time(null=True)


class SealedRow(Base, table=True):
    """Something encrypted: ``box`` under a data key of its own, that key (``wrapped``) under the master key ``key_id``."""

    __tablename__ = "sealed"

    realm: str = _key()
    name: str = _key()
    key_id: str
    wrapped: bytes = _blob()
    box: bytes = _blob()
    created_at: int = _time()
    changed_at: int = _time()


class MasterKeyRow(Base, table=True):
    """Which master key everything sealed is under. One row."""

    __tablename__ = "master_key"

    role: str = _key()
    key_id: str


def _table(model: type[SQLModel]) -> Table:
    return cast(Table, model.__table__)  # type: ignore[attr-defined]


METADATA: Final = Base.metadata
LINKS: Final = _table(LinkRow)
SIGHTINGS: Final = _table(SightingRow)
INTENTS: Final = _table(IntentRow)
RUNS: Final = _table(RunRow)
AUDIT: Final = _table(AuditRow)
HEADS: Final = _table(HeadRow)
CURSORS: Final = _table(CursorRow)
LEASES: Final = _table(LeaseRow)
INBOX: Final = _table(NoticeRow)
SUBSCRIPTIONS: Final = _table(SubscriptionRow)
PAUSES: Final = _table(PauseRow)
SEALED: Final = _table(SealedRow)
MASTER_KEY: Final = _table(MasterKeyRow)
