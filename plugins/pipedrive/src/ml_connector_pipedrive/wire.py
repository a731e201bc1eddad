"""What Pipedrive tells, decoded: fractions are Decimal, what nobody asks about is left out."""

from decimal import Decimal
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

T = TypeVar("T")
Vendor: TypeAlias = dict[str, Any]
"""A record as v2 tells it."""


class Field(msgspec.Struct, frozen=True):
    """One field of an entity. ``field_code`` is a 40-digit hash for custom ones, another in every company."""

    field_name: str
    field_code: str
    field_type: str
    is_custom_field: bool = False
    options: list["Option"] | None = None


class Option(msgspec.Struct, frozen=True):
    id: int | str
    label: str


class Stage(msgspec.Struct, frozen=True):
    id: int
    name: str
    pipeline_id: int
    order_nr: int = 0
    is_deleted: bool = False


class Pipeline(msgspec.Struct, frozen=True):
    id: int
    name: str
    order_nr: int = 0
    is_deleted: bool = False


class Me(msgspec.Struct, frozen=True):
    """The token's user and his company."""

    id: int
    name: str = ""
    is_admin: Any = None
    company_name: str = ""
    company_domain: str = ""
    default_currency: str = ""


class Hook(msgspec.Struct, frozen=True):
    id: int
    subscription_url: str
    event_object: str = ""
    event_action: str = ""
    name: str = ""
    is_active: Any = 1
    remove_reason: Any = None


class Paging(msgspec.Struct, frozen=True):
    next_cursor: str | None = None


class Told(msgspec.Struct, Generic[T], frozen=True):
    """The envelope of every success."""

    data: T
    additional_data: Paging | None = None

    @property
    def cursor(self) -> str | None:
        """Of the next page; None behind the last."""
        return self.additional_data.next_cursor if self.additional_data else None


def _decoder(shape: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(shape, float_hook=Decimal)


class Decoders:
    """One per shape."""

    row: Final = _decoder(Told[Vendor])
    rows: Final = _decoder(Told[list[Vendor]])
    field: Final = _decoder(Told[Field])
    fields: Final = _decoder(Told[list[Field]])
    options: Final = _decoder(Told[list[Option]])
    pipelines: Final = _decoder(Told[list[Pipeline]])
    stages: Final = _decoder(Told[list[Stage]])
    me: Final = _decoder(Told[Me])
    hook: Final = _decoder(Told[Hook])
    hooks: Final = _decoder(Told[list[Hook] | None])  # v1 says null for an empty list


_encoder: Final = msgspec.json.Encoder(decimal_format="number")


def encode(value: Any) -> bytes:
    """JSON with Decimals as numbers."""
    return _encoder.encode(value)
