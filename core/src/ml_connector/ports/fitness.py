"""Is the other side fit for the flows? What ``ping`` asks, read-only unless told to repair."""

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

import msgspec

from ml_connector.domain import Kind

Access: TypeAlias = Literal["read", "write"]
Level: TypeAlias = Literal["ok", "warning", "unfit"]


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


class Fitness(Protocol):
    """Raises AuthRejected, Throttled, Unavailable; what is missing is a Finding, not an error."""

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        """Read-only: reachable, token, rights per kind, paths and fields, custom fields, clock skew, quota."""
        ...

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        """Create what is missing and may be created (custom fields, alternate keys); one finding per thing done or refused."""
        ...
