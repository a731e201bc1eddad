"""Made-up customers and orders, awkward ones among them, and the edits that a person might make to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import NamedTuple

from ml_connector_ifs_cloud.twin.business import COMPANY, SALES_PARTS, number_comm_method, number_customer
from ml_connector_ifs_cloud.twin.schema import Value
from ml_connector_ifs_cloud.twin.tables import Database, Row

METHODS = {"phone": "Phone", "email": "EMail", "fax": "Fax", "website": "Www"}
"""What MethodId holds for each way to reach a customer (assumed identifiers)."""

AWKWARD_NAMES = (
    'O\'Neil "Sons" & Daughters',
    "Café Zoë 🚀 Raketen & Co",
    "株式会社山田製作所",
    "Gesellschaft für Pumpen-, Armaturen- und Anlagenbau und Wartung in ganz Norddeutschland mbH & Co. KG",  # 100
    "Trailing Blanks Ltd   ",
)
CLOSED = ("Invoiced", "Cancelled")
SAME_SECOND = 40  # so many rows in turn carry the same version

_COUNTRIES = (
    ("Sweden", "SE", "sv", "SEK", "Göteborg", "411 05", "+46 31"),
    ("Germany", "DE", "de", "EUR", "Lübeck", "23552", "+49 451"),
    ("United Kingdom", "GB", "en", "GBP", "Hull", "HU1 1AA", "+44 1482"),
    ("United States", "US", "en", "USD", "Milwaukee", "53202", "+1 414"),
    ("Japan", "JP", "ja", "JPY", "大阪市", "530-0001", "+81 6"),
    ("France", "FR", "fr", "EUR", "Besançon", "25000", "+33 381"),
    ("Switzerland", "CH", "de", "CHF", "Winterthur", "8400", "+41 52"),
)
_FIRST = (
    "Nordic",
    "Baltic",
    "Atlas",
    "Harbour",
    "Summit",
    "Vulcan",
    "Amber",
    "Polar",
    "Delta",
    "Granite",
    "Falcon",
    "Meridian",
)
_TRADE = ("Pumps", "Marine", "Hydraulics", "Bearings", "Foundry", "Valves", "Tooling", "Automation", "Dairy", "Paper", "Mining")
_FORM = ("AB", "GmbH", "Ltd", "Inc.", "SA", "KK", "AG", "& Partners")
_STREETS = ("Hamngatan", "Quay Street", "Industriestraße", "Rue du Port", "Mill Lane", "Werftweg", "North Dock Road")
_TERMS = ("0", "14", "30", "30", "45", "60")
_REGIONS, _DISTRICTS, _MARKETS = ("NORTH", "SOUTH", "EAST", "WEST"), ("D1", "D2", "D3"), ("OEM", "MRO", "RETAIL")
_STATES = (
    "Planned", "Released", "Reserved", "Picked", "PartiallyDelivered", "Delivered", "Invoiced", "Cancelled", "Blocked",
)  # fmt: skip
_LINE_STATE = {state: state for state in _STATES} | {"Blocked": "Planned"}
_PRICES = tuple(Decimal(text) for text in ("12.50", "99.95", "1480.00", "0.1275", "7.349", "310.4", "64.0625", "2199.90"))
_QUANTITIES = tuple(Decimal(text) for text in ("1", "2", "3", "5", "10", "12", "24", "100", "2.5", "0.75"))
_DISCOUNTS = (Decimal("5"), Decimal("12.5"))
_CATALOGUE = tuple((number, description) for number, (description, _) in SALES_PARTS.items())


class Buyer(NamedTuple):
    """What an order copies from its customer."""

    number: str
    currency: str
    terms: str
    documents_to: str  # AddressId


class Filler:
    """Puts records in place, each kind in the order of its numbers."""

    def __init__(self, db: Database, seed: int) -> None:
        self._db = db
        self._random = Random(seed)
        self._start = db.now().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=400)
        self._rows = 0
        self._version = ""
        self._days = [(self._start + timedelta(days=day)).strftime("%Y-%m-%d") for day in range(520)]
        self._moments = [f"{day}T00:00:00Z" for day in self._days]

    def customers(self, count: int) -> list[Buyer]:
        """Returns those that can be on an order, so not the prospects."""
        buyers = []
        for i in range(count):
            number = f"C-{self._db.next_number('CustomerInfo'):04d}"
            name = AWKWARD_NAMES[i] if i < len(AWKWARD_NAMES) else company_name(self._random)
            prospect = i % 11 == len(AWKWARD_NAMES)
            buyer = self.customer(number, name, "Prospect" if prospect else "Customer")
            if not prospect:
                buyers.append(buyer)
        return buyers

    def customer(self, number: str, name: str, category: str = "Customer") -> Buyer:
        """One customer with addresses, ways to reach it, sales settings, terms and credit."""
        random = self._random
        country, code, language, currency, city, zip_code, dial = random.choice(_COUNTRIES)
        self._put(
            "CustomerInfo", CustomerId=number, Name=name, CreationDate=random.choice(self._days[:390]), Country=country,
            CountryCode=code, DefaultLanguage=language, CustomerCategory=category,
            AssociationNo=f"{code}{random.randrange(10**8, 10**9)}" if random.random() < 0.8 else None,
            CorporateForm=random.choice(("AB", "GMBH", "LTD")),
        )  # fmt: skip
        documents_to = self._addresses(number, city, zip_code, code, country)
        self._methods(number, dial)
        terms = random.choice(_TERMS)
        self._put("CustOrdCustomer", CustomerNo=number, CurrencyCode=currency, CustGrp="10", MarketCode=random.choice(_MARKETS))
        self._put("CustomerInvoiceCompany", Company=COMPANY, Identity=number, PayTermId=terms, DefCurrency=currency)
        limit = Decimal(random.randrange(1, 400) * 2500) + random.choice((Decimal(0), Decimal("0.50")))
        self._put("CustomerCreditInfo", Company=COMPANY, Identity=number, CreditLimit=limit, CreditBlock=random.random() < 0.05)
        if random.random() < 0.2:  # another company's terms, to be left alone
            self._put("CustomerInvoiceCompany", Company="20", Identity=number, PayTermId="90", DefCurrency="USD")
            self._put("CustomerCreditInfo", Company="20", Identity=number, CreditLimit=Decimal(1))
        return Buyer(number, currency, terms, documents_to)

    def order(self, buyer: Buyer, state: str, *, awkward: bool = False) -> str:
        """One order with 1-5 lines. Returns its number."""
        random = self._random
        number = str(100000 + self._db.next_number("CustomerOrder"))
        created = random.randrange(390)
        wanted = self._moments[created + random.randrange(5, 120)]
        self._put(
            "CustomerOrder", OrderNo=number, CustomerNo=buyer.number, CurrencyCode=buyer.currency, Objstate=state,
            CustomerPoNo=f"PO \"{number}\" & 'Söhne' 🧾" if awkward else f"PO-{random.randrange(10**6)}",
            WantedDeliveryDate=wanted, DateEntered=self._days[created], OrderCreationDate=self._moments[created],
            PayTermId=buyer.terms, RegionCode=random.choice(_REGIONS), DistrictCode=random.choice(_DISTRICTS),
            MarketCode=random.choice(_MARKETS), ShipAddrNo="1", BillAddrNo=buyer.documents_to,
        )  # fmt: skip
        prices = (Decimal("0.10"), Decimal("0.20")) if awkward else random.choices(_PRICES, k=random.randint(1, 5))
        for line, price in enumerate(prices, 1):
            catalog, description = random.choice(_CATALOGUE)
            quantity = Decimal(1) if awkward else random.choice(_QUANTITIES)
            discount = {"Discount": random.choice(_DISCOUNTS)} if random.random() < 0.15 and not awkward else {}
            self._put(
                "CustomerOrderLine", OrderNo=number, LineNo=str(line), CatalogNo=catalog, CatalogDesc=description,
                BuyQtyDue=quantity, SaleUnitPrice=price, WantedDeliveryDate=wanted, Objstate=_LINE_STATE[state], **discount,
            )  # fmt: skip
        return number

    def orders(self, count: int, buyers: list[Buyer], late: Buyer | None) -> str | None:
        """Every state is among the first nine. The last order waits for ``late``; returns its number."""
        for i in range(count - (late is not None)):
            state = _STATES[i % len(_STATES)] if i < 2 * len(_STATES) else self._random.choice(_STATES)
            self.order(self._random.choice(buyers), state, awkward=i % 50 == 1)
        return self.order(late, "Released") if late else None

    def _addresses(self, number: str, city: str, zip_code: str, code: str, country: str) -> str:
        random = self._random
        documents_to = "1" if random.random() < 0.3 else "2"
        for address in ("1", "2", "3")[: int(documents_to) + (random.random() < 0.2)]:
            lines = {"Address1": f"{random.choice(_STREETS)} {random.randint(1, 190)}"}
            if random.random() < 0.3:
                lines["Address2"] = f"Gate {random.randint(1, 9)}"
            self._put(
                "CustomerInfoAddress", CustomerId=number, AddressId=address, ZipCode=zip_code, City=city, Country=code,
                CountryDesc=country, **lines,
            )  # fmt: skip
            uses = [("Delivery", True)] if address == "1" else []
            uses += [("Document", True), ("Pay", True)] if address == documents_to else []
            for use, default in uses or [("Delivery", False), ("Visit", True)]:
                self._put(
                    "CustomerInfoAddressType", CustomerId=number, AddressId=address, AddressTypeCode=use, DefAddress=default
                )
        return documents_to

    def _methods(self, number: str, dial: str) -> None:
        random, slug = self._random, number.lower().replace("-", "")
        found: list[tuple[str, str, bool]] = []
        if random.random() < 0.1:
            found.append(("phone", f"{dial} 000 00 00", False))  # an old number, no longer the default
        for kind, share, value in (
            ("phone", 0.9, f"{dial} {random.randrange(100, 999)} {random.randrange(10, 99)} {random.randrange(10, 99)}"),
            ("email", 0.85, f"purchasing@{slug}.example"),
            ("fax", 0.3, f"{dial} {random.randrange(100, 999)} 99"),
            ("website", 0.6, f"https://www.{slug}.example"),
        ):
            if random.random() < share:
                found.append((kind, value, True))
        for i, (kind, value, default) in enumerate(found, 1):
            self._put(
                "CommMethod", Identity=number, CommId=Decimal(i), MethodId=METHODS[kind], Value=value, MethodDefault=default
            )

    def _put(self, entity: str, **values: Value) -> None:
        if self._rows % SAME_SECOND == 0:
            self._version = (self._start + timedelta(seconds=self._rows // SAME_SECOND)).strftime("%Y%m%d%H%M%S")
        self._rows += 1
        self._db.insert(self._db.model.types[entity], values, self._version)


def company_name(random: Random) -> str:
    return f"{random.choice(_FIRST)} {random.choice(_TRADE)} {random.randint(2, 99)} {random.choice(_FORM)}"


def edit_customer(db: Database, row: Row, random: Random) -> None:
    """A new name, or at times a new tax number: either way something in the customer's own row."""
    changes: dict[str, Value] = {}
    if random.random() < 0.8:
        changes["Name"] = _other(row.values.get("Name"), lambda: company_name(random))
    if not changes or random.random() < 0.3:
        changes["AssociationNo"] = _other(row.values.get("AssociationNo"), lambda: f"ED{random.randrange(10**8, 10**9)}")
    db.update(db.model.types["CustomerInfo"], row, changes)


def sets(db: Database, number: str, fields: Mapping[str, str | None]) -> str:
    """What a person sets of a customer: its name and the ways to reach it. Without a number a new one is entered."""
    customer, method = db.model.types["CustomerInfo"], db.model.types["CommMethod"]
    row = db.get("CustomerInfo", number) if number else None
    if row is None:
        created: dict[str, Value] = {
            "Name": fields["name"], "Country": "Sweden", "CountryCode": "SE", "CreationDate": db.stamp()[:10],
            "CustomerCategory": "Customer",
        }  # fmt: skip
        number_customer(db, created)
        row = db.insert(customer, created)
    elif "name" in fields:
        db.update(customer, row, {"Name": fields["name"]})
    for name in METHODS.keys() & fields.keys():
        held = [each for each in db.children(customer, row, "CommunicationMethods") if each.values["MethodId"] == METHODS[name]]
        shown = min(held, key=lambda each: (not each.values.get("MethodDefault"), each.key[2]), default=None)
        if shown is not None and fields[name] is not None:
            db.update(method, shown, {"Value": fields[name]})
        elif shown is not None:
            db.delete(method, shown)
        elif fields[name] is not None:
            added: dict[str, Value] = {
                "Identity": row.key[0], "MethodId": METHODS[name], "Value": fields[name], "MethodDefault": True,
            }  # fmt: skip
            number_comm_method(db, added)
            db.insert(method, added)
    return str(row.key[0])


def edit_order(db: Database, row: Row, random: Random) -> None:
    """The customer's reference, the wanted date, or the quantity of a line, in which case the header keeps its ETag."""
    order, line = db.model.types["CustomerOrder"], db.model.types["CustomerOrderLine"]
    lines = db.children(order, row, "OrderLinesArray")
    match random.randrange(3 if lines else 2):
        case 0:
            reference = _other(row.values.get("CustomerPoNo"), lambda: f"PO-{random.randrange(10**6)}-B")
            db.update(order, row, {"CustomerPoNo": reference})
        case 1:
            moment = _other(row.values.get("WantedDeliveryDate"), lambda: f"2027-{random.randint(1, 12):02}-15T00:00:00Z")
            db.update(order, row, {"WantedDeliveryDate": moment})
        case _:
            chosen = random.choice(lines)
            quantity = _other(chosen.values.get("BuyQtyDue"), lambda: Decimal(random.randint(1, 200)))
            db.update(line, chosen, {"BuyQtyDue": quantity})


def _other(current: Value, make: Callable[[], Value]) -> Value:
    while (value := make()) == current:
        pass
    return value
