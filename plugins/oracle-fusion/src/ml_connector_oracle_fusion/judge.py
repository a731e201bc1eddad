"""The one table that turns Oracle's failures into ours, by status and code, never by wording: texts follow the user's language.

Oracle, Sales REST: "Set the REST Framework Version" (structured errors from 4 on, plain text before), "verify your resource
using the ETag value" (412). Bodies may also be HTML of the front proxy.
"""

import re
from datetime import datetime
from typing import Any, Final

import msgspec

from ml_connector.errors import ConnectorError, ContractBroken, RecordRejected, Throttled, Unavailable
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import Answer, Judge, TokenRefused, retry_after

QUOTED: Final = 300
DUPLICATE: Final = frozenset({"JBO-25013", "25013", "FND_CMN_RCRD_VAL"})
MOVED: Final = frozenset({"JBO-25014", "25014"})
ADVICE: Final[dict[str, str]] = {
    "HZ-120559": "Register source_system in Oracle: Setup, Manage Trading Community Source Systems",
    "HZ-120421": "Give the party the usage CUSTOMER in Oracle; it was made without one",
    "27521": "Oracle could not read what was sent; please report this",
}
_JBO: Final = re.compile(r"\b(?:JBO-\d{4,6}|ORA-\d{4,6}|HZ[-_]\d{5,7}|FND_CMN_RCRD_\w+)")
_ATTRIBUTE: Final = re.compile(r"[Aa]ttribute ([A-Z]\w+)|value for ([A-Z]\w+)|\(([A-Z]\w+)\)")
_FAULT: Final = re.compile(rb"<(?:\w+:)?Fault[\s/>]")


class Detail(msgspec.Struct, frozen=True):
    """One thing that Oracle found wrong."""

    words: str
    code: str = ""
    path: str = ""


class Refused(RecordRejected):
    """Oracle did not do it, and nothing was done. ``status`` is HTTP's, ``etag`` the present one where a 412 tells it."""

    def __init__(
        self, what: str, *, status: int, code: str = "", field: str = "", fix: str = "", where: str = "", etag: str = ""
    ) -> None:
        super().__init__(what, fix=fix, where=where, code=code, field=field)
        self.status, self.etag = status, etag

    @property
    def stale(self) -> bool:
        return self.status in (409, 412) or self.code in MOVED

    @property
    def names_version(self) -> bool:
        """The resource does not serve the framework version that was asked for."""
        return self.status in (400, 406) and "framework" in self.what.lower() and "version" in self.what.lower()


def judge_for(clock: Clock, where: str) -> Judge:
    """The judge of one connection; ``where`` names it in errors."""

    def judge(answer: Answer) -> ConnectorError | None:
        error = _judged(answer, clock.now())
        if error is not None:
            error.where = f"{where}: {_resource(answer.url)}"
        return error

    return judge


def _judged(answer: Answer, now: datetime) -> ConnectorError | None:
    status = answer.status
    html = "html" in answer.headers.get("content-type", "").lower()
    if 200 <= status < 300:
        if not html:
            return None
        page = TokenRefused("Oracle answered with a web page (a sign-in page?) instead of data", fix="Check base_url")
        page.unsure = True
        return page
    if status < 400 or (status == 500 and is_fault(answer.body)):
        return None  # 304, redirects, and SOAP's refusals, which the caller reads
    details = details_of(answer.body) if not html else ()
    said = words_of(answer, details)
    code = next((detail.code for detail in details if detail.code), "") or _code_in(said)
    after_s = retry_after(answer.headers, now)
    if status == 401:
        return TokenRefused(
            "Oracle does not take the credentials",
            fix="Check that the client is registered in the pod's own identity domain, or that user and password still hold",
            code="401",
        )
    if status == 403:
        return ContractBroken(
            f"the integration user may not do this: {said}",
            fix="Give the integration user a role with this privilege; ml-connector ping names what is missing",
            code="403",
        )
    if status == 429:
        return Throttled(f"Oracle had too many requests: {said}", after_s=after_s, code="429")
    if status in (405, 415) or (status == 406 and "version" not in said.lower()):
        return ContractBroken(f"Oracle does not offer this: {said}", fix="Check path_version and the roots", code=str(status))
    if status == 408 or (status >= 500 and not (status == 500 and _JBO.search(said))):
        return Unavailable(said, after_s=after_s, code=str(status))
    path = next((detail.path for detail in details if detail.path), "")
    return Refused(
        said,
        status=status,
        code=code or str(status),
        field=path.strip("/").rpartition("/")[2] or attribute_in(said),
        fix=ADVICE.get(code, ""),
        etag=answer.headers.get("etag", ""),
    )


def not_served(error: Refused) -> ContractBroken:
    """404 where nothing was asked for by key: no record is at fault."""
    fix = "Check path_version, the roots and paths, and the integration user's roles: Oracle hides what they do not open"
    return ContractBroken(error.what, fix=fix, where=error.where, code=str(error.status))


def details_of(body: bytes) -> tuple[Detail, ...]:
    """What a structured error says; empty for text and HTML."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    if not isinstance(told, dict):
        return ()
    listed = told.get("o:errorDetails")
    rows = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    top = str(told.get("o:errorCode") or "").strip('"')
    found = [
        Detail(_text(row.get("detail") or row.get("title")), _code(row, top), _text(row.get("o:errorPath"))) for row in rows
    ]
    return tuple(found) or (Detail(_text(told.get("detail") or told.get("title")), top),)


def words_of(answer: Answer, details: tuple[Detail, ...]) -> str:
    """Oracle's own words, shortened, and its correlation id, which its support asks for."""
    words = " / ".join(dict.fromkeys(detail.words for detail in details if detail.words)) or answer.text(QUOTED)
    ecid = answer.headers.get("x-oracle-dms-ecid", "")[:80]
    return f"HTTP {answer.status}: {words[:QUOTED] or 'no reason given'}{f' (ECID {ecid})' if ecid else ''}"


def is_fault(body: bytes) -> bool:
    """Whether a SOAP Fault stands in the body."""
    return _FAULT.search(body[:20_000]) is not None


def attribute_in(said: str) -> str:
    """The attribute that the words blame, "" where they name none."""
    found = _ATTRIBUTE.search(said)
    return next(filter(None, found.groups())) if found else ""


def _code(row: dict[str, Any], top: str) -> str:
    return str(row.get("o:errorCode") or top).strip('"')


def _code_in(said: str) -> str:
    found = _JBO.search(said)
    return found[0] if found else ""


def _text(value: object) -> str:
    return " ".join(str(value).split())[:QUOTED] if value else ""


def _resource(url: str) -> str:
    """The resource's name, without keys: they may be a customer's."""
    parts = url.partition("/resources/")[2].split("/")
    return parts[1] if len(parts) > 1 else url.rpartition("/")[2]
