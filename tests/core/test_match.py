"""A first load onto a filled system: what is proposed, what a person makes of it, and what the flow then does."""

from typing import Any

import msgspec
import pytest
from engine import CUSTOMERS, Engine, changed, customer
from test_two_way import PARTIES, Parties

from ml_connector.errors import ConfigError
from ml_connector.use_cases.match_first_load import Proposal, propose, seed

pytestmark = pytest.mark.parametrize("style", ["sweep", "feed"])


async def proposals(engine: Engine, flow: Any = CUSTOMERS) -> list[Proposal]:
    return [each async for each in propose(flow, engine.ends(flow), engine.world)]


async def applied(engine: Engine, rows: list[Proposal], flow: Any = CUSTOMERS) -> Any:
    numbered = [(f"line {number}", row) for number, row in enumerate(rows, 2)]
    return (await seed(flow, engine.ends(flow), engine.world, numbered))[1]


def decided(row: Proposal, decision: Any, **more: Any) -> Proposal:
    return msgspec.structs.replace(row, decision=decision, **more)


def by_number(rows: list[Proposal]) -> dict[str, Proposal]:
    return {row.number: row for row in rows}


async def test_each_record_is_linked_ambiguous_or_new_with_its_evidence(style: str) -> None:
    engine = Engine(style)
    here = {number: engine.erp.put(customer(number)) for number in ("C-1", "C-2", "C-3")}
    one = engine.crm.put(customer("C-1", name="ACME"))
    two = [engine.crm.put(customer("C-2", name=name)) for name in ("a", "b")]
    rows = by_number(await proposals(engine))
    assert (rows["C-1"].decision, rows["C-1"].left_id, rows["C-1"].right_id) == ("link", here["C-1"], one)
    assert rows["C-1"].evidence == "number = C-1"
    assert (rows["C-2"].decision, rows["C-2"].fit, list(rows["C-2"].candidates)) == ("", "many", two)
    assert (rows["C-3"].decision, rows["C-3"].fit) == ("create", "none")
    assert engine.state.links.rows == {}


async def test_keys_are_tried_in_their_order_and_the_first_that_finds_anything_counts(style: str) -> None:
    flow = changed(CUSTOMERS, match=("number", "email"))
    engine = Engine(style, flow)
    engine.erp.put(customer("C-1", email="a@b.example"))
    there = engine.crm.put(customer("X-9", email="a@b.example"))
    [row] = await proposals(engine, flow)
    assert (row.right_id, row.evidence) == (there, "email = a@b.example")
    await engine.run(flow)
    assert list(engine.there()) == ["C-1"]


async def test_two_records_that_name_one_counterpart_are_not_linked_by_themselves(style: str) -> None:
    flow = changed(CUSTOMERS, match=("email",))
    engine = Engine(style, flow)
    for number in ("C-1", "C-2"):
        engine.erp.put(customer(number, email="a@b.example"))
    engine.crm.put(customer("X-9", email="a@b.example"))
    assert [row.fit for row in await proposals(engine, flow)] == ["twice", "twice"]
    run = await engine.run(flow)
    assert (run.counts.conflicted, list(engine.there())) == (2, ["X-9"])


async def test_nothing_is_made_on_a_filled_system_before_a_person_has_looked(style: str) -> None:
    engine = Engine(style)
    engine.crm.put(customer("X-9"))
    engine.erp.put(customer("C-1"))
    run = await engine.run()
    assert (run.outcome, run.counts.parked, list(engine.there())) == ("attention", 1, ["X-9"])
    link = await engine.link("C-1")
    assert link.trouble is not None
    assert "ml-connector match customers" in link.trouble.fix
    assert (await applied(engine, await proposals(engine))).creates == 1
    assert (await engine.run()).outcome == "green"
    assert sorted(engine.there()) == ["C-1", "X-9"]


async def test_a_flow_that_only_updates_finds_what_another_flow_has_made_there(style: str) -> None:
    """A ledger tells of customers whose accounts the ERP brought: none of those is a stranger, and all of them are there."""
    ledger = changed(CUSTOMERS, name="balances", left="ledger", writes="update", signature="2")
    engine = Engine(style, CUSTOMERS, ledger)
    engine.erp.put(customer("C-1"))
    await engine.run()
    [entry] = engine.erp.records("account")
    engine.erp.edit_as_person("account", entry, phone="+46 8 2")
    run = await engine.run(ledger)
    assert (run.outcome, run.counts.written, run.counts.skipped) == ("green", 1, 0)
    assert engine.there()["C-1"].phone == "+46 8 2"


async def test_a_reviewed_file_seeds_the_links_as_it_says(style: str) -> None:
    engine = Engine(style)
    for number in ("C-1", "C-2", "C-3"):
        engine.erp.put(customer(number))
    other, one = engine.crm.put(customer("X-9", name="other")), engine.crm.put(customer("C-1", name="ACME"))
    rows = by_number(await proposals(engine))
    seeds = await applied(engine, [rows["C-1"], decided(rows["C-2"], "link", right_id=other), decided(rows["C-3"], "skip")])
    assert (seeds.linked, seeds.skipped) == (2, 1)
    run = await engine.run()
    assert run.outcome == "green"
    assert {key: entity.number for key, entity in engine.crm.records("account").items()} == {other: "C-2", one: "C-1"}
    assert (await engine.link("C-3")).standing == "skipped"
    assert (await engine.run()).counts.written == 0


async def test_a_file_with_mistakes_links_nothing_and_names_them_all(style: str) -> None:
    engine = Engine(style)
    here = [engine.erp.put(customer(number)) for number in ("C-1", "C-2", "C-3")]
    there = engine.crm.put(customer("C-1"))
    engine.crm.put(customer("C-9"))
    rows = await proposals(engine)
    bad = [
        decided(rows[0], "link", left_id=here[0], right_id=there),
        decided(rows[1], "link", right_id=there),
        decided(rows[2], "link", right_id="nowhere"),
        decided(rows[2], "link", right_id=None, left_id=here[2]),
    ]
    with pytest.raises(ConfigError) as caught:
        await applied(engine, bad)
    told = "\n".join(caught.value.mistakes)
    assert "line 3" in told
    assert "decided about at line 2" in told
    assert "line 4: no record nowhere" in told
    assert "line 5: a link needs both ids" in told
    assert engine.state.links.rows == {}


async def test_both_sides_of_a_two_way_flow_are_proposed_once(style: str) -> None:
    engine = Parties(style)
    for number in ("C-1", "C-2"):
        engine.erp.put(customer(number))
    for number in ("C-2", "C-3"):
        engine.crm.put(customer(number))
    rows = await proposals(engine, PARTIES)
    assert [(row.number, row.decision, row.left_id is None, row.right_id is None) for row in rows] == [
        ("C-1", "create", False, True),
        ("C-2", "link", False, False),
        ("C-3", "create", True, False),
    ]
    await engine.go()
    await applied(engine, await proposals(engine, PARTIES), PARTIES)
    assert (await engine.go()).outcome == "green"
    for system in (engine.erp, engine.crm):
        assert sorted(entity.number for entity in system.records("account").values()) == ["C-1", "C-2", "C-3"]
    await engine.quiet()
