"""Writes on their way, in SQL."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.ports.state import Intent, Lease
from ml_connector_adapters.store.engine import CHUNK, Database, chunks, whole
from ml_connector_adapters.store.leases import hold
from ml_connector_adapters.store.tables import INTENTS, from_micros, to_micros


class SqlIntents:
    """Fulfils Intents; ``end`` takes part in the settlement's transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._put = database.bulk(database.upsert(INTENTS))
        named = database.among(INTENTS.c.link, "links")
        self._ended = delete(INTENTS).where(INTENTS.c.flow == bindparam("of"), named)

    @whole
    async def open(self, lease: Lease, intents: Sequence[Intent]) -> None:
        rows = [{**msgspec.structs.asdict(intent), "at": to_micros(intent.at)} for intent in intents]
        async with self._db.writing(brief=len(intents) <= CHUNK) as connection:
            await hold(connection, lease)
            await self._put.execute(connection, rows)

    async def of(self, flow: str) -> list[Intent]:
        columns = [INTENTS.c[name] for name in Intent.__struct_fields__]
        oldest = select(*columns).where(INTENTS.c.flow == flow).order_by(INTENTS.c.at, INTENTS.c.link)
        async with self._db.reading() as connection:
            return [Intent(**{**row, "at": from_micros(row["at"])}) for row in (await connection.execute(oldest)).mappings()]

    async def end(self, connection: AsyncConnection, flow: str, links: Sequence[str]) -> None:
        """Their outcome is being told by the links and entries settled with this."""
        for chunk in chunks(links):
            await connection.execute(self._ended, {"of": flow, "links": self._db.listed(chunk)})
