"""What reading and writing cost in calls and hours, by the page size and the pace of the settings.

``ping`` tells these figures, the README shows them for the settings as they are by default, and tests hold both to the twin.
"""

from math import ceil
from typing import Final

from ml_connector.domain import Kind
from ml_connector.ports.fitness import FIRST_LOAD, Access
from ml_connector_ifs_cloud.places import Documents
from ml_connector_ifs_cloud.settings import IfsCloudSettings

LINES: Final = 3
"""Lines of a document, where nobody knows better."""
NEW_ACCOUNT: Final = 7
"""A new customer with one address and one number: a look for its key, its row, the address and two types, the number, its
version. Each is a call of its own: IFS has no upsert, and no row comes with another."""
NEW_DOCUMENT: Final = 2
"""A new document without its lines: a look for its key and its header. A line is one call more."""


def pages(settings: IfsCloudSettings, records: int) -> int:
    """Calls of a list. A full page may be the last one: only the next call tells."""
    return records // settings.page_size + 1


def lined(settings: IfsCloudSettings, kind: Kind) -> bool:
    place = getattr(settings.entities, kind)
    return isinstance(place, Documents) and place.lines is not None


def own(settings: IfsCloudSettings) -> int:
    """Calls of each customer that is read: IFS expands no collection, so that every child collection is one."""
    return len(settings.children - {"sales"})


def sweep(settings: IfsCloudSettings, kind: Kind, records: int) -> int:
    """Calls that tell the version of every record. The lines of a page of headers take whole pages and part of one."""
    headers = pages(settings, records)
    return headers + (ceil(records / settings.page_size * (LINES + 0.5)) if lined(settings, kind) else 0)


def fetch(settings: IfsCloudSettings, kind: Kind, records: int) -> int:
    """Calls that read so many records by their keys; customers with several addresses take one more for each address."""
    named = ceil(records / settings.key_filter_chunk)
    if kind == "account":
        return named * (1 + ("sales" in settings.children)) + records * own(settings)
    return named * (1 + lined(settings, kind))


def changed(settings: IfsCloudSettings, kind: Kind, records: int, moved: int) -> int:
    """Calls of a run that finds and reads what moved of so many records."""
    return sweep(settings, kind, records) + fetch(settings, kind, moved)


def fewest_changed(settings: IfsCloudSettings, kind: Kind, records: int, moved: int) -> int:
    """The same in full pages."""
    rows = ceil(records / settings.page_size)
    lines = ceil(records * LINES / settings.page_size) if lined(settings, kind) else 0
    return rows + lines + fetch(settings, kind, moved)


def reads(settings: IfsCloudSettings, kind: Kind, records: int) -> int:
    """Calls of a first load: rows as they come, and what hangs on them."""
    if kind != "account":
        return sweep(settings, kind, records)
    sales = ceil(records / settings.key_filter_chunk) if "sales" in settings.children else 0
    return pages(settings, records) + sales + records * own(settings)


def writes(settings: IfsCloudSettings, kind: Kind, records: int) -> int:
    """Calls that make so many new records."""
    if kind == "account":
        return records * NEW_ACCOUNT
    has_lines = lined(settings, kind)
    return records * (NEW_DOCUMENT + (LINES if has_lines else 0) + 1 + has_lines)  # and read back, for the version


def updates(kind: Kind, records: int, *, lines: bool) -> int:
    """Calls that change a field of so many records: customers by their ETag alone, documents are looked at and read back."""
    return records if kind == "account" else records * (3 + 2 * lines)


def hours(settings: IfsCloudSettings, calls: int) -> float:
    return calls / settings.limits.requests_per_minute / 60


def first_load(settings: IfsCloudSettings, kind: Kind, access: Access) -> tuple[int, float]:
    """Calls and hours."""
    calls = (reads if access == "read" else writes)(settings, kind, FIRST_LOAD)
    return calls, hours(settings, calls)


def per_thousand(settings: IfsCloudSettings) -> dict[str, tuple[int, int]]:
    """What the README shows: calls, and the fewest."""
    told: dict[str, tuple[int, int]] = {}
    kinds: tuple[Kind, ...] = ("account", "order")
    for kind in kinds:
        told[f"{kind}, 1,000 changed of 5,000 read"] = (
            changed(settings, kind, 5000, 1000),
            fewest_changed(settings, kind, 5000, 1000),
        )
        told[f"{kind}, 1,000 new written"] = (writes(settings, kind, 1000), writes(settings, kind, 1000))
        update = updates(kind, 1000, lines=lined(settings, kind))
        told[f"{kind}, 1,000 changed written"] = (update, update)
    return told
