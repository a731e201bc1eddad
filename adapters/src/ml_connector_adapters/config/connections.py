"""``[connections.NAME]``: which system, and its plugin's own settings."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ml_connector.system import SystemSpec
from ml_connector_adapters.config.decode import BAD, Decoder, join
from ml_connector_adapters.config.kinds import shown
from ml_connector_adapters.words import nearest

PUBLISHED: Final = ("dynamics365-sales", "ifs-cloud", "oracle-fusion", "pipedrive", "qad", "zoho-crm")
"""Systems whose plugins exist, each as the package ``ml-connector-NAME``."""


class ConnectionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One configured system. ``settings`` is an instance of ``system.settings``; secrets in it are references."""

    name: str
    system: SystemSpec
    settings: msgspec.Struct


def read_connection(name: str, found: Any, systems: Mapping[str, SystemSpec], decoder: Decoder) -> ConnectionConfig | None:
    """The connection, or None when it has mistakes."""
    path = join("connections", name)
    spec = system_of(found, systems)
    if spec is None:
        decoder.mistakes.add(*_no_system(found, path, systems))
        return None
    settings = decoder.struct({key: value for key, value in found.items() if key != "system"}, spec.settings, path)
    return None if settings is BAD else ConnectionConfig(name=name, system=spec, settings=settings)


def system_of(found: Any, systems: Mapping[str, SystemSpec]) -> SystemSpec | None:
    """The installed system that a connection's table names, whatever else is wrong with the table."""
    system = found.get("system") if isinstance(found, dict) else None
    return systems.get(system) if isinstance(system, str) else None


def _no_system(found: Any, path: str, systems: Mapping[str, SystemSpec]) -> tuple[str, str]:
    installed = f"Installed: {', '.join(sorted(systems)) or 'no plugin'}"
    if not isinstance(found, dict):
        return path, f"found {shown(found, path)}. Expected a table"
    path, system = f"{path}.system", found.get("system")
    if system is None:
        return path, f"missing. {installed}"
    if system in PUBLISHED:
        return path, f'"{system}" is not installed. Run: pip install ml-connector-{system}. {installed}'
    hint = nearest(str(system), {*systems, *PUBLISHED})
    hint = hint if "Did you mean" in hint else ""
    return path, f"{shown(system, path)} is not installed{hint or '.'} {installed}"
