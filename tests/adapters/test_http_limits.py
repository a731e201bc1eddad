"""The vendor's limits hold, whatever the tasks of a connection try."""

import asyncio
import sys
from collections.abc import Iterable
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path

import pytest

from ml_connector.errors import Throttled
from ml_connector_adapters.http import Cost, Limiter, retry_after

sys.path.append(str(Path(__file__).parent))

from http_world import MORNING, World

HEAVY, WRITE = Cost(heavy=True), Cost(credits=10, essential=True)


@pytest.fixture
def world() -> World:
    return World()


def most_in_a_minute(times: Iterable[float]) -> int:
    times = list(times)
    return max(sum(start <= time < start + 60 for time in times) for start in times)


@pytest.mark.parametrize("per_minute", [1, 7, 90, 600])
async def test_no_minute_sees_more_requests_than_allowed_and_nearly_all_of_them_are_used(world: World, per_minute: int) -> None:
    client = world.client(limiter=world.limiter(requests_per_minute=per_minute, concurrency=8))
    count = min(3 * per_minute, 700) + 2
    await asyncio.gather(*(client.send("GET", "/Orders") for _ in range(count)))
    assert most_in_a_minute(world.vendor.arrivals) <= per_minute
    assert world.clock.passed <= 1.02 * 60 * count / per_minute


async def test_the_window_holds_after_a_pause_and_after_idle_time(world: World) -> None:
    limiter = world.limiter(requests_per_minute=120, concurrency=8)
    client = world.client(limiter=limiter)
    for wait in (0, 33, 200):
        calls = [asyncio.create_task(client.send("GET", "/Orders")) for _ in range(100)]
        await world.clock.sleep(3)
        limiter.pause(10)
        await asyncio.gather(*calls)
        await world.clock.sleep(wait)
    assert most_in_a_minute(world.vendor.arrivals) <= 120
    assert not [time for time in world.vendor.arrivals if 3.01 < time < 12.99]


async def test_a_vendor_that_asks_for_spacing_sees_no_two_requests_closer_than_that(world: World) -> None:
    client = world.client(limiter=world.limiter(requests_per_minute=1200, spacing_s=0.2, concurrency=8))
    await asyncio.gather(*(client.send("GET", "/Orders") for _ in range(50)))
    times = sorted(world.vendor.arrivals)
    assert min(later - earlier for earlier, later in pairwise(times)) >= 0.199
    assert world.clock.passed <= 50 * 0.21


async def test_concurrency_and_heavy_concurrency_are_never_exceeded(world: World) -> None:
    world.vendor.latency_s = 2
    client = world.client(limiter=world.limiter(concurrency=6, heavy_concurrency=2))
    await asyncio.gather(*(client.send("GET", f"/Heavy/{n}", cost=HEAVY) for n in range(8)))
    assert world.vendor.most_under_way == 2
    await asyncio.gather(*(client.send("GET", f"/{n}", cost=HEAVY if n % 2 else Cost()) for n in range(30)))
    assert world.vendor.most_under_way == 6


async def test_a_cancelled_call_gives_its_place_back(world: World) -> None:
    world.vendor.latency_s = 5
    client = world.client(limiter=world.limiter(concurrency=1, heavy_concurrency=1))
    first, second = (asyncio.create_task(client.send("GET", "/Orders", cost=HEAVY)) for _ in range(2))
    await world.clock.sleep(1)
    first.cancel()
    assert (await second).status == 200
    assert first.cancelled()


async def test_the_reserve_of_credits_is_for_essential_calls(world: World) -> None:
    limiter = world.limiter(credits_per_day=100, credit_reserve=30, concurrency=1)
    client = world.client(limiter=limiter)
    for _ in range(70):
        await client.send("GET", "/Orders")
    with pytest.raises(Throttled, match="30 of the day's API credits are left") as raised:
        await client.send("GET", "/Orders")
    assert (raised.value.after_s or 0) > 3600
    await client.send("POST", "/Orders", cost=WRITE)
    assert limiter.remaining == 20
    await world.clock.sleep(86_400 + 600)
    assert limiter.remaining == 100
    assert (await client.send("GET", "/Orders")).status == 200


async def test_the_vendors_word_about_credits_counts_for_an_hour(world: World) -> None:
    limiter: Limiter = world.limiter(credit_reserve=500)
    assert limiter.remaining is None
    limiter.credits_left(501)
    async with limiter.slot():
        assert limiter.remaining == 500
    with pytest.raises(Throttled) as raised:
        async with limiter.slot():
            raise AssertionError("the reserve was used")
    assert raised.value.after_s == 3600
    await world.clock.sleep(3600)
    async with limiter.slot():
        assert limiter.remaining is None


def test_retry_after_is_read_as_seconds_or_as_a_date() -> None:
    soon = format_datetime(MORNING + timedelta(seconds=90), usegmt=True)
    past = format_datetime(MORNING - timedelta(seconds=90), usegmt=True)
    for text, seconds in (("5", 5), (" 0.5 ", 0.5), (soon, 90), (past, 0)):
        assert retry_after({"retry-after": text}, MORNING) == seconds
    for text in ("soon", "", "-3", "٣"):
        assert retry_after({"retry-after": text}, MORNING) is None
