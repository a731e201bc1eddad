"""A canary runs through every path of the HTTP kit and is seen nowhere but on the wire; spans tell the rest."""

import logging
import sys
import traceback
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ml_connector.errors import ConnectorError
from ml_connector.twin import Fault, TwinResponse
from ml_connector_adapters.http import HostRule, twins
from ml_connector_adapters.http import client as client_module

sys.path.append(str(Path(__file__).parent))

from http_world import World, json

CANARY = "k4n4rienvogel"


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(client_module, "_tracer", provider.get_tracer("ml_connector"))
    return exporter


def told(span: ReadableSpan) -> str:
    return f"{span.name} {dict(span.attributes or {})} {span.status.description} {[event.attributes for event in span.events]}"


async def test_a_secret_shows_in_no_log_no_span_no_error_and_no_repr(
    world: World, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.secrets["secret:acme"] = CANARY
    token, seen = {"access_token": f"{CANARY}-token", "expires_in": 3600}, []
    scenes = {
        "the endpoint quotes the secret": [json(401, {"error": "invalid_client", "error_description": f"not {CANARY}"})],
        "the endpoint fails": [json(503, {"secret": CANARY})] * 9,
        "the endpoint answers a page": [TwinResponse(200, CANARY.encode())] * 9,
        "the token cannot be sent": [json(200, {"access_token": f"{CANARY}\r\n"})],
        "the vendor quotes the token it refuses": [json(200, token), json(200, token)],
    }
    for answers in scenes.values():
        oauth = world.oauth()
        client = world.client(oauth=oauth, attempts=2)
        world.vendor.token_answers = list(answers)
        with pytest.raises(ConnectorError) as raised:
            await client.send("GET", f"/Orders?key={CANARY}")
        seen += ["".join(traceback.format_exception(raised.value)), repr(raised.value), repr(vars(raised.value))]
        seen += [repr(client), repr(oauth), repr(vars(client)), repr(vars(oauth))]
    world.vendor.valid.add(f"{CANARY}-token")
    world.vendor.answers = [json(200, {"echo": CANARY}, set_cookie=CANARY)]
    seen.append(repr(await world.client().send("GET", f"/Orders?key={CANARY}")))
    world.vendor.faults.add(Fault("lost_after", path="/Orders"))
    with pytest.raises(ConnectorError) as raised:
        await world.client().send("POST", f"/Orders?key={CANARY}", body=CANARY.encode())
    seen += ["".join(traceback.format_exception(raised.value))]
    seen += [record.getMessage() for record in caplog.records] + [told(span) for span in spans.get_finished_spans()]
    assert not [text for text in seen if CANARY in text]
    assert len(spans.get_finished_spans()) > 10
    assert any(CANARY in str(request.headers) for request in world.vendor.requests)  # the canary did fly


async def test_the_network_library_logs_no_query(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with twins.serving(world.twin) as base:
        world.transport, world.hosts = None, HostRule("127.0.0.1", "login.acme.test")
        world.vendor.valid.add(f"{CANARY}-token")
        client = world.client(base_url=base, oauth=None, headers={"Authorization": f"Bearer {CANARY}-token"})
        await client.send("GET", f"/Orders?key={CANARY}")
        await client.aclose()
    assert world.vendor.done and not [record for record in caplog.records if CANARY in record.getMessage()]


async def test_a_header_that_cannot_be_sent_is_told_without_its_value(world: World) -> None:
    async with twins.serving(world.twin) as base:
        world.transport, world.hosts = None, HostRule("127.0.0.1")
        for value in (f"{CANARY}\n", f"{CANARY}é"):
            client = world.client(base_url=base, oauth=None, headers={"X-Api-Key": value})
            with pytest.raises(ConnectorError) as raised:
                await client.send("GET", "/Orders")
            await client.aclose()
            assert CANARY not in "".join(traceback.format_exception(raised.value))


async def test_a_send_is_one_span_that_counts_its_repetitions(world: World, spans: InMemorySpanExporter) -> None:
    client = world.client()
    await client.send("GET", "/Orders")
    spans.clear()
    world.vendor.answers = [json(503, {}), json(503, {})]
    await client.send("GET", "/Orders?$top=1")
    (span,) = spans.get_finished_spans()
    assert (span.name, dict(span.attributes or {})) == (
        "http GET",
        {
            "http.request.method": "GET",
            "url.path": "/v1/Orders",
            "server.address": "acme.test",
            "ml_connector.connection": "acme",
            "http.response.status_code": 200,
            "http.request.resend_count": 2,
        },
    )
