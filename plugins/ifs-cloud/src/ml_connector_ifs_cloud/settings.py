"""What the user configures for one IFS Cloud environment. The README explains each key."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import force_setattr

from ml_connector.domain import Kind, OrderStatus
from ml_connector.ports.secrets import Secret
from ml_connector_ifs_cloud.kinds import Child, Entities
from ml_connector_ifs_cloud.places import Paging, Table, property_name

Written: TypeAlias = Literal["account", "order", "quote", "deal", "product", "price_list"]
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

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def _address(name: str, url: str) -> None:
    parts = urlsplit(url)
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError(f'{name}: "{url}" is not a plain address like https://acme.ifs.cloud')
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError(f'{name}: "{url}" must begin with https:// (tokens travel there)')


class Limits(Table, frozen=True, kw_only=True):
    """IFS publishes no number; these are what a shared environment bears."""

    requests_per_minute: Count = 600
    concurrency: Count = 4
    attempts: Count = 5
    connect_timeout_s: Seconds = 10
    read_timeout_s: Seconds = 120


class ErrorTexts(Table, frozen=True, kw_only=True):
    """Parts of error messages (any case) that tell what a code does not; they depend on the language of the API user."""

    conflict: tuple[str, ...] = ("modified by another user", "has been changed by")
    retryable: tuple[str, ...] = ("locked by another",)
    duplicate: tuple[str, ...] = ("already exists",)


class IfsCloudSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    custom_fields: dict[Written, dict[str, str]] = {}
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
        places = [getattr(self.entities, name) for name in self.entities.__struct_fields__]
        for gateway in (place.gateway for place in places):
            if gateway not in self.gateways:
                raise ValueError(f'gateway "{gateway}" is not one of {", ".join(self.gateways)}; add its path to gateways')
        _ = self.time_zone
        for name in (
            *(prop for fields in self.custom_fields.values() for prop in fields.values()),
            *self.extras("order").values(),
        ):
            property_name(name)
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

    def extras(self, kind: Kind) -> Mapping[str, str]:
        """Canonical name → property, of what goes to ``extra`` straight from the row."""
        dimensions = {name: source for name, source in self.dimensions.items() if source} if kind == "order" else {}
        return dimensions | self.custom_fields.get(kind, {})  # type: ignore[arg-type]
