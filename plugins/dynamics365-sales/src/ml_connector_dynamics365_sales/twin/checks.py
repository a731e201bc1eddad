"""A payload checked column by column before anything is stored: names, types, lengths, choices, lookups by id or by key."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote
from uuid import UUID

import msgspec

from ml_connector_dynamics365_sales.twin.schema import Column, Table
from ml_connector_dynamics365_sales.twin.store import Environment, Row
from ml_connector_dynamics365_sales.twin.wire import (
    INVALID,
    MALFORMED,
    NO_KEY_MATCH,
    NO_OPTION,
    NO_SEGMENT,
    NOT_FOUND,
    TOO_LONG,
    Refused,
)

FORBIDDEN: Final = frozenset("/<>*%&:\\?+")
_SEGMENT: Final = re.compile(r"(\w+)\((.*)\)", re.DOTALL)
_PAIR: Final = re.compile(r"\s*(\w+)=('(?:[^']|'')*'|[^,']+)\s*(?:,|$)")
_MOST: Final = Decimal(922337203685477)


class Payload(msgspec.Struct):
    """What a body says: values by logical name, targets of lookups, and children of a deep insert."""

    values: dict[str, Any]
    targets: dict[str, str]
    children: dict[str, list[dict[str, Any]]]


class Address(msgspec.Struct, frozen=True):
    """A record as a URL names it: by id, or by the columns of an alternate key."""

    table: Table
    id: str = ""
    key: tuple[tuple[str, Any], ...] = ()


def read_payload(env: Environment, table: Table, body: dict[str, Any], contents: Mapping[str, str] = {}) -> Payload:
    """Check a body. ``contents`` resolves ``$1`` within a change set. Raises Refused."""
    found = Payload({}, {}, {})
    for name, value in body.items():
        if name.startswith("@") or name.endswith("@odata.type"):
            continue
        if name.endswith("@odata.bind"):
            _bind(env, table, name.removesuffix("@odata.bind"), value, contents, found)
        elif name in table.children and isinstance(value, list):
            found.children[name] = value
        else:
            column = table.by_wire(name)
            if column is None or column.type == "lookup":
                raise Refused(
                    400,
                    MALFORMED,
                    f"Error identified in Payload provided by the user for Entity :'{table.entity_set}', InnerException : An "
                    f"undeclared property '{name}' was found on type 'Microsoft.Dynamics.CRM.{table.name}'.",
                )
            checked = _value(table, column, value)
            if not column.computed:
                found.values[column.name] = checked
    return found


def _bind(env: Environment, table: Table, nav: str, value: Any, contents: Mapping[str, str], found: Payload) -> None:
    navigation = table.navigation(nav)
    if navigation is None or navigation[0].computed:
        raise Refused(
            400,
            MALFORMED,
            f"An undeclared property '{nav}' which only has property annotations in the payload but no property value was "
            f"found in the payload for {table.name}.",
        )
    column, target = navigation
    if value is None:
        found.values[column.name] = None
        return
    if not isinstance(value, str):
        raise Refused(400, MALFORMED, f"The value of {nav}@odata.bind must be a text")
    if value.startswith("$"):
        if value[1:] not in contents:
            raise Refused(400, MALFORMED, f"Content-ID Reference: '{value}' does not exist in the batch context.")
        row_id = contents[value[1:]]
    else:
        address = read_address(env, value.strip("/").rpartition("/")[2] if value.startswith("http") else value.strip("/"))
        if address.table.name != target:
            raise Refused(400, MALFORMED, f"{nav} takes {target}, not {address.table.name}")
        row_id = located(env, address).id
    found.values[column.name], found.targets[column.name] = row_id, target


def _value(table: Table, column: Column, value: Any) -> Any:
    if value is None:
        return None
    kind = column.type
    if kind in ("text", "memo"):
        if not isinstance(value, str):
            raise _wrong_type(table, column, value)
        if column.length and len(value) > column.length:
            raise Refused(
                400,
                TOO_LONG,
                f"A validation error occurred. The length of the '{column.name}' attribute of the '{table.name}' entity "
                f"exceeded the maximum allowed length of '{column.length}'.",
            )
        return value or None
    if kind in ("dec", "money"):
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise _wrong_type(table, column, value)
        if abs(Decimal(value)) > _MOST:
            raise Refused(
                400, INVALID, f"A validation error occurred. The value of '{column.name}' is outside the valid range."
            )
        return Decimal(value)
    if kind in ("int", "choice", "state", "status"):
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(table, column, value)
        if kind != "int" and value not in column.options:
            raise Refused(
                400,
                NO_OPTION,
                f"A validation error occurred. The value {value} of '{column.name}' on record of type '{table.name}' is "
                f"outside the valid range. Accepted Values: {','.join(map(str, column.options))}",
            )
        return value
    if kind == "bool":
        if not isinstance(value, bool):
            raise _wrong_type(table, column, value)
        return value
    if not isinstance(value, str):
        raise _wrong_type(table, column, value)
    try:
        if kind == "date":
            return date.fromisoformat(value).isoformat()
        if kind == "instant":
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                if len(value) > 10:
                    raise ValueError
                moment = moment.replace(tzinfo=UTC)  # "2026-12-01" is taken for midnight
            return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return str(UUID(value))
    except ValueError:
        raise _wrong_type(table, column, value) from None


def _wrong_type(table: Table, column: Column, value: Any) -> Refused:
    return Refused(
        400,
        MALFORMED,
        f"Error identified in Payload provided by the user for Entity :'{table.entity_set}', InnerException : Cannot convert "
        f"the literal '{str(value)[:40]}' to the expected type of '{column.name}'.",
    )


def read_address(env: Environment, segment: str) -> Address:
    """``accounts(…)``, percent-encoding still in place. Raises Refused."""
    match = _SEGMENT.fullmatch(unquote(segment))
    table = env.by_set.get(match[1]) if match else None
    if match is None or table is None:
        raise Refused(404, NO_SEGMENT, f"Resource not found for the segment '{segment[:80]}'.")
    inner = match[2]
    try:
        return Address(table, id=str(UUID(inner)))
    except ValueError:
        pass
    pairs, at = [], 0
    while at < len(inner):
        pair = _PAIR.match(inner, at)
        if pair is None:
            raise Refused(400, MALFORMED, f"Bad Request - Error in query syntax: {inner[:80]}")
        at = pair.end()
        pairs.append((pair[1], pair[2]))
    key = []
    for name, raw in pairs:
        column = table.by_wire(name)
        if column is None:
            raise Refused(400, MALFORMED, f"Could not find a property named '{name}' on {table.name}")
        if raw.startswith("'"):
            text = raw[1:-1].replace("''", "'")
            if FORBIDDEN & set(text):
                raise Refused(400, "", "A potentially dangerous Request.Path value was detected from the client.")
            value: Any = text
        else:
            value = int(raw) if raw.lstrip("-").isdigit() else raw.lower()
        key.append((column.name, value))
    if env.key_of(table.name, frozenset(name for name, _ in key)) is None:
        raise Refused(
            400, "0x80060888", f"The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.{table.name}'."
        )
    return Address(table, key=tuple(key))


def found_at(env: Environment, address: Address) -> Row | None:
    if address.id:
        return env.rows[address.table.name].get(address.id)
    return env.by_key(address.table.name, dict(address.key))


def located(env: Environment, address: Address) -> Row:
    """The row at an address. Raises Refused with 404."""
    row = found_at(env, address)
    if row is None:
        if address.id:
            raise Refused(404, NOT_FOUND, f"{address.table.name} With Id = {address.id} Does Not Exist")
        raise Refused(404, NO_KEY_MATCH, "A record with the specified key values does not exist in " + address.table.name)
    return row
