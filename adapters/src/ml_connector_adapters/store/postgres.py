"""PostgreSQL's driver: how a connection is opened, and which of its errors are outages.

asyncpg is an optional part of the distribution, ``ml-connector[postgres]``.
"""

from importlib.util import find_spec
from typing import Any, Final

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError

from ml_connector.errors import ConfigError

FIX: Final = "See that the database server runs, and that it can be reached from here"

# A URL may say otherwise, as in …/database?lock_timeout=5s.
_SETTINGS: Final = {
    "application_name": "ml-connector",
    "lock_timeout": "30s",
    # A process that froze inside a transaction would keep what all others wait for, the end of the audit's chain for one.
    "idle_in_transaction_session_timeout": "20s",
}
_CONNECT_S: Final = 10
_ANSWER_S: Final = 300
"""Longer than any statement takes; whoever waits longer talks to a server that vanished without a word."""

RECYCLE_S: Final = 300
"""Age at which a connection is replaced: between here and there, something may forget those that were idle for as long."""

_OUTAGES: Final = {
    "08": "connections",
    "25": "a server that has become a replica, a transaction that was idle for too long",
    "40": "deadlocks",
    "53": "disk, memory or connections used up",
    "55": "a lock that somebody keeps",
    "57": "a server that is going down or coming up",
    "58": "the server's own disk",
}
"""Classes of SQLSTATE."""


def require_driver() -> None:
    """Raises ConfigError when the optional part is not installed."""
    if find_spec("asyncpg") is None:
        raise ConfigError(
            "PostgreSQL's driver is not installed", fix="Run: pip install 'ml-connector[postgres]'", where="workspace.state"
        )


def dsn(url: URL) -> str:
    """What ``connect`` takes: the URL as PostgreSQL's own programs read it (``sslmode``, ``host``, settings of the session)."""
    settings = {name: value for name, value in _SETTINGS.items() if name not in url.query}
    return url.set(drivername="postgresql").update_query_dict(settings).render_as_string(hide_password=False)


async def connect(dsn: str) -> Any:
    """A connection of asyncpg's own. Used by SQLAlchemy alone."""
    import asyncpg  # type: ignore[import-untyped]

    return await asyncpg.connect(dsn, timeout=_CONNECT_S, command_timeout=_ANSWER_S)


def refuse_closed(connection: Any, record: object, proxy: object) -> None:
    """Have the pool replace a connection that the server closed meanwhile. The driver knows; to ask would be three trips."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def outage(error: Exception) -> str | None:
    """What to tell of it, if it passes without anybody changing the program, the URL or a right."""
    if isinstance(error, OSError):  # nobody listens there, or does not answer
        return str(error) or "no answer in time"
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # the driver's own words, which are about its protocol
        return "the connection was lost" if error.connection_invalidated else None
    return str(error.orig) if state[:2] in _OUTAGES else None
