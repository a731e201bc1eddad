"""Tell one record's story: where it stands in each flow, and every change with who, when, under which rule, in which trace."""

import msgspec

from ml_connector.domain import Kind
from ml_connector.flows import Flow
from ml_connector.ports.state import AuditRecord, Link, State
from ml_connector.sync.decide import drift_of


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """One flow's share of the story."""

    flow: Flow
    link: Link
    drift: tuple[str, ...]  # fields edited on the written side since the sides last agreed
    entries: tuple[AuditRecord, ...]  # oldest first


async def explain(kind: Kind, number: str, flows: tuple[Flow, ...], state: State, *, field: str | None = None) -> list[Chapter]:
    """Chapters of the flows that carry records of ``kind`` (on either side) under this business number; [] if there is none."""
    chapters: list[Chapter] = []
    for flow in flows:
        if kind not in (flow.entity, flow.target):
            continue
        for link in await state.links.by_number(number, flow.name):
            entries = [record async for record in state.ledger.entries(link=link.id)]
            if field is not None:
                entries = [record for record in entries if any(_about(change.field, field) for change in record.entry.changes)]
            chapters.append(Chapter(flow=flow, link=link, drift=tuple(drift_of(link)), entries=tuple(entries)))
    return chapters


def _about(changed: str, field: str) -> bool:
    return changed == field or field.startswith(f"{changed}.") or changed.startswith(f"{field}.")
