"""What a user writes about one Dataverse environment. Every setting is explained in the README."""

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from ml_connector.domain import Kind
from ml_connector.ports.secrets import Secret

Positive = Annotated[int, Meta(ge=1)]

KEYS: Final[dict[Kind, str]] = {
    "account": "accountnumber",
    "contact": "mlc_erpkey",
    "product": "productnumber",
    "price_list": "mlc_erpkey",
    "order": "ordernumber",
    "quote": "quotenumber",
    "deal": "mlc_erpkey",
}
ORDER_STATUS: Final = {
    "Planned": 1,
    "Released": 2,
    "InFulfilment": 2,
    "PartiallyDelivered": 2,
    "Delivered": 100001,
    "Invoiced": 100003,
    "Cancelled": 4,
    "Blocked": 2,
}
"""Partly delivered orders stay open: a fulfilled one cannot be edited any more."""
ORDER_WORDS: Final = {
    "1": "Planned",
    "2": "Released",
    "3": "Released",
    "4": "Cancelled",
    "100001": "Delivered",
    "100002": "PartiallyDelivered",
    "100003": "Invoiced",
}
QUOTE_STATUS: Final = {"Draft": 1, "Active": 2, "Open": 3, "Won": 4, "Lost": 5, "Canceled": 6}
QUOTE_WORDS: Final = {"1": "Draft", "2": "Active", "3": "Open", "4": "Won", "5": "Lost", "6": "Canceled", "7": "Revised"}
_COLUMN: Final = re.compile(r"[a-z]\w*")


def loopback(url: str) -> str | None:
    """Host and port of a URL on this machine, else None."""
    parts = urlsplit(url)
    return parts.netloc if parts.hostname in ("127.0.0.1", "localhost", "::1") else None


class CallLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the environment's service protection limits this connection takes."""

    concurrency: Annotated[int, Meta(ge=1, le=51)] = 8  # 52 at once are refused
    requests_per_minute: Annotated[int, Meta(ge=1, le=60_000)] = 1000  # each web server refuses more than 1200


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One Dataverse environment."""

    org_url: str  # "https://acme.crm4.dynamics.com"
    tenant_id: str
    client_id: str
    client_secret: Secret | None = None
    client_certificate: Secret | None = None  # PEM: the private key and its certificate
    authority: str = "https://login.microsoftonline.com"
    api_version: Annotated[str, Meta(pattern=r"^v9\.\d$")] = "v9.2"
    limits: CallLimits = CallLimits()
    prefix: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]{1,7}$")] = "mlc"
    solution: str = ""
    keys: dict[Kind, str] = {}
    fields: dict[str, str] = {}
    custom_fields: tuple[str, ...] | None = None
    extra_columns: tuple[str, ...] = ()
    choices: dict[str, dict[str, int]] = {}
    units: dict[str, str] = {}
    unit_group: str = "Default Unit"
    default_unit: str = ""
    price_list: str = ""
    unknown_choices: Literal["reject", "leave"] = "reject"
    unknown_items: Literal["write_in", "reject"] = "write_in"
    line_key: str = "mlc_erplineno"
    deals: Literal["opportunity", "lead"] = "opportunity"
    order_status: dict[str, int] = msgspec.field(default_factory=lambda: dict(ORDER_STATUS))
    order_words: dict[str, str] = msgspec.field(default_factory=lambda: dict(ORDER_WORDS))
    quote_status: dict[str, int] = msgspec.field(default_factory=lambda: dict(QUOTE_STATUS))
    quote_words: dict[str, str] = msgspec.field(default_factory=lambda: dict(QUOTE_WORDS))
    publish_products: bool = True
    date_zone: str = "UTC"
    changes: Literal["auto", "track", "poll"] = "auto"
    overlap_s: Annotated[int, Meta(ge=5)] = 60
    page_size: Annotated[int, Meta(ge=1, le=5000)] | None = None  # None: 500 rows of a list, 1000 changes
    batch: Annotated[int, Meta(ge=1, le=1000)] = 500  # rows: what Dataverse works off within two minutes, see figures.py
    bulk_from: Positive | None = None

    def __post_init__(self) -> None:
        if (self.client_secret is None) == (self.client_certificate is None):
            raise ValueError("client_secret: give it, or client_certificate in its place")
        for name, url in (("org_url", self.org_url), ("authority", self.authority)):
            if not url.startswith("https://") and loopback(url) is None:
                raise ValueError(f"{name}: must begin with https://")
            if urlsplit(url).path not in ("", "/"):
                raise ValueError(f"{name}: is a host without a path, such as https://acme.crm4.dynamics.com")
        names = [*self.keys.values(), *self.fields.values(), *(self.custom_fields or ()), *self.extra_columns, self.line_key]
        if odd := [name for name in names if not _COLUMN.fullmatch(name)]:
            raise ValueError(f"{', '.join(odd)}: not a column's logical name (lower case, as make.powerapps.com shows it)")
        try:
            ZoneInfo(self.date_zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f'date_zone: "{self.date_zone}" is no time zone; write it as "Europe/Oslo"') from None

    @property
    def org(self) -> str:
        """The environment's address without a slash at its end."""
        return self.org_url.rstrip("/")

    def key(self, kind: Kind) -> str:
        """Logical name of the column that holds the ERP's number of such a record."""
        return self.keys.get(kind, KEYS[kind].replace("mlc_", f"{self.prefix}_"))

    def place(self, kind: Kind, field: str) -> str | None:
        """Logical name of the column that the user gave to a canonical field, if any."""
        return self.fields.get(f"{kind}.{field}")
