"""Pipedrive's answers, each with what happens next: an error of ours, or None where the caller shall read the answer.

Two kinds of 429: the burst is waited for; a spent daily budget stays spent until the server's midnight, whatever Retry-After
says. A 403 without JSON is Cloudflare's wall for those who did not listen.
Source: core-api-concepts-rate-limiting, core-api-concepts-http-status-codes.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken, Throttled, Unavailable
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import Answer, Judge, TokenRefused, retry_after

TOKENS_LEFT: Final = "x-daily-ratelimit-token-remaining"
WALL_S: Final = 300.0
_SPENT: Final = (TOKENS_LEFT, "x-daily-requests-left")
_BURST_S: Final = 2.0
_PLACE: Final = re.compile(r"Validation failed: ([\w.]+):")


class Refusal(ContractBroken):
    """The vendor says no to this call: ``status``, its ``code`` and words. A sink makes an outcome of it."""

    def __init__(self, what: str, *, status: int, code: str, fix: str = "", place: str = "") -> None:
        super().__init__(what, code=code, fix=fix)
        self.status, self.place = status, place

    @property
    def absent(self) -> bool:
        return self.status in (404, 410)

    @property
    def missing_right(self) -> bool:
        """The token works, but not for this."""
        return self.status == 403


class _Said(msgspec.Struct):
    success: bool = True
    error: Any = None
    error_info: Any = None
    message: Any = None
    code: Any = None
    errorCode: Any = None
    errors: Any = None


_decoder: Final = msgspec.json.Decoder(_Said)


def judge(clock: Clock, reset_hour_utc: int) -> Judge:
    """The one table. ``reset_hour_utc``: when the server's day begins."""

    def judged(answer: Answer) -> ConnectorError | None:
        if answer.status == 429:
            return _throttled(answer, clock.now(), reset_hour_utc)
        if answer.status >= 500 and answer.status != 501:
            return Unavailable(
                f"Pipedrive answered {answer.status}: {answer.text()}", after_s=retry_after(answer.headers, clock.now())
            )
        said = _said(answer)
        if said is None:
            if answer.status == 403:
                return Throttled("Cloudflare blocks us after too many calls", after_s=WALL_S, code="BLOCKED")
            return Unavailable(f"a gateway answered in Pipedrive's place ({answer.status}): {answer.text()}")
        if answer.status < 400:
            return None if said.success else Unavailable(f"Pipedrive answered {answer.status} without success: {answer.text()}")
        known = _ERRORS.get(answer.status)
        return known(words_of(said)) if known else None

    return judged


def refusal(answer: Answer) -> Refusal:
    """What a 4xx that the judge let pass says."""
    said = _said(answer) or _Said()
    words = words_of(said)
    code = str(said.code or said.errorCode or answer.status)
    fix = _ADVICE.get(answer.status, "")
    if code.startswith("feature_capping"):
        fix = "The company's plan takes no more of these: free some, or change the plan"
    match = _PLACE.match(words)
    return Refusal(words, status=answer.status, code=code, fix=fix, place=match[1] if match else "")


def words_of(said: _Said) -> str:
    """The vendor's words, in whichever of its envelopes they came."""
    if isinstance(said.errors, dict):
        return "; ".join(
            f"{name}: {' '.join(map(str, told)) if isinstance(told, list) else told}" for name, told in said.errors.items()
        )[:300]
    told = said.error or said.message or "no reason given"
    return " ".join(f"{told} {said.error_info or ''}".split())[:300]


def _said(answer: Answer) -> _Said | None:
    try:
        return _decoder.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _throttled(answer: Answer, now: datetime, reset_hour_utc: int) -> Throttled:
    if any(answer.headers.get(name) == "0" for name in _SPENT):
        midnight = now.replace(hour=reset_hour_utc, minute=0, second=0, microsecond=0)
        if midnight <= now:
            midnight += timedelta(days=1)
        return Throttled(
            "the company's API tokens of the day are used up",
            after_s=(midnight - now).total_seconds(),
            code="BUDGET",
            fix="It goes on by itself when the day ends at Pipedrive; read less often, or buy tokens, if this returns",
        )
    told = answer.headers.get("x-ratelimit-reset", "")
    waits = (retry_after(answer.headers, now), float(told) if told.replace(".", "", 1).isdigit() else None, _BURST_S)
    return Throttled("too many calls in two seconds", after_s=max(wait for wait in waits if wait is not None), code="BURST")


def _scope(words: str) -> ConnectorError | None:
    if "scope" not in words.lower():
        return None
    return AuthRejected(
        f"A scope is missing: {words}", fix="Give the app the scopes that the README lists and install it anew", code="SCOPE"
    )


_ERRORS: Final[dict[int, Callable[[str], ConnectorError | None]]] = {
    401: lambda words: TokenRefused(
        f"Pipedrive does not take the token: {words}",
        fix="Store the API token that the user's settings show now, or install the app anew",
        code="TOKEN",
    ),
    402: lambda words: AuthRejected(
        f"the company's account is not open: {words}", fix="See Pipedrive's billing settings", code="ACCOUNT"
    ),
    403: _scope,
}
_ADVICE: Final = {
    403: "Give the connector's user the right, or the app the scope, that this needs",
    422: "Delete webhooks that nobody needs any more: a user may have 40",
}
