"""``[flows.NAME]``: which records go where. Checked against the connections, the entities and the tables beside it."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ml_connector.domain import Kind
from ml_connector.flows import CONVERSIONS, Assignment, Cron, Every, Flow, Schedule
from ml_connector.system import SystemSpec
from ml_connector_adapters.config.decode import Decoder, join, span
from ml_connector_adapters.config.fields import unreadable, unwritable
from ml_connector_adapters.expressions import compile_condition, compile_expression, paths_of, tables_of
from ml_connector_adapters.words import nearest

_TWO_WAY: Final = ("between", "owner", "owners")


class FlowTable(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"left": "from", "right": "to", "as_": "as", "sets": "set"},
):
    """Records of one kind on their way from one connection to another."""

    left: Annotated[str, Meta(description="Connection that records are read from.")]
    right: Annotated[str, Meta(description="Connection that they are written to.")]
    entity: Annotated[Kind, Meta(description="Kind of record that is read.")]
    as_: Annotated[Kind | None, Meta(description="Kind that it becomes; left out, it stays what it is.")] = None
    match: Annotated[
        tuple[str, ...],
        Meta(description="Fields by which a record finds its counterpart, tried in order.", min_length=1),
    ] = ("number",)
    after: Annotated[tuple[str, ...], Meta(description="Flows that run before this one.")] = ()
    every: Annotated[str | None, Meta(description='How often it runs: "90s", "15m", "1h", "1d".')] = None
    cron: Annotated[str | None, Meta(description='When it runs, in UTC: "*/15 6-20 * * 1-5".')] = None
    where: Annotated[str | None, Meta(description="Expression over the source record; what is false is skipped.")] = None
    sets: Annotated[dict[str, str], Meta(description="Target field → expression over the source record.")] = {}
    fields: Annotated[
        tuple[str, ...] | None, Meta(description="Fields of the target that are touched; left out, all.")
    ] = None
    writes: Annotated[Literal["create+update", "create", "update"], Meta(description="What may be done there.")] = (
        "create+update"
    )
    drift: Annotated[
        Literal["report", "restore"], Meta(description="What happens when somebody edits the target's fields.")
    ] = "report"
    deletes: Annotated[Literal["ignore"], Meta(description="What a deletion at the source does.")] = "ignore"


class FlowReader:
    """Reads the flows of one file.

    ``connections`` holds every connection of the file, with None for one whose system is not known; ``tables`` every table, so
    that a mistake in either is told where it is and not again at each flow that uses it.
    """

    def __init__(
        self,
        decoder: Decoder,
        connections: Mapping[str, SystemSpec | None],
        tables: Mapping[str, Mapping[str, Any]],
        names: Iterable[str],
    ) -> None:
        self._decoder, self._mistakes = decoder, decoder.mistakes
        self._connections, self._tables = connections, tables
        self._names = frozenset(names)
        self.after: dict[str, tuple[str, ...]] = {}  # by flow, of all that were read, mistaken or not

    def read(self, name: str, found: Any) -> Flow | None:
        """The flow, or None when it has mistakes."""
        path, before = join("flows", name), len(self._mistakes)
        given = self._fields(found, path)
        self.after[name] = given.get("after", ())
        kind, target = given.get("entity"), self._target(given, path)
        self._connection(given, "left", "from", "entity", kind, path)
        self._connection(given, "right", "to", "as" if "as_" in given else "entity", target, path)
        if "left" in given and given["left"] == given.get("right"):
            self._mistakes.add(f"{path}.to", f'"{given["right"]}" is where the records come from. Name another connection')
        for one in given.get("after", ()):
            if one not in self._names:
                self._mistakes.add(f"{path}.after", f'no flow "{one}"{nearest(one, self._names - {name})}')
        schedule = self._schedule(given, path)
        where = self._where(given, kind, path)
        sets = self._sets(given, kind, target, path)
        fields = self._target_fields(given, target, path)
        if len(self._mistakes) > before or kind is None or target is None:
            return None
        return Flow(
            name=name,
            left=given["left"],
            right=given["right"],
            entity=kind,
            target=target,
            match=given.get("match", ("number",)),
            after=given.get("after", ()),
            schedule=schedule,
            where=where,
            where_text=given.get("where", ""),
            sets=sets,
            fields=fields,
            writes=given.get("writes", "create+update"),
            drift=given.get("drift", "report"),
            signature=self._signature(given, kind, target),
        )

    def _fields(self, found: Any, path: str) -> dict[str, Any]:
        """The good fields of the table, by the names of FlowTable."""
        if not isinstance(found, dict):
            return self._decoder.fields(found, FlowTable, path)
        found = dict(found)
        if two_way := [key for key in _TWO_WAY if found.pop(key, None) is not None]:
            self._mistakes.add(
                f"{path}.{two_way[0]}", "two-way flows are not offered yet. Write one flow per direction, each with its own fields"
            )
            found = {"from": "", "to": "", **found} if two_way[0] == "between" else found
        if found.get("deletes", "ignore") != "ignore":
            self._mistakes.add(f"{path}.deletes", 'anything but "ignore" is not offered yet')
            del found["deletes"]
        given = self._decoder.fields(found, FlowTable, path)
        return {key: value for key, value in given.items() if value != "" or key in ("where", "every", "cron")}
