"""Orders, quotes, deals and price lists: lines, prices, states, and what is said when half of it worked."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain import UNSET, Address, Deal, Line, Money, Order, Price, PriceList, Quote, Ref
from ml_connector.ports.sink import Conflict, Key, Rejected, Unknown, Written
from ml_connector.twin import Fault


def line(key: str, price: str = "10", **fields: Any) -> Line:
    told = {"description": f"Item {key}", "quantity": Decimal(2), "unit_price": Decimal(price), **fields}
    return Line(key=key, **told)


def order(world: Any, number: str = "100234", **fields: Any) -> Order:
    told = {"customer": Ref("account", world.account()), "lines": (line("1"),), **fields}
    return Order(number=number, name=f"SO {number}", **told)


async def test_an_order_arrives_with_its_number_customer_address_date_and_lines(dynamics: Callable[..., Any]) -> None:
    """One operation: header and lines stand together or not at all."""
    world = dynamics()
    product = world.product()
    made = await world.create(
        "order",
        order(
            world,
            wanted_on=date(2026, 12, 1),
            ship_to=Address(street="Kai 4\n2nd floor", city="Bergen", postal_code="5003", country="Norway"),
            lines=(line("10", product=Ref("product", product), unit_price=Decimal(199)), line("20", unit_price=Decimal(50))),
        ),
    )
    values = world.twin.records("salesorder")[made.id].values
    assert (values["ordernumber"], values["requestdeliveryby"]) == ("100234", "2026-12-01T12:00:00Z")
    assert (values["shipto_line1"], values["shipto_line2"], values["shipto_city"]) == ("Kai 4", "2nd floor", "Bergen")
    catalogue, written_in = sorted(world.lines_of(made.id), key=lambda values: values["lineitemnumber"])
    assert (catalogue["productid"], catalogue["priceperunit"], catalogue["ispriceoverridden"]) == (product, 199, True)
    assert (written_in["isproductoverridden"], written_in["productdescription"]) == (True, "Item 20")
    assert values["totalamount"] == Decimal("498.00")
    assert world.asked("POST", "/$batch") == 1


async def test_a_date_means_the_same_day_everywhere(dynamics: Callable[..., Any]) -> None:
    """The column holds an instant: noon where the users are, so that it is the same day for all of them."""
    world = dynamics(date_zone="Pacific/Auckland")
    made = await world.create("order", order(world, wanted_on=date(2026, 12, 1)))
    assert world.twin.records("salesorder")[made.id].values["requestdeliveryby"] == "2026-11-30T23:00:00Z"
    record = await world.read("order", made.id)
    assert record.entity.wanted_on == date(2026, 12, 1)


async def test_an_unknown_item_is_written_in_or_refused_as_configured(dynamics: Callable[..., Any]) -> None:
    """Neither is a guess: the user says which."""
    world = dynamics()
    made = await world.create("order", order(world, lines=(line("1", sku="NO-1"),)))
    assert world.lines_of(made.id)[0]["productdescription"] == "Item 1"
    strict = world.again(unknown_items="reject")
    outcome = await strict.create("order", order(strict, "100235", lines=(line("1", sku="NO-1"),)))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("NO_PRODUCT", "lines.product")
    assert len(world.twin.records("salesorder")) == 1


async def test_an_item_is_found_by_its_number_and_sold_in_the_unit_that_the_line_names(dynamics: Callable[..., Any]) -> None:
    """The unit must be of the product's own group; a name of the ERP's is translated by the settings."""
    world = dynamics(units={"DZ": "Dozen"})
    product = world.product("GB-12")
    made = await world.create("order", order(world, lines=(line("1", sku="gb-12", unit="DZ"),)))
    [stored] = world.lines_of(made.id)
    assert stored["productid"] == product
    assert world.twin.records("uom")[stored["uomid"]].values["name"] == "Dozen"
    outcome = await world.create("order", order(world, "2", lines=(line("1", sku="GB-12", unit="KG"),)))
    assert isinstance(outcome, Rejected)
    assert outcome.field == "lines.unit"


async def test_only_lines_that_differ_are_sent(dynamics: Callable[..., Any]) -> None:
    """Unchanged columns would start the customer's plug-ins for nothing."""
    world = dynamics()
    made = await world.create("order", order(world, lines=(line("1"), line("2"), line("3"))))
    before = {values["mlc_erplineno"]: values["salesorderdetailid"] for values in world.lines_of(made.id)}
    versions = {row.id: row.version for row in world.twin.records("salesorderdetail").values()}
    await world.change("order", made, Order(lines=(line("2"), line("3", "12"), line("4"))))
    after = {values["mlc_erplineno"]: values for values in world.lines_of(made.id)}
    assert sorted(after) == ["2", "3", "4"]
    assert after["2"]["salesorderdetailid"] == before["2"]
    assert world.twin.records("salesorderdetail")[before["2"]].version == versions[before["2"]]
    assert (after["3"]["salesorderdetailid"], after["3"]["priceperunit"]) == (before["3"], 12)


async def test_a_line_whose_item_dynamics_now_sells_becomes_a_catalogue_line(dynamics: Callable[..., Any]) -> None:
    """A write-in never turns by update: it goes, and another takes its place."""
    world = dynamics()
    made = await world.create("order", order(world, lines=(line("1", sku="IT-77"),)))
    [before] = world.lines_of(made.id)
    product = world.product("IT-77")
    await world.change("order", made, Order(lines=(line("1", sku="IT-77"),)))
    [after] = world.lines_of(made.id)
    assert (after["productid"], bool(after["isproductoverridden"])) == (product, False)
    assert after["salesorderdetailid"] != before["salesorderdetailid"]


async def test_an_order_and_its_lines_change_together_or_not_at_all(dynamics: Callable[..., Any]) -> None:
    """One line that Dataverse refuses takes the header's change back with it."""
    world = dynamics()
    product = world.product()
    made = await world.create("order", order(world))
    world.twin.env.rows["product"][product].values["statecode"] = 0
    entity = Order(description="changed", lines=(line("1"), line("2", product=Ref("product", product))))
    world.twin.env.rows["uom"].clear()  # so that the twin knows no unit of the product any more
    outcome = await world.change("order", made, entity)
    assert isinstance(outcome, Rejected)
    assert world.twin.records("salesorder")[made.id].values.get("description") is None
    assert len(world.lines_of(made.id)) == 1


async def test_a_line_that_a_person_changed_makes_the_order_a_conflict(dynamics: Callable[..., Any]) -> None:
    """Header and lines are one unit, even where pricing is skipped and the header does not move."""
    world = dynamics()
    made = await world.create("order", order(world))
    [stored] = world.lines_of(made.id)
    row = world.twin.records("salesorderdetail")[stored["salesorderdetailid"]]
    world.twin.env.update("salesorderdetail", row, {"quantity": Decimal(9)}, world.twin.env.person)
    outcome = await world.change("order", made, Order(lines=(line("1", "11"),)))
    assert isinstance(outcome, Conflict)
    assert world.lines_of(made.id)[0]["priceperunit"] == 10


async def test_an_edit_between_the_look_and_the_write_is_a_conflict(dynamics: Callable[..., Any]) -> None:
    """The header's ETag guards header and lines, also where only lines are changed."""
    world = dynamics()
    made = await world.create("order", order(world))
    twin = world.twin

    async def meddling(request: Any) -> Any:
        if request.method == "POST":
            twin.edit_as_person("salesorder", made.id, description="Edited by Sam")
        return await twin(request)

    world.host.transport.twin = meddling
    outcome = await world.change("order", made, Order(lines=(line("1", "11"),)))
    world.host.transport.twin = twin
    assert outcome == Conflict(current=(await world.read("order", made.id)).version, id=made.id)
    assert world.lines_of(made.id)[0]["priceperunit"] == 10


async def test_a_discount_in_percent_becomes_an_amount_and_comes_back_as_percent(dynamics: Callable[..., Any]) -> None:
    """Dataverse keeps amounts; nothing is lost beyond the cent."""
    world = dynamics()
    made = await world.create("order", order(world, lines=(line("1", "100", discount_percent=Decimal("12.5")),)))
    assert world.lines_of(made.id)[0]["manualdiscountamount"] == Decimal("25.00")
    record = await world.read("order", made.id)
    [read] = record.entity.lines
    assert (read.discount_percent, read.net) == (Decimal("12.50"), Decimal("175.00"))


async def test_a_total_that_differs_is_told(dynamics: Callable[..., Any]) -> None:
    """Dataverse adds up by itself: what it makes of the lines must be the order's own total, with tax or without."""
    world = dynamics()
    taxed = (line("1", tax=Decimal(5)),)
    for number, total, warned in (("1", "20", False), ("2", "25.00", False), ("3", "26", True)):
        made = await world.create("order", order(world, number, lines=taxed, total=Money(Decimal(total), "EUR")))
        assert bool(made.warnings) is warned


@pytest.mark.parametrize(
    ("word", "state", "status"),
    [("Released", 0, 2), ("Delivered", 3, 100001), ("Invoiced", 4, 100003), ("Cancelled", 2, 4)],
)
@pytest.mark.parametrize("binding", ["collection", "unbound"])
async def test_an_order_gets_its_state(dynamics: Callable[..., Any], word: str, state: int, status: int, binding: str) -> None:
    """Closing states by the messages that close, in whichever of the two forms the release knows."""
    world = dynamics()
    world.twin.fulfil_binding = binding
    made = await world.create("order", order(world, status=word))
    assert isinstance(made, Written)
    values = world.twin.records("salesorder")[made.id].values
    assert (values["statecode"], values["statuscode"]) == (state, status)
    record = await world.read("order", made.id)
    assert (record.entity.status, record.version) == (word, made.version)


async def test_a_delivered_order_that_is_open_again_is_opened_before_it_is_edited(dynamics: Callable[..., Any]) -> None:
    """A closed order takes no changes."""
    world = dynamics()
    made = await world.create("order", order(world, status="Delivered"))
    closed = await world.change("order", made, Order(description="too late"))
    assert isinstance(closed, Rejected)
    opened = await world.change("order", made, Order(description="more", status="Released"))
    assert isinstance(opened, Written)
    values = world.twin.records("salesorder")[made.id].values
    assert (values["statecode"], values["description"]) == (0, "more")


async def test_a_state_that_nothing_stands_for_is_refused_before_anything_is_written(dynamics: Callable[..., Any]) -> None:
    """A setting that names a status which the environment lacks costs no order."""
    world = dynamics(order_status={"Released": 100099})
    outcome = await world.create("order", order(world, status="Released"))
    assert isinstance(outcome, Rejected)
    assert outcome.field == "status"
    assert not world.twin.records("salesorder")


async def test_an_order_that_was_written_while_its_state_was_not_is_never_called_unwritten(
    dynamics: Callable[..., Any],
) -> None:
    """The half that stands is said, and a repetition completes it."""
    world = dynamics()
    world.twin.faults.add(Fault("lost_before", path="$batch", skip=1, times=9))  # the order goes through, its state does not
    entity = order(world, status="Delivered")
    outcome = await world.create("order", entity)
    assert isinstance(outcome, Unknown)
    assert outcome.reason.startswith("the record was written")
    world.twin.faults.calm()
    again = await world.create("order", entity)
    assert isinstance(again, Written)
    [row] = world.twin.records("salesorder").values()
    assert row.values["statecode"] == 3


async def test_an_order_whose_answer_was_lost_meets_itself(dynamics: Callable[..., Any]) -> None:
    """It is in doubt until somebody looks. Its id follows from its number, so that not even a second order would be one."""
    world = dynamics()
    world.twin.faults.add(Fault("lost_after", method="POST", path="$batch"))
    assert isinstance(await world.create("order", order(world)), Unknown)
    [row] = world.twin.records("salesorder").values()
    world.twin.env.defs["salesorder"].keys.clear()
    again = await world.again().create("order", order(world))
    assert (again.id, again.created, len(world.twin.records("salesorder"))) == (row.id, False, 1)


async def test_the_number_of_an_order_is_never_sent_again(dynamics: Callable[..., Any]) -> None:
    """It cannot be modified, and the twin refuses to."""
    world = dynamics()
    made = await world.create("order", order(world))
    assert isinstance(await world.change("order", made, Order(number="100234", description="x")), Written)


async def test_a_contact_is_the_customer_where_there_is_no_account(dynamics: Callable[..., Any]) -> None:
    """One lookup holds either; beside an account the contact has no place, and that is told."""
    world = dynamics()
    person = world.twin.insert_as_person("contact", lastname="Berg")
    made = await world.create("order", order(world, customer=None, contact=Ref("contact", person)))
    record = await world.read("order", made.id)
    assert (record.entity.customer, record.entity.contact) == (None, Ref("contact", person))
    both = await world.create("order", order(world, "2", contact=Ref("contact", person)))
    assert both.warnings == ("contact has no place beside the customer",)
    assert (await world.read("order", both.id)).entity.contact is UNSET  # not known, rather than none


async def test_without_a_column_for_line_keys_only_numbers_will_do(dynamics: Callable[..., Any]) -> None:
    """A key that cannot be kept would double the line with the next update."""
    world = dynamics(line_key="mlc_nothing")
    assert isinstance(await world.create("order", order(world)), Written)
    outcome = await world.create("order", order(world, "2", lines=(line("1-1"),)))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("NO_LINE_KEY", "lines.key")


async def test_a_quote_is_made_as_a_draft_and_then_activated(dynamics: Callable[..., Any]) -> None:
    """Lines go in while it is a draft; won from a draft it is activated on the way."""
    world = dynamics()
    entity = Quote(number="Q-1", name="Offer", customer=Ref("account", world.account()), lines=(line("1"),), status="Active")
    made = await world.create("quote", entity)
    assert world.twin.records("quote")[made.id].values["statecode"] == 1
    other = Quote(number="Q-2", name="Offer", customer=Ref("account", world.account()), lines=(line("1"),), status="Won")
    won = await world.create("quote", other)
    assert world.twin.records("quote")[won.id].values["statecode"] == 2


async def test_of_a_revised_quote_the_latest_revision_is_found(dynamics: Callable[..., Any]) -> None:
    """Revisions share the number; the revised ones are history."""
    world = dynamics()
    made = await world.create(
        "quote", Quote(number="Q-1", name="Offer", customer=Ref("account", world.account()), status="Active")
    )
    revision = world.twin.act_as_person("ReviseQuote", QuoteId=made.id, ColumnSet={"AllColumns": True})
    again = await world.create("quote", Quote(number="Q-1", name="Better offer"))
    assert (again.id, again.created) == (revision, False)


async def test_a_deal_is_won_and_lost_and_opened_again(dynamics: Callable[..., Any]) -> None:
    """Three words, three states, by the messages that close opportunities."""
    world = dynamics()
    entity = Deal(
        number="D-1", name="Cranes", account=Ref("account", world.account()), amount=Money(Decimal("9.90"), "SEK"), status="won"
    )
    made = await world.create("deal", entity)
    assert (await world.read("deal", made.id)).entity.amount == Money(Decimal("9.90"), "SEK")
    for word, state in (("lost", 2), ("open", 0), ("won", 1)):
        if word == "lost":
            made = await world.change("deal", made, Deal(status="open"))
        made = await world.change("deal", made, Deal(status=word))
        assert world.twin.records("opportunity")[made.id].values["statecode"] == state
        assert (await world.read("deal", made.id)).entity.status == word


async def test_a_lead_is_a_deal_where_the_settings_say_so(dynamics: Callable[..., Any]) -> None:
    """The same kind from another table; leads have no lines."""
    world = dynamics(deals="lead", keys={"deal": "companyname"})
    made = await world.create("deal", Deal(number="L-1", name="Wants cranes", amount=Money(Decimal(5), "EUR")))
    record = await world.read("deal", made.id)
    assert (record.entity.name, record.entity.status) == ("Wants cranes", "open")
    assert "lines" not in await world.connection.sinks["deal"].accepts()


async def test_a_price_list_keeps_one_price_per_product(dynamics: Callable[..., Any]) -> None:
    """Items follow the list; those in further units are a person's business and stay."""
    world = dynamics()
    first, second = world.product("A"), world.product("B")
    prices = tuple(Price(product=Ref("product", one), amount=Decimal("9.90")) for one in (first, second))
    made = await world.create("price_list", PriceList(number="PL-1", name="Retail", currency="EUR", prices=prices))
    assert len(world.lines_of(made.id, "productpricelevel", "pricelevelid")) == 2
    made = await world.change(
        "price_list", made, PriceList(prices=(Price(product=Ref("product", first), amount=Decimal("8.50")),))
    )
    [item] = world.lines_of(made.id, "productpricelevel", "pricelevelid")
    assert (item["productid"], item["amount"]) == (first, Decimal("8.50"))
    record = await world.read("price_list", made.id)
    assert record.entity.prices == (Price(product=Ref("product", first), amount=Decimal("8.50")),)


async def test_a_price_from_a_quantity_on_is_refused(dynamics: Callable[..., Any]) -> None:
    """A price list has no place for it, and leaving it out would sell at the wrong price."""
    world = dynamics()
    price = Price(product=Ref("product", world.product()), amount=Decimal(9), from_quantity=Decimal(100))
    outcome = await world.create("price_list", PriceList(number="PL-1", name="Retail", currency="EUR", prices=(price,)))
    assert isinstance(outcome, Rejected)
    assert outcome.field == "prices"


async def test_an_order_in_the_price_lists_currency_gets_the_price_list(dynamics: Callable[..., Any]) -> None:
    """Dataverse refuses a price list in another currency than the record's."""
    world = dynamics(price_list="Standard")
    for number, currency, has in (("1", "EUR", True), ("2", "SEK", False)):
        made = await world.create("order", order(world, number, currency=currency))
        assert (world.twin.records("salesorder")[made.id].values.get("pricelevelid") is not None) is has


async def test_the_erps_number_is_also_the_number_that_people_see(dynamics: Callable[..., Any]) -> None:
    """Where the key is a column of its own, so that it can be written back to orders that began in Dynamics."""
    world = dynamics(keys={"order": "mlc_erporderno"}, extra_columns=["ordernumber"])
    world.twin.definitions.add_column("salesorder", "mlc_ErpOrderNo", "text")
    made = await world.create("order", order(world))
    values = world.twin.records("salesorder")[made.id].values
    assert (values["ordernumber"], values["mlc_erporderno"]) == ("100234", "100234")
    theirs = world.twin.insert_as_person("salesorder", name="Won", customerid=world.account())
    record = await world.read("order", theirs)
    assert record.entity.number is None
    assert record.entity.extra["ordernumber"].startswith("ORD-")
    assert record.entity.external_reference == record.entity.extra["ordernumber"], (
        "by this the ERP knows it until it has a number"
    )
    key = Key("external_reference", record.entity.external_reference)
    assert [found.id for found in (await world.connection.sinks["order"].find([key]))[key]] == [theirs]
    numbered = await world.change("order", record, Order(number="100235"))
    assert isinstance(numbered, Written)
    record = await world.read("order", theirs)
    assert (record.entity.number, record.entity.external_reference) == ("100235", UNSET)


async def test_a_deal_that_nobody_numbers_is_known_by_its_own_id(dynamics: Callable[..., Any]) -> None:
    world = dynamics(keys={"deal": "opportunityid"})
    theirs = world.twin.insert_as_person("opportunity", name="Pumps")
    assert (await world.read("deal", theirs)).entity.number == theirs
    sink, known, strange = world.connection.sinks["deal"], Key("number", theirs), Key("number", "77")
    found = await sink.find([known, strange])
    assert ([record.id for record in found[known]], found[strange]) == ([theirs], [])
    assert "number" not in await sink.accepts()
