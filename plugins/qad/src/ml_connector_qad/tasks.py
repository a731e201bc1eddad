"""Doing several things at once and ending them together. The connection's limiter says how many requests really run."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

B = TypeVar("B")


async def together(work: Iterable[Awaitable[B]]) -> list[B]:
    """All results, in order. The first failure stops the others and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await _stop(tasks)


async def _stop(tasks: Iterable["asyncio.Future[Any]"]) -> None:
    """Cancel what still runs, and hear out every task so that no failure is left unread."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
