"""From a source record to what the target shall hold."""

import datetime as dt
from decimal import Decimal

import msgspec
import pytest

from ml_connector.domain import UNSET, Address, Deal, Extra, Line, Money, Order, Ref
from ml_connector.errors import ContractBroken, RecordRejected
from ml_connector.flows import Assignment, Flow, in_order
from ml_connector.flows.fields import Projection, misnamed, plain, refs_of, with_refs

ORDER = Order(
    number="10042",
    status="Released",
    customer=Ref("account", "C-100"),
    total=Money(Decimal("75.00"), "EUR"),
    wanted_on=dt.date(2026, 2, 1),
    lines=(Line(key="1", product=Ref("product", "P-1"), net=Decimal("75.00")),),
    extra=Extra({"region": "N"}),
)
FLOW = Flow(name="orders", left="erp", right="crm", entity="order", target="deal")
ACCEPTS = frozenset({"number", "name", "amount", "stage", "account", "closing_on", "description", "extra.Region"})


def flow(*sets: Assignment, **changes: object) -> Flow:
    return msgspec.structs.replace(FLOW, sets=sets, **changes)


def test_an_order_becomes_a_deal_with_the_fields_that_the_target_can_store() -> None:
    deal = Projection(FLOW, ACCEPTS)(ORDER)
    assert deal == Deal(
        number="10042",
        name="10042",
        amount=Money(Decimal("75.00"), "EUR"),
        account=Ref("account", "C-100"),
        closing_on=dt.date(2026, 2, 1),
    )


def test_where_leaves_a_record_out() -> None:
    assert Projection(flow(where=lambda data: data["status"] != "Released"), ACCEPTS)(ORDER) is None


def test_an_override_sets_a_field_of_the_target_in_its_own_type() -> None:
    sets = (
        Assignment("stage", lambda data: "Closed Won", "'Closed Won'"),
        Assignment("closing_on", lambda data: "2026-03-04", "'2026-03-04'"),
        Assignment("extra.Region", lambda data: data["extra"]["region"], "extra.region"),
    )
    deal = Projection(flow(*sets), ACCEPTS)(ORDER)
    assert deal is not None
    assert (deal.stage, deal.closing_on, deal.extra) == ("Closed Won", dt.date(2026, 3, 4), Extra({"Region": "N"}))


def test_a_float_in_an_expression_is_the_decimal_that_was_written() -> None:
    deal = Projection(flow(Assignment("extra.Region", lambda data: 0.1, "`0.1`")), ACCEPTS)(ORDER)
    assert deal is not None
    assert deal.extra == Extra({"Region": Decimal("0.1")})


def test_an_override_of_the_wrong_type_sets_the_record_aside() -> None:
    with pytest.raises(RecordRejected, match="closing_on") as caught:
        Projection(flow(Assignment("closing_on", lambda data: "soon", "'soon'")), ACCEPTS)(ORDER)
    assert caught.value.field == "closing_on"


def test_an_override_without_a_place_at_the_target_stops_the_flow_before_anything_is_written() -> None:
    with pytest.raises(ContractBroken, match=r"extra\.Cost_Center"):
        Projection(flow(Assignment("extra.Cost_Center", lambda data: "1", "'1'")), ACCEPTS)


def test_a_flow_limited_to_fields_touches_nothing_else_but_the_key_of_what_it_creates() -> None:
    limited = flow(fields=frozenset({"amount"}))
    assert Projection(limited, ACCEPTS)(ORDER) == Deal(number="10042", amount=Money(Decimal("75.00"), "EUR"))
    updates = msgspec.structs.replace(limited, writes="update")
    assert Projection(updates, ACCEPTS)(ORDER) == Deal(amount=Money(Decimal("75.00"), "EUR"))


def test_expressions_see_decimals_and_iso_dates_and_no_unset_fields() -> None:
    data = plain(ORDER)
    assert data["total"]["amount"] == Decimal("75.00")
    assert data["wanted_on"] == "2026-02-01"
    assert "currency" not in data


def test_every_named_record_is_found_and_renamed() -> None:
    names = {Ref("account", "C-100"): Ref("account", "z1"), Ref("product", "P-1"): UNSET}
    assert set(refs_of(ORDER)) == set(names)
    renamed = with_refs(ORDER, names)
    assert isinstance(renamed, Order)
    assert renamed.customer == Ref("account", "z1")
    assert isinstance(renamed.lines, tuple)
    assert renamed.lines[0].product is UNSET


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("total.amount", None),
        ("extra.Any_Thing", None),
        ("totl", "totl"),
        ("total.amont", "total.amont"),
        ("status.x", "status.x"),
    ],
)
def test_a_path_is_checked_against_the_entity(path: str, wrong: str | None) -> None:
    assert misnamed(path, "order") == wrong


def test_an_address_part_can_be_set_alone() -> None:
    where = Flow(
        name="customers",
        left="erp",
        right="crm",
        entity="account",
        target="account",
        sets=(Assignment("billing.country", lambda data: "SE", "'SE'"),),
    )
    from ml_connector.domain import Account

    account = Projection(where, frozenset({"number", "billing"}))(Account(number="C-100", billing=Address(city="Oslo")))
    assert account == Account(number="C-100", billing=Address(city="Oslo", country="SE"))


def test_flows_run_after_those_they_name() -> None:
    customers = Flow(name="customers", left="erp", right="crm", entity="account", target="account")
    orders = flow(after=("customers",))
    assert [each.name for each in in_order([orders, customers])] == ["customers", "orders"]
