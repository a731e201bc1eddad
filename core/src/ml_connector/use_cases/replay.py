"""Send records again, without duplicates: marked due, they are read anew on both sides and what differs is written."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from ml_connector.domain import Kind
from ml_connector.flows import Flow
from ml_connector.ports.state import State


async def replay(
    flows: Iterable[Flow],
    state: State,
    *,
    kind: Kind | None = None,
    numbers: Sequence[str] = (),
    run: str | None = None,
    since: datetime | None = None,
) -> dict[str, int]:
    """Flow → how many of its records were marked: those under ``numbers``, or told of by the audit since then or in a run."""
    marked: dict[str, int] = {}
    for flow in flows:
        ids: set[str] = set()
        if kind in (flow.entity, flow.target):
            for number in numbers:
                ids |= {link.id for link in await state.links.by_number(number, flow.name)}
        if run is not None or since is not None:
            async for record in state.ledger.entries(since=since, run=run):
                if record.entry.flow == flow.name:
                    ids.add(record.entry.link)
        if ids:
            # Two-way, what was agreed tells whose edit is whose: to forget it would be to take one side's for both.
            marked[flow.name] = await state.links.mark_due(sorted(ids), again=not flow.two_way)
    return marked
