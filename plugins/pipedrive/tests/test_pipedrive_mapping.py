"""Records ↔ entities: what is written reads back as it was, and nothing that was not meant is touched."""

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import UNSET, Account, Address, Contact, Deal, Entity, Extra, Money, Product, Ref
from ml_connector.errors import RecordRejected
from ml_connector_contract_tests.strategies import addresses, amounts, numbers, texts
from ml_connector_pipedrive import mapping
from ml_connector_pipedrive.plan import Plan, Schema, plan_for
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.wire import Field, Option, Pipeline, Stage, Vendor

CUSTOM = {
    "ERP Customer No": "varchar",
    "Credit limit": "monetary",
    "Region": "varchar",
    "Score": "double",
    "Since": "date",
    "Status": "enum",
    "Tags": "set",
    "Blocked": "varchar",
}
OPTIONS = [Option(7, "Gold"), Option(8, "Silver")]
STAGES = (Stage(1, "Open", 1), Stage(2, "Sent", 1), Stage(3, "Open", 2), Stage(4, "Signed", 2))


def settings(**values: Any) -> Settings:
    told = {"api_token": "env:T", "fields": {"account.credit_blocked": "Blocked"}, **values}
    return msgspec.convert(told, Settings, dec_hook=lambda kind, value: kind(value))


def plan(kind: Any = "account", custom: dict[str, str] = CUSTOM, **values: Any) -> Plan:
    fields = {f"{n:040x}": (name, type_) for n, (name, type_) in enumerate(custom.items(), 1)}
    schema = {
        code: Field(name, code, type_, True, OPTIONS if type_ in ("enum", "set") else None)
        for code, (name, type_) in fields.items()
    }
    standard = [
        Field("W", "website", "varchar"),
        Field("E", "employee_count", "double"),
        Field("R", "annual_revenue", "double"),
    ]
    schema |= {field.field_code: field for field in standard}
    pipelines = (Pipeline(1, "Sales"), Pipeline(2, "Service"))
    return plan_for(kind, Schema(fields=schema, home="EUR", pipelines=pipelines, stages=STAGES), settings(**values))


def stored(plan: Plan, entity: Entity, row: Vendor | None = None) -> Vendor:
    """The row as Pipedrive keeps it after the write."""
    there = row or {"id": 1, "add_time": "2026-03-02T12:00:00Z", "custom_fields": {}, "currency": "EUR"}
    told = decoded(mapping.body(plan, entity, row))
    return {**there, **told, "custom_fields": {**there["custom_fields"], **told.get("custom_fields", {})}}


def decoded(body: Vendor) -> Vendor:
    """Through JSON and a double, as it goes."""
    sent = msgspec.json.Encoder(decimal_format="number").encode(body)
    return msgspec.json.Decoder(Any, float_hook=lambda text: Decimal(repr(float(text)))).decode(sent)  # type: ignore[no-any-return]


def maybe(value: Any) -> Any:
    return st.one_of(st.just(UNSET), st.none(), value)


ACCOUNTS = st.builds(
    Account,
    number=numbers(),
    name=texts(),
    website=maybe(texts()),
    employees=maybe(st.integers(0, 10**6)),
    billing=maybe(addresses()),
    credit_limit=maybe(st.builds(Money, amounts(), st.sampled_from(("EUR", "USD")))),
    credit_blocked=maybe(st.booleans()),
    extra=st.fixed_dictionaries(
        {},
        optional={
            "Region": st.one_of(st.none(), texts()),
            "Score": st.one_of(st.none(), amounts()),
            "Since": st.one_of(st.none(), st.dates()),
            "Status": st.sampled_from((None, "Gold", "Silver")),
            "Tags": st.sampled_from((None, "Gold", "Gold;Silver")),
        },
    ).map(Extra),
)


def agrees(wanted: Any, there: Any) -> bool:
    """What was set stands there; of an address the parts that were set."""
    if wanted is UNSET:
        return True
    if isinstance(wanted, Address):
        names = wanted.__struct_fields__
        told = {name: getattr(there, name) if there is not None else None for name in names}
        return all(agrees(getattr(wanted, name), told[name]) for name in names)
    if isinstance(wanted, Extra):
        return all(there.get(name) == value for name, value in wanted.items())
    return bool(wanted == there)


@given(ACCOUNTS)
def test_an_account_reads_back_as_it_was_written(account: Account) -> None:
    made = plan()
    there = mapping.record(made, stored(made, account)).entity
    assert there is not None
    for name in account.__struct_fields__:
        assert agrees(getattr(account, name), getattr(there, name)), name


@given(ACCOUNTS, ACCOUNTS)
def test_what_is_unset_stays_and_what_stands_there_is_not_sent_again(first: Account, second: Account) -> None:
    made = plan()
    row = stored(made, first)
    after = stored(made, second, row)
    before, there = mapping.record(made, row).entity, mapping.record(made, after).entity
    for name in second.__struct_fields__:
        wanted = getattr(second, name)
        assert agrees(wanted, getattr(there, name)), name
        if wanted is UNSET and name != "extra":
            assert getattr(there, name) == getattr(before, name), name
    assert mapping.body(made, second, after) == {}


@given(amounts())
def test_amounts_survive_a_double(amount: Decimal) -> None:
    made = plan("deal", {})
    there = mapping.record(made, stored(made, Deal(name="x", amount=Money(amount, "USD")))).entity
    assert isinstance(there, Deal)
    assert there.amount == Money(amount, "USD")


def test_digits_that_a_double_would_lose_are_refused() -> None:
    with pytest.raises(RecordRejected) as caught:
        mapping.body(plan("deal", {}), Deal(amount=Money(Decimal("12345678901234.56789"), "EUR")), None)
    assert caught.value.field == "amount"


@pytest.mark.parametrize(
    ("entity", "field"),
    [
        (Account(name="x" * 256), "name"),
        (Account(annual_revenue=Money(Decimal("0.5"), "EUR")), "annual_revenue"),
        (Account(annual_revenue=Money(Decimal(5), "USD")), "annual_revenue"),
        (Account(extra=Extra({"Status": "Platinum"})), "extra.Status"),
        (Account(extra=Extra({"Score": "many"})), "extra.Score"),
        (Account(extra=Extra({"Since": "soon"})), "extra.Since"),
        (Account(extra=Extra({"Nowhere": "x"})), "extra.Nowhere"),
        (Account(phone="+46"), "phone"),
    ],
)
def test_what_cannot_be_stored_is_refused_by_its_field(entity: Account, field: str) -> None:
    with pytest.raises(RecordRejected) as caught:
        mapping.body(plan(), entity, None)
    assert caught.value.field == field


def test_an_option_that_is_gone_is_not_known_rather_than_made_up() -> None:
    made = plan()
    code = made.columns["extra.Status"].code
    entity = mapping.record(made, {"id": 1, "custom_fields": {code: 99}}).entity
    assert entity is not None
    assert isinstance(entity.extra, Extra)
    assert "Status" not in entity.extra


def test_an_empty_custom_field_reads_the_same_left_out_or_null() -> None:
    made = plan()
    code = made.columns["extra.Region"].code
    told = mapping.record(made, {"id": 1, "custom_fields": {code: None}})
    assert told.version == mapping.record(made, {"id": 1, "custom_fields": {}}).version


def test_a_fresh_record_without_a_time_of_change_was_changed_when_it_was_made() -> None:
    row = {"id": 1, "update_time": None, "add_time": "2026-03-02T12:00:00.000Z"}
    assert mapping.record(plan(), row).changed_at == dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)


# -- addresses


def test_one_part_of_an_address_leaves_the_others() -> None:
    """Pipedrive clears the parts that a write leaves out."""
    made = plan()
    row = stored(made, Account(billing=Address(street="Storgatan 1\nPort B", city="Uppsala", country="SE")))
    told = mapping.body(made, Account(billing=Address(city="Lund")), row)
    assert told["address"]["route"] == "Storgatan 1\nPort B"
    assert (told["address"]["locality"], told["address"]["country"]) == ("Lund", "SE")


def test_house_numbers_that_people_typed_belong_to_the_street() -> None:
    row = {"id": 1, "address": {"value": "Main St 5, Leeds", "route": "Main St", "street_number": "5", "locality": "Leeds"}}
    entity = mapping.record(plan(), row).entity
    assert isinstance(entity, Account)
    assert entity.billing == Address(street="Main St 5", city="Leeds", region=None, postal_code=None, country=None)


# -- contacts


def test_a_changed_number_leaves_the_other_numbers() -> None:
    made = plan("contact", {})
    phones = [{"value": "1", "primary": True, "label": "work"}, {"value": "2", "primary": False, "label": "mobile"}]
    row = {"id": 1, "name": "Kim Berg", "first_name": "Kim", "last_name": "Berg", "phones": phones, "emails": []}
    told = mapping.body(made, Contact(phone="3", mobile="2", email="kim@acme.example"), row)
    assert told["phones"] == [{"value": "3", "primary": True, "label": "work"}, phones[1]]
    assert told["emails"] == [{"value": "kim@acme.example", "primary": True, "label": "work"}]
    assert mapping.body(made, Contact(mobile=None), row)["phones"] == [phones[0]]


def test_a_last_name_alone_keeps_the_first() -> None:
    row = {"id": 1, "name": "Kim Berg", "first_name": "Kim", "last_name": "Berg"}
    assert mapping.body(plan("contact", {}), Contact(last_name="Holm"), row) == {"name": "Kim Holm"}


# -- deals


@pytest.mark.parametrize(
    ("deal", "there", "pipeline", "stage"),
    [
        (Deal(stage="Sent"), None, 1, 2),
        (Deal(stage="Open"), None, 2, 3),  # the configured pipeline goes first
        (Deal(stage="Open"), {"pipeline_id": 1, "stage_id": 2}, 1, 1),  # the deal's own before it
        (Deal(stage="Signed"), {"pipeline_id": 1, "stage_id": 2}, 2, 4),  # and others where it has none
        (Deal(stage="Open", pipeline="Sales"), {"pipeline_id": 2, "stage_id": 4}, 1, 1),
        (Deal(pipeline="Sales"), {"pipeline_id": 2, "stage_id": 4}, 1, 1),
        (Deal(name="x"), None, 2, 3),
    ],
)
def test_a_stage_is_found_by_its_name(deal: Deal, there: Vendor | None, pipeline: int, stage: int) -> None:
    """Both ids are sent, what stands there already is not."""
    row = None if there is None else {"id": 1, **there}
    told = {**(there or {}), **mapping.body(plan("deal", {}, pipeline="Service"), deal, row)}
    assert (told["pipeline_id"], told["stage_id"]) == (pipeline, stage)


@pytest.mark.parametrize("deal", [Deal(stage="Nowhere"), Deal(pipeline="Nowhere"), Deal(stage="Signed", pipeline="Sales")])
def test_an_unknown_stage_is_told_with_those_that_there_are(deal: Deal) -> None:
    with pytest.raises(RecordRejected, match=r"Sales|Open"):
        mapping.body(plan("deal", {}), deal, None)


def test_a_deal_in_the_same_pipeline_keeps_its_stage() -> None:
    row = {"id": 1, "pipeline_id": 1, "stage_id": 2}
    assert mapping.body(plan("deal", {}), Deal(pipeline="Sales"), row) == {}


def test_a_lost_deal_says_why_where_the_user_wants_it() -> None:
    made = plan("deal", {}, lost_reason="Cancelled in ERP")
    told = mapping.body(made, Deal(status="lost"), {"id": 1, "status": "open"})
    assert told == {"status": "lost", "lost_reason": "Cancelled in ERP"}
    assert mapping.body(made, Deal(status="lost"), {"id": 1, "status": "lost", "lost_reason": "Price"}) == {}


def test_other_records_are_named_by_their_ids() -> None:
    made = plan("deal", {})
    told = mapping.body(made, Deal(account=Ref("account", "811"), contact=None), {"id": 1, "person_id": 5})
    assert told == {"org_id": 811, "person_id": None}


# -- products


def test_one_price_leaves_those_in_other_currencies() -> None:
    """Pipedrive may replace the whole list."""
    prices = [{"product_id": 1, "currency": "USD", "price": 5, "cost": 2}, {"product_id": 1, "currency": "EUR", "price": 4}]
    told = mapping.body(plan("product", {}), Product(list_price=Money(Decimal("4.50"), "EUR")), {"id": 1, "prices": prices})
    assert told["prices"] == [{"currency": "EUR", "price": Decimal("4.50")}, {"currency": "USD", "price": 5, "cost": 2}]


# -- fields by name


def test_two_fields_of_one_name_are_nobodys() -> None:
    made = plan()
    twice = {**made.schema.fields, "f" * 40: Field("Region", "f" * 40, "varchar", True)}
    again = plan_for("account", Schema(fields=twice), settings())
    assert "extra.Region" not in again.knows
    assert "2 custom fields" in again.wrong["extra.Region"]


@pytest.mark.parametrize(
    ("custom", "field"),
    [
        ({"ERP Customer No": "double"}, "number"),
        ({"Credit limit": "varchar"}, "credit_limit"),
        ({"Region": "text"}, "extra.Region"),
    ],
)
def test_a_field_of_the_wrong_type_is_not_used(custom: dict[str, str], field: str) -> None:
    made = plan(custom=custom, types={"account.Region": "varchar"})
    assert field in made.wrong
    assert field not in made.knows


def test_the_vendors_complaints_are_told_in_our_words() -> None:
    made = plan("deal", {"Region": "varchar"})
    assert made.canonical(f"custom_fields.{made.columns['extra.Region'].code}") == "extra.Region"
    assert [made.canonical(name) for name in ("title", "value", "stage_id", "weird")] == ["name", "amount", "stage", "weird"]
