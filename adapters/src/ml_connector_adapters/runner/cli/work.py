"""Commands that talk to the systems: ping, sync, run, replay."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import (
    Config,
    Json,
    answer,
    answer_json,
    aware,
    chosen,
    complain,
    ledger,
    opened,
    run,
    stopping,
    workspaces,
)

if TYPE_CHECKING:
    from ml_connector.ports.state import Run
    from ml_connector_adapters.runner.worker import Result


def register(app: App) -> None:
    for command in (ping, sync, replay):
        app.command(command)
    app.command(serve, name="run")


def ping(connection: str | None = None, /, *, fix: bool = False, json: Json = False, config: Config = None) -> int:
    """Is it fit? Reachable, token, rights, fields, custom fields, clock, quota; ends in fit or not fit, with what to do.

    Parameters
    ----------
    connection
        One connection of the configuration; all of them when left out.
    fix
        Create what is missing and may be created (custom fields, keys), and say each.
    """

    async def task() -> int:
        from ml_connector.errors import ConnectorError
        from ml_connector.ports.fitness import Finding
        from ml_connector.use_cases.preflight import preflight

        async with opened(config) as here:
            names = [connection] if connection else list(here.connections)
            if unknown := [name for name in names if name not in here.connections]:
                raise ConfigError(f'no connection "{unknown[0]}"', fix=f"There are: {', '.join(here.connections)}")
            report: dict[str, list[Finding]] = {}
            for name in names:
                fitness = here.connections[name].fitness
                if fitness is None:
                    report[name] = [Finding(level="warning", about="fitness", what="this plugin offers no check")]
                    continue
                try:
                    report[name] = await preflight(name, fitness, here.workspace.flows, repair=fix)
                    await here.store.pauses.resume(name)
                except ConnectorError as error:
                    report[name] = [Finding(level="unfit", about="connection", what=error.what, fix=error.fix)]
        fit = {name: not any(finding.level == "unfit" for finding in found) for name, found in report.items()}
        if json:
            answer_json({name: {"fit": fit[name], "findings": found} for name, found in report.items()})
        else:
            for name, found in report.items():
                for finding in found:
                    advice = f" {finding.fix}." if finding.fix and finding.level != "ok" else ""
                    answer(f"{name}: {finding.level:8}{finding.about}: {finding.what}.{advice}")
                answer(f"{name}: {'fit' if fit[name] else 'not fit'}")
        return 0 if all(fit.values()) else 3

    return run(task)


def sync(
    *flows: str,
    full: bool = False,
    since: datetime | None = None,
    create_all: Annotated[bool, Parameter(negative="")] = False,
    allow_missing: int = 0,
    json: Json = False,
    config: Config = None,
) -> int:
    """Run flows once, now, in their order.

    Parameters
    ----------
    flows
        Names of flows; all of them when left out.
    full
        Read every record anew instead of what changed.
    since
        Read again what changed since this time (ISO 8601; UTC unless it says otherwise).
    create_all
        Create what has no counterpart although the target held records before the first load; without it they wait for match.
    allow_missing
        Take up to this many records that a complete reading does not show as deleted at once, whatever share of all they are.
    """

    if allow_missing and len(flows) != 1:
        raise ConfigError("--allow-missing counts one flow's records", fix="Name the flow: sync FLOW --allow-missing N")

    async def task() -> int:
        from ml_connector_adapters.runner.worker import exit_code

        results: list[Result] = []
        async with opened(config) as here:
            stop = asyncio.Event()
            with stopping(stop):
                for flow in chosen(here.workspace.flows, flows):
                    with _progress(flow.name) as watch:
                        result = await here.worker.run(
                            flow,
                            full=full,
                            since=aware(since),
                            create_all=create_all,
                            allow_missing=allow_missing,
                            stop=stop,
                            started=watch,
                        )
                    results.append(result)
                    if result.error is not None:
                        complain(str(result.error))
                    elif result.run is not None and result.run.note:
                        complain(f"{flow.name}: {result.run.note}")
                    if stop.is_set():
                        break
        if json:
            answer_json([{"flow": each.flow, "run": each.run, "error": str(each.error or "")} for each in results])
        else:
            ledger([result.run for result in results if result.run is not None])
        return 130 if stop.is_set() else exit_code(results)

    return run(task)


@contextmanager
def _progress(flow: str) -> "Iterator[Callable[[Run], None]]":
    """Counts of the living run on stderr, while that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda run: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    ) as bar:
        line = bar.add_task(flow, total=None)

        def watch(run: "Run") -> None:
            async def look() -> None:
                while run.ended_at is None:
                    counts = run.counts
                    bar.update(line, description=f"{flow}: read {counts.read}, written {counts.written}")
                    await asyncio.sleep(0.2)

            tasks.append(asyncio.create_task(look()))

        tasks: list[asyncio.Task[None]] = []
        try:
            yield watch
        finally:
            for task in tasks:
                task.cancel()


def replay(
    kind: str | None = None,
    /,
    *numbers: str,
    run_id: Annotated[str | None, Parameter(name="--run")] = None,
    since: datetime | None = None,
    config: Config = None,
) -> int:
    """Send records again, without duplicates: by kind and business numbers, by run, or all since a time.

    The records are read anew on both sides and what differs is written, by a run of their flows right away.
    """

    async def task() -> int:
        from ml_connector.domain import ENTITIES
        from ml_connector.use_cases.replay import replay as mark
        from ml_connector_adapters.runner.worker import exit_code

        if kind is None and run_id is None and since is None:
            raise ConfigError("nothing to replay", fix="Say: replay KIND NUMBER…, replay --run ID or replay --since TIME")
        if kind is not None and kind not in ENTITIES:
            raise ConfigError(f'"{kind}" is no kind of record', fix=f"There are: {', '.join(ENTITIES)}")
        async with opened(config) as here:
            marked = await mark(
                here.workspace.flows,
                here.store,
                kind=kind,
                numbers=numbers,
                run=run_id,
                since=aware(since),
            )
            if not any(marked.values()):
                complain("no record fits; nothing was marked")
                return 1
            results = [await here.worker.run(flow) for flow in here.workspace.flows if marked.get(flow.name)]
        for result in results:
            if result.error is not None:
                complain(str(result.error))
        ledger([result.run for result in results if result.run is not None])
        return exit_code(results)

    return run(task)


def serve(*, listen: str = "127.0.0.1:8080", config: Config = None) -> int:
    """Run headless: schedule, notice receiver, channel renewal, /healthz /readyz /metrics; SIGTERM stops cleanly.

    Parameters
    ----------
    listen
        HOST:PORT of the receiver and the probes.
    """

    async def task() -> int:
        from ml_connector_adapters.runner.headless import run_headless

        host, _, port = listen.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise ConfigError(f'--listen "{listen}" is not HOST:PORT', fix="Say --listen 127.0.0.1:8080")
        stop = asyncio.Event()
        with stopping(stop):
            await run_headless(workspaces(config), host or "127.0.0.1", int(port), stop)
        return 0

    return run(task)
