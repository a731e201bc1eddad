"""Secrets and access tokens: named in settings, kept encrypted, shown only to the call that needs them."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

import msgspec


class Secret:
    """A reference to a secret (``secret:NAME``, ``env:NAME``, ``file:PATH``), never the secret itself."""

    __slots__ = ("reference",)

    def __init__(self, reference: str) -> None:
        if not reference.startswith(("secret:", "env:", "file:")):
            raise ValueError('a secret is never written out here: use "secret:NAME", "env:NAME" or "file:PATH"')
        self.reference = reference

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.reference == other.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"


class Secrets(Protocol):
    """Where the values behind references live."""

    async def reveal(self, secret: Secret) -> str:
        """The value now; asked at every use, so that a rotated secret is picked up. Raises AuthRejected when there is none."""
        ...


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An access token and what the token endpoint said about it. ``repr`` hides the value."""

    value: str
    expires_at: datetime  # aware UTC
    api_domain: str | None = None  # a host the vendor derived; checked before any token goes there

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at.isoformat()})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # msgspec's own would show the value in rich tracebacks
        return [("expires_at", self.expires_at)]


class TokenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one credential: the living token, and when tokens were minted of late (aware UTC, oldest first)."""

    token: Token | None = None
    minted: tuple[datetime, ...] = ()


class Tokens(Protocol):
    """One record per credential, encrypted at rest, shared by all tasks, processes and restarts."""

    async def load(self, credential: str) -> TokenRecord:
        """The record, empty if nothing is known of this credential."""
        ...

    async def save(self, credential: str, record: TokenRecord) -> None: ...

    def refreshing(self, credential: str) -> AbstractAsyncContextManager[None]:
        """Held by one refresher at a time, across tasks and processes; entering waits for the present holder."""
        ...
