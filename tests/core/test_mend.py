"""What a person decides about records that wait: values in place of the source's, and whose side wins a clash."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from engine import CUSTOMERS, Engine, customer
from test_two_way import PARTIES, Parties

from ml_connector.domain import Account, Address, Deal, Extra, Line, Money
from ml_connector.errors import ConfigError
from ml_connector.ports.sink import Rejected
from ml_connector.use_cases.mend import given, mend


def test_values_are_read_as_their_fields_types() -> None:
    texts = {"name": "Acme", "phone": "", "credit_limit": "12.50 eur", "active": "true", "employees": "7", "extra.a": "x"}
    assert given("account", texts) == Account(
        name="Acme", phone=None, credit_limit=Money(Decimal("12.50"), "EUR"), active=True, employees=7, extra=Extra({"a": "x"})
    )
    assert given("account", {"billing.city": "Oslo"}) == Account(billing=Address(city="Oslo"))
    assert given("deal", {"closing_on": "2026-01-31"}) == Deal(closing_on=dt.date(2026, 1, 31))


def test_every_mistake_in_given_values_is_told_at_once() -> None:
    texts = {"phon": "1", "credit_limit": "much", "employees": "x", "parent": "C-1", "closing_on": "2026-01-31"}
    with pytest.raises(ConfigError) as caught:
        given("account", texts)
    assert len(caught.value.mistakes) == 5


async def test_a_refused_value_is_replaced_until_the_source_says_something_new() -> None:
    engine = Engine("sweep", places={"name": 8})
    acme = engine.erp.put(customer(name="A name too long"))
    engine.crm.rules.append(lambda kind, entity: _short(entity))
    assert (await engine.run()).counts.rejected == 1
    await mend(CUSTOMERS, [await engine.link("C-100")], engine.world, values=Account(name="Short"))
    assert (await engine.run()).outcome == "green"
    assert engine.there()["C-100"].name == "Short"
    engine.erp.edit_as_person("account", acme, phone="2")
    assert (await engine.run()).outcome == "green"
    assert (engine.there()["C-100"].name, engine.there()["C-100"].phone) == ("Short", "2")
    engine.erp.edit_as_person("account", acme, name="New")
    await engine.run()
    assert engine.there()["C-100"].name == "New"
    told = await engine.audit(lambda entry: entry.rule == "a person decided")
    assert [(change.field, change.new) for change in told[0].changes] == [("name", "Short")]


def _short(entity: Any) -> Rejected | None:
    return Rejected(code="TOO_LONG", reason="8", field="name") if len(entity.name or "") > 8 else None


@pytest.mark.parametrize("side", ["left", "right"])
async def test_a_clash_is_settled_for_the_side_that_a_person_takes(side: Any) -> None:
    engine = await Parties("feed").settled(fax="0", extra=Extra({"a": Decimal("1.5")}))
    engine.edit_here(fax="here")
    engine.edit_there(fax="there")
    await engine.go()
    await mend(PARTIES, [await engine.link("C-100", PARTIES)], engine.world, take=side)
    assert (await engine.go()).outcome == "green"
    winner = "here" if side == "left" else "there"
    assert (engine.here().fax, engine.over_there().fax) == (winner, winner)
    await engine.quiet()


async def test_a_clash_is_settled_with_a_third_value_on_both_sides() -> None:
    engine = await Parties("feed").settled(fax="0")
    engine.edit_here(fax="here")
    engine.edit_there(fax="there")
    await engine.go()
    await mend(PARTIES, [await engine.link("C-100", PARTIES)], engine.world, values=Account(fax="third"))
    await engine.go()
    assert (engine.here().fax, engine.over_there().fax) == ("third", "third")
    await engine.quiet()
    engine.edit_here(fax="fourth")
    await engine.go()
    assert engine.over_there().fax == "fourth"


async def test_clashing_lines_are_taken_whole_from_one_side() -> None:
    from ml_connector.domain import Order
    from ml_connector.flows import Flow

    flow = Flow(name="o", left="erp", right="crm", entity="order", target="order", two_way=True, owner="ask", signature="1")
    engine = Engine("feed", flow)
    line = Line(key="1", quantity=Decimal(1))
    here = engine.erp.put(Order(number="1", lines=(line,)))
    await engine.run(flow)
    there = engine.id_there("1", "order")
    engine.erp.edit_as_person("order", here, lines=(Line(key="1", quantity=Decimal(2)),))
    engine.crm.edit_as_person("order", there, lines=(Line(key="1", quantity=Decimal(3)),))
    assert (await engine.run(flow)).counts.conflicted
    await mend(flow, [await engine.link("1", flow)], engine.world, take="right")
    assert (await engine.run(flow)).outcome == "green"
    for system in (engine.erp, engine.crm):
        [order] = system.records("order").values()
        assert order.lines[0].quantity == 3  # type: ignore[union-attr, index]


async def test_there_must_be_something_to_take() -> None:
    engine = Engine("feed")
    engine.erp.put(customer())
    engine.crm.fail_once("C-100", Rejected(code="X", reason="no"))
    await engine.run()
    with pytest.raises(ConfigError, match="C-100 waits for no choice"):
        await mend(CUSTOMERS, [await engine.link("C-100")], engine.world, take="left")
