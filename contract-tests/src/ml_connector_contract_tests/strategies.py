"""Hypothesis strategies for the trade's words, for properties of mappings and sinks. Needs hypothesis."""

import datetime as dt
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from ml_connector.domain import UNSET, Account, Address, Extra, Line, Money, Order, Scalar


def texts(limit: int = 100) -> SearchStrategy[str]:
    """What people type into a one-line field: any script, no control characters, no blanks around it."""
    letters = st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp"))
    return st.text(letters, min_size=1, max_size=limit).map(str.strip).filter(bool)


def numbers() -> SearchStrategy[str]:
    """Business numbers, the awkward ones among them: C-0042, 10042/A, O'B-7."""
    return st.text("ABCÄØ0123456789-/._' &", min_size=1, max_size=20).map(str.strip).filter(bool)


def amounts(places: int = 2) -> SearchStrategy[Decimal]:
    return st.decimals(min_value=-(10**12), max_value=10**12, places=places, allow_nan=False, allow_infinity=False)


def money() -> SearchStrategy[Money]:
    return st.builds(Money, amounts(), st.sampled_from(("EUR", "USD", "SEK", "JPY", "")))


def instants() -> SearchStrategy[dt.datetime]:
    """Aware UTC, whole seconds, as coarse as vendors keep them."""
    naive = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2100, 1, 1))
    return naive.map(lambda when: when.replace(microsecond=0, tzinfo=dt.UTC))


def scalars() -> SearchStrategy[Scalar]:
    return st.one_of(texts(), st.booleans(), st.integers(-(10**9), 10**9), amounts(), st.dates(), instants(), st.none())


def extras() -> SearchStrategy[Extra]:
    names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
    return st.dictionaries(names, scalars(), max_size=4).map(Extra)


def addresses() -> SearchStrategy[Address]:
    part = _maybe(texts(40))
    return st.builds(
        Address, street=part, city=part, region=part, postal_code=part, country=_maybe(st.sampled_from(("SE", "DE")))
    )


def lines() -> SearchStrategy[tuple[Line, ...]]:
    one = st.builds(
        Line,
        key=st.integers(1, 99).map(str),
        sku=_maybe(numbers()),
        description=_maybe(texts(60)),
        quantity=_maybe(amounts(3)),
        unit_price=_maybe(amounts(4)),
        net=_maybe(amounts()),
        wanted_on=_maybe(st.dates()),
    )
    return st.lists(one, max_size=4, unique_by=lambda line: line.key).map(tuple)


def accounts() -> SearchStrategy[Account]:
    """Accounts in which every field but the number may be unset, cleared or filled."""
    return st.builds(
        Account,
        number=numbers(),
        name=_maybe(texts()),
        phone=_maybe(texts(20)),
        billing=_maybe(addresses()),
        credit_limit=_maybe(money()),
        credit_blocked=_maybe(st.booleans()),
        extra=st.one_of(st.just(UNSET), extras()),
    )


def orders() -> SearchStrategy[Order]:
    """Orders with their lines, no refs."""
    return st.builds(
        Order,
        number=numbers(),
        customer_reference=_maybe(texts(30)),
        total=_maybe(money()),
        wanted_on=_maybe(st.dates()),
        lines=_maybe(lines()),
        extra=st.one_of(st.just(UNSET), extras()),
    )


def _maybe(value: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """A value, cleared, or not known."""
    return st.one_of(st.just(UNSET), st.none(), value)
