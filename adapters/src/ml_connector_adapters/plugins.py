"""Loads plugins one by one, as if they were hostile: a broken one is reported, and the others go on."""

import os
import re
import traceback
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, NamedTuple

import msgspec
import pluggy

from ml_connector import hookspecs
from ml_connector.system import API_VERSION, SystemSpec

TRACEBACK: Final = "ML_CONNECTOR_PLUGIN_TRACEBACK"
"""Environment variable for plugin authors: set to 1, every report carries its traceback."""

_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Failure(NamedTuple):
    """An entry point that could not be used, wholly or for one system."""

    entry_point: str
    distribution: str
    reason: str


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """What is installed: systems by name in alphabetical order, and what failed to load."""

    systems: dict[str, SystemSpec]
    failures: tuple[Failure, ...]


class _Unfit(Exception):
    """What a plugin offers cannot be used; the message says why, for its author and its user."""


def discover() -> Discovery:
    """Ask every installed distribution for its systems. Never raises over a plugin.

    Of two that claim the same name, the one whose distribution comes first in the alphabet has it; the other is reported.
    """
    systems: dict[str, SystemSpec] = {}
    owners: dict[str, str] = {}
    failures: list[Failure] = []
    for entry in sorted(entry_points(group=hookspecs.PROJECT), key=lambda entry: (_distribution(entry), entry.name)):
        distribution = _distribution(entry)
        try:
            offered = _systems_of(entry)
        except (Exception, SystemExit) as error:  # whatever a stranger's import does must stay the stranger's trouble
            failures.append(Failure(entry.name, distribution, _reason(error)))
            continue
        for spec in offered:
            unfit = _unfit(spec)
            if unfit is None and spec.name in systems:
                unfit = f'"{spec.name}" is already offered by {owners[spec.name]}. Uninstall one of the two'
            if unfit is not None:
                failures.append(Failure(entry.name, distribution, unfit))
                continue
            systems[spec.name], owners[spec.name] = spec, distribution
    return Discovery(systems=dict(sorted(systems.items())), failures=tuple(failures))


def _systems_of(entry: EntryPoint) -> list[SystemSpec]:
    """Load one entry point with a manager of its own, so that its mistakes stay its own."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(entry.load(), name=entry.name)
    manager.check_pending()  # a misspelt hook name is silent without this
    answers: list[Any] = manager.hook.ml_connector_systems()
    if not answers:
        raise _Unfit("it offers no system: it has no ml_connector_systems marked with @hookimpl")
    offered: list[SystemSpec] = []
    for answer in answers:
        if not isinstance(answer, Iterable):  # pluggy checks names, never types
            raise _Unfit(f"ml_connector_systems returned {type(answer).__name__}, not a list of SystemSpec")
        for spec in answer:
            if not isinstance(spec, SystemSpec):
                raise _Unfit(f"ml_connector_systems listed {type(spec).__name__}, not SystemSpec")
            offered.append(spec)
    return offered


def _unfit(spec: SystemSpec) -> str | None:
    """Why a system cannot be used, None if it can. Structs built in Python are not checked by msgspec."""
    if spec.api_version != API_VERSION:
        older = not isinstance(spec.api_version, int) or spec.api_version < API_VERSION
        return (
            f"{spec.name!r} was made for plugin API {spec.api_version}, and this program speaks {API_VERSION}. "
            f"Upgrade {'the plugin' if older else 'ml-connector'}"
        )
    if not isinstance(spec.name, str) or not _NAME.fullmatch(spec.name):
        return f"{spec.name!r} cannot name a system: small letters, digits and single hyphens can"
    if not (isinstance(spec.settings, type) and issubclass(spec.settings, msgspec.Struct)):
        return f'the settings of "{spec.name}" are no msgspec.Struct'
    if not isinstance(spec.connect, Callable):  # type: ignore[arg-type]
        return f'connect of "{spec.name}" cannot be called'
    return None


def _reason(error: BaseException) -> str:
    if os.environ.get(TRACEBACK) == "1":
        return "".join(traceback.format_exception(error)).rstrip()
    if isinstance(error, _Unfit):
        return str(error)
    told = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown distribution"
