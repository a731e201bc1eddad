"""The declared profile: whatever differs from one QAD installation to the next is data here, with its usual value.

QAD publishes no open reference; its Swagger pages live in each instance. What is taken from public integrator code is marked
[C], what is an assumption [A]: ``ping`` confirms it, and a setting replaces it.
"""

from typing import Annotated, Literal, TypeAlias

import msgspec

from ml_connector.ports.secrets import Secret

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0)]
Mode: TypeAlias = Literal["oauth_password", "basic", "bearer_static"]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration: misspelt keys are mistakes."""


class Auth(Table, frozen=True, kw_only=True):
    """How a session begins and how long it may last. ``*_path`` and ``*_minutes`` are dotted paths into answers."""

    mode: Mode = "oauth_password"
    client_id: str = ""  # the instance's Client IDs page shows it [C]
    username: str = ""
    password: Secret | None = None
    token: Secret | None = None  # for bearer_static
    token_path: str = "/oauth/token"  # [C]
    param_placement: Literal["form", "query"] = "form"  # both are in use [C]; queries end in logs
    params: dict[str, str] = {}  # sent with every token request besides
    refresh: bool = True  # renew by refresh_token where an answer holds one
    access_token_path: str = "access_token"
    refresh_token_path: str = "refresh_token"
    expires_in_path: str = "expires_in"  # presence [A]
    default_lifetime_s: Seconds = 1500
    session_path: str = "/api/qracore/securityControl"  # [C]; "" asks nothing
    session_minutes: str = "data.securityControls.0.sessionLength"
    idle_minutes: str = "data.securityControls.0.timeoutMinutes"
    session_leeway_s: Seconds = 300
    idle_leeway_s: Seconds = 10
    lockout_s: Seconds = 900  # a refused password is not tried again for so long: repeated failures lock accounts

    def __post_init__(self) -> None:
        needed = {
            "oauth_password": ("client_id", "username", "password"),
            "basic": ("username", "password"),
            "bearer_static": ("token",),
        }[self.mode]
        for name in needed:
            if not getattr(self, name):
                raise ValueError(f'{name}: missing, auth.mode = "{self.mode}" needs it')


class Scope(Table, frozen=True, kw_only=True):
    """Which company's data: a domain, an entity in it, and the shared sets of its master data."""

    domain: str
    entity: str
    shared_set_supplier: str = ""
    shared_set_customer: str = ""
    workspace_header: str = "x-qad-workspace-id"  # [C]
    workspace_template: str = "{domain}_{entity}"  # [C]

    @property
    def workspace(self) -> str:
        return self.fill(self.workspace_template)

    def fill(self, template: str) -> str:
        """The template with ``{domain}``, ``{entity}``, ``{shared_set_supplier}``, ``{shared_set_customer}`` replaced."""
        for name in ("domain", "entity", "shared_set_supplier", "shared_set_customer"):
            template = template.replace(f"{{{name}}}", getattr(self, name))
        return template


class BrowseParams(Table, frozen=True, kw_only=True):
    """What the parameters of a browse call are called."""

    id: str = "browseId"
    page: str = "page"
    page_size: str = "pageSize"
    page_action: str = "pageAction"
    call_id: str = "callId"
    filter: str = "filter"


class BrowseOps(Table, frozen=True, kw_only=True):
    """The words for comparisons in filters."""

    eq: str = "eq"
    starts: str = "sw"
    ge: str = "ge"


class Browse(Table, frozen=True, kw_only=True):
    """How lists are read."""

    path: str = "/api/qracore/browses"  # [C]
    params: BrowseParams = BrowseParams()
    first_page: int = 1
    action_first: str = "first"  # without it: 200 and no rows [C]
    action_next: str = "next"  # [A]
    page_size: Annotated[int, msgspec.Meta(ge=1, le=5000)] = 500
    rows_path: str = "data"
    more_path: str = "auxillaryData.HasMoreParams"  # spelled so [C]; "" where there is no flag
    more_true: tuple[str | bool, ...] = ("true", True)
    total_path: str = "/api/qracore/browses/totalCount/"  # [C]
    total_value_paths: tuple[str, ...] = ("data.totalCount", "data", "totalCount")  # [A], tried in this order
    row_date_format: str | None = None  # [A] None: as on keyed reads
    filter_template: str = "{field},{op},{value},literal"  # [C]
    ops: BrowseOps = BrowseOps()
    filter_date_format: str = "%Y-%m-%d"  # [A]
    key_separator: str = "."  # between prefix and field in a row's keys [C]
    zero_rows_guard: Literal["probe_total", "off"] = "probe_total"


class Keyed(Table, frozen=True, kw_only=True):
    """How single records are read."""

    path: str = "/api/erp/{path}"  # [C]
    view_uri_param: str = "viewUri"
    rows_paths: tuple[str, ...] = ("data.{collection}", "{collection}")  # [C], tried in this order
    wire_datetime: str = "%Y-%m-%dT%H:%M:%S.000Z"  # a plain date at a midnight that is called Z [C]
    known_good: bool = False  # a 404 always means "no such record", never a wrong path


class WriteRules(Table, frozen=True, kw_only=True):
    """How records are written, and which words say what went wrong."""

    envelope: dict[str, list[str]] = msgspec.field(default_factory=lambda: {"supplementaryMessages": []})
    success_path: str = "submitResult.success"  # [C]
    errors_path: str = "submitResult.errors"
    warn_path: str = "supplementaryMessages"
    hash_field: str = "concurrencyHash"  # [C]
    op_field: str = "dataOperation"
    op_create: str = "C"
    op_update: str = "U"
    stale_text: tuple[str, ...] = ("modified", "concurrency", "changed by another")  # [A]
    duplicate_text: tuple[str, ...] = ("already exists",)  # [A], in the language of the user
    not_found_text: tuple[str, ...] = ("does not exist", "not found")  # [A]


class Limits(Table, frozen=True, kw_only=True):
    """QAD publishes no number: these are what integrators keep to [A]."""

    requests_per_minute: Count = 120
    spacing_ms: Annotated[int, msgspec.Meta(ge=0)] = 200
    concurrency: Count = 2
    attempts: Count = 5
    connect_timeout_s: Seconds = 10
    read_timeout_s: Seconds = 60


class Codes(Table, frozen=True, kw_only=True):
    """How codes are compared: servers may be blind to case and trailing blanks."""

    fold: bool = True
    strip: bool = True
    spelling: Literal["keep", "upper", "lower"] = "keep"  # of ids, where records name one another in another case

    def same(self, one: str, other: str) -> bool:
        return self.plain(one) == self.plain(other)

    def plain(self, code: str) -> str:
        code = code.strip() if self.strip else code
        return code.casefold() if self.fold else code

    def id(self, code: str) -> str:
        """The code as an id: equal for every mention of one record."""
        code = code.strip() if self.strip else code
        return {"keep": code, "upper": code.upper(), "lower": code.lower()}[self.spelling]
