"""Finding by a field, where the index lags, search knows no exactness, and nothing keeps values unique."""

from collections.abc import Callable
from typing import Any

import pytest

from ml_connector.domain import Account, Deal, Product
from ml_connector.ports.sink import Create, Key, Later, Rejected, Unknown, Written
from ml_connector.twin import Fault


async def test_a_record_that_the_index_does_not_know_yet_is_found(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    world.twin.reader.lag_s = 45
    made = await world.create(Account(number="C-1", name="Acme"))
    found = await world.again().connection.sinks["account"].find([Key("number", "C-1")])
    assert [record.id for record in found[Key("number", "C-1")]] == [made.id]


async def test_a_hit_that_no_longer_holds_the_value_is_no_hit(pipedrive: Callable[..., Any]) -> None:
    """The index still says so; the record does not."""
    world = pipedrive()
    world.twin.reader.lag_s = 600
    one = world.twin.enter("organizations", name="Acme", custom={"ERP Customer No": "C-1"})
    world.clock.advance(3600)
    world.twin.change("organizations", one, custom={"ERP Customer No": "C-2"})
    found = await world.connection.sinks["account"].find([Key("number", "C-1"), Key("number", "C-2")])
    assert [len(records) for records in found.values()] == [0, 1]


@pytest.mark.parametrize("search_up_to", [0, 10])
async def test_a_record_that_gave_its_number_away_is_not_taken_over(pipedrive: Callable[..., Any], search_up_to: int) -> None:
    """The index, or our own memory of the list, still says that it holds the number."""
    world = pipedrive(search_up_to=search_up_to)
    world.twin.reader.lag_s = 600
    one = world.twin.enter("organizations", name="Acme", custom={"ERP Customer No": "C-1"})
    world.clock.advance(3600)
    await world.connection.sinks["account"].find([Key("number", "C-1")])
    world.twin.change("organizations", one, custom={"ERP Customer No": "C-2"})
    made = await world.create(Account(number="C-1", name="Another"))
    assert (made.created, made.id == one) == (True, False)


@pytest.mark.parametrize("search_up_to", [0, 10])
async def test_case_matters_as_it_does_at_the_source(pipedrive: Callable[..., Any], search_up_to: int) -> None:
    world = pipedrive(search_up_to=search_up_to)
    world.twin.enter("organizations", name="Acme", custom={"ERP Customer No": "c-1"})
    world.clock.advance(3600)
    assert await world.connection.sinks["account"].find([Key("number", "C-1")]) == {Key("number", "C-1"): []}


@pytest.mark.parametrize("search_up_to", [0, 10])
async def test_two_records_with_one_number_are_left_to_a_person(pipedrive: Callable[..., Any], search_up_to: int) -> None:
    world = pipedrive(search_up_to=search_up_to)
    ids = [world.twin.enter("organizations", name="Acme", custom={"ERP Customer No": "C-1"}) for _ in range(2)]
    world.clock.advance(3600)
    outcome = await world.write(Create(key=Key("number", "C-1"), entity=Account(number="C-1", name="Acme")))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "AMBIGUOUS"
    assert all(one in outcome.reason for one in ids)


async def test_what_others_enter_after_the_list_was_learnt_is_found(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(search_up_to=0)
    await world.connection.sinks["account"].find([Key("number", "C-0")])
    world.clock.advance(7200)
    one = world.twin.enter("organizations", name="Acme", custom={"ERP Customer No": "C-1"})
    found = await world.connection.sinks["account"].find([Key("number", "C-1")])
    assert [record.id for record in found[Key("number", "C-1")]] == [one]


async def test_an_archived_deal_is_found_when_all_are_listed(pipedrive: Callable[..., Any]) -> None:
    """The list of deals hides it, and a second deal for one order would be the price."""
    world = pipedrive(search_up_to=0)
    one = world.twin.enter("deals", title="Old", is_archived=True, custom={"ERP Order No": "100"})
    outcome = await world.write(Create(key=Key("number", "100"), entity=Deal(number="100", name="New")))
    assert isinstance(outcome, Written)
    assert (outcome.id, outcome.created) == (one, False)


async def test_a_create_whose_answer_was_lost_is_not_sent_again_at_once(pipedrive: Callable[..., Any]) -> None:
    """The first may still come into being; half a minute later it would be there."""
    world = pipedrive()
    world.twin.faults.add(Fault("lost_before", method="POST", path="/organizations"))
    write = Create(key=Key("number", "C-1"), entity=Account(number="C-1", name="Acme"))
    assert isinstance(await world.write(write), Unknown)
    again = await world.write(write)
    assert isinstance(again, Later)
    assert again.after_s is not None
    world.clock.advance(again.after_s)
    assert isinstance(await world.write(write), Written)


async def test_a_product_is_matched_by_its_code_unless_the_code_is_somebody_elses(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(keys={"product": "ERP Item No"})
    world.twin.add_field("products", "ERP Item No")
    world.twin.enter("products", name="Other", code="GB-12")
    made = await world.create(Product(number="GB-12", name="Gearbox"))
    assert made.created


async def test_two_creates_of_one_number_in_a_batch_become_one_record(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    writes = [Create(key=Key("number", "C-1"), entity=Account(number="C-1", name=name)) for name in ("Acme", "Acme 2")]
    first, second = await world.connection.sinks["account"].write(writes)
    assert (first.created, second.created, first.id == second.id) == (True, False, True)
