"""The headless service in virtual time: due flows, notices, channels, defects, and a clean stop."""

import logging
from datetime import timedelta

import pytest
from engine import CUSTOMERS, ORDERS, changed, customer, order
from runner_world import CUSTOMERS_HOURLY, HOURLY, ORDERS_HOURLY, House

from ml_connector.errors import AuthRejected, ContractBroken, Throttled, Unavailable
from ml_connector.testing import memory_connection
from ml_connector.use_cases.renew_subscriptions import renew_subscriptions

URL = "https://sync.acme.example"


@pytest.fixture
def house():
    """Customers and orders, both hourly; one of each at the ERP."""
    house = House(CUSTOMERS_HOURLY, ORDERS_HOURLY)
    house.engine.erp.put(customer())
    return house


async def channel(house):
    [subscription] = await house.engine.state.subscriptions.all()
    return subscription


async def test_flows_run_when_they_are_due_and_again_an_hour_later(house):
    await house.live(lambda: len(house.runs("customers")) == 3)
    first, second, third = (run.started_at for run in house.runs("customers"))
    for earlier, later in ((first, second), (second, third)):
        assert timedelta(hours=1) <= later - earlier <= timedelta(hours=1, seconds=2)


async def test_a_flow_waits_for_those_it_comes_after(house):
    await house.live(lambda: house.runs("orders"))
    [customers], [orders] = house.runs("customers"), house.runs("orders")
    assert customers.ended_at <= orders.started_at


async def test_a_flow_without_a_schedule_runs_only_when_it_is_noticed():
    house = House(CUSTOMERS_HOURLY, ORDERS, public_url=URL)
    house.engine.erp.put(customer())
    await house.live(lambda: len(house.runs("customers")) == 2)
    assert house.runs("orders") == []


async def test_a_notice_wakes_its_flow_at_once_and_a_repeat_does_not(house):
    house.tenant = type(house.tenant)("acme", house.worker, URL, house.engine.clock, house.stop)
    await house.live(lambda: house.runs("orders") and house.engine.crm.channels, channels=True)
    house.stop.clear()
    house.engine.crm.edit_as_person("account", house.engine.id_there("C-100"), phone="555-0100")
    request = house.engine.crm.deliveries[-1]
    await house.tenant.notice(request)
    before = house.engine.clock.now()
    await house.live(lambda: len(house.runs("customers")) == 2)
    assert house.runs("customers")[-1].started_at - before < timedelta(seconds=5)
    assert (await house.engine.link("C-100", CUSTOMERS)).drift is not None
    house.stop.clear()
    await house.tenant.notice(request)
    await house.live(lambda: len(house.runs("customers")) == 3)
    assert house.runs("customers")[-1].started_at - before > timedelta(minutes=55)  # the schedule's doing


async def test_parents_that_arrive_wake_the_flow_that_waits_for_them():
    house = House(changed(CUSTOMERS, schedule=HOURLY), changed(ORDERS, schedule=HOURLY))
    house.engine.erp.checks_refs = False
    house.engine.erp.put(order("10042", "account-000002"))
    await house.live(lambda: house.runs("orders"))
    assert house.runs("orders")[0].counts.parked == 1
    house.stop.clear()
    assert house.engine.erp.put(customer()) == "account-000002"
    await house.live(lambda: house.engine.there("deal"))
    customers, orders = house.runs("customers")[1], house.runs("orders")[1]
    assert orders.started_at - customers.ended_at < timedelta(seconds=5)


async def test_a_paused_connection_holds_up_its_flows_and_their_turn_comes_as_soon_as_it_is_freed(house):
    house.engine.crm.revoked = True
    await house.live(lambda: house.runs("customers"))
    house.stop.clear()
    house.engine.crm.revoked = False
    later = house.engine.clock.now() + timedelta(hours=3)
    await house.live(lambda: house.engine.clock.now() > later)
    assert len(house.runs("customers")) == 1
    house.stop.clear()
    freed = house.engine.clock.now()
    await house.engine.state.pauses.resume("crm")
    await house.live(lambda: house.engine.there())
    assert house.runs("customers")[-1].started_at - freed < timedelta(seconds=5)


async def test_an_outage_is_tried_again_when_its_pause_is_over_and_told_once(house, caplog):
    for _ in range(3):
        house.engine.crm.fail_once("C-100", Throttled("the CRM is overrun", after_s=90))
    with caplog.at_level(logging.WARNING, "ml_connector"):
        await house.live(lambda: house.engine.there())
    assert [run.outcome for run in house.runs("customers")] == ["paused"] * 3 + ["green"]
    assert len([record for record in caplog.records if "the CRM is overrun" in record.message]) == 1
    took = house.runs("customers")[-1].started_at - house.runs("customers")[0].started_at
    assert timedelta(seconds=270) <= took < timedelta(seconds=290)


async def test_a_defect_in_one_flow_is_logged_whole_and_stops_no_other(house, caplog, monkeypatch):
    """Not even another flow over the same connections."""

    async def broken(*, rows):
        raise ZeroDivisionError("a plugin's defect")
        yield

    monkeypatch.setattr(house.engine.left.sources["account"], "stubs", lambda *, rows: broken(rows=rows))
    with caplog.at_level(logging.ERROR, "ml_connector"):
        await house.live(lambda: len(house.runs("orders")) == 2)
    assert all(run.outcome == "green" for run in house.runs("orders"))
    assert all(run.outcome == "failed" for run in house.runs("customers"))
    assert len(house.runs("customers")) == 2  # its schedule, not every second
    assert any(record.exc_info for record in caplog.records)
    assert await house.engine.state.pauses.paused(house.engine.clock.now()) == {}


async def test_a_state_that_is_away_for_a_while_is_waited_for(house, monkeypatch, caplog):
    ledger, troubles = house.engine.state.ledger, [Unavailable("the disk is full", where="state")] * 3
    last = ledger.last

    async def sometimes(flow, *, count=1):
        if troubles:
            raise troubles.pop()
        return await last(flow, count=count)

    monkeypatch.setattr(ledger, "last", sometimes)
    with caplog.at_level(logging.WARNING, "ml_connector"):
        await house.live(lambda: house.engine.there())
    assert len([record for record in caplog.records if "the disk is full" in record.message]) == 1


async def test_a_stop_lets_the_run_in_hand_settle_and_starts_nothing_more(house):
    for number in range(200):
        house.engine.erp.put(customer(f"C-{1000 + number}"))
    house.engine.crm.rules.append(lambda kind, entity: house.stop.set())  # told to stop in the middle of the first write
    await house.live(house.stop.is_set)
    [run] = house.runs("customers")
    assert run.outcome == "stopped"
    assert run.counts.written == len(house.engine.there()) < 201
    assert house.runs("orders") == []


async def test_a_channel_is_opened_for_what_the_flows_write_and_none_without_a_public_address(house):
    await house.live(lambda: house.runs("orders"), channels=True)
    assert house.engine.crm.channels == {}
    house = House(CUSTOMERS_HOURLY, ORDERS_HOURLY, public_url=URL)
    await house.live(lambda: house.engine.crm.channels and house.engine.erp.channels, channels=True)
    subscription = next(one for one in await house.engine.state.subscriptions.all() if one.kinds == ("account", "deal"))
    assert subscription.callback_url.startswith(f"{URL}/notices/")
    assert len(subscription.callback_url.removeprefix(f"{URL}/notices/")) > 40


async def test_a_channel_that_is_refused_is_told_once_and_the_flows_are_polled(caplog, monkeypatch):
    house = House(CUSTOMERS_HOURLY, public_url=URL)
    house.engine.erp.put(customer())

    async def refuse(callback):
        raise ContractBroken("the edition has no notifications")

    monkeypatch.setattr(house.engine.right.notices, "subscribe", refuse)
    with caplog.at_level(logging.WARNING, "ml_connector"):
        await house.live(lambda: len(house.runs("customers")) == 2, channels=True)
    assert len([record for record in caplog.records if "has no notifications" in record.message]) == 1


async def test_a_plugin_whose_channels_are_defective_costs_the_service_nothing_else(caplog, monkeypatch):
    house = House(CUSTOMERS_HOURLY, public_url=URL)

    async def break_(callback):
        raise ZeroDivisionError("a plugin's defect")

    monkeypatch.setattr(house.engine.right.notices, "subscribe", break_)
    with caplog.at_level(logging.ERROR, "ml_connector"):
        await house.live(lambda: len(house.runs("customers")) == 2 and house.engine.erp.channels, channels=True)
    assert any(record.exc_info for record in caplog.records)


class Watched:
    """``renew_subscriptions`` on one system whose channels live a day, as the service calls it."""

    def __init__(self):
        self.house = House(CUSTOMERS_HOURLY)
        self.calls = []
        self.notices = memory_connection(self.house.engine.crm).notices
        for name in ("subscribe", "renew", "unsubscribe"):
            setattr(self.notices, name, self._counted(name, getattr(self.notices, name)))

    def _counted(self, name, method):
        async def counted(argument):
            self.calls.append(name)
            return await method(argument)

        return counted

    async def look(self, flows=(CUSTOMERS_HOURLY,), public_url=URL, **later):
        self.house.engine.clock_on(timedelta(**later).total_seconds())
        secrets = iter(f"word-{number}-{self.house.engine.clock.monotonic()}" for number in range(9))
        state, clock = self.house.engine.state, self.house.engine.clock
        return await renew_subscriptions(
            "acme", self.notices, [changed(flow, right="acme") for flow in flows], state, clock,
            public_url=public_url, new_secret=lambda: next(secrets),
        )  # fmt: skip


async def test_a_channel_is_left_alone_until_half_its_life_and_then_renewed_once_per_half_life():
    watched = Watched()
    await watched.look()
    for _ in range(24 * 4):  # a look an hour, for four days
        assert await watched.look(hours=1) is not None
    assert watched.calls == ["subscribe"] + ["renew"] * 8
    assert len(watched.house.engine.crm.channels) == 1


async def test_a_channel_that_lapsed_while_nobody_ran_is_there_again_with_the_same_address():
    watched = Watched()
    before = await watched.look()
    after = await watched.look(days=30)
    assert after.callback_url == before.callback_url
    assert after.expires_at > watched.house.engine.clock.now()
    [living] = watched.house.engine.crm.channels.values()
    assert living.expires_at > watched.house.engine.clock.now()
    assert len(await watched.house.engine.state.subscriptions.all()) == 1


@pytest.mark.parametrize(
    "otherwise", [{"public_url": "https://elsewhere.acme.example"}, {"flows": (CUSTOMERS_HOURLY, ORDERS_HOURLY)}]
)
async def test_a_channel_for_another_address_or_other_kinds_is_replaced(otherwise):
    watched = Watched()
    await watched.look()
    await watched.look(**otherwise)
    assert watched.calls == ["subscribe", "unsubscribe", "subscribe"]
    assert len(watched.house.engine.crm.channels) == 1


async def test_a_channel_that_no_flow_wants_is_closed():
    watched = Watched()
    await watched.look()
    assert await watched.look(flows=()) is None
    assert watched.house.engine.crm.channels == {}


async def test_a_refused_credential_is_told_without_ending_the_service(house):
    house.engine.crm.fail_once("C-100", AuthRejected("the token was revoked"))
    await house.live(lambda: house.runs("customers"))
    assert house.runs("customers")[0].outcome == "paused"
    assert list(await house.engine.state.pauses.paused(house.engine.clock.now())) == ["crm"]
