"""A plan says exactly what a run would write; applied, it does that, and leaves out and names whatever moved since."""

from typing import Any

import pytest
from engine import CUSTOMERS, Engine, customer
from test_two_way import Parties

from ml_connector.use_cases.plan_flow import Step, apply_plan, plan_flow

pytestmark = pytest.mark.parametrize("style", ["sweep", "feed"])


async def planned(engine: Engine, flow: Any = CUSTOMERS, **options: Any) -> list[Step]:
    return [step async for step in plan_flow(flow, engine.ends(flow), engine.world, **options)]


async def test_a_plan_writes_nothing_and_a_run_does_exactly_that(style: str) -> None:
    engine = Engine(style)
    for number in range(30):
        engine.erp.put(customer(f"C-{number}"))
    await engine.run()
    first = next(iter(engine.erp.records("account")))
    engine.erp.edit_as_person("account", first, phone="1", name="new")
    engine.erp.put(customer("C-new"))
    settled, moves = engine.state.settlements, engine.crm.moves
    steps = await planned(engine)
    assert (engine.state.settlements, engine.crm.moves, engine.state.links.sighted) == (settled, moves, {})
    told = {step.number: (step.deed, {change.field: (change.old, change.new) for change in step.changes}) for step in steps}
    assert told["C-0"] == ("update", {"name": ("Acme C-0", "new"), "phone": ("+46 8 1", "1")})
    assert told["C-new"][0] == "create"
    run = await engine.run()
    assert run.counts.written == len(steps) == 2
    assert await planned(engine) == []


async def test_applying_does_the_steps_and_leaves_out_what_moved_since(style: str) -> None:
    engine = Engine(style)
    ids = [engine.erp.put(customer(f"C-{number}")) for number in range(4)]
    await engine.run()
    for one in ids:
        engine.erp.edit_as_person("account", one, phone="planned")
    steps = await planned(engine)
    engine.erp.edit_as_person("account", ids[0], phone="moved here")
    engine.crm.edit_as_person("account", engine.id_there("C-1"), phone="moved there")
    engine.erp.edit_as_person("account", ids[2], phone="+46 8 1")
    engine.erp.put(customer("C-later"))
    run, left_out = await apply_plan(CUSTOMERS, engine.ends(CUSTOMERS), engine.world, steps)
    assert run.counts.written == 1
    assert run.counts.adds_up()
    assert {number: entity.phone for number, entity in engine.there().items()} == {
        "C-0": "+46 8 1",
        "C-1": "moved there",
        "C-2": "+46 8 1",
        "C-3": "planned",
    }
    assert {each.step.number for each in left_out} == {"C-0", "C-1", "C-2"}
    await engine.run()
    assert engine.there()["C-0"].phone == "moved here"  # what was left out is not forgotten


async def test_a_two_way_plan_goes_both_ways_and_is_applied_whole(style: str) -> None:
    engine = await Parties(style).settled()
    engine.edit_here(name="Acme AB")
    engine.edit_there(industry="Shipping")
    steps = await planned(engine, engine.flow)
    assert {(step.side, change.field) for step in steps for change in step.changes} == {("right", "name"), ("left", "industry")}
    run, left_out = await apply_plan(engine.flow, engine.ends(engine.flow), engine.world, steps)
    assert (run.counts.written, left_out) == (2, [])
    assert engine.here().industry == "Shipping"
    assert engine.over_there().name == "Acme AB"
    await engine.quiet()


async def test_a_plan_of_an_unopened_first_load_holds_what_nobody_reviewed(style: str) -> None:
    engine = Engine(style)
    engine.crm.put(customer("C-9"))
    engine.erp.put(customer("C-1"))
    await engine.run()
    assert await planned(engine) == []
