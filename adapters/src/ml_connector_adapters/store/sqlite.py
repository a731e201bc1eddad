"""SQLite's driver: one trip to its thread per statement, and none for brief ones.

aiosqlite makes a trip of opening a cursor, of executing, of fetching and of closing. Every trip wakes a thread, hands the
interpreter over twice and waits until the event loop has a moment to take the answer: ten times what SQLite needs for a row by
its id (docs/decisions/0026-brief-statements.md).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import aiosqlite
from sqlalchemy.exc import OperationalError

FIX: Final = "Look at the disk and at who else has it open"

# The driver looks for an adapter of all that is no text and no number, and where it knows of none it raises and catches an
# AttributeError before it binds the value as it is. Half of a link's columns are such, so it is told that it may. It holds for
# all of the process, where it changes nothing but the time that binding takes.
_NULL: Final[dict[None, None]] = {None: None}
sqlite3.register_adapter(type(None), _NULL.get)
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(bool, int)


class Connection(aiosqlite.Connection):
    """Used by SQLAlchemy alone, which says where transactions begin."""

    def __init__(self, name: str, *, uri: bool) -> None:
        super().__init__(
            partial(sqlite3.connect, name, uri=uri, isolation_level=None, check_same_thread=False), iter_chunk_size=64
        )
        self._thread.daemon = True  # a program that ends does not wait for connections that nobody closed
        self.brief = False  # what comes now touches few rows and waits for nobody: executed where it is asked for

    def cursor(self) -> "Cursor":  # type: ignore[override]
        return Cursor(self)

    async def rollback(self) -> None:
        """No trip for nothing: the pool asks for this whenever a connection comes back."""
        if self.in_transaction:
            await super().rollback()

    async def perform(self, cursor: "Cursor", method: str, sql: str, parameters: Any) -> None:
        """Execute, and take every row."""
        if self.brief:
            self._perform(cursor, method, sql, parameters)
        else:
            await self._execute(self._perform, cursor, method, sql, parameters)  # type: ignore[no-untyped-call]

    def _perform(self, told: "Cursor", method: str, sql: str, parameters: Any) -> None:
        cursor = self._conn.cursor()
        try:
            getattr(cursor, method)(sql, parameters)
            told.description, told.lastrowid = cursor.description, cursor.lastrowid
            told.rows = cursor.fetchall() if cursor.description else []
            told.rowcount = cursor.rowcount  # with RETURNING it counts only once the rows were taken
        finally:
            cursor.close()


class Cursor:
    """What came of one statement. As much of a driver's cursor as SQLAlchemy asks for (AsyncIODBAPICursor)."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.description: Any = None
        self.rows: Sequence[Any] = ()
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> "Cursor":
        return self

    async def execute(self, sql: str, parameters: Iterable[Any] = ()) -> None:
        await self._connection.perform(self, "execute", sql, parameters)

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> None:
        await self._connection.perform(self, "executemany", sql, parameters)

    async def fetchall(self) -> Sequence[Any]:
        return self.rows

    async def close(self) -> None:
        """Nothing is open."""


async def connect(name: str, *, uri: bool) -> Connection:
    """Open the file ``name`` (``uri``: the file that a ``file:`` URI names)."""
    connection = Connection(name, uri=uri)
    await connection
    return connection


def outage(error: Exception) -> str | None:
    """What to tell of it, if the file is locked, or the disk full or away."""
    return str(error.orig) if isinstance(error, OperationalError) else None
