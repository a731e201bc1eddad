"""The cursor moves only past pages that are settled whole, in the order in which they were read."""

from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import UNSET
from ml_connector.sync.job import Pages


def test_a_page_that_is_settled_early_waits_for_the_one_before() -> None:
    pages = Pages()
    first, second = pages.open(1, "c1"), pages.open(1, "c2")
    pages.pay(second)
    assert pages.frontier() is UNSET
    pages.pay(first)
    assert pages.frontier() == "c2"


def test_an_empty_page_moves_the_cursor_in_its_turn() -> None:
    pages = Pages()
    page = pages.open(1, "c1")
    pages.open(0, "c2")
    assert pages.frontier() is UNSET
    pages.pay(page)
    assert pages.frontier() == "c2"


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_cursor_never_passes_a_record_that_is_not_settled(sizes: list[int], random: object) -> None:
    pages = Pages()
    owed = [page for size in sizes for page in [pages.open(size, f"c{len(sizes)}-{size}")] * size]
    left = {page: owed.count(page) for page in owed}
    random.shuffle(owed)  # type: ignore[attr-defined]
    passed = -1
    for page in owed:
        pages.pay(page)
        left[page] -= 1
        pages.frontier()
        passed = pages._first - 1
        assert all(left.get(each, 0) == 0 for each in range(passed + 1))
    assert passed == len(sizes) - 1 or sizes[-1] == 0 or not owed
