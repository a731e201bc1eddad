"""When a flow is due: by period, by cron in UTC, at once when it never ran, never without a schedule."""

from datetime import UTC, datetime, timedelta, timezone

from ml_connector.flows import Cron, Every
from ml_connector_adapters.runner.schedule import next_due

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)  # a Monday
OFFICE_HOURS = Cron("*/15 6-20 * * 1-5")


def test_a_flow_that_never_ran_is_due_at_once():
    assert next_due(Every(timedelta(hours=1)), None, NOON) == NOON
    assert next_due(OFFICE_HOURS, None, NOON) == NOON


def test_a_period_counts_from_the_last_start_and_may_be_over():
    hourly = Every(timedelta(hours=1))
    assert next_due(hourly, NOON, NOON) == NOON + timedelta(hours=1)
    assert next_due(hourly, NOON - timedelta(days=2), NOON) < NOON


def test_cron_names_the_next_quarter_of_an_hour_and_leaves_out_nights_and_weekends():
    assert next_due(OFFICE_HOURS, NOON + timedelta(minutes=1), NOON) == NOON + timedelta(minutes=15)
    friday_night = datetime(2026, 1, 9, 20, 50, tzinfo=UTC)
    assert next_due(OFFICE_HOURS, friday_night, friday_night) == datetime(2026, 1, 12, 6, 0, tzinfo=UTC)


def test_cron_is_read_in_utc_wherever_the_times_come_from():
    stockholm = timezone(timedelta(hours=1))
    last = datetime(2026, 1, 5, 6, 50, tzinfo=stockholm)  # 5:50 UTC, before office hours
    assert next_due(OFFICE_HOURS, last, NOON) == datetime(2026, 1, 5, 6, 0, tzinfo=UTC)


def test_a_flow_without_a_schedule_is_never_due_by_itself():
    assert next_due(None, NOON, NOON) is None
    assert next_due(None, None, NOON) is None
