"""Is the other side fit for the flows? What ``ping`` asks, read-only unless told to repair."""

from collections.abc import Sequence
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from ml_connector.domain import Kind

Access: TypeAlias = Literal["read", "write"]
Level: TypeAlias = Literal["ok", "warning", "unfit"]

FIRST_LOAD: Final = 100_000
"""Records of the first load that every system tells the cost of."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one flow asks of a connection: the canonical fields (``extra.NAME`` for custom ones) that it reads or writes."""

    kind: Kind
    access: Access
    fields: frozenset[str]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the fit report."""

    level: Level
    about: str  # "token", "account", "account.extra.cost_center", "clock", "quota" …
    what: str
    fix: str = ""
    repairable: bool = False  # ``repair`` can mend it


def first_load(kind: Kind, access: Access, calls: int, hours: float, beside: str = "") -> Finding:
    """What a first load takes under the limits that a connection keeps to, in the same words for every system.

    ``beside`` is what the vendor counts beside calls, and what was assumed.
    """
    done = {"read": "reading", "write": "writing"}[access]
    time = f"{hours:,.1f} hours" if hours >= 0.05 else "less than 0.1 hours"
    what = f"{done} {FIRST_LOAD:,} records takes {calls:,} calls, {time}" + (f" ({beside})" if beside else "")
    return Finding(level="ok", about=f"{kind}.first_load", what=what)


class Fitness(Protocol):
    """Raises AuthRejected, Throttled, Unavailable; what is missing is a Finding, not an error."""

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        """Read-only: reachable, token, rights per kind, paths and fields, custom fields, clock skew, quota."""
        ...

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        """Create what is missing and may be created (custom fields, alternate keys); one finding per thing done or refused."""
        ...
