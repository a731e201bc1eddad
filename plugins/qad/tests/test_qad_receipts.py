"""A supplier's invoice is told only after the receipt of what it is for, and until then it says what it waits for."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from qad_world import WatchedTwin

from ml_connector.domain import Extra, Hold, Invoice, PurchaseOrder, Ref
from ml_connector.flows import Flow
from ml_connector.ports.source import Sweep
from ml_connector.sync.passage import Ends, Station, World
from ml_connector.system import Connection
from ml_connector.testing import ManualClock, MemoryState, MemorySystem, SilentTelemetry, memory_connection
from ml_connector.use_cases.run_flow import run_flow
from ml_connector_qad.twin import DEFAULT, FLIPPED

Opener = Callable[..., Connection]
PO_LINES = "purchaseOrderLinesGrid"


def trade(twin: WatchedTwin, *invoices: str, amount: int = 100) -> None:
    """A purchase order over 10 at 10 each, and its invoices."""
    twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings")
    twin.put("items", itemCode="P-100", description="Valve")
    today = twin.clock.now().date()
    twin.put("purchaseOrderHeaders", purchaseOrderNumber="PO-1", supplierCode="S100", orderDate=today)
    twin.put_line(PO_LINES, "PO-1", itemCode="P-100", quantityOrdered=Decimal(10), purchaseCost=Decimal(10))
    for number in invoices:
        twin.put(
            "supplierInvoices", supplierInvoiceNumber=number, supplierCode="S100", purchaseOrderNumber="PO-1",
            invoiceAmount=Decimal(amount), openAmount=Decimal(amount), invoiceStatusCode="APPROVED", invoiceDate=today,
        )  # fmt: skip


async def hold_of(connection: Connection, number: str = "INV-1") -> Hold | None:
    [record] = await connection.sources["invoice"].fetch([number])
    return record.hold


async def versions(connection: Connection, kind: str = "invoice") -> dict[str, str]:
    source: Any = connection.sources[kind]  # type: ignore[index]
    assert isinstance(source, Sweep)
    return {stub.id: stub.version async for page in source.stubs(rows=False) for stub in page}


@pytest.mark.parametrize("installation", [DEFAULT, FLIPPED], ids=["by the order's lines", "by a browse of receipts"])
async def test_an_invoice_waits_until_a_receipt_is_posted_and_its_version_moves_with_it(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener, installation: Any
) -> None:
    twin = make_twin(installation)
    trade(twin, "INV-1")
    connection = open_twin(twin)
    before = await versions(connection)
    hold = await hold_of(connection)
    assert hold is not None
    assert (hold.code, hold.reason) == ("awaiting_receipt", "no receipt is posted for purchase order PO-1")
    twin.receive("PO-1", 1, Decimal(4))
    assert await hold_of(connection) is None
    after = await versions(connection)
    assert after != before
    [record] = await connection.sources["invoice"].fetch(["INV-1"])
    assert record.version == after["INV-1"]


async def test_an_invoice_can_be_made_to_wait_for_all_of_it_within_a_tolerance(twin: WatchedTwin, open_twin: Opener) -> None:
    trade(twin, "INV-1")
    strict = open_twin(twin, entities={"invoice": {"publish_when": "fully_received"}})
    lenient = open_twin(twin, entities={"invoice": {"publish_when": "fully_received", "quantity_tolerance_percent": 10}})
    twin.receive("PO-1", 1, Decimal(9))
    assert await hold_of(strict) is not None
    assert await hold_of(lenient) is None
    twin.receive("PO-1", 1, Decimal(1))
    assert await hold_of(strict) is None


async def test_an_invoice_can_be_made_to_wait_until_what_came_is_worth_it(twin: WatchedTwin, open_twin: Opener) -> None:
    trade(twin, "INV-1", amount=50)
    connection = open_twin(twin, entities={"invoice": {"publish_when": "amount_received"}})
    twin.receive("PO-1", 1, Decimal(4))
    hold = await hold_of(connection)
    assert hold is not None
    assert "worth less" in hold.reason
    twin.receive("PO-1", 1, Decimal(1))
    assert await hold_of(connection) is None


async def test_an_invoice_without_a_purchase_order_has_nothing_to_wait_for(twin: WatchedTwin, open_twin: Opener) -> None:
    trade(twin)
    twin.put("supplierInvoices", supplierInvoiceNumber="RENT-1", supplierCode="S100", invoiceStatusCode="APPROVED")
    connection = open_twin(twin, entities={"invoice": {"enabled": True}})
    assert await hold_of(connection, "RENT-1") is None


async def test_one_purchase_order_is_asked_once_a_sweep_however_many_invoices_it_has(
    twin: WatchedTwin, open_twin: Opener
) -> None:
    trade(twin, *(f"INV-{n}" for n in range(20)))
    connection = open_twin(twin)
    await versions(connection)
    assert len(twin.asked("GET", f"/{PO_LINES}")) == 1


async def test_an_old_invoice_is_judged_when_it_is_read_and_not_in_every_sweep(
    twin: WatchedTwin, open_twin: Opener, clock: ManualClock
) -> None:
    trade(twin, "INV-1")
    clock.advance(timedelta(days=200).total_seconds())
    connection = open_twin(twin)
    await versions(connection)
    assert not twin.asked("GET", f"/{PO_LINES}")
    assert await hold_of(connection) is not None


async def test_a_purchase_order_can_tell_what_is_invoiced_on_it_after_the_receipt(twin: WatchedTwin, open_twin: Opener) -> None:
    trade(twin, "INV-1", "INV-2")
    connection = open_twin(twin, entities={"purchase_order": {"invoice_status": True}})

    async def told() -> Extra:
        [record] = await connection.sources["purchase_order"].fetch(["PO-1"])
        assert isinstance(record.entity, PurchaseOrder)
        assert isinstance(record.entity.extra, Extra)
        return record.entity.extra

    before, waiting = await versions(connection, "purchase_order"), await told()
    assert (waiting["invoice_status"], waiting["invoices_awaiting_receipt"]) == (None, 2)
    twin.receive("PO-1", 1, Decimal(1))
    free = await told()
    assert (free["invoice_status"], free["invoice_number"], free["invoiced_amount"]) == ("APPROVED", "INV-2", Decimal(200))
    assert await versions(connection, "purchase_order") != before
    now = await versions(connection, "purchase_order")
    twin.change("supplierInvoices", "INV-2", invoiceStatusCode="PAID", openAmount=Decimal())
    assert await versions(connection, "purchase_order") != now
    assert (await told())["invoice_status"] == "PAID"


async def test_in_a_flow_the_invoice_is_parked_as_awaiting_receipt_and_released_by_the_receipt(
    twin: WatchedTwin, open_twin: Opener, clock: ManualClock
) -> None:
    trade(twin, "INV-1")
    crm = MemorySystem(clock)
    flows = tuple(
        Flow(name=f"{kind}s", left="qad", right="crm", entity=kind, target=kind, signature="1")  # type: ignore[arg-type]
        for kind in ("vendor", "purchase_order", "invoice")
    )
    left, right, state = open_twin(twin), memory_connection(crm, style="feed"), MemoryState(clock)
    ids = iter(range(1000))
    world = World(
        state=state, clock=clock, telemetry=SilentTelemetry(), new_id=lambda: f"id{next(ids)}", owner="runner", flows=flows
    )

    async def run() -> list[str]:
        outcomes = []
        for flow in flows:
            clock.advance(60)
            ends = Ends(
                left=Station(source=left.sources[flow.entity]),
                right=Station(source=right.sources[flow.target], sink=right.sinks[flow.target]),
            )
            counts = (await run_flow(flow, ends, world)).counts
            outcomes.append(f"{counts.written} written, {counts.parked} parked")
        return outcomes

    assert await run() == ["1 written, 0 parked", "1 written, 0 parked", "0 written, 1 parked"]
    [link] = await state.links.by_number("INV-1", "invoices")
    assert link.trouble is not None
    assert (link.standing, link.trouble.code) == ("parked", "awaiting_receipt")
    twin.receive("PO-1", 1, Decimal(10))
    assert (await run())[2] == "1 written, 0 parked"
    [invoice] = crm.records("invoice").values()
    assert isinstance(invoice, Invoice)
    [order] = crm.records("purchase_order")
    assert (invoice.status, invoice.purchase_order) == ("APPROVED", Ref("purchase_order", order))
