"""Writing one kind of entity to one connection."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec

from ml_connector.domain import Entity, Instant, Record, RemoteId, Version


class Key(msgspec.Struct, frozen=True, gc=False):
    """A canonical field and the value to look for, e.g. Key("number", "C-1044")."""

    field: str
    value: str


class Create(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Bring ``entity`` into being; a record that already has the business key ``key`` is updated, never doubled."""

    key: Key
    entity: Entity


class Update(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Set what ``changes`` holds (None clears, UNSET is left alone, lines are the whole list) if ``version`` still stands."""

    id: RemoteId
    changes: Entity
    version: Version | None  # None: no version is known, write unguarded


class Remove(msgspec.Struct, frozen=True, kw_only=True):
    """Deactivate the record as the vendor does it (never a hard delete) if ``version`` still stands."""

    id: RemoteId
    version: Version | None


Write: TypeAlias = Create | Update | Remove


class Written(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """It is there. ``created`` tells whether the record is new."""

    id: RemoteId
    version: Version | None
    changed_at: Instant | None = None
    created: bool = False
    warnings: tuple[str, ...] = ()


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The vendor refuses this record until a person acts. ``reason`` holds the vendor's words, shortened."""

    code: str
    reason: str
    field: str = ""  # canonical path where it can be told, else the vendor's name
    fix: str = ""


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """The record moved since ``version``; nothing was written. ``current`` is None when the record is gone."""

    current: Version | None
    id: RemoteId | None = None  # where the vendor names the record it became (merged, re-keyed)


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """The answer was lost; whether it was written is not known. Never success, never failure."""

    reason: str


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """Refused for now (record locked, vendor busy with it) and certainly not written; worth trying again."""

    reason: str
    after_s: float | None = None


Outcome: TypeAlias = Written | Rejected | Conflict | Unknown | Later


class SinkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How wide and how often the vendor takes writes."""

    batch: int  # most writes per call of ``write``
    parallel: int  # most calls of ``write`` at once
    find_by_key: bool = True  # False: a create whose answer was lost cannot be looked up (documented window)
    in_steps: bool = False  # a write takes several calls, so that one that was cut off may stand in part
    credits: int | None = None  # of the vendor's, that ``per`` writes of one call cost; None: it counts none
    per: int = 1

    def cost(self, writes: int) -> tuple[int, int | None]:
        """Calls and credits of so many writes in full batches; credits None where the vendor counts none."""
        whole, rest = divmod(writes, self.batch)
        calls = whole + bool(rest)
        if self.credits is None:
            return calls, None
        begun = whole * -(-self.batch // self.per) + -(-rest // self.per)
        return calls, begun * self.credits


class Sink(Protocol):
    """Writes and looks up one kind. Raises AuthRejected, Throttled, Unavailable, ContractBroken.

    One record's fault is an Outcome, never an error.
    """

    @property
    def limits(self) -> SinkLimits: ...

    async def accepts(self) -> frozenset[str]:
        """Canonical field names that this sink can store; custom fields as ``extra.NAME``, ``extra.*`` for any."""
        ...

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        """Records by business key, for writes in doubt and first loads; keys without a record map to []. Any number of keys."""
        ...

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Perform at most ``limits.batch`` writes; one outcome per write, in order. A lost answer is Unknown, not an error."""
        ...
