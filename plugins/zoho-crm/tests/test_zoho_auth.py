"""Tokens of Zoho accounts, and where they may go."""

from datetime import UTC, datetime, timedelta

import pytest

from ml_connector.errors import AuthRejected, ContractBroken, Throttled, Unavailable
from ml_connector.twin import Fault
from ml_connector_zoho_crm.auth import api_hosts, read_token

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def token(body, status=200):
    return read_token(status, {}, body, NOW)


def test_a_token_comes_with_its_life_and_its_domain():
    got = token(b'{"access_token":"1000.a","api_domain":"https://www.zohoapis.eu","expires_in":3600}')
    assert (got.value, got.api_domain, got.expires_at) == ("1000.a", "https://www.zohoapis.eu", NOW + timedelta(hours=1))


def test_the_legacy_answer_in_milliseconds_is_not_a_token_for_weeks():
    got = token(b'{"access_token":"1000.a","expires_in":3600000,"expires_in_sec":3600}')
    assert got.expires_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("code", ["invalid_code", "invalid_client", "invalid_client_secret", "invalid_scope"])
def test_a_refusal_hidden_in_a_success_is_a_refusal_that_says_what_to_do(code):
    with pytest.raises(AuthRejected, match=code) as caught:
        token(b'{"error":"%s"}' % code.encode())
    assert caught.value.fix


@pytest.mark.parametrize("status", [200, 400])
def test_too_many_tokens_means_waiting_for_the_window_to_pass(status):
    body = b'{"error":"Access Denied","error_description":"You have made too many requests continuously.","status":"failure"}'
    with pytest.raises(Throttled) as caught:
        token(body, status)
    assert caught.value.after_s == 600


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (500, b""), (200, b'{"error":"general_error"}'), (502, b"{}")])
def test_an_outage_of_the_accounts_server_is_no_refusal(status, body):
    with pytest.raises(Unavailable):
        token(body, status)


@pytest.mark.parametrize(
    "url",
    ["https://www.zohoapis.eu", "https://sandbox.zohoapis.com.au", "https://www.zohoapis.ca", "https://upload.zohocloud.ca"],
)
def test_the_token_may_go_to_every_data_centre(make_settings, url):
    assert api_hosts(make_settings()).check(url, "crm") == url


@pytest.mark.parametrize(
    "url",
    [
        "https://www.zohoapis.evil.example",
        "https://zohoapis.com.evil.example",
        "http://www.zohoapis.eu",
        "https://127.0.0.1:8123",
    ],
)
def test_the_token_goes_nowhere_else(make_settings, url):
    with pytest.raises(ContractBroken):
        api_hosts(make_settings()).check(url, "crm")


async def test_the_latest_token_answer_says_where_the_api_is(zoho):
    there = {"accounts_server": "https://accounts.zoho.eu", "api_domain": "https://www.zohoapis.com"}
    world = zoho(twin={"api_domain": "https://www.zohoapis.eu"}, **there)
    await world.connection.sinks["account"].accepts()
    assert world.host.tokens.token.api_domain == "https://www.zohoapis.eu"


async def test_a_domain_outside_the_list_gets_no_token(zoho):
    accounts = "https://accounts.zoho.eu"
    world = zoho(twin={"api_domain": "https://www.zohoapis.evil.example"}, accounts_server=accounts)
    with pytest.raises(ContractBroken, match="evil"):
        await world.connection.sinks["account"].accepts()
    assert world.paths("GET", "settings") == []


async def test_a_revoked_refresh_token_pauses_until_a_person_acts(zoho):
    world = zoho()
    world.twin.accounts.grants.clear()
    with pytest.raises(AuthRejected, match="invalid_code"):
        await world.connection.sinks["account"].accepts()


async def test_client_credentials_work_without_a_refresh_token(zoho):
    world = zoho(grant="client_credentials", scope="ZohoCRM.modules.ALL", soid="ZohoCRM.100")
    with pytest.raises(AuthRejected):
        await world.connection.sinks["account"].accepts()
    assert world.paths("POST", "oauth")


async def test_no_secret_and_no_token_shows_in_errors_or_reprs(zoho):
    world = zoho()
    await world.connection.sinks["account"].accepts()
    world.twin.faults.add(
        Fault(kind="status", status=400, body=b'{"code":"INVALID_MODULE","message":"m"}', path="coql", times=2)
    )
    with pytest.raises(ContractBroken) as caught:
        await world.connection.sources["account"].fetch(["5550001000000123001"])
    shown = f"{caught.value} {world.settings} {world.host.tokens.token}"
    assert not any(secret in shown for secret in (*world.twin.secrets().values(), world.host.tokens.token.value))
