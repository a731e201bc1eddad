"""Named conversions from one kind of entity to another (``as`` in a flow). Pure; what has no counterpart stays unset."""

from collections.abc import Callable
from typing import Final

from msgspec import UnsetType

from ml_connector.domain import UNSET, Deal, Entity, Kind, Money, Order, Quote


def order_to_deal(order: Entity) -> Deal:
    """A deal that shows an order: its number, worth, customer, dates and lines. Stage is a matter of the flow's ``set``."""
    assert isinstance(order, Order)
    return Deal(
        number=order.number,
        name=order.name if isinstance(order.name, str) and order.name else order.number,
        description=order.description,
        amount=order.total,
        account=order.customer,
        contact=order.contact,
        quote=order.quote,
        closing_on=order.wanted_on if order.wanted_on not in (UNSET, None) else order.ordered_on,
        order_number=order.number,
        customer_reference=order.customer_reference,
        lines=order.lines,
        extra=order.extra,
    )


def deal_to_order(deal: Entity) -> Order:
    """The order that a deal stands for, or shall become. The order's number is the ERP's to give: ``external_reference``, the
    deal's own number, is what it is found by until then.
    """
    assert isinstance(deal, Deal)
    return Order(
        number=deal.order_number,
        name=deal.name,
        description=deal.description,
        currency=_currency(deal),
        total=deal.amount,
        customer=deal.account,
        contact=deal.contact,
        quote=deal.quote,
        customer_reference=deal.customer_reference,
        external_reference=deal.number,
        wanted_on=deal.closing_on,
        lines=deal.lines,
        extra=deal.extra,
    )


def quote_to_order(quote: Entity) -> Order:
    """The order that an accepted quote becomes; found by the quote's number until it has its own."""
    assert isinstance(quote, Quote)
    return Order(
        name=quote.name,
        description=quote.description,
        currency=quote.currency,
        total=quote.total,
        company=quote.company,
        site=quote.site,
        payment_terms=quote.payment_terms,
        customer=quote.customer,
        contact=quote.contact,
        deal=quote.deal,
        customer_reference=quote.customer_reference,
        external_reference=quote.number,
        bill_to=quote.bill_to,
        ship_to=quote.ship_to,
        lines=quote.lines,
        extra=quote.extra,
    )


def deal_to_quote(deal: Entity) -> Quote:
    """A potential order: the offer that a deal asks for. Its number is the ERP's to give, as that of an order is."""
    assert isinstance(deal, Deal)
    return Quote(
        name=deal.name,
        description=deal.description,
        currency=_currency(deal),
        total=deal.amount,
        customer=deal.account,
        contact=deal.contact,
        customer_reference=deal.customer_reference,
        external_reference=deal.number,
        valid_until=deal.closing_on,
        lines=deal.lines,
        extra=deal.extra,
    )


def _currency(deal: Deal) -> str | UnsetType:
    return deal.amount.currency if isinstance(deal.amount, Money) and deal.amount.currency else UNSET


CONVERSIONS: Final[dict[tuple[Kind, Kind], Callable[[Entity], Entity]]] = {
    ("order", "deal"): order_to_deal,
    ("deal", "order"): deal_to_order,
    ("quote", "order"): quote_to_order,
    ("deal", "quote"): deal_to_quote,
}
"""From a source record to what the target shall hold: named by its two kinds."""
