"""What a complete sweep did not show: missed once is a warning, missed twice is gone, and a mass disappearance is a fault."""

import msgspec

from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector.ports.state import AuditEntry, Lease, Link, Run, Settlement, State
from ml_connector.sync.way import Way

STRIKES = 2
BRAKE_SHARE = 0.25
"""More than this share of a flow's records missing from one sweep is taken for a fault at the source …"""
BRAKE_LEAST = 10
"""… unless it is fewer records than this."""


async def mark_absent(way: Way, run: Run, lease: Lease, state: State, clock: Clock, *, allowed: int = 0) -> None:
    """Give every unseen link a strike; after the second it is gone. Raises ContractBroken when too many are missing at once.

    Up to ``allowed`` missing records are gone at once: a person, who says so, is the second witness.
    """
    flow, missing = way.flow, 0
    async for links in state.links.unsighted(flow.name, way.near):
        missing += len(links)
    if not missing:
        return
    total = sum(count for name, count in (await state.links.tally(flow.name)).items() if name not in ("gone", "drifted"))
    confirmed = missing <= allowed
    if not confirmed and missing >= BRAKE_LEAST and missing > total * BRAKE_SHARE:
        raise ContractBroken(
            f"{missing} of {total} {flow.entity} records are missing from a complete sweep; nothing was taken as deleted",
            where=way.source,
            fix="Check the rights (companies, sites) of the API user at that system. "
            f"If they really are deleted: ml-connector sync {flow.name} --allow-missing {missing}",
        )
    async for links in state.links.unsighted(flow.name, way.near):
        batch = Settlement(run=run)
        for link in links:
            _strike(way, run, clock, link, batch, confirmed=confirmed)
        await state.settle(lease, batch)


def _strike(way: Way, run: Run, clock: Clock, link: Link, batch: Settlement, *, confirmed: bool) -> None:
    flow, end = way.flow, way.near_end(link)
    missed = end.missed + 1
    gone = confirmed or missed >= STRIKES
    link = link.with_end(way.near, msgspec.structs.replace(end, missed=missed))
    if gone:  # what shall become of the counterpart is decided where everything is decided: in the pipeline
        link = msgspec.structs.replace(link, standing="gone", due=flow.deletes == "deactivate")
    batch.links.append(link)
    if gone:
        batch.audit.append(
            AuditEntry(
                at=clock.now(),
                run=run.id,
                flow=flow.name,
                trace_id=run.trace_id,
                kind=flow.entity,
                number=link.number,
                link=link.id,
                action="gone",
                left=link.left.place,
                right=link.right.place,
                rule=f"deletes: {flow.deletes}",
                reason=f"absent from a complete sweep of {way.source}, and a person said that it is deleted"
                if confirmed
                else f"absent from {missed} complete sweeps of {way.source}",
            )
        )
