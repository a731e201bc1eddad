"""Writing sales orders: a header and lines that are entered field after field, completed after any interruption."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from qad_world import ACCOUNT, ORDER, WatchedTwin

from ml_connector.domain import Line, Order, Ref
from ml_connector.ports.sink import Create, Key, Outcome, Rejected, Remove, Sink, Unknown, Update, Written
from ml_connector.system import Connection
from ml_connector.twin import Fault

Opener = Callable[..., Connection]
ENTITIES = {"account": ACCOUNT, "order": ORDER}
GRID = "salesOrderLinesGrid"


def line(key: str, sku: str = "P-100", quantity: int = 2, price: str = "12.50", **more: Any) -> Line:
    return Line(key=key, sku=sku, quantity=Decimal(quantity), unit_price=Decimal(price), **more)


def order(*lines: Line, **fields: Any) -> Order:
    return Order(number="SO-1", customer=Ref("account", "C-100"), currency="EUR", lines=lines, **fields)


async def put(sink: Sink, entity: Order) -> Outcome:
    [outcome] = await sink.write([Create(key=Key("number", "SO-1"), entity=entity)])
    return outcome


def stands(twin: WatchedTwin) -> list[tuple[str, Decimal, Decimal]]:
    return [(row["itemCode"], row["quantityOrdered"], row["netPrice"]) for row in twin.lines(GRID, "SO-1")]


@pytest.fixture(autouse=True)
def trade(twin: WatchedTwin) -> None:
    twin.put("customerV2s", customerCode="C-100", addressName="Acme", currencyCode="EUR")
    for code in ("P-100", "P/200.5"):
        twin.put("items", itemCode=code, description="Valve", listPrice=Decimal(10))


async def test_lines_are_entered_item_first_and_site_second(twin: WatchedTwin, open_twin: Opener) -> None:
    sink = open_twin(twin, entities=ENTITIES).sinks["order"]
    assert isinstance(await put(sink, order(line("10"), line("20", "P/200.5", 3))), Written)
    assert stands(twin) == [("P-100", Decimal(2), Decimal("12.5")), ("P/200.5", Decimal(3), Decimal("12.5"))]
    changes = [dict(parse_qsl(one.query)) for one in twin.requests if "fieldChange" in one.path]
    assert [one["fieldName"] for one in changes][:5] == ["itemCode", "siteCode", "quantityOrdered", "listPrice", "netPrice"]
    header = twin.stored("salesOrderHeaders", "SO-1")
    assert (header["billToCustomerCode"], header["shipToCustomerCode"], header["siteCode"]) == ("C-100", "C-100", "10-100")


async def test_an_order_that_was_cut_off_anywhere_is_completed_and_no_line_doubled(
    twin: WatchedTwin, open_twin: Opener
) -> None:
    wanted = order(line("10"), line("20", "P/200.5"), line("30", quantity=7))
    whole = [("P-100", Decimal(2)), ("P/200.5", Decimal(2)), ("P-100", Decimal(7))]
    for path, skips in (("/salesOrderHeaders", 1), (f"/{GRID}", 3), ("/fieldChange", 9)):
        for skip in range(skips):
            for kind in ("lost_after", "lost_before", "status"):
                connection = open_twin(twin, entities=ENTITIES)
                twin.faults.add(Fault(kind, method="POST", path=path, skip=skip, times=3))  # type: ignore[arg-type]
                outcome = await put(connection.sinks["order"], wanted)
                twin.faults.calm()
                assert isinstance(outcome, (Written, Unknown)), (path, skip, kind)
                assert isinstance(await put(connection.sinks["order"], wanted), Written), (path, skip, kind)
                assert [row[:2] for row in stands(twin)] == whole, (path, skip, kind)
                twin.lines(GRID, "SO-1").clear()  # type: ignore[attr-defined]
                twin.remove("salesOrderHeaders", "SO-1")


async def test_a_discount_comes_back_as_it_went(twin: WatchedTwin, open_twin: Opener) -> None:
    connection = open_twin(twin, entities=ENTITIES)
    await put(connection.sinks["order"], order(line("10", price="80", discount_percent=Decimal("12.5"))))
    [record] = await connection.sources["order"].fetch(["SO-1"])
    assert isinstance(record.entity, Order)
    [read] = record.entity.lines or ()
    assert (read.unit_price, read.discount_percent, read.net) == (Decimal(80), Decimal("12.5"), Decimal(140))
    assert record.entity.total is not None and record.entity.total.amount == Decimal(140)  # type: ignore[union-attr]


async def test_a_changed_quantity_changes_that_line_alone(twin: WatchedTwin, open_twin: Opener) -> None:
    connection = open_twin(twin, entities=ENTITIES)
    await put(connection.sinks["order"], order(line("1"), line("2", "P/200.5")))
    twin.requests.clear()
    changes = Order(lines=(line("1"), line("2", "P/200.5", 9)))
    [done] = await connection.sinks["order"].write([Update(id="SO-1", changes=changes, version=None)])
    assert isinstance(done, Written)
    assert [row[:2] for row in stands(twin)] == [("P-100", Decimal(2)), ("P/200.5", Decimal(9))]
    assert len([one for one in twin.requests if one.method == "POST"]) == 1


async def test_another_item_is_another_line(twin: WatchedTwin, open_twin: Opener) -> None:
    connection = open_twin(twin, entities=ENTITIES)
    await put(connection.sinks["order"], order(line("1")))
    changes = Order(lines=(line("1", "P/200.5"),))
    [done] = await connection.sinks["order"].write([Update(id="SO-1", changes=changes, version=None)])
    assert isinstance(done, Written)
    assert [row[0] for row in stands(twin)] == ["P/200.5"]


async def test_a_line_that_qad_refuses_is_told_by_its_key_and_completed_later(twin: WatchedTwin, open_twin: Opener) -> None:
    connection = open_twin(twin, entities=ENTITIES)
    refused = await put(connection.sinks["order"], order(line("10"), line("20", "P-999")))
    assert isinstance(refused, Rejected)
    assert refused.field == "lines[20].sku"
    assert refused.reason.startswith("line 20: Field is mandatory")
    twin.put("items", itemCode="P-999", description="Gauge")
    assert isinstance(await put(connection.sinks["order"], order(line("10"), line("20", "P-999"))), Written)
    assert [row[0] for row in stands(twin)] == ["P-100", "P-999"]


async def test_a_line_without_an_item_is_refused_before_the_order_is_begun(twin: WatchedTwin, open_twin: Opener) -> None:
    refused = await put(open_twin(twin, entities=ENTITIES).sinks["order"], order(Line(key="10", quantity=Decimal(1))))
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("NO_ITEM", "lines[10].sku")
    assert twin.codes("salesOrderHeaders") == []


async def test_a_customer_that_was_never_set_up_in_the_domain_is_set_up_by_its_first_order(
    twin: WatchedTwin, open_twin: Opener
) -> None:
    twin.change("mfgCustomers", "C-100", siteCode="", daybookSetCode="")
    assert isinstance(await put(open_twin(twin, entities=ENTITIES).sinks["order"], order(line("10"))), Written)
    assert twin.stored("mfgCustomers", "C-100")["siteCode"] == "10-100"


async def test_an_order_is_not_taken_away(twin: WatchedTwin, open_twin: Opener) -> None:
    connection = open_twin(twin, entities=ENTITIES)
    await put(connection.sinks["order"], order(line("10")))
    [refused] = await connection.sinks["order"].write([Remove(id="SO-1", version=None)])
    assert isinstance(refused, Rejected)
    assert refused.code == "NO_RETIREMENT"
