"""Through the engine: a CRM's customers and won orders become QAD's, whatever is lost on the way."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from qad_world import ACCOUNT, ORDER, WatchedTwin

from ml_connector.domain import Account, Address, Line, Order, Ref
from ml_connector.errors import RetryLater
from ml_connector.flows import Flow
from ml_connector.sync.passage import Ends, Station, World
from ml_connector.system import Connection
from ml_connector.testing import ManualClock, MemoryState, MemorySystem, SilentTelemetry, memory_connection
from ml_connector.twin import Fault
from ml_connector.use_cases.run_flow import run_flow

Opener = Callable[..., Connection]
FLOWS = (
    Flow(name="customers", left="crm", right="qad", entity="account", target="account", signature="1"),
    Flow(name="orders", left="crm", right="qad", entity="order", target="order", after=("customers",), signature="1"),
)
STORM = (
    Fault("status", status=429, retry_after="1"),
    Fault("status", status=500),
    Fault("lost_after"),
    Fault("lost_before"),
)
"""What any request may meet; a session that ends is scripted on top, once."""


class Shop:
    """A CRM with customers and won orders, the engine, and QAD."""

    def __init__(self, twin: WatchedTwin, qad: Connection, clock: ManualClock) -> None:
        self.twin, self.clock = twin, clock
        self.crm = MemorySystem(clock)
        self._left, self._right = memory_connection(self.crm, style="feed"), qad
        ids = iter(range(100_000))
        self.state = MemoryState(clock)
        self._world = World(
            state=self.state,
            clock=clock,
            telemetry=SilentTelemetry(),
            new_id=lambda: f"id{next(ids)}",
            owner="runner",
            flows=FLOWS,
        )

    def sell(self, customers: int) -> None:
        for n in range(customers):
            address = Address(street=f"Quay {n}", city="Hull", country="GB")
            one = self.crm.put(Account(number=f"C.{n}/X", name=f"Acme {n}", phone=f"+46 {n}", billing=address))
            lines = tuple(
                Line(key=str(k), sku="P/100.5", quantity=Decimal(k), unit_price=Decimal("12.50")) for k in range(1, n % 4 + 2)
            )
            self.crm.put(Order(number=f"SO-{n}", customer=Ref("account", one), currency="EUR", lines=lines))

    async def run(self) -> list[str]:
        outcomes = []
        for flow in FLOWS:
            self.clock.advance(60)
            ends = Ends(
                left=Station(source=self._left.sources[flow.entity]),
                right=Station(source=self._right.sources[flow.target], sink=self._right.sinks[flow.target]),
            )
            outcomes.append((await run_flow(flow, ends, self._world)).outcome)
        return outcomes

    async def weather(self, seed: int) -> None:
        """Runs through a storm, and on until it is quiet."""
        self.twin.faults.storm(seed, 0.12, STORM)
        self.twin.faults.add(Fault("expire_tokens", skip=10 * seed))
        for attempt in range(12):
            if attempt == 6:
                self.twin.faults.calm()
            try:
                await self.run()
            except RetryLater:
                self.clock.advance(60)


@pytest.fixture
def shop(twin: WatchedTwin, open_twin: Opener, clock: ManualClock) -> Shop:
    twin.put("items", itemCode="P/100.5", description="Valve", listPrice=Decimal(10))
    return Shop(twin, open_twin(twin, entities={"account": ACCOUNT, "order": ORDER}), clock)


@pytest.mark.parametrize("seed", range(8))
async def test_customers_and_won_orders_arrive_once_and_whole_through_a_storm(shop: Shop, seed: int) -> None:
    shop.sell(6)
    await shop.weather(seed)
    assert await shop.run() == ["green", "green"]
    twin = shop.twin
    assert twin.codes("customerV2s") == [f"C.{n}/X" for n in range(6)]
    assert twin.codes("salesOrderHeaders") == [f"SO-{n}" for n in range(6)]
    for n in range(6):
        assert twin.stored("customerV2s", f"C.{n}/X")["street1"] == f"Quay {n}"
        assert twin.stored("mfgCustomers", f"C.{n}/X")["siteCode"] == "10-100"
        lines = [(row["salesOrderLine"], row["quantityOrdered"]) for row in twin.lines("salesOrderLinesGrid", f"SO-{n}")]
        assert lines == [(Decimal(k), Decimal(k)) for k in range(1, n % 4 + 2)]


async def test_a_second_run_writes_nothing_and_an_edit_is_one_write(shop: Shop) -> None:
    shop.sell(2)
    await shop.run()
    shop.twin.requests.clear()
    assert await shop.run() == ["green", "green"]
    assert not shop.twin.asked("POST", "/api/erp/")
    one = next(key for key, entity in shop.crm.records("account").items() if entity.number == "C.1/X")
    shop.crm.edit_as_person("account", one, phone="+46 8 99")
    await shop.run()
    assert len(shop.twin.asked("POST", "/api/erp/")) == 1
    assert shop.twin.stored("customerV2s", "C.1/X")["telephone"] == "+46 8 99"
