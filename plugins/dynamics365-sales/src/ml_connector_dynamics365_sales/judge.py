"""Dataverse's errors, by one table: first the code, then the status. For whole requests and for parts of a batch alike."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken, RecordRejected, RetryLater, Throttled, Unavailable
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Conflict, Later, Outcome, Rejected, Unknown
from ml_connector_adapters.http import Answer, Judge, TokenRefused, retry_after

EXPIRED: Final = "0x80044352"
NO_SEGMENT: Final = "0x8006088a"
STALE: Final = ("0x80060882",)
DUPLICATE: Final = ("0x80060892", "0x80040237", "0x80040333")
MISSING: Final = ("0x80040217", "0x80060891")
THROTTLED: Final = ("0x80072321", "0x80072322", "0x80072326", "0x8005f103", "0x80060308")
BUSY: Final = ("0x80044151", "0x80040216")
RIGHTS: Final = ("0x80040220", "0x80048306")
MEMBERSHIP: Final = ("0x80072560", "0x80040225", "0x8004d24b")
RECORD: Final = ("0x80044331", "0x8004431a", "0x80040265", "0x80040227", "0x80048408")

STOPS: Final = (AuthRejected, ContractBroken, RetryLater)
"""What a call may end in that is no single record's fault."""

_ADVICE: Final[dict[str, str]] = {
    "0x80044331": "Shorten the text at its source, or lengthen the column in Dynamics",
    "0x8004431a": "Map the value to one of the column's choices",
    "0x80040265": "A plug-in of the environment refused it; its words say why",
    "0x80040333": "The environment's duplicate rules took it for another record; mend the record or the rule",
    "0x80048d19": "Check the columns that the settings name",
}
_FIELD: Final = re.compile(
    r"of the '(\w+)' attribute|required field '(\w+)'|The value of '(\w+)'|of '(\w+)' on record|property '(\w+)'"
)


_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Said(msgspec.Struct):
    code: str = ""
    message: str = ""


class _Envelope(msgspec.Struct):
    error: Said = msgspec.field(default_factory=Said)


_decoder: Final = msgspec.json.Decoder(_Envelope)


def said(body: bytes) -> Said:
    """Code (lower case, "" where Dataverse leaves it out) and words of a refusal."""
    try:
        told = _decoder.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Said()
    return Said(told.code.lower(), " ".join(told.message.split())[:300])


def judge_for(clock: Clock) -> Judge:
    """The judge of whole requests."""

    def judge(answer: Answer) -> ConnectorError | None:
        return whole(answer.status, answer.headers, answer.body, clock.now(), answer.text())

    return judge


def whole(status: int, headers: Mapping[str, str], body: bytes, now: datetime, text: str = "") -> ConnectorError | None:
    """The error of a request that was not fulfilled; None for what the caller has to read (2xx, refusals of a record)."""
    if status < 400:
        return None
    told = said(body)
    code, words = told.code, f"{told.message or text or 'no reason given'} ({told.code or status})"
    wait = retry_after(headers, now)
    if status == 401:
        return TokenRefused("Dynamics does not take the access token", fix="Check org_url and the application user", code="401")
    if status == 429 or code in THROTTLED:
        return Throttled(f"Service protection: {words}", after_s=wait, code=code)
    if code in MEMBERSHIP:
        fix = "Make an enabled application user for client_id in this environment, with a security role"
        return AuthRejected(f"Not a member of the environment: {words}", fix=fix, code=code)
    if code in RIGHTS or status == 403:
        return ContractBroken(
            f"A privilege is missing: {words}", fix="Give it to the application user's security role", code=code
        )
    if code in RECORD or code in DUPLICATE or code in STALE or code in MISSING:
        return None
    if code in BUSY or (status >= 500 and status != 501):
        return Unavailable(f"Dynamics answered {status}: {words}", after_s=wait, code=code)
    if status in (400, 405, 412, 404, 413) and code != NO_SEGMENT:
        return None
    return ContractBroken(f"Dynamics refused the request with {status}: {words}", fix=_ADVICE.get(code, ""), code=code)


def unexpected(status: int, body: bytes) -> ConnectorError:
    """A refusal where no record is at fault: a read, a metadata call."""
    told = said(body)
    words = f"{told.message or 'no reason given'} ({told.code or status})"
    return ContractBroken(
        f"Dynamics refused the request with {status}: {words}", fix=_ADVICE.get(told.code, ""), code=told.code
    )


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    canonical: Callable[[str], str],
    record_id: str | None,
) -> Outcome | ConnectorError:
    """What a refused write of one record means. An error where the connection is at fault and not the record.

    ``Conflict(current="")`` stands for a stale version: the caller asks for the present one. A record that does not exist is
    ours only if it has our id: a lookup may be bound to one that is gone.
    """
    told, error = said(body), whole(status, headers, body, now)
    if isinstance(error, Throttled):
        return Later(reason=error.what, after_s=error.after_s)
    if isinstance(error, RetryLater):
        return Unknown(reason=error.what)
    if error is not None:
        return error
    named = _ID.findall(told.message.lower())
    if told.code in MISSING and record_id is not None and (not named or record_id.lower() in named):
        return Conflict(current=None)
    if told.code in STALE or (status == 412 and told.code not in DUPLICATE):
        return Conflict(current="")
    match = _FIELD.search(told.message)
    name = next((group for group in match.groups() if group), "") if match else ""
    return Rejected(
        code=told.code or str(status),
        reason=told.message or f"refused with {status}",
        field=canonical(name) if name else "",
        fix=_ADVICE.get(told.code, ""),
    )


def rejected(error: RecordRejected) -> Rejected:
    """The outcome of what our own checks refuse."""
    return Rejected(code=error.code or "INVALID", reason=error.what, field=error.field, fix=error.fix)
