"""Customers with their children, read from a twin of IFS Cloud."""

import asyncio

import pytest

from ml_connector.domain import UNSET, Money
from ml_connector.errors import ContractBroken
from ml_connector.twin import Fault, TwinClock
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_ifs_cloud.twin import IfsTwin, metadata_modified
from ml_connector_ifs_cloud.versions import header_etag

ALL = {"entities": {"account": {"categories": []}}}


def enter(twin, number, name="Acme", **values):
    twin.put("CustomerInfoSet", {"CustomerId": number, "Name": name, "CustomerCategory": "Customer", **values})


def phone(twin, number, value, method="Phone"):
    key = {"PartyType": "Customer", "Identity": number, "CommId": 1}
    twin.put("CommunicationMethods", {**key, "MethodId": method, "Value": value, "MethodDefault": True})


@pytest.mark.parametrize("way", [{}, {"entities": {"account": {"categories": [], "sales_set": None}}}, {"page_size": 3}])
async def test_what_is_read_is_what_the_twins_tables_hold(twin, open_twin, way):
    twin.fill(30, 0)
    records = (
        await open_twin(twin, **{**ALL, "company": "10", **way}).sources["account"].fetch([n for n, _ in twin.facts("account")])
    )
    read = {record.id: record.entity for record in records}
    for number, facts in twin.facts("account"):
        entity = read[number]
        for name in ("name", "tax_id", "language", "phone", "email", "fax", "payment_terms", "credit_blocked", "currency"):
            assert getattr(entity, name) == facts[name], (number, name)
        assert entity.billing.city == facts["billing.city"]
        assert entity.shipping.street == facts["shipping.street"]
        assert entity.credit_limit == Money(facts["credit_limit"], entity.currency)


@pytest.mark.parametrize("strategy", [{}, {"sweep_children": "always"}, {"change_strategy": "full"}])
async def test_a_sweep_of_keys_a_sweep_of_rows_and_a_fetch_agree_on_versions(twin, open_twin, swept, strategy):
    twin.fill(20, 0)
    erp = open_twin(twin, paging="keyset", page_size=6, entities={"account": strategy})
    keys = await swept(erp, "account")
    assert keys
    assert await swept(erp, "account", rows=True) == keys
    assert {record.id: record.version for record in await erp.sources["account"].fetch(list(keys))} == keys


async def test_a_childs_edit_moves_the_version_only_where_children_are_swept(twin, open_twin, swept):
    enter(twin, "C-100")
    phone(twin, "C-100", "040-1")
    header, whole = open_twin(twin), open_twin(twin, entities={"account": {"sweep_children": "always"}})
    before = await swept(header, "account"), await swept(whole, "account")
    twin.update("CommunicationMethods", ("Customer", "C-100", 1), Value="040-2")
    after = await swept(header, "account"), await swept(whole, "account")
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert header_etag(after[1]["C-100"]) == after[0]["C-100"]


async def test_without_sweeping_children_everything_is_read_anew_once_a_day(twin, open_twin):
    assert open_twin(twin).sources["account"].full_every.total_seconds() == 86_400
    assert open_twin(twin, entities={"account": {"full_every_h": 0}}).sources["account"].full_every is None


async def test_a_sweep_of_keys_asks_for_no_children(twin, open_twin, swept):
    twin.fill(30, 0)
    await swept(open_twin(twin), "account")
    assert not [path for _, path, _ in twin.calls if "(" in path]


async def test_prospects_are_left_out_unless_asked_for(twin, open_twin, swept):
    enter(twin, "C-100")
    enter(twin, "P-200", CustomerCategory="Prospect")
    assert set(await swept(open_twin(twin), "account")) == {"C-100"}
    assert set(await swept(open_twin(twin, **ALL), "account")) == {"C-100", "P-200"}
    assert await open_twin(twin).sources["account"].fetch(["P-200"]) == []


@pytest.mark.parametrize("number", ["O'Brien", "C&1%", "50+ 1", "Å1"])
async def test_children_of_awkward_numbers_are_found(twin, open_twin, read, number):
    enter(twin, number)
    phone(twin, number, "040-1")
    assert (await read(open_twin(twin), "account", number)).entity.phone == "040-1"


async def test_a_slash_that_a_proxy_refuses_leaves_fields_alone_and_is_told(twin, open_twin, read):
    enter(twin, "C/100")
    phone(twin, "C/100", "040-1")
    twin.faults.add(Fault("status", status=400, body=b'{"error":{"code":"PROXY","message":"Bad path."}}', path="%2F", times=99))
    record = await read(open_twin(twin), "account", "C/100")
    assert (record.entity.name, record.entity.phone, record.entity.billing) == ("Acme", UNSET, UNSET)
    assert any("comm_methods could not be read" in warning for warning in record.warnings)


async def test_the_first_alias_that_is_served_is_used(open_twin, clock, swept):
    twin = IfsTwin(clock=TwinClock(clock.now), projections=("CustomersHandling", "CustomerOrderHandling"))
    enter(twin, "C-100")
    erp = open_twin(twin, entities={"account": {"children": [], "categories": []}})
    assert set(await swept(erp, "account")) == {"C-100"}


async def test_a_projection_that_is_not_granted_is_named(twin, open_twin, swept):
    twin.grants.clear()
    with pytest.raises(ContractBroken, match="CustomerHandling on gateway main") as told:
        await swept(open_twin(twin), "account")
    assert "permission set" in told.value.fix


async def test_metadata_that_is_being_refreshed_is_waited_for(twin, open_twin, swept):
    enter(twin, "C-100")
    twin.faults.add(metadata_modified())
    assert set(await swept(open_twin(twin), "account")) == {"C-100"}


async def test_children_are_read_side_by_side_but_never_more_than_allowed(twin, open_twin, monkeypatch):
    running: list[int] = [0, 0]  # now, at most
    answer = TwinTransport.handle_async_request

    async def counted(self, request):
        running[0] += 1
        running[1] = max(running)
        await asyncio.sleep(0.001)
        running[0] -= 1
        return await answer(self, request)

    monkeypatch.setattr(TwinTransport, "handle_async_request", counted)
    twin.fill(10, 0)
    erp = open_twin(twin, limits={"requests_per_minute": 1_000_000, "concurrency": 3})
    await erp.sources["account"].fetch([number for number, _ in twin.facts("account")])
    assert running[1] == 3


async def test_the_types_of_an_address_are_asked_for_only_where_there_is_a_choice(twin, open_twin, read):
    enter(twin, "C-100")
    for number, city, types in (("1", "Malmö", ["Delivery"]), ("2", "Lund", ["Document"])):
        twin.put("CustomerInfoAddresses", {"CustomerId": "C-100", "AddressId": number, "City": city})
        for name in types:
            twin.put("AddressTypes", {"CustomerId": "C-100", "AddressId": number, "AddressTypeCode": name, "DefAddress": True})
        entity = (await read(open_twin(twin), "account", "C-100")).entity
        asked = len([path for _, path, _ in twin.calls if path.endswith("AddressTypes")])
        assert (entity.billing.city, entity.shipping.city, asked > 0) == (city, "Malmö", number == "2")
