"""What reading and writing cost in calls and hours, by the batch sizes of the settings and of Dataverse.

``ping`` tells these figures, the README shows them for the settings as they are by default, and tests hold both to the twin.
"""

from math import ceil
from typing import Final

from ml_connector.domain import Kind
from ml_connector.ports.fitness import FIRST_LOAD, Access
from ml_connector_dynamics365_sales.mapping import table_of
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.sink import DOCUMENTS
from ml_connector_dynamics365_sales.source import CHANGES, IDS, ROWS, WALK

SLOWEST_S: Final = 0.2
"""Assumed of a write that runs plug-ins; execution time is what a first load uses up."""
EXECUTION_SHARE: Final = 4
"""1200 seconds of execution in any 300: so many operations may be under way on average."""
ANSWER_S: Final = 120
"""Dataverse gives up after two minutes, so that not all of the 1000 operations that a batch may have can be in one."""
MOST: Final = min(1000, round(ANSWER_S / SLOWEST_S))
LONGEST: Final = 500
"""Ids of one query in the 32 KB that a URL may have."""
LINES: Final = 3


def lined(settings: Settings, kind: Kind) -> bool:
    return table_of(kind, settings).children is not None


def changed(settings: Settings, kind: Kind, records: int) -> int:
    """A run that reads so many changes: delta links tell records, or of those with lines the ids, which are then fetched."""
    told = max(1, ceil(records / (settings.page_size or CHANGES)))
    return told + (1 + ceil(records / IDS) if lined(settings, kind) else 0)


def fewest_changed(settings: Settings, kind: Kind, records: int) -> int:
    """The same in Dataverse's widest pages and longest URLs. No delta tells children."""
    return max(1, ceil(records / WALK)) + (1 + ceil(records / LONGEST) if lined(settings, kind) else 0)


def creates(settings: Settings, kind: Kind, records: int) -> int:
    """New records: in batches; those with lines are looked up a few at once and go one by one."""
    if lined(settings, kind):
        return records + ceil(records / DOCUMENTS)
    return ceil(records / settings.batch)


def updates(settings: Settings, kind: Kind, records: int) -> int:
    """Changes under the ETag: in batches; those with lines are looked at a few at once, written and read back one by one."""
    if lined(settings, kind):
        return 2 * records + ceil(records / DOCUMENTS)
    return ceil(records / settings.batch)


def fewest_written(records: int) -> int:
    """In batches as wide as Dataverse answers in time."""
    return ceil(records / MOST)


def first_load(settings: Settings, kind: Kind, access: Access) -> tuple[int, float]:
    """Calls and hours. Reading walks the table once for its delta link; writing is bounded by execution time as well."""
    limits = settings.limits
    if access == "read":
        walks = ceil(FIRST_LOAD / WALK) + (ceil(FIRST_LOAD * LINES / WALK) if lined(settings, kind) else 0)
        calls = walks + ceil(FIRST_LOAD / (settings.page_size or ROWS)) + 1 + lined(settings, kind)
        return calls, calls / limits.requests_per_minute / 60
    calls = creates(settings, kind, FIRST_LOAD)
    at_once = min(limits.concurrency, EXECUTION_SHARE)
    if lined(settings, kind):
        at_once = min(at_once, max(1, limits.concurrency // 4) * DOCUMENTS)
    return calls, max(calls / limits.requests_per_minute / 60, FIRST_LOAD * SLOWEST_S / at_once / 3600)


def per_thousand(settings: Settings) -> dict[str, tuple[int, int]]:
    """What the README shows: calls, and the fewest."""
    told: dict[str, tuple[int, int]] = {}
    kinds: tuple[Kind, ...] = ("account", "order")
    for kind in kinds:
        told[f"{kind}, 1,000 changed of 5,000 read"] = (
            changed(settings, kind, 1000),
            fewest_changed(settings, kind, 1000),
        )
        told[f"{kind}, 1,000 new written"] = (creates(settings, kind, 1000), fewest_written(1000))
        told[f"{kind}, 1,000 changed written"] = (updates(settings, kind, 1000), fewest_written(1000))
    return told
