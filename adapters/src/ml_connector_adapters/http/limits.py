"""The vendor's limits, kept before the vendor has to: pace, concurrency, daily credits with a reserve, pauses."""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import inf

import msgspec

from ml_connector.errors import Throttled
from ml_connector.ports.clock import Clock

_DAY_S = 86_400.0
_BUCKET_S = 600.0  # credits spent are remembered in buckets of ten minutes: 145 numbers at most
_BELIEVED_S = 3_600.0  # how long a vendor's word about remaining credits counts when it says nothing new
_EPSILON_S = 1e-6  # the least wait worth sleeping; a float clock cannot be trusted below


class Cost(msgspec.Struct, frozen=True):
    """What one call costs: ``credits``; ``heavy`` counts against ``heavy_concurrency``; ``essential`` may use the reserve."""

    credits: int = 1
    heavy: bool = False
    essential: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection may ask of its vendor. None: no such limit.

    requests_per_minute   never more in any 60 seconds
    spacing_s             at least so long between the starts of two requests, so that not even the first come at once
    concurrency           requests under way at once, heavy ones among them
    credits_per_day       per rolling 24 hours
    credit_reserve        credits that only essential calls (writes, notices) may use
    """

    requests_per_minute: int | None = None
    spacing_s: float = 0.0
    concurrency: int = 4
    heavy_concurrency: int | None = None
    credits_per_day: int | None = None
    credit_reserve: int = 0


ORDINARY = Cost()


class Limiter:
    """Lets requests of one connection through as its limits allow. All waiting is the clock's.

    aiolimiter is not used: it waits on the event loop's time, which a simulation does not own, and a full bucket plus its
    refill lets nearly twice the allowance into one window. Here requests follow at an interval, after a burst of at most one
    second's worth.
    """

    def __init__(self, limits: Limits, clock: Clock, *, where: str) -> None:
        self.limits = limits
        self._clock, self._where = clock, where
        self._all = asyncio.Semaphore(limits.concurrency)
        self._heavy = asyncio.Semaphore(limits.heavy_concurrency or limits.concurrency)
        self._pace = _Pace(limits.requests_per_minute, limits.concurrency, limits.spacing_s)
        self._turn = asyncio.Lock()  # those who wait for the pace go in the order in which they came
        self._paused_until = -inf
        self._spent: deque[tuple[float, int]] = deque()  # (start of bucket, credits), oldest first
        self._said: tuple[float, int] | None = None  # (when, credits that the vendor said remained, less what we spent since)

    def slot(self, cost: Cost = ORDINARY, *, patience_s: float = inf) -> AbstractAsyncContextManager[None]:
        """Wait for the pace, the concurrency and the end of a pause; hold the concurrency until the block ends.

        Raises Throttled(after_s) when only the reserve of credits is left and the call is not essential, or when the
        connection is paused for longer than ``patience_s``.
        """
        return _Slot(self, cost, patience_s)

    def pause(self, seconds: float) -> None:
        """Let no request of this connection start for so long; requests under way go on."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def credits_left(self, remaining: int) -> None:
        """Take the vendor's word for what remains; it knows the other programs that spend from the same allowance."""
        self._said = (self._clock.monotonic(), remaining)

    @property
    def remaining(self) -> int | None:
        """Credits left as far as known, never below 0; None when there is no allowance and the vendor said nothing."""
        self._forget()
        if self._said is not None:
            return max(0, self._said[1])
        if self.limits.credits_per_day is None:
            return None
        return max(0, self.limits.credits_per_day - sum(spent for _, spent in self._spent))

    def _forget(self) -> None:
        now = self._clock.monotonic()
        while self._spent and self._spent[0][0] + _BUCKET_S + _DAY_S <= now:
            self._spent.popleft()
        if self._said is not None and self._said[0] + _BELIEVED_S <= now:
            self._said = None  # count for ourselves again; the next answer will correct us

    def _spend(self, cost: Cost) -> None:
        left = self.remaining
        if left is None:
            return
        now = self._clock.monotonic()
        if not cost.essential and left - cost.credits < self.limits.credit_reserve:
            after = self._said[0] + _BELIEVED_S - now if self._said else self._spent_until() - now
            raise Throttled(
                f"{left} of the day's API credits are left, {self.limits.credit_reserve} reserved for writes and notices",
                after_s=max(1.0, after),
                fix="Reading goes on by itself when older calls leave the 24 hours; read less often if this returns every day",
                where=self._where,
            )
        if self._said is not None:
            self._said = (self._said[0], self._said[1] - cost.credits)
        bucket = now - now % _BUCKET_S
        if self._spent and self._spent[-1][0] == bucket:
            self._spent[-1] = (bucket, self._spent[-1][1] + cost.credits)
        else:
            self._spent.append((bucket, cost.credits))

    def _spent_until(self) -> float:
        """When the oldest spending leaves the day."""
        return self._spent[0][0] + _BUCKET_S + _DAY_S if self._spent else self._clock.monotonic() + _BELIEVED_S

    def _check_pause(self, patience_s: float) -> None:
        left = self._paused_until - self._clock.monotonic()
        if left > patience_s:
            raise Throttled(
                f"paused for {left:.0f} more seconds because the vendor asked for it or had too many calls",
                after_s=left,
                where=self._where,
            )

    async def _enter(self, patience_s: float) -> None:
        """Wait for our turn: the pace says when, a pause may put it off."""
        if not self._turn.locked() and self._wait() <= _EPSILON_S:
            self._pace.take(self._clock.monotonic())
            return
        async with self._turn:
            while (wait := self._wait()) > _EPSILON_S:
                self._check_pause(patience_s)
                await self._clock.sleep(wait)
            self._pace.take(self._clock.monotonic())

    def _wait(self) -> float:
        now = self._clock.monotonic()
        return max(self._paused_until, self._pace.due) - now


class _Pace:
    """The generic cell rate algorithm: ``burst`` at once, then one per interval, at most ``per_minute`` in any 60 seconds."""

    def __init__(self, per_minute: int | None, concurrency: int, spacing_s: float) -> None:
        self._interval, self._slack = spacing_s, 0.0
        if per_minute is not None:
            burst = 1 if spacing_s > 0 else max(1, min(concurrency, per_minute // 60))
            self._interval = max(spacing_s, 60 * (1 + _EPSILON_S) / (per_minute - burst + 1))
            self._slack = (burst - 1) * self._interval
        self._full_at = -inf  # when the whole burst is available again

    @property
    def due(self) -> float:
        """When the next request may start, on the monotonic clock."""
        return self._full_at - self._slack

    def take(self, now: float) -> None:
        self._full_at = max(self._full_at, now) + self._interval


class _Slot:
    __slots__ = ("_cost", "_limiter", "_patience_s")

    def __init__(self, limiter: Limiter, cost: Cost, patience_s: float) -> None:
        self._limiter, self._cost, self._patience_s = limiter, cost, patience_s

    async def __aenter__(self) -> None:
        limiter = self._limiter
        if self._cost.heavy:
            await limiter._heavy.acquire()
        try:
            await limiter._all.acquire()
            try:
                limiter._check_pause(self._patience_s)  # before spending: a call that is turned away costs nothing
                limiter._spend(self._cost)
                await limiter._enter(self._patience_s)
            except BaseException:
                limiter._all.release()
                raise
        except BaseException:
            if self._cost.heavy:
                limiter._heavy.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._limiter._all.release()
        if self._cost.heavy:
            self._limiter._heavy.release()


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110 section 10.2.3: seconds or an HTTP date); None without a usable one."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    if then.tzinfo is None:  # "-0000": UTC without a word about where it was written
        then = then.replace(tzinfo=UTC)
    return max(0.0, (then - now).total_seconds())
