"""``reconcile``: both sides of a flow compared in full."""

import json as json_
import sys
from typing import TYPE_CHECKING, Any

from cyclopts import App

from ml_connector_adapters.runner.cli.common import Config, Json, answer, chosen, complain, opened, run

if TYPE_CHECKING:
    from ml_connector.flows import Flow
    from ml_connector.use_cases.reconcile import Finding


def register(app: App) -> None:
    app.command(reconcile)


def reconcile(flow: str, /, *, fix: bool = False, json: Json = False, config: Config = None) -> int:
    """Compare both sides of a flow in full: what differs, is missing or is extra, one line each. It only reads.

    Parameters
    ----------
    flow
        The flow's name.
    fix
        Then send what differs or is missing again, by a run of the flow, and tell what is left; extra records stay.
    json
        Print one JSON object a line.
    """

    async def task() -> int:
        from ml_connector.use_cases.reconcile import Reconciliation

        async with opened(config) as here:
            [named] = chosen(here.workspace.flows, [flow])
            async with Reconciliation(named, here.worker.ends(named), here.world) as comparison:
                async for finding in comparison.findings():
                    _tell(named, finding, json=json)
                compared = comparison.compared
                complain(
                    f"{named.name}: {compared.left} at {named.left}, {compared.right} at {named.right}: "
                    f"{compared.differs} differ, {compared.missing} missing, {compared.extra} extra"
                )
                if not fix or not compared.apart:
                    return 1 if compared.apart else 0
                asked, left = await comparison.ask(), 0
                result = await here.worker.run(named)
                if result.error is not None:
                    complain(str(result.error))
                    return result.exit_code
                async for finding in comparison.left_over():
                    _tell(named, finding, json=json, still=True)
                    left += 1
                complain(f"{named.name}: {asked} sent again, {left} left")
                return 1 if left else 0

    return run(task)


def _tell(flow: "Flow", finding: "Finding", *, json: bool, still: bool = False) -> None:
    import msgspec

    if json:
        told = msgspec.to_builtins(finding)
        answer(json_.dumps({**told, "still": True} if still else told, ensure_ascii=False))
    else:
        answer(f"{'still ' if still else ''}{_line(flow, finding)}")
    sys.stdout.flush()


def _line(flow: "Flow", finding: "Finding") -> str:
    parts = [f"{finding.what} at {finding.at}" if finding.at else finding.what, finding.number]
    if finding.link is None and finding.number != (finding.left or finding.right):
        parts.append(f"id {finding.left or finding.right}")
    told = [f"{each.field}: {flow.left} {_shown(each.left)}, {flow.right} {_shown(each.right)}" for each in finding.fields]
    parts += ["; ".join(told)] if told else []
    why = ": ".join(part for part in (finding.standing, finding.reason) if part)
    return "  ".join([*parts, f"({why})"] if why else parts)


def _shown(value: Any) -> str:
    return "nothing" if value is None else json_.dumps(value, ensure_ascii=False)
