"""Suppliers and documents with what hangs on them, as records. A version is a hash over all of it: lines may move without
their header."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from ml_connector.domain import Entity, Kind, Record
from ml_connector_oracle_fusion import documents, query, wire
from ml_connector_oracle_fusion.api import Api, Resource
from ml_connector_oracle_fusion.wire import Vendor

EXPANDED: Final = 25
"""How many children come with a row; the rest is asked for."""


class DocumentReader:
    """One kind that is only read."""

    def __init__(self, kind: Kind, api: Api) -> None:
        self.kind, self._api = kind, api
        entities = api.settings.entities
        self._lined, self._payables = True, entities.invoice.of == "payables"
        if kind == "vendor":
            resource, self.condition = documents.SUPPLIERS, entities.vendor.filter
        elif kind == "purchase_order":
            resource, self.condition = documents.ORDERS, entities.purchase_order.filter
            self._lined = entities.purchase_order.lines
        else:
            resource = documents.PAYABLES if self._payables else documents.RECEIVABLES
            self.condition, self._lined = entities.invoice.filter, entities.invoice.lines
        self._child = next(iter(resource.kids))
        self.resource: Resource = resource if self._lined else msgspec.structs.replace(resource, kids={})

    async def records(self, rows: Sequence[Vendor]) -> list[Record]:
        children = [await self._children(row) if self._lined else None for row in rows]
        suppliers = await self._suppliers(rows) if self.kind == "invoice" and self._payables else {}
        return [self._record(row, own, suppliers) for row, own in zip(rows, children, strict=True)]

    async def _children(self, row: Vendor) -> list[Vendor]:
        """In the order of their numbers."""
        held, complete = wire.children(row, self._child)
        if not complete or (not isinstance(row.get(self._child), dict) and len(held) >= EXPANDED):
            held = await self._api.kids(self.resource, wire.key_of(row), self._child)
        return sorted(held, key=lambda each: (wire.amount(each.get("LineNumber")) or 0, str(each.get("AddressName"))))

    async def _suppliers(self, rows: Sequence[Vendor]) -> dict[str, str]:
        """Supplier number → id: payables name suppliers by number alone."""
        numbers = sorted({str(row["SupplierNumber"]) for row in rows if row.get("SupplierNumber")})
        slim = msgspec.structs.replace(documents.SUPPLIERS, own=("SupplierId", "SupplierNumber"), kids={})
        found = await self._api.matching(slim, "SupplierNumber", [query.text(number) for number in numbers])
        return {str(row["SupplierNumber"]): str(row["SupplierId"]) for row in found}

    def _record(self, row: Vendor, children: list[Vendor] | None, suppliers: dict[str, str]) -> Record:
        entity: Entity
        if self.kind == "vendor":
            entity = documents.supplier(row, children or ())
        elif self.kind == "purchase_order":
            entity = documents.purchase_order(row, children)
        elif self._payables:
            entity = documents.payable(row, children, suppliers.get(str(row.get("SupplierNumber"))))
        else:
            entity = documents.receivable(row, children)
        own = {name: str(row.get(name)) for name in self.resource.own}
        lines = [{name: str(each.get(name)) for name in self.resource.kids.get(self._child, ())} for each in children or ()]
        changed = row.get("LastUpdateDate")
        return Record(
            id=str(row[self.resource.id]),
            entity=entity,
            version=hashlib.sha256(msgspec.json.encode([own, lines])).hexdigest()[:24],
            changed_at=wire.instant(str(changed)) if changed else None,
        )
