"""Made-up systems and good configuration files for them, which tests then spoil."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from ml_connector.domain import Kind
from ml_connector.errors import ConfigError
from ml_connector.ports.secrets import Secret
from ml_connector.system import Connection, Host, SystemSpec
from ml_connector_adapters.config import Workspace, load

GOOD = """
[workspace]
name = "acme"
state = "sqlite:///acme.db"
public_url = "https://sync.acme.example/"

[connections.erp]
system = "ifs-cloud"
base_url = "https://acme.ifs.cloud"
client_secret = "secret:erp/client_secret"
read_timeout_s = 2.5

[connections.crm]
system = "zoho-crm"
refresh_token = "env:ZOHO_REFRESH_TOKEN"
channel_ttl = "6d"

[flows.orders]
from = "erp"
to = "crm"
entity = "order"
as = "deal"
after = ["customers"]
every = "15m"
where = "total.amount > `0` && status != 'Planned'"

[flows.orders.set]
stage = "lookup('order_stage', status)"
"extra.Cost_Center" = "extra.cost_center"

[flows.customers]
from = "erp"
to = "crm"
entity = "account"
cron = "*/15 6-20 * * 1-5"

[tables.order_stage]
Released = "Negotiation/Review"
Invoiced = "Closed Won"
"""


PARTIES = """
[workspace]
name = "acme"

[connections.qad]
system = "qad"

[connections.zoho]
system = "zoho-crm"

[connections.ifs]
system = "ifs-cloud"

[flows.parties]
between = ["qad", "zoho"]
entity = "account"
match = ["number", "tax_id"]
where = "active"
owner = "qad"
owners = { phone = "zoho", "billing.city" = "newest", "extra.Region" = "ask" }

[flows.customers]
from = "ifs"
to = "zoho"
entity = "account"
"""
"""A two-way flow, and a one-way flow beside it."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    requests_per_minute: Annotated[int, msgspec.Meta(ge=1)] = 600
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=25)] = 4


class Place(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    select: Annotated[tuple[str, ...], msgspec.Meta(max_length=3)] = ()


class ErpSettings(msgspec.Struct, frozen=True, kw_only=True):
    base_url: str
    client_secret: Secret
    paging: Literal["skip", "keyset"] = "skip"
    page_size: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 500
    read_timeout_s: float = 120
    company: str | None = None
    limits: Limits = Limits()
    entities: dict[Kind, Place] = {}
    headers: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("https://", "http://127.0.0.1")):
            raise ValueError(f'base_url: "{self.base_url}" is not an address like https://acme.ifs.cloud')


class CrmSettings(msgspec.Struct, frozen=True, kw_only=True):
    refresh_token: Secret
    accounts_server: str = "https://accounts.zoho.eu"
    channel_ttl: timedelta = timedelta(days=6)
    limits: Limits = Limits()
    proxies: list[Secret] | None = None


def _connect(settings: Any, host: Host) -> Connection:
    raise AssertionError("reading a configuration connects to nothing")


ERP = SystemSpec(
    name="ifs-cloud", title="IFS Cloud", settings=ErpSettings, connect=_connect, reads=("account", "order"), writes=("order",)
)
CRM = SystemSpec(
    name="zoho-crm", title="Zoho CRM", settings=CrmSettings, connect=_connect, reads=("deal",), writes=("account", "deal")
)
SYSTEMS: Mapping[str, SystemSpec] = {"ifs-cloud": ERP, "zoho-crm": CRM}


class NoSettings(msgspec.Struct, frozen=True):
    """A system that needs to be told nothing."""


def _plain(name: str, reads: tuple[Kind, ...], writes: tuple[Kind, ...]) -> SystemSpec:
    return SystemSpec(name=name, title=name, settings=NoSettings, connect=_connect, reads=reads, writes=writes)


BOTH_WAYS: Mapping[str, SystemSpec] = {
    "qad": _plain("qad", ("account", "vendor"), ("account", "contact")),
    "zoho-crm": _plain("zoho-crm", ("account", "contact"), ("account", "contact", "vendor")),
    "ifs-cloud": _plain("ifs-cloud", ("account", "order"), ("order",)),
}
"""The systems of ``PARTIES``: an account goes both ways between two of them."""


def read(folder: Path, text: str = GOOD, systems: Mapping[str, SystemSpec] = SYSTEMS) -> Workspace:
    """The workspace of one file with that text."""
    (folder / "ml-connector.toml").write_text(text, encoding="utf-8")
    [workspace] = load(folder / "ml-connector.toml", systems)
    return workspace


def mistakes(folder: Path, text: str, systems: Mapping[str, SystemSpec] = SYSTEMS) -> list[str]:
    """What is told about one file with that text; empty when it is good."""
    try:
        read(folder, text, systems)
    except ConfigError as error:
        return list(error.mistakes)
    return []


def spoilt(*changes: tuple[str, str], text: str = GOOD) -> str:
    """A good file with pieces replaced; each piece must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text
