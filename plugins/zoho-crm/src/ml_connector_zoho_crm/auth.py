"""Tokens of Zoho accounts: refresh and client-credentials grants, read by the body because the status says nothing."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import msgspec

from ml_connector.errors import AuthRejected, ConnectorError, Throttled, Unavailable
from ml_connector.ports.secrets import Token
from ml_connector.system import Host
from ml_connector_adapters.http import HostRule, Mints, OAuth
from ml_connector_zoho_crm.settings import Settings, loopback

MINTS: Final = Mints(10, 600)
"""Access tokens per refresh token: 10 in 10 minutes (token-validity)."""
LEEWAY_S: Final = 300.0

_CONSENT: Final = (
    "Grant access anew and store the refresh token; it must come from this data centre (accounts_server) and organisation"
)
_REFUSALS: Final[dict[str, str]] = {
    "invalid_code": _CONSENT,
    "invalid_client": "Check client_id, and that the client is enabled for this data centre (accounts_server)",
    "invalid_client_secret": "Check client_secret; every data centre has its own when the client is multi-DC",
    "invalid_redirect_uri": "Register the client's redirect address as it was used for consent",
    "invalid_scope": "Check the scopes against those listed in the plugin's README",
    "missing_org_info": 'Set soid to "ZohoCRM." and the organisation\'s zgid',
}


class _Answer(msgspec.Struct):
    access_token: str | None = None
    api_domain: str | None = None
    expires_in: float = 3600
    expires_in_sec: float | None = None
    error: str | None = None
    error_description: str = ""


_decoder: Final = msgspec.json.Decoder(_Answer)


def read_token(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Token:
    """A token if and only if ``access_token`` is there: Zoho answers 200 with ``error`` to most failures.

    Raises AuthRejected (a person must act), Throttled (ten tokens in ten minutes are used up), Unavailable (all else).
    Source: accounts, refresh-access-token and token-validity; legacy answers carry ``expires_in_sec`` beside milliseconds.
    """
    try:
        answer = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unavailable(f"The token endpoint answered {status} without JSON", where="zoho accounts") from None
    if answer.access_token:
        life = answer.expires_in_sec if answer.expires_in_sec is not None else answer.expires_in
        return Token(value=answer.access_token, expires_at=now + timedelta(seconds=life), api_domain=answer.api_domain)
    raise _refusal(status, answer)


def _refusal(status: int, answer: _Answer) -> ConnectorError:
    error = answer.error or ""
    if error == "Access Denied" or "too many requests" in answer.error_description.lower() or status == 429:
        return Throttled("Too many access tokens were asked for", after_s=MINTS.window_s, where="zoho accounts", code=error)
    if fix := _REFUSALS.get(error):
        return AuthRejected(f"Access refused ({error})", fix=fix, where="zoho accounts", code=error)
    if status in (400, 401, 403) and error and error != "general_error":
        return AuthRejected(f"Access refused ({error[:80]})", fix=_CONSENT, where="zoho accounts", code=error)
    return Unavailable(f"No token came ({status} {error[:80]})".replace(" )", ")"), where="zoho accounts", code=error)


def api_hosts(settings: Settings) -> HostRule:
    """Where the token may go: the allowed data centres, and this machine where the settings name it outright."""
    local = {host for url in (settings.api_domain, settings.accounts_server) if (host := loopback(url))}
    return HostRule(*settings.allowed_hosts, *local)


def api_base(settings: Settings) -> Callable[[Token | None], str]:
    """The API's address: what the latest token answer said, else the configured fallback; never derived from another host."""

    def base(token: Token | None) -> str:
        domain = (token.api_domain if token else None) or settings.api_domain
        if not domain:
            raise AuthRejected(
                "The token answer named no api_domain", fix='Set api_domain, for example "https://www.zohoapis.eu"'
            )
        return domain.rstrip("/")

    return base


def oauth(settings: Settings, host: Host) -> OAuth:
    """The connection's token manager."""
    return OAuth(
        host=host,
        token_url=f"{settings.accounts_server.rstrip('/')}/oauth/v2/token",
        form=_form(settings, host),
        read=read_token,
        scheme="Zoho-oauthtoken",
        leeway_s=LEEWAY_S,
        mints=MINTS,
        hosts=HostRule(urlsplit(settings.accounts_server).netloc),
    )


def _form(settings: Settings, host: Host) -> Callable[[], Awaitable[dict[str, str]]]:
    async def form() -> dict[str, str]:
        common = {
            "grant_type": settings.grant,
            "client_id": settings.client_id,
            "client_secret": await host.secrets.reveal(settings.client_secret),
        }
        if settings.refresh_token is not None and settings.grant == "refresh_token":
            return {**common, "refresh_token": await host.secrets.reveal(settings.refresh_token)}
        return {**common, "scope": settings.scope, "soid": settings.soid}

    return form
