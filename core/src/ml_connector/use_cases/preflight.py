"""Ask a connection whether it is fit for the flows, and repair what may be repaired."""

from collections.abc import Iterable

from ml_connector.domain import Kind
from ml_connector.flows import Flow
from ml_connector.ports.fitness import Access, Finding, Fitness, Need
from ml_connector.sync.way import ways


def needs_of(connection: str, flows: Iterable[Flow]) -> list[Need]:
    """What the flows read and write there, one need per kind and access."""
    found: dict[tuple[Kind, Access], frozenset[str]] = {}

    def need(kind: Kind, access: Access, fields: frozenset[str]) -> None:
        found[kind, access] = found.get((kind, access), frozenset()) | fields

    for flow in flows:
        for way in ways(flow):
            sets = frozenset(assignment.path for assignment in flow.sets)
            if way.source == connection:  # keys are named in the target's terms: what is converted or set is not read as such
                need(flow.kind(way.near), "read", frozenset(flow.match) - sets if flow.entity == flow.target else frozenset())
            if way.target == connection:
                need(way.kind, "write", frozenset(flow.match) | sets | (flow.fields or frozenset()))
    return [Need(kind=kind, access=access, fields=fields) for (kind, access), fields in found.items()]


async def preflight(connection: str, fitness: Fitness, flows: Iterable[Flow], *, repair: bool) -> list[Finding]:
    """The fit report, worst first; with ``repair`` what can be mended is mended before the last look."""
    needs = needs_of(connection, flows)
    done = await fitness.repair(needs) if repair else []
    order = {"unfit": 0, "warning": 1, "ok": 2}
    return sorted([*done, *await fitness.inspect(needs)], key=lambda finding: order[finding.level])
