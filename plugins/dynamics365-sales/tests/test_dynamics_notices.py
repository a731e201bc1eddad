"""Webhooks: which steps are registered, what is put right, what is swept, and what is taken for genuine."""

import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ml_connector.errors import ContractBroken, NoticeRejected
from ml_connector.ports.notices import Callback, NoticeRequest

URL = "https://sync.acme.example/notices/p4thT0ken"


def callback(*kinds: str, url: str = URL) -> Callback:
    return Callback(url=url, secret="canary-9Zt4Vw", kinds=kinds or ("order",))  # type: ignore[arg-type]


def request_of(delivery: Any) -> NoticeRequest:
    return NoticeRequest(path_token="p4thT0ken", query={}, headers=delivery.headers, body=delivery.body)


def steps(world: Any) -> set[tuple[str, str]]:
    names = world.twin.records("sdkmessage"), world.twin.records("sdkmessagefilter")
    return {
        (
            names[0][row.values["sdkmessageid"]].values["name"],
            names[1][row.values["sdkmessagefilterid"]].values["primaryobjecttypecode"],
        )
        for row in world.twin.records("sdkmessageprocessingstep").values()
        if row.values["statecode"] == 0
    }


async def test_the_two_messages_that_people_expect_take_no_step_and_are_heard_of_all_the_same(
    dynamics: Callable[..., Any],
) -> None:
    """A conversion is the Create of an order, a fulfilment the Update of one."""
    world = dynamics()
    subscription = await world.connection.notices.subscribe(callback("order", "quote"))
    changes = {(message, table) for message in ("Create", "Update", "Delete") for table in ("salesorder", "quote")}
    assert steps(world) == changes
    quote = world.twin.insert_as_person("quote", name="Offer", customerid=world.account())
    world.twin.edit_as_person("quote", quote, statecode=1, statuscode=2)
    world.twin.deliveries.clear()
    order = world.twin.act_as_person("ConvertQuoteToSalesOrder", QuoteId=quote, ColumnSet={"AllColumns": True})
    notices = [n for d in world.twin.deliveries for n in world.connection.notices.read(request_of(d), subscription)]
    assert ("order", (order,)) in {(notice.kind, notice.ids) for notice in notices}


async def test_a_release_that_takes_a_step_on_them_gets_one(dynamics: Callable[..., Any]) -> None:
    """Asked at run time, because the documentation of tomorrow may say otherwise."""
    world = dynamics()
    world.twin.watch.allow("FulfillSalesOrder", "salesorder")
    await world.connection.notices.subscribe(callback())
    assert ("FulfillSalesOrder", "salesorder") in steps(world)


async def test_a_step_that_an_administrator_switched_off_is_put_back(dynamics: Callable[..., Any]) -> None:
    """Solution imports do it too; nobody else would notice."""
    world = dynamics()
    subscription = await world.connection.notices.subscribe(callback())
    off, removed, _ = list(world.twin.records("sdkmessageprocessingstep").values())
    off.values["statecode"] = 1
    del world.twin.env.rows["sdkmessageprocessingstep"][removed.id]
    assert len(steps(world)) == 1
    await world.connection.notices.renew(subscription)
    assert len(steps(world)) == 3


async def test_what_a_former_life_left_behind_is_removed_and_others_are_left_alone(dynamics: Callable[..., Any]) -> None:
    """Orphans of ours would post to an address that nobody reads; another installation's are none of our business."""
    world = dynamics()
    await world.connection.notices.subscribe(callback(url="https://sync.acme.example/notices/forgotten"))
    foreign = world.twin.insert_as_person("serviceendpoint", name="ml-connector crm", url="https://other.example/x", contract=8)
    await world.connection.notices.subscribe(callback())
    endpoints = world.twin.records("serviceendpoint")
    assert {row.values["url"] for row in endpoints.values()} == {URL, "https://other.example/x"}
    assert foreign in endpoints
    assert len(steps(world)) == 3


async def test_a_context_that_is_too_large_comes_stripped_and_is_read(dynamics: Callable[..., Any]) -> None:
    """Of 256 KB and more only the ids are left, which is all that is needed."""
    world = dynamics()
    subscription = await world.connection.notices.subscribe(callback("account"))
    world.twin.watch.padding = 300_000
    account = world.account()
    [delivery] = world.twin.deliveries
    assert "x-ms-dynamics-msg-size-exceeded" in delivery.headers
    [notice] = world.connection.notices.read(request_of(delivery), subscription)
    assert notice.ids == (account,)


async def test_more_than_dataverse_ever_posts_is_refused(dynamics: Callable[..., Any]) -> None:
    """Whatever its header says."""
    world = dynamics()
    subscription = await world.connection.notices.subscribe(callback("account"))
    world.account()
    request = request_of(world.twin.deliveries[0])
    with pytest.raises(NoticeRejected):
        world.connection.notices.read(msgspec.structs.replace(request, body=request.body + b" " * 300_000), subscription)


async def test_the_second_attempt_at_a_delivery_is_known_for_what_it_is(dynamics: Callable[..., Any]) -> None:
    """One repetition after 503, with the same mark."""
    world = dynamics()
    subscription = await world.connection.notices.subscribe(callback("account"))
    world.account()
    marks: list[str] = []

    async def receive(delivery: Any) -> int:
        marks.extend(notice.dedupe for notice in world.connection.notices.read(request_of(delivery), subscription))
        return 503 if len(marks) == 1 else 202

    await world.twin.watch.deliver(receive)
    assert len(marks) == 2
    assert len(set(marks)) == 1


async def test_deliveries_that_failed_are_found_in_the_vendors_own_log(
    dynamics: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Dataverse does not try again; polling brings the records, and the operator hears of the failure."""
    world = dynamics()
    subscription = await world.connection.notices.subscribe(callback("account"))
    account = world.account()

    async def down(delivery: Any) -> None:
        return None

    await world.twin.watch.deliver(down)
    failed = await world.connection.notices.failed_since(subscription.id, subscription.created_at)
    assert [job["_regardingobjectid_value"] for job in failed] == [account]
    with caplog.at_level(logging.WARNING):
        await world.connection.notices.renew(subscription)
    assert "1 deliveries failed" in caplog.text
    assert [record.id for record in (await world.news("account", None))[0]] == [account]


async def test_the_secret_itself_is_never_given_to_the_vendor(dynamics: Callable[..., Any]) -> None:
    """What the endpoint sends is derived from it, for this endpoint alone."""
    world = dynamics()
    await world.connection.notices.subscribe(callback())
    [endpoint] = world.twin.records("serviceendpoint").values()
    assert "canary" not in str(endpoint.values)
    read = await world.twin.ask("GET", f"serviceendpoints({endpoint.id})")
    assert "authvalue" not in read.json


async def test_a_kind_that_nobody_asked_for_is_heard_and_left_alone(dynamics: Callable[..., Any]) -> None:
    """A genuine delivery is no attack, even if it is of no use."""
    world = dynamics()
    subscription = await world.connection.notices.subscribe(callback("account"))
    world.account()
    narrowed = msgspec.structs.replace(subscription, kinds=("order",))
    assert world.connection.notices.read(request_of(world.twin.deliveries[0]), narrowed) == []


async def test_where_no_message_takes_a_step_nothing_is_left_behind(dynamics: Callable[..., Any]) -> None:
    """An endpoint without steps would be a promise that nobody keeps."""
    world = dynamics()
    for message in ("Create", "Update", "Delete"):
        world.twin.watch.allow(message, "salesorder", False)
    with pytest.raises(ContractBroken, match="none of the messages"):
        await world.connection.notices.subscribe(callback())
    assert not world.twin.records("serviceendpoint")
