"""Order lines at Zoho: as text, as rows of a subform, or as a sales order beside the deal."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import UNSET, Account, Deal, Line, Order, Product, Ref
from ml_connector.ports.sink import Create, Key, Later, Rejected, Unknown, Update, Written
from ml_connector.twin import Fault
from ml_connector_zoho_crm.lines import block, block_of, free_text, joined

BOLTS = Line(key="10", sku="B-1", description="Bolt", quantity=Decimal(5), unit="pcs", unit_price=Decimal("4.50"))
NUTS = Line(key="20", sku="N-1", description="Nut", quantity=Decimal(7), unit="pcs", unit_price=Decimal("0.30"))
SUBFORM = {"name": "Order_Lines", "key": "Line_No"}
IN_STAGE = {"stage": "Closed Won", "closing_on": date(2026, 3, 1)}
STAGE = {"deal": {"Stage": "Closed Won", "Closing_Date": "2026-03-01"}}


async def stocked(world):
    """Acme and its products, as earlier flows left them. Returns the account's and the products' ids."""
    write = Create(key=Key("number", "C-100"), entity=Account(number="C-100", name="Acme"))
    (acme,) = await world.connection.sinks["account"].write([write])
    writes = [Create(key=Key("number", n), entity=Product(number=n, name=n)) for n in ("B-1", "N-1")]
    bolt, nut = await world.connection.sinks["product"].write(writes)
    return acme.id, bolt.id, nut.id


async def order(world, *lines, number="10042", **values):
    entity = Deal(number=number, name=f"Order {number}", lines=lines, **values)
    (outcome,) = await world.connection.sinks["deal"].write([Create(key=Key("number", number), entity=entity)])
    world.pass_time(seconds=10)
    return outcome


async def change(world, deal, **changes):
    update = Update(id=deal.id, changes=Deal(**changes), version=deal.version)
    (outcome,) = await world.connection.sinks["deal"].write([update])
    world.pass_time(seconds=10)
    return outcome


def rows(world, subform, parent):
    table, owner = world.twin.records(subform), world.twin.records("Deals" if subform == "Order_Lines" else "Sales_Orders")
    return [table[row_id] for row_id in owner[parent][subform]]


@pytest.fixture
def with_subform(zoho):
    def build(**settings):
        world = zoho(**{"order_lines": "custom_subform", "subform": SUBFORM, "create_defaults": STAGE, **settings})
        cells = {"Line_No": "text", "Item_No": "text", "Quantity": "double", "Unit_Price": "currency", "Wanted_On": "date"}
        world.twin.add_subform("Deals", "Order_Lines", cells)
        return world

    return build


def elsewhere(world):
    """Another program at the same organisation."""
    return world.again(order_lines="custom_subform", subform=SUBFORM)


async def test_without_a_strategy_lines_are_not_accepted(zoho):
    assert "lines" not in await zoho().connection.sinks["deal"].accepts()


async def test_lines_stand_in_the_description_beside_what_people_wrote(zoho):
    world = zoho(order_lines="description", create_defaults=STAGE)
    deal = await order(world, BOLTS, NUTS, description="Call before delivery")
    told = world.twin.records("Deals")[deal.id]["Description"]
    assert told.startswith("Call before delivery\n")
    assert "10 | B-1 | Bolt | 5 pcs | at 4.50" in told
    (record,) = await world.connection.sources["deal"].fetch([deal.id])
    assert (record.entity.description, record.entity.lines) == ("Call before delivery", UNSET)


async def test_new_lines_replace_the_block_and_keep_the_text(zoho):
    world = zoho(order_lines="description", create_defaults=STAGE)
    deal = await order(world, BOLTS, description="Call before delivery")
    await change(world, deal, lines=(NUTS,))
    told = world.twin.records("Deals")[deal.id]["Description"]
    assert ("Nut" in told, "Bolt" in told, told.startswith("Call before delivery")) == (True, False, True)


async def test_a_new_description_keeps_the_lines(zoho):
    world = zoho(order_lines="description", create_defaults=STAGE)
    deal = await order(world, BOLTS, description="Call before delivery")
    await change(world, deal, description=None)
    told = world.twin.records("Deals")[deal.id]["Description"]
    assert told == block([BOLTS])


async def test_lines_too_many_for_the_description_are_rejected_not_cut(zoho):
    world = zoho(order_lines="description", create_defaults=STAGE)
    outcome = await order(world, *(Line(key=str(n), description="x" * 100) for n in range(400)))
    assert isinstance(outcome, Rejected)
    assert outcome.field == "lines"
    assert not world.twin.records("Deals")


@given(st.none() | st.text(alphabet=st.characters(exclude_characters="[]"), min_size=1).map(str.strip))
def test_free_text_and_block_come_apart_as_they_were_joined(text):
    together = joined(text or None, block([BOLTS]))
    assert (free_text(together), block_of(together)) == (text or None, block([BOLTS]))


async def test_lines_are_rows_of_the_subform_and_read_back_as_lines(with_subform):
    world = with_subform()
    deal = await order(world, BOLTS, NUTS)
    (record,) = await world.connection.sources["deal"].fetch([deal.id])
    assert [(line.key, line.sku, line.quantity) for line in record.entity.lines] == [("10", "B-1", 5), ("20", "N-1", 7)]


async def test_only_what_differs_is_sent_and_rows_keep_their_identity(with_subform):
    world = with_subform()
    deal = await order(world, BOLTS, NUTS)
    before = {row["Line_No"]: row["id"] for row in rows(world, "Order_Lines", deal.id)}
    screws = Line(key="30", sku="S-1", quantity=Decimal(1), wanted_on=date(2026, 4, 1))
    changed = Line(key="20", sku="N-1", quantity=Decimal(8), unit_price=Decimal("0.30"))
    await change(world, deal, lines=(changed, screws))
    after = {row["Line_No"]: row for row in rows(world, "Order_Lines", deal.id)}
    assert set(after) == {"20", "30"}
    assert (after["20"]["id"], after["20"]["Quantity"]) == (before["20"], Decimal(8))


async def test_an_order_seen_twice_has_its_lines_once(with_subform):
    world = with_subform()
    await order(world, BOLTS, NUTS)
    deal = await order(world, BOLTS, NUTS)
    assert len(rows(world, "Order_Lines", deal.id)) == 2


async def test_a_first_load_looks_none_of_its_orders_up(with_subform):
    world = with_subform(create_defaults={})
    world.twin.calls.clear()
    for number in ("10041", "10042", "10043"):
        await order(world, BOLTS, number=number, **IN_STAGE)
    assert len(world.paths("POST", "coql")) == 1


async def test_a_deal_that_sam_made_during_the_first_load_gets_the_lines_once(with_subform):
    world = with_subform(create_defaults={})
    await order(world, BOLTS, number="10041", **IN_STAGE)
    sams = await order(elsewhere(world), NUTS, **IN_STAGE)
    deal = await order(world, BOLTS, NUTS, **IN_STAGE)
    assert (deal.id, deal.created) == (sams.id, False)
    assert sorted(row["Line_No"] for row in rows(world, "Order_Lines", deal.id)) == ["10", "20"]


@pytest.mark.parametrize(
    "fault", [Fault(kind="status", path="coql", times=99), Fault(kind="lost_after", method="PUT", path="Deals")]
)
async def test_lines_that_stand_twice_are_not_told_as_written(with_subform, fault):
    world = with_subform(create_defaults={})
    await order(world, BOLTS, number="10041", **IN_STAGE)
    await order(elsewhere(world), BOLTS, **IN_STAGE)
    world.twin.faults.add(fault)
    deals = [Deal(number=number, name=number, lines=(BOLTS,), **IN_STAGE) for number in ("10042", "10043")]
    there, new = await world.connection.sinks["deal"].write([Create(key=Key("number", d.number), entity=d) for d in deals])
    assert (isinstance(there, Later | Unknown), isinstance(new, Written)) == (True, True)
    world.twin.faults.calm()
    deal = await order(world, BOLTS, **IN_STAGE)
    assert len(rows(world, "Order_Lines", deal.id)) == 1


async def test_equal_lines_cost_no_write(with_subform):
    world = with_subform()
    deal = await order(world, BOLTS)
    world.twin.calls.clear()
    outcome = await change(world, deal, lines=(BOLTS,))
    assert outcome == Written(id=deal.id, version=deal.version)
    assert world.paths("PUT", "Deals") == []


async def test_a_deal_that_sam_changed_keeps_its_lines(with_subform):
    world = with_subform()
    deal = await order(world, BOLTS)
    world.twin.edit_as_person("Deals", deal.id, Next_Step="Call")
    outcome = await change(world, deal, lines=())
    assert outcome.current == "2026-03-02T12:00:10+00:00"
    assert len(rows(world, "Order_Lines", deal.id)) == 1


async def test_an_order_has_its_lines_with_products_prices_and_discount(zoho):
    world = zoho()
    acme, bolt, _ = await stocked(world)
    line = Line(
        key="10", product=Ref("product", bolt), quantity=Decimal(4), unit_price=Decimal(25), discount_percent=Decimal(10)
    )
    entity = Order(number="10042", name="Order 10042", customer=Ref("account", acme), lines=(line,))
    (written,) = await world.connection.sinks["order"].write([Create(key=Key("number", "10042"), entity=entity)])
    (record,) = await world.connection.sources["order"].fetch([written.id])
    (there,) = record.entity.lines
    assert (there.product, there.quantity, there.discount_percent, there.net) == (Ref("product", bolt), 4, 10, 90)


async def test_an_order_line_without_a_product_that_zoho_knows_is_rejected_by_name(zoho):
    world = zoho()
    acme, *_ = await stocked(world)
    lines = (Line(key="10", sku="GHOST", quantity=Decimal(1)),)
    entity = Order(number="10042", name="Order 10042", customer=Ref("account", acme), lines=lines)
    (outcome,) = await world.connection.sinks["order"].write([Create(key=Key("number", "10042"), entity=entity)])
    assert (outcome.field, "line 10" in outcome.reason, "GHOST" in outcome.reason) == ("lines", True, True)


def sales_order_world(zoho):
    return zoho(order_lines="sales_order", create_defaults=STAGE)


async def test_a_deal_with_lines_gets_a_sales_order_beside_it(zoho):
    world = sales_order_world(zoho)
    acme, bolt, _ = await stocked(world)
    deal = await order(world, BOLTS, NUTS, account=Ref("account", acme))
    ((order_id, row),) = world.twin.records("Sales_Orders").items()
    assert (row["Deal_Name"], row["Account_Name"], row["ERP_Order_No"]) == (deal.id, acme, "10042")
    first, _ = rows(world, "Ordered_Items", order_id)
    assert (first["Product_Name"], first["Quantity"], first["List_Price"]) == (bolt, Decimal(5), Decimal("4.50"))


async def test_a_deal_repeated_changes_the_same_sales_order(zoho):
    world = sales_order_world(zoho)
    acme, *_ = await stocked(world)
    await order(world, BOLTS, NUTS, account=Ref("account", acme))
    await order(world, BOLTS, account=Ref("account", acme))
    ((order_id, _),) = world.twin.records("Sales_Orders").items()
    assert len(rows(world, "Ordered_Items", order_id)) == 1


async def test_changed_lines_alone_reach_the_sales_order(zoho):
    world = sales_order_world(zoho)
    acme, *_ = await stocked(world)
    deal = await order(world, BOLTS, account=Ref("account", acme))
    outcome = await change(world, deal, lines=(BOLTS, NUTS))
    assert isinstance(outcome, Written)
    ((order_id, _),) = world.twin.records("Sales_Orders").items()
    assert len(rows(world, "Ordered_Items", order_id)) == 2


async def test_lines_without_a_known_product_are_rejected_before_the_deal_is_written(zoho):
    world = sales_order_world(zoho)
    acme, *_ = await stocked(world)
    outcome = await order(world, Line(key="10", sku="GHOST"), account=Ref("account", acme))
    assert isinstance(outcome, Rejected)
    assert not world.twin.records("Deals")


async def test_a_deal_without_an_account_says_that_its_order_needs_one(zoho):
    world = sales_order_world(zoho)
    await stocked(world)
    outcome = await order(world, BOLTS)
    assert isinstance(outcome, Rejected)
    assert "the deal was written" in outcome.reason
    assert "no account" in outcome.reason


@pytest.mark.parametrize(
    ("fault", "ending"),
    [
        (Fault(kind="status", status=429, body=b'{"code":"TOO_MANY_REQUESTS"}', path="Sales_Orders/upsert", times=9), Later),
        (Fault(kind="lost_after", path="Sales_Orders/upsert"), Unknown),
    ],
)
async def test_a_failure_between_deal_and_order_is_told_and_a_repetition_completes_it(zoho, fault, ending):
    world = sales_order_world(zoho)
    acme, *_ = await stocked(world)
    world.twin.faults.add(fault)
    assert isinstance(await order(world, BOLTS, account=Ref("account", acme)), ending)
    world.twin.faults.calm()
    assert isinstance(await order(world, BOLTS, account=Ref("account", acme)), Written)
    assert (len(world.twin.records("Deals")), len(world.twin.records("Sales_Orders"))) == (1, 1)
