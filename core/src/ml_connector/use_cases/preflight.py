"""Ask a connection whether it is fit for the flows, and repair what may be repaired."""

from collections.abc import Iterable

from ml_connector.flows import Flow
from ml_connector.ports.fitness import Finding, Fitness, Need


def needs_of(connection: str, flows: Iterable[Flow]) -> list[Need]:
    """What the flows read and write there, one need per kind and access."""
    found: dict[tuple[str, str], Need] = {}
    for flow in flows:
        sides = (("left", flow.left, flow.entity, "read"), ("right", flow.right, flow.target, "write"))
        for side, name, kind, access in sides:
            if name != connection:
                continue
            fields = frozenset(assignment.path for assignment in flow.sets) if side == "right" else frozenset[str]()
            fields |= frozenset(flow.match) | (flow.fields or frozenset() if side == "right" else frozenset())
            before = found.get((kind, access))
            fields |= before.fields if before is not None else frozenset()
            found[kind, access] = Need(kind=kind, access=access, fields=fields)  # type: ignore[arg-type]
    return list(found.values())


async def preflight(connection: str, fitness: Fitness, flows: Iterable[Flow], *, repair: bool) -> list[Finding]:
    """The fit report, worst first; with ``repair`` what can be mended is mended before the last look."""
    needs = needs_of(connection, flows)
    done = await fitness.repair(needs) if repair else []
    order = {"unfit": 0, "warning": 1, "ok": 2}
    return sorted([*done, *await fitness.inspect(needs)], key=lambda finding: order[finding.level])
