"""Values between QAD's wire and entities: nothing is lost on the way there and back, and nothing is guessed."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qad_world import settings_of

from ml_connector.domain import UNSET, Account, Address, Extra, Line, Money, Order, PurchaseOrder, Ref
from ml_connector_qad import convert
from ml_connector_qad.mapping import FieldMap, keys_of, line_of, line_values
from ml_connector_qad.records import Component
from ml_connector_qad.settings import QadSettings

LAYOUT = "%Y-%m-%dT%H:%M:%S.000Z"
TOLD: dict[str, Any] = {
    "base_url": "https://acme.qad.com/clouderp/",
    "scope": {"domain": "10USA", "entity": "10USACO"},
    "auth": {"client_id": "ML", "username": "mlc", "password": "secret:qad"},
}
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20).map("<{}>".format)
codes = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_categories=("Cc", "Zs", "Cf")), min_size=1, max_size=18
)
amounts = st.decimals(min_value=-(10**12), max_value=10**12, places=4)
days = st.dates(min_value=date(1900, 1, 1))
maybe = st.none() | texts


def settings(**entities: Any) -> QadSettings:
    return settings_of({**TOLD, "entities": entities})


def wire(values: dict[str, Any]) -> dict[str, Any]:
    """Out to the wire and back as JSON."""
    told: dict[str, Any] = convert.decode(convert.encode(values))
    return told


@given(
    st.builds(
        Account,
        number=codes,
        name=texts,
        phone=maybe,
        email=maybe,
        active=st.booleans(),
        currency=st.sampled_from(["EUR", "USD"]),
        credit_limit=st.none() | st.builds(Money, amounts, st.just("EUR")),
        billing=st.builds(Address, street=texts, city=maybe, region=maybe, postal_code=maybe, country=maybe),
    )
)
def test_an_account_comes_back_from_the_wire_as_it_went(account: Account) -> None:
    told = FieldMap("account", settings())
    back, warnings = told.entity(wire(told.values(account)))
    assert isinstance(back, Account)
    limit = Money(account.credit_limit.amount, str(account.currency)) if isinstance(account.credit_limit, Money) else None
    for name in ("number", "name", "phone", "email", "active", "currency", "billing"):
        assert getattr(back, name) == getattr(account, name)
    assert (back.credit_limit, warnings) == (limit, ())


@given(days)
def test_a_date_is_a_plain_date_in_every_zone(day: date) -> None:
    assert convert.day(day.strftime(LAYOUT), LAYOUT) == day


@given(amounts)
def test_no_amount_changes_on_the_way_to_qad_and_back(amount: Decimal) -> None:
    assert convert.number(wire({"listPrice": amount})["listPrice"]) == amount


@given(st.lists(codes, min_size=2, max_size=4))
def test_a_key_of_several_parts_comes_back_whole_whatever_its_parts_hold(parts: list[str]) -> None:
    names = tuple(f"key{n}" for n in range(len(parts)))
    component = Component(path="supplierInvoices", keys=names)
    record_id = ".".join(convert.escape(part) for part in parts)
    assert keys_of(component, record_id) == dict(zip(names, parts, strict=True))


@given(codes, st.integers(1, 1000), st.decimals("0.01", "9999", places=2), st.integers(0, 99))
def test_a_line_with_a_discount_nets_the_same_on_both_sides(sku: str, quantity: int, price: Decimal, percent: int) -> None:
    lines = settings().entities.order.lines
    line = Line(
        key="1", sku=sku, quantity=Decimal(quantity), unit_price=price, discount_percent=Decimal(percent) if percent else UNSET
    )
    back = line_of({**wire(line_values(line, lines, LAYOUT)), lines.number: 1}, lines, settings())
    assert (back.sku, back.quantity, back.unit_price) == (sku.strip(), line.quantity, price)
    assert back.net == quantity * price * (100 - percent) / 100
    assert back.discount_percent == line.discount_percent


def test_what_a_record_does_not_have_is_unset_and_what_is_empty_is_none() -> None:
    told = FieldMap("account", settings())
    entity, _ = told.entity({"customerCode": "C-1", "telephone": "", "addressName": "Acme"})
    assert isinstance(entity, Account)
    assert (entity.phone, entity.fax, entity.billing) == (None, UNSET, UNSET)


def test_a_status_without_a_word_of_ours_is_unknown_and_told() -> None:
    entity, warnings = FieldMap("purchase_order", settings()).entity({"purchaseOrderNumber": "PO1", "orderStatus": "Q"})
    assert isinstance(entity, PurchaseOrder)
    assert entity.status == "Unknown"
    assert warnings == ('status "Q" is not in states',)


def test_a_value_of_another_shape_is_left_out_and_told() -> None:
    entity, warnings = FieldMap("order", settings()).entity({"salesOrderNumber": "SO1", "dueDate": "soon"})
    assert isinstance(entity, Order)
    assert entity.wanted_on is UNSET
    assert warnings and "wanted_on was left out" in warnings[0]


def test_custom_fields_are_told_under_their_names_and_dates_among_them_as_dates() -> None:
    place = {"custom_fields": {"region": "customShort2", "promised": "customDate1", "weight": "customDecimal0"}}
    entity, _ = FieldMap("order", settings(order=place)).entity(
        {"customShort2": "NORTH", "customDate1": "2026-01-15T00:00:00.000Z", "customDecimal0": Decimal("1.50")}
    )
    assert entity.extra == Extra({"region": "NORTH", "promised": date(2026, 1, 15), "weight": Decimal("1.5")})


def test_a_version_does_not_depend_on_how_numbers_and_empty_fields_are_written() -> None:
    told = FieldMap("product", settings())
    watched = told.wires
    one = told.digest({"itemCode": "P-1", "listPrice": Decimal("10.00"), "description2": ""}, watched)
    assert one == told.digest({"itemCode": "P-1", "listPrice": 10, "description2": None, "siteCode": "10-100"}, watched)
    assert one != told.digest({"itemCode": "P-1", "listPrice": Decimal("10.01")}, watched)


def test_names_of_other_records_are_their_codes_without_blanks() -> None:
    entity, _ = FieldMap("order", settings()).entity({"soldToCustomerCode": "C.10/1  "})
    assert isinstance(entity, Order)
    assert entity.customer == Ref("account", "C.10/1")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"entities": {"vendor": {"fields": {"category": "bankNumberRefV2s"}}}}, "bank data"),
        ({"entities": {"vendor": {"fields": {"colour": "customShort0"}}}}, "vendor has no field colour"),
        ({"base_url": "http://acme.qad.com/clouderp"}, "https://"),
        ({"base_url": "https://user:secret@acme.qad.com/clouderp"}, "not a plain address"),
        ({"auth": {"mode": "basic", "username": "mlc"}}, "password: missing"),
        ({"entities": {"order": {"window_field": "createdDate"}}}, "createdDate is not among its fields"),
        ({"browse": {"page_size": 100_000}}, "5000"),
    ],
)
def test_a_profile_that_cannot_work_is_told_before_the_first_call(told: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        settings_of({**TOLD, **told})


def test_an_override_leaves_the_rest_of_the_profile_as_it_is() -> None:
    place = {"browse_id": "urn:browse:mfg:gp340", "prefix": "pt_mstr", "fields": {"category": ""}}
    chosen = settings(product=place)
    assert chosen.entities.product.component.path == "items"
    assert "category" not in chosen.fields("product")
    assert chosen.fields("product")["name"] == ("description",)
    assert chosen.base_url == "https://acme.qad.com/clouderp"
