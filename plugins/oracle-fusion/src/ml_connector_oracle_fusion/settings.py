"""What a user writes about one Oracle Fusion environment (a pod). The README explains each key."""

import re
from datetime import timedelta
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from ml_connector.ports.secrets import Secret

Count: TypeAlias = Annotated[int, Meta(ge=1)]
Natural: TypeAlias = Annotated[int, Meta(ge=0)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0)]
Written: TypeAlias = Literal["account", "contact"]
Strategy: TypeAlias = Literal["changes", "sweep"]
Stamp: TypeAlias = Literal["iso_offset", "iso_z", "space"]

STAMPS: Final[tuple[Stamp, ...]] = ("iso_offset", "iso_z", "space")
TYPES: Final = {"Customer": "ZCA_CUSTOMER", "Prospect": "ZCA_PROSPECT"}
REGIONS: Final = {"CA": "Province", "GB": "County", "IE": "County"}
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_LABEL: Final = re.compile(r"[a-z0-9][a-z0-9-]*", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"[A-Za-z]\w*")


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class CallLimits(_Table, frozen=True, kw_only=True):
    """Oracle publishes no number; these are what a pod bears beside its users."""

    requests_per_minute: Count = 600
    concurrency: Annotated[int, Meta(ge=1, le=20)] = 4
    write_concurrency: Annotated[int, Meta(ge=1, le=20)] = 2
    attempts: Count = 5
    timeout_s: Seconds = 120


class Swept(_Table, frozen=True, kw_only=True):
    """How one kind is read."""

    strategy: Strategy = "changes"
    full_every_h: Natural = 24
    filter: str = ""  # Oracle's own q expression, laid over every reading of the kind


class Accounts(_Table, frozen=True, kw_only=True):
    """``balances`` reads receivables and credit instead of the party, so that a second connection can, on its own schedule."""

    strategy: Literal["changes", "sweep", "balances"] = "changes"
    full_every_h: Natural = 24
    filter: str = ""
    retire: Literal["inactivate", "refuse"] = "inactivate"
    deleted_code: str = ""  # ObjectCode of accounts in deletedRecords; none: deletions are not asked for


class Contacts(_Table, frozen=True, kw_only=True):
    """What a contact does to its account, and what becomes of one that has none."""

    strategy: Strategy = "changes"
    full_every_h: Natural = 24
    filter: str = ""
    retire: Literal["inactivate", "refuse"] = "inactivate"
    deleted_code: str = ""
    parent: Literal["link", "primary", "update"] = "link"
    alone: Literal["person", "account", "refuse"] = "person"


class Suppliers(Swept, frozen=True, kw_only=True):
    """Suppliers cannot be filtered by their time of change."""

    strategy: Strategy = "sweep"

    def __post_init__(self) -> None:
        if self.strategy != "sweep":
            raise ValueError("strategy: suppliers can only be swept, Oracle does not filter them by LastUpdateDate")


class Invoices(Swept, frozen=True, kw_only=True):
    """Customers' invoices, or suppliers'."""

    of: Literal["receivables", "payables"] = "receivables"
    lines: bool = True


class Orders(Swept, frozen=True, kw_only=True):
    """Purchase orders."""

    lines: bool = True


class Entities(_Table, frozen=True, kw_only=True):
    account: Accounts = Accounts()
    contact: Contacts = Contacts()
    vendor: Suppliers = Suppliers()
    purchase_order: Orders = Orders()
    invoice: Invoices = Invoices()


class Finance(_Table, frozen=True, kw_only=True):
    """What a new customer account is made of, and what is read of it."""

    set_id: str = ""  # reference data set of account sites
    profile_class: str = "DEFAULT"
    customer_type: str = "R"
    created_by_module: str = "HZ_WS"
    currency: str = ""  # of the ledger: totals come without one
    credit: bool = True  # read limit and hold; one SOAP call per customer account
    as_of: bool = False  # tell when balances were read, which makes every reading a change
    verify: Literal["activities", "bill_to", "none"] = "activities"
    customer_accounts_path: str = "/crmService/CustomerAccountService"
    profiles_path: str = "/fscmService/ReceivablesCustomerProfileService"


class Settings(_Table, frozen=True, kw_only=True):
    """One pod, seen through one integration user."""

    base_url: str = ""
    pod: str = ""
    region: str = ""
    any_host: bool = False
    crm_root: str = "/crmRestApi/resources"
    fscm_root: str = "/fscmRestApi/resources"
    path_version: str = "11.13.18.05"
    rest_framework_version: Annotated[int, Meta(ge=1, le=9)] = 4

    auth: Literal["client_credentials", "jwt_assertion", "basic"] = "client_credentials"
    token_url: str = ""
    client_id: str = ""
    client_secret: Secret | None = None
    scope: str = ""
    user: str = ""
    password: Secret | None = None
    private_key: Secret | None = None
    key_id: str = ""
    certificate_thumbprint: str = ""
    audience: str = "https://identity.oraclecloud.com/"
    identity_tenant: str = ""
    client_auth: Literal["basic", "assertion"] = "basic"
    integration_user: str = ""

    source_system: str = ""
    reference_field: str = ""
    read_references: bool = False
    number: Literal["auto", "source_reference", "field", "party_number"] = "auto"
    party_number_pattern: str = r"(?!\d{15,}$).+"
    upsert: bool = True
    provision: Literal["party_only", "finance_ready"] = "party_only"
    finance: Finance = Finance()
    types: dict[str, str] = {}
    default_type: str = "ZCA_CUSTOMER"
    countries: dict[str, str] = {}
    default_country: str = ""
    region_attribute: str = "State"
    region_attributes: dict[str, str] = {}
    custom_fields: dict[Written, dict[str, str]] = {}
    entities: Entities = Entities()

    page_size: Annotated[int, Meta(ge=2, le=499)] = 499
    batch_parts: Annotated[int, Meta(ge=1, le=100)] = 25
    keys_per_query: Annotated[int, Meta(ge=1, le=100)] = 100
    overlap_s: Natural = 300
    lag_s: Natural = 60
    timestamps: Literal["auto", "iso_offset", "iso_z", "space"] = "auto"
    limits: CallLimits = CallLimits()

    def __post_init__(self) -> None:
        force_setattr(self, "base_url", self._origin())
        self._check_auth()
        if self.number == "source_reference" and not self.source_system:
            raise ValueError('source_system: number = "source_reference" needs the code that Oracle knows the CRM by')
        if self.number == "field" and not self.reference_field:
            raise ValueError('reference_field: number = "field" needs the attribute that holds the number')
        named = [*(name for fields in self.custom_fields.values() for name in fields.values()), self.region_attribute]
        for attribute in (*named, *self.region_attributes.values(), *filter(None, [self.reference_field])):
            if not _ATTRIBUTE.fullmatch(attribute):
                raise ValueError(f'"{attribute}" cannot be an attribute; Oracle writes OrganizationDEO_Region_c')
        try:
            re.compile(self.party_number_pattern)
        except re.error as error:
            raise ValueError(f"party_number_pattern: {error}") from error
        if self.provision == "finance_ready" and not self.finance.set_id.isdigit():
            raise ValueError("finance.set_id: finance_ready needs the id of the reference data set of account sites")
        force_setattr(self, "types", TYPES | self.types)
        force_setattr(self, "region_attributes", REGIONS | self.region_attributes)

    def _origin(self) -> str:
        """The pod's origin, from ``base_url`` or built from pod and region."""
        if not self.base_url:
            if not (_LABEL.fullmatch(self.pod) and _LABEL.fullmatch(self.region)):
                raise ValueError('base_url: say it, or pod and region: pod = "acme", region = "us2" (or "ocs")')
            return f"https://{self.pod}.fa.{self.region}.oraclecloud.com".lower()
        parts = urlsplit(self.base_url)
        host = (parts.hostname or "").lower()
        if not host or parts.username or parts.password or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError(f'base_url: "{self.base_url}" is not a plain origin like https://acme.fa.us2.oraclecloud.com')
        local = host in _LOOPBACK
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise ValueError(f'base_url: "{self.base_url}" must begin with https:// (credentials travel there)')
        if host.startswith(("login-", "login.", "idcs-")):
            raise ValueError(f'base_url: "{host}" signs people in; the API is at the pod, such as acme.fa.us2.oraclecloud.com')
        if not (local or self.any_host or host.endswith(".oraclecloud.com")):
            raise ValueError(f'base_url: "{host}" is no host of oraclecloud.com; if it is yours, say any_host = true')
        return f"{parts.scheme}://{parts.netloc.lower()}"

    def _check_auth(self) -> None:
        if self.auth == "basic":
            if not (self.user and self.password):
                raise ValueError('auth = "basic" needs user and password')
            return
        if not (self.token_url and self.client_id and self.scope):
            raise ValueError(f'auth = "{self.auth}" needs token_url, client_id and scope')
        parts = urlsplit(self.token_url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError(f'token_url: "{self.token_url}" must begin with https://')
        signs = self.auth == "jwt_assertion" or self.client_auth == "assertion"
        if signs and not (self.private_key and self.key_id):
            raise ValueError("private_key: a signed assertion needs private_key and key_id")
        if self.auth == "jwt_assertion" and not self.user:
            raise ValueError('user: auth = "jwt_assertion" needs the Fusion user that the connector acts as')
        if self.client_secret is None and self.client_auth == "basic":
            raise ValueError('client_secret is missing: client_auth = "basic" shows it to the identity domain')

    @property
    def party_number(self) -> re.Pattern[str]:
        """What a number looks like that may be one of Oracle's own."""
        return re.compile(self.party_number_pattern)

    @property
    def crm(self) -> str:
        return f"{self.crm_root.rstrip('/')}/{self.path_version}"

    @property
    def fscm(self) -> str:
        return f"{self.fscm_root.rstrip('/')}/{self.path_version}"

    @property
    def numbering(self) -> Literal["source_reference", "field", "party_number"]:
        """Where the number lives by which both systems know a party."""
        if self.number != "auto":
            return self.number
        return "source_reference" if self.source_system else "field" if self.reference_field else "party_number"

    def full_every(self, hours: int) -> timedelta | None:
        return timedelta(hours=hours) if hours else None
