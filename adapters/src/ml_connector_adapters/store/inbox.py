"""Notices that were answered and wait to be worked off, in SQL."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.domain import RemoteId, Side
from ml_connector.errors import Throttled
from ml_connector.ports.notices import Notice
from ml_connector_adapters.store.engine import Database, chunks, whole
from ml_connector_adapters.store.tables import INBOX, to_micros

BOUND: Final = 100_000
"""Notices that may wait; a vendor's storm, or a stranger's, shall not fill the disk."""

REMEMBERED: Final = timedelta(days=1)

_WAITS: Final = INBOX.c.handled_at.is_(None)
_SIZE: Final = select(func.count()).select_from(INBOX).where(_WAITS)
_ids_in: Final = msgspec.json.Decoder(tuple[str, ...])


class SqlInbox:
    """Fulfils Inbox; ``end`` takes part in the settlement's transaction.

    What was handled is remembered for a day, so that a late repetition collapses too. ``bound``: how many may wait.
    """

    def __init__(self, database: Database, bound: int = BOUND) -> None:
        self._db, self.bound = database, bound
        named = database.among(INBOX.c.dedupe, "named")
        self._handled = update(INBOX).where(INBOX.c.flow == bindparam("of"), named).values(handled_at=bindparam("now"))

    async def size(self) -> int:
        """Notices that wait, of all flows."""
        async with self._db.reading() as connection:
            return (await connection.execute(_SIZE)).scalar_one()

    @whole
    async def add(self, flow: str, side: Side, notices: Sequence[Notice]) -> int:
        """Raises Throttled when more than ``bound`` would wait; the sender is to try again, and polling goes on meanwhile."""
        if not notices:
            return 0
        now = self._db.clock.now()
        rows: list[dict[str, Any]] = [
            {
                "flow": flow,
                "dedupe": notice.dedupe,
                "side": side,
                "ids": msgspec.json.encode(notice.ids).decode(),
                "received_at": to_micros(now),
            }
            for notice in notices
        ]
        async with self._db.writing() as connection:
            # The bound is for all, and two storms of the same notices in another order would wait for each other.
            await self._db.alone(connection, "inbox")
            if (await connection.execute(_SIZE)).scalar_one() + len(rows) > self.bound:
                raise Throttled(f"{self.bound} notices wait already", fix="See that this flow and the others run", where=flow)
            await connection.execute(delete(INBOX).where(INBOX.c.handled_at < to_micros(now - REMEMBERED)))
            new = self._db.insert(INBOX).on_conflict_do_nothing().returning(INBOX.c.dedupe)
            return len((await connection.execute(new, rows)).all())

    async def waiting(self, flow: str, side: Side) -> dict[RemoteId, list[str]]:
        """In the order in which the ids were first named."""
        waiting = select(INBOX.c.dedupe, INBOX.c.ids).where(INBOX.c.flow == flow, INBOX.c.side == side, _WAITS)
        named: dict[RemoteId, list[str]] = {}
        async with self._db.reading() as connection:
            for dedupe, ids in await connection.execute(waiting.order_by(INBOX.c.received_at, INBOX.c.dedupe)):
                for id_ in dict.fromkeys(_ids_in.decode(ids)):
                    named.setdefault(id_, []).append(dedupe)
        return named

    async def end(self, connection: AsyncConnection, flow: str, dedupe: Sequence[str]) -> None:
        """What these notices hinted at is being settled with this."""
        now = to_micros(self._db.clock.now())
        for chunk in chunks(dedupe):
            await connection.execute(self._handled, {"of": flow, "named": self._db.listed(chunk), "now": now})
