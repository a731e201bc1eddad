"""Vendors' push: webhooks and notification channels. A notice is a hint to fetch by id, never the data."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ml_connector.domain import Instant, Kind, RemoteId


class NoticeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request at the receiver, body already bounded. Header names in lower case."""

    path_token: str  # the unguessable last segment of the callback's path
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One channel at the vendor. ``secret`` proves notices and is kept encrypted; ``repr`` hides it."""

    id: str  # the vendor's channel id
    connection: str
    kinds: tuple[Kind, ...]
    callback_url: str
    secret: str
    created_at: Instant
    expires_at: Instant | None = None

    def __repr__(self) -> str:
        return f"Subscription(id={self.id!r}, connection={self.connection!r}, expires_at={self.expires_at})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("id", self.id), ("expires_at", self.expires_at)]


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """Where the vendor shall call, and the secrets that we expect to come back."""

    url: str  # ends in the path token
    secret: str
    kinds: Sequence[Kind]

    def __repr__(self) -> str:
        return f"Callback(kinds={tuple(self.kinds)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("kinds", tuple(self.kinds))]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """``ids`` of ``kind`` changed (or vanished). ``dedupe`` is equal for a repeated delivery of the same event."""

    kind: Kind
    ids: tuple[RemoteId, ...]
    dedupe: str


class Notices(Protocol):
    """Subscribing and reading. Network methods raise AuthRejected, Throttled, Unavailable, ContractBroken."""

    async def subscribe(self, callback: Callback) -> Subscription:
        """Open a channel (replacing a stale one of ours with the same callback). ``expires_at`` is what the vendor answered."""
        ...

    async def renew(self, subscription: Subscription) -> Subscription:
        """Prolong; re-create when the vendor forgot the channel. Never yields two living channels for one callback."""
        ...

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Close; a channel that is already gone is fine."""
        ...

    def read(self, request: NoticeRequest, subscription: Subscription) -> list[Notice]:
        """Verify first (in constant time), then read. Pure. Raises NoticeRejected when the proof fails."""
        ...
