"""The accounts server: tokens minted within a budget, evicted beyond fifteen, and failures that answer 200."""

import secrets
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from hmac import compare_digest
from urllib.parse import parse_qsl

import msgspec

from ml_connector.twin import TwinClock, TwinRequest, TwinResponse
from ml_connector_zoho_crm.twin.wire import Refused, answer

ALL_SCOPES = frozenset(
    {
        "ZohoCRM.modules.ALL",
        "ZohoCRM.settings.modules.READ",
        "ZohoCRM.settings.fields.READ",
        "ZohoCRM.settings.fields.CREATE",
        "ZohoCRM.settings.layouts.READ",
        "ZohoCRM.settings.pipeline.READ",
        "ZohoCRM.coql.READ",
        "ZohoCRM.bulk.READ",
        "ZohoCRM.bulk.CREATE",
        "ZohoCRM.notifications.ALL",
        "ZohoCRM.org.READ",
        "ZohoCRM.users.READ",
        "ZohoSearch.securesearch.READ",
    }
)
MINT_WINDOW = timedelta(minutes=10)
_TOO_MANY = {
    "error": "Access Denied",
    "error_description": "You have made too many requests continuously. Please try again after some time.",
    "status": "failure",
}


class Token(msgspec.Struct):
    """An access token: whose it is, the grant it came from, until when it is good."""

    user: str
    grant: str
    expires: datetime


class Accounts:
    """Refresh tokens, access tokens, and the limits on both."""

    def __init__(
        self, clock: TwinClock, *, client_id: str, client_secret: str, token_life_s: int, mint_limit: int, active_limit: int
    ) -> None:
        self._clock = clock
        self._client_id, self._client_secret = client_id, client_secret
        self._life, self._mint_limit, self._active_limit = timedelta(seconds=token_life_s), mint_limit, active_limit
        self.grants: dict[str, str] = {}  # refresh token → user id
        self.codes: dict[str, str] = {}  # one-time grant code → user id
        self.tokens: dict[str, Token] = {}  # oldest first
        self.scopes: set[str] = set(ALL_SCOPES)
        self.throttle_status = 400  # 400 as seen in the field, 200 as seen in the vendor's forum
        self._minted: dict[str, deque[datetime]] = {}

    def token(self, request: TwinRequest, api_domain: str, org_id: str) -> TwinResponse:
        form = dict(parse_qsl(request.query)) | dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if not compare_digest(form.get("client_id", "").encode(), self._client_id.encode()):
            return answer(200, {"error": "invalid_client"})
        if not compare_digest(form.get("client_secret", "").encode(), self._client_secret.encode()):
            return answer(200, {"error": "invalid_client_secret"})
        kind = form.get("grant_type")
        if kind == "refresh_token":
            grant = form.get("refresh_token", "")
            user = self.grants.get(grant)
            return self._mint(grant, user, api_domain) if user else answer(200, {"error": "invalid_code"})
        if kind == "authorization_code":
            user = self.codes.pop(form.get("code", ""), None)
            if user is None:
                return answer(200, {"error": "invalid_code"})
            grant = f"1000.{secrets.token_hex(16)}"
            self.grants[grant] = user
            return self._mint(grant, user, api_domain, refresh_token=grant)
        if kind == "client_credentials":
            if "soid" not in form:
                return answer(200, {"error": "missing_org_info"})
            if form["soid"] != f"ZohoCRM.{org_id}":
                return answer(200, {"error": "invalid_code"})
            return self._mint("client", next(iter(self.grants.values())), api_domain)
        return answer(200, {"error": "unsupported_grant_type"})

    def _mint(self, grant: str, user: str, api_domain: str, **more: str) -> TwinResponse:
        """A new access token. Asking while throttled counts as well and so prolongs the wait."""
        now = self._clock.now()
        minted = self._minted.setdefault(grant, deque())
        while minted and minted[0] <= now - MINT_WINDOW:
            minted.popleft()
        minted.append(now)
        if len(minted) > self._mint_limit:
            return answer(self.throttle_status, _TOO_MANY)
        active = [text for text, token in self.tokens.items() if token.grant == grant and token.expires > now]
        for text in active[: max(0, len(active) + 1 - self._active_limit)]:
            del self.tokens[text]
        text = self.issue(grant, user)
        told = {"access_token": text, "api_domain": api_domain, "token_type": "Bearer"}
        return answer(200, told | {"expires_in": int(self._life.total_seconds())} | more)

    def issue(self, grant: str, user: str) -> str:
        """An access token outside every budget."""
        text = f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"
        self.tokens[text] = Token(user, grant, self._clock.now() + self._life)
        return text

    def revoke(self, request: TwinRequest) -> TwinResponse:
        form = dict(parse_qsl(request.query)) | dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if self.grants.pop(form.get("token", ""), None) is None:
            return answer(400, {"error": "invalid_code"})
        self.tokens = {text: token for text, token in self.tokens.items() if token.grant != form["token"]}
        return answer(200, {"status": "success"})

    def user_of(self, request: TwinRequest) -> str:
        """The user behind the request's token. Raises Refused (401)."""
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind != "Zoho-oauthtoken" or not text:
            raise Refused(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        token = self.tokens.get(text)
        if token is None or token.expires <= self._clock.now():
            raise Refused(401, "INVALID_TOKEN", "invalid oauth token")
        return token.user

    def demand(self, scopes: Iterable[str]) -> None:
        """Raises Refused (401) unless every scope is granted, itself or through a wider one."""
        granted = {scope.lower() for scope in self.scopes}
        for scope in scopes:
            if granted.isdisjoint(_covering(scope.lower())):
                raise Refused(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")


def _covering(scope: str) -> set[str]:
    """The scopes that include this one: its verb, ALL or, for a writing verb, WRITE; on the part named or its whole group."""
    *group, verb = scope.split(".")
    verbs = {verb, "all"} | ({"write"} if verb in ("create", "update", "delete") else set())
    return {".".join([*group[:size], one]) for size in range(2, len(group) + 1) for one in verbs}
