"""The installation's tables: rows by their keys, each with a hash that moves with every change."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from ml_connector_qad.twin.schema import COMPONENTS, GRIDS, RELATION, Component, Grid

Values = dict[str, Any]
Key = tuple[str, ...]

REFERENCES: dict[str, tuple[str, ...]] = {
    "currency": ("USD", "EUR", "GBP", "SEK", "JPY"),
    "terms": ("N30", "N45", "N60", "COD", "2-10"),
    "site": ("10-100", "10-200"),
}


class Row:
    """One record as stored; ``hash`` is its concurrencyHash."""

    def __init__(self, values: Values, serial: int) -> None:
        self.values, self.serial = values, serial

    @property
    def hash(self) -> str:
        return f"{0x9F3C00 + self.serial:x}"


class Store:
    """Tables by component, and lines by grid and document. Codes are compared trimmed and without regard to case."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.components = {component.path: component for component in COMPONENTS}
        self.grids = {grid.path: grid for grid in GRIDS}
        self.tables: dict[str, dict[Key, Row]] = {path: {} for path in self.components}
        self.lines: dict[str, dict[Key, list[Values]]] = {path: {} for path in self.grids}
        self.receipts: list[Values] = []
        self._serial = 0

    def key(self, component: Component, values: Mapping[str, Any]) -> Key:
        return tuple(fold(values.get(name)) for name in component.keys)

    def get(self, path: str, values: Mapping[str, Any]) -> Row | None:
        return self.tables[path].get(self.key(self.components[path], values))

    def put(self, path: str, values: Mapping[str, Any], *, user: str = "mfg") -> Row:
        """Insert or replace a whole record."""
        component = self.components[path]
        held = {name: empty(field.type) for name, field in component.fields.items()} | dict(values)
        row = Row(held | self._stamp(component, user), self.tick())
        self.tables[path][self.key(component, held)] = row
        return row

    def change(self, path: str, row: Row, changes: Mapping[str, Any], *, user: str = "mfg") -> None:
        row.values |= dict(changes) | self._stamp(self.components[path], user)
        row.serial = self.tick()

    def rows(self, path: str) -> Iterator[Row]:
        return iter(list(self.tables[path].values()))

    def relation_of(self, row: Row) -> Row | None:
        return self.get("businessRelationV2s", row.values)

    def shown(self, component: Component, row: Row) -> Values:
        """The record as it is told: a party's address is its business relation's."""
        values = dict(row.values)
        relation = self.relation_of(row) if component.relation else None
        if relation is not None:
            values |= {ours: relation.values.get(theirs) for ours, theirs in RELATION.items()}
        return values

    def lines_of(self, grid: Grid, values: Mapping[str, Any]) -> list[Values]:
        return self.lines[grid.path].setdefault(self.key(self.components[grid.parent], values), [])

    def next_line(self, lines: list[Values], grid: Grid) -> Decimal:
        return max((Decimal(line[grid.number]) for line in lines), default=Decimal()) + 1

    def tick(self) -> int:
        self._serial += 1
        return self._serial

    def _stamp(self, component: Component, user: str) -> Values:
        if "lastModifiedDate" not in component.fields:
            return {}
        now = self.now()
        seconds = now.hour * 3600 + now.minute * 60 + now.second
        return {"lastModifiedDate": now.date(), "lastModifiedTime": Decimal(seconds), "lastModifiedUser": user}


def fold(value: Any) -> str:
    return str(value if value is not None else "").strip().casefold()


def empty(kind: str) -> Any:
    """What a field holds that nobody filled in, or that a posted record leaves out."""
    return {"text": "", "number": Decimal(), "flag": False, "date": None}[kind]
