"""The in-memory fakes pass the contract, so that whatever is tested on them holds for systems that pass it too."""

import datetime as dt
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given

from ml_connector.domain import UNSET, Account, Kind, Line, Order, RemoteId
from ml_connector.ports.notices import NoticeRequest, Subscription
from ml_connector.system import Connection
from ml_connector.testing import ManualClock, MemorySystem, MemoryTokens, memory_connection, memory_host
from ml_connector.testing.shapes import merged
from ml_connector.testing.system import Channel, delivery
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    NoticesContract,
    Of,
    SinkContract,
    Stage,
    SweepContract,
)
from ml_connector_contract_tests.strategies import accounts

NO_HTTP = "nothing speaks HTTP in memory"
NEVER: Mapping[Ability, str] = {
    "dropping parts": "a channel is one thing",
    "foreign links": NO_HTTP,
    "orphans": "a channel says nothing of who opened it",
    "redirects": NO_HTTP,
}


class MemoryStage(Stage):
    """Accounts (or orders) in a MemorySystem."""

    cannot: Mapping[Ability, str] = {**NEVER, "lines": "accounts have none"}
    text_limit = 100

    def __init__(self, style: Literal["feed", "sweep"] = "feed", kind: Kind = "account") -> None:
        self.kind = kind
        self.clock = ManualClock()
        self.system = MemorySystem(self.clock)
        self._style: Literal["feed", "sweep"] = style
        self._tokens = MemoryTokens()
        self._events = itertools.count(1)

    def connect(self) -> Connection:
        return self._connected("acme")

    def neighbour(self) -> Connection:
        return self._connected("acme2")

    def _connected(self, name: str) -> Connection:
        host = memory_host(name, clock=self.clock, secrets=self.system.secrets(), tokens=self._tokens)
        return memory_connection(self.system, host=host, style=self._style, page=10)

    def facts(self) -> Iterable[tuple[str, Mapping[str, object]]]:
        for entity in self.system.records(self.kind).values():
            facts = msgspec.structs.asdict(entity)
            yield str(entity.number), facts | {self.money: self.amount_of(entity)}

    def amount_of(self, entity: Any) -> Decimal | None:
        return super().amount_of(entity) if getattr(entity, self.money) is not UNSET else None

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        fields = self.amount(amount) if amount is not None else {}
        return self.system.put(self.entity(n, **{self.text: text or self.title(n)}, **fields))

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.system.edit_as_person(self.kind, record_id, **{self.text: text})

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.system.delete_as_person(self.kind, record_id)

    def break_next_call(self, of: Of, *, times: int = 1) -> None:
        self.system.break_once(times)

    def lose_next_answer(self, of: Of, *, after: bool, times: int = 1) -> None:
        for _ in range(times):
            self.system.lose_answer_once(after=after)

    def garble_next_answer(self, of: Of, *, times: int = 1) -> None:
        for _ in range(times):
            self.system.garble_once()

    def calm(self) -> None:
        self.system.calm()

    def throttle_next_call(self, seconds: int | None, *, of: Of = "read", times: int = 1, as_date: bool = False) -> None:
        for _ in range(times):
            self.system.throttle_once(seconds)

    def expire_tokens(self) -> None:
        self.system.expire_tokens()

    def revoke_access(self) -> None:
        self.system.revoke()

    def calls(self) -> int:
        return self.system.calls

    def mints(self) -> int:
        return self.system.mints

    def dawdle(self) -> None:
        self.system.turns = 200

    def peak(self) -> int:
        return self.system.peak

    def secrets(self) -> Sequence[str]:
        tokens = [record.token.value for record in self._tokens.records.values() if record.token]
        return [self.system.secret, *tokens]

    def notice(self, subscription: Subscription, ids: Sequence[RemoteId]) -> NoticeRequest:
        channel = self.system.channels[subscription.id]
        return delivery(channel, self.kind, list(ids), event=next(self._events))

    def forged(self, subscription: Subscription, ids: Sequence[RemoteId], wrong: Literal["token", "channel"]) -> NoticeRequest:
        channel = self.system.channels[subscription.id]
        fake = {"secret": "a guess"} if wrong == "token" else {"id": "channel-of-another"}
        return delivery(msgspec.structs.replace(channel, **fake), self.kind, list(ids), event=next(self._events))

    def channels(self) -> int:
        return sum(channel.expires_at > self.clock.now() for channel in self.system.channels.values())

    def forget_channels(self) -> None:
        self.system.channels.clear()

    def registered(self) -> Collection[str]:
        return list(self.system.channels)

    def register_foreign(self, url: str) -> None:
        channel = self.system.new_id("channel")
        expires = self.clock.now() + dt.timedelta(days=1)
        self.system.channels[channel] = Channel(id=channel, url=url, secret="theirs", kinds=("order",), expires_at=expires)


class MemoryOrders(MemoryStage):
    """Orders with their lines."""

    cannot: Mapping[Ability, str] = NEVER
    clearable = "customer_reference"
    money = "total"

    def __init__(self, style: Literal["feed", "sweep"] = "feed") -> None:
        super().__init__(style, "order")

    def edit_line_as_person(self, record_id: RemoteId) -> None:
        self.system.edit_as_person("order", record_id, lines=(Line(key="1", quantity=Decimal(3)),))


class TestMemoryFeed(FeedContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage("feed")


class TestMemorySweep(SweepContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryOrders("sweep")


class TestMemorySink(SinkContract):
    @pytest.fixture(params=[MemoryStage, MemoryOrders], ids=["account", "order"])
    def stage(self, request: pytest.FixtureRequest) -> Stage:
        stage: Stage = request.param()
        return stage


class TestMemoryAuth(AuthContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage()


class TestMemoryLimits(LimitsContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage()


class TestMemoryErrors(ErrorsContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage()


class TestMemoryNotices(NoticesContract):
    @pytest.fixture
    def stage(self) -> Stage:
        return MemoryStage()


@given(accounts(), accounts())
def test_a_change_sets_what_it_names_and_leaves_the_rest(before: Account, change: Account) -> None:
    after = merged(before, change)
    for name in Account.__struct_fields__:
        named = getattr(change, name)
        if named is UNSET:
            assert getattr(after, name) == getattr(before, name)
        elif name not in ("billing", "extra"):
            assert getattr(after, name) == named


async def test_a_person_may_break_every_rule_that_binds_the_sink() -> None:
    system = MemorySystem()
    system.put(Order(number="10042", name="x" * 500))
    system.put(Order(number="10042"))
    assert [order.number for order in system.records("order").values()] == ["10042", "10042"]
