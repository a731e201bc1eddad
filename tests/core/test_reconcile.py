"""Both sides compared in full: every difference that people made is told, and nothing else is."""

from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest
from engine import CUSTOMERS, ORDERS, Engine, changed, customer, order
from hypothesis import given, settings
from hypothesis import strategies as st
from test_two_way import PARTIES

from ml_connector.domain import Account, Address, Extra, Line, Order, Page
from ml_connector.errors import ContractBroken, RecordRejected
from ml_connector.flows import Assignment, Flow
from ml_connector.ports.sink import Rejected
from ml_connector.sync.compare import Bases, differences
from ml_connector.sync.instead import instead
from ml_connector.sync.marks import Mark, Marks
from ml_connector.sync.passage import Ends, Station
from ml_connector.testing import memory_connection
from ml_connector.use_cases.reconcile import Compared, Finding, Reconciliation

Style = Literal["feed", "sweep"]
styles = pytest.mark.parametrize("style", ["sweep", "feed"])
ways = pytest.mark.parametrize("flow", [CUSTOMERS, PARTIES], ids=["one-way", "two-way"])


class Pair(Engine):
    """One flow between two systems, both of one style."""

    def __init__(self, style: Style, flow: Flow, *others: Flow, **crm: Any) -> None:
        super().__init__(style, flow, *others, **crm)
        self.flow = flow
        self.right = memory_connection(self.crm, style=style)
        self.compared = Compared()

    async def settled(self, *records: Account) -> "Pair":
        for record in records or (customer("C-1"), customer("C-2"), customer("C-3")):
            self.erp.put(record)
        for _ in range(2):
            assert (await self.run(self.flow, create_all=True)).outcome == "green"
        self.clock_on()
        return self

    async def findings(self) -> list[Finding]:
        async with Reconciliation(self.flow, self.ends(self.flow), self.world) as comparison:
            found = [finding async for finding in comparison.findings()]
        self.compared = comparison.compared
        return found

    async def told(self) -> list[str]:
        return sorted(words(finding) for finding in await self.findings())

    async def fixed(self) -> tuple[list[str], list[str]]:
        """What is found, and what is still apart after the flow was asked to mend it and has run."""
        async with Reconciliation(self.flow, self.ends(self.flow), self.world) as comparison:
            found = [words(finding) async for finding in comparison.findings()]
            await comparison.ask()
            await self.run(self.flow)
            return sorted(found), sorted([words(finding) async for finding in comparison.left_over()])

    def id_here(self, number: str) -> str:
        return next(one for one, entity in self.erp.records("account").items() if entity.number == number)

    def edit_here(self, number: str, **fields: Any) -> None:
        self.clock_on()
        self.erp.edit_as_person("account", self.id_here(number), **fields)

    def edit_there(self, number: str, **fields: Any) -> None:
        self.clock_on()
        self.crm.edit_as_person("account", self.id_there(number), **fields)


def words(finding: Finding) -> str:
    fields = "".join(f" {each.field}: {each.left} / {each.right}" for each in finding.fields)
    at = f" at {finding.at}" if finding.at else ""
    return f"{finding.what}{at} {finding.number}{fields}{f' ({finding.standing})' if finding.standing else ''}"


@styles
@ways
async def test_sides_that_agree_give_no_finding_and_everything_is_counted(style: Style, flow: Flow) -> None:
    engine = await Pair(style, flow).settled()
    assert await engine.told() == []
    assert (engine.compared.left, engine.compared.right) == (3, 3)


@styles
@ways
async def test_edits_that_no_run_has_seen_yet_are_told_field_by_field(style: Style, flow: Flow) -> None:
    engine = await Pair(style, flow).settled()
    engine.edit_here("C-1", phone="1")
    engine.edit_there("C-2", phone="2", name="Two")
    assert await engine.told() == [
        "differs C-1 phone: 1 / +46 8 1",
        "differs C-2 phone: +46 8 1 / 2 name: Acme C-2 / Two",
    ]


@styles
async def test_drift_that_was_only_reported_is_told(style: Style) -> None:
    engine = await Pair(style, CUSTOMERS).settled()
    engine.edit_there("C-2", phone="2")
    await engine.run()
    assert await engine.told() == ["differs C-2 phone: +46 8 1 / 2"]


@styles
@ways
async def test_parts_of_addresses_and_custom_fields_are_told_by_themselves(style: Style, flow: Flow) -> None:
    record = customer("C-1", billing=Address(street="Kaj 1", city="Oslo"), extra=Extra({"a": "1", "b": "2"}))
    engine = await Pair(style, flow).settled(record)
    engine.edit_there("C-1", billing=Address(city="Bergen"), extra=Extra({"b": None}))
    assert await engine.told() == ["differs C-1 billing.city: Oslo / Bergen extra.b: 2 / None"]


@styles
async def test_a_record_without_counterpart_is_missing_where_it_is_not(style: Style) -> None:
    for flow, at_left in ((CUSTOMERS, "extra at crm"), (PARTIES, "missing at erp")):
        engine = await Pair(style, flow).settled()
        engine.erp.put(customer("C-4"))
        engine.crm.put(customer("C-5"))
        engine.crm.delete_as_person("account", engine.id_there("C-1"))
        engine.erp.delete_as_person("account", engine.id_here("C-2"))
        assert await engine.told() == sorted(["missing at crm C-4", f"{at_left} C-5", "missing at crm C-1", f"{at_left} C-2"])


@styles
async def test_what_waits_is_told_with_what_it_waits_for(style: Style) -> None:
    engine = Pair(style, CUSTOMERS)
    engine.crm.rules.append(lambda kind, entity: Rejected(code="NO", reason="not this one") if entity.number == "C-2" else None)
    for number in ("C-1", "C-2", "C-3"):
        engine.erp.put(customer(number))
    await engine.run()
    await engine.state.links.dismiss([(await engine.link("C-1")).id])
    engine.crm.delete_as_person("account", engine.id_there("C-1"))
    found = await engine.findings()
    assert sorted(words(each) for each in found) == ["missing at crm C-1 (skipped)", "missing at crm C-2 (rejected)"]
    assert [each.reason for each in found if each.standing == "rejected"] == ["not this one"]


@styles
async def test_a_clash_that_waits_for_a_person_is_told_as_one(style: Style) -> None:
    engine = await Pair(style, PARTIES).settled(customer("C-1", fax="0"))
    engine.edit_here("C-1", fax="1")
    engine.edit_there("C-1", fax="2")
    await engine.run(PARTIES)
    assert await engine.told() == ["differs C-1 fax: 1 / 2 (conflicted)"]


@styles
@ways
async def test_what_a_vendor_makes_of_a_value_is_no_difference(style: Style, flow: Flow) -> None:
    engine = Pair(style, flow, trims=True)
    whole = engine.crm.store

    def store(entity: Any, **how: Any) -> Any:
        phone = entity.phone.upper() if how["by_us"] and isinstance(entity.phone, str) else entity.phone
        return whole(type(entity)(**{**{n: getattr(entity, n) for n in entity.__struct_fields__}, "phone": phone}), **how)

    engine.crm.store = store  # type: ignore[method-assign]
    await engine.settled(customer("C-1", name=" Acme  AB ", phone="ext 1"))
    assert engine.there()["C-1"].phone == "EXT 1"
    assert await engine.told() == []
    engine.edit_there("C-1", phone="ext 2")
    assert await engine.told() == ["differs C-1 phone: ext 1 / ext 2"]


@styles
async def test_what_the_flow_does_not_carry_is_not_compared(style: Style) -> None:
    flow = changed(CUSTOMERS, where=lambda data: data["name"] != "Ghost", where_text="name", fields=frozenset({"name"}))
    engine = await Pair(style, flow).settled(customer("C-1"), customer("C-2", name="Ghost"))
    engine.edit_there("C-1", phone="2")
    engine.edit_here("C-1", phone="3")
    assert await engine.told() == []
    engine.edit_here("C-1", name="Ghost")
    assert await engine.told() == []


@styles
async def test_a_flow_that_only_updates_answers_for_what_it_is_linked_to(style: Style) -> None:
    flow = changed(CUSTOMERS, writes="update")
    engine = Pair(style, flow)
    engine.erp.put(customer("C-1"))
    engine.crm.put(customer("C-2"))
    await engine.run(flow)
    assert await engine.told() == []


@styles
async def test_a_flow_that_only_creates_answers_for_records_and_not_for_their_fields(style: Style) -> None:
    flow = changed(CUSTOMERS, writes="create")
    engine = await Pair(style, flow).settled()
    engine.edit_here("C-1", phone="2")
    engine.crm.delete_as_person("account", engine.id_there("C-2"))
    assert await engine.told() == ["missing at crm C-2"]


@styles
async def test_two_ways_the_flow_leaves_out_records_of_either_side(style: Style) -> None:
    engine = Pair(style, changed(PARTIES, where=lambda data: data["name"] != "Ghost", where_text="name"))
    engine.erp.put(customer("C-1", name="Ghost"))
    engine.crm.put(customer("C-2", name="Ghost"))
    engine.crm.put(customer("C-3"))
    assert await engine.told() == ["missing at erp C-3"]


@styles
async def test_a_value_that_a_person_gave_in_place_of_the_sources_is_no_difference(style: Style) -> None:
    engine = await Pair(style, CUSTOMERS).settled()
    link = await engine.link("C-1")
    engine.state.links.put(
        [msgspec.structs.replace(link, instead=instead("account", link, values=Account(phone="9")), due=True)]
    )
    await engine.run()
    assert engine.there()["C-1"].phone == "9"
    assert await engine.told() == []


@styles
async def test_a_record_that_the_flow_cannot_express_any_more_is_told_with_the_reason(style: Style) -> None:
    def stage(data: Any) -> str:
        if data["phone"] == "?":
            raise RecordRejected("no entry for ?", code="TABLE")
        return "Lead"

    engine = await Pair(style, changed(CUSTOMERS, sets=(Assignment("category", stage, "stage"),))).settled()
    engine.edit_here("C-1", phone="?")
    [finding] = await engine.findings()
    assert (words(finding), finding.reason) == ("differs C-1", "no entry for ?")


@styles
async def test_what_another_flow_put_there_is_not_extra(style: Style) -> None:
    other = changed(CUSTOMERS, name="prospects")
    engine = Pair(style, CUSTOMERS, other)
    engine.erp.put(customer("C-1"))
    await engine.run(other, create_all=True)
    assert await engine.told() == []
    engine.erp.delete_as_person("account", engine.id_here("C-1"))
    assert await engine.told() == []


@styles
async def test_a_counterpart_that_was_taken_out_of_use_is_settled(style: Style) -> None:
    flow = changed(CUSTOMERS, deletes="deactivate")
    engine = await Pair(style, flow).settled()
    engine.erp.delete_as_person("account", engine.id_here("C-1"))
    assert await engine.told() == ["extra at crm C-1"]
    for _ in range(3):
        await engine.run(flow)
    assert engine.there()["C-1"].active is False
    assert await engine.told() == []


@styles
async def test_orders_are_compared_as_the_deals_that_they_become(style: Style) -> None:
    engine = Engine(style)
    acme = engine.erp.put(customer())
    engine.erp.put(order("1", acme))
    engine.erp.put(order("2", acme))
    await engine.both()
    engine.erp.put(order("3", engine.erp.put(customer("C-200"))))
    await engine.run(ORDERS)
    engine.clock_on()
    engine.crm.edit_as_person("deal", engine.id_there("2", "deal"), stage="Lost")
    async with Reconciliation(ORDERS, engine.ends(ORDERS), engine.world) as comparison:
        found = [finding async for finding in comparison.findings()]
    assert sorted(words(each) for each in found) == ["differs 2 stage: Released / Lost", "missing at crm 3 (parked)"]


@styles
@ways
async def test_an_edit_of_both_sides_between_reading_one_and_the_other_is_not_told(style: Style, flow: Flow) -> None:
    engine = await Pair(style, flow).settled()
    async with Reconciliation(flow, engine.ends(flow), engine.world) as comparison:
        whole = comparison._take_left

        async def take_left(records: Any) -> Any:
            found = await whole(records)
            engine.edit_here("C-1", phone="1")
            engine.edit_there("C-1", phone="1")
            return found

        comparison._take_left = take_left  # type: ignore[method-assign]
        assert [words(finding) async for finding in comparison.findings()] == []
    assert engine.there()["C-1"].phone == "1"


@styles
@ways
async def test_a_record_that_keeps_moving_is_not_told_and_a_difference_that_lasts_is(style: Style, flow: Flow) -> None:
    engine = await Pair(style, flow).settled()
    count = 0

    def meddle(source: Any) -> None:
        whole = source.fetch

        async def fetch(ids: Any) -> Any:
            nonlocal count
            count += 1
            engine.edit_here("C-1", name=f"{count}")
            engine.edit_there("C-1", name=f"{count}")
            return await whole(ids)

        source.fetch = fetch

    for connection in (engine.left, engine.right):
        meddle(connection.sources["account"])
    engine.edit_there("C-1", name="0")
    engine.edit_there("C-2", phone="2")
    assert await engine.told() == ["differs C-2 phone: +46 8 1 / 2"]
    assert count > 3


@styles
async def test_a_record_that_changes_back_before_the_second_look_is_not_told(style: Style) -> None:
    engine = await Pair(style, CUSTOMERS).settled()
    engine.edit_there("C-1", phone="2")
    source = engine.left.sources["account"]
    whole = source.fetch

    async def fetch(ids: Any) -> Any:
        if engine.there()["C-1"].phone == "2":
            engine.edit_there("C-1", phone="+46 8 1")
        return await whole(ids)

    source.fetch = fetch  # type: ignore[method-assign]
    assert await engine.told() == []


@styles
@ways
async def test_nothing_is_written_by_looking(style: Style, flow: Flow) -> None:
    engine = await Pair(style, flow).settled()
    engine.edit_there("C-2", phone="2")
    before = dict(engine.state.links.rows), engine.erp.moves, engine.crm.moves, len(await engine.audit())
    await engine.told()
    assert (dict(engine.state.links.rows), engine.erp.moves, engine.crm.moves, len(await engine.audit())) == before
    assert engine.state.links.sighted == {}


@styles
async def test_fixing_goes_through_the_pipeline_and_leaves_what_is_extra(style: Style) -> None:
    engine = await Pair(style, CUSTOMERS).settled()
    engine.edit_there("C-1", phone="2")
    await engine.run()
    engine.crm.delete_as_person("account", engine.id_there("C-2"))
    engine.erp.put(customer("C-4"))
    engine.crm.put(customer("C-5"))
    before = len(await engine.audit())
    found, left = await engine.fixed()
    assert found == ["differs C-1 phone: +46 8 1 / 2", "extra at crm C-5", "missing at crm C-2", "missing at crm C-4"]
    assert left == ["extra at crm C-5"]
    assert sorted(engine.there()) == ["C-1", "C-2", "C-3", "C-4", "C-5"]
    entries = (await engine.audit())[before:]
    assert {entry.number for entry in entries if entry.action in ("created", "updated")} == {"C-1", "C-2", "C-4"}
    assert ("phone", "2", "+46 8 1") in [(each.field, each.old, each.new) for entry in entries for each in entry.changes]
    assert await engine.told() == left


@styles
async def test_fixing_two_ways_keeps_the_newer_edit_and_makes_what_is_missing_on_either_side(style: Style) -> None:
    engine = await Pair(style, PARTIES).settled()
    engine.edit_there("C-1", name="One")
    engine.erp.put(customer("C-4"))
    engine.crm.put(customer("C-5"))
    found, left = await engine.fixed()
    assert found == ["differs C-1 name: Acme C-1 / One", "missing at crm C-4", "missing at erp C-5"]
    assert left == []
    assert engine.erp.records("account")[engine.id_here("C-1")].name == "One"


@styles
async def test_a_dismissed_record_is_not_sent_again(style: Style) -> None:
    engine = await Pair(style, CUSTOMERS).settled()
    engine.edit_there("C-1", phone="2")
    await engine.state.links.dismiss([(await engine.link("C-1")).id])
    _, left = await engine.fixed()
    assert left == ["differs C-1 phone: +46 8 1 / 2 (skipped)"]


async def test_what_a_feed_never_told_of_is_fetched_by_its_id_to_be_mended() -> None:
    engine = await Pair("feed", CUSTOMERS).settled()
    lost = engine.erp.rows.pop(engine.erp.put(customer("C-4")))
    engine.erp.put(customer("C-5"))
    await engine.run()
    engine.erp.rows[lost.id] = lost
    await engine.run()
    assert "C-4" not in engine.there()
    assert await engine.fixed() == (["missing at crm C-4"], [])
    assert "C-4" in engine.there()


async def test_what_feeds_bring_more_than_once_is_told_and_counted_once() -> None:
    engine = await Pair("feed", CUSTOMERS).settled()
    engine.edit_there("C-1", phone="2")
    engine.edit_here("C-2", phone="2")
    engine.erp.put(customer("C-4"))
    engine.crm.put(customer("C-5"))
    engine.erp.delete_as_person("account", engine.id_here("C-3"))
    for connection in (engine.left, engine.right):
        again(connection.sources["account"])
    assert [each.split(" phone")[0] for each in await engine.told()] == [
        "differs C-1",
        "differs C-2",
        "extra at crm C-3",
        "extra at crm C-5",
        "missing at crm C-4",
    ]
    assert (engine.compared.left, engine.compared.right, engine.compared.apart) == (3, 4, 5)


def again(feed: Any) -> None:
    """The feed gives every page twice, and all of it twice."""
    whole = feed.changed_since

    async def changed_since(cursor: Any) -> Any:
        for _ in range(2):
            async for page in whole(cursor):
                yield page
                yield page

    feed.changed_since = changed_since


async def test_what_a_feed_brings_first_as_there_and_then_as_gone_is_gone() -> None:
    engine = await Pair("feed", CUSTOMERS).settled()
    [record] = await engine.left.sources["account"].fetch([engine.id_here("C-1")])
    engine.erp.delete_as_person("account", engine.id_here("C-1"))
    feed: Any = engine.left.sources["account"]
    whole = feed.changed_since

    async def changed_since(cursor: Any) -> Any:
        yield Page(records=(record,), cursor=None)
        async for page in whole(cursor):
            yield page

    feed.changed_since = changed_since
    assert await engine.told() == ["extra at crm C-1"]


def test_lines_are_compared_under_their_keys_whatever_their_order() -> None:
    one, two, three = (Line(key=str(n), quantity=Decimal(n), unit="pcs") for n in (1, 2, 3))
    assert differences(Order(lines=(one, two)), Order(lines=(two, one))) == []
    assert differences(Order(lines=(one, two)), Order(lines=(Line(key="2", unit="kg"), three))) == [
        ("lines[1]", one, None),
        ("lines[2].unit", "pcs", "kg"),
        ("lines[3]", None, three),
    ]
    assert differences(Order(), Order(lines=(one,))) == []
    assert differences(Order(lines=None), Order(lines=(one,))) == [("lines[1]", None, one)]


def test_a_line_that_both_sides_still_hold_as_they_were_seen_to_is_no_difference() -> None:
    left, right = Order(lines=(Line(key="1", unit="pcs"),)), Order(lines=(Line(key="1", unit="PIECES"),))
    assert differences(left, right, Bases(left, right)) == []
    assert differences(left, right, Bases(left, left)) == [("lines[1].unit", "pcs", "PIECES")]
    assert differences(left, right, Bases(Order(), Order())) == [("lines[1].unit", "pcs", "PIECES")]
    assert differences(left, right, Bases(left, right, frozenset({"lines"}))) == [("lines[1].unit", "pcs", "PIECES")]
    bare = Order(lines=())
    assert differences(left, bare, Bases(left, bare)) == []
    assert differences(left, bare, Bases(left, left)) == [("lines[1]", left.lines[0], None)]  # type: ignore[index]


def test_what_one_side_does_not_tell_is_no_difference_and_what_it_cleared_is() -> None:
    full, part = Address(city="Oslo", street="Kaj 1"), Address(city="Oslo")
    assert differences(Account(billing=full, phone="1"), Account(billing=part)) == []
    assert differences(Account(extra=Extra({"a": "1"})), Account(extra=Extra({"b": "1"}))) == []
    assert differences(Account(billing=part), Account(billing=None)) == [("billing.city", "Oslo", None)]


def test_marks_are_handed_out_once_each_while_they_change() -> None:
    marks = Marks()
    ids = [f"{n:05d}" for n in range(1200)]
    assert marks.put("left", dict.fromkeys(ids, Mark.EXPECTED)) == 1200
    assert marks.put("left", {"00000": Mark.MET}) == 0
    assert marks.put("right", {"00000": Mark.EXPECTED}) == 1
    handed = []
    for page in marks.pages("left", Mark.EXPECTED, Mark.MISSING):
        handed += page
        marks.put("left", dict.fromkeys(page, Mark.MISSING))
    assert handed == ids[1:]
    marks.forget("left", ids[:1199])
    assert marks.of("left", ids) == {ids[-1]: Mark.MISSING}
    marks.close()


async def test_a_side_that_cannot_be_read_in_full_is_named() -> None:
    engine = await Pair("feed", CUSTOMERS).settled()
    ends = engine.ends(CUSTOMERS)
    for blind, where in (
        (Ends(left=ends.left, right=Station(sink=ends.right.sink)), "crm"),
        (Ends(left=Station(), right=ends.right), "erp"),
    ):
        with pytest.raises(ContractBroken, match=f"{where}: account cannot be read in full"):
            await Reconciliation(CUSTOMERS, blind, engine.world).__aenter__()


PLANTS = ("here", "there", "gone here", "gone there", "new here", "new there")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["feed", "sweep"]),
    st.sampled_from([CUSTOMERS, PARTIES]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 119), st.sampled_from(PLANTS)), max_size=12, unique_by=lambda plant: plant[0]),
)
async def test_every_planted_difference_is_found_and_nothing_else(
    style: Style, flow: Flow, run_after: bool, plants: list[tuple[int, str]]
) -> None:
    engine = await Pair(style, flow, trims=True).settled(*[customer(f"C-{n}", name=f" N {n}") for n in range(120)])
    lacks, has = "missing at crm", "missing at erp" if flow.two_way else "extra at crm"
    expected = []
    for n, plant in plants:
        number = f"C-{n}"
        match plant:
            case "here":
                engine.edit_here(number, phone="x")
                expected.append(f"differs {number} phone: x / +46 8 1")
            case "there":
                engine.edit_there(number, phone="x")
                expected.append(f"differs {number} phone: +46 8 1 / x")
            case "gone here":
                engine.erp.delete_as_person("account", engine.id_here(number))
                expected.append(f"{has} {number}")
            case "gone there":
                engine.crm.delete_as_person("account", engine.id_there(number))
                expected.append(f"{lacks} {number}")
            case "new here":
                engine.erp.put(customer(f"N-{n}"))
                expected.append(f"{lacks} N-{n}")
            case _:
                engine.crm.put(customer(f"N-{n}"))
                expected.append(f"{has} N-{n}")
    assert await engine.told() == sorted(expected)
    assert engine.compared.apart == len(plants)
