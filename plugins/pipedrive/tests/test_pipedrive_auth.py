"""Tokens: in a header, or by the refresh grant, and what their refusal means."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken, Throttled, Unavailable
from ml_connector_pipedrive.auth import api_hosts, read_token

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def told(**body: Any) -> bytes:
    return msgspec.json.encode(body)


def test_a_token_names_the_company_that_it_is_for() -> None:
    body = told(access_token="v1u:x", expires_in=3599, api_domain="https://acme.pipedrive.com")
    token = read_token(200, {}, body, NOW)
    assert (token.value, token.api_domain) == ("v1u:x", "https://acme.pipedrive.com")
    assert (token.expires_at - NOW).total_seconds() == 3599


@pytest.mark.parametrize(
    ("status", "body", "error", "fix"),
    [
        (400, told(error="invalid_grant", message="Invalid grant: refresh_token is invalid"), AuthRejected, "Install the app"),
        (400, told(error="invalid_client", message="Invalid client: client is invalid"), AuthRejected, "client_secret"),
        (429, b"", Throttled, ""),
        (503, b"", Unavailable, ""),
        (200, b"<html>", Unavailable, ""),
    ],
)
def test_a_refusal_says_what_happens_next(status: int, body: bytes, error: type[ConnectorError], fix: str) -> None:
    with pytest.raises(error) as caught:
        read_token(status, {}, body, NOW)
    assert fix in caught.value.fix


async def test_an_api_token_goes_in_its_header_and_is_asked_for_at_every_use(pipedrive: Callable[..., Any]) -> None:
    """A rotated token counts without a restart."""
    world = pipedrive(twin={"auth": "api_token"})
    await world.connection.sources["account"].fetch(["1"])
    world.twin.access.tokens = {"b" * 40: 990045}
    with pytest.raises(AuthRejected) as caught:
        await world.connection.sources["account"].fetch(["1"])
    assert "API token" in caught.value.fix
    world.host.secrets.values["twin/pipedrive_api_token"] = "b" * 40
    assert await world.connection.sources["account"].fetch(["1"]) == []


@pytest.mark.parametrize(
    "url", ["https://acme.pipedrive.com.evil.example", "https://pipedrive.example", "http://acme.pipedrive.com"]
)
def test_a_foreign_api_domain_gets_no_token(make_settings: Callable[..., Any], url: str) -> None:
    with pytest.raises(ContractBroken):
        api_hosts(make_settings()).check(url, "crm")


async def test_a_missing_scope_is_told_as_one(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    world.twin.access.scopes = frozenset({"base"})
    with pytest.raises(AuthRejected, match="scope"):
        await world.connection.sources["account"].fetch(["1"])
