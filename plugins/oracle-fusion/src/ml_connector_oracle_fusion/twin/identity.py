"""The pod's identity domain, and who may pass: bearer tokens of this domain, or user and password.

OCI IAM: ``POST /oauth2/v1/token``; a client-credentials answer has no refresh token.
"""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from ml_connector.twin import TwinClock, TwinRequest, TwinResponse

PATH: Final = "/oauth2/v1/token"
JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT_CLIENT: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AUDIENCE: Final = "https://identity.oraclecloud.com/"


class Identity:
    """One domain with one confidential client and one local user."""

    def __init__(self, clock: TwinClock, *, client_id: str, client_secret: str, scope: str, user: str, password: str) -> None:
        self.client_id, self.client_secret, self.scope = client_id, client_secret, scope
        self.user, self.password = user, password
        self.life_s = 3600
        self.public_key: Any = None  # of the certificate that is registered on the client
        self.key_id = "fusion-twin"
        self.minted = 0
        self._clock = clock
        self._living: dict[str, datetime] = {}

    def forget(self) -> None:
        """Every access token issued so far stops working."""
        self._living.clear()

    def admits(self, authorization: str) -> bool:
        scheme, _, told = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self._living.get(told, datetime.min.replace(tzinfo=UTC)) > self._clock.now()
        if scheme.lower() == "basic":
            return _pair(told) == (self.user, self.password)
        return False

    def answer(self, request: TwinRequest) -> TwinResponse:
        if request.method != "POST":
            return TwinResponse(405)
        if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
            return _error(400, "invalid_request", "The content type is not supported.")
        form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        scheme, _, told = request.headers.get("authorization", "").partition(" ")
        client = _pair(told) if scheme.lower() == "basic" else ("", "")
        proven = (unquote(client[0]), unquote(client[1])) == (self.client_id, self.client_secret)
        if form.get("client_assertion_type") == JWT_CLIENT:
            proven = form.get("client_id") == self.client_id and self._signed(form.get("client_assertion", ""), self.client_id)
        if not proven:
            return _error(401, "invalid_client", "Client authentication failed.")
        grant = form.get("grant_type")
        if grant not in ("client_credentials", JWT_GRANT):
            return _error(400, "unsupported_grant_type", "The grant type is not supported.")
        if form.get("scope") != self.scope:
            return _error(400, "invalid_scope", "The scope is not allowed for this client.")
        if grant == JWT_GRANT and not self._signed(form.get("assertion", ""), self.user):
            return _error(400, "invalid_grant", "The assertion is not valid.")
        self.minted += 1
        token = f"eyJ4NXQjUzI1NiI6.{self.minted:08d}." + base64.urlsafe_b64encode(
            f"twin {self.minted}".encode()
        ).decode().rstrip("=")
        self._living[token] = self._clock.now() + timedelta(seconds=self.life_s)
        body = {"access_token": token, "token_type": "Bearer", "expires_in": self.life_s}
        return TwinResponse(200, msgspec.json.encode(body), {"content-type": "application/json"})

    def _signed(self, assertion: str, subject: str) -> bool:
        """Whether the client's key signed it, and the claims are in order."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        parts = assertion.split(".")
        if len(parts) != 3 or self.public_key is None:
            return False
        try:
            header, claims = (msgspec.json.decode(_unb64(part), type=dict[str, Any]) for part in parts[:2])
            self.public_key.verify(_unb64(parts[2]), f"{parts[0]}.{parts[1]}".encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError, msgspec.DecodeError):
            return False
        now = self._clock.now().timestamp()
        return (
            header.get("alg") == "RS256"
            and header.get("kid") == self.key_id
            and claims.get("iss") == self.client_id
            and claims.get("sub") == subject
            and AUDIENCE in claims.get("aud", ())
            and bool(claims.get("jti"))
            and claims.get("iat", now + 1) <= now < claims.get("exp", 0)
        )


def _pair(encoded: str) -> tuple[str, str]:
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return name, secret


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _error(status: int, error: str, words: str) -> TwinResponse:
    body = msgspec.json.encode({"error": error, "error_description": words})
    return TwinResponse(status, body, {"content-type": "application/json"})
