"""Zoho records ↔ entities, by table: which canonical field lives under which API name. Pure functions and plain data.

Names: Zoho's v8 field catalogue. A row without API name has no standard field; ``Settings.fields`` can give it one.
"""

from typing import Final

import msgspec

from ml_connector.domain import Kind
from ml_connector_zoho_crm.convert import BOOLEAN, DATE, DECIMAL, INTEGER, TEXT, Codec, lookup, words
from ml_connector_zoho_crm.settings import Settings


class Row(msgspec.Struct, frozen=True):
    """One canonical field."""

    field: str
    api: str | None = None
    codec: Codec = TEXT
    money: bool = False
    read_only: bool = False


class Place(msgspec.Struct, frozen=True):
    """A postal address: one canonical field, five of Zoho's."""

    field: str
    parts: dict[str, str]  # part of Address → API name


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """Where one kind lives."""

    kind: Kind
    name: str  # the system name; administrators may have renamed what goes into URLs
    title: str  # API name of the name field
    rows: tuple[Row, ...]
    places: tuple[Place, ...] = ()
    lines: str | None = None  # API name of the standard line-item subform


def _address(field: str, prefix: str, code: str = "Code") -> Place:
    parts = {"street": "Street", "city": "City", "region": "State", "postal_code": code, "country": "Country"}
    return Place(field, {part: f"{prefix}{api}" for part, api in parts.items()})


_BILL_AND_SHIP: Final = (_address("bill_to", "Billing_"), _address("ship_to", "Shipping_"))
_ACCOUNT, _CONTACT, _DEAL, _VENDOR = lookup("account"), lookup("contact"), lookup("deal"), lookup("vendor")


def _document(*rows: Row, customer: bool = True) -> tuple[Row, ...]:
    """Rows that quotes, orders and invoices share. Zoho computes the total from the lines, so it is only read."""
    common = (
        Row("currency", "Currency"),
        Row("total", "Grand_Total", DECIMAL, money=True, read_only=True),
        Row("company"),
        Row("site"),
        Row("payment_terms"),
    )
    return ((Row("customer", "Account_Name", _ACCOUNT),) if customer else ()) + rows + common


MODULES: Final[dict[Kind, Module]] = {
    module.kind: module
    for module in (
        Module(
            kind="account",
            name="Accounts",
            title="Account_Name",
            rows=(
                Row("category", "Account_Type"),
                Row("tax_id"),
                Row("phone", "Phone"),
                Row("fax", "Fax"),
                Row("email"),
                Row("website", "Website"),
                Row("industry", "Industry"),
                Row("language"),
                Row("currency", "Currency"),
                Row("parent", "Parent_Account", _ACCOUNT),
                Row("credit_limit", None, DECIMAL, money=True),
                Row("credit_blocked", None, BOOLEAN),
                Row("payment_terms"),
                Row("annual_revenue", "Annual_Revenue", DECIMAL, money=True),
                Row("employees", "Employees", INTEGER),
                Row("active", None, BOOLEAN),
            ),
            places=(_address("billing", "Billing_"), _address("shipping", "Shipping_")),
        ),
        Module(
            kind="contact",
            name="Contacts",
            title="Full_Name",  # computed from first and last name
            rows=(
                Row("first_name", "First_Name"),
                Row("last_name", "Last_Name"),
                Row("email", "Email"),
                Row("phone", "Phone"),
                Row("mobile", "Mobile"),
                Row("title", "Title"),
                Row("department", "Department"),
                Row("role"),
                Row("account", "Account_Name", _ACCOUNT),
            ),
            places=(_address("address", "Mailing_", "Zip"),),
        ),
        Module(
            kind="deal",
            name="Deals",
            title="Deal_Name",
            rows=(
                Row("amount", "Amount", DECIMAL, money=True),
                Row("stage", "Stage"),
                Row("pipeline", "Pipeline"),
                Row("probability", "Probability", DECIMAL),
                Row("closing_on", "Closing_Date", DATE),
                Row("type", "Type"),
                Row("lead_source", "Lead_Source"),
                Row("next_step", "Next_Step"),
                Row("account", "Account_Name", _ACCOUNT),
                Row("contact", "Contact_Name", _CONTACT),
                Row("quote", None, lookup("quote")),
                Row("order_number"),
                Row("customer_reference"),
            ),
        ),
        Module(
            kind="order",
            name="Sales_Orders",
            title="Subject",
            rows=_document(
                Row("status", "Status"),
                Row("contact", "Contact_Name", _CONTACT),
                Row("deal", "Deal_Name", _DEAL),
                Row("quote", "Quote_Name", lookup("quote")),
                Row("customer_reference", "Purchase_Order"),
                Row("external_reference"),
                Row("type"),
                Row("ordered_on", None, DATE),
                Row("wanted_on", "Due_Date", DATE),
                Row("planned_on", None, DATE),
                Row("delivery_terms"),
                Row("salesperson"),
            ),
            places=_BILL_AND_SHIP,
            lines="Ordered_Items",
        ),
        Module(
            kind="quote",
            name="Quotes",
            title="Subject",
            rows=_document(
                Row("status", "Quote_Stage"),
                Row("contact", "Contact_Name", _CONTACT),
                Row("deal", "Deal_Name", _DEAL),
                Row("customer_reference"),
                Row("quoted_on", None, DATE),
                Row("valid_until", "Valid_Till", DATE),
            ),
            places=_BILL_AND_SHIP,
            lines="Quoted_Items",
        ),
        Module(
            kind="vendor",
            name="Vendors",
            title="Vendor_Name",
            rows=(
                Row("category", "Category"),
                Row("tax_id"),
                Row("email", "Email"),
                Row("phone", "Phone"),
                Row("website", "Website"),
                Row("currency", "Currency"),
                Row("payment_terms"),
                Row("active", None, BOOLEAN),
            ),
            places=(_address("address", "", "Zip_Code"),),
        ),
        Module(
            kind="product",
            name="Products",
            title="Product_Name",
            rows=(
                Row("category", "Product_Category"),
                Row("unit", "Usage_Unit"),
                Row("list_price", "Unit_Price", DECIMAL, money=True),
                Row("vendor", "Vendor_Name", _VENDOR),
                Row("stock", "Qty_in_Stock", DECIMAL),
                Row("active", "Product_Active", BOOLEAN),
            ),
        ),
        Module(
            kind="purchase_order",
            name="Purchase_Orders",
            title="Subject",
            rows=_document(
                Row("status", "Status"),
                Row("vendor", "Vendor_Name", _VENDOR),
                Row("buyer"),
                Row("ordered_on", "PO_Date", DATE),
                Row("due_on", "Due_Date", DATE),
                customer=False,
            ),
            lines="Purchase_Items",
        ),
        Module(
            kind="invoice",
            name="Invoices",
            title="Subject",
            rows=_document(
                Row("status", "Status"),
                Row("vendor", None, _VENDOR),  # no standard lookup: Zoho's invoices are customers' invoices
                Row("order", "Sales_Order", lookup("order")),
                Row("purchase_order", None, lookup("purchase_order")),
                Row("issued_on", "Invoice_Date", DATE),
                Row("due_on", "Due_Date", DATE),
                Row("open_amount", None, DECIMAL, money=True),
            ),
            lines="Invoiced_Items",
        ),
    )
}

READ_ONLY_TITLES: Final = frozenset({"Full_Name"})


def module_of(kind: Kind, settings: Settings) -> Module:
    """Where the kind lives in this organisation: its standard module, or a custom one without addresses and lines."""
    module, own = MODULES[kind], settings.modules.get(kind)
    return module if own is None else msgspec.structs.replace(module, name=own, title="Name", places=(), lines=None)


def rows_of(kind: Kind, settings: Settings) -> list[Row]:
    """The kind's table as this connection has it: with the key field, and with the user's own places."""
    module = module_of(kind, settings)
    rows = [
        Row("number", settings.key(kind)),
        Row("name", module.title, read_only=module.title in READ_ONLY_TITLES),
        Row("description", "Description"),
        *module.rows,
    ]
    placed = [_placed(row, settings.place(kind, row.field)) for row in rows]
    if kind == "order":
        status = words(settings.order_status, unknown="Unknown")
        placed = [msgspec.structs.replace(row, codec=status) if row.field == "status" else row for row in placed]
    return [row for row in placed if row.api is not None]


def _placed(row: Row, api: str | None) -> Row:
    return row if api is None else msgspec.structs.replace(row, api=api, read_only=row.read_only or api == "id")
