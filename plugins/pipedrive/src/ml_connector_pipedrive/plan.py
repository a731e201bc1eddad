"""What one kind looks like in this company: which field each canonical one lives in, and how. Pure: schema and settings in."""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, get_args

import msgspec

from ml_connector.domain import ENTITIES, Kind, Money
from ml_connector_pipedrive import convert
from ml_connector_pipedrive.convert import Codec
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.wire import Field, Pipeline, Stage, Vendor

SEARCHABLE: Final = frozenset({"address", "varchar", "text", "varchar_auto", "double", "monetary", "phone"})
"""Types of fields that the search by field knows."""


class Column(msgspec.Struct, frozen=True):
    """A canonical field ("phone", "extra.Region") and the vendor's field it lives in."""

    field: str
    code: str
    codec: Codec
    custom: bool = False

    def held(self, row: Vendor) -> Any:
        """What a row holds here, in the vendor's terms; None where it is empty or left out."""
        return (row.get("custom_fields") or {}).get(self.code) if self.custom else row.get(self.code)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One kind's names at Pipedrive, and the columns that every company has. ``woven``: what mapping makes itself."""

    singular: str
    plural: str
    title: str
    columns: tuple[Column, ...]
    optional: tuple[Column, ...] = ()  # there only where the company has the feature
    woven: frozenset[str]


SHAPES: Final[Mapping[Kind, Shape]] = MappingProxyType(
    {
        "account": Shape(
            singular="organization",
            plural="organizations",
            title="name",
            columns=(),
            optional=(Column("website", "website", convert.TEXT), Column("employees", "employee_count", convert.WHOLE)),
            woven=frozenset(),
        ),
        "contact": Shape(
            singular="person",
            plural="persons",
            title="name",
            columns=(Column("account", "org_id", convert.ref("account")),),
            optional=(Column("title", "job_title", convert.TEXT), Column("description", "notes", convert.text(10_000))),
            woven=frozenset({"first_name", "last_name", "email", "phone", "mobile"}),
        ),
        "deal": Shape(
            singular="deal",
            plural="deals",
            title="title",
            columns=(
                Column("account", "org_id", convert.ref("account")),
                Column("contact", "person_id", convert.ref("contact")),
                Column("probability", "probability", convert.NUMBER),
                Column("closing_on", "expected_close_date", convert.DAY),
            ),
            woven=frozenset({"amount", "stage", "pipeline", "status"}),
        ),
        "product": Shape(
            singular="product",
            plural="products",
            title="name",
            columns=(
                Column("description", "description", convert.NOTE),
                Column("unit", "unit", convert.TEXT),
                Column("active", "is_linkable", convert.BOOLEAN),
            ),
            woven=frozenset({"list_price"}),
        ),
    }
)
KINDS: Final[tuple[Kind, ...]] = tuple(SHAPES)


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """What the company told of itself. ``home`` is its currency."""

    fields: Mapping[str, Field]  # of one entity, by field code
    home: str = ""
    pipelines: tuple[Pipeline, ...] = ()
    stages: tuple[Stage, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One kind in this company."""

    kind: Kind
    shape: Shape
    schema: Schema
    settings: Settings
    columns: Mapping[str, Column]  # canonical field → column, custom fields as extra.NAME, the key as number
    missing: Mapping[str, str]  # canonical field → name of the custom field that it should live in and that is not there
    wrong: Mapping[str, str]  # the same, with why the field that is there will not do

    @property
    def knows(self) -> frozenset[str]:
        """Canonical fields that can be read and written; with lines, an amount that is written gives its currency alone."""
        woven = {*self.shape.woven, *(["lines"] if self.lined else ()), *([self.address] if self.address else ())}
        return frozenset({*self.columns, *woven})

    @property
    def key(self) -> Column | None:
        """Where the ERP's number lives; None while the field is not there."""
        return self.columns.get("number")

    @property
    def lined(self) -> bool:
        return self.kind == "deal" and self.settings.lines

    @property
    def address(self) -> str:
        """The canonical address that Pipedrive's one address holds, "" where the kind has none."""
        if self.kind == "account":
            return self.settings.address
        return "address" if self.kind == "contact" and "postal_address" in self.schema.fields else ""

    @property
    def address_code(self) -> str:
        return "address" if self.kind == "account" else "postal_address"

    def canonical(self, place: str) -> str:
        """Our word for a field as the vendor's complaints name it ("custom_fields.<hash>", "title"), the vendor's if none."""
        code = place.removeprefix("custom_fields.").partition(".")[0]
        known = {column.code: name for name, column in self.columns.items()} | _WOVEN
        return known.get(code, code)


_WOVEN: Final = {
    "value": "amount",
    "currency": "amount",
    "stage_id": "stage",
    "pipeline_id": "pipeline",
    "prices": "list_price",
}


def plan_for(kind: Kind, schema: Schema, settings: Settings) -> Plan:
    """What the shape always has, what the settings place in custom fields, and all other custom fields as extras."""
    shape = SHAPES[kind]
    columns = {column.field: column for column in shape.columns}
    columns |= {column.field: column for column in shape.optional if column.code in schema.fields}
    columns["name"] = Column("name", shape.title, convert.TEXT)
    if kind == "account":
        columns |= _account_options(schema)
    named = _by_name(field for field in schema.fields.values() if field.is_custom_field)
    placed = {"number": settings.key(kind), **settings.places(kind)}
    missing: dict[str, str] = {}
    wrong: dict[str, str] = {}
    if kind == "product" and placed["number"] == "code":
        columns["number"] = Column("number", "code", convert.TEXT)
        del placed["number"]
    for field, name in placed.items():
        found = named.get(name, [])
        if not found:
            missing[field] = name
        elif complaint := _complaint(kind, field, name, found, settings):
            wrong[field] = complaint
        else:
            columns[field] = Column(field, found[0].field_code, _codec(kind, field, found[0], schema.home), True)
    taken = {column.code for column in columns.values()}
    for name, found in named.items():
        wanted = settings.custom_fields is None or name in settings.custom_fields
        if not wanted or "." in name or name in placed.values() or found[0].field_code in taken:
            continue
        if complaint := _complaint(kind, f"extra.{name}", name, found, settings):
            wrong[f"extra.{name}"] = complaint
        elif (codec := _scalar(found[0], schema.home)) is not None:
            columns[f"extra.{name}"] = Column(f"extra.{name}", found[0].field_code, codec, True)
    return Plan(kind=kind, shape=shape, schema=schema, settings=settings, columns=columns, missing=missing, wrong=wrong)


def wanted_type(kind: Kind, field: str, name: str, settings: Settings) -> str:
    """The type that a custom field is created with: what the settings say, else what suits the canonical field."""
    if told := settings.types.get(f"{kind}.{name}"):
        return told
    suits = {Money: "monetary", dt.date: "date", Decimal: "double", int: "double"}
    return "phone" if field == "phone" else next((suits[hint] for hint in _types(kind, field) if hint in suits), "varchar")


def _types(kind: Kind, field: str) -> tuple[Any, ...]:
    if field == "number" or field.startswith("extra."):
        return (str,)
    hint = next(each.type for each in msgspec.structs.fields(ENTITIES[kind]) if each.name == field)
    return get_args(hint) or (hint,)


def _complaint(kind: Kind, field: str, name: str, found: list[Field], settings: Settings) -> str:
    """Why a custom field will not do, "" when it will."""
    if len(found) > 1:
        return f'{len(found)} custom fields are called "{name}"'
    wanted, there = settings.types.get(f"{kind}.{name}"), found[0].field_type
    if wanted is not None and there != wanted:
        return f'"{name}" is of type {there}, and types says {wanted}'
    if field == "number":
        return (
            ""
            if there in ("varchar", "text")
            else f'"{name}" is of type {there}: the number needs varchar, which can be searched'
        )
    if not field.startswith("extra.") and Money in _types(kind, field) and there != "monetary":
        return f'"{name}" is of type {there}, and an amount with its currency needs monetary'
    return ""


def _codec(kind: Kind, field: str, there: Field, home: str) -> Codec:
    """How a canonical field lives in a custom one."""
    hint = _types(kind, field)
    if Money in hint:
        return convert.amount(home)
    inner = _scalar(there, home) or convert.TEXT
    return convert.yes_or_no(inner) if bool in hint else inner


def _scalar(field: Field, home: str) -> Codec | None:
    """How a custom field is one plain value; None for types that are not."""
    options = {option.label: option.id for option in field.options or ()}
    match field.field_type:
        case "varchar" | "varchar_auto" | "phone":
            return convert.TEXT
        case "text":
            return convert.NOTE
        case "double":
            return convert.NUMBER
        case "monetary":
            return convert.scalar_amount(home)
        case "date":
            return convert.DAY
        case "time":
            return convert.TIME
        case "address":
            return convert.PLACE
        case "enum":
            return convert.choice(options)
        case "set":
            return convert.choices(options)
    return None


def _account_options(schema: Schema) -> dict[str, Column]:
    found: dict[str, Column] = {}
    if "annual_revenue" in schema.fields:
        found["annual_revenue"] = Column("annual_revenue", "annual_revenue", convert.home_amount(schema.home))
    if (industry := schema.fields.get("industry")) is not None:
        options = {option.label: option.id for option in industry.options or ()}
        found["industry"] = Column("industry", "industry", convert.choice(options))
    return found


def _by_name(fields: Iterable[Field]) -> dict[str, list[Field]]:
    named: dict[str, list[Field]] = {}
    for field in fields:
        named.setdefault(field.field_name, []).append(field)
    return named
