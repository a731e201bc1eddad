"""What goes wrong at a twin: scripts, and storms that a seed decides."""

import pytest

from ml_connector.twin import Fault, Faults, TwinRequest

ASKED = TwinRequest("GET", "acme.example", "/orders", {})
BUSY = Fault("status", status=429, retry_after="1")


def struck(faults: Faults, requests: int) -> int:
    return sum(faults.next(ASKED) is not None for _ in range(requests))


def test_a_storm_strikes_at_its_rate_until_it_is_calm() -> None:
    faults = Faults()
    faults.storm(1, 0.2, [BUSY])
    assert struck(faults, 1000) == pytest.approx(200, abs=40)
    faults.calm()
    assert struck(faults, 1000) == 0


def test_a_storm_is_over_when_it_has_struck_as_often_as_it_may() -> None:
    faults = Faults()
    faults.storm(1, 0.2, [BUSY], most=30)
    assert struck(faults, 1000) == len(faults.struck) == 30


def test_a_storm_of_other_requests_faults_passes_by() -> None:
    faults = Faults()
    faults.storm(1, 1.0, [Fault("lost_after", method="POST")], most=1)
    assert struck(faults, 10) == 0
    assert faults.next(TwinRequest("POST", "acme.example", "/orders", {})) is not None
