"""A two-way flow, run again and again while people edit on both sides: what then stands on each, and what the audit tells."""

from typing import Any

import msgspec
import pytest
from engine import Engine, customer

from ml_connector.domain import Account, Address, Extra
from ml_connector.flows import Flow
from ml_connector.ports.sink import Rejected, Unknown
from ml_connector.testing.connection import MemorySink
from ml_connector.use_cases.replay import replay

PARTIES = Flow(
    name="parties",
    left="erp",
    right="crm",
    entity="account",
    target="account",
    two_way=True,
    owner="left",
    owners={"phone": "right", "fax": "ask", "website": "newest"},
    signature="1",
)

pytestmark = pytest.mark.parametrize("style", ["sweep", "feed"])


class Parties(Engine):
    """``C-100`` on both sides, agreed."""

    def __init__(self, style: Any, flow: Flow = PARTIES, **crm: Any) -> None:
        super().__init__(style, flow, **crm)
        self.flow = flow

    async def settled(self, **fields: Any) -> "Parties":
        self.here_id = self.erp.put(customer(**fields))
        assert (await self.go()).outcome == "green"
        self.there_id = self.id_there("C-100")
        return self

    async def go(self, **options: Any) -> Any:
        return await self.run(self.flow, **options)

    def here(self) -> Any:
        return self.erp.records("account")[self.here_id]

    def over_there(self) -> Any:
        return self.crm.records("account")[self.there_id]

    def edit_here(self, **fields: Any) -> None:
        self.clock_on()
        self.erp.edit_as_person("account", self.here_id, **fields)

    def edit_there(self, **fields: Any) -> None:
        self.clock_on()
        self.crm.edit_as_person("account", self.there_id, **fields)

    async def quiet(self) -> None:
        """Two more runs write nothing."""
        for _ in range(2):
            before = (self.erp.moves, self.crm.moves)
            run = await self.go()
            assert (run.counts.written, self.erp.moves, self.crm.moves) == (0, *before)


async def test_records_of_both_sides_come_to_stand_on_both(style: str) -> None:
    engine = Parties(style)
    engine.erp.put(customer("C-1"))
    engine.crm.put(customer("C-2"))
    run = await engine.go(create_all=True)
    assert (run.outcome, run.counts.written) == ("green", 2)
    for system in (engine.erp, engine.crm):
        assert sorted(entity.number for entity in system.records("account").values()) == ["C-1", "C-2"]
    await engine.quiet()


async def test_edits_of_different_fields_on_both_sides_both_survive(style: str) -> None:
    engine = await Parties(style).settled()
    engine.edit_here(name="Acme AB")
    engine.edit_there(industry="Shipping")
    await engine.go()
    for side in (engine.here(), engine.over_there()):
        assert (side.name, side.industry) == ("Acme AB", "Shipping")
    await engine.quiet()


@pytest.mark.parametrize(("field", "winner"), [("name", "here"), ("phone", "there")])
async def test_a_clash_goes_to_the_fields_owner_and_the_losing_value_is_kept(style: str, field: str, winner: str) -> None:
    engine = await Parties(style).settled()
    engine.edit_here(**{field: "here"})
    engine.edit_there(**{field: "there"})
    await engine.go()
    assert (getattr(engine.here(), field), getattr(engine.over_there(), field)) == (winner, winner)
    changes = [change for entry in await engine.audit() for change in entry.changes if change.field == field]
    loser = "there" if winner == "here" else "here"
    assert (loser, winner) in [(change.old, change.new) for change in changes]
    assert any("owner" in str(change.rule) for change in changes)
    await engine.quiet()


@pytest.mark.parametrize("later", ["here", "there"])
async def test_where_the_newest_wins_the_later_edit_does(style: str, later: str) -> None:
    engine = await Parties(style).settled()
    for side in ("there", "here") if later == "here" else ("here", "there"):
        (engine.edit_here if side == "here" else engine.edit_there)(website=side)
    await engine.go()
    assert (engine.here().website, engine.over_there().website) == (later, later)
    await engine.quiet()


async def test_a_clash_that_is_asked_about_waits_and_the_other_fields_go_on(style: str) -> None:
    engine = await Parties(style).settled(fax="0")
    engine.edit_here(fax="here", name="Acme AB")
    engine.edit_there(fax="there", industry="Shipping")
    assert (await engine.go()).outcome == "attention"
    assert (engine.here().fax, engine.over_there().fax) == ("here", "there")
    assert (engine.here().industry, engine.over_there().name) == ("Shipping", "Acme AB")
    link = await engine.link("C-100", engine.flow)
    assert link.standing == "conflicted"
    assert link.trouble is not None
    [clash] = link.trouble.clashes
    assert (clash.field, clash.agreed, clash.left, clash.right) == ("fax", "0", "here", "there")
    await engine.quiet()


async def test_a_field_emptied_on_either_side_is_emptied_on_the_other(style: str) -> None:
    engine = await Parties(style).settled(fax="0")
    engine.edit_here(fax=None)
    engine.edit_there(phone=None)
    await engine.go()
    for side in (engine.here(), engine.over_there()):
        assert (side.fax, side.phone) == (None, None)
    await engine.quiet()


async def test_parts_of_an_address_and_custom_fields_are_merged_one_by_one(style: str) -> None:
    engine = await Parties(style).settled(billing=Address(street="Kaj 1", city="Oslo"), extra=Extra({"a": "1", "b": "2"}))
    engine.edit_here(billing=Address(city="Bergen"), extra=Extra({"a": "one"}))
    engine.edit_there(billing=Address(street="Kaj 2"), extra=Extra({"b": "two"}))
    await engine.go()
    for side in (engine.here(), engine.over_there()):
        assert (side.billing.street, side.billing.city) == ("Kaj 2", "Bergen")
        assert side.extra.as_dict() == {"a": "one", "b": "two"}
    await engine.quiet()


async def test_what_a_vendor_trims_is_learnt_and_never_comes_back_as_an_edit(style: str) -> None:
    engine = await Parties(style, trims=True).settled(name=" Acme  AB ")
    assert (engine.here().name, engine.over_there().name) == (" Acme  AB ", "Acme  AB")
    await engine.quiet()
    engine.edit_there(industry="Shipping")
    await engine.go()
    assert engine.here().name == " Acme  AB "
    assert engine.here().industry == "Shipping"
    await engine.quiet()


async def test_an_edit_that_lands_between_look_and_write_is_merged_not_overwritten(style: str) -> None:
    engine = await Parties(style).settled()
    engine.edit_here(name="Acme AB", phone="here")
    sink = engine.right.sinks["account"]
    whole, edits = sink.write, iter([{"phone": "there", "industry": "Shipping"}])

    async def late(writes: Any) -> Any:
        for fields in edits:
            engine.edit_there(**fields)
        return await whole(writes)

    sink.write = late  # type: ignore[method-assign]
    await engine.go()
    await engine.go()
    for side in (engine.here(), engine.over_there()):
        assert (side.name, side.phone, side.industry) == ("Acme AB", "there", "Shipping")
    await engine.quiet()


async def test_a_record_that_keeps_moving_is_set_aside_after_a_bounded_number_of_tries(style: str) -> None:
    engine = await Parties(style).settled()
    engine.edit_here(name="Acme AB")
    sink, count = engine.right.sinks["account"], iter(range(100))
    whole = sink.write

    async def always(writes: Any) -> Any:
        engine.edit_there(industry=f"{next(count)}")
        return await whole(writes)

    sink.write = always  # type: ignore[method-assign]
    run = await engine.go()
    assert run.counts.conflicted
    assert run.outcome == "attention"
    edits = next(count)
    assert edits <= 6  # three tries of each of the two ways that met it
    sink.write = whole
    await engine.go()
    assert (engine.here().industry, engine.over_there().name) == (f"{edits - 1}", "Acme AB")
    await engine.quiet()


@pytest.mark.parametrize("after", [True, False])
async def test_a_lost_answer_is_looked_up_on_either_side_and_nothing_is_doubled(style: str, after: bool) -> None:
    engine = await Parties(style).settled()
    engine.crm.put(customer("C-200"))
    sink = engine.left.sinks["account"]
    whole, first = sink.write, iter([None])

    async def lost(writes: Any) -> Any:
        for _ in first:
            engine.erp.lose_answer_once(after=after)
        return await whole(writes)

    sink.write = lost  # type: ignore[method-assign]
    await engine.go()
    await engine.go()
    numbers = [entity.number for entity in engine.erp.records("account").values()]
    assert sorted(numbers) == ["C-100", "C-200"]
    await engine.quiet()


class Died(BaseException):
    """The process is no more."""


async def _until_death(engine: Parties) -> None:
    try:
        await engine.go()
    except (Died, BaseExceptionGroup):
        return
    pytest.fail("nobody died")


async def test_of_a_write_cut_off_halfway_only_the_half_that_landed_is_told_as_written(style: str) -> None:
    """Where phone and website stand beside the record, each is a call of its own, and neither moves the record's version."""
    engine = await Parties(style).settled()
    engine.edit_there(phone="+46 8 2", website="https://acme.example")
    sink, rows = engine.left.sinks["account"], engine.erp.rows
    whole = sink.write

    async def half(writes: Any) -> Any:
        row = rows[engine.here_id]
        rows[row.id] = msgspec.structs.replace(row, entity=msgspec.structs.replace(row.entity, phone="+46 8 2"))
        raise Died

    sink.write = half  # type: ignore[method-assign]
    await _until_death(engine)
    sink.write = whole
    engine.clock_on(4000)
    await engine.go()
    assert (engine.here().phone, engine.here().website) == ("+46 8 2", "https://acme.example")
    told = [
        [change.field for change in entry.changes]
        for entry in await engine.audit(lambda entry: entry.action == "updated" and entry.side == "left")
    ]
    assert told == [["phone"], ["website"]]


async def test_what_a_create_that_was_cut_off_did_not_bring_is_brought_and_not_taken_for_cleared(style: str) -> None:
    engine = await Parties(style).settled()
    engine.crm.put(customer("C-200", phone="+46 8 2", website="https://beta.example"))
    sink = engine.left.sinks["account"]
    whole = sink.write

    async def half(writes: Any) -> Any:
        begun = customer("C-200", phone="+46 8 2", website=None)
        engine.erp.store(begun, by_us=False)  # as of vendors that do not tell whose hand it was
        raise Died

    sink.write = half  # type: ignore[method-assign]
    assert isinstance(sink, MemorySink)
    sink._limits = msgspec.structs.replace(sink.limits, in_steps=True)
    await _until_death(engine)
    sink.write = whole
    engine.clock_on(4000)
    await engine.go()
    for system in (engine.erp, engine.crm):
        [beta] = [entity for entity in system.records("account").values() if entity.number == "C-200"]
        assert (beta.phone, beta.website) == ("+46 8 2", "https://beta.example")
    [made] = await engine.audit(lambda entry: entry.action == "created" and entry.side == "left")
    assert "website" not in {change.field for change in made.changes}
    await engine.quiet()


async def test_an_edit_made_after_half_of_an_earlier_one_had_landed_is_newer_than_that_half(style: str) -> None:
    engine = await Parties(style).settled()
    engine.edit_there(name="Acme AB", website="https://acme.example")
    sink = engine.left.sinks["account"]
    whole = sink.write

    async def half(writes: Any) -> Any:
        engine.erp.store(msgspec.structs.replace(engine.here(), name="Acme AB"), by_us=False, over=engine.here_id)
        raise Died

    sink.write = half  # type: ignore[method-assign]
    assert isinstance(sink, MemorySink)
    sink._limits = msgspec.structs.replace(sink.limits, in_steps=True)
    await _until_death(engine)
    sink.write = whole
    engine.clock_on(4000)
    engine.edit_there(name="Acme Holding")
    await engine.go()
    assert (engine.here().name, engine.over_there().name) == ("Acme Holding", "Acme Holding")
    assert engine.here().website == "https://acme.example"
    await engine.quiet()


async def test_a_create_that_half_failed_is_told_as_created_and_what_is_brought_afterwards_as_updated(style: str) -> None:
    engine = await Parties(style).settled()
    engine.crm.put(customer("C-200", phone="+46 8 2", website="https://beta.example"))
    sink = engine.left.sinks["account"]
    whole, first = sink.write, iter([None])

    async def half(writes: Any) -> Any:
        for _ in first:
            engine.erp.store(customer("C-200", phone="+46 8 2", website=None), by_us=False)
            return [Unknown(reason="the record was written, what follows was not")]
        return await whole(writes)

    sink.write = half  # type: ignore[method-assign]
    await engine.go()
    told = [
        (entry.action, [change.field for change in entry.changes if change.field in ("phone", "website")])
        for entry in await engine.audit(lambda entry: entry.side == "left")
    ]
    assert told == [("created", ["phone"]), ("updated", ["website"])]
    await engine.quiet()


async def test_two_filled_systems_are_matched_by_key_and_the_rest_waits_for_a_person(style: str) -> None:
    engine = Parties(style)
    engine.erp.put(customer("C-1", industry="Ships", phone=None))
    engine.crm.put(customer("C-1", name="ACME", phone="+47"))
    engine.erp.put(customer("C-2"))
    engine.crm.put(customer("C-3"))
    run = await engine.go()
    assert (run.outcome, len(engine.erp.records("account")), len(engine.crm.records("account"))) == ("attention", 2, 2)
    one = engine.there()["C-1"]
    assert (one.name, one.phone, one.industry) == ("Acme C-1", "+47", "Ships")  # an empty field wins over nothing
    assert [(await engine.link(number, engine.flow)).standing for number in ("C-2", "C-3")] == ["parked", "parked"]
    assert (await engine.go(create_all=True)).outcome == "green"
    assert (len(engine.erp.records("account")), len(engine.crm.records("account"))) == (3, 3)
    await engine.quiet()


async def test_a_match_that_is_not_one_to_one_is_never_guessed(style: str) -> None:
    engine = Parties(style)
    engine.erp.put(customer("C-1"))
    engine.crm.put(customer("C-1", name="one"))
    engine.crm.put(customer("C-1", name="other"))
    run = await engine.go(create_all=True)
    assert run.outcome == "attention"
    assert (len(engine.erp.records("account")), len(engine.crm.records("account"))) == (1, 2)
    assert {entity.name for entity in engine.crm.records("account").values()} == {"one", "other"}


async def test_a_field_that_flips_more_than_three_times_is_stopped_and_the_rule_is_named(style: str) -> None:
    engine = await Parties(style).settled()
    for number in range(8):
        (engine.edit_here if number % 2 else engine.edit_there)(industry=str(number), name=f"name {number // 2}")
        await engine.go()
    link = await engine.link("C-100", engine.flow)
    assert (link.standing, link.trouble.code if link.trouble else "") == ("conflicted", "TO_AND_FRO")
    assert link.trouble is not None
    assert "fields" in link.trouble.fix
    await engine.quiet()
    await engine.state.links.mark_due([link.id])
    assert (await engine.go()).outcome == "green"
    assert engine.here().industry == engine.over_there().industry == "7"


@pytest.mark.parametrize("deletes", ["ignore", "deactivate"])
@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_deletion_is_ignored_or_takes_the_counterpart_out_of_use_as_the_flow_says(
    style: str, deletes: Any, where: str
) -> None:
    engine = await Parties(style, msgspec.structs.replace(PARTIES, deletes=deletes)).settled(active=True)
    for number in range(12):
        engine.erp.put(customer(f"D-{number}"))
    await engine.go()
    if where == "here":
        engine.erp.delete_as_person("account", engine.here_id)
    else:
        engine.crm.delete_as_person("account", engine.there_id)
    await engine.go()
    await engine.go()
    left = engine.over_there() if where == "here" else engine.here()
    assert left.active is (deletes == "ignore")
    assert (await engine.link("C-100", engine.flow)).standing == "gone"
    await engine.quiet()
    engine.edit_there(name="anew") if where == "here" else engine.edit_here(name="anew")
    await engine.go()
    gone = engine.erp if where == "here" else engine.crm
    assert "C-100" not in {entity.number for entity in gone.records("account").values()}
    await replay([engine.flow], engine.state, kind="account", numbers=["C-100"])
    await engine.go()
    [back] = [entity for entity in gone.records("account").values() if entity.number == "C-100"]
    assert back.name == "anew"
    assert (await engine.link("C-100", engine.flow)).standing == "agreed"
    await engine.quiet()


async def test_a_refused_write_leaves_the_edit_for_a_later_try(style: str) -> None:
    engine = await Parties(style).settled()
    engine.edit_here(name="Acme AB")
    engine.crm.fail_once(engine.there_id, Rejected(code="INVALID", reason="no", field="name"))
    assert (await engine.go()).counts.rejected == 1
    await engine.quiet()
    await engine.state.links.mark_due([(await engine.link("C-100", engine.flow)).id])
    assert (await engine.go()).outcome == "green"
    assert engine.over_there().name == "Acme AB"


@pytest.mark.parametrize("answer", ["heard", "lost", "heard by nobody"])
async def test_a_number_that_the_other_system_assigns_comes_back(style: str, answer: str) -> None:
    engine = Parties(style, msgspec.structs.replace(PARTIES, match=("number", "tax_id")))
    engine.there_id = engine.crm.put(Account(name="New", tax_id="SE1", number=None))
    assigns = engine.erp.store

    def numbered(entity: Any, *, by_us: bool, over: str | None = None) -> Any:
        if over is None:
            entity = msgspec.structs.replace(entity, number="K-1")
        return assigns(entity, by_us=by_us, over=over)

    engine.erp.store = numbered  # type: ignore[method-assign]
    sink = engine.left.sinks["account"]
    whole = sink.write

    async def unheard(writes: Any) -> Any:
        outcomes = await whole(writes)
        if answer == "heard by nobody":
            raise Died
        return [Unknown(reason="no answer") for _ in outcomes] if answer == "lost" else outcomes

    sink.write = unheard
    await (_until_death(engine) if answer == "heard by nobody" else engine.go())
    sink.write = whole
    engine.clock_on(4000)
    await engine.go()
    assert engine.over_there().number == "K-1"
    assert [entity.number for entity in engine.erp.records("account").values()] == ["K-1"]
    await engine.quiet()
