"""What is remembered of connections rather than of records: channels at vendors, and pauses."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import RowMapping, and_, delete, or_, select

from ml_connector.ports.notices import Subscription
from ml_connector_adapters.store.engine import Database, whole
from ml_connector_adapters.store.safe import Safe
from ml_connector_adapters.store.tables import PAUSES, SUBSCRIPTIONS, from_micros, to_micros

_REALM = "subscription"


class _Hidden(msgspec.Struct):
    """What lets a stranger call us: the URL ends in the path token."""

    callback_url: str
    secret: str


class SqlSubscriptions:
    """Fulfils Subscriptions. The path token is kept as a hash, URL and secret sealed."""

    def __init__(self, database: Database, safe: Safe) -> None:
        self._db, self._safe = database, safe

    async def all(self) -> list[Subscription]:
        return await self._where(SUBSCRIPTIONS.c.path.is_not(None))

    @whole
    async def save(self, subscription: Subscription, path_token: str) -> None:
        """Replaces the channel of the same id, and whatever listened at this path before."""
        path = _path(path_token)
        row = {
            "path": path,
            "id": subscription.id,
            "connection": subscription.connection,
            "kinds": msgspec.json.encode(subscription.kinds).decode(),
            "created_at": to_micros(subscription.created_at),
            "expires_at": subscription.expires_at and to_micros(subscription.expires_at),
        }
        hidden = msgspec.json.encode(_Hidden(subscription.callback_url, subscription.secret))
        async with self._db.writing() as connection:
            await self._remove(connection, and_(_same(subscription), SUBSCRIPTIONS.c.path != path))
            await connection.execute(self._db.upsert(SUBSCRIPTIONS), row)
            await self._safe.put(connection, _REALM, path, hidden)

    async def by_path(self, path_token: str) -> Subscription | None:
        found = await self._where(SUBSCRIPTIONS.c.path == _path(path_token))
        return found[0] if found else None

    @whole
    async def remove(self, subscription: Subscription) -> None:
        async with self._db.writing() as connection:
            await self._remove(connection, _same(subscription))

    async def _remove(self, connection: Any, which: Any) -> None:
        for (path,) in (await connection.execute(select(SUBSCRIPTIONS.c.path).where(which))).all():
            await self._safe.remove(connection, _REALM, path)
        await connection.execute(delete(SUBSCRIPTIONS).where(which))

    async def _where(self, which: Any) -> list[Subscription]:
        found: list[Subscription] = []
        async with self._db.reading() as connection:
            oldest = select(SUBSCRIPTIONS).where(which).order_by(SUBSCRIPTIONS.c.created_at, SUBSCRIPTIONS.c.id)
            for row in (await connection.execute(oldest)).mappings().all():
                opened = await self._safe.get(connection, _REALM, row["path"])
                if opened is not None:  # None: removed between the two reads
                    found.append(_subscription(row, msgspec.json.decode(opened, type=_Hidden)))
        return found


def _path(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _same(subscription: Subscription) -> Any:
    return and_(SUBSCRIPTIONS.c.connection == subscription.connection, SUBSCRIPTIONS.c.id == subscription.id)


def _subscription(row: RowMapping, hidden: _Hidden) -> Subscription:
    expires = row["expires_at"]
    return Subscription(
        id=row["id"],
        connection=row["connection"],
        kinds=tuple(msgspec.json.decode(row["kinds"])),
        callback_url=hidden.callback_url,
        secret=hidden.secret,
        created_at=from_micros(row["created_at"]),
        expires_at=None if expires is None else from_micros(expires),
    )


class SqlPauses:
    """Fulfils Pauses."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def pause(self, connection: str, reason: str, until: datetime | None) -> None:
        row = {"connection": connection, "reason": reason, "until": until and to_micros(until)}
        async with self._db.writing() as transaction:
            await transaction.execute(self._db.upsert(PAUSES), row)

    async def paused(self, now: datetime) -> Mapping[str, tuple[str, datetime | None]]:
        present = or_(PAUSES.c.until.is_(None), PAUSES.c.until > to_micros(now))
        columns = (PAUSES.c.connection, PAUSES.c.reason, PAUSES.c.until)
        async with self._db.reading() as reader:
            rows = await reader.execute(select(*columns).where(present).order_by(PAUSES.c.connection))
            return {name: (reason, None if until is None else from_micros(until)) for name, reason, until in rows}

    async def resume(self, connection: str) -> None:
        async with self._db.writing() as transaction:
            await transaction.execute(delete(PAUSES).where(PAUSES.c.connection == connection))
