"""The twin is as strict as the vendor: what it refuses, and how, is what the plugin has to live with."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from ml_connector_dynamics365_sales import multipart
from ml_connector_dynamics365_sales.multipart import Request
from ml_connector_dynamics365_sales.wire import encode

ACCOUNT = {"name": "Nordvik AS", "accountnumber": "C-1"}


def code(told: Any) -> tuple[int, str]:
    return told.status, told.json["error"]["code"].lower()


@pytest.fixture
def twin(dynamics: Callable[..., Any]) -> Any:
    return dynamics().twin


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "x" * 161}, (400, "0x80044331")),
        ({"customertypecode": 99}, (400, "0x8004431a")),
        ({"nmae": "x"}, (400, "0x80048d19")),
        ({"name": 5}, (400, "0x80048d19")),
        ({"PrimaryContactId@odata.bind": "/contacts(5d0f6c2e-0b1a-4f7e-9c55-1a2b3c4d5e6f)"}, (400, "0x80048d19")),
        ({"parentaccountid@odata.bind": "/accounts(5d0f6c2e-0b1a-4f7e-9c55-1a2b3c4d5e6f)"}, (404, "0x80040217")),
        ({"parentaccountid@odata.bind": "/contacts(5d0f6c2e-0b1a-4f7e-9c55-1a2b3c4d5e6f)"}, (400, "0x80048d19")),
        ({"statecode": 1, "statuscode": 2}, (400, "0x80040203")),
        ({"creditlimit": "5"}, (400, "0x80048d19")),
    ],
)
async def test_a_payload_is_checked_column_by_column(twin: Any, body: dict[str, Any], expected: tuple[int, str]) -> None:
    """Lengths, choices, names, types, lookups; state only after the fact."""
    assert code(await twin.ask("POST", "accounts", body)) == expected
    assert not twin.records("account")


async def test_upsert_and_its_two_guards(twin: Any) -> None:
    """No If-Match creates, a star only updates, If-None-Match only creates, a stale ETag is refused."""
    where = "accounts(accountnumber='C-1')?$select=accountid"
    assert (await twin.ask("PATCH", where, ACCOUNT, if_match="*")).status == 404
    made = await twin.ask("PATCH", where, ACCOUNT, prefer="return=representation")
    assert made.status == 201
    assert code(await twin.ask("PATCH", where, {"name": "x"}, if_none_match="*")) == (412, "0x80060892")
    again = await twin.ask("PATCH", where, {"name": "x"}, prefer="return=representation", if_match=made.json["@odata.etag"])
    assert again.status == 200
    assert code(await twin.ask("PATCH", where, {"name": "y"}, if_match=made.json["@odata.etag"])) == (412, "0x80060882")
    assert (await twin.ask("PATCH", where, {"name": "z"})).status == 204


async def test_a_patch_to_a_deleted_id_brings_the_record_back(twin: Any) -> None:
    """The vendor's default, and a trap."""
    made = await twin.ask("POST", "accounts", ACCOUNT, prefer="return=representation")
    row_id = made.json["accountid"]
    assert (await twin.ask("DELETE", f"accounts({row_id})")).status == 204
    assert (await twin.ask("PATCH", f"accounts({row_id})", {"name": "Back"})).status == 204
    assert list(twin.records("account")) == [row_id]


async def test_a_body_wins_over_the_url_only_when_it_creates(twin: Any) -> None:
    """The key column in the body is dropped on update."""
    await twin.ask("PATCH", "accounts(accountnumber='C-1')", {"name": "a", "accountnumber": "C-2"})
    assert [row.values["accountnumber"] for row in twin.records("account").values()] == ["C-2"]
    await twin.ask("PATCH", "accounts(accountnumber='C-2')", {"name": "b", "accountnumber": "C-3"})
    assert [row.values["accountnumber"] for row in twin.records("account").values()] == ["C-2"]


@pytest.mark.parametrize("value", ["a/b", "a<b", "a*b", "a%b", "a&b", "a:b", "a\\b", "a?b", "a+b"])
async def test_keys_with_forbidden_characters_break_the_url(twin: Any, value: str) -> None:
    """Though uniqueness over them is kept."""
    assert (await twin.ask("PATCH", f"accounts(accountnumber='{quote(value, safe='')}')", {"name": "x"})).status in (400, 404)
    assert (await twin.ask("POST", "accounts", {"accountnumber": value})).status == 204
    assert code(await twin.ask("POST", "accounts", {"accountnumber": value})) == (412, "0x80060892")


async def test_an_address_without_a_key_is_refused(twin: Any) -> None:
    """Standard tables have no alternate key until somebody makes one."""
    twin.env.defs["account"].keys.clear()
    told = await twin.ask("GET", "accounts(accountnumber='C-1')")
    assert told.status == 400
    assert "not valid for resource" in told.json["error"]["message"]


@pytest.mark.parametrize("option", ["$skip=5", "$search=x", "$apply=x"])
async def test_options_that_dataverse_does_not_know_are_refused(twin: Any, option: str) -> None:
    """There is no $skip."""
    assert (await twin.ask("GET", f"accounts?{option}")).status == 400


@pytest.mark.parametrize("option", ["$filter=name eq 'x'", "$orderby=name", "$expand=primarycontactid", "$top=1"])
async def test_change_tracking_takes_no_conditions(twin: Any, option: str) -> None:
    """As the vendor says it."""
    told = await twin.ask("GET", f"accounts?{quote(option, safe='$=&')}", prefer="odata.track-changes")
    assert "Change Tracking" in told.json["error"]["message"]


async def test_a_record_made_and_deleted_between_two_polls_is_told_as_deleted(twin: Any) -> None:
    """And a link that is too old is refused with its own code."""
    first = await twin.ask("GET", "accounts?$select=accountid", prefer="odata.track-changes")
    link = first.json["@odata.deltaLink"].partition("/api/data/v9.2/")[2]
    made = twin.insert_as_person("account", name="Short-lived")
    twin.delete_as_person("account", made)
    told = await twin.ask("GET", link)
    assert [(row["id"], row["reason"]) for row in told.json["value"]] == [(made, "deleted")]
    twin.clock.advance(8 * 86_400)
    assert code(await twin.ask("GET", link)) == (400, "0x80044352")


async def test_bulk_is_all_or_nothing_and_tells_no_ids(twin: Any) -> None:
    """One bad row undoes the call."""
    good = {"@odata.type": "Microsoft.Dynamics.CRM.account", "@odata.id": "accounts(accountnumber='A')", "name": "A"}
    bad = {**good, "@odata.id": "accounts(accountnumber='B')", "name": "x" * 161}
    action = "accounts/Microsoft.Dynamics.CRM.UpsertMultiple"
    assert (await twin.ask("POST", action, {"Targets": [good, bad]})).status == 400
    assert not twin.records("account")
    told = await twin.ask("POST", action, {"Targets": [good]})
    assert (told.status, told.json) == (204, None)
    assert (await twin.ask("POST", action, {"Targets": [{"name": "x"}]})).status == 400
    units = "transactioncurrencies/Microsoft.Dynamics.CRM.UpsertMultiple"
    assert (await twin.ask("POST", units, {"Targets": [good]})).status == 404


async def test_a_batch_stops_at_the_first_error_unless_told_to_go_on(twin: Any) -> None:
    """And a change set takes everything back."""

    def post(name: str) -> Request:
        return Request(method="POST", target="/api/data/v9.2/accounts", body=encode({"name": name}))

    requests = [post("A"), post("x" * 161), post("B")]
    kind = multipart.content_type()
    assert (await twin.ask("POST", "$batch", multipart.batch(requests), content_type=kind)).status == 400
    assert len(twin.records("account")) == 1
    told = await twin.ask("POST", "$batch", multipart.batch(requests), content_type=kind, prefer="odata.continue-on-error")
    assert told.status == 200
    assert len(twin.records("account")) == 3
    await twin.ask("POST", "$batch", multipart.batch([requests]), content_type=kind)
    assert len(twin.records("account")) == 3


def posts(count: int, target: str = "accounts") -> list[Request]:
    return [Request(method="POST", target=f"/api/data/v9.2/{target}", body=b'{"name":"Acme"}') for _ in range(count)]


@pytest.mark.parametrize(
    ("items", "words"),
    [
        (posts(1001), "more than 1000"),
        ([posts(501), posts(500)], "more than 1000"),
        ([[*posts(1), Request(method="GET", target="/api/data/v9.2/accounts")]], "no GET"),
        (posts(1, "$batch"), "another batch"),
        ([Request(method="GET", target=f"/api/data/v9.2/accounts?$filter=name%20eq%20'{'x' * 65_536}'")], "65536"),
    ],
)
async def test_what_no_batch_may_hold_refuses_all_of_it(twin: Any, items: Any, words: str) -> None:
    """Nothing of it is done."""
    told = await twin.ask("POST", "$batch", multipart.batch(items), content_type=multipart.content_type())
    assert told.status == 400
    assert words in told.json["error"]["message"]
    assert not twin.records("account")


async def test_a_content_id_stands_once_and_is_told_to_those_behind_it_alone(twin: Any) -> None:
    buyer = encode({"name": "Acme"})
    contact = encode({"lastname": "Berg", "parentcustomerid_account@odata.bind": "$1.1"})
    both = [
        Request(method="POST", target="/api/data/v9.2/accounts", body=buyer),
        Request(method="POST", target="/api/data/v9.2/contacts", body=contact),
    ]
    kind = multipart.content_type()
    told = await twin.ask("POST", "$batch", multipart.batch([list(reversed(both))]), content_type=kind)
    assert (told.status, len(twin.records("account"))) == (400, 0)
    twice = multipart.batch([both, both])
    assert (
        await twin.ask("POST", "$batch", twice.replace(b"Content-ID: 2.", b"Content-ID: 1."), content_type=kind)
    ).status == 400
    assert (await twin.ask("POST", "$batch", multipart.batch([both]), content_type=kind)).status == 200
    [person] = twin.records("contact").values()
    assert [person.values["parentcustomerid"]] == list(twin.records("account"))


async def test_a_batch_is_worked_off_for_two_minutes(twin: Any) -> None:
    """What is done by then stands, and nobody hears of it. A deep insert takes as long as its rows."""
    twin.protection.cost_s = 1.0
    buyer = twin.insert_as_person("account", name="Acme")
    line = {"isproductoverridden": True, "productdescription": "Freight", "quantity": 1, "lineitemnumber": 1}
    told = {"name": "SO", "customerid_account@odata.bind": f"/accounts({buyer})", "order_details": [line] * 3}
    orders = [Request(method="POST", target="/api/data/v9.2/salesorders", body=encode(told)) for _ in range(40)]
    kind = multipart.content_type()
    assert (await twin.ask("POST", "$batch", multipart.batch(orders[:30]), content_type=kind)).status == 200
    assert (await twin.ask("POST", "$batch", multipart.batch(orders), content_type=kind)).status == 504
    assert len(twin.records("salesorder")) == 30 + 31


async def test_a_query_has_five_hundred_conditions_and_a_link_32_kb(twin: Any) -> None:
    def where(count: int) -> str:
        return "%20or%20".join(f"name%20eq%20'{number}'" for number in range(count))

    assert (await twin.ask("GET", f"accounts?$filter={where(500)}")).status == 200
    assert code(await twin.ask("GET", f"accounts?$filter={where(501)}")) == (400, "0x8004430c")
    assert (await twin.ask("GET", f"accounts?$filter=name%20eq%20'{'x' * 33_000}'")).status == 414


async def test_a_deep_insert_is_a_post(twin: Any) -> None:
    told = {"name": "SO", "order_details": [{"quantity": 1}]}
    assert (await twin.ask("PATCH", "salesorders(5d0f6c2e-0b1a-4f7e-9c55-1a2b3c4d5e6f)", told)).status == 400


async def test_service_protection_has_three_limits(twin: Any) -> None:
    """Requests, execution time, concurrency: each with its code, and a wait."""
    twin.protection.requests = 2
    for _ in range(2):
        assert (await twin.ask("GET", "WhoAmI")).status == 200
    told = await twin.ask("GET", "WhoAmI")
    assert code(told) == (429, "0x80072322")
    assert int(told.headers["Retry-After"]) > 250
    twin.protection.requests, twin.protection.cost_s = 6000, 2000
    twin.clock.advance(301)
    await twin.ask("GET", "WhoAmI")
    assert code(await twin.ask("GET", "WhoAmI")) == (429, "0x80072321")
    twin.clock.advance(301)
    twin.protection.concurrency = 0
    assert code(await twin.ask("GET", "WhoAmI")) == (429, "0x80072326")


async def test_every_web_server_takes_as_much_as_one(twin: Any) -> None:
    twin.protection.requests, twin.protection.servers = 2, 3
    assert [(await twin.ask("GET", "WhoAmI")).status for _ in range(7)] == [200] * 6 + [429]


async def test_orders_and_quotes_have_their_rules(twin: Any) -> None:
    """A customer, an open state for edits, a number that stays, closing by message alone."""
    assert code(await twin.ask("POST", "salesorders", {"name": "SO"})) == (400, "0x80040203")
    buyer = twin.insert_as_person("account", name="Acme")
    order = twin.insert_as_person("salesorder", name="SO", customerid=buyer)
    assert twin.records("salesorder")[order].values["ordernumber"].startswith("ORD-0100")
    assert (await twin.ask("PATCH", f"salesorders({order})", {"ordernumber": "X"})).status == 400
    assert (await twin.ask("PATCH", f"salesorders({order})", {"statecode": 3, "statuscode": 100001})).status == 400
    assert (await twin.ask("PATCH", f"salesorders({order})", {"statecode": 1, "statuscode": 3})).status == 204
    assert (await twin.ask("PATCH", f"salesorders({order})", {"description": "x"})).status == 400
    quote_id = twin.insert_as_person("quote", name="Q", customerid=buyer)
    told = await twin.ask("POST", "ConvertQuoteToSalesOrder", {"QuoteId": quote_id, "ColumnSet": {"AllColumns": True}})
    assert told.status == 400
    assert code(await twin.ask("DELETE", f"accounts({buyer})")) == (405, "0x80040227")


async def test_prices_are_the_price_lists_unless_overridden(dynamics: Callable[..., Any]) -> None:
    """And totals are the twin's own sums, whatever was sent."""
    world = dynamics()
    twin, product = world.twin, world.product()
    prices = next(iter(twin.records("pricelevel")))
    unit = twin.records("product")[product].values["defaultuomid"]
    twin.insert_as_person("productpricelevel", pricelevelid=prices, productid=product, uomid=unit, amount=Decimal("7.50"))
    order = twin.insert_as_person(
        "salesorder", name="SO", customerid=world.account(), pricelevelid=prices, totalamount=Decimal(1)
    )
    line = {"salesorderid": order, "productid": product, "uomid": unit, "quantity": Decimal(2), "priceperunit": Decimal(99)}
    twin.insert_as_person("salesorderdetail", **line)
    assert twin.records("salesorder")[order].values["totalamount"] == Decimal("15.00")
    twin.insert_as_person("salesorderdetail", **line, ispriceoverridden=True)
    assert twin.records("salesorder")[order].values["totalamount"] == Decimal("213.00")


async def test_only_active_products_in_their_own_units_are_sold(dynamics: Callable[..., Any]) -> None:
    """A draft is refused, and so is another group's unit."""
    world = dynamics()
    draft = world.product("D-1", active=False)
    order = world.twin.insert_as_person("salesorder", name="SO", customerid=world.account())
    unit = world.twin.records("product")[draft].values["defaultuomid"]
    with pytest.raises(ValueError, match="active products"):
        world.twin.insert_as_person("salesorderdetail", salesorderid=order, productid=draft, uomid=unit, quantity=Decimal(1))


async def test_no_token_or_an_old_one_is_401(twin: Any) -> None:
    """With the challenge that names the authority."""
    from ml_connector.twin import TwinRequest

    told = await twin(TwinRequest("GET", twin.host, "/api/data/v9.2/WhoAmI", {"authorization": "Bearer nonsense"}))
    assert told.status == 401
    assert "authorization_uri" in told.headers["WWW-Authenticate"]


async def test_the_same_seed_gives_the_same_records_and_edits(dynamics: Callable[..., Any]) -> None:
    """So that a simulation can be repeated."""
    first, second = dynamics().twin, dynamics().twin
    for twin in (first, second):
        twin.fill(12, 4, seed=3)
    assert first.edit("account", 3, seed=5) == second.edit("account", 3, seed=5)
    assert dict(first.facts("account")) == dict(second.facts("account"))
    assert dict(first.facts("order")) == dict(second.facts("order"))
