"""How the demo says counts, ledgers and reports."""

from typing import Any

import pytest

from ml_connector_adapters.runner.demo.words import counted, fit_for_it, listed, rows, sum_of


@pytest.mark.parametrize(
    ("count", "kind", "told"),
    [(1, "order", "1 order"), (0, "line", "0 lines"), (2500, "purchase_order", "2,500 purchase orders")],
)
def test_one_is_not_many(count: int, kind: str, told: str) -> None:
    assert counted(count, kind) == told


def test_lists_are_read_aloud() -> None:
    assert [listed(()), listed(["a"]), listed(["a", "b", "c"])] == ["nothing", "a", "a, b and c"]


def test_a_ledger_is_told_as_the_sum_that_it_is() -> None:
    counts = dict.fromkeys(("written", "unchanged", "echoed", "skipped", "parked", "rejected", "conflicted", "unknown"), 0)
    assert sum_of({"read": 0, **counts}) == "0 read"
    assert sum_of({"read": 1500, **counts, "written": 1000, "echoed": 500}) == "1,500 read = 1,000 written + 500 echoed"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert rows([("8", "vendors", ""), ("2,500", "orders", "x")], right=(0,)) == ["      8  vendors", "  2,500  orders   x"]


def test_a_fit_report_is_its_news_and_how_much_else_is_in_order() -> None:
    def finding(level: str, what: str, fix: str = "") -> dict[str, Any]:
        return {"level": level, "about": "account", "what": what, "fix": fix}

    created = finding("ok", "created Accounts.Tax_ID")
    late = finding("unfit", "the clock is an hour late", "Set it")
    told = fit_for_it("zoho", {"fit": False, "findings": [created, finding("ok", "the token is taken"), late]})
    assert told == [
        "  zoho: created Accounts.Tax_ID.",
        "  zoho: unfit: the clock is an hour late. Set it",
        "  zoho: not fit; the other 1 finding in order",
    ]
