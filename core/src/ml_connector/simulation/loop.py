"""An event loop in which time is a number: nobody waits, nothing is threaded, and the same work takes the same turns."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ml_connector.testing.clock import START

T = TypeVar("T")


class VirtualLoop(asyncio.BaseEventLoop):
    """Time jumps to the next timer as soon as nothing else wants to run. There are no sockets and no files to wait for."""

    def __init__(self) -> None:
        super().__init__()
        self._elapsed = 0.0
        self._selector = self  # what the base class asks for events: there are never any

    def time(self) -> float:
        return self._elapsed

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits for something that nobody will do")
        self._elapsed += max(0.0, timeout)
        return []

    def _process_events(self, events: list[Any]) -> None:
        """No events, nothing to do."""

    def _write_to_self(self) -> None:
        """There is no other thread that could have to wake this one."""


class VirtualClock:
    """A ``Clock`` over the running VirtualLoop."""

    def now(self) -> datetime:
        return START + timedelta(seconds=round(self.monotonic(), 6))

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def play(work: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine to its end on a loop of its own. Raises RuntimeError when it waits for what cannot come."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
