"""The rows, in key order and in the order in which they were stored, with their ETags and the history kept of them."""

from __future__ import annotations

import base64
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any, Literal, TypeAlias

from ml_connector.twin import TwinClock
from ml_connector_ifs_cloud.twin.schema import EntityType, Model, Navigation, Value, column

Key: TypeAlias = tuple[Value, ...]
Collation: TypeAlias = Literal["binary", "ignore_case"]
Span: TypeAlias = tuple[int, int]

_FIRST = itemgetter(0)


def collate_binary(value: Any) -> Any:
    """Text by code point, which is how Oracle sorts under NLS_SORT=BINARY."""
    return value


def collate_ignoring_case(value: Any) -> Any:
    """Text as a reader would sort it; equal but for case is still not equal."""
    return (value.casefold(), value) if isinstance(value, str) else value


class Row:
    """One row. ``values`` leaves out what equals the type's default."""

    __slots__ = ("key", "serial", "values", "version")

    def __init__(self, key: Key, values: dict[str, Value], serial: int, version: str) -> None:
        self.key = key
        self.values = values
        self.serial = serial
        self.version = version  # yyyymmddhhmmss of the server's local time


class Table:
    """All rows of one entity type."""

    def __init__(self, entity: EntityType, ordinal: int, collate: Callable[[Any], Any]) -> None:
        self.entity = entity
        self.collate = collate
        self.rows: dict[Key, Row] = {}  # in the order of the heap: what a query without $orderby gives
        self.in_key_order: list[Row] = []
        self._sort_keys: list[tuple[Any, ...]] = []
        self._children: dict[tuple[str, ...], dict[Key, list[Row]]] = {}
        self._rowid_prefix = base64.b64encode(b"\0\0" + ordinal.to_bytes(2, "big")).decode()[:6] + "AATA"

    def index_children(self, columns: tuple[str, ...]) -> None:
        self._children.setdefault(columns, {})

    def children(self, navigation: Navigation, parent: Mapping[str, Value]) -> list[Row]:
        """Rows that belong to a parent, in the order in which they were stored."""
        return self._children[navigation.columns].get(tuple(parent[own] for _, own in navigation.on), [])

    def key_of(self, values: Mapping[str, Value]) -> Key:
        return tuple([values.get(name, self.entity.defaults.get(name)) for name in self.entity.keys])

    def add(self, row: Row) -> None:
        if row.key in self.rows:
            raise KeyError(row.key)
        self.rows[row.key] = row
        sort_key = self._sort_key(row.key)
        if not self._sort_keys or sort_key > self._sort_keys[-1]:  # the usual case: numbers are given out upwards
            self._sort_keys.append(sort_key)
            self.in_key_order.append(row)
        else:
            at = bisect_left(self._sort_keys, sort_key)
            self._sort_keys.insert(at, sort_key)
            self.in_key_order.insert(at, row)
        for columns, index in self._children.items():
            index.setdefault(self._values_of(row, columns), []).append(row)

    def drop(self, row: Row) -> None:
        del self.rows[row.key]
        at = bisect_left(self._sort_keys, self._sort_key(row.key))
        del self._sort_keys[at], self.in_key_order[at]
        for columns, index in self._children.items():
            index[self._values_of(row, columns)].remove(row)

    def span(self, operator: str, value: Value) -> Span:
        """Where in key order the rows stand whose first key column is ``operator`` (eq, gt, ge, lt, le) ``value``."""
        wanted = self.collate(value)
        low = bisect_left(self._sort_keys, wanted, key=_FIRST)
        if operator in ("ge", "lt"):
            return (low, len(self._sort_keys)) if operator == "ge" else (0, low)
        high = bisect_right(self._sort_keys, wanted, lo=low, key=_FIRST)
        if operator == "eq":
            return low, high
        return (high, len(self._sort_keys)) if operator == "gt" else (0, high)

    def etag(self, row: Row) -> str:
        """Weak, and inside base64 again a weak one: ``W/"<18 characters of row id>:<yyyymmddhhmmss>"``."""
        rowid = self._rowid_prefix + base64.b64encode(row.serial.to_bytes(6, "big")).decode()
        inner = base64.b64encode(f'W/"{rowid}:{row.version}"'.encode()).decode()
        return f'W/"{inner}"'

    def keyref(self, row: Row) -> str:
        pairs = sorted((column(name), value) for name, value in zip(self.entity.keys, row.key, strict=True))
        return "".join(f"{name}={value}^" for name, value in pairs)

    def _sort_key(self, key: Key) -> tuple[Any, ...]:
        return key if self.collate is collate_binary else tuple([self.collate(part) for part in key])

    def _values_of(self, row: Row, columns: tuple[str, ...]) -> Key:
        return tuple([row.values.get(name, self.entity.defaults.get(name)) for name in columns])


class Database:
    """All tables of one environment, and the one way in which rows come, change and go."""

    def __init__(self, model: Model, clock: TwinClock, offset: timedelta, collation: Collation) -> None:
        self.model = model
        self.clock = clock
        self.offset = offset
        self.collate = collate_binary if collation == "binary" else collate_ignoring_case
        self.tables = {name: Table(entity, 100 + i, self.collate) for i, (name, entity) in enumerate(model.types.items())}
        self.history_enabled: set[str] = set()  # logical units
        self.equal_tokens_within_a_second = False
        self.counters: dict[str, int] = {}
        self._serial = 0
        for entity in model.types.values():
            for navigation in entity.navigations.values():
                self.tables[navigation.target].index_children(navigation.columns)

    def now(self) -> datetime:
        """The server's local time; its zone says UTC because IFS labels it so."""
        return self.clock.now() + self.offset

    def stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def next_number(self, series: str) -> int:
        self.counters[series] = number = self.counters.get(series, 0) + 1
        return number

    def get(self, entity: str, *key: Value) -> Row | None:
        return self.tables[entity].rows.get(key)

    def value(self, entity: EntityType, row: Row, name: str) -> Value:
        if name in row.values:
            return row.values[name]
        derive = entity.derived.get(name)
        return derive(self, row) if derive else entity.defaults.get(name)

    def values(self, entity: EntityType, row: Row) -> dict[str, Value]:
        """Every column of a row, by property name."""
        return {name: self.value(entity, row, name) for name in entity.properties}

    def children(self, parent: EntityType, row: Row, navigation: str) -> list[Row]:
        nav = parent.navigations[navigation]
        return self.tables[nav.target].children(nav, row.values)

    def insert(self, entity: EntityType, values: dict[str, Value], version: str | None = None) -> Row:
        """Store a row as it is; KeyError if its key is taken."""
        table = self.tables[entity.name]
        if entity.computed:
            values = {**entity.computed({**entity.defaults, **values}), **values}
        self._serial += 1
        row = Row(table.key_of(values), values, self._serial, version or self.now().strftime("%Y%m%d%H%M%S"))
        table.add(row)
        if entity.name in self.history_enabled:
            self._log(entity, row, "Insert", {name: (None, value) for name, value in values.items()})
        return row

    def update(self, entity: EntityType, row: Row, changes: Mapping[str, Value]) -> None:
        """Change a row and give it a new ETag; nothing else gets one."""
        changes = dict(changes)
        if entity.computed and not entity.computed_from.isdisjoint(changes):
            changes = {**entity.computed({**entity.defaults, **row.values, **changes}), **changes}
        if "Changed" in entity.properties:  # contacts alone carry such a stamp
            changes.setdefault("Changed", self.stamp())
        before = {name: row.values.get(name, entity.defaults.get(name)) for name in changes}
        row.values.update(changes)
        self._touch(row)
        if entity.name in self.history_enabled:
            self._log(
                entity, row, "Modify", {name: (before[name], new) for name, new in changes.items() if before[name] != new}
            )

    def delete(self, entity: EntityType, row: Row) -> None:
        """Remove a row with all that hangs on it."""
        for navigation in entity.navigations.values():
            child = self.model.types[navigation.target]
            for each in list(self.tables[child.name].children(navigation, row.values)):
                self.delete(child, each)
        self.tables[entity.name].drop(row)
        if entity.name in self.history_enabled:
            self._log(entity, row, "Delete", {})

    def _touch(self, row: Row) -> None:
        version = self.now().strftime("%Y%m%d%H%M%S")
        if version <= row.version and not self.equal_tokens_within_a_second:
            after = datetime.strptime(row.version, "%Y%m%d%H%M%S") + timedelta(seconds=1)
            version = after.strftime("%Y%m%d%H%M%S")
        row.version = version

    def _log(self, entity: EntityType, row: Row, what: str, changes: Mapping[str, tuple[Value, Value]]) -> None:
        log_id = Decimal(self.next_number("HistoryLog"))
        keys = self.tables[entity.name].keyref(row)
        head: dict[str, Value] = {
            "LogId": log_id, "LuName": entity.name, "TimeStamp": self.stamp(), "HistoryType": what, "Keys": keys,
            "UserName": "IFSAPP",
        }  # fmt: skip
        self.insert(self.model.types["HistoryLog"], head)
        for name, (old, new) in changes.items():
            texts = ("" if value is None else str(value) for value in (old, new))
            attribute = dict(zip(("OldValue", "NewValue"), texts, strict=True))
            self.insert(self.model.types["HistoryLogAttribute"], {"LogId": log_id, "ColumnName": column(name), **attribute})


def rows_between(table: Table, spans: Sequence[Span]) -> Iterator[Row]:
    for low, high in spans:
        yield from table.in_key_order[low:high]
