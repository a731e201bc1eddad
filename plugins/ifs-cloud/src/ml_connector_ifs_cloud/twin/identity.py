"""The Keycloak in front of IFS: tokens by client credentials, short-lived."""

import base64
import hashlib
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, unquote

import msgspec

from ml_connector.twin import TwinClock, TwinRequest, TwinResponse

SCOPE = "openid audience microprofile-jwt profile email"
REFRESH_LIFE_S = 1800


class Keycloak:
    """One realm with one confidential client."""

    def __init__(self, realm: str, client_id: str, client_secret: str, token_life_s: int, clock: TwinClock) -> None:
        self.realm = realm
        self.client_id = client_id
        self.client_secret = client_secret
        self.token_life_s = token_life_s
        self.minted = 0
        self._clock = clock
        self._access: dict[str, datetime] = {}
        self._refresh: dict[str, datetime] = {}

    def forget(self) -> None:
        """Every access token issued so far stops working."""
        self._access.clear()

    def admits(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        until = self._access.get(token)
        return scheme.lower() == "bearer" and until is not None and self._clock.now() < until

    def answer(self, request: TwinRequest, base: str) -> TwinResponse:
        """Serve ``/auth/realms/…``."""
        realm, _, rest = request.path.removeprefix("/auth/realms/").partition("/")
        if realm != self.realm:
            return _json(404, {"error": "Realm does not exist"})
        if rest == ".well-known/openid-configuration" and request.method == "GET":
            issuer = f"{base}/auth/realms/{realm}"
            return _json(200, {"issuer": issuer, "token_endpoint": f"{issuer}/protocol/openid-connect/token"})
        if rest != "protocol/openid-connect/token":
            return _json(404, {"error": "HTTP 404 Not Found"})
        if request.method != "POST":
            return _json(405, {"error": "HTTP 405 Method Not Allowed"})
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            return _json(415, {"error": "HTTP 415 Unsupported Media Type"})
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        return self._token(form, request.headers.get("authorization", ""))

    def _token(self, form: dict[str, str], authorization: str) -> TwinResponse:
        grant = form.get("grant_type")
        if grant is None:
            return _error(400, "invalid_request", "Missing form parameter: grant_type")
        client = _basic(authorization) or (form.get("client_id", ""), form.get("client_secret", ""))
        if client != (self.client_id, self.client_secret):
            return _error(401, "invalid_client", "Invalid client or Invalid client credentials")
        if grant == "refresh_token":
            until = self._refresh.pop(form.get("refresh_token", ""), None)
            if until is None or until <= self._clock.now():
                return _error(400, "invalid_grant", "Token is not active")
        elif grant in ("password", "authorization_code"):
            return _error(400, "unauthorized_client", "Client not allowed for direct access grants")
        elif grant != "client_credentials":
            return _error(400, "unsupported_grant_type", "Unsupported grant_type")
        elif "openid" not in form.get("scope", "openid").split():
            return _error(400, "invalid_scope", f"Invalid scopes: {form['scope']}")
        return self._mint()

    def _mint(self) -> TwinResponse:
        self.minted += 1
        now = self._clock.now()
        access, refresh, identity = (self._text(kind) for kind in ("access", "refresh", "id"))
        self._access = {token: until for token, until in self._access.items() if until > now}
        self._access[access] = now + timedelta(seconds=self.token_life_s)
        self._refresh[refresh] = now + timedelta(seconds=REFRESH_LIFE_S)
        return _json(200, {
            "access_token": access, "expires_in": self.token_life_s, "refresh_expires_in": REFRESH_LIFE_S,
            "refresh_token": refresh, "token_type": "Bearer", "id_token": identity, "not-before-policy": 0,
            "session_state": f"00000000-0000-4000-8000-{self.minted:012d}", "scope": SCOPE,
        })  # fmt: skip

    def _text(self, kind: str) -> str:
        digest = hashlib.sha256(f"{self.realm}/{kind}/{self.minted}".encode()).digest()
        return "eyJhbGciOiJSUzI1NiJ9." + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return ("", "")
    return unquote(name), unquote(secret)


def _error(status: int, error: str, description: str) -> TwinResponse:
    return _json(status, {"error": error, "error_description": description})


def _json(status: int, body: object) -> TwinResponse:
    return TwinResponse(status, msgspec.json.encode(body), {"content-type": "application/json", "cache-control": "no-store"})
