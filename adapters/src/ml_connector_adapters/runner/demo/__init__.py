"""``ml-connector demo``: the real program against made-up vendors on loopback, through a bad day, compared in full at the end.

The vendors' twins live in this process; every run is a process of its own, as an operator would start it, so that one of them
can be killed in the middle.
"""

import shutil
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from ml_connector.errors import ConfigError
from ml_connector.twin import Twin
from ml_connector_adapters.http.twins import serving
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.twins import make_twin, toml


async def run_demo(left: str, right: str, records: int, *, keep: bool = False, thorough: bool = False) -> int:
    """The whole story; 0 only if both sides agree in the end and every step kept its promise. See Story for ``thorough``."""
    from ml_connector_adapters.runner.demo.program import Program
    from ml_connector_adapters.runner.demo.story import Story
    from ml_connector_adapters.runner.demo.words import say, show

    systems = discover().systems
    recipe = systems[left].recipes.get(right) if left in systems else None
    if recipe is None:
        raise ConfigError(f"there is no recipe for {left} and {right}", fix="See: ml-connector systems")
    twins = {system: make_twin(system) for system in (left, right)}
    home = Path(tempfile.mkdtemp(prefix="ml-connector-demo-"))
    try:
        async with AsyncExitStack() as stack:
            urls = {system: await stack.enter_async_context(serving(twin)) for system, twin in twins.items()}
            write_config(home, recipe, {system: (twin, urls[system]) for system, twin in twins.items()})
            say.print(f"[bold]{systems[left].title} and {systems[right].title}, through a bad day[/]")
            names = named(recipe)
            for system, url in urls.items():
                show(f"  {names[system]}: an emulator of {systems[system].title} at {url}")
            show(f"  ml-connector works in {home}")
            show("  All records are made up. Each command is a process of its own, as an operator would start it.")
            program = Program(home, {names[system]: twin for system, twin in twins.items()})
            return await Story(program, twins, records, recipe, thorough=thorough).tell()
    finally:
        if not keep:
            shutil.rmtree(home)


def named(recipe: str) -> dict[str, str]:
    """What the recipe calls its connections: system → the first one's name."""
    connections = tomllib.loads(recipe)["connections"]
    return {connection["system"]: name for name, connection in reversed(connections.items())}


def write_config(home: Path, recipe: str, twins: Mapping[str, tuple[Twin, str]]) -> None:
    """The recipe between the twins' addresses (system → twin and URL), so that the demo shows what ``init`` writes."""
    lines = ["[workspace]", 'name = "demo"', 'state = "sqlite:///demo.db"']
    for name, connection in tomllib.loads(recipe)["connections"].items():
        twin, url = twins[connection["system"]]
        lines += ["", f"[connections.{name}]"]
        lines += [f"{setting} = {toml(value)}" for setting, value in {**connection, **twin.settings(url)}.items()]
    lines += ["", recipe[recipe.index("[flows.") :]]
    (home / "ml-connector.toml").write_text("\n".join(lines), encoding="utf-8")
