"""Two kinds of 429, the wall behind them, and what calls cost."""

from collections.abc import Callable
from typing import Any

import pytest

from ml_connector.domain import Account
from ml_connector.errors import Throttled
from ml_connector.ports.sink import Create, Key
from ml_connector.twin import Fault


async def test_a_spent_budget_is_not_asked_again_before_the_day_ends(pipedrive: Callable[..., Any]) -> None:
    """Retry-After: 3 comes with it and is of no use."""
    world = pipedrive()
    one = world.twin.enter("organizations", name="Acme")
    await world.connection.sources["account"].fetch([one])
    world.twin.limits.spent = world.twin.limits.daily
    before = len(world.twin.calls)
    with pytest.raises(Throttled) as caught:
        await world.connection.sources["account"].fetch([one])
    assert caught.value.after_s == 12 * 3600
    with pytest.raises(Throttled):
        await world.connection.sources["account"].fetch([one])
    assert len(world.twin.calls) == before + 1
    world.clock.advance(12 * 3600)
    assert await world.connection.sources["account"].fetch([one])


async def test_the_reserve_is_for_writes(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    made = await world.create(Account(number="C-1", name="Acme"))
    world.twin.limits.spent = int(world.twin.limits.daily * 0.85)
    await world.update(made, Account(name="Acme 2"))  # its answer says how little is left
    with pytest.raises(Throttled, match="reserved"):
        await world.connection.sources["account"].fetch([made.id])
    await world.update(made, Account(name="Acme 3"))


async def test_cloudflares_wall_is_waited_out_and_is_no_question_of_rights(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    page = b"<html><title>Access denied | Cloudflare</title></html>"
    world.twin.faults.add(Fault("status", status=403, body=page, path="/organizations"))
    with pytest.raises(Throttled) as caught:
        await world.connection.sources["account"].fetch(["1"])
    assert caught.value.after_s is not None
    assert caught.value.after_s >= 300


async def test_a_storm_of_writes_stays_within_the_burst(pipedrive: Callable[..., Any]) -> None:
    """On the smallest plan: neither a 429 nor a wait that was not ours."""
    world = pipedrive(twin={"burst": 80}, plan="lite", search_up_to=1000)
    writes = [Create(key=Key("number", f"C-{n}"), entity=Account(number=f"C-{n}", name="Acme")) for n in range(40)]
    for start in (0, 20):
        await world.connection.sinks["account"].write(writes[start : start + 20])
    assert {status for _, _, status in world.twin.calls} == {200}
    assert len(world.called("GET", "itemSearch")) == 40


async def test_many_keys_are_listed_once_instead_of_searched(pipedrive: Callable[..., Any]) -> None:
    """A first load of forty costs far less than forty searches."""
    world = pipedrive()
    await world.connection.sinks["account"].accepts()
    before = world.spent
    writes = [Create(key=Key("number", f"C-{n}"), entity=Account(number=f"C-{n}", name="Acme")) for n in range(40)]
    for start in (0, 20):
        await world.connection.sinks["account"].write(writes[start : start + 20])
    assert world.called("GET", "itemSearch") == []
    assert world.spent - before <= 40 * 5 + 4 * 10


async def test_an_update_costs_a_look_and_a_write(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    made = await world.create(Account(number="C-1", name="Acme"))
    before = world.spent
    await world.update(made, Account(name="Acme Holding"))
    assert world.spent - before == 1 + 5
