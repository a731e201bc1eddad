"""Webhooks: registered once, proved before anything else, and put back when Pipedrive took them away."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ml_connector.errors import ConnectorError, NoticeRejected
from ml_connector.ports.notices import Callback, NoticeRequest, Subscription
from ml_connector.twin import Fault

URL = "https://sync.acme.example/notices/p4thT0ken"
GATEWAY = {"proof": ["hmac_sha256"], "hmac_secret": "secret:gateway", "hmac_header": "X-Gateway-Signature"}


async def subscribed(world: Any, *kinds: Any) -> Subscription:
    callback = Callback(url=URL, secret="s3cret", kinds=kinds or ("account", "deal"))
    return await world.connection.notices.subscribe(callback)  # type: ignore[no-any-return]


def delivered(world: Any, **headers: str) -> NoticeRequest:
    [delivery, *_] = world.twin.webhooks.take()
    return NoticeRequest(path_token="p4thT0ken", query={}, headers={**delivery.headers, **headers}, body=delivery.body)


async def test_an_edit_is_told_as_the_record_to_look_at(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    one = world.twin.enter("organizations", name="Acme")
    subscription = await subscribed(world)
    world.twin.change("organizations", one, name="Acme Holding")
    [notice] = world.connection.notices.read(delivered(world), subscription)
    assert (notice.kind, notice.ids) == ("account", (one,))


async def test_a_deletion_is_told_too(pipedrive: Callable[..., Any]) -> None:
    """Lists never tell of deleted organizations; this does."""
    world = pipedrive()
    one = world.twin.enter("organizations", name="Acme")
    subscription = await subscribed(world)
    world.twin.delete("organizations", one)
    [notice] = world.connection.notices.read(delivered(world), subscription)
    assert notice.ids == (one,)


async def test_a_lines_edit_names_its_deal(pipedrive: Callable[..., Any]) -> None:
    """A line's change may move no time on the deal, so that polling would miss it."""
    world = pipedrive(lines=True)
    deal, product = world.twin.enter("deals", title="x"), world.twin.enter("products", name="Gearbox")
    subscription = await subscribed(world, "deal")
    attached = world.twin.attach(deal, product, item_price=0)
    [notice] = world.connection.notices.read(delivered(world), subscription)
    assert (notice.kind, notice.ids) == ("deal", (deal,))
    world.twin.webhooks.take()
    world.twin.company.remove_line(int(deal), int(attached), 1)
    [notice] = world.connection.notices.read(delivered(world), subscription)
    assert notice.ids == (deal,)


async def test_a_retry_has_the_mark_of_the_first_try(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    subscription = await subscribed(world)
    world.twin.enter("organizations", name="Acme")
    [delivery] = world.twin.webhooks.take()
    world.twin.webhooks.delivered(delivery, good=False)
    world.clock.advance(3)
    [again] = world.twin.webhooks.take()
    marks = {
        notice.dedupe
        for each in (delivery, again)
        for notice in world.connection.notices.read(
            NoticeRequest(path_token="", query={}, headers=each.headers, body=each.body), subscription
        )
    }
    assert (again.attempt, len(marks)) == (2, 1)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"meta":{"id":1}}', b"[" * 5000])
async def test_a_proven_delivery_that_is_none_is_refused_all_the_same(pipedrive: Callable[..., Any], body: bytes) -> None:
    world = pipedrive()
    subscription = await subscribed(world)
    world.twin.enter("organizations", name="Acme")
    request = msgspec.structs.replace(delivered(world), body=body)
    with pytest.raises(NoticeRejected):
        world.connection.notices.read(request, subscription)


@pytest.mark.parametrize("encoding", ["hex", "base64"])
async def test_a_gateways_signature_takes_the_place_of_basic(pipedrive: Callable[..., Any], encoding: str) -> None:
    world = pipedrive(webhook={**GATEWAY, "hmac_encoding": encoding, "hmac_prefix": "sha256="})
    subscription = await subscribed(world)
    assert "http_auth_user" not in next(iter(world.twin.webhooks.hooks.values())).told
    one = world.twin.enter("organizations", name="Acme")
    request = delivered(world)
    with pytest.raises(NoticeRejected):
        world.connection.notices.read(request, subscription)
    digest = hmac.new(b"gateway-secret", request.body, hashlib.sha256).digest()
    told = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    signed = msgspec.structs.replace(request, headers={"x-gateway-signature": f"sha256={told}"})
    assert world.connection.notices.read(signed, subscription)[0].ids == (one,)
    with pytest.raises(NoticeRejected):
        world.connection.notices.read(msgspec.structs.replace(signed, body=signed.body + b" "), subscription)


async def test_both_proofs_are_asked_for_where_both_are_configured(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(webhook={**GATEWAY, "proof": ["basic", "hmac_sha256"]})
    subscription = await subscribed(world)
    world.twin.enter("organizations", name="Acme")
    request = delivered(world)
    signature = hmac.new(b"gateway-secret", request.body, hashlib.sha256).hexdigest()
    signed = msgspec.structs.replace(request, headers={**request.headers, "x-gateway-signature": signature})
    assert world.connection.notices.read(signed, subscription)
    for name in signed.headers.keys() - {"content-type"}:
        less = {key: value for key, value in signed.headers.items() if key != name}
        with pytest.raises(NoticeRejected):
            world.connection.notices.read(msgspec.structs.replace(signed, headers=less), subscription)


async def test_a_new_gateway_secret_counts_from_the_next_renewal(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(webhook=GATEWAY)
    subscription = await subscribed(world)
    world.host.secrets.values["gateway"] = "another"
    subscription = await world.connection.notices.renew(subscription)
    world.twin.enter("organizations", name="Acme")
    request = delivered(world)
    signature = hmac.new(b"another", request.body, hashlib.sha256).hexdigest()
    signed = msgspec.structs.replace(request, headers={"x-gateway-signature": signature})
    assert world.connection.notices.read(signed, subscription)


async def test_what_pipedrive_deleted_is_registered_again_and_once(pipedrive: Callable[..., Any]) -> None:
    """Three days without an answer, and a webhook is gone."""
    world = pipedrive()
    subscription = await subscribed(world)
    world.clock.advance(3 * 86_400 + 60)
    renewed = await world.connection.notices.renew(subscription)
    assert {str(hook) for hook in world.twin.webhooks.hooks} == set(renewed.id.split(","))
    assert len(world.twin.webhooks.hooks) == 2
    assert (await world.connection.notices.renew(renewed)).id == renewed.id


async def test_one_webhook_of_two_gone_renews_both(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    subscription = await subscribed(world)
    del world.twin.webhooks.hooks[int(subscription.id.partition(",")[0])]
    renewed = await world.connection.notices.renew(subscription)
    assert {str(hook) for hook in world.twin.webhooks.hooks} == set(renewed.id.split(","))


async def test_the_life_of_a_subscription_makes_the_program_look_every_day(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    subscription = await subscribed(world)
    assert subscription.expires_at is not None
    assert (subscription.expires_at - subscription.created_at).days == 2


async def test_half_a_registration_is_taken_back(pipedrive: Callable[..., Any]) -> None:
    """The limit of forty, or an outage between two calls."""
    world = pipedrive()
    world.twin.faults.add(Fault("status", status=422, body=b'{"success":false}', method="POST", path="/webhooks", skip=1))
    with pytest.raises(ConnectorError) as caught:
        await subscribed(world)
    assert "40" in caught.value.fix
    assert world.twin.webhooks.hooks == {}


async def test_a_registration_whose_answer_was_lost_is_not_doubled(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    world.twin.faults.add(Fault("lost_after", method="POST", path="/webhooks"))
    with pytest.raises(ConnectorError):
        await subscribed(world)
    await subscribed(world)
    assert len(world.twin.webhooks.hooks) == 2


async def test_no_secret_of_ours_lies_at_pipedrive(pipedrive: Callable[..., Any]) -> None:
    """The password is made from the subscription's secret, which never leaves."""
    world = pipedrive()
    await subscribed(world)
    assert "s3cret" not in str([hook.told for hook in world.twin.webhooks.hooks.values()])


async def test_webhooks_that_a_lost_memory_left_behind_are_removed_and_no_others(pipedrive: Callable[..., Any]) -> None:
    """A hook of the same name at another receiver belongs to another installation of this program."""
    world = pipedrive()
    notices = world.connection.notices
    former = await notices.subscribe(Callback(url="https://sync.acme.example/notices/0ld", secret="s3cret", kinds=("account",)))
    name = world.twin.webhooks.hooks[int(former.id)].told["name"]
    elsewhere = {"subscription_url": "https://other.example/notices/x", "event_action": "*", "event_object": "organization"}
    answer = await world.twin.ask("POST", "v1/webhooks", {**elsewhere, "name": name})
    subscription = await subscribed(world)
    assert {str(hook) for hook in world.twin.webhooks.hooks} == {*subscription.id.split(","), str(answer.json["data"]["id"])}
