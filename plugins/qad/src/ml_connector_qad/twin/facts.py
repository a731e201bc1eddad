"""What the tables say, told in canonical field names and without any of the plugin's code."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ml_connector_qad.twin.store import Store, Values

STATES = {"O": "open", "C": "closed", "X": "cancelled"}


def of(store: Store, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(business number, canonical field path → value) of every record of the kind."""
    path, number, tell = _KINDS[kind]
    component = store.components[path]
    for row in sorted(store.rows(path), key=lambda row: str(row.values[number])):
        yield str(row.values[number]), tell(store, store.shown(component, row))


def _address(values: Values, head: str) -> dict[str, object]:
    street = "\n".join(str(values[name] or "") for name in ("street1", "street2", "street3")).rstrip("\n")
    return {
        f"{head}.street": street or None,
        f"{head}.city": values["city"] or None,
        f"{head}.region": values["stateCode"] or None,
        f"{head}.postal_code": values["zipCode"] or None,
        f"{head}.country": values["countryCode"] or None,
    }


def _party(values: Values) -> dict[str, object]:
    return {
        "name": values["addressName"],
        "phone": values["telephone"] or None,
        "email": values["EMail"] or None,
        "website": values["webSite"] or None,
        "currency": values["currencyCode"],
        "payment_terms": values["creditTermsCode"],
        "active": values["isActive"],
    }


def _account(store: Store, values: Values) -> dict[str, object]:
    nothing = dict.fromkeys(("shipping.street", "shipping.city", "shipping.region", "shipping.postal_code", "shipping.country"))
    return {
        **_party(values),
        "category": "Customer",
        "tax_id": values["customShort5"] or None,
        "fax": values["fax"] or None,
        "language": values["languageCode"] or None,
        "credit_limit": values["creditLimit"],
        **_address(values, "billing"),
        **nothing,
    }


def _vendor(store: Store, values: Values) -> dict[str, object]:
    return {**_party(values), "category": values["supplierTypeCode"] or None, **_address(values, "address")}


def _product(store: Store, values: Values) -> dict[str, object]:
    return {
        "name": values["description"],
        "description": values["description2"] or None,
        "unit": values["unitOfMeasure"],
        "list_price": values["listPrice"],
        "vendor": values["supplier"] or None,
    }


def _order(store: Store, values: Values) -> dict[str, object]:
    lines = store.lines_of(store.grids["salesOrderLinesGrid"], values)
    return {
        "status": None,  # the header has no field for it
        "customer": values["soldToCustomerCode"],
        "currency": values["currencyCode"],
        "amount": sum((_net(line, "netPrice") for line in lines), Decimal()),
        "payment_terms": values["creditTermsCode"] or None,
        "customer_reference": values["customShort0"] or None,
        "external_reference": values["customShort1"] or None,
        "description": values["customShort3"] or None,
        "ordered_on": _day(values["orderDate"]),
        "wanted_on": _day(values["dueDate"]),
        "region": values["customShort2"] or None,
        "lines": tuple(_line(line, "salesOrderLine", "netPrice") for line in lines),
    }


def _purchase(store: Store, values: Values) -> dict[str, object]:
    lines = store.lines_of(store.grids["purchaseOrderLinesGrid"], values)
    return {
        "status": STATES.get(values["orderStatus"], values["orderStatus"]),
        "vendor": values["supplierCode"],
        "currency": values["currencyCode"],
        "amount": sum((_net(line, "purchaseCost") for line in lines), Decimal()),
        "description": values["remarks"] or None,
        "ordered_on": _day(values["orderDate"]),
        "due_on": _day(values["dueDate"]),
        "lines": tuple(_line(line, "purchaseOrderLine", "purchaseCost") for line in lines),
    }


def _invoice(store: Store, values: Values) -> dict[str, object]:
    order = store.get("purchaseOrderHeaders", values)
    lines = store.lines_of(store.grids["purchaseOrderLinesGrid"], order.values) if order is not None else []
    return {
        "status": values["invoiceStatusCode"] or None,
        "vendor": values["supplierCode"],
        "purchase_order": values["purchaseOrderNumber"] or None,
        "currency": values["currencyCode"],
        "total": values["invoiceAmount"],
        "open_amount": values["openAmount"],
        "issued_on": _day(values["invoiceDate"]),
        "due_on": _day(values["dueDate"]),
        "received": any(line["quantityReceived"] > 0 for line in lines),
    }


def _line(line: Values, number: str, price: str) -> tuple[str, object, object, object]:
    return str(line[number]), line["itemCode"], line["quantityOrdered"], _net(line, price)


def _net(line: Values, price: str) -> Decimal:
    return Decimal(line["quantityOrdered"] * line[price])


def _day(value: Any) -> str | None:
    return value.isoformat() if value is not None else None


_KINDS: Mapping[str, Any] = {
    "account": ("customerV2s", "customerCode", _account),
    "vendor": ("supplierV2s", "supplierCode", _vendor),
    "product": ("items", "itemCode", _product),
    "order": ("salesOrderHeaders", "salesOrderNumber", _order),
    "purchase_order": ("purchaseOrderHeaders", "purchaseOrderNumber", _purchase),
    "invoice": ("supplierInvoices", "supplierInvoiceNumber", _invoice),
}
