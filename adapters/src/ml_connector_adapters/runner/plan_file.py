"""A plan as a file: JSON lines that a person can read, and a digest at the end, so that one edited by hand is not applied.

The first line says what the plan is of, each further one is a step, the last has the number of steps and the SHA-256 of all
bytes before it. Steps hold customers' data: the file is made readable by its owner alone.
"""

import os
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Final, Self

import msgspec

from ml_connector.errors import ConfigError
from ml_connector.use_cases.plan_flow import Step

FORMAT: Final = 1
_AGAIN: Final = "Make a new one: ml-connector plan --out FILE"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    plan: int
    workspace: str
    made_at: datetime
    flows: Mapping[str, str]  # name → signature of what the configuration said


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    flow: str
    step: Step


class _Foot(msgspec.Struct, frozen=True, kw_only=True):
    steps: int
    sha256: str


_out: Final = msgspec.json.Encoder()


class PlanWriter:
    """Writes a plan, step by step; the file is whole only once the block ended without an error."""

    def __init__(self, path: Path, head: Head) -> None:
        self._path, self._head, self._hash, self._count = path, head, sha256(), 0

    def __enter__(self) -> Self:
        try:
            opened = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise ConfigError(f"The plan cannot be written: {error.strerror}", where=str(self._path)) from error
        self._file: IO[bytes] = os.fdopen(opened, "wb")
        self._line(self._head)
        return self

    def add(self, flow: str, step: Step) -> None:
        self._line(_Row(flow=flow, step=step))
        self._count += 1

    def _line(self, value: object) -> None:
        line = _out.encode(value) + b"\n"
        self._hash.update(line)
        self._file.write(line)

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._file.write(_out.encode(_Foot(steps=self._count, sha256=self._hash.hexdigest())) + b"\n")
        self._file.close()


def read_plan(path: Path) -> tuple[Head, dict[str, list[Step]]]:
    """The plan's head and its steps by flow. Raises ConfigError for a file that is none, is cut off, or was edited."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise ConfigError(f"The plan cannot be read: {error.strerror}", where=str(path)) from error
    try:
        head = msgspec.json.decode(lines[0], type=Head)
    except (IndexError, msgspec.MsgspecError):
        raise ConfigError("This is no plan", fix=_AGAIN, where=str(path)) from None
    if head.plan != FORMAT:
        raise ConfigError(f"A plan of format {head.plan}; this program knows {FORMAT}", fix=_AGAIN, where=str(path))
    try:
        foot = msgspec.json.decode(lines[-1], type=_Foot)
    except msgspec.MsgspecError:
        raise ConfigError("The plan is cut off: its last line is missing", fix=_AGAIN, where=str(path)) from None
    body = lines[:-1]
    if sha256(b"".join(body)).hexdigest() != foot.sha256 or len(body) - 1 != foot.steps:
        raise ConfigError("The plan was edited after it was made; nothing was applied", fix=_AGAIN, where=str(path))
    steps: dict[str, list[Step]] = {name: [] for name in head.flows}
    for line in body[1:]:
        row = msgspec.json.decode(line, type=_Row)
        steps[row.flow].append(row.step)
    return head, steps
