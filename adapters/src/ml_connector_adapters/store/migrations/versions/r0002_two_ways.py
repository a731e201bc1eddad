"""What two-way flows remember: both ends alike, a side where something is read, a person's choices."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# What PostgreSQL shall order by its bytes, as SQLite does, and not by its locale: the order is the same everywhere, indexes are
# cheaper to keep, and stay right when the operating system's rules of sorting change.
_WORDS = {
    "links": ("id", "flow", "number", "left_id", "right_id", "standing", "waits_side", "waits_kind", "waits_key"),
    "sightings": ("flow", "side", "id"),
    "intents": ("link", "flow"),
    "runs": ("id", "flow"),
    "audit": ("run", "link"),
    "heads": ("chain",),
    "cursors": ("flow",),
    "leases": ("flow",),
    "inbox": ("flow", "dedupe", "side"),
    "subscriptions": ("path", "id", "connection"),
    "pauses": ("connection",),
    "sealed": ("realm", "name"),
    "master_key": ("role",),
}


def upgrade() -> None:
    op.alter_column("links", "held", new_column_name="right_held")
    op.alter_column("links", "missed", new_column_name="left_missed")
    for name in ("left_held", "instead", "turns"):
        op.add_column("links", sa.Column(name, sa.LargeBinary(), nullable=True))
    op.add_column("links", sa.Column("right_missed", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("links", sa.Column("waits_side", sa.String(), nullable=True))
    op.execute("UPDATE links SET waits_side = 'left' WHERE waits_key IS NOT NULL")
    op.drop_index("links_waits", "links")
    waits = sa.text("waits_key IS NOT NULL")
    columns = ["flow", "waits_side", "waits_kind", "waits_key"]
    op.create_index("links_waits", "links", columns, sqlite_where=waits, postgresql_where=waits)

    op.add_column("audit", sa.Column("side", sa.String(), nullable=True))
    op.add_column("intents", sa.Column("side", sa.String(), nullable=False, server_default="right"))
    op.add_column("intents", sa.Column("deed", sa.String(), nullable=False, server_default="create"))
    op.add_column("intents", sa.Column("rule", sa.Text(), nullable=False, server_default=""))
    for name in ("sent", "changes"):
        op.add_column("intents", sa.Column(name, sa.LargeBinary(), nullable=True))

    op.alter_column("inbox", "kind", new_column_name="side")  # and its index with it
    op.execute("UPDATE inbox SET side = 'right'")  # nothing else was looked for

    op.drop_table("sightings")  # they are of a sweep that will be begun anew
    keys = [sa.Column(name, sa.String(), primary_key=True) for name in ("flow", "side", "id")]
    op.create_table("sightings", *keys, sqlite_with_rowid=False)

    cursors = sa.table("cursors", sa.column("flow", sa.String()), sa.column("cursor", sa.Text()))
    connection = op.get_bind()
    for flow, cursor in connection.execute(sa.select(cursors.c.flow, cursors.c.cursor)).all():
        told = json.dumps(_by_side(json.loads(cursor)), ensure_ascii=False)
        connection.execute(sa.update(cursors).where(cursors.c.flow == flow).values(cursor=told))

    if connection.dialect.name == "postgresql":
        for table, names in _WORDS.items():
            by_bytes = ", ".join(f'ALTER COLUMN {name} TYPE varchar COLLATE "C"' for name in names)
            op.execute(f"ALTER TABLE {table} {by_bytes}")


def _by_side(was: dict[str, Any]) -> dict[str, Any]:
    """The flat cursor of a one-way flow, as one that has a part for each side; what was absent stays absent."""
    left = {"cursor": was.get("left"), "swept_at": was.get("swept_at"), "full_at": was.get("full_at")}
    parts: dict[str, dict[str, Any]] = {"left": left, "right": {"cursor": was.get("right")}}
    known = {side: {name: value for name, value in part.items() if value is not None} for side, part in parts.items()}
    told: dict[str, Any] = {side: part for side, part in known.items() if part}
    if was.get("signature") is not None:
        told["signature"] = was["signature"]
    return {**told, "opened": True}
