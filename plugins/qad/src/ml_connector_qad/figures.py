"""What reading and writing cost in calls and hours, from the page size and the limits that the connection keeps to."""

from math import ceil
from typing import Final

from ml_connector.domain import Kind
from ml_connector_qad.kinds import Account, Document, Entity
from ml_connector_qad.settings import QadSettings

_MINUTES: Final = 60
LINES: Final = 3
"""Lines that an order is taken to have."""
LINE_STEPS: Final = 6
"""A new line's: it is begun, takes four fields one after the other, and is saved."""


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


def creating(place: Entity) -> int:
    """Calls per new record. Every step looks first, nothing goes in batches, and what came of it is read.

    A customer: looks for it and its business relation, makes both, and where the operating domain wants values of its own
    looks at those and sets them. An order: looks for it, is begun and saved, has its lines entered.
    """
    if isinstance(place, Account):
        return 7 if place.follow_up.values else 5
    return 7 + LINE_STEPS * LINES


def changing(place: Entity) -> int:
    """Calls per record of which one field changes: it is read whole, with its lines, posted, and read as it stands then."""
    return 2 * each(place) + 1


def per_thousand(settings: QadSettings) -> dict[str, tuple[int, int]]:
    """Calls, and the fewest. No record is written together with another, so that nothing can be saved there."""
    told: dict[str, tuple[int, int]] = {}
    kinds: tuple[Kind, ...] = ("account", "order")
    for kind in kinds:
        place = settings.place(kind)
        new, changed = 1000 * creating(place), 1000 * changing(place)
        told |= {
            f"{kind}, 1,000 changed of 5,000 read": (reading(5000, 1000, place, settings), fewest(5000, 1000, place, settings)),
            f"{kind}, 1,000 new written": (new, new),
            f"{kind}, 1,000 changed written": (changed, changed),
        }
    return told


def hours(calls: int, settings: QadSettings) -> float:
    """How long so many calls take under the limits."""
    pace = settings.limits.requests_per_minute
    if settings.limits.spacing_ms:
        pace = min(pace, 60_000 // settings.limits.spacing_ms)
    return calls / pace / _MINUTES
