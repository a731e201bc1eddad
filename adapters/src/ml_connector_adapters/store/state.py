"""The state as one object, and the one transaction that settles a batch."""

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ml_connector.domain import UNSET, Cursor
from ml_connector.ports.state import Lease, Settlement, State
from ml_connector_adapters.store.connections import SqlPauses, SqlSubscriptions
from ml_connector_adapters.store.engine import CHUNK, Database, whole
from ml_connector_adapters.store.inbox import SqlInbox
from ml_connector_adapters.store.intents import SqlIntents
from ml_connector_adapters.store.leases import SqlLeases, hold
from ml_connector_adapters.store.ledger import SqlLedger
from ml_connector_adapters.store.links import SqlLinks
from ml_connector_adapters.store.safe import Safe
from ml_connector_adapters.store.tables import CURSORS, to_micros


class SqlCursors:
    """Fulfils Cursors; ``save`` takes part in the settlement's transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def load(self, flow: str) -> Cursor | None:
        async with self._db.reading() as connection:
            return (await connection.execute(select(CURSORS.c.cursor).where(CURSORS.c.flow == flow))).scalar()

    async def save(self, connection: AsyncConnection, flow: str, cursor: Cursor) -> None:
        row = {"flow": flow, "cursor": cursor, "moved_at": to_micros(self._db.clock.now())}
        await connection.execute(self._db.upsert(CURSORS), row)


class Store:
    """Fulfils State; opened by ``open_store``."""

    def __init__(self, database: Database, safe: Safe) -> None:
        self.database, self.safe = database, safe
        self.links = SqlLinks(database)
        self.intents = SqlIntents(database)
        self.ledger = SqlLedger(database)
        self.cursors = SqlCursors(database)
        self.leases = SqlLeases(database)
        self.inbox = SqlInbox(database)
        self.subscriptions = SqlSubscriptions(database, safe)
        self.pauses = SqlPauses(database)

    @property
    def engine(self) -> AsyncEngine:
        return self.database.engine

    @whole
    async def settle(self, lease: Lease, settlement: Settlement) -> None:
        """Raises ContractBroken as well, when two links would hold one remote id; then nothing of it is kept either."""
        try:
            async with self.database.writing(brief=_rows(settlement) <= CHUNK) as connection:
                await hold(connection, lease)
                await self.links.write(connection, settlement.links)
                await self.links.retell(connection, settlement.retold)
                await self.intents.end(connection, lease.flow, settlement.ended_intents)
                await self.inbox.end(connection, lease.flow, settlement.handled_notices)
                if settlement.cursor is not UNSET:
                    await self.cursors.save(connection, lease.flow, settlement.cursor)
                if settlement.run is not None:
                    await self.ledger.save(connection, settlement.run)
                if settlement.audit:  # last: it locks the head of the chain that all flows share
                    await self.ledger.append(connection, settlement.audit)
        except IntegrityError as error:
            if clash := await self.links.clash(lease.flow, settlement.links):
                raise clash from error
            raise


def _rows(settlement: Settlement) -> int:
    """How many rows its longest part touches."""
    told = max(len(settlement.links), len(settlement.retold), len(settlement.audit))
    return max(told, len(settlement.ended_intents), len(settlement.handled_notices))


if TYPE_CHECKING:

    def _fulfils(store: Store) -> State:
        return store
