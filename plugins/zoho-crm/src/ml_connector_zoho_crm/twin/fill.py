"""Made-up records for demos and simulations, people's edits of them, and what stands in the tables told in canonical words."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from ml_connector_zoho_crm.twin.org import Org, RowChange
from ml_connector_zoho_crm.twin.schema import Field
from ml_connector_zoho_crm.twin.table import Row, Table

MODULES = {
    "account": "Accounts",
    "contact": "Contacts",
    "deal": "Deals",
    "vendor": "Vendors",
    "product": "Products",
    "price_list": "Price_Books",
    "quote": "Quotes",
    "order": "Sales_Orders",
    "purchase_order": "Purchase_Orders",
    "invoice": "Invoices",
}
AWKWARD = (
    "O'Neil & Söhne GmbH",
    'The "Quoted" Company, Inc.',
    "株式会社山田製作所",
    "null",
    "Ünïcödé Façade s.r.o.",
    "Bolts; Nuts, and 100% More",
    "Åkerström / Øster A/S",
    "=SUM(A1:A9) Trading",
    "Zoë 🚚 Logistics",
    "Robert'); DROP TABLE Accounts;--",
    "C-1001",
    "Very " + "long " * 30 + "name Ltd",
)
FIRST = ("Northern", "Baltic", "Alpine", "Harbour", "Copper", "Summit", "Delta", "Granite", "Linden", "Falcon")
SECOND = ("Bearings", "Hydraulics", "Castings", "Tools", "Packaging", "Motors", "Fasteners", "Plastics", "Electric", "Foods")
FORMS = ("GmbH", "AB", "Ltd", "BV", "SpA", "Inc.")
CITIES = (
    ("Uppsala", "751 05", "Sweden"),
    ("München", "80331", "Germany"),
    ("Leeds", "LS1 4AP", "United Kingdom"),
    ("Lyon", "69001", "France"),
    ("Pune", "411001", "India"),
)
GIVEN = ("Alma", "Bo", "Carla", "Deniz", "Eva", "Farid", "Greta", "Hiro")
FAMILY = ("Berg", "O'Connor", "Núñez", "Çelik", "Hägg", "de Vries", "Ito")
OPEN_STAGES = ("Qualification", "Needs Analysis", "Value Proposition", "Negotiation/Review", "Closed Won")
_ACCOUNT = {
    "name": "Account_Name",
    "phone": "Phone",
    "fax": "Fax",
    "website": "Website",
    **{
        f"{kind}.{ours}": f"{kind.capitalize()}_{theirs}"
        for kind in ("billing", "shipping")
        for ours, theirs in {
            "street": "Street",
            "city": "City",
            "region": "State",
            "postal_code": "Code",
            "country": "Country",
        }.items()
    },
}
_CONTACT = {"first_name": "First_Name", "last_name": "Last_Name", "email": "Email", "phone": "Phone"}


def fill(org: Org, accounts: int, orders: int, seed: int) -> None:
    """Accounts with awkward names among them, a contact at every other, then deals that point to them, entered by a person."""
    random, table, deals = Random(seed), org.tables["Accounts"], org.tables["Deals"]
    first = len(table.rows)
    ids = [org.insert(table, _account(random, first + at), {}, org.person.id) for at in range(accounts)] or list(table.rows)
    for at, account in enumerate(ids[::2], len(org.tables["Contacts"].rows)):
        org.insert(org.tables["Contacts"], _contact(random, at, account), {}, org.person.id)
    today = org.now().date()
    for at in range(len(deals.rows), len(deals.rows) + orders):
        org.insert(deals, _deal(random, at, ids, today), {}, org.person.id)


def _account(random: Random, at: int) -> Row:
    name = AWKWARD[at] if at < len(AWKWARD) else f"{random.choice(FIRST)} {random.choice(SECOND)} {random.choice(FORMS)} {at}"
    city, code, country = random.choice(CITIES)
    row: Row = {
        "Account_Name": name.strip()[:200],
        "Phone": f"+49 89 {random.randint(100000, 999999)}",
        "Website": f"https://www.example-{at}.com",
        "Billing_Street": f"{random.choice(SECOND)} Street {random.randint(1, 200)}",
        "Billing_City": city,
        "Billing_Code": code,
        "Billing_Country": country,
        "Account_Type": "Customer",
    }
    if random.random() < 0.2:
        row["Phone"] = None
    if random.random() < 0.3:
        row |= {"Shipping_Street": f"Gate {random.randint(1, 9)}\nDock B", "Shipping_City": city, "Shipping_Country": country}
    return row


def _contact(random: Random, at: int, account: str) -> Row:
    given, family = random.choice(GIVEN), random.choice(FAMILY)
    return {
        "First_Name": given,
        "Last_Name": family,
        "Email": f"{given}.{at}@example.com".lower(),
        "Phone": f"+44 113 {random.randint(100000, 999999)}",
        "Account_Name": account,
    }


def _deal(random: Random, at: int, accounts: list[str], today: date) -> Row:
    return {
        "Deal_Name": f"Order {10001 + at}",
        "Account_Name": random.choice(accounts) if accounts else None,
        "Amount": Decimal(random.randint(1, 9_999_999)) / 100,
        "Stage": random.choice(OPEN_STAGES),
        "Closing_Date": (today + timedelta(days=random.randint(-60, 120))).isoformat(),
    }


def edit(org: Org, kind: str, count: int, seed: int) -> list[str]:
    """Change ``count`` records of a kind as a person would; returns their business numbers."""
    random, table = Random(seed), org.tables[MODULES[kind]]
    chosen = random.sample(sorted(table.rows), min(count, len(table.rows)))
    for record_id in chosen:
        org.change(table, record_id, _changes(random, kind, table.rows[record_id]), {}, org.person.id)
    return [number(table, table.rows[record_id]) for record_id in chosen]


def _changes(random: Random, kind: str, row: Row) -> Row:
    if kind == "account":
        city, code, country = random.choice(CITIES)
        phone = f"+46 18 {random.randint(100000, 999999)}"
        return random.choice([{"Phone": phone}, {"Billing_City": city, "Billing_Code": code, "Billing_Country": country}])
    if kind == "deal":
        amount = (row.get("Amount") or Decimal(100)) + Decimal(random.randint(1, 99_999)) / 100
        return random.choice(
            [{"Amount": amount}, {"Stage": random.choice(OPEN_STAGES), "Next_Step": f"Call {random.randint(1, 999)}"}]
        )
    if kind in ("contact", "vendor"):
        return {"Phone": f"+44 113 {random.randint(100000, 999999)}"}
    if kind == "product":
        return {"Unit_Price": Decimal(random.randint(100, 99_999)) / 100}
    return {"Description": f"Checked {random.randint(1, 9999)}"}


def enters(org: Org, kind: str, customer: str) -> str:
    """What Sam enters: an account or a contact, a deal, or a sales order that is won, with a product that stands here."""
    accounts = org.tables["Accounts"]
    if kind == "account":  # Sam knows the number that it shall have in the ERP
        key = key_field(accounts)
        told: Row = {key.api_name: "NEW001"} if key else {}
        return org.insert(accounts, {"Account_Name": "Newcomer & Sons", "Phone": "+46 18 100200", **told}, {}, org.person.id)
    buyer = next((one for one, row in accounts.rows.items() if number(accounts, row) == customer), None)
    soon = (org.now().date() + timedelta(days=14)).isoformat()
    rows: dict[str, Row] = {
        "contact": {"Last_Name": "Newcomer", "Email": "newcomer@example.com"},
        "deal": {"Deal_Name": "A pump to start with", "Stage": "Qualification", "Amount": Decimal(25), "Closing_Date": soon},
        "order": {"Subject": "A pump to start with", "Due_Date": soon, "Status": "Approved"},
    }
    lines: dict[str, list[RowChange]] = {}
    if kind == "order":
        product = next(iter(org.tables["Products"].rows))
        item = {"Product_Name": product, "Quantity": Decimal(2), "List_Price": Decimal("12.50")}
        lines = {"Ordered_Items": [RowChange(None, item)]}
    table = org.tables[MODULES[kind]]
    return org.insert(table, {**rows[kind], "Account_Name": buyer}, lines, org.person.id)


def moves(org: Org, kind: str, wanted: str, stage: str) -> None:
    table = org.tables[MODULES[kind]]
    one = next(one for one, row in table.rows.items() if number(table, row) == wanted)
    org.change(table, one, {"Stage" if kind == "deal" else "Status": stage}, {}, org.person.id)


def named(org: Org, kind: str, fields: Mapping[str, str | None]) -> tuple[str, Row]:
    """The module, and what people set of an account, by API name; its number is the ERP's key."""
    if kind != "account":
        raise ValueError(f"people set fields of accounts here, not of {kind}")
    key = key_field(org.tables[MODULES[kind]])
    own = _ACCOUNT | ({"number": key.api_name} if key is not None else {})
    return MODULES[kind], {own[name]: value for name, value in fields.items()}


def key_field(table: Table) -> Field | None:
    """The field that carries the ERP's key: the custom one that is external or unique."""
    return next((field for field in table.module.fields.values() if field.custom and field.distinct), None)


def number(table: Table, row: Row) -> str:
    """The business number: the ERP key, else the name that people see."""
    key = key_field(table)
    value = row.get(key.api_name) if key else None
    return str(value if value is not None else row.get(table.module.title))


def facts(org: Org, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(business number, canonical field path → value) of every record of a kind."""
    table = org.tables[MODULES[kind]]
    custom = [name for name, field in table.module.fields.items() if field.custom and field.data_type != "subform"]
    for record_id, row in table.rows.items():
        told: dict[str, object] = {"id": record_id}
        if kind == "account":
            told |= {ours: row.get(theirs) for ours, theirs in _ACCOUNT.items()}
        elif kind == "contact":
            told |= {ours: row.get(theirs) for ours, theirs in _CONTACT.items()}
            told["account"] = _value(org, table.module.fields["Account_Name"], row)
        elif kind == "deal":
            told |= _deal_facts(org, table, row)
        else:
            told |= {
                name: _value(org, field, row) for name, field in table.module.fields.items() if field.data_type != "subform"
            }
            told |= {"name": row.get(table.module.title), "lines": _lines(org, table, row)}
        yield number(table, row), told | {name: row.get(name) for name in custom}


def _deal_facts(org: Org, table: Table, row: Row) -> Row:
    orders = org.tables.get("Sales_Orders")
    own = [field for field in table.module.subforms if row.get(field.api_name)]
    order_ids = orders.find("Deal_Name", row["id"]) if orders and not own else ()
    lines = (
        _lines(org, table, row)
        if own
        else [line for one in order_ids if orders for line in _lines(org, orders, orders.rows[one])]
    )
    return {
        "name": row.get("Deal_Name"),
        "amount": row.get("Amount"),
        "currency": row.get("Currency"),
        "stage": row.get("Stage"),
        "account": _value(org, table.module.fields["Account_Name"], row),
        "closing_on": row.get("Closing_Date"),
        "lines": lines,
    }


def _lines(org: Org, table: Table, row: Row) -> list[Row]:
    """Rows of every subform as API name → plain value, lookups as business numbers; ``key`` where the subform keeps one."""
    return [
        {"id": line_id, "key": lines.rows[line_id].get("Line_Key")}
        | {name: _value(org, field, lines.rows[line_id]) for name, field in lines.module.fields.items() if name != "Parent_Id"}
        for subform in table.module.subforms
        for lines in (org.tables[subform.target or ""],)
        for line_id in row.get(subform.api_name) or ()
    ]


def _value(org: Org, field: Field, row: Row) -> Any:
    value = row.get(field.api_name)
    if field.data_type != "lookup" or value is None:
        return value
    target = org.tables[field.target or ""]
    return number(target, target.rows[value]) if value in target.rows else None
