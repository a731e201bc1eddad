"""An invoice is told only after what it is for was received: the evidence, and the verdict on it.

QAD makes a pending invoice of every posted receipt, and accounts payable matches the supplier's invoice to it (product sheet on
accounts payable). The evidence is a browse of receipts where one is configured, else the received quantities and flags on the
purchase order's lines.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.domain import Hold, RemoteId
from ml_connector_qad import convert
from ml_connector_qad.api import Api
from ml_connector_qad.browse import Browser, Listing, column_of
from ml_connector_qad.convert import Unreadable
from ml_connector_qad.kinds import Invoice
from ml_connector_qad.lines import LineReader

AWAITING: Final = "awaiting_receipt"
_HUNDRED: Final = Decimal(100)


class Received(msgspec.Struct, frozen=True):
    """One line of a purchase order and what came of it."""

    ordered: Decimal
    received: Decimal
    cost: Decimal
    whole: bool  # the line says of itself that it is received


class Gate:
    """Judges invoices by the receipts of their purchase orders."""

    def __init__(self, api: Api, browser: Browser, orders: LineReader, invoices: Invoice) -> None:
        self._api, self._browser, self._orders, self._rules = api, browser, orders, invoices

    async def posted(self) -> dict[str, dict[str, Decimal]] | None:
        """Every posted receipt: purchase order → line → quantity; None where no browse of receipts is configured."""
        return await self._quantities(()) if self._rules.receipts.browse_id else None

    async def evidence(self, order_id: RemoteId, posted: Mapping[str, Mapping[str, Decimal]] | None = None) -> list[Received]:
        """The lines of the purchase order; ``posted`` where the caller has read the receipts of all orders already."""
        receipts = self._rules.receipts
        if receipts.browse_id and posted is None:
            column = self._column(receipts.order_field)
            posted = await self._quantities(((column, self._api.settings.browse.ops.eq, order_id),))
        mine = posted.get(self._api.settings.codes.plain(order_id), {}) if posted is not None else None
        if mine is not None and self._rules.publish_when == "receipt_posted":
            return [Received(quantity, quantity, Decimal(), False) for quantity in mine.values()]
        return self.received(await self._orders.read(order_id), mine)

    def received(self, rows: Iterable[Mapping[str, Any]], posted: Mapping[str, Decimal] | None = None) -> list[Received]:
        """What the purchase order's lines say; ``posted`` (line → quantity) counts instead of theirs where it is told."""
        return [self._line(row, posted) for row in rows]

    @property
    def by_lines(self) -> bool:
        """The purchase order's own lines are the evidence."""
        return not self._rules.receipts.browse_id

    def verdict(self, row: Mapping[str, Any], order_id: RemoteId | None, lines: list[Received]) -> Hold | None:
        """Why the invoice waits; None: it may be told. One without a purchase order has no receipt to wait for."""
        rules = self._rules
        if rules.publish_when == "always" or order_id is None or self._satisfied(row, lines):
            return None
        missing = {
            "receipt_posted": "no receipt is posted",
            "fully_received": "not all of it is received",
            "amount_received": "what is received is worth less than the invoice",
        }[rules.publish_when]
        return Hold(
            code=AWAITING,
            reason=f"{missing} for purchase order {order_id}",
            fix="It goes on by itself when the receipt is posted in QAD",
        )

    def _satisfied(self, row: Mapping[str, Any], lines: list[Received]) -> bool:
        rules = self._rules
        if rules.publish_when == "receipt_posted":
            return any(line.whole or line.received > 0 for line in lines)
        if rules.publish_when == "fully_received":
            share = 1 - Decimal(str(rules.quantity_tolerance_percent)) / _HUNDRED
            return bool(lines) and all(line.whole or line.received >= line.ordered * share for line in lines)
        names = self._api.settings.fields("invoice").get("total", ())
        try:
            asked = convert.number(row.get(names[0])) if names else None
        except Unreadable:
            return False
        worth = sum(((line.ordered if line.whole else line.received) * line.cost for line in lines), Decimal())
        return asked is not None and worth > 0 and worth + Decimal(str(rules.amount_tolerance)) >= asked

    def _line(self, row: Mapping[str, Any], posted: Mapping[str, Decimal] | None) -> Received:
        lines, names = self._orders.lines, self._orders.lines.fields

        def amount(source: str | None) -> Decimal:
            try:
                return convert.number(row.get(source or "")) or Decimal()
            except Unreadable:
                return Decimal()

        if posted is not None:
            received, whole = posted.get(convert.code(row.get(lines.number)) or "", Decimal()), False
        else:
            received = amount(lines.received_quantity)
            try:
                whole = convert.flag(row.get(lines.received_flag)) is True
            except Unreadable:
                whole = False
        return Received(amount(names.get("quantity")), received, amount(names.get("unit_price")), whole)

    async def _quantities(self, filters: tuple[tuple[str, str, str], ...]) -> dict[str, dict[str, Decimal]]:
        receipts, found = self._rules.receipts, dict[str, dict[str, Decimal]]()
        fields = (receipts.order_field, receipts.line_field, receipts.quantity_field)
        listing = Listing(
            ids=(receipts.browse_id,),
            columns={field: self._column(field) for field in fields},
            required=fields,
            filters=filters,
        )
        async for rows in self._browser.pages(listing):
            for row in rows:
                order = self._api.settings.codes.plain(convert.code(row[receipts.order_field]) or "")
                line = convert.code(row[receipts.line_field]) or ""
                quantity = convert.number(row[receipts.quantity_field]) or Decimal()
                of_order = found.setdefault(order, {})
                of_order[line] = of_order.get(line, Decimal()) + quantity
        return found

    def _column(self, field: str) -> str:
        receipts = self._rules.receipts
        return column_of(field, receipts.prefix, receipts.columns, self._api.settings.browse.key_separator)
