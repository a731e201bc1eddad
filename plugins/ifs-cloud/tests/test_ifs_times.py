"""IFS labels local time Z; what it means is decided in one place."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector_ifs_cloud.times import ServerTime, digits_of, earlier, instant_of, is_literal

STOCKHOLM = ServerTime(ZoneInfo("Europe/Stockholm"), aware=False)
AWARE = ServerTime(ZoneInfo("Europe/Stockholm"), aware=True)


def test_a_nominal_z_is_the_servers_local_time():
    assert STOCKHOLM.instant("2026-01-15T10:00:00Z") == datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
    assert STOCKHOLM.instant("2026-07-15T10:00:00Z") == datetime(2026, 7, 15, 8, 0, tzinfo=UTC)


def test_with_the_time_zone_aware_header_z_is_utc():
    assert AWARE.instant("2026-01-15T10:00:00Z") == datetime(2026, 1, 15, 10, 0, tzinfo=UTC)


def test_an_hour_that_comes_twice_in_autumn_is_the_earlier_one():
    assert STOCKHOLM.instant("2026-10-25T02:30:00Z") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_an_hour_that_spring_skips_is_read_as_before_the_change():
    assert STOCKHOLM.instant("2026-03-29T02:30:00Z") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_business_date_does_not_move_with_the_zone():
    assert STOCKHOLM.day("2026-01-15T00:00:00Z") == date(2026, 1, 15)
    assert STOCKHOLM.day("2026-01-15") == date(2026, 1, 15)
    assert AWARE.day("2026-01-14T23:00:00Z") == date(2026, 1, 15)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1)))
def test_no_instant_is_lost_on_its_way_to_ifs_and_back_but_in_the_doubled_hour(naive):
    instant = naive.replace(microsecond=0, tzinfo=UTC)
    back = STOCKHOLM.instant(STOCKHOLM.text(instant))
    assert back == instant or (instant - back).total_seconds() == 3600
    assert AWARE.instant(AWARE.text(instant)) == instant


def test_a_watermark_moves_back_on_its_own_clock():
    assert earlier("2026-01-15T00:30:00Z", 3900) == "2026-01-14T23:25:00Z"
    assert earlier("2026-01-15", 3900) == "2026-01-14"
    assert earlier("2026-01-15", 0) == "2026-01-15"


def test_an_etag_tells_the_row_version_that_is_inside_it():
    etag = 'W/"Vy8iQUFBQjFjQUFUQUFBQUZSQUFBOjIwMjYwMTE1MDkzMDEyIg=="'
    assert digits_of(etag) == b"20260115093012"
    assert instant_of(digits_of(etag), STOCKHOLM) == datetime(2026, 1, 15, 8, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize("etag", ['W/"opaque"', '"strong"', "", 'W/"Ä"', 'W/"Vy8iQUFBOjIwMjYxMzQ1OTk5OTk5Ig=="'])
def test_an_etag_of_another_form_tells_no_time(etag):
    assert instant_of(digits_of(etag), STOCKHOLM) is None


@pytest.mark.parametrize("text", ["2026-01-15' or 1 eq 1", "", "now()", "2026-01-15T09:00"])
def test_what_is_no_time_does_not_get_into_a_filter(text):
    assert not is_literal(text)
