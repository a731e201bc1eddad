"""Whose trouble it is: every error that leaves a connection's port is marked with that connection's name.

A plugin may say in ``where`` what it likes, and one system may stand behind several connections; which one has to pause must
not hang on words.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from ml_connector.domain import Cursor, Instant, Page, Record, RemoteId, Stub
from ml_connector.errors import ConnectorError
from ml_connector.ports.sink import Key, Outcome, Sink, SinkLimits, Write
from ml_connector.ports.source import Feed, Source, Sweep


def culprit(error: ConnectorError) -> str | None:
    """The connection at whose port the error came up; None for the program's own troubles, such as the state's."""
    name: str | None = error.__dict__.get("connection")
    return name


@contextmanager
def blaming(connection: str) -> Iterator[None]:
    """Mark what leaves the block, and see that its words name the connection too."""
    try:
        yield
    except ConnectorError as error:
        error.__dict__.setdefault("connection", connection)
        if connection not in error.where:
            error.where = f"{connection}: {error.where}" if error.where else connection
        raise


def blamed_source(source: Source, connection: str) -> Source:
    """The source, answerable by name; still a Feed or a Sweep if it was one."""
    if isinstance(source, Feed):
        return _BlamedFeed(source, connection)
    if isinstance(source, Sweep):
        return _BlamedSweep(source, connection)
    return _BlamedSource(source, connection)


class _BlamedSource:
    def __init__(self, source: Source, connection: str) -> None:
        self._source, self._connection = source, connection

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        with blaming(self._connection):
            return await self._source.fetch(ids)


class _BlamedFeed(_BlamedSource):
    def __init__(self, feed: Feed, connection: str) -> None:
        super().__init__(feed, connection)
        self._feed = feed

    async def changed_since(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        with blaming(self._connection):
            async for page in self._feed.changed_since(cursor):
                yield page

    def cursor_at(self, when: Instant) -> Cursor:
        return self._feed.cursor_at(when)


class _BlamedSweep(_BlamedSource):
    def __init__(self, sweep: Sweep, connection: str) -> None:
        super().__init__(sweep, connection)
        self._sweep = sweep

    async def stubs(self, *, rows: bool) -> AsyncIterator[Sequence[Stub]]:
        with blaming(self._connection):
            async for stubs in self._sweep.stubs(rows=rows):
                yield stubs

    @property
    def full_every(self) -> timedelta | None:
        return self._sweep.full_every


class BlamedSink:
    """A sink, answerable by name."""

    def __init__(self, sink: Sink, connection: str) -> None:
        self._sink, self._connection = sink, connection

    @property
    def limits(self) -> SinkLimits:
        return self._sink.limits

    async def accepts(self) -> frozenset[str]:
        with blaming(self._connection):
            return await self._sink.accepts()

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        with blaming(self._connection):
            return await self._sink.find(keys)

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        with blaming(self._connection):
            return await self._sink.write(writes)
