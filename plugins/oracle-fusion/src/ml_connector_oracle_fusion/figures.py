"""How many calls things take, and how long that is at the pace that the settings allow: what ``ping`` tells and the README
shows."""

from math import ceil
from typing import Final

from ml_connector.domain import Kind
from ml_connector_oracle_fusion.settings import Settings

ROWS: Final = 499
PARTS: Final = 25
"""Rows of a page and records of a batch at most."""
STEPS: Final = 5
"""SOAP calls for one new customer: look for the account, make it, look for the profile, make it, make the bill-to site."""
TOGETHER: Final = 3
"""Calls that many new customers share: who is ready, where they live, who is ready now."""


def reads(settings: Settings, records: int) -> int:
    """Calls that read so many records of one kind."""
    return max(1, ceil(records / settings.page_size))


def lookups(settings: Settings, records: int) -> int:
    """Calls that look so many records up by their keys, before a first load onto a filled pod."""
    return ceil(records / settings.keys_per_query)


def writes(settings: Settings, records: int, kind: Kind = "account") -> int:
    """Calls that write so many records, and make accounts ready for invoices where the settings say so."""
    batches = ceil(records / settings.batch_parts)
    if settings.provision == "party_only" or kind != "account":
        return batches
    return batches * (1 + TOGETHER) + records * STEPS


def balances(settings: Settings, customers: int, moved: int) -> int:
    """Calls that find which of so many customers' balances moved, and read those."""
    credit = moved if settings.finance.credit else 0
    return reads(settings, customers) + 2 * lookups(settings, moved) + credit


def per_thousand(settings: Settings) -> dict[str, tuple[int, int]]:
    """Calls, and the fewest in full pages and batches."""
    parts = ceil(1000 / PARTS)
    return {
        "account, 1,000 changed of 5,000 read": (reads(settings, 1000), ceil(1000 / ROWS)),
        "account, 1,000 new written": (writes(settings, 1000), parts),
        "account, 1,000 changed written": (ceil(1000 / settings.batch_parts), parts),
    }


def hours(settings: Settings, calls: int) -> float:
    """How long so many calls take at the pace allowed."""
    return calls / settings.limits.requests_per_minute / 60
