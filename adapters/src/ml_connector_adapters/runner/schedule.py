"""When a flow is due next."""

from datetime import UTC, datetime

from ml_connector.flows import Cron, Every, Schedule


def next_due(schedule: Schedule, last_start: datetime | None, now: datetime) -> datetime | None:
    """The time of the next run, aware UTC, possibly past; None for a flow that only runs when asked or pushed.

    A flow that never ran is due at once, whatever its schedule says. Cron expressions are read in UTC.
    """
    if schedule is None:
        return None
    if last_start is None:
        return now
    if isinstance(schedule, Every):
        return last_start + schedule.period
    return _next_cron(schedule, last_start)


def _next_cron(schedule: Cron, after: datetime) -> datetime:
    from croniter import croniter

    found: datetime = croniter(schedule.expression, after.astimezone(UTC)).get_next(datetime)
    return found
