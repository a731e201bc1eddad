"""The state in SQL, on SQLite or PostgreSQL. Costs a second to import (sqlmodel): entry points import it late."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from ml_connector.ports.clock import Clock
from ml_connector_adapters.store.engine import Database, open_engine, parse_url, sqlite_path
from ml_connector_adapters.store.keys import MasterKeys
from ml_connector_adapters.store.safe import Safe
from ml_connector_adapters.store.schema import require_current, status, upgrade
from ml_connector_adapters.store.state import Store

__all__ = ["Store", "open_store", "status", "upgrade"]


@asynccontextmanager
async def open_store(
    url: str, *, clock: Clock, create: bool = True, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Store]:
    """The state at ``sqlite:///path`` or ``postgresql://…``, created if it is new.

    ``environ`` (the process's own by default) is where the master key is looked for, see ``keys.MasterKeys``. Raises
    ConfigError when the state is missing and not to be created, older or newer than this program, or not a state at all.
    """
    parsed = parse_url(url)
    await require_current(parsed, create=create)
    engine = open_engine(parsed)
    path = sqlite_path(parsed)
    keys = MasterKeys(path and path.with_name(f"{path.name}.key"), os.environ if environ is None else environ)
    database = Database(engine, clock)
    try:
        yield Store(database, Safe(database, keys))
    finally:
        await engine.dispose()
