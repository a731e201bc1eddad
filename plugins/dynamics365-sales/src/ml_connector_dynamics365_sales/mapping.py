"""Which canonical field lives in which column, by table: plain data. Names: Dataverse's table reference.

A row without column has no standard one; ``Settings.fields`` can give it a custom one.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from ml_connector.domain import Kind
from ml_connector_dynamics365_sales.settings import Settings

Type: TypeAlias = Literal["text", "decimal", "int", "bool", "date", "choice", "money", "ref", "currency", "unit"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One canonical field."""

    field: str
    column: str | None = None
    type: Type = "text"
    kind: Kind = "account"  # of a ref: what it leads to
    table: str = "account"  # of a ref: logical name of the target
    nav: str = ""  # of a ref: the navigation property that is bound
    read_only: bool = False


class Place(msgspec.Struct, frozen=True):
    """A postal address: one canonical field, seven columns."""

    field: str
    prefix: str

    @property
    def parts(self) -> dict[str, str]:
        """Part of Address → column; a street's lines are three columns."""
        names = {"city": "city", "region": "stateorprovince", "postal_code": "postalcode", "country": "country"}
        return {part: f"{self.prefix}_{name}" for part, name in names.items()}

    @property
    def lines(self) -> tuple[str, str, str]:
        return (f"{self.prefix}_line1", f"{self.prefix}_line2", f"{self.prefix}_line3")


class Children(msgspec.Struct, frozen=True, kw_only=True):
    """Records that belong to a record and are told as part of it: lines, prices."""

    field: Literal["lines", "prices"]
    table: str
    nav: str  # collection-valued, on the parent
    parent: str  # lookup column, and navigation property, on the child


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Where one kind lives."""

    kind: Kind
    name: str
    rows: tuple[Row, ...]
    places: tuple[Place, ...] = ()
    children: Children | None = None
    flag: bool = False  # ``active`` is the record's state
    retired: tuple[int, int] | None = None  # state and status of what is out of use
    active: tuple[int, int] = (0, 1)
    deferred: bool = False  # new records begin in another state than active


def _ref(field: str, kind: Kind, table: str, column: str, nav: str = "") -> Row:
    return Row(field=field, column=column, type="ref", kind=kind, table=table, nav=nav or column)


def _money(field: str, column: str | None, *, read_only: bool = False) -> Row:
    return Row(field=field, column=column, type="money", read_only=read_only)


def _document(*rows: Row) -> tuple[Row, ...]:
    """Rows that orders and quotes share. Totals are Dataverse's own sums, so they are only read."""
    return (
        _ref("customer", "account", "account", "customerid", "customerid_account"),
        _ref("contact", "contact", "contact", "customerid", "customerid_contact"),
        _ref("deal", "deal", "opportunity", "opportunityid"),
        Row(field="customer_reference"),
        Row(field="currency", column="transactioncurrencyid", type="currency"),
        _money("total", "totalamount", read_only=True),
        Row(field="payment_terms", column="paymenttermscode", type="choice"),
        Row(field="company"),
        Row(field="site"),
        *rows,
    )


_DATE: Final = "date"
_BILL_AND_SHIP: Final = (Place("bill_to", "billto"), Place("ship_to", "shipto"))
_DESCRIPTION: Final = Row(field="description", column="description")
_CURRENCY: Final = Row(field="currency", column="transactioncurrencyid", type="currency")

OPPORTUNITY: Final = Table(
    kind="deal",
    name="opportunity",
    rows=(
        Row(field="name", column="name"),
        _DESCRIPTION,
        _money("amount", "estimatedvalue"),
        Row(field="stage", column="salesstage", type="choice"),
        Row(field="pipeline"),
        Row(field="probability", column="closeprobability", type="int"),
        Row(field="closing_on", column="estimatedclosedate", type=_DATE),
        Row(field="type"),
        Row(field="lead_source"),
        Row(field="next_step", column="stepname"),
        _ref("account", "account", "account", "customerid", "customerid_account"),
        _ref("contact", "contact", "contact", "parentcontactid"),
        Row(field="order_number"),
        Row(field="customer_reference"),
    ),
    children=Children(field="lines", table="opportunityproduct", nav="product_opportunities", parent="opportunityid"),
)
LEAD: Final = Table(
    kind="deal",
    name="lead",
    rows=(
        Row(field="name", column="subject"),
        _DESCRIPTION,
        _money("amount", "estimatedamount"),
        Row(field="closing_on", column="estimatedclosedate", type=_DATE),
        Row(field="lead_source", column="leadsourcecode", type="choice"),
        Row(field="type", column="leadqualitycode", type="choice"),
        _ref("account", "account", "account", "parentaccountid"),
        _ref("contact", "contact", "contact", "parentcontactid"),
        Row(field="order_number"),
        Row(field="customer_reference"),
    ),
)
_TABLES: Final = (
    Table(
        kind="account",
        name="account",
        rows=(
            Row(field="name", column="name"),
            _DESCRIPTION,
            Row(field="category", column="customertypecode", type="choice"),
            Row(field="tax_id"),
            Row(field="phone", column="telephone1"),
            Row(field="fax", column="fax"),
            Row(field="email", column="emailaddress1"),
            Row(field="website", column="websiteurl"),
            Row(field="industry", column="industrycode", type="choice"),
            Row(field="language"),
            _CURRENCY,
            _ref("parent", "account", "account", "parentaccountid"),
            _money("credit_limit", "creditlimit"),
            Row(field="credit_blocked", column="creditonhold", type="bool"),
            Row(field="payment_terms", column="paymenttermscode", type="choice"),
            _money("annual_revenue", "revenue"),
            Row(field="employees", column="numberofemployees", type="int"),
        ),
        places=(Place("billing", "address1"), Place("shipping", "address2")),
        flag=True,
        retired=(1, 2),
    ),
    Table(
        kind="contact",
        name="contact",
        rows=(
            Row(field="name", column="fullname", read_only=True),  # put together from first and last name
            _DESCRIPTION,
            Row(field="first_name", column="firstname"),
            Row(field="last_name", column="lastname"),
            Row(field="email", column="emailaddress1"),
            Row(field="phone", column="telephone1"),
            Row(field="mobile", column="mobilephone"),
            Row(field="title", column="jobtitle"),
            Row(field="department", column="department"),
            Row(field="role", column="accountrolecode", type="choice"),
            _ref("account", "account", "account", "parentcustomerid", "parentcustomerid_account"),
        ),
        places=(Place("address", "address1"),),
        retired=(1, 2),
    ),
    Table(
        kind="product",
        name="product",
        rows=(
            Row(field="name", column="name"),
            _DESCRIPTION,
            Row(field="category"),
            Row(field="unit", column="defaultuomid", type="unit"),
            _money("list_price", "price"),
            Row(field="stock", column="quantityonhand", type="decimal"),
        ),
        flag=True,
        retired=(1, 2),
        deferred=True,
    ),
    Table(
        kind="price_list",
        name="pricelevel",
        rows=(
            Row(field="name", column="name"),
            _DESCRIPTION,
            _CURRENCY,
            Row(field="valid_from", column="begindate", type=_DATE),
            Row(field="valid_until", column="enddate", type=_DATE),
        ),
        children=Children(
            field="prices", table="productpricelevel", nav="price_level_product_price_levels", parent="pricelevelid"
        ),
        flag=True,
        active=(0, 100001),
        retired=(1, 100002),
    ),
    Table(
        kind="order",
        name="salesorder",
        rows=(
            Row(field="name", column="name"),
            _DESCRIPTION,
            *_document(
                _ref("quote", "quote", "quote", "quoteid"),
                Row(field="external_reference"),
                Row(field="type"),
                Row(field="ordered_on"),
                Row(field="wanted_on", column="requestdeliveryby", type=_DATE),
                Row(field="planned_on"),
                Row(field="delivery_terms", column="freighttermscode", type="choice"),
                Row(field="salesperson"),
            ),
        ),
        places=_BILL_AND_SHIP,
        children=Children(field="lines", table="salesorderdetail", nav="order_details", parent="salesorderid"),
        retired=(2, 4),
    ),
    Table(
        kind="quote",
        name="quote",
        rows=(
            Row(field="name", column="name"),
            _DESCRIPTION,
            *_document(
                Row(field="quoted_on", column="effectivefrom", type=_DATE),
                Row(field="valid_until", column="effectiveto", type=_DATE),
            ),
        ),
        places=_BILL_AND_SHIP,
        children=Children(field="lines", table="quotedetail", nav="quote_details", parent="quoteid"),
        retired=(3, 6),
    ),
)

ENTITY_SETS: Final = {
    "account": "accounts",
    "contact": "contacts",
    "opportunity": "opportunities",
    "quote": "quotes",
}
"""Logical name → entity set, of what lookups are bound to."""
KINDS: Final[tuple[Kind, ...]] = ("product", "price_list", "account", "contact", "quote", "order", "deal")
EXTERNAL: Final = "external_reference"
ORDER_NUMBER: Final = "ordernumber"
FIXED: Final = frozenset({ORDER_NUMBER, "quotenumber"})
"""Numbers that may be given to a new record and never changed."""
TABLE_OF: Final[dict[str, Kind]] = {**{table.name: table.kind for table in _TABLES}, "opportunity": "deal", "lead": "deal"}
"""Logical name → kind."""


def table_of(kind: Kind, settings: Settings) -> Table:
    """The kind's table as this connection has it."""
    if kind == "deal":
        return LEAD if settings.deals == "lead" else OPPORTUNITY
    return next(table for table in _TABLES if table.kind == kind)


def rows_of(kind: Kind, settings: Settings) -> list[Row]:
    """The kind's rows with the key column first, and with the user's own places.

    The key may be the table's own id: then nobody gives such records numbers. Where the ERP's number of an order stands in a
    column of its own, Dynamics' number is its external reference, by which the ERP knows an order that it has not numbered yet.
    """
    table, key = table_of(kind, settings), settings.key(kind)
    rows = (Row(field="number", column=key, read_only=key == f"{table.name}id"), *table.rows)
    placed = [msgspec.structs.replace(row, column=settings.place(kind, row.field) or row.column) for row in rows]
    if key != ORDER_NUMBER:
        own = Row(field=EXTERNAL, column=ORDER_NUMBER, read_only=True)
        placed = [own if row.field == EXTERNAL and row.column is None else row for row in placed]
    return [row for row in placed if row.column is not None]
