"""From a source record to what the target shall hold: filter, conversion, overrides, and the fields that the sink can store."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import cache
from typing import Any, Final

import msgspec

from ml_connector.domain import ENTITIES, UNSET, Address, Entity, Extra, Kind, Line, Money, Ref, Scalar, UnsetType
from ml_connector.errors import ContractBroken, RecordRejected
from ml_connector.flows.conversions import CONVERSIONS
from ml_connector.flows.flow import Assignment, Flow

_NESTED: Final[tuple[type[msgspec.Struct], ...]] = (Address, Money, Ref)


def _from_custom(kind: type, value: Any) -> Any:
    if kind is Extra:
        return Extra(value)
    raise TypeError(f"no conversion to {kind}")


def _to_custom(value: Any) -> Any:
    if isinstance(value, Extra):
        return value.as_dict()
    raise TypeError(f"no conversion from {type(value)}")


def plain(entity: Entity, reads: frozenset[str] | None = None) -> Any:
    """The entity as expressions see it: dicts and lists; unset fields absent; Decimal kept; dates and times as ISO text.

    ``reads`` are the only fields that anybody will look at; None: all.
    """
    if reads is None:
        return _plain(entity)
    told = {name: getattr(entity, name, UNSET) for name in reads}
    return {name: value if type(value) is str else _plain(value) for name, value in told.items() if value is not UNSET}


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, builtin_types=(Decimal,), enc_hook=_to_custom)


def misnamed(path: str, kind: Kind) -> str | None:
    """Check a dotted field path against a kind: None when it names a field, else the part of it that is unknown."""
    head, _, rest = path.partition(".")
    fields = {field.name: field.type for field in msgspec.structs.fields(ENTITIES[kind])}
    if head not in fields:
        return head
    if head == "extra":
        return None if rest and "." not in rest else path
    if not rest:
        return None
    options = getattr(fields[head], "__args__", ())
    nested = next((option for option in options if option in _NESTED), None)
    if nested is None or rest not in {field.name for field in msgspec.structs.fields(nested)}:
        return path
    return None


class Projection:
    """One flow's way from source entity to target entity, compiled once.

    ``accepts`` are the target's storable fields as Sink.accepts tells them. Refs still name the source's records.
    """

    def __init__(self, flow: Flow, accepts: frozenset[str]) -> None:
        self._flow = flow
        self._convert: Callable[[Entity], Entity] | None = (
            None if flow.entity == flow.target else CONVERSIONS[flow.entity, flow.target]
        )
        self._types = {field.name: field.type for field in msgspec.structs.fields(ENTITIES[flow.target])}
        chosen = None if flow.fields is None else flow.fields | (frozenset(flow.match) if flow.creates else frozenset())
        kept = {name for name in self._types if name in accepts and (chosen is None or name in chosen)}
        self._dropped = {name: UNSET for name in self._types if name not in kept and name != "extra"}
        self._any_extra = "extra.*" in accepts
        self._extras = frozenset(name.removeprefix("extra.") for name in accepts if name.startswith("extra."))
        self._chosen = (
            None
            if flow.fields is None
            else frozenset(name.removeprefix("extra.") for name in flow.fields if name.startswith("extra."))
        )
        self._needs_plain = flow.where is not None or bool(flow.sets)
        named = [assignment.path for assignment in flow.sets] + sorted(flow.fields or ())
        if homeless := [path for path in named if not _stored(path, accepts)]:
            raise ContractBroken(
                f"{flow.target} has no place for {', '.join(homeless)}",
                where=flow.right,
                fix=f"Create the field (ml-connector ping {flow.right} --fix) or take it out of flows.{flow.name}",
            )

    def __call__(self, source: Entity) -> Entity | None:
        """What the target shall hold, or None when ``where`` leaves the record out. Raises RecordRejected."""
        flow = self._flow
        data = plain(source, flow.reads) if self._needs_plain else None
        if flow.where is not None and not flow.where(data):
            return None
        return self._shaped(source, [(each, each.expression(data)) for each in flow.sets])

    def shape(self, source: Entity) -> Entity:
        """What the target would hold, whatever ``where`` says; fields that cannot be expressed are unset."""
        given: list[tuple[Assignment, object]] = []
        data = plain(source, self._flow.reads) if self._flow.sets else None
        for each in self._flow.sets:
            with suppress(RecordRejected):
                given.append((each, each.expression(data)))
        return self._shaped(source, given)

    def _shaped(self, source: Entity, given: Iterable[tuple[Assignment, object]]) -> Entity:
        entity = self._convert(source) if self._convert else source
        values: dict[str, Any] = self._dropped.copy()
        extras = _extras_of(entity)
        for assignment, value in given:
            head, _, rest = assignment.path.partition(".")
            if head == "extra":
                extras[rest] = self._scalar(value, assignment.path)
            elif rest:
                present = values[head] if head in values else getattr(entity, head)
                values[head] = self._nested(present, head, rest, value, assignment.path)
            else:
                values[head] = self._typed(value, self._types[head], assignment.path)
        return msgspec.structs.replace(entity, **values, extra=self._carried(extras))

    def view(self, entity: Entity) -> Entity:
        """The fields that the flow carries, as they stand; for records that are compared and not converted."""
        return msgspec.structs.replace(entity, **self._dropped, extra=self._carried(_extras_of(entity)))

    def _carried(self, extras: dict[str, Scalar]) -> Extra | UnsetType:
        carried = {name: value for name, value in extras.items() if self._carries(name)}
        return Extra(carried) if carried else UNSET

    def _carries(self, name: str) -> bool:
        chosen = self._chosen is None or name in self._chosen
        return chosen and (self._any_extra or name in self._extras)

    def _typed(self, value: Any, kind: Any, path: str) -> Any:
        if type(value) is str and str in getattr(kind, "__args__", ()):
            return value  # as most are
        try:
            return msgspec.convert(_no_floats(value), kind, dec_hook=_from_custom)
        except msgspec.ValidationError as error:
            raise RecordRejected(
                f"set.{path} gave {value!r}: {error}", code="SET", field=path, fix="Mend the expression or the data"
            ) from error

    def _nested(self, present: Any, head: str, rest: str, value: Any, path: str) -> Any:
        base: Mapping[str, Any] = {} if present is None or present is UNSET else msgspec.structs.asdict(present)
        given = {name: part for name, part in base.items() if part is not UNSET}
        return self._typed({**given, rest: value}, self._types[head], path)

    def _scalar(self, value: Any, path: str) -> Any:
        value = _no_floats(value)
        if value is None or isinstance(value, (str, bool, int, Decimal, dt.date)):
            return value
        raise RecordRejected(
            f"set.{path} gave {value!r}, not a single value", code="SET", field=path, fix="Mend the expression"
        )


def _extras_of(entity: Entity) -> dict[str, Scalar]:
    return entity.extra.as_dict() if isinstance(entity.extra, Extra) else {}


def _stored(path: str, accepts: frozenset[str]) -> bool:
    if path.startswith("extra."):
        return path in accepts or "extra.*" in accepts
    return path.partition(".")[0] in accepts


def _no_floats(value: Any) -> Any:
    """Numbers written in an expression come as floats; their shortest text is what the user wrote."""
    return Decimal(str(value)) if isinstance(value, float) else value


@cache
def _refs_in(kind: type[Entity]) -> tuple[str, ...]:
    """The fields that can name another record."""
    return tuple(field.name for field in msgspec.structs.fields(kind) if Ref in getattr(field.type, "__args__", ()))


def refs_of(entity: Entity) -> list[Ref]:
    """Every record that the entity names, header first, then lines."""
    found = [value for name in _refs_in(type(entity)) if isinstance(value := getattr(entity, name), Ref)]
    found += [line.product for line in _lines(entity) if isinstance(line.product, Ref)]
    return found


def with_refs(entity: Entity, names: Mapping[Ref, Ref | UnsetType]) -> Entity:
    """The entity with each Ref replaced by what the other side calls the same record (UNSET: nothing); all are in ``names``."""
    changes: dict[str, Any] = {
        name: names[value] for name in _refs_in(type(entity)) if isinstance(value := getattr(entity, name), Ref)
    }
    lines = _lines(entity)
    if [line for line in lines if isinstance(line.product, Ref)]:  # a generator would take longer than an order's few lines
        changes["lines"] = tuple(
            msgspec.structs.replace(line, product=names[line.product]) if isinstance(line.product, Ref) else line
            for line in lines
        )
    return msgspec.structs.replace(entity, **changes) if changes else entity


def _lines(entity: Entity) -> tuple[Line, ...]:
    lines = getattr(entity, "lines", None)
    return lines if isinstance(lines, tuple) else ()
