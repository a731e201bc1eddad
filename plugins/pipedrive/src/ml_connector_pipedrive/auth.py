"""How calls prove who they are: an API token in a header, or OAuth access tokens kept fresh by the refresh grant."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ml_connector.errors import AuthRejected, Throttled, Unavailable
from ml_connector.ports.secrets import Secret, Token
from ml_connector.system import Host
from ml_connector_adapters.http import HostRule, OAuth, retry_after
from ml_connector_pipedrive.settings import Settings, loopback

_CONSENT: Final = (
    "Install the app anew and store its refresh token; one that nobody used for 60 days is dead, and so is a revoked one"
)
_CLIENT: Final = "Check client_id and client_secret against the app in the Developer Hub"


class _Answer(msgspec.Struct):
    access_token: str = ""
    expires_in: float = 3600
    api_domain: str | None = None
    message: str = ""
    error: str = ""


_decoder: Final = msgspec.json.Decoder(_Answer)


def read_token(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Token:
    """The token of the refresh grant's answer; its ``api_domain`` is where calls with it go.

    Raises AuthRejected (a person must act), Throttled (429), Unavailable (5xx, no JSON).
    Source: marketplace-oauth-authorization, marketplace-oauth-and-api-proxy-status-codes.
    """
    after = retry_after(headers, now)
    if status == 429:
        raise Throttled("The token endpoint had too many requests", after_s=after)
    if status >= 500:
        raise Unavailable(f"The token endpoint answered {status}", after_s=after)
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unavailable(f"The token endpoint answered {status} without JSON") from None
    if answer.access_token:
        expires = now + timedelta(seconds=answer.expires_in)
        return Token(value=answer.access_token, expires_at=expires, api_domain=answer.api_domain)
    words = " ".join((answer.message or answer.error or str(status)).split())[:200]
    fix = _CLIENT if answer.error == "invalid_client" or words.startswith("Invalid client") else _CONSENT
    raise AuthRejected(f"No access token was given: {words}", fix=fix, code=answer.error)


def api_hosts(settings: Settings) -> HostRule:
    """Where a token may go: Pipedrive's hosts, and this machine where the settings name it outright."""
    local = {host for url in (settings.base_url, settings.oauth_url) if (host := loopback(url))}
    return HostRule(*settings.allowed_hosts, urlsplit(settings.base_url).netloc, *local)


def api_base(settings: Settings) -> Callable[[Token | None], str]:
    """The API's address: what the token answer named, else the configured one."""

    def base(token: Token | None) -> str:
        return ((token.api_domain if token else None) or settings.base_url).rstrip("/")

    return base


def api_key(settings: Settings, host: Host) -> Callable[[], Awaitable[dict[str, str]]]:
    """The headers that every call carries: the API token, asked for at every use; none with OAuth."""

    async def headers() -> dict[str, str]:
        if settings.auth == "oauth2" or settings.api_token is None:
            return {}
        return {"x-api-token": await host.secrets.reveal(settings.api_token)}

    return headers


def oauth(settings: Settings, host: Host) -> OAuth | None:
    """The connection's token manager; None with an API token."""
    if settings.auth != "oauth2" or settings.client_secret is None or settings.refresh_token is None:
        return None
    secret, refresh = settings.client_secret, settings.refresh_token
    return OAuth(
        host=host,
        token_url=f"{settings.oauth_url.rstrip('/')}/oauth/token",
        form=_form(refresh, host),
        basic=_client(settings.client_id, secret, host),
        read=read_token,
        leeway_s=300,
        hosts=HostRule(urlsplit(settings.oauth_url).netloc),
    )


def _form(refresh: Secret, host: Host) -> Callable[[], Awaitable[dict[str, str]]]:
    async def form() -> dict[str, str]:
        return {"grant_type": "refresh_token", "refresh_token": await host.secrets.reveal(refresh)}

    return form


def _client(client_id: str, secret: Secret, host: Host) -> Callable[[], Awaitable[tuple[str, str]]]:
    async def client() -> tuple[str, str]:
        return client_id, await host.secrets.reveal(secret)

    return client
