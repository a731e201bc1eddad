"""One token per credential: who may ask for a new one, when, and what happens when the vendor says no."""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken, Throttled, Unavailable
from ml_connector.ports.secrets import Token
from ml_connector.twin import Fault, TwinResponse
from ml_connector_adapters.http import HostRule, Mints, OAuth, read_token

sys.path.append(str(Path(__file__).parent))

from http_world import MORNING, World, json

TEN_IN_TEN_MINUTES = Mints(10, 600)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_restart_goes_on_with_the_stored_token(world: World) -> None:
    first = await world.oauth().token()
    await world.clock.sleep(1000)
    assert await world.oauth().token() == first
    assert len(world.vendor.mints) == 1


async def test_two_processes_whose_token_is_refused_together_ask_for_one_new_token(world: World) -> None:
    clients = [world.client(), world.client()]
    for client in clients:
        await client.send("GET", "/Orders")
    world.vendor.valid.clear()
    await asyncio.gather(*(client.send("GET", "/Orders") for client in clients * 5))
    assert len(world.vendor.mints) == 2
    assert len(world.vendor.done) == 2 + 10


async def test_a_token_is_replaced_ahead_of_its_end_but_never_before_half_of_its_life(world: World) -> None:
    world.vendor.life_s = 40
    oauth = world.oauth(leeway_s=300)
    first = await oauth.token()
    await world.clock.sleep(19)
    assert await oauth.token() == first
    await world.clock.sleep(2)
    assert (await oauth.token()).value == "token-2"


async def test_the_mint_budget_holds_through_an_hour_of_forced_refreshes(world: World) -> None:
    oauth, refused = world.oauth(TEN_IN_TEN_MINUTES), 0
    while world.clock.passed < 3600:
        try:
            await oauth.refused(await oauth.token())
        except Throttled as error:
            refused += 1
            assert 0 < (error.after_s or 0) <= 600
        await world.clock.sleep(7)
    mints = world.vendor.mints
    assert all(sum(start <= mint < start + 600 for mint in mints) <= 10 for start in mints)
    assert len(mints) >= 60 and refused > 300


async def test_the_budget_survives_a_restart_and_the_error_says_when_the_next_token_may_be_asked_for(world: World) -> None:
    token = await world.oauth(TEN_IN_TEN_MINUTES).token()
    for _ in range(9):
        await world.clock.sleep(1)
        token = await world.oauth(TEN_IN_TEN_MINUTES).refused(token)
    oauth = world.oauth(TEN_IN_TEN_MINUTES)
    with pytest.raises(Throttled, match=r"10 tokens in 600 seconds .* may be asked for at 08:10:00 UTC") as raised:
        await oauth.refused(token)
    await world.clock.sleep(raised.value.after_s or 0)
    assert (await oauth.refused(token)).value == "token-11"


async def test_a_mint_whose_answer_is_lost_counts_and_one_that_never_connected_does_not(world: World) -> None:
    oauth = world.oauth(Mints(2, 600))
    world.transport.down = 3
    for _ in range(3):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await oauth.token()
    world.vendor.faults.add(Fault("lost_after", path="/token", times=2))
    for _ in range(2):
        with pytest.raises(Unavailable) as lost:
            await oauth.token()
        assert lost.value.untouched  # the request that needed the token has not left
    with pytest.raises(Throttled):
        await oauth.token()
    assert len(world.vendor.mints) == 2


async def test_a_living_token_serves_on_while_its_early_refresh_fails(world: World) -> None:
    world.vendor.life_s = 1000
    oauth = world.oauth(leeway_s=300)
    first = await oauth.token()
    await world.clock.sleep(800)
    world.transport.down = 1
    assert await oauth.token() == first
    await world.clock.sleep(31)
    assert (await oauth.token()).value == "token-2"


async def test_twenty_calls_share_one_refused_refresh(world: World) -> None:
    world.vendor.token_answers = [json(200, {"error": "invalid_client"})] * 20
    oauth = world.oauth()
    outcomes = await asyncio.gather(*(oauth.token() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(outcome, AuthRejected) for outcome in outcomes)
    assert len(world.vendor.mints) == 1


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize("code", ["invalid_client", "unauthorized_client", "invalid_grant", "invalid_scope", "invalid_code"])
def test_refused_credentials_need_a_person_whatever_the_status(status: int, code: str) -> None:
    body = json(status, {"error": code, "error_description": "Invalid client or Invalid client credentials"}).body
    with pytest.raises(AuthRejected, match=code) as raised:
        read_token(status, {}, body, MORNING)
    assert "Invalid client credentials" in str(raised.value) and raised.value.fix and raised.value.code == code


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (json(503, {}, retry_after="7"), Unavailable),
        (json(429, {}, retry_after="7"), Throttled),
        (TwinResponse(200, b"<html>maintenance</html>"), Unavailable),
        (json(200, {"error": "server_error"}), Unavailable),
        (json(200, ["access_token"]), Unavailable),
        (json(200, {"token_type": "Bearer"}), AuthRejected),
        (json(200, {"error": "invalid_code", "access_token": "x"}), AuthRejected),
    ],
)
def test_each_answer_without_a_token_has_its_own_consequence(answer: TwinResponse, expected: type[ConnectorError]) -> None:
    with pytest.raises(ConnectorError) as raised:
        read_token(answer.status, answer.headers, answer.body, MORNING)
    assert type(raised.value) is expected


def test_a_life_that_is_not_told_counts_as_three_minutes() -> None:
    for life, seconds in ((None, 180), ("soon", 180), ("60", 60), (3600, 3600)):
        token = read_token(200, {}, json(200, {"access_token": "a", "expires_in": life}).body, MORNING)
        assert token.expires_at == MORNING + timedelta(seconds=seconds)


async def test_the_secret_goes_in_the_form_or_in_the_header_as_asked(world: World) -> None:
    async def basic() -> tuple[str, str]:
        return "ML_CONNECTOR", "s3:cret"

    async def grant() -> dict[str, str]:
        return {"grant_type": "client_credentials", "scope": "openid microprofile-jwt"}

    await world.oauth().token()
    await world.oauth(basic=basic, form=grant, credential="other").token()
    by_form, by_header = world.vendor.requests
    assert by_form.body == b"grant_type=client_credentials&client_id=ML_CONNECTOR&client_secret=s3cret-of-acme"
    assert by_form.headers["content-type"] == "application/x-www-form-urlencoded"
    assert by_header.body == b"grant_type=client_credentials&scope=openid%20microprofile-jwt"
    assert by_header.headers["authorization"] == "Basic TUxfQ09OTkVDVE9SOnMzJTNBY3JldA=="


async def test_a_vendor_that_reads_the_query_alone_gets_the_fields_there_and_no_error_shows_them(world: World) -> None:
    await world.oauth(placement="query").token()
    [asked] = world.vendor.requests
    assert asked.query == "grant_type=client_credentials&client_id=ML_CONNECTOR&client_secret=s3cret-of-acme"
    assert asked.body == b""
    world.transport.down = 1
    with pytest.raises(Unavailable) as raised:
        await world.oauth(placement="query", credential="other").token()
    assert "s3cret" not in f"{raised.value} {vars(raised.value)}"


async def test_credentials_never_go_to_a_token_address_that_is_not_allowed_or_not_encrypted(world: World) -> None:
    for address, hosts in (
        ("https://evil.example/token", world.hosts),
        ("http://login.acme.test/token", world.hosts),
        ("https://login.acme.test@evil.example/token", HostRule("evil.example")),
    ):
        oauth = OAuth(host=world, token_url=address, form=world.form, hosts=hosts)
        with pytest.raises(ContractBroken):
            await oauth.token()
    assert world.vendor.requests == []


async def test_a_token_that_cannot_stand_in_a_header_is_refused_without_being_shown(world: World) -> None:
    bad = Token(value="abc\r\nX-Evil: 1", expires_at=MORNING + timedelta(hours=1))
    with pytest.raises(ContractBroken) as raised:
        await world.oauth(read=lambda *_: bad).token()
    assert "abc" not in str(raised.value)


async def test_a_secret_that_the_endpoint_quotes_is_hidden_however_it_was_sent(world: World) -> None:
    async def basic() -> tuple[str, str]:
        return "ML_CONNECTOR", "s3:cret"

    world.vendor.token_answers = [
        json(400, {"error": "invalid_client", "error_description": "s3:cret or s3cret-of-acme is wrong"})
    ]
    with pytest.raises(AuthRejected, match=r"\[hidden\] or \[hidden\] is wrong"):
        await world.oauth(basic=basic).token()


async def test_a_missing_secret_needs_a_person_and_costs_no_mint(world: World) -> None:
    async def form() -> dict[str, str]:
        raise AuthRejected("there is no secret:acme", fix="Store it with: ml-connector secrets set acme")

    with pytest.raises(AuthRejected, match=r"no secret:acme\. Store it"):
        await world.oauth(Mints(10, 600), form=form).token()
    assert (await world.tokens.load("default")).minted == ()
