"""Reading what changed, and what only a sweep shows: times written as the pod reads them, pages that shift, deletions,
calls."""

from collections.abc import Callable
from typing import Any

import pytest
from oracle_world import World

from ml_connector.domain import Account, Page
from ml_connector.errors import ContractBroken
from ml_connector.ports.source import Feed, Sweep
from ml_connector_oracle_fusion import query
from ml_connector_oracle_fusion.wire import instant


def feed(world: World, kind: Any = "account") -> Feed:
    source = world.connection.sources[kind]
    assert isinstance(source, Feed)
    return source


async def pages(world: World, cursor: str | None = None) -> list[Page]:
    return [page async for page in feed(world).changed_since(cursor)]


def fill(world: World, count: int, apart_s: float = 1) -> None:
    for n in range(count):
        world.twin.enter("account", OrganizationName=f"Acme {n}")
        world.clock.advance(apart_s)
    world.clock.advance(600)


@pytest.mark.parametrize("style", ["iso_offset", "iso_z", "space"])
async def test_times_are_written_in_the_way_that_the_pod_reads(oracle: Callable[..., World], style: str) -> None:
    world = oracle(lag_s=60)
    world.twin.switches.stamps = (style,)
    fill(world, 3)
    read = await pages(world)
    assert sum(len(page.records) for page in read) == 3
    world.forget_calls()
    await pages(world, read[-1].cursor)
    assert [status for _, _, status in world.twin.calls] == [200]


async def test_a_wrong_filter_is_told_as_what_it_is_and_not_as_a_way_of_writing_times(oracle: Callable[..., World]) -> None:
    world = oracle(entities={"account": {"filter": "Nonsense = 'x'"}})
    with pytest.raises(ContractBroken, match="Nonsense"):
        await pages(world)


async def test_a_filter_limits_what_is_read(oracle: Callable[..., World]) -> None:
    world = oracle(entities={"account": {"filter": "Type = 'ZCA_CUSTOMER' or City = 'Lund'"}})
    world.twin.enter("account", OrganizationName="Acme")
    world.twin.enter("account", OrganizationName="Prospect", Type="ZCA_PROSPECT")
    world.twin.enter("account", OrganizationName="Lund", Type="ZCA_PROSPECT", City="Lund", Country="SE")
    world.clock.advance(600)
    names = [record.entity.name for page in await pages(world) for record in page.records if record.entity is not None]
    assert sorted(map(str, names)) == ["Acme", "Lund"]


async def test_a_page_of_one_time_and_the_next_are_read_without_a_gap(oracle: Callable[..., World]) -> None:
    world = oracle(page_size=4)
    fill(world, 3)
    fill(world, 9, apart_s=0)
    fill(world, 3)
    records = [record.id for page in await pages(world) for record in page.records]
    assert len(records) == len(set(records)) == 15


async def test_a_clock_that_is_ahead_of_oracles_loses_nothing(oracle: Callable[..., World]) -> None:
    """Our clock is an hour ahead: the cursor must not run ahead of what the pod has stamped so far."""
    world = oracle(overlap_s=0)
    world.twin.clock.advance(-3600)
    world.twin.enter("account", OrganizationName="First")
    world.clock.advance(5)
    read = await pages(world)
    world.twin.enter("account", OrganizationName="Second")
    world.clock.advance(5)
    later = [record.entity for page in await pages(world, read[-1].cursor) for record in page.records]
    assert "Second" in [entity.name for entity in later if isinstance(entity, Account)]


async def test_a_cursor_of_another_feed_is_refused_with_advice(oracle: Callable[..., World]) -> None:
    with pytest.raises(ContractBroken, match="none of this feed's"):
        await pages(oracle(), "2026-03-02")


async def test_deletions_are_told_where_the_pods_code_for_them_is_known(oracle: Callable[..., World]) -> None:
    world = oracle(entities={"account": {"deleted_code": "Account"}})
    fill(world, 3)
    read = await pages(world)
    gone = next(record.id for page in read for record in page.records)
    world.twin.delete("account", gone)
    person = world.twin.enter("contact", LastName="Larsen")
    world.twin.delete("contact", person)
    world.clock.advance(600)
    told = [record for page in await pages(world, read[-1].cursor) for record in page.records if record.gone]
    assert [record.id for record in told] == [gone]


async def test_a_merged_party_is_an_inactive_one_and_not_gone(oracle: Callable[..., World]) -> None:
    world = oracle()
    party = world.twin.enter("account", OrganizationName="Loser")
    world.twin.change("account", party, PartyStatus="I")
    world.clock.advance(600)
    [record] = [record for page in await pages(world) for record in page.records]
    assert isinstance(record.entity, Account)
    assert (record.gone, record.entity.active) == (False, False)


async def test_a_thousand_changes_are_read_in_the_fewest_calls(oracle: Callable[..., World]) -> None:
    """What the README says: three pages of 499 at most."""
    world = oracle()
    fill(world, 1000)
    await feed(world).fetch(["1"])
    world.forget_calls()
    assert sum(len(page.records) for page in await pages(world)) == 1000
    assert len(world.twin.calls) == 3


async def test_a_thousand_records_are_fetched_a_hundred_at_a_time(oracle: Callable[..., World]) -> None:
    world = oracle()
    fill(world, 1000)
    ids = [str(party) for party in world.twin.store.rows("accounts")]
    await feed(world).fetch(["1"])
    world.forget_calls()
    assert len(await feed(world).fetch(ids)) == 1000
    assert len(world.twin.calls) == 10


async def test_a_server_that_says_no_more_with_a_full_page_is_asked_once_more(oracle: Callable[..., World]) -> None:
    world = oracle(page_size=5, entities={"account": {"strategy": "sweep"}})
    world.twin.switches.has_more = False
    fill(world, 10)
    source = world.connection.sources["account"]
    assert isinstance(source, Sweep)
    assert sum([len(chunk) async for chunk in source.stubs(rows=False)]) == 10


async def test_a_database_error_while_reading_is_tried_again_twice_and_then_told(oracle: Callable[..., World]) -> None:
    from ml_connector.twin import Fault

    world = oracle()
    party = world.twin.enter("account", OrganizationName="Acme")
    world.twin.faults.add(Fault("status", status=500, body=b"ORA-00060: deadlock detected", path="/accounts", times=2))
    assert len(await feed(world).fetch([party])) == 1
    world.twin.faults.add(Fault("status", status=500, body=b"JBO-27122: SQL error", path="/accounts", times=9))
    world.forget_calls()
    with pytest.raises(ContractBroken, match="JBO-27122"):
        await feed(world).fetch([party])
    assert len(world.twin.calls) == 3


def test_literals_double_their_quotes_and_are_encoded_once() -> None:
    assert query.text("O'Brien") == "'O''Brien'"
    assert query.parameters(q="A = 'x+y'", limit=5) == "?q=A%20%3D%20%27x%2By%27&limit=5"
    assert query.finder("F", {"A": "x,y", "B": "1;2"}) == "F;A=x%2Cy,B=1%3B2"
    assert query.plain(query.text("O'Brien")) == "O'Brien"


@pytest.mark.parametrize("text", ["2026-03-09T08:14:52+00:00", "2026-03-09T09:14:52.0+01:00", "2026-03-09T08:14:52Z"])
def test_times_with_and_without_fractions_are_the_same_utc(text: str) -> None:
    assert instant(text).isoformat() == "2026-03-09T08:14:52+00:00"
