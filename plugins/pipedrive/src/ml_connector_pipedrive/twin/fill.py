"""Made-up records for demos and simulations, people's edits of them, and what stands in the tables told in canonical words."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from ml_connector_pipedrive.twin.company import PERSON, Company
from ml_connector_pipedrive.twin.shapes import SHAPES
from ml_connector_pipedrive.twin.wire import Row

PLURALS: Final = {"account": "organizations", "contact": "persons", "deal": "deals", "product": "products"}
KEYS: Final = {
    "account": "ERP Customer No",
    "contact": "ERP Contact No",
    "deal": "ERP Order No",
    "product": "ERP Item No",
}
CANONICAL: Final = {
    "Phone": "phone",
    "Tax ID": "tax_id",
    "Credit limit": "credit_limit",
    "Customer reference": "customer_reference",
}
"""Custom fields that a canonical one lives in, by the connector's own choice of names."""
AWKWARD: Final = (
    "O'Neil & Söhne GmbH",
    'The "Quoted" Company, Inc.',
    "株式会社山田製作所",
    "null",
    "Bolts; Nuts, and 100% More",
    "=SUM(A1:A9) Trading",
    "Zoë 🚚 Logistics",
    "Robert'); DROP TABLE deals;--",
    "C-1001",
    "Very " + "long " * 40 + "name Ltd",
)
FIRST: Final = ("Northern", "Baltic", "Alpine", "Harbour", "Copper", "Summit", "Delta", "Granite", "Linden", "Falcon")
SECOND: Final = ("Bearings", "Hydraulics", "Castings", "Tools", "Packaging", "Motors", "Fasteners", "Plastics", "Electric")
CITIES: Final = (("Uppsala", "751 05", "SE"), ("München", "80331", "DE"), ("Leeds", "LS1 4AP", "GB"), ("Lyon", "69001", "FR"))
_PARTS: Final = {
    "street": "route",
    "city": "locality",
    "region": "admin_area_level_1",
    "postal_code": "postal_code",
    "country": "country",
}


def fill(company: Company, accounts: int, orders: int, seed: int) -> None:
    """Organizations with awkward names among them, then deals that point to them, all entered by a person."""
    random, first = Random(seed), len(company.tables["organizations"].rows)
    for at in range(first, first + accounts):
        company.create("organizations", _organization(random, at), PERSON, "app")
    ids = [row["id"] for row in company.tables["organizations"].living()]
    stages = list(company.stages.values())
    for at in range(orders):
        stage = random.choice(stages)
        deal = {
            "title": f"Order {10001 + at}",
            "org_id": random.choice(ids) if ids else None,
            "value": Decimal(random.randint(1, 9_999_999)) / 100,
            "currency": "EUR",
            "pipeline_id": stage["pipeline_id"],
            "stage_id": stage["id"],
            "expected_close_date": (company.now().date() + timedelta(days=random.randint(-60, 120))).isoformat(),
        }
        company.create("deals", deal, PERSON, "app")


def _organization(random: Random, at: int) -> Row:
    name = AWKWARD[at] if at < len(AWKWARD) else f"{random.choice(FIRST)} {random.choice(SECOND)} {at}"
    return {"name": name, "website": f"https://www.example-{at}.com", "address": _address(random)}


def _address(random: Random) -> Row:
    city, code, country = random.choice(CITIES)
    street, house = f"{random.choice(SECOND)} Street", str(random.randint(1, 200))
    told = {"route": street, "street_number": house, "locality": city, "postal_code": code, "country": country}
    return {"value": f"{street} {house}, {code} {city}, {country}", **told}


def edit(company: Company, kind: str, count: int, seed: int) -> list[str]:
    """Change ``count`` records of a kind as a person would; returns their business numbers."""
    random, plural = Random(seed), PLURALS[kind]
    living = sorted(company.tables[plural].living(), key=lambda row: row["id"])
    numbers = []
    for row in random.sample(living, min(count, len(living))):
        changed = company.change(plural, row["id"], _edits(company, random, kind, row), PERSON, "app")
        numbers.append(number(company, kind, changed))
    return numbers


def enters(company: Company, kind: str, customer: str) -> str:
    """What a person enters: an organization, or a deal of one."""
    body: Row = {"name": "Newcomer & Sons"}
    if kind == "deal":
        organizations = company.tables[PLURALS["account"]].living()
        buyer = next(row["id"] for row in organizations if number(company, "account", row) == customer)
        body = {"title": "A pump to start with", "value": Decimal("25.00"), "currency": "EUR", "org_id": buyer}
    return str(company.create(PLURALS[kind], body, PERSON, "app")["id"])


def moves(company: Company, kind: str, key: str, stage: str) -> None:
    plural = PLURALS[kind]
    row = next(row for row in company.tables[plural].living() if number(company, kind, row) == key)
    own = next(
        each["id"] for each in company.stages.values() if (each["pipeline_id"], each["name"]) == (row["pipeline_id"], stage)
    )
    company.change(plural, row["id"], {"stage_id": own}, PERSON, "app")


def named(company: Company, kind: str, fields: Mapping[str, str | None]) -> tuple[str, Row, Row]:
    """The plural, and what people set of an organization: its own fields, and custom ones by the names that people see."""
    if kind != "account":
        raise ValueError(f"people set fields of accounts here, not of {kind}")
    shown = {ours: theirs for theirs, ours in CANONICAL.items()} | {"number": KEYS[kind]}
    custom = {shown[name]: value for name, value in fields.items() if name in shown}
    return PLURALS[kind], {name: value for name, value in fields.items() if name not in shown}, custom


def _edits(company: Company, random: Random, kind: str, row: Row) -> Row:
    if kind == "account":
        return random.choice([{"website": f"https://www.new-{random.randint(1, 9999)}.com"}, {"address": _address(random)}])
    if kind == "deal":
        own = [stage["id"] for stage in company.stages.values() if stage["pipeline_id"] == row["pipeline_id"]]
        return random.choice(
            [{"value": row["value"] + Decimal(random.randint(1, 99_999)) / 100}, {"stage_id": random.choice(own)}]
        )
    if kind == "contact":
        return {"phones": [{"value": f"+44 113 {random.randint(100000, 999999)}", "primary": True, "label": "work"}]}
    return {"description": f"Checked {random.randint(1, 9999)}"}


def number(company: Company, kind: str, row: Row) -> str:
    """The business number: the ERP key, a product's code, else the name that people see."""
    plural = PLURALS[kind]
    named = {field.name: row["custom_fields"].get(code) for code, field in company.fields[plural].items() if field.custom}
    return str(named.get(KEYS[kind]) or row.get("code") or row[SHAPES[plural].title])


def facts(company: Company, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(business number, canonical field path → value) of every record of a kind; custom fields under their names too."""
    plural = PLURALS[kind]
    for row in sorted(company.tables[plural].living(), key=lambda row: row["id"]):
        told: dict[str, object] = {"id": str(row["id"]), "name": row[SHAPES[plural].title]}
        if kind == "account":
            told |= _account(row)
        elif kind == "contact":
            told |= {
                "email": _primary(row["emails"]),
                "phone": _primary(row["phones"]),
                "account": _organization_of(company, row),
            }
        elif kind == "deal":
            told |= _deal(company, row)
        else:
            told |= {"description": row["description"], "unit": row["unit"], "active": row["is_linkable"]}
            told |= {"prices": {price["currency"]: price["price"] for price in row["prices"]}}
        for code, field in company.fields[plural].items():
            if field.custom:
                told[field.name] = _custom(field.options, row["custom_fields"].get(code))
                if field.name in CANONICAL:
                    told[CANONICAL[field.name]] = told[field.name]
        yield number(company, kind, row), told


def _organization_of(company: Company, row: Row) -> str | None:
    """The number of the organization that the record names."""
    named = company.tables[PLURALS["account"]].rows.get(row["org_id"])
    return number(company, "account", named) if named is not None else None


def _account(row: Row) -> Row:
    address = row["address"] or {}
    parts: Row = {f"billing.{ours}": address.get(theirs) for ours, theirs in _PARTS.items()}
    if house := address.get("street_number"):
        parts["billing.street"] = f"{address.get('route') or ''} {house}".strip()
    return {"website": row["website"], "annual_revenue": row["annual_revenue"], "employees": row["employee_count"], **parts}


def _deal(company: Company, row: Row) -> Row:
    lines = [_line(company, line) for line in company.lines_of(row["id"])]
    organization = company.tables["organizations"].rows.get(row["org_id"] or 0)
    return {
        "amount": row["value"],
        "currency": row["currency"],
        "stage": company.stages[row["stage_id"]]["name"],
        "pipeline": company.pipelines[row["pipeline_id"]]["name"],
        "status": row["status"],
        "account": number(company, "account", organization) if organization else None,
        "closing_on": row["expected_close_date"],
        **({"lines": lines} if lines else {}),  # most companies keep none
    }


def _line(company: Company, line: Row) -> Row:
    """A line, with the key and item number at the head of its comment, "[L:10|GB-12] …", and its product's code."""
    head = (line["comments"] or "").removeprefix("[L:").partition("]")[0] if (line["comments"] or "").startswith("[L:") else ""
    key, _, sku = head.partition("|")
    return {**line, "key": key, "sku": sku, "code": company.tables["products"].rows[line["product_id"]]["code"]}


def _primary(channels: list[Row]) -> object:
    return next((one["value"] for one in channels if one["primary"]), None)


def _custom(options: list[Row] | None, value: Any) -> object:
    labels = {option["id"]: option["label"] for option in options or ()}
    if isinstance(value, list):
        return ";".join(labels[one] for one in value)
    if isinstance(value, dict):
        return value.get("value")
    return labels.get(value, value)
