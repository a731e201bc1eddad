"""The database behind the state: connections, transactions, and the statements whose spelling depends on the dialect."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial, wraps
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, cast

import msgspec
from sqlalchemy import (
    ARRAY,
    URL,
    ColumnElement,
    Connection,
    Table,
    Text,
    any_,
    bindparam,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ml_connector.errors import ConfigError, Unavailable
from ml_connector.ports.clock import Clock
from ml_connector_adapters.store import sqlite as driver

_json: Final = msgspec.json.Encoder()
P = ParamSpec("P")
T = TypeVar("T")

CHUNK: Final = 1000
"""Most ids that one query names, and most rows that one read brings into memory."""

_WIDE: Final = 50
"""Rows of one statement, where that pays."""

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
# FULL, because an intent must outlive a power cut once its create has left, and a notice once it has been answered.
_PRAGMAS: Final = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "cache_size=-4096")


def parse_url(url: str) -> URL:
    """The URL with the driver that we use. Raises ConfigError for anything but ``sqlite:///path`` and ``postgresql://…``."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = URL.create("none")
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None or not parsed.database or (driver.startswith("sqlite") and parsed.database == ":memory:"):
        raise ConfigError(  # the text given may hold a password: it is not repeated
            "The state's URL is not understood",
            fix='Write "sqlite:///state.db" or "postgresql://user@host/database"',
            where="state",
        )
    return parsed.set(drivername=driver)


def sqlite_path(url: URL) -> Path | None:
    """The file that holds the state, None when a server does."""
    return Path(url.database or "") if url.drivername.startswith("sqlite") else None


def open_engine(url: URL, *, read_only: bool = False) -> AsyncEngine:
    """An engine that keeps customers' data out of its errors. ``read_only`` leaves a SQLite file exactly as it is."""
    path = sqlite_path(url)
    if path is None:
        return create_async_engine(url, hide_parameters=True, pool_pre_ping=True)
    name = str(path)
    if read_only:
        # Even a reader leaves files beside a state in WAL mode, unless it may take it for immutable: nobody has it open then.
        how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
        name = f"{path.absolute().as_uri()}?{how}"
    engine = create_async_engine(url, hide_parameters=True, async_creator=partial(driver.connect, name, uri=read_only))
    sync = engine.sync_engine

    @event.listens_for(sync, "connect")
    def _prepare(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        for pragma in () if read_only else _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(sync, "begin")
    def _begin(connection: Connection) -> None:  # nobody else begins one: the driver is told not to
        # A transaction that reads before it writes must take the lock first, or it fails as soon as somebody else did.
        if not read_only and not connection.get_execution_options().get("reads"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """The items in lists of at most ``size``."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def whole(method: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """For methods that write: a cancelled caller waits until the transaction has ended, one way or the other.

    Cut off between two statements, a driver's connection may go on holding SQLite's one lock for nobody.
    """

    @wraps(method)
    async def shielded(*args: P.args, **kwargs: P.kwargs) -> T:
        task = asyncio.create_task(method(*args, **kwargs))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # seen: the cancellation is what the caller gets
            raise

    return shielded


class Database:
    """Reads and transactions over one engine. On SQLite reads go on while a transaction writes."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self.engine, self.clock = engine, clock
        self._reader = engine.execution_options(reads=True)
        # SQLite has one writer: our own tasks queue here in order, and only other processes wait by polling the file.
        self._turn = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()
        self._upserts: dict[Table, Any] = {}
        self._lists_as_json = engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reads that need not agree with each other. Raises Unavailable."""
        with _outages():
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed when the block ends, undone when it raises. Raises Unavailable."""
        with _outages():
            async with self._turn, self.engine.begin() as connection:
                yield connection

    def insert(self, table: Table) -> Any:
        """The dialect's own insert, which alone knows ``on_conflict_…``."""
        if self.engine.dialect.name == "sqlite":
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # half a tenth of a second, which the default need not pay

        return postgresql.insert(table)

    def upsert(self, table: Table) -> Any:
        """Insert rows, or replace what stands under their primary key."""
        if table not in self._upserts:
            statement = self.insert(table)
            keys = [column.name for column in table.primary_key]
            rest = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
            self._upserts[table] = statement.on_conflict_do_update(index_elements=keys, set_=rest)
        return self._upserts[table]

    def among(self, column: Any, name: str) -> ColumnElement[bool]:
        """Whether the column is in the list bound as ``name`` (see ``listed``): one parameter, whatever its length.

        ``in_`` would write a parameter for every element, and its text anew for every list.
        """
        if self._lists_as_json:
            listed = func.json_each(bindparam(name)).table_valued("value")
            return cast(ColumnElement[bool], column.in_(select(listed.c.value)))
        return cast(ColumnElement[bool], column == any_(bindparam(name, type_=ARRAY(Text))))

    def listed(self, texts: Sequence[str]) -> Any:
        """The list as the parameter that ``among`` takes."""
        return _json.encode(texts).decode() if self._lists_as_json else texts

    def bulk(self, insert: Any) -> "Bulk":
        """An insert for many rows at a time; to be kept, since compiling it costs more than a row."""
        compiled = insert.compile(dialect=self.engine.dialect)
        return Bulk(str(compiled), compiled.positiontup, wide=self.engine.dialect.name == "sqlite")


class Bulk:
    """An insert as the driver takes it. Core's own way through a row costs more than the row's insert.

    Every value must be one that the drivers bind as it is: text, bytes, int, bool, None.

    ``wide``: fifty rows in one statement, because SQLite's driver gives up the interpreter for every statement, and while
    records are mapped has to wait for it anew.
    """

    def __init__(self, text: str, columns: Sequence[str], *, wide: bool) -> None:
        self._text, self._in_order = text, itemgetter(*columns)
        row = f"({', '.join('?' * len(columns))})"
        self._wide_text = text.replace(row, ", ".join([row] * _WIDE), 1) if wide else ""

    async def execute(self, connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
        """Once per row, many rows per call of the driver; nothing for no rows."""
        values = list(map(self._in_order, rows))
        if self._wide_text and len(values) >= _WIDE:
            whole = len(values) - len(values) % _WIDE
            blocks = [tuple(chain.from_iterable(values[start : start + _WIDE])) for start in range(0, whole, _WIDE)]
            await connection.exec_driver_sql(self._wide_text, blocks)
            values = values[whole:]
        for chunk in chunks(values):
            await connection.exec_driver_sql(self._text, chunk)


@contextmanager
def _outages() -> Iterator[None]:
    """A database that is locked, full or away is an outage, in words."""
    try:
        yield
    except OperationalError as error:
        raise Unavailable(
            f"The state cannot be used: {error.orig}", fix="Look at the disk and at who else has it open", where="state"
        ) from error
