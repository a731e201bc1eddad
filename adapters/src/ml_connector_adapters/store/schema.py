"""Which version of the tables a state has, and bringing it to ours. A state newer than the program is left untouched."""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from ml_connector.errors import ConfigError
from ml_connector_adapters.store.engine import alone, open_engine, outages, parse_url, sqlite_path
from ml_connector_adapters.store.migrations import REVISIONS, VERSION_TABLE

HEAD: Final = REVISIONS[-1]
_RIGHTS: Final = "Nothing was changed. The user in the URL must be allowed to create tables there"

# Alembic keeps what it is at in module globals: one migration at a time per process. (Other processes wait for the database.)
_turns: Final = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()


async def status(url: str) -> tuple[str | None, str]:
    """The state's revision (None: there is no state yet) and the newest that this program knows; changes nothing."""
    return await _current(parse_url(url)), HEAD


async def upgrade(url: str) -> None:
    """Create the tables or bring them to the newest revision, in one transaction. Raises ConfigError for a newer state."""
    parsed = parse_url(url)
    _refuse_newer(await _current(parsed), parsed)
    await _migrate(parsed)


async def require_current(url: URL, *, create: bool) -> None:
    """Make sure that the state may be opened; a new one is created if ``create`` says so. Raises ConfigError."""
    current = await _current(url)
    _refuse_newer(current, url)
    if current == HEAD:
        return
    if current is not None:
        raise ConfigError(
            f"The state was written by an older version of this program (revision {current}, needed {HEAD})",
            fix="Make a copy of it, then run: ml-connector db upgrade",
            where=_name(url),
        )
    if not create:
        raise ConfigError("There is no state yet", fix="Run: ml-connector db upgrade", where=_name(url))
    await _migrate(url)


def _name(url: URL) -> str:
    return str(sqlite_path(url) or f"{url.host or 'localhost'}/{url.database}")


def _refuse_newer(current: str | None, url: URL) -> None:
    if current is not None and current not in REVISIONS:
        raise ConfigError(
            f"The state was written by a newer version of this program (revision {current}, this one knows up to {HEAD})",
            fix="Nothing was changed. Install that version again: pip install --upgrade ml-connector",
            where=_name(url),
        )


async def _current(url: URL) -> str | None:
    path = sqlite_path(url)
    if path is not None and (not path.exists() or path.stat().st_size == 0):
        return None
    engine = open_engine(url, read_only=True)
    try:
        with outages(engine) if path is None else nullcontext():  # a file that cannot be read will not get better
            async with engine.connect() as connection:
                return await connection.run_sync(_revision, url)
    except DBAPIError as error:
        raise ConfigError(f"The state cannot be read: {error.orig}", fix="Name another one", where=_name(url)) from error
    finally:
        await engine.dispose()


def _revision(connection: Connection, url: URL) -> str | None:
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE in tables:
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 (a constant)
    # A server's database may hold other things beside ours; a file that does is somebody else's.
    if tables and sqlite_path(url) is not None:
        raise ConfigError("This database belongs to another program", fix="Name a file of its own", where=_name(url))
    return None


async def _migrate(url: URL) -> None:
    path = sqlite_path(url)
    if path is not None:
        await asyncio.to_thread(_make_place, path)
    engine = open_engine(url)
    try:
        turn = _turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        with outages(engine):
            async with turn, engine.begin() as connection:
                if path is None:
                    await alone(connection, "migration")
                await connection.run_sync(run_migrations)
    except DBAPIError as error:
        raise ConfigError(f"The state cannot be upgraded: {error.orig}", fix=_RIGHTS, where=_name(url)) from error
    finally:
        await engine.dispose()


def _make_place(path: Path) -> None:
    """The folder, and a new file that its owner alone can read: it will hold customers' data."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError as error:
        raise ConfigError(f"The folder of the state cannot be made: {error.strerror}", where=str(path)) from error


def run_migrations(connection: Connection, to: str = "head") -> None:
    """Inside the connection's transaction."""
    from alembic import command  # here, because only a state that is new or old needs it
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "ml_connector_adapters.store:migrations")
    config.set_main_option("path_separator", "os")
    command.upgrade(config, to)
