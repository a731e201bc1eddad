"""Two one-way flows in opposite directions: orders shown as deals, and what people do with the deals told back."""

from decimal import Decimal
from typing import Any

import pytest
from engine import CUSTOMERS, Engine, customer, order

from ml_connector.domain import Deal, Line, Money, Ref
from ml_connector.errors import RecordRejected
from ml_connector.flows import Assignment, Flow

STAGES = {"Planned": "Proposal", "Released": "Review", "Delivered": "Review", "Invoiced": "Won", "Cancelled": "Lost"}
STATUSES = {"Proposal": "Planned", "Review": "Released", "Won": "Invoiced", "Lost": "Cancelled"}


def table(words: dict[str, str], field: str) -> Any:
    def look(data: Any) -> str:
        if data.get(field) not in words:
            raise RecordRejected(f"{data.get(field)} is in no table", code="LOOKUP")
        return words[data[field]]

    return look


OUT = Flow(
    name="orders",
    left="erp",
    right="crm",
    entity="order",
    target="deal",
    after=("customers",),
    sets=(Assignment("stage", table(STAGES, "status"), "stage"),),
    signature="1",
)
BACK = Flow(
    name="stages",
    left="crm",
    right="erp",
    entity="deal",
    target="order",
    writes="update",
    fields=frozenset({"status"}),
    sets=(Assignment("status", table(STATUSES, "stage"), "status"),),
    reads=frozenset({"stage"}),
    signature="1",
)
WON = Flow(
    name="won",
    left="crm",
    right="erp",
    entity="deal",
    target="order",
    match=("external_reference",),
    where=lambda data: data.get("stage") == "Won",
    where_text="stage == 'Won'",
    signature="1",
)

pytestmark = pytest.mark.parametrize("style", ["sweep", "feed"])


class Both(Engine):
    def __init__(self, style: Any, *flows: Flow) -> None:
        super().__init__(style, *flows)
        self.back = {flow.name: flow for flow in flows if flow.left == "crm"}

    def ends(self, flow: Flow) -> Any:
        if flow.left == "erp":
            return super().ends(flow)
        from ml_connector.sync.passage import Ends, Station

        return Ends(
            left=Station(source=self.right.sources[flow.entity]),
            right=Station(source=self.left.sources[flow.target], sink=self.left.sinks[flow.target]),
        )

    async def all(self) -> dict[str, Any]:
        return {flow.name: await self.run(flow) for flow in self.flows}

    def order(self) -> Any:
        [found] = self.erp.records("order").values()
        return found

    def deal(self) -> Any:
        [found] = self.crm.records("deal").values()
        return found

    def move(self, kind: Any, **fields: Any) -> None:
        self.clock_on()
        system = self.erp if kind == "order" else self.crm
        [one] = system.records(kind)
        system.edit_as_person(kind, one, **fields)

    async def quiet(self) -> None:
        for _ in range(2):
            before = (self.erp.moves, self.crm.moves)
            await self.all()
            assert (self.erp.moves, self.crm.moves) == before


async def shown(style: Any) -> Both:
    engine = Both(style, CUSTOMERS, OUT, BACK)
    acme = engine.erp.put(customer())
    engine.erp.put(order(customer_id=acme, status="Delivered"))
    await engine.all()
    return engine


async def test_what_the_first_flow_wrote_never_comes_back_through_the_seconds_table(style: str) -> None:
    engine = await shown(style)
    assert (engine.order().status, engine.deal().stage) == ("Delivered", "Review")
    await engine.quiet()
    engine.move("order", status="Released")
    await engine.all()
    assert (engine.order().status, engine.deal().stage) == ("Released", "Review")
    await engine.quiet()


async def test_a_stage_that_a_person_moves_sets_the_orders_status_and_nothing_else(style: str) -> None:
    engine = await shown(style)
    engine.move("deal", stage="Won", name="Sam's deal")
    await engine.all()
    assert (engine.order().status, engine.deal().stage) == ("Invoiced", "Won")
    assert engine.order().name != "Sam's deal"
    await engine.quiet()


async def test_an_edit_of_another_field_of_the_deal_moves_no_status(style: str) -> None:
    engine = await shown(style)
    engine.move("deal", next_step="call")
    await engine.all()
    assert engine.order().status == "Delivered"
    await engine.quiet()


async def test_an_edit_on_its_way_back_is_not_overwritten_when_the_order_changes_in_another_field(style: str) -> None:
    engine = await shown(style)
    engine.move("deal", stage="Won", name="Sam's deal")
    engine.move("order", customer_reference="PO-9")
    await engine.all()  # the order's flow runs first, and writes
    assert (engine.order().status, engine.deal().stage, engine.deal().customer_reference) == ("Invoiced", "Won", "PO-9")
    assert engine.deal().name == "10042"  # which nobody carries back: the owner has it
    await engine.quiet()


async def test_the_same_stage_set_again_after_the_erp_moved_on_is_told_again(style: str) -> None:
    engine = await shown(style)
    engine.move("deal", stage="Won")
    await engine.all()
    engine.move("order", status="Released")
    await engine.all()
    assert engine.deal().stage == "Review"
    engine.move("deal", stage="Won")
    await engine.all()
    assert (engine.order().status, engine.deal().stage) == ("Invoiced", "Won")
    await engine.quiet()


async def test_a_deal_that_is_won_becomes_an_order_once_and_its_number_comes_to_stand_at_the_deal(style: str) -> None:
    engine = Both(style, CUSTOMERS, OUT, WON)
    acme = engine.erp.put(customer())
    await engine.run(CUSTOMERS)
    there = engine.id_there("C-100")
    lines = (Line(key="1", sku="A", quantity=Decimal(2)),)
    engine.crm.put(
        Deal(number="D-7", name="D-7", stage="Won", account=Ref("account", there), amount=Money(Decimal(5), "EUR"), lines=lines)
    )
    assigns = engine.erp.store

    def numbered(entity: Any, *, by_us: bool, over: str | None = None) -> Any:
        import msgspec

        if over is None:
            entity = msgspec.structs.replace(entity, number="10099", status="Invoiced")
        return assigns(entity, by_us=by_us, over=over)

    engine.erp.store = numbered  # type: ignore[method-assign]
    await engine.run(WON, create_all=True)
    made = engine.order()
    assert (made.number, made.external_reference, made.customer, made.lines) == ("10099", "D-7", Ref("account", acme), lines)
    await engine.run(OUT, create_all=True)
    assert (engine.deal().order_number, engine.deal().stage, len(engine.crm.records("deal"))) == ("10099", "Won", 1)
    await engine.quiet()
    assert len(engine.erp.records("order")) == 1
