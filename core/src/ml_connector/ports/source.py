"""Reading one kind of entity from one connection."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Protocol, runtime_checkable

from ml_connector.domain import Cursor, Instant, Page, Record, RemoteId, Stub


class Source(Protocol):
    """The least that reading takes: full records by id. A Source is also a Feed or a Sweep, or it can only be looked into.

    Raises (every method here and below): AuthRejected, Throttled, Unavailable, ContractBroken. Never returns half a page:
    what a page holds was complete when it was read. Text comes as the vendor holds it, times as aware UTC, numbers as Decimal;
    unknown is UNSET, empty is None.
    """

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        """Full records by id, in any order; what does not exist (any more) is absent. Any number of ids."""
        ...


@runtime_checkable
class Feed(Source, Protocol):
    """A Source whose vendor can say what changed."""

    def changed_since(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        """Changes in the order in which they happened, oldest first, at least once; None starts from the beginning.

        ``cursor`` is text that this adapter returned earlier. Each page's cursor resumes behind that page. Deletions come as
        records with ``gone=True`` where the vendor tells of them.
        """
        ...

    def cursor_at(self, when: Instant) -> Cursor:
        """A cursor from which everything that changes at or after ``when`` is read."""
        ...


@runtime_checkable
class Sweep(Source, Protocol):
    """A Source whose vendor cannot say what changed: every key with its version, cheaply."""

    def stubs(self, *, rows: bool) -> AsyncIterator[Sequence[Stub]]:
        """Every key that exists now, with a version that differs whenever the record (lines included) differs.

        ``rows``: the caller expects most of them to be new; carry the whole record on the stub if that spares calls.
        A key may come twice when data moves while paging. Ends normally only if the sweep was complete.
        """
        ...

    @property
    def full_every(self) -> timedelta | None:
        """How often a run should read every record anew because versions do not show all changes; None: never."""
        ...
