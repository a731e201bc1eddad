"""Of any field: what either side holds, whose edit that was, when, from which version, under which rule, in which trace."""

from typing import Any

import pytest
from engine import CUSTOMERS, Engine, customer
from test_two_way import Parties
from test_undo import edited, take_back

from ml_connector.domain import Address, Extra
from ml_connector.flows import Flow
from ml_connector.use_cases.explain import PERSON, Chapter, Field, explain
from ml_connector.use_cases.mend import given, mend


async def chapter_of(engine: Engine, field: str | None = None) -> Chapter:
    [chapter] = await explain("account", "C-100", engine.flows, engine.state, field=field)
    return chapter


async def told(engine: Engine, field: str) -> Field:
    [found] = (await chapter_of(engine, field)).fields
    return found


async def test_a_value_that_both_sides_hold_is_the_owners_edit_with_its_version_rule_and_trace() -> None:
    engine, run = await edited()
    phone = await told(engine, "phone")
    assert (phone.agreed, phone.left.value, phone.right.value, phone.differs) == ("2", "2", "2", False)
    origin = phone.right.origin
    assert origin is not None
    assert phone.left.origin == origin
    link = await engine.link("C-100")
    assert (origin.by, origin.version, origin.rule) == ("erp", link.left.version, "changed at the owner")
    assert (origin.run, origin.trace_id, origin.seq) == (run.id, run.trace_id, 2)


async def test_blanks_that_a_vendor_takes_away_and_what_only_one_side_tells_are_no_difference() -> None:
    engine = await Parties("feed", trims=True).settled(phone="1 ")
    engine.edit_there(website="acme.example")
    await engine.go()
    chapter = await chapter_of(engine)
    phone = next(each for each in chapter.fields if each.field == "phone")
    assert (phone.left.value, phone.right.value) == ("1 ", "1")
    assert not [each.field for each in chapter.fields if each.differs]


async def test_an_edit_made_there_is_told_as_theirs_beside_what_the_owner_says() -> None:
    engine, _ = await edited()
    engine.crm.edit_as_person("account", engine.id_there("C-100"), phone="Sam's")
    run = await engine.run()
    phone = await told(engine, "phone")
    assert (phone.agreed, phone.left.value, phone.right.value) == ("2", "2", "Sam's")
    assert phone.left.origin is not None and phone.right.origin is not None
    assert (phone.left.origin.by, phone.right.origin.by) == ("erp", "crm")
    assert (phone.right.origin.run, phone.right.origin.version) == (run.id, (await engine.link("C-100")).right.version)


async def test_what_was_undone_is_a_persons_decision_and_the_source_keeps_its_own() -> None:
    engine, run = await edited()
    done, _ = await take_back(engine, run)
    phone = await told(engine, "phone")
    assert (phone.left.value, phone.right.value) == ("2", "1")
    assert phone.left.origin is not None and phone.right.origin is not None
    assert (phone.left.origin.by, phone.left.origin.run) == ("erp", run.id)
    assert (phone.right.origin.by, phone.right.origin.rule) == (PERSON, f"undo of run {run.id}")
    assert phone.right.origin.trace_id == done.trace_id


async def test_each_way_of_a_two_way_flow_names_the_side_whose_edit_it_carried() -> None:
    engine = await Parties("feed").settled(phone="1")
    engine.edit_here(name="Acme AB")
    engine.edit_there(phone="2")
    await engine.go()
    for field, by, rule in (("name", "erp", "changed at erp"), ("phone", "crm", "changed at crm")):
        found = await told(engine, field)
        assert found.left.origin is not None and found.left.origin == found.right.origin
        assert (found.left.origin.by, found.left.origin.rule) == (by, rule)


async def test_a_clash_that_waits_shows_both_values_and_where_each_came_from() -> None:
    engine = await Parties("feed").settled(fax="0")
    engine.edit_here(fax="here")
    engine.edit_there(fax="there")
    run = await engine.go()
    fax = await told(engine, "fax")
    assert (fax.agreed, fax.left.value, fax.right.value) == ("0", "here", "there")
    assert fax.clash is not None
    assert fax.left.origin is not None and fax.right.origin is not None
    assert (fax.left.origin.by, fax.right.origin.by, fax.left.origin.run) == ("erp", "crm", run.id)
    assert [event.entry.action for event in (await chapter_of(engine, "fax")).events] == ["created", "conflicted"]


async def test_a_value_that_a_person_gave_is_a_persons() -> None:
    engine = await Parties("feed").settled(fax="0")
    engine.edit_here(fax="here")
    engine.edit_there(fax="there")
    await engine.go()
    link = await engine.link("C-100", engine.flow)
    await mend(engine.flow, [link], engine.world, values=given("account", {"fax": "ours"}))
    await engine.go()
    fax = await told(engine, "fax")
    assert (fax.left.value, fax.right.value) == ("ours", "ours")
    assert fax.left.origin is not None and fax.left.origin.by == PERSON
    assert [event.by for event in (await chapter_of(engine, "fax")).events if event.entry.action == "noted"] == [PERSON]


@pytest.mark.parametrize("field", ["billing", "billing.city", "extra.region"])
async def test_a_part_is_told_with_its_whole_and_nothing_else(field: str) -> None:
    engine = Engine("feed")
    fields: dict[str, Any] = {
        "billing": Address(city="Oslo"),
        "shipping": Address(city="Bergen"),
        "extra": Extra({"region": "N"}),
    }
    source = engine.erp.put(customer(**fields))
    await engine.run()
    engine.erp.edit_as_person("account", source, shipping=Address(city="Moss"))
    await engine.run()
    chapter = await chapter_of(engine, field)
    assert [each.field for each in chapter.fields] == [field.partition(".")[0] if field.startswith("billing") else field]
    assert [event.entry.action for event in chapter.events] == ["created"]


async def test_without_a_field_every_field_is_told_and_events_come_oldest_first() -> None:
    engine, _ = await edited()
    chapter = await chapter_of(engine)
    assert {each.field for each in chapter.fields} == {"number", "name", "phone"}
    assert [event.entry.action for event in chapter.events] == ["created", "updated"]


async def test_a_record_deleted_there_has_no_values_there() -> None:
    engine, _ = await edited()
    engine.crm.delete_as_person("account", engine.id_there("C-100"))
    await engine.run()
    phone = await told(engine, "phone")
    assert (phone.left.value, phone.differs) == ("2", True)


async def test_a_record_that_no_flow_knows_has_no_story() -> None:
    flows: tuple[Flow, ...] = (CUSTOMERS,)
    engine = Engine("feed", *flows)
    assert await explain("account", "C-999", flows, engine.state) == []
    assert await explain("order", "C-999", flows, engine.state) == []
