"""A kind may live in a module that an administrator made: suppliers' invoices, for which Zoho has no module of its own."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain import Invoice, Money, Ref
from ml_connector.errors import ContractBroken
from ml_connector.ports.fitness import Need
from ml_connector.ports.sink import Create, Key, Written

FIELDS = {
    "invoice.vendor": "Supplier",
    "invoice.status": "Invoice_State",
    "invoice.due_on": "Due_On",
    "invoice.open_amount": "Open_Amount",
}


@pytest.fixture
def world(zoho: Callable[..., Any]) -> Any:
    world = zoho(modules={"invoice": "Supplier_Invoices"}, fields=FIELDS)
    module = world.twin.add_module("Supplier_Invoices")
    world.twin.add_field(module, "ERP_Invoice_No", length=100, unique=True, external=True)
    world.twin.add_field(module, "Supplier", "lookup", target="Vendors")
    world.twin.add_field(module, "Invoice_State")
    world.twin.add_field(module, "Due_On", "date")
    world.twin.add_field(module, "Open_Amount", "currency")
    return world


async def test_a_suppliers_invoice_stands_in_a_custom_module_beside_its_vendor(world: Any) -> None:
    vendor = world.twin.insert_as_person("Vendors", Vendor_Name="Bolts & Co")
    invoice = Invoice(
        number="SI-7",
        name="SI-7",
        vendor=Ref("vendor", vendor),
        status="received",
        due_on=date(2026, 4, 1),
        open_amount=Money(Decimal("120.50"), "EUR"),
    )
    sink = world.connection.sinks["invoice"]
    assert {"number", "name", "vendor", "status", "due_on", "open_amount"} <= await sink.accepts()
    assert "lines" not in await sink.accepts()
    [made] = await sink.write([Create(key=Key("number", "SI-7"), entity=invoice)])
    assert isinstance(made, Written)
    [row] = world.twin.records("CustomModule1").values()
    assert (row["Name"], row["Supplier"], row["Open_Amount"]) == ("SI-7", vendor, Decimal("120.50"))
    [record] = await world.connection.sources["invoice"].fetch([made.id])
    assert (record.entity.number, record.entity.vendor, record.entity.status) == ("SI-7", Ref("vendor", vendor), "received")
    [again] = await sink.write([Create(key=Key("number", "SI-7"), entity=invoice)])
    assert (again.id, again.created) == (made.id, False)


async def test_what_people_do_in_a_custom_module_is_read_as_changes(world: Any) -> None:
    made = world.twin.insert_as_person("CustomModule1", Name="SI-8", ERP_Invoice_No="SI-8")
    world.twin.clock.advance(300)
    pages = [page async for page in world.connection.sources["invoice"].changed_since(None)]
    assert [record.id for page in pages for record in page.records] == [made]


async def test_a_custom_module_that_is_not_there_is_named(zoho: Callable[..., Any]) -> None:
    world = zoho(modules={"invoice": "Supplier_Invoices"})
    with pytest.raises(ContractBroken, match="no module Supplier_Invoices"):
        await world.connection.sinks["invoice"].accepts()
    [finding] = [
        found
        for found in await world.connection.fitness.inspect(
            [Need(kind="invoice", access="write", fields=frozenset({"number"}))]
        )
        if found.level == "unfit"
    ]
    assert "modules.invoice" in finding.fix
