"""Commands around the configuration: init, check, schema, systems, db."""

import json as jsonlib
from pathlib import Path

from cyclopts import App

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import Config, Json, answer, answer_json, complain, run, table, workspaces

db_app = App(name="db", help="The state's schema: upgrade, status.")


def register(app: App) -> None:
    for command in (init, check, schema, systems):
        app.command(command)


def init(from_system: str, to_system: str, /, *, config: Path = Path("ml-connector.toml"), force: bool = False) -> int:
    """Write a commented configuration from the recipe of a pair of systems.

    Parameters
    ----------
    from_system
        The ERP, as ``ml-connector systems`` names it.
    to_system
        The CRM.
    config
        Where to write it.
    force
        Replace a file that is there.
    """
    from ml_connector_adapters.plugins import discover

    found = discover().systems
    for name in (from_system, to_system):
        if name not in found:
            raise ConfigError(
                f'no system "{name}" is installed', fix=f"pip install ml-connector-{name}; see: ml-connector systems"
            )
    recipe = found[from_system].recipes.get(to_system) or found[to_system].recipes.get(from_system)
    if recipe is None:
        raise ConfigError(f"nobody ships a recipe for {from_system} and {to_system}", fix="Start from docs/configuration.md")
    if config.exists() and not force:
        raise ConfigError(f"{config} is there already", fix="Choose another name with --config, or say --force")
    config.write_text(recipe, encoding="utf-8")
    answer(f"wrote {config}: fill in the addresses, keep the secrets (ml-connector secrets set NAME), then ml-connector check")
    return 0


def check(*, config: Config = None) -> int:
    """Check the file alone, offline: every mistake at once, each with its place. Exit code 2 if there is any."""
    for workspace in workspaces(config):
        answer(f"{workspace.name}: {len(workspace.connections)} connections, {len(workspace.flows)} flows, no mistakes")
    return 0


def schema() -> int:
    """Print the JSON Schema of the configuration file, for editors."""
    from ml_connector_adapters.config import json_schema
    from ml_connector_adapters.plugins import discover

    answer(jsonlib.dumps(json_schema(discover().systems), indent=2))
    return 0


def systems(*, json: Json = False) -> int:
    """Installed plugins and their abilities, and plugins that failed to load and why."""
    from ml_connector_adapters.plugins import discover

    found = discover()
    if json:
        told = [
            {
                "name": spec.name,
                "title": spec.title,
                "reads": spec.reads,
                "writes": spec.writes,
                "notices": spec.notices,
                "twin": spec.twin is not None,
                "recipes": sorted(spec.recipes),
            }
            for spec in found.systems.values()
        ]
        answer_json({"systems": told, "failures": found.failures})
    else:
        table(
            ("system", "reads", "writes", "notices", "twin", "recipes"),
            [
                (
                    spec.name,
                    ", ".join(spec.reads) or "nothing",
                    ", ".join(spec.writes) or "nothing",
                    "yes" if spec.notices else "no",
                    "yes" if spec.twin is not None else "no",
                    ", ".join(sorted(spec.recipes)) or "none",
                )
                for spec in found.systems.values()
            ],
        )
    for name, distribution, reason in found.failures:
        complain(f"{name} ({distribution}) failed to load: {reason}")
    if not found.systems:
        complain("no plugin is installed; pip install ml-connector-ifs-cloud ml-connector-zoho-crm")
    return 1 if found.failures else 0


@db_app.command
def upgrade(*, config: Config = None) -> int:
    """Bring every configured state to this program's schema."""

    async def task() -> int:
        from ml_connector_adapters import store

        for workspace in workspaces(config):
            await store.upgrade(workspace.state)
            answer(f"{workspace.name}: at {(await store.status(workspace.state))[0]}")
        return 0

    return run(task)


@db_app.command(name="status")
def db_status(*, config: Config = None, json: Json = False) -> int:
    """Each state's schema revision and the one that this program wants. Exit code 1 if they differ."""

    async def task() -> int:
        from ml_connector_adapters import store

        told = {workspace.name: await store.status(workspace.state) for workspace in workspaces(config)}
        if json:
            answer_json(told)
        else:
            table(("workspace", "revision", "wanted"), [(name, now or "empty", head) for name, (now, head) in told.items()])
        return 0 if all(now == head for now, head in told.values()) else 1

    return run(task)
