"""Log-in and the life of a session: one session per connection, ended ahead of its time and never by hammering a password.

A session lives as long as its token says, at most ``sessionLength``, and only while it is used every ``timeoutMinutes``; both
come from ``securityControl``. A refused password is not sent again for a while, because repeated failures lock the account.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ml_connector.errors import AuthRejected, ContractBroken, RetryLater, Throttled, Unavailable
from ml_connector.ports.secrets import Secret, Token
from ml_connector.system import Host
from ml_connector_adapters.http import HostRule, OAuth, retry_after
from ml_connector_qad import convert
from ml_connector_qad.profile import Auth
from ml_connector_qad.settings import QadSettings

_FIX: Final = "Check auth.client_id, auth.username and auth.password, and that the account is not locked; then run ping"
_MINUTE: Final = 60.0


class Spans(msgspec.Struct, frozen=True):
    """How long a session may last and how long it may lie idle, in seconds; None where nobody says."""

    session_s: float | None = None
    idle_s: float | None = None


class Login:
    """One connection's log-in, in whichever mode the settings say."""

    def __init__(self, settings: QadSettings, host: Host) -> None:
        self._auth, self._host = settings.auth, host
        self.spans: Spans | None = None  # None: not asked yet
        self._refresh: str | None = None
        self._refreshing = False
        self._refused: tuple[bytes, float] | None = None  # fingerprint of a password that was refused, and until when
        self._value, self._born, self._used = "", 0.0, 0.0
        self._turn = asyncio.Lock()
        self.oauth = self._oauth(settings) if self._auth.mode == "oauth_password" else None

    async def headers(self) -> dict[str, str]:
        """The headers that prove who calls, where it is no token of ours. Raises AuthRejected without a secret."""
        auth = self._auth
        if auth.mode == "basic" and auth.password is not None:
            pair = f"{auth.username}:{await self._host.secrets.reveal(auth.password)}"
            return {"authorization": "Basic " + b64encode(pair.encode()).decode()}
        if auth.mode == "bearer_static" and auth.token is not None:
            return {"authorization": f"Bearer {await self._host.secrets.reveal(auth.token)}"}
        return {}

    async def fresh(self) -> None:
        """Begin another session where this one has lasted or lain idle too long for the next call to be taken."""
        if self.oauth is None:
            return
        async with self._turn:
            now = self._host.clock.monotonic()
            token = await self.oauth.token()
            if token.value == self._value and self._over(now):
                token = await self.oauth.refused(token)
            if token.value != self._value:
                self._value, self._born = token.value, now
            self._used = now

    def ended(self) -> None:
        """The server no longer knows the session, so its refresh token is of no use either."""
        self._refresh = None

    def learn(self, told: Any) -> None:
        """Take the spans from an answer of ``securityControl``."""
        auth = self._auth

        def minutes(path: str) -> float | None:
            value = convert.at(told, path)
            return float(value) * _MINUTE if isinstance(value, (int, float)) or hasattr(value, "as_tuple") else None

        session, idle = minutes(auth.session_minutes), minutes(auth.idle_minutes)
        self.spans = Spans(
            max(_MINUTE, session - auth.session_leeway_s) if session else None,
            max(_MINUTE / 2, idle - auth.idle_leeway_s) if idle else None,
        )

    def _over(self, now: float) -> bool:
        spans = self.spans or Spans()
        too_old = spans.session_s is not None and now - self._born >= spans.session_s
        return too_old or (spans.idle_s is not None and now - self._used >= spans.idle_s)

    def _oauth(self, settings: QadSettings) -> OAuth:
        return OAuth(
            host=self._host,
            token_url=settings.base_url + self._auth.token_path,
            form=self._form,
            read=self._read,
            placement=self._auth.param_placement,
            hosts=HostRule(urlsplit(settings.base_url).netloc),
        )

    async def _form(self) -> dict[str, str]:
        auth = self._auth
        base = {"client_id": auth.client_id, **auth.params}
        self._refreshing = auth.refresh and self._refresh is not None
        if self._refreshing and self._refresh is not None:
            return {**base, "grant_type": "refresh_token", "refresh_token": self._refresh}
        password = await self._reveal(auth.password)
        mark = blake2b(f"{auth.username}\0{password}".encode(), digest_size=16).digest()
        if self._refused is not None and self._refused[0] == mark and self._host.clock.monotonic() < self._refused[1]:
            raise AuthRejected(
                "the log-in was refused a moment ago and is not tried again, because failures lock the account", fix=_FIX
            )
        self._refused = (mark, 0.0)  # remembered as refused only once it is
        return {**base, "grant_type": "password", "username": auth.username, "password": password}

    async def _reveal(self, secret: Secret | None) -> str:
        assert secret is not None  # the settings see to it
        return await self._host.secrets.reveal(secret)

    def _read(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Token:
        """The token of an answer. Any refusal of a password is final; that of a refresh token leads to the password."""
        try:
            return self._token(status, headers, body, now)
        except AuthRejected:
            if self._refreshing:
                self._refresh = None
                raise Unavailable("the session could not be renewed, so another log-in follows", untouched=True) from None
            if self._refused is not None:
                self._refused = (self._refused[0], self._host.clock.monotonic() + self._auth.lockout_s)
            raise

    def _token(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Token:
        auth = self._auth
        if status == 429:
            raise Throttled("the log-in had too many requests", after_s=retry_after(headers, now))
        if status >= 500:
            raise Unavailable(f"the log-in answered {status}", after_s=retry_after(headers, now))
        told = _json(body)
        value = convert.at(told, auth.access_token_path)
        if status >= 400 or not isinstance(value, str) or not value:
            raise AuthRejected(f"no session was given ({status}): {_words(told)}", fix=_FIX, code=_code(told))
        refresh = convert.at(told, auth.refresh_token_path)
        self._refresh = refresh if isinstance(refresh, str) and refresh else None
        return Token(value=value, expires_at=now + timedelta(seconds=_life(convert.at(told, auth.expires_in_path), auth)))


def _json(body: bytes) -> Any:
    try:
        return convert.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _words(told: Any) -> str:
    if not isinstance(told, Mapping):
        return "the answer is no JSON; is base_url right, with its context root?"
    return " ".join(f"{told.get('error', 'no token')} {told.get('error_description', '')}".split())[:200]


def _code(told: Any) -> str:
    return str(told.get("error", ""))[:60] if isinstance(told, Mapping) else ""


def _life(expires_in: Any, auth: Auth) -> float:
    try:
        exact = convert.number(expires_in)
    except convert.Unreadable:
        exact = None
    return float(exact) if exact is not None and exact > 0 else float(auth.default_lifetime_s)


PROBE_FAILURES: Final = (ContractBroken, RetryLater)
"""What may come of asking for the spans: without them the token's own life counts, and a 401 tells the rest."""
