"""Feeds of tenants that have something to go by: a stamp on the row, or the History Log."""

import msgspec
import pytest

from ml_connector.errors import ContractBroken, RetryLater
from ml_connector.twin import Fault

STAMP = {
    "custom_fields": {"order": {"touched": "Cf_Touched"}},
    "entities": {"order": {"change_strategy": "timestamp", "modified_field": {"name": "Cf_Touched", "edm": "datetime"}}},
}
CREATED = {"entities": {"order": {"change_strategy": "timestamp"}}}
LOG = {"entities": {"order": {"change_strategy": "history_log"}, "account": {"change_strategy": "history_log"}}}


def enter(twin, number, touched="2026-01-19T08:00:00Z", **values):
    told = {"OrderNo": number, "OrderCreationDate": touched, "CurrencyCode": "EUR", "CustomerNo": "C-100", **values}
    twin.put("CustomerOrderSet", told)


@pytest.fixture
def stamped(twin):
    """A twin with a custom field that an event feeds with the time of change."""
    twin.add_custom_field("CustomerOrder", "Cf_Touched", "timestamp")
    return twin


async def drain(source, cursor=None):
    pages = [page async for page in source.changed_since(cursor)]
    return [record.id for page in pages for record in page.records], (pages[-1].cursor if pages else cursor), pages


async def test_records_come_oldest_change_first_with_their_lines(stamped, open_twin):
    enter(stamped, "10042", Cf_Touched="2026-01-19T10:00:00Z")
    enter(stamped, "10041", Cf_Touched="2026-01-19T11:00:00Z")
    stamped.put("CustomerOrderLineSet", {"OrderNo": "10041", "LineNo": "1", "RelNo": "1", "LineItemNo": 0})
    ids, _, pages = await drain(open_twin(stamped, **STAMP).sources["order"])
    assert ids == ["10042", "10041"]
    records = [record for page in pages for record in page.records]
    assert [record.changed_at.hour for record in records] == [10, 11]
    assert [len(record.entity.lines) for record in records] == [0, 1]


async def test_the_next_run_reads_the_overlap_again_and_what_is_new(stamped, open_twin, clock):
    enter(stamped, "10041", Cf_Touched="2026-01-19T10:00:00Z")
    enter(stamped, "10042", Cf_Touched="2026-01-20T11:30:00Z")
    source = open_twin(stamped, **STAMP).sources["order"]
    _, cursor, _ = await drain(source)
    clock.advance(3600)
    enter(stamped, "10043", Cf_Touched="2026-01-20T10:45:00Z")  # committed late
    ids, after, _ = await drain(source, cursor)
    assert ids == ["10043", "10042"]
    assert msgspec.json.decode(after)["at"] == "2026-01-20T11:30:00Z"


async def test_what_is_stamped_after_the_run_began_is_left_for_the_next(stamped, open_twin, clock):
    enter(stamped, "10041", Cf_Touched="2026-01-20T11:59:59Z")
    enter(stamped, "10042", Cf_Touched="2026-01-20T12:00:01Z")
    source = open_twin(stamped, **STAMP).sources["order"]
    ids, cursor, _ = await drain(source)
    assert ids == ["10041"]
    clock.advance(60)
    assert "10042" in (await drain(source, cursor))[0]


@pytest.mark.parametrize("paging", ["nextlink_then_skip", "keyset"])
async def test_a_run_goes_on_behind_any_of_its_pages_even_among_equal_stamps(stamped, open_twin, paging):
    numbers = [f"C{number:03d}" for number in range(20)]
    for number in numbers:
        enter(stamped, number, Cf_Touched="2026-01-19T10:00:00Z")
    source = open_twin(stamped, **STAMP, paging=paging, page_size=6).sources["order"]
    ids, _, pages = await drain(source)
    assert ids == numbers
    seen = 0
    for page in pages[:-1]:
        seen += len(page.records)
        assert (await drain(source, page.cursor))[0] == numbers[seen:]


async def test_an_outage_in_the_middle_leaves_a_cursor_that_loses_nothing(stamped, open_twin):
    numbers = [f"C{number:03d}" for number in range(20)]
    for number in numbers:
        enter(stamped, number, Cf_Touched="2026-01-19T10:00:00Z")
    source = open_twin(stamped, **STAMP, paging="keyset", page_size=4).sources["order"]
    await source.fetch(["C000"])
    stamped.faults.add(Fault("status", status=503, path="CustomerOrderSet", skip=3, times=99))
    seen, cursor = [], None
    with pytest.raises(RetryLater):
        async for page in source.changed_since(None):
            seen += [record.id for record in page.records]
            cursor = page.cursor
    stamped.faults.calm()
    assert 0 < len(seen) < 20
    assert seen + (await drain(source, cursor))[0] == numbers


async def test_a_creation_stamp_of_whole_days_overlaps_by_days(twin, open_twin):
    told = {"entities": {"account": {"change_strategy": "timestamp"}}}
    for day in (17, 18, 19):
        row = {"CustomerId": f"C-{day}", "CreationDate": f"2026-01-{day}", "CustomerCategory": "Customer"}
        twin.put("CustomerInfoSet", row)
    source = open_twin(twin, **told).sources["account"]
    ids, cursor, _ = await drain(source)
    assert ids == ["C-17", "C-18", "C-19"]
    assert (await drain(source, cursor))[0] == ["C-18", "C-19"]


async def test_a_cursor_at_a_time_reads_from_then_on(twin, open_twin, clock):
    enter(twin, "10041", "2026-01-10T08:00:00Z")
    enter(twin, "10042", "2026-01-20T11:00:00Z")
    source = open_twin(twin, **CREATED).sources["order"]
    assert (await drain(source, source.cursor_at(clock.now())))[0] == ["10042"]


async def test_a_strange_cursor_is_refused_with_advice(twin, open_twin):
    source = open_twin(twin, **CREATED).sources["order"]
    with pytest.raises(ContractBroken, match="cursor") as told:
        await drain(source, "not ours")
    assert "--full" in told.value.fix


async def test_the_history_log_begins_with_everything_and_goes_on_with_changes(twin, open_twin, clock):
    twin.history_enabled |= {"CustomerOrder", "CustomerOrderLine"}
    for number in ("10041", "10042", "10043", "10044"):
        enter(twin, number)
        twin.put("CustomerOrderLineSet", {"OrderNo": number, "LineNo": "1", "RelNo": "1", "LineItemNo": 0})
    clock.advance(7200)
    source = open_twin(twin, **LOG, page_size=3).sources["order"]
    ids, cursor, _ = await drain(source)
    assert ids == ["10041", "10042", "10043", "10044"]
    clock.advance(7200)
    twin.update("CustomerOrderSet", "10043", CustomerPoNo="PO-1")
    clock.advance(60)
    twin.update("CustomerOrderLineSet", ("10041", "1", "1", 0), CatalogDesc="Pump, green")
    clock.advance(60)
    twin.remove("CustomerOrderSet", "10044")
    clock.advance(60)
    ids, cursor, pages = await drain(source, cursor)
    assert ids == ["10043", "10041", "10044"]
    assert [record.gone for page in pages for record in page.records] == [False, False, True]
    clock.advance(7200)
    twin.update("CustomerOrderSet", "10042", CustomerPoNo="PO-2")
    clock.advance(1)
    _, cursor, _ = await drain(source, cursor)
    assert (await drain(source, cursor))[0] == ["10042"], "the overlap is read again, nothing before it"


async def test_a_first_load_that_was_cut_off_goes_on_behind_its_last_key(twin, open_twin):
    for number in range(10):
        enter(twin, f"C{number}")
    source = open_twin(twin, **LOG, page_size=3).sources["order"]
    _, _, pages = await drain(source)
    ids, cursor, _ = await drain(source, pages[0].cursor)
    assert ids == [f"C{number}" for number in range(len(pages[0].records), 10)]
    assert "load" not in cursor


async def test_a_childs_log_entry_means_its_customer(twin, open_twin, clock):
    twin.history_enabled |= {"CustomerInfoAddress"}
    twin.put("CustomerInfoSet", {"CustomerId": "C-100", "CustomerCategory": "Customer"})
    clock.advance(7200)
    source = open_twin(twin, **LOG).sources["account"]
    _, cursor, _ = await drain(source)
    clock.advance(7200)
    twin.put("CustomerInfoAddresses", {"CustomerId": "C-100", "AddressId": "1", "City": "Malmö"})
    clock.advance(1)
    [record] = [record for page in (await drain(source, cursor))[2] for record in page.records]
    assert (record.id, record.entity.billing.city) == ("C-100", "Malmö")
