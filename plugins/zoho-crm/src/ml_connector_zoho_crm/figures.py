"""What reading and writing cost in calls, credits and hours, by the batch sizes of Zoho and of the settings.

``ping`` tells these figures, the README shows them for the settings as they are by default, and tests hold both to the twin.
"""

from math import ceil
from typing import Final

from ml_connector.domain import Kind
from ml_connector.ports.fitness import FIRST_LOAD, Access
from ml_connector_zoho_crm import coql
from ml_connector_zoho_crm.api import BATCH
from ml_connector_zoho_crm.settings import Settings

MOST: Final = 2000
"""Rows of a query at most."""
LINED: Final = frozenset[Kind](("order", "quote", "purchase_order", "invoice"))
LINES: Final = 3
"""Assumed of a record with lines."""
CALL_S: Final = 5.0
"""Assumed of a call with a hundred records or two thousand rows: Zoho publishes no pace, but how many calls may run at once."""

Spent = tuple[int, int]
"""Calls, credits."""


def credits_of(rows: int) -> int:
    """Credits of a query by the rows that it asks for (api-limits)."""
    return 1 if rows <= 200 else 2 if rows <= 1000 else 3


def listed(settings: Settings, records: int) -> Spent:
    """Queries that list so many records in the order of their change."""
    calls = max(1, ceil(records / settings.page))
    return calls, calls * credits_of(settings.page)


def lines(settings: Settings, records: int) -> Spent:
    """Queries for the lines of so many records, a hundred at a time."""
    calls = ceil(records / coql.IN_LIST) * ceil(coql.IN_LIST * LINES / settings.line_page)
    return calls, calls * credits_of(settings.line_page)


def changed(settings: Settings, kind: Kind, records: int) -> Spent:
    """A run that reads so many changes: they are listed, with their lines, and deletions are asked for."""
    calls, spent = listed(settings, records)
    with_lines = lines(settings, records) if kind in LINED else (0, 0)
    return calls + with_lines[0] + 1, spent + with_lines[1] + 2


def fewest_changed(kind: Kind, records: int) -> int:
    """Calls of the same with queries of Zoho's most rows."""
    return ceil(records / MOST) + (ceil(records / coql.IN_LIST) if kind in LINED else 0) + 1


def creates(records: int) -> Spent:
    """Upserts by the key. Where the settings give new records defaults and some record has a key, each batch is looked up."""
    return ceil(records / BATCH), ceil(records / 10)


def updates(records: int) -> Spent:
    """A look at who moved for every batch, and the batch under one guard for all of it."""
    looks = ceil(records / coql.IN_LIST)
    return looks + ceil(records / BATCH), looks * credits_of(coql.IN_LIST) + ceil(records / 10)


def first_load(settings: Settings, kind: Kind, access: Access, allowance: int | None) -> tuple[Spent, float]:
    """Calls and credits, and hours: of the calls as many run at once as may, and of the credits a day has so many."""
    if access == "read":
        calls, spent = listed(settings, FIRST_LOAD)
        more = lines(settings, FIRST_LOAD) if kind in LINED else (0, 0)
        told = calls + more[0], spent + more[1]
        seconds = (calls + more[0] / settings.limits.heavy_concurrency) * CALL_S
    else:
        told = creates(FIRST_LOAD)
        seconds = told[0] / settings.limits.heavy_concurrency * CALL_S
    days = told[1] / allowance if allowance and told[1] > allowance else 0
    return told, max(seconds / 3600, days * 24)


def per_thousand(settings: Settings) -> dict[str, tuple[int, int, int]]:
    """What the README shows: calls, the fewest, and the credits of the calls."""
    told: dict[str, tuple[int, int, int]] = {}
    flat: Kind = "account"
    order: Kind = "order"
    for name, kind in (("account", flat), ("order with lines", order)):
        calls, spent = changed(settings, kind, 1000)
        told[f"{name}, 1,000 changed of 5,000 read"] = (calls, fewest_changed(kind, 1000), spent)
    calls, spent = creates(1000)
    told["account, 1,000 new written"] = (calls, calls, spent)
    calls, spent = updates(1000)
    told["account, 1,000 changed written"] = (calls, calls, spent)
    return told
