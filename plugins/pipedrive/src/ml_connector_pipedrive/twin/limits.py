"""What the company may ask: a burst in any two seconds per token, fewer searches, a daily budget, and the wall behind them."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from ml_connector.twin import TwinClock
from ml_connector_pipedrive.twin.wire import Refused

Plan: TypeAlias = Literal["lite", "growth", "premium", "ultimate"]


class Allowance(msgspec.Struct, frozen=True):
    """Calls in any two seconds with an API token and with an OAuth token; tokens per seat and day."""

    api_token: int
    oauth2: int
    daily: int


ALLOWANCES: Final[Mapping[Plan, Allowance]] = {
    "lite": Allowance(20, 80, 30_000),
    "growth": Allowance(40, 160, 60_000),
    "premium": Allowance(100, 400, 150_000),
    "ultimate": Allowance(120, 480, 210_000),
}
WINDOW = timedelta(seconds=2)
BLOCKED = timedelta(minutes=5)
PATIENCE = 30
"""So many refused calls in a row, and Cloudflare stands in front."""


class Limits:
    def __init__(self, clock: TwinClock, *, burst: int, searches: int, daily: int) -> None:
        self._clock = clock
        self.burst, self.searches, self.daily = burst, searches, daily
        self.spent = 0
        self._day = clock.now().date()
        self._calls: dict[str, deque[datetime]] = {}
        self._ignored = 0
        self._blocked_until: datetime | None = None

    @property
    def left(self) -> int:
        """Tokens left of the day, which begins at midnight of the server."""
        if self._clock.now().date() != self._day:
            self._day, self.spent = self._clock.now().date(), 0
        return max(0, self.daily - self.spent)

    def headers(self, token: str) -> dict[str, str]:
        used = len(self._window(token, self._clock.now()))
        return {
            "x-ratelimit-limit": str(self.burst),
            "x-ratelimit-remaining": str(max(0, self.burst - used)),
            "x-ratelimit-reset": "2",
            "x-daily-ratelimit-token-limit": str(self.daily),
            "x-daily-ratelimit-token-remaining": str(self.left),
        }

    def take(self, token: str, cost: int, *, search: bool) -> None:
        """Count one call. Raises Refused: 429, or Cloudflare's page for those who do not listen."""
        now = self._clock.now()
        if self._blocked_until is not None and now < self._blocked_until:
            raise Refused(403, b"<!DOCTYPE html><html><title>Access denied | Cloudflare</title></html>")
        if self.left < cost:
            raise self._refused(token, {"x-daily-ratelimit-token-remaining": "0", "Retry-After": "3"})
        for name, most in ((token, self.burst), *(((f"search {token}", self.searches),) if search else ())):
            window = self._window(name, now)
            if len(window) >= most:
                raise self._refused(token, {})
            window.append(now)
        self._ignored = 0
        self.spent += cost

    def _window(self, name: str, now: datetime) -> deque[datetime]:
        window = self._calls.setdefault(name, deque())
        while window and window[0] <= now - WINDOW:
            window.popleft()
        return window

    def _refused(self, token: str, more: dict[str, str]) -> Refused:
        self._ignored += 1
        if self._ignored > PATIENCE:
            self._blocked_until, self._ignored = self._clock.now() + BLOCKED, 0
        body = {"success": False, "error": "request over limit", "errorCode": 429}
        return Refused(429, body, {**self.headers(token), **more})
