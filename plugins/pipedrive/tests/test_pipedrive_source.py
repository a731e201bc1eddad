"""Reading what changed, and what the list of deals hides."""

from collections.abc import Callable
from typing import Any

import pytest

from ml_connector.errors import ContractBroken
from ml_connector.twin import Fault


async def read(world: Any, kind: str, cursor: str | None = None) -> tuple[dict[str, Any], str]:
    told, last = {}, cursor
    async for page in world.connection.sources[kind].changed_since(cursor):
        told |= {record.id: record for record in page.records}
        last = page.cursor or last
    return told, last


async def test_archived_deals_come_with_the_first_load_and_later_ones_every_hour(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    old = world.twin.enter("deals", title="Old", is_archived=True)
    new = world.twin.enter("deals", title="New")
    world.clock.advance(120)
    told, cursor = await read(world, "deal")
    assert set(told) == {old, new}
    world.clock.advance(600)
    world.twin.change("deals", new, is_archived=True)
    told, cursor = await read(world, "deal", cursor)
    assert new not in told
    world.clock.advance(3600)
    told, _ = await read(world, "deal", cursor)
    assert set(told) == {new}


async def test_a_first_load_that_is_killed_still_brings_the_archived_deals(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(page_size=1)
    old = world.twin.enter("deals", title="Old", is_archived=True)
    for n in range(3):
        world.twin.enter("deals", title=f"New {n}")
        world.clock.advance(1)
    world.clock.advance(7200)
    pages = world.connection.sources["deal"].changed_since(None)
    first = await anext(pages)
    told, _ = await read(world, "deal", first.cursor)
    assert old in told


async def test_an_archived_deal_is_not_taken_for_a_deleted_one(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    ids = [world.twin.enter("deals", title=f"Deal {n}") for n in range(12)]
    world.twin.change("deals", ids[3], is_archived=True)
    world.twin.delete("deals", ids[4])
    found = {record.id for record in await world.connection.sources["deal"].fetch(ids)}
    assert found == set(ids) - {ids[4]}


async def test_a_clock_that_runs_ahead_of_pipedrives_loses_nothing(pipedrive: Callable[..., Any]) -> None:
    """What is asked by time is asked by the vendor's clock."""
    world = pipedrive()
    world.twin.clock.advance(-3600)
    _, cursor = await read(world, "account")
    world.twin.clock.advance(70)
    new = world.twin.enter("organizations", name="Acme")
    told, _ = await read(world, "account", cursor)
    assert new in told


async def test_a_quiet_poll_costs_one_list(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    _, cursor = await read(world, "account")
    before = world.spent
    await read(world, "account", cursor)
    assert world.spent - before == 10


async def test_a_cursor_of_somebody_elses_is_refused(pipedrive: Callable[..., Any]) -> None:
    with pytest.raises(ContractBroken, match="cursor"):
        await read(pipedrive(), "account", "2026-01-01")


async def test_a_list_without_data_is_asked_for_again(pipedrive: Callable[..., Any]) -> None:
    """Seen in the wild: 200, and in it neither success nor data."""
    world = pipedrive()
    one = world.twin.enter("organizations", name="Acme")
    for body in (b'{"success":false}', b"null"):
        world.twin.faults.add(Fault("garbage", body=body, path="/organizations"))
    told, _ = await read(world, "account")
    assert set(told) == {one}
