"""Named conversions from one kind of entity to another (``as`` in a flow). Pure; what has no counterpart stays unset."""

from collections.abc import Callable
from typing import Final

from ml_connector.domain import UNSET, Deal, Entity, Kind, Order


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


CONVERSIONS: Final[dict[tuple[Kind, Kind], Callable[[Entity], Entity]]] = {("order", "deal"): order_to_deal}
