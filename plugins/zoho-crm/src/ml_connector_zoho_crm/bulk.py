"""Bulk Read: a job at Zoho writes a whole module into a ZIP of CSV; here it becomes records again.

Traps of the CSV (bulk-read, and seen in production): the header may say ``Id``, lookups are bare ids, booleans are words, empty
means null, external fields cannot be selected, nothing is sorted. Jobs queue, run ("IN PROGRESS", with a space) and may fail.
"""

import csv
import io
import zipfile
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from ml_connector.errors import ContractBroken, Unavailable
from ml_connector.ports.clock import Clock
from ml_connector_zoho_crm.api import Api
from ml_connector_zoho_crm.wire import BulkResult, Field, Vendor

FIELDS: Final = 200
"""Most fields of one job."""
_WAITS: Final = (1, 2, 4, 8, 15, 30, 60)
_NUMBERS: Final = ("double", "currency", "percent")
_LOOKUPS: Final = ("lookup", "ownerlookup", "userlookup")


async def read_all(
    api: Api,
    clock: Clock,
    module: str,
    fields: Mapping[str, Field],
    select: tuple[str, ...],
    before: datetime,
    patience_s: float,
) -> AsyncIterator[Vendor]:
    """Every record modified before that moment, in no order. Raises Unavailable when a job fails or takes too long.

    One result file (at most 200 000 records, packed) is held at a time; its rows are unpacked one by one.
    """
    query: dict[str, Any] = {
        "module": {"api_name": module},
        "fields": list(select),
        "criteria": {
            "group_operator": "and",
            "group": [
                {
                    "field": {"api_name": "Modified_Time"},
                    "comparator": "less_than",
                    "value": before.astimezone(UTC).isoformat(timespec="seconds"),
                }
            ],
        },
        "page": 1,
    }
    while True:
        job = await api.start_bulk_read(query)
        result = await _finished(api, clock, job, patience_s)
        if result.count:
            packed = await api.bulk_result(result.download_url)
            for row in rows(packed, fields):
                yield row
        if not result.more_records:
            return
        query = {"page_token": result.next_page_token} if result.next_page_token else {**query, "page": query["page"] + 1}


async def _finished(api: Api, clock: Clock, job: str, patience_s: float) -> BulkResult:
    """Poll with growing delay; the clock is the host's."""
    started = clock.monotonic()
    for turn in range(100_000):
        state = await api.bulk_state(job)
        if state.state == "COMPLETED" and state.result is not None:
            return state.result
        if state.state in ("FAILURE", "FAILED"):
            raise Unavailable(f"Zoho's bulk read {job} failed", fix="It is started anew by the next run", code="FAILURE")
        if clock.monotonic() - started > patience_s:
            break
        await clock.sleep(_WAITS[min(turn, len(_WAITS) - 1)])
    raise Unavailable(f"Zoho's bulk read {job} took more than {patience_s:.0f} s", fix="Raise bulk_patience_s")


def rows(packed: bytes, fields: Mapping[str, Field]) -> Iterator[Vendor]:
    """Rows of the first CSV in a ZIP, as JSON would have told them. Raises ContractBroken for what is no such ZIP."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(packed))
        name = next(name for name in archive.namelist() if name.endswith(".csv"))
    except (zipfile.BadZipFile, StopIteration) as error:
        raise ContractBroken("Zoho's bulk read result is no ZIP with a CSV in it") from error
    with archive, archive.open(name) as raw:
        lines = csv.reader(io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""))
        header = ["id" if column.lower() == "id" else column for column in next(lines, [])]
        for cells in lines:
            if len(cells) != len(header):
                raise ContractBroken(f"A row of Zoho's bulk read has {len(cells)} cells under {len(header)} headings")
            yield {column: _value(cell, fields.get(column)) for column, cell in zip(header, cells, strict=True)}


def _value(cell: str, field: Field | None) -> Any:
    if cell == "":
        return None
    kind = field.data_type if field else "text"
    if kind in _NUMBERS:
        return Decimal(cell)
    if kind in ("integer", "bigint"):
        return int(cell)
    if kind == "boolean":
        return cell.lower() == "true"
    if kind in _LOOKUPS:
        return {"id": cell}
    if kind == "multiselectpicklist":
        return cell.split(";")
    return cell
