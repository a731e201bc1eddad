"""Orders and their lines, read from a twin of IFS Cloud and from servers that are less well-behaved."""

from decimal import Decimal

import pytest

from ml_connector.domain import Money
from ml_connector.errors import ContractBroken, RetryLater
from ml_connector.twin import Fault, TwinClock
from ml_connector_ifs_cloud.twin import IfsTwin
from ml_connector_ifs_cloud.versions import header_etag

BASE = "https://acme.ifs.cloud"
WAYS = [
    {},
    {"paging": "keyset", "page_size": 7},
    {"paging": "skip_only", "page_size": 7},
    {"paging": "keyset", "page_size": 7, "double_parens": True, "encode_dollar": False, "use_select": False},
    {"entities": {"order": {"change_strategy": "full"}}},
    {"entities": {"order": {"lines": {"set": None}}}, "page_size": 20},
]


def enter(twin, number, *lines, **header):
    """An order as somebody entered it: lines as (line number, net)."""
    values = {"Contract": "S01", "Company": "10", "CurrencyCode": "EUR", "CustomerNo": "C-100", "Objstate": "Planned"}
    twin.put("CustomerOrderSet", {"OrderNo": number, **values, **header})
    for line, net in lines:
        key = {"OrderNo": number, "LineNo": line, "RelNo": "1", "LineItemNo": 0}
        twin.put("CustomerOrderLineSet", {**key, "NetAmountCurr": Decimal(net), "Objstate": "Planned"})


@pytest.mark.parametrize("way", WAYS)
async def test_a_sweep_of_keys_a_sweep_of_rows_and_a_fetch_agree_on_versions(twin, open_twin, swept, way):
    twin.fill(5, 40)
    erp = open_twin(twin, **way)
    keys = await swept(erp, "order")
    assert set(keys) == {number for number, _ in twin.facts("order")}
    assert await swept(erp, "order", rows=True) == keys
    assert {record.id: record.version for record in await erp.sources["order"].fetch(list(keys))} == keys


async def test_what_is_read_is_what_the_twins_tables_hold(twin, open_twin):
    twin.fill(5, 40)
    records = await open_twin(twin).sources["order"].fetch([number for number, _ in twin.facts("order")])
    read = {record.id: record.entity for record in records}
    for number, facts in twin.facts("order"):
        entity = read[number]
        assert entity.total == Money(facts["amount"], facts["currency"])
        assert entity.customer.key == facts["customer"]
        told = tuple((line.key, line.sku, line.quantity, line.net) for line in entity.lines)
        assert told == facts["lines"]


async def test_a_line_edit_changes_the_orders_version_though_the_header_keeps_its_etag(twin, open_twin, swept):
    enter(twin, "10041", ("1", "10.00"))
    enter(twin, "10042", ("1", "10.00"), ("2", "5.00"))
    erp = open_twin(twin)
    before, etag = await swept(erp, "order"), twin.etag("CustomerOrderSet", "10042")
    twin.update("CustomerOrderLineSet", ("10042", "2", "1", Decimal(0)), CatalogDesc="Pump, green")
    after = await swept(erp, "order")
    assert twin.etag("CustomerOrderSet", "10042") == etag == header_etag(after["10042"])
    assert after["10042"] != before["10042"]
    assert after["10041"] == before["10041"]


async def test_a_line_that_is_gone_or_new_changes_the_orders_version(twin, open_twin, swept):
    enter(twin, "10042", ("1", "10.00"), ("2", "5.00"))
    erp = open_twin(twin)
    first = await swept(erp, "order")
    twin.remove("CustomerOrderLineSet", ("10042", "2", "1", Decimal(0)))
    second = await swept(erp, "order")
    twin.put("CustomerOrderLineSet", {"OrderNo": "10042", "LineNo": "3", "RelNo": "1", "LineItemNo": 0})
    third = await swept(erp, "order")
    assert len({first["10042"], second["10042"], third["10042"]}) == 3


async def test_an_order_without_lines_has_none_and_is_not_lost(twin, open_twin, read):
    enter(twin, "10041")
    enter(twin, "10042", ("1", "10.00"))
    record = await read(open_twin(twin), "order", "10041")
    assert record.entity.lines == ()
    assert record.warnings == ()


@pytest.mark.parametrize("number", ["C'1/2", "C&10%", "C 10+", "Ö-1"])
async def test_numbers_with_awkward_characters_are_fetched(twin, open_twin, read, number):
    enter(twin, number, ("1", "10.00"))
    record = await read(open_twin(twin), "order", number)
    assert (record.id, len(record.entity.lines)) == (number, 1)


async def test_more_ids_than_one_filter_takes_are_asked_for_in_parts(twin, open_twin):
    numbers = [f"C{number:05d}" for number in range(45)]
    for number in numbers:
        enter(twin, number, ("1", "1.00"))
    source = open_twin(twin).sources["order"]
    assert sorted(record.id for record in await source.fetch([*numbers, "C99999", numbers[0]])) == numbers
    twin.calls.clear()
    await source.fetch(numbers)
    assert len(twin.calls) == 6, "three parts of headers and three of lines"


async def test_urls_stay_short_whatever_the_numbers(open_server):
    erp, server = open_server(lambda asked: {"value": []}, max_url_len=1500)
    await erp.sources["order"].fetch([f"ÅÄÖ{number:09d}" for number in range(20)])
    assert max(len(BASE + raw) for raw in server.raw) <= 1500
    assert len({asked for asked in server.asked if asked.count("OrderNo eq") > 1}) > 2


async def test_only_the_configured_sites_and_companies_are_seen(twin, open_twin, swept):
    enter(twin, "10041", ("1", "10.00"), Contract="S01")
    enter(twin, "10042", ("1", "10.00"), Contract="S02")
    enter(twin, "10043", ("1", "10.00"), Contract="S02", Company="20")
    erp = open_twin(twin, sites=["S02"], companies=["10"])
    assert set(await swept(erp, "order")) == {"10042"}
    assert [record.id for record in await erp.sources["order"].fetch(["10041", "10042", "10043"])] == ["10042"]


async def test_lines_of_a_page_come_by_key_range_and_the_next_page_is_read_meanwhile(twin, open_twin, swept):
    twin.fill(3, 60)
    erp = open_twin(twin, paging="keyset", page_size=20)
    before = len(twin.calls)
    await swept(erp, "order", rows=True)
    assert len(twin.calls) - before < 25, "a call per order would be sixty"


async def test_a_collation_of_the_databases_own_loses_no_lines(open_twin, clock, swept):
    twin = IfsTwin(clock=TwinClock(clock.now), collation="nocase")
    for number in ("a1", "B2", "c3", "D4"):
        enter(twin, number, ("1", "10.00"))
    erp = open_twin(twin, page_size=3)
    assert set(await swept(erp, "order")) == {"a1", "B2", "c3", "D4"}
    records = [stub.record async for stubs in erp.sources["order"].stubs(rows=True) for stub in stubs]
    assert [len(record.entity.lines) for record in records] == [1, 1, 1, 1]


async def test_a_page_that_is_not_in_code_point_order_is_asked_for_by_both_orders(open_server, swept):
    def reply(asked):
        first = "CustomerOrderSet" in asked and "gt '" not in asked and "$skip" not in asked
        return {"value": [{"@odata.etag": 'W/"1"', "OrderNo": number} for number in ("a1", "B2")] if first else []}

    erp, server = open_server(reply)
    await swept(erp, "order")
    wanted = "((OrderNo ge 'a1' and OrderNo le 'B2') or (OrderNo ge 'B2' and OrderNo le 'a1'))"
    assert any(f"$filter={wanted}&" in asked for asked in server.asked)


async def test_a_package_head_and_its_components_are_different_lines(twin, open_twin, read):
    enter(twin, "10042")
    for item in (-1, 1, 2):
        twin.put("CustomerOrderLineSet", {"OrderNo": "10042", "LineNo": "1", "RelNo": "1", "LineItemNo": item})
    erp = open_twin(twin, entities={"order": {"lines": {"components": True}}})
    assert [line.key for line in (await read(erp, "order", "10042")).entity.lines] == ["1-1--1", "1-1-1", "1-1-2"]


async def test_an_outage_in_the_middle_of_a_sweep_is_raised_and_never_looks_complete(twin, open_twin):
    twin.fill(3, 60)
    erp = open_twin(twin, paging="keyset", page_size=10)
    twin.faults.add(Fault("status", status=503, path="CustomerOrderSet", skip=2, times=99))
    seen = 0
    with pytest.raises(RetryLater):
        async for stubs in erp.sources["order"].stubs(rows=False):
            seen += len(stubs)
    assert seen < 60


async def test_rows_without_etags_say_what_to_do(open_server, swept):
    def reply(asked):
        rows = [{"OrderNo": "C1001", "LineNo": "1", "RelNo": "1", "LineItemNo": 0}]
        return {"value": rows if "gt '" not in asked and "$skip" not in asked else []}

    erp, _ = open_server(reply)
    with pytest.raises(ContractBroken, match=r"without @odata\.etag") as told:
        await swept(erp, "order")
    assert 'change_strategy = "full"' in told.value.fix


async def test_a_link_to_another_host_gets_no_token(open_server, swept):
    erp, server = open_server(lambda asked: {"value": [], "@odata.nextLink": "https://evil.example/steal"})
    with pytest.raises(ContractBroken, match=r"evil\.example"):
        await swept(erp, "order")
    assert all("evil" not in asked for asked in server.asked)


async def test_what_the_database_refuses_to_read_stops_the_flow_not_one_record(twin, open_twin):
    body = (
        b'{"error":{"code":"DATABASE_ERROR","message":"Database error.","details":[{"code":"20112","message":"View broken."}]}}'
    )
    enter(twin, "10042")
    twin.faults.add(Fault("status", status=500, body=body, path="CustomerOrderSet", times=9))
    with pytest.raises(ContractBroken, match="View broken"):
        await open_twin(twin).sources["order"].fetch(["10042"])


async def test_a_token_that_ifs_forgot_is_replaced_without_a_word(twin, open_twin, swept):
    twin.fill(3, 20)
    erp = open_twin(twin)
    await swept(erp, "order")
    twin.faults.add(Fault("expire_tokens"))
    assert len(await swept(erp, "order")) == 20


async def test_the_time_of_change_is_utc_wherever_the_server_stands(open_twin, clock, read):
    twin = IfsTwin(clock=TwinClock(clock.now), time_offset_hours=1)
    enter(twin, "10042", ("1", "10.00"))
    record = await read(open_twin(twin, server_timezone="Europe/Stockholm"), "order", "10042")
    assert abs((record.changed_at - clock.now()).total_seconds()) <= 2


async def test_dimensions_and_custom_fields_are_read_with_their_exact_names(twin, open_twin, read):
    twin.add_custom_field("CustomerOrder", "Cf_Cost_Center")
    twin.add_custom_field("CustomerOrder", "Cf_Margin", "number")
    enter(twin, "10042", RegionCode="NORTH", Cf_Cost_Center="4711", Cf_Margin=Decimal("12.345"))
    told = {"dimensions": {"cost_center": "Cf_Cost_Center"}, "custom_fields": {"order": {"margin": "Cf_Margin"}}}
    extra = (await read(open_twin(twin, **told), "order", "10042")).entity.extra
    assert (extra["region"], extra["cost_center"], extra["margin"]) == ("NORTH", "4711", Decimal("12.345"))


@pytest.mark.parametrize("server", [{"nextlink": True}, {"nextlink": True, "page_cap": 4}, {"page_cap": 4}])
@pytest.mark.parametrize("paging", ["nextlink_then_skip", "keyset"])
async def test_servers_that_page_in_their_own_way_lose_nothing(open_twin, clock, swept, server, paging):
    twin = IfsTwin(clock=TwinClock(clock.now), **server)
    twin.fill(3, 40)
    erp = open_twin(twin, paging=paging, page_size=10)
    versions = await swept(erp, "order")
    assert set(versions) == {number for number, _ in twin.facts("order")}
    assert {record.id: record.version for record in await erp.sources["order"].fetch(list(versions))} == versions


async def test_few_orders_among_many_are_named_rather_than_read_through(twin, open_twin):
    for number in range(400):
        wanted = number % 100 == 0
        enter(twin, f"C{number:04d}", ("1", "1.00"), Contract="S02" if wanted else "S01")
    erp = open_twin(twin, sites=["S02"], page_size=10)
    records = [stub.record async for stubs in erp.sources["order"].stubs(rows=True) for stub in stubs]
    assert [(record.id, len(record.entity.lines)) for record in records] == [(f"C{n:04d}", 1) for n in (0, 100, 200, 300)]
    assert len(twin.calls) < 20, "reading through would be forty pages"
