"""Who may call: API tokens, and the OAuth server with its refresh grant, scopes and revocation."""

from base64 import b64decode
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

import msgspec

from ml_connector.twin import TwinClock, TwinRequest, TwinResponse
from ml_connector_pipedrive.twin.company import ROBOT
from ml_connector_pipedrive.twin.wire import JSON, Refused, encode

ALL_SCOPES = frozenset(
    {"base", "admin", "contacts:full", "deals:full", "products:full", "search:read", "users:read", "recents:read"}
)
REFRESH_LIFE = timedelta(days=60)
LOCAL = ("127.0.0.1", "localhost", "::1")


class Bearer(msgspec.Struct):
    user: int
    expires: datetime


class Access:
    """``tokens`` are API tokens → user, ``refresh`` refresh tokens → end, ``bearers`` living access tokens."""

    def __init__(self, clock: TwinClock, *, client_id: str, client_secret: str, life_s: int) -> None:
        self._clock = clock
        self._client, self._life_s = (client_id, client_secret), life_s
        self.tokens: dict[str, int] = {}
        self.refresh: dict[str, datetime] = {}
        self.bearers: dict[str, Bearer] = {}
        self.scopes = ALL_SCOPES
        self._minted = 0

    def caller(self, request: TwinRequest) -> tuple[str, int, bool]:
        """(token, user, whether scopes bind it). Raises Refused (400, 401)."""
        if token := request.headers.get("x-api-token", ""):
            if token not in self.tokens:
                told = {"errorCode": 401, "error_info": "Please check developers.pipedrive.com"}
                body = {"success": False, "error": "unauthorized access", **told}
                raise Refused(401, body, {"x-401-by-gw": "true", "x-correlation-id": "twin"})
            return token, self.tokens[token], False
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer":
            raise Refused(400, {"success": False, "error": "Invalid request: malformed authorization header"})
        bearer = self.bearers.get(token)
        if bearer is None or bearer.expires <= self._clock.now():
            raise Refused(401, {"success": False, "error": "Invalid token: access_token is invalid"})
        return token, bearer.user, True

    def demand(self, scopes: frozenset[str]) -> None:
        """Raises Refused (403) unless one of the scopes is granted."""
        if scopes and not scopes & self.scopes:
            raise Refused(403, {"success": False, "error": "Scope and URL mismatch"})

    def oauth(self, request: TwinRequest, name: str) -> TwinResponse:
        """``/oauth/token`` and ``/oauth/revoke``."""
        form = dict(parse_qsl(request.body.decode()))
        if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            raise _denied("Invalid request: content must be application/x-www-form-urlencoded", "invalid_request")
        if _basic(request) != self._client:
            raise _denied("Invalid client: client credentials are invalid", "invalid_client")
        if name == "revoke":
            self.refresh.pop(form.get("token", ""), None)
            self.bearers.pop(form.get("token", ""), None)
            return TwinResponse(200, b"{}", JSON)
        if "grant_type" not in form:
            raise _denied("Missing parameter: grant_type", "invalid_request")
        if form["grant_type"] != "refresh_token":
            raise _denied("Unsupported grant type: only refresh_token is modelled", "unsupported_grant_type")
        now, refresh = self._clock.now(), form.get("refresh_token", "")
        if refresh not in self.refresh or self.refresh[refresh] <= now:
            raise _denied("Invalid grant: refresh_token is invalid", "invalid_grant")
        self.refresh[refresh] = now + REFRESH_LIFE
        self._minted += 1
        token = f"v1u:AQIA{self._minted:04}" + "x" * 760  # the vendor's grow, so that short columns break
        self.bearers[token] = Bearer(ROBOT, now + timedelta(seconds=self._life_s))
        scheme = "http" if request.host.rpartition(":")[0].strip("[]") in LOCAL or request.host in LOCAL else "https"
        told = {"access_token": token, "token_type": "Bearer", "expires_in": self._life_s - 1, "refresh_token": refresh}
        more = {"scope": ",".join(sorted(self.scopes)), "api_domain": f"{scheme}://{request.host}"}
        return TwinResponse(200, encode({**told, **more}), JSON)


def _denied(message: str, error: str) -> Refused:
    return Refused(400, {"success": False, "message": message, "error": error})


def _basic(request: TwinRequest) -> tuple[str, str]:
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    if scheme != "Basic":
        return "", ""
    name, _, secret = b64decode(told).decode().partition(":")
    return name, secret
