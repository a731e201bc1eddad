"""The twin is as strict as the fact sheet's checklist says that Pipedrive is."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from ml_connector.testing import ManualClock
from ml_connector.twin import TwinClock, TwinRequest
from ml_connector_adapters.http.twins import serving
from ml_connector_pipedrive.twin import PipedriveTwin


class Company:
    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
        self.twin = PipedriveTwin(clock=TwinClock(self.clock.now), **options)

    async def ask(self, method: str, target: str, body: Any = None) -> Any:
        answer = await self.twin.ask(method, target, body)
        self.status = answer.status
        return answer.json


@pytest.fixture
def company() -> Callable[..., Company]:
    return Company


# -- access


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"x-api-token": "wrong"}, 401, "unauthorized access"),
        ({}, 400, "malformed authorization header"),
        ({"authorization": "Bearer wrong"}, 401, "access_token is invalid"),
    ],
)
async def test_nobody_gets_in_without_a_token(headers: dict[str, str], status: int, words: str) -> None:
    answer = await PipedriveTwin()(TwinRequest("GET", "127.0.0.1", "/api/v2/deals", headers))
    assert (answer.status, words in answer.body.decode()) == (status, True)


async def test_a_refresh_keeps_its_token_for_another_sixty_days(company: Callable[..., Company]) -> None:
    acme = company(auth="oauth2", refresh_token="r", client_id="c", client_secret="s")
    headers = {"authorization": "Basic Yzpz", "content-type": "application/x-www-form-urlencoded"}

    async def refresh(body: bytes = b"grant_type=refresh_token&refresh_token=r") -> tuple[int, Any]:
        answer = await acme.twin(TwinRequest("POST", "acme.pipedrive.com", "/oauth/token", headers, body))
        return answer.status, msgspec.json.decode(answer.body)

    status, told = await refresh()
    assert (status, told["refresh_token"], told["api_domain"]) == (200, "r", "https://acme.pipedrive.com")
    assert len(told["access_token"]) >= 768
    acme.clock.advance(timedelta(days=59).total_seconds())
    assert (await refresh())[0] == 200
    acme.clock.advance(timedelta(days=61).total_seconds())
    assert (await refresh())[1]["message"] == "Invalid grant: refresh_token is invalid"
    assert (await refresh(b"grant_type=password"))[1]["error"] == "unsupported_grant_type"
    headers["authorization"] = "Basic eDp5"
    assert (await refresh())[1]["error"] == "invalid_client"


@pytest.mark.parametrize("path", ["v1/deals", "v1/organizations/1", "v2/users/me", "v2/nonsense"])
async def test_removed_and_unknown_paths_answer_404(company: Callable[..., Company], path: str) -> None:
    acme = company()
    await acme.ask("GET", path)
    assert acme.status == 404


# -- limits


async def test_a_burst_is_refused_and_over_after_two_seconds(company: Callable[..., Company]) -> None:
    acme = company(burst=5, searches=2)
    for _ in range(5):
        await acme.ask("GET", "v2/deals")
    answer = await acme.twin.ask("GET", "v2/deals")
    assert (answer.status, answer.headers["x-ratelimit-remaining"]) == (429, "0")
    acme.clock.advance(2)
    for expected in (200, 200, 429):
        await acme.ask("GET", "v2/deals/search?term=abc")
        assert acme.status == expected


@pytest.mark.parametrize(
    ("options", "burst", "daily"), [({}, "160", "180000"), ({"auth": "api_token", "plan": "lite"}, "20", "90000")]
)
async def test_plan_seats_and_kind_of_token_say_what_may_be_asked(
    company: Callable[..., Company], options: dict[str, Any], burst: str, daily: str
) -> None:
    answer = await company(**options).twin.ask("GET", "v1/users/me")
    told = (answer.headers["x-ratelimit-limit"], answer.headers["x-daily-ratelimit-token-limit"])
    assert told == (burst, daily)


async def test_whoever_ignores_refusals_meets_the_wall(company: Callable[..., Company]) -> None:
    acme = company(burst=1)
    for _ in range(40):
        answer = await acme.twin.ask("GET", "v2/deals")
    assert (answer.status, b"Cloudflare" in answer.body) == (403, True)
    acme.clock.advance(300)
    assert (await acme.twin.ask("GET", "v2/deals")).status == 200


async def test_the_budget_counts_what_calls_cost_until_midnight(company: Callable[..., Company]) -> None:
    acme = company(daily=30)
    await acme.ask("POST", "v2/organizations", {"name": "Acme"})
    await acme.ask("GET", "v2/organizations/1")
    answer = await acme.twin.ask("GET", "v2/organizations")
    assert answer.headers["x-daily-ratelimit-token-remaining"] == str(30 - 5 - 1 - 10)
    answer = await acme.twin.ask("GET", "v2/deals/archived")
    assert (answer.status, answer.headers["x-daily-ratelimit-token-remaining"]) == (429, "0")
    acme.clock.advance(12 * 3600)
    assert (await acme.twin.ask("GET", "v2/deals/archived")).status == 200


# -- writing


@pytest.mark.parametrize(
    ("plural", "body", "place"),
    [
        ("organizations", {}, "name"),
        ("organizations", {"name": "x" * 256}, "name"),
        ("organizations", {"name": "x", "annual_revenue": "100"}, "annual_revenue"),
        ("organizations", {"name": "x", "annual_revenue": Decimal("1.5")}, "annual_revenue"),
        ("organizations", {"name": "x", "a" * 40: "root"}, "a" * 40),
        ("organizations", {"name": "x", "custom_fields": {"a" * 40: "x"}}, "custom_fields"),
        ("organizations", {"name": "x", "is_deleted": True}, "is_deleted"),
        ("deals", {"title": "x", "value": "100"}, "value"),
        ("deals", {"title": "x", "lost_reason": "price"}, "lost_reason"),
        ("deals", {"title": "x", "won_time": "2026-03-02T12:00:00Z"}, "won_time"),
        ("deals", {"title": "x", "currency": "XXX"}, "currency"),
        ("deals", {"title": "x", "org_id": 999}, "org_id"),
        ("deals", {"title": "x", "pipeline_id": 1, "stage_id": 99}, "stage_id"),
        ("deals", {"title": "x", "expected_close_date": "2026-12-01T00:00:00Z"}, "expected_close_date"),
        ("products", {"name": "x", "prices": [{"currency": "EUR", "price": 1}, {"currency": "EUR", "price": 2}]}, "prices"),
        ("persons", {"name": "x", "emails": ["a@b.c"]}, "emails"),
    ],
)
async def test_values_are_taken_strictly(company: Callable[..., Company], plural: str, body: Any, place: str) -> None:
    acme = company()
    told = await acme.ask("POST", f"v2/{plural}", body)
    assert (acme.status, told["code"], place in told["error"]) == (400, "ERR_SCHEMA_VALIDATION_FAILED", True)
    assert acme.twin.company.tables[plural].rows == {}


async def test_a_set_is_cleared_with_null_and_never_with_an_empty_list(company: Callable[..., Company]) -> None:
    acme = company()
    code = acme.twin.add_field("deals", "Tags", "set", "A", "B").code
    await acme.ask("POST", "v2/deals", {"title": "x"})
    for value, status in (([], 400), ([99], 400), (None, 200)):
        await acme.ask("PATCH", "v2/deals/1", {"custom_fields": {code: value}})
        assert acme.status == status


async def test_a_change_without_effect_moves_nothing(company: Callable[..., Company]) -> None:
    acme = company()
    before = await acme.ask("POST", "v2/organizations", {"name": "Acme"})
    await acme.ask("POST", "v1/webhooks", HOOK)
    acme.clock.advance(60)
    assert (await acme.ask("PATCH", "v2/organizations/1", {"name": "Acme"}))["data"] == before["data"]
    assert acme.twin.deliveries == []


async def test_contact_sync_fields_need_contact_sync(company: Callable[..., Company]) -> None:
    acme = company()
    await acme.ask("POST", "v2/persons", {"name": "Kim", "job_title": "Buyer"})
    assert acme.status == 403


async def test_deletion_is_soft_and_only_deals_are_listed_afterwards(company: Callable[..., Company]) -> None:
    acme = company()
    for plural, body in (("deals", {"title": "x"}), ("organizations", {"name": "x"})):
        await acme.ask("POST", f"v2/{plural}", body)
        await acme.ask("DELETE", f"v2/{plural}/1")
        assert (await acme.ask("GET", f"v2/{plural}"))["data"] == []
        await acme.ask("PATCH", f"v2/{plural}/1", body)
        assert acme.status == 404
    assert [row["id"] for row in (await acme.ask("GET", "v2/deals?status=deleted"))["data"]] == [1]
    acme.clock.advance(timedelta(days=31).total_seconds())
    assert (await acme.ask("GET", "v2/deals?status=deleted"))["data"] == []


async def test_a_deals_value_is_the_sum_of_its_enabled_lines(company: Callable[..., Company]) -> None:
    acme = company()
    product, deal = acme.twin.enter("products", name="Gearbox"), acme.twin.enter("deals", title="x", value=5)
    acme.twin.attach(deal, product, item_price=10, quantity=2, discount=50)
    acme.twin.attach(deal, product, item_price=7, is_enabled=False)
    await acme.ask("PATCH", "v2/deals/1", {"value": 999})
    assert (await acme.ask("GET", "v2/deals/1"))["data"]["value"] == 10


async def test_lines_added_together_are_added_all_or_none(company: Callable[..., Company]) -> None:
    acme = company()
    product, deal = acme.twin.enter("products", name="Gearbox"), acme.twin.enter("deals", title="x")
    line = {"product_id": int(product), "item_price": 1, "quantity": 1}
    await acme.ask("POST", f"v2/deals/{deal}/products/bulk", {"data": [line, {**line, "product_id": 99}]})
    assert (acme.status, acme.twin.company.lines) == (400, {})
    await acme.ask("POST", f"v2/deals/{deal}/products/bulk", {"data": [line] * 101})
    assert acme.status == 400


# -- reading


@pytest.mark.parametrize(
    "query",
    [
        "limit=501",
        "limit=0",
        "ids=" + ",".join(map(str, range(1, 102))),
        "custom_fields=" + ",".join(f"{n:040x}" for n in range(16)),
        "sort_by=name",
        "updated_since=yesterday",
        "cursor=nonsense",
        "nonsense=1",
    ],
)
async def test_a_query_is_taken_strictly(company: Callable[..., Company], query: str) -> None:
    acme = company()
    await acme.ask("GET", f"v2/organizations?{query}")
    assert acme.status == 400


async def test_since_is_inclusive_and_until_is_not(company: Callable[..., Company]) -> None:
    acme = company()
    for _ in range(3):
        acme.twin.enter("organizations", name="x")
        acme.clock.advance(1)
    query = "updated_since=2026-03-02T12:00:01Z&updated_until=2026-03-02T12:00:02Z"
    assert [row["id"] for row in (await acme.ask("GET", f"v2/organizations?{query}"))["data"]] == [2]
    await acme.ask("GET", "v2/products?updated_until=2026-03-02T12:00:02Z")
    assert acme.status == 400


async def test_a_cursor_belongs_to_its_query(company: Callable[..., Company]) -> None:
    acme = company()
    for _ in range(3):
        acme.twin.enter("organizations", name="x")
    cursor = quote((await acme.ask("GET", "v2/organizations?limit=2"))["additional_data"]["next_cursor"])
    assert [row["id"] for row in (await acme.ask("GET", f"v2/organizations?limit=2&cursor={cursor}"))["data"]] == [3]
    await acme.ask("GET", f"v2/organizations?limit=2&sort_by=update_time&cursor={cursor}")
    assert acme.status == 400


async def test_the_list_of_deals_hides_the_archived(company: Callable[..., Company]) -> None:
    acme = company()
    acme.twin.enter("deals", title="x", is_archived=True)
    assert (await acme.ask("GET", "v2/deals"))["data"] == []
    assert (await acme.ask("GET", "v2/deals?ids=1"))["data"] == []
    assert [row["id"] for row in (await acme.ask("GET", "v2/deals/archived"))["data"]] == [1]
    assert (await acme.ask("GET", "v2/deals/1"))["data"]["is_archived"] is True


async def test_the_search_index_is_behind_and_knows_only_some_types(company: Callable[..., Company]) -> None:
    acme = company()
    code = acme.twin.add_field("organizations", "Key").code
    status = acme.twin.add_field("organizations", "Status", "enum", "Gold").code
    acme.twin.enter("organizations", name="Acme", custom={"Key": "C-1"})
    find = "v2/itemSearch/field?entity_type=organization&match=exact&field="
    assert (await acme.ask("GET", f"{find}{code}&term=C-1"))["data"] == []
    acme.clock.advance(1)
    assert [row["id"] for row in (await acme.ask("GET", f"{find}{code}&term=C-1"))["data"]] == [1]
    assert (await acme.ask("GET", f"{find}{code}&term=c-1"))["data"] == []
    items = (await acme.ask("GET", "v2/organizations/search?fields=custom_fields&exact_match=true&term=c-1"))["data"]["items"]
    assert [each["item"]["id"] for each in items] == [1]
    await acme.ask("GET", f"{find}{status}&term=Gold")
    assert acme.status == 400


# -- webhooks

HOOK = {"subscription_url": "https://x.example/n", "event_action": "*", "event_object": "organization", "name": "n"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"subscription_url": "http://x.example/n"},
        {"subscription_url": "https://acme.pipedrive.com/n"},
        {"name": ""},
        {"event_object": "order"},
    ],
)
async def test_a_registration_is_taken_strictly(company: Callable[..., Company], wrong: dict[str, str]) -> None:
    acme = company()
    await acme.ask("POST", "v1/webhooks", {**HOOK, **wrong})
    assert (acme.status, acme.twin.webhooks.hooks) == (400, {})


async def test_the_forty_first_webhook_is_one_too_many(company: Callable[..., Company]) -> None:
    acme = company()
    for n in range(41):
        await acme.ask("POST", "v1/webhooks", HOOK)
        assert acme.status == (201 if n < 40 else 422)


async def test_a_change_tells_what_was_before_and_custom_fields_in_their_own_shape(company: Callable[..., Company]) -> None:
    acme = company()
    code = acme.twin.add_field("organizations", "Status", "enum", "Gold", "Silver").code
    gold, silver = (option["id"] for option in acme.twin.field("organizations", "Status").options or ())
    one = acme.twin.enter("organizations", name="Acme", custom={"Status": gold})
    await acme.ask("POST", "v1/webhooks", {**HOOK, "http_auth_user": "u", "http_auth_password": "p"})
    acme.clock.advance(1)
    acme.twin.change("organizations", one, name="Acme 2", custom={"Status": silver})
    [delivery] = acme.twin.webhooks.take()
    told = msgspec.json.decode(delivery.body)
    assert delivery.headers["authorization"] == "Basic dTpw"
    assert (told["meta"]["entity_id"], told["data"]["id"], told["data"]["visible_to"]) == (one, 1, "3")
    assert told["data"]["custom_fields"][code] == {"type": "enum", "id": silver}
    assert set(told["previous"]) == {"name", "update_time", "custom_fields"}
    acme.twin.delete("organizations", one)
    told = msgspec.json.decode(acme.twin.webhooks.take()[0].body)
    assert (told["data"], told["previous"]["name"]) == (None, "Acme 2")


async def test_failures_are_tried_again_thrice_and_ten_ban_the_webhook(company: Callable[..., Company]) -> None:
    acme = company()
    hooks = acme.twin.webhooks
    await acme.ask("POST", "v1/webhooks", HOOK)
    acme.twin.enter("organizations", name="x")
    for wait in (3, 30, 150):
        [delivery] = hooks.take()
        hooks.delivered(delivery, good=False)
        assert hooks.take() == []
        acme.clock.advance(wait)
    hooks.delivered(hooks.take()[0], good=False)
    assert (hooks.deliveries, hooks.lost) == ([], 1)
    for _ in range(9):
        acme.twin.enter("organizations", name="x")
        hooks.delivered(hooks.take()[0], good=False)
    hooks.deliveries.clear()
    acme.twin.enter("organizations", name="lost")
    assert (hooks.deliveries, hooks.lost) == ([], 2)
    acme.clock.advance(30 * 60)
    acme.twin.enter("organizations", name="told")
    assert len(hooks.take()) == 1


async def test_three_days_without_a_success_delete_a_webhook(company: Callable[..., Company]) -> None:
    acme = company()
    await acme.ask("POST", "v1/webhooks", HOOK)
    acme.clock.advance(2 * 86_400)
    acme.twin.enter("organizations", name="x")
    acme.twin.webhooks.delivered(acme.twin.webhooks.take()[0], good=True)
    acme.clock.advance(2 * 86_400)
    assert len((await acme.ask("GET", "v1/webhooks"))["data"]) == 1
    acme.clock.advance(86_400)
    assert (await acme.ask("GET", "v1/webhooks"))["data"] == []


# -- as every twin


def test_the_same_seed_gives_the_same_records_and_edits(company: Callable[..., Company]) -> None:
    told = []
    for _ in range(2):
        acme = company()
        acme.twin.fill(12, 20, seed=7)
        told.append((list(acme.twin.facts("account")), list(acme.twin.facts("deal")), acme.twin.edit("deal", 5, seed=1)))
    assert told[0] == told[1]
    assert len(told[0][2]) == 5


async def test_it_answers_over_a_socket(company: Callable[..., Company]) -> None:
    import httpx

    acme = company(auth="api_token")
    acme.twin.fill(1, 0)
    async with serving(acme.twin) as url, httpx.AsyncClient(trust_env=False) as client:
        token = acme.twin.secrets()["twin/pipedrive_api_token"]
        answer = await client.get(f"{url}/api/v2/organizations", headers={"x-api-token": token})
    assert [row["name"] for row in answer.json()["data"]] == ["O'Neil & Söhne GmbH"]
