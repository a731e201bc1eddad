"""Batches: how many records go to a call, what each comes to when something in it fails, and environments that are slow."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain import Account, Contact, Line, Order, Ref
from ml_connector.errors import Throttled
from ml_connector.ports.sink import Conflict, Create, Key, Later, Outcome, Rejected, Unknown, Update, Write, Written
from ml_connector.twin import Fault, TwinResponse

LINE = Line(key="1", description="Valve", quantity=Decimal(2), unit_price=Decimal(3))


def account(n: int, **fields: Any) -> Create:
    return Create(key=Key("number", f"C-{n}"), entity=Account(number=f"C-{n}", **{"name": f"Acme {n}", **fields}))


def order(world: Any, n: int, *, lines: int = 1, **fields: Any) -> Create:
    buyer = next(iter(world.twin.records("account")), None) or world.account()
    told = tuple(
        Line(key=str(key), description="Valve", quantity=Decimal(2), unit_price=Decimal(3)) for key in range(1, lines + 1)
    )
    entity = Order(number=f"SO-{n}", **{"name": f"SO {n}", "customer": Ref("account", buyer), "lines": told, **fields})
    return Create(key=Key("number", f"SO-{n}"), entity=entity)


def batches(world: Any) -> int:
    return world.asked("POST", "/$batch")


def told(outcomes: Sequence[Outcome]) -> list[str]:
    return [type(outcome).__name__ for outcome in outcomes]


async def orders(world: Any, count: int, **fields: Any) -> list[Any]:
    """So many orders that stand, as the plugin wrote them; the environment's metadata is known from here on."""
    return await world.write("order", *(order(world, n, **fields) for n in range(count)))


def changes(made: Sequence[Any], text: str = "changed") -> list[Write]:
    return [Update(id=one.id, changes=Order(description=text, lines=(LINE,)), version=one.version) for one in made]


# How many go to a call


async def test_a_batch_is_measured_in_rows(dynamics: Callable[..., Any]) -> None:
    """An order with three lines takes the time of four accounts."""
    world = dynamics(batch=20)
    assert told(await orders(world, 10, lines=3)) == ["Written"] * 10
    assert batches(world) == 2


async def test_what_is_read_behind_a_change_counts_among_a_batchs_operations(dynamics: Callable[..., Any]) -> None:
    """A thousand operations are Dataverse's most, whatever the settings say."""
    world = dynamics(batch=1000)
    made = await orders(world, 600, lines=0)
    before = batches(world)
    writes = [Update(id=one.id, changes=Order(description="x"), version=one.version) for one in made]
    assert told(await world.write("order", *writes)) == ["Written"] * 600
    assert batches(world) - before == 3  # one looks, two write


async def test_an_order_with_more_lines_than_a_batch_has_rows_goes_by_itself(dynamics: Callable[..., Any]) -> None:
    world = dynamics(batch=5)
    writes = [order(world, 1, lines=9), order(world, 2, lines=2), order(world, 3, lines=1)]
    assert told(await world.write("order", *writes)) == ["Written"] * 3
    assert batches(world) == 2


async def test_records_in_doubt_are_looked_up_in_few_calls(dynamics: Callable[..., Any]) -> None:
    """Whole batches may be: their links are too long for a GET, and several go to a call."""
    world = dynamics(batch=1000)
    await orders(world, 1200, lines=0)
    world.twin.calls.clear()
    found = await world.connection.sinks["order"].find([Key("number", f"SO-{n}") for n in range(1200)])
    assert (sum(map(len, found.values())), len(world.twin.calls)) == (1200, 1)
    ids = [record.id for records in found.values() for record in records]
    assert len(await world.connection.sources["order"].fetch(ids)) == 1200
    assert len(world.twin.calls) == 2


async def test_numbers_that_are_long_in_a_link_are_looked_up_in_as_many_queries_as_they_need(
    dynamics: Callable[..., Any],
) -> None:
    """Each of these characters is nine in a URL, of which a batch takes 65,536."""
    world = dynamics()
    numbers = [f"{'株' * 90}{n}" for n in range(200)]
    for number in numbers[::20]:
        world.twin.insert_as_person("salesorder", name="SO", ordernumber=number, customerid=world.account())
    await world.connection.sinks["order"].accepts()
    world.twin.calls.clear()
    found = await world.connection.sinks["order"].find([Key("number", number) for number in numbers])
    assert [key.value for key, records in found.items() if records] == numbers[::20]
    assert len(world.twin.calls) == 1


async def test_an_order_that_is_there_already_is_met_by_those_who_did_not_look(dynamics: Callable[..., Any]) -> None:
    """The alternate key refuses a second one; it is then looked up and brought to where it shall be, and the new ones stand."""
    world = dynamics()
    theirs = world.twin.insert_as_person("salesorder", name="Theirs", ordernumber="so-1", customerid=world.account())
    outcomes = await orders(world, 3)
    assert told(outcomes) == ["Written"] * 3
    assert [outcome.created for outcome in outcomes] == [True, False, True]
    assert (outcomes[1].id, world.twin.records("salesorder")[theirs].values["name"]) == (theirs, "SO 1")
    assert outcomes[1].version == (await world.read("order", theirs)).version


# What each record comes to


async def test_one_order_that_moved_does_not_stop_the_batch(dynamics: Callable[..., Any]) -> None:
    """Between the look and the write Sam edits one of three: its change set falls by itself."""
    world = dynamics()
    made = await orders(world, 3)
    twin, batch = world.twin, iter(range(9))

    async def meddling(request: Any) -> Any:
        if request.path.endswith("$batch") and next(batch) == 0:
            twin.edit_as_person("salesorder", made[1].id, description="Edited by Sam")
        return await twin(request)

    world.host.transport.twin = meddling
    outcomes = await world.write("order", *changes(made))
    assert told(outcomes) == ["Written", "Conflict", "Written"]
    assert outcomes[1] == Conflict(current=(await world.read("order", made[1].id)).version, id=made[1].id)
    assert [twin.records("salesorder")[one.id].values["description"] for one in made] == ["changed", "Edited by Sam", "changed"]
    for one in (0, 2):
        assert outcomes[one].version == (await world.read("order", made[one].id)).version


@pytest.mark.parametrize("nested", [False, True], ids=["by itself", "within the change set's answer"])
async def test_a_change_set_that_fell_is_told_in_either_form(dynamics: Callable[..., Any], nested: bool) -> None:
    """OData lets a server answer it with one response; some wrap that as if it were a change set's."""
    world = dynamics()
    world.twin.nested_refusals = nested
    made = await orders(world, 3)
    for row in world.twin.records("salesorderdetail").values():
        if row.values["salesorderid"] == made[1].id:
            world.twin.part_faults.add(
                Fault("status", status=400, body=b"A plug-in says no", path=f"/salesorderdetails({row.id})")
            )
    writes = [
        Update(id=one.id, changes=Order(lines=(LINE, Line(key="2", description="Freight"))), version=one.version)
        for one in made
    ]
    writes[1] = Update(id=made[1].id, changes=Order(lines=()), version=made[1].version)
    outcomes = await world.write("order", *writes)
    assert told(outcomes) == ["Written", "Rejected", "Written"]
    assert outcomes[1].reason == "A plug-in says no"
    assert len(world.lines_of(made[1].id)) == 1


async def test_an_order_whose_product_is_unknown_is_refused_before_anything_leaves(dynamics: Callable[..., Any]) -> None:
    world = dynamics(unknown_items="reject")
    strange = Line(key="1", sku="NO-1", quantity=Decimal(1))
    unknown = Create(key=Key("number", "SO-2"), entity=Order(number="SO-2", name="SO 2", lines=(strange,)))
    outcomes = await world.write("order", order(world, 1), unknown, order(world, 3))
    assert told(outcomes) == ["Written", "Rejected", "Written"]
    assert (outcomes[1].code, outcomes[1].field) == ("NO_PRODUCT", "lines.product")


async def test_a_product_that_dataverse_does_not_sell_any_more_costs_its_own_order_alone(dynamics: Callable[..., Any]) -> None:
    """Retired between our look and the write: Dataverse refuses that deep insert, header and all."""
    world = dynamics()
    sold = Ref("product", world.product())
    await orders(world, 1)
    twin = world.twin

    async def meddling(request: Any) -> Any:
        if request.path.endswith("$batch"):
            twin.edit_as_person("product", sold.key, statecode=1, statuscode=2)
        return await twin(request)

    world.host.transport.twin = meddling
    line = Line(key="1", product=sold, quantity=Decimal(1), unit_price=Decimal(3))
    lined = Order(number="SO-8", name="SO 8", customer=Ref("account", next(iter(twin.records("account")))), lines=(line,))
    outcomes = await world.write("order", order(world, 7), Create(key=Key("number", "SO-8"), entity=lined), order(world, 9))
    assert told(outcomes) == ["Written", "Rejected", "Written"]
    assert {row.values["ordernumber"] for row in twin.records("salesorder").values()} == {"SO-0", "SO-7", "SO-9"}


@pytest.mark.parametrize("kind", ["account", "order"])
@pytest.mark.parametrize(("status", "outcome"), [(429, Later), (503, Unknown), (500, Unknown), (400, Rejected)])
async def test_a_part_that_fails_is_its_own_records_trouble(
    dynamics: Callable[..., Any], kind: Any, status: int, outcome: type
) -> None:
    """Of a 5xx nobody knows whether it was done; what was throttled certainly was not, and says when."""
    world = dynamics()
    make = account if kind == "account" else (lambda n: order(world, n))
    await world.write(kind, make(0))
    wait = "7" if status == 429 else None
    parts = {"account": "C-2", "order": "/salesorders"}
    skip = 1 if kind == "order" else 0
    world.twin.part_faults.add(Fault("status", status=status, retry_after=wait, path=parts[kind], skip=skip))
    outcomes = await world.write(kind, make(1), make(2), make(3))
    assert told(outcomes) == ["Written", outcome.__name__, "Written"]
    if isinstance(outcomes[1], Later):
        assert outcomes[1].after_s == 7
    [again] = await world.write(kind, make(2))
    assert isinstance(again, Written)
    assert len(world.twin.records({"account": "account", "order": "salesorder"}[kind])) == 4


async def test_a_read_that_fails_behind_a_write_leaves_the_record_in_doubt_and_never_unwritten(
    dynamics: Callable[..., Any],
) -> None:
    """It stands, and how it stands is not known: whoever looks sees it, and nothing is sent twice."""
    world = dynamics()
    made = await orders(world, 3)
    world.twin.part_faults.add(Fault("status", status=503, method="GET", path=f"/salesorders({made[1].id})"))
    outcomes = await world.write("order", *changes(made))
    assert told(outcomes) == ["Written", "Unknown", "Written"]
    assert outcomes[1].reason.startswith("the record was written")
    assert (await world.read("order", made[1].id)).entity.description == "changed"


@pytest.mark.parametrize("status", [429, 503])
async def test_an_order_whose_state_is_put_off_is_never_called_unwritten(dynamics: Callable[..., Any], status: int) -> None:
    """Even of a throttled step, which certainly was not taken: the order was written before it, and whoever looks sees that."""
    world = dynamics()
    await orders(world, 1)
    world.twin.part_faults.add(Fault("status", status=status, path="FulfillSalesOrder"))
    [outcome] = await world.write("order", order(world, 1, status="Delivered"))
    assert isinstance(outcome, Unknown)
    assert outcome.reason.startswith("the record was written")
    [again] = await world.write("order", order(world, 1, status="Delivered"))
    assert (await world.read("order", again.id)).entity.status == "Delivered"


@pytest.mark.parametrize("kind", ["account", "order"])
async def test_a_throttled_batch_is_sent_again_when_the_wait_is_over(dynamics: Callable[..., Any], kind: Any) -> None:
    """Nothing of it was done, so that it goes again as it is."""
    world = dynamics()
    make = account if kind == "account" else (lambda n: order(world, n))
    await world.write(kind, make(0))
    world.twin.faults.add(Fault("status", status=429, path="$batch", retry_after="20"))
    before = world.clock.now()
    assert told(await world.write(kind, make(1), make(2))) == ["Written", "Written"]
    assert (world.clock.now() - before).total_seconds() >= 20
    world.twin.faults.add(Fault("status", status=429, path="$batch", retry_after="300"))
    with pytest.raises(Throttled) as caught:
        await world.write(kind, make(3), make(4))
    assert caught.value.after_s == 300


@pytest.mark.parametrize("kind", ["account", "order"])
@pytest.mark.parametrize(
    ("fault", "stand"),
    [
        (Fault("lost_before", path="$batch"), 0),
        (Fault("lost_after", path="$batch"), 3),
        (Fault("garbage", path="$batch"), 3),
        (Fault("garbage", path="$batch", body=b"--batchresponse_1\r\nContent-Type: application/http\r\n\r\nHTTP"), 3),
        (Fault("status", status=504, path="$batch"), 0),
    ],
    ids=["lost before", "lost after", "a web page", "an answer that breaks off", "a gateway's timeout"],
)
async def test_every_record_of_a_batch_without_an_answer_is_in_doubt_and_made_once(
    dynamics: Callable[..., Any], kind: Any, fault: Fault, stand: int
) -> None:
    """Looked up in one call, and what is missing is sent again."""
    world = dynamics()
    make = account if kind == "account" else (lambda n: order(world, n))
    await world.write(kind, make(0))
    world.twin.faults.add(
        Fault(fault.kind, status=fault.status, path=fault.path, body=fault.body)  # a fault is spent, and others use it too
    )
    writes = [make(1), make(2), make(3)]
    assert told(await world.write(kind, *writes)) == ["Unknown"] * 3
    before = len(world.twin.calls)
    found = await world.connection.sinks[kind].find([write.key for write in writes])
    assert (sum(map(len, found.values())), len(world.twin.calls) - before) == (stand, 1)
    again = await world.write(kind, *writes)
    assert [(type(outcome), outcome.created) for outcome in again] == [(Written, stand == 0)] * 3
    table = {"account": "accountnumber", "order": "ordernumber"}
    rows = world.twin.records({"account": "account", "order": "salesorder"}[kind]).values()
    numbers = [row.values.get(table[kind]) for row in rows]
    assert sorted(number for number in numbers if number) == sorted(write.key.value for write in [make(0), *writes])


# Slow environments


async def test_a_batch_that_ran_out_of_time_makes_the_next_ones_narrower(dynamics: Callable[..., Any]) -> None:
    """One second a row where 0.24 were assumed: 500 rows are cut off at 120, then 250, then 125, and 62 get through."""
    world = dynamics()
    await world.write("account", account(999))
    world.twin.protection.cost_s, world.twin.protection.seconds = 1.0, 10**6
    writes = [account(n) for n in range(500)]
    rounds = 0
    while writes:
        outcomes = await world.write("account", *writes)
        doubtful = [write for write, outcome in zip(writes, outcomes, strict=True) if not isinstance(outcome, Written)]
        found = await world.connection.sinks["account"].find([write.key for write in doubtful])
        writes = [write for write in doubtful if not found[write.key]]
        rounds += 1
    assert rounds <= 3
    assert len(world.twin.records("account")) == 501
    world.twin.calls.clear()
    await world.write("account", *(account(n) for n in range(60)))
    assert batches(world) == 1


async def test_an_answer_that_is_lost_to_a_few_records_says_nothing_about_many(dynamics: Callable[..., Any]) -> None:
    world = dynamics()
    await world.write("account", account(0))
    world.twin.faults.add(Fault("lost_after", path="$batch"))
    await world.write("account", account(1))
    before = batches(world)
    await world.write("account", *(account(n) for n in range(400)))
    assert batches(world) - before == 1


@pytest.mark.parametrize(("count", "width"), [(400, 50), (30, 50)], ids=["four side by side", "a narrow one"])
async def test_batches_that_fail_at_once_halve_the_width_once(dynamics: Callable[..., Any], count: int, width: int) -> None:
    world = dynamics(batch=100)
    await world.write("account", account(0))
    world.twin.faults.add(Fault("lost_before", path="$batch", times=4 if count == 400 else 1))
    await world.write("account", *(account(n) for n in range(count)))
    sent: list[int] = []
    twin = world.twin

    async def counting(request: Any) -> Any:
        sent.append(request.body.count(b"PATCH "))
        return await twin(request)

    world.host.transport.twin = counting
    await world.write("account", *(account(n) for n in range(200)))
    assert sent[0] == width


async def test_a_batch_that_is_too_long_for_somebody_on_the_way_is_cut_in_two(dynamics: Callable[..., Any]) -> None:
    """Nothing of it was done. A record that is too long by itself is refused by itself."""
    world = dynamics()
    await orders(world, 1)
    twin = world.twin

    async def small(request: Any) -> Any:
        return TwinResponse(413) if len(request.body) > 4_500 else await twin(request)

    world.host.transport.twin = small
    writes = [order(world, n) for n in range(1, 8)]
    writes[2] = order(world, 3, description="é" * 2000)
    outcomes = await world.write("order", *writes)
    assert told(outcomes) == ["Written"] * 2 + ["Rejected"] + ["Written"] * 4
    assert (outcomes[2].code, len(twin.records("salesorder"))) == ("413", 7)


async def test_a_batch_is_packed_when_its_turn_comes(dynamics: Callable[..., Any]) -> None:
    """The batches that wait for the first four are no longer as wide as those that failed."""
    world = dynamics(batch=100)
    await orders(world, 1)
    world.twin.protection.cost_s, world.twin.protection.seconds = 2.0, 10**6
    sent: list[int] = []
    twin = world.twin

    async def counting(request: Any) -> Any:
        sent.append(request.body.count(b"POST "))
        return await twin(request)

    world.host.transport.twin = counting
    await world.write("order", *(order(world, n, lines=3) for n in range(1, 151)))
    assert sent[:4] == [25, 25, 25, 25]
    assert max(sent[4:]) <= 12


async def test_a_batch_grows_again_slowly(dynamics: Callable[..., Any]) -> None:
    """One lost answer is not yet a slow environment."""
    world = dynamics(batch=100)
    await world.write("account", account(0))
    world.twin.faults.add(Fault("lost_after", path="$batch"))
    await world.write("account", *(account(n) for n in range(100)))
    needed = []
    for _ in range(16):
        before = batches(world)
        await world.write("account", *(account(n, name="Acme") for n in range(100)))
        needed.append(batches(world) - before)
    assert needed[0] == 2
    assert needed[-1] == 1
    assert sorted(needed, reverse=True) == needed


async def test_no_more_batches_are_under_way_than_execution_time_allows(dynamics: Callable[..., Any]) -> None:
    """1200 seconds in any 300 are four at a time, however many calls the settings allow and whichever kinds they write."""
    world = dynamics(batch=10, limits={"concurrency": 20})
    for kind in ("account", "contact"):
        await world.connection.sinks[kind].accepts()
    twin, under_way, most = world.twin, 0, 0

    async def counting(request: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await world.clock.sleep(1)
        under_way -= 1
        return await twin(request)

    world.host.transport.twin = counting
    people = [Create(key=Key("number", f"P-{n}"), entity=Contact(number=f"P-{n}", last_name="Berg")) for n in range(100)]
    some, others = await asyncio.gather(
        world.write("account", *(account(n) for n in range(100))), world.write("contact", *people)
    )
    assert (set(told([*some, *others])), most) == ({"Written"}, 4)


async def test_a_text_that_looks_like_a_batchs_boundary_ends_no_batch(dynamics: Callable[..., Any]) -> None:
    """A boundary counts at the beginning of a line, and JSON has none within."""
    world = dynamics()
    text = "--batch_ml_connector--\r\n--batch_ml_connector\r\n--batchresponse_1--"
    outcomes = await world.write("account", account(1), account(2, name=text), account(3))
    assert told(outcomes) == ["Written"] * 3
    assert (await world.read("account", outcomes[1].id)).entity.name == text
    made = await orders(world, 2, description=text)
    assert [
        record.entity.description for record in await world.connection.sources["order"].fetch([one.id for one in made])
    ] == [
        text,
        text,
    ]
