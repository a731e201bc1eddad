"""One module's records, with the orders and indexes that keep a hundred thousand of them quick to write and to page through."""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from ml_connector_zoho_crm.twin.schema import TEXTS, Field, Module

Row: TypeAlias = dict[str, Any]
"""A record as stored: API names to str, int, Decimal, bool, list or None; dates as ISO text, times as aware UTC, lookups and
people as bare ids, a subform as the list of its row ids."""

Place: TypeAlias = tuple[datetime, str]
"""Where a record stands in the order of changes: (Modified_Time, id). Ids have one length, so they sort as texts."""


class Deleted(msgspec.Struct, frozen=True):
    """One entry of the feed of deleted records."""

    id: str
    display_name: str | None
    type: str  # "recycle" or "permanent"
    deleted_time: datetime
    deleted_by: str | None
    created_by: str | None


class ChangeOrder:
    """Ids by (second of the last change, id): a bucket per second, put in order when it is first read."""

    def __init__(self) -> None:
        self._seconds: list[datetime] = []
        self._buckets: dict[datetime, dict[str, None]] = {}
        self._sorted: dict[datetime, list[str]] = {}

    def add(self, second: datetime, record_id: str) -> None:
        bucket = self._buckets.get(second)
        if bucket is None:
            bucket = self._buckets[second] = {}
            insort(self._seconds, second)
        bucket[record_id] = None
        ready = self._sorted.get(second)
        if ready is not None:
            if ready and ready[-1] < record_id:
                ready.append(record_id)
            else:
                del self._sorted[second]

    def drop(self, second: datetime, record_id: str) -> None:
        bucket = self._buckets[second]
        del bucket[record_id]
        self._sorted.pop(second, None)
        if not bucket:
            del self._buckets[second]
            del self._seconds[bisect_left(self._seconds, second)]

    def between(self, low: Place | None, high: Place | None) -> Iterator[str]:
        """Ids from ``low`` to ``high``, both inclusive, oldest change first."""
        at = bisect_left(self._seconds, low[0]) if low else 0
        while at < len(self._seconds):
            second = self._seconds[at]
            if high and second > high[0]:
                return
            ids = self._sorted.get(second)
            if ids is None:
                ids = self._sorted[second] = sorted(self._buckets[second])
            start = bisect_left(ids, low[1]) if low and second == low[0] else 0
            for record_id in ids[start:] if start else ids:
                if high and second == high[0] and record_id > high[1]:
                    return
                yield record_id
            at += 1

    def backwards(self, high: Place | None) -> Iterator[str]:
        """Ids from ``high`` (inclusive) down, latest change first."""
        for second in reversed(self._seconds):
            if high and second > high[0]:
                continue
            for record_id in sorted(self._buckets[second], reverse=True):
                if not (high and second == high[0] and record_id > high[1]):
                    yield record_id


class Table:
    """The live records of one module, the recycle bin beside them, and the feed of deletions."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.rows: dict[str, Row] = {}
        self.bin: dict[str, Row] = {}
        self.deleted: list[Deleted] = []
        self.changes = ChangeOrder()
        self._ids: list[str] = []  # ascending; ids of deleted records stay until they are many
        self._indexes: dict[str, dict[Any, dict[str, None]]] = {}

    def insert(self, row: Row) -> None:
        record_id = row["id"]
        self.rows[record_id] = row
        if not self._ids or self._ids[-1] < record_id:
            self._ids.append(record_id)
        elif self._ids[bisect_left(self._ids, record_id)] != record_id:
            insort(self._ids, record_id)
        self.changes.add(row["Modified_Time"], record_id)
        for name, index in self._indexes.items():
            value = row.get(name)
            if value is not None:
                index.setdefault(self.key(name, value), {})[record_id] = None

    def change(self, row: Row, values: Mapping[str, Any]) -> None:
        """Overwrite the fields of ``values``, keeping every index in step."""
        record_id = row["id"]
        for name, index in self._indexes.items():
            if name in values and values[name] != row.get(name):
                self._unlist(index, name, row)
                if values[name] is not None:
                    index.setdefault(self.key(name, values[name]), {})[record_id] = None
        moved = values.get("Modified_Time", row["Modified_Time"])
        if moved != row["Modified_Time"]:
            self.changes.drop(row["Modified_Time"], record_id)
            self.changes.add(moved, record_id)
        row.update(values)

    def remove(self, record_id: str) -> Row:
        row = self.rows.pop(record_id)
        self.changes.drop(row["Modified_Time"], record_id)
        for name, index in self._indexes.items():
            self._unlist(index, name, row)
        if len(self._ids) > 2 * len(self.rows) + 100:
            self._ids = [one for one in self._ids if one in self.rows]
        return row

    def _unlist(self, index: dict[Any, dict[str, None]], name: str, row: Row) -> None:
        value = row.get(name)
        if value is None:
            return
        key = self.key(name, value)
        del index[key][row["id"]]
        if not index[key]:
            del index[key]

    def key(self, name: str, value: Any) -> Any:
        """What two values of a field are compared by: texts without regard to case, unless the field says otherwise."""
        field = self.module.fields.get(name)
        if isinstance(value, str) and field is not None and field.data_type in TEXTS and not field.case_sensitive:
            return value.casefold()
        return value

    def find(self, name: str, value: Any) -> Collection[str]:
        """Ids of the records with this value, through an index that the first question builds."""
        if name == "id":
            return (value,) if value in self.rows else ()
        index = self._indexes.get(name)
        if index is None:
            index = self._indexes[name] = {}
            for row in self.rows.values():
                held = row.get(name)
                if held is not None:
                    index.setdefault(self.key(name, held), {})[row["id"]] = None
        return index.get(self.key(name, value), ())

    def reindex(self, name: str) -> None:
        """Forget what was indexed for a field whose nature changed."""
        self._indexes.pop(name, None)

    def by_id(self, low: str | None = None) -> Iterator[Row]:
        """Rows with ``id`` of at least ``low``, ascending."""
        at = bisect_left(self._ids, low) if low else 0
        for position in range(at, len(self._ids)):
            row = self.rows.get(self._ids[position])
            if row is not None:
                yield row

    def by_id_backwards(self, high: str | None = None) -> Iterator[Row]:
        """Rows with ``id`` of at most ``high``, descending."""
        at = bisect_left(self._ids, high + "~") if high else len(self._ids)
        for position in range(at - 1, -1, -1):
            row = self.rows.get(self._ids[position])
            if row is not None:
                yield row

    def quick(self, field: Field | None, name: str) -> bool:
        """Whether equality on this field is worth an index."""
        if name == "id":
            return True
        return field is not None and (field.distinct or field.key or field.data_type in ("lookup", "email"))
