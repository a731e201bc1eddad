"""Notification channels: kept alive, never doubled, and believed only on proof."""

import logging
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from ml_connector.errors import ContractBroken, NoticeRejected
from ml_connector.ports.notices import Callback, NoticeRequest
from ml_connector.twin import Fault

URL = "https://hooks.example.com/notices/q7Zk3w"


async def subscribed(world, kinds=("account",), url=URL):
    return await world.connection.notices.subscribe(Callback(url=url, secret="s3cret", kinds=kinds))


def delivered(world):
    """The notices as the receiver hands them over."""
    requests = []
    for url, body in world.twin.deliveries:
        parts = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        requests.append(NoticeRequest(path_token=parts.path.rpartition("/")[2], query=query, headers={}, body=body))
    world.twin.deliveries.clear()
    return requests


def forged(request, **changes):
    body = msgspec.json.decode(request.body) | changes
    return msgspec.structs.replace(request, body=msgspec.json.encode(body))


async def channels(world):
    return {str(channel.channel_id) for channel in await world.connection.notices._api.channels()}


async def test_a_channel_lives_as_long_as_zoho_granted(zoho):
    world = zoho(channel_ttl="6d")
    subscription = await subscribed(world)
    assert subscription.expires_at == world.twin.clock.now() + timedelta(days=6)
    assert await channels(world) == {subscription.id}


async def test_a_person_s_edit_is_told_with_the_id_to_fetch(zoho):
    world = zoho()
    subscription = await subscribed(world)
    acme = world.twin.insert_as_person("Accounts", Account_Name="Acme")
    (request,) = delivered(world)
    (notice,) = world.connection.notices.read(request, subscription)
    assert (notice.kind, notice.ids) == ("account", (acme,))


async def test_the_same_delivery_twice_has_one_dedupe_key_and_the_next_event_another(zoho):
    world = zoho()
    subscription = await subscribed(world)
    acme = world.twin.insert_as_person("Accounts", Account_Name="Acme")
    world.pass_time(seconds=1)
    world.twin.edit_as_person("Accounts", acme, Phone="555-0100")
    first, second = delivered(world)
    keys = [world.connection.notices.read(request, subscription)[0].dedupe for request in (first, first, second)]
    assert keys[0] == keys[1] != keys[2]


async def test_all_ids_of_one_delivery_are_told(zoho):
    world = zoho()
    subscription = await subscribed(world)
    world.twin.insert_as_person("Accounts", Account_Name="Acme")
    (request,) = delivered(world)
    told = world.connection.notices.read(forged(request, ids=["1", "2", "3"]), subscription)
    assert [notice.ids for notice in told] == [("1",), ("2",), ("3",)]
    assert len({notice.dedupe for notice in told}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"token": "guessed"},
        {"token": ""},
        {"channel_id": "1700000000001"},
        {"module": "Leads"},
        {"query_params": {"k": "guessed"}},
        {"ids": "not a list"},
        {"token": "ünïcode"},
    ],
)
async def test_a_forged_notice_changes_nothing(zoho, changes):
    world = zoho()
    subscription = await subscribed(world, kinds=("account", "deal"))
    world.twin.insert_as_person("Accounts", Account_Name="Acme")
    (request,) = delivered(world)
    with pytest.raises(NoticeRejected):
        world.connection.notices.read(forged(request, **changes), subscription)


async def test_a_notice_at_the_wrong_address_or_without_json_changes_nothing(zoho):
    world = zoho()
    subscription = await subscribed(world)
    world.twin.insert_as_person("Accounts", Account_Name="Acme")
    (request,) = delivered(world)
    for bad in (msgspec.structs.replace(request, query={}), msgspec.structs.replace(request, body=b"\xff{")):
        with pytest.raises(NoticeRejected):
            world.connection.notices.read(bad, subscription)


async def test_the_token_fits_one_channel_only_and_is_not_the_secret(zoho):
    world = zoho()
    old = await subscribed(world)
    world.twin.insert_as_person("Accounts", Account_Name="Acme")
    (request,) = delivered(world)
    token = msgspec.json.decode(request.body)["token"]
    assert len(token) <= 50
    assert "s3cret" not in request.body.decode() + str(request.query)
    other = msgspec.structs.replace(old, id="1700000000001")
    with pytest.raises(NoticeRejected):
        world.connection.notices.read(forged(request, channel_id=other.id), other)


async def test_a_renewed_channel_is_the_same_one_for_longer(zoho):
    world = zoho()
    subscription = await subscribed(world)
    world.pass_time(days=3)
    renewed = await world.connection.notices.renew(subscription)
    assert renewed.id == subscription.id
    assert renewed.expires_at == subscription.expires_at + timedelta(days=3)


async def test_a_channel_that_zoho_forgot_is_opened_anew_and_only_once(zoho):
    world = zoho()
    subscription = await subscribed(world)
    world.pass_time(days=8)
    renewed = await world.connection.notices.renew(subscription)
    assert renewed.expires_at > world.twin.clock.now()
    assert await channels(world) == {renewed.id}


async def test_subscribing_again_replaces_what_this_connection_has_at_the_receiver(zoho):
    """A channel at another receiver belongs to another installation of this program."""
    world = zoho()
    elsewhere = await subscribed(world, url="https://elsewhere.example/notices/q7Zk3w")
    await subscribed(world)
    await subscribed(world, kinds=("deal",), url="https://hooks.example.com/notices/former")
    world.pass_time(seconds=1)
    again = await subscribed(world)
    assert await channels(world) == {again.id, elsewhere.id}


async def test_a_renewal_closes_what_another_process_opened_beside_it(zoho):
    world = zoho()
    subscription = await subscribed(world)
    [channel] = world.twin.watch.channels.values()
    world.twin.watch.channels["17"] = msgspec.structs.replace(channel, id="17")
    renewed = await world.connection.notices.renew(subscription)
    assert await channels(world) == {renewed.id} == {subscription.id}


async def test_a_lost_answer_to_the_subscription_leaves_one_channel(zoho):
    world = zoho()
    world.twin.faults.add(Fault(kind="lost_after", path="actions/watch", method="POST"))
    subscription = await subscribed(world)
    assert await channels(world) == {subscription.id}


async def test_the_trap_of_one_hour_is_told_and_the_granted_time_is_kept(zoho, caplog):
    world = zoho()
    notices = world.connection.notices
    notices._life = timedelta(days=30)
    with caplog.at_level(logging.WARNING):
        subscription = await subscribed(world)
    assert subscription.expires_at == world.twin.clock.now() + timedelta(hours=1)
    assert "lower channel_ttl" in caplog.text


async def test_a_closed_channel_may_be_closed_again(zoho):
    world = zoho()
    subscription = await subscribed(world)
    await world.connection.notices.unsubscribe(subscription)
    await world.connection.notices.unsubscribe(subscription)
    assert await channels(world) == set()


async def test_a_renamed_module_is_subscribed_and_recognised(zoho):
    world = zoho()
    world.twin.rename_module("Accounts", "Customers")
    subscription = await subscribed(world)
    world.twin.insert_as_person("Accounts", Account_Name="Acme")
    (request,) = delivered(world)
    restarted = world.again().connection.notices
    assert restarted.read(request, subscription)[0].kind == "account"


async def test_an_address_too_long_for_zoho_is_told_before_it_is_asked(zoho):
    with pytest.raises(ContractBroken, match="255"):
        await subscribed(zoho(), url="https://hooks.example.com/" + "x" * 250)
