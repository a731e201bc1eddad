"""A furnished environment, made-up records for demos and simulations, people's edits, and facts in canonical words."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Final

from ml_connector_dynamics365_sales.twin.definitions import Definitions
from ml_connector_dynamics365_sales.twin.store import Environment, Row

if TYPE_CHECKING:
    from ml_connector_dynamics365_sales.twin.handles import DynamicsTwin

AWKWARD: Final = (
    "O'Neil & Söhne GmbH",
    'The "Quoted" Company, Inc.',
    "株式会社山田製作所",
    "null",
    "Bolts; Nuts, and 100% More",
    "Åkerström / Øster A/S",
    "=SUM(A1:A9) Trading",
    "Zoë 🚚 Logistics",
    "Robert'); DROP TABLE accounts;--",
)
_WORDS: Final = ("Northern", "Baltic", "Alpine", "Harbour", "Copper", "Summit", "Delta", "Granite", "Linden", "Falcon")
_TRADES: Final = ("Bearings", "Hydraulics", "Castings", "Tools", "Packaging", "Motors", "Fasteners", "Plastics")
_CURRENCIES: Final = (
    ("EUR", "Euro", "1"),
    ("CHF", "Swiss franc", "0.95"),
    ("DKK", "Danish krone", "7.46"),
    ("GBP", "Pound sterling", "0.86"),
    ("JPY", "Yen", "160"),
    ("NOK", "Norwegian krone", "11.5"),
    ("SEK", "Swedish krona", "11.2"),
    ("USD", "US dollar", "1.1"),
)
_CITIES: Final = (("Bergen", "5003", "Norway"), ("München", "80331", "Germany"), ("Leeds", "LS1 4AP", "United Kingdom"))
TABLES: Final = {
    "account": ("account", "accountnumber"),
    "contact": ("contact", "mlc_erpkey"),
    "product": ("product", "productnumber"),
    "price_list": ("pricelevel", "mlc_erpkey"),
    "order": ("salesorder", "ordernumber"),
    "quote": ("quote", "quotenumber"),
    "deal": ("opportunity", "mlc_erpkey"),
}
"""Kind → table and the column with its business number."""

_FIELDS: Final[dict[str, dict[str, str]]] = {
    "account": {
        "name": "name",
        "phone": "telephone1",
        "fax": "fax",
        "email": "emailaddress1",
        "website": "websiteurl",
        "credit_limit": "creditlimit",
    },
    "contact": {"last_name": "lastname", "first_name": "firstname", "phone": "telephone1", "email": "emailaddress1"},
    "product": {"name": "name", "list_price": "price", "description": "description"},
    "price_list": {"name": "name", "description": "description"},
    "order": {
        "name": "name",
        "amount": "totallineitemamount",
        "total": "totalamount",
        "description": "description",
        "statuscode": "statuscode",
    },
    "quote": {"name": "name", "total": "totalamount", "description": "description", "statuscode": "statuscode"},
    "deal": {"name": "name", "amount": "estimatedvalue", "description": "description"},
}
_GIVEN: Final = {"order": "mlc_erporderno", "quote": "mlc_erpquoteno"}
"""Where the ERP's number stands beside Dynamics' own."""
_LINES: Final = {
    "order": ("salesorderdetail", "salesorderid"),
    "quote": ("quotedetail", "quoteid"),
    "deal": ("opportunityproduct", "opportunityid"),
    "price_list": ("productpricelevel", "pricelevelid"),
}


def furnish(env: Environment) -> None:
    """Currencies (EUR is the base), the organisation, a unit group and a price list."""
    currencies = {
        code: env.put(
            "transactioncurrency",
            isocurrencycode=code,
            currencyname=name,
            currencysymbol=code,
            exchangerate=Decimal(rate),
            currencyprecision=2,
        )
        for code, name, rate in _CURRENCIES
    }
    env.put(
        "organization",
        name="Acme",
        issopintegrationenabled=False,
        expirechangetrackingindays=7,
        basecurrencyid=currencies["EUR"],
    )
    group = env.put("uomschedule", name="Default Unit", baseuomname="Primary Unit")
    env.put("uom", name="Primary Unit", quantity=Decimal(1), uomscheduleid=group, isschedulebaseuom=True)
    env.put("uom", name="Dozen", quantity=Decimal(12), uomscheduleid=group, isschedulebaseuom=False)
    env.put("pricelevel", name="Standard", transactioncurrencyid=currencies["EUR"])


def add_erp_columns(definitions: Definitions) -> None:
    """What the set-up command makes: columns for the ERP's keys, and the alternate keys over them."""
    for table in ("contact", "pricelevel", "opportunity"):
        definitions.add_column(table, "mlc_ErpKey", "text")
    for table in ("salesorderdetail", "quotedetail", "opportunityproduct"):
        definitions.add_column(table, "mlc_ErpLineNo", "text")
    for table, column in TABLES.values():
        if table != "quote":
            definitions.add_key(table, f"mlc_{table}_erpkey", (column,))


def fill(twin: "DynamicsTwin", accounts: int, orders: int, seed: int) -> None:
    """Accounts with awkward names among them, some products, and orders with write-in and catalogue lines."""
    env, random = twin.env, Random(seed)
    first = len(env.rows["account"])
    ids = [twin.insert_as_person("account", **_account(random, first + at)) for at in range(accounts)]
    buyers = ids or list(env.rows["account"])
    if not buyers:
        return
    for at in range(len(env.rows["salesorder"]), len(env.rows["salesorder"]) + orders):
        order = twin.insert_as_person("salesorder", name=f"Order {at}", customerid=random.choice(buyers))
        for n in range(1, random.randint(2, 4)):
            twin.insert_as_person(
                "salesorderdetail",
                salesorderid=order,
                lineitemnumber=n,
                isproductoverridden=True,
                productdescription=f"Item {random.randint(1, 999)}",
                quantity=Decimal(random.randint(1, 20)),
                priceperunit=Decimal(random.randint(100, 99_999)) / 100,
            )


def _account(random: Random, at: int) -> dict[str, Any]:
    name = AWKWARD[at] if at < len(AWKWARD) else f"{random.choice(_WORDS)} {random.choice(_TRADES)} {at}"
    city, code, country = random.choice(_CITIES)
    return {
        "name": name,
        "accountnumber": f"D-{1000 + at}",
        "customertypecode": 3,
        "telephone1": f"+47 22 {random.randint(100000, 999999)}",
        "creditlimit": Decimal(random.randint(1, 500) * 1000),
        "address1_line1": f"Kai {random.randint(1, 99)}",
        "address1_city": city,
        "address1_postalcode": code,
        "address1_country": country,
    }


def edit(twin: "DynamicsTwin", kind: str, count: int, seed: int) -> list[str]:
    """Change what people change: a telephone number, an order's description, a product's name."""
    table, number = TABLES[kind]
    random = Random(seed)
    rows = [row for row in twin.env.rows[table].values() if row.values.get("statecode") in (0, None) and row.values.get(number)]
    chosen = random.sample(sorted(rows, key=lambda row: row.id), min(count, len(rows)))
    for row in chosen:
        told = f"edited {random.randint(1, 999_999)}"
        column = {"account": "telephone1", "contact": "telephone1"}.get(kind, "description")
        twin.edit_as_person(table, row.id, **{column: told})
    return [str(row.values[number]) for row in chosen]


def columns(kind: str, fields: Mapping[str, str | None]) -> tuple[str, dict[str, Any]]:
    """The table, and what people set of an account, by column."""
    if kind != "account":
        raise ValueError(f"people set fields of accounts here, not of {kind}")
    table, number = TABLES[kind]
    own = _FIELDS[kind] | {"number": number}
    return table, {own[name]: value for name, value in fields.items()}


def enters(twin: "DynamicsTwin", kind: str, customer: str) -> str:
    """What Sam enters: an account with the number that it shall have in the ERP, or an order or an opportunity with a line."""
    env, table = twin.env, TABLES[kind][0]
    if kind == "account":
        return twin.insert_as_person("account", name="Newcomer & Sons", accountnumber="NEW001", telephone1="+47 22 100200")
    buyer = next(row.id for row in env.rows["account"].values() if row.values.get("accountnumber") == customer)
    unit = next(row.id for row in env.rows["uom"].values() if row.values.get("isschedulebaseuom"))
    soon = twin.clock.now() + timedelta(days=14)
    more = {"estimatedvalue": Decimal(25)} if kind == "deal" else {"requestdeliveryby": f"{soon:%Y-%m-%d}T11:00:00Z"}
    made = twin.insert_as_person(table, name="A pump to start with", customerid=buyer, **more)
    sold = next((row.id for row in env.rows["product"].values() if row.values.get("statecode") == 0), None)
    item = {"productid": sold, "uomid": unit} if sold else {"isproductoverridden": True, "productdescription": "Pump"}
    price = {"ispriceoverridden": True} if sold else {}
    line, parent = _LINES[kind]
    twin.insert_as_person(line, **{parent: made}, **item, **price, quantity=Decimal(2), priceperunit=Decimal("12.50"))
    return made


def moves(twin: "DynamicsTwin", kind: str, number: str, stage: str) -> None:
    table, own = TABLES[kind]
    row = next(
        row for row in twin.env.rows[table].values() if number in (row.values.get(_GIVEN.get(kind, "")), row.values.get(own))
    )
    twin.edit_as_person(table, row.id, statuscode=int(stage))


def facts(env: Environment, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    """(business number, or the title where none is set, canonical field path → value) of every record of the kind."""
    table, number = TABLES[kind]
    definition = env.defs[table]
    for row in list(env.rows[table].values()):
        values = row.values
        told: dict[str, object] = {field: values.get(column) for field, column in _FIELDS[kind].items()}
        told |= {"id": row.id, "active": values.get("statecode") == 0}
        if kind == "account":
            told |= {f"billing.{part}": values.get(f"address1_{name}") for part, name in _PARTS.items()}
            street = [line for n in (1, 2, 3) if (line := values.get(f"address1_line{n}"))]
            told["billing.street"] = "\n".join(map(str, street)) or None
        if kind == "order":
            customer = env.rows["account"].get(str(values.get("customerid")))
            told["account"] = customer.values.get("accountnumber") if customer is not None else None
            wanted = values.get("requestdeliveryby")
            told["wanted_on"] = str(wanted)[:10] if wanted else None
        if kind in _LINES:
            told["prices" if kind == "price_list" else "lines"] = list(_lines(env, kind, row))
        yield str(values.get(_GIVEN.get(kind, "")) or values.get(number) or values.get(definition.title)), told


_PARTS: Final = {
    "street": "line1",
    "city": "city",
    "region": "stateorprovince",
    "postal_code": "postalcode",
    "country": "country",
}


def _lines(env: Environment, kind: str, row: Row) -> Iterator[dict[str, object]]:
    table, lookup = _LINES[kind]
    for line in env.where(table, **{lookup: row.id}):
        values = line.values
        if kind == "price_list":
            yield {"product": values.get("productid"), "amount": values.get("amount")}
        else:
            yield {
                "key": values.get("mlc_erplineno") or values.get("lineitemnumber"),
                "product": values.get("productid"),
                "sku": _sku(env, values),
                "net": (values.get("baseamount") or 0) - (values.get("manualdiscountamount") or 0),
                "description": values.get("productdescription"),
                "quantity": values.get("quantity"),
                "unit_price": values.get("priceperunit"),
                "tax": values.get("tax"),
            }


def _sku(env: Environment, values: Mapping[str, Any]) -> object:
    """The number of the product that the line sells; of a write-in, what was written."""
    product = env.rows["product"].get(str(values.get("productid")))
    return product.values.get("productnumber") if product is not None else values.get("productdescription")
