"""One flow, as the configuration file says it and the pipeline needs it. Expressions arrive compiled."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Literal, TypeAlias

import msgspec

from ml_connector.domain import Kind, Side

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


Owner: TypeAlias = Literal["left", "right", "newest", "ask"]
"""Who wins when both sides changed a field: a side, whichever changed later, or nobody until a person has chosen."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """Records of ``entity`` on connection ``left`` become ``target`` records on connection ``right``.

    ``two_way``: and those of ``right`` become records on ``left``; both are of one kind then, and what both sides changed is
    settled field by field by its owner.
    """

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
        "report"  # one way, what happens when the target is edited: wait for the next change, or mend now
    )
    two_way: bool = False
    owner: Owner = "left"
    owners: Mapping[str, Owner] = {}  # field, whole or dotted (``billing``, ``billing.city``, ``extra.NAME``) → its owner
    deletes: Literal["ignore", "deactivate"] = "ignore"  # what becomes of the counterpart of a record that was deleted
    signature: str = ""  # differs when anything differs that decides content; a change makes the next run a full one

    def kind(self, side: Side) -> Kind:
        return self.entity if side == "left" else self.target

    def connection(self, side: Side) -> str:
        return self.left if side == "left" else self.right

    def owner_of(self, path: str) -> Owner:
        """The owner of a field, or of the whole that it is a part of (``lines[1].quantity`` is a part of ``lines``)."""
        if path in self.owners:
            return self.owners[path]
        head = path.partition("[")[0].partition(".")[0]
        return self.owners.get(head, self.owner)

    def carries(self, field: str) -> bool:
        """Whether what a person does to this field of the left side's records is this flow's to carry."""
        head = field.partition(".")[0]
        return self.fields is None or self.reads is None or head in self.reads or field in self.fields or head in self.fields

    def returns(self, other: "Flow") -> bool:
        """Whether this flow carries back what ``other`` writes: the same two systems and kinds, the other way round."""
        ends = (self.left, self.entity, self.right, self.target)
        return not (self.two_way or other.two_way) and ends == (other.right, other.target, other.left, other.entity)

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
