"""Everything that is kept encrypted, in one table, so that one transaction rotates it all."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector_adapters.store.engine import Database, whole
from ml_connector_adapters.store.keys import MasterKey, MasterKeys, Sealed, rewrap, seal, unseal
from ml_connector_adapters.store.tables import MASTER_KEY, SEALED, from_micros, to_micros

_ROLE: Final = "present"
_ENVELOPE: Final = (SEALED.c.key_id, SEALED.c.wrapped, SEALED.c.box)


class Safe:
    """Sealed values by realm ("secret", "token" …) and name. Raises ConfigError when the master key is not the right one."""

    def __init__(self, database: Database, keys: MasterKeys) -> None:
        self._db, self.keys = database, keys

    async def put(self, connection: AsyncConnection, realm: str, name: str, plain: bytes) -> None:
        """Seal under the key that the state is sealed with, which the transaction holds still."""
        key = await self._key_in_use(connection)
        sealed, now = seal(key, plain, f"{realm}/{name}"), to_micros(self._db.clock.now())
        row = {"key_id": sealed.key_id, "wrapped": sealed.wrapped, "box": sealed.box, "changed_at": now}
        statement = self._db.insert(SEALED).values(realm=realm, name=name, created_at=now, **row)
        await connection.execute(statement.on_conflict_do_update(index_elements=["realm", "name"], set_=row))

    async def get(self, connection: AsyncConnection, realm: str, name: str) -> bytes | None:
        row = (await connection.execute(select(*_ENVELOPE).where(_at(realm, name)))).one_or_none()
        if row is None:
            return None
        sealed = Sealed(*row)
        return unseal(self.keys.find(sealed.key_id), sealed, f"{realm}/{name}")

    async def remove(self, connection: AsyncConnection, realm: str, name: str) -> bool:
        """Whether it was there."""
        await self._db.alone(connection, "master key")  # before its row, as whoever rotates takes them
        return (await connection.execute(delete(SEALED).where(_at(realm, name)))).rowcount > 0

    async def names(self, realm: str) -> Mapping[str, tuple[datetime, datetime]]:
        """Name → (created, last changed), in order of names. Needs no key."""
        listed = select(SEALED.c.name, SEALED.c.created_at, SEALED.c.changed_at).where(SEALED.c.realm == realm)
        async with self._db.reading() as connection:
            rows = await connection.execute(listed.order_by(SEALED.c.name))
            return {name: (from_micros(created), from_micros(changed)) for name, created, changed in rows}

    @whole
    async def rotate(self, new: MasterKey | None) -> int:
        """Wrap every data key under ``new`` (None: the next, see MasterKeys); returns how many. A kill leaves all readable.

        A key file of ours holds both keys from before the first transaction ends until the second, and is written inside them,
        so that rotations of two processes take turns. Keys that others keep (environment, named file) are theirs to change.
        """
        async with self._db.writing() as connection:
            new = new or self.keys.next(await self._key_in_use(connection))
            self.keys.add(new)
            moved: list[dict[str, Any]] = []
            for realm, name, *envelope in (await connection.execute(select(SEALED.c.realm, SEALED.c.name, *_ENVELOPE))).all():
                sealed = Sealed(*envelope)
                fresh = rewrap(self.keys.find(sealed.key_id), new, sealed, f"{realm}/{name}")
                moved.append({"at_realm": realm, "at_name": name, "new_id": new.id, "new_wrapped": fresh.wrapped})
            here = update(SEALED).where(_at(bindparam("at_realm"), bindparam("at_name")))
            here = here.values(key_id=bindparam("new_id"), wrapped=bindparam("new_wrapped"))
            await connection.execute(here, moved)
            await connection.execute(self._db.upsert(MASTER_KEY), {"role": _ROLE, "key_id": new.id})
        async with self._db.writing() as connection:
            self.keys.keep_only(await self._key_in_use(connection))
        return len(moved)

    @whole
    async def empty(self) -> int:
        """Throw away everything sealed, for when the master key is lost for good; returns how many. Needs no key."""
        async with self._db.writing() as connection:
            await self._db.alone(connection, "master key")
            await connection.execute(delete(MASTER_KEY))
            return (await connection.execute(delete(SEALED))).rowcount

    async def _key_in_use(self, connection: AsyncConnection) -> MasterKey:
        """The one that the state is sealed with; with nothing sealed yet, the first at hand becomes it."""
        await self._db.alone(connection, "master key")
        key_id = (await connection.execute(select(MASTER_KEY.c.key_id).where(MASTER_KEY.c.role == _ROLE))).scalar()
        if key_id is not None:
            return self.keys.find(key_id)
        key = self.keys.first()
        await connection.execute(self._db.upsert(MASTER_KEY), {"role": _ROLE, "key_id": key.id})
        return key


def _at(realm: Any, name: Any) -> Any:
    return and_(SEALED.c.realm == realm, SEALED.c.name == name)
