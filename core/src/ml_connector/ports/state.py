"""What the engine remembers: links, intents, cursors, the ledger with its audit, leases, the inbox and subscriptions.

A batch's whole effect is one Settlement, committed or refused as one.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from ml_connector.domain import UNSET, Cursor, Kind, Ref, RemoteId, Side, UnsetType, Version
from ml_connector.ports.notices import Notice, Subscription

Standing: TypeAlias = Literal["agreed", "skipped", "parked", "rejected", "conflicted", "in_doubt", "gone"]
"""The one visible state that a record is in.

agreed      both sides hold what the flow says
skipped     the flow's ``where`` leaves it out
parked      waits for a parent record that has no counterpart yet
rejected    the target refused it; waits for a change or a person
conflicted  both sides changed, or the target kept moving; waits for a rule or a person
in_doubt    a write's answer was lost and looking has not settled it yet
gone        deleted on the side that owns it
"""


DELETED: Final = "(deleted)"
"""What ``Link.drift`` names when the whole record vanished on the written side."""
LOST: Final = msgspec.json.encode([DELETED])
"""``Link.drift`` then."""


class End(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One end of a link: the id on that side, and how it was last seen there."""

    id: RemoteId | None = None
    version: Version | None = None
    held: bytes | None = None  # what it was seen to hold, encoded, where that differs from ``Link.agreed`` for any reason
    missed: int = 0  # complete sweeps in a row that did not show it

    @property
    def place(self) -> "End":
        """Id and version alone, as the audit tells of an end."""
        return self if self.held is None and self.missed == 0 else End(self.id, self.version)


class Clash(msgspec.Struct, frozen=True, kw_only=True):
    """A field that was changed on both sides, for a person to settle. Values are JSON-ready; None: empty or not known."""

    field: str
    agreed: object = None
    left: object = None
    right: object = None


class Trouble(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a record is not agreed: in the vendor's words and ours."""

    code: str
    reason: str
    field: str = ""
    fix: str = ""
    side: Side = "left"  # the side that was read when it came up
    waits_for: Ref | None = None  # parked: the parent; skipped: the record itself, until a flow has linked it
    clashes: tuple[Clash, ...] = ()  # conflicted: what waits for a person's choice
    since: datetime | None = None
    attempts: int = 1


class Link(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One business record in one flow, as far as it is known on both sides.

    What is kept of contents (``agreed``, ``End.held``, ``instead``) is in the right side's terms: its kind, its names for refs.
    """

    id: str  # ours, stable for life
    flow: str
    number: str  # the business key, for people
    left: End
    right: End
    standing: Standing
    agreed: bytes | None = None  # the content last agreed, encoded
    drift: bytes | None = None  # one way: fields that somebody changed on the right: JSON list of names, None when none
    instead: bytes | None = None  # values that a person gave for what the source says: see ``sync.instead``
    turns: bytes | None = None  # two-way: how often each field was written to and fro of late: see ``sync.turns``
    trouble: Trouble | None = None
    due: bool = False  # a person (or a parent's arrival, or the way back) asked for another look

    def end(self, side: Side) -> End:
        return self.left if side == "left" else self.right

    def with_end(self, side: Side, end: End) -> "Link":
        """The same link with this end in place of that side's."""
        return msgspec.structs.replace(self, left=end) if side == "left" else msgspec.structs.replace(self, right=end)


class Seen(msgspec.Struct, frozen=True, gc=False):
    """The little that tells whether a swept key needs a closer look."""

    version: Version | None
    standing: Standing
    due: bool


Action: TypeAlias = Literal[
    "created",
    "updated",
    "removed",
    "skipped",
    "parked",
    "rejected",
    "conflicted",
    "in_doubt",
    "drifted",
    "gone",
    "adopted",
    "noted",
    "undone",
]


class Change(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One field's way from old to new. Values are JSON-ready (builtins, or JSON itself as ``msgspec.Raw``), else UNSET."""

    field: str
    old: object = UNSET
    new: object = UNSET
    rule: str | UnsetType = UNSET  # why this value and no other, where that is not the whole entry's rule


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One outcome. The store numbers, times and chains the entries in the order in which they are settled."""

    at: datetime
    run: str
    flow: str
    trace_id: str
    kind: Kind
    number: str
    link: str
    action: Action
    left: End
    right: End
    side: Side = "right"  # the side that was written, or would have been
    rule: str = ""  # why: "owner: ifs", "where", "drift: owner wins at the next change" …
    reason: str = ""
    changes: tuple[Change, ...] = ()


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it stands in the store: its place in the chain and the hash over itself and its predecessor."""

    seq: int
    entry: AuditEntry
    hash: str


class Counts(msgspec.Struct, kw_only=True):
    """A run's ledger. ``read`` is counted where records arrive, the rest where they are settled."""

    read: int = 0
    written: int = 0
    unchanged: int = 0
    echoed: int = 0
    skipped: int = 0
    parked: int = 0
    rejected: int = 0
    conflicted: int = 0
    unknown: int = 0

    def settled(self) -> int:
        return self.written + self.unchanged + self.echoed + self.skipped + self.parked + self.rejected + self.conflicted

    def adds_up(self) -> bool:
        return self.read == self.settled() and self.unknown == 0


class Run(msgspec.Struct, kw_only=True):
    """One run of one flow. ``ended_at`` None while it goes on (or since it died)."""

    id: str
    flow: str
    trace_id: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Literal["running", "green", "attention", "paused", "failed", "stopped"] = "running"
    note: str = ""
    counts: Counts = msgspec.field(default_factory=Counts)


Deed: TypeAlias = Literal["create", "update", "remove"]


class Intent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A write that is about to leave (or has left); it ends in the settlement that tells its outcome."""

    link: str  # the link's id
    flow: str
    side: Side = "right"  # the side written to
    kind: Kind  # on that side
    deed: Deed = "create"
    field: str = ""  # a create: the key to look for after a lost answer
    value: str = ""
    source_id: RemoteId  # on the other side
    sent: bytes | None = None  # the fields that are written, encoded, in common terms; None: they are not known
    changes: bytes | None = None  # an update: what the audit will tell of it, as JSON
    rule: str = ""
    at: datetime


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to run one flow until ``until``; ``fence`` grows with every claim, and a settlement checks it."""

    flow: str
    owner: str
    fence: int
    until: datetime


class Retold(msgspec.Struct, frozen=True, kw_only=True):
    """What another flow's link shall take for agreed and for drift, if it still takes for agreed what it did (``was``)."""

    link: str
    was: bytes
    agreed: bytes
    drift: bytes | None


class Settlement(msgspec.Struct, kw_only=True):
    """Everything one batch changed. Links replace what stands under their id; the rest is added."""

    links: list[Link] = msgspec.field(default_factory=list)
    retold: list[Retold] = msgspec.field(default_factory=list)
    audit: list[AuditEntry] = msgspec.field(default_factory=list)
    ended_intents: list[str] = msgspec.field(default_factory=list)  # link ids
    handled_notices: list[str] = msgspec.field(default_factory=list)  # dedupe keys of this flow's notices
    cursor: Cursor | UnsetType = UNSET
    run: Run | None = None  # its counts so far


class Links(Protocol):
    """The crosswalk."""

    async def seen(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, Seen]: ...

    async def by_id(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, Link]: ...

    async def by_number(self, number: str, flow: str | None = None) -> list[Link]: ...

    async def across(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, RemoteId]:
        """For ids on ``side`` of the flow's links, the id on the other side.

        Those without a counterpart are absent, and so are those whose counterpart is known to have been deleted (``LOST``).
        """
        ...

    async def due(self, flow: str) -> list[Link]:
        """Links that are marked due."""
        ...

    async def awaited(self, flow: str, side: Side) -> list[Ref]:
        """The distinct records, of ``side`` and in its terms, that what was parked or skipped when it was read waits for."""
        ...

    async def arrived(self, flow: str, side: Side, parents: Sequence[Ref]) -> int:
        """Mark due whatever was parked or skipped for these when ``side`` was read; returns how many."""
        ...

    async def standing(self, flow: str | None = None, standings: Sequence[Standing] = (), *, limit: int = 1000) -> list[Link]:
        """Links in one of ``standings``, or with drift when ``standings`` is empty; newest trouble first."""
        ...

    async def tally(self, flow: str) -> Mapping[str, int]:
        """How many links the flow has in each standing, and under "drifted" how many show drift."""
        ...

    async def mark_due(self, ids: Sequence[str], *, again: bool = False) -> int:
        """Ask for another try; returns how many links were marked. ``again``: forget what was agreed, compare anew."""
        ...

    async def dismiss(self, ids: Sequence[str]) -> int:
        """Stop telling of the trouble: the links stay as they are, as skipped, until the record changes at the source."""
        ...

    async def sight(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> None:
        """Remember that the present sweep of that side saw these ids."""
        ...

    def unsighted(self, flow: str, side: Side) -> AsyncIterator[Sequence[Link]]:
        """Links, not gone, with an id on that side that the present sweep did not see, in the order of those ids."""
        ...

    async def forget_sightings(self, flow: str, side: Side) -> None: ...

    def every(self, flow: str) -> AsyncIterator[Sequence[Link]]:
        """All links of the flow, page by page, in the order of their ids; what is settled meanwhile does not disturb it."""
        ...


class Intents(Protocol):
    async def open(self, lease: Lease, intents: Sequence[Intent]) -> None:
        """Commit before the writes leave; one per link. Raises LeaseLost."""
        ...

    async def of(self, flow: str) -> list[Intent]:
        """Intents that no settlement ended: writes in doubt, oldest first."""
        ...


class Ledger(Protocol):
    async def start(self, run: Run) -> None: ...

    async def finish(self, run: Run) -> None: ...

    async def last(self, flow: str, *, count: int = 1) -> list[Run]:
        """Newest first."""
        ...

    def entries(
        self, *, since: datetime | None = None, link: str | None = None, run: str | None = None
    ) -> AsyncIterator[AuditRecord]:
        """Oldest first."""
        ...

    async def verify(self) -> tuple[int, int | None]:
        """How many entries the chain has, and the number of the first that does not fit (None: all do)."""
        ...


class Cursors(Protocol):
    async def load(self, flow: str) -> Cursor | None: ...


class Leases(Protocol):
    async def claim(self, flow: str, owner: str, ttl_s: float) -> Lease:
        """Raises LeaseHeld, naming the holder and when its lease ends."""
        ...

    async def renew(self, lease: Lease, ttl_s: float) -> Lease:
        """Raises LeaseLost."""
        ...

    async def release(self, lease: Lease) -> None: ...

    async def check(self, lease: Lease) -> None:
        """Whether it still is ours, asked before something leaves that no transaction guards. Raises LeaseLost."""
        ...

    async def bury(self, flow: str, owner: str) -> None:
        """End the lease of an owner that is known to be dead; nothing happens when somebody else holds the flow."""
        ...


class Inbox(Protocol):
    """Notices that wait for their flow."""

    async def add(self, flow: str, side: Side, notices: Sequence[Notice]) -> int:
        """Durably, before the sender is answered; repeated ``dedupe`` keys collapse. Returns how many were new.

        ``side`` is the flow's side that they came from.
        """
        ...

    async def waiting(self, flow: str, side: Side) -> dict[RemoteId, list[str]]:
        """Ids on that side to look at, each with the dedupe keys that named it."""
        ...


class Subscriptions(Protocol):
    async def all(self) -> list[Subscription]: ...

    async def save(self, subscription: Subscription, path_token: str) -> None: ...

    async def by_path(self, path_token: str) -> Subscription | None: ...

    async def remove(self, subscription: Subscription) -> None: ...


class Pauses(Protocol):
    """Connections that wait: for a person (auth) or for a time (quota)."""

    async def pause(self, connection: str, reason: str, until: datetime | None) -> None: ...

    async def paused(self, now: datetime) -> Mapping[str, tuple[str, datetime | None]]:
        """Connection → (reason, until); ``until`` None waits for a person. Those whose time is over are left out."""
        ...

    async def resume(self, connection: str) -> None: ...


class State(Protocol):
    """All of it, and the one method that settles."""

    @property
    def links(self) -> Links: ...
    @property
    def intents(self) -> Intents: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def cursors(self) -> Cursors: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def subscriptions(self) -> Subscriptions: ...
    @property
    def pauses(self) -> Pauses: ...

    async def settle(self, lease: Lease, settlement: Settlement) -> None:
        """One transaction, guarded by the lease's fence. Raises LeaseLost, and then nothing of it is kept."""
        ...
