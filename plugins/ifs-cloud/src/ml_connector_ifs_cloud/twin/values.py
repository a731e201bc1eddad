"""Values on their way in: from a request's JSON, from a URL's literals, or from a test that puts rows in place."""

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal

from ml_connector_ifs_cloud.twin.answers import business, undeserialisable
from ml_connector_ifs_cloud.twin.schema import EntityType, Property, Value, column

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,12})?)?(Z|[+-]\d\d:\d\d)")


def from_json(prop: Property, raw: object, enums: Mapping[str, tuple[str, ...]], *, decimals_as_text: bool = False) -> Value:
    """Take one JSON value for a property, or refuse the body as IFS's deserialiser does."""
    if raw is None:
        return None
    taken: Value = None
    if prop.is_enum:
        taken = raw if isinstance(raw, str) and raw in enums[prop.type] else None
    elif prop.type == "Edm.String":
        taken = raw if isinstance(raw, str) else None
    elif prop.type == "Edm.Boolean":
        taken = raw if isinstance(raw, bool) else None
    elif prop.type == "Edm.Decimal":
        taken = _number(raw, decimals_as_text)
    elif isinstance(raw, str):
        taken = _day(raw) if prop.type == "Edm.Date" else timestamp(raw)
    if taken is None:
        raise undeserialisable(f"Invalid value for property '{prop.name}' of type '{prop.type}'.")
    return taken


def from_person(prop: Property, raw: object, enums: Mapping[str, tuple[str, ...]]) -> Value:
    """Take one Python value for a property; dates, datetimes and ints are put into the form that the tables hold."""
    if isinstance(raw, dt.datetime):
        raw = raw.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    elif isinstance(raw, dt.date):
        raw = raw.isoformat()
    return from_json(prop, raw, enums)


def timestamp(text: str) -> str | None:
    """The same moment as ``…Z`` with whole seconds, which is how the tables hold it; None if it is no timestamp."""
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None


def check_lengths(entity: EntityType, values: Mapping[str, Value]) -> None:
    """What is too long is refused by the database itself."""
    for name, value in values.items():
        limit = entity.properties[name].max_length
        if limit and isinstance(value, str) and len(value) > limit:
            table = f'"IFSAPP"."{column(entity.name)}_TAB"."{column(name)}"'
            text = f"ORA-12899: value too large for column {table} (actual: {len(value)}, maximum: {limit})"
            raise business(text, "12899")


def _day(text: str) -> str | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _number(raw: object, decimals_as_text: bool) -> Decimal | None:
    if isinstance(raw, Decimal):
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool):
        return Decimal(raw)
    if decimals_as_text and isinstance(raw, str) and re.fullmatch(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", raw):
        return Decimal(raw)
    return None
