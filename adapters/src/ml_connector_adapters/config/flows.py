"""``[flows.NAME]``: which records go where. Checked against the connections, the entities and the tables beside it."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ml_connector.domain import Kind
from ml_connector.flows import CONVERSIONS, Assignment, Cron, Every, Flow, Schedule
from ml_connector.flows.flow import Expression
from ml_connector.system import SystemSpec
from ml_connector_adapters.config.decode import Decoder, join, span
from ml_connector_adapters.config.fields import single, unreadable, unwritable
from ml_connector_adapters.config.sides import Sides, SidesReader, fitting
from ml_connector_adapters.expressions import compile_condition, compile_expression, paths_of, tables_of
from ml_connector_adapters.expressions.functions import Tables
from ml_connector_adapters.words import nearest

_MATCH: Final = ("number",)
_CRON: Final = 'Write minute, hour, day, month and weekday: "*/15 6-20 * * 1-5"'


class FlowTable(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename={"left": "from", "right": "to", "as_": "as", "sets": "set"},
):
    """Records of one kind on their way from one connection to another, or both ways between two."""

    left: Annotated[str | None, Meta(description="Connection that records are read from.")] = None
    right: Annotated[str | None, Meta(description="Connection that they are written to.")] = None
    between: Annotated[
        tuple[str, str] | None,
        Meta(
            description="Two connections that are kept alike, both ways; in place of from and to.",
            extra_json_schema={"uniqueItems": True},
        ),
    ] = None
    owner: Annotated[
        str | None,
        Meta(description='Two-way: who wins where both sides changed a field: one of the two connections, "newest" or "ask".'),
    ] = None
    owners: Annotated[
        dict[str, str], Meta(description="Two-way: field, part of one (billing.city) or extra.NAME → its own owner.")
    ] = {}
    entity: Annotated[Kind, Meta(description="Kind of record that is read.")]
    as_: Annotated[Kind | None, Meta(description="Kind that it becomes; left out, it stays what it is.")] = None
    match: Annotated[
        tuple[str, ...],
        Meta(description="Fields by which a record finds its counterpart, tried in order.", min_length=1),
    ] = _MATCH
    after: Annotated[tuple[str, ...], Meta(description="Flows that run before this one.")] = ()
    every: Annotated[str | None, Meta(description='How often it runs: "90s", "15m", "1h", "1d".')] = None
    cron: Annotated[str | None, Meta(description='When it runs, in UTC: "*/15 6-20 * * 1-5".')] = None
    where: Annotated[str | None, Meta(description="Expression over the record that is read; what is false is skipped.")] = None
    sets: Annotated[dict[str, str], Meta(description="Target field → expression over the source record.")] = {}
    fields: Annotated[
        Annotated[tuple[str, ...], Meta(min_length=1)] | None,
        Meta(description="Fields of the target that are touched; left out, all."),
    ] = None
    writes: Annotated[Literal["create+update", "create", "update"], Meta(description="What may be done there.")] = (
        "create+update"
    )
    drift: Annotated[
        Literal["report", "restore"], Meta(description="What happens when somebody edits the target's fields.")
    ] = "report"
    deletes: Annotated[
        Literal["ignore", "deactivate"], Meta(description="What becomes of the counterpart of a deleted record.")
    ] = "ignore"


_NAMES: Final = frozenset(field.encode_name for field in msgspec.structs.fields(FlowTable))


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
        self._sides, self._tables = SidesReader(connections, decoder.mistakes), tables
        self._names = frozenset(names)
        self.after: dict[str, tuple[str, ...]] = {}  # by flow, of all that were read, mistaken or not

    def read(self, name: str, found: Any) -> Flow | None:
        """The flow, or None when it has mistakes."""
        path, before = join("flows", name), len(self._mistakes)
        given = self._fields(found, path)
        self.after[name] = given.get("after", ())
        kind: Kind | None = given.get("entity")
        target = self._target(given, path)
        if "between" in given or "owner" in given or "owners" in given:
            sides = self._sides.two_way(given, kind, path)
        else:
            sides = self._sides.one_way(given, kind, target, path)
        for one in given.get("after", ()):
            if one not in self._names:
                self._mistakes.add(f"{path}.after", f'no flow "{one}"{nearest(one, self._names - {name})}')
        self._whole_fields(given, "match", target, path)
        self._whole_fields(given, "fields", target, path)
        schedule = self._schedule(given, path)
        where = self._where(given, kind, path)
        sets = self._sets(given, kind, target, path)
        if len(self._mistakes) > before or kind is None or target is None or sides is None:
            return None
        return Flow(
            name=name,
            **msgspec.structs.asdict(sides),
            entity=kind,
            target=target,
            match=given.get("match", _MATCH),
            after=given.get("after", ()),
            schedule=schedule,
            where=where,
            where_text=given.get("where", ""),
            sets=sets,
            reads=_looks_at([given.get("where", ""), *(assignment.text for assignment in sets)]),
            fields=frozenset(given["fields"]) if given.get("fields") is not None else None,
            writes=given.get("writes", "create+update"),
            drift=given.get("drift", "report"),
            deletes=given.get("deletes", "ignore"),
            signature=self._signature(given, kind, target, sides),
        )

    def _fields(self, found: Any, path: str) -> dict[str, Any]:
        """The good fields of the table, by the names of FlowTable."""
        if not isinstance(found, dict):
            return self._decoder.fields(found, FlowTable, path)
        found = fitting(found, _NAMES, path, self._mistakes)
        given = self._decoder.fields(found, FlowTable, path)
        for key, name in (("set", "sets"), ("owners", "owners")):  # one bad entry hides no mistake of the others
            if name not in given and isinstance(found.get(key), dict):
                given[name] = {field: text for field, text in found[key].items() if isinstance(text, str)}
        return given

    def _target(self, given: Mapping[str, Any], path: str) -> Kind | None:
        """The kind that is written; None when it cannot be told."""
        kind: Kind | None = given.get("entity")
        target: Kind | None = given.get("as_", kind)
        if kind is None or target is None or kind == target or (kind, target) in CONVERSIONS:
            return target
        known = [f'"{to}"' for source, to in CONVERSIONS if source == kind]
        self._mistakes.add(f"{path}.as", f"{kind} cannot become {target}. It can become {' or '.join(known) or 'nothing else'}")
        return None

    def _schedule(self, given: Mapping[str, Any], path: str) -> Schedule:
        every, cron = given.get("every"), given.get("cron")
        if every is not None and cron is not None:
            self._mistakes.add(f"{path}.cron", "every and cron exclude each other. Keep one of them")
        if every is not None:
            try:
                return Every(span(every))
            except ValueError as error:
                self._mistakes.add(f"{path}.every", str(error))
        elif cron is not None:
            from croniter import croniter  # a tenth of a second to import

            if len(cron.split()) == 5 and croniter.is_valid(cron):
                return Cron(cron)
            self._mistakes.add(f"{path}.cron", f'"{cron[:60]}" is no cron expression. {_CRON}')
        return None

    def _where(self, given: Mapping[str, Any], kind: Kind | None, path: str) -> Expression | None:
        text = given.get("where")
        return None if text is None else self._expression(compile_condition, text, kind, f"{path}.where")

    def _sets(self, given: Mapping[str, Any], kind: Kind | None, target: Kind | None, path: str) -> tuple[Assignment, ...]:
        assignments: list[Assignment] = []
        for field, text in given.get("sets", {}).items():
            place = join(f"{path}.set", field)
            if target is not None and (wrong := unwritable(field, target)):
                self._mistakes.add(place, wrong)
            elif given.get("fields") is not None and not {field, field.partition(".")[0]} & set(given["fields"]):
                self._mistakes.add(
                    place, f'it would not be touched, because fields leaves it out. Add "{field}" to {path}.fields'
                )
            expression = self._expression(compile_expression, text, kind, place)
            if expression is not None:
                assignments.append(Assignment(path=field, expression=expression, text=text))
        return tuple(assignments)

    def _expression(
        self, make: Callable[[str, Tables], Expression], text: str, kind: Kind | None, path: str
    ) -> Expression | None:
        try:
            expression = make(text, self._tables)
            used = sorted(paths_of(text)) if kind is not None else []
        except ValueError as error:
            self._mistakes.add(path, f"{text[:60]}: {error}")
            return None
        for name in used:
            if kind is not None and (wrong := unreadable(name, kind)):
                quoted = f"{kind} has no field \"{name}\". A text stands between single quotes: '{name}'"
                self._mistakes.add(path, quoted if f'"{name}"' in text else wrong)
        return expression

    def _whole_fields(self, given: Mapping[str, Any], key: Literal["match", "fields"], target: Kind | None, path: str) -> None:
        """Whether ``match`` or ``fields`` names fields of the target, each as a whole."""
        for name in given.get(key) or ():
            if target is None:
                return
            head, dot, _ = name.partition(".")
            if wrong := unwritable(name, target):
                self._mistakes.add(f"{path}.{key}", wrong)
            elif dot and head != "extra":
                self._mistakes.add(f"{path}.{key}", f'"{name}" is a part of a field. Write "{head}"')
            elif key == "match" and dot:
                self._mistakes.add(
                    f"{path}.{key}", f'"{name}" is a custom field, and records are matched by their own: "number"'
                )
            elif key == "match" and not single(name, target):
                self._mistakes.add(f"{path}.{key}", f'"{name}" holds more than one value. Name a field such as "number"')

    def _signature(self, given: Mapping[str, Any], kind: Kind, target: Kind, sides: Sides) -> str:
        """Sixteen hex digits that differ when anything differs that decides what is written."""
        texts = [*given.get("sets", {}).values(), *filter(None, [given.get("where")])]
        used = {name: self._tables[name] for text in texts for name in tables_of(text)}
        fields = given.get("fields")
        content = {
            "entity": kind,
            "target": target,
            "where": given.get("where"),
            "set": given.get("sets", {}),
            "fields": None if fields is None else sorted(fields),
            "match": given.get("match", _MATCH),
            "tables": used,
        }
        if sides.two_way:
            content["two_way"] = {"owner": sides.owner, "owners": sides.owners}
        return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def check_circles(after: Mapping[str, Iterable[str]], decoder: Decoder) -> None:
    """Tell every circle of flows that wait for one another, once."""
    waiting = {name: [one for one in names if one in after] for name, names in after.items()}
    while waiting:
        free = [name for name, names in waiting.items() if not any(one in waiting for one in names)]
        if not free:
            circle = _circle(waiting)
            decoder.mistakes.add(
                join("flows", circle[0]) + ".after",
                f"these flows wait for one another: {' → '.join([*circle, circle[0]])}. Take one out",
            )
            free = circle
        for name in free:
            del waiting[name]


def _looks_at(expressions: Iterable[str]) -> frozenset[str]:
    """The fields of the record that the expressions read, whole."""
    return frozenset(re.split(r"[.\[]", path)[0] for text in expressions if text for path in paths_of(text))


def _circle(waiting: Mapping[str, list[str]]) -> list[str]:
    """Flows of one circle, from the first in the file on. Every flow here waits for another one here."""
    trail: list[str] = []
    name = next(iter(waiting))
    while name not in trail:
        trail.append(name)
        name = next(one for one in waiting[name] if one in waiting)
    circle = trail[trail.index(name) :]
    first = min(circle, key=list(waiting).index)
    at = circle.index(first)
    return circle[at:] + circle[:at]
