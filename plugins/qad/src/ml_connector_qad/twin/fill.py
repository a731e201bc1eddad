"""Made-up suppliers, items, customers and their documents, awkward ones among them, and what a person might do to them."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from ml_connector_qad.twin.installation import Installation
from ml_connector_qad.twin.schema import RELATION
from ml_connector_qad.twin.store import Row, Store, Values, empty, fold

AWKWARD_NAMES = (
    'O\'Neil "Sons" & Daughters',
    "Café Zoë 🚀 Raketen & Co",
    "株式会社山田製作所",
    "Pumps, Valves; Tools (Holding) / Nordic",
    "Trailing Blanks Ltd   ",
)
AWKWARD_CODES = ("P/100.5", "GB-12.A", "10.20/30", "ÄÖ-1")
_PLACES = (
    ("Göteborg", "411 05", "SE", "", "+46 31"),
    ("Lübeck", "23552", "DE", "", "+49 451"),
    ("Hull", "HU1 1AA", "GB", "", "+44 1482"),
    ("Milwaukee", "53202", "US", "WI", "+1 414"),
    ("大阪市", "530-0001", "JP", "", "+81 6"),
    ("Besançon", "25000", "FR", "", "+33 381"),
)
_FIRST = ("Nordic", "Baltic", "Atlas", "Harbour", "Summit", "Vulcan", "Amber", "Polar", "Delta", "Granite")
_TRADE = ("Castings", "Marine", "Hydraulics", "Bearings", "Foundry", "Valves", "Tooling", "Paper", "Mining")
_FORM = ("AB", "GmbH", "Ltd", "Inc.", "SA", "KK", "& Partners")
_PRICES = tuple(Decimal(text) for text in ("12.50", "99.95", "1480.00", "7.35", "310.40", "64.06", "2199.90"))
_QUANTITIES = tuple(Decimal(text) for text in ("1", "2", "3", "5", "10", "12", "24", "100", "2.5"))
_REGIONS = ("NORTH", "SOUTH", "EAST", "WEST")
_GL = {
    "invoiceControlGLProfileCode": "INV",
    "creditNoteControlGLProfileCode": "CRN",
    "prePaymentControlGLProfileCode": "PRE",
    "invoiceStatusCode": "APPROVED",
    "creditTermsCode": "N30",
    "currencyCode": "USD",
}
CUSTOMER_DEFAULTS: Values = {**_GL, "salesAccountGLProfileCode": "SAL"}
"""What a clerk of this company writes into every new customer."""
DOMAIN_DATA: Values = {"siteCode": "10-100", "daybookSetCode": "SO"}
"""What makes a customer usable in the operating domain."""
_DEFAULTS: Mapping[str, Values] = {
    "supplierV2s": {**_GL, "isActive": True, "purchaseAccountGLProfileCode": "PUR"},
    "customerV2s": {**CUSTOMER_DEFAULTS, "isActive": True},
    "items": {"unitOfMeasure": "EA", "productLine": "FG"},
    "purchaseOrderHeaders": {"currencyCode": "USD", "orderStatus": "O"},
    "salesOrderHeaders": {"currencyCode": "USD", "siteCode": "10-100", "daybookSetCode": "SO"},
    "supplierInvoices": {"currencyCode": "USD"},
}
_SET = {"name": "addressName", "phone": "telephone", "website": "webSite"}
_SHARED = ("supplierV2s", "customerV2s")


def put(store: Store, installation: Installation, path: str, values: Mapping[str, Any]) -> Values:
    """Enter a record; a party gets a business relation of its own unless one is named."""
    component = store.components[path]
    told: Values = {**_DEFAULTS.get(path, {}), **values}
    if path in _SHARED:
        told.setdefault("sharedSetCode", installation.shared_set)
        code = told[component.keys[-1]]
        told.setdefault("businessRelationCode", f"{'S' if path == 'supplierV2s' else 'C'}-{code}"[:18])
        address = {theirs: told.pop(ours) for ours, theirs in RELATION.items() if ours in told}
        if store.get("businessRelationV2s", told) is None:
            store.put(
                "businessRelationV2s",
                {"businessRelationCode": told["businessRelationCode"], "isActive": True, "changeStatus": "2", **address},
            )
        if path == "customerV2s":
            data = {"domainContext": installation.domain, "customerCode": code}
            store.put("mfgCustomers", data | DOMAIN_DATA)
    elif "domainCode" in component.fields:
        told.setdefault("domainCode", installation.domain)
    if path == "salesOrderHeaders":
        for name in ("billToCustomerCode", "shipToCustomerCode"):
            told.setdefault(name, told["soldToCustomerCode"])
    return store.put(path, told).values


def find(store: Store, path: str, code: str) -> Row:
    """By the last key. Raises KeyError."""
    key = store.components[path].keys[-1]
    for row in store.rows(path):
        if fold(row.values[key]) == fold(code):
            return row
    raise KeyError(code)


def change(store: Store, path: str, code: str, changes: Mapping[str, Any]) -> None:
    row = find(store, path, code)
    component = store.components[path]
    address = {theirs: changes[ours] for ours, theirs in RELATION.items() if component.relation and ours in changes}
    relation = store.relation_of(row) if address else None
    if relation is not None:
        store.change("businessRelationV2s", relation, address)
    own = {name: value for name, value in changes.items() if relation is None or name not in RELATION}
    store.change(path, row, own)


def sets(store: Store, installation: Installation, code: str, fields: Mapping[str, str | None]) -> str:
    """What a person sets of a customer, on its business relation; without a code a new one is entered under ``number``."""
    told = {_SET[name]: value or "" for name, value in fields.items() if name != "number"}
    if told.get("addressName") == "":
        raise ValueError("a business relation has a name")
    if code:
        if fold(fields.get("number", code)) != fold(code):
            raise ValueError("QAD never gives a record another key")
        change(store, "customerV2s", code, told)
        return code
    number = fields.get("number") or ""
    if not 0 < len(number) <= store.components["customerV2s"].fields["customerCode"].length:
        raise ValueError("a new customer needs its code")
    if any(fold(row.values["customerCode"]) == fold(number) for row in store.rows("customerV2s")):
        raise ValueError(f"customer {number} exists already")
    return str(put(store, installation, "customerV2s", {"customerCode": number, **told})["customerCode"])


def put_line(store: Store, grid: str, code: str, values: Mapping[str, Any]) -> Values:
    shape = store.grids[grid]
    parent = find(store, shape.parent, code).values
    lines = store.lines_of(shape, parent)
    line = {name: empty(field.type) for name, field in shape.fields.items()}
    line |= {key: parent[key] for key in store.components[shape.parent].keys}
    line |= {shape.number: store.next_line(lines, shape), "siteCode": "10-100", "unitOfMeasure": "EA", **values}
    lines.append(line)
    return line


class Filler:
    """Puts records in place, each kind in the order of its numbers."""

    def __init__(self, store: Store, installation: Installation, seed: int) -> None:
        self._store, self._installation, self._random = store, installation, Random(seed)
        self._today = store.now().date()

    def fill(self, accounts: int, orders: int) -> None:
        suppliers = [self._supplier(n) for n in range(max(2, accounts // 5))]
        items = [self._item(n, suppliers) for n in range(max(6, accounts // 5))]
        customers = [self._customer(n) for n in range(accounts)]
        for n in range(orders if customers else 0):
            self._order(n, self._random.choice(customers), items)
        for n in range(max(2, orders // 5)):
            self._purchase(n, self._random.choice(suppliers), items)

    def _put(self, path: str, **values: Any) -> Values:
        return put(self._store, self._installation, path, values)

    def _party(self, n: int) -> Values:
        random = self._random
        city, zip_code, country, state, dial = random.choice(_PLACES)
        name = AWKWARD_NAMES[n] if n < len(AWKWARD_NAMES) else _company(random)
        return {
            "addressName": name,
            "addressSearchName": name[:20],
            "street1": f"{random.choice(_TRADE)} Street {random.randint(1, 190)}",
            "street2": f"Gate {random.randint(1, 9)}" if random.random() < 0.3 else "",
            "city": city,
            "zipCode": zip_code,
            "stateCode": state,
            "countryCode": country,
            "telephone": f"{dial} {random.randrange(100, 999)} {random.randrange(10, 99)}" if random.random() < 0.9 else "",
            "webSite": f"https://www.party-{n}.example" if random.random() < 0.5 else "",
            "EMail": f"office@party-{n}.example" if random.random() < 0.8 else "",
            "creditTermsCode": random.choice(("N30", "N45", "N60")),
            "currencyCode": random.choice(("USD", "EUR", "SEK")),
        }

    def _supplier(self, n: int) -> str:
        self._put("supplierV2s", supplierCode=f"S{100 + n}", supplierTypeCode="RAW", **self._party(n))
        return f"S{100 + n}"

    def _customer(self, n: int) -> str:
        code = f"C{1000 + n}" if n else "C.10/00"
        limit = Decimal(self._random.randrange(1, 400) * 2500)
        self._put("customerV2s", customerCode=code, creditLimit=limit, languageCode="us", **self._party(n))
        return code

    def _item(self, n: int, suppliers: list[str]) -> str:
        code = AWKWARD_CODES[n] if n < len(AWKWARD_CODES) else f"P{100 + n}"
        self._put(
            "items", itemCode=code, description=f"{self._random.choice(_TRADE)} {code}", listPrice=self._random.choice(_PRICES),
            supplier=self._random.choice(suppliers), itemStatus="ACTIVE", siteCode="10-100",
        )  # fmt: skip
        return code

    def _order(self, n: int, customer: str, items: list[str]) -> None:
        random, number = self._random, f"SO{10001 + n}"
        ordered = self._today - timedelta(days=random.randrange(0, 100))
        currency = find(self._store, "customerV2s", customer).values["currencyCode"]
        self._put(
            "salesOrderHeaders", salesOrderNumber=number, soldToCustomerCode=customer, currencyCode=currency,
            creditTermsCode="N30", orderDate=ordered, dueDate=ordered + timedelta(days=random.randrange(5, 120)),
            customShort0=f"PO \"{number}\" & 'Söhne' 🧾" if n % 50 == 1 else f"PO-{random.randrange(10**6)}",
            customShort2=random.choice(_REGIONS),
        )  # fmt: skip
        for _ in range(random.randint(1, 4)):
            price = random.choice(_PRICES)
            put_line(self._store, "salesOrderLinesGrid", number, {
                "itemCode": random.choice(items), "quantityOrdered": random.choice(_QUANTITIES), "listPrice": price,
                "netPrice": price, "dueDate": ordered + timedelta(days=30),
            })  # fmt: skip

    def _purchase(self, n: int, supplier: str, items: list[str]) -> None:
        random, number = self._random, f"PO{5001 + n}"
        ordered = self._today - timedelta(days=random.randrange(0, 90))
        self._put(
            "purchaseOrderHeaders", purchaseOrderNumber=number, supplierCode=supplier, orderDate=ordered,
            dueDate=ordered + timedelta(days=30), orderStatus="C" if n % 5 == 4 else "O", shipToSite="10-100",
        )  # fmt: skip
        total = Decimal()
        for _ in range(random.randint(1, 3)):
            quantity, cost = random.choice(_QUANTITIES), random.choice(_PRICES)
            received = quantity if n % 2 == 0 else Decimal()
            total += quantity * cost
            put_line(self._store, "purchaseOrderLinesGrid", number, {
                "itemCode": random.choice(items), "quantityOrdered": quantity, "purchaseCost": cost,
                "quantityReceived": received, "isReceivedPurchaseOrderLineV2": bool(received), "dueDate": ordered,
            })  # fmt: skip
        self._put(
            "supplierInvoices", supplierInvoiceNumber=f"INV.{9001 + n}", supplierCode=supplier, purchaseOrderNumber=number,
            invoiceDate=ordered, dueDate=ordered + timedelta(days=30), invoiceAmount=total, openAmount=total,
            invoiceStatusCode="APPROVED",
        )  # fmt: skip


def edit(store: Store, kind: str, count: int, random: Random) -> list[str]:
    """Change records as a person would; returns their business numbers."""
    path = {
        "account": "customerV2s",
        "vendor": "supplierV2s",
        "product": "items",
        "order": "salesOrderHeaders",
        "purchase_order": "purchaseOrderHeaders",
        "invoice": "supplierInvoices",
    }[kind]
    key = store.components[path].keys[-1]
    codes = sorted(str(row.values[key]) for row in store.rows(path))
    chosen = random.sample(codes, min(count, len(codes)))
    for code in chosen:
        _edit(store, path, code, random)
    return chosen


def _edit(store: Store, path: str, code: str, random: Random) -> None:
    match path:
        case "customerV2s" | "supplierV2s":
            change(store, path, code, {"addressName": f"{_company(random)} {random.randrange(10**4)}"})
        case "items":
            change(store, path, code, {"description": f"Checked {random.randrange(10**6)}"})
        case "supplierInvoices":
            change(store, path, code, {"invoiceStatusCode": f"PAID-{random.randrange(100)}", "openAmount": Decimal()})
        case _:
            _edit_document(store, path, code, random)


def _edit_document(store: Store, path: str, code: str, random: Random) -> None:
    """The date on the header, or a line's quantity, of which the header knows nothing."""
    row = find(store, path, code)
    grid = next(one for one in store.grids.values() if one.parent == path)
    lines = store.lines_of(grid, row.values)
    if lines and random.random() < 0.5:
        line = random.choice(lines)
        line["quantityOrdered"] = Decimal(line["quantityOrdered"]) + random.randint(1, 50)
        return
    day = row.values["dueDate"] or date(2027, 1, 1)
    change(store, path, code, {"dueDate": day + timedelta(days=random.randint(1, 60))})


def _company(random: Random) -> str:
    return f"{random.choice(_FIRST)} {random.choice(_TRADE)} {random.randint(2, 99)} {random.choice(_FORM)}"
