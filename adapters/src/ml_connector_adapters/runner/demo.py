"""``ml-connector demo``: the real program against made-up vendors on loopback, through a bad day, compared in full at the end.

The vendors' twins live in this process; every run is a process of its own, as an operator would start it, so that one of them
can be killed in the middle.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

from rich.console import Console

from ml_connector.errors import ConfigError
from ml_connector.ports.state import Counts
from ml_connector.twin import Fault, Twin
from ml_connector_adapters.http.twins import serving
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.twins import make_twin

_Facts: TypeAlias = dict[str, dict[str, Mapping[str, object]]]
"""Kind → business number → what stands there."""
TERMS: Final = Counts.__struct_fields__
say: Final = Console(stderr=True, highlight=False)

EDITED: Final = {"account": 10, "order": 25}
STORM_RATE: Final = 0.02
STORM: Final = (
    Fault("status", status=429, retry_after="1"),
    Fault("status", status=500),
    Fault("lost_after"),
    Fault("lost_before"),
)
"""What any request may meet during the storm; tokens expiring and a page of garbage are scripted on top, once each."""


async def run_demo(left: str, right: str, records: int, *, keep: bool) -> int:
    """The whole story; 0 only if both sides agree in the end and every step kept its promise."""
    recipe = discover().systems[left].recipes.get(right) if left in discover().systems else None
    if recipe is None:
        raise ConfigError(f"there is no recipe for {left} and {right}", fix="See: ml-connector systems")
    erp, crm = make_twin(left), make_twin(right)
    home = Path(tempfile.mkdtemp(prefix="ml-connector-demo-"))
    try:
        async with AsyncExitStack() as stack:
            erp_url = await stack.enter_async_context(serving(erp))
            crm_url = await stack.enter_async_context(serving(crm))
            write_config(home, recipe, {"from": (left, erp, erp_url), "to": (right, crm, crm_url)})
            say.print(f"[bold]{left}[/] twin at {erp_url}, [bold]{right}[/] twin at {crm_url}, state in {home}")
            return await Story(home, erp, crm, records, recipe).tell()
    finally:
        if not keep:
            shutil.rmtree(home)


def write_config(home: Path, recipe: str, ends: Mapping[str, tuple[str, Twin, str]]) -> None:
    """The recipe between the twins' addresses, so that the demo shows what ``init`` writes."""
    parsed = tomllib.loads(recipe)
    names = {each["system"]: name for name, each in parsed["connections"].items()}
    lines = ["[workspace]", 'name = "demo"', 'state = "sqlite:///demo.db"']
    for system, twin, url in ends.values():
        settings = {**parsed["connections"][names[system]], **twin.settings(url)}
        lines += ["", f"[connections.{names[system]}]"]
        lines += [f"{name} = {_toml(value)}" for name, value in settings.items()]
    lines += ["", recipe[recipe.index("[flows.") :]]
    (home / "ml-connector.toml").write_text("\n".join(lines), encoding="utf-8")


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {_toml(part)}" for name, part in value.items()) + " }"
    return json.dumps(value)


class Over(Exception):
    """The story cannot go on."""


class Story:
    """The steps, and what each found wanting."""

    def __init__(self, home: Path, erp: Twin, crm: Twin, records: int, recipe: str) -> None:
        self._home, self._erp, self._crm, self._records = home, erp, crm, records
        parsed = tomllib.loads(recipe)
        flow = next(each for each in parsed["flows"].values() if each["entity"] == "order")
        self._shown: str = flow.get("as", "order")  # what the CRM keeps of an order
        self._stages: dict[str, str] = parsed.get("tables", {}).get("order_stage", {})
        self._wrong: list[str] = []
        self._began = time.monotonic()

    async def tell(self) -> int:
        """Every chapter; 0 when nothing was found wanting."""
        try:
            await self._chapters()
        except Over as over:
            self._must(False, str(over))
        seconds = time.monotonic() - self._began
        calls = f"{len(self._erp.calls):,} + {len(self._crm.calls):,} calls"
        if self._wrong:
            say.print(f"\n[bold red]Something is wrong[/] after {seconds:.0f} s, {calls}:")
            for wrong in self._wrong:
                say.print(f"  {wrong}", markup=False)
            return 1
        say.print(f"\n[bold green]Both sides agree[/] after {seconds:.0f} s, {calls}.")
        return 0

    async def _chapters(self) -> None:
        orders = self._records * 5 // 2
        self._erp.fill(self._records, orders)
        await self._prepare()
        self._chapter(f"First load: {self._records:,} customers, {orders:,} orders with their lines")
        await self._sync()
        self._chapter("Again, with nothing changed: nothing is written")
        before = self._holdings()
        runs = await self._sync()
        self._must(not any(run["counts"]["written"] for run in runs), "the second run wrote something")
        self._must(self._holdings() == before, "the second run changed the CRM")
        await self._edits()
        await self._storm()
        await self._compare()
        await self._tell_one()
        code, told = await self._run("audit", "verify")
        self._must(code == 0, f"the audit does not verify: {told}")
        say.print(told.strip())

    async def _prepare(self) -> None:
        for twin in (self._erp, self._crm):
            for name, value in twin.secrets().items():
                code, _ = await self._run("secrets", "set", name, stdin=value)
                if code != 0:
                    raise Over(f"the secret {name} was not kept")
        code, told = await self._run("ping", "--fix")
        say.print(told.strip(), markup=False)
        if code != 0:
            raise Over("a system is not fit")

    async def _edits(self) -> None:
        self._chapter(f"People edit {EDITED['account']} customers and {EDITED['order']} orders: exactly those arrive")
        before, wanted = self._holdings(), self._wanted()
        touched = {kind: set(self._erp.edit(kind, count, seed=1)) for kind, count in EDITED.items()}
        news = self._wanted()
        await self._sync()
        after, refused = self._holdings(), await self._refused()
        for kind, there in (("account", "account"), ("order", self._shown)):
            arrived = {number for number, facts in after[there].items() if before[there].get(number) != facts}
            shows = {number for number in touched[kind] if self._differs(there, number, wanted, news)} - refused.keys()
            self._must(arrived == shows, f"edited {kind}s {shows ^ arrived} did not arrive alone")
            unseen = f", {len(touched[kind]) - len(shows)} in what the CRM has no place for" if shows != touched[kind] else ""
            say.print(f"{kind}: {len(touched[kind])} edited{unseen}, {len(arrived)} arrived")

    def _differs(self, there: str, number: str, one: _Facts, other: _Facts) -> bool:
        """Whether two looks at the ERP differ in anything that the CRM shows of the record."""
        was, now = one[there].get(number, {}), other[there].get(number, {})
        shown = next(iter(self._holdings()[there].values()), {}).keys()
        return any(was.get(name) != now.get(name) for name in {*was, *now} & shown)

    async def _storm(self) -> None:
        share = max(1, self._records // 5)
        self._chapter(f"A storm over {share} edited customers and {2 * share} orders, and the process is killed in the middle")
        self._erp.edit("account", share, seed=2)
        self._erp.edit("order", 2 * share, seed=3)
        reveal = getattr(self._erp, "reveal_late_customer", None)
        if reveal is not None:
            reveal()
        for seed, twin in enumerate((self._erp, self._crm)):
            twin.faults.storm(seed, STORM_RATE, STORM)
            twin.faults.add(Fault("expire_tokens", skip=5), Fault("garbage", method="GET", path="Set", skip=3))
        seen = len(self._crm.calls)
        run = await self._start("sync", "--json")
        while run.returncode is None and len(self._crm.calls) < seen + 6:  # noqa: ASYNC110 - another process is watched
            await asyncio.sleep(0.02)
        if run.returncode is None:
            run.kill()
            say.print("[bold]killed with SIGKILL[/], and started again")
        await run.wait()
        for attempt in range(8):
            if attempt == 4:
                self._calm()
            code, _ = await self._run("sync", "--json")
            if code in (0, 1):
                break
            say.print(f"the vendors are out; exit code {code}, the next run goes on from there")
        self._calm()
        struck = [kind for twin in (self._erp, self._crm) for kind, _ in twin.faults.struck]
        say.print("struck: " + ", ".join(f"{struck.count(kind)} {kind}" for kind in sorted(set(struck))))
        await self._sync()
        runs = await self._sync()
        self._must(not any(run["counts"]["written"] for run in runs), "it does not come to rest after the storm")

    def _calm(self) -> None:
        self._erp.faults.calm()
        self._crm.faults.calm()

    async def _refused(self) -> dict[str, str]:
        """Records that the CRM refuses for good, by number, with its words: an order that is closed there, say."""
        _, told = await self._run("failures", "list", "--cause", "rejected", "--json")
        refused = {each["number"]: each["trouble"]["reason"] for each in json.loads(told)}
        for number, words in refused.items():
            say.print(f"set aside: {number}: {words[:100]}", markup=False)
        return refused

    async def _compare(self) -> None:
        """Every record on both sides, from the twins' own tables, by rules written down here and not taken from the engine."""
        self._chapter("Both sides compared in full")
        held, refused = self._holdings(), await self._refused()
        for kind, wanted in self._wanted().items():
            there = held[kind]
            self._report(kind, "missing", wanted.keys() - there.keys())
            self._report(kind, "extra", there.keys() - wanted.keys())
            differing = [
                f"{number}.{name}: {facts[name]!r} → {there[number].get(name)!r}"
                for number, facts in wanted.items()
                if number in there and number not in refused
                for name in facts.keys() & there[number].keys()
                if not _same(facts[name], there[number].get(name))
            ]
            self._report(kind, "differing", differing)
            say.print(f"{kind}: {len(wanted):,} here, {len(there):,} there, {len(differing)} differ")

    def _wanted(self) -> _Facts:
        """What the CRM should hold, by its kinds, in all the names that a CRM may tell of."""
        customers: dict[str, Mapping[str, object]] = {
            number: {**facts, "Tax_ID": facts["tax_id"], "Payment_Terms": facts["payment_terms"]}
            for number, facts in self._erp.facts("account")
            if facts["category"] == "Customer"
        }
        orders: dict[str, Mapping[str, object]] = {
            number: {
                "amount": facts["amount"],
                "currency": facts["currency"],
                "account": facts["customer"],
                "closing_on": facts["wanted_on"],
                "wanted_on": facts["wanted_on"],
                "Region": facts["region"],
                "customer_reference": facts["customer_reference"],
                "Customer_Reference": facts["customer_reference"],
                "lines": facts["lines"],
                **({"stage": self._stage(str(facts["status"]))} if self._stages else {}),
            }
            for number, facts in self._erp.facts("order")
        }
        return {"account": customers, self._shown: orders}

    def _stage(self, status: str) -> str:
        return self._stages.get(status) or self._stages["InFulfilment"]

    def _report(self, kind: str, fault: str, found: Iterable[str]) -> None:
        found = sorted(found)
        self._must(not found, f"{len(found)} {kind}s {fault}: {', '.join(found[:5])}")

    async def _tell_one(self) -> None:
        self._chapter("One record's story")
        number = self._erp.edit("order", 1, seed=4)[0]
        await self._sync()
        code, told = await self._run("explain", "order", number)
        self._must(code == 0 and "trace" in told, f"order {number} has no story")
        say.print(told.strip(), markup=False)

    def _holdings(self) -> _Facts:
        return {kind: dict(self._crm.facts(kind)) for kind in ("account", self._shown)}

    async def _sync(self) -> list[dict[str, Any]]:
        """One run of every flow; its ledger is shown. Ends the story's luck when it is not fit to go on."""
        began = time.monotonic()
        code, told = await self._run("sync", "--json")
        self._must(code in (0, 1), f"a run ended with exit code {code}")
        results = json.loads(told) if told.strip() else []
        runs: list[dict[str, Any]] = [result["run"] for result in results if result["run"]]
        for run in runs:
            counts = run["counts"]
            self._must(
                counts["read"] == sum(counts[term] for term in TERMS[1:]), f"the ledger of {run['flow']} does not add up"
            )
            told = ", ".join(f"{term} {counts[term]:,}" for term in TERMS if counts[term])
            say.print(f"{run['flow']}: {run['outcome']}: {told or 'nothing'}")
        say.print(f"[dim]{time.monotonic() - began:.1f} s[/]")
        return runs

    async def _start(self, *arguments: str, stdin: bool = False) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ml_connector_adapters.runner.cli",
            *arguments,
            cwd=self._home,
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def _run(self, *arguments: str, stdin: str | None = None) -> tuple[int, str]:
        """One command of ours to its end, with the calls it makes counted before the reader's eyes."""
        process = await self._start(*arguments, stdin=stdin is not None)
        waiting = asyncio.create_task(process.communicate(stdin.encode() if stdin is not None else None))
        began = (len(self._erp.calls), len(self._crm.calls))
        with say.status(f"ml-connector {' '.join(arguments)}") as status:
            while not waiting.done():
                await asyncio.wait([waiting], timeout=0.2)
                calls = f"{len(self._erp.calls) - began[0]:,} + {len(self._crm.calls) - began[1]:,} calls"
                status.update(f"ml-connector {' '.join(arguments)} · {calls}")
        out, complaints = await waiting
        if complaints:
            say.print(f"[yellow]{complaints.decode().strip()}[/]", markup=True)
        assert process.returncode is not None
        return process.returncode, out.decode()

    def _chapter(self, title: str) -> None:
        say.print(f"\n[bold]{title}[/]")

    def _must(self, holds: bool, wrong: str) -> None:
        if not holds:
            self._wrong.append(wrong)
            say.print(f"[bold red]{wrong}[/]", markup=True)


CENTS: Final = Decimal("0.05")
"""How far apart amounts may be that each system adds up and rounds by itself."""


def _same(here: object, there: object) -> bool:
    """Lines agree when each one's key, item, quantity and amount stand together in one row over there."""
    if isinstance(here, tuple) and isinstance(there, (tuple, list)):
        rows = [tuple(row.values()) for row in there]
        return len(here) == len(rows) and all(
            any(all(any(_same(part, value) for value in row) for part in line) for row in rows) for line in here
        )
    one, other = _plain(here), _plain(there)
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return abs(one - other) <= CENTS
    return one == other


def _plain(value: object) -> object:
    """What both vendors can hold of a value: text without outer blanks, money in cents, nothing for empty."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Decimal):
        return value.quantize(Decimal("0.01"), ROUND_HALF_UP)
    return value
