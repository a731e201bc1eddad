"""The chapters of the demo, and what each found wanting."""

import asyncio
import json
import time
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.markup import escape

from ml_connector.twin import Desk, Fault, Twin
from ml_connector_adapters.runner.demo.program import Program
from ml_connector_adapters.runner.demo.views import COMPARED, Facts, Strand, differing, strands
from ml_connector_adapters.runner.demo.words import STRUCK, TERMS, counted, fit_for_it, grouped, listed, plural, rows, say, show

EDITED: Final = (10, 25)
"""How many records of the first and of the other kinds people edit."""
STORM_RATE: Final = 0.05
STRIKES: Final = 40
"""So many requests to each vendor are struck, and then the storm is over: QAD is asked once for every record, and nobody wants
to wait for minutes because it says again and again to come back in a second.
"""
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
        self._all = flows = strands(tomllib.loads(recipe), twins)
        self._first, self._here = flows[0].source, flows[0].left
        self._other, self._there = flows[0].target, flows[0].right
        filled = ("account", "order") if any(flow.entity == "order" for flow in flows) else ("account", "contact")
        self._flows = [flow for flow in flows if flow.source is self._first and flow.entity in COMPARED and not flow.updates]
        self._edited = [flow for kind in filled for flow in self._flows if flow.entity == kind]
        self._back = [flow for flow in flows if flow.source is not self._first or flow.two_way]
        self._numbered = [flow for flow in self._back if flow.two_way or any(other.returns(flow) for other in flows)]
        self._wrong: list[str] = []
        self._lost = 0  # records that a vendor refused
        self._began = time.monotonic()

    async def tell(self) -> int:
        """Every chapter; 0 when nothing was found wanting."""
        try:
            await self._chapters()
        except Over as over:
            self._must(False, str(over))
        seconds = time.monotonic() - self._began
        calls = listed(f"{counted(calls, 'call')} to {name}" for name, calls in self._program.calls.items())
        if self._wrong:
            say.print(f"\n[bold red]Something is wrong[/] after {seconds:.0f} s, {calls}:")
            for wrong in self._wrong:
                show(f"  {wrong}")
            return 1
        but = f", but for {counted(self._lost, 'record')} that a vendor refused," if self._lost else ""
        say.print(f"\n[bold green]Both sides agree[/]{but} after {seconds:.0f} s, {calls}.")
        return 0

    async def _chapters(self) -> None:
        self._first.fill(self._records, self._records * 5 // 2)
        self._tell_flows()
        await self._prepare()
        told = listed(self._share(flow) for flow in self._flows)
        self._chapter("First load", f"{told} of {self._here} are for {self._there}, which holds none of them yet.")
        await self._sync()
        self._chapter("Again", "Nothing has changed, so nothing may be written.")
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
        self._chapter("The audit trail", "ml-connector audit verify")
        code, told = await self._program.run("audit", "verify")
        self._must(code == 0, f"the audit does not verify: {told}")
        show(f"  {told.strip()}")

    def _tell_flows(self) -> None:
        """What the recipe carries, and which way."""
        self._chapter("What goes where", "Each line is a flow of the configuration, ml-connector.toml.")
        for line in rows(
            [
                (
                    flow.name,
                    f"{flow.left} {plural(flow.entity)}",
                    f"{'↔' if flow.two_way else '→'} {flow.right} {plural(flow.shown)}",
                    "only those that are there" if flow.updates else "",
                )
                for flow in self._all
            ]
        ):
            show(line)

    async def _prepare(self) -> None:
        self._chapter("Are both fit for it?", "ml-connector ping --fix")
        for twin in self._twins:
            for name, value in twin.secrets().items():
                code, _ = await self._program.run("secrets", "set", name, stdin=value)
                if code != 0:
                    raise Over(f"the secret {name} was not kept")
        code, told = await self._program.run("ping", "--fix", "--json")
        for name, report in json.loads(told).items() if told.strip() else ():
            for line in fit_for_it(name, report):
                show(line)
        if code != 0:
            raise Over("a system is not fit")

    async def _edits(self) -> None:
        before, wanted = self._holdings(), self._wanted()
        touched = {flow.name: flow.edit(count, seed=1) for flow, count in zip(self._edited, EDITED, strict=False)}
        self._chapter("Edits", f"People edit {self._counted(touched)} in {self._here}: exactly those arrive in {self._there}.")
        news = self._wanted()
        await self._settled(self._first)
        await self._sync(brief=True)
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
            self._must(arrived == shows, f"edited {plural(flow.entity)} {listed(sorted(shows ^ arrived))} did not arrive alone")
            unseen = len(touched[flow.name]) - len(shows)
            told = f", {unseen} of them where {flow.right} shows nothing of it" if unseen else ""
            show(f"  {counted(len(touched[flow.name]), flow.entity)} edited{told}, {len(arrived)} arrived")

    async def _ways_back(self) -> None:
        self._chapter("The way back", "People begin records on the other side, or move them to another stage there.")
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
        await self._settled(desk)
        await self._sync(brief=True)
        await self._sync(brief=True)
        new = {number: facts for number, facts in goal.facts(there) if number not in before}
        self._must(len(new) == 1, f"{flow.name}: {here} {made} arrived as {counted(len(new), there)}")
        for number, facts in new.items():
            theirs = {name: one for name in ("customer", "account") if (one := facts.get(name)) is not None}
            self._must(all(one == customer for one in theirs.values()), f"{there} {number} is not of {customer}")
            lines = facts.get("lines")
            told = f" with {counted(len(lines), 'line')}" if isinstance(lines, tuple | list) and lines else ""
            began, arrived = (flow.right, flow.left) if flow.two_way else (flow.left, flow.right)
            if flow in self._numbered:
                self._must(number in dict(desk.facts(here)), f"{here} {made} was not told its number {number}")
                told += f", and {began} knows its number"
            show(f"  {plural(here)}: one was entered in {began} ({made}); in {arrived} it is {there} {number}{told}")

    async def _moved(self, flow: Strand, desk: Desk) -> None:
        """A stage that a person moves sets the status over there, once."""
        stage, status = next((stage, status) for stage, status in flow.moves.items() if status == "Released")
        shown = next(other for other in self._flows if other.entity == flow.shown and other.shown == flow.entity)
        planned = {number for number, facts in flow.target.facts(flow.shown) if facts["status"] == "Planned"}
        number = min(planned & shown.held().keys())
        desk.moves(flow.entity, number, stage)
        await self._settled(flow.source)
        await self._sync(brief=True)
        now = dict(flow.target.facts(flow.shown))[number]["status"]
        self._must(now == status, f"{flow.shown} {number} is {now} and not {status}")
        told = f'{number} was moved to "{stage}" in {flow.left}; in {flow.right} the {flow.shown} is {now}'
        show(f"  {plural(flow.entity)}: {told}")

    async def _settled(self, twin: Twin) -> None:
        """Where changes are told by time, what happened in this very second is told later."""
        await asyncio.sleep(twin.settles_s)

    async def _storm(self) -> None:
        share = max(1, self._records // 5)
        shares = zip(self._edited, (share, 2 * share), strict=False)
        touched = {flow.name: flow.edit(count, seed=seed) for seed, (flow, count) in enumerate(shares, 2)}
        self._chapter(
            "A storm",
            f"People edit {self._counted(touched)} in {self._here}. Requests and answers are lost, both vendors answer 429 and "
            "500, tokens end, a page is garbage, and the process is killed in the middle.",
        )
        reveal = getattr(self._first, "reveal_late_customer", None)
        if reveal is not None:
            show(f"  account {reveal()}, for which an order waits, is entered at last")
        for seed, twin in enumerate(self._twins):
            twin.faults.storm(seed, STORM_RATE, STORM, most=STRIKES)
            twin.faults.add(Fault("garbage", method="GET", skip=1), Fault("expire_tokens", skip=5))
        seen = len(self._other.calls)
        run = await self._program.start("sync", "--json")
        while run.returncode is None and len(self._other.calls) < seen + 6:  # noqa: ASYNC110 - another process is watched
            await asyncio.sleep(0.02)
        if run.returncode is None:
            run.kill()
            show("  killed with SIGKILL, and started again")
        await run.wait()
        for attempt in range(8):
            if attempt == 4:
                self._calm()
            code, _ = await self._program.sync(brief=True)
            if code in (0, 1):
                break
            show(f"  exit code {code}: a vendor is out; the next run goes on from there")
        self._calm()
        struck = [kind for twin in self._twins for kind, _ in twin.faults.struck]
        told = ", ".join(f"{struck.count(kind)} {words}" for kind, words in STRUCK.items() if kind in struck)
        show(f"  {counted(len(struck), 'request')} struck: {told}")
        await self._sync(brief=True)
        runs = await self._sync(brief=True)
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
        for (standing, reason), alike in grouped(set_aside, lambda each: (each["standing"], each["trouble"]["reason"])):
            first = ", ".join(each["number"] for each in alike[:5])
            show(f"  {standing}: {first}{f' and {len(alike) - 5} more' if len(alike) > 5 else ''}: {reason}")
        return {each["number"]: each["trouble"]["reason"] for each in set_aside}

    async def _compare(self) -> None:
        """Every record on both sides, from the twins' own tables."""
        self._chapter("Both sides compared in full", "What should stand there and what does, from the emulators' own tables.")
        refused = await self._refused()
        found = []
        for flow in self._flows:
            wanted, held = flow.wanted(), flow.held()
            kind = flow.shown
            self._report(kind, "missing", wanted.keys() - held.keys() - refused.keys())
            self._report(kind, "extra", held.keys() - wanted.keys())
            apart = list(differing({number: facts for number, facts in wanted.items() if number not in refused}, held))
            self._report(kind, "differing", apart)
            lost = len(wanted.keys() & refused.keys())
            self._lost += lost
            found.append(
                (
                    f"{len(wanted):,}",
                    f"{plural(flow.entity)} of {flow.left}",
                    "↔" if flow.two_way else "→",
                    f"{len(held):,}",
                    f"{plural(kind)} of {flow.right}",
                    f"{len(apart)} differ{f', {lost} refused' if lost else ''}",
                )
            )
        for line in rows(found, right=(0, 3)):
            show(line)

    async def _reconcile(self) -> None:
        """The program's own comparison comes to the same."""
        refused = await self._refused()
        for flow in self._edited:
            code, told = await self._program.run("reconcile", flow.name, "--json")
            found = [line for line in told.splitlines() if json.loads(line).get("number") not in refused]
            self._must(code == 0 or not found, f"reconcile {flow.name} finds {found[:3]}")

    def _report(self, kind: str, fault: str, found: Iterable[str]) -> None:
        found = sorted(found)
        self._must(not found, f"{counted(len(found), kind)} {fault}: {', '.join(found[:5])}")

    async def _tell_one(self) -> None:
        flow = self._edited[-1]
        [number] = flow.edit(1, seed=4)
        self._chapter("One record's story", f"After one more edit: ml-connector explain {flow.entity} {number}")
        await self._settled(self._first)
        await self._sync(brief=True)
        code, told = await self._program.run("explain", flow.entity, number)
        self._must(code == 0 and "trace" in told, f"{flow.entity} {number} has no story")
        show("\n".join(f"  {line}" for line in told.strip().splitlines()))

    def _holdings(self) -> dict[str, Facts]:
        return {flow.name: flow.held() for flow in self._flows}

    def _wanted(self) -> dict[str, Facts]:
        return {flow.name: flow.wanted() for flow in self._flows}

    def _share(self, flow: Strand) -> str:
        """How many records a flow carries, and of how many."""
        wanted, there = len(flow.wanted()), sum(1 for _ in flow.source.facts(flow.entity))
        return f"{wanted:,} of {counted(there, flow.entity)}" if wanted < there else counted(wanted, flow.entity)

    def _counted(self, touched: Mapping[str, set[str]]) -> str:
        """How many of each kind were edited; ``touched``: flow's name → numbers."""
        return listed(counted(len(touched[flow.name]), flow.entity) for flow in self._edited)

    async def _sync(self, *, brief: bool = False) -> list[dict[str, Any]]:
        """One run of every flow, whose ledger adds up."""
        code, runs = await self._program.sync(brief=brief)
        self._must(code in (0, 1), f"a run ended with exit code {code}")
        for run in runs:
            counts = run["counts"]
            self._must(
                counts["read"] == sum(counts[term] for term in TERMS[1:]), f"the ledger of {run['flow']} does not add up"
            )
        return runs

    def _chapter(self, title: str, about: str) -> None:
        say.print(f"\n[bold]{title}[/]")
        show(f"  {about}")

    def _must(self, holds: bool, wrong: str) -> None:
        if not holds:
            self._wrong.append(wrong)
            say.print(f"[bold red]{escape(wrong)}[/]")
