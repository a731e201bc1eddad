"""Suppliers, purchase orders and invoices: amounts to the digit, lines in their order, and every one of them."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from oracle_world import World

from ml_connector.domain import Address, Extra, Invoice, Money, PurchaseOrder, Ref, Vendor


async def one(world: World, kind: Any, record_id: str) -> Any:
    [record] = await world.connection.sources[kind].fetch([record_id])
    return record.entity


async def test_a_supplier_comes_with_the_address_that_orders_go_to(oracle: Callable[..., World]) -> None:
    world = oracle()
    addresses = [
        {"AddressName": "HQ", "AddressLine1": "Box 1", "City": "Lund", "CountryCode": "SE", "Status": "ACTIVE"},
        {
            "AddressName": "Orders",
            "AddressLine1": "Gate 4",
            "AddressLine2": "Dock B",
            "City": "Malmö",
            "PostalCode": "211 20",
            "CountryCode": "SE",
            "AddressPurposeOrderingFlag": True,
            "Email": "orders@bolts.example",
            "PhoneCountryCode": "46",
            "PhoneNumber": "40 1",
            "Status": "ACTIVE",
        },
    ]
    supplier = world.twin.record(
        "suppliers", addresses, SupplierNumber="1007", Supplier="Bolts AB", Status="ACTIVE", TaxpayerId="556"
    )
    vendor = await one(world, "vendor", supplier)
    assert isinstance(vendor, Vendor)
    assert (vendor.number, vendor.name, vendor.tax_id, vendor.active) == ("1007", "Bolts AB", "556", True)
    assert vendor.address == Address("Gate 4\nDock B", "Malmö", None, "211 20", "SE")
    assert (vendor.email, vendor.phone) == ("orders@bolts.example", "46 40 1")


async def test_a_supplier_who_left_is_inactive(oracle: Callable[..., World]) -> None:
    world = oracle()
    supplier = world.twin.record("suppliers", SupplierNumber="1", Supplier="Gone", InactiveDate="2026-01-31")
    vendor = await one(world, "vendor", supplier)
    assert (vendor.active, vendor.address, vendor.extra["inactive_on"]) == (False, None, date(2026, 1, 31))


async def test_an_order_has_all_its_lines_though_few_come_at_once(oracle: Callable[..., World]) -> None:
    world = oracle(page_size=20)
    lines = [
        {"LineNumber": n, "Item": f"P-{n}", "Quantity": Decimal("2.5"), "Price": Decimal("0.10")} for n in range(60, 0, -1)
    ]
    order = world.twin.record(
        "purchaseOrders",
        lines,
        OrderNumber="PO-77",
        SupplierId=42,
        CurrencyCode="SEK",
        Total=Decimal("15.00"),
        OrderDate="2026-03-01",
    )
    found = await one(world, "purchase_order", order)
    assert isinstance(found, PurchaseOrder)
    assert (found.number, found.vendor, found.total) == ("PO-77", Ref("vendor", "42"), Money(Decimal("15.00"), "SEK"))
    assert found.ordered_on == date(2026, 3, 1)
    assert [line.key for line in found.lines or ()] == [str(n) for n in range(1, 61)]
    assert {(line.quantity, line.unit_price) for line in found.lines or ()} == {(Decimal("2.5"), Decimal("0.10"))}


@pytest.mark.parametrize("version", [2, 4, 9])
async def test_lines_come_in_either_shape(oracle: Callable[..., World], version: int) -> None:
    world = oracle(rest_framework_version=version)
    for count in (3, 25, 30):
        lines = [{"LineNumber": n} for n in range(1, count + 1)]
        order = world.twin.record("purchaseOrders", lines, OrderNumber=f"PO-{count}")
        found = await one(world, "purchase_order", order)
        assert len(found.lines) == count


async def test_without_lines_an_order_says_nothing_of_them(oracle: Callable[..., World]) -> None:
    from ml_connector.domain import UNSET

    world = oracle(entities={"purchase_order": {"lines": False}})
    order = world.twin.record("purchaseOrders", [{"LineNumber": 1}], OrderNumber="PO-1")
    assert (await one(world, "purchase_order", order)).lines is UNSET


async def test_a_customers_invoice_tells_what_is_open(oracle: Callable[..., World]) -> None:
    world = oracle()
    party = world.twin.enter("account", OrganizationName="Acme")
    number = world.twin.open_account(party)
    transaction = world.twin.invoice(number, Decimal("1250.50"), PurchaseOrder="PO-9")
    world.twin.pay(transaction, Decimal("250.50"))
    invoice = await one(world, "invoice", transaction)
    assert isinstance(invoice, Invoice)
    assert invoice.customer == Ref("account", party)
    assert (invoice.total, invoice.open_amount) == (Money(Decimal("1250.50"), "SEK"), Money(Decimal("250.50"), "SEK"))
    assert isinstance(invoice.extra, Extra)
    assert invoice.extra["purchase_order"] == "PO-9"
    assert invoice.due_on == date(2026, 4, 1)


async def test_a_suppliers_invoice_names_its_supplier_by_id(oracle: Callable[..., World]) -> None:
    world = oracle(entities={"invoice": {"of": "payables"}})
    supplier = world.twin.record("suppliers", SupplierNumber="1007", Supplier="Bolts AB")
    told: dict[str, Any] = {
        "InvoiceCurrency": "SEK",
        "InvoiceAmount": Decimal(100),
        "AmountPaid": Decimal(40),
        "PaidStatus": "Partially paid",
    }
    bill = world.twin.record(
        "invoices", [{"LineNumber": 1, "LineAmount": 100}], InvoiceNumber="F-1", SupplierNumber="1007", **told
    )
    cancelled = world.twin.record("invoices", InvoiceNumber="F-2", CanceledFlag=True, **told)
    first, second = await one(world, "invoice", bill), await one(world, "invoice", cancelled)
    assert (first.vendor, first.open_amount, first.status) == (
        Ref("vendor", supplier),
        Money(Decimal(60), "SEK"),
        "Partially paid",
    )
    assert (second.vendor, second.status) == (None, "Cancelled")


async def test_lines_that_move_without_their_header_are_another_version(oracle: Callable[..., World]) -> None:
    world = oracle()
    order = world.twin.record("purchaseOrders", [{"LineNumber": 1, "Quantity": 1}], OrderNumber="PO-1")
    [before] = await world.connection.sources["purchase_order"].fetch([order])
    world.twin.store.rows("purchaseOrders")[int(order)]["lines"][0]["Quantity"] = 2
    [after] = await world.connection.sources["purchase_order"].fetch([order])
    assert before.version != after.version
