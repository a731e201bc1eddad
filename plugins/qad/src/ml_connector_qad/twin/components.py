"""Keyed reads and writes of business components: whole objects, guarded by hashes, refused with status 200."""

from collections.abc import Mapping
from typing import Any

from ml_connector.twin import TwinResponse
from ml_connector_qad.twin.answers import errors, failed, json
from ml_connector_qad.twin.installation import Installation
from ml_connector_qad.twin.schema import RELATION, Component
from ml_connector_qad.twin.store import Row, Store, Values, empty
from ml_connector_qad.twin.wire import referred, stored, told

API_USER = "mlc"
_META = ("uri", "concurrencyHash", "dataOperation", "businessRelationConcurrencyHash", "supplierContactV2s",
         "bankNumberRefV2s", "supplierVatV2s")  # fmt: skip


class Components:
    """Answers ``/api/erp/<collection>``."""

    def __init__(self, store: Store, installation: Installation) -> None:
        self._store, self._installation = store, installation
        self.paths = {component.path: component.path for component in store.components.values()}
        """Path as it is served → component; an upgrade may serve another name."""

    def read(self, path: str, query: Mapping[str, str]) -> TwinResponse:
        component = self._store.components[self.paths[path]]
        self._checked(component, query)
        row = self._store.get(component.path, query)
        return self.envelope(path, [self.record(component, row)] if row is not None else [])

    def write(self, path: str, query: Mapping[str, str], body: Any) -> TwinResponse:
        component = self._store.components[self.paths[path]]
        posted = one_record(body, path)
        if query.get("viewUri") != component.view_uri:
            raise errors(400, "Unknown view")
        operation = posted.get("dataOperation")
        if operation == "C":
            row = self._create(component, posted)
        elif operation == "U":
            self._checked(component, query)
            row = self._update(component, query, posted)
        else:  # nothing is marked as changed: nothing is saved, and that is a success
            return json(200, {"submitResult": {"success": True, "severity": 0, "errors": []}})
        saved = {name: row.values[name] for name in component.keys} | {"concurrencyHash": row.hash}
        return json(200, {"submitResult": {"success": True, "severity": 0, "errors": []}, **self._wrapped(path, [saved])})

    def delete(self, path: str, query: Mapping[str, str]) -> TwinResponse:
        component = self._store.components[self.paths[path]]
        self._checked(component, query)
        if self._store.get(component.path, query) is None:
            raise failed(f"{component.title} does not exist")
        del self._store.tables[component.path][self._store.key(component, query)]
        return json(200, {"submitResult": {"success": True, "severity": 0, "errors": []}})

    def record(self, component: Component, row: Row) -> Values:
        """A record with what is its own only on keyed reads: URI, hashes, children."""
        values = self._store.shown(component, row)
        layout = self._installation.date_layout
        uri = ".".join(str(values[key]).replace(".", "%2E") for key in component.keys)
        record: Values = {"uri": f"{component.view_uri}:{uri}"}
        record |= {name: told(values[name], layout) for name in component.fields}
        record |= {"concurrencyHash": row.hash, "dataOperation": ""}
        relation = self._store.relation_of(row) if component.relation else None
        if relation is not None:
            record["businessRelationConcurrencyHash"] = relation.hash
        if component.path == "supplierV2s":
            record["bankNumberRefV2s"] = [{"bankNumber": "DE02120300000000202051", "isActive": True}]
        return record

    def envelope(self, path: str, rows: list[Values]) -> TwinResponse:
        return json(200, self._wrapped(path, rows))

    def _wrapped(self, path: str, rows: list[Values]) -> Values:
        return {"data": {path: rows}} if self._installation.wrapped else {path: rows}

    def _checked(self, component: Component, query: Mapping[str, str]) -> None:
        if any(not query.get(key) for key in component.keys):
            raise errors(400, "Key parameters are incomplete")
        if query.get("viewUri") != component.view_uri:
            raise errors(400, "Unknown view")

    def _create(self, component: Component, posted: Values) -> Row:
        values = self._values(component, posted)
        if component.path == "salesOrderHeaders" and self._installation.numbers and not values["salesOrderNumber"]:
            values["salesOrderNumber"] = f"SO{10000 + self._store.tick()}"
        for key in component.keys:
            if not values.get(key):
                raise failed("Field is mandatory", key, "", "QAD-1")
        if self._store.get(component.path, values) is not None:
            last = values[component.keys[-1]]
            raise failed(f"{component.title} {last} already exists", component.keys[-1], last)
        self._refer(component, values)
        row = self._store.put(component.path, values, user=API_USER)
        if component.path == "customerV2s" and self._installation.blank_domain:
            blank = {"domainContext": self._installation.domain, "customerCode": values["customerCode"]}
            self._store.put("mfgCustomers", blank)
        self._write_through(component, row, values, first=True)
        return row

    def _update(self, component: Component, query: Mapping[str, str], posted: Values) -> Row:
        row = self._store.get(component.path, query)
        if row is None:
            raise failed(f"{component.title} does not exist", component.keys[-1], query[component.keys[-1]])
        if posted.get("concurrencyHash") != row.hash:
            raise failed(self._installation.stale, "concurrencyHash", posted.get("concurrencyHash") or "")
        relation = self._store.relation_of(row) if component.relation else None
        if relation is not None and posted.get("businessRelationConcurrencyHash") != relation.hash:
            raise failed(self._installation.stale, "businessRelationConcurrencyHash", "")
        values = self._values(component, posted)
        if self._store.key(component, values) != self._store.key(component, query):
            raise failed("Key fields cannot be changed", component.keys[-1], values[component.keys[-1]])
        self._refer(component, values)
        self._store.change(component.path, row, values, user=API_USER)
        self._write_through(component, row, values, first=False)
        return row

    def _values(self, component: Component, posted: Values) -> Values:
        """The whole record: what is not posted is blanked. Raises Refused for a field that there is not."""
        for name in posted:
            if name not in component.fields and name not in _META:
                raise failed(f"Unknown field {name}", name)
        return {
            name: stored(name, field, posted[name]) if name in posted else empty(field.type)
            for name, field in component.fields.items()
        }

    def _refer(self, component: Component, values: Values) -> None:
        for name, field in component.fields.items():
            referred(self._store, name, field, values[name], values)
        if component.path == "salesOrderHeaders":
            keys = {"domainContext": values["domainCode"], "customerCode": values["soldToCustomerCode"]}
            data = self._store.get("mfgCustomers", keys)
            if data is None or not data.values["siteCode"]:
                raise failed("Customer is not set up in this domain", "soldToCustomerCode", values["soldToCustomerCode"])

    def _write_through(self, component: Component, row: Row, values: Values, *, first: bool) -> None:
        """A party's address lands on the business relation, which others may share, unless only the relation may change it."""
        relation = self._store.relation_of(row) if component.relation else None
        if relation is None or self._installation.relation_owns:
            return
        changes = {theirs: values[ours] for ours, theirs in RELATION.items()}
        if first:
            changes = {name: value for name, value in changes.items() if value not in (None, "")}
        if any(relation.values.get(name) != value for name, value in changes.items()):
            self._store.change("businessRelationV2s", relation, changes, user=API_USER)


def one_record(body: Any, collection: str) -> Values:
    """The one record of a posted body. Raises Refused for any other shape."""
    rows = body.get(collection) if isinstance(body, dict) else None
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
        raise errors(400, f"Body must hold one record in {collection}")
    if not isinstance(body.get("supplementaryMessages"), list):
        raise errors(400, "supplementaryMessages is missing")
    return rows[0]
