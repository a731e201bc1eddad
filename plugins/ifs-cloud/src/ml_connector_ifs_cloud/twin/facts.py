"""What the twin's tables say about a customer or an order, told in canonical field names."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Final, TypeAlias

from ml_connector_ifs_cloud.twin.business import COMPANY, order_total
from ml_connector_ifs_cloud.twin.fill import METHODS
from ml_connector_ifs_cloud.twin.tables import Database, Row

Told: TypeAlias = Iterator[tuple[str, Mapping[str, object]]]
_USES = {"billing": "Document", "shipping": "Delivery"}


def accounts(db: Database) -> Told:
    customer = db.model.types["CustomerInfo"]
    for row in list(db.tables["CustomerInfo"].in_key_order):
        facts: dict[str, object] = {
            "name": row.values.get("Name"),
            "category": db.value(customer, row, "CustomerCategory"),
            "tax_id": row.values.get("AssociationNo"),
            "language": db.value(customer, row, "DefaultLanguage"),
        }
        methods = db.children(customer, row, "CommunicationMethods")
        facts |= {kind: _method(methods, name) for kind, name in METHODS.items()}
        for use, code in _USES.items():
            facts |= {f"{use}.{part}": value for part, value in _address(db, row, code).items()}
        terms = _of_company(db, row, "CustomerInvoiceCompanies")
        credit = _of_company(db, row, "CustomerCreditInfoArray")
        sales = db.get("CustOrdCustomer", row.key[0])
        facts["payment_terms"] = terms.values.get("PayTermId") if terms else None
        facts["credit_limit"] = credit.values.get("CreditLimit") if credit else None
        facts["credit_blocked"] = credit.values.get("CreditBlock", False) if credit else None
        facts["currency"] = sales.values.get("CurrencyCode") if sales else None
        yield str(row.key[0]), facts


def orders(db: Database) -> Told:
    for row in list(db.tables["CustomerOrder"].in_key_order):
        wanted = row.values.get("WantedDeliveryDate")
        yield (
            str(row.key[0]),
            {
                "status": row.values.get("Objstate"),
                "customer": row.values.get("CustomerNo"),
                "amount": order_total(db, row),
                "currency": row.values.get("CurrencyCode"),
                "customer_reference": row.values.get("CustomerPoNo"),
                "external_reference": row.values.get("ExternalRef"),
                "wanted_on": str(wanted)[:10] if wanted else None,
                "payment_terms": row.values.get("PayTermId"),
                "region": row.values.get("RegionCode"),
                "district": row.values.get("DistrictCode"),
                "market": row.values.get("MarketCode"),
                "lines": tuple(_line(line) for line in _lines(db, row)),
            },
        )


def quotes(db: Database) -> Told:
    for row in list(db.tables["OrderQuotation"].in_key_order):
        expires = row.values.get("ExpirationDate")
        yield (
            str(row.key[0]),
            {
                "external_reference": row.values.get("ExternalRef"),
                "status": row.values.get("Objstate"),
                "customer": row.values.get("CustomerNo"),
                "currency": row.values.get("CurrencyCode"),
                "customer_reference": row.values.get("CustomerPoNo"),
                "payment_terms": row.values.get("PayTermId"),
                "valid_until": expires,
                "lines": tuple(_line(line) for line in _lines(db, row, "OrderQuotation", "OrderQuotationLineArray")),
            },
        )


def deals(db: Database) -> Told:
    for row in list(db.tables["BusinessOpportunity"].in_key_order):
        wanted = row.values.get("WantedDeliveryDate")
        yield (
            str(row.key[0]),
            {
                "name": row.values.get("Description"),
                "account": row.values.get("CustomerId"),
                "stage": row.values.get("Status"),
                "closing_on": str(wanted)[:10] if wanted else None,
            },
        )


def _lines(db: Database, row: Row, entity: str = "CustomerOrder", navigation: str = "OrderLinesArray") -> list[Row]:
    return sorted(db.children(db.model.types[entity], row, navigation), key=lambda line: line.key)


def _line(line: Row) -> tuple[str, object, object, object]:
    _, number, release, item = line.key
    key = f"{number}-{release}-{item}"
    return key, line.values.get("CatalogNo"), line.values.get("BuyQtyDue"), line.values.get("NetAmountCurr", Decimal(0))


def _method(methods: list[Row], name: str) -> object:
    """The default one of its kind, else the first."""
    found = sorted(
        (row for row in methods if row.values.get("MethodId") == name),
        key=lambda row: (not row.values.get("MethodDefault"), row.key[2]),
    )
    return found[0].values.get("Value") if found else None


def _address(db: Database, customer: Row, use: str) -> dict[str, object]:
    entity, parent = db.model.types["CustomerInfoAddress"], db.model.types["CustomerInfo"]
    for row in db.children(parent, customer, "CustomerInfoAddresses"):
        for kind in db.children(entity, row, "AddressTypes"):
            if kind.values.get("AddressTypeCode") == use and kind.values.get("DefAddress"):
                lines = (row.values.get(f"Address{i}") for i in range(1, 7))
                return {
                    "street": "\n".join(str(line) for line in lines if line) or None,
                    "city": row.values.get("City"),
                    "region": row.values.get("State"),
                    "postal_code": row.values.get("ZipCode"),
                    "country": row.values.get("Country"),
                }
    return dict.fromkeys(("street", "city", "region", "postal_code", "country"))


def _of_company(db: Database, customer: Row, navigation: str) -> Row | None:
    rows = db.children(db.model.types["CustomerInfo"], customer, navigation)
    return next((row for row in rows if row.key[0] == COMPANY), None)


def products(db: Database) -> Told:
    for row in list(db.tables["SalesPart"].in_key_order):
        yield str(row.key[1]), {"name": row.values.get("CatalogDesc"), "list_price": row.values.get("ListPrice")}


OF: Final[dict[str, Callable[[Database], Told]]] = {
    "account": accounts,
    "order": orders,
    "quote": quotes,
    "deal": deals,
    "product": products,
}
