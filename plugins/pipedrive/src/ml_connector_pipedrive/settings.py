"""What a user writes about one Pipedrive company. Every setting is explained in the README."""

import re
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ml_connector.domain import ENTITIES, Kind
from ml_connector.ports.secrets import Secret

Plan: TypeAlias = Literal["lite", "growth", "premium", "ultimate"]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Natural: TypeAlias = Annotated[int, Meta(ge=0)]
FieldType: TypeAlias = Literal["varchar", "text", "phone", "double", "monetary", "enum", "set", "date", "time", "address"]

BURST: Final[dict[Plan, tuple[int, int]]] = {
    "lite": (20, 80),
    "growth": (40, 160),
    "premium": (100, 400),
    "ultimate": (120, 480),
}
"""Calls in any two seconds per plan: with an API token, with an OAuth token."""
DAILY: Final[dict[Plan, int]] = {"lite": 30_000, "growth": 60_000, "premium": 150_000, "ultimate": 210_000}
"""Tokens per seat and day."""
SEARCHES: Final = 10
"""Searches in any two seconds, on every plan."""
SHARE: Final = 0.8
"""How much of the vendor's burst is used; the rest is for its clock and ours."""

KEYS: Final[dict[Kind, str]] = {
    "account": "ERP Customer No",
    "contact": "ERP Contact No",
    "deal": "ERP Order No",
    "product": "code",
}
FIELDS: Final = {
    "account.phone": "Phone",
    "account.credit_limit": "Credit limit",
    "account.tax_id": "Tax ID",
    "deal.customer_reference": "Customer reference",
}
RETIRE: Final[dict[Kind, dict[str, Any]]] = {"product": {"active": False}}
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def span(text: str) -> timedelta:
    """Read "1h", "30m", "90s". Raises ValueError."""
    match = re.fullmatch(r"(\d+)([smhd])", text.strip())
    if not match:
        raise ValueError(f'"{text}" is no span of time: write a whole number and s, m, h or d, such as "1h"')
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def loopback(url: str) -> str | None:
    """Host and port of a URL on this machine, else None."""
    parts = urlsplit(url)
    return parts.netloc if parts.hostname in ("127.0.0.1", "localhost", "::1") else None


class CallLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the company's allowance this connection takes. None: what plan and seats give."""

    burst: Annotated[int, Meta(ge=4)] | None = None  # calls in any two seconds
    concurrency: Annotated[int, Meta(ge=1, le=20)] = 4
    tokens_per_day: Positive | None = None
    reserve_percent: Annotated[int, Meta(ge=0, le=90)] = 20
    reset_hour_utc: Annotated[int, Meta(ge=0, le=23)] = 0


class Webhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How deliveries prove themselves. Pipedrive itself knows HTTP Basic alone; a gateway in front may sign."""

    proof: tuple[Literal["basic", "hmac_sha256"], ...] = ("basic",)
    hmac_secret: Secret | None = None
    hmac_header: str = "x-signature"
    hmac_encoding: Literal["hex", "base64"] = "hex"
    hmac_prefix: str = ""  # before the signature in the header: "sha256="

    def __post_init__(self) -> None:
        if not self.proof:
            raise ValueError("proof: at least one is needed, or anybody could send")
        if ("hmac_sha256" in self.proof) != (self.hmac_secret is not None):
            raise ValueError('proof: "hmac_sha256" and hmac_secret go together')


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Pipedrive company."""

    auth: Literal["api_token", "oauth2"] = "api_token"
    base_url: str = "https://api.pipedrive.com"
    api_token: Secret | None = None
    client_id: str = ""
    client_secret: Secret | None = None
    refresh_token: Secret | None = None
    oauth_url: str = "https://oauth.pipedrive.com"
    allowed_hosts: tuple[str, ...] = ("*.pipedrive.com",)
    plan: Plan = "lite"
    seats: Positive = 1
    limits: CallLimits = CallLimits()
    keys: dict[Kind, str] = {}
    fields: dict[str, str] = {}
    types: dict[str, FieldType] = {}
    options: dict[str, tuple[str, ...]] = {}
    custom_fields: tuple[str, ...] | None = None
    new_options: Literal["reject", "create"] = "reject"
    address: Literal["billing", "shipping"] = "billing"
    currency: str = ""
    pipeline: str = ""
    lost_reason: str = ""
    lines: bool = False
    fallback_product: str = ""
    retire: dict[Kind, dict[str, Any]] = {}
    page_size: Annotated[int, Meta(ge=1, le=500)] = 500
    overlap_s: Annotated[int, Meta(ge=2)] = 60
    slow_every: str = "1h"
    index_lag_s: Annotated[int, Meta(ge=2)] = 60
    search_up_to: Natural = 10
    webhook: Webhook = Webhook()

    def __post_init__(self) -> None:
        if self.auth == "api_token" and self.api_token is None:
            raise ValueError('api_token is missing: auth "api_token" lives on it')
        if self.auth == "oauth2" and not (self.client_id and self.client_secret and self.refresh_token):
            raise ValueError('auth "oauth2" needs client_id, client_secret and refresh_token')
        span(self.slow_every)
        for url in (self.base_url, self.oauth_url):
            if not url.startswith("https://") and loopback(url) is None:
                raise ValueError(f"{url}: must begin with https://")
        for path in self.fields:
            kind, _, field = path.partition(".")
            if (
                kind not in KEYS
                or field not in ENTITIES[kind].__struct_fields__
                or field in ("number", "name", "extra", "lines")
            ):
                raise ValueError(
                    f'fields: "{path}" is no canonical field that can live in a custom field, such as "account.phone"'
                )
        for table in ("types", "options"):
            for path in getattr(self, table):
                if path.partition(".")[0] not in KEYS:
                    raise ValueError(f'{table}: "{path}" does not begin with a kind: "deal.Order status"')
        if self.fallback_product and not self.lines:
            raise ValueError("fallback_product: it stands in lines of deals, and lines is false")

    def key(self, kind: Kind) -> str:
        """Name of the custom field that holds the ERP's number of such a record; "code" is the product's own."""
        return self.keys.get(kind, KEYS[kind])

    def places(self, kind: Kind) -> dict[str, str]:
        """Canonical field → name of the custom field that it lives in."""
        every = {**FIELDS, **self.fields}
        return {path.partition(".")[2]: name for path, name in every.items() if path.partition(".")[0] == kind}

    def retirement(self, kind: Kind) -> dict[str, Any]:
        """What is set on a record to take it out of use; empty where nothing is configured."""
        return self.retire.get(kind, RETIRE.get(kind, {}))

    @property
    def burst(self) -> int:
        """Most calls in two seconds."""
        vendor = BURST[self.plan][self.auth == "oauth2"]
        return min(self.limits.burst or vendor, int(vendor * SHARE))

    @property
    def tokens_per_day(self) -> int:
        return self.limits.tokens_per_day or DAILY[self.plan] * self.seats
