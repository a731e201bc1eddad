"""Twins by the name of their system, and their settings as a configuration file has them."""

import json
import re

from ml_connector.errors import ConfigError
from ml_connector.twin import Twin
from ml_connector_adapters.plugins import discover


def make_twin(system: str) -> Twin:
    """A fresh twin. Raises ConfigError when the system is not installed, has no twin, or lacks what the twin needs."""
    found = discover().systems
    if system not in found:
        raise ConfigError(f'no system "{system}" is installed', fix=f"There are: {', '.join(sorted(found)) or 'none'}")
    make = found[system].twin
    if make is None:
        raise ConfigError(f"{system} ships no twin")
    try:
        return make()
    except ImportError as error:
        raise ConfigError(
            f"the twin of {system} needs {error.name}", fix=f"pip install 'ml-connector-{system}[twin]'"
        ) from error


def toml(value: object) -> str:
    """A value of the configuration, a table among them, as it stands in the file on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(name)} = {toml(part)}" for name, part in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
