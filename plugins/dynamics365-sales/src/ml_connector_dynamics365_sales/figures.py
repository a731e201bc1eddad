"""What reading and writing cost in calls and hours, by the batch sizes of the settings and of Dataverse.

``ping`` tells these figures, the README shows them for the settings as they are by default, and tests hold both to the twin.
"""

from math import ceil
from typing import Final

from ml_connector.domain import Kind
from ml_connector.ports.fitness import FIRST_LOAD, Access
from ml_connector_dynamics365_sales.api import AT_ONCE
from ml_connector_dynamics365_sales.batches import OPERATIONS
from ml_connector_dynamics365_sales.looks import CONDITIONS, QUERIES
from ml_connector_dynamics365_sales.mapping import table_of
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.sink import DOCUMENTS
from ml_connector_dynamics365_sales.source import CHANGES, ROWS, WALK

ROW_S: Final = 0.24
"""Assumed of a row: 0.2 s to write it, plug-ins included, and 0.04 s to tell how it stands then."""
ANSWER_S: Final = 120
"""Dataverse gives up after two minutes, so that not all of the 1000 operations that a batch may have can be in one."""
MOST: Final = round(ANSWER_S / ROW_S)
"""Rows of a batch, those of a deep insert among them."""
LINES: Final = 3


def lined(settings: Settings, kind: Kind) -> bool:
    return table_of(kind, settings).children is not None


def changed(settings: Settings, kind: Kind, records: int) -> int:
    """A run that reads so many changes: delta links tell records, or of those with lines the ids, which are then fetched."""
    page = settings.page_size or CHANGES
    pages = max(1, ceil(records / page))
    return pages + (1 + pages * _looks(min(records, page)) if lined(settings, kind) else 0)


def fewest_changed(settings: Settings, kind: Kind, records: int) -> int:
    """The same in Dataverse's widest pages, and in a batch of as many queries as it takes. No delta tells children."""
    return max(1, ceil(records / WALK)) + (1 + ceil(records / CONDITIONS / OPERATIONS) if lined(settings, kind) else 0)


def creates(settings: Settings, kind: Kind, records: int) -> int:
    """New records in batches, not looked up before: the alternate key lets none in twice."""
    if not lined(settings, kind):
        return ceil(records / settings.batch)
    return sum(ceil(part / _orders(settings.batch)) for part in _parts(settings, records))


def updates(settings: Settings, kind: Kind, records: int) -> int:
    """Changes of one field under the ETag, in batches; those with lines are looked at before and read back in the batch."""
    if not lined(settings, kind):
        return ceil(records / settings.batch)
    wide = min(settings.batch, OPERATIONS // 2)
    return sum(_looks(part) + ceil(part / wide) for part in _parts(settings, records))


def fewest_created(settings: Settings, kind: Kind, records: int) -> int:
    """In batches as wide as Dataverse answers in time."""
    return ceil(records / (_orders(MOST) if lined(settings, kind) else MOST))


def fewest_updated(settings: Settings, kind: Kind, records: int) -> int:
    """The same. That nobody has touched a line can only be seen by looking."""
    looks = ceil(records / CONDITIONS / OPERATIONS) if lined(settings, kind) else 0
    return looks + ceil(records / min(MOST, OPERATIONS // 2 if looks else OPERATIONS))


def _looks(records: int) -> int:
    """Calls that find so many records by id."""
    return ceil(records / CONDITIONS / QUERIES)


def _orders(rows: int) -> int:
    """New records with lines that make so many rows."""
    return max(1, rows // (1 + LINES))


def _parts(settings: Settings, records: int) -> list[int]:
    """What the sink is given at once, of records with lines."""
    most = DOCUMENTS * settings.batch
    return [min(most, records - start) for start in range(0, records, most)]


def first_load(settings: Settings, kind: Kind, access: Access) -> tuple[int, float]:
    """Calls and hours. Reading walks the table once for its delta link; writing is bounded by execution time as well."""
    limits = settings.limits
    if access == "read":
        walks = ceil(FIRST_LOAD / WALK) + (ceil(FIRST_LOAD * LINES / WALK) if lined(settings, kind) else 0)
        calls = walks + ceil(FIRST_LOAD / (settings.page_size or ROWS)) + 1 + lined(settings, kind)
        return calls, calls / limits.requests_per_minute / 60
    calls = creates(settings, kind, FIRST_LOAD)
    rows = FIRST_LOAD * (1 + LINES if lined(settings, kind) else 1)
    at_once = min(limits.concurrency, AT_ONCE)
    return calls, max(calls / limits.requests_per_minute / 60, rows * ROW_S / at_once / 3600)


def per_thousand(settings: Settings) -> dict[str, tuple[int, int]]:
    """What the README shows: calls, and the fewest."""
    told: dict[str, tuple[int, int]] = {}
    kinds: tuple[Kind, ...] = ("account", "order")
    for kind in kinds:
        told[f"{kind}, 1,000 changed of 5,000 read"] = (changed(settings, kind, 1000), fewest_changed(settings, kind, 1000))
        told[f"{kind}, 1,000 new written"] = (creates(settings, kind, 1000), fewest_created(settings, kind, 1000))
        told[f"{kind}, 1,000 changed written"] = (updates(settings, kind, 1000), fewest_updated(settings, kind, 1000))
    return told
