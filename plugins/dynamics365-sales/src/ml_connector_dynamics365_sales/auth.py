"""Tokens of Entra ID by client credentials: one per environment, judged by ``error``; the AADSTS number is only told."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

from ml_connector.errors import AuthRejected
from ml_connector.ports.secrets import Token
from ml_connector.system import Host
from ml_connector_adapters.http import HostRule, OAuth, read_token
from ml_connector_dynamics365_sales.assertion import TYPE, client_assertion
from ml_connector_dynamics365_sales.settings import Settings

LEEWAY_S: Final = 300.0
_NUMBER: Final = re.compile(r"AADSTS\d+")
_ADVICE: Final[dict[str, str]] = {
    "invalid_client": "Check client_secret: Entra shows the secret's value once and its id for ever, and secrets expire; "
    "of client_certificate, that the certificate is uploaded to this application and has not expired",
    "unauthorized_client": "Check client_id and tenant_id: the application must be registered in this tenant",
    "invalid_request": "Check tenant_id",
    "invalid_resource": "Check org_url: Entra knows no environment at this address",
    "invalid_scope": "Check org_url: it is the environment's address without a path",
}


def read_entra_token(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Token:
    """The token, or AuthRejected with advice for each of Entra's refusals, else as ``read_token`` says."""
    try:
        return read_token(status, headers, body, now)
    except AuthRejected as error:
        number = _NUMBER.search(error.what)
        told = f" {number[0]}" if number else ""
        raise AuthRejected(
            f"Entra ID gave no token: {error.code}{told}",
            fix=_ADVICE.get(error.code, error.fix),
            code=number[0] if number else error.code,
        ) from None


def oauth(settings: Settings, host: Host) -> OAuth:
    """The connection's token manager. The scope is the environment itself, so that a token opens nothing else."""
    return OAuth(
        host=host,
        token_url=_token_url(settings),
        form=_form(settings, host),
        read=read_entra_token,
        leeway_s=LEEWAY_S,
        hosts=HostRule(urlsplit(settings.authority).netloc),
    )


def api_hosts(settings: Settings) -> HostRule:
    """The environment's own host, and nothing else."""
    return HostRule(urlsplit(settings.org_url).netloc)


def _token_url(settings: Settings) -> str:
    return f"{settings.authority.rstrip('/')}/{quote(settings.tenant_id, safe='')}/oauth2/v2.0/token"


def _form(settings: Settings, host: Host) -> Callable[[], Awaitable[dict[str, str]]]:
    async def form() -> dict[str, str]:
        return {
            "grant_type": "client_credentials",
            "client_id": settings.client_id,
            **await _proof(settings, host),
            "scope": f"{settings.org}/.default",
        }

    return form


async def _proof(settings: Settings, host: Host) -> dict[str, str]:
    """The secret, or an assertion signed for this one request. Asked for anew each time, so that a new one is picked up."""
    if settings.client_secret is not None:
        return {"client_secret": await host.secrets.reveal(settings.client_secret)}
    assert settings.client_certificate is not None
    pem = await host.secrets.reveal(settings.client_certificate)
    signed = client_assertion(pem, settings.client_id, _token_url(settings), host.clock.now())
    return {"client_assertion_type": TYPE, "client_assertion": signed}
