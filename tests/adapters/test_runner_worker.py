"""How a run's end is judged: exit codes, whose connection pauses, and taking over from the dead."""

import os
import socket
from datetime import timedelta

import pytest
from engine import CUSTOMERS, ORDERS, changed, customer, order
from runner_world import House

from ml_connector.errors import AuthRejected, ConfigError, ContractBroken, LeaseHeld, RetryLater, Throttled, Unavailable
from ml_connector.ports.state import Run
from ml_connector_adapters.runner.blame import blamed_source, blaming, culprit
from ml_connector_adapters.runner.worker import Result, exit_code


@pytest.fixture
def house():
    house = House()
    house.engine.erp.put(customer())
    return house


async def paused(house):
    return dict(await house.engine.state.pauses.paused(house.engine.clock.now()))


def ended(outcome, **more):
    return Result(flow="customers", run=Run(id="r", flow="customers", trace_id="t", started_at=None, outcome=outcome), **more)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([ended("green")], 0),
        ([ended("stopped")], 0),
        ([ended("green"), ended("attention")], 1),
        ([ended("failed", error=ContractBroken("no such set"))], 1),
        ([ended("failed", error=ConfigError("the wrong master key")), ended("paused", error=AuthRejected("refused"))], 2),
        ([ended("attention"), ended("paused", error=Unavailable("away"))], 3),
        ([ended("paused", error=AuthRejected("refused")), Result(flow="orders", error=LeaseHeld("held", owner="other"))], 3),
        ([Result(flow="orders", error=LeaseHeld("held", owner="other")), ended("attention")], 4),
        ([], 0),
    ],
)
def test_the_gravest_end_gives_the_exit_code(results, code):
    assert exit_code(results) == code


async def test_a_run_that_works_lifts_the_pauses_of_both_its_connections(house):
    for name in ("erp", "crm"):
        await house.engine.state.pauses.pause(name, "it was refused", None)
    result = await house.worker.run(CUSTOMERS)
    assert (result.exit_code, result.run.counts.written) == (0, 1)
    assert await paused(house) == {}


@pytest.mark.parametrize("name", ["erp", "crm"])
async def test_a_refusal_pauses_the_connection_that_refused_until_a_person_acts(house, name):
    getattr(house.engine, name).revoked = True
    result = await house.worker.run(CUSTOMERS)
    assert result.exit_code == 3
    assert {connection: until for connection, (_, until) in (await paused(house)).items()} == {name: None}


async def test_blame_hangs_on_the_port_and_not_on_the_words_of_the_error(house):
    house.engine.crm.fail_once("C-100", AuthRejected("erp says hello", where="erp accounts"))
    result = await house.worker.run(CUSTOMERS)
    assert list(await paused(house)) == ["crm"]
    assert str(result.error).startswith("crm: erp accounts: ")


async def test_an_outage_pauses_for_as_long_as_the_vendor_said(house):
    house.engine.crm.fail_once("C-100", Throttled("slow down", after_s=600))
    await house.worker.run(CUSTOMERS)
    [(_, until)] = (await paused(house)).values()
    assert until - house.engine.clock.now() == timedelta(seconds=600)


async def test_trouble_with_the_state_pauses_no_connection(house):
    house.engine.state.fail_next_settlement(Unavailable("the disk is full", where="state"))
    result = await house.worker.run(CUSTOMERS)
    assert isinstance(result.error, RetryLater)
    assert await paused(house) == {}


async def test_a_flow_that_the_connection_cannot_serve_says_what_to_look_at(house):
    house.worker.connections = {**house.worker.connections, "crm": house.engine.left.__class__(close=house.engine.left.close)}
    result = await house.worker.run(CUSTOMERS)
    assert str(result.error) == "crm: account cannot be written there. See: ml-connector systems"
    assert (result.exit_code, result.run) == (1, None)


async def test_a_living_holder_is_left_alone_and_a_dead_one_of_this_host_buried(house):
    leases = house.engine.state.leases
    await leases.claim("customers", "another-host:1:abc123", 60)
    assert (await house.worker.run(CUSTOMERS)).exit_code == 4
    await leases.bury("customers", "another-host:1:abc123")
    await leases.claim("customers", f"{socket.gethostname()}:{os.getpid()}:before", 60)
    assert (await house.worker.run(CUSTOMERS)).exit_code == 0


async def test_an_order_without_its_customer_needs_attention(house):
    house.engine.erp.put(order("10042", "C-999"))
    flow = changed(ORDERS, after=())
    result = await house.worker.run(flow)
    assert (result.run.outcome, result.exit_code) == ("attention", 1)


async def test_a_feed_a_sweep_and_a_mere_source_keep_their_kind_when_they_are_answerable(house):
    from ml_connector.ports.source import Feed, Sweep

    class OnlyLookedInto:
        async def fetch(self, ids):
            raise Unavailable("away")

    sweep, feed = (blamed_source(side.sources["account"], "acme") for side in (house.engine.left, house.engine.right))
    assert isinstance(sweep, Sweep) and not isinstance(sweep, Feed)
    assert isinstance(feed, Feed) and not isinstance(feed, Sweep)
    mere = blamed_source(OnlyLookedInto(), "acme")
    with pytest.raises(Unavailable) as told:
        await mere.fetch(["C-100"])
    assert (culprit(told.value), str(told.value)) == ("acme", "acme: away")
    assert not isinstance(mere, (Feed, Sweep))


def test_the_first_door_that_an_error_leaves_by_is_to_blame():
    with pytest.raises(Unavailable) as told, blaming("crm"), blaming("erp"):
        raise Unavailable("away")
    assert culprit(told.value) == "erp"
    assert culprit(Unavailable("the state is away")) is None
