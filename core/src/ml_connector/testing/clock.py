"""Time that nobody waits for: it moves when everybody sleeps, or when a test says so."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

from ml_connector.domain import Instant

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)


class ManualClock:
    """A ``Clock`` in virtual time. Two tasks that sleep 5 s and 10 s at once are both awake after 10 s.

    Time jumps to the next sleeper's waking when nothing else on the event loop wants to run, so a heartbeat that sleeps in
    the background never outruns the work. What the loop cannot see (a database's thread, a socket) counts as rest unless
    ``patience_s``, in real seconds, gives it a moment to come back.
    """

    def __init__(self, start: Instant = START, *, patience_s: float = 0.0) -> None:
        self._start, self._patience_s = start, patience_s
        self._elapsed = 0.0
        self._wakings: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, seconds: float) -> None:
        """Let time pass for everybody; whoever sleeps less than that wakes at the next turn of the loop."""
        self._elapsed += seconds

    async def sleep(self, seconds: float) -> None:
        waking = self._elapsed + max(0.0, seconds)
        self._wakings.append(waking)
        try:
            await asyncio.sleep(0)
            quiet_since = time.monotonic()
            while self._elapsed < waking:
                if waking > min(self._wakings) or self._others_run():
                    quiet_since = time.monotonic()
                elif time.monotonic() - quiet_since >= self._patience_s:
                    self._elapsed = waking
                    return
                await asyncio.sleep(0)
        finally:
            self._wakings.remove(waking)

    def _others_run(self) -> bool:
        """Whether the loop has more to do than to turn its sleepers over. A loop that does not tell is taken to be idle."""
        ready = getattr(asyncio.get_running_loop(), "_ready", ())  # asyncio has no public way to ask
        return len(ready) >= len(self._wakings)
