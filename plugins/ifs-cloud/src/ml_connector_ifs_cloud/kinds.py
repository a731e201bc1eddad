"""The kinds of record that the plugin knows, each with the vendor's names as defaults."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec
from msgspec.structs import force_setattr

from ml_connector.domain import OrderStatus
from ml_connector_ifs_cloud.places import (
    Action,
    Default,
    Documents,
    Field,
    Lines,
    Numbers,
    Place,
    StatusWrite,
    Strategy,
    Table,
    property_name,
)

Child: TypeAlias = Literal["addresses", "comm_methods", "sales", "credit", "invoice"]

METHODS: Final[dict[str, tuple[str, ...]]] = {
    "phone": ("Phone",),
    "fax": ("Fax",),
    "email": ("EMail",),
    "website": ("Www", "Web", "HomePage"),
}
ADDRESSES: Final[dict[str, tuple[str, ...]]] = {"billing": ("Document", "Pay"), "shipping": ("Delivery", "Visit")}


class Accounts(Place, frozen=True, kw_only=True):
    """Customers. Children hang on navigations of one customer; what is read of them is ``children``."""

    projection: str = "CustomerHandling"
    read_set: str = "CustomerInfoSet"
    aliases: tuple[str, ...] = ("CustomersHandling.svc/CustomerInfoSet", "CustomerHandling.svc/CustomerSet")
    entity_type: str = "CustomerInfo"
    key: Field = Field(name="CustomerId")
    created_field: Field | None = Field(name="CreationDate", edm="date")
    select: tuple[str, ...] = (
        "CustomerId",
        "Name",
        "CreationDate",
        "AssociationNo",
        "Country",
        "CountryCode",
        "DefaultLanguage",
        "CorporateForm",
        "CustomerCategory",
        "OneTime",
        "B2bCustomer",
    )
    categories: tuple[str, ...] = ("Customer",)  # () reads every category
    category_enum: str = "CustomerCategory"  # "" where CustomerCategory is plain text
    children: tuple[Child, ...] | None = None  # None: addresses, comm_methods, sales; with a company also credit and invoice
    sweep_children: Literal["never", "always"] = "never"
    child_paths: dict[Child, str] = msgspec.field(default_factory=dict)
    sales_set: str | None = "CustOrdCustomerSet"
    address_types: dict[Literal["billing", "shipping"], tuple[str, ...]] = msgspec.field(default_factory=dict)
    method_ids: dict[Literal["phone", "fax", "email", "website"], tuple[str, ...]] = msgspec.field(default_factory=dict)
    numbers: Numbers = "given"
    create_defaults: dict[str, Default] = msgspec.field(default_factory=dict)
    sales_defaults: dict[str, Default] = msgspec.field(default_factory=dict)  # of a new customer's sales settings
    countries: dict[str, str] = msgspec.field(default_factory=dict)  # ISO code → IFS's word; others are looked up
    country_set: str | None = "Lookup_IsoCountry_EntitySet"
    country_name: str = "Description"  # the property of country_set that holds the name (assumed)
    category_action: Action | None = Action(
        name="ChangeCustomerCategory", body={"CustomerId": "{number}", "CustomerCategory": "{category}"}
    )
    retire: Literal["order_stop", "refuse"] = "order_stop"

    def __post_init__(self) -> None:
        super().__post_init__()
        paths: dict[Child, str] = {
            "addresses": "CustomerInfoAddresses",
            "comm_methods": "CommunicationMethods",
            "sales": "CustOrdCustomers",
            "credit": "CustomerCreditInfoArray",
            "invoice": "CustomerInvoiceCompanies",
        }
        force_setattr(self, "child_paths", paths | self.child_paths)
        force_setattr(self, "address_types", ADDRESSES | dict(self.address_types))
        force_setattr(self, "method_ids", METHODS | dict(self.method_ids))
        constants: dict[str, Default] = {
            "PartyType": "Customer",
            "DefaultDomain": True,
            "IdentifierRefValidation": "None",
            "CustomerCategory": "Customer",
            "DefaultLanguage": "en",
        }
        force_setattr(self, "create_defaults", constants | self.create_defaults)
        for name in (*self.create_defaults, *self.sales_defaults, self.country_name):
            property_name(name)


class Orders(Documents, frozen=True, kw_only=True):
    """Customer orders with their lines."""

    projection: str = "CustomerOrderHandling"
    read_set: str = "CustomerOrderSet"
    entity_type: str = "CustomerOrder"
    key: Field = Field(name="OrderNo")
    created_field: Field | None = Field(name="OrderCreationDate", edm="datetime")
    state_enum: str = "CustomerOrderState"
    select: tuple[str, ...] = (
        "OrderNo",
        "OrderId",
        "Contract",
        "Company",
        "CustomerNo",
        "CustomerName",
        "CurrencyCode",
        "CustomerPoNo",
        "CustRef",
        "ExternalRef",
        "InternalRef",
        "DateEntered",
        "OrderCreationDate",
        "WantedDeliveryDate",
        "PlannedDeliveryDate",
        "PayTermId",
        "DeliveryTerms",
        "ShipAddrNo",
        "BillAddrNo",
        "SalesmanCode",
        "QuotationNo",
        "BusinessOpportunityNo",
        "TotalAmount",
        "BlockedType",
        "Objstate",
    )
    lines: Lines = Lines()
    external_id_field: str = "ExternalRef"  # holds external_reference: what the other side calls the order
    release_on_create: bool = False
    status_write: StatusWrite = StatusWrite()

    def __post_init__(self) -> None:
        super().__post_init__()
        property_name(self.external_id_field)
        assumed: dict[OrderStatus, Action] = {
            "Released": Action(name="CustomerOrder_SetReleased"),
            "Cancelled": Action(name="CustomerOrder_SetCancelled"),
        }
        actions = assumed | self.status_write.actions
        force_setattr(self, "status_write", msgspec.structs.replace(self.status_write, actions=actions))

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.external_id_field, *super().keys)


class Mapped(Documents, frozen=True, kw_only=True):
    """A kind whose properties are not all confirmed, so that each canonical field is told its property.

    fields        canonical field → property, laid over the assumed ones; "" takes one out
    number_field  the property for the number that another system gave; where it is empty IFS's own number is told
    read_only     fields that IFS works out or moves by commands
    """

    fields: dict[str, str] = msgspec.field(default_factory=dict)
    number_field: str | None = None
    read_only: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    entity_type: str = ""
    assumed: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        told = {**self.assumed, **self.fields}
        force_setattr(self, "fields", {name: prop for name, prop in told.items() if prop})
        force_setattr(self, "select", tuple(dict.fromkeys((*self.select, *self.fields.values()))))
        super().__post_init__()
        if self.change_strategy == "history_log":
            raise ValueError("change_strategy history_log is for customers and orders: no logical unit is known for these")

    @property
    def keys(self) -> tuple[str, ...]:
        return (*([self.number_field] if self.number_field else ()), *super().keys)


class Quotes(Mapped, frozen=True, kw_only=True):
    """Sales quotations. Projection, sets and properties are assumed names."""

    projection: str = "SalesQuotationHandling"
    read_set: str = "OrderQuotationSet"
    aliases: tuple[str, ...] = ("OrderQuotationHandling.svc/OrderQuotationSet",)
    entity_type: str = "OrderQuotation"
    key: Field = Field(name="QuotationNo")
    created_field: Field | None = Field(name="DateEntered", edm="date")
    read_only: tuple[str, ...] = ("status", "quoted_on", "company")
    lines: Lines | None = Lines(
        set="OrderQuotationLineSet",
        aliases=(),
        nav="OrderQuotationLineArray",
        entity_type="OrderQuotationLine",
        key_field="CustomerPoLineNo",
        cancel=None,
        deletable=("Planned", "Released"),
        select=(
            "CatalogNo", "CatalogDesc", "BuyQtyDue", "SalesUnitMeas", "SaleUnitPrice", "Discount", "WantedDeliveryDate",
            "Objstate",
        ),
    )  # fmt: skip
    assumed: ClassVar[Mapping[str, str]] = {
        "number": "QuotationNo",
        "customer": "CustomerNo",
        "currency": "CurrencyCode",
        "customer_reference": "CustomerPoNo",
        "external_reference": "ExternalRef",
        "payment_terms": "PayTermId",
        "site": "Contract",
        "company": "Company",
        "quoted_on": "DateEntered",
        "valid_until": "ExpirationDate",
        "status": "Objstate",
    }


class Deals(Mapped, frozen=True, kw_only=True):
    """Business opportunities: the set as public code reads it, without lines."""

    projection: str = "BusinessOpportunityHandling"
    read_set: str = "BusinessOpportunities"
    entity_type: str = "BusinessOpportunity"
    key: Field = Field(name="OpportunityNo")
    created_field: Field | None = Field(name="DateEntered", edm="date")
    read_only: tuple[str, ...] = ("stage",)
    assumed: ClassVar[Mapping[str, str]] = {
        "number": "OpportunityNo",
        "name": "Description",
        "account": "CustomerId",
        "stage": "Status",
        "closing_on": "WantedDeliveryDate",
    }


class Products(Mapped, frozen=True, kw_only=True):
    """Sales parts of one site: a part's number is its id there. The price fields are assumed names."""

    projection: str = "SalesPartHandling"
    read_set: str = "SalesPartSet"
    entity_type: str = "SalesPart"
    key: Field = Field(name="CatalogNo")
    created_field: Field | None = None
    site: str | None = None  # None: the only one of sites
    currency: str = ""  # of list prices: that of the site's company, which the row does not name
    active_values: tuple[Default, ...] = (True, "Active", "ActivePart", "Y")
    assumed: ClassVar[Mapping[str, str]] = {
        "number": "CatalogNo",
        "name": "CatalogDesc",
        "unit": "SalesUnitMeas",
        "list_price": "ListPrice",
        "active": "ActiveInd",
    }


class PriceLists(Mapped, frozen=True, kw_only=True):
    """Sales price lists: assumed names, without their prices, for which no set is known."""

    projection: str = "SalesPriceListHandling"
    read_set: str = "SalesPriceListSet"
    entity_type: str = "SalesPriceList"
    key: Field = Field(name="PriceListNo")
    change_strategy: Strategy = "full"
    assumed: ClassVar[Mapping[str, str]] = {
        "number": "PriceListNo",
        "name": "Description",
        "currency": "CurrencyCode",
    }


class History(Table, frozen=True, kw_only=True):
    """The History Log, where an administrator switched it on. Keys and HistoryType are assumed names."""

    gateway: str = "main"
    projection: str = "HistoryLogHandling"
    read_set: str = "HistoryLogOverviewSet"
    key: Field = Field(name="LogId", edm="decimal")
    time_field: Field = Field(name="TimeStamp", edm="datetime")
    lu_field: str = "LuName"
    keys_field: str = "Keys"  # holds "ORDER_NO=C1001^"
    type_field: str = "HistoryType"
    deleted: tuple[str, ...] = ("Delete",)
    account_lus: tuple[str, ...] = ("CustomerInfo", "CustomerInfoAddress", "CustomerInfoContact", "CustomerCreditInfo")
    account_columns: tuple[str, ...] = ("CUSTOMER_ID", "CUSTOMER_NO", "IDENTITY")
    order_lus: tuple[str, ...] = ("CustomerOrder", "CustomerOrderLine")
    order_columns: tuple[str, ...] = ("ORDER_NO",)


class Entities(Table, frozen=True, kw_only=True):
    """What differs per kind."""

    account: Accounts = Accounts()
    order: Orders = Orders()
    quote: Quotes = Quotes()
    deal: Deals = Deals()
    product: Products = Products()
    price_list: PriceLists = PriceLists()
    history: History = History()
