"""The real time. Simulations bring a clock of their own."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """``Clock`` over the machine's clocks and asyncio's sleep."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
