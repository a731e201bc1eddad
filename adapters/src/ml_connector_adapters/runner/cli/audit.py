"""The audit and what it makes possible: ``audit export``, ``audit verify`` and ``undo``."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import (
    Config,
    Json,
    answer,
    answer_json,
    aware,
    complain,
    in_words,
    ledger,
    opened,
    run,
)
from ml_connector_adapters.runner.cli.look import known_kind

if TYPE_CHECKING:
    from ml_connector.flows import Flow
    from ml_connector.ports.state import Run
    from ml_connector.use_cases.undo import Undone
    from ml_connector_adapters.runner.audit_file import Only
    from ml_connector_adapters.runner.container import Opened

audit_app = App(name="audit", help="The audit trail: export it, verify its hash chain.")


def register(app: App) -> None:
    app.command(audit_app)
    app.command(undo)


@audit_app.command
def export(
    *,
    since: datetime | None = None,
    run_id: Annotated[str | None, Parameter(name="--run")] = None,
    kind: str | None = None,
    number: str | None = None,
    config: Config = None,
) -> int:
    """Every entry as one JSON object a line, oldest first, between a first line that says what it is and a last that ends it.

    Parameters
    ----------
    since
        From the first entry of this time on (ISO 8601; UTC unless it says otherwise).
    run_id
        Only what this run did.
    kind
        Only records of this kind, on either side of their flow.
    number
        Only records with this business number.
    """

    async def task() -> int:
        from ml_connector_adapters.runner import audit_file

        async with opened(config) as here:
            only = _only(here.workspace.flows, run_id, kind, number)
            count = 0
            async for line in audit_file.export(here.store.ledger, here.workspace.name, since=aware(since), only=only):
                answer(line)
                count += 1
        if only is not None and count == 2:
            complain("no entry fits")
            return 1
        return 0

    return run(task)


def _only(flows: "tuple[Flow, ...]", run_id: str | None, kind: str | None, number: str | None) -> "Only | None":
    """The selection; a kind stands for what its flows call the record on their other side as well."""
    from ml_connector_adapters.runner.audit_file import Only

    kinds: set[str] = set()
    if kind is not None:
        named = known_kind(kind)
        kinds = {named}.union(*({flow.entity, flow.target} for flow in flows if named in (flow.entity, flow.target)))
    only = Only(run=run_id, kinds=tuple(sorted(kinds)), number=number)
    return None if only == Only() else only


@audit_app.command
def verify(file: Path | None = None, /, *, json: Json = False, config: Config = None) -> int:
    """Check the hash chain: an entry that was changed, removed, moved or put in is found, and so is a cut end.

    Parameters
    ----------
    file
        An exported audit, checked away from the state and without a configuration; the state's own audit when left out.
    """
    if file is not None:
        return _verify_file(file, json=json)

    async def task() -> int:
        async with opened(config) as here:
            count, broken = await here.store.ledger.verify()
        if json:
            answer_json({"entries": count, "first_broken": broken})
        elif broken is None:
            answer(f"{count} entries, the chain is whole")
        else:
            answer(f"the chain breaks at entry {broken}: it or its predecessor was changed, removed or moved")
        return 0 if broken is None else 1

    return run(task)


def _verify_file(file: Path, *, json: bool) -> int:
    from ml_connector_adapters.runner import audit_file

    try:
        with file.open("rb") as lines:
            found = audit_file.verify(lines, str(file))
    except OSError as error:
        raise ConfigError(f"the audit cannot be read: {error.strerror}", where=str(file)) from error
    if json:
        answer_json(found)
    elif found.first_broken is not None:
        answer(f"{file}, line {found.line}: {found.what}. Compare with a fresh one: ml-connector audit export")
    elif found.only is None:
        answer(f"{found.entries} entries, the chain is whole")
    else:
        answer(
            f"{found.entries} entries of a selection, each as it was written; whether it leaves out any that it should hold "
            "is only known from the number of them: the whole audit tells"
        )
    return 0 if found.first_broken is None else 1


def undo(
    *,
    run_id: Annotated[str, Parameter(name="--run")],
    record: Annotated[tuple[tuple[str, str], ...], Parameter(negative="")] = (),
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    config: Config = None,
) -> int:
    """Restore what a run wrote, as it stood before; what somebody edited since is left out and named.

    Parameters
    ----------
    run_id
        The run's id: explain, audit export and sync --json tell it.
    record
        KIND NUMBER: only this record; may be given several times.
    dry_run
        Look, tell what would be restored, and write nothing.
    """

    async def task() -> int:
        from ml_connector.use_cases import undo as use_case

        records = [(known_kind(kind), number) for kind, number in record]
        missing = {number: kind for kind, number in records}
        kept: list[Undone] = []
        terms: set[str] = set()

        def tell(each: "Undone") -> None:
            terms.add(each.term)
            missing.pop(each.number, None)
            if json:
                kept.append(each)
            else:
                answer(_line(each, would=dry_run))

        done: Run | None = None
        async with opened(config) as here:
            flow = await _flow(here, run_id)
            ends = here.worker.ends(flow)
            if dry_run:
                async for each in use_case.foresee(flow, run_id, ends, here.world, records=records):
                    tell(each)
            else:
                done = await here.worker.booked(
                    flow, lambda: use_case.undo(flow, run_id, ends, here.world, records=records, told=tell)
                )
        if json:
            answer_json({"run": done, "records": kept})
        elif done is not None:
            ledger([done])
        for number, kind in missing.items():
            complain(f"run {run_id} wrote nothing at {kind} {number}")
        if not terms and not missing:
            complain(f"run {run_id} wrote nothing that could be undone")
        whole = bool(terms) and terms <= {"written", "unchanged"} and not missing
        return 0 if whole and (done is None or done.outcome == "green") else 1

    return run(task)


async def _flow(here: "Opened", run_id: str) -> "Flow":
    from ml_connector.use_cases.undo import flow_of

    name = await flow_of(run_id, here.store)
    if name is None:
        raise ConfigError(
            f'the audit tells of no run "{run_id}"', fix="See the runs of a record: ml-connector explain KIND NUMBER"
        )
    flow = next((flow for flow in here.workspace.flows if flow.name == name), None)
    if flow is None:
        raise ConfigError(
            f'run {run_id} was one of "{name}", and there is no such flow any more', fix="Put it back to undo its runs"
        )
    return flow


def _line(undone: "Undone", *, would: bool) -> str:
    place = f"{undone.number} at {undone.connection}"
    if undone.term not in ("written", "unchanged"):
        return f"{place}: left out, {undone.reason}"
    changes = ", ".join(told for each in undone.changes for told in in_words(each))
    what = "stands like that already" if undone.term == "unchanged" else changes or "taken out of use"
    rest = f"; {undone.reason}" if undone.reason and undone.term == "written" else ""
    return f"{place}: {'would be restored, ' if would and undone.term == 'written' else ''}{what}{rest}"
