"""What the company is made of: fields, rows and their index, and the changes that webhooks hear of."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from ml_connector_pipedrive.twin.wire import Row

Action: TypeAlias = Literal["create", "change", "delete"]


class Field(msgspec.Struct):
    code: str
    name: str
    type: str
    options: list[Row] | None = None
    custom: bool = True


class Change(msgspec.Struct, frozen=True):
    """What the webhooks hear of."""

    entity: str
    action: Action
    before: Row | None
    after: Row | None
    user: int
    source: Literal["app", "api"]


class Table:
    """Rows of one entity, living and deleted, and what the search index has been told of them."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self._told: dict[int, list[tuple[datetime, Row]]] = {}
        self._next = 1

    def next_id(self) -> int:
        self._next += 1
        return self._next - 1

    def keep(self, row: Row, now: datetime) -> None:
        self.rows[row["id"]] = row
        self._told.setdefault(row["id"], []).append((now, row))

    def living(self) -> Iterator[Row]:
        return (row for row in self.rows.values() if not row["is_deleted"])

    def indexed(self, until: datetime) -> Iterator[Row]:
        """The rows as the search index knew them then; it may not have heard of the latest changes, deletions among them."""
        for told in self._told.values():
            while len(told) > 1 and told[1][0] <= until:
                del told[0]
            if told[0][0] <= until and not told[0][1]["is_deleted"]:
                yield told[0][1]
