"""The twin's own truth: users, modules and records, changed in the same few ways by the API and by people."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any, TypeAlias

import msgspec

from ml_connector.twin import TwinClock
from ml_connector_zoho_crm.twin.catalogue import ERP_FIELDS, LINE_ITEMS, custom_module, fresh_org, subform
from ml_connector_zoho_crm.twin.checks import Check, compile_check
from ml_connector_zoho_crm.twin.derive import line_totals, on_insert, on_write, order_totals
from ml_connector_zoho_crm.twin.schema import PERSONS, Field, Module
from ml_connector_zoho_crm.twin.table import Deleted, Row, Table

FIRST_ID = 5550001000000123001
_LINES_OF = {owner: lines for lines, owner in LINE_ITEMS.items()}
Listener: TypeAlias = Callable[[Table, str, str, Mapping[str, Any]], None]
"""Told of every change: table, "insert", "update" or "delete", record id, the fields that were written."""


class User(msgspec.Struct, frozen=True):
    """A user of the org."""

    id: str
    name: str
    email: str

    def told(self) -> dict[str, str]:
        return {"name": self.name, "id": self.id, "email": self.email}


class RowChange(msgspec.Struct):
    """One row of a subform as a write names it: ``id`` None appends, ``values`` None deletes."""

    id: str | None
    values: Row | None


class Org:
    """Users, modules with their tables, and the writes that keep records, rows and indexes consistent."""

    def __init__(
        self, clock: TwinClock, *, utc_offset: str, multi_currency: bool, erp_fields: bool, strict_picklists: bool
    ) -> None:
        self._clock = clock
        self._ids = count(FIRST_ID)
        sign, hours, minutes = -1 if utc_offset[0] == "-" else 1, int(utc_offset[1:3]), int(utc_offset[4:6])
        self.zone = timezone(sign * timedelta(hours=hours, minutes=minutes))
        self.multi_currency = multi_currency
        self._strict_picklists = strict_picklists
        self.listeners: list[Listener] = []
        self.locked: set[str] = set()
        self.org_id = self.new_id()
        self.users: dict[str, User] = {}
        self.robot = self.add_user("Connector", "connector@example.com")  # the user behind the refresh token
        self.person = self.add_user("Sam Okafor", "sam@example.com")
        self.tables: dict[str, Table] = {}
        for module in fresh_org(self.new_id, multi_currency=multi_currency):
            self.tables[module.name] = Table(module)
        self.pipelines: dict[str, list[str]] = {}
        self.layouts = {name: self.new_id() for name in self.tables}
        deals = self.tables["Deals"].module.fields
        self.pipelines[deals["Pipeline"].choices[0]] = list(deals["Stage"].choices)
        self._checks: dict[str, dict[str, Check]] = {}
        self._told: dict[datetime, str] = {}
        self._counters: dict[tuple[str, str], Iterator[int]] = defaultdict(lambda: count(1))
        if erp_fields:
            for name, api_name in ERP_FIELDS.items():
                self.add_field(name, api_name, "text", length=100, unique=True, external="org")

    # -- users, ids, time

    def add_user(self, name: str, email: str) -> User:
        user = User(self.new_id(), name, email)
        self.users[user.id] = user
        return user

    def new_id(self) -> str:
        return str(next(self._ids))

    def now(self) -> datetime:
        """The clock in whole seconds, the finest that Zoho stores."""
        return self._clock.now().replace(microsecond=0)

    def told_time(self, moment: datetime) -> str:
        """A time as every answer writes it: the org's offset, whole seconds."""
        text = self._told.get(moment)
        if text is None:
            if len(self._told) > 50_000:
                self._told.clear()
            text = self._told[moment] = moment.astimezone(self.zone).isoformat(timespec="seconds")
        return text

    # -- modules and fields

    def table(self, api_name: str) -> Table | None:
        """The table behind an API name of today; administrators may have renamed the module."""
        table = self.tables.get(api_name)
        if table is not None and table.module.api_name == api_name:
            return table
        return next((one for one in self.tables.values() if one.module.api_name == api_name), None)

    def api_name(self, module_name: str | None) -> str | None:
        table = self.tables.get(module_name) if module_name else None
        return table.module.api_name if table else module_name

    def add_field(
        self,
        module: str,
        api_name: str,
        data_type: str,
        *,
        label: str = "",
        length: int = 0,
        unique: bool = False,
        case_sensitive: bool = False,
        external: str | None = None,
        choices: Iterable[str] = (),
        target: str | None = None,
    ) -> Field:
        field = Field(
            api_name=api_name,
            data_type=data_type,
            id=self.new_id(),
            label=label,
            length=length,
            unique=unique,
            case_sensitive=case_sensitive,
            external=external,
            custom=True,
            choices=list(choices),
            target=target,
            computed=data_type == "autonumber",
        )
        self.tables[module].module.fields[api_name] = field
        self.changed_schema(module, api_name)
        return field

    def add_module(self, api_name: str) -> Table:
        """A custom module (Enterprise and up); its system name is Zoho's to give."""
        name = f"CustomModule{1 + sum(table.module.custom for table in self.tables.values())}"
        table = self.tables[name] = Table(custom_module(name, api_name, self.new_id))
        self.layouts[name] = self.new_id()
        return table

    def add_subform(self, module: str, name: str, fields: Mapping[str, str]) -> Table:
        """A custom subform; ``fields`` is API name → data type, a lookup as "lookup Products"."""
        text = []
        for field, data_type in fields.items():
            kind, _, target = data_type.partition(" ")
            text.append(Field(api_name=field, data_type=kind, id=self.new_id(), custom=True, target=target or None))
        table = self.tables[name] = Table(subform(name, module, iter(text), self.new_id))
        self.layouts[name] = self.new_id()
        self.add_field(module, name, "subform", target=name)
        return table

    def changed_schema(self, module: str, field: str) -> None:
        self._checks.pop(module, None)
        self.tables[module].reindex(field)

    def checks(self, table: Table) -> dict[str, Check]:
        """A check for every field that the API may write, compiled once."""
        checks = self._checks.get(table.module.name)
        if checks is None:
            checks = self._checks[table.module.name] = {
                field.api_name: compile_check(field, self.lives, strict_picklists=self._strict_picklists)
                for field in table.module.fields.values()
                if not field.computed and field.data_type != "subform"
            }
        return checks

    def lives(self, module: str, record_id: str) -> bool:
        if module == "users":
            return record_id in self.users
        table = self.tables.get(module)
        return table is not None and record_id in table.rows

    # -- records

    def insert(self, table: Table, values: Row, rows: Mapping[str, list[RowChange]], user: str) -> str:
        """Store a new record whose values have passed the checks; returns its id."""
        now, module = self.now(), table.module
        on_insert(module.name, module.fields, values)
        on_write(module.name, {}, values)
        values |= {name: f"{next(self._counters[module.name, name]):05d}" for name in self._counted(module)}
        row: Row = {"id": self.new_id(), "Owner": user, "Created_By": user, "Modified_By": user}
        row.update(values)
        row["Created_Time"] = row["Modified_Time"] = now
        self._store_lines(table, row, row, rows, now)
        table.insert(row)
        self._announce(table, "insert", row["id"], {})
        return str(row["id"])

    def _counted(self, module: Module) -> list[str]:
        """Auto-number fields that an administrator added: new records get the next number, older ones none."""
        return [field.api_name for field in module.fields.values() if field.custom and field.data_type == "autonumber"]

    def change(self, table: Table, record_id: str, values: Row, rows: Mapping[str, list[RowChange]], user: str) -> None:
        """Overwrite fields of a record and rows of its subforms. Modified_Time moves even if nothing differs (assumption)."""
        now, row = self.now(), table.rows[record_id]
        touched = {name: value for name, value in values.items() if row.get(name) != value}
        on_write(table.module.name, row, values)
        self._store_lines(table, row, values, rows, now)
        values["Modified_By"], values["Modified_Time"] = user, now
        table.change(row, values)
        self._announce(table, "update", record_id, {**touched, **dict.fromkeys(rows)})

    def delete(self, table: Table, record_id: str, user: str) -> None:
        """Into the recycle bin, with the rows of its subforms."""
        row = table.remove(record_id)
        table.bin[record_id] = row
        for field in table.module.subforms:
            lines = self.tables[field.target or ""]
            for line_id in row.get(field.api_name) or ():
                lines.bin[line_id] = lines.remove(line_id)
        title = row.get(table.module.title)
        table.deleted.append(Deleted(record_id, title, "recycle", self.now(), user, row["Created_By"]))
        self._announce(table, "delete", record_id, {})

    def restore(self, table: Table, record_id: str) -> None:
        """Out of the recycle bin; Modified_Time stays what it was (assumption)."""
        row = table.bin.pop(record_id)
        table.insert(row)
        for field in table.module.subforms:
            lines = self.tables[field.target or ""]
            for line_id in row.get(field.api_name) or ():
                lines.insert(lines.bin.pop(line_id))
        table.deleted = [entry for entry in table.deleted if entry.id != record_id]

    def purge(self, table: Table) -> None:
        """Empty the recycle bin: every record in it gets a second, permanent entry that tells less."""
        now = self.now()
        table.deleted.extend(Deleted(record_id, None, "permanent", now, None, None) for record_id in table.bin)
        table.deleted = [entry for entry in table.deleted if entry.type == "permanent" or entry.id not in table.bin]
        table.bin.clear()

    def _announce(self, table: Table, operation: str, record_id: str, fields: Mapping[str, Any]) -> None:
        for listener in self.listeners:
            listener(table, operation, record_id, fields)

    def _store_lines(self, table: Table, row: Row, values: Row, rows: Mapping[str, list[RowChange]], now: datetime) -> None:
        """Apply row changes: a row with id changes, one without is appended, a deleted one goes, the rest stay."""
        for name, changes in rows.items():
            lines = self.tables[table.module.fields[name].target or ""]
            ids = list(row.get(name) or ())
            for change in changes:
                if change.values is None:
                    assert change.id is not None
                    lines.remove(change.id)
                    ids.remove(change.id)
                elif change.id is None:
                    line = {"id": self.new_id(), **change.values, "Parent_Id": row["id"]}
                    line.setdefault("Sequence_Number", len(ids) + 1)
                    line["Created_Time"] = line["Modified_Time"] = now
                    line.update(self._line_totals(lines, line))
                    lines.insert(line)
                    ids.append(line["id"])
                else:
                    merged = {**lines.rows[change.id], **change.values}
                    lines.change(
                        lines.rows[change.id], {**change.values, **self._line_totals(lines, merged), "Modified_Time": now}
                    )
            values[name] = ids
        standard = _LINES_OF.get(table.module.name)
        if standard is not None:
            standing = values.get(standard, row.get(standard)) or ()
            values.update(order_totals([self.tables[standard].rows[one] for one in standing], row, values))

    def _line_totals(self, lines: Table, line: Mapping[str, Any]) -> Row:
        if lines.module.name not in LINE_ITEMS:
            return {}
        product = self.tables["Products"].rows.get(line.get("Product_Name") or "")
        return line_totals(line, product.get("Unit_Price") if product else None)

    # -- telling

    def teller(self, table: Table, name: str) -> Callable[[Any], Any] | None:
        """How a stored value of a field is told in JSON; None when it is told as it is stored."""
        field = table.module.fields.get(name)
        if field is None:
            return None
        if field.data_type == "datetime":
            return lambda value: None if value is None else self.told_time(value)
        if field.data_type in PERSONS:
            return lambda value: None if value is None else self.users[value].told()
        if field.data_type == "lookup" and field.target in self.tables:
            target = self.tables[field.target]
            return lambda value: self._reference(target, value)
        return None

    def _reference(self, target: Table, record_id: str | None) -> dict[str, Any] | None:
        row = target.rows.get(record_id) if record_id else None
        if row is None:
            return None  # an empty lookup, or one whose record went to the recycle bin
        told = {"name": row.get(target.module.title), "id": record_id}
        if target.module.name == "Products":
            told["Product_Code"] = row.get("Product_Code")
        return told

    def tell_lines(self, table: Table, name: str, ids: Iterable[str]) -> list[Row]:
        lines = self.tables[table.module.fields[name].target or ""]
        tellers = {field: self.teller(lines, field) for field in lines.module.fields}
        return [
            {"id": one, **{field: tell(row.get(field)) if tell else row.get(field) for field, tell in tellers.items()}}
            for one, row in ((one, lines.rows[one]) for one in ids)
        ]
