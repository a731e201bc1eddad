"""Reading changes: delta links and their end, lines that change alone, long orders, and tables that are not tracked."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain import Ref
from ml_connector.errors import ContractBroken
from ml_connector.ports.sink import Create, Key


def order_with(world: Any, lines: int, **values: Any) -> str:
    order = world.twin.insert_as_person("salesorder", name="SO", customerid=world.account(), **values)
    for n in range(1, lines + 1):
        line = {
            "isproductoverridden": True,
            "productdescription": f"Item {n}",
            "quantity": Decimal(1),
            "priceperunit": Decimal(n),
        }
        world.twin.insert_as_person("salesorderdetail", salesorderid=order, lineitemnumber=n, **line)
    return str(order)


async def test_a_delta_link_that_is_too_old_means_everything_anew(dynamics: Callable[..., Any]) -> None:
    """Dataverse forgets after seven days; nothing is lost and nobody has to act."""
    world = dynamics()
    kept, changed = world.account(name="Kept"), world.account(name="Changed")
    _, cursor = await world.news("account", None)
    world.pass_time(days=8)
    world.twin.edit_as_person("account", changed, name="Changed again")
    records, cursor = await world.news("account", cursor)
    assert {record.id for record in records} == {kept, changed}
    assert (await world.news("account", cursor))[0] == []


async def test_a_deletion_is_told_and_one_of_the_first_read_is_not_missed(dynamics: Callable[..., Any]) -> None:
    """The token is taken before the reading begins, so that what is deleted meanwhile is told after it."""
    world = dynamics(page_size=2)
    ids = [world.account(name=f"Acme {n}") for n in range(5)]
    seen, gone = set(), set()
    async for page in world.connection.sources["account"].changed_since(None):
        if not seen:
            deleted = page.records[0].id
            world.twin.delete_as_person("account", deleted)
        seen |= {record.id for record in page.records if not record.gone}
        gone |= {record.id for record in page.records if record.gone}
    assert seen == set(ids)
    assert gone == {deleted}


async def test_a_line_that_changes_while_pricing_is_skipped_brings_its_order(dynamics: Callable[..., Any]) -> None:
    """The integration user's own writes do not reprice, so that the order's row does not move."""
    world = dynamics()
    order = order_with(world, 2)
    _, cursor = await world.news("order", None)
    line = next(iter(world.twin.records("salesorderdetail").values()))
    world.twin.env.update("salesorderdetail", line, {"quantity": Decimal(9)}, world.twin.env.person)
    records, cursor = await world.news("order", cursor)
    assert [record.id for record in records] == [order]
    assert (await world.news("order", cursor))[0] == []


async def test_an_order_longer_than_a_page_is_read_whole(dynamics: Callable[..., Any]) -> None:
    """Expanded lines have pages of their own, in the feed and when fetched."""
    world = dynamics(page_size=3)
    order = order_with(world, 8)
    records, _ = await world.news("order", None)
    assert [len(record.entity.lines) for record in records] == [8]
    record = await world.read("order", order)
    assert [line.unit_price for line in record.entity.lines] == [Decimal(n) for n in range(1, 9)]
    assert record == records[0]


async def test_our_own_changes_are_known_as_ours(dynamics: Callable[..., Any]) -> None:
    """So that what the connector wrote is not taken for a person's edit."""
    from ml_connector.domain import Account

    world = dynamics()
    [made] = await world.write("account", Create(key=Key("number", "C-1"), entity=Account(number="C-1", name="Acme")))
    assert (await world.read("account", made.id)).by_us
    world.twin.edit_as_person("account", made.id, name="Acme Holding")
    assert not (await world.read("account", made.id)).by_us


async def test_a_converted_quote_is_an_order_that_names_it(dynamics: Callable[..., Any]) -> None:
    """Nothing else tells of the conversion: the order's quote is how it is recognised."""
    world = dynamics()
    quote = world.twin.insert_as_person("quote", name="Offer", customerid=world.account())
    world.twin.edit_as_person("quote", quote, statecode=1, statuscode=2)
    _, cursor = await world.news("order", None)
    order = world.twin.act_as_person("ConvertQuoteToSalesOrder", QuoteId=quote, ColumnSet={"AllColumns": True})
    records, _ = await world.news("order", cursor)
    assert [(record.id, record.entity.quote) for record in records] == [(order, Ref("quote", quote))]


async def test_a_table_that_is_not_tracked_is_polled_unless_tracking_is_demanded(dynamics: Callable[..., Any]) -> None:
    """Polling overlaps a little and becomes quiet; who insists on deletions is told what to switch on."""
    world = dynamics()
    world.twin.env.defs["account"].tracked = False
    one = world.account()
    records, cursor = await world.news("account", None)
    assert [record.id for record in records] == [one]
    world.pass_time(minutes=10)
    _, cursor = await world.news("account", cursor)
    world.pass_time(minutes=10)
    assert (await world.news("account", cursor))[0] == []
    strict = world.again(changes="track")
    with pytest.raises(ContractBroken, match="Track changes"):
        await strict.news("account", None)


async def test_a_poll_misses_nothing_that_becomes_visible_late(dynamics: Callable[..., Any]) -> None:
    """A commit may show seconds after its stamp: the next run begins a little before the last one did."""
    world = dynamics(changes="poll", overlap_s=60)
    world.account(name="Early")
    world.pass_time(seconds=90)
    _, cursor = await world.news("account", None)
    late = world.account(name="Late")
    world.twin.records("account")[late].values["modifiedon"] = (world.clock.now() - timedelta(seconds=30)).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )
    records, _ = await world.news("account", cursor)
    assert late in {record.id for record in records}


async def test_a_role_that_reads_less_than_everything_cannot_follow_changes(dynamics: Callable[..., Any]) -> None:
    """Dataverse refuses; it is said instead of reading half."""
    world = dynamics()
    world.twin.depth = "Local"
    with pytest.raises(ContractBroken, match="organization-level"):
        await world.news("account", None)
    assert await world.again(changes="poll").news("account", None)


async def test_a_cursor_of_another_program_is_refused_with_advice(dynamics: Callable[..., Any]) -> None:
    """Never read as the beginning."""
    world = dynamics()
    with pytest.raises(ContractBroken, match="cursor"):
        await world.news("account", "after:17")


async def test_ids_that_are_none_are_absent(dynamics: Callable[..., Any]) -> None:
    """They would be a syntax error in a filter, and sink the others."""
    world = dynamics()
    one = world.account()
    records = await world.connection.sources["account"].fetch(["17", "x' or 1 eq 1", one.upper(), one])
    assert {record.id for record in records} == {one}


async def test_changed_accounts_come_whole_with_what_tracking_tells(dynamics: Callable[..., Any]) -> None:
    """One call for all of them: nothing is fetched by id."""
    world = dynamics()
    ids = [world.account(name=f"Acme {n}", telephone1="1") for n in range(40)]
    _, cursor = await world.news("account", None)
    for one in ids[:30]:
        world.twin.edit_as_person("account", one, telephone1="2")
    world.twin.calls.clear()
    records, _ = await world.news("account", cursor)
    assert len(world.twin.calls) == 1
    assert {record.id: record for record in records} == {one: await world.read("account", one) for one in ids[:30]}


async def test_a_delta_link_that_knows_too_few_columns_has_its_records_fetched(dynamics: Callable[..., Any]) -> None:
    """Links of earlier releases tell ids alone, and those from before a column was made do not tell that column."""
    world = dynamics()
    one = world.account(name="Acme")
    _, cursor = await world.news("account", None)
    place = json.loads(cursor)
    place["links"] = {name: re.sub(r"\$select=[^&]*", "$select=accountid", link) for name, link in place["links"].items()}
    world.twin.edit_as_person("account", one, name="Acme Holding")
    [record], _ = await world.news("account", json.dumps(place))
    assert record == await world.read("account", one)
    assert record.entity.name == "Acme Holding"
