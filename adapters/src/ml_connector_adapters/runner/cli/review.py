"""Commands that show what would happen before it does: match, plan, apply."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import (
    Config,
    Json,
    answer,
    answer_json,
    chosen,
    complain,
    in_words,
    ledger,
    opened,
    run,
    table,
)

if TYPE_CHECKING:
    from ml_connector.flows import Flow
    from ml_connector.use_cases.match_first_load import Proposal
    from ml_connector.use_cases.plan_flow import LeftOut, Step
    from ml_connector_adapters.runner.container import Opened

File = Annotated[Path | None, Parameter(negative="")]


def register(app: App) -> None:
    for command in (match, plan, apply):
        app.command(command)


def match(flow: str, /, *, out: File = None, apply: File = None, json: Json = False, config: Config = None) -> int:
    """Before a first load: which records of both sides are one, by the flow's keys: linked, ambiguous, new.

    Nothing is created for an ambiguous one. Review the file (its column decision: link, create, skip, or empty), then apply it.

    Parameters
    ----------
    flow
        The flow that shall be loaded.
    out
        Write the proposals to this CSV file.
    apply
        Seed the links from this reviewed file; from then on the flow creates what it does not find.
    """

    async def task() -> int:
        from ml_connector.use_cases.match_first_load import propose, seed
        from ml_connector_adapters.runner.match_file import read_proposals, write_proposals

        if apply is not None and out is not None:
            raise ConfigError("--out and --apply exclude each other", fix="Write the file, review it, then apply it")
        rows = read_proposals(apply) if apply is not None else []
        async with opened(config) as here:
            [one] = chosen(here.workspace.flows, [flow])
            ends = here.worker.ends(one)
            if apply is not None:
                _, seeds = await here.worker.booked(one, lambda: seed(one, ends, here.world, rows))
                answer(
                    f"{flow}: {seeds.linked} linked, {seeds.skipped} left out, {seeds.creates} may be created, "
                    f"{seeds.undecided} undecided. Next: ml-connector sync {flow}"
                )
                return 1 if seeds.undecided else 0
            found = [each async for each in propose(one, ends, here.world)]
        if out is not None:
            write_proposals(out, found)
        counts = Counter(_word(each) for each in found)
        if json:
            answer_json(found)
        elif out is None:
            table(
                ("", "number", "name", one.left, one.right, "evidence"),
                [
                    (_word(each), each.number, each.name, each.left_id or "", each.right_id or "", _evidence(each))
                    for each in found
                ],
            )
        complain(f"{flow}: {counts['linked']} linked, {counts['ambiguous']} ambiguous, {counts['new']} new")
        return 1 if counts["ambiguous"] else 0

    return run(task)


def _word(proposal: "Proposal") -> str:
    return {"one": "linked", "none": "new"}.get(proposal.fit, "ambiguous")


def _evidence(proposal: "Proposal") -> str:
    others = f" ({proposal.fit}: {', '.join(proposal.candidates)})" if proposal.candidates else ""
    return f"{proposal.evidence}{others}"


def plan(flow: str | None = None, /, *, out: File = None, full: bool = False, json: Json = False, config: Config = None) -> int:
    """Exactly what a run would create and change now, field by field, and its cost in calls; without a write.

    Parameters
    ----------
    flow
        One flow; all of them when left out.
    out
        Pin the plan in this file, for: ml-connector apply FILE
    full
        Compare every record instead of what changed.
    """

    async def task() -> int:
        from contextlib import ExitStack

        from ml_connector.use_cases.plan_flow import plan_flow
        from ml_connector_adapters.runner.plan_file import FORMAT, Head, PlanWriter

        told: list[dict[str, Any]] = []
        costs: list[dict[str, Any]] = []
        async with opened(config) as here:
            flows = chosen(here.workspace.flows, [flow] if flow else [])
            signatures = {each.name: each.signature for each in flows}
            head = Head(plan=FORMAT, workspace=here.workspace.name, made_at=here.world.clock.now(), flows=signatures)
            with ExitStack() as stack:
                file = stack.enter_context(PlanWriter(out, head)) if out is not None else None
                for each in flows:
                    counts: Counter[tuple[str, str]] = Counter()
                    async for step in plan_flow(each, here.worker.ends(each), here.world, full=full):
                        counts[step.side, step.deed] += 1
                        if file is not None:
                            file.add(each.name, step)
                        if json:
                            told.append({"flow": each.name, "step": step})
                        elif file is None:
                            _show_step(each, step)
                    costs += [_cost(here, each, side, deed, count) for (side, deed), count in sorted(counts.items())]
        if json:
            answer_json({"steps": told, "cost": costs})
        else:
            _show_cost(costs)
        return 0

    return run(task)


def _show_step(flow: "Flow", step: "Step") -> None:
    answer(f"{step.deed} {flow.connection(step.side)} {flow.kind(step.side)} {step.number}  ({step.rule or flow.name})")
    for change in step.changes:
        why = f"  ({change.rule})" if isinstance(change.rule, str) else ""
        for told in in_words(change):
            answer(f"    {told}{why}")


def _cost(here: "Opened", flow: "Flow", side: Any, deed: str, count: int) -> dict[str, Any]:
    sink = here.worker.ends(flow).station(side).sink
    assert sink is not None
    calls, credits_ = sink.limits.cost(count)
    return {
        "flow": flow.name,
        "connection": flow.connection(side),
        "deed": deed,
        "records": count,
        "calls": calls,
        "credits": credits_,
    }


def _show_cost(costs: list[dict[str, Any]]) -> None:
    if not costs:
        complain("nothing would be written")
    for each in costs:
        paid = f", {each['credits']} credits" if each["credits"] is not None else ""
        complain(
            f"{each['flow']}: {each['records']} to {each['deed']} at {each['connection']}: {each['calls']} write calls{paid}"
        )


def apply(file: Path, /, *, json: Json = False, config: Config = None) -> int:
    """Perform a pinned plan and nothing else; what moved since it was made is left out and named.

    Parameters
    ----------
    file
        What plan --out wrote.
    """

    async def task() -> int:
        from functools import partial

        from ml_connector.use_cases.plan_flow import apply_plan
        from ml_connector_adapters.runner.plan_file import read_plan

        head, steps = read_plan(file)
        left_out: list[tuple[str, LeftOut]] = []
        runs = []
        async with opened(config) as here:
            if head.workspace != here.workspace.name:
                raise ConfigError(f'The plan is of workspace "{head.workspace}"', fix="Name its configuration: --config FILE")
            flows = chosen(here.workspace.flows, list(steps))
            if changed := [each.name for each in flows if each.signature != head.flows[each.name]]:
                raise ConfigError(
                    f"flows.{changed[0]} was changed since the plan was made; nothing was applied",
                    fix="Make a new one: ml-connector plan --out FILE",
                )
            for each in flows:
                if steps[each.name]:
                    work = partial(apply_plan, each, here.worker.ends(each), here.world, steps[each.name])
                    done, left = await here.worker.booked(each, work)
                    runs.append(done)
                    left_out += [(each.name, one) for one in left]
        if json:
            answer_json({"runs": runs, "left_out": [{"flow": name, "left_out": one} for name, one in left_out]})
        else:
            ledger(runs)
            for name, one in left_out:
                answer(f"left out: {name} {one.step.number}: {one.reason}")
        return 1 if left_out or any(each.outcome != "green" for each in runs) else 0

    return run(task)
