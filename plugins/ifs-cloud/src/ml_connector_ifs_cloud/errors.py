"""The one table that turns IFS Cloud's failures into ours: known codes first, then the status, then parts of the text.

The documented list of statuses lacks 401, 412, 428 and 429, a business rule may answer 500, and a proxy may answer HTML to
anything; hence that order.
"""

import re
from typing import Final

import msgspec

from ml_connector.errors import ConnectorError, ContractBroken, RecordRejected, Throttled, Unavailable
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import Answer, Judge, TokenRefused, retry_after
from ml_connector_ifs_cloud.settings import IfsCloudSettings

STALE: Final = "stale"
"""``code`` of the RecordRejected for an outdated ETag."""
DUPLICATE: Final = "duplicate"
"""``code`` of the RecordRejected for a key that is taken."""
REFRESHING: Final = "MI_MODIFIED_ERROR"
LOCKED: Final = "FND_LOCKED"
METADATA_REFRESH_S: Final = 1.5
"""How long the metadata cache of an environment takes to settle after a deployment, going by the vendor's advice to retry."""


class NotServed(ContractBroken):
    """The service itself is not there: not deployed, on another gateway, or not granted. The next alias may be."""


class NotFound(ContractBroken):
    """The service is there, this set, navigation or record is not."""


class _Detail(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None


class _Error(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None
    details: list[_Detail] | None = None


class _Envelope(msgspec.Struct):
    error: _Error | None = None


_decoder: Final = msgspec.json.Decoder(_Envelope)
_SERVICE: Final = re.compile(r"(?P<root>/[^?]*?)/(?P<projection>\w+)\.svc")
_RAISED: Final = re.compile(r"(?:ORA-)?20\d{3}\b")
_COLUMN: Final = re.compile(r"Field \[(\w+)\]|\.\"(\w+)\" \(actual|property '(\w+)'", re.IGNORECASE)
_MALFORMED: Final = re.compile(r"ODP_|property .* not defined", re.IGNORECASE)
_QUOTED: Final = 300


def judge_for(settings: IfsCloudSettings, where: str, clock: Clock) -> Judge:
    """The judge of one connection; ``where`` names it in errors."""
    gateways = {path: name for name, path in settings.gateways.items()}
    texts = settings.error_text_patterns

    def place(answer: Answer) -> str:
        found = _SERVICE.search(answer.url)
        if found is None:
            return where
        gateway = next((name for path, name in gateways.items() if found["root"].endswith(path)), found["root"])
        return f"{where}: {found['projection']} on gateway {gateway}"

    def judge(answer: Answer) -> ConnectorError | None:
        status = answer.status
        html = "text/html" in answer.headers.get("content-type", "").lower()
        if status == 304 or (200 <= status < 300 and not html):
            return None
        at = place(answer)
        error = _error(answer)
        code = str(error.code or "")
        said = _said(answer, error)
        text = said.lower()
        after_s = retry_after(answer.headers, clock.now())

        if code == REFRESHING:
            return Unavailable(said, after_s=after_s or METADATA_REFRESH_S, untouched=True, where=at, code=code)
        if code == LOCKED or status == 423:
            return Unavailable(said, after_s=after_s, untouched=True, where=at, code=code or LOCKED)
        if code == "ODP_MISSING_PRECONDITION":
            return ContractBroken(said, fix="A write left without If-Match; please report this", where=at, code=code)
        if code == "ODP_DESERIALIZATION_ERROR":
            return RecordRejected(said, fix="IFS could not read what was sent: wrong type or property", where=at, code=code)
        if code == "ODP_NOT_IMPLEMENTED":
            return ContractBroken(said, fix="The projection does not support this query", where=at, code=code)
        if rule := _rule(error):
            return _refusal(text, said, at, rule)

        if status == 401:
            return TokenRefused(
                said, fix="Check that the client's service account is enabled and linked to an IFS user", where=at, code=code
            )
        if status < 400:
            page = TokenRefused(
                "IFS answered with a web page (a login page?) instead of data",
                fix="Check base_url, realm and gateways",
                where=at,
            )
            page.unsure = True
            return page
        if status == 403:
            return ContractBroken(
                f"the API user may not do this: {said}",
                fix="Grant the projection to a permission set of the service user, or correct the gateway",
                where=at,
                code=code,
            )
        if status == 404:
            return _missing(html, text, said, at, code)
        if status == 405:
            return ContractBroken(said, fix="The projection does not allow this method here", where=at, code=code)
        if status == 409:
            return RecordRejected(said, where=at, code=DUPLICATE)
        if status == 412:
            return RecordRejected(said, where=at, code=STALE)
        if status == 428:
            return ContractBroken(said, fix="A write left without If-Match; please report this", where=at, code=code)
        if status == 429:
            return Throttled(said, after_s=after_s, where=at, code=code)
        if status == 501:
            return ContractBroken(said, fix="The projection does not support this query", where=at, code=code)
        if status in (400, 500) and (judged := _by_text(text, said, at, code)):
            return judged
        if status == 408 or status >= 500:
            return Unavailable(said, after_s=after_s, where=at, code=code)
        if _MALFORMED.search(f"{code} {said}") or error.code is None:
            return ContractBroken(
                said,
                fix="Compare the configured properties with $metadata: ml-connector ping names the ones that are missing",
                where=at,
                code=code,
            )
        return RecordRejected(said, where=at, code=code)

    def _by_text(text: str, said: str, at: str, code: str) -> ConnectorError | None:
        if any(part.lower() in text for part in texts.retryable):
            return Unavailable(said, untouched=True, where=at, code=code or LOCKED)
        if any(part.lower() in text for part in texts.conflict):
            return RecordRejected(said, where=at, code=STALE)
        if any(part.lower() in text for part in texts.duplicate):
            return RecordRejected(said, where=at, code=DUPLICATE)
        return None

    def _refusal(text: str, said: str, at: str, rule: str) -> ConnectorError:
        """A business rule said no: never an outage, whatever the status."""
        return _by_text(text, said, at, rule) or RecordRejected(said, where=at, code=rule)

    return judge


def in_use(error: ConnectorError) -> bool:
    """Whether IFS refused because somebody has the record open, which is that record's trouble and no outage."""
    return isinstance(error, Unavailable) and error.untouched and error.code not in ("", REFRESHING)


def property_of(said: str) -> str:
    """What the vendor's words blame, in capitals without underscores (``CUSTOMERPONO``); "" where they name nothing."""
    found = _COLUMN.search(said)
    return next(filter(None, found.groups())).replace("_", "").upper() if found else ""


def _missing(html: bool, text: str, said: str, at: str, code: str) -> ContractBroken:
    if html or "metadata not found" in text:
        return NotServed(
            f"the service is not there: {said}",
            fix="Check that the projection is deployed, served by this gateway and granted to the service user",
            where=at,
            code=code,
        )
    return NotFound(said, fix="Check the configured names of sets and navigations", where=at, code=code)


def _error(answer: Answer) -> _Error:
    try:
        return _decoder.decode(answer.body).error or _Error()
    except msgspec.DecodeError:
        return _Error()


def _rule(error: _Error) -> str:
    """The code of the database rule that refused, "" when none did."""
    codes = [str(detail.code or "") for detail in error.details or ()]
    raised = next((code for code in codes if _RAISED.search(code)), "")
    if raised or str(error.code or "") == "DATABASE_ERROR":
        return raised or next((code for code in codes if code), "DATABASE_ERROR")
    return str(error.code) if _RAISED.search(str(error.code or "")) else ""


def _said(answer: Answer, error: _Error) -> str:
    """The vendor's own words, shortened; the details say more than the message does."""
    parts = [error.message, *(detail.message for detail in error.details or ())]
    words = " / ".join(dict.fromkeys(" ".join(part.split()) for part in parts if part))
    if not words:
        words = answer.text()
    return f"HTTP {answer.status}: {words[:_QUOTED]}" if words else f"HTTP {answer.status} without a word"
