"""The stages of one run, overlapped: while a batch is written the next is read, in memory bounded by batch sizes.

A failing source ends the reading, and what it gave is still written; a failing sink ends the writing, and what was written is
still settled. Then the failure is raised.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Protocol

from ml_connector.domain import UNSET, Cursor, Record, RemoteId, Version
from ml_connector.errors import ConnectorError
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import SinkLimits
from ml_connector.ports.state import Lease, Run, State
from ml_connector.ports.telemetry import Telemetry
from ml_connector.sync.job import Job, Pages
from ml_connector.sync.read import Batch
from ml_connector.sync.settle import settlement, tally
from ml_connector.sync.way import Way
from ml_connector.sync.write import Writer

SETTLE_AT_ONCE = 500
"""How many ended jobs a settlement waits for while writes are under way: a transaction costs more than the rows in it."""


class Prepares(Protocol):
    """The steps before writing, as one (see ``Preparer``)."""

    async def jobs(self, records: Sequence[Record], page: int) -> list[Job]: ...


class Pipeline:
    """Moves batches of one way of a flow from reading to settlement. One instance serves one run, pass after pass."""

    def __init__(
        self,
        way: Way,
        run: Run,
        lease: Lease,
        state: State,
        preparer: Prepares,
        writer: Writer,
        limits: SinkLimits,
        telemetry: Telemetry,
        clock: Clock,
        *,
        stop: asyncio.Event,
    ) -> None:
        self._way, self._flow, self._run, self._lease, self._state = way, way.flow, run, lease, state
        self._preparer, self._writer, self._limits = preparer, writer, limits
        self._telemetry, self._clock, self._stop = telemetry, clock, stop
        self._opened: set[str] = set()
        self._flying: dict[RemoteId, Version | None] = {}
        self._landed = asyncio.Condition()
        self._failure: ConnectorError | None = None
        self._broken_source: ConnectorError | None = None

    async def carry(self, batches: AsyncIterator[Batch], position: Callable[[Cursor], Cursor] | None = None) -> bool:
        """Carry every batch to its settlement; True when the stream ended by itself, False when ``stop`` ended it.

        ``position`` makes the flow's cursor of the stream's; None: this pass moves no cursor.
        """
        self._pages = Pages()
        self._position = position
        self._waiting: tuple[list[Job], list[Job]] = ([], [])  # creates and updates that do not fill a batch yet
        inbox: asyncio.Queue[Batch | None] = asyncio.Queue(2)
        self._writes: asyncio.Queue[list[Job] | None] = asyncio.Queue(self._limits.parallel)
        self._ended: asyncio.Queue[list[Job] | None] = asyncio.Queue(4)
        self._underway = 0  # batches that were handed to the writers and have not come to settlement
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._settle())
                complete = tasks.create_task(self._read(batches, inbox))
                decider = tasks.create_task(self._decide(inbox))
                writers = [tasks.create_task(self._write()) for _ in range(self._limits.parallel)]
                await decider
                for _ in writers:
                    await self._writes.put(None)
                await asyncio.wait(writers)
                await self._ended.put(None)
        except BaseExceptionGroup as group:  # one task's error, as itself
            raise group.exceptions[0] from None
        if error := self._failure or self._broken_source:
            raise error
        return complete.result()

    async def _read(self, batches: AsyncIterator[Batch], inbox: asyncio.Queue[Batch | None]) -> bool:
        try:
            async for batch in batches:
                if self._stop.is_set() or self._failure is not None:
                    return False
                await inbox.put(batch)
            return True
        except ConnectorError as error:
            self._broken_source = error
            return False
        finally:
            await inbox.put(None)

    async def _decide(self, inbox: asyncio.Queue[Batch | None]) -> None:
        while (batch := await inbox.get()) is not None:
            if self._failure is not None:
                continue
            try:
                await self._take(batch)
            except ConnectorError as error:
                self._fail(error)
        await self._flush()

    async def _take(self, batch: Batch) -> None:
        for term, amount in batch.settled.items():
            tally(self._run.counts, term, amount)
            self._run.counts.read += amount
        self._run.counts.read += len(batch.records)
        records = await self._fresh(batch.records)
        page = self._pages.open(len(records), batch.cursor)
        jobs = await self._preparer.jobs(records, page)
        wanted = [job for job in jobs if job.term is None]
        ended = [job for job in jobs if job.term is not None]  # before anything is handed on and ended by others
        await self._declare(wanted)
        self._flying |= {job.record.id: job.record.version for job in jobs}
        for job in wanted:
            pool = self._waiting[0 if job.creates else 1]
            pool.append(job)
            if len(pool) >= self._limits.batch:
                await self._hand_over(pool)
        await self._ended.put(ended)

    async def _fresh(self, records: Sequence[Record]) -> list[Record]:
        """The batch without repeats: a record that is still on its way is dropped if it is the same, else waited for."""
        fresh: dict[RemoteId, Record] = {}
        for record in records:
            if record.id in fresh:
                tally(self._run.counts, "unchanged")
            elif record.id in self._flying:
                if self._flying[record.id] == record.version is not None:
                    tally(self._run.counts, "unchanged")
                    continue
                await self._flush()
                await self._land(record.id)
            fresh[record.id] = record  # the later of two is the newer
        return list(fresh.values())

    async def _land(self, remote_id: RemoteId) -> None:
        async with self._landed:
            await self._landed.wait_for(lambda: remote_id not in self._flying or self._failure is not None)

    async def _declare(self, jobs: Sequence[Job]) -> None:
        """Commit the intents of writes before any of them leaves."""
        if not jobs:
            return
        now = self._clock.now()
        intents = [self._writer.intent(job, now) for job in jobs]
        await self._state.intents.open(self._lease, intents)
        self._opened.update(intent.link for intent in intents)

    async def _flush(self) -> None:
        for pool in self._waiting:
            if pool:
                await self._hand_over(pool)

    async def _hand_over(self, pool: list[Job]) -> None:
        jobs = pool[:]
        pool.clear()
        self._underway += 1
        await self._writes.put(jobs)

    async def _write(self) -> None:
        while (jobs := await self._writes.get()) is not None:
            if self._failure is None:
                try:
                    with self._telemetry.span("sync.batch", flow=self._flow.name, records=len(jobs)) as span:
                        await self._writer.perform(jobs, self._leave)
                        for job in jobs:
                            if job.term != "written":
                                span.event("record.failed", number=job.link.number, term=job.term or "")
                except ConnectorError as error:
                    self._fail(error)
            self._underway -= 1  # before it can be taken: whoever waits for more must know how much more there is
            await self._ended.put([job for job in jobs if job.term is not None])

    async def _leave(self, jobs: Sequence[Job], attempt: int) -> None:
        """A process that was frozen must not write what another has decided anew meanwhile. Raises LeaseLost.

        A further try writes something else than was declared, so that is declared anew.
        """
        if attempt == 0:
            await self._state.leases.check(self._lease)
        else:
            await self._declare(jobs)

    async def _settle(self) -> None:
        """One transaction for whatever has ended meanwhile; while writes are under way, more is sure to come."""
        more = True
        while more:
            jobs = await self._ended.get()
            if jobs is None:
                return
            while len(jobs) < SETTLE_AT_ONCE and (self._underway or not self._ended.empty()):
                further = await self._ended.get()
                if further is None:
                    more = False
                    break
                jobs = [*jobs, *further]
            batch = settlement(self._run, self._clock, self._way, jobs, self._opened)
            for page, amount in Counter([job.page for job in jobs]).items():
                self._pages.pay(page, amount)
            cursor = self._pages.frontier()
            if self._position is not None and isinstance(cursor, str):
                batch.cursor = self._position(cursor)
            if jobs or batch.cursor is not UNSET:
                await self._state.settle(self._lease, batch)
            for term, amount in Counter([job.term for job in jobs]).items():
                self._telemetry.count("ml_connector.records", amount, flow=self._flow.name, outcome=term or "")
            async with self._landed:
                for job in jobs:
                    self._flying.pop(job.record.id, None)
                self._landed.notify_all()

    def _fail(self, error: ConnectorError) -> None:
        self._failure = self._failure or error
