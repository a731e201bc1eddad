"""One flow, as the configuration file says it and the pipeline needs it. Expressions arrive compiled."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Literal, TypeAlias

import msgspec

from ml_connector.domain import Kind

Expression: TypeAlias = Callable[[object], object]
"""A compiled expression over the canonical record as plain data (dicts, lists, str, bool, int, Decimal; dates as ISO text).

Raises RecordRejected when this record cannot be expressed (a table without an entry for it, say).
"""


class Assignment(msgspec.Struct, frozen=True):
    """``set``: one field of the target (``stage``, ``billing.city`` or ``extra.NAME``) and the expression that gives it."""

    path: str
    expression: Expression
    text: str  # as the user wrote it, for the audit and for errors


class Every(msgspec.Struct, frozen=True):
    period: timedelta


class Cron(msgspec.Struct, frozen=True):
    expression: str


Schedule: TypeAlias = Every | Cron | None


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Records of ``entity`` on connection ``left`` become ``target`` records on connection ``right``."""

    name: str
    left: str
    right: str
    entity: Kind
    target: Kind  # equal to ``entity`` unless a conversion is named
    match: tuple[str, ...] = ("number",)
    after: tuple[str, ...] = ()
    schedule: Schedule = None
    where: Expression | None = None
    where_text: str = ""
    sets: tuple[Assignment, ...] = ()
    reads: frozenset[str] | None = None  # the fields of ``entity`` that ``where`` and ``sets`` look at; None: perhaps all
    fields: frozenset[str] | None = None  # nothing else of the target is touched; None: every field there is
    writes: Literal["create+update", "create", "update"] = "create+update"
    drift: Literal["report", "restore"] = (
        "report"  # what happens when the target is edited: wait for the next change, or mend now
    )
    signature: str = ""  # differs when anything differs that decides content; a change makes the next run a full one

    @property
    def creates(self) -> bool:
        return self.writes != "update"

    @property
    def updates(self) -> bool:
        return self.writes != "create"


def in_order(flows: Iterable[Flow]) -> list[Flow]:
    """Flows so that each comes after those it names in ``after``; otherwise in the order given. The names form no circle."""
    waiting = list(flows)
    names = {flow.name for flow in waiting}
    ordered: list[Flow] = []
    done: set[str] = set()
    while waiting:
        ready = next(flow for flow in waiting if done.issuperset(names.intersection(flow.after)))
        waiting.remove(ready)
        ordered.append(ready)
        done.add(ready.name)
    return ordered
