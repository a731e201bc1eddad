"""The program as an operator starts it: processes of its own in a working directory, one of which is killed on purpose."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from ml_connector.ports.state import Counts
from ml_connector.twin import Twin

TERMS: Final = Counts.__struct_fields__
say: Final = Console(stderr=True, highlight=False)


class Program:
    """Runs ``ml-connector`` in ``home``; ``twins`` count its calls before the reader's eyes."""

    def __init__(self, home: Path, twins: Sequence[Twin]) -> None:
        self.home, self._twins = home, twins

    @property
    def calls(self) -> list[int]:
        return [len(twin.calls) for twin in self._twins]

    async def start(self, *arguments: str, stdin: bool = False) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ml_connector_adapters.runner.cli",
            *arguments,
            cwd=self.home,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str, stdin: str | None = None) -> tuple[int, str]:
        """One command to its end: exit code and output. Complaints are shown."""
        process = await self.start(*arguments, stdin=stdin is not None)
        waiting = asyncio.create_task(process.communicate(stdin.encode() if stdin is not None else None))
        began, command = self.calls, f"ml-connector {' '.join(arguments)}"
        with say.status(command) as status:
            while not waiting.done():
                await asyncio.wait([waiting], timeout=0.2)
                counts = " + ".join(f"{now - then:,}" for now, then in zip(self.calls, began, strict=True))
                status.update(f"{command} · {counts} calls")
        out, complaints = await waiting
        if complaints:
            say.print(complaints.decode().strip(), style="yellow", markup=False)
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def sync(self) -> tuple[int, list[dict[str, Any]]]:
        """One run of every flow: exit code and ledgers, which are shown."""
        began = time.monotonic()
        code, told = await self.run("sync", "--json")
        results = json.loads(told) if told.strip() else []
        runs: list[dict[str, Any]] = [result["run"] for result in results if result["run"]]
        for run in runs:
            counts = ", ".join(f"{term} {run['counts'][term]:,}" for term in TERMS if run["counts"][term])
            say.print(f"{run['flow']}: {run['outcome']}: {counts or 'nothing'}")
        say.print(f"[dim]{time.monotonic() - began:.1f} s[/]")
        return code, runs
