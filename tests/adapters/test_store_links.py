"""The crosswalk remembers every link as it was, and answers what the pipeline and the operator ask of it."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from ml_connector.domain import Kind, Money, Order, Ref, Side
from ml_connector.ports.state import Clash, End, Link, Seen, Settlement, Standing, Trouble
from ml_connector.sync.content import decode, encode
from ml_connector_adapters.store import Store

sys.path.append(str(Path(__file__).parent))

from store_world import MORNING, keep, link, parked

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
times = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
ends = st.builds(End, st.none() | words, st.none() | words, st.none() | st.binary(), st.integers(0, 9))
refs = st.builds(Ref, st.sampled_from(get_args(Kind)), words)
sides = st.sampled_from(get_args(Side))
clashes = st.builds(Clash, field=words, agreed=st.none() | words, left=st.none() | words, right=st.booleans() | st.lists(words))
troubles = st.builds(
    Trouble,
    code=words,
    reason=words,
    fix=words,
    side=sides,
    waits_for=st.none() | refs,
    clashes=st.lists(clashes, max_size=2).map(tuple),
    since=st.none() | times,
)
links = st.builds(
    Link,
    id=st.uuids().map(str),
    flow=st.just(""),
    number=words,
    left=ends,
    right=ends,
    standing=st.sampled_from(get_args(Standing)),
    agreed=st.none() | st.binary(),
    drift=st.none() | st.binary(),
    instead=st.none() | st.binary(),
    turns=st.none() | st.binary(),
    trouble=st.none() | troubles,
    due=st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(link=links)
async def test_a_link_comes_back_exactly_as_it_was_settled(store: Store, link: Link) -> None:
    link = msgspec.structs.replace(link, flow=link.id)  # a flow of its own, also when hypothesis repeats an example
    lease = await keep(store, [link], flow=link.flow)
    found = await store.links.by_number(link.number, link.flow)
    again = msgspec.structs.replace(link, trouble=None, due=True)
    await store.settle(lease, Settlement(links=[again]))
    due = await store.links.due(link.flow)
    await store.leases.release(lease)
    assert (found, due) == ([link], [again])


async def test_an_agreed_amount_keeps_every_digit(store: Store) -> None:
    order = Order(number="10042", total=Money(Decimal("12345678901234.5678"), "EUR"))
    await keep(store, [link(agreed=encode(order))])
    [found] = await store.links.by_number("10042")
    assert decode("order", found.agreed or b"") == order


async def test_links_are_found_from_either_side_however_many_are_asked_for(store: Store) -> None:
    await keep(store, [link(str(n)) for n in range(2500)] + [link("lonely", right=End())])
    left = [f"SO{n}" for n in range(2500)] + ["SOlonely", "SOnobody"]
    across = await store.links.across("orders", "left", left)
    assert across == {f"SO{n}": f"55{n}" for n in range(2500)}
    seen = await store.links.seen("orders", "left", left)
    assert len(seen) == 2501 and seen["SO7"] == Seen('"v1"', "agreed", False)
    assert await store.links.by_id("orders", "right", ["557", "nobody"]) == {"557": link("7")}
    assert await store.links.by_id("accounts", "right", ["557"]) == {}
    assert await store.links.seen("orders", "left", []) == {}


async def test_an_id_belongs_to_one_record_per_flow_and_may_be_absent_from_many(store: Store) -> None:
    await keep(store, [link("1", right=End()), link("2", right=End())])
    await keep(store, [link("1", id="other", flow="quotes")], flow="quotes")
    assert len(await store.links.by_number("1")) == 2
    assert [found.flow for found in await store.links.by_number("1", "quotes")] == ["quotes"]


async def test_a_parent_is_awaited_until_it_arrives_and_then_its_orders_are_due(store: Store) -> None:
    await keep(store, [parked("1", "C-100"), parked("2", "C-100"), parked("3", "C-200"), link("4")])
    assert await store.links.awaited("orders", "left") == [Ref("account", "C-100"), Ref("account", "C-200")]
    parents = [Ref("account", "C-100"), Ref("contact", "C-200"), Ref("account", "C-999")]
    assert await store.links.arrived("orders", "left", parents) == 2
    assert {found.number for found in await store.links.due("orders")} == {"1", "2"}
    assert await store.links.arrived("orders", "left", parents) == 0


async def test_what_was_left_out_until_another_flow_makes_it_waits_like_a_parked_record(store: Store) -> None:
    await keep(store, [msgspec.structs.replace(parked("1", "C-100"), standing="skipped")])
    assert await store.links.awaited("orders", "left") == [Ref("account", "C-100")]
    assert await store.links.arrived("orders", "left", [Ref("account", "C-100")]) == 1


async def test_a_parent_is_awaited_on_the_side_where_its_child_was_read(store: Store) -> None:
    await keep(store, [parked("1", "C-100"), parked("2", "7001", side="right"), parked("3", "C-100", side="right")])
    assert await store.links.awaited("orders", "left") == [Ref("account", "C-100")]
    assert await store.links.awaited("orders", "right") == [Ref("account", "7001"), Ref("account", "C-100")]
    assert await store.links.arrived("orders", "right", [Ref("account", "C-100")]) == 1
    assert [found.number for found in await store.links.due("orders")] == ["3"]


async def test_troubles_are_told_newest_first_and_drift_when_no_standing_is_named(store: Store) -> None:
    def refused(number: str, minutes: int) -> Link:
        since = MORNING + timedelta(minutes=minutes)
        return link(number, "rejected", trouble=Trouble(code="INVALID_DATA", reason="bad e-mail", since=since))

    drifted = link("4", drift=b'["note"]')
    await keep(store, [refused("1", 1), refused("2", 2), link("3", "conflicted"), drifted, link("5")])
    assert [found.number for found in await store.links.standing("orders", ["rejected", "conflicted"])] == ["2", "1", "3"]
    assert [found.number for found in await store.links.standing(None, ["rejected"], limit=1)] == ["2"]
    assert await store.links.standing("orders") == [drifted]
    assert await store.links.tally("orders") == {"agreed": 2, "rejected": 2, "conflicted": 1, "drifted": 1}
    assert await store.links.tally("accounts") == {}


async def test_a_person_may_ask_for_another_try_or_for_a_comparison_from_scratch(store: Store) -> None:
    await keep(store, [link("1", agreed=b"{}"), link("2", agreed=b"{}"), link("3")])
    assert await store.links.mark_due(["link-1", "link-9"]) == 1
    assert await store.links.mark_due(["link-1"]) == 0
    assert await store.links.mark_due(["link-1", "link-2"], again=True) == 2
    assert [(found.number, found.agreed) for found in await store.links.due("orders")] == [("1", None), ("2", None)]


async def test_a_dismissed_trouble_is_no_longer_told_of(store: Store) -> None:
    there = End("552", "t1", held=b"{}")
    await keep(store, [parked("1", "C-100"), link("2", drift=b'["note"]', right=there)])
    assert await store.links.dismiss(["link-1", "link-2"]) == 2
    assert await store.links.tally("orders") == {"skipped": 2}
    assert await store.links.awaited("orders", "left") == []
    assert await store.links.by_number("2") == [link("2", "skipped", right=there)]


@pytest.mark.parametrize(("side", "ids"), [("left", "SO"), ("right", "55")])
async def test_a_sweep_learns_which_records_it_did_not_see_while_it_settles_them(store: Store, side: Side, ids: str) -> None:
    everything = [link(f"{n:05}", id=f"link-{1300 - n:05}") for n in range(1300)]
    lease = await keep(store, [*everything, link("gone", "gone"), link("new", left=End(), right=End())])
    await store.links.sight("orders", side, [f"{ids}{n:05}" for n in range(0, 1300, 13)] * 2)
    await store.links.sight("orders", "right" if side == "left" else "left", [f"{ids}{n:05}" for n in range(1300)])
    missing: list[Link] = []
    async for page in store.links.unsighted("orders", side):
        assert len(page) <= 500
        missing += page
        await store.settle(lease, Settlement(links=[msgspec.structs.replace(found, standing="gone") for found in page]))
    assert [found.number for found in missing] == [f"{n:05}" for n in range(1300) if n % 13]
    await store.links.forget_sightings("orders", side)
    assert sum([len(page) async for page in store.links.unsighted("orders", side)]) == 100


async def test_every_link_of_a_flow_is_walked_through_once_while_what_was_seen_is_settled(store: Store) -> None:
    everything = [link(f"{n:05}", left=End(f"SO{5000 - n}")) for n in range(1300)]
    lease = await keep(store, everything)
    await keep(store, [link(f"{n:05}", id=f"link-{n:05}-quoted", flow="quotes") for n in range(600)], flow="quotes")
    walked: list[Link] = []
    async for page in store.links.every("orders"):
        assert len(page) <= 500
        walked += page
        moved = [msgspec.structs.replace(found, left=End(f"SO{n}-{found.number}")) for n, found in enumerate(page)]
        await store.settle(lease, Settlement(links=moved))
    assert walked == everything


async def test_ids_are_ordered_by_their_bytes_wherever_the_state_is_kept(store: Store) -> None:
    ids = ["a-1", "B-1", "a1", "9", "10", "ä", "Z"]
    await keep(store, [link(id_, id=id_, left=End(id_)) for id_ in ids])
    assert [found.number for found in await anext(store.links.unsighted("orders", "left"))] == sorted(ids)
    assert [found.number for found in await anext(store.links.every("orders"))] == sorted(ids)


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda links: links.due("orders"), "links_due"),
        (lambda links: links.standing("orders"), "links_drift"),
        (lambda links: links.standing("orders", ["parked", "rejected"]), "links_standing"),
        (lambda links: links.awaited("orders", "left"), "links_waits"),
        (lambda links: links.arrived("orders", "right", [Ref("account", "C-100")]), "links_waits"),
        (lambda links: links.seen("orders", "right", ["5510042", "5510043"]), "links_right"),
        (lambda links: anext(links.unsighted("orders", "left"), None), "links_left"),
        (lambda links: anext(links.unsighted("orders", "right"), None), "links_right"),
        (lambda links: anext(links.every("orders"), None), "sqlite_autoindex_links_1"),
    ],
)
async def test_every_question_has_an_index_that_answers_it(store: Store, ask: Callable[[Any], Any], index: str) -> None:
    some = [link(str(n), due=not n % 50) for n in range(500)]
    await keep(store, [*some, *(parked(f"P{n}", f"C-{n}", "right" if n % 2 else "left") for n in range(50))])
    asked: list[tuple[str, Any]] = []
    event.listen(store.engine.sync_engine, "before_cursor_execute", lambda *told: asked.append(told[2:4]))
    await ask(store.links)
    statement, parameters = next(told for told in asked if "links" in told[0])
    async with store.engine.connect() as connection:
        if store.engine.dialect.name == "sqlite":
            plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()
            assert any(f"INDEX {index} (" in step.detail for step in plan)
        else:
            await connection.execute(text("ANALYZE links"))
            await connection.execute(text("SET LOCAL enable_seqscan = off"))  # or it would read these few rows through
            plan = (await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)).all()
            assert any(index.replace("sqlite_autoindex_links_1", "links_pkey") in step[0] for step in plan), plan
