"""Zoho's error codes, and what happens next."""

import msgspec
import pytest

from ml_connector.errors import AuthRejected, ContractBroken, Throttled, Unavailable
from ml_connector.ports.sink import Conflict, Later, Rejected, Unknown
from ml_connector_adapters.http import Answer, TokenRefused
from ml_connector_zoho_crm.judge import judge, refusal
from ml_connector_zoho_crm.wire import Decoders


def answered(status, code="", *, wrapped=False, **headers):
    said = {"code": code, "message": "in Zoho's words", "details": {}, "status": "error"}
    body = msgspec.json.encode({"data": [said]} if wrapped else said) if code else b""
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, "https://www.zohoapis.eu")


def result(code, **details):
    body = msgspec.json.encode({"data": [{"code": code, "status": "error", "message": "in Zoho's words", "details": details}]})
    return refusal(Decoders.results.decode(body).data[0], lambda api_name: f"our {api_name}")


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, "INVALID_TOKEN", TokenRefused),
        (401, "AUTHENTICATION_FAILURE", TokenRefused),
        (401, "INVALID_OAUTHTOKEN", TokenRefused),
        (403, "NO_PERMISSION", ContractBroken),
        (429, "TOO_MANY_REQUESTS", Throttled),
        (400, "TOO_MANY_REQUESTS", Throttled),
        (429, "RATE_LIMIT_EXCEEDED", Throttled),
        (500, "INTERNAL_ERROR", Unavailable),
        (503, "SERVICE_UNAVAILABLE", Unavailable),
        (400, "DEPENDENT_SERVICE_ERROR", Unavailable),
        (404, "INVALID_URL_PATTERN", ContractBroken),
        (404, "RESOURCE_NOT_FOUND", ContractBroken),
    ],
)
def test_a_code_decides_whatever_the_status_and_the_wrapping(status, code, error, wrapped):
    judged = judge(answered(status, code, wrapped=wrapped))
    assert type(judged) is error
    assert code in str(judged)
    assert "in Zoho's words" in str(judged)


def test_a_missing_scope_is_no_matter_of_the_token():
    judged = judge(answered(401, "OAUTH_SCOPE_MISMATCH"))
    assert type(judged) is AuthRejected
    assert "README" in judged.fix


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, ContractBroken), (404, ContractBroken), (401, TokenRefused), (429, Throttled), (502, Unavailable)],
)
def test_without_a_code_the_status_has_to_do(status, error):
    assert type(judge(Answer(status, {}, b"<html>Bad gateway</html>", "https://www.zohoapis.eu"))) is error


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207, 304])
def test_every_kind_of_success_is_the_caller_s_to_read(status):
    assert judge(Answer(status, {}, b"", "https://www.zohoapis.eu")) is None


@pytest.mark.parametrize("status", [400, 412])
def test_results_per_record_are_the_caller_s_to_read(status):
    assert judge(answered(status, "MANDATORY_NOT_FOUND", wrapped=True)) is None


def test_a_web_page_with_a_success_on_it_is_an_outage():
    assert type(judge(Answer(200, {}, b"<html>Maintenance</html>", "https://www.zohoapis.eu"))) is Unavailable


def test_the_wait_is_what_zoho_says_and_long_when_credits_are_gone():
    assert judge(answered(429, "TOO_MANY_REQUESTS", retry_after="7")).after_s == 7
    assert judge(answered(429, "TOO_MANY_REQUESTS", x_api_credits_remaining="0")).after_s == 900
    assert judge(answered(429, "TOO_MANY_REQUESTS")).after_s is None


@pytest.mark.parametrize(
    "code",
    [
        *("MANDATORY_NOT_FOUND", "EXPECTED_FIELD_MISSING", "DEPENDENT_MISMATCH", "PATTERN_NOT_MATCHED", "MAPPING_MISMATCH"),
        *("RECORD_IN_BLUEPRINT", "NOT_APPROVED", "NOT_REVIEWED", "CONVERTED_RECORD", "AUTHORIZATION_FAILED"),
        *("STORAGE_SPACE_EXCEEDED", "LIMIT_EXCEEDED", "SOMETHING_NEW"),
    ],
)
def test_what_only_a_person_can_mend_is_rejected_with_zoho_s_words(code):
    outcome = result(code, api_name="Phone")
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == (code, "our Phone")
    assert "in Zoho's words" in outcome.reason


def test_a_length_is_named_with_its_limit():
    outcome = result("INVALID_DATA", api_name="Fax", json_path="$.data[3].Fax", maximum_length=30)
    assert "at most 30 characters" in outcome.reason


def test_only_a_path_to_the_record_s_own_id_means_that_the_record_is_gone():
    assert result("INVALID_DATA", api_name="id", json_path="$.data[0].id") == Conflict(current=None)
    assert result("INVALID_DATA", id="5550001000000123001") == Conflict(current=None)
    lookup = result("INVALID_DATA", api_name="id", json_path="$.data[0].Account_Name.id")
    assert (type(lookup), lookup.field) == (Rejected, "our Account_Name")
    row = result("INVALID_DATA", api_name="id", json_path="$.data[0].Ordered_Items[2].id")
    assert (type(row), row.field) == (Rejected, "our Ordered_Items")


def test_a_record_that_moved_is_a_conflict_at_its_time_in_utc():
    assert result("ALREADY_MODIFIED", id="555", Modified_Time="2026-02-01T12:00:24+01:00") == Conflict(
        current="2026-02-01T11:00:24+00:00", id="555"
    )


def test_locked_and_busy_are_for_later_and_an_internal_error_is_unknown():
    assert isinstance(result("RECORD_LOCKED"), Later)
    assert isinstance(result("TOO_MANY_REQUESTS"), Later)
    assert isinstance(result("INTERNAL_ERROR"), Unknown)


def test_of_several_faults_the_worst_counts_and_all_are_told():
    faults = [
        {"code": "RECORD_LOCKED", "message": "locked", "status": "error", "details": {}},
        {"code": "INVALID_DATA", "message": "invalid", "status": "error", "details": {"api_name": "Phone"}},
        {"code": "MANDATORY_NOT_FOUND", "message": "missing", "status": "error", "details": {"api_name": "Stage"}},
    ]
    outcome = result("MULTIPLE_OR_MULTI_ERRORS", errors=faults)
    assert (outcome.code, outcome.field) == ("INVALID_DATA", "our Phone")
    assert "Phone" in outcome.reason
    assert "Stage" in outcome.reason
