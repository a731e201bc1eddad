"""A made-up system as its own database sees it: records, tokens, channels, and the ways in which it misbehaves."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

import msgspec

from ml_connector.domain import ENTITIES, Entity, Kind, Ref, RemoteId
from ml_connector.errors import AnswerLost, AuthRejected, ConnectorError, ContractBroken, Throttled, Unavailable
from ml_connector.flows.fields import refs_of
from ml_connector.ports.clock import Clock
from ml_connector.ports.notices import NoticeRequest
from ml_connector.ports.sink import Key, Outcome, Rejected
from ml_connector.testing.clock import ManualClock
from ml_connector.testing.shapes import Habits, merged, value_at

T = TypeVar("T")
Rule: TypeAlias = Callable[[Kind, Entity], Rejected | None]
"""A business rule: sees the record as it would stand, and says why not."""
Trouble: TypeAlias = Literal["lost_before", "lost_after", "garbage", "outage"]

CREDENTIAL: Final = "memory/key"
"""The name of the one secret that opens the system."""
KINDS: Final = {entity: kind for kind, entity in ENTITIES.items()}
"""Class → kind."""
PLACES: Final[Mapping[str, int]] = {"number": 40, "name": 100, "description": 2000}
"""Most characters that a text field holds."""


class TokenExpired(AuthRejected):
    """The system does not know the token (any more): mint another."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it stands. ``version`` counts the system's changes, so that it also orders them."""

    id: RemoteId
    kind: Kind
    entity: Entity
    version: int
    changed_at: datetime
    by_us: bool
    gone: bool = False


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as the system holds it."""

    id: str
    url: str
    secret: str
    kinds: tuple[Kind, ...]
    expires_at: datetime


class MemorySystem:
    """A system that holds records of any kind.

    trims         text is stored without blanks around it, as many vendors do; ``habits`` say more of that kind
    concurrency   calls that it works on at once; one more is refused
    token_life_s  how long an access token lives
    checks_refs   a written record may name only records that are there

    ``rules`` are its business rules, ``places`` the lengths of its text fields. ``calls``, ``peak`` and ``mints`` count what
    it saw; ``rows`` is its table, ``records(kind)`` what people see of it. Adapters come from ``testing.connection``.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        trims: bool = False,
        habits: Habits | None = None,
        concurrency: int = 4,
        token_life_s: float = 3600,
        checks_refs: bool = True,
        places: Mapping[str, int] = PLACES,
    ) -> None:
        self.clock = clock or ManualClock()
        self.habits = habits or Habits(trims=trims)
        self.concurrency, self.token_life_s, self.checks_refs = concurrency, token_life_s, checks_refs
        self.places = dict(places)
        self.rules: list[Rule] = []
        self.rows: dict[RemoteId, Row] = {}
        self.channels: dict[str, Channel] = {}
        self.deliveries: list[NoticeRequest] = []
        self.secret = "memory-secret"
        self.revoked = False
        self.turns = 1  # of the event loop that a call takes; more of them make calls overlap
        self.calls = self.peak = self.mints = self.moves = 0
        self._ids = 0
        self._in_flight = 0
        self._tokens: dict[str, datetime] = {}
        self._troubles: list[Trouble] = []
        self._throttles: list[float | None] = []
        self._failures: dict[str, list[ConnectorError | Outcome]] = {}

    def secrets(self) -> dict[str, str]:
        """What a host must be able to reveal."""
        return {CREDENTIAL: self.secret}

    # What people do and see

    def records(self, kind: Kind) -> dict[RemoteId, Entity]:
        """The records that are there, oldest first."""
        return {row.id: row.entity for row in self.living(kind)}

    def put(self, entity: Entity) -> RemoteId:
        """A person enters a record; no rule stops people. Returns its id."""
        return self.store(entity, by_us=False).id

    def edit_as_person(self, kind: Kind, record_id: RemoteId, **fields: Any) -> None:
        """A person sets these fields of the record; None clears. Raises KeyError when it is not there."""
        row = self._living(kind, record_id)
        self.store(merged(row.entity, ENTITIES[kind](**fields)), by_us=False, over=record_id)

    def delete_as_person(self, kind: Kind, record_id: RemoteId) -> None:
        """A person deletes the record for good. Raises KeyError when it is not there."""
        self.remove(self._living(kind, record_id), by_us=False)

    def _living(self, kind: Kind, record_id: RemoteId) -> Row:
        row = self.rows[record_id]
        if row.gone or row.kind != kind:
            raise KeyError(record_id)
        return row

    # Misbehaviour

    def fail_once(self, key: str, failure: ConnectorError | Outcome) -> None:
        """The next call about the record with this number or id raises the error, or its write has this outcome."""
        self._failures.setdefault(key, []).append(failure)

    def lose_answer_once(self, *, after: bool) -> None:
        """The next call's answer is lost: ``after`` the work was done, or before."""
        self._troubles.append("lost_after" if after else "lost_before")

    def garble_once(self) -> None:
        """The next call is worked on, but what comes back cannot be read."""
        self._troubles.append("garbage")

    def break_once(self, times: int = 1) -> None:
        """The next calls meet an outage: no work, a server error."""
        self._troubles += ["outage"] * times

    def throttle_once(self, after_s: float | None) -> None:
        """The next call is refused and told to come back ``after_s`` seconds later (None: it is not told)."""
        self._throttles.append(after_s)

    def calm(self) -> None:
        """Take back every misbehaviour that has not happened yet; withdrawn access stays withdrawn."""
        self._troubles.clear()
        self._throttles.clear()
        self._failures.clear()

    def expire_tokens(self) -> None:
        """Forget every access token, before its time."""
        self._tokens.clear()

    def revoke(self) -> None:
        """A person withdraws the access."""
        self.revoked = True
        self._tokens.clear()

    # Serving

    async def mint(self, secret: str) -> tuple[str, datetime]:
        """An access token and when it expires. Raises AuthRejected."""
        await asyncio.sleep(0)
        if self.revoked or secret != self.secret:
            raise AuthRejected("Access refused", fix="Grant access anew and store the new key")
        self.mints += 1
        value = f"token-{self.mints}"
        self._tokens[value] = self.clock.now() + timedelta(seconds=self.token_life_s)
        return value, self._tokens[value]

    async def serve(self, token: str, keys: Iterable[str], work: Callable[[], T]) -> T:
        """One call. ``keys`` are the numbers and ids that it is about; ``work`` is done in one go."""
        self.calls += 1
        self._in_flight += 1
        self.peak = max(self.peak, self._in_flight)
        try:
            for _ in range(self.turns):
                await asyncio.sleep(0)
            return self._answer(token, keys, work)
        finally:
            self._in_flight -= 1

    def _answer(self, token: str, keys: Iterable[str], work: Callable[[], T]) -> T:
        if self.revoked:
            raise AuthRejected("Access was withdrawn", fix="Grant access anew and store the new key")
        if self._tokens.get(token, self.clock.now()) <= self.clock.now():
            raise TokenExpired("The token is not known", fix="Ask for another")
        if self._throttles:
            raise Throttled("Too many calls", after_s=self._throttles.pop(0))
        if self._in_flight > self.concurrency:
            raise Throttled(f"More than {self.concurrency} calls at once", after_s=1)
        for key in keys:
            waiting = self._failures.get(key)
            if waiting and isinstance(waiting[0], ConnectorError):
                raise cast(ConnectorError, waiting.pop(0))
        match self._troubles.pop(0) if self._troubles else None:
            case "outage":
                raise Unavailable("Server error")
            case "lost_before":
                raise AnswerLost("The line was cut")
            case "lost_after":
                work()
                raise AnswerLost("The line was cut")
            case "garbage":
                work()
                raise ContractBroken("The answer cannot be read", fix="Look at what answers at that address")
            case None:
                return work()

    def scripted(self, *keys: str | None) -> Outcome | None:
        """The outcome that ``fail_once`` holds ready for a write about one of these."""
        for key in keys:
            waiting = self._failures.get(key or "")
            if waiting and not isinstance(waiting[0], ConnectorError):
                return cast(Outcome, waiting.pop(0))
        return None

    # The table

    def matching(self, kind: Kind, key: Key) -> list[Row]:
        """Living records whose field has the value, oldest first."""
        return [row for row in self.living(kind) if value_at(row.entity, key.field) == key.value]

    def living(self, kind: Kind) -> list[Row]:
        return [row for row in self.rows.values() if row.kind == kind and not row.gone]

    def store(self, entity: Entity, *, by_us: bool, over: RemoteId | None = None) -> Row:
        """Insert, or replace what stands ``over`` there; unchanged content moves nothing."""
        kind = KINDS[type(entity)]
        entity = self.habits.applied(entity)
        before = self.rows.get(over) if over is not None else None
        if before is not None and before.entity == entity and not before.gone:
            return before
        return self._put(
            Row(id=over or self.new_id(kind), kind=kind, entity=entity, version=0, changed_at=self.clock.now(), by_us=by_us)
        )

    def new_id(self, of: str) -> str:
        """An id that nothing here had before."""
        self._ids += 1
        return f"{of}-{self._ids:06d}"

    def remove(self, row: Row, *, by_us: bool) -> Row:
        """Delete; the tombstone keeps its place among the changes."""
        return self._put(msgspec.structs.replace(row, gone=True, changed_at=self.clock.now(), by_us=by_us))

    def _put(self, row: Row) -> Row:
        self.moves += 1
        self.rows[row.id] = row = msgspec.structs.replace(row, version=self.moves)
        self._notify(row)
        return row

    def _notify(self, row: Row) -> None:
        for channel in self.channels.values():
            if row.kind in channel.kinds and channel.expires_at > self.clock.now():
                self.deliveries.append(delivery(channel, row.kind, [row.id], event=row.version))

    def refuses(self, kind: Kind, entity: Entity, *, over: RemoteId | None) -> Rejected | None:
        """Why the record must not stand like this, if so: length, uniqueness, references, then the business rules."""
        for field, most in self.places.items():
            value = value_at(entity, field)
            if isinstance(value, str) and len(value) > most and field not in self.habits.shortens:
                return Rejected(code="TOO_LONG", field=field, reason=f"{field} holds {most} characters, not {len(value)}")
        number = entity.number
        if isinstance(number, str) and any(row.id != over for row in self.matching(kind, Key("number", number))):
            return Rejected(code="DUPLICATE", field="number", reason=f"{kind} {number} exists already")
        if self.checks_refs and (missing := next((ref for ref in refs_of(entity) if not self._knows(ref)), None)):
            return Rejected(code="NO_SUCH_RECORD", field=missing.kind, reason=f"{missing.kind} {missing.key} is not there")
        return next((refusal for rule in self.rules if (refusal := rule(kind, entity)) is not None), None)

    def _knows(self, ref: Ref) -> bool:
        row = self.rows.get(ref.key)
        return row is not None and row.kind == ref.kind and not row.gone


def delivery(channel: Channel, kind: Kind, ids: list[RemoteId], *, event: int | str) -> NoticeRequest:
    """A notice as the system sends it."""
    body = {"channel": channel.id, "secret": channel.secret, "event": event, "kind": kind, "ids": ids}
    return NoticeRequest(
        path_token=channel.url.rpartition("/")[2],
        query={},
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
    )
