"""What the engine remembers, in memory: leases that fence, settlements that are taken whole or not at all, a chained audit."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from ml_connector.domain import Cursor, RemoteId, Side, UnsetType
from ml_connector.errors import ConnectorError, LeaseHeld, LeaseLost, Throttled
from ml_connector.ports.clock import Clock
from ml_connector.ports.notices import Notice, Subscription
from ml_connector.ports.state import AuditEntry, AuditRecord, Intent, Lease, Run, Settlement
from ml_connector.testing.clock import ManualClock
from ml_connector.testing.links import MemoryLinks

REMEMBERED: Final = timedelta(days=1)


class MemoryLeases:
    """``Leases``; ``held`` is the living lease of each flow. Fences outlive releases, so that an old holder stays out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fences: dict[str, int] = {}
        self.held: dict[str, Lease] = {}

    async def claim(self, flow: str, owner: str, ttl_s: float) -> Lease:
        await asyncio.sleep(0)
        now, held = self._clock.now(), self.held.get(flow)
        if held is not None and held.until > now:
            raise LeaseHeld(
                f'"{flow}" is run by {held.owner} until {held.until.isoformat()}',
                owner=held.owner,
                fix="Wait for it, or stop that runner",
            )
        fence = self._fences[flow] = self._fences.get(flow, 0) + 1
        self.held[flow] = Lease(flow=flow, owner=owner, fence=fence, until=now + timedelta(seconds=ttl_s))
        return self.held[flow]

    async def renew(self, lease: Lease, ttl_s: float) -> Lease:
        await asyncio.sleep(0)
        self.hold(lease)
        self.held[lease.flow] = msgspec.structs.replace(lease, until=self._clock.now() + timedelta(seconds=ttl_s))
        return self.held[lease.flow]

    async def release(self, lease: Lease) -> None:
        await asyncio.sleep(0)
        held = self.held.get(lease.flow)
        if held is not None and _same(held, lease):
            del self.held[lease.flow]

    async def bury(self, flow: str, owner: str) -> None:
        await asyncio.sleep(0)
        held = self.held.get(flow)
        if held is not None and held.owner == owner:
            del self.held[flow]

    async def check(self, lease: Lease) -> None:
        await asyncio.sleep(0)
        self.hold(lease)

    def hold(self, lease: Lease) -> None:
        """Raises LeaseLost when the lease was released or somebody claimed the flow since."""
        held = self.held.get(lease.flow)
        if held is None or not _same(held, lease):
            raise LeaseLost(f'The lease of "{lease.flow}" is no longer {lease.owner}\'s', fix="Stop; another runner goes on")


def _same(held: Lease, lease: Lease) -> bool:
    return (held.fence, held.owner) == (lease.fence, lease.owner)


class MemoryIntents:
    """``Intents``; ``rows`` by link id."""

    def __init__(self, leases: MemoryLeases) -> None:
        self._leases = leases
        self.rows: dict[str, Intent] = {}

    async def open(self, lease: Lease, intents: Sequence[Intent]) -> None:
        await asyncio.sleep(0)
        self._leases.hold(lease)
        self.rows |= {intent.link: intent for intent in intents}

    async def of(self, flow: str) -> list[Intent]:
        await asyncio.sleep(0)
        return sorted((intent for intent in self.rows.values() if intent.flow == flow), key=lambda intent: intent.at)


class MemoryLedger:
    """``Ledger``; ``runs`` by id, and ``audit`` in the order in which it was settled."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.audit: list[AuditRecord] = []

    async def start(self, run: Run) -> None:
        await asyncio.sleep(0)
        self.runs[run.id] = _as_it_is(run)

    async def finish(self, run: Run) -> None:
        await self.start(run)

    async def last(self, flow: str, *, count: int = 1) -> list[Run]:
        await asyncio.sleep(0)
        return [_as_it_is(run) for run in reversed(self.runs.values()) if run.flow == flow][:count]

    async def entries(
        self, *, since: datetime | None = None, link: str | None = None, run: str | None = None
    ) -> AsyncIterator[AuditRecord]:
        for record in list(self.audit):
            entry = record.entry
            if (since is None or entry.at >= since) and link in (None, entry.link) and run in (None, entry.run):
                await asyncio.sleep(0)
                yield record

    async def verify(self) -> tuple[int, int | None]:
        await asyncio.sleep(0)
        before = ""
        for seq, record in enumerate(self.audit, 1):
            if record.seq != seq or record.hash != _hash(before, seq, record.entry):
                return len(self.audit), record.seq
            before = record.hash
        return len(self.audit), None

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Number and chain the entries; part of a settlement."""
        for entry in entries:
            seq, before = len(self.audit) + 1, self.audit[-1].hash if self.audit else ""
            self.audit.append(AuditRecord(seq=seq, entry=entry, hash=_hash(before, seq, entry)))


def _as_it_is(run: Run) -> Run:
    """The living run as it stands at this moment."""
    return msgspec.structs.replace(run, counts=msgspec.structs.replace(run.counts))


def _hash(before: str, seq: int, entry: AuditEntry) -> str:
    return hashlib.sha256(b"%s %d %s" % (before.encode(), seq, msgspec.json.encode(entry))).hexdigest()


class MemoryCursors:
    """``Cursors``; ``rows`` by flow."""

    def __init__(self) -> None:
        self.rows: dict[str, Cursor] = {}

    async def load(self, flow: str) -> Cursor | None:
        await asyncio.sleep(0)
        return self.rows.get(flow)


class MemoryInbox:
    """``Inbox``; ``rows`` by flow and dedupe key. A handled notice is remembered for a day, so that a late repeat collapses."""

    def __init__(self, clock: Clock, bound: int = 100_000) -> None:
        self._clock, self.bound = clock, bound
        self.rows: dict[tuple[str, str], tuple[Side, Notice]] = {}
        self.handled: dict[tuple[str, str], datetime] = {}

    async def add(self, flow: str, side: Side, notices: Sequence[Notice]) -> int:
        """Raises Throttled when more than ``bound`` would wait."""
        await asyncio.sleep(0)
        if len(self.rows) - len(self.handled) + len(notices) > self.bound:
            raise Throttled(f"{self.bound} notices wait already", fix="See that this flow and the others run", where=flow)
        horizon = self._clock.now() - REMEMBERED
        for old in [key for key, at in self.handled.items() if at < horizon]:
            del self.handled[old], self.rows[old]
        before = len(self.rows)
        for notice in notices:
            self.rows.setdefault((flow, notice.dedupe), (side, notice))
        return len(self.rows) - before

    async def waiting(self, flow: str, side: Side) -> dict[RemoteId, list[str]]:
        await asyncio.sleep(0)
        found: dict[RemoteId, list[str]] = {}
        for key, (at, notice) in self.rows.items():
            if key[0] == flow and at == side and key not in self.handled:
                for one in dict.fromkeys(notice.ids):
                    found.setdefault(one, []).append(notice.dedupe)
        return found

    def end(self, flow: str, dedupe: Sequence[str]) -> None:
        """What these notices hinted at is settled; part of a settlement."""
        self.handled |= {(flow, key): self._clock.now() for key in dedupe if (flow, key) in self.rows}


class MemorySubscriptions:
    """``Subscriptions``; ``rows`` by path token. A subscription saved under a new path leaves its old one."""

    def __init__(self) -> None:
        self.rows: dict[str, Subscription] = {}

    async def all(self) -> list[Subscription]:
        await asyncio.sleep(0)
        return list(self.rows.values())

    async def save(self, subscription: Subscription, path_token: str) -> None:
        await self.remove(subscription)
        self.rows[path_token] = subscription

    async def by_path(self, path_token: str) -> Subscription | None:
        await asyncio.sleep(0)
        return self.rows.get(path_token)

    async def remove(self, subscription: Subscription) -> None:
        await asyncio.sleep(0)
        name = (subscription.connection, subscription.id)
        self.rows = {path: kept for path, kept in self.rows.items() if (kept.connection, kept.id) != name}


class MemoryPauses:
    """``Pauses``; ``rows`` by connection."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[str, datetime | None]] = {}

    async def pause(self, connection: str, reason: str, until: datetime | None) -> None:
        await asyncio.sleep(0)
        self.rows[connection] = (reason, until)

    async def paused(self, now: datetime) -> Mapping[str, tuple[str, datetime | None]]:
        await asyncio.sleep(0)
        return {name: pause for name, pause in self.rows.items() if pause[1] is None or pause[1] > now}

    async def resume(self, connection: str) -> None:
        await asyncio.sleep(0)
        self.rows.pop(connection, None)


class MemoryState:
    """``State`` in memory. Every part has a ``rows`` (or ``runs``, ``audit``, ``held``) to look at.

    ``fail_next_settlement`` makes one commit fail, before it took effect or after, as a lost database connection would.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        clock = clock or ManualClock()
        self.links = MemoryLinks()
        self.leases = MemoryLeases(clock)
        self.intents = MemoryIntents(self.leases)
        self.ledger = MemoryLedger()
        self.cursors = MemoryCursors()
        self.inbox = MemoryInbox(clock)
        self.subscriptions = MemorySubscriptions()
        self.pauses = MemoryPauses()
        self.settlements = 0
        self._failures: list[tuple[ConnectorError, bool]] = []

    def fail_next_settlement(self, error: ConnectorError, *, after: bool = False) -> None:
        self._failures.append((error, after))

    async def settle(self, lease: Lease, settlement: Settlement) -> None:
        """Raises ContractBroken as well, when two links would hold one remote id; then nothing of it is kept either."""
        await asyncio.sleep(0)
        self.leases.hold(lease)
        self.links.check(settlement.links)
        error, after = self._failures.pop(0) if self._failures else (None, False)
        if error is not None and not after:
            raise error
        self.links.put(settlement.links)
        self.links.retell(settlement.retold)
        self.ledger.append(settlement.audit)
        for link in settlement.ended_intents:
            self.intents.rows.pop(link, None)
        self.inbox.end(lease.flow, settlement.handled_notices)
        if not isinstance(settlement.cursor, UnsetType):
            self.cursors.rows[lease.flow] = settlement.cursor
        if settlement.run is not None:
            self.ledger.runs[settlement.run.id] = _as_it_is(settlement.run)
        self.settlements += 1
        if error is not None:
            raise error
