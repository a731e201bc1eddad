"""What IFS does on its own: numbers it gives out, values it works out, states it lets an order pass through."""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

from ml_connector_ifs_cloud.twin.answers import business
from ml_connector_ifs_cloud.twin.schema import Value
from ml_connector_ifs_cloud.twin.tables import Database, Row

COMPANY = "10"
SITE = "S01"
COUNTRIES = {
    "CH": "Switzerland", "DE": "Germany", "DK": "Denmark", "FR": "France", "GB": "United Kingdom", "JP": "Japan", "NL":
    "Netherlands", "SE": "Sweden", "US": "United States",
}  # fmt: skip
TAX_RATE = Decimal("0.25")
CLOSED = ("Invoiced", "Cancelled")
"""States in which nothing about an order or a line can be changed any more."""
FULL = ("Delivered", *CLOSED)
"""States in which an order takes no more lines."""
MONEY_PLACES = 2

SALES_PARTS: dict[str, tuple[str, Decimal]] = {
    f"P-{number}": (description, Decimal(price))
    for number, description, price in (
        (100, "Pump housing", "249.00"), (101, "Impeller, bronze", "87.4500"), (102, "Shaft seal 25 mm", "12.345"),
        (103, "Bearing 6205-2RS", "4.95"), (104, "O-ring set", "0.1275"), (105, "Motor 5.5 kW", "1189.00"),
        (106, "Frequency converter", "734.50"), (107, "Pressure gauge 0-16 bar", "23.9"), (108, "Flange DN50", "31.25"),
        (109, "Hydraulic oil, litre", "6.875"), (110, "Mounting kit", "58.00"), (111, "Commissioning, hour", "112.50"),
    )
}  # fmt: skip
"""Catalogue number → description and list price. A line with a number that is not here is taken if it brings its own price."""


def net_amounts(line: Mapping[str, Value]) -> dict[str, Value]:
    """Net = quantity × price − discount, rounded to the decimals of the price, at least two."""
    quantity, price, discount = (line.get(name) or Decimal(0) for name in ("BuyQtyDue", "SaleUnitPrice", "Discount"))
    assert isinstance(quantity, Decimal) and isinstance(price, Decimal) and isinstance(discount, Decimal)
    places = max(MONEY_PLACES, -int(price.as_tuple().exponent))
    net = (quantity * price * (100 - discount) / 100).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return {"NetAmountCurr": net}


def tax_amount(db: Database, line: Row) -> Decimal:
    net = line.values.get("NetAmountCurr")
    return ((net if isinstance(net, Decimal) else Decimal(0)) * TAX_RATE).quantize(Decimal("0.01"), ROUND_HALF_UP)


def gross_amount(db: Database, line: Row) -> Decimal:
    net = line.values.get("NetAmountCurr")
    return (net if isinstance(net, Decimal) else Decimal(0)) + tax_amount(db, line)


def order_total(db: Database, order: Row) -> Decimal:
    """What the lines add up to; a package counts by its head (-1), not by its components (above 0)."""
    total = Decimal(0)
    for line in db.children(db.model.types["CustomerOrder"], order, "OrderLinesArray"):
        net, item = line.values.get("NetAmountCurr"), line.key[3]
        assert isinstance(item, Decimal)
        if isinstance(net, Decimal) and item <= 0:
            total += net
    return total


def customer_name(db: Database, order: Row) -> Value:
    customer = db.get("CustomerInfo", order.values.get("CustomerNo"))
    return customer.values.get("Name") if customer else None


def order_state(db: Database, line: Row) -> Value:
    order = db.get("CustomerOrder", line.values.get("OrderNo"))
    return order.values.get("Objstate") if order else None


def number_customer(db: Database, values: dict[str, Value]) -> None:
    while db.get("CustomerInfo", number := f"C-{db.next_number('CustomerInfo'):04d}"):
        pass
    values.setdefault("CustomerId", number)


def number_order(db: Database, values: dict[str, Value]) -> None:
    while db.get("CustomerOrder", number := str(100000 + db.next_number("CustomerOrder"))):
        pass
    values.setdefault("OrderNo", number)


def number_address(db: Database, values: dict[str, Value]) -> None:
    values.setdefault("AddressId", str(_next_among(db, "CustomerInfo", "CustomerInfoAddresses", values["CustomerId"], 1)))


def number_comm_method(db: Database, values: dict[str, Value]) -> None:
    values.setdefault("PartyType", "Customer")
    values.setdefault("CommId", Decimal(_next_among(db, "CustomerInfo", "CommunicationMethods", values["Identity"], 2)))


def number_line(db: Database, values: dict[str, Value]) -> None:
    values.setdefault("LineNo", str(_next_among(db, "CustomerOrder", "OrderLinesArray", values["OrderNo"], 1)))
    values.setdefault("RelNo", "1")
    values.setdefault("LineItemNo", Decimal(0))


def number_charge(db: Database, values: dict[str, Value]) -> None:
    sequence = _next_among(db, "CustomerOrder", "CustomerOrderChargeArray", values["OrderNo"], 1)
    values.setdefault("SequenceNo", Decimal(sequence))


def number_contact(db: Database, values: dict[str, Value]) -> None:
    number = db.next_number("CustomerInfoContact")
    values.setdefault("PersonId", f"PERS{number:05d}")
    values.setdefault("GuidId", f"{number:032X}")


def create_order(db: Database, values: dict[str, Value]) -> None:
    """A customer needs sales settings to be put on an order; the new order is Planned."""
    customer = values["CustomerNo"]
    if db.get("CustOrdCustomer", customer) is None:
        raise business(f"CustomerOrder.CUSTNOTEXIST: Customer {customer} has no order settings and cannot be put on an order.")
    values |= {"Objstate": "Planned", "DateEntered": db.stamp()[:10], "OrderCreationDate": db.stamp()}


def change_order(db: Database, row: Row, changes: Mapping[str, Value]) -> None:
    _open_order(row, CLOSED, "changed")


def delete_order(db: Database, row: Row) -> None:
    """What was released once stays: it is cancelled, not removed."""
    _open_order(row, tuple(state for state in db.model.enums["CustomerOrderState"] if state != "Planned"), "removed")


def create_line(db: Database, values: dict[str, Value]) -> None:
    """Description and price come from the sales part, the wanted date and the state from the order, which must be open."""
    order = db.get("CustomerOrder", values["OrderNo"])
    assert order is not None  # the parent was checked
    _open_order(order, FULL, "extended by a line")
    _price_of_part(values)
    values.setdefault("WantedDeliveryDate", order.values.get("WantedDeliveryDate"))
    values |= {"Objstate": "Released" if order.values.get("Objstate") == "Released" else "Planned", "DateEntered": db.stamp()}


def change_line(db: Database, row: Row, changes: Mapping[str, Value]) -> None:
    if row.values.get("Objstate") in FULL:
        raise business(
            f"CustomerOrderLine.NOTUPDATE: A line in state {row.values.get('Objstate')} may not be changed.", "20112"
        )


def delete_line(db: Database, row: Row) -> None:
    """A line is removed while it is planned, and cancelled later on."""
    state = row.values.get("Objstate")
    if state != "Planned":
        raise business(f"CustomerOrderLine.NOTREMOVE: A line in state {state} may not be removed. Cancel it instead.", "20112")


def cancel_line(db: Database, row: Row | None, parameters: Mapping[str, Value]) -> Value:
    assert row is not None
    state = row.values.get("Objstate")
    if state not in ("Planned", "Released", "Reserved"):
        raise business(f"CustomerOrderLine.STATE_CHANGED: A line in state {state} cannot become Cancelled.", "20112")
    reason = {"CancelReason": parameters["CancelReason"]} if parameters.get("CancelReason") is not None else {}
    db.update(db.model.types["CustomerOrderLine"], row, {"Objstate": "Cancelled", **reason})
    return None


def number_quotation(db: Database, values: dict[str, Value]) -> None:
    values.setdefault("QuotationNo", f"Q{db.next_number('OrderQuotation'):05d}")


def number_quotation_line(db: Database, values: dict[str, Value]) -> None:
    number = _next_among(db, "OrderQuotation", "OrderQuotationLineArray", values["QuotationNo"], 1)
    values.setdefault("LineNo", str(number))
    values.setdefault("RelNo", "1")
    values.setdefault("LineItemNo", Decimal(0))


def number_opportunity(db: Database, values: dict[str, Value]) -> None:
    values.setdefault("OpportunityNo", f"B{db.next_number('BusinessOpportunity'):05d}")


def create_quotation(db: Database, values: dict[str, Value]) -> None:
    """A prospect can be quoted to, somebody unknown cannot."""
    _known_customer(db, values["CustomerNo"])
    values |= {"Objstate": "Planned", "DateEntered": db.stamp()[:10]}


def change_quotation(db: Database, row: Row, changes: Mapping[str, Value]) -> None:
    state = row.values.get("Objstate")
    if state in ("Won", "Lost", "Cancelled"):
        raise business(f"OrderQuotation.NOTUPDATE: Quotation {row.key[0]} in state {state} may not be changed.", "20112")


def create_quotation_line(db: Database, values: dict[str, Value]) -> None:
    quotation = db.get("OrderQuotation", values["QuotationNo"])
    assert quotation is not None  # the parent was checked
    change_quotation(db, quotation, {})
    _price_of_part(values)
    values["Objstate"] = "Planned"


def create_opportunity(db: Database, values: dict[str, Value]) -> None:
    _known_customer(db, values["CustomerId"])
    values |= {"Status": "Open", "DateEntered": db.stamp()[:10]}


def create_contact(db: Database, values: dict[str, Value]) -> None:
    values |= {"Created": db.stamp(), "Changed": db.stamp()}


def release_order(db: Database, row: Row | None, parameters: Mapping[str, Value]) -> Value:
    return _move_order(db, row, "Released", ("Planned", "Blocked"), {})


def cancel_order(db: Database, row: Row | None, parameters: Mapping[str, Value]) -> Value:
    reason = {"CancelReason": parameters["CancelReason"]} if parameters.get("CancelReason") is not None else {}
    return _move_order(db, row, "Cancelled", ("Planned", "Blocked", "Released", "Reserved"), reason)


def print_order(db: Database, row: Row | None, parameters: Mapping[str, Value]) -> Value:
    return str(558000 + db.next_number("ResultKey"))


def change_category(db: Database, row: Row | None, parameters: Mapping[str, Value]) -> Value:
    customer = db.get("CustomerInfo", parameters.get("CustomerId"))
    if customer is None:
        raise business(f"CustomerInfo.NOTEXIST: Customer {parameters.get('CustomerId')} does not exist.")
    db.update(db.model.types["CustomerInfo"], customer, {"CustomerCategory": parameters.get("CustomerCategory")})
    return None


def create_customer_contact(db: Database, row: Row | None, parameters: Mapping[str, Value]) -> Value:
    if db.get("CustomerInfo", parameters.get("CustomerId")) is None:
        raise business(f"CustomerInfo.NOTEXIST: Customer {parameters.get('CustomerId')} does not exist.")
    values = {name: parameters.get(name) for name in ("CustomerId", "Role", "Email", "Phone", "Mobile")}
    number_contact(db, values)
    create_contact(db, values)
    db.insert(db.model.types["CustomerInfoContact"], values)
    return None


def _move_order(db: Database, row: Row | None, to: str, origins: tuple[str, ...], changes: dict[str, Value]) -> Value:
    assert row is not None
    state = row.values.get("Objstate")
    if state not in origins:
        raise business(f"CustomerOrder.STATE_CHANGED: An order in state {state} cannot become {to}.", "20112")
    order, line = db.model.types["CustomerOrder"], db.model.types["CustomerOrderLine"]
    db.update(order, row, {"Objstate": to, **changes})
    for each in db.children(order, row, "OrderLinesArray"):
        if each.values.get("Objstate") not in CLOSED:
            db.update(line, each, {"Objstate": to})
    return None


def _price_of_part(values: dict[str, Value]) -> None:
    """Price and description of the sales part, unless the line brings its own."""
    number = str(values["CatalogNo"])
    if values.get("SaleUnitPrice") is None:
        if number not in SALES_PARTS:
            raise business(f"SalesPart.NOTEXIST: The Sales Part {number} does not exist on site {SITE}.")
        values["SaleUnitPrice"] = SALES_PARTS[number][1]
    values.setdefault("CatalogDesc", SALES_PARTS[number][0] if number in SALES_PARTS else number)


def _known_customer(db: Database, number: Value) -> None:
    if db.get("CustomerInfo", number) is None:
        raise business(f"CustomerInfo.NOTEXIST: Customer {number} does not exist.")


def _open_order(row: Row, barred: tuple[str, ...], what: str) -> None:
    state = row.values.get("Objstate")
    if state in barred:
        raise business(f"CustomerOrder.NOTALLOWED: Order {row.key[0]} in state {state} may not be {what}.", "20112")


def _next_among(db: Database, parent: str, navigation: str, key: Value, position: int) -> int:
    """One more than the highest number at ``position`` in the keys of the parent's children."""
    row = db.get(parent, key)
    taken = [str(child.key[position]) for child in db.children(db.model.types[parent], row, navigation)] if row else []
    return max((int(number) for number in taken if number.isdigit()), default=0) + 1
