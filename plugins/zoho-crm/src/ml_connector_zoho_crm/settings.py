"""What a user writes about one Zoho CRM connection. Every setting is explained in the README."""

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ml_connector.domain import Kind
from ml_connector.ports.secrets import Secret

Edition: TypeAlias = Literal["free", "standard", "professional", "enterprise", "ultimate"]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]

CONCURRENCY: Final[dict[Edition, int]] = {"free": 5, "standard": 10, "professional": 15, "enterprise": 20, "ultimate": 25}
"""Simultaneous calls that Zoho takes per edition and client (api-limits)."""

DOMAINS: Final = ("com", "eu", "in", "com.au", "com.cn", "jp", "ca", "sa", "uk")
ALLOWED_HOSTS: Final = (*(f"*.zohoapis.{tld}" for tld in DOMAINS), "*.zohocloud.ca")
"""Written out, because ``zohoapis.*`` would also let ``zohoapis.evil.example`` have the token."""

KEYS: Final[dict[Kind, str]] = {
    "account": "ERP_Customer_No",
    "contact": "ERP_Contact_No",
    "deal": "ERP_Order_No",
    "order": "ERP_Order_No",
    "quote": "ERP_Quote_No",
    "vendor": "ERP_Vendor_No",
    "product": "ERP_Item_No",
    "purchase_order": "ERP_PO_No",
    "invoice": "ERP_Invoice_No",
}
FIELDS: Final = {"deal.customer_reference": "Customer_Reference"}
RETIRE: Final[dict[Kind, dict[str, Any]]] = {"product": {"Product_Active": False}}
ORDER_STATUS: Final = {
    "Planned": "Created",
    "Released": "Approved",
    "InFulfilment": "Approved",
    "PartiallyDelivered": "Approved",
    "Delivered": "Delivered",
    "Invoiced": "Delivered",
    "Cancelled": "Cancelled",
    "Blocked": "Created",
}
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_API_NAME: Final = re.compile(r"[A-Za-z]\w*")


def span(text: str) -> timedelta:
    """Read "6d", "12h", "30m", "90s". Raises ValueError."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if not match:
        raise ValueError(f'"{text}" is no span of time: write a whole number and s, m, h or d, such as "6d"')
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def loopback(url: str | None) -> str | None:
    """Host and port of a URL on this machine, else None."""
    parts = urlsplit(url or "")
    return parts.netloc if parts.hostname in ("127.0.0.1", "localhost", "::1") else None


class CallLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the organisation's allowance this connection takes."""

    concurrency: Positive = 5
    heavy_concurrency: Annotated[int, Meta(ge=1, le=10)] = 3  # Zoho's cap is 10 in all editions
    credits_per_day: Positive | None = None
    credit_reserve: Annotated[int, Meta(ge=0)] = 0


class Subform(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A custom subform of Deals that holds order lines."""

    name: str  # API name of the subform field
    key: str  # API name of the field that holds the line's key
    fields: dict[str, str] = msgspec.field(
        default_factory=lambda: {
            "product": "Product",
            "sku": "Item_No",
            "description": "Description",
            "quantity": "Quantity",
            "unit": "Unit",
            "unit_price": "Unit_Price",
            "net": "Net_Amount",
            "wanted_on": "Wanted_On",
            "status": "Status",
        }
    )  # canonical line field → API name; those that the subform does not have are left out


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Zoho organisation."""

    client_id: str
    client_secret: Secret
    refresh_token: Secret | None = None
    grant: Literal["refresh_token", "client_credentials"] = "refresh_token"
    scope: str = ""
    soid: str = ""
    accounts_server: str = "https://accounts.zoho.com"
    api_domain: str | None = None
    api_version: Annotated[str, Meta(pattern=r"^v\d+(\.\d+)?$")] = "v8"
    allowed_hosts: tuple[str, ...] = ALLOWED_HOSTS
    edition: Edition | None = None
    limits: CallLimits = CallLimits()
    modules: dict[Kind, str] = {}
    keys: dict[Kind, str] = {}
    fields: dict[str, str] = {}
    custom_fields: tuple[str, ...] | None = None
    line_key: str = ""
    order_lines: Literal["none", "description", "sales_order", "custom_subform"] = "none"
    subform: Subform | None = None
    order_status: dict[str, str] = msgspec.field(default_factory=lambda: dict(ORDER_STATUS))
    create_defaults: dict[Kind, dict[str, Any]] = {}
    layouts: dict[Kind, str] = {}
    pipeline: str = ""
    retire: dict[Kind, dict[str, Any]] = {}
    trigger: tuple[str, ...] = ()
    on_bad_contact_data: Literal["reject", "blank"] = "reject"
    coql_page: Annotated[int, Meta(ge=1, le=2000)] | None = None  # None: Zoho's most; see ``page`` and ``line_page``
    overlap_s: Annotated[int, Meta(ge=0)] = 120
    safety_lag_s: Annotated[int, Meta(ge=1)] = 20
    bulk_read_from: Positive | None = 20_000
    bulk_patience_s: Positive = 1800
    channel_ttl: str = "6d"

    def __post_init__(self) -> None:
        if self.grant == "refresh_token" and self.refresh_token is None:
            raise ValueError('refresh_token is missing: grant "refresh_token" lives on it')
        if self.grant == "client_credentials" and not (self.scope and self.soid):
            raise ValueError('grant "client_credentials" needs scope and soid ("ZohoCRM." and the organisation\'s zgid)')
        if self.edition and self.limits.concurrency > CONCURRENCY[self.edition]:
            raise ValueError(f"limits.concurrency: edition {self.edition} takes {CONCURRENCY[self.edition]} calls at once")
        if (self.order_lines == "custom_subform") != (self.subform is not None):
            raise ValueError('order_lines = "custom_subform" and the table [subform] go together')
        names = [
            *self.modules.values(),
            *self.keys.values(),
            *self.fields.values(),
            *(self.custom_fields or ()),
            *filter(None, [self.line_key]),
        ]
        if self.subform:
            names += [self.subform.name, self.subform.key, *self.subform.fields.values()]
        if odd := [name for name in names if not _API_NAME.fullmatch(name)]:
            raise ValueError(f"{', '.join(odd)}: not an API name (Setup, Developer Hub, APIs & SDKs, API Names lists them)")
        ttl = span(self.channel_ttl)
        if not timedelta(minutes=1) <= ttl <= timedelta(days=7):
            raise ValueError(
                'channel_ttl: Zoho keeps a channel for a week at most, and for an hour when asked for more; use "6d"'
            )
        for url in (self.accounts_server, self.api_domain):
            if url is not None and not url.startswith("https://") and loopback(url) is None:
                raise ValueError(f"{url}: must begin with https://")

    def key(self, kind: Kind) -> str:
        """API name of the field that holds the ERP's number of such a record."""
        return self.keys.get(kind, KEYS[kind])

    def place(self, kind: Kind, field: str) -> str | None:
        """API name of the custom field that the user gave to a canonical field, if any."""
        path = f"{kind}.{field}"
        return self.fields.get(path, FIELDS.get(path))

    def tells_id(self, kind: Kind) -> bool:
        """Whether Zoho's own id of such a record stands for one of our fields."""
        placed = (api for path, api in self.fields.items() if path.partition(".")[0] == kind)
        return "id" in (self.key(kind), *placed)

    @property
    def page(self) -> int:
        """Rows of each of a feed's queries: Zoho's most, for three credits; 200 cost one, and so does an idle poll then."""
        return self.coql_page or 2000

    @property
    def line_page(self) -> int:
        """Lines of one query for a hundred parents: two credits, as two queries of 200 would cost."""
        return self.coql_page or 1000

    def retirement(self, kind: Kind) -> dict[str, Any]:
        """What is set on a record to take it out of use; empty where nothing is configured."""
        return self.retire.get(kind, RETIRE.get(kind, {}))
