"""Notification channels of the Zoho twin."""

import json

import pytest

from ml_connector_zoho_crm.twin import ZohoTwin

HOOK = "https://hooks.example.com/zoho?k=s3cret"


async def watch(twin: ZohoTwin, method: str = "POST", version: str = "v8", life_s: int | None = 86_400, **changes):
    entry = {"channel_id": "1700000000001", "events": ["Accounts.all"], "token": "t-9f3c", "notify_url": HOOK}
    if life_s is not None:
        twin.clock.advance(life_s)
        entry["channel_expiry"] = twin.org.told_time(twin.org.now())
        twin.clock.advance(-life_s)
    return await twin.ask(method, f"{version}/actions/watch", {"watch": [entry | changes]})


def life_s(twin: ZohoTwin, channel: str = "1700000000001") -> float:
    return (twin.watch.channels[channel].expires - twin.org.now()).total_seconds()


def bodies(twin: ZohoTwin) -> list[dict]:
    return [json.loads(body) for _, body in twin.deliveries]


@pytest.mark.parametrize(
    ("version", "asked", "lives"),
    [
        ("v8", 6 * 86_400, 6 * 86_400),
        ("v8", 8 * 86_400, 3600),
        ("v8", None, 3600),
        ("v8", -60, 3600),
        ("v3", 2 * 86_400, 3600),
        ("v3", 86_000, 86_000),
    ],
)
async def test_a_channel_lives_as_asked_or_silently_one_hour(version, asked, lives):
    twin = ZohoTwin()
    answer = await watch(twin, version=version, life_s=asked)
    assert answer.status == 201
    assert life_s(twin) == pytest.approx(lives, abs=2)
    told = answer.json["watch"][0]["details"]["events"][0]["channel_expiry"]
    assert told == twin.org.told_time(twin.watch.channels["1700000000001"].expires)


async def test_a_renewal_moves_the_expiry_and_a_lapsed_channel_is_not_subscribed():
    twin = ZohoTwin()
    await watch(twin)
    answer = await watch(twin, "PATCH", life_s=3 * 86_400)
    assert answer.json["watch"][0]["message"] == "Successfully updated the subscribe details"
    assert life_s(twin) == pytest.approx(3 * 86_400, abs=2)
    twin.clock.advance(4 * 86_400)
    lapsed = await watch(twin, "PATCH")
    assert (lapsed.status, lapsed.json["watch"][0]["code"]) == (400, "NOT_SUBSCRIBED")
    assert (await twin.ask("GET", "v8/actions/watch")).status == 204


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": []},
        {"events": ["Accounts.insert"]},
        {"events": ["Nothing.all"]},
        {"notify_url": "http://hooks.example.com/zoho"},
        {"notify_url": "https://hooks.example.com/" + "x" * 255},
        {"token": "t" * 51},
        {"channel_id": "mine"},
        {"channel_expiry": "tomorrow"},
    ],
)
async def test_an_entry_that_is_wrong_is_refused(wrong):
    twin = ZohoTwin()
    answer = await watch(twin, **wrong)
    assert answer.status == 400
    assert answer.json["watch"][0]["details"]["api_name"] == next(iter(wrong))
    assert not twin.watch.channels


async def test_channels_are_told_per_module_and_to_their_own_user_only():
    twin = ZohoTwin()
    await watch(twin, events=["Accounts.create", "Deals.edit", "Accounts.edit"])
    told = (await twin.ask("GET", "v8/actions/watch")).json["watch"]
    assert [(row["resource_name"], row["events"]) for row in told] == [
        ("Accounts", ["Accounts.create", "Accounts.edit"]),
        ("Deals", ["Deals.edit"]),
    ]
    assert (await twin.ask("GET", "v8/actions/watch", as_person=True)).status == 204
    theirs = await twin.ask("DELETE", "v8/actions/watch?channel_ids=1700000000001", as_person=True)
    assert theirs.json["watch"][0]["code"] == "NOT_SUBSCRIBED"


async def test_events_can_be_dropped_and_channels_closed():
    twin = ZohoTwin()
    await watch(twin, events=["Accounts.all", "Deals.all"])
    body = {"watch": [{"channel_id": "1700000000001", "events": ["Deals.all"], "_delete_events": True}]}
    await twin.ask("PATCH", "v8/actions/watch", body)
    assert twin.watch.channels["1700000000001"].events == ["Accounts.all"]
    closed = await twin.ask("DELETE", "v8/actions/watch?channel_ids=1700000000001")
    assert closed.json["watch"][0]["message"] == "Successfully un-subscribed from actions-watch"
    twin.insert_as_person("Accounts", Account_Name="Acme")
    assert twin.deliveries == []


async def test_a_change_is_told_with_ids_words_and_secrets_but_without_the_record():
    twin = ZohoTwin()
    await watch(twin)
    acme = twin.insert_as_person("Accounts", Account_Name="Acme")
    twin.edit_as_person("Accounts", acme, Phone="555-0100")
    twin.delete_as_person("Accounts", acme)
    inserted, updated, deleted = bodies(twin)
    assert [body["operation"] for body in (inserted, updated, deleted)] == ["insert", "update", "delete"]
    assert (inserted["affected_fields"], updated["affected_fields"]) == ([], [{acme: ["Phone"]}])
    assert (updated["ids"], updated["token"], updated["query_params"]) == ([acme], "t-9f3c", {"k": "s3cret"})
    assert "affected_values" not in updated
    assert twin.deliveries[0][0] == HOOK


async def test_a_batch_is_told_in_one_delivery():
    twin = ZohoTwin()
    await watch(twin, events=["Vendors.create"])
    await twin.ask("POST", "v8/Vendors", {"data": [{"Vendor_Name": f"V-{at}"} for at in range(3)], "trigger": []})
    (body,) = bodies(twin)
    assert body["ids"] == list(twin.records("Vendors"))


async def test_values_are_told_when_asked_for():
    twin = ZohoTwin()
    await watch(twin, return_affected_field_values=True)
    acme = twin.insert_as_person("Accounts", Account_Name="Acme")
    twin.edit_as_person("Accounts", acme, Phone="555-0100")
    assert bodies(twin)[1]["affected_values"] == [{"record_id": acme, "values": {"Phone": "555-0100"}}]


async def test_an_expired_channel_is_silent():
    twin = ZohoTwin()
    await watch(twin, life_s=None)
    twin.clock.advance(3601)
    twin.insert_as_person("Accounts", Account_Name="Acme")
    assert twin.deliveries == []


async def test_mischief_drops_doubles_and_forges():
    twin = ZohoTwin()
    await watch(twin)
    twin.mischief(drop=1)
    twin.insert_as_person("Accounts", Account_Name="Acme")
    assert twin.deliveries == []
    twin.mischief(duplicate=1, wrong_token=1)
    twin.insert_as_person("Accounts", Account_Name="Beta")
    first, second = bodies(twin)
    assert first == second
    assert first["token"] != "t-9f3c"


async def test_mischief_reorders_the_same_way_for_the_same_seed():
    orders = []
    for _ in range(2):
        twin = ZohoTwin()
        await watch(twin)
        twin.mischief(reorder=1, seed=7)
        for at in range(6):
            twin.insert_as_person("Accounts", Account_Name=f"A-{at}")
        orders.append([body["ids"] for body in bodies(twin)])
    assert orders[0] == orders[1]
    assert orders[0] != sorted(orders[0])
