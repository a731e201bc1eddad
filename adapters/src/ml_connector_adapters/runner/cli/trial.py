"""Commands that need no vendor: demo, simulate, twin."""

import asyncio
import sys

from cyclopts import App

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import answer, run, stopping


def register(app: App) -> None:
    for command in (demo, simulate, twin):
        app.command(command)


def twin(system: str, /, *, port: int = 0, accounts: int = 100, orders: int = 250) -> int:
    """Serve a vendor's emulator on loopback to develop against, filled with made-up records; Ctrl-C ends it.

    Parameters
    ----------
    system
        The system's name, as ``ml-connector systems`` lists it.
    """

    async def task() -> int:
        from ml_connector_adapters.http.twins import serving
        from ml_connector_adapters.runner.twins import make_twin, toml

        made = make_twin(system)
        made.fill(accounts, orders)
        stop = asyncio.Event()
        async with serving(made, port=port) as base_url:
            answer(f"# {system} twin at {base_url}; Ctrl-C ends it")
            answer("# These settings, in the place of those of the same names, lead a connection to it:")
            answer(f'system = "{system}"')
            for name, value in made.settings(base_url).items():
                answer(f"{name} = {toml(value)}")
            answer("# And these commands keep its secrets:")
            for name, value in made.secrets().items():
                answer(f"printf '%s' '{value}' | ml-connector secrets set {name}")
            sys.stdout.flush()
            with stopping(stop):
                await stop.wait()
        return 0

    return run(task)


def demo(*, pair: str = "ifs-cloud:zoho-crm", records: int = 1000, keep: bool = False) -> int:
    """See the whole story with made-up vendors on loopback: first load, no change, edits, a storm with a kill, comparison.

    Parameters
    ----------
    pair
        ERP and CRM, as FROM:TO.
    records
        Customers to make up; two and a half times as many orders, where the pair carries orders.
    keep
        Leave the configuration and the state behind, and say where.
    """
    from ml_connector_adapters.runner.demo import run_demo

    left, _, right = pair.partition(":")
    return asyncio.run(run_demo(left, right, records, keep=keep))


def simulate(*, pair: str = "memory:memory", seeds: int = 200, seed: int | None = None) -> int:
    """Try to break it: play stories of edits, faults, kills and take-overs that a seed decides, and check every guarantee.

    What breaks is told as the shortest story that shows it. Exit code 0 when everything holds.

    Parameters
    ----------
    pair
        memory:memory, or an ERP and a CRM that ship twins and a recipe, as ERP:CRM.
    seeds
        How many stories, from seed 0 on.
    seed
        This one alone.
    """
    from ml_connector_adapters.runner.simulate import simulate as play

    if seeds < 1:
        raise ConfigError(f"--seeds {seeds} is no number of stories", fix="Say --seeds 200")
    return play(pair, range(seeds) if seed is None else [seed])
