"""Doing several things at once and ending them together. The connection's limiter says how many requests really run."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")


async def together(work: Iterable[Awaitable[B]]) -> list[B]:
    """All results, in order. The first failure stops the others and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        await _stop(tasks)


async def both(first: Awaitable[A], second: Awaitable[B]) -> tuple[A, B]:
    """Two different things at once, as ``together`` does it."""
    one, other = asyncio.ensure_future(first), asyncio.ensure_future(second)
    try:
        return await asyncio.gather(one, other)
    finally:
        await _stop([one, other])


async def ahead(
    pages: AsyncGenerator[A, None], work: Callable[[A], Awaitable[B]], *, width: int = 2
) -> AsyncGenerator[B, None]:
    """``work`` done on every page, in order: the next pages are read and worked on while the first is awaited or used.

    At most ``width`` pages are on their way; a failure comes where its page would have come.
    """
    queue: asyncio.Queue[asyncio.Future[B] | None] = asyncio.Queue()
    room = asyncio.Semaphore(width)
    begun: set[asyncio.Future[B]] = set()

    async def read() -> None:
        try:
            async with aclosing(pages) as opened:
                await room.acquire()
                async for page in opened:
                    task = asyncio.ensure_future(work(page))
                    begun.add(task)
                    queue.put_nowait(task)
                    await room.acquire()
        finally:
            queue.put_nowait(None)

    reader = asyncio.ensure_future(read())
    try:
        while (task := await queue.get()) is not None:
            result = await task
            begun.discard(task)
            yield result
            room.release()
        await reader
    finally:
        await _stop([reader, *begun])


async def _stop(tasks: Iterable["asyncio.Future[Any]"]) -> None:
    """Cancel what still runs, and hear out every task so that no failure is left unread."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
