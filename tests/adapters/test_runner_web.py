"""The receiver: bounded bodies, a bare 404 for whoever proves nothing, counts for the operator."""

from contextlib import asynccontextmanager

import httpx
import pytest
from engine import customer
from runner_world import CUSTOMERS_HOURLY, House

from ml_connector.errors import Unavailable
from ml_connector_adapters.runner.web import BODY_LIMIT, application


class Receiver:
    """The application over two workspaces, the second with a living channel."""

    def __init__(self):
        self.other, self.house = (House(CUSTOMERS_HOURLY, public_url="https://sync.acme.example") for _ in range(2))
        self.telemetry = self.house.engine.telemetry
        self.app = application([self.other.tenant, self.house.tenant], self.telemetry)

    @asynccontextmanager
    async def open(self):
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
            yield client

    async def genuine(self):
        """A delivery of the CRM about an edit made there."""
        self.house.engine.erp.put(customer())
        await self.house.live(lambda: self.house.engine.there() and self.house.engine.crm.channels, channels=True)
        self.house.engine.crm.edit_as_person("account", self.house.engine.id_there("C-100"), phone="555-0100")
        return self.house.engine.crm.deliveries[-1]

    def outcomes(self):
        return [counted["outcome"] for name, _, counted in self.telemetry.counted if name == "ml_connector.notices"]

    def waiting(self):
        return len(self.house.engine.state.inbox.rows) + len(self.other.engine.state.inbox.rows)


@pytest.fixture
def receiver():
    return Receiver()


async def test_a_genuine_notice_is_kept_for_its_own_workspace_before_it_is_answered(receiver):
    request = await receiver.genuine()
    before = receiver.waiting()
    async with receiver.open() as client:
        answer = await client.post(f"/notices/{request.path_token}", content=request.body)
    assert (answer.status_code, answer.content) == (200, b"")
    assert receiver.waiting() == before + 1
    assert receiver.other.engine.state.inbox.rows == {}
    assert receiver.outcomes() == ["accepted"]


async def test_a_forgery_gets_a_404_without_a_word_and_changes_nothing(receiver):
    request = await receiver.genuine()
    forged = request.body.replace(b'"secret":"', b'"secret":"x')
    before = receiver.waiting()
    async with receiver.open() as client:
        answers = [
            await client.post(f"/notices/{path}", content=body)
            for path, body in ((request.path_token, forged), ("no-such-address", request.body), (request.path_token, b"\xff"))
        ]
    assert [(answer.status_code, answer.content) for answer in answers] == [(404, b"")] * 3
    assert receiver.waiting() == before
    assert receiver.outcomes() == ["rejected"] * 3


async def test_a_body_beyond_the_bound_is_not_read_to_its_end(receiver):
    sent = []

    async def endless():
        while True:
            sent.append(16 * 1024)
            yield b" " * sent[-1]

    async with receiver.open() as client:
        first = await client.post("/notices/any", content=b" " * (BODY_LIMIT + 1))
    assert first.status_code == 413
    stream = endless()

    async def receive():
        return {"type": "http.request", "body": await anext(stream), "more_body": True}

    told = []

    async def send(message):
        told.append(message)

    await receiver.app(
        {"type": "http", "method": "POST", "path": "/notices/any", "headers": [], "query_string": b""}, receive, send
    )
    await stream.aclose()
    assert told[0]["status"] == 413
    assert sum(sent) <= BODY_LIMIT + 2 * 16 * 1024
    assert receiver.outcomes() == ["oversized"] * 2


async def test_nothing_but_notices_and_probes_is_served(receiver):
    async with receiver.open() as client:
        assert [(await client.get(path)).status_code for path in ("/", "/docs", "/notices", "/healthz/x")] == [404] * 4
        assert (await client.get("/notices/any")).status_code == 405
        assert (await client.get("/healthz")).text == "ok\n"


async def test_a_workspace_whose_state_cannot_be_read_is_not_ready_but_alive(receiver, monkeypatch):
    async with receiver.open() as client:
        assert (await client.get("/readyz")).status_code == 200

        async def away(flow):
            raise Unavailable("the disk is full", where="state")

        monkeypatch.setattr(receiver.house.engine.state.cursors, "load", away)
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.text) == (503, "acme: the state cannot be read\n")
        assert (await client.get("/healthz")).status_code == 200


async def test_metrics_are_in_the_form_that_prometheus_reads(receiver):
    async with receiver.open() as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")


async def test_a_proved_notice_that_cannot_be_kept_is_asked_for_again(receiver, monkeypatch):
    async def away(*_):
        raise Unavailable("the state is away")

    request = await receiver.genuine()
    monkeypatch.setattr(receiver.house.engine.state.inbox, "add", away)
    async with receiver.open() as client:
        answer = await client.post(f"/notices/{request.path_token}", content=request.body)
    assert (answer.status_code, receiver.outcomes()) == (503, ["deferred"])
