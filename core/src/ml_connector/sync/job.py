"""One record on its way through the pipeline, and the pages that the cursor may not overtake."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from ml_connector.domain import UNSET, Cursor, Entity, Record, Ref, Side, UnsetType
from ml_connector.ports.sink import Key
from ml_connector.ports.state import Action, Change, End, Link, Trouble
from ml_connector.sync.merge import Merged, View

Term: TypeAlias = Literal["written", "unchanged", "echoed", "skipped", "parked", "rejected", "conflicted", "unknown"]
"""The ledger's terms."""

Names: TypeAlias = Mapping[Ref, Ref | UnsetType]
"""What one side calls the records of the other; UNSET: it has no place for them."""


class Job(msgspec.Struct, kw_only=True, gc=False):
    """A record that was read, what it shall become, and how that went. Filled in from step to step."""

    record: Record
    link: Link  # as it shall stand
    known: Link | None  # as it stood
    page: int
    far: Side = "right"  # the side that is written
    desired: Entity | None = None  # in the written side's terms, refs translated
    before: Entity | None = None  # what the written side held, as far as known
    names: tuple[str, ...] = ()  # fields to set; empty for a create
    rule: str = ""
    former: Link | None = None  # of a record that is gone, whose counterpart this one takes over
    mirror: Link | None = None  # of the flow that writes what this one reads
    remake: bool = False  # write it as new although a counterpart was known
    removes: bool = False  # take the counterpart out of use
    key: Key | None = None  # by which it is found when it was made and nobody heard
    sent: bytes | None = None  # what its intent says will be written, encoded
    merging: "Merging | None" = None  # two-way: what was merged, and from what
    term: Term | None = None
    action: Action | None = None  # None: nothing that the audit tells of
    reason: str = ""
    changes: tuple[Change, ...] = ()
    told: list["Told"] = []  # writes that turned out to have landed, before what ``action`` tells

    def tell(self, action: Action, rule: str, changes: Sequence[Change]) -> None:
        self.told = [*self.told, Told(action=action, rule=rule, changes=tuple(changes))]

    @property
    def there(self) -> End:
        """The end that is written."""
        return self.link.left if self.far == "left" else self.link.right

    @property
    def creates(self) -> bool:
        return not self.removes and (self.remake or self.there.id is None)

    def stand(self, end: End) -> None:
        """What is known of the written end."""
        self.link = self.link.with_end(self.far, end)

    def leave_alone(self, reason: str) -> None:
        """Nothing is done, and nothing kept of this look."""
        self.term, self.action, self.reason = "skipped", None, reason
        self.link = self.known = self.known or self.link

    def end(self, term: Term, action: Action | None, *, reason: str = "", trouble: Trouble | None = None) -> None:
        self.term, self.action, self.reason = term, action, reason
        if trouble is not None:
            before = self.link.trouble
            attempts = before.attempts + 1 if before is not None and before.code == trouble.code else 1
            since = before.since if before is not None and before.since is not None else trouble.since
            trouble = msgspec.structs.replace(trouble, attempts=attempts, since=since)
        if trouble is not self.link.trouble or self.link.due:
            self.link = msgspec.structs.replace(self.link, trouble=trouble, due=False)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A write of this job that landed unheard."""

    action: Action
    rule: str = ""
    reason: str = ""
    changes: tuple[Change, ...] = ()


class Merging(msgspec.Struct, kw_only=True):
    """Both sides of a job in common terms, how they were merged, and how to say it in the written side's terms."""

    near: View
    far: View
    merged: Merged
    names: Names


class Pages:
    """Counts what each page still owes, so that the cursor moves only past pages that are settled whole."""

    def __init__(self) -> None:
        self._owed: dict[int, int] = {}
        self._cursors: dict[int, Cursor | None] = {}
        self._first = 0
        self._next = 0

    def open(self, owed: int, cursor: Cursor | None) -> int:
        page = self._next
        self._next += 1
        self._owed[page], self._cursors[page] = owed, cursor
        return page

    def pay(self, page: int, amount: int = 1) -> None:
        self._owed[page] -= amount

    def frontier(self) -> Cursor | UnsetType:
        """The cursor behind the last page of the unbroken row of settled pages, UNSET when it has not moved."""
        moved: Cursor | UnsetType = UNSET
        while self._first < self._next and self._owed[self._first] == 0:
            del self._owed[self._first]
            cursor = self._cursors.pop(self._first)
            if cursor is not None:
                moved = cursor
            self._first += 1
        return moved
