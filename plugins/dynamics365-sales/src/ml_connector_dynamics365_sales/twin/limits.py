"""Service protection: requests, execution time and concurrency of one user at each web server within a sliding window."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from ml_connector.twin import TwinClock
from ml_connector_dynamics365_sales.twin.wire import Refused

WINDOW_S: Final = 300
_REQUESTS: Final = "0x80072322"
_TIME: Final = "0x80072321"
_CONCURRENCY: Final = "0x80072326"


class Protection:
    """Counts what is asked of it; numbers may be lowered by tests. They hold at each of ``servers``, over which whoever sends
    no affinity cookie is spread evenly.
    """

    def __init__(self, clock: TwinClock, *, requests: int = 6000, seconds: float = 1200, concurrency: int = 52) -> None:
        self._clock, self.servers = clock, 1
        self.requests, self.seconds, self.concurrency = requests, seconds, concurrency
        self.cost_s = 0.02  # execution time of one operation
        self._past: deque[tuple[datetime, float]] = deque()
        self._spent_s = 0.0  # the execution time of what is in _past
        self.running = 0

    @contextmanager
    def slot(self, operations: int) -> Iterator[None]:
        """Hold a place while a request with so many operations is worked on. Raises Refused with 429."""
        now = self._clock.now()
        while self._past and self._past[0][0] <= now - timedelta(seconds=WINDOW_S):
            self._spent_s -= self._past.popleft()[1]
        if self.running >= self.concurrency * self.servers:
            raise _told(_CONCURRENCY, f"Number of concurrent requests exceeded the limit of {self.concurrency}.", 5)
        if len(self._past) >= self.requests * self.servers:
            words = f"Number of requests exceeded the limit of {self.requests} over time window of {WINDOW_S} seconds."
            raise _told(_REQUESTS, words, self._until(now))
        if self._spent_s > self.seconds * self.servers:
            words = f"Combined execution time of incoming requests exceeded limit of {int(self.seconds * 1000):,} milliseconds."
            raise _told(_TIME, words, self._until(now))
        self._past.append((now, self.cost_s * operations))
        self._spent_s += self.cost_s * operations
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def _until(self, now: datetime) -> int:
        return max(1, int((self._past[0][0] + timedelta(seconds=WINDOW_S) - now).total_seconds()) + 1)


def _told(code: str, words: str, wait: int) -> Refused:
    return Refused(429, code, words, {"Retry-After": str(wait)})
