"""What reading costs in calls and hours, from the page size and the limits that the connection keeps to."""

from math import ceil
from typing import Final

from ml_connector.domain import Kind
from ml_connector_qad.kinds import Document, Entity
from ml_connector_qad.settings import QadSettings

_MINUTES: Final = 60


def each(place: Entity) -> int:
    """Calls per record that is read whole: its keyed read, and its lines or receipts."""
    keyed = 0 if place.detail == "browse" else 1
    return keyed + (1 if isinstance(place, Document) else 0)


def sweep(records: int, settings: QadSettings) -> int:
    """Calls of one list: its pages, and its count to hold them against."""
    guard = 0 if settings.browse.zero_rows_guard == "off" else 1
    return max(1, ceil(records / settings.browse.page_size)) + guard


def reading(records: int, changed: int, place: Entity, settings: QadSettings) -> int:
    """Calls of a run that finds ``changed`` of ``records``; unchanged documents that are looked into come on top."""
    return sweep(records, settings) + changed * each(place)


def fewest(records: int, changed: int, place: Entity, settings: QadSettings) -> int:
    """What QAD's batch sizes allow at the least: full pages, and one keyed read per record, which has no batch."""
    return max(1, ceil(records / settings.browse.page_size)) + changed * each(place)


def per_thousand(settings: QadSettings) -> dict[str, tuple[int, int]]:
    """Calls, and the fewest, of reading what changed. What writing takes is said in the README."""
    kinds: tuple[Kind, ...] = ("account", "order")
    return {
        f"{kind}, 1,000 changed of 5,000 read": (
            reading(5000, 1000, settings.place(kind), settings),
            fewest(5000, 1000, settings.place(kind), settings),
        )
        for kind in kinds
    }


def hours(calls: int, settings: QadSettings) -> float:
    """How long so many calls take under the limits."""
    pace = settings.limits.requests_per_minute
    if settings.limits.spacing_ms:
        pace = min(pace, 60_000 // settings.limits.spacing_ms)
    return calls / pace / _MINUTES
