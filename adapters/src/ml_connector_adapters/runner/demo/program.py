"""The program as an operator starts it: processes of its own in a working directory, one of which is killed on purpose."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_connector.twin import Twin
from ml_connector_adapters.runner.demo.words import MEANT, counted, listed, rows, say, show, sum_of


class Program:
    """Runs ``ml-connector`` in ``home``; ``twins``, by the connections' names, count its calls before the reader's eyes."""

    def __init__(self, home: Path, twins: Mapping[str, Twin]) -> None:
        self.home, self._twins = home, twins
        self._meant: set[str] = set()  # terms of the ledger that were explained

    @property
    def calls(self) -> dict[str, int]:
        """How many each connection's vendor has answered so far."""
        return {name: len(twin.calls) for name, twin in self._twins.items()}

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
                status.update(f"{command} · {self._since(began)}")
        out, complaints = await waiting
        show(complaints.decode().strip(), style="yellow")
        assert process.returncode is not None
        return process.returncode, out.decode()

    async def sync(self, *, brief: bool = False) -> tuple[int, list[dict[str, Any]]]:
        """One run of every flow: exit code and ledgers, which are shown; ``brief``: of flows that had something to do."""
        began, calls = time.monotonic(), self.calls
        code, told = await self.run("sync", "--json")
        results = json.loads(told) if told.strip() else []
        runs: list[dict[str, Any]] = [result["run"] for result in results if result["run"]]
        self._show(runs, brief=brief)
        show(f"  in {time.monotonic() - began:.1f} s, {self._since(calls)}", style="dim")
        return code, runs

    def _since(self, before: Mapping[str, int]) -> str:
        return listed(f"{counted(now - before[name], 'call')} to {name}" for name, now in self.calls.items())

    def _show(self, runs: list[dict[str, Any]], *, brief: bool) -> None:
        told = [run for run in runs if not (brief and _idle(run))]
        for line in rows([(run["flow"], run["outcome"], sum_of(run["counts"])) for run in told]) if told else ():
            show(line)
        if brief and (idle := [run["flow"] for run in runs if _idle(run)]):
            show(f"  nothing to do in {listed(idle) if told else 'any flow'}")
        for term in MEANT:
            if term not in self._meant and any(run["counts"][term] for run in told):
                self._meant.add(term)
                show(f"  ({term}: {MEANT[term]})", style="dim")


def _idle(run: Mapping[str, Any]) -> bool:
    counts: Mapping[str, int] = run["counts"]
    return bool(run["outcome"] == "green") and counts["read"] == counts["unchanged"] + counts["echoed"]
