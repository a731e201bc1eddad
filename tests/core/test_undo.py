"""A run is taken back: what then stands on either side, what the next runs make of it, and who is left alone and told of."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from engine import CUSTOMERS, ORDERS, Engine, changed, customer, order
from hypothesis import given, settings
from hypothesis import strategies as st
from test_two_way import PARTIES, Parties

from ml_connector.domain import UNSET, Address, Extra, Line, Money, Ref
from ml_connector.errors import AuthRejected, LeaseHeld
from ml_connector.flows import Flow
from ml_connector.ports.sink import Later, Rejected
from ml_connector.ports.state import AuditEntry, AuditRecord, Change, End, Run
from ml_connector.sync import content
from ml_connector.sync.restore import deeds
from ml_connector.testing import ManualClock
from ml_connector.use_cases.undo import Undone, flow_of, foresee, undo


async def take_back(engine: Engine, run: Run, flow: Flow = CUSTOMERS, **options: Any) -> tuple[Run, list[Undone]]:
    told: list[Undone] = []
    engine.clock_on()
    done = await undo(flow, run.id, engine.ends(flow), engine.world, told=told.append, **options)
    return done, told


async def edited(*numbers: str, **crm: Any) -> tuple[Engine, Run]:
    """Customers whose phone went from 1 to 2, by the run that is returned."""
    engine = Engine("feed", **crm)
    ids = [engine.erp.put(customer(number, phone="1")) for number in numbers or ("C-100",)]
    await engine.run()
    engine.clock_on()
    for one in ids:
        engine.erp.edit_as_person("account", one, phone="2")
    return engine, await engine.run()


async def quiet(engine: Engine, flow: Flow = CUSTOMERS, **options: Any) -> None:
    """Two more runs write nothing, and none of them takes what stands there for somebody's edit."""
    for _ in range(2):
        before = (engine.erp.moves, engine.crm.moves)
        run = await engine.run(flow, **options)
        assert (run.outcome, run.counts.written, engine.erp.moves, engine.crm.moves) == ("green", 0, *before)
    assert not await engine.audit(lambda entry: entry.action == "drifted")


async def test_the_old_value_stands_again_and_no_later_run_writes_the_undone_one() -> None:
    engine, run = await edited()
    done, [told] = await take_back(engine, run)
    assert engine.there()["C-100"].phone == "1"
    assert (done.outcome, done.counts.read, done.counts.written, done.counts.adds_up()) == ("green", 1, 1, True)
    assert (told.term, told.number, told.connection) == ("written", "C-100", "crm")
    await quiet(engine)
    await quiet(engine, full=True)


async def test_the_fields_next_change_at_its_source_is_written_as_ever() -> None:
    engine, run = await edited()
    await take_back(engine, run)
    [source] = engine.erp.records("account")
    engine.erp.edit_as_person("account", source, phone="3")
    await engine.run()
    assert engine.there()["C-100"].phone == "3"
    [change] = (await engine.audit(lambda entry: entry.action == "updated"))[-1].changes
    assert (change.old, change.new) == ("1", "3")


async def test_a_persons_edit_after_the_undoing_is_theirs_alone() -> None:
    engine, run = await edited()
    await take_back(engine, run)
    engine.crm.edit_as_person("account", engine.id_there("C-100"), name="Acme of Oslo")
    await engine.run()
    [drift] = await engine.audit(lambda entry: entry.action == "drifted")
    assert [change.field for change in drift.changes] == ["name"]


async def test_the_audit_tells_who_took_back_what_and_in_which_trace() -> None:
    engine, run = await edited()
    done, _ = await take_back(engine, run)
    [entry] = await engine.audit(lambda entry: entry.run == done.id)
    assert (entry.action, entry.rule, entry.trace_id, entry.side) == ("undone", f"undo of run {run.id}", done.trace_id, "right")
    assert [(change.field, change.old, change.new) for change in entry.changes] == [("phone", "2", "1")]
    assert (await engine.state.ledger.last("customers"))[0].note == f"undo of run {run.id}"
    assert await flow_of(done.id, engine.state) == "customers"
    assert await flow_of("no such run", engine.state) is None


async def test_an_undoing_can_be_undone() -> None:
    engine, run = await edited()
    done, _ = await take_back(engine, run)
    again, _ = await take_back(engine, done)
    assert (again.outcome, engine.there()["C-100"].phone) == ("green", "2")
    assert (await engine.link("C-100")).right.held is None
    await quiet(engine)


@pytest.mark.parametrize("deed", ["edits it", "edits another field of it", "deletes it"])
async def test_what_a_person_touched_since_is_left_out_and_named(deed: str) -> None:
    engine, run = await edited("C-100", "C-101")
    there = engine.id_there("C-100")
    if deed == "deletes it":
        engine.crm.delete_as_person("account", there)
    else:
        engine.crm.edit_as_person("account", there, **{"phone" if deed == "edits it" else "name": "theirs"})
    done, told = await take_back(engine, run)
    left, restored = sorted(told, key=lambda undone: undone.number)
    assert (left.number, left.term) == ("C-100", "conflicted")
    assert left.reason == {"edits it": "edited at crm since: phone", "deletes it": "deleted at crm since"}.get(
        deed, "edited at crm since"
    )
    assert (restored.term, engine.there()["C-101"].phone) == ("written", "1")
    if deed != "deletes it":
        assert engine.there()["C-100"].phone in ("theirs", "2")
    assert (done.outcome, done.counts.conflicted, done.counts.adds_up()) == ("attention", 1, True)


async def test_what_is_edited_between_the_look_and_the_write_is_left_out_too() -> None:
    engine, run = await edited()
    look = engine.right.sources["account"].fetch

    async def seen_too_early(ids: Any) -> Any:
        found = await look(ids)
        engine.crm.edit_as_person("account", ids[0], phone="theirs")
        return found

    engine.right.sources["account"].fetch = seen_too_early  # type: ignore[method-assign]
    _, [told] = await take_back(engine, run)
    assert (told.term, engine.there()["C-100"].phone) == ("conflicted", "theirs")
    assert (await engine.link("C-100")).right.held is None


async def test_what_a_later_run_wrote_is_left_out_and_that_run_named() -> None:
    engine, run = await edited()
    [source] = engine.erp.records("account")
    engine.erp.edit_as_person("account", source, phone="3")
    later = await engine.run()
    _, [told] = await take_back(engine, run)
    assert (told.term, told.reason) == ("conflicted", f"run {later.id} wrote it since: phone")
    assert engine.there()["C-100"].phone == "3"


async def test_a_run_undone_twice_is_undone_once() -> None:
    engine, run = await edited()
    await take_back(engine, run)
    before = engine.crm.moves
    done, [told] = await take_back(engine, run)
    assert (told.term, done.outcome, engine.crm.moves) == ("unchanged", "green", before)
    await quiet(engine)


async def test_a_record_that_the_run_made_is_taken_out_of_use_and_can_come_back() -> None:
    engine = Engine("feed")
    engine.erp.put(customer(active=True))
    run = await engine.run()
    done, [told] = await take_back(engine, run)
    assert (told.term, engine.there()["C-100"].active) == ("written", False)
    await quiet(engine)
    await take_back(engine, done)
    assert engine.there()["C-100"].active is True
    await quiet(engine)


async def test_a_record_that_cannot_be_taken_out_of_use_stays_and_is_named() -> None:
    engine, _ = await edited()
    crm = engine.crm
    crm.rules.append(lambda kind, entity: Rejected(code="IN_USE", reason="it has deals") if entity.active is False else None)
    engine.erp.put(customer("C-101"))
    run = await engine.run()
    done, [told] = await take_back(engine, run)
    assert (told.term, told.reason, done.counts.rejected) == ("rejected", "IN_USE, it has deals", 1)
    assert (await engine.link("C-101")).standing == "agreed"


async def test_what_was_taken_out_of_use_is_named_because_nobody_knows_what_it_was() -> None:
    flow = changed(CUSTOMERS, deletes="deactivate")
    engine = Engine("feed", flow)
    source = engine.erp.put(customer())
    await engine.run(flow)
    engine.erp.delete_as_person("account", source)
    run = await engine.run(flow)
    _, [told] = await take_back(engine, run, flow)
    assert (told.term, told.reason) == ("skipped", "what it was before it was taken out of use is not known")


async def test_a_field_whose_old_value_is_not_known_is_named_and_the_others_restored() -> None:
    engine = Engine("feed")
    source = engine.erp.put(customer(phone="1"))
    await engine.run()
    engine.erp.edit_as_person("account", source, phone="2", fax="9")
    run = await engine.run()
    done, [told] = await take_back(engine, run)
    assert (engine.there()["C-100"].phone, engine.there()["C-100"].fax) == ("1", "9")
    assert (told.term, told.reason) == ("written", "what stood there before is not known: fax")
    assert (done.outcome, done.counts.adds_up()) == ("attention", True)


@pytest.mark.parametrize("after", [True, False])
async def test_an_answer_that_was_lost_is_looked_up_before_it_is_told(after: bool) -> None:
    engine, run = await edited()
    lose_the_write(engine, after=after)
    done, [told] = await take_back(engine, run)
    assert (told.term, done.outcome, engine.there()["C-100"].phone) == ("written", "green", "1")
    await quiet(engine)


def lose_the_write(engine: Engine, *, after: bool, blind: bool = False) -> None:
    """The answer of the next write is lost; ``blind``: and nothing can be seen for a while."""
    sink, write = engine.right.sinks["account"], engine.right.sinks["account"].write

    async def once(writes: Any) -> Any:
        sink.write = write  # type: ignore[method-assign]
        engine.crm.lose_answer_once(after=after)
        if blind:
            engine.crm.break_once(20)
        return await write(writes)

    sink.write = once  # type: ignore[method-assign]


async def test_what_cannot_be_looked_up_stays_in_doubt_and_undoing_again_settles_it() -> None:
    engine, run = await edited()
    lose_the_write(engine, after=True, blind=True)
    done, [told] = await take_back(engine, run)
    assert (told.term, done.outcome, done.counts.unknown) == ("unknown", "attention", 1)
    assert [entry.action for entry in await engine.audit(lambda entry: entry.run == done.id)] == ["in_doubt"]
    engine.crm.calm()
    _, [told] = await take_back(engine, run)
    assert (told.term, engine.there()["C-100"].phone) == ("unchanged", "1")


async def test_a_busy_vendor_is_asked_again() -> None:
    engine, run = await edited()
    engine.crm.fail_once(engine.id_there("C-100"), Later(reason="locked", after_s=5))
    _, [told] = await take_back(engine, run)
    assert (told.term, engine.there()["C-100"].phone) == ("written", "1")


async def test_what_was_restored_before_the_access_ended_stays_settled() -> None:
    engine, run = await edited(*(f"C-{number}" for number in range(15)))
    write = engine.right.sinks["account"].write

    async def then_closed(writes: Any) -> Any:
        outcomes = await write(writes)
        engine.crm.revoke()
        return outcomes

    engine.right.sinks["account"].write = then_closed  # type: ignore[method-assign]
    with pytest.raises(AuthRejected):
        await take_back(engine, run)
    [last] = await engine.state.ledger.last("customers")
    assert last.outcome == "paused"
    assert len([entry for entry in engine.there().values() if entry.phone == "1"]) == 10
    engine.crm.revoked = False
    engine.right.sinks["account"].write = write  # type: ignore[method-assign]
    _, told = await take_back(engine, run)
    assert sorted(undone.term for undone in told) == ["unchanged"] * 10 + ["written"] * 5
    await quiet(engine)


async def test_a_process_that_dies_after_the_write_leaves_no_edit_behind() -> None:
    engine, run = await edited()
    settle, count = engine.state.settle, [0]

    async def dies(*settlement: Any) -> None:
        count[0] += 1
        if count[0] == 2:  # the first one announces
            raise KeyboardInterrupt
        await settle(*settlement)

    engine.state.settle = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        await take_back(engine, run)
    engine.state.settle = settle  # type: ignore[method-assign]
    assert engine.there()["C-100"].phone == "1"
    await quiet(engine)


async def test_nothing_is_undone_while_somebody_else_holds_the_flow() -> None:
    engine, run = await edited()
    await engine.state.leases.claim("customers", "another", 60)
    engine.clock.advance(-60)
    with pytest.raises(LeaseHeld):
        await take_back(engine, run)


async def test_only_the_records_that_were_asked_for_are_undone() -> None:
    engine, run = await edited("C-100", "C-101")
    _, told = await take_back(engine, run, records=[("account", "C-101"), ("order", "C-100")])
    assert [undone.number for undone in told] == ["C-101"]
    assert (engine.there()["C-100"].phone, engine.there()["C-101"].phone) == ("2", "1")


async def test_a_dry_run_tells_the_same_and_touches_nothing() -> None:
    engine, run = await edited("C-100", "C-101")
    engine.crm.edit_as_person("account", engine.id_there("C-100"), phone="theirs")
    before = (engine.crm.moves, engine.state.settlements, len(engine.state.ledger.runs))
    seen = [undone async for undone in foresee(CUSTOMERS, run.id, engine.ends(CUSTOMERS), engine.world)]
    assert (engine.crm.moves, engine.state.settlements, len(engine.state.ledger.runs)) == before
    _, told = await take_back(engine, run)
    assert sorted(seen, key=lambda undone: undone.number) == sorted(told, key=lambda undone: undone.number)


async def test_every_kind_of_value_comes_back_as_it_was() -> None:
    rich: dict[str, Any] = {
        "billing": Address(street="Kaj 1", city="Oslo"),
        "credit_limit": Money(Decimal("1000.50"), "NOK"),
        "fax": "8",
        "employees": 7,
        "extra": Extra({"rate": Decimal("1.50"), "region": "N"}),
    }
    engine = Engine("feed")
    source = engine.erp.put(customer(**rich))
    await engine.run()
    before = engine.there()["C-100"]
    engine.erp.edit_as_person(
        "account",
        source,
        billing=Address(street="Kaj 2", city="Bergen"),
        credit_limit=None,
        fax=None,
        employees=8,
        extra=Extra({"rate": Decimal("2"), "region": None}),
    )
    run = await engine.run()
    assert engine.there()["C-100"] != before
    await take_back(engine, run)
    assert engine.there()["C-100"] == before
    await quiet(engine)


async def test_lines_and_what_they_name_come_back_in_the_crms_terms() -> None:
    engine = Engine("feed")
    customers = [engine.erp.put(customer(number)) for number in ("C-100", "C-101")]
    lines = (Line(key="1", sku="P-1", quantity=Decimal(2)), Line(key="2", sku="P-2", quantity=Decimal(1)))
    source = engine.erp.put(order(customer_id=customers[0], lines=lines))
    await engine.both()
    [before] = engine.there("deal").values()
    engine.erp.edit_as_person("order", source, customer=Ref("account", customers[1]), lines=lines[:1])
    _, run = await engine.both()
    [moved] = engine.there("deal").values()
    assert moved.account != before.account and len(moved.lines) == 1
    await take_back(engine, run, ORDERS)
    [after] = engine.there("deal").values()
    assert after == before
    await quiet(engine, ORDERS)


def test_several_writes_of_one_run_are_one_way_from_the_first_old_value_to_the_last_new_one() -> None:
    def told(seq: int, run: str, old: str, new: str, version: str) -> AuditRecord:
        entry = AuditEntry(
            at=ManualClock().now(),
            run=run,
            flow="customers",
            trace_id="0",
            kind="account",
            number="C-100",
            link="id2",
            action="updated",
            left=End("1"),
            right=End("2", version),
            changes=(Change(field="phone", old=old, new=new),),
        )
        return AuditRecord(seq=seq, entry=entry, hash="")

    story = [told(4, "run-0", "0", "1", "a"), told(5, "run-1", "1", "2", "b"), told(6, "run-1", "2", "3", "c")]
    first, [deed] = deeds([*story, told(7, "run-2", "3", "4", "d")], "run-1")
    assert (first, deed.version, deed.since) == (5, "c", "run-2")
    assert [(change.old, change.new) for change in deed.changes.values()] == [("1", "3")]
    assert deeds(story, "run-2") == (0, [])


# two-way


async def test_both_sides_keep_what_they_hold_until_one_of_them_changes_it() -> None:
    engine = await Parties("feed").settled(phone="1", name="Acme")
    engine.edit_here(phone="2")
    engine.edit_there(name="Acme of Oslo")
    run = await engine.go()
    done, told = await take_back(engine, run, engine.flow)
    assert {undone.connection: undone.term for undone in told} == {"erp": "written", "crm": "written"}
    assert (engine.here().phone, engine.over_there().phone) == ("2", "1")
    assert (engine.here().name, engine.over_there().name) == ("Acme", "Acme of Oslo")
    assert done.counts.adds_up()
    await engine.quiet()
    await quiet(engine, engine.flow, full=True)
    engine.edit_there(phone="3")
    engine.edit_here(name="Acme AB")
    await engine.go()
    for side in (engine.here(), engine.over_there()):
        assert (side.phone, side.name) == ("3", "Acme AB")


async def test_a_two_way_undoing_can_be_undone() -> None:
    engine = await Parties("sweep").settled(phone="1")
    engine.edit_there(phone="2")
    run = await engine.go()
    done, _ = await take_back(engine, run, engine.flow)
    assert (engine.here().phone, engine.over_there().phone) == ("1", "2")
    await take_back(engine, done, engine.flow)
    assert (engine.here().phone, engine.over_there().phone) == ("2", "2")
    assert (await engine.link("C-100", engine.flow)).left.held is None
    await engine.quiet()


async def test_a_record_that_was_made_over_here_is_retired_here_and_its_original_left_alone() -> None:
    engine = Parties("feed")
    engine.erp.put(customer("C-1"))
    await engine.go(create_all=True)
    engine.crm.put(customer("C-2", active=True))
    run = await engine.go()
    await take_back(engine, run, engine.flow)
    erp = {entity.number: entity for entity in engine.erp.records("account").values()}
    assert (erp["C-2"].active, engine.there()["C-2"].active) == (False, True)
    await engine.quiet()
    await quiet(engine, engine.flow, full=True)


async def test_what_names_another_record_is_restored_in_the_written_sides_own_terms() -> None:
    engine = Parties("feed", changed(PARTIES, owner="right"))
    engine.crm.new_id("account")  # so that ids differ from side to side
    for number in ("C-1", "C-2", "C-3"):
        engine.erp.put(customer(number))
    await engine.go()
    here = {entity.number: one for one, entity in engine.erp.records("account").items()}
    there = {entity.number: one for one, entity in engine.crm.records("account").items()}
    engine.crm.edit_as_person("account", there["C-3"], parent=Ref("account", there["C-1"]))
    await engine.go()
    engine.clock_on()
    engine.crm.edit_as_person("account", there["C-3"], parent=Ref("account", there["C-2"]))
    run = await engine.go()
    assert engine.erp.records("account")[here["C-3"]].parent == Ref("account", here["C-2"])
    await take_back(engine, run, engine.flow)
    assert engine.erp.records("account")[here["C-3"]].parent == Ref("account", here["C-1"])
    assert engine.there()["C-3"].parent == Ref("account", there["C-2"])
    await engine.quiet()


async def test_without_versions_nothing_is_restored() -> None:
    engine, run = await edited()
    ledger = engine.state.ledger
    ledger.audit = [
        msgspec.structs.replace(each, entry=msgspec.structs.replace(each.entry, right=End(each.entry.right.id)))
        for each in ledger.audit
    ]
    _, [told] = await take_back(engine, run)
    assert (told.term, engine.there()["C-100"].phone) == ("skipped", "2")
    assert told.reason == "crm tells no versions, so nobody knows whether somebody has edited it since"


words = st.sampled_from(["a", "b", " c ", ""]) | st.none()
edits = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Acme AB", "Acme of Oslo"]),
        "phone": words,
        "industry": words,
        "employees": st.integers(0, 3) | st.none(),
        "billing": st.builds(Address, street=words | st.just(UNSET), city=words | st.just(UNSET)),
        "extra": st.dictionaries(st.sampled_from(["x", "y"]), words | st.just(Decimal("1.50")), min_size=1).map(Extra),
    },
)


@settings(max_examples=60, deadline=None)
@given(
    base=edits,
    here=edits,
    there=edits,
    style=st.sampled_from(["feed", "sweep"]),
    trims=st.booleans(),
)
async def test_whatever_both_sides_edited_the_written_values_come_back_and_rest(
    base: dict[str, Any], here: dict[str, Any], there: dict[str, Any], style: str, trims: bool
) -> None:
    engine = await Parties(style, trims=trims).settled(**base)
    engine.edit_here(**here)
    engine.edit_there(**there)
    before = {"erp": engine.here(), "crm": engine.over_there()}
    run = await engine.go()
    _, told = await take_back(engine, run, engine.flow)
    now = {"erp": engine.here(), "crm": engine.over_there()}
    for undone in told:
        for change in undone.changes:
            was, stands = (content.value_at(side[undone.connection], change.field) for side in (before, now))
            assert content.alike(was, stands), change.field
    await engine.quiet()
    await quiet(engine, engine.flow, full=True)
