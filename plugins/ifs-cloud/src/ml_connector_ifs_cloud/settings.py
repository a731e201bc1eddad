"""What the user configures for one IFS Cloud environment. The README explains each key."""

import keyword
import re
from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import force_setattr

from ml_connector.domain import OrderStatus
from ml_connector.ports.secrets import Secret

Edm: TypeAlias = Literal["string", "decimal", "date", "datetime"]
"""Types a literal in a filter can have: ``'C1001'``, ``1001``, ``2026-01-15``, ``2026-01-15T09:30:00Z``."""
Strategy: TypeAlias = Literal["etag_sweep", "full", "timestamp", "history_log"]
Paging: TypeAlias = Literal["nextlink_then_skip", "skip_only", "nextlink_only", "keyset"]
Child: TypeAlias = Literal["addresses", "comm_methods", "sales", "credit", "invoice"]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]

GATEWAYS: Final = {
    "main": "/main/ifsapplications/projection/v1",
    "int": "/int/ifsapplications/projection/v1",
    "b2b": "/b2b/ifsapplications/projection/v1",
    "entity": "/int/ifsapplications/entity/v1",
}
STATES: Final[dict[str, OrderStatus]] = {
    "Planned": "Planned",
    "Released": "Released",
    "Reserved": "InFulfilment",
    "Picked": "InFulfilment",
    "PartiallyDelivered": "PartiallyDelivered",
    "Delivered": "Delivered",
    "Invoiced": "Invoiced",
    "Cancelled": "Cancelled",
    "Blocked": "Blocked",
}
DIMENSIONS: Final[dict[str, str | None]] = {
    "region": "RegionCode",
    "district": "DistrictCode",
    "market": "MarketCode",
    "cost_center": None,
    "profit_center": None,
}
METHODS: Final[dict[str, tuple[str, ...]]] = {
    "phone": ("Phone",),
    "fax": ("Fax",),
    "email": ("EMail",),
    "website": ("WWW", "Web", "HomePage"),
}
ADDRESSES: Final[dict[str, tuple[str, ...]]] = {"billing": ("Document", "Pay"), "shipping": ("Delivery", "Visit")}

_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def _address(name: str, url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(f'{name}: "{url}" is not a plain address like https://acme.ifs.cloud')
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError(f'{name}: "{url}" must begin with https:// (tokens travel there)')


def _property(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ValueError(f'"{name}" is not a name that a property or set can have')


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration: misspelt keys are mistakes."""


class Field(_Table, frozen=True, kw_only=True):
    """A property and its type, because a literal in a filter must have the property's own type."""

    name: str
    edm: Edm = "string"


class Limits(_Table, frozen=True, kw_only=True):
    """IFS publishes no number; these are what a shared environment bears."""

    requests_per_minute: Count = 600
    concurrency: Count = 4
    attempts: Count = 5
    connect_timeout_s: Seconds = 10
    read_timeout_s: Seconds = 120


class ErrorTexts(_Table, frozen=True, kw_only=True):
    """Parts of error messages (any case) that tell what a code does not; they depend on the language of the API user."""

    conflict: tuple[str, ...] = ("modified by another user", "has been changed by")
    retryable: tuple[str, ...] = ("locked by another",)
    duplicate: tuple[str, ...] = ("already exists",)


class Place(_Table, frozen=True, kw_only=True):
    """Where a kind of record is served."""

    gateway: str = "main"
    projection: str
    read_set: str
    aliases: tuple[str, ...] = ()  # "OtherHandling.svc/OtherSet", tried in this order when the first is not served
    entity_type: str
    key: Field
    change_strategy: Strategy = "etag_sweep"
    created_field: Field | None = None
    modified_field: Field | None = None
    select: tuple[str, ...]
    filter: str | None = None  # OData text, added to every list
    full_every_h: Annotated[int, msgspec.Meta(ge=0)] = 24
    expect_rows: bool = True
    known_key: str | None = None

    def __post_init__(self) -> None:
        for alias in self.aliases:
            if not re.fullmatch(r"\w+\.svc/\w+", alias):
                raise ValueError(f'aliases: "{alias}" is not of the form Projection.svc/EntitySet')
        for name in (self.projection, self.read_set, self.entity_type, self.key.name, *self.select):
            _property(name)
        if self.change_strategy == "timestamp" and self.stamp is None:
            raise ValueError("change_strategy timestamp needs modified_field (or created_field, which shows new records only)")
        if self.stamp is not None and self.change_strategy == "timestamp" and self.stamp.edm not in ("date", "datetime"):
            raise ValueError(f'{self.stamp.name}: edm must be "date" or "datetime" for change_strategy timestamp')

    @property
    def stamp(self) -> Field | None:
        """What the timestamp strategy goes by."""
        return self.modified_field or self.created_field

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """(projection, entity set), most wanted first."""
        others = (tuple(alias.split(".svc/")) for alias in self.aliases)
        return ((self.projection, self.read_set), *((name, entity_set) for name, entity_set in others))


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
    child_paths: dict[Child, str] = {}
    sales_set: str | None = "CustOrdCustomerSet"
    address_types: dict[Literal["billing", "shipping"], tuple[str, ...]] = {}
    method_ids: dict[Literal["phone", "fax", "email", "website"], tuple[str, ...]] = {}

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


class Lines(_Table, frozen=True, kw_only=True):
    """Order lines: a flat set, read by key range; the navigation is what is left where the flat set is not served."""

    set: str | None = "CustomerOrderLineSet"
    aliases: tuple[str, ...] = ("CustomerOrderLinesSet",)
    nav: str = "OrderLinesArray"
    entity_type: str = "CustomerOrderLine"
    components: bool = False  # True: package components (LineItemNo > 0) are lines too
    select: tuple[str, ...] = (
        "OrderNo",
        "LineNo",
        "RelNo",
        "LineItemNo",
        "CatalogNo",
        "CatalogDesc",
        "BuyQtyDue",
        "SalesUnitMeas",
        "SaleUnitPrice",
        "Discount",
        "NetAmountCurr",
        "TaxAmountCurr",
        "GrossAmountCurr",
        "TaxCode",
        "WantedDeliveryDate",
        "PromisedDeliveryDate",
        "QtyShipped",
        "QtyInvoiced",
        "Objstate",
    )

    @property
    def sets(self) -> tuple[str, ...]:
        return () if self.set is None else (self.set, *self.aliases)


class Orders(Place, frozen=True, kw_only=True):
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


class History(_Table, frozen=True, kw_only=True):
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


class Entities(_Table, frozen=True, kw_only=True):
    """What differs per kind."""

    account: Accounts = Accounts()
    order: Orders = Orders()
    history: History = History()


class IfsCloudSettings(_Table, frozen=True, kw_only=True):
    """One environment of IFS Cloud, seen through one service user."""

    base_url: str
    realm: str
    client_id: str
    client_secret: Secret
    token_url: str = "{base_url}/auth/realms/{realm}/protocol/openid-connect/token"
    scope: str = "openid microprofile-jwt"
    client_auth: Literal["client_secret_post", "client_secret_basic"] = "client_secret_post"
    expiry_leeway_s: Seconds = 30
    release: str = "25R1"
    gateways: dict[str, str] = {}
    extra_headers: dict[str, str] = {}
    time_zone_aware_header: bool = False
    server_timezone: str = "UTC"
    companies: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    company: str | None = None
    page_size: Annotated[int, msgspec.Meta(ge=2, le=5000)] = 500
    paging: Paging = "nextlink_then_skip"
    short_page_ends: bool = True
    use_select: bool = True
    double_parens: bool = False
    encode_dollar: bool = False
    max_url_len: Annotated[int, msgspec.Meta(ge=500)] = 6000
    key_filter_chunk: Annotated[int, msgspec.Meta(ge=1, le=20)] = 20
    watermark_overlap_s: Seconds = 3900
    etag_version_hint: bool = True
    state_map: dict[str, OrderStatus] = {}
    dimensions: dict[str, str | None] = {}
    custom_fields: dict[Literal["account", "order"], dict[str, str]] = {}
    rights_probe: str | None = "CompanySiteHandling.svc/CompanySiteSet"
    error_text_patterns: ErrorTexts = ErrorTexts()
    limits: Limits = Limits()
    entities: Entities = Entities()

    def __post_init__(self) -> None:
        force_setattr(self, "base_url", self.base_url.rstrip("/"))
        _address("base_url", self.base_url)
        for name, value in (("realm", self.realm), ("client_id", self.client_id)):
            if not value or value != value.strip() or "/" in value:
                raise ValueError(f'{name}: "{value}" cannot be right; API Explorer shows it on its authentication page')
        _address("token_url", self.token_endpoint)
        force_setattr(self, "gateways", GATEWAYS | {name: path.rstrip("/") for name, path in self.gateways.items()})
        force_setattr(self, "state_map", STATES | self.state_map)
        force_setattr(self, "dimensions", DIMENSIONS | self.dimensions)
        for gateway in (self.entities.account.gateway, self.entities.order.gateway, self.entities.history.gateway):
            if gateway not in self.gateways:
                raise ValueError(f'gateway "{gateway}" is not one of {", ".join(self.gateways)}; add its path to gateways')
        _ = self.time_zone
        for name in (*self.extras("account").values(), *self.extras("order").values()):
            _property(name)
        if self.company is not None and self.companies and self.company not in self.companies:
            raise ValueError(f'company "{self.company}" is not one of companies ({", ".join(self.companies)})')

    @property
    def token_endpoint(self) -> str:
        return self.token_url.replace("{base_url}", self.base_url).replace("{realm}", self.realm)

    @property
    def time_zone(self) -> tzinfo:
        """The zone behind the nominal Z. UTC needs no time zone database."""
        if self.server_timezone == "UTC":
            return UTC
        try:
            return ZoneInfo(self.server_timezone)
        except (KeyError, OSError, ValueError) as error:
            raise ValueError(
                f'server_timezone: "{self.server_timezone}" is not known here; use a name like "Europe/Stockholm"'
                " (and install tzdata where the system has no time zones)"
            ) from error

    @property
    def credit_company(self) -> str | None:
        """The one company whose credit and invoice data count: two companies' limits never mix."""
        return self.company or (self.companies[0] if len(self.companies) == 1 else None)

    @property
    def children(self) -> frozenset[Child]:
        """The child collections of a customer that are read."""
        chosen = self.entities.account.children
        if chosen is not None:
            return frozenset(chosen)
        per_company: tuple[Child, ...] = ("credit", "invoice") if self.credit_company else ()
        return frozenset(("addresses", "comm_methods", "sales", *per_company))

    def extras(self, kind: Literal["account", "order"]) -> Mapping[str, str]:
        """Canonical name → property, of what goes to ``extra`` straight from the row."""
        dimensions = {name: source for name, source in self.dimensions.items() if source} if kind == "order" else {}
        return dimensions | self.custom_fields.get(kind, {})
