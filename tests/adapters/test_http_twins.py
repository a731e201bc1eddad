"""A twin answers alike in process, behind respx and over a socket."""

import asyncio
import socket
import sys
from functools import partial
from pathlib import Path

import httpx
import pytest
import respx

from ml_connector.errors import AnswerLost, Unavailable
from ml_connector.twin import Fault
from ml_connector_adapters.clock import SystemClock
from ml_connector_adapters.http import HostRule, HttpClient, OAuth
from ml_connector_adapters.http.twins import TwinTransport, answer, serving

sys.path.append(str(Path(__file__).parent))

from http_world import World


@pytest.fixture
def world() -> World:
    return World()


def networked(world: World, base: str) -> HttpClient:
    """A client that reaches the vendor over the network, in real time."""
    world.transport, world.clock = None, SystemClock()  # type: ignore[assignment]
    world.hosts = HostRule(base.removeprefix("http://"))
    oauth = OAuth(host=world, token_url=f"{base}/token", form=world.form, hosts=world.hosts)
    return world.client(base_url=base, oauth=oauth, attempts=2)


async def test_a_twin_over_a_socket_sees_the_request_as_it_stood_on_the_wire(world: World) -> None:
    async with serving(world.twin) as base:
        client = networked(world, base)
        got = await client.send("POST", "/Orders('A%2FB')?$top=5&$filter=x%20eq%20'%2B'", body=b'{"OrderNo":"10042"}')
        await client.aclose()
    assert got.status == 200 and b"10042" in got.body
    sent = world.vendor.requests[-1]
    assert (sent.host, sent.target) == (base.removeprefix("http://"), "/Orders('A%2FB')?$top=5&$filter=x%20eq%20'%2B'")
    assert sent.headers["authorization"] == "Bearer token-1" and sent.body == b'{"OrderNo":"10042"}'


async def test_a_cut_line_closes_the_socket_without_an_answer(world: World) -> None:
    async with serving(world.twin) as base:
        client = networked(world, base)
        world.vendor.faults.add(Fault("lost_after", method="POST", path="/Orders"))
        with pytest.raises(AnswerLost, match="RemoteProtocolError"):
            await client.send("POST", "/Orders", body=b"{}")
        assert len(world.vendor.done) == 1
        assert (await client.send("GET", "/Orders")).status == 200
        await client.aclose()


async def test_a_served_twin_is_gone_when_the_block_ends_and_may_be_slow_before(world: World) -> None:
    async with serving(world.twin, latency_s=0.05) as base, httpx.AsyncClient(trust_env=False) as client:
        loop = asyncio.get_running_loop()
        started = loop.time()
        assert (await client.get(base + "/Orders")).status_code == 401
        assert loop.time() - started >= 0.05
    with pytest.raises(Unavailable, match="cannot be reached"):
        await networked(world, base).send("GET", "/Orders")


async def test_a_proxy_of_the_company_is_not_asked_for_this_machine(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with serving(world.twin) as base:
        client = networked(world, base)
        assert (await client.send("GET", "/Orders")).status == 200
        await client.aclose()


async def test_a_taken_port_is_told(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            async with serving(world.twin, port=taken.getsockname()[1]):
                pass


async def test_the_same_twin_answers_behind_respx(world: World) -> None:
    world.transport = None
    with respx.mock(base_url="https://acme.test") as router, respx.mock(base_url="https://login.acme.test") as login:
        router.route().mock(side_effect=partial(answer, world.twin))
        login.route().mock(side_effect=partial(answer, world.twin))
        client = world.client()
        assert (await client.send("GET", "/Orders?$top=1")).status == 200
        world.vendor.faults.add(Fault("lost_after", method="POST"))
        with pytest.raises(AnswerLost):
            await client.send("POST", "/Orders", body=b"{}")
        await client.aclose()


async def test_latency_in_process_passes_on_the_event_loop(world: World) -> None:
    world.transport = TwinTransport(world.twin, latency_s=0.03)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await world.client().send("GET", "/Orders")
    assert loop.time() - started >= 0.06  # the token and the call
