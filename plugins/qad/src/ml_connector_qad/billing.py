"""What is invoiced on a purchase order, told as custom fields of the order itself, for CRMs that keep no suppliers' invoices.

An invoice counts from the receipt on, as the gate judges it; before that only ``invoices_awaiting_receipt`` counts it. Invoices
are looked at as far back as the window of the kind ``invoice`` reaches, in one list for all orders of a sweep.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.domain import Extra, PurchaseOrder, RemoteId
from ml_connector.sync.content import encode
from ml_connector_qad import convert
from ml_connector_qad.api import Api
from ml_connector_qad.browse import Browser, Listing
from ml_connector_qad.kinds import Invoice
from ml_connector_qad.mapping import FieldMap
from ml_connector_qad.receipts import Gate, Received

Row = dict[str, Any]
EXTRAS: Final = ("invoice_status", "invoice_number", "invoiced_amount", "invoice_open_amount", "invoices_awaiting_receipt")


class Billing:
    """The invoices of purchase orders."""

    def __init__(self, api: Api, browser: Browser, invoices: FieldMap, listing: Listing, gate: Gate) -> None:
        self._api, self._browser, self._map, self._listing, self._gate = api, browser, invoices, listing, gate
        assert isinstance(invoices.place, Invoice)
        self._place = invoices.place
        self._order = invoices.fields["purchase_order"][0]

    async def listed(self) -> dict[str, list[Row]]:
        """The invoices of the window by their purchase order, whose code is folded."""
        found: dict[str, list[Row]] = {}
        for row in await self._rows(()):
            code = convert.code(row.get(self._order))
            if code is not None:
                found.setdefault(self._api.settings.codes.plain(code), []).append(row)
        return found

    async def of(self, order_id: RemoteId) -> list[Row]:
        """The invoices of one order."""
        rows = await self._rows(((self._order, self._api.settings.browse.ops.eq, order_id),))
        codes = self._api.settings.codes
        return [row for row in rows if codes.same(convert.code(row.get(self._order)) or "", order_id)]

    async def extras(
        self, order_id: RemoteId, rows: Sequence[Mapping[str, Any]], lines: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """``invoice_status`` is the latest invoice's that may be told, None while there is none; ``lines`` the order's."""
        received: list[Received] = []
        if rows:
            received = self._gate.received(lines) if self._gate.by_lines else await self._gate.evidence(order_id)
        free = [row for row in rows if self._gate.verdict(row, order_id, received) is None]
        told: list[Any] = [self._map.entity(row)[0] for row in free]
        told.sort(key=lambda invoice: (str(invoice.issued_on or ""), str(invoice.number)))
        latest = told[-1] if told else None
        return {
            "invoice_status": latest.status or None if latest is not None else None,
            "invoice_number": latest.number if latest is not None else None,
            "invoiced_amount": _sum(told, "total"),
            "invoice_open_amount": _sum(told, "open_amount"),
            "invoices_awaiting_receipt": len(rows) - len(free),
        }

    @staticmethod
    def mark(extras: Mapping[str, Any]) -> str:
        """Differs whenever the extras do."""
        return encode(PurchaseOrder(extra=Extra(dict(extras)))).decode()

    async def _rows(self, conditions: Sequence[tuple[str, str, str]]) -> list[Row]:
        rules = self._api.settings.browse
        filters = list(conditions)
        if self._place.window_field:
            since = self._api.clock.now().date() - timedelta(days=self._place.window_days)
            filters.append((self._place.window_field, rules.ops.ge, since.strftime(rules.filter_date_format)))
        columns = self._listing.columns
        named = tuple((columns[field], op, value) for field, op, value in filters)
        listing = msgspec.structs.replace(self._listing, filters=(*self._listing.filters, *named))
        found: list[Row] = []
        async with aclosing(self._browser.pages(listing)) as pages:
            async for page in pages:
                found += page
        return found


def _sum(invoices: Sequence[Any], field: str) -> Decimal | None:
    amounts = [getattr(invoice, field).amount for invoice in invoices if getattr(invoice, field)]
    return sum(amounts, Decimal()) if amounts else None
