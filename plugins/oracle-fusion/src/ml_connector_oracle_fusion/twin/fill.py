"""Made-up companies and people, people's edits of them, and what stands in the tables told in canonical words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, Final

from ml_connector_oracle_fusion.twin.answers import Row

if TYPE_CHECKING:
    from ml_connector_oracle_fusion.twin.handles import OracleTwin

AWKWARD: Final = (
    "O'Brien & Söhne GmbH",
    'The "Quoted" Company, Inc.',
    "株式会社山田製作所",
    "null",
    "Bolts; Nuts, and 100% More + Co",
    "Zoë 🚚 Logistics",
    "Robert'); DROP TABLE parties;--",
    "Very " + "long " * 20 + "name Ltd",
)
FIRST: Final = ("Northern", "Baltic", "Alpine", "Harbour", "Copper", "Summit", "Delta", "Granite", "Linden", "Falcon")
SECOND: Final = ("Bearings", "Hydraulics", "Castings", "Tools", "Packaging", "Motors", "Fasteners", "Plastics", "Rigging")
PLACES: Final = (
    ("Uppsala", "751 05", None, "SE"),
    ("München", "80331", "Bayern", "DE"),
    ("Leeds", "LS1 4AP", None, "GB"),
    ("Austin", "78701", "TX", "US"),
)
SET: Final = {"name": "OrganizationName", "phone": "RawPhoneNumber", "website": "URL"}
"""What people set of an organization."""
GIVEN: Final = ("Alma", "Bo", "Carla", "Deniz", "Eva", "Farid", "Greta", "Hiro")
FAMILY: Final = ("Åberg", "Bauer", "Castillo", "Doyle", "Eriksen", "Fontaine", "Ghosh", "Holm")


def fill(twin: OracleTwin, accounts: int, seed: int) -> None:
    """Companies with awkward names among them, and a person at every third."""
    random, first = Random(seed), len(twin.store.rows("accounts"))
    for at in range(first, first + accounts):
        name = AWKWARD[at] if at < len(AWKWARD) else f"{random.choice(FIRST)} {random.choice(SECOND)} {at}"
        party = twin.enter("account", OrganizationName=name, **_reach(random, at), **_place(random))
        if at % 3 == 0:
            twin.enter(
                "contact",
                FirstName=random.choice(GIVEN),
                LastName=random.choice(FAMILY),
                EmailAddress=f"person{at}@example.com",
                RawWorkPhoneNumber=f"+46 18 {random.randint(100000, 999999)}",
                AccountPartyId=int(party),
            )


def _reach(random: Random, at: int) -> Row:
    told: Row = {"EmailAddress": f"info@company-{at}.example", "URL": f"https://www.company-{at}.example"}
    if random.random() < 0.8:
        told["RawPhoneNumber"] = f"+46 8 555 {random.randint(1000, 9999)}"
    if random.random() < 0.5:
        told["TaxpayerIdentificationNumber"] = f"556{random.randint(100000, 999999)}"
    return told


def _place(random: Random) -> Row:
    city, code, state, country = random.choice(PLACES)
    street = f"{random.choice(SECOND)} Street {random.randint(1, 200)}"
    told = {"AddressLine1": street, "City": city, "PostalCode": code, "Country": country}
    return {**told, "State": state} if state else told


def edit(twin: OracleTwin, kind: str, count: int, seed: int) -> list[str]:
    """Change ``count`` living records of a kind; returns their business numbers."""
    random, numbers = Random(seed), []
    table = "accounts" if kind == "account" else "contacts"
    living = sorted(one for one, row in twin.store.rows(table).items() if row["PartyStatus"] == "A")
    for party in random.sample(living, min(count, len(living))):
        if kind == "account":
            change = random.choice([{"RawPhoneNumber": f"+46 8 777 {random.randint(1000, 9999)}"}, _place(random)])
        else:
            change = {"RawWorkPhoneNumber": f"+46 18 {random.randint(100000, 999999)}"}
        twin.change(kind, str(party), **change)
        numbers.append(number(twin, twin.store.rows(table)[party]))
    return numbers


def number(twin: OracleTwin, row: Row) -> str:
    """What a CRM calls the party, else its own number."""
    references = twin.parties.references(row["PartyId"])
    return str(references[0]["SourceSystemReferenceValue"] if references else row["PartyNumber"])


def facts(twin: OracleTwin, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Every party of the kind, by its number, straight from the table."""
    for row in list(twin.store.rows("accounts" if kind == "account" else "contacts").values()):
        told: dict[str, object] = {"id": str(row["PartyId"]), "party_number": row["PartyNumber"], "email": row["EmailAddress"]}
        place = "billing" if kind == "account" else "address"
        lines = [row[f"AddressLine{n}"] for n in (1, 2, 3, 4) if row[f"AddressLine{n}"]]
        told |= {
            f"{place}.street": "\n".join(lines) or None,
            f"{place}.city": row["City"],
            f"{place}.region": row["State"] or row["Province"] or row["County"],
            f"{place}.postal_code": row["PostalCode"],
            f"{place}.country": row["Country"],
            "active": row["PartyStatus"] == "A",
        }
        if kind == "account":
            told |= {
                "name": row["OrganizationName"],
                "phone": row["RawPhoneNumber"],
                "website": row["URL"],
                "tax_id": row["TaxpayerIdentificationNumber"],
                "description": row["Description"],
                "employees": row["EmployeesTotal"],
                "category": {"ZCA_CUSTOMER": "Customer", "ZCA_PROSPECT": "Prospect"}[row["Type"]],
                **_finance(twin, str(row["PartyId"])),
            }
        else:
            account = twin.store.rows("accounts").get(row["AccountPartyId"] or 0)
            told |= {
                "first_name": row["FirstName"],
                "last_name": row["LastName"],
                "name": row["ContactName"],
                "phone": row["RawWorkPhoneNumber"],
                "mobile": row["RawMobileNumber"],
                "title": row["JobTitle"],
                "department": row["Department"],
                "account": number(twin, account) if account else None,
            }
        yield number(twin, row), told


def _finance(twin: OracleTwin, party: str) -> Row:
    """How many there are of what makes an organization ready for invoices; one of each does."""
    accounts = [row for row in twin.store.rows("customer_accounts").values() if row["PartyId"] == party]
    numbers = {row["AccountNumber"] for row in accounts}
    uses = [use for row in accounts for site in row["_sites"] for use in site["_uses"] if use["SiteUseCode"] == "BILL_TO"]
    profiles = [row for row in twin.store.rows("profiles").values() if row["AccountNumber"] in numbers]
    return {"customer_accounts": len(accounts), "bill_to_sites": len(uses), "profiles": len(profiles)}
