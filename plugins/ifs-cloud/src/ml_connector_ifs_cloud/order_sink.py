"""Writing customer orders."""

from typing import Final

import msgspec

from ml_connector.domain import UNSET, Order
from ml_connector_ifs_cloud import payload
from ml_connector_ifs_cloud.api import Api
from ml_connector_ifs_cloud.document_sink import DocumentSink
from ml_connector_ifs_cloud.orders import OrderReader
from ml_connector_ifs_cloud.rows import OrderHeader

_BLAMED: Final = {
    prop.upper(): field
    for field, prop in {
        **payload.ORDER,
        "number": "OrderNo",
        "lines": "CatalogNo",
        "lines.quantity": "BuyQtyDue",
        "lines.unit_price": "SaleUnitPrice",
    }.items()
}


class OrderSink(DocumentSink[OrderReader]):
    """A Sink of customer orders."""

    def __init__(self, api: Api, reader: OrderReader) -> None:
        super().__init__(api, reader, reader.orders)
        self._orders = reader.orders

    async def accepts(self) -> frozenset[str]:
        status = {"status"} if self._orders.status_write.mode != "off" else set()
        extras = {f"extra.{name}" for name in self.rules.extras}
        return frozenset({"number", "external_reference", "lines", *payload.ORDER, *status, *extras})

    def values(self, entity: Order) -> payload.Values:
        return payload.order(entity, self.rules)

    def status_of(self, row: OrderHeader) -> str:
        return self.rules.states.get(str(row.Objstate), "Unknown")

    def asked(self, entity: Order, row: OrderHeader | None) -> Order:
        """Released, where the setting says so and the flow says nothing of a status."""
        planned = row is None or self.status_of(row) == "Planned"
        if self._orders.release_on_create and entity.status is UNSET and planned:
            return msgspec.structs.replace(entity, status="Released")
        return entity

    def field_of(self, key: str) -> str | None:
        if key.startswith("extra."):
            return self.rules.extras.get(key.removeprefix("extra."))
        known = {
            "number": self.reader.place.key.name,
            "external_reference": self._orders.external_id_field,
            "customer_reference": payload.ORDER["customer_reference"],
        }
        return known.get(key)

    def blamed(self, name: str) -> str:
        return "external_reference" if name == self._orders.external_id_field.upper() else _BLAMED.get(name, name)
