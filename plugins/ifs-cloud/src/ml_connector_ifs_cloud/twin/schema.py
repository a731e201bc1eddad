"""The words in which the twin declares its entity types, and which read, write and metadata requests are checked against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

import msgspec

if TYPE_CHECKING:
    from ml_connector_ifs_cloud.twin.tables import Database, Row

Value: TypeAlias = str | bool | Decimal | None
"""What a column holds: dates and timestamps as the text that goes over the wire, numbers always as Decimal, enums by member."""

SYSTEM = ("luname", "keyref", "Objgrants", "Objstate", "Objkey")
"""Properties that only the server writes."""


class Property(msgspec.Struct, frozen=True):
    name: str
    type: str  # "Edm.…", or the bare name of an enum
    max_length: int | None = None

    @property
    def is_enum(self) -> bool:
        return not self.type.startswith("Edm.")


class Navigation(msgspec.Struct, frozen=True):
    """A collection that hangs on one entity, e.g. the addresses of a customer."""

    name: str
    target: str  # entity type
    on: tuple[tuple[str, str], ...]  # (property of the child, property of the parent)
    fixed: Mapping[str, Value] = {}  # further values that every child has

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(child for child, _ in self.on)


class Action(msgspec.Struct, frozen=True):
    """A command: bound to one entity (``entity`` names its type) or called on the service (``entity`` is None)."""

    name: str
    entity: str | None
    parameters: Mapping[str, str]  # name → Edm type or enum name
    run: Callable[[Database, Row | None, Mapping[str, Value]], Value]
    result: str | None = None


class EntityType(msgspec.Struct):
    """One logical unit: its columns and the rules by which rows of it come to be and change."""

    name: str
    keys: tuple[str, ...]
    properties: dict[str, Property]
    navigations: dict[str, Navigation] = {}
    defaults: dict[str, Value] = {}  # what a column holds where a row does not say
    required: tuple[str, ...] = ()  # on create
    fixed: tuple[str, ...] = ()  # settable on create, not by PATCH
    readonly: tuple[str, ...] = ()  # never settable from outside
    derived: dict[str, Callable[[Database, Row], Value]] = {}  # computed at each read
    computed: Callable[[Mapping[str, Value]], dict[str, Value]] | None = None  # columns that follow from others of the row
    computed_from: frozenset[str] = frozenset()
    numbering: Callable[[Database, dict[str, Value]], None] | None = None  # fills in the key columns that were left out
    on_create: Callable[[Database, dict[str, Value]], None] | None = None  # defaults and checks of the business logic
    on_change: Callable[[Database, Row, Mapping[str, Value]], None] | None = None  # checks of the business logic
    on_delete: Callable[[Database, Row], None] | None = None
    read_only: bool = False


class Projection(msgspec.Struct, frozen=True):
    """One OData service."""

    name: str
    sets: Mapping[str, str]  # entity set → entity type
    actions: tuple[str, ...] = ()  # unbound ones

    @property
    def namespace(self) -> str:
        return f"IfsApp.{self.name}"


class Model(msgspec.Struct):
    """Everything that one twin serves; each twin has a model of its own because custom fields and actions differ by tenant."""

    types: dict[str, EntityType]
    enums: dict[str, tuple[str, ...]]
    actions: dict[str, Action]
    projections: dict[str, Projection]

    def bound_actions(self, entity: str) -> Iterable[Action]:
        return (action for action in self.actions.values() if action.entity == entity)

    def type_of(self, name: str) -> EntityType:
        """Find a type by its own name, an entity set's or a navigation's; KeyError lists what there is."""
        if name in self.types:
            return self.types[name]
        for projection in self.projections.values():
            if name in projection.sets:
                return self.types[projection.sets[name]]
        for entity in self.types.values():
            if name in entity.navigations:
                return self.types[entity.navigations[name].target]
        raise KeyError(f"the IFS twin has no set {name!r}; it has {', '.join(sorted(self.types))}")


def properties(text: str) -> dict[str, Property]:
    """Read a block of lines ``TYPE = NAME NAME:MAXLENGTH …``; an indented line carries on the one before."""
    found: dict[str, Property] = {}
    edm = ""
    for line in text.strip().splitlines():
        head, equals, rest = line.partition(" = ")
        if equals:
            edm = head.strip()
        for word in (rest if equals else line).split():
            name, _, length = word.partition(":")
            kind = edm if edm not in _EDM else f"Edm.{edm}"
            found[name] = Property(name, kind, int(length) if length else None)
    return found


_EDM = frozenset({"String", "Decimal", "Boolean", "Date", "DateTimeOffset"})


def column(name: str) -> str:
    """The database's name of a property: OrderNo → ORDER_NO."""
    return "".join("_" + letter if letter.isupper() and i else letter for i, letter in enumerate(name)).upper()
