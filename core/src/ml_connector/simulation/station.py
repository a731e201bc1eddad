"""One side of the pair ``memory:memory``: a made-up system that keeps a log, and the line on which a process reaches it."""

import asyncio
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, Literal, TypeVar, cast

import msgspec

from ml_connector.domain import Entity, Kind, Ref, RemoteId, Side
from ml_connector.errors import AnswerLost, ContractBroken, Throttled, Unavailable
from ml_connector.flows.flow import Owner
from ml_connector.ports.sink import Create, Key, Later, Outcome, Rejected
from ml_connector.simulation.loop import VirtualClock
from ml_connector.simulation.pair import PERSON, Deed, Fields, flat
from ml_connector.simulation.process import Process
from ml_connector.testing import Habits, MemorySystem
from ml_connector.testing.connection import MemorySink, written
from ml_connector.testing.system import Row

T = TypeVar("T")
Style = Literal["feed", "sweep"]

NAMES: Mapping[Side, str] = {"left": "erp", "right": "crm"}
MANY = 18
MANY_LEAST = 13
"""So many counterparts that a source which shows none of them is disbelieved, however often it does that."""
LATER_S = 45.0
QUOTA_S = 900.0
FAULTS = ("lost before", "lost after", "outage", "garbage", "throttled", "told to wait", "quota", "delay", "delay", "expire")


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How the two systems and their connectors behave; drawn once per story."""

    left: Style
    right: Style
    page: int
    batch: int
    parallel: int
    turns: int
    upserts: bool  # the right side updates what has the business key already; False: it makes another
    open_ended: bool  # a feed goes on with what changes while it is read
    restores: bool
    owner: Owner | None  # of a two-way flow; None: one way
    habits: Habits
    records: int

    @classmethod
    def drawn(cls, random: Random) -> "Manners":
        return cls(
            left=random.choice(("feed", "sweep")),
            right=random.choice(("feed", "feed", "sweep")),
            page=random.randint(1, 4),
            batch=random.randint(1, 4),
            parallel=random.randint(1, 2),
            turns=random.randint(1, 3),
            upserts=random.random() < 0.6,
            open_ended=random.random() < 0.5,
            restores=random.random() < 0.3,
            owner=random.choice((*[None] * 8, "left", "right", "newest", "ask")),
            habits=Habits(
                trims=random.random() < 0.5,
                rounds=random.choice((None, 2)),
                shortens=random.choice(({}, {"name": 12, "extra.cost_center": 6})),
                raises=random.choice((frozenset(), frozenset({"billing.city", "phone"}))),
            ),
            records=random.choice((1, 3, 3, 4, 4, 5, 5, MANY)),
        )


class Station(MemorySystem):
    """A MemorySystem that remembers who did what, and whether its limits were kept."""

    def __init__(self, side: Side, manners: Manners, deeds: list[Deed], breaches: list[str]) -> None:
        super().__init__(
            cast(Any, VirtualClock()), habits=manners.habits if side == "right" else Habits(), checks_refs=side == "right"
        )
        self.side, self.author = side, PERSON
        self.upserts = manners.upserts or side == "left"
        self.turns = manners.turns
        self.writes = 0  # by processes
        self.loses_write = False
        self.races: dict[str, Callable[[], None]] = {}  # by number: what a person does just before a write arrives
        self.hidden: set[RemoteId] = set()
        self.storms: list[tuple[Random, int, float]] = []
        self._deeds, self._breaches = deeds, breaches
        self.stumbled: set[str] = set()
        self._stumbles: dict[str, str] = {}
        self._not_before: dict[str, Any] = {}
        self.rules.append(_no_poison)

    def number_of(self, ref: Ref) -> str:
        row = self.rows.get(ref.key)
        return str(row.entity.number) if row is not None else f"no such record: {ref.key}"

    def told(self, entity: Entity) -> Fields:
        return flat(entity, self.number_of)

    def store(self, entity: Entity, *, by_us: bool, over: RemoteId | None = None) -> Row:
        before = self.rows.get(over) if over is not None else None
        row = super().store(entity, by_us=by_us, over=over)
        self._deed(row, before, asked=self.told(entity), after=self.told(row.entity))
        return row

    def remove(self, row: Row, *, by_us: bool) -> Row:
        gone = super().remove(row, by_us=by_us)
        self._deed(gone, row, asked={}, after=None)
        return gone

    def _deed(self, row: Row, before: Row | None, *, asked: Fields, after: Fields | None) -> None:
        self.writes += self.author != PERSON
        self._deeds.append(
            Deed(
                at=self.clock.now(),
                side=self.side,
                author=self.author,
                kind=row.kind,
                id=row.id,
                number=str(row.entity.number),
                before=self.told(before.entity) if before is not None and not before.gone else None,
                asked=asked,
                after=after,
            )
        )

    def new_id(self, of: str) -> str:
        """Ids of the two sides are never alike."""
        return super().new_id(f"{NAMES[self.side]}-{of}")

    def stumble(self, number: str, outcome: str) -> None:
        self._stumbles[number] = outcome

    def scripted(self, *keys: str | None) -> Outcome | None:
        """Asked at every write: which is when a writer that was told to wait shows whether it did."""
        for key in keys:
            number = str(self.rows[key].entity.number) if key in self.rows else key or ""
            if (edit := self.races.pop(number, None)) is not None:
                us, self.author = self.author, PERSON
                edit()
                self.author = us
            if self._not_before.get(number, self.clock.now()) > self.clock.now():
                self._breaches.append(f"{self.side}: a write about {number} came before it was asked for")
            match self._stumbles.pop(number, None):
                case "later":
                    self._not_before[number] = self.clock.now() + timedelta(seconds=LATER_S)
                    return Later(reason="the record is locked", after_s=LATER_S)
                case "rejected":
                    self.stumbled.add(number)
                    return Rejected(code="BUSY", reason="not today", fix="Send it again")
        return super().scripted(*keys)

    def matching(self, kind: Kind, key: Key) -> list[Row]:
        """What stands in the way of a record with the key: nothing, where keys need not be unique."""
        return super().matching(kind, key) if self.upserts else []

    def attributed(self, author: str, work: Callable[[], T]) -> Callable[[], T]:
        def done() -> T:
            self.author = author
            try:
                return work()
            finally:
                self.author = PERSON

        return done

    def weather(self) -> tuple[str, Random] | None:
        """The fault that the next call meets."""
        if not self.storms:
            return None
        random, calls, rate = self.storms.pop()
        if calls > 1:
            self.storms.append((random, calls - 1, rate))
        return (random.choice(FAULTS), random) if random.random() < rate else None

    def calm(self) -> None:
        super().calm()
        self.storms.clear()
        self.loses_write = False
        self.races.clear()
        self.hidden.clear()
        self._stumbles.clear()
        self._not_before.clear()


def _no_poison(kind: Kind, entity: Entity) -> Rejected | None:
    if isinstance(entity.name, str) and entity.name.lower().startswith("poison"):
        return Rejected(code="POISON", field="name", reason="that name is not allowed", fix="Change it at the source")
    return None


class Line:
    """One process's line to a station: where it dies, freezes and meets the weather."""

    def __init__(self, station: Station, process: Process, *, open_ended: bool) -> None:
        self._station, self._process, self._open_ended = station, process, open_ended

    def __getattr__(self, name: str) -> Any:
        return getattr(self._station, name)

    @property
    def moves(self) -> int:
        """Where a feed ends: with what is there when it begins, or with nothing more to read."""
        return sys.maxsize if self._open_ended else self._station.moves

    def living(self, kind: Kind) -> list[Row]:
        return [row for row in self._station.living(kind) if row.id not in self._station.hidden]

    def matching(self, kind: Kind, key: Key) -> list[Row]:
        return MemorySystem.matching(self._station, kind, key)

    async def mint(self, secret: str) -> Any:
        await self._process.touch(on_the_wire=True)
        return await self._station.mint(secret)

    async def serve(self, token: str, keys: Iterable[str], work: Callable[[], T]) -> T:
        station = self._station
        await self._process.touch(on_the_wire=True)
        fault, random = station.weather() or ("", Random(0))
        match fault:
            case "lost before":
                raise AnswerLost("The line was cut")
            case "outage":
                raise Unavailable("Server error")
            case "throttled":
                raise Throttled("Too many calls")
            case "told to wait":
                raise Throttled("Too many calls", after_s=random.choice((1, 20)))
            case "quota":
                raise Throttled("The day's calls are used up", after_s=QUOTA_S)
            case "delay":
                await asyncio.sleep(random.choice((1, 7, 25)))
            case "expire":
                station.expire_tokens()
        told = station.writes
        answer = await station.serve(token, keys, station.attributed(self._process.name, work))
        wrote = station.writes > told
        await self._process.touch(on_the_wire=True, wrote=wrote)
        if wrote and station.loses_write:
            station.loses_write = False
            raise AnswerLost("The line was cut")
        if fault == "lost after":
            raise AnswerLost("The line was cut")
        if fault == "garbage":
            raise ContractBroken("The answer cannot be read", fix="Look at what answers at that address")
        return answer


class Inserts(MemorySink):
    """The sink of a system that makes a new record whatever key it has."""

    def _create(self, write: Create) -> Outcome:
        refusal = self._system.refuses(self._kind, write.entity, over=None)
        return refusal or written(self._system.store(write.entity, by_us=True), created=True)
