"""Zoho's error codes, each with what happens next: for a whole request (an error of ours) and for one record (an Outcome).

Codes come first, the status only where there is none: Zoho sends 200, 202 and 207 with failures inside and 400 for throttling.
Source: v8 pages of the single calls, get-records, insert-records, upsert-records, api-limits, notifications.
"""

import re
from collections.abc import Callable
from typing import Final

import msgspec

from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken, Throttled, Unavailable
from ml_connector.ports.sink import Conflict, Later, Outcome, Rejected, Unknown
from ml_connector_adapters.http import Answer, TokenRefused
from ml_connector_zoho_crm.wire import Decoders, Envelope, Result, version_of

CREDITS_LEFT: Final = "x-api-credits-remaining"
EXHAUSTED_S: Final = 900.0
"""Credits come back over a rolling day, so when none are left a quarter of an hour is the least that makes sense."""
LOCKED_S: Final = 120.0

TOKEN: Final = frozenset({"INVALID_TOKEN", "AUTHENTICATION_FAILURE", "INVALID_OAUTHTOKEN"})
SCOPE: Final = "OAUTH_SCOPE_MISMATCH"
RIGHTS: Final = frozenset({"NO_PERMISSION", "AUTHORIZATION_FAILED", "NOT_ALLOWED"})
BUSY: Final = frozenset({"TOO_MANY_REQUESTS", "RATE_LIMIT_EXCEEDED"})
DOWN: Final = frozenset({"INTERNAL_ERROR", "SERVICE_UNAVAILABLE", "DEPENDENT_SERVICE_ERROR", "REQUEST_TIMEOUT"})
ABSENT: Final = frozenset({"RESOURCE_NOT_FOUND", "NOT_FOUND", "NOT_SUBSCRIBED"})
WHOLE: Final = TOKEN | BUSY | DOWN | {SCOPE}
"""Codes that speak of the request even where Zoho wraps them in ``data[]``."""

_OPENINGS: Final = (b"{", b"PK")
"""How answers begin: JSON objects, and the ZIP of a bulk read."""
_FIELD: Final = re.compile(r"\$\.data\[\d+\]\.(\w+)")

_EDITION: Final = "Check the module's API name and that the organisation's edition has it (inventory needs Professional)"
_ADVICE: Final[dict[str, str]] = {
    "INVALID_MODULE": _EDITION,
    "NOT_SUPPORTED": _EDITION,
    "FEATURE_NOT_SUPPORTED": _EDITION,
    "API_NOT_SUPPORTED": _EDITION,
    "INVALID_URL_PATTERN": "Check api_version",
    "STORAGE_SPACE_EXCEEDED": "Free storage in Zoho CRM or buy more",
    "RECORD_IN_BLUEPRINT": "Finish the blueprint's transition in Zoho CRM, or take the field out of the blueprint",
    "NOT_APPROVED": "Approve or reject the record in Zoho CRM",
    "NOT_REVIEWED": "Finish the review in Zoho CRM",
    "CONVERTED_RECORD": "The record was converted in Zoho CRM and cannot be changed",
    "MANDATORY_NOT_FOUND": "Map the field, give it a value in create_defaults, or make it optional in the layout",
    "DUPLICATE_DATA": "Another record holds this value in a unique field; mend one of the two",
    "AUTHORIZATION_FAILED": "Give the integration user the right to change this record",
    "NO_PERMISSION": "Give the integration user's profile the right that Zoho names",
}


def judge(answer: Answer) -> ConnectorError | None:
    """The one table for whole requests. None for what a caller has to read: 2xx, 304, and results per record at 400 or 412."""
    if answer.status < 400:
        if answer.body and not answer.body.startswith(_OPENINGS):
            return Unavailable(f"A gateway answered in Zoho's place: {answer.text()}")
        return None
    envelope = _envelope(answer)
    items = envelope.items
    if items and answer.status in (400, 412) and items[0].code not in WHOLE:
        return None
    return request_error(answer, items[0] if items else envelope)


def _envelope(answer: Answer) -> Envelope:
    try:
        return Decoders.envelope.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Envelope(message=answer.text())


def request_error(answer: Answer, said: Result | None = None) -> ConnectorError:
    """The error of a refused request."""
    said = said or _envelope(answer)
    code, status = said.code, answer.status
    words = f"{said.message[:200] or 'no reason given'} ({code or status})"
    if code in TOKEN:
        return TokenRefused(f"Zoho does not take the access token: {words}", fix="Check accounts_server", code=code)
    if code == SCOPE:
        return AuthRejected(
            f"A scope is missing: {words}", fix="Consent anew with every scope that the plugin's README lists", code=code
        )
    if code in BUSY or status == 429:
        return Throttled(f"Too many calls: {words}", after_s=_wait(answer), code=code)
    if code in DOWN or status >= 500:
        return Unavailable(f"Zoho answered {status}: {words}", code=code)
    if code in RIGHTS or status == 403:
        need = said.details.permissions if said.details else None
        return ContractBroken(
            f"The integration user lacks a right: {words}" + (f", {need}" if need else ""),
            fix=_ADVICE["NO_PERMISSION"],
            code=code,
        )
    if status == 401:
        return TokenRefused(f"Zoho does not take the access token: {words}", fix="Check accounts_server", code=code)
    return ContractBroken(f"Zoho refused the request with {status}: {words}", fix=_ADVICE.get(code, ""), code=code)


def _wait(answer: Answer) -> float | None:
    told = answer.headers.get("retry-after", "")
    if told.isdigit():
        return float(told)
    return EXHAUSTED_S if answer.headers.get(CREDITS_LEFT) == "0" else None


def refusal(result: Result, canonical: Callable[[str], str]) -> Outcome:
    """One record's outcome from a result that is not a success. ``canonical`` turns an API name into our field path."""
    code, details = result.code, result.details
    members = details.errors if details and details.errors else None
    if code == "MULTIPLE_OR_MULTI_ERRORS" and members:
        return _worst([refusal(member, canonical) for member in members])
    if code == "ALREADY_MODIFIED":
        at = details.Modified_Time if details else None
        return Conflict(current=version_of(at) if at else "", id=result.id)
    if code == "RECORD_LOCKED":
        return Later(reason=_words(result), after_s=LOCKED_S)
    if code == "INTERNAL_ERROR":
        return Unknown(reason=_words(result))
    if code in BUSY or code in DOWN:
        return Later(reason=_words(result))
    if names_record(result):
        return Conflict(current=None)
    name = field_of(result)
    return Rejected(
        code=code or "ERROR", reason=_words(result), field=canonical(name) if name else "", fix=_ADVICE.get(code, "")
    )


def field_of(result: Result) -> str | None:
    """API name of the record's field at fault. A lookup's own ``api_name`` is "id"; the path says which lookup."""
    details = result.details
    if details is None:
        return None
    match = _FIELD.match(details.json_path or "")
    return match[1] if match else details.api_name


def names_record(result: Result) -> bool:
    """An INVALID_DATA about the record's own id: the record is not there (any more). A lookup's path ends in ``.id`` too."""
    details = result.details
    if result.code in ABSENT:
        return True
    if result.code != "INVALID_DATA" or details is None:
        return False
    path = details.json_path or ""
    if path:
        return path.endswith("].id") and path.count(".") == 2
    return details.api_name == "id" or (details.api_name is None and details.id is not None)


def _worst(outcomes: list[Outcome]) -> Outcome:
    order = (Rejected, Conflict, Unknown, Later)
    worst = min(outcomes, key=lambda outcome: order.index(type(outcome)))
    if isinstance(worst, Rejected):
        reasons = [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)]
        return msgspec.structs.replace(worst, reason="; ".join(reasons)[:400])
    return worst


def _words(result: Result) -> str:
    details = result.details
    said = [result.message[:200] or result.code]
    if details is not None:
        if details.api_name:
            said.append(f"field {details.api_name}")
        if details.maximum_length is not None:
            said.append(f"at most {details.maximum_length} characters")
        if details.expected_data_type is not None:
            said.append(f"expected {details.expected_data_type}")
        if details.layout_rule is not None:
            said.append("demanded by a layout rule")
    return ", ".join(said)
