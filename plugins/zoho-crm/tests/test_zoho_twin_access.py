"""Tokens, scopes, credits, concurrency and scripted faults of the Zoho twin."""

import asyncio
import json
from urllib.parse import urlencode

import pytest

from ml_connector.twin import Fault, NoAnswer, TwinRequest, TwinResponse
from ml_connector_zoho_crm.twin import ZohoTwin


async def mint(twin: ZohoTwin, host: str = "127.0.0.1:8123", **changes: str) -> TwinResponse:
    form = {
        "grant_type": "refresh_token",
        "client_id": "1000.TWIN",
        "client_secret": "zoho-twin-secret",
        "refresh_token": "1000.refresh.twin",
    }
    return await twin(TwinRequest("POST", host, "/oauth/v2/token", {}, urlencode(form | changes).encode()))


async def org(twin: ZohoTwin, token: str, prefix: str = "Zoho-oauthtoken") -> TwinResponse:
    return await twin(TwinRequest("GET", "127.0.0.1:8123", "/crm/v8/org", {"authorization": f"{prefix} {token}"}))


async def token_of(twin: ZohoTwin) -> str:
    return str(json.loads((await mint(twin)).body)["access_token"])


async def test_a_refresh_token_buys_an_hour_and_names_the_host_that_was_asked():
    told = json.loads((await mint(ZohoTwin())).body)
    assert told["expires_in"] == 3600
    assert told["api_domain"] == "http://127.0.0.1:8123"
    assert "refresh_token" not in told


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("localhost:80", "http://localhost:80"),
        ("[::1]:80", "http://[::1]:80"),
        ("[::1]", "http://[::1]"),
        ("accounts.zoho.eu", "https://www.zohoapis.eu"),
    ],
)
async def test_only_a_loopback_host_is_its_own_api_domain(host, domain):
    assert json.loads((await mint(ZohoTwin(), host)).body)["api_domain"] == domain


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "1000.OTHER"}, "invalid_client"),
        ({"client_secret": "guess"}, "invalid_client_secret"),
        ({"refresh_token": "1000.other.datacenter"}, "invalid_code"),
        ({"grant_type": "authorization_code", "code": "used"}, "invalid_code"),
        ({"grant_type": "client_credentials"}, "missing_org_info"),
    ],
)
async def test_a_refused_refresh_still_answers_200(changes, error):
    refused = await mint(ZohoTwin(), **changes)
    assert (refused.status, json.loads(refused.body)["error"]) == (200, error)


async def test_the_eleventh_token_in_ten_minutes_is_denied_and_asking_again_prolongs_the_wait():
    twin = ZohoTwin()
    for _ in range(10):
        assert (await mint(twin)).status == 200
    denied = await mint(twin)
    assert (denied.status, json.loads(denied.body)["error"]) == (400, "Access Denied")
    twin.clock.advance(599)
    await mint(twin)
    twin.clock.advance(2)
    assert (await mint(twin)).status == 200


async def test_the_sixteenth_token_makes_the_first_one_invalid():
    twin = ZohoTwin(mint_limit=100)
    tokens = [await token_of(twin) for _ in range(16)]
    assert (await org(twin, tokens[0])).status == 401
    assert (await org(twin, tokens[1])).status == 200


async def test_a_token_dies_after_its_hour():
    twin = ZohoTwin()
    token = await token_of(twin)
    twin.clock.advance(3601)
    refused = await org(twin, token)
    assert (refused.status, json.loads(refused.body)["code"]) == (401, "INVALID_TOKEN")


async def test_bearer_is_not_the_word_that_zoho_listens_to():
    twin = ZohoTwin()
    token = await token_of(twin)
    assert (await org(twin, token, "Bearer")).status == 401
    assert (await org(twin, token)).status == 200


async def test_a_revoked_refresh_token_takes_its_access_tokens_along():
    twin = ZohoTwin()
    token = await token_of(twin)
    body = urlencode({"token": "1000.refresh.twin"}).encode()
    revoked = await twin(TwinRequest("POST", "localhost", "/oauth/v2/token/revoke", {}, body))
    assert json.loads(revoked.body) == {"status": "success"}
    assert (await org(twin, token)).status == 401
    assert json.loads((await mint(twin)).body) == {"error": "invalid_code"}


async def test_a_missing_scope_is_a_401_of_its_own_kind():
    twin = ZohoTwin()
    twin.accounts.scopes -= {"ZohoCRM.coql.READ"}
    refused = await twin.ask("POST", "v8/coql", {"select_query": "select id from Accounts where id is not null"})
    assert (refused.status, refused.json["code"]) == (401, "OAUTH_SCOPE_MISMATCH")


async def test_a_scope_for_one_module_opens_that_module_only():
    twin = ZohoTwin()
    twin.accounts.scopes = {"ZohoCRM.modules.salesorders.READ"}
    assert (await twin.ask("GET", "v8/Sales_Orders?fields=Subject")).status == 204
    assert (await twin.ask("GET", "v8/Ordered_Items?fields=Quantity")).status == 204
    assert (await twin.ask("GET", "v8/Accounts?fields=Account_Name")).status == 401
    assert (await twin.ask("DELETE", "v8/Sales_Orders/5550001000000999999")).status == 401


async def test_credits_are_counted_over_a_rolling_day_and_told_from_half():
    twin = ZohoTwin(credits=4)
    assert "X-API-CREDITS-REMAINING" not in (await twin.ask("GET", "v8/org")).headers
    assert (await twin.ask("GET", "v8/Accounts/deleted")).headers["X-API-CREDITS-REMAINING"] == "1"
    assert (await twin.ask("GET", "v8/Accounts/deleted")).status == 429
    twin.clock.advance(86_401)
    assert (await twin.ask("GET", "v8/Accounts/deleted")).status == 204


@pytest.mark.parametrize(("limit", "price"), [(200, 1), (1000, 2), (2000, 3)])
async def test_coql_costs_by_its_limit(limit, price):
    twin = ZohoTwin()
    query = f"select id from Accounts where id is not null limit {limit}"
    await twin.ask("POST", "v8/coql", {"select_query": query})
    assert twin.limits.used == price


async def test_a_write_costs_one_credit_per_started_ten_records():
    twin = ZohoTwin()
    await twin.ask("POST", "v8/Vendors", {"data": [{"Vendor_Name": f"V-{at}"} for at in range(11)]})
    assert twin.limits.used == 2


async def test_calls_beyond_the_concurrency_are_refused_and_the_rest_go_on():
    twin = ZohoTwin(concurrency=3)
    twin.latency_s = 0.01
    answers = await asyncio.gather(*(twin.ask("GET", "v8/org") for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 429, 429]
    assert (await twin.ask("GET", "v8/org")).status == 200


async def test_heavy_calls_have_a_smaller_gate_of_their_own():
    twin = ZohoTwin(sub_concurrency=1)
    twin.latency_s = 0.01
    query = {"select_query": "select id from Accounts where id is not null"}
    answers = await asyncio.gather(*(twin.ask("POST", "v8/coql", query) for _ in range(2)), twin.ask("GET", "v8/org"))
    assert [answer.status for answer in answers] == [204, 429, 200]
    assert answers[1].json["code"] == "TOO_MANY_REQUESTS"


async def test_work_is_done_although_its_answer_is_lost():
    twin = ZohoTwin()
    twin.faults.add(Fault("lost_after", method="POST", path="/Vendors"))
    with pytest.raises(NoAnswer):
        await twin.ask("POST", "v8/Vendors", {"data": [{"Vendor_Name": "Nordstål"}]})
    assert [row["Vendor_Name"] for row in twin.records("Vendors").values()] == ["Nordstål"]
    assert twin.calls == []


async def test_no_work_is_done_when_the_line_drops_first_or_the_gateway_answers():
    twin = ZohoTwin()
    twin.faults.add(Fault("lost_before"), Fault("status", status=502, retry_after="3"))
    with pytest.raises(NoAnswer):
        await twin.ask("POST", "v8/Vendors", {"data": [{"Vendor_Name": "Nordstål"}]})
    bad_gateway = await twin.ask("POST", "v8/Vendors", {"data": [{"Vendor_Name": "Nordstål"}]})
    assert (bad_gateway.status, bad_gateway.headers["retry-after"]) == (502, "3")
    assert not twin.records("Vendors")
    assert twin.calls == [("POST", "/crm/v8/Vendors", 502)]


async def test_expired_tokens_and_garbage_look_like_what_they_are():
    twin = ZohoTwin()
    token = await token_of(twin)
    twin.faults.add(Fault("expire_tokens", path="/org"))
    assert (await org(twin, token)).status == 401
    twin.faults.add(Fault("garbage", path="/org"))
    answer = await twin.ask("GET", "v8/org")
    assert (answer.status, answer.json) == (200, None)


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "v8/Acounts?fields=id", 400, "INVALID_MODULE"),
        ("GET", "v8/settings/nothing", 404, "INVALID_URL_PATTERN"),
        ("GET", "nine/Accounts", 404, "INVALID_URL_PATTERN"),
        ("PATCH", "v8/Accounts", 405, "INVALID_REQUEST_METHOD"),
        ("GET", "v8/coql", 405, "INVALID_REQUEST_METHOD"),
        ("POST", "v8/Ordered_Items", 400, "NOT_SUPPORTED"),
    ],
)
async def test_an_address_that_does_not_exist_says_why(method, target, status, code):
    refused = await ZohoTwin().ask(method, target)
    assert (refused.status, refused.json["code"]) == (status, code)
