"""Service protection: requests, execution time and concurrency of one user at each web server within a sliding window."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ml_connector.twin import TwinClock
from ml_connector_dynamics365_sales.twin.wire import Refused

WINDOW_S: Final = 300
PATIENCE_S: Final = 120
"""How long one request may be worked on."""
_REQUESTS: Final = "0x80072322"
_TIME: Final = "0x80072321"
_CONCURRENCY: Final = "0x80072326"


class Work(msgspec.Struct):
    """One request that is worked on: when it came, and for how many seconds it has run."""

    at: datetime
    seconds: float = 0.0


class Protection:
    """Counts what is asked of it; numbers may be lowered by tests. They hold at each of ``servers``, over which whoever sends
    no affinity cookie is spread evenly.
    """

    def __init__(self, clock: TwinClock, *, requests: int = 6000, seconds: float = 1200, concurrency: int = 52) -> None:
        self._clock, self.servers = clock, 1
        self.requests, self.seconds, self.concurrency = requests, seconds, concurrency
        self.patience_s: float = PATIENCE_S
        self.cost_s = 0.02  # execution time of one row written, or of one request that writes none
        self._past: deque[Work] = deque()
        self._spent_s = 0.0  # the execution time of what is in _past
        self.running = 0

    @contextmanager
    def slot(self) -> Iterator[Work]:
        """Hold a place while a request is worked on. Raises Refused with 429."""
        now = self._clock.now()
        while self._past and self._past[0].at <= now - timedelta(seconds=WINDOW_S):
            self._spent_s -= self._past.popleft().seconds
        if self.running >= self.concurrency * self.servers:
            raise _told(_CONCURRENCY, f"Number of concurrent requests exceeded the limit of {self.concurrency}.", 5)
        if len(self._past) >= self.requests * self.servers:
            words = f"Number of requests exceeded the limit of {self.requests} over time window of {WINDOW_S} seconds."
            raise _told(_REQUESTS, words, self._until(now))
        if self._spent_s > self.seconds * self.servers:
            words = f"Combined execution time of incoming requests exceeded limit of {int(self.seconds * 1000):,} milliseconds."
            raise _told(_TIME, words, self._until(now))
        work = Work(now)
        self._past.append(work)
        self.running += 1
        try:
            yield work
        finally:
            self.running -= 1

    def spend(self, work: Work, rows: int) -> None:
        """Count the time of an operation that wrote so many rows, or none. Raises Refused where the request took too long."""
        cost = self.cost_s * max(1, rows)
        work.seconds += cost
        self._spent_s += cost
        if work.seconds > self.patience_s:
            raise Refused(504, "", "The request was not worked off in time.")

    def _until(self, now: datetime) -> int:
        return max(1, int((self._past[0].at + timedelta(seconds=WINDOW_S) - now).total_seconds()) + 1)


def _told(code: str, words: str, wait: int) -> Refused:
    return Refused(429, code, words, {"Retry-After": str(wait)})
