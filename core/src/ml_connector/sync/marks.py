"""What a comparison notes of each record that it met: one word an id, on a temporary file, so that memory stays flat."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum

from ml_connector.domain import RemoteId, Side

PAGE = 500
"""Most ids that are handed out together."""


class Mark(IntEnum):
    THERE = 0  # the side showed it, and nothing is expected of the other
    EXPECTED = 1  # the left one is as last agreed, the right one has not come yet
    MET = 2  # and then it came
    DIFFERS = 3  # told
    MISSING = 4
    EXTRA = 5


class Marks:
    """The file has no name, and is gone when it is closed or when the program dies."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("CREATE TABLE marks (side TEXT, id TEXT, mark INTEGER, PRIMARY KEY (side, id)) WITHOUT ROWID")

    def close(self) -> None:
        self._db.close()

    def put(self, side: Side, marks: Mapping[RemoteId, Mark]) -> int:
        """Replace what stands; returns how many ids are new."""
        new = len(marks) - len(self.of(side, marks))
        upsert = "INSERT INTO marks VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET mark = excluded.mark"
        with self._db:
            self._db.executemany(upsert, [(side, one, mark) for one, mark in marks.items()])
        return new

    def of(self, side: Side, ids: Iterable[RemoteId]) -> dict[RemoteId, Mark]:
        """Of those that were met."""
        among = "SELECT id, mark FROM marks WHERE side = ? AND id IN (SELECT value FROM json_each(?))"
        return {one: Mark(mark) for one, mark in self._db.execute(among, (side, json.dumps(list(ids))))}

    def forget(self, side: Side, ids: Iterable[RemoteId]) -> None:
        with self._db:
            self._db.executemany("DELETE FROM marks WHERE side = ? AND id = ?", [(side, one) for one in ids])

    def pages(self, side: Side, *marks: Mark) -> Iterator[list[RemoteId]]:
        """Ids with one of the marks, in their order; marks may be changed meanwhile."""
        page = "SELECT id FROM marks WHERE side = ? AND id > ? AND mark IN (SELECT value FROM json_each(?)) ORDER BY id LIMIT ?"
        behind = ""
        while ids := [one for (one,) in self._db.execute(page, (side, behind, json.dumps(marks), PAGE))]:
            yield ids
            behind = ids[-1]
