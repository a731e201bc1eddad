"""The table of errors: codes first, then statuses, for whole requests and for parts of batches alike."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ml_connector.errors import AuthRejected, ContractBroken, Throttled, Unavailable
from ml_connector.ports.sink import Conflict, Later, Rejected, Unknown
from ml_connector_adapters.http import TokenRefused
from ml_connector_dynamics365_sales.judge import refusal, whole

NOW = datetime(2026, 3, 2, tzinfo=UTC)
OURS = "5d0f6c2e-0b1a-4f7e-9c55-1a2b3c4d5e6f"


def body(code: str, message: str = "words") -> bytes:
    return msgspec.json.encode({"error": {"code": code, "message": message}})


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "", TokenRefused),
        (403, "0x80040220", ContractBroken),
        (403, "0x80048306", ContractBroken),
        (403, "0x80072560", AuthRejected),
        (403, "0x8004D24B", AuthRejected),
        (404, "0x8006088A", ContractBroken),
        (429, "0x80072321", Throttled),
        (429, "0x80072322", Throttled),
        (429, "0x80072326", Throttled),
        (500, "0x8005F103", Throttled),
        (503, "", Unavailable),
        (400, "0x80044151", Unavailable),
        (500, "0x80040216", Unavailable),
        (501, "", ContractBroken),
        (502, "", Unavailable),
        (504, "", Unavailable),
        (400, "0x80044331", None),
        (500, "0x80040333", None),
        (412, "0x80060882", None),
        (404, "0x80040217", None),
        (405, "0x80040227", None),
        (413, "", None),
        (204, "", None),
    ],
)
def test_every_code_of_the_fact_sheet_has_its_class(status: int, code: str, expected: Any) -> None:
    """None leaves it to the record that was written."""
    error = whole(status, {}, body(code), NOW)
    assert type(error) is (expected or type(None))


def test_the_wait_is_the_vendors_own() -> None:
    """In seconds, honoured exactly."""
    error = whole(429, {"retry-after": "31"}, body("0x80072322"), NOW)
    assert isinstance(error, Throttled)
    assert error.after_s == 31


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (412, "0x80060882", "The version of the existing record doesn't match", Conflict(current="")),
        (412, "", "older documentation shows no code", Conflict(current="")),
        (404, "0x80040217", f"account With Id = {OURS} Does Not Exist", Conflict(current=None)),
        (404, "0x80060891", "A record with the specified key values does not exist", Conflict(current=None)),
        (429, "0x80072322", "Number of requests exceeded", Later),
        (503, "", "busy", Unknown),
        (400, "0x80040265", "Credit check failed", Rejected),
        (412, "0x80060892", "A record with matching key values already exists.", Rejected),
        (400, "", "The order cannot be edited because it is not in the correct state.", Rejected),
        (404, "0x80040217", "pricelevel With Id = 6f0e2c1a-1111-4222-8333-444455556666 Does Not Exist", Rejected),
    ],
)
def test_a_refused_record_has_the_outcome_that_fits(status: int, code: str, message: str, expected: Any) -> None:
    """A lookup to something that is gone is no sign that the record itself is."""
    outcome = refusal(status, {}, body(code, message), NOW, str, OURS)
    assert outcome == expected if isinstance(expected, Conflict) else isinstance(outcome, expected)


@pytest.mark.parametrize(
    "message",
    [
        "The length of the 'name' attribute of the 'account' entity exceeded the maximum allowed length of '160'.",
        "The required field 'name' is missing.",
        "The value 99 of 'name' on record of type 'account' is outside the valid range.",
    ],
)
def test_the_field_at_fault_is_found_in_the_vendors_words(message: str) -> None:
    """Dataverse says it in no other way."""
    outcome = refusal(400, {}, body("0x80044331", message), NOW, lambda name: f"our {name}", OURS)
    assert isinstance(outcome, Rejected)
    assert outcome.field == "our name"


@pytest.mark.parametrize("rubbish", [b"", b"<html>", b"[]", b'{"error":"text"}', b"\xff"])
def test_a_refusal_without_a_body_is_judged_by_its_status(rubbish: bytes) -> None:
    """Gateways answer in Dataverse's place."""
    assert isinstance(whole(502, {}, rubbish, NOW), Unavailable)
    assert isinstance(refusal(400, {}, rubbish, NOW, str, OURS), Rejected)
