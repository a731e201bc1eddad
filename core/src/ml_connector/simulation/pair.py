"""Two systems as their own databases see them: what people and processes did to them, and what stands there."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from random import Random
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from ml_connector.domain import Extra, Kind, Money, Ref, RemoteId, Side
from ml_connector.flows import Flow
from ml_connector.ports.notices import NoticeRequest
from ml_connector.simulation.process import Process
from ml_connector.simulation.story import Step
from ml_connector.system import Connection

Fields: TypeAlias = Mapping[str, Any]
"""Canonical field path → value; unset ones are absent, refs are told by the number of the record they name."""

PERSON = "a person"


class Stands(msgspec.Struct, frozen=True, kw_only=True):
    """One living record as its system holds it."""

    id: RemoteId
    kind: Kind
    number: str
    fields: Fields
    parents: Sequence[tuple[Kind, RemoteId]] = ()  # the records that it names


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One change that a system took, or was asked for and found to change nothing.

    ``after`` None: deleted; ``before`` None: new.
    """

    at: datetime
    side: Side
    author: str  # PERSON, or the process
    kind: Kind
    id: RemoteId
    number: str
    before: Fields | None
    asked: Fields  # the whole record as it would stand if the system had no habits
    after: Fields | None

    @property
    def changed(self) -> list[str]:
        """Paths that differ, deletions left out."""
        if self.after is None:
            return []
        was, stands = self.before or {}, self.after
        return [path for path in dict.fromkeys((*stands, *was)) if not same(was.get(path), stands.get(path))]


class Pair(Protocol):
    """Two systems, the flows between them, and everything that a story does to them."""

    name: str
    flows: Sequence[Flow]
    deeds: list[Deed]  # oldest first
    breaches: list[str]  # limits that were not kept
    forgeries: list[NoticeRequest]

    @property
    def setting(self) -> str:
        """How the pair is set up, in one line."""
        ...

    @property
    def patience(self) -> float:
        """Seconds after the last change after which leases have ended, quotas are full, and every change can be seen."""
        ...

    @property
    def canaries(self) -> Sequence[str]:
        """Values that must turn up nowhere."""
        ...

    @property
    def stumbled(self) -> set[tuple[Kind, str]]:
        """Records of the right side that it refused once, for no reason of theirs."""
        ...

    def connect(self, process: Process) -> Mapping[str, Connection]:
        """Connections of a process that begins, by name."""
        ...

    def draws(self, random: Random) -> Step:
        """Something that a person may do."""
        ...

    def perform(self, step: Step) -> None:
        """Carry out a step that concerns the systems alone."""
        ...

    def deliveries(self, side: Side) -> list[NoticeRequest]:
        """Take the notices that wait to be delivered."""
        ...

    def ran(self) -> None:
        """The flows have run once more."""
        ...

    def sees_again(self) -> None:
        """Whatever was hidden shows up."""
        ...

    def calm(self) -> None:
        """Faults off."""
        ...

    def stands(self, side: Side, kind: Kind) -> list[Stands]:
        """What is there, from the system's own records."""
        ...

    def wanted(self, flow: Flow, fields: Fields) -> Fields | None:
        """What a left record asks for on the right, by the flow's words (not by its code); None: ``where`` leaves it out."""
        ...

    def refused(self, flow: Flow, wanted: Fields) -> bool:
        """Whether the right side refuses the record for what it says."""
        ...

    def follows(self, side: Side, kind: Kind) -> bool:
        """Whether the system can say by itself what changed."""
        ...

    def tells(self, side: Side, kind: Kind, path: str) -> bool:
        """Whether the records here say anything of the field, so that its absence means that nothing stands there."""
        ...

    def habit(self, side: Side, path: str, value: Any) -> Any:
        """What the system makes of a value that it is given."""
        ...


HAZARDS: Final = (
    *("kill", "kill at write", "kill at write", "commit", "freeze", "freeze", "twice", "meanwhile", "meanwhile"),
    *("storm", "storm", "lose write", "race", "expire"),
    *("subscribe", "lapse", "deliver", "notice", "notice", "forge", "blind", "stumble"),
)


class Made(msgspec.Struct, frozen=True):
    """A pair at its beginning, what stands there before anything happens, and what may go wrong, by how often it shall."""

    pair: Pair
    opening: Sequence[Step]
    hazards: Sequence[str] = HAZARDS


Make: TypeAlias = Callable[[Random], Made]
"""Makes a pair from a seeded generator: the same generator, the same pair."""


def same(one: Any, other: Any) -> bool:
    """Equal as people see it: 1.50 is 1.5, empty is empty."""
    if one in (None, "") and other in (None, ""):
        return True
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if one == other:
        return True
    if isinstance(one, str) and isinstance(other, str):
        return False
    try:
        return Decimal(str(one)) == Decimal(str(other))
    except InvalidOperation:
        return str(one) == str(other)


def flat(value: Any, number_of: Callable[[Ref], str], path: str = "") -> dict[str, Any]:
    """An entity by field path."""
    found: dict[str, Any] = {}
    for name in value.__struct_fields__:
        part, here = getattr(value, name), f"{path}{name}"
        if part is msgspec.UNSET:
            continue
        if isinstance(part, Ref):
            found[here] = number_of(part)
        elif isinstance(part, Money):
            found[here] = part.amount
        elif isinstance(part, Extra):
            found |= {f"{here}.{key}": one for key, one in part.items()}
        elif isinstance(part, msgspec.Struct):
            found |= flat(part, number_of, f"{here}.")
        elif isinstance(part, tuple):
            for line in part:
                found |= flat(line, number_of, f"{here}[{line.key}].")
        else:
            found[here] = part
    return found
