"""COQL text: whatever a value holds, it stays inside its quotes."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector_zoho_crm import coql

AWKWARD = st.text() | st.sampled_from(["O'Neil", "''", "'", "a' or 'b'='b", "C-100\\'", "Ö'Ä", "') limit 2000"])
INSTANTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))


def unquoted(query: str) -> list[str]:
    """Every literal in a query, read as Zoho reads it: quotes end a text unless doubled."""
    return [literal.replace("''", "'") for literal in re.findall(r"'((?:[^']|'')*)'", query, re.DOTALL)]


@given(AWKWARD)
def test_no_text_breaks_out_of_its_quotes(value):
    assert unquoted(coql.text(value)) == [value]


@given(st.lists(AWKWARD, min_size=1, max_size=coql.IN_LIST))
def test_a_list_of_keys_comes_back_as_the_same_keys(values):
    query = coql.select(("id",), "Accounts", coql.one_of("ERP_Customer_No", map(coql.text, values)), limit=200)
    assert unquoted(query) == values


@given(INSTANTS, st.integers(-12, 14))
def test_an_instant_is_the_same_one_in_whatever_offset_it_was_told(at, hours):
    elsewhere = at.astimezone(timezone(timedelta(hours=hours)))
    assert coql.moment(elsewhere) == coql.moment(at)
    assert re.fullmatch(r"'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00'", coql.moment(at))


def test_the_keyset_is_bracketed_in_pairs_as_zoho_prints_it():
    at, end = datetime(2026, 2, 1, 9, tzinfo=UTC), datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert coql.after(at, "5550001000000123001", end) == (
        "(((Modified_Time > '2026-02-01T09:00:00+00:00') or "
        "((Modified_Time = '2026-02-01T09:00:00+00:00') and (id > 5550001000000123001)))"
        " and (Modified_Time < '2026-02-01T10:00:00+00:00'))"
    )


def test_a_pass_starts_with_its_first_second_included():
    at, end = datetime(2026, 2, 1, 9, tzinfo=UTC), datetime(2026, 2, 1, 10, tzinfo=UTC)
    assert ">= '2026-02-01T09:00:00+00:00'" in coql.after(at, "", end, inclusive=True)


@pytest.mark.parametrize("odd", ["", "Name; drop", "a b", "1st", "a'b", "a.b.c"])
def test_what_is_no_api_name_never_gets_into_a_query(odd):
    with pytest.raises(ValueError, match="API name"):
        coql.name(odd)


def test_a_field_named_like_a_word_of_the_language_is_quoted():
    assert coql.select(("id", "Group"), "Accounts", "(id is not null)", limit=5).startswith("select id, 'Group' from Accounts")


@pytest.mark.parametrize("odd", ["", "1) or (1", "555e3", "abc", "5" * 21])
def test_only_digits_are_an_id(odd):
    assert not coql.is_id(odd)
    with pytest.raises(ValueError, match="record id"):
        coql.after(datetime.now(UTC), odd, datetime.now(UTC))
