"""What all commands share: finding the configuration, opening a workspace, printing an answer."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

from cyclopts import Parameter

from ml_connector.errors import ConfigError

if TYPE_CHECKING:
    from ml_connector.flows import Flow
    from ml_connector.ports.state import Change, Run
    from ml_connector_adapters.config import Workspace
    from ml_connector_adapters.runner.container import Opened

T = TypeVar("T")

Config: TypeAlias = Annotated[
    Path | None,
    Parameter(name="--config", env_var="ML_CONNECTOR_CONFIG", help="Configuration file, or a directory of them."),
]
Json: TypeAlias = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for programs.")]


def complain(text: str) -> None:
    """One line for people, on stderr."""
    print(text, file=sys.stderr)


def answer(text: str) -> None:
    """Part of the command's answer, on stdout."""
    print(text)


def answer_json(value: Any) -> None:
    import msgspec

    answer(json.dumps(msgspec.to_builtins(value), indent=2, ensure_ascii=False))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their widest cell: plain text, so that it can be piped and diffed."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [list(headings), *cells]) for column in range(len(headings))]
    for row in [list(headings), *cells]:
        answer("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


TERMS = ("read", "written", "unchanged", "echoed", "skipped", "parked", "rejected", "conflicted", "unknown")


def ledger(runs: "Iterable[Run]") -> None:
    """The runs' counts, one row each."""
    table(
        ("flow", "outcome", *TERMS, "trace"),
        [(each.flow, each.outcome, *(getattr(each.counts, term) for term in TERMS), each.trace_id) for each in runs],
    )


def shown(value: Any) -> str:
    """A field's value as the audit keeps it, for people: money, references and lines in words, anything else as JSON."""
    import msgspec

    if value is msgspec.UNSET or value == "UNSET":
        return "(unknown)"
    match value := msgspec.json.decode(msgspec.json.encode(value)):
        case {"amount": str(amount), "currency": str(currency), **rest} if not rest:
            return f"{amount} {currency}".rstrip()  # a price in the price list's own currency names none
        case {"kind": str(kind), "key": str(key), **rest} if not rest:
            return f"{kind} {key}"
        case {"key": str()}:
            return "{" + ", ".join(f"{name}: {shown(part)}" for name, part in value.items() if part is not None) + "}"
        case [{"key": str()}, *_]:
            return f"[{', '.join(map(shown, value))}]"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def in_words(change: "Change") -> "Iterator[str]":
    """A change for people: "phone: old → new"; of lines only what changed, line by line: "lines[2].quantity: "3" → "29" "."""
    from msgspec import UNSET

    old, new = _by_key(change.old), _by_key(change.new)
    if old is None or new is None or not (old or new):
        yield f"{change.field}: {shown(change.old)} → {shown(change.new)}"
        return
    for key in dict.fromkeys((*old, *new)):
        was, now, line = old.get(key), new.get(key), f"{change.field}[{key}]"
        if was is None or now is None:
            before = "(unknown)" if change.old is UNSET else "no line"
            yield f"{line}: {before if was is None else shown(was)} → {'no line' if now is None else shown(now)}"
            continue
        for name in dict.fromkeys((*was, *now)):
            if name in now and was.get(name) != now[name]:
                yield f"{line}.{name}: {shown(was.get(name, UNSET))} → {shown(now[name])}"


def _by_key(value: Any) -> dict[str, dict[str, Any]] | None:
    """Lines as the audit keeps them, by their keys; nothing where none are known; None for anything else."""
    import msgspec

    if value is msgspec.UNSET:
        return {}
    lines = msgspec.json.decode(msgspec.json.encode(value))
    if not isinstance(lines, list) or not all(isinstance(line, dict) and "key" in line for line in lines):
        return None
    return {str(line["key"]): line for line in lines}


def aware(when: datetime | None) -> datetime | None:
    """A time that a person gave: UTC unless it says otherwise."""
    return when.replace(tzinfo=UTC) if when is not None and when.tzinfo is None else when


def workspaces(config: Path | None) -> "list[Workspace]":
    """Every workspace of the configuration. Raises ConfigError with all mistakes."""
    from ml_connector_adapters import config as files
    from ml_connector_adapters.plugins import discover

    return files.load(files.find(config), discover().systems)


def one_workspace(config: Path | None) -> "Workspace":
    found = workspaces(config)
    if len(found) != 1:
        names = ", ".join(sorted(workspace.name for workspace in found))
        raise ConfigError(
            f"this command works on one workspace, the directory holds {names}", fix="Name its file: --config FILE"
        )
    return found[0]


@asynccontextmanager
async def opened(config: Path | None) -> "AsyncIterator[Opened]":
    """The configured workspace with its state and connections, closed again at the end."""
    from ml_connector_adapters.runner.container import open_workspace

    async with open_workspace(one_workspace(config)) as workspace:
        yield workspace


def chosen(flows: "Sequence[Flow]", names: Sequence[str]) -> "list[Flow]":
    """The named flows in running order; all of them when none is named."""
    from ml_connector_adapters.words import nearest

    known = {flow.name: flow for flow in flows}
    unknown = [f'no flow "{name}"{nearest(name, known)}' for name in names if name not in known]
    if unknown:
        raise ConfigError(unknown[0], mistakes=tuple(unknown))
    return [flow for flow in flows if not names or flow.name in names]


def run(task: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine to its end, telemetry shut down behind it."""

    async def whole() -> T:
        return await task()

    return asyncio.run(whole())


@contextmanager
def stopping(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM finish the batch in hand; a second SIGINT interrupts."""
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)
        complain("finishing the batch in hand; once more to interrupt")

    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, asked)
    try:
        yield
    finally:
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(name)
