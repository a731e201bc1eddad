"""However a server pages, every row comes, and nothing but the end is taken for the end."""

import asyncio
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.errors import ContractBroken
from ml_connector_ifs_cloud.paging import Pager, Query, behind
from ml_connector_ifs_cloud.places import Field
from ml_connector_ifs_cloud.rows import OrderKey, decoder_of
from ml_connector_ifs_cloud.tasks import ahead

ORDERS = Query(path="/main/P.svc/CustomerOrderSet", decoder=decoder_of(OrderKey), order=(Field(name="OrderNo"),))
MODES = ("nextlink_then_skip", "skip_only", "nextlink_only", "keyset")


class Table:
    """A set on a server with manners of its own. ``between`` may move rows before a request is answered."""

    def __init__(self, count, *, cap=None, links=False, between=None):
        self.keys = [f"C{number:04d}" for number in range(count)]
        self.cap, self.links, self.between, self.asked = cap, links, between, []

    async def get(self, query, target):
        if self.between is not None:
            self.between(self, len(self.asked))
        self.asked.append(target)
        told = {name.lstrip("$"): values[0] for name, values in parse_qs(target.lstrip("?")).items()}
        after = told.get("filter", "OrderNo gt ''").split("'")[1]
        rest = [key for key in self.keys if key > after][int(told.get("skip", 0)) :]
        top = int(told["top"]) if "top" in told else len(rest)
        page = rest[: min(top, self.cap or top)]
        link = None
        if self.links and len(page) < min(top, len(rest)):
            link = (
                f"?$filter=OrderNo gt '{page[-1]}'&$top={top - len(page)}"
                if "top" in told
                else f"?$filter=OrderNo gt '{page[-1]}'"
            )
        return [OrderKey(OrderNo=key) for key in page], link


async def read(table, mode="nextlink_then_skip", size=10, *, short_page_ends=True, pager=None, start=""):
    pager = pager or Pager(mode, size, short_page_ends=short_page_ends)
    return [row.OrderNo async for page in pager.pages(ORDERS, table.get, start=start) for row in page]


@given(
    count=st.integers(0, 45), size=st.integers(2, 12), cap=st.none() | st.integers(2, 9), links=st.booleans(), data=st.data()
)
async def test_every_row_comes_exactly_once_from_a_server_that_stands_still(count, size, cap, links, data):
    mode = data.draw(st.sampled_from(MODES if links or cap is None else ("nextlink_then_skip", "skip_only", "keyset")))
    table = Table(count, cap=cap, links=links)
    assert await read(table, mode, size) == table.keys


async def test_a_full_page_without_a_link_is_followed_by_skipping():
    table = Table(25)
    assert await read(table) == table.keys
    assert [target.partition("$top")[2] for target in table.asked] == ["=10", "=10&$skip=9", "=10&$skip=18"]


async def test_rows_are_counted_over_the_whole_chain_of_linked_pages():
    """$top=10 answered as 4+4+2: the short last page ends the chain, not the set."""
    table = Table(23, cap=4, links=True)
    assert await read(table) == table.keys
    assert len(table.asked) == 3 + 3 + 2, "two chains of ten, and one of five (with its anchor) that says it is the end"


async def test_a_silent_cap_below_the_page_size_is_noticed_at_first_use():
    table = Table(23, cap=4)
    assert await read(table) == table.keys


async def test_a_short_page_is_questioned_once_and_then_believed():
    pager = Pager("nextlink_then_skip", 10, short_page_ends=True)
    first, second = Table(3), Table(4)
    await read(first, pager=pager)
    await read(second, pager=pager)
    assert (len(first.asked), len(second.asked)) == (2, 1)


async def test_reading_until_an_empty_page_can_be_asked_for():
    pager = Pager("skip_only", 10, short_page_ends=False)
    await read(Table(3), pager=pager)
    table = Table(3)
    assert await read(table, pager=pager) == table.keys
    assert len(table.asked) == 2


@pytest.mark.parametrize("mode", ["nextlink_then_skip", "skip_only", "keyset"])
async def test_rows_that_vanish_while_paging_take_no_other_row_along(mode):
    def vanish(table, call):
        if call == 2:
            del table.keys[0:3]

    table = Table(40, between=vanish)
    wanted = set(table.keys[3:])
    assert wanted <= set(await read(table, mode))


@pytest.mark.parametrize("mode", ["nextlink_then_skip", "skip_only", "keyset"])
async def test_rows_that_appear_while_paging_push_no_other_row_out(mode):
    def appear(table, call):
        if call == 2:
            table.keys = sorted([*table.keys, "C0000a", "C0000b"])

    table = Table(40, between=appear)
    wanted = list(table.keys)
    assert [key for key in await read(table, mode) if key in wanted] == wanted


async def test_reading_by_key_can_begin_behind_a_key():
    table = Table(25)
    start = behind(ORDERS.order, SimpleNamespace(OrderNo="C0019"))
    assert await read(table, "keyset", start=start) == table.keys[20:]


async def test_an_empty_page_that_carries_a_link_is_not_the_end():
    pages = {"?$orderby=OrderNo&$top=10": ([], "?next"), "?next": ([OrderKey(OrderNo="C1")], None)}

    async def get(query, target):
        return pages.get(target, ([], None))

    rows = [row.OrderNo async for page in Pager("keyset", 10, short_page_ends=True).pages(ORDERS, get) for row in page]
    assert rows == ["C1"]


@pytest.mark.parametrize("mode", ["skip_only", "keyset"])
async def test_a_server_that_ignores_the_position_is_found_out(mode):
    async def get(query, target):
        return [OrderKey(OrderNo=f"C{number}") for number in range(10)], None

    with pytest.raises(ContractBroken, match="same page again"):
        _ = [page async for page in Pager(mode, 10, short_page_ends=True).pages(ORDERS, get)]


def test_the_place_behind_a_composite_key_is_told_part_by_part():
    order = (Field(name="OrderNo"), Field(name="LineItemNo", edm="decimal"))
    row = SimpleNamespace(OrderNo="O'Brien/1", LineItemNo=-1)
    assert behind(order, row) == "(OrderNo gt 'O''Brien/1' or (OrderNo eq 'O''Brien/1' and LineItemNo gt -1))"


def test_a_number_that_is_none_does_not_get_into_a_filter():
    with pytest.raises(ContractBroken, match="is no decimal"):
        behind((Field(name="LogId", edm="decimal"),), SimpleNamespace(LogId="1 or 1 eq 1"))


async def test_a_chain_of_links_that_stays_below_the_page_size_is_the_end_without_a_question():
    table = Table(7, cap=4, links=True)
    assert await read(table) == table.keys
    assert len(table.asked) == 2


async def test_the_next_page_is_read_while_the_first_is_worked_on_and_no_more_than_that():
    read_, release = [], asyncio.Event()

    async def pages():
        for number in range(5):
            read_.append(number)
            yield number

    async def work(number):
        await release.wait()
        return number * 10

    results = ahead(pages(), work)
    first = asyncio.ensure_future(anext(results))
    for _ in range(10):
        await asyncio.sleep(0)
    assert read_ == [0, 1]
    release.set()
    assert [await first, *[result async for result in results]] == [0, 10, 20, 30, 40]


async def test_a_failure_comes_in_its_pages_place_and_ends_the_rest():
    async def pages():
        for number in range(5):
            yield number

    async def work(number):
        if number == 1:
            raise ContractBroken("page 1")
        return number

    seen = []
    with pytest.raises(ContractBroken, match="page 1"):
        async for number in ahead(pages(), work):
            seen.append(number)
    assert seen == [0]
    assert len(asyncio.all_tasks()) == 1, "nothing goes on behind our back"
