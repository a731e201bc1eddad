"""Customer orders of the configured companies and sites."""

from collections.abc import Sequence
from typing import Final

from ml_connector.domain import Order
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud import mapping
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.documents import DocumentReader
from ml_connector_ifs_cloud.rows import OrderHeader, OrderKey, OrderLine

_FILLS: Final = frozenset(
    (
        "number", "status", "currency", "total", "lines", "company", "site", "payment_terms", "type", "customer",
        "customer_reference", "external_reference", "ordered_on", "wanted_on", "planned_on", "delivery_terms", "salesperson",
    )
)  # fmt: skip


class OrderReader(DocumentReader[OrderHeader, OrderKey]):
    """Reads customer orders."""

    kind = "order"

    def __init__(self, api: Api, clock: Clock) -> None:
        self.orders = api.settings.entities.order
        super().__init__(api, self.orders, self.orders.lines, OrderHeader, OrderKey, clock)

    @property
    def fills(self) -> frozenset[str]:
        return _FILLS | {f"extra.{name}" for name in self.rules.extras}

    def scope(self, found: EntitySet) -> str:
        settings = self.api.settings
        return odata.both(
            odata.one_of("Company", settings.companies) if settings.companies else "",
            odata.one_of("Contract", settings.sites) if settings.sites else "",
        )

    def entity(self, row: OrderHeader, lines: Sequence[OrderLine] | None) -> tuple[Order, tuple[str, ...]]:
        return mapping.order(row, lines, self.rules)
