"""What reading and writing cost in calls, tokens and hours, by the batch sizes of Pipedrive and of the settings.

``ping`` tells these figures, the README shows them for the settings as they are by default, and tests hold both to the twin.
"""

from math import ceil
from typing import Final

from ml_connector.domain import Kind
from ml_connector.ports.fitness import FIRST_LOAD, Access
from ml_connector_pipedrive.api import IDS
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.sink import BATCH

LIST: Final = 10
GET: Final = 1
WRITE: Final = 5
"""Tokens of a call (rate limiting)."""
PAGE: Final = 500
"""Records of a list at most."""

Spent = tuple[int, int]
"""Calls, tokens."""


def listed(records: int, size: int) -> Spent:
    calls = max(1, ceil(records / size))
    return calls, calls * LIST


def _lines(settings: Settings, kind: Kind, records: int) -> Spent:
    """The attached products of so many deals, where a hundred deals have no more than a page of them."""
    return listed(records, IDS) if kind == "deal" and settings.lines else (0, 0)


def changed(settings: Settings, kind: Kind, records: int) -> Spent:
    """A run that reads so many changes; of deals, once in ``slow_every``, those that lists hide: archived and deleted ones."""
    calls, spent = listed(records, settings.page_size)
    lines = _lines(settings, kind, records)
    hidden = (2, 3 * LIST) if kind == "deal" else (0, 0)
    return calls + lines[0] + hidden[0], spent + lines[1] + hidden[1]


def creates(settings: Settings, records: int, present: int) -> Spent:
    """New records, one a call. The keys of those that are there are listed once; each batch lists what changed since."""
    looks = ceil(records / BATCH) + max(1, ceil(present / PAGE)) if records > settings.search_up_to else records
    return records + looks, records * WRITE + looks * LIST


def fewest_creates(records: int, present: int) -> int:
    """The same with a single look at what is there: there is no upsert and no batch."""
    return records + ceil(present / PAGE)


def updates(records: int) -> Spent:
    """A look and a write for each: there is no ETag."""
    return 2 * records, records * (GET + WRITE)


def hours(settings: Settings, spent: Spent) -> float:
    """By the burst, or where a day's tokens do not do, by the days."""
    calls, tokens = spent
    pace = calls / (settings.burst / 2) / 3600
    return pace if tokens <= settings.tokens_per_day else max(pace, tokens / settings.tokens_per_day * 24)


def first_load(settings: Settings, kind: Kind, access: Access) -> tuple[Spent, float]:
    """Calls and tokens, and hours."""
    if access == "read":
        calls, tokens = listed(FIRST_LOAD, settings.page_size)
        lines = _lines(settings, kind, FIRST_LOAD)
        archived = (1, 2 * LIST) if kind == "deal" else (0, 0)
        spent = calls + lines[0] + archived[0], tokens + lines[1] + archived[1]
    else:
        spent = creates(settings, FIRST_LOAD, 0)
    return spent, hours(settings, spent)


def per_thousand(settings: Settings) -> dict[str, tuple[int, int, int]]:
    """What the README shows: calls, the fewest, and the tokens of the calls."""
    told: dict[str, tuple[int, int, int]] = {}
    kinds: tuple[Kind, ...] = ("account", "deal")
    for kind in kinds:
        calls, tokens = changed(settings, kind, 1000)
        told[f"{kind}, 1,000 changed of 5,000 read"] = (calls, calls, tokens)
    calls, tokens = creates(settings, 1000, 5000)
    told["account, 1,000 new written"] = (calls, fewest_creates(1000, 5000), tokens)
    calls, tokens = updates(1000)
    told["account, 1,000 changed written"] = (calls, calls, tokens)
    return told
