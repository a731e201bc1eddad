"""Log-in: OAuth's password and refresh grants, sessions that end by age, idleness or licence, accounts that lock."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from ml_connector.twin import TwinClock, TwinRequest, TwinResponse
from ml_connector_qad.twin.answers import json
from ml_connector_qad.twin.installation import Installation

LOCKED_AFTER = 5
"""Failures in a row after which an account is locked."""


class Session:
    def __init__(self, begun: datetime, lives_until: datetime) -> None:
        self.begun, self.used, self.lives_until = begun, begun, lives_until


class Identity:
    """One user of the installation."""

    def __init__(self, installation: Installation, clock: TwinClock, *, username: str, password: str, client_id: str) -> None:
        self._installation, self._clock = installation, clock
        self.username, self.password, self.client_id = username, password, client_id
        self.enabled, self.failures = True, 0
        self.sessions: dict[str, Session] = {}
        self.refreshers: dict[str, str] = {}  # refresh token → access token
        self._issued = 0

    @property
    def locked(self) -> bool:
        return self.failures >= LOCKED_AFTER

    def answer(self, request: TwinRequest) -> TwinResponse:
        """The token endpoint."""
        if request.method != "POST":
            return json(405, {"error": "invalid_request", "error_description": "POST only"})
        by_query = self._installation.placement == "query"
        fields = dict(parse_qsl(request.query if by_query else request.body.decode("utf-8", "replace")))
        if not by_query and "application/x-www-form-urlencoded" not in request.headers.get("content-type", ""):
            fields = {}
        if fields.get("client_id") != self.client_id:
            return json(400, {"error": "invalid_client", "error_description": "Client ID is not known"})
        match fields.get("grant_type"):
            case "password":
                return self._by_password(fields)
            case "refresh_token":
                return self._by_refresh(fields)
        return json(400, {"error": "unsupported_grant_type", "error_description": "Missing grant type"})

    def admits(self, authorization: str) -> bool:
        """Whether the header names a living session, which lives on by being used."""
        scheme, _, value = authorization.partition(" ")
        if scheme == "Basic" and self._installation.basic:
            return self.enabled and value == b64encode(f"{self.username}:{self.password}".encode()).decode()
        session = self.sessions.get(value) if scheme.lower() == "bearer" else None
        if session is None:
            return False
        now, rules = self._clock.now(), self._installation
        ended = (
            now >= session.lives_until
            or now - session.begun >= timedelta(minutes=rules.session_minutes)
            or now - session.used >= timedelta(minutes=rules.idle_minutes)
        )
        if ended:
            self.sessions.pop(value)
            return False
        session.used = now
        return True

    def forget(self) -> None:
        """Every session ends."""
        self.sessions.clear()
        self.refreshers.clear()

    def control(self) -> dict[str, Any]:
        rules = self._installation
        told = {"clientId": self.client_id, "sessionLength": rules.session_minutes, "timeoutMinutes": rules.idle_minutes}
        return {"data": {"securityControls": [told]}}

    def _by_password(self, fields: Mapping[str, str]) -> TwinResponse:
        right = (fields.get("username"), fields.get("password")) == (self.username, self.password)
        if not right or not self.enabled or self.locked:
            self.failures += not right
            words = "User account is locked" if self.locked else "Bad credentials"
            return json(400, {"error": "invalid_grant", "error_description": words})
        self.failures = 0
        return self._begin()

    def _by_refresh(self, fields: Mapping[str, str]) -> TwinResponse:
        access = self.refreshers.pop(fields.get("refresh_token", ""), None)
        if access is None or not self.enabled:
            return json(400, {"error": "invalid_grant", "error_description": "Invalid refresh token"})
        self.sessions.pop(access, None)
        return self._begin()

    def _begin(self) -> TwinResponse:
        """Another session; with it the oldest beyond the licence ends."""
        rules, now = self._installation, self._clock.now()
        self._issued += 1
        access, refresh = f"qad-session-{self._issued:04d}", f"qad-refresh-{self._issued:04d}"
        life = rules.expires_in if rules.expires_in is not None else rules.session_minutes * 60
        self.sessions[access] = Session(now, now + timedelta(seconds=life))
        self.refreshers[refresh] = access
        while len(self.sessions) > rules.sessions:
            self.sessions.pop(next(iter(self.sessions)))
        told: dict[str, Any] = {"access_token": access, "refresh_token": refresh}
        if rules.expires_in is not None:
            told |= {"token_type": "bearer", "expires_in": rules.expires_in}
        return json(200, told)
