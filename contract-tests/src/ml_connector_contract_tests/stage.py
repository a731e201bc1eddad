"""What the contract asks of a plugin's author: the connection under test, and hands on the vendor's side of it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NoReturn, TypeAlias

import pytest

from ml_connector.domain import ENTITIES, UNSET, Cursor, Entity, Kind, Line, Money, Page, Record, RemoteId, Stub
from ml_connector.ports.notices import NoticeRequest, Notices, Subscription
from ml_connector.ports.sink import Create, Key, Outcome, Sink, Write
from ml_connector.ports.source import Feed, Source, Sweep
from ml_connector.system import Connection
from ml_connector.testing import ManualClock
from ml_connector_contract_tests.abilities import Ability

Of: TypeAlias = Literal["read", "write"]
"""Which call a fault shall meet: one that reads records of the kind, or one that writes them."""


Cut: TypeAlias = Literal["lost before", "lost after", "server error"]
"""How a call ends that is cut off: without its work, after its work, or refused with a 503."""


class Stage:
    """One kind of record on one made-up installation of the vendor. Subclass it, or ``TwinStage`` for a plugin with a twin.

    A method that belongs to an ability which the system does not have stays as it is; name the ability in ``cannot`` with the
    reason, and the checks that need it are skipped with it.
    """

    kind: Kind
    clock: ManualClock
    cannot: Mapping[Ability, str] = {}

    text = "name"
    """A canonical text field that is read and, with a sink, written."""
    text_limit = 0
    """Most characters in ``text``."""
    clearable = "phone"
    """A canonical text field that may be empty, where there is a sink."""
    money = "credit_limit"
    """A canonical field with an amount: Money, Decimal, or ``extra.NAME``."""
    currency = "EUR"
    amounts: Sequence[Decimal] = (Decimal("0.10"), Decimal("1234567.89"), Decimal("0.01"))
    many = 25
    """More records than fit on a page and more ids than the vendor takes at once; set small pages in the settings."""
    lag_s = 300.0
    """After so long a feed tells of everything that has happened."""
    token_life_s = 3600.0
    concurrency = 4
    """Most calls at once."""
    budget = 0
    """Credits a day that the settings allow, where the vendor counts them."""
    reserve = 0
    """How many of them are for writes and notices alone."""
    upserts = False
    """The vendor itself keeps business keys unique, so that a create may be sent twice."""
    told_at_once: int | None = None
    """Most records that one delivery of a notice names; None: as many as changed."""
    counted: Collection[str] = ()
    """Custom fields in which the vendor counts records: no two have them alike."""
    watched: Sequence[Kind] = ("account", "contact")
    """Two kinds that can be subscribed to together."""
    odd_numbers: Sequence[str] = ("O'BRIEN", 'A"B', *(f"A{sign}B" for sign in "&/%+*_,#? "), "Ä-ß", "株式")
    """Business numbers that the vendor takes and that are easily mistaken on the way to it."""

    # The side under test

    def connect(self) -> Connection:
        """A new connection that shares tokens and vendor with the former ones, as after a restart. Called several times."""
        raise NotImplementedError("connect: return spec.connect(settings, host)")

    @cached_property
    def connection(self) -> Connection:
        return self.connect()

    @property
    def source(self) -> Source:
        return self.connection.sources[self.kind]

    @property
    def feed(self) -> Feed:
        source = self.source
        assert isinstance(source, Feed)
        return source

    @property
    def sweep(self) -> Sweep:
        source = self.source
        assert isinstance(source, Sweep)
        return source

    @property
    def sink(self) -> Sink:
        return self.connection.sinks[self.kind]

    @property
    def notices(self) -> Notices:
        notices = self.connection.notices
        assert notices is not None, "the connection offers no notices"
        return notices

    async def close(self) -> None:
        await self.connection.close()

    # Records that the vendor accepts

    def number(self, n: int) -> str:
        """The n-th record's business number."""
        return f"C-{n:04d}"

    def renumber(self, *numbers: str) -> None:
        """From now on these are the numbers of the first records."""
        vars(self)["number"] = lambda n: numbers[n - 1]

    def title(self, n: int) -> str:
        """What ``text`` holds on the n-th record unless a check says otherwise."""
        return f"Acme {n}"

    def entity(self, n: int, **fields: Any) -> Entity:
        """The n-th record as the sink gets it."""
        return self.changes(**{"number": self.number(n), self.text: self.title(n), **fields})

    def rich(self, n: int) -> Entity:
        """The n-th record with everything that takes a call of its own: lines, addresses, a state."""
        return self.entity(n) if "lines" in self.cannot else self.entity(n, lines=self.lines("1", "2", "3"))

    def changes(self, **fields: Any) -> Entity:
        """Only these fields."""
        make: Any = ENTITIES[self.kind]
        return make(**fields)  # type: ignore[no-any-return]

    def refused(self, n: int) -> Entity:
        """The n-th record, such that the vendor refuses it: too long a text, unless the author knows better."""
        self.needs("text limit")
        return self.entity(n, **{self.text: "x" * (self.text_limit + 1)})

    def lines(self, *keys: str) -> tuple[Line, ...]:
        """One line per key."""
        return tuple(Line(key=key, description=f"Item {key}", quantity=Decimal(2)) for key in keys)

    def create(self, n: int, **fields: Any) -> Create:
        return Create(key=self.key(n), entity=self.entity(n, **fields))

    def key(self, n: int) -> Key:
        return Key("number", self.number(n))

    def amount(self, value: Decimal) -> dict[str, Any]:
        """The fields that carry an amount."""
        return {self.money: Money(value, self.currency)}

    def amount_of(self, entity: Entity | None) -> Decimal | None:
        value = getattr(entity, self.money)
        return value.amount if isinstance(value, Money) else value

    # The vendor's side, read and worked without the plugin's adapters

    def facts(self) -> Iterable[tuple[str, Mapping[str, object]]]:
        """(business number, canonical field path → value) of every record of the kind that stands at the vendor."""
        raise NotImplementedError("facts: read the vendor's own tables")

    def stored(self) -> dict[str, Mapping[str, object]]:
        return dict(self.facts())

    def copies(self, n: int) -> int:
        """How many records carry the n-th number."""
        return sum(number == self.number(n) for number, _ in self.facts())

    def stored_text(self, n: int) -> object:
        return self.stored()[self.number(n)][self.text]

    def parts(self, n: int) -> int:
        """How many rows hang on the n-th record: lines, unless there are addresses and the like."""
        lines = self.stored()[self.number(n)].get("lines") or ()
        assert isinstance(lines, Sequence)
        return len(lines)

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        """A person enters the n-th record; returns its id."""
        self._missing("entering")

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        """A person changes ``text`` on the record."""
        self._missing("entering")

    def edit_line_as_person(self, record_id: RemoteId) -> None:
        """A person changes something on one line of the record, and nothing else."""
        self._missing("lines")

    def delete_as_person(self, record_id: RemoteId) -> None:
        self._missing("deleting")

    # Misbehaviour

    def break_next_call(self, of: Of, *, times: int = 1) -> None:
        """The next calls meet a server error (5xx) and do no work."""
        raise NotImplementedError("break_next_call")

    def lose_next_answer(self, of: Of, *, after: bool, times: int = 1) -> None:
        """The line drops: before the work was done, or after."""
        raise NotImplementedError("lose_next_answer")

    def garble_next_answer(self, of: Of, *, times: int = 1) -> None:
        """The work is done, and the answer is a web page with status 200."""
        raise NotImplementedError("garble_next_answer")

    def cut_off(self, call: int, cut: Cut, *, dies: bool) -> None:
        """Cut off the n-th call from now that changes something; ``dies``: and every call after it, as its process is gone."""
        self._missing("steps")

    def calm(self) -> None:
        """Take back every fault that has not struck yet."""
        raise NotImplementedError("calm")

    def throttle_next_call(self, seconds: int | None, *, of: Of = "read", times: int = 1, as_date: bool = False) -> None:
        """The next calls are refused; how long to wait is told as seconds or as a date, or (None) not at all."""
        self._missing("throttling")

    def expire_tokens(self) -> None:
        """The vendor forgets every access token, before its time."""
        self._missing("expiring")

    def revoke_access(self) -> None:
        """The vendor takes neither our credentials nor what was made from them."""
        self._missing("revoking")

    def redirect_next_call(self) -> None:
        """The next read is answered with a redirect to another host."""
        self._missing("redirects")

    def link_abroad(self) -> None:
        """The next list answer names another host for its next page."""
        self._missing("foreign links")

    # Daily budgets, where the vendor has them

    def leave_credits(self, count: int) -> None:
        """Other programs have spent from the budget until so many are left."""
        raise NotImplementedError("leave_credits")

    def credits_left(self) -> int:
        """As the vendor counts them."""
        raise NotImplementedError("credits_left")

    def hush(self) -> None:
        """The vendor has far more than the settings allow, and answers do not tell what is left."""
        self._missing("counting")

    # What the vendor counted

    def calls(self) -> int:
        """Requests so far, those for tokens included."""
        raise NotImplementedError("calls")

    def steps(self) -> int:
        """Calls so far that change something at the vendor."""
        self._missing("steps")

    def mints(self) -> int:
        """Access tokens asked for so far."""
        raise NotImplementedError("mints")

    def dawdle(self) -> None:
        """From now on the vendor takes its time with every call, so that calls overlap."""
        self._missing("concurrency")

    def peak(self) -> int:
        """Most calls at once so far, those for tokens not counted."""
        self._missing("concurrency")

    def abroad(self) -> Sequence[str]:
        """Hosts other than the vendor's that were sent anything."""
        self._missing("redirects")

    def secrets(self) -> Sequence[str]:
        """Values that must never show: credentials and living tokens."""
        raise NotImplementedError("secrets")

    # Notices, where the connection has them

    def notice(self, subscription: Subscription, ids: Sequence[RemoteId]) -> NoticeRequest:
        """A delivery as the vendor sends it about these records; every call is another event."""
        raise NotImplementedError("notice")

    def notices_of(self, subscription: Subscription, ids: Sequence[RemoteId]) -> list[NoticeRequest]:
        """Deliveries that together name all of these records."""
        width = self.told_at_once or len(ids)
        return [self.notice(subscription, ids[start : start + width]) for start in range(0, len(ids), width)]

    def forged(self, subscription: Subscription, ids: Sequence[RemoteId], wrong: Literal["token", "channel"]) -> NoticeRequest:
        """The same from somebody who knows everything but the secret, or with another channel's name on it."""
        raise NotImplementedError("forged")

    def channels(self) -> int:
        """Living channels at the vendor."""
        raise NotImplementedError("channels")

    def forget_channels(self) -> None:
        """The vendor has let every channel lapse."""
        raise NotImplementedError("forget_channels")

    def registered(self) -> Collection[str]:
        """Ids of everything that is registered at the vendor and calls somebody: channels, webhooks, their parts."""
        self._missing("registrations")

    def register_foreign(self, url: str) -> None:
        """Another program registers its own address, as whoever this connection is to the vendor."""
        self._missing("registrations")

    def neighbour(self) -> Connection:
        """Another connection of this program to the same installation, with a name of its own."""
        self._missing("registrations")

    def drop_part(self) -> None:
        """The vendor drops one of the registrations on which the subscription stands, and says nothing."""
        self._missing("dropping parts")

    # Helpers of the checks

    def needs(self, *abilities: Ability) -> None:
        """Skip the check that runs, with the author's reason."""
        for ability in abilities:
            if ability in self.cannot:
                pytest.skip(f"{ability}: {self.cannot[ability]}")

    def settle(self) -> None:
        self.clock.advance(self.lag_s)

    def put_many(self, *, apart_s: float = 1.0) -> list[RemoteId]:
        """``many`` records, one after the other."""
        self.needs("entering")
        ids = []
        for n in range(1, self.many + 1):
            ids.append(self.put_as_person(n))
            self.clock.advance(apart_s)
        return ids

    async def probe(self, n: int = 1) -> list[Record]:
        """Any call that reads: the n-th record by its id."""
        if n not in self._probed:
            self.needs("entering")
            self._probed[n] = self.put_as_person(n)
        return await self.source.fetch([self._probed[n]])

    @cached_property
    def _probed(self) -> dict[int, RemoteId]:
        return {}

    async def fetch_one(self, record_id: RemoteId) -> Record:
        [record] = await self.source.fetch([record_id])
        return record

    async def find_one(self, n: int) -> list[Record]:
        self.needs("lookup")
        return (await self.sink.find([self.key(n)]))[self.key(n)]

    async def write(self, *writes: Write) -> list[Outcome]:
        """Write in calls as wide as the sink allows, one after the other."""
        width, outcomes = self.sink.limits.batch, list[Outcome]()
        for start in range(0, len(writes), width):
            outcomes += await self.sink.write(writes[start : start + width])
        return outcomes

    def _missing(self, ability: Ability) -> NoReturn:
        raise NotImplementedError(f'the stage must do this, or say why not: cannot = {{"{ability}": "…"}}')


class Contract:
    """Base of the contract classes."""

    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError('override the fixture "stage": return a Stage for the adapter under test')


async def pages(feed: Feed, cursor: Cursor | None) -> list[Page]:
    return [page async for page in feed.changed_since(cursor)]


async def records(feed: Feed, cursor: Cursor | None) -> list[Record]:
    return [record for page in await pages(feed, cursor) for record in page.records]


async def stubs(sweep: Sweep, *, rows: bool = False) -> list[Stub]:
    return [stub async for chunk in sweep.stubs(rows=rows) for stub in chunk]


def last_cursor(read: Sequence[Page]) -> Cursor | None:
    return next((page.cursor for page in reversed(read) if page.cursor is not None), None)


def text_of(stage: Stage, record: Record) -> object:
    return UNSET if record.entity is None else getattr(record.entity, stage.text)
