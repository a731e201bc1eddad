"""Insert, update, upsert and delete: positional results, every fault of a record at once, no record sinking another."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from ml_connector_zoho_crm.twin.checks import Wrong, instant
from ml_connector_zoho_crm.twin.org import Org, RowChange
from ml_connector_zoho_crm.twin.schema import Field
from ml_connector_zoho_crm.twin.table import Row, Table
from ml_connector_zoho_crm.twin.wire import Call, Fault, Refused, fault

CUSTOM_SUBFORM_ROWS = 100
_INVALID, _MISSING = "invalid data", "required field not found"
_INVALID_ID = "the id given seems to be invalid"
_UNEXTERNAL = "The value of the external field is invalid."


class External:
    """What the ``X-EXTERNAL`` header says: which places hold values of external fields instead of ids."""

    def __init__(self, org: Org, table: Table, header: str | None) -> None:
        self.record: str | None = None  # the field that stands for the record's own id
        self.lookups: dict[tuple[str | None, str], str] = {}  # (subform or None, lookup) → field of the target
        for path in header.split(",") if header else ():
            module, *names = path.strip().split(".")
            if module != table.module.api_name or not 1 <= len(names) <= 3:
                raise Refused(400, "INVALID_DATA", "X-EXTERNAL is invalid", header="X-EXTERNAL", value=path.strip())
            *where, field = names
            target = _target(org, table, where)
            if target is None or field not in target.module.fields or target.module.fields[field].external is None:
                raise Refused(400, "INVALID_DATA", _UNEXTERNAL, header="X-EXTERNAL", api_name=field)
            if not where:
                self.record = field
            else:
                self.lookups[(where[0] if len(where) == 2 else None, where[-1])] = field


def _target(org: Org, table: Table, where: Sequence[str]) -> Table | None:
    """The table that a chain of subform and lookup fields leads to."""
    for name in where:
        field = table.module.fields.get(name)
        if field is None or field.target not in org.tables:
            return None
        table = org.tables[field.target]
    return table


class Writer:
    """One writing call on one module."""

    def __init__(self, org: Org, table: Table, call: Call, *, unknown_fields: str = "reject") -> None:
        self._org, self._table, self._user = org, table, call.user
        self._unknown_fields = unknown_fields
        self._checks = org.checks(table)
        self._fields = table.module.fields
        self._required = [field for field in self._fields.values() if field.mandatory or field.required]
        self._distinct = [field for field in self._fields.values() if field.distinct]
        self.external = External(org, table, call.headers.get("x-external"))
        header = call.headers.get("if-unmodified-since")
        try:
            self._unmodified_since = instant(header) if header else None
        except ValueError:
            raise Refused(400, "INVALID_DATA", "If-Unmodified-Since is invalid", header="If-Unmodified-Since") from None

    # -- the four verbs, each giving the result that stands at position ``at``

    def insert(self, at: int, item: Any) -> Fault:
        return self._write(at, item, None) if isinstance(item, dict) else self._not_an_object(at)

    def update(self, at: int, item: Any, record_id: str | None = None) -> Fault:
        if not isinstance(item, dict):
            return self._not_an_object(at)
        field = self.external.record
        if record_id is None and field is not None:
            record_id = self.by_external(item.get(field))
            if record_id is None:
                return fault("INVALID_DATA", _UNEXTERNAL, api_name=field, json_path=f"$.data[{at}].{field}")
        record_id = record_id or item.get("id")
        if record_id is None:
            return fault("MANDATORY_NOT_FOUND", _MISSING, api_name="id", json_path=f"$.data[{at}].id")
        if not isinstance(record_id, str) or record_id not in self._table.rows:
            return fault("INVALID_DATA", _INVALID_ID, api_name="id", json_path=f"$.data[{at}].id", id=record_id)
        return self._write(at, item, record_id)

    def upsert(self, at: int, item: Any, keys: Sequence[str]) -> Fault:
        """Update the first record that an earlier key field finds, else insert; an item with ``id`` is an update."""
        if not isinstance(item, dict):
            return self._not_an_object(at)
        if item.get("id") is not None:
            return {**self.update(at, item), "action": "update", "duplicate_field": None}
        if self.external.record is not None:
            keys = (self.external.record,)
        for name in keys:
            value = item.get(name)
            found = self._table.find(name, value.strip() if isinstance(value, str) else value) if _keyable(value) else ()
            if found:
                result = self._write(at, item, min(found))
                if result["status"] == "success":
                    result["action"], result["duplicate_field"] = "update", name
                return result
        result = self._write(at, item, None)
        if result["status"] == "success":
            result["action"], result["duplicate_field"] = "insert", None
        return result

    def delete(self, record_id: str) -> Fault:
        if self.external.record is not None:
            found = self.by_external(record_id)
            if found is None:
                return fault("INVALID_DATA", _UNEXTERNAL, api_name=self.external.record)
            record_id = found
        if record_id not in self._table.rows:
            return fault("INVALID_DATA", "record not deleted", id=record_id)
        if record_id in self._org.locked:
            return fault("RECORD_LOCKED", "record is locked", id=record_id)
        self._org.delete(self._table, record_id, self._user)
        return {"code": "SUCCESS", "details": {"id": record_id}, "message": "record deleted", "status": "success"}

    def by_external(self, value: Any) -> str | None:
        """The id behind a value of the external field that stands for the record."""
        assert self.external.record is not None
        found: Collection[str] = self._table.find(self.external.record, value) if _keyable(value) else ()
        return min(found) if found else None

    # -- one record

    def _write(self, at: int, item: Row, record_id: str | None) -> Fault:
        path = f"$.data[{at}]"
        if record_id is not None:
            if record_id in self._org.locked:
                return fault("RECORD_LOCKED", "record is locked", id=record_id)
            if self._unmodified_since is not None and self._table.rows[record_id]["Modified_Time"] > self._unmodified_since:
                return self._overtaken(record_id)
        values, rows, faults = self._clean(item, path, record_id)
        self._check_mandatory(values, rows, faults, path, record_id)
        self._check_stage(values, faults, path, record_id)
        self._check_distinct(values, faults, path, record_id)
        if faults:
            return faults[0] if len(faults) == 1 else fault("MULTIPLE_OR_MULTI_ERRORS", "multiple errors", errors=faults)
        if record_id is None:
            record_id = self._org.insert(self._table, values, rows, self._user)
            return self._success(record_id, "record added")
        self._org.change(self._table, record_id, values, rows, self._user)
        return self._success(record_id, "record updated")

    def _clean(self, item: Row, path: str, record_id: str | None) -> tuple[Row, dict[str, list[RowChange]], list[Fault]]:
        values: Row = {}
        rows: dict[str, list[RowChange]] = {}
        faults: list[Fault] = []
        for name, value in item.items():
            check = self._checks.get(name)
            if check is not None:
                if value is None:
                    values[name] = None
                    continue
                if self.external.lookups and (None, name) in self.external.lookups:
                    value = self._external_lookup(None, name, value, self._fields[name], f"{path}.{name}", faults)
                    if value is None:
                        continue
                try:
                    values[name] = check(value)
                except Wrong as wrong:
                    faults.append(_wrong(wrong, name, f"{path}.{name}"))
                continue
            field = self._fields.get(name)
            if field is not None and field.data_type == "subform":
                rows[name] = self._clean_rows(field, value, f"{path}.{name}", record_id, faults)
            elif name == "$line_tax":
                values[name] = value
            elif self._unwelcome(name, field):
                faults.append(fault("INVALID_DATA", _INVALID, api_name=name, json_path=f"{path}.{name}"))
        return values, rows, faults

    def _unwelcome(self, name: str, field: Field | None) -> bool:
        """Whether a key that no check takes is a fault: computed fields are, unknown ones unless the twin ignores them."""
        if name == "id" or name[:1] == "$":
            return False
        return self._unknown_fields == "reject" if field is None else not field.silent

    def _clean_rows(self, field: Field, sent: Any, path: str, record_id: str | None, faults: list[Fault]) -> list[RowChange]:
        if not isinstance(sent, list):
            faults.append(
                fault("INVALID_DATA", _INVALID, api_name=field.api_name, json_path=path, expected_data_type="jsonarray")
            )
            return []
        standing = (self._table.rows[record_id].get(field.api_name) or []) if record_id else []
        changes = [
            change
            for at, row in enumerate(sent)
            if (change := self._clean_row(field, row, f"{path}[{at}]", standing, faults)) is not None
        ]
        left = len(standing) + sum(1 if change.id is None else -(change.values is None) for change in changes)
        if field.custom and left > CUSTOM_SUBFORM_ROWS:
            faults.append(
                fault(
                    "LIMIT_EXCEEDED",
                    "maximum rows exceeded",
                    api_name=field.api_name,
                    json_path=path,
                    maximum_length=CUSTOM_SUBFORM_ROWS,
                )
            )
        return changes

    def _clean_row(
        self, field: Field, sent: Any, path: str, standing: Collection[str], faults: list[Fault]
    ) -> RowChange | None:
        lines = self._org.tables[field.target or ""]
        if not isinstance(sent, dict):
            faults.append(
                fault("INVALID_DATA", _INVALID, api_name=field.api_name, json_path=path, expected_data_type="jsonobject")
            )
            return None
        row_id = sent.get("id")
        if row_id is not None and row_id not in standing:
            faults.append(fault("INVALID_DATA", _INVALID_ID, api_name="id", json_path=f"{path}.id"))
            return None
        if "_delete" in sent:
            return RowChange(row_id, None) if row_id is not None else None
        checks, values = self._org.checks(lines), {}
        for name, value in sent.items():
            check, known = checks.get(name), lines.module.fields.get(name)
            if check is not None and known is not None:
                if (field.api_name, name) in self.external.lookups and value is not None:
                    value = self._external_lookup(field.api_name, name, value, known, f"{path}.{name}", faults)
                    if value is None:
                        continue
                try:
                    values[name] = None if value is None else check(value)
                except Wrong as wrong:
                    faults.append(_wrong(wrong, name, f"{path}.{name}"))
            elif self._unwelcome(name, known):
                faults.append(fault("INVALID_DATA", _INVALID, api_name=name, json_path=f"{path}.{name}"))
        for known in lines.module.fields.values():
            if known.mandatory and known.api_name not in sent and row_id is None:
                faults.append(
                    fault("MANDATORY_NOT_FOUND", _MISSING, api_name=known.api_name, json_path=f"{path}.{known.api_name}")
                )
        return RowChange(row_id, values)

    def _external_lookup(
        self, subform: str | None, name: str, value: Any, lookup: Field, path: str, faults: list[Fault]
    ) -> Any:
        """The lookup with an id in place of the external value; None after a fault. A plain ``id`` is left as it is."""
        field = self.external.lookups[(subform, name)]
        if not isinstance(value, dict) or field not in value:
            return value
        key = value[field]
        found = self._org.tables[lookup.target or ""].find(field, key) if _keyable(key) else ()
        if not found:
            message = "The external ID of the lookup field or the Price Book is incorrect"
            faults.append(fault("INVALID_DATA", message, api_name=field, json_path=f"{path}.{field}"))
            return None
        return {"id": min(found)}

    # -- what holds across fields and records

    def _check_mandatory(
        self, values: Row, rows: dict[str, list[RowChange]], faults: list[Fault], path: str, record_id: str | None
    ) -> None:
        """Mandatory fields must be there on insert and may never be emptied; a blank text counts as missing (assumption)."""
        for field in self._required:
            name = field.api_name
            if field.data_type == "subform":
                missing = record_id is None and not rows.get(name)
            elif name in values:
                missing = values[name] is None
            else:
                missing = record_id is None
            if missing and not any(one["details"].get("json_path", "").startswith(f"{path}.{name}") for one in faults):
                faults.append(fault("MANDATORY_NOT_FOUND", _MISSING, api_name=name, json_path=f"{path}.{name}"))

    def _check_stage(self, values: Row, faults: list[Fault], path: str, record_id: str | None) -> None:
        """A deal's stage must belong to its pipeline."""
        stage = values.get("Stage")
        if stage is None or self._table.module.name != "Deals":
            return
        pipeline = values.get("Pipeline") or (self._table.rows[record_id].get("Pipeline") if record_id else None)
        stages = self._org.pipelines.get(pipeline or next(iter(self._org.pipelines)))
        if stages is None:
            faults.append(
                fault(
                    "MAPPING_MISMATCH",
                    "Layout doesn't contain the Pipeline",
                    api_name="Pipeline",
                    json_path=f"{path}.Pipeline",
                )
            )
        elif stage not in stages:
            faults.append(
                fault("MAPPING_MISMATCH", "Pipeline doesn't contain the Stage", api_name="Stage", json_path=f"{path}.Stage")
            )

    def _check_distinct(self, values: Row, faults: list[Fault], path: str, record_id: str | None) -> None:
        for field in self._distinct:
            value = values.get(field.api_name)
            if value is None:
                continue
            other = next((one for one in self._table.find(field.api_name, value) if one != record_id), None)
            if other is None:
                continue
            faults.append(
                fault(
                    "DUPLICATE_DATA",
                    "The external field contains duplicate data." if field.external else "duplicate data",
                    api_name=field.api_name,
                    json_path=f"{path}.{field.api_name}",
                    id=other,
                    more_records=False,
                    duplicate_record={
                        "id": other,
                        "Owner": self._org.users[self._table.rows[other]["Owner"]].told(),
                        "module": {"api_name": self._table.module.api_name, "id": self._table.module.id},
                    },
                )
            )

    # -- results

    def _success(self, record_id: str, message: str) -> Fault:
        return {"code": "SUCCESS", "details": self._stamp(record_id), "message": message, "status": "success"}

    def _overtaken(self, record_id: str) -> Fault:
        message = "record updated time has already passed if-unmodified-since time"
        return fault("ALREADY_MODIFIED", message, **self._stamp(record_id))

    def _stamp(self, record_id: str) -> Row:
        row, told, users = self._table.rows[record_id], self._org.told_time, self._org.users
        created, modified = users[row["Created_By"]], users[row["Modified_By"]]
        created_time: datetime = row["Created_Time"]
        return {
            "id": record_id,
            "Created_Time": told(created_time),
            "Modified_Time": told(row["Modified_Time"]),
            "Created_By": {"name": created.name, "id": created.id},
            "Modified_By": {"name": modified.name, "id": modified.id},
            "$approval_state": "approved",
        }

    @staticmethod
    def _not_an_object(at: int) -> Fault:
        return fault("INVALID_DATA", _INVALID, json_path=f"$.data[{at}]", expected_data_type="jsonobject")


def _keyable(value: Any) -> bool:
    return bool(value) and isinstance(value, str | int)


def _wrong(wrong: Wrong, name: str, path: str) -> Fault:
    details = {"api_name": name, "json_path": path + wrong.under, **wrong.details}
    return fault("INVALID_DATA", wrong.message, **details)


def duplicate_check_fields(table: Table, sent: Any) -> list[str]:
    """The fields that an upsert matches by. Without ``sent``: the system's own field first, then the unique ones.

    That default is what merges two customers of one name (vendor forum, Kaizen #56).
    """
    fields = table.module.fields
    if sent is None:
        system = [field.api_name for field in fields.values() if field.key]
        return system + [field.api_name for field in fields.values() if field.distinct and not field.key]
    if not isinstance(sent, list) or not sent:
        raise Refused(400, "INVALID_DATA", _INVALID, api_name="duplicate_check_fields", expected_data_type="jsonarray")
    if len(sent) > 10:
        raise Refused(400, "LIMIT_EXCEEDED", "maximum length exceeded", api_name="duplicate_check_fields", maximum_length=10)
    for at, name in enumerate(sent):
        field = fields.get(name) if isinstance(name, str) else None
        if field is None or not (field.key or field.distinct):
            path = f"$.duplicate_check_fields[{at}]"
            raise Refused(400, "INVALID_DATA", _INVALID, api_name="duplicate_check_fields", json_path=path)
    return sent
