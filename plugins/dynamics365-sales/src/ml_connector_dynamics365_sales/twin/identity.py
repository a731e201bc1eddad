"""Entra ID in front of Dataverse: tokens by client credentials, for one resource at a time."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

from cryptography.x509 import Certificate

from ml_connector.twin import TwinClock, TwinRequest, TwinResponse
from ml_connector_dynamics365_sales.twin import certificates
from ml_connector_dynamics365_sales.twin.wire import answer


class Entra:
    """One tenant with one application, its secret, and its certificate if it has one."""

    def __init__(self, clock: TwinClock, tenant: str, client_id: str, client_secret: str, life_s: int = 3599) -> None:
        self._clock = clock
        self.tenant, self.client_id, self.client_secret, self.life_s = tenant, client_id, client_secret, life_s
        self.secret_expired = False
        self.certificate: Certificate | None = None
        self.tokens: dict[str, datetime] = {}
        self._serial = count(1)

    def admits(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        until = self.tokens.get(token)
        return scheme == "Bearer" and until is not None and self._clock.now() < until

    def answer(self, request: TwinRequest) -> TwinResponse:
        """``/{tenant}/oauth2/v2.0/token``."""
        if request.method != "POST":
            return self._error(
                400, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'."
            )
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        tenant = request.path.strip("/").partition("/")[0]
        if tenant != self.tenant:
            return self._error(400, "invalid_request", 90002, f"Tenant '{tenant[:36]}' not found.")
        if form.get("grant_type") != "client_credentials":
            return self._error(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        scope = form.get("scope", "")
        if not scope.endswith("/.default"):
            return self._error(400, "invalid_scope", 70011, f"The provided value for scope {scope[:80]} is not valid.")
        host = scope.removesuffix("/.default").partition("://")[2]
        if host != request.host and host != self.resource:
            return self._error(
                400, "invalid_resource", 500011, f"The resource principal named {host[:80]} was not found in the tenant."
            )
        if form.get("client_id") != self.client_id:
            return self._error(400, "unauthorized_client", 700016, "Application was not found in the directory.")
        if "client_secret" not in form and "client_assertion" not in form:
            return self._error(
                401, "invalid_client", 7000218, "The request body must contain 'client_assertion' or 'client_secret'."
            )
        if self.secret_expired:
            return self._error(401, "invalid_client", 7000222, "The provided client secret keys for app are expired.")
        if "client_assertion" in form:
            audiences = tuple(f"{scheme}://{request.host}{request.path}" for scheme in ("https", "http"))
            number, words = certificates.wrong(form, self.certificate, audiences, self._clock.now())
            if number:
                return self._error(401, "invalid_client", number, words)
        elif form.get("client_secret") != self.client_secret:
            return self._error(401, "invalid_client", 7000215, "Invalid client secret provided.")
        token = f"eyJ0.twin.{next(self._serial):06}"
        self.tokens[token] = self._clock.now() + timedelta(seconds=self.life_s)
        life = self.life_s
        return answer(200, {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token})

    resource = "org.crm4.dynamics.com"

    def _error(self, status: int, error: str, code: int, words: str) -> TwinResponse:
        stamp = f"{self._clock.now():%Y-%m-%d %H:%M:%S}Z"
        trace = "11111111-2222-4333-8444-555555555555"
        body: dict[str, Any] = {
            "error": error,
            "error_description": f"AADSTS{code}: {words} Trace ID: {trace} Correlation ID: {trace} Timestamp: {stamp}",
            "error_codes": [code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": trace,
        }
        return answer(status, body)
