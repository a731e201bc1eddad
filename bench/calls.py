"""Calls per 1,000 changed of 5,000 records, per 1,000 new and per 1,000 changed ones, beside the fewest that vendors allow.

python bench/calls.py                       all systems
python bench/calls.py zoho-crm pipedrive    some of them
python bench/calls.py --records 500 --changed 100

Each plugin stands before its twin in this process, with the settings that it has by default. Whatever the twin is asked counts,
but for tokens. The fewest come from the plugin's ``figures``, which its README quotes and ``tests`` hold to this.
"""

import argparse
import asyncio
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any

import msgspec

from ml_connector.domain import Account, Address, Entity, Kind, Line, Order, Ref
from ml_connector.ports.sink import Create, Key, Update, Written
from ml_connector.ports.source import Feed, Sweep
from ml_connector.testing import ManualClock, MemoryTokens, memory_host
from ml_connector.twin import TwinClock
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_adapters.plugins import discover

BASE = "http://127.0.0.1:8123"
HOME = Address(street="Hamngatan 4", city="Stockholm", region=None, postal_code="111 47", country="SE")
SOON = dt.date(2026, 5, 4)
LINES = tuple(
    Line(key=str(n), sku=f"P-10{n}", description="Valve", quantity=Decimal(2), unit_price=Decimal(3)) for n in range(1, 4)
)
QAD_ACCOUNT = {
    "create_defaults": {
        "currencyCode": "EUR",
        "creditTermsCode": "N30",
        "invoiceStatusCode": "APPROVED",
        "invoiceControlGLProfileCode": "INV",
        "creditNoteControlGLProfileCode": "CRN",
        "prePaymentControlGLProfileCode": "PRE",
        "salesAccountGLProfileCode": "SAL",
    },
    "follow_up": {"values": {"siteCode": "10-100", "daybookSetCode": "SO"}},
}


QAD_ORDER = {"siteCode": "10-100", "daybookSetCode": "SO"}


class Writes(msgspec.Struct, frozen=True, kw_only=True):
    """What is written of one kind: made from its number and a customer, and changed later on."""

    make: Callable[[str, str], Entity]
    change: Callable[[str], Entity]
    number: str = "C-{n}"
    key: str = "number"


def accounts(*, number: str = "C-{n}", **fields: Any) -> Writes:
    return Writes(
        make=lambda number, _: Account(number=number, name=f"Acme {number}", billing=HOME, **fields),
        change=lambda text: Account(name=text),
        number=number,
    )


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One system: how its twin is made, what its connection is told beside that, and what is read and written."""

    twin: str  # class in the plugin's module ``twin``
    options: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}  # laid over what the twin asks for; limits are the plugin's own
    reads: Mapping[Kind, str]  # as the figures call them
    writes: Mapping[Kind, Writes] = {}
    spent: Callable[[Any], int] = lambda twin: 0
    counts: str = ""  # what the vendor counts beside calls
    fills: Mapping[Kind, Callable[[Any, int], None]] = {}  # of kinds that the twin does not make up by itself
    shape: Callable[[Any], None] = lambda twin: None  # records as the figures assume them
    customer: Callable[[Any], str] = lambda twin: ""


def zoho_orders(twin: Any, count: int) -> None:
    """Sales orders with three lines each, which the twin does not make up by itself."""
    buyer = twin.insert_as_person("Accounts", Account_Name="Acme")
    product = twin.insert_as_person("Products", Product_Name="Valve", ERP_Item_No="P-1")
    line = {"Product_Name": product, "Quantity": Decimal(2), "List_Price": Decimal(3)}
    for n in range(count):
        told = {"ERP_Order_No": f"SO-{n}", "Subject": f"Order {n}", "Account_Name": buyer}
        twin.insert_as_person("Sales_Orders", **told, Ordered_Items=[dict(line) for _ in range(3)])


def one_address(twin: Any) -> None:
    """Customers of IFS with one address each."""
    seen = set[object]()
    for row in list(twin.rows("CustomerInfoAddresses")):
        if row["CustomerId"] in seen:
            twin.remove("CustomerInfoAddresses", (row["CustomerId"], row["AddressId"]))
        seen.add(row["CustomerId"])


CASES = {
    "ifs-cloud": Case(
        twin="IfsTwin",
        settings={"paging": "keyset", "entities": {"order": {"create_defaults": {"Contract": "S01", "OrderId": "NO"}}}},
        reads={"account": "account", "order": "order"},
        writes={
            "account": accounts(phone="+46 8 555"),
            "order": Writes(
                make=lambda number, customer: Order(
                    external_reference=number,
                    customer=Ref("account", customer),
                    currency="SEK",
                    wanted_on=SOON,
                    lines=tuple(msgspec.structs.replace(line, wanted_on=SOON) for line in LINES),
                ),
                change=lambda text: Order(customer_reference=text),
                key="external_reference",
            ),
        },
        shape=one_address,
        customer=lambda twin: next(iter(twin.facts("account")))[0],
    ),
    "zoho-crm": Case(
        twin="ZohoTwin",
        options={"erp_fields": True, "credits": 10**7},
        reads={"account": "account", "deal": "account", "order": "order with lines"},
        fills={"order": zoho_orders},
        writes={"account": accounts(phone="+46 8 555")},
        spent=lambda twin: twin.limits.used,
        counts="credits",
    ),
    "dynamics365-sales": Case(
        twin="DynamicsTwin",
        options={"erp_columns": True},
        reads={"account": "account", "order": "order"},
        writes={
            "account": accounts(phone="+46 8 555"),
            "order": Writes(
                make=lambda number, customer: Order(
                    number=number,
                    name=number,
                    customer=Ref("account", customer),
                    currency="EUR",
                    lines=tuple(msgspec.structs.replace(line, sku=msgspec.UNSET) for line in LINES),
                ),
                change=lambda text: Order(description=text),
            ),
        },
        customer=lambda twin: next(iter(twin.records("account"))),
    ),
    "pipedrive": Case(
        twin="PipedriveTwin",
        options={"erp_fields": True, "daily": 10**9, "burst": 20, "auth": "api_token"},
        settings={"plan": "lite", "seats": 1000},
        reads={"account": "account", "deal": "deal"},
        writes={"account": accounts()},
        spent=lambda twin: twin.limits.spent,
        counts="tokens",
    ),
    "qad": Case(
        twin="QadTwin",
        settings={"entities": {"account": QAD_ACCOUNT, "order": {"create_defaults": QAD_ORDER}}},
        reads={"account": "account", "order": "order"},
        writes={
            "account": accounts(),
            "order": Writes(
                make=lambda number, customer: Order(
                    number=number,
                    customer=Ref("account", customer),
                    currency="USD",
                    wanted_on=SOON,
                    lines=tuple(msgspec.structs.replace(line, sku="P104") for line in LINES),
                ),
                change=lambda text: Order(payment_terms="N60"),
                number="Q{n}",
            ),
        },
        customer=lambda twin: next(iter(twin.facts("account")))[0],
    ),
    "oracle-fusion": Case(
        twin="OracleTwin",
        reads={"account": "account"},
        writes={"account": accounts(number="5843104000000{n:06d}", phone="+46 8 555")},
    ),
}


class Measured(msgspec.Struct, frozen=True):
    calls: int
    records: int
    spent: int = 0


class Bench:
    """One twin in this process and one connection to it, whose time is nobody's but theirs."""

    def __init__(self, name: str, **changes: Any) -> None:
        self.case = case = CASES[name]
        spec = discover().systems[name]
        package = spec.settings.__module__.partition(".")[0]
        self._ticking = False
        self.clock = ManualClock(dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC))
        made = getattr(import_module(f"{package}.twin"), case.twin)
        self.twin: Any = made(**case.options, clock=TwinClock(self._now))
        self.figures: Any = import_module(f"{package}.figures")
        told = {**self.twin.settings(BASE), "limits": {}, **case.settings, **changes}
        self.settings: Any = msgspec.convert(told, spec.settings, dec_hook=lambda kind, value: kind(value))
        host = memory_host(
            name, clock=self.clock, secrets=self.twin.secrets(), tokens=MemoryTokens(), transport=TwinTransport(self.twin)
        )
        self.connection = spec.connect(self.settings, host)
        self._before = 0

    def edit(self, kind: Kind, count: int) -> None:
        """So many edits, one after the other."""
        self._ticking = True
        self.twin.edit(kind, count, seed=1)
        self._ticking = False

    def _now(self) -> dt.datetime:
        if self._ticking:
            self.clock.advance(0.01)
        return self.clock.now()

    def fill(self, kind: Kind, count: int) -> None:
        if kind in self.case.fills:
            self.case.fills[kind](self.twin, count)
        else:
            self.twin.fill(count, 0 if kind == "account" else count)
        self.case.shape(self.twin)
        self.pass_time(hours=3)

    def begin(self) -> None:
        self.twin.calls.clear()
        self._before = self.case.spent(self.twin)

    def measured(self, records: int) -> Measured:
        calls = [path for _, path, _ in self.twin.calls if not path.endswith("/token")]
        return Measured(len(calls), records, self.case.spent(self.twin) - self._before)

    def pass_time(self, **span: float) -> None:
        self.clock.advance(dt.timedelta(**span).total_seconds())


async def read(bench: Bench, kind: Kind, records: int, changed: int) -> Measured:
    """What finding and reading the changed records takes."""
    source: Any = bench.connection.sources[kind]
    bench.fill(kind, records)
    if isinstance(source, Feed):
        cursor = [page.cursor async for page in source.changed_since(None)][-1]
        bench.pass_time(hours=3)
        bench.edit(kind, changed)
        bench.pass_time(minutes=30)
        bench.begin()
        found = {record.id async for page in source.changed_since(cursor) for record in page.records}
        return bench.measured(len(found))
    assert isinstance(source, Sweep)
    known = {stub.id: stub.version async for stubs in source.stubs(rows=False) for stub in stubs}
    bench.edit(kind, changed)
    await source.fetch(list(known)[:1])
    bench.begin()
    now = {stub.id: stub.version async for stubs in source.stubs(rows=False) for stub in stubs}
    moved = [one for one, version in now.items() if known.get(one) != version]
    return bench.measured(len(await source.fetch(moved)))


async def write(bench: Bench, kind: Kind, present: int, count: int) -> tuple[Measured, Measured]:
    """What so many new records take beside those that are present, and one changed field of each of them later on.

    One of those present is written before anything counts: countries, sets and columns are asked for once.
    """
    sink, case = bench.connection.sinks[kind], bench.case.writes[kind]
    bench.fill("account", present - 1)
    customer = bench.case.customer(bench.twin)
    await sink.accepts()
    numbers = [case.number.format(n=n) for n in range(90_000, 90_000 + count + 1)]
    new = [Create(key=Key(case.key, number), entity=case.make(number, customer)) for number in numbers]
    await written(sink, new[:1])
    bench.pass_time(hours=1)
    bench.begin()
    made = await written(sink, new[1:])
    created = bench.measured(len(made))
    bench.pass_time(hours=1)
    bench.begin()
    changes = [Update(id=one.id, changes=case.change(f"Other {n}"), version=one.version) for n, one in enumerate(made)]
    return created, bench.measured(len(await written(sink, changes)))


async def written(sink: Any, writes: Sequence[Any]) -> list[Written]:
    told: list[Written] = []
    for start in range(0, len(writes), sink.limits.batch):
        for outcome in await sink.write(writes[start : start + sink.limits.batch]):
            assert isinstance(outcome, Written), outcome
            told.append(outcome)
    return told


def show(bench: Bench, what: str, figure: str, measured: Measured) -> None:
    spent = f"{measured.spent:7,} {bench.case.counts}" if bench.case.counts else ""
    told = bench.figures.per_thousand(bench.settings).get(figure)
    beside = f"fewest {told[1]:6,}" if told else ""
    print(f"{what:24} {measured.records:6,} records {measured.calls:7,} calls {beside:14} {spent}", flush=True)


async def measure(name: str, records: int, changed: int) -> None:
    print(name)
    for kind, figure in CASES[name].reads.items():
        bench = Bench(name)
        show(bench, f"  {kind} read", f"{figure}, 1,000 changed of 5,000 read", await read(bench, kind, records, changed))
        await bench.connection.close()
    for kind in CASES[name].writes:
        bench = Bench(name)
        created, updated = await write(bench, kind, records, changed)
        show(bench, f"  {kind} new", f"{kind}, 1,000 new written", created)
        show(bench, f"  {kind} changed", f"{kind}, 1,000 changed written", updated)
        await bench.connection.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("systems", nargs="*", default=[], metavar="SYSTEM")
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--changed", type=int, default=1_000)
    chosen = parser.parse_args()
    for name in chosen.systems or CASES:
        asyncio.run(measure(name, chosen.records, chosen.changed))


if __name__ == "__main__":
    main()
