"""The chapters of the demo, and what each found wanting."""

import asyncio
import json
import time
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.markup import escape

from ml_connector.twin import Desk, Fault, Twin
from ml_connector_adapters.runner.demo.program import TERMS, Program, say
from ml_connector_adapters.runner.demo.views import COMPARED, Facts, Strand, differing, strands

EDITED: Final = (10, 25)
"""How many records of the first and of the other kinds people edit."""
CRM_LAG_S: Final = 2.5
STORM_RATE: Final = 0.02
STORM: Final = (
    Fault("status", status=429, retry_after="1"),
    Fault("status", status=500),
    Fault("lost_after"),
    Fault("lost_before"),
)
"""What any request may meet during the storm; tokens expiring and a page of garbage are scripted on top, once each."""


class Over(Exception):
    """The story cannot go on."""


class Story:
    """The steps between ``twins``, by system, ERP first. What people begin on the side that the recipe's first flow reads
    is made up in bulk, edited and compared in full; what flows the other way is tried with single records. ``thorough``: the
    program's own ``reconcile`` is run as well, which reads everything once more.
    """

    def __init__(
        self, program: Program, twins: Mapping[str, Twin], records: int, recipe: str, *, thorough: bool = False
    ) -> None:
        self._thorough = thorough
        self._program, self._twins, self._records = program, list(twins.values()), records
        flows = strands(tomllib.loads(recipe), twins)
        self._first = flows[0].source
        self._other = next(twin for twin in self._twins if twin is not self._first)
        filled = ("account", "order") if any(flow.entity == "order" for flow in flows) else ("account", "contact")
        self._flows = [flow for flow in flows if flow.source is self._first and flow.entity in COMPARED and not flow.updates]
        self._edited = [flow for kind in filled for flow in self._flows if flow.entity == kind]
        self._back = [flow for flow in flows if flow.source is not self._first or flow.two_way]
        self._numbered = [flow for flow in self._back if flow.two_way or any(other.returns(flow) for other in flows)]
        self._wrong: list[str] = []
        self._began = time.monotonic()

    async def tell(self) -> int:
        """Every chapter; 0 when nothing was found wanting."""
        try:
            await self._chapters()
        except Over as over:
            self._must(False, str(over))
        seconds = time.monotonic() - self._began
        calls = " + ".join(f"{calls:,}" for calls in self._program.calls) + " calls"
        if self._wrong:
            say.print(f"\n[bold red]Something is wrong[/] after {seconds:.0f} s, {calls}:")
            for wrong in self._wrong:
                say.print(f"  {wrong}", markup=False)
            return 1
        say.print(f"\n[bold green]Both sides agree[/] after {seconds:.0f} s, {calls}.")
        return 0

    async def _chapters(self) -> None:
        more = self._records * 5 // 2
        self._first.fill(self._records, more)
        await self._prepare()
        self._chapter(f"First load: {self._records:,} accounts, {more:,} other records")
        await self._sync()
        self._chapter("Again, with nothing changed: nothing is written")
        before = self._holdings()
        runs = await self._sync()
        self._must(not any(run["counts"]["written"] for run in runs), "the second run wrote something")
        self._must(self._holdings() == before, "the second run changed what stands over there")
        await self._edits()
        if any(isinstance(flow.target if flow.two_way else flow.source, Desk) for flow in self._back):
            await self._ways_back()
        await self._storm()
        await self._compare()
        if self._thorough:
            await self._reconcile()
        await self._tell_one()
        code, told = await self._program.run("audit", "verify")
        self._must(code == 0, f"the audit does not verify: {told}")
        say.print(told.strip())

    async def _prepare(self) -> None:
        for twin in self._twins:
            for name, value in twin.secrets().items():
                code, _ = await self._program.run("secrets", "set", name, stdin=value)
                if code != 0:
                    raise Over(f"the secret {name} was not kept")
        code, told = await self._program.run("ping", "--fix")
        say.print(told.strip(), markup=False)
        if code != 0:
            raise Over("a system is not fit")

    async def _edits(self) -> None:
        counts = dict(zip([flow.name for flow in self._edited], EDITED, strict=False))
        told = " and ".join(f"{counts[flow.name]} {flow.entity}s" for flow in self._edited)
        self._chapter(f"People edit {told}: exactly those arrive")
        before, wanted = self._holdings(), self._wanted()
        touched = {flow.name: flow.edit(counts[flow.name], seed=1) for flow in self._edited}
        news = self._wanted()
        await self._settled()
        await self._sync()
        after, refused = self._holdings(), await self._refused("parked")
        for flow in self._edited:
            was, now = before[flow.name], after[flow.name]
            arrived = {number for number, facts in now.items() if was.get(number) != facts}
            shown = next(iter(now.values()), {}).keys()
            moved = {
                number
                for number in touched[flow.name]
                if any(
                    wanted[flow.name].get(number, {}).get(name) != news[flow.name].get(number, {}).get(name) for name in shown
                )
            }
            shows = moved - refused.keys()
            self._must(arrived == shows, f"edited {flow.entity}s {shows ^ arrived} did not arrive alone")
            unseen = len(touched[flow.name]) - len(shows)
            told = f", {unseen} in what the other side has no place for" if unseen else ""
            say.print(f"{flow.entity}: {len(touched[flow.name])} edited{told}, {len(arrived)} arrived")

    async def _ways_back(self) -> None:
        self._chapter("And the way back: what people begin or move over there")
        for flow in self._back:
            desk, goal = (flow.target, flow.source) if flow.two_way else (flow.source, flow.target)
            here, there = (flow.shown, flow.entity) if flow.two_way else (flow.entity, flow.shown)
            if not isinstance(desk, Desk):
                continue
            if flow.updates:
                await self._moved(flow, desk)
            else:
                await self._entered(flow, desk, here, goal, there)

    async def _entered(self, flow: Strand, desk: Twin, here: str, goal: Twin, there: str) -> None:
        """A record that a person enters arrives once, what both sides tell of it agrees, and its number comes back."""
        assert isinstance(desk, Desk)
        before = dict(goal.facts(there))
        customers = next(other for other in self._flows if other.entity == "account")
        customer = next(iter(sorted(customers.wanted().keys() & customers.held().keys())))
        made = desk.enters(here, customer=customer)
        await self._sync()
        await self._sync()
        new = {number: facts for number, facts in goal.facts(there) if number not in before}
        self._must(len(new) == 1, f"{flow.name}: {here} {made} arrived as {len(new)} {there}s")
        for number, facts in new.items():
            theirs = {name: one for name in ("customer", "account") if (one := facts.get(name)) is not None}
            self._must(all(one == customer for one in theirs.values()), f"{there} {number} is not of {customer}")
            lines = facts.get("lines")
            told = f", {len(lines)} lines" if isinstance(lines, tuple | list) else ""
            if flow in self._numbered:
                self._must(number in dict(desk.facts(here)), f"{here} {made} was not told its number {number}")
                told += ", and knows its number"
            say.print(f"{flow.name}: {here} {made} came to stand as {there} {number}{told}")

    async def _moved(self, flow: Strand, desk: Desk) -> None:
        """A stage that a person moves sets the status over there, once."""
        stage, status = next((stage, status) for stage, status in flow.moves.items() if status == "Released")
        shown = next(other for other in self._flows if other.entity == flow.shown and other.shown == flow.entity)
        planned = {number for number, facts in flow.target.facts(flow.shown) if facts["status"] == "Planned"}
        number = min(planned & shown.held().keys())
        desk.moves(flow.entity, number, stage)
        await self._sync()
        now = dict(flow.target.facts(flow.shown))[number]["status"]
        self._must(now == status, f"{flow.shown} {number} is {now} and not {status}")
        say.print(f'{flow.name}: {flow.entity} {number} was moved to "{stage}", and its {flow.shown} is {now}')

    async def _settled(self) -> None:
        """CRMs tell changes by time, and what happened in this very second is told later."""
        if self._first is not self._twins[0]:
            await asyncio.sleep(CRM_LAG_S)

    async def _storm(self) -> None:
        share = max(1, self._records // 5)
        counts = dict(zip([flow.name for flow in self._edited], (share, 2 * share), strict=False))
        told = " and ".join(f"{counts[flow.name]} {flow.entity}s" for flow in self._edited)
        self._chapter(f"A storm over {told} that people edited, and the process is killed in the middle")
        for seed, flow in enumerate(self._edited, 2):
            flow.edit(counts[flow.name], seed=seed)
        reveal = getattr(self._first, "reveal_late_customer", None)
        if reveal is not None:
            reveal()
        for seed, twin in enumerate(self._twins):
            twin.faults.storm(seed, STORM_RATE, STORM)
            twin.faults.add(Fault("expire_tokens", skip=5), Fault("garbage", method="GET", skip=3))
        seen = len(self._other.calls)
        run = await self._program.start("sync", "--json")
        while run.returncode is None and len(self._other.calls) < seen + 6:  # noqa: ASYNC110 - another process is watched
            await asyncio.sleep(0.02)
        if run.returncode is None:
            run.kill()
            say.print("[bold]killed with SIGKILL[/], and started again")
        await run.wait()
        for attempt in range(8):
            if attempt == 4:
                self._calm()
            code, _ = await self._program.run("sync", "--json")
            if code in (0, 1):
                break
            say.print(f"the vendors are out; exit code {code}, the next run goes on from there")
        self._calm()
        struck = [kind for twin in self._twins for kind, _ in twin.faults.struck]
        say.print("struck: " + ", ".join(f"{struck.count(kind)} {kind}" for kind in sorted(set(struck))))
        await self._sync()
        runs = await self._sync()
        self._must(not any(run["counts"]["written"] for run in runs), "it does not come to rest after the storm")

    def _calm(self) -> None:
        for twin in self._twins:
            twin.faults.calm()

    async def _refused(self, *more: str) -> dict[str, str]:
        """Records that a vendor refuses for good, by number, with its words: an order that is closed there, say. ``more``:
        those of these standings too.
        """
        _, told = await self._program.run("failures", "list", "--json")
        set_aside = [each for each in json.loads(told) if each["standing"] in ("rejected", *more)]
        for each in set_aside:
            say.print(f"{each['standing']}: {each['number']}: {each['trouble']['reason'][:100]}", markup=False)
        return {each["number"]: each["trouble"]["reason"] for each in set_aside}

    async def _compare(self) -> None:
        """Every record on both sides, from the twins' own tables."""
        self._chapter("Both sides compared in full")
        refused = await self._refused()
        for flow in self._flows:
            wanted, held = flow.wanted(), flow.held()
            kind = flow.shown
            self._report(kind, "missing", wanted.keys() - held.keys() - refused.keys())
            self._report(kind, "extra", held.keys() - wanted.keys())
            apart = list(differing({number: facts for number, facts in wanted.items() if number not in refused}, held))
            self._report(kind, "differing", apart)
            say.print(f"{kind}: {len(wanted):,} here, {len(held):,} there, {len(apart)} differ")

    async def _reconcile(self) -> None:
        """The program's own comparison comes to the same."""
        refused = await self._refused()
        for flow in self._edited:
            code, told = await self._program.run("reconcile", flow.name, "--json")
            found = [line for line in told.splitlines() if json.loads(line).get("number") not in refused]
            self._must(code == 0 or not found, f"reconcile {flow.name} finds {found[:3]}")

    def _report(self, kind: str, fault: str, found: Iterable[str]) -> None:
        found = sorted(found)
        self._must(not found, f"{len(found)} {kind}s {fault}: {', '.join(found[:5])}")

    async def _tell_one(self) -> None:
        self._chapter("One record's story")
        flow = self._edited[-1]
        [number] = flow.edit(1, seed=4)
        await self._settled()
        await self._sync()
        code, told = await self._program.run("explain", flow.entity, number)
        self._must(code == 0 and "trace" in told, f"{flow.entity} {number} has no story")
        say.print(told.strip(), markup=False)

    def _holdings(self) -> dict[str, Facts]:
        return {flow.name: flow.held() for flow in self._flows}

    def _wanted(self) -> dict[str, Facts]:
        return {flow.name: flow.wanted() for flow in self._flows}

    async def _sync(self) -> list[dict[str, Any]]:
        """One run of every flow, whose ledger adds up."""
        code, runs = await self._program.sync()
        self._must(code in (0, 1), f"a run ended with exit code {code}")
        for run in runs:
            counts = run["counts"]
            self._must(
                counts["read"] == sum(counts[term] for term in TERMS[1:]), f"the ledger of {run['flow']} does not add up"
            )
        return runs

    def _chapter(self, title: str) -> None:
        say.print(f"\n[bold]{title}[/]")

    def _must(self, holds: bool, wrong: str) -> None:
        if not holds:
            self._wrong.append(wrong)
            say.print(f"[bold red]{escape(wrong)}[/]")
