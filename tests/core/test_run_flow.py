"""One flow, run again and again, while people edit and things break: what then stands on the other side, and in the ledger."""

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from engine import CUSTOMERS, ORDERS, Engine, changed, customer, order

from ml_connector.domain import Money, Ref
from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken, LeaseHeld, LeaseLost, Throttled, Unavailable
from ml_connector.ports.sink import Later, Rejected, Unknown
from ml_connector.use_cases.explain import explain
from ml_connector.use_cases.replay import replay
from ml_connector.use_cases.run_flow import run_flow

pytestmark = pytest.mark.parametrize("style", ["sweep", "feed"])


async def test_every_customer_arrives_once_and_the_next_run_writes_nothing(style: str) -> None:
    engine = Engine(style)
    for number in range(137):
        engine.erp.put(customer(f"C-{number:03}"))
    first, second = await engine.run(), await engine.run()
    assert (first.outcome, first.counts.written) == ("green", 137)
    assert len(engine.crm.records("account")) == 137
    assert (second.outcome, second.counts.written) == ("green", 0)
    assert first.counts.adds_up() and second.counts.adds_up()


async def test_exactly_what_was_edited_arrives(style: str) -> None:
    engine = Engine(style)
    ids = [engine.erp.put(customer(f"C-{number}")) for number in range(30)]
    await engine.run()
    engine.clock_on()
    engine.erp.edit_as_person("account", ids[7], phone="+46 8 9")
    run = await engine.run()
    assert run.counts.written == 1
    assert engine.there()["C-7"].phone == "+46 8 9"
    [entry] = await engine.audit(lambda entry: entry.action == "updated")
    assert [(change.field, change.old, change.new) for change in entry.changes] == [("phone", "+46 8 1", "+46 8 9")]
    assert entry.trace_id == run.trace_id


async def test_a_field_emptied_at_the_owner_is_emptied_and_an_unmapped_one_left_alone(style: str) -> None:
    engine = Engine(style)
    acme = engine.erp.put(customer())
    await engine.run()
    engine.crm.edit_as_person("account", engine.id_there("C-100"), industry="Shipping")
    engine.erp.edit_as_person("account", acme, phone=None)
    await engine.run()
    there = engine.there()["C-100"]
    assert (there.phone, there.industry) == (None, "Shipping")


async def test_an_order_waits_for_its_customer_and_goes_on_when_it_arrives(style: str) -> None:
    engine = Engine(style)
    engine.erp.checks_refs = False
    engine.erp.put(order(customer_id="r2"))
    parked = (await engine.both())[1]
    assert (parked.counts.parked, parked.outcome) == (1, "attention")
    assert (await engine.link("10042", ORDERS)).standing == "parked"
    customer_id = engine.erp.put(customer())
    engine.erp.edit_as_person("order", next(iter(engine.erp.records("order"))), customer=Ref("account", customer_id))
    await engine.both()
    assert engine.there("deal")["10042"].account == Ref("account", engine.id_there("C-100"))
    assert (await engine.link("10042", ORDERS)).standing == "agreed"


async def test_a_parked_order_is_released_without_being_touched_itself(style: str) -> None:
    engine = Engine(style)
    engine.erp.checks_refs = False
    engine.erp.put(order(customer_id="account-000002"))  # ids are counted: that of whatever comes next
    await engine.both()
    assert engine.erp.put(customer()) == "account-000002"
    _, orders = await engine.both()
    assert orders.counts.written == 1
    assert orders.outcome == "green"


async def test_a_refused_record_is_set_aside_with_the_vendors_words_and_the_rest_arrives(style: str) -> None:
    engine = Engine(style)
    for number in range(25):
        engine.erp.put(customer(f"C-{number}"))
    engine.crm.fail_once("C-7", Rejected(code="INVALID_DATA", reason="maximum length 30", field="phone", fix="Shorten it"))
    run = await engine.run()
    assert (run.counts.written, run.counts.rejected, run.outcome) == (24, 1, "attention")
    trouble = (await engine.link("C-7")).trouble
    assert trouble is not None
    assert (trouble.code, trouble.reason, trouble.field) == ("INVALID_DATA", "maximum length 30", "phone")
    assert (await engine.run()).counts.written == 0  # it is not sent again until something changes


async def test_a_refused_record_is_sent_again_when_asked_or_changed_and_then_resolved(style: str) -> None:
    engine = Engine(style)
    acme = engine.erp.put(customer())
    engine.crm.fail_once("C-100", Rejected(code="INVALID_DATA", reason="no"))
    await engine.run()
    engine.erp.edit_as_person("account", acme, phone="+46 8 2")
    assert (await engine.run()).outcome == "green"
    engine.crm.fail_once(engine.id_there("C-100"), Rejected(code="INVALID_DATA", reason="no"))
    engine.erp.edit_as_person("account", acme, phone="+46 8 3")
    await engine.run()
    await engine.state.links.mark_due([(await engine.link("C-100")).id])
    assert (await engine.run()).counts.written == 1
    assert (await engine.link("C-100")).trouble is None


@pytest.mark.parametrize("after", [True, False])
async def test_a_create_whose_answer_was_lost_stands_once(style: str, after: bool) -> None:
    engine = Engine(style)
    engine.erp.put(customer())
    await engine.run()  # accepts() and tokens are through
    engine.erp.put(customer("C-200"))
    engine.crm.fail_once("C-200", Unavailable("reset")) if not after else None
    if after:
        await _lose_the_next_write(engine)
    run = await engine.run()
    assert [entity.number for entity in engine.crm.records("account").values()].count("C-200") == 1
    assert (run.outcome, run.counts.written) == ("green", 1)


async def _lose_the_next_write(engine: Engine) -> None:
    sink = engine.right.sinks["account"]
    real = sink.write

    async def write(writes):  # type: ignore[no-untyped-def]
        sink.write = real
        engine.crm.lose_answer_once(after=True)
        return await real(writes)

    sink.write = write


async def test_a_killed_run_leaves_nothing_doubled(style: str) -> None:
    engine = Engine(style)
    for number in range(40):
        engine.erp.put(customer(f"C-{number}"))
    for attempt in range(60):
        task = asyncio.create_task(run_flow(CUSTOMERS, engine.ends(CUSTOMERS), engine.process(f"p{attempt}")))
        for _ in range(attempt * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        engine.clock_on(120)  # the dead runner's lease ends
    assert (await engine.run()).outcome == "green"
    numbers = [entity.number for entity in engine.crm.records("account").values()]
    assert sorted(numbers) == sorted(f"C-{number}" for number in range(40))


async def test_an_edit_made_there_is_told_and_the_owner_wins_at_its_next_change(style: str) -> None:
    engine = Engine(style)
    acme = engine.erp.put(customer())
    await engine.run()
    engine.clock_on()
    engine.crm.edit_as_person("account", engine.id_there("C-100"), name="Acme Inc")
    run = await engine.run()
    assert (run.counts.written, run.outcome) == (0, "green")
    [chapter] = await explain("account", "C-100", engine.flows, engine.state)
    assert chapter.drift == ("name",)
    engine.clock_on()
    engine.erp.edit_as_person("account", acme, phone="+46 8 2")
    await engine.run()
    assert engine.there()["C-100"].name == "Acme C-100"
    entry = (await engine.audit(lambda entry: entry.action == "updated"))[-1]
    assert ("name", "Acme Inc", "Acme C-100") in [(change.field, change.old, change.new) for change in entry.changes]


async def test_a_flow_that_restores_undoes_an_edit_at_once(style: str) -> None:
    flow = changed(CUSTOMERS, drift="restore")
    engine = Engine(style, flow)
    engine.erp.put(customer())
    await engine.run(flow)
    engine.clock_on()
    engine.crm.edit_as_person("account", engine.id_there("C-100"), name="Acme Inc")
    assert (await engine.run(flow)).counts.written == 1
    assert engine.there()["C-100"].name == "Acme C-100"


async def test_an_edit_that_nobody_has_seen_yet_is_kept_in_the_audit_before_it_is_overwritten(style: str) -> None:
    engine = Engine(style)
    acme = engine.erp.put(customer())
    await engine.run()
    engine.clock_on()
    engine.erp.edit_as_person("account", acme, name="Acme AB")
    blind = engine.ends(CUSTOMERS)

    class Late:  # the edit lands after the look at the target and before the write
        async def fetch(self, ids):  # type: ignore[no-untyped-def]
            return await blind.right.source.fetch(ids)

    engine.crm.edit_as_person("account", engine.id_there("C-100"), name="Acme Inc")
    await run_flow(CUSTOMERS, changed_ends(blind, Late()), engine.world)
    entry = (await engine.audit(lambda entry: entry.action == "updated"))[-1]
    assert [(change.old, change.new) for change in entry.changes if change.field == "name"] == [("Acme Inc", "Acme AB")]
    assert engine.there()["C-100"].name == "Acme AB"


def changed_ends(ends, target):  # type: ignore[no-untyped-def]
    return msgspec.structs.replace(ends, right=msgspec.structs.replace(ends.right, source=target))


async def test_a_record_deleted_there_is_told_and_comes_back_with_the_next_change(style: str) -> None:
    engine = Engine(style)
    acme = engine.erp.put(customer())
    await engine.run()
    engine.crm.delete_as_person("account", engine.id_there("C-100"))
    await engine.run()
    assert engine.there() == {}
    assert dict(await engine.state.links.tally("customers"))["drifted"] == 1
    engine.clock_on()
    engine.erp.edit_as_person("account", acme, phone="+46 8 2")
    await engine.run()
    assert engine.there()["C-100"].phone == "+46 8 2"


async def test_our_own_writes_come_back_as_echoes(style: str) -> None:
    engine = Engine(style)
    for number in range(12):
        engine.erp.put(customer(f"C-{number}"))
    await engine.run()
    run = await engine.run()
    assert (run.counts.echoed, run.counts.written) == (12, 0)


async def test_what_the_vendor_trims_is_no_edit(style: str) -> None:
    engine = Engine(style, trims=True)
    engine.erp.put(customer(name="  Acme  "))
    await engine.run()
    await engine.run()
    run = await engine.run()
    assert run.counts.written == 0
    assert dict(await engine.state.links.tally("customers")).get("drifted", 0) == 0


async def test_refused_credentials_end_the_run_and_what_was_settled_stays(style: str) -> None:
    engine = Engine(style)
    for number in range(30):
        engine.erp.put(customer(f"C-{number}"))
    engine.crm.fail_once("C-25", AuthRejected("refused", fix="Grant access anew", where="crm"))
    with pytest.raises(AuthRejected):
        await engine.run()
    [run] = await engine.state.ledger.last("customers")
    assert (run.outcome, run.counts.written > 0) == ("paused", True)
    assert "Grant access anew" in run.note
    assert (await engine.run()).outcome == "green"
    assert len(engine.there()) == 30


async def test_a_long_throttle_halfway_goes_on_from_what_was_settled(style: str) -> None:
    engine = Engine(style)
    for number in range(120):
        engine.erp.put(customer(f"C-{number:03}"))
    engine.crm.fail_once("C-060", Throttled("slow down", after_s=900))
    with pytest.raises(Throttled):
        await engine.run()
    settled = len(engine.there())
    assert 0 < settled < 120
    run = await engine.run()
    assert (run.outcome, run.counts.written) == ("green", 120 - settled)
    assert len(engine.crm.records("account")) == 120


@pytest.mark.parametrize("error", [Unavailable("down"), ContractBroken("odd answer")])
async def test_an_outage_at_the_source_halfway_settles_what_was_read_and_goes_on_later(
    style: str, error: ConnectorError
) -> None:
    engine = Engine(style)
    for number in range(120):
        engine.erp.put(customer(f"C-{number:03}"))
    source = engine.left.sources["account"]
    name = "changed_since" if style == "feed" else "stubs"
    real = getattr(source, name)

    async def broken(*args, **options):  # type: ignore[no-untyped-def]
        setattr(source, name, real)
        async for page in real(*args, **options):
            yield page
            raise error

    setattr(source, name, broken)
    with pytest.raises(type(error)):
        await engine.run()
    assert len(engine.there()) == 50
    run = await engine.run()
    assert (run.outcome, run.counts.written) == ("green", 70)


async def test_a_busy_record_is_tried_again_within_the_run(style: str) -> None:
    engine = Engine(style)
    engine.erp.put(customer())
    engine.crm.fail_once("C-100", Later(reason="locked", after_s=1))
    assert (await engine.run()).counts.written == 1


async def test_a_record_that_stays_busy_waits_visibly_and_is_tried_by_the_next_run(style: str) -> None:
    engine = Engine(style)
    engine.erp.put(customer())
    for _ in range(3):
        engine.crm.fail_once("C-100", Later(reason="locked", after_s=1))
    run = await engine.run()
    assert (run.counts.conflicted, run.outcome) == (1, "attention")
    assert (await engine.run()).outcome == "green"


async def test_two_runners_never_run_one_flow_at_once(style: str) -> None:
    engine = Engine(style)
    engine.erp.put(customer())
    await engine.state.leases.claim("customers", "other:1", 60)
    with pytest.raises(LeaseHeld, match="other:1"):
        await run_flow(CUSTOMERS, engine.ends(CUSTOMERS), engine.world)
    assert engine.there() == {}


async def test_a_call_that_takes_minutes_costs_no_lease(style: str) -> None:
    """A vendor may work at a wide batch for longer than a lease lives: it is kept as long as the process does."""
    engine = Engine(style)
    engine.erp.put(customer())
    sink = engine.right.sinks["account"]
    real = sink.write

    async def slow(writes):
        await engine.clock.sleep(150)
        with pytest.raises(LeaseHeld, match="runner"):
            await engine.state.leases.claim("customers", "other:1", 60)
        return await real(writes)

    sink.write = slow
    run = await engine.run()
    assert (run.outcome, run.counts.written) == ("green", 1)


async def test_a_runner_that_lost_its_lease_commits_nothing_more(style: str) -> None:
    engine = Engine(style)
    engine.erp.put(customer())
    sink = engine.right.sinks["account"]
    real = sink.write

    async def frozen(writes):  # type: ignore[no-untyped-def]
        engine.clock.advance(600)
        await engine.state.leases.claim("customers", "other:1", 60)
        return await real(writes)

    sink.write = frozen
    with pytest.raises(LeaseLost):
        await run_flow(CUSTOMERS, engine.ends(CUSTOMERS), engine.world)
    assert await engine.state.links.by_number("C-100", "customers") == []


async def test_replay_writes_what_differs_and_doubles_nothing(style: str) -> None:
    engine = Engine(style)
    engine.erp.put(customer())
    engine.erp.put(customer("C-200"))
    await engine.run()
    engine.crm.edit_as_person("account", engine.id_there("C-100"), name="Acme Inc")
    marked = await replay([CUSTOMERS], engine.state, kind="account", numbers=["C-100", "C-200"])
    run = await engine.run()
    assert marked == {"customers": 2}
    assert run.counts.written == 1
    assert engine.there()["C-100"].name == "Acme C-100"
    assert len(engine.there()) == 2


async def test_a_changed_rule_is_applied_to_records_that_did_not_change(style: str) -> None:
    engine = Engine(style)
    engine.erp.put(customer())
    await engine.run()
    from ml_connector.flows import Assignment

    flow = changed(CUSTOMERS, signature="2", sets=(Assignment("industry", lambda data: "Trade", "'Trade'"),))
    engine.flows = (flow,)
    engine.world = engine.process("runner")
    run = await engine.run(flow)
    assert (run.counts.written, engine.there()["C-100"].industry) == (1, "Trade")


async def test_what_where_leaves_out_is_counted_and_told(style: str) -> None:
    flow = changed(CUSTOMERS, where=lambda data: data["category"] == "customer", where_text="category == 'customer'")
    engine = Engine(style, flow)
    engine.erp.put(customer(category="customer"))
    engine.erp.put(customer("C-200", category="prospect"))
    run = await engine.run(flow)
    assert (run.counts.written, run.counts.skipped, run.outcome) == (1, 1, "green")
    assert (await engine.run(flow)).counts.adds_up()


async def test_what_a_flow_only_completes_is_completed_once_another_flow_has_made_it(style: str) -> None:
    completing = changed(CUSTOMERS, name="completing", writes="update", fields=frozenset({"number", "industry"}))
    making = changed(CUSTOMERS, fields=frozenset({"number", "name"}))
    engine = Engine(style, making, completing)
    engine.erp.put(customer(industry="Trade"))
    early = await engine.run(completing)
    assert (early.counts.skipped, early.outcome) == (1, "green")
    await engine.run(making)
    assert (await engine.run(completing)).counts.written == 1
    assert engine.there()["C-100"].industry == "Trade"
    assert (await engine.link("C-100", completing)).trouble is None


async def test_a_write_that_never_left_is_not_taken_for_landed_because_another_flow_wrote_the_record(style: str) -> None:
    completing = changed(CUSTOMERS, name="completing", writes="update", fields=frozenset({"number", "industry"}))
    making = changed(CUSTOMERS, fields=frozenset({"number", "name", "phone"}))
    engine = Engine(style, making, completing)
    acme = engine.erp.put(customer(industry="Trade"))
    for flow in (making, completing):
        await engine.run(flow)
    engine.erp.edit_as_person("account", acme, industry="Steel", phone="+46 8 2")
    sink = engine.right.sinks["account"]
    whole = sink.write

    async def unheard(writes: Any) -> Any:
        return [Unknown(reason="no answer") for _ in writes]

    async def blind(keys: Any) -> Any:
        raise Unavailable("away")

    sink.write, source = unheard, engine.right.sources["account"]
    fetch, source.fetch = source.fetch, blind
    assert (await engine.run(completing)).counts.unknown == 1
    sink.write, source.fetch = whole, fetch
    await engine.run(making)
    await engine.run(completing)
    assert (engine.there()["C-100"].phone, engine.there()["C-100"].industry) == ("+46 8 2", "Steel")
    told = await engine.audit(lambda entry: entry.flow == "completing" and entry.action == "updated")
    assert len(told) == 2


async def test_money_arrives_to_the_last_digit(style: str) -> None:
    engine = Engine(style)
    amount = Decimal("12345678901234.5678")
    engine.erp.checks_refs = False
    engine.erp.put(order(customer=None, total=Money(amount, "EUR")))
    await engine.run(ORDERS)
    assert engine.there("deal")["10042"].amount == Money(amount, "EUR")


async def test_a_stop_finishes_the_batch_in_hand_and_the_next_run_the_rest(style: str) -> None:
    engine = Engine(style)
    for number in range(300):
        engine.erp.put(customer(f"C-{number:03}"))
    stop = asyncio.Event()
    sink = engine.right.sinks["account"]
    real = sink.write

    async def write(writes):  # type: ignore[no-untyped-def]
        stop.set()
        return await real(writes)

    sink.write = write
    run = await engine.run(stop=stop)
    assert run.outcome == "stopped"
    assert 0 < len(engine.there()) < 300
    assert (await engine.run()).outcome == "green"
    assert len(engine.there()) == 300


async def test_a_default_that_the_vendor_filled_in_is_nobodys_edit(style: str) -> None:
    engine = Engine(style)
    acme = engine.erp.put(customer(currency=None))
    await engine.run()
    row = engine.crm.rows[engine.id_there("C-100")]
    engine.crm.rows[row.id] = msgspec.structs.replace(row, entity=msgspec.structs.replace(row.entity, currency="EUR"))
    await engine.run()
    engine.clock_on()
    engine.crm.edit_as_person("account", engine.id_there("C-100"), name="Acme Inc")
    await engine.run()
    [chapter] = await explain("account", "C-100", engine.flows, engine.state)
    assert chapter.drift == ("name",)
    engine.erp.edit_as_person("account", acme, phone="+46 8 2")
    await engine.run()
    assert (engine.there()["C-100"].currency, engine.there()["C-100"].name) == ("EUR", "Acme C-100")


async def test_a_record_made_anew_shows_its_values_as_new_ones(style: str) -> None:
    engine = Engine(style)
    acme = engine.erp.put(customer())
    await engine.run()
    engine.crm.delete_as_person("account", engine.id_there("C-100"))
    engine.erp.edit_as_person("account", acme, phone="+46 8 2")
    await engine.run()
    entry = (await engine.audit(lambda entry: entry.action == "created"))[-1]
    assert all(change.old is msgspec.UNSET for change in entry.changes)
