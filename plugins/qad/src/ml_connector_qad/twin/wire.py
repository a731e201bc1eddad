"""Values between the tables and the wire, and what a posted value must look like."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from ml_connector_qad.twin.answers import failed
from ml_connector_qad.twin.schema import Field
from ml_connector_qad.twin.store import REFERENCES, Store, empty, fold

_MIDNIGHT = re.compile(r"(\d{4}-\d{2}-\d{2})T00:00:00\.000Z")


def told(value: Any, layout: str) -> Any:
    """A stored value on the wire."""
    return value.strftime(layout) if isinstance(value, date) else value


def stored(name: str, field: Field, value: Any) -> Any:
    """A posted value as the table holds it. Raises Refused for another type, and for too long a text."""
    if value is None or value == "":
        return empty(field.type)
    match field.type:
        case "number":
            if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
                raise failed("Invalid decimal value", name, value)
            return Decimal(value)
        case "flag":
            if not isinstance(value, bool):
                raise failed("Invalid logical value", name, value)
            return value
        case "date":
            found = _MIDNIGHT.fullmatch(value) if isinstance(value, str) else None
            if found is None:
                raise failed("Invalid date", name, value)
            return datetime.fromisoformat(found[1]).date()
    if not isinstance(value, str):
        raise failed("Invalid character value", name, value)
    if len(value) > field.length:
        raise failed(f"Value is longer than {field.length} characters", name, value)
    return value


def referred(store: Store, name: str, field: Field, value: Any, row: Mapping[str, Any]) -> None:
    """Raises Refused where a code is missing or stands in no reference table; QAD says the same of both."""
    if field.mandatory and value in (None, ""):
        raise failed("Field is mandatory", name, "", "QAD-1")
    if not field.refers or value in (None, ""):
        return
    if field.refers in REFERENCES:
        known = any(fold(value) == fold(one) for one in REFERENCES[field.refers])
    else:
        keys = store.components[field.refers].keys
        known = any(
            other.values.get(keys[-1]) is not None and fold(other.values[keys[-1]]) == fold(value)
            for other in store.rows(field.refers)
            if all(key not in row or fold(other.values.get(key)) == fold(row[key]) for key in keys[:-1])
        )
    if not known:
        raise failed("Field is mandatory", name, value, "QAD-1")
