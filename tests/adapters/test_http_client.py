"""What one connection's HTTP client does when the network or the vendor misbehaves."""

import asyncio
import sys
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import msgspec
import pytest

from ml_connector.errors import AnswerLost, AuthRejected, ContractBroken, RecordRejected, Throttled, Unavailable
from ml_connector.ports.secrets import Token
from ml_connector.twin import Fault, TwinResponse
from ml_connector_adapters.http import Answer, HttpClient, TokenRefused

sys.path.append(str(Path(__file__).parent))

from http_world import MORNING, World, json


@pytest.fixture
def world() -> World:
    return World()


async def create(client: HttpClient, number: str = "10042", **more: object) -> Answer:
    return await client.send("POST", "/Orders", body=f'{{"OrderNo":"{number}"}}'.encode(), **more)  # type: ignore[arg-type]


async def test_a_request_goes_out_exactly_as_written_with_the_token_and_the_given_headers(world: World) -> None:
    target = "/Orders(OrderNo='C%2F1%20O''Brien')?$filter=Name%20eq%20'A%26B%2B%C3%A9'&$top=5"
    await world.client(headers={"X-Tenant": "acme"}).send("GET", target, headers={"If-Match": 'W/"1"'})
    sent = world.vendor.requests[-1]
    assert (sent.method, sent.host, sent.target) == ("GET", "acme.test", "/v1" + target)
    assert sent.headers["authorization"] == "Bearer token-1"
    assert (sent.headers["x-tenant"], sent.headers["if-match"]) == ("acme", 'W/"1"')
    assert "content-type" not in sent.headers and "cookie" not in sent.headers


async def test_twenty_calls_whose_token_expires_in_flight_share_one_refresh_and_repeat_once_each(world: World) -> None:
    client = world.client()
    await client.send("GET", "/Orders")
    world.vendor.latency_s = 1
    calls = [asyncio.create_task(create(client, str(number))) for number in range(20)]
    await world.clock.sleep(0.5)
    world.vendor.valid.clear()
    assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 20
    assert len(world.vendor.mints) == 2  # the first, and one for all twenty
    assert len(world.vendor.arrivals) == 1 + 20 + 20
    assert sorted(body for method, _, body in world.vendor.done if method == "POST") == sorted(
        f'{{"OrderNo":"{number}"}}'.encode() for number in range(20)
    )


async def test_a_token_near_its_end_is_replaced_before_the_next_request(world: World) -> None:
    world.vendor.life_s = 180
    client = world.client()
    for _ in range(20):
        assert (await client.send("GET", "/Orders")).status == 200
        await world.clock.sleep(50)
    assert world.vendor.mints == [0, 150, 300, 450, 600, 750, 900]  # each serves its life less the leeway of 30 s
    assert len(world.vendor.arrivals) == 20  # nobody was ever refused
    assert len((await world.tokens.load("default")).minted) == 1  # without a budget the past is not kept


async def test_a_second_refusal_needs_a_person_and_says_what_to_do(world: World) -> None:
    world.vendor.answers = [json(401, {"code": "INVALID_TOKEN"})] * 3
    with pytest.raises(AuthRejected) as raised:
        await world.client().send("GET", "/Orders")
    assert isinstance(raised.value, TokenRefused)
    assert raised.value.fix and str(raised.value).startswith('connection "acme": the token was refused')
    assert len(world.vendor.arrivals) == 2


async def test_a_token_that_expires_again_during_a_long_retry_is_replaced_again(world: World) -> None:
    world.vendor.answers = [json(401, {}), json(503, {}, retry_after="40"), json(401, {})]
    assert (await world.client().send("GET", "/Orders")).status == 200
    assert len(world.vendor.mints) == 3


@pytest.mark.parametrize("as_date", [False, True])
async def test_retry_after_is_waited_for_to_the_second(world: World, as_date: bool) -> None:
    wait = format_datetime(MORNING + timedelta(seconds=37), usegmt=True) if as_date else "37"
    world.vendor.answers = [json(429, {}, retry_after=wait)]
    await create(world.client())
    assert world.vendor.arrivals == [0, 37]
    assert len(world.vendor.done) == 1  # a throttled create was not carried out, so it is sent again


async def test_a_throttled_call_holds_all_tasks_of_the_connection(world: World) -> None:
    client = world.client()
    world.vendor.answers = [json(429, {}, retry_after="20")]
    await asyncio.gather(client.send("GET", "/Orders"), *(_later(world, client, 5) for _ in range(4)))
    assert world.vendor.arrivals == [0, 20, 20, 20, 20, 20]


async def _later(world: World, client: HttpClient, seconds: float) -> Answer:
    await world.clock.sleep(seconds)
    return await client.send("GET", "/Orders")


async def test_a_wait_longer_than_our_patience_is_the_runners_and_nobody_calls_meanwhile(world: World) -> None:
    client = world.client()
    world.vendor.answers = [json(429, {}, retry_after="900")]
    with pytest.raises(Throttled) as first:
        await client.send("GET", "/Orders")
    await world.clock.sleep(100)
    with pytest.raises(Throttled) as second:
        await client.send("GET", "/Orders")
    assert (first.value.after_s, second.value.after_s) == (900, 800)
    await world.clock.sleep(800)
    await client.send("GET", "/Orders")
    assert world.vendor.arrivals == [0, 900]


async def test_a_create_whose_answer_is_lost_is_sent_once_and_its_outcome_is_unknown(world: World) -> None:
    world.vendor.faults.add(Fault("lost_after", path="/Orders"))
    with pytest.raises(AnswerLost, match="whether the request was carried out is unknown"):
        await create(world.client())
    assert len(world.vendor.done) == 1


async def test_a_create_that_meets_a_server_error_is_sent_once_and_its_outcome_is_unknown(world: World) -> None:
    world.vendor.answers = [json(503, {}, retry_after="5")]
    with pytest.raises(AnswerLost) as raised:
        await create(world.client())
    assert raised.value.after_s == 5
    assert len(world.vendor.arrivals) == 1


async def test_a_create_that_the_vendor_certainly_did_not_carry_out_is_sent_again(world: World) -> None:
    world.vendor.answers = [json(409, {}), json(409, {})]
    await create(world.client())
    assert len(world.vendor.arrivals) == 3


async def test_a_create_is_sent_again_when_the_connection_could_not_be_made(world: World) -> None:
    client = world.client()
    await client.send("GET", "/Orders")
    world.transport.down = 3
    await create(client)
    assert [method for method, _, _ in world.vendor.done] == ["GET", "POST"]


async def test_a_create_is_sent_after_all_when_only_the_token_endpoint_failed_at_first(world: World) -> None:
    world.vendor.faults.add(Fault("lost_after", path="/token"))
    world.vendor.token_answers = [json(200, {"access_token": "lost"}), json(503, {})]
    await create(world.client())
    assert len(world.vendor.done) == 1


async def test_a_read_is_repeated_with_growing_waits_until_the_attempts_are_used_up(world: World) -> None:
    world.vendor.faults.add(Fault("lost_before", path="/Orders", times=99))
    with pytest.raises(Unavailable, match=r"no answer came from acme\.test"):
        await world.client(attempts=5).send("GET", "/Orders")
    assert len(world.vendor.faults.struck) == 5
    assert 0 < world.clock.passed <= 1 + 2 + 4 + 8


async def test_an_outage_that_the_vendor_announces_to_be_long_is_not_waited_for(world: World) -> None:
    world.vendor.answers = [json(503, {}, retry_after="900")]
    with pytest.raises(Unavailable) as raised:
        await world.client().send("GET", "/Orders")
    assert raised.value.after_s == 900
    assert world.clock.passed == 0


async def test_an_upsert_that_is_declared_repeatable_survives_a_lost_answer(world: World) -> None:
    world.vendor.faults.add(Fault("lost_after", path="/Orders"))
    await create(world.client(), repeatable=True)
    assert len(world.vendor.done) == 2


async def test_a_rejected_record_is_not_sent_again(world: World) -> None:
    world.vendor.answers = [json(400, {"error": "Customer C-100 is on hold"})]
    with pytest.raises(RecordRejected, match="C-100 is on hold"):
        await create(world.client())
    assert len(world.vendor.arrivals) == 1


async def test_cookies_are_not_kept(world: World) -> None:
    client = world.client()
    world.vendor.answers = [json(200, {}, set_cookie="JSESSIONID=1; Path=/")]
    for _ in range(2):
        await client.send("GET", "/Orders")
    assert "cookie" not in world.vendor.requests[-1].headers


async def test_a_redirect_to_a_login_page_is_named_and_never_followed(world: World) -> None:
    world.vendor.answers = [TwinResponse(302, b"", {"location": "https://login.acme.test/signin?state=s3cr3t"})] * 2
    with pytest.raises(AuthRejected, match=r"login page https://login\.acme\.test/signin, which was not followed") as raised:
        await world.client().send("GET", "/Orders")
    assert "s3cr3t" not in str(raised.value)
    world.vendor.answers = [TwinResponse(301, b"", {"location": "https://new.acme.test/v1/Orders"})]
    with pytest.raises(ContractBroken, match=r"new\.acme\.test"):
        await world.client().send("GET", "/Orders")
    assert {request.host for request in world.vendor.requests} == {"acme.test", "login.acme.test"}


async def test_a_redirect_to_a_login_page_is_a_refused_token_and_another_one_passes(world: World) -> None:
    """Front doors that sign people in say 401 so; the request never reached what is behind them, so a create goes again."""
    world.vendor.answers = [TwinResponse(302, b"", {"location": "https://login.acme.test/signin"})]
    assert (await create(world.client())).status == 200
    assert (len(world.vendor.mints), len(world.vendor.done)) == (2, 1)


async def test_a_link_to_a_foreign_host_gets_neither_token_nor_request(world: World) -> None:
    client = world.client()
    await client.send("GET", "https://acme.test/v1/Orders?$skiptoken=2")
    with pytest.raises(ContractBroken, match=r"evil\.example:443 is not one of this connection's"):
        await client.send("GET", "https://evil.example/v1/Orders?$skiptoken=3")
    assert [request.host for request in world.vendor.requests] == ["login.acme.test", "acme.test"]


async def test_a_domain_named_by_the_token_is_used_only_if_it_is_allowed(world: World) -> None:
    def base(token: Token | None) -> str:
        return str(token and token.api_domain)

    def read(domain: str) -> Token:
        return Token(value="token-1", expires_at=MORNING + timedelta(hours=1), api_domain=domain)

    client = world.client(base_url=base, oauth=world.oauth(read=lambda *_: read("https://acme.test")))
    await client.send("GET", "/Orders")
    assert world.vendor.requests[-1].host == "acme.test"
    world.tokens.records.clear()
    client = world.client(base_url=base, oauth=world.oauth(read=lambda *_: read("https://acme.test.evil.example")))
    with pytest.raises(ContractBroken, match="evil"):
        await client.send("GET", "/Orders")


async def test_an_answer_that_is_no_data_says_what_it_is() -> None:
    decoder = msgspec.json.Decoder(dict[str, int])
    page = Answer(200, {"content-type": "text/html"}, b"<html>\n Please   sign in</html>", "https://acme.test/v1")
    with pytest.raises(ContractBroken, match=r"a web page came .* <html> Please sign in"):
        page.decode(decoder)
    with pytest.raises(ContractBroken, match="no JSON"):
        Answer(200, {}, b"{" + b"x" * 900, "u").decode(decoder)
    with pytest.raises(ContractBroken, match=r"shape we do not know .*\$\[\.\.\.\]"):
        Answer(200, {}, b'{"total":"12.50"}', "u").decode(decoder)
    assert Answer(200, {}, b'{"total":12}', "u").decode(decoder) == {"total": 12}
    assert len(Answer(200, {}, "é".encode() * 900, "u").text()) == 200


def test_a_relative_link_belongs_to_the_answer_that_held_it() -> None:
    page = Answer(200, {}, b"", "https://acme.test/v1/Orders.svc/Orders")
    assert page.link("Orders?$skiptoken=2") == "https://acme.test/v1/Orders.svc/Orders?$skiptoken=2"
    assert page.link("/v2/Orders") == "https://acme.test/v2/Orders"
    assert page.link("https://evil.example/x") == "https://evil.example/x"  # send refuses it


async def test_a_closed_client_opens_again(world: World) -> None:
    client = world.client()
    await client.send("GET", "/Orders")
    await client.aclose()
    assert (await client.send("GET", "/Orders")).status == 200
