"""A record is one entity as one system holds it at one moment."""

from typing import Literal, TypeAlias

import msgspec

from ml_connector.domain.entities import Entity
from ml_connector.domain.values import Instant

Side: TypeAlias = Literal["left", "right"]
"""One of the two connections that a flow keeps in agreement. One way, records go from left to right."""
RemoteId: TypeAlias = str
Version: TypeAlias = str
"""Whatever the vendor takes for optimistic concurrency (ETag, modified time), byte for byte; opaque to the core."""
Cursor: TypeAlias = str
"""Text that one adapter returned and only that adapter looks inside."""


class Hold(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a record must not be passed on yet. It is read again, and let go, when its version moves."""

    code: str  # what ``failures --cause`` asks for, "awaiting_receipt"
    reason: str
    fix: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One entity with its id, version and time of change on one system."""

    id: RemoteId
    entity: Entity | None  # None only when ``gone``
    version: Version | None = None
    changed_at: Instant | None = None
    gone: bool = False  # deleted at the vendor
    by_us: bool = False  # the vendor says our own integration user made the last change
    warnings: tuple[str, ...] = ()  # what mapping could not place, told in the audit
    hold: Hold | None = None  # it waits for something else that must happen at the vendor first


class Stub(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A key with its version, and the whole record where reading it cost nothing more."""

    id: RemoteId
    version: Version
    record: Record | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a feed. ``cursor`` resumes behind this page; None while there is no safe point to resume from."""

    records: tuple[Record, ...]
    cursor: Cursor | None
