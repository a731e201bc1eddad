"""One file is one workspace; a directory of files is many in one process."""

import os
import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from ml_connector.errors import ConfigError
from ml_connector.flows import Flow, in_order
from ml_connector.system import SystemSpec
from ml_connector_adapters.config.connections import ConnectionConfig, read_connection, system_of
from ml_connector_adapters.config.decode import BAD, Decoder, Mistakes, join, misspelt
from ml_connector_adapters.config.flows import FlowReader, check_circles
from ml_connector_adapters.config.kinds import shown
from ml_connector_adapters.words import nearest

ENVIRONMENT: Final = "ML_CONNECTOR_CONFIG"
DEFAULT: Final = Path("ml-connector.toml")
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]*"
"""What workspaces, connections and flows may be called: these names stand in commands, metrics and addresses."""

Table: TypeAlias = dict[str, str | int | bool | Decimal]
"""A lookup table for expressions: what stands at the source → what shall stand at the target."""

_SECTIONS: Final = ("workspace", "connections", "flows", "tables")


class WorkspaceTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What belongs together: connections, flows, and the state they share."""

    name: Annotated[str, Meta(pattern=f"^{NAME}$", description="Stands in logs, metrics and the addresses of notices.")]
    state: Annotated[
        str | None, Meta(description="Where state is kept: sqlite:///FILE beside this file, or postgresql://HOST/DATABASE.")
    ] = None
    public_url: Annotated[
        str | None, Meta(description="Where vendors reach the notice receiver; left out, changes are found by polling.")
    ] = None


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration file, checked. ``repr`` leaves out the state's address, which may hold a password."""

    name: str
    state: str  # SQLAlchemy's form; a sqlite path is absolute
    public_url: str | None  # without a slash at the end
    connections: dict[str, ConnectionConfig]
    flows: tuple[Flow, ...]  # each behind those it runs after
    tables: dict[str, Table]
    path: Path  # the file

    @property
    def base(self) -> Path:
        """The directory that relative paths in the file are relative to."""
        return self.path.parent

    def __repr__(self) -> str:
        return f"Workspace({self.name!r}, {len(self.connections)} connections, {len(self.flows)} flows, {str(self.path)!r})"


def find(explicit: Path | None) -> Path:
    """The file or directory to load: the one named, else the one in ML_CONNECTOR_CONFIG, else ./ml-connector.toml.

    Raises ConfigError when it is not there.
    """
    named = explicit or (Path(found) if (found := os.environ.get(ENVIRONMENT)) else None)
    path = named or DEFAULT
    if path.exists():
        return path
    origin = "" if explicit or named is None else f", named by {ENVIRONMENT},"
    raise ConfigError(
        f"{path}{origin} is not there" if named else f"there is no {DEFAULT} here",
        fix="Run: ml-connector init FROM TO, or name a file with --config",
    )


def load(path: Path, systems: Mapping[str, SystemSpec]) -> list[Workspace]:
    """The workspaces of a file, or of every ``*.toml`` of a directory in alphabetical order.

    Raises ConfigError with every mistake of every file, one per line of ``mistakes``.
    """
    files = sorted(found for found in path.glob("*.toml") if not found.name.startswith(".")) if path.is_dir() else [path]
    if not files:
        raise ConfigError("there is no *.toml in this directory", where=str(path), fix="Run: ml-connector init FROM TO")
    mistakes: list[str] = []
    workspaces: list[Workspace] = []
    owners: dict[str, str] = {}
    for file in files:
        told = Mistakes(f"{file.name}: " if path.is_dir() else "")
        workspace = _read(file, systems, told)
        if workspace is not None:
            first = owners.setdefault(workspace.name, file.name)
            if first != file.name:
                told.add("workspace.name", f'"{workspace.name}" is already the name of {first}. Choose another')
            workspaces.append(workspace)
        mistakes += told.lines
    if mistakes:
        count = "one mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        lines = "".join(f"\n  {line}" for line in mistakes)
        raise ConfigError(f"{count}{lines}", where=str(path), mistakes=tuple(mistakes))
    return workspaces


def _read(file: Path, systems: Mapping[str, SystemSpec], mistakes: Mistakes) -> Workspace | None:
    """One file. None if there is not even a workspace to speak of; with other mistakes what could be read."""
    found = _parse(file, mistakes)
    if found is None:
        return None
    decoder, found = Decoder(mistakes), _known_sections(found, mistakes)
    head = decoder.struct(found.get("workspace", {}), WorkspaceTable, "workspace")
    state, public_url = ("", None) if head is BAD else (_state(head, file, mistakes), _public_url(head, mistakes))
    raw_connections = _section(found, "connections", mistakes)
    raw_flows = _section(found, "flows", mistakes)
    raw_tables = _section(found, "tables", mistakes)
    if "connections" not in found:
        mistakes.add("connections", "missing. Expected a table for each system: [connections.NAME]")
    connections = {name: read_connection(name, one, systems, decoder) for name, one in raw_connections.items()}
    tables = {name: _table(one, join("tables", name), mistakes) for name, one in raw_tables.items()}
    specs = {name: system_of(one, systems) for name, one in raw_connections.items()}
    reader = FlowReader(decoder, specs, tables, raw_flows)
    flows = [flow for name, one in raw_flows.items() if (flow := reader.read(name, one)) is not None]
    check_circles(reader.after, decoder)
    if head is BAD:
        return None
    return Workspace(
        name=head.name,
        state=state,
        public_url=public_url,
        connections={name: one for name, one in connections.items() if one is not None},
        flows=() if len(mistakes) else tuple(in_order(flows)),
        tables=tables,
        path=file,
    )


def _parse(file: Path, mistakes: Mistakes) -> dict[str, Any] | None:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        mistakes.add("", f"this is not TOML: {error}")
    except UnicodeDecodeError as error:
        mistakes.add("", f"this is not UTF-8 (byte {error.start + 1}). Save the file as UTF-8")
    except OSError as error:
        mistakes.add("", f"it cannot be read: {error.strerror}")
    return None


def _known_sections(found: dict[str, Any], mistakes: Mistakes) -> dict[str, Any]:
    """The sections there are. A misspelt one is told, and then read as what it means."""
    known = {name: content for name, content in found.items() if name in _SECTIONS}
    for name, content in found.items():
        if name not in _SECTIONS:
            mistakes.add(join("", name), f"unknown section{nearest(name, _SECTIONS)}")
            for meant in misspelt([name], _SECTIONS):
                known.setdefault(meant, content)
    return known


def _section(found: Mapping[str, Any], section: str, mistakes: Mistakes) -> dict[str, Any]:
    """Name → whatever stands there, of one of the sections that hold named tables."""
    named = found.get(section, {})
    if not isinstance(named, dict):
        mistakes.add(section, f"found {shown(named, section)}. Expected a table for each: [{section}.NAME]")
        return {}
    for name in named:
        if section != "tables" and not re.fullmatch(NAME, name):
            mistakes.add(join(section, name), "this cannot be a name. Letters, digits, - and _ can")
    return named


def _table(found: Any, path: str, mistakes: Mistakes) -> Table:
    """The good entries. Checked by hand: msgspec has no union of text and exact number."""
    if not isinstance(found, dict):
        mistakes.add(path, f"found {shown(found, path)}. Expected a table")
        return {}
    good = {key: value for key, value in found.items() if isinstance(value, (str, int, Decimal))}
    for key, value in found.items():
        if key not in good:
            mistakes.add(join(path, key), f"found {shown(value, path)}. Expected a text, a number, true or false")
    return good


def _state(head: WorkspaceTable, file: Path, mistakes: Mistakes) -> str:
    """The address of the state. It may hold a password, so that messages name its beginning alone."""
    state = head.state if head.state is not None else f"sqlite:///{head.name}.db"
    scheme, there, rest = state.partition("://")
    if there and scheme == "postgresql":
        if find_spec("asyncpg") is None:
            mistakes.add("workspace.state", "PostgreSQL's driver is missing. Run: pip install 'ml-connector[postgres]'")
        return state
    if scheme == "sqlite" and rest.startswith("/") and (name := rest[1:].partition("?")[0]) and name != ":memory:":
        absolute = (file.parent / name).resolve().as_posix()
        return f"sqlite:///{absolute}{rest[1 + len(name) :]}"
    if scheme == "sqlite":
        told = "it names no file, and what is kept in memory is lost at the end"
    else:
        told = f'"{scheme[:20]}" is no database for state' if there else "this is no address of a database"
    mistakes.add("workspace.state", f"{told}. Write sqlite:///FILE.db or postgresql://HOST/DATABASE")
    return state


def _public_url(head: WorkspaceTable, mistakes: Mistakes) -> str | None:
    if head.public_url is None:
        return None
    if not re.match(r"https?://[^/?#@\s]+(/[^?#\s]*)?$", head.public_url, re.IGNORECASE):
        mistakes.add("workspace.public_url", "this is no plain address. Write https://HOST, with a path at most")
    return head.public_url.rstrip("/")
