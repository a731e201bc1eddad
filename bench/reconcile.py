"""Plant a hundred differences among many orders: ``reconcile`` finds all of them and nothing else, and this is what it costs.

python bench/reconcile.py                    10,000 and 100,000 orders
python bench/reconcile.py --records 10000

Orders are compared with their lines. The twins live in this process, the program in one of its own; see bench/README.md.
"""

import argparse
import asyncio
import json
import random
import tempfile
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

from rates import CUSTOMERS, Bench, config

from ml_connector_adapters.http.twins import serving
from ml_connector_ifs_cloud.twin import IfsTwin
from ml_connector_zoho_crm.twin import ZohoTwin

PROGRAM = ("-m", "ml_connector_adapters.runner.cli")


def plant(erp: IfsTwin, crm: ZohoTwin) -> dict[str, str]:
    """Business number → what shall be found: 70 that differ, 20 missing, 10 extra."""
    crm.clock.advance(5)
    deals = {str(row["ERP_Order_No"]): one for one, row in crm.records("Deals").items()}
    found = dict.fromkeys(erp.edit("order", 20, seed=7), "differs")
    others = random.Random(7).sample(sorted(deals.keys() - found.keys()), 70)
    for number in others[:30]:
        stage = crm.records("Deals")[deals[number]]["Stage"]
        crm.edit_as_person("Deals", deals[number], Stage="Closed Won" if stage == "Closed Lost" else "Closed Lost")
    for number in others[30:50]:
        crm.edit_as_person("Deals", deals[number], Customer_Reference="Sam was here")
    found |= dict.fromkeys(others[:50], "differs")
    for number in others[50:60]:
        crm.delete_as_person("Deals", deals[number])
    found |= dict.fromkeys(others[50:60], "missing")
    for number in others[60:65]:
        erp.remove("CustomerOrderSet", number)
    found |= dict.fromkeys(others[60:65], "extra")
    for number in (f"S-{n}" for n in range(5)):
        crm.insert_as_person("Deals", Deal_Name=f"Sam's {number}", ERP_Order_No=number)
        found[number] = "extra"
    known = next(row for row in erp.rows("CustomerOrderSet") if row["OrderNo"] in deals)
    for number in (f"N-{n}" for n in range(10)):
        erp.put("CustomerOrderSet", {**known, "OrderNo": number})
        line = {"OrderNo": number, "LineNo": "1", "RelNo": "1", "LineItemNo": 0}
        erp.put("CustomerOrderLineSet", {**line, "NetAmountCurr": Decimal("75.00"), "Objstate": "Released"})
        found[number] = "missing"
    return found


async def measure(records: int) -> None:
    erp = IfsTwin(token_life_s=36000)
    erp.fill(CUSTOMERS, records)
    erp.reveal_late_customer()
    with tempfile.TemporaryDirectory() as home:
        async with AsyncExitStack() as stack:
            bench = Bench(Path(home), erp)
            erp_url = await stack.enter_async_context(serving(erp))
            crm_url = await stack.enter_async_context(serving(bench.crm_anew()))
            bench.crm.clock.advance(-30)  # behind ours by more than safety_lag_s: what has just changed is listed at once
            (Path(home) / "ml-connector.toml").write_text(config(erp_url, crm_url))
            loaded = await bench.run(*PROGRAM, "sync")
            assert loaded["code"] == 0, loaded["said"]
            for name in ("nothing planted", "100 planted"):
                planted = plant(erp, bench.crm) if name != "nothing planted" else {}
                cost = await bench.run(*PROGRAM, "reconcile", "orders", "--json")
                told = [json.loads(line) for line in cost["said"].splitlines() if line.startswith("{")]
                found = {each["number"]: each["what"] for each in told}
                right = sum(found.get(number) == what for number, what in planted.items())
                print(
                    f"{records:>9,} orders, {name:16} {right} of {len(planted)} found, {len(told) - right} false"
                    f"  {records / cost['moving_s']:7,.0f} orders/s  {cost['cpu_s'] / records * 1e6:5.0f} µs CPU/order"
                    f"  {cost['peak_mb']:6.1f} MB  {cost['reads']} + {cost['others']} calls, whole {cost['seconds']:.1f} s",
                    flush=True,
                )
                assert cost["code"] == (1 if planted else 0), cost["said"]
                assert found == planted, {*found.items()} ^ {*planted.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000])
    for records in parser.parse_args().records:
        asyncio.run(measure(records))


if __name__ == "__main__":
    main()
