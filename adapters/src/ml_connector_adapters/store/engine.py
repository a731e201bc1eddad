"""The database behind the state: connections, transactions, and the statements whose spelling depends on the dialect."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial, wraps
from itertools import chain, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

import msgspec
from sqlalchemy import (
    ARRAY,
    URL,
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    Text,
    any_,
    bindparam,
    event,
    func,
    literal,
    make_url,
    select,
)
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from ml_connector.errors import ConfigError, Unavailable
from ml_connector.ports.clock import Clock
from ml_connector_adapters.store import postgres, sqlite
from ml_connector_adapters.store.tables import to_micros

_json: Final = msgspec.json.Encoder()
P = ParamSpec("P")
T = TypeVar("T")

CHUNK: Final = 1000
"""Most ids that one query names, and most rows that one read brings into memory."""

_WIDE: Final = 50
"""Rows of one statement, where that pays."""

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
# As many as one flow has busy at once, and a few more: those above ``pool_size`` are opened anew every time. The one that was
# used last comes first, because it has statements ready and pages in its cache.
_POOL: Final = {"pool_size": 10, "max_overflow": 5, "pool_use_lifo": True, "hide_parameters": True}
# FULL, because an intent must outlive a power cut once its create has left, and a notice once it has been answered.
_PRAGMAS: Final = ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL", "cache_size=-2048")


def parse_url(url: str) -> URL:
    """The URL with the driver that we use. Raises ConfigError for anything but ``sqlite:///path`` and ``postgresql://…``.

    Also when the driver that PostgreSQL needs is not installed.
    """
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
    if driver.startswith("postgresql"):
        postgres.require_driver()
    return parsed.set(drivername=driver)


def sqlite_path(url: URL) -> Path | None:
    """The file that holds the state, None when a server does."""
    return Path(url.database or "") if url.drivername.startswith("sqlite") else None


def open_engine(url: URL, *, read_only: bool = False) -> AsyncEngine:
    """An engine that keeps customers' data out of its errors. ``read_only`` leaves a SQLite file exactly as it is."""
    path = sqlite_path(url)
    if path is None:
        connect = partial(postgres.connect, postgres.dsn(url))
        engine = create_async_engine(url, pool_recycle=postgres.RECYCLE_S, async_creator=connect, **_POOL)
        event.listen(engine.sync_engine, "checkout", postgres.refuse_closed)
        return engine
    name = str(path)
    if read_only:
        # Even a reader leaves files beside a state in WAL mode, unless it may take it for immutable: nobody has it open then.
        how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
        name = f"{path.absolute().as_uri()}?{how}"
    engine = create_async_engine(url, async_creator=partial(sqlite.connect, name, uri=read_only), **_POOL)
    sync = engine.sync_engine

    @event.listens_for(sync, "connect")
    def _prepare(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        for pragma in () if read_only else _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(sync, "begin")
    def _begin(connection: Connection) -> None:  # nobody else begins one: the driver is told not to
        driver: Any = connection.connection.driver_connection
        options = connection.get_execution_options()
        driver.brief = False
        # A transaction that reads before it writes must take the lock first, or it fails as soon as somebody else did.
        if not read_only and not options.get("reads"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # may wait for another process, as a commit may for the disk
        driver.brief = options.get("brief", False)

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
        self._sqlite = engine.dialect.name == "sqlite"
        # No transaction for a read: for the one it would take the lock, for the other a trip to begin and one to end.
        reader = engine.execution_options(**{"reads": True} if self._sqlite else {"isolation_level": "AUTOCOMMIT"})
        self._readers = {brief: reader.execution_options(brief=brief) for brief in (False, True)}
        self._writers = {brief: engine.execution_options(brief=brief) for brief in (False, True)}
        # SQLite has one writer: our own tasks queue here in order, and only other processes wait by polling the file.
        self._turn = asyncio.Lock() if self._sqlite else nullcontext()
        self._upserts: dict[Table, Any] = {}

    @asynccontextmanager
    async def reading(self, *, brief: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for reads that need not agree with each other. Raises Unavailable.

        ``brief``: at most ``CHUNK`` rows, found by an index. On SQLite such statements keep the event loop for the moment that
        they take, because a trip to the driver's thread takes longer.
        """
        with outages(self.engine):
            async with self._readers[brief].connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self, *, brief: bool = False) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed when the block ends, undone when it raises. ``brief``: see reading. Raises Unavailable."""
        with outages(self.engine):
            async with self._turn, self._writers[brief].begin() as connection:
                yield connection

    async def alone(self, connection: AsyncConnection, task: str) -> None:
        """Keep other transactions out of ``task`` until this one ends. SQLite has one transaction at a time anyway."""
        if not self._sqlite:
            await alone(connection, task)

    def present(self) -> ColumnElement[int]:
        """Now, in microseconds, by the one clock that all processes of the state share: the server's, or this machine's."""
        if self._sqlite:
            return literal(to_micros(self.clock.now()))
        return (func.extract("epoch", func.clock_timestamp()) * 1_000_000).cast(BigInteger)

    def insert(self, table: Table) -> Any:
        """The dialect's own insert, which alone knows ``on_conflict_…``."""
        if self._sqlite:
            return sqlite_insert(table)
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
        if self._sqlite:
            listed = func.json_each(bindparam(name)).table_valued("value")
            return cast(ColumnElement[bool], column.in_(select(listed.c.value)))
        return cast(ColumnElement[bool], column == any_(bindparam(name, type_=ARRAY(Text))))

    def listed(self, texts: Sequence[str]) -> Any:
        """The list as the parameter that ``among`` takes."""
        return _json.encode(texts).decode() if self._sqlite else texts

    def beside(self, column: Any) -> Any:
        """The column for a comparison that no index is wanted for, because rows are walked along another one.

        SQLite takes any index for nearly unique, and would sort all that one brings for every page; PostgreSQL counts.
        """
        return UnaryExpression(column, operator=custom_op("+")) if self._sqlite else column

    def bulk(self, insert: Any, *, pick: Callable[..., Callable[[Any], tuple[Any, ...]]] = itemgetter) -> "Bulk":
        """An insert for many rows at a time; to be kept, since compiling it costs more than a row.

        Rows are dicts, or with ``attrgetter`` for ``pick`` structs.
        """
        compiled = insert.compile(dialect=self.engine.dialect)
        text, names = str(compiled), compiled.positiontup
        if self._sqlite:
            return WideBulk(text, len(names), pick(*names))
        columns = [insert.table.columns[name].type.compile(self.engine.dialect) for name in names]
        return ColumnBulk(text, columns, pick(*names))


class Bulk(Protocol):
    """An insert as the driver takes it. Core's own way through a row costs more than the row's insert.

    Every value must be one that the drivers bind as it is: text, bytes, int, bool, None. One call may hold a key once.
    """

    async def execute(self, connection: AsyncConnection, rows: Sequence[Any]) -> None:
        """Nothing for no rows."""
        ...


class WideBulk:
    """Fifty rows in one statement, because SQLite's driver gives up the interpreter for every statement, and where it works in
    its thread has to wait for it anew while records are mapped.
    """

    def __init__(self, text: str, width: int, in_order: Callable[[Any], tuple[Any, ...]]) -> None:
        self._text, self._in_order = text, in_order
        row = f"({', '.join('?' * width)})"
        self._wide_text = text.replace(row, ", ".join([row] * _WIDE), 1)

    async def execute(self, connection: AsyncConnection, rows: Sequence[Any]) -> None:
        values = list(map(self._in_order, rows))
        whole = len(values) - len(values) % _WIDE
        if whole:
            blocks = [tuple(chain.from_iterable(values[start : start + _WIDE])) for start in range(0, whole, _WIDE)]
            await connection.exec_driver_sql(self._wide_text, blocks)
        if rest := values[whole:]:
            await connection.exec_driver_sql(self._text, rest)


class ColumnBulk:
    """All rows in one statement that takes each column as an array: PostgreSQL plans and checks it once."""

    def __init__(self, text: str, types: Sequence[str], in_order: Callable[[Any], tuple[Any, ...]]) -> None:
        self._in_order = in_order
        arrays = ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(types, start=1))
        start, _, rest = text.partition(" VALUES (")
        self._text = f"{start} SELECT * FROM unnest({arrays}){rest[rest.index(')') + 1 :]}"  # noqa: S608 (ours)

    async def execute(self, connection: AsyncConnection, rows: Sequence[Any]) -> None:
        for chunk in chunks(rows):
            columns = tuple(map(list, zip(*map(self._in_order, chunk), strict=True)))
            await connection.exec_driver_sql(self._text, columns)


async def alone(connection: AsyncConnection, task: str) -> None:
    """PostgreSQL only: one transaction of all that name this task goes on, the others wait for its end."""
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"ml-connector {task}"))))


@contextmanager
def outages(engine: AsyncEngine) -> Iterator[None]:
    """A database that is locked, full or away is an outage, in words: raises Unavailable."""
    driver: Any = sqlite if engine.dialect.name == "sqlite" else postgres
    try:
        yield
    except (DBAPIError, OSError) as error:
        if (told := driver.outage(error)) is None:
            raise
        raise Unavailable(f"The state cannot be used: {told}", fix=driver.FIX, where="state") from error
    except PoolTimeout as error:
        raise Unavailable("The state cannot be used: all connections to it are busy", where="state") from error
