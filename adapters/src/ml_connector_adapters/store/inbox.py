"""Notices that were answered and wait to be worked off, in SQL."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.domain import Kind, RemoteId
from ml_connector.errors import Throttled
from ml_connector.ports.notices import Notice
from ml_connector_adapters.store.engine import Database, chunks
from ml_connector_adapters.store.tables import INBOX, to_micros

BOUND: Final = 100_000
"""Notices that may wait; a vendor's storm, or a stranger's, shall not fill the disk."""

_ids_in: Final = msgspec.json.Decoder(tuple[str, ...])


class SqlInbox:
    """Fulfils Inbox; ``end`` takes part in the settlement's transaction.

    A key that was handled is forgotten, so that a late repetition costs one look at the record and nothing can be missed.
    """

    def __init__(self, database: Database, bound: int = BOUND) -> None:
        self._db, self.bound = database, bound

    async def size(self) -> int:
        """Notices that wait, of all connections."""
        async with self._db.reading() as connection:
            return (await connection.execute(_size)).scalar_one()

    async def add(self, connection: str, notices: Sequence[Notice]) -> int:
        """Raises Throttled when more than ``bound`` would wait; the sender is to try again, and polling goes on meanwhile."""
        if not notices:
            return 0
        now = to_micros(self._db.clock.now())
        rows: list[dict[str, Any]] = [
            {
                "connection": connection,
                "dedupe": notice.dedupe,
                "kind": notice.kind,
                "ids": msgspec.json.encode(notice.ids).decode(),
                "received_at": now,
            }
            for notice in notices
        ]
        async with self._db.writing() as transaction:
            if (await transaction.execute(_size)).scalar_one() + len(rows) > self.bound:
                raise Throttled(
                    f"{self.bound} notices wait already", fix="See that the flows of this connection run", where=connection
                )
            new = self._db.insert(INBOX).on_conflict_do_nothing().returning(INBOX.c.dedupe)
            return len((await transaction.execute(new, rows)).all())

    async def waiting(self, connection: str, kind: Kind) -> dict[RemoteId, list[str]]:
        """In the order in which the ids were first named."""
        oldest = select(INBOX.c.dedupe, INBOX.c.ids).where(INBOX.c.connection == connection, INBOX.c.kind == kind)
        named: dict[RemoteId, list[str]] = {}
        async with self._db.reading() as reader:
            for dedupe, ids in await reader.execute(oldest.order_by(INBOX.c.received_at, INBOX.c.dedupe)):
                for id_ in dict.fromkeys(_ids_in.decode(ids)):
                    named.setdefault(id_, []).append(dedupe)
        return named

    async def handled(self, dedupe: Sequence[str]) -> None:
        async with self._db.writing() as transaction:
            await self.end(transaction, dedupe)

    async def end(self, connection: AsyncConnection, dedupe: Sequence[str]) -> None:
        """What these notices hinted at is being settled with this."""
        for chunk in chunks(dedupe):
            await connection.execute(delete(INBOX).where(INBOX.c.dedupe.in_(chunk)))


_size: Final = select(func.count()).select_from(INBOX)
