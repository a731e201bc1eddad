"""The first tables."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "links",
        _word("id", key=True),
        _word("flow"),
        _word("number"),
        _word("left_id", null=True),
        _word("left_version", null=True),
        _word("right_id", null=True),
        _word("right_version", null=True),
        _word("standing"),
        _blob("agreed", null=True),
        _blob("held", null=True),
        _blob("drift", null=True),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("due", sa.Boolean(), nullable=False),
        _text("trouble", null=True),
        _number("trouble_since", null=True),
        _word("waits_kind", null=True),
        _word("waits_key", null=True),
    )
    op.create_index("links_left", "links", ["flow", "left_id"], unique=True)
    op.create_index("links_right", "links", ["flow", "right_id"], unique=True)
    op.create_index("links_standing", "links", ["flow", "standing"], **_where("standing <> 'agreed'"))
    op.create_index("links_number", "links", ["number"])
    op.create_index("links_due", "links", ["flow"], **_where("due IS 1", "due IS true"))
    op.create_index("links_drift", "links", ["flow"], **_where("drift IS NOT NULL"))
    op.create_index("links_waits", "links", ["flow", "waits_kind", "waits_key"], **_where("waits_key IS NOT NULL"))

    op.create_table("sightings", _word("flow", key=True), _word("id", key=True), sqlite_with_rowid=False)

    op.create_table(
        "intents",
        _word("link", key=True),
        _word("flow"),
        _word("kind"),
        _word("field"),
        _word("value"),
        _word("source_id"),
        _number("at"),
    )
    op.create_index("intents_flow", "intents", ["flow", "at"])

    op.create_table(
        "runs",
        _word("id", key=True),
        _word("flow"),
        _word("trace_id"),
        _number("started_at"),
        _number("ended_at", null=True),
        _word("outcome"),
        _text("note"),
        _text("counts"),
    )
    op.create_index("runs_flow", "runs", ["flow", "started_at"])

    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        _number("at"),
        _word("run"),
        _word("flow"),
        _word("trace_id"),
        _word("kind"),
        _word("number"),
        _word("link"),
        _word("action"),
        _word("left_id", null=True),
        _word("left_version", null=True),
        _word("right_id", null=True),
        _word("right_version", null=True),
        _text("rule"),
        _text("reason"),
        _text("changes", null=True),
        _word("hash"),
    )
    op.create_index("audit_at", "audit", ["at", "seq"])
    op.create_index("audit_link", "audit", ["link", "seq"])
    op.create_index("audit_run", "audit", ["run", "seq"])
    heads = op.create_table("heads", _word("chain", key=True), _number("seq"), _word("hash"))
    op.bulk_insert(heads, [{"chain": "audit", "seq": 0, "hash": "0" * 64}])

    op.create_table("cursors", _word("flow", key=True), _text("cursor"), _number("moved_at"))
    op.create_table("leases", _word("flow", key=True), _word("owner"), _number("fence"), _number("until"))

    op.create_table(
        "inbox",
        _word("flow", key=True),
        _word("dedupe", key=True),
        _word("kind"),
        _text("ids"),
        _number("received_at"),
        _number("handled_at", null=True),
    )
    op.create_index("inbox_waiting", "inbox", ["flow", "kind"], **_where("handled_at IS NULL"))
    op.create_index("inbox_handled", "inbox", ["handled_at"], **_where("handled_at IS NOT NULL"))

    op.create_table(
        "subscriptions",
        _word("path", key=True),
        _word("id"),
        _word("connection"),
        _text("kinds"),
        _number("created_at"),
        _number("expires_at", null=True),
    )
    op.create_index("subscriptions_channel", "subscriptions", ["connection", "id"])

    op.create_table("pauses", _word("connection", key=True), _text("reason"), _number("until", null=True))

    op.create_table(
        "sealed",
        _word("realm", key=True),
        _word("name", key=True),
        _word("key_id"),
        _blob("wrapped"),
        _blob("box"),
        _number("created_at"),
        _number("changed_at"),
    )
    op.create_table("master_key", _word("role", key=True), _word("key_id"))


def _word(name: str, *, key: bool = False, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), primary_key=key, nullable=null)


def _text(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=null)


def _blob(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.LargeBinary(), nullable=null)


def _number(name: str, *, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=null)


def _where(sqlite: str, postgresql: str | None = None) -> dict[str, Any]:
    return {"sqlite_where": sa.text(sqlite), "postgresql_where": sa.text(postgresql or sqlite)}
