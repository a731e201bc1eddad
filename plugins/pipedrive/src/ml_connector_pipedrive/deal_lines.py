"""Lines of a deal as they are written: products found, differences sent one by one or together."""

from collections.abc import Sequence
from typing import Any

from ml_connector.domain import UNSET, Line
from ml_connector_pipedrive.api import Api
from ml_connector_pipedrive.lines import LineChanges, changes, missing_skus, wanted_rows
from ml_connector_pipedrive.lookup import Lookup
from ml_connector_pipedrive.metadata import Metadata
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.wire import Vendor


class DealLines:
    """Only for connections that keep lines. ``products`` looks up products by their number."""

    def __init__(self, api: Api, metadata: Metadata, products: Lookup, settings: Settings) -> None:
        self._api, self._metadata, self._products, self._settings = api, metadata, products, settings

    async def wanted(self, entity: Any) -> dict[str, Vendor] | None:
        """What the lines shall be, by key; None where they are not the matter. Raises RecordRejected, with nothing written."""
        if entity.lines is UNSET:
            return None
        lines: Sequence[Line] = entity.lines or ()
        fallback = self._settings.fallback_product
        skus = [*missing_skus(lines), *filter(None, [fallback])]
        products: dict[str, int] = {}
        plan = await self._metadata.plan("product")
        if skus and plan.key is not None:
            found = await self._products.ids(plan, plan.key, skus)
            products = {sku: ids[0] for sku, ids in found.items() if ids}
        return wanted_rows(lines, products, products.get(fallback))

    async def differing(self, deal: str, wanted: dict[str, Vendor]) -> LineChanges:
        """What has to be done to the lines that stand there."""
        return changes(wanted, await self._api.lines([deal], self._settings.page_size))

    async def write(self, deal: str, lines: LineChanges) -> None:
        for line, strayed in lines.change:
            await self._api.change_line(deal, line, strayed)
        await self._api.add_lines(deal, lines.add)
        for line in lines.remove:
            await self._api.remove_line(deal, line)
