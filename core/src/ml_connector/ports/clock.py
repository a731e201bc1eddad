"""Time, so that tests and simulations can own it."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall clock for records and monotonic clock for waiting."""

    def now(self) -> datetime:
        """The present, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass; others run meanwhile."""
        ...
