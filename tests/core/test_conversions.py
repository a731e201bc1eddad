"""What becomes of a record that turns into another kind: its worth, its customer, its lines, and the key it is found by."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import UNSET, Deal, Line, Money, Order, Quote, Ref
from ml_connector.flows import CONVERSIONS

LINES = (Line(key="1", sku="A", quantity=Decimal(2)),)
unset = st.just(UNSET)
orders = st.builds(
    Order,
    number=st.text(min_size=1),
    total=st.one_of(unset, st.builds(Money, st.decimals(allow_nan=False, allow_infinity=False), st.just("EUR"))),
    customer=st.one_of(unset, st.just(Ref("account", "1"))),
    lines=st.one_of(unset, st.just(LINES)),
    customer_reference=st.one_of(unset, st.none(), st.text()),
)


@given(orders)
def test_an_order_that_became_a_deal_is_the_same_order_again(order: Order) -> None:
    back = CONVERSIONS["deal", "order"](CONVERSIONS["order", "deal"](order))
    assert isinstance(back, Order)
    for field in ("number", "total", "customer", "lines", "customer_reference"):
        assert getattr(back, field) == getattr(order, field)


def test_a_deal_that_shall_become_an_order_is_found_by_its_own_number_and_gets_none_from_us() -> None:
    order = CONVERSIONS["deal", "order"](Deal(number="D-7", account=Ref("account", "1"), lines=LINES))
    assert isinstance(order, Order)
    assert (order.number, order.external_reference, order.customer, order.lines) == (UNSET, "D-7", Ref("account", "1"), LINES)


def test_an_accepted_quote_becomes_an_order_that_names_it() -> None:
    order = CONVERSIONS["quote", "order"](Quote(number="Q-1", total=Money(Decimal(5), "EUR"), lines=LINES))
    assert isinstance(order, Order)
    assert (order.number, order.external_reference, order.total) == (UNSET, "Q-1", Money(Decimal(5), "EUR"))


def test_a_deal_asks_for_an_offer() -> None:
    quote = CONVERSIONS["deal", "quote"](Deal(number="D-7", amount=Money(Decimal(5), "EUR")))
    assert isinstance(quote, Quote)
    assert (quote.number, quote.external_reference, quote.total) == (UNSET, "D-7", Money(Decimal(5), "EUR"))
