"""Writing: create, update, upsert and delete by id or alternate key, deep insert, bulk messages. All or nothing each."""

from collections.abc import Mapping
from typing import Any

from ml_connector.twin import TwinResponse
from ml_connector_dynamics365_sales.twin.business import Business
from ml_connector_dynamics365_sales.twin.catalogue import BULK, READ_ONLY
from ml_connector_dynamics365_sales.twin.checks import Address, Payload, found_at, located, read_address, read_payload
from ml_connector_dynamics365_sales.twin.reads import Preferences, Reader
from ml_connector_dynamics365_sales.twin.schema import Table
from ml_connector_dynamics365_sales.twin.store import Environment, Row
from ml_connector_dynamics365_sales.twin.wire import (
    DUPLICATE_FOUND,
    DUPLICATE_KEY,
    INVALID,
    MALFORMED,
    NO_RIGHT,
    NO_SEGMENT,
    STALE,
    Refused,
    answer,
    nothing,
)


class Writer:
    """POST, PATCH and DELETE on tables, in the name of a user."""

    def __init__(self, env: Environment, business: Business, reader: Reader) -> None:
        self._env, self._business, self._reader = env, business, reader
        self.no_rights: set[tuple[str, str]] = set()  # (privilege such as "Write", table)
        self.rows = 0  # written so far, those of deep inserts among them: each takes its time

    def create(
        self,
        table: Table,
        body: dict[str, Any],
        user: str,
        headers: Mapping[str, str],
        told: Mapping[str, str],
        prefer: Preferences,
        base: str,
        contents: Mapping[str, str] = {},
    ) -> tuple[TwinResponse, str]:
        """POST on a collection; the answer and the new id."""
        self._may("Create", table)
        with self._env.transaction():
            payload = read_payload(self._env, table, body, contents)
            if headers.get("mscrm.suppressduplicatedetection", "").lower() == "false":
                self._look_for_duplicates(table, payload)
            row = self.insert(table, payload, user)
        return self._answer(table, row, 201, told, prefer, base), row.id

    def insert(self, table: Table, payload: Payload, user: str) -> Row:
        self.rows += 1
        values = payload.values
        row_id = values.pop(table.id, "") or ""
        self._business.complete(table, values)
        self._business.before_insert(table, values)
        row = self._env.insert(table.name, values, user, row_id=row_id, targets=payload.targets)
        for nav, children in payload.children.items():
            child = table.children[nav]
            definition = self._env.defs[child.table]
            for item in children:
                inner = read_payload(self._env, definition, item)
                inner.values[child.lookup] = row.id
                self.insert(definition, inner, user)
        self._business.after(table.name, row, user)
        return row

    def update(self, table: Table, row: Row, payload: Payload, user: str) -> None:
        if payload.children:
            raise Refused(400, MALFORMED, "Deep update of a collection-valued navigation property is not supported.")
        self.rows += 1
        values = dict(payload.values)
        values.pop(table.id, None)
        self._business.before_update(table, row, values, user)
        self._env.update(table.name, row, values, user, targets=payload.targets)
        self._business.after(table.name, row, user)

    def patch(
        self,
        address: Address,
        body: dict[str, Any],
        user: str,
        headers: Mapping[str, str],
        told: Mapping[str, str],
        prefer: Preferences,
        base: str,
        contents: Mapping[str, str] = {},
    ) -> TwinResponse:
        """PATCH: update or upsert, as If-Match and If-None-Match say."""
        table, match = address.table, headers.get("if-match", "")
        self._may("Write", table)
        with self._env.transaction():
            row = found_at(self._env, address)
            if row is None and match:
                located(self._env, address)
            if row is not None and headers.get("if-none-match") == "*":
                raise Refused(412, DUPLICATE_KEY, "A record with matching key values already exists.")
            if row is not None and match not in ("", "*") and match != row.etag:
                raise Refused(412, STALE, "The version of the existing record doesn't match the RowVersion property provided.")
            payload = read_payload(self._env, table, body, contents)
            if payload.children:
                raise Refused(400, MALFORMED, "Deep insert goes with POST alone.")
            if row is None:
                self._may("Create", table)
                row = self.insert(table, _addressed(payload, address), user)
                status = 201
            else:
                for name, _ in address.key:
                    payload.values.pop(name, None)  # the URL names it already
                self.update(table, row, payload, user)
                status = 200
        return self._answer(table, row, status, {**told, "$expand": ""}, prefer, base, address)

    def delete(self, address: Address, user: str, headers: Mapping[str, str]) -> TwinResponse:
        self._may("Delete", address.table)
        self.rows += 1
        with self._env.transaction():
            row = located(self._env, address)
            match = headers.get("if-match", "")
            if match not in ("", "*") and match != row.etag:
                raise Refused(412, STALE, "The version of the existing record doesn't match the RowVersion property provided.")
            self._business.before_delete(address.table, row)
            self._env.delete(address.table.name, row, user)
            if address.table.name in ("salesorderdetail", "quotedetail", "opportunityproduct"):
                self._business.after(address.table.name, row, user)
        return nothing()

    def bulk(self, table: Table, message: str, body: dict[str, Any], user: str) -> TwinResponse:
        """CreateMultiple, UpdateMultiple, UpsertMultiple: the first refusal undoes all."""
        if table.name not in BULK:
            raise Refused(404, NO_SEGMENT, f"Resource not found for the segment 'Microsoft.Dynamics.CRM.{message}'.")
        targets = body.get("Targets")
        if not isinstance(targets, list) or not targets:
            raise Refused(400, INVALID, "Targets must hold at least one entity.")
        ids = []
        with self._env.transaction():
            for target in targets:
                if target.get("@odata.type") != f"Microsoft.Dynamics.CRM.{table.name}":
                    raise Refused(400, MALFORMED, "Every target needs its @odata.type, and one table goes per call.")
                ids.append(self._bulk_one(table, message, target, user))
        return answer(200, {"Ids": ids}) if message == "CreateMultiple" else nothing()

    def _bulk_one(self, table: Table, message: str, target: dict[str, Any], user: str) -> str:
        named = target.get("@odata.id")
        address = read_address(self._env, named) if isinstance(named, str) else None
        if address is None and isinstance(target.get(table.id), str):
            address = Address(table, id=str(target[table.id]).lower())
        payload = read_payload(self._env, table, target)
        if message == "CreateMultiple":
            self._may("Create", table)
            return self.insert(table, payload, user).id
        if address is None or address.table is not table:
            raise Refused(400, INVALID, "The target names no record.")
        row = found_at(self._env, address) if message == "UpsertMultiple" else located(self._env, address)
        self._may("Write" if row else "Create", table)
        if row is None:
            return self.insert(table, _addressed(payload, address), user).id
        for name, _ in address.key:
            payload.values.pop(name, None)
        self.update(table, row, payload, user)
        return row.id

    def _answer(
        self,
        table: Table,
        row: Row,
        status: int,
        told: Mapping[str, str],
        prefer: Preferences,
        base: str,
        address: Address | None = None,
    ) -> TwinResponse:
        name = f"{table.entity_set}({row.id})"
        if address is not None and address.key:
            inner = ",".join(f"{key}='{value}'" for key, value in address.key).encode("ascii", "replace").decode()
            name = f"{table.entity_set}({inner})"
        headers = {"OData-EntityId": f"{base}{name}"}
        if not prefer.representation:
            return nothing(headers)
        shown = self._reader.one(table, row, told, prefer, base)
        return answer(status, shown, {**headers, "Preference-Applied": "return=representation"})

    def _may(self, privilege: str, table: Table) -> None:
        if table.name in READ_ONLY:
            raise Refused(405, "0x80040227", f"The {privilege} method does not support entities of type '{table.name}'.")
        if (privilege, table.name) in self.no_rights:
            raise Refused(
                403, NO_RIGHT, f"Principal user is missing prv{privilege}{table.name} privilege for table '{table.name}'."
            )

    def _look_for_duplicates(self, table: Table, payload: Payload) -> None:
        """The default rules: account by name, contact by e-mail."""
        field = {"account": "name", "contact": "emailaddress1", "lead": "emailaddress1"}.get(table.name)
        value = payload.values.get(field) if field else None
        if field and value and self._env.by_key(table.name, {field: value}):
            raise Refused(412, DUPLICATE_FOUND, "A record was not created or updated because a duplicate already exists.")


def _addressed(payload: Payload, address: Address) -> Payload:
    """What an upsert inserts: the key's values come from the URL unless the body has its own."""
    if address.id:
        payload.values[address.table.id] = address.id
    payload.values = {**dict(address.key), **payload.values}
    return payload
