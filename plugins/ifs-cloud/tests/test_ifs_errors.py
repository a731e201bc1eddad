"""One table decides what happens after a failure: codes first, then statuses, then parts of the text."""

import msgspec
import pytest

from ml_connector.errors import ContractBroken, RecordRejected, RetryLater, Throttled, Unavailable
from ml_connector.testing import ManualClock
from ml_connector_adapters.http import Answer, TokenRefused
from ml_connector_ifs_cloud.errors import NotFound, NotServed, judge_for

URL = "https://acme.ifs.cloud/main/ifsapplications/projection/v1/CustomerHandling.svc/CustomerInfoSet"


@pytest.fixture
def judged(settings):
    judge = judge_for(settings(), 'connection "erp"', ManualClock())

    def ask(status, code=None, message="It went wrong.", *details, html=False, **headers):
        error = {"message": message, "details": [{"code": one, "message": text} for one, text in details]}
        body = {"error": error | ({"code": code} if code else {})}
        kind = "text/html" if html else "application/json;odata.metadata=minimal"
        raw = b"<html>Sign in</html>" if html else msgspec.json.encode(body)
        return judge(Answer(status, {"content-type": kind, **headers}, raw, URL))

    return ask


@pytest.mark.parametrize(
    ("status", "code", "kind", "untouched"),
    [
        (503, "MI_MODIFIED_ERROR", Unavailable, True),
        (500, "MI_MODIFIED_ERROR", Unavailable, True),
        (423, "FND_LOCKED", Unavailable, True),
        (400, "FND_LOCKED", Unavailable, True),
        (423, None, Unavailable, True),
        (428, "ODP_MISSING_PRECONDITION", ContractBroken, None),
        (400, "ODP_DESERIALIZATION_ERROR", RecordRejected, None),
        (501, "ODP_NOT_IMPLEMENTED", ContractBroken, None),
        (400, "ODP_REQUEST_URI", ContractBroken, None),
        (400, "CUSTOMER_EXISTS", RecordRejected, None),
        (401, None, TokenRefused, None),
        (403, "ODP_FORBIDDEN", ContractBroken, None),
        (404, "ODP_RESOURCE_NOTFOUND", NotFound, None),
        (405, None, ContractBroken, None),
        (409, None, RecordRejected, None),
        (412, "ODP_PRECONDITION_FAILED", RecordRejected, None),
        (429, None, Throttled, True),
        (408, None, Unavailable, False),
        (500, "INTERNAL", Unavailable, False),
        (502, None, Unavailable, False),
        (503, None, Unavailable, False),
        (504, None, Unavailable, False),
    ],
)
def test_every_row_of_the_table(judged, status, code, kind, untouched):
    error = judged(status, code)
    assert type(error) is kind
    if untouched is not None:
        assert error.untouched is untouched


@pytest.mark.parametrize(
    ("code", "details"),
    [
        ("DATABASE_ERROR", [("20112", "CustomerOrder.STATE_CHANGED: The order has changed status.")]),
        ("DATABASE_ERROR", []),
        ("OTHER", [("ORA-20110", "Customer is blocked.")]),
    ],
)
def test_a_rule_of_the_database_that_answers_500_is_a_refusal_and_no_outage(judged, code, details):
    error = judged(500, code, "Database error occurred. Contact administrator.", *details)
    assert type(error) is RecordRejected
    assert not details or details[0][1] in error.what


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("The record has been MODIFIED by another user.", RecordRejected, "stale"),
        ("The row is locked by another session.", Unavailable, "DATABASE_ERROR"),
        ("The customer already exists.", RecordRejected, "duplicate"),
    ],
)
def test_texts_tell_what_a_code_does_not(judged, text, kind, code):
    error = judged(500, "DATABASE_ERROR", text)
    assert (type(error), error.code) == (kind, code)


def test_a_service_that_is_not_there_names_projection_and_gateway(judged):
    error = judged(404, "ODP_RESOURCE_NOTFOUND", "Metadata not found.")
    assert isinstance(error, NotServed)
    assert "CustomerHandling on gateway main" in str(error)
    assert "granted" in error.fix


def test_an_unknown_property_is_named(judged):
    detail = ("ODP_UNKNOWN_PROPERTY", "The property 'Nme', used in a query expression, is not defined in type 'CustomerInfo'.")
    assert "'Nme'" in str(judged(400, "ODP_REQUEST_URI", "Malformed Request.", detail))


@pytest.mark.parametrize("status", [200, 302])
def test_a_login_page_is_a_matter_of_settings_not_data(judged, status):
    error = judged(status, html=True)
    assert isinstance(error, TokenRefused)
    assert error.unsure
    assert "realm" in error.fix


@pytest.mark.parametrize(("status", "kind"), [(502, Unavailable), (404, NotServed), (403, ContractBroken), (401, TokenRefused)])
def test_a_web_page_from_a_proxy_is_judged_by_its_status(judged, status, kind):
    assert type(judged(status, html=True)) is kind


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("Mon, 05 Jan 2026 08:00:30 GMT", 30.0)])
def test_the_vendors_wait_is_obeyed(judged, header, seconds):
    assert judged(429, **{"retry-after": header}).after_s == seconds
    assert judged(503, **{"retry-after": header}).after_s == seconds


def test_metadata_that_was_just_deployed_is_given_a_moment(judged):
    error = judged(503, "MI_MODIFIED_ERROR")
    assert isinstance(error, RetryLater)
    assert 1 <= error.after_s <= 2


def test_good_answers_pass(judged):
    assert judged(200) is judged(201) is judged(204) is judged(304) is None
