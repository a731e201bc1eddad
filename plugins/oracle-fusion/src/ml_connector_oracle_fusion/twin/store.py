"""The pod's tables: rows by id, times of change, ETags, and a journal that takes a failed batch back."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from ml_connector.twin import TwinClock
from ml_connector_oracle_fusion.twin.answers import Row

START: Final = 300000198233000
ROBOT: Final = "INTEGRATION.USER"
PERSON: Final = "kim.larsen@acme.example"


def written(when: datetime) -> str:
    """As Oracle writes times: UTC with an offset, three digits of a second or none."""
    return when.isoformat(timespec="milliseconds" if when.microsecond // 1000 else "seconds")


class Store:
    """Tables by name. A row is a dict; what begins with "_" is the twin's own."""

    def __init__(self, clock: TwinClock) -> None:
        self.clock = clock
        self.tables: dict[str, dict[int, Row]] = {}
        self._ids = START
        self._numbers = 481000
        self._journal: list[Callable[[], None]] | None = None

    def rows(self, table: str) -> dict[int, Row]:
        return self.tables.setdefault(table, {})

    def next_id(self) -> int:
        self._ids += 7
        return self._ids

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def insert(self, table: str, key: int, row: Row, who: str) -> Row:
        now = written(self.clock.now())
        stored = {"CreatedBy": who, "CreationDate": now, "LastUpdatedBy": who, "LastUpdateDate": now, "_version": 1, **row}
        rows = self.rows(table)
        rows[key] = stored
        self._note(lambda: rows.pop(key, None))
        return stored

    def change(self, table: str, key: int, values: Row, who: str) -> Row:
        """Set the values. One that changes nothing leaves time and ETag as they are."""
        rows = self.rows(table)
        before = rows[key]
        if all(before.get(name) == value for name, value in values.items()):
            return before
        now = written(self.clock.now())
        after = {**before, **values, "LastUpdatedBy": who, "LastUpdateDate": now, "_version": before["_version"] + 1}
        rows[key] = after
        self._note(lambda: rows.__setitem__(key, before))
        return after

    def remove(self, table: str, key: int) -> Row:
        rows = self.rows(table)
        before = rows.pop(key)
        self._note(lambda: rows.__setitem__(key, before))
        return before

    @contextmanager
    def together(self) -> Iterator[None]:
        """All changes of the block, or none of them."""
        journal: list[Callable[[], None]] = []
        self._journal = journal
        try:
            yield
        except BaseException:
            for undo in reversed(journal):
                undo()
            raise
        finally:
            self._journal = None

    def _note(self, undo: Callable[[], object]) -> None:
        if self._journal is not None:
            self._journal.append(lambda: (undo(), None)[1])


def etag_of(table: str, key: int, row: Row) -> str:
    """Opaque, and another whenever the row is."""
    return "ACED0005" + hashlib.sha256(f"{table}/{key}/{row['_version']}".encode()).hexdigest()[:24].upper()
