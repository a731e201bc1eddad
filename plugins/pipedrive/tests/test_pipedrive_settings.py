"""What a user may write about a connection."""

from collections.abc import Callable
from typing import Any

import pytest

from ml_connector_pipedrive.adapters import limits
from ml_connector_pipedrive.settings import BURST, Settings


@pytest.mark.parametrize("auth", ["api_token", "oauth2"])
@pytest.mark.parametrize("plan", list(BURST))
@pytest.mark.parametrize("concurrency", [1, 4, 20])
def test_no_two_seconds_hold_more_calls_than_the_plan_allows(
    make_settings: Callable[..., Settings], plan: Any, auth: Any, concurrency: int
) -> None:
    """The kit lets a burst of ``concurrency`` go at once and the rest at even intervals."""
    credentials = {"client_id": "x", "client_secret": "env:S", "refresh_token": "env:R"} if auth == "oauth2" else {}
    made = limits(make_settings(plan=plan, auth=auth, limits={"concurrency": concurrency}, **credentials))
    assert made.requests_per_minute is not None
    assert made.concurrency + made.requests_per_minute / 30 <= BURST[plan][auth == "oauth2"]


def test_the_budget_is_plan_times_seats_and_a_fifth_is_left_to_others(make_settings: Callable[..., Settings]) -> None:
    made = limits(make_settings(plan="growth", seats=5))
    assert (made.credits_per_day, made.credit_reserve) == (300_000, 60_000)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"auth": "oauth2"}, "needs client_id"),
        ({"base_url": "http://acme.pipedrive.com"}, "https"),
        ({"fields": {"account.nonsense": "X"}}, "account.nonsense"),
        ({"fields": {"account.number": "X"}}, "account.number"),
        ({"types": {"order.X": "enum"}}, "order.X"),
        ({"options": {"order.X": ["a"]}}, "order.X"),
        ({"fallback_product": "X"}, "lines is false"),
        ({"slow_every": "soon"}, "soon"),
        ({"webhook": {"proof": []}}, "proof"),
        ({"webhook": {"proof": ["hmac_sha256"]}}, "hmac_secret"),
        ({"page_size": 501}, "page_size"),
    ],
)
def test_a_mistake_is_told_by_its_setting(make_settings: Callable[..., Settings], values: dict[str, Any], told: str) -> None:
    with pytest.raises(Exception, match=told):
        make_settings(**values)
