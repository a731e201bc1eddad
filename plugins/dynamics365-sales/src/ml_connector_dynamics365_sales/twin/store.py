"""The environment's own truth: rows with one row version counter for all, alternate keys, deletions, and who did what."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid5

import msgspec

from ml_connector.twin import TwinClock
from ml_connector_dynamics365_sales.twin.schema import Key, Table, tables
from ml_connector_dynamics365_sales.twin.wire import DUPLICATE, DUPLICATE_KEY, NOT_FOUND, Refused

_SPACE = UUID("0d365000-0000-4000-8000-000000000365")


class Row(msgspec.Struct):
    """One record. Values by logical name; times and dates as text, numbers as Decimal or int, lookups as ids."""

    id: str
    values: dict[str, Any]
    version: int = 0
    targets: dict[str, str] = {}  # lookup → table, where a lookup has several

    @property
    def etag(self) -> str:
        return f'W/"{self.version}"'


class Deleted(msgspec.Struct):
    id: str
    version: int


class Change(msgspec.Struct, frozen=True):
    """What listeners hear of every committed change."""

    message: str  # Create, Update, Delete
    table: str
    row: Row
    columns: frozenset[str]
    user: str
    parent: str = ""  # the message within which it happened


Listener: TypeAlias = Callable[[Change], None]


class Environment:
    """All tables of one environment."""

    def __init__(self, clock: TwinClock) -> None:
        self.clock = clock
        self.defs: dict[str, Table] = tables()
        self.by_set = {table.entity_set: table for table in self.defs.values()}
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in self.defs}
        self.deleted: dict[str, list[Deleted]] = {name: [] for name in self.defs}
        self.listeners: list[Listener] = []
        self.version, self._ids = 1_000_000, 0
        self.parent = ""  # the message that is being worked on
        self._undo: list[Callable[[], object]] | None = None  # within a transaction: how to take it back, newest last
        self._changes: list[Change] = []
        self._indexes: dict[tuple[str, ...], dict[tuple[Any, ...], list[str]]] = {}  # (table, columns…) → values → ids
        self.organization_id, self.business_unit = self.new_id(), self.new_id()
        self.robot = self.put("systemuser", fullname="# ml-connector", applicationid=self.new_id(), isintegrationuser=False)
        self.person = self.put("systemuser", fullname="Sam Okafor")

    def new_id(self) -> str:
        self._ids += 1
        return str(uuid5(_SPACE, str(self._ids)))

    def now(self) -> datetime:
        return self.clock.now().replace(microsecond=0)

    def stamp(self) -> str:
        return self.now().strftime("%Y-%m-%dT%H:%M:%SZ")

    # -- transactions

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the writes in the block or none; listeners hear of them once they stand. Nested ones join the outer."""
        if self._undo is not None:
            yield
            return
        self._undo, self._changes = [], []
        try:
            yield
        except BaseException:
            for take_back in reversed(self._undo):
                take_back()
            self._changes = []
            self._indexes.clear()
            raise
        finally:
            self._undo, changes = None, self._changes
            for change in changes:
                for listener in self.listeners:
                    listener(change)

    def keep(self, row: Row) -> None:
        """The row is about to be changed in place: remember how it stands."""
        if self._undo is not None:
            values, targets, version = dict(row.values), dict(row.targets), row.version

            def restore() -> None:
                row.values, row.targets, row.version = values, targets, version

            self._undo.append(restore)

    # -- rows

    def row(self, table: str, row_id: str) -> Row:
        """Raises Refused when it is not there."""
        row = self.rows[table].get(row_id.lower())
        if row is None:
            raise Refused(404, NOT_FOUND, f"{table} With Id = {row_id} Does Not Exist")
        return row

    def where(self, table: str, **values: Any) -> list[Row]:
        """Rows with these values, oldest first; text compares without regard to case, as SQL Server does it."""
        columns, wanted = tuple(values), tuple(map(_collated, values.values()))
        index = self._indexes.get((table, *columns))
        if index is None:
            index = self._indexes[(table, *columns)] = {}
            for row in self.rows[table].values():
                index.setdefault(_named(row, columns), []).append(row.id)
        found = dict.fromkeys(index.get(wanted, ()))
        rows = (self.rows[table].get(row_id) for row_id in found)
        return [row for row in rows if row is not None and _named(row, columns) == wanted]

    def put(self, table: str, user: str = "", row_id: str = "", **values: Any) -> str:
        """Insert without any business rule, as set-up and tests do; returns the id."""
        return self.insert(table, values, user or getattr(self, "person", ""), row_id=row_id).id

    def insert(
        self, table: str, values: Mapping[str, Any], user: str, *, row_id: str = "", targets: Mapping[str, str] = {}
    ) -> Row:
        definition, now = self.defs[table], self.stamp()
        row_id = (row_id or self.new_id()).lower()
        if row_id in self.rows[table]:
            raise Refused(412, DUPLICATE, "A record with matching key values already exists.")
        told: dict[str, Any] = {"createdon": now, "modifiedon": now, "createdby": user, "modifiedby": user}
        if (initial := definition.initial()) is not None:
            told["statecode"], told["statuscode"] = initial
        row = Row(row_id, {**told, **values, definition.id: row_id}, targets=dict(targets))
        self._unique(definition, row)
        self.rows[table][row_id] = row
        if self._undo is not None:
            self._undo.append(lambda: self.rows[table].pop(row_id))
        self._index(table, row)
        self._touch(row)
        self._tell("Create", table, row, frozenset(values), user)
        return row

    def update(self, table: str, row: Row, values: Mapping[str, Any], user: str, *, targets: Mapping[str, str] = {}) -> None:
        probe = Row(row.id, {**row.values, **values})
        self._unique(self.defs[table], probe)
        self.keep(row)
        row.values |= values
        row.targets |= targets
        row.values["modifiedon"], row.values["modifiedby"] = self.stamp(), user
        self._index(table, row)
        self._touch(row)
        self._tell("Update", table, row, frozenset(values), user)

    def delete(self, table: str, row: Row, user: str) -> None:
        for child in self.defs[table].children.values():
            if child.table.endswith(("detail", "product", "productpricelevel")):
                for line in self.where(child.table, **{child.lookup: row.id}):
                    self.delete(child.table, line, user)
        del self.rows[table][row.id]
        self.version += 1
        dead = Deleted(row.id, self.version)
        self.deleted[table].append(dead)
        if self._undo is not None:
            self._undo.append(lambda: self.rows[table].__setitem__(row.id, row))
            self._undo.append(lambda: self.deleted[table].remove(dead))
        self._tell("Delete", table, row, frozenset(), user)

    def by_key(self, table: str, values: Mapping[str, Any]) -> Row | None:
        return next(iter(self.where(table, **values)), None)

    def key_of(self, table: str, columns: frozenset[str]) -> Key | None:
        return next((k for k in self.defs[table].keys if frozenset(k.columns) == columns and k.status == "Active"), None)

    def _index(self, table: str, row: Row) -> None:
        """Entries are only added: what is stale is seen when it is looked at."""
        for (name, *columns), index in self._indexes.items():
            if name == table:
                index.setdefault(_named(row, columns), []).append(row.id)

    def _touch(self, row: Row) -> None:
        self.version += 1
        row.version = self.version

    def _unique(self, table: Table, row: Row) -> None:
        codes = [(key.columns, DUPLICATE_KEY) for key in table.keys if key.status == "Active"]
        if table.name == "product":
            codes.append((("productnumber",), DUPLICATE))
        if table.name == "productpricelevel":
            codes.append((("pricelevelid", "productid", "uomid"), DUPLICATE))
        for columns, code in codes:
            values = {name: row.values.get(name) for name in columns}
            if None in values.values():
                continue
            other = self.by_key(table.name, values)
            if other is not None and other.id != row.id:
                raise Refused(412, code, "A record with matching key values already exists.")

    def _tell(self, message: str, table: str, row: Row, columns: frozenset[str], user: str) -> None:
        change = Change(message, table, row, columns, user, self.parent)
        if self._undo is not None:
            self._changes.append(change)
            return
        for listener in self.listeners:
            listener(change)


def _named(row: Row, columns: Iterable[str]) -> tuple[Any, ...]:
    return tuple(_collated(row.values.get(name)) for name in columns)


def _collated(value: Any) -> Any:
    return value.casefold().rstrip(" ") if isinstance(value, str) else value
