"""What an entity says survives storage, and differences are found field by field."""

import datetime as dt
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import UNSET, Account, Address, Deal, Extra, Line, Money
from ml_connector.sync import content

texts = st.one_of(st.none(), st.just(UNSET), st.text(max_size=40))
amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=4)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.text(max_size=20),
    amounts,
    st.dates(),
    st.datetimes(timezones=st.just(dt.UTC)),
)
lines = st.lists(
    st.builds(Line, key=st.uuids().map(str), description=texts, quantity=amounts, net=amounts, wanted_on=st.dates()), max_size=4
).map(tuple)
deals = st.builds(
    Deal,
    number=st.text(min_size=1, max_size=12),
    name=texts,
    amount=st.builds(Money, amounts, st.just("EUR")),
    closing_on=st.one_of(st.none(), st.dates()),
    lines=lines,
    extra=st.dictionaries(st.text(min_size=1, max_size=8), scalars, max_size=4).map(Extra),
)


@given(deals)
def test_an_entity_comes_back_from_storage_as_it_went_in(deal: Deal) -> None:
    assert content.decode("deal", content.encode(deal)) == deal


@given(deals)
def test_nothing_has_changed_between_an_entity_and_itself(deal: Deal) -> None:
    assert content.changed_fields(deal, deal) == []
    assert content.strayed(deal, deal) == []


@given(deals, deals)
def test_writing_the_changed_fields_makes_both_sides_equal(new: Deal, old: Deal) -> None:
    names = content.changed_fields(new, old)
    written = content.only(new, names)
    merged = msgspec.structs.replace(
        old,
        **{
            name: getattr(written, name)
            for name in old.__struct_fields__
            if name != "extra" and getattr(written, name) is not UNSET
        },
    )
    assert [name for name in content.changed_fields(new, merged) if not name.startswith("extra.")] == []


def test_an_amount_with_more_zeros_is_the_same_amount() -> None:
    new, old = Deal(amount=Money(Decimal("1.50"), "EUR")), Deal(amount=Money(Decimal("1.5"), "EUR"))
    assert content.changed_fields(new, old) == []


def test_unset_says_nothing_and_none_clears() -> None:
    old = Account(number="C-100", phone="+46 8 1", website="acme.example")
    assert content.changed_fields(Account(number="C-100", phone=None), old) == ["phone"]


def test_one_custom_field_changes_alone() -> None:
    old = Account(extra=Extra({"region": "N", "rank": Decimal("1.0")}))
    new = Account(extra=Extra({"region": "S", "rank": Decimal("1")}))
    assert content.changed_fields(new, old) == ["extra.region"]
    assert content.only(new, ["extra.region"]).extra == Extra({"region": "S"})


def test_an_address_that_says_less_has_not_changed() -> None:
    old = Account(billing=Address(street="Quay 1", city="Oslo"))
    assert content.changed_fields(Account(billing=Address(city="Oslo")), old) == []
    assert content.changed_fields(Account(billing=Address(city="Bergen")), old) == ["billing"]


def test_what_a_vendor_trims_or_rounds_has_not_strayed() -> None:
    agreed = Deal(name="Acme  Ltd ", amount=Money(Decimal("10.1249"), "EUR"), description="")
    theirs = Deal(name="Acme Ltd", amount=Money(Decimal("10.12"), "EUR"), description=None)
    assert content.strayed(agreed, theirs) == []


def test_what_a_person_typed_has_strayed() -> None:
    agreed = Deal(name="Acme", amount=Money(Decimal("10.12"), "EUR"))
    theirs = Deal(name="Acme Inc", amount=Money(Decimal("10.13"), "EUR"))
    assert set(content.strayed(agreed, theirs)) == {"name", "amount"}


def test_a_create_does_not_mention_what_is_empty() -> None:
    account = Account(number="C-100", phone=None, extra=Extra({"region": None, "rank": 1}))
    assert content.without_empty(account) == Account(number="C-100", extra=Extra({"rank": 1}))


def test_the_audit_shows_old_and_new_in_plain_values() -> None:
    changes = content.changes_between(
        Deal(amount=Money(Decimal("1.50"), "EUR")),
        Deal(amount=Money(Decimal("2"), "EUR"), extra=Extra({"x": Decimal("1")})),
        ["amount", "extra.x"],
    )
    assert changes[0].old == {"amount": "1.50", "currency": "EUR"}
    assert changes[0].new == {"amount": "2", "currency": "EUR"}
    assert (changes[1].old, changes[1].new) == (UNSET, {"decimal": "1"})
