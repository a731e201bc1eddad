"""What a plugin offers (SystemSpec), what one configured system can do (Connection), and what it is lent (Host)."""

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from random import Random
from typing import Any, Final, Protocol

import msgspec

from ml_connector.domain import Kind
from ml_connector.ports.clock import Clock
from ml_connector.ports.fitness import Fitness
from ml_connector.ports.notices import Notices
from ml_connector.ports.secrets import Secrets, Tokens
from ml_connector.ports.sink import Sink
from ml_connector.ports.source import Source
from ml_connector.twin import Twin

API_VERSION: Final = 1


class Host(Protocol):
    """What the program lends a plugin, so that a plugin opens nothing by itself."""

    @property
    def connection(self) -> str:
        """The connection's name in the configuration: for errors, tokens and telemetry."""
        ...

    @property
    def clock(self) -> Clock: ...

    @property
    def random(self) -> Random:
        """Chance, for the jitter of back-off; a simulation's comes from its seed."""
        ...

    @property
    def secrets(self) -> Secrets: ...

    @property
    def tokens(self) -> Tokens: ...

    @property
    def transport(self) -> Any:
        """An httpx transport to use instead of the network (twins in process), or None."""
        ...


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """The abilities that one configured system has. What is absent here is not offered; nobody stubs it."""

    sources: Mapping[Kind, Source] = {}
    sinks: Mapping[Kind, Sink] = {}
    notices: Notices | None = None
    fitness: Fitness | None = None
    close: Callable[[], Awaitable[None]]


class SystemSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One external system that a distribution connects to."""

    name: str  # "zoho-crm": unique; used in configuration, metrics and the audit
    title: str  # "Zoho CRM", for people
    settings: type[msgspec.Struct]  # what the user writes in the configuration file, less ``system``
    connect: Callable[[Any, Host], Connection]  # builds adapters from settings; makes no call
    reads: tuple[Kind, ...] = ()  # for tables of abilities, without credentials
    writes: tuple[Kind, ...] = ()
    notices: bool = False
    twin: Callable[[], Twin] | None = None  # imported late, it may need the extra ``twin``
    recipes: Mapping[str, str] = {}  # other system's name → text of a commented configuration
    api_version: int = API_VERSION


def recipes_in(package: str) -> Mapping[str, str]:
    """The recipes that a package ships as ``recipes/NAME.toml``, by the other system's name."""
    entries = sorted((files(package) / "recipes").iterdir(), key=lambda entry: entry.name)
    found = [entry for entry in entries if entry.name.endswith(".toml")]
    return {entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8") for entry in found}
