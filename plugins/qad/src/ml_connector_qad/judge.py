"""The one table that turns QAD's failures into errors. Four envelopes: ``submitResult.errors[]``, top-level ``errors[]``,
OAuth's ``error``, and web pages. A refused write answers 200 and is judged where it was sent (``refusal``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from ml_connector.errors import ConnectorError, ContractBroken, RecordRejected, Throttled, Unavailable
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import Answer, Judge, TokenRefused, retry_after
from ml_connector_qad import convert
from ml_connector_qad.profile import WriteRules

STALE: Final = "stale"
"""``code`` of the RecordRejected for an outdated concurrencyHash."""
DUPLICATE: Final = "duplicate"
MISSING: Final = "not_found"
STACK: Final = "progress_stack"
"""``code`` of the Unavailable for a 500 with a stack of OpenEdge's: asked again, and then for good."""
_STACKS: Final = (b"progress.", b"openedge", b"stack trace", b".p at line", b"com.progress")
_QUOTED: Final = 300
_STACK_QUOTED: Final = 2048

_LOGIN: Final = "QAD answered with a web page (its log-in page?) instead of data"
_ROOT: Final = "Check base_url with its context root (/clouderp or /qad-central, and the environment behind it)"


def judge_for(clock: Clock, ended: Callable[[], None]) -> Judge:
    """The judge of one connection; ``ended`` is told when the server no longer knows the session."""

    def judge(answer: Answer) -> ConnectorError | None:
        status = answer.status
        html = "html" in answer.headers.get("content-type", "") or answer.body.lstrip()[:1] == b"<"
        after_s = retry_after(answer.headers, clock.now())
        if status == 401:
            ended()
            return TokenRefused(f"the session has ended: {said(answer)}", fix="Check user, password and client id", code="401")
        if status < 400 and html:
            ended()
            page = TokenRefused(_LOGIN, fix=_ROOT)
            page.unsure = True
            return page
        if status < 400 or status in (400, 404):
            return None
        if status == 403:
            return ContractBroken(
                f"the user may not do this: {said(answer)}",
                fix="Give the user's role this component in the domain, or take the kind out of the flows",
                code="403",
            )
        if status == 429:
            return Throttled(f"too many calls: {said(answer)}", after_s=after_s)
        if status == 408:
            return Unavailable("the server gave the request up (408)", after_s=after_s)
        if status >= 500:
            return _down(answer, after_s)
        return ContractBroken(f"unexpected answer {status}: {said(answer)}", code=str(status))

    return judge


def _down(answer: Answer, after_s: float | None) -> Unavailable:
    lowered = answer.body[:_STACK_QUOTED].lower()
    if answer.status == 500 and any(word in lowered for word in _STACKS):
        return Unavailable(f"the server failed: {answer.text(_STACK_QUOTED)}", after_s=after_s, code=STACK)
    return Unavailable(f"answered {answer.status}: {said(answer)}", after_s=after_s)


def said(answer: Answer) -> str:
    """The vendor's words in whichever envelope they came, else the beginning of the body."""
    try:
        told = convert.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return answer.text() or str(answer.status)
    if isinstance(told, Mapping):
        if isinstance(told.get("error"), str):
            return _short(f"{told['error']} {told.get('error_description', '')}")
        errors = told.get("errors")
        if isinstance(errors, list) and errors:
            return _short("; ".join(_message(each) for each in errors))
    return answer.text()


def refusal(errors: Sequence[Any], rules: WriteRules, where: str) -> RecordRejected:
    """What a write was refused for; ``code`` is STALE, DUPLICATE, MISSING or the vendor's, ``field`` QAD's name of the field.

    The words that tell the three apart are the installation's language, and so data.
    """
    told = [each for each in errors if isinstance(each, Mapping)]
    words = _short("; ".join(_message(each) for each in errors)) or "refused without a word"
    first: Mapping[str, Any] = told[0] if told else {}
    field, code = str(first.get("fieldName") or ""), str(first.get("code") or "")
    lowered = words.lower()
    if field == rules.hash_field or any(part.lower() in lowered for part in rules.stale_text):
        code = STALE
    elif any(part.lower() in lowered for part in rules.duplicate_text):
        code = DUPLICATE
    elif any(part.lower() in lowered for part in rules.not_found_text):
        code = MISSING if not field else code
    value = first.get("fieldValue")
    what = words if value in (None, "") else f"{words} ({field} = {_short(str(value))})"
    fix = ""
    if "mandatory" in lowered and field:
        fix = "QAD says this also of a code that the shared set does not have: check the value in its reference table"
    return RecordRejected(what, code=code or "REFUSED", field=field, fix=fix, where=where)


def _message(error: Any) -> str:
    return str(error.get("message") or "") if isinstance(error, Mapping) else str(error)


def _short(words: str) -> str:
    line = " ".join(words.split())
    return line if len(line) <= _QUOTED else line[: _QUOTED - 1] + "…"
