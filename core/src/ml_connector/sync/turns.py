"""The breaker of two-way flows: a field that is written to and fro again and again is stopped until a person looks at it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ml_connector.domain import Side

MOST: Final = 3
"""How often a field may turn."""
WINDOW: Final = timedelta(days=1)
"""Two writes further apart than this are two people's edits, not a loop."""


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """The last write of one field: to which side, when, and how often the direction has turned."""

    side: Side
    at: datetime
    count: int = 0


_in: Final = msgspec.json.Decoder(dict[str, Turn])


def turns_of(kept: bytes | None) -> Mapping[str, Turn]:
    return _in.decode(kept) if kept else {}


def stopped(kept: bytes | None) -> frozenset[str]:
    """Fields that turned more than MOST times."""
    return frozenset(path for path, turn in turns_of(kept).items() if turn.count > MOST)


def turned(kept: bytes | None, paths: Iterable[str], side: Side, now: datetime) -> bytes:
    """What is to be kept after these fields were written to ``side``."""
    before = {path: turn for path, turn in turns_of(kept).items() if now - turn.at <= WINDOW or turn.count > MOST}
    for path in paths:
        last = before.get(path)
        turns = last is not None and last.side != side
        count = 0 if last is None else last.count + turns
        before[path] = Turn(side, now, count)
    return msgspec.json.encode(before)
