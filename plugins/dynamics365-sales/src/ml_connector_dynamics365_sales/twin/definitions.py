"""``EntityDefinitions``: tables, columns and keys told, custom columns and alternate keys made."""

import re
from datetime import datetime, timedelta
from typing import Any, Final

from ml_connector.twin import TwinResponse
from ml_connector_dynamics365_sales.twin.schema import Column, Key, Table
from ml_connector_dynamics365_sales.twin.store import Environment
from ml_connector_dynamics365_sales.twin.wire import INVALID, NO_SEGMENT, NOT_FOUND, Refused, answer, nothing

_TYPES: Final = {
    "text": "String",
    "memo": "Memo",
    "int": "Integer",
    "dec": "Decimal",
    "money": "Money",
    "bool": "Boolean",
    "instant": "DateTime",
    "date": "DateTime",
    "guid": "Uniqueidentifier",
    "choice": "Picklist",
    "state": "State",
    "status": "Status",
    "lookup": "Lookup",
}
_MADE: Final = {
    "StringAttributeMetadata": "text",
    "MemoAttributeMetadata": "memo",
    "IntegerAttributeMetadata": "int",
    "DecimalAttributeMetadata": "dec",
    "BooleanAttributeMetadata": "bool",
    "DateTimeAttributeMetadata": "instant",
}
_NAMED: Final = re.compile(r"EntityDefinitions\(LogicalName='(\w+)'\)")
_UNKEYED: Final = frozenset({"memo", "bool", "money"})
MOST_KEYS: Final = 10


class Definitions:
    """Answers and changes metadata."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.may_customise = True
        self.index_s = 0.0  # how long an alternate key stays Pending
        self._ready: dict[str, datetime] = {}

    def get(self, parts: list[str], told: dict[str, str], base: str) -> TwinResponse:
        table = self._table(parts[0])
        self.settle()
        if len(parts) == 1:
            body = self._about(table)
            if "Keys" in told.get("$expand", ""):
                body["Keys"] = [_key(table, key) for key in table.keys]
            return answer(200, {"@odata.context": f"{base}$metadata#EntityDefinitions/$entity", **body})
        if parts[1] == "Keys":
            return answer(200, {"value": [_key(table, key) for key in table.keys]})
        if parts[1] == "Attributes":
            kind = parts[2].removeprefix("Microsoft.Dynamics.CRM.").removesuffix("AttributeMetadata") if len(parts) > 2 else ""
            columns = [column for column in table.columns.values() if not kind or _TYPES[column.type] == kind]
            chosen = [name for name in told.get("$select", "").split(",") if name]
            options = "OptionSet" in told.get("$expand", "")
            return answer(200, {"value": [_attribute(table, column, chosen, bool(kind), options) for column in columns]})
        raise Refused(404, NO_SEGMENT, f"Resource not found for the segment '{parts[1][:60]}'.")

    def post(self, parts: list[str], body: dict[str, Any]) -> TwinResponse:
        table = self._table(parts[0])
        if not self.may_customise:
            raise Refused(403, "0x80048306", "Principal user is missing prvCreateAttribute privilege.")
        if parts[1:] == ["Attributes"]:
            self._add_column(table, body)
        elif parts[1:] == ["Keys"]:
            self._add_key(table, body)
        else:
            raise Refused(404, NO_SEGMENT, "Resource not found.")
        return nothing()

    def settle(self) -> None:
        """Keys whose index is built by now become Active, or Failed over duplicates."""
        now = self._env.clock.now()
        for table in self._env.defs.values():
            for key in table.keys:
                if key.status == "Pending" and self._ready.get(key.schema_name, now) <= now:
                    key.status = "Active" if self._distinct(table, key) else "Failed"

    def add_column(self, table: str, schema_name: str, kind: str, length: int = 100) -> Column:
        name = schema_name.lower()
        column = Column(name=name, type=kind, custom=True, schema_name=schema_name)
        if kind in ("text", "memo"):
            column.length = length
        self._env.defs[table].columns[name] = column
        return column

    def add_key(self, table: str, schema_name: str, columns: tuple[str, ...]) -> None:
        self._env.defs[table].keys.append(Key(schema_name, columns, "Pending"))
        self._ready[schema_name] = self._env.clock.now() + timedelta(seconds=self.index_s)
        self.settle()

    def _add_column(self, table: Table, body: dict[str, Any]) -> None:
        kind = _MADE.get(str(body.get("@odata.type", "")).rpartition(".")[2])
        name = str(body.get("SchemaName", ""))
        if kind is None or "_" not in name:
            raise Refused(400, INVALID, "The attribute's type or schema name (with a publisher's prefix) is not valid.")
        if name.lower() in table.columns:
            raise Refused(400, "0x80044153", f"An attribute with the name {name.lower()} already exists.")
        if kind == "text" and not isinstance(body.get("MaxLength"), int):
            raise Refused(400, INVALID, "MaxLength is required.")
        self.add_column(table.name, name, kind, body.get("MaxLength", 0))

    def _add_key(self, table: Table, body: dict[str, Any]) -> None:
        columns, name = tuple(body.get("KeyAttributes", ())), str(body.get("SchemaName", ""))
        if not columns or "_" not in name:
            raise Refused(400, INVALID, "KeyAttributes and a SchemaName with a publisher's prefix are required.")
        for column in columns:
            if column not in table.columns or table.columns[column].type in _UNKEYED:
                raise Refused(400, INVALID, f"{column} cannot be part of a key.")
        if len(table.keys) >= MOST_KEYS:
            raise Refused(400, INVALID, "The number of keys for the entity is over the limit.")
        self.add_key(table.name, name, columns)

    def _distinct(self, table: Table, key: Key) -> bool:
        seen = [tuple(row.values.get(name) for name in key.columns) for row in self._env.rows[table.name].values()]
        told = [value for value in seen if None not in value]
        return len(told) == len(set(told))

    def _table(self, segment: str) -> Table:
        match = _NAMED.fullmatch(segment)
        table = self._env.defs.get(match[1]) if match else None
        if table is None:
            raise Refused(404, NOT_FOUND, f"Could not find an entity with name {segment[:60]}")
        return table

    def _about(self, table: Table) -> dict[str, Any]:
        return {
            "LogicalName": table.name,
            "EntitySetName": table.entity_set,
            "PrimaryIdAttribute": table.id,
            "PrimaryNameAttribute": table.title,
            "ChangeTrackingEnabled": table.tracked,
            "CanChangeTrackingBeEnabled": {"Value": True},
            "IsOptimisticConcurrencyEnabled": True,
            "Privileges": [
                {"Name": f"prv{word}{table.name.capitalize()}", "PrivilegeType": word, "CanBeGlobal": True}
                for word in ("Create", "Read", "Write", "Delete")
            ],
        }


def _key(table: Table, key: Key) -> dict[str, Any]:
    return {
        "SchemaName": key.schema_name,
        "LogicalName": key.schema_name.lower(),
        "EntityLogicalName": table.name,
        "KeyAttributes": list(key.columns),
        "EntityKeyIndexStatus": key.status,
    }


def _attribute(table: Table, column: Column, chosen: list[str], typed: bool, options: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "LogicalName": column.name,
        "SchemaName": column.schema_name,
        "AttributeType": _TYPES[column.type],
        "IsCustomAttribute": column.custom,
        "IsValidForCreate": not column.computed,
        "IsValidForUpdate": not column.computed
        and column.name != table.id
        and column.name not in ("ordernumber", "quotenumber"),
        "IsValidForRead": True,
        "AttributeOf": None,
        "RequiredLevel": {"Value": "SystemRequired" if column.required else "None"},
    }
    if typed:
        if column.type in ("text", "memo"):
            told["MaxLength"] = column.length
        if column.type in ("instant", "date"):
            told["DateTimeBehavior"] = {"Value": "DateOnly" if column.type == "date" else "UserLocal"}
        if column.type == "lookup":
            told["Targets"] = list(column.targets)
    unknown = [name for name in chosen if name not in told]
    if unknown:
        raise Refused(400, "0x80060888", f"Could not find a property named '{unknown[0]}' on type 'AttributeMetadata'.")
    shown = {name: told[name] for name in chosen} if chosen else told
    if options and column.options:
        label = {value: {"UserLocalizedLabel": {"Label": text, "LanguageCode": 1033}} for value, text in column.options.items()}
        shown["OptionSet"] = {
            "Options": [
                {"Value": value, "Label": label[value], **({"State": column.states[value]} if column.states else {})}
                for value in column.options
            ]
        }
    return shown
