"""What the org may spend: credits over a rolling day, calls at a time, heavy calls at a time."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from ml_connector.twin import TwinClock
from ml_connector_zoho_crm.twin.wire import Refused

DAY = timedelta(days=1)


class Limits:
    """Three counters, one refusal: 429 TOO_MANY_REQUESTS without a hint of how long to wait."""

    def __init__(self, clock: TwinClock, *, credits: int, concurrency: int, sub_concurrency: int) -> None:  # noqa: A002
        self._clock = clock
        self.allowance, self.concurrency, self.sub_concurrency = credits, concurrency, sub_concurrency
        self.active = self.heavy = self.peak = self.peak_heavy = 0
        self._spent: deque[tuple[datetime, int]] = deque()
        self._used = 0

    @property
    def used(self) -> int:
        """Credits spent in the last 24 hours."""
        horizon = self._clock.now() - DAY
        while self._spent and self._spent[0][0] <= horizon:
            self._used -= self._spent.popleft()[1]
        return self._used

    def headers(self) -> dict[str, str]:
        """``X-API-CREDITS-REMAINING``, told once half the allowance is gone."""
        used = self.used
        return {"X-API-CREDITS-REMAINING": str(max(0, self.allowance - used))} if used * 2 >= self.allowance else {}

    @contextmanager
    def slot(self, cost: int, *, heavy: bool) -> Iterator[None]:
        """Count one call while it is worked on. Raises Refused (429)."""
        if self.active >= self.concurrency:
            raise Refused(429, "TOO_MANY_REQUESTS", "too many concurrent requests")
        if heavy and self.heavy >= self.sub_concurrency:
            raise Refused(429, "TOO_MANY_REQUESTS", "too many concurrent requests of this kind")
        if self.used + cost > self.allowance:
            raise Refused(429, "TOO_MANY_REQUESTS", "API credits are exhausted")
        self._spent.append((self._clock.now(), cost))
        self._used += cost
        self.active += 1
        self.heavy += heavy
        self.peak, self.peak_heavy = max(self.peak, self.active), max(self.peak_heavy, self.heavy)
        try:
            yield
        finally:
            self.active -= 1
            self.heavy -= heavy
