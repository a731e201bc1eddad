"""What the twin knows of tables and columns: parsed from the catalogue, widened by custom columns and keys at run time."""

import re
from collections.abc import Iterator

import msgspec

from ml_connector_dynamics365_sales.twin.catalogue import TABLES

_COLUMN = re.compile(r"(\w+):((?:\w+\([^)]*\)|>[^\s!*]+|\w+))([!*]*)")
_TARGET = re.compile(r"(\w+)(?:\((\w+)\))?")


class Column(msgspec.Struct, kw_only=True):
    """One column. ``type``: text, memo, int, dec, money, bool, instant, date, guid, choice, state, status, lookup."""

    name: str
    type: str
    length: int = 0
    required: bool = False
    computed: bool = False
    custom: bool = False
    schema_name: str = ""
    options: dict[int, str] = {}
    states: dict[int, int] = {}  # of a status: value → state
    targets: dict[str, str] = {}  # of a lookup: table → navigation property

    @property
    def wire(self) -> str:
        """The property's name in JSON and filters."""
        return f"_{self.name}_value" if self.type == "lookup" else self.name


class Key(msgspec.Struct):
    """An alternate key; usable once its index is Active."""

    schema_name: str
    columns: tuple[str, ...]
    status: str = "Active"


class Child(msgspec.Struct, frozen=True):
    nav: str
    table: str
    lookup: str


class Table(msgspec.Struct, kw_only=True):
    """One table's definition."""

    name: str
    entity_set: str
    id: str
    title: str
    columns: dict[str, Column]
    children: dict[str, Child]
    keys: list[Key] = []
    tracked: bool = True

    def by_wire(self, name: str) -> Column | None:
        if name.startswith("_") and name.endswith("_value"):
            column = self.columns.get(name[1:-6])
            return column if column is not None and column.type == "lookup" else None
        column = self.columns.get(name)
        return None if column is None or column.type == "lookup" else column

    def navigation(self, name: str) -> tuple[Column, str] | None:
        """Lookup and target table behind a single-valued navigation property; names are case-sensitive."""
        for column in self.columns.values():
            for target, nav in column.targets.items():
                if nav == name:
                    return column, target
        return None

    def initial(self) -> tuple[int, int] | None:
        """State and status of a new record."""
        status = self.columns.get("statuscode")
        if status is None:
            return None
        value = next(iter(status.states))
        return status.states[value], value


def tables() -> dict[str, Table]:
    """A fresh set of definitions by logical name."""
    found: dict[str, Table] = {}
    table: Table | None = None
    for line in TABLES.splitlines():
        if not line.strip():
            continue
        if not line.startswith(" "):
            name, entity_set, key, title = line.split()
            table = found[name] = Table(name=name, entity_set=entity_set, id=key, title=title, columns={}, children={})
            table.columns |= {column.name: column for column in _common(key)}
            continue
        assert table is not None
        for nav, target, lookup in re.findall(r"@(\w+)>(\w+)\.(\w+)", line):
            table.children[nav] = Child(nav, target, lookup)
        for match in _COLUMN.finditer(re.sub(r"@\S+", "", line)):
            column = _column(match[1], match[2], match[3])
            table.columns[column.name] = column
    for table in found.values():
        _finish(table)
    return found


def _common(key: str) -> Iterator[Column]:
    yield Column(name=key, type="guid")
    for name in ("createdon", "modifiedon"):
        yield Column(name=name, type="instant", computed=True)
    for name in ("createdby", "modifiedby"):
        yield Column(name=name, type="lookup", computed=True, targets={"systemuser": name})


def _column(name: str, spec: str, marks: str) -> Column:
    column = Column(name=name, type=spec, required="!" in marks, computed="*" in marks)
    if spec.isdigit():
        column.type, column.length = "text", int(spec)
    elif spec[0] == "m" and spec[1:].isdigit():
        column.type, column.length = "memo", int(spec[1:])
    elif spec.startswith(">"):
        column.type = "lookup"
        column.targets = {match[1]: match[2] or name for match in _TARGET.finditer(spec[1:])}
    elif spec.startswith("choice("):
        column.type, column.options = "choice", {int(k): v for k, v in _pairs(spec)}
    elif spec.startswith("status("):
        column.type = "status"
        for key, label in _pairs(spec):
            state, _, status = key.partition("/")
            column.options[int(status)], column.states[int(status)] = label, int(state)
    return column


def _pairs(spec: str) -> Iterator[tuple[str, str]]:
    for part in spec[spec.index("(") + 1 : -1].split(","):
        key, _, label = part.partition("=")
        yield key, label


def _finish(table: Table) -> None:
    status = table.columns.get("statuscode")
    if status is not None:
        states: dict[int, str] = {}
        for value, state in status.states.items():
            states.setdefault(state, status.options[value])
        table.columns["statecode"].options = states
    for column in table.columns.values():
        column.schema_name = column.schema_name or column.name
