"""``secrets``: the vault. Values come from a prompt or stdin, never from arguments, and are never shown."""

import sys

from cyclopts import App

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import Config, Json, answer, answer_json, one_workspace, run, table

app = App(name="secrets", help="The vault: set, list, rotate, forget.")


@app.command(name="set")
def set_(name: str, /, *, config: Config = None) -> int:
    """Keep a secret under a name, read from a prompt or, when piped, from stdin.

    Example: printf '%s' "$TOKEN" | ml-connector secrets set zoho/refresh_token
    """

    async def task() -> int:
        from ml_connector_adapters.runner.container import keep_secret

        value = _ask(name)
        if not value:
            raise ConfigError(f"the value for {name} is empty; nothing was kept")
        freed = await keep_secret(one_workspace(config), name, value)
        answer(f"kept {name}" + (f"; {', '.join(freed)} is no longer paused" if freed else ""))
        return 0

    return run(task)


def _ask(name: str) -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass(f"{name}: ")
    return sys.stdin.read().removesuffix("\n")


@app.command(name="list")
def list_(*, json: Json = False, config: Config = None) -> int:
    """Names and dates, never values."""

    async def task() -> int:
        from ml_connector_adapters.runner.container import open_vault

        async with open_vault(one_workspace(config)) as vault:
            names = await vault.names()
        if json:
            answer_json(names)
        else:
            table(("name", "changed"), [(each.name, f"{each.changed_at:%Y-%m-%d %H:%M}Z") for each in names])
        return 0

    return run(task)


@app.command
def forget(*, config: Config = None) -> int:
    """Throw away every secret, token and channel's proof: for when the master key is lost for good."""

    async def task() -> int:
        from ml_connector_adapters.runner.container import open_vault

        async with open_vault(one_workspace(config)) as vault:
            count = await vault.forget_all()
        answer(f"forgot {count}; set every secret anew")
        return 0

    return run(task)


@app.command
def rotate(*, config: Config = None) -> int:
    """Wrap every secret's own key anew with a new master key.

    The key file beside the state is renewed by itself. A key of yours (ML_CONNECTOR_KEY or a file): put the new one before the
    old one, separated by a comma, run this, then take the old one away.
    """

    async def task() -> int:
        from ml_connector_adapters.runner.container import open_vault

        async with open_vault(one_workspace(config)) as vault:
            count = await vault.rotate()
            answer(f"wrapped {count} secrets with a new master key; {vault.key_origin}")
        return 0

    return run(task)
