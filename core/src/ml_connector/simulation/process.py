"""A process that can be killed or frozen wherever it touches the world: the state, a system, the clock.

Between two touches a process only thinks. To die at every touch, before it and after it, is therefore to die at every instant
that anybody could tell apart.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar, cast

from ml_connector.ports.clock import Clock
from ml_connector.ports.secrets import TokenRecord
from ml_connector.ports.state import Lease, State
from ml_connector.testing import MemoryTokens

T = TypeVar("T")

PATIENCE_S = 7200.0
"""A run that takes longer hangs."""


class Killed(BaseException):
    """The process is dead: whatever it still tries is refused. Nothing of the engine may catch this."""


class Hangs(Exception):
    """A run did not end in any reasonable time."""


class Process:
    """One process and everything that it started.

    Every touch is counted. ``at`` holds what happens to the world at the n-th of them, ``dies_at`` and ``freezes_at`` what
    happens to the process. ``dies_at_write`` counts the writes that a system took; ``dies_in_commit`` says at which commit,
    and whether that had taken effect.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.touches = self.commits = self.writes = 0
        self.at: dict[int, Callable[[], None]] = {}
        self.dies_at = self.dies_at_write = self.freezes_at = 0
        self.dies_in_commit: tuple[int, bool] = (0, False)
        self.dead = False
        self.leaving: set[asyncio.Task[Any] | None] = set()  # those past their last look at the lease
        self._over: asyncio.Future[None] | None = None
        self._frozen: asyncio.Future[None] | None = None
        self._froze = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    def ready(self) -> None:
        """Count from here on: a new run begins, and nothing is planned for it yet."""
        self.touches = self.commits = self.writes = self.dies_at = self.dies_at_write = self.freezes_at = 0
        self.at, self.dies_in_commit = {}, (0, False)
        self.leaving.clear()

    async def touch(self, *, on_the_wire: bool = False, wrote: bool = False) -> None:
        """Called whenever the process is about to touch the world, and when it has.

        ``on_the_wire``: a request is leaving or an answer coming. Nobody freezes there: what sleeps between its last look at
        the lease and the wire writes late whatever it does, and only the vendor could tell. ``wrote``: the answer that comes
        is to a request that changed something.
        """
        if self.dead:
            raise Killed
        self.touches += 1
        if not on_the_wire:
            self.leaving.discard(asyncio.current_task())
        if happens := self.at.pop(self.touches, None):
            happens()
        self.writes += wrote
        if self.touches == self.dies_at or (wrote and self.writes == self.dies_at_write):
            await self.die()
        if 0 < self.freezes_at <= self.touches and not on_the_wire and not self.leaving:
            self.freezes_at = 0
            self._frozen = asyncio.get_running_loop().create_future()
            self._froze.set()
        if self._frozen is not None:
            await asyncio.shield(self._frozen)
        if self.dead:
            raise Killed

    async def commit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """A touch that is a transaction."""
        await self.touch()
        self.commits += 1
        if self.dies_in_commit == (self.commits, False):
            await self.die()
        result = await work()
        if self.dies_in_commit == (self.commits, True):
            await self.die()
        await self.touch()
        return result

    async def die(self) -> None:
        """The instant of death: from here nothing of the process goes on."""
        self.dead = True
        if self._over is not None and not self._over.done():
            self._over.set_result(None)
        await asyncio.get_running_loop().create_future()

    def thaw(self) -> None:
        if self._frozen is not None and not self._frozen.done():
            self._frozen.set_result(None)
        self._frozen = None

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Let the process begin to work."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_remember)
        self._over, self._froze = loop.create_future(), asyncio.Event()
        token = _RUNNING.set(self)
        try:
            return loop.create_task(work)
        finally:
            _RUNNING.reset(token)

    async def until_frozen(self, main: asyncio.Task[Any]) -> None:
        """Wait until the process stands still, or has ended without."""
        froze = asyncio.ensure_future(self._froze.wait())
        await asyncio.wait({main, froze}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        froze.cancel()

    async def wait(self, main: asyncio.Task[Any]) -> BaseException | None:
        """Wait for the end: the error it ended with, ``Killed`` when it was killed. Raises Hangs."""
        assert self._over is not None
        await asyncio.wait({main, self._over}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if not self.dead and not main.done():
            self.dead = True
            await self._sweep_up()
            raise Hangs(f"{self.name} did not come to an end")
        if self.dead:
            await self._sweep_up()
            return Killed()
        await self._sweep_up()
        return main.exception()

    async def _sweep_up(self) -> None:
        """What is left of the process stops where it stands; what it would still do on its way out is refused."""
        for _ in range(20):
            left = [task for task in self._tasks if not task.done()]
            for task in left:
                task.cancel()
            if not left:
                break
            await asyncio.wait(left, timeout=1)
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()  # seen
        self._tasks.clear()


_RUNNING: ContextVar[Process | None] = ContextVar("process", default=None)


def _remember(loop: asyncio.AbstractEventLoop, work: Any, **named: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **named)
    if (process := _RUNNING.get()) is not None:
        process._tasks.append(task)
    return task


class ProcessClock:
    """The clock as a process sees it: one that froze or died does not wake. A client that waits is ``on_the_wire``."""

    def __init__(self, clock: Clock, process: Process, *, on_the_wire: bool = False) -> None:
        self._clock, self._process, self._on_the_wire = clock, process, on_the_wire

    def now(self) -> datetime:
        return self._clock.now()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        await self._process.touch(on_the_wire=self._on_the_wire)


class ProcessTokens(MemoryTokens):
    """Tokens that all processes share, and a lock that dies with its process."""

    def __init__(self, shared: MemoryTokens, process: Process) -> None:
        super().__init__()
        self.records = shared.records
        self._process = process

    async def load(self, credential: str) -> TokenRecord:
        await self._process.touch(on_the_wire=True)
        return await super().load(credential)

    async def save(self, credential: str, record: TokenRecord) -> None:
        await self._process.touch(on_the_wire=True)
        await super().save(credential, record)


class ProcessState:
    """The state as a process sees it. ``watch`` is told of every settlement that was let in."""

    def __init__(self, state: State, process: Process, watch: Callable[[Lease], None]) -> None:
        self._state, self._process, self._watch = state, process, watch
        self._parts: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self._parts:
            self._parts[name] = _Part(getattr(self._state, name), self._process)
        return self._parts[name]

    async def settle(self, lease: Lease, settlement: Any) -> None:
        async def work() -> None:
            await self._state.settle(lease, settlement)
            self._watch(lease)

        await self._process.commit(work)


COMMITS: Mapping[str, bool] = dict.fromkeys(
    ("open", "start", "finish", "arrived", "mark_due", "claim", "release", "renew", "add", "save", "sight"), True
)
"""Methods of the state's parts that change something."""


class _Part:
    """Links, ledger and so on, each of whose methods is a touch."""

    def __init__(self, part: Any, process: Process) -> None:
        self._part, self._process = part, process
        self._methods: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self._methods:
            self._methods[name] = _gated(getattr(self._part, name), self._process, commits=name in COMMITS)
        return self._methods[name]


def _gated(method: Any, process: Process, *, commits: bool = False) -> Any:
    if inspect.isasyncgenfunction(method):

        async def each(*args: Any, **named: Any) -> AsyncIterator[Any]:
            await process.touch()
            async for part in method(*args, **named):
                yield part
                await process.touch()

        return each
    if not inspect.iscoroutinefunction(method):
        return method

    async def once(*args: Any, **named: Any) -> Any:
        if commits:
            return await process.commit(lambda: method(*args, **named))
        await process.touch()
        if method.__name__ == "check":  # from here to the wire: see ``touch``
            process.leaving.add(asyncio.current_task())
        return await method(*args, **named)

    return once


def seen_by(state: State, process: Process, watch: Callable[[Lease], None]) -> State:
    return cast(State, ProcessState(state, process, watch))
