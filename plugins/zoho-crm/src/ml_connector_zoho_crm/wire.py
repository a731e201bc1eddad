"""Shapes of Zoho's JSON as far as this plugin looks. Ids stay text, decimals become Decimal, instants aware datetimes."""

import datetime as dt
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

Vendor: TypeAlias = dict[str, Any]
"""One record as Zoho names it: API name → JSON value, money and other fractions as Decimal."""


class Details(msgspec.Struct, gc=False):
    """What Zoho adds to a result: of a written record its id and time, of a refused one where and why."""

    id: str | int | None = None
    Modified_Time: dt.datetime | None = None
    api_name: str | None = None
    json_path: str | None = None
    maximum_length: Any = None
    expected_data_type: Any = None
    layout_rule: Any = None
    permissions: Any = None
    duplicate_record: "Details | None" = None
    errors: "list[Result] | None" = None


class Result(msgspec.Struct, gc=False):
    """One entry of ``data[]`` (or ``watch[]``, ``fields[]``), and also the whole body of a refused request."""

    code: str = ""
    status: str = ""
    message: str = ""
    action: str | None = None
    details: Details | None = None

    @property
    def ok(self) -> bool:
        return self.status == "success"

    @property
    def id(self) -> str | None:
        """The record it is about."""
        return text_id(self.details.id) if self.details else None


class Results(msgspec.Struct):
    """Answer to a write: one result per record sent, in order."""

    data: list[Result]


class Envelope(Result):
    """A refused request: a bare result, or wrapped in one of Zoho's lists."""

    data: list[Result] | None = None
    watch: list[Result] | None = None
    fields: list[Result] | None = None

    @property
    def items(self) -> list[Result]:
        return self.data or self.watch or self.fields or []


class Info(msgspec.Struct):
    more_records: bool = False
    next_page_token: str | None = None


class Rows(msgspec.Struct):
    """Records, and whether there are more behind them."""

    data: list[Vendor]
    info: Info = msgspec.field(default_factory=Info)


class Deleted(msgspec.Struct):
    id: str
    deleted_time: dt.datetime


class DeletedRows(msgspec.Struct):
    data: list[Deleted]
    info: Info = msgspec.field(default_factory=Info)


class Count(msgspec.Struct):
    count: int


class Licence(msgspec.Struct):
    paid_type: str | None = None
    users_license_purchased: int | None = None


class Org(msgspec.Struct):
    """The organisation; ``iso_code`` is its home currency."""

    id: str | int
    company_name: str = ""
    iso_code: str | None = None
    mc_status: bool = False
    type: str | None = None
    license_details: Licence | None = None


class Orgs(msgspec.Struct):
    org: list[Org]


class User(msgspec.Struct):
    id: str


class Users(msgspec.Struct):
    users: list[User]


class ModuleInfo(msgspec.Struct):
    """A module's place in this organisation: administrators rename ``api_name``, ``module_name`` stays."""

    api_name: str
    module_name: str = ""
    api_supported: bool = True
    creatable: bool = True
    editable: bool = True


class Modules(msgspec.Struct):
    modules: list[ModuleInfo]


class Pick(msgspec.Struct):
    actual_value: str | None = None
    display_value: str | None = None


class Operations(msgspec.Struct):
    api_create: bool = True
    api_update: bool = True


class Field(msgspec.Struct):
    """One field as the organisation has it now. ``length`` counts characters."""

    api_name: str
    data_type: str = "text"
    json_type: str | None = None
    field_label: str = ""
    length: int | None = None
    system_mandatory: bool = False
    read_only: bool = False
    field_read_only: bool = False
    custom_field: bool = False
    unique: Any = None
    external: Any = None
    pick_list_values: list[Pick] | None = None
    operation_type: Operations = msgspec.field(default_factory=Operations)

    @property
    def writable(self) -> bool:
        able = self.operation_type.api_create and self.operation_type.api_update
        return able and not (self.read_only or self.field_read_only)

    @property
    def identifies(self) -> bool:
        """Zoho takes it among ``duplicate_check_fields``."""
        return bool(self.unique) or bool(self.external)

    @property
    def choices(self) -> frozenset[str]:
        return frozenset(pick.actual_value for pick in self.pick_list_values or () if pick.actual_value is not None)


class Fields(msgspec.Struct):
    fields: list[Field]


class Named(msgspec.Struct):
    id: str
    name: str = ""


class Layouts(msgspec.Struct):
    layouts: list[Named]


class Stage(msgspec.Struct):
    actual_value: str | None = None
    display_value: str | None = None
    forecast_type: str | None = None


class Pipeline(msgspec.Struct):
    display_value: str = ""
    actual_value: str | None = None
    maps: list[Stage] = []


class Pipelines(msgspec.Struct):
    pipeline: list[Pipeline]


class BulkResult(msgspec.Struct):
    download_url: str
    count: int = 0
    more_records: bool = False
    next_page_token: str | None = None


class BulkDetails(msgspec.Struct):
    id: str


class BulkState(msgspec.Struct):
    state: str = ""  # ADDED, QUEUED, "IN PROGRESS" with a space, COMPLETED, FAILURE
    details: BulkDetails | None = None
    result: BulkResult | None = None


class BulkJobs(msgspec.Struct):
    data: list[BulkState]


class ChannelEvent(msgspec.Struct):
    channel_expiry: dt.datetime | None = None
    channel_id: str | int | None = None


class ChannelDetails(msgspec.Struct):
    events: list[ChannelEvent] = []


class ChannelResult(msgspec.Struct):
    code: str = ""
    status: str = ""
    message: str = ""
    details: ChannelDetails | None = None


class ChannelResults(msgspec.Struct):
    watch: list[ChannelResult]


class Channel(msgspec.Struct):
    """One row per channel and module."""

    channel_id: str | int
    notify_url: str = ""


class Channels(msgspec.Struct):
    watch: list[Channel]
    info: Info = msgspec.field(default_factory=Info)


class Delivery(msgspec.Struct):
    """What Zoho posts to ``notify_url``."""

    module: str
    channel_id: str | int
    token: str = ""
    operation: str = ""
    ids: list[str] = []
    server_time: int | str = 0
    query_params: dict[str, str] | None = None


_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def encode(payload: object) -> bytes:
    """JSON with Decimal as number, digit for digit."""
    return _encoder.encode(payload)


class Decoders:
    """Built once; building one costs more than most answers."""

    results: Final = msgspec.json.Decoder(Results)
    envelope: Final = msgspec.json.Decoder(Envelope)
    rows: Final = msgspec.json.Decoder(Rows, float_hook=Decimal)
    deleted: Final = msgspec.json.Decoder(DeletedRows)
    count: Final = msgspec.json.Decoder(Count)
    orgs: Final = msgspec.json.Decoder(Orgs)
    users: Final = msgspec.json.Decoder(Users)
    modules: Final = msgspec.json.Decoder(Modules)
    fields: Final = msgspec.json.Decoder(Fields)
    layouts: Final = msgspec.json.Decoder(Layouts)
    pipelines: Final = msgspec.json.Decoder(Pipelines)
    bulk: Final = msgspec.json.Decoder(BulkJobs)
    watched: Final = msgspec.json.Decoder(ChannelResults)
    channels: Final = msgspec.json.Decoder(Channels)
    delivery: Final = msgspec.json.Decoder(Delivery)


def text_id(value: str | int | None) -> str | None:
    return None if value is None else str(value)


@lru_cache(256)
def version_of(at: dt.datetime) -> str:
    """Modified_Time as this plugin compares it: UTC, whole seconds, whatever offset Zoho chose to show.

    Records that are written together have the same.
    """
    return at.astimezone(dt.UTC).isoformat(timespec="seconds")
