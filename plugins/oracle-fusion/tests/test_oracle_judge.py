"""Oracle's refusals by status and code: in JSON, in plain text, in HTML, and as SOAP Faults."""

from datetime import UTC, datetime

import msgspec
import pytest

from ml_connector.errors import ContractBroken, RecordRejected, Throttled, Unavailable
from ml_connector.testing import ManualClock
from ml_connector_adapters.http import Answer, TokenRefused
from ml_connector_oracle_fusion import soap
from ml_connector_oracle_fusion.judge import Refused, judge_for

URL = "https://acme.fa.us2.oraclecloud.com/crmRestApi/resources/11.13.18.05/accounts/CDRM_481207"
ERROR = {
    "title": "Bad Request",
    "status": "400",
    "o:errorDetails": [
        {"detail": "You must enter a value for OrganizationName.", "o:errorCode": "27014", "o:errorPath": "/OrganizationName"},
        {"detail": "And another."},
    ],
}


def judged(status: int, body: bytes = b"", **headers: str) -> object:
    judge = judge_for(ManualClock(datetime(2026, 3, 2, tzinfo=UTC)), 'connection "oracle"')
    return judge(Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, URL))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b"{}", type(None)),
        (201, b"{}", type(None)),
        (304, b"", type(None)),
        (400, b"JBO-27014: Attribute OrganizationName is required", Refused),
        (401, b"<html>Sign in</html>", TokenRefused),
        (403, b"", ContractBroken),
        (404, b"", Refused),
        (405, b"", ContractBroken),
        (408, b"", Unavailable),
        (409, b"", Refused),
        (412, b"", Refused),
        (413, b"", Refused),
        (415, b"", ContractBroken),
        (429, b"", Throttled),
        (500, b"", Unavailable),
        (500, b"JBO-26041: Failed to post data to database", Refused),
        (500, b"<env:Envelope><env:Body><env:Fault/></env:Body></env:Envelope>", type(None)),
        (502, b"", Unavailable),
        (503, b"<html>maintenance</html>", Unavailable),
        (504, b"", Unavailable),
    ],
)
def test_each_status_means_what_happens_next(status: int, body: bytes, kind: type) -> None:
    assert type(judged(status, body)) is kind


def test_a_web_page_with_status_200_is_no_data() -> None:
    error = judged(200, b"<html>Sign in</html>", content_type="text/html")
    assert isinstance(error, TokenRefused)
    assert error.unsure


def test_a_structured_refusal_names_attribute_code_and_all_its_words() -> None:
    error = judged(400, msgspec.json.encode(ERROR), x_oracle_dms_ecid="005XYZ")
    assert isinstance(error, Refused)
    assert (error.code, error.field, error.status) == ("27014", "OrganizationName", 400)
    assert "OrganizationName. / And another." in error.what
    assert "ECID 005XYZ" in error.what


def test_a_code_may_stand_at_the_top_in_quotes() -> None:
    error = judged(400, msgspec.json.encode({"title": "Bad", "o:errorCode": '"GL-782245"'}))
    assert isinstance(error, Refused)
    assert error.code == "GL-782245"


def test_plain_text_gives_its_code_and_attribute() -> None:
    error = judged(400, b"JBO-27010: Attribute set with value for City failed. Attribute City too long")
    assert isinstance(error, Refused)
    assert (error.code, error.field) == ("JBO-27010", "City")


def test_an_unregistered_source_system_says_what_an_administrator_does() -> None:
    error = judged(400, msgspec.json.encode({"o:errorDetails": [{"detail": "No.", "o:errorCode": "HZ-120559"}]}))
    assert isinstance(error, Refused)
    assert "Manage Trading Community Source Systems" in error.fix


def test_an_error_names_the_resource_and_no_customers_key() -> None:
    error = judged(400, b"no")
    assert isinstance(error, RecordRejected)
    assert error.where == 'connection "oracle": accounts'


def test_a_stale_etag_comes_with_the_present_one() -> None:
    error = judged(412, b"", etag='"ACED2"')
    assert isinstance(error, Refused)
    assert (error.stale, error.etag) == (True, '"ACED2"')


def test_a_long_web_page_is_not_kept() -> None:
    error = judged(503, b"<html>" + b"x" * 100_000 + b"</html>")
    assert isinstance(error, Unavailable)
    assert len(error.what) < 500


def fault(code: str, inner: str) -> bytes:
    return (
        '<env:Envelope xmlns:env="http://schemas.xmlsoap.org/soap/envelope/"><env:Body><env:Fault><faultcode>env:Server</faultcode>'
        f"<faultstring>{code}</faultstring><detail><tns:ServiceErrorMessage xmlns:tns='http://xmlns.oracle.com/adf/svc/errors/'>"
        f"<tns:detail><tns:message>{inner}</tns:message><tns:attributeName>PartyId</tns:attributeName></tns:detail>"
        "</tns:ServiceErrorMessage></detail></env:Fault></env:Body></env:Envelope>"
    ).encode()


@pytest.mark.parametrize("status", [200, 500])
def test_a_fault_is_a_refusal_whatever_its_status(status: int) -> None:
    body = fault("JBO-27024: Failed to validate a row", "HZ_120421: The party has no party usage.")
    with pytest.raises(Refused) as raised:
        soap.values_of(Answer(status, {}, body, "u"), "here")
    assert (raised.value.code, raised.value.field) == ("HZ-120421", "PartyId")
    assert "usage CUSTOMER" in raised.value.fix


@pytest.mark.parametrize("body", [b"", b"<html>maintenance</html>", b"<a:Envelope xmlns:a='x'><broken></a:Envelope>"])
def test_what_is_no_soap_message_is_no_answer(body: bytes) -> None:
    with pytest.raises(ContractBroken, match="no SOAP message"):
        soap.values_of(Answer(200, {}, body, "u"), "here")


def test_declared_entities_are_never_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "boom">]><Envelope><Body><result><Value><N>&a;</N></Value></result></Body></Envelope>'
    with pytest.raises(ContractBroken):
        soap.values_of(Answer(200, {}, bomb, "u"), "here")
