"""Reading Zoho: nothing that changed is missed, nothing is read for ever."""

from datetime import timedelta

import pytest

from ml_connector.domain import Account
from ml_connector.errors import ContractBroken
from ml_connector.ports.sink import Create, Key
from ml_connector.ports.source import Feed
from ml_connector.twin import Fault
from ml_connector_zoho_crm.source import decode_cursor


def person_enters(world, *names):
    return [world.twin.insert_as_person("Accounts", Account_Name=name) for name in names]


async def read(world, cursor=None, kind="account"):
    """Names (or "gone") in the order in which they are told, and the last cursor."""
    told = []
    async for page in world.connection.sources[kind].changed_since(cursor):
        told += ["gone" if record.gone else record.entity.name for record in page.records]
        cursor = page.cursor or cursor
    return told, cursor


async def test_a_source_of_zoho_is_a_feed(zoho):
    assert isinstance(zoho().connection.sources["account"], Feed)


async def test_a_first_pass_reads_everything_oldest_change_first(zoho):
    world = zoho(coql_page=2)
    for name in ("Acme", "Beta", "Gamma", "Delta", "Epsilon"):
        person_enters(world, name)
        world.pass_time(seconds=1)
    world.pass_time(minutes=1)
    assert (await read(world))[0] == ["Acme", "Beta", "Gamma", "Delta", "Epsilon"]


@pytest.mark.parametrize("page", [1, 2, 3, 7])
async def test_many_records_of_one_second_all_arrive_however_the_pages_fall(zoho, page):
    world = zoho(coql_page=page)
    names = [f"Customer {n}" for n in range(7)]
    person_enters(world, *names)
    world.pass_time(minutes=1)
    assert (await read(world))[0] == names


async def test_the_next_pass_tells_only_what_changed_since_but_for_the_overlap(zoho):
    world = zoho()
    acme, _ = person_enters(world, "Acme", "Beta")
    world.pass_time(minutes=10)
    _, cursor = await read(world)
    world.pass_time(minutes=10)
    assert (await read(world, cursor))[0] == []
    world.twin.edit_as_person("Accounts", acme, Phone="555-0100")
    world.pass_time(minutes=1)
    assert (await read(world, cursor))[0] == ["Acme"]


async def test_a_record_committed_late_with_an_earlier_time_is_still_read(zoho):
    world = zoho()
    person_enters(world, "Acme")
    world.pass_time(seconds=30)
    _, cursor = await read(world)
    world.pass_time(seconds=-60)
    person_enters(world, "Latecomer")
    world.pass_time(seconds=90)
    assert "Latecomer" in (await read(world, cursor))[0]


async def test_a_second_that_may_still_be_written_waits_for_the_next_pass(zoho):
    world = zoho(safety_lag_s=20)
    person_enters(world, "Acme")
    world.pass_time(seconds=5)
    told, cursor = await read(world)
    assert told == []
    world.pass_time(minutes=1)
    assert (await read(world, cursor))[0] == ["Acme"]


async def test_an_outage_halfway_is_read_again_from_the_last_finished_page(zoho):
    world = zoho(coql_page=2, overlap_s=0)
    for n in range(6):
        person_enters(world, f"Customer {n}")
        world.pass_time(seconds=1)
    world.pass_time(minutes=1)
    pages = world.connection.sources["account"].changed_since(None)
    first = await anext(pages)
    await pages.aclose()
    assert (await read(world, first.cursor))[0][-4:] == [f"Customer {n}" for n in range(2, 6)]


async def test_a_cursor_never_goes_back_behind_where_it_was(zoho):
    world = zoho(coql_page=1)
    person_enters(world, "Acme", "Beta")
    world.pass_time(minutes=1)
    _, cursor = await read(world)
    async for page in world.connection.sources["account"].changed_since(cursor):
        assert decode_cursor(page.cursor).at >= decode_cursor(cursor).at


async def test_a_deleted_account_is_told_as_gone_once_the_pass_is_done(zoho):
    world = zoho()
    acme, beta = person_enters(world, "Acme", "Beta")
    world.pass_time(minutes=10)
    _, cursor = await read(world)
    world.twin.delete_as_person("Accounts", acme)
    world.twin.edit_as_person("Accounts", beta, Phone="555-0100")
    world.pass_time(minutes=10)
    told, cursor = await read(world, cursor)
    assert told == ["Beta", "gone"]
    world.twin.empty_recycle_bin("Accounts")
    world.pass_time(minutes=10)
    assert (await read(world, cursor))[0] == ["gone"]


async def test_a_first_pass_says_nothing_of_what_was_deleted_before_it(zoho):
    world = zoho()
    (acme,) = person_enters(world, "Acme")
    world.twin.delete_as_person("Accounts", acme)
    world.pass_time(minutes=1)
    assert (await read(world))[0] == []


async def test_our_own_writes_are_told_apart_from_those_of_people(zoho):
    world = zoho()
    person_enters(world, "Beta")
    acme = Create(key=Key("number", "C-100"), entity=Account(number="C-100", name="Acme"))
    await world.connection.sinks["account"].write([acme])
    world.pass_time(minutes=1)
    by_us = {
        record.entity.name: record.by_us
        async for page in world.connection.sources["account"].changed_since(None)
        for record in page.records
    }
    assert by_us == {"Acme": True, "Beta": False}


async def test_without_the_scope_to_see_users_nothing_counts_as_ours(zoho):
    world = zoho()
    world.twin.accounts.scopes = frozenset({"ZohoCRM.modules.ALL", "ZohoCRM.settings.ALL", "ZohoCRM.coql.READ"})
    acme = Create(key=Key("number", "C-100"), entity=Account(number="C-100", name="Acme"))
    (written,) = await world.connection.sinks["account"].write([acme])
    (record,) = await world.connection.sources["account"].fetch([written.id])
    assert record.by_us is False


async def test_any_number_of_ids_is_fetched_and_the_missing_are_absent(zoho):
    world = zoho()
    ids = person_enters(world, *(f"Customer {n}" for n in range(250)))
    records = await world.connection.sources["account"].fetch([*ids, "5550001000000999999", "C-100", ids[0]])
    assert sorted(record.id for record in records) == sorted(ids)
    assert len(world.paths("POST", "coql")) == 3


async def test_times_come_in_utc_whatever_offset_the_organisation_shows(zoho):
    world = zoho(twin={"utc_offset": "-08:00"})
    (acme,) = person_enters(world, "Acme")
    (record,) = await world.connection.sources["account"].fetch([acme])
    assert record.version == "2026-03-02T12:00:00+00:00"
    assert record.changed_at.utcoffset() == timedelta(0)


async def test_a_field_that_an_administrator_removed_is_left_out_from_then_on(zoho):
    world = zoho()
    world.twin.add_field("Accounts", "Cost_Center")
    (acme,) = person_enters(world, "Acme")
    assert "Cost_Center" in (await world.connection.sources["account"].fetch([acme]))[0].entity.extra
    world.twin.remove_field("Accounts", "Cost_Center")
    (record,) = await world.connection.sources["account"].fetch([acme])
    assert record.entity.name == "Acme"


async def test_an_interrupted_read_is_repeated(zoho):
    world = zoho()
    (acme,) = person_enters(world, "Acme")
    world.twin.faults.add(Fault(kind="lost_after", path="coql"))
    assert len(await world.connection.sources["account"].fetch([acme])) == 1


async def test_a_cursor_can_be_made_for_any_moment(zoho):
    world = zoho()
    person_enters(world, "Acme")
    world.pass_time(minutes=10)
    acme_is_old = world.connection.sources["account"].cursor_at(world.twin.clock.now())
    person_enters(world, "Beta")
    world.pass_time(minutes=1)
    assert (await read(world, acme_is_old))[0] == ["Beta"]


async def test_a_cursor_of_another_system_is_refused(zoho):
    with pytest.raises(ContractBroken, match="none of Zoho's"):
        await anext(zoho().connection.sources["account"].changed_since("next-page-3"))


async def test_a_large_first_load_comes_by_bulk_read_and_goes_on_by_query(zoho):
    world = zoho(twin={"erp_fields": False}, bulk_read_from=3)
    world.twin.add_field("Accounts", "ERP_Customer_No", length=100, unique=True)
    world.twin.add_field("Accounts", "Priority", "boolean")
    names = [f'Customer "{n}", Ltd\nÅ' for n in range(5)]
    holding = world.twin.insert_as_person("Accounts", Account_Name="Holding", Priority=True)
    for name in names:
        world.twin.insert_as_person("Accounts", Account_Name=name, Parent_Account=holding)
    world.pass_time(minutes=10)
    records = {}
    async for page in world.connection.sources["account"].changed_since(None):
        records |= {record.id: record for record in page.records}
        cursor = page.cursor
    assert len(records) == 6
    assert world.paths("POST", "bulk") and not world.paths("POST", "coql")
    by_query = {record.id: record for record in await world.connection.sources["account"].fetch(list(records))}
    assert by_query == records
    person_enters(world, "Newcomer")
    world.pass_time(minutes=10)
    assert (await read(world, cursor))[0] == ["Newcomer"]


async def test_a_bulk_read_in_several_files_misses_none(zoho):
    world = zoho(twin={"erp_fields": False}, bulk_read_from=1)
    world.twin.bulk.page_rows = 2
    person_enters(world, *(f"Customer {n}" for n in range(5)))
    world.pass_time(minutes=1)
    assert len(set((await read(world))[0])) == 5


async def test_an_external_key_keeps_the_first_load_on_queries(zoho):
    world = zoho(bulk_read_from=1)
    person_enters(world, "Acme", "Beta")
    world.pass_time(minutes=1)
    assert (await read(world))[0] == ["Acme", "Beta"]
    assert world.paths("POST", "bulk") == []


@pytest.mark.parametrize(("page", "queries", "idle"), [(None, 1, 3), (200, 3, 1)])
async def test_a_feed_asks_for_zohos_most_unless_credits_are_tight(zoho, page, queries, idle):
    """Many changes in one query of three credits, or an idle poll for one; deletions take two in either case."""
    world = zoho(coql_page=page)
    person_enters(world, *(f"Customer {n}" for n in range(450)))
    world.pass_time(minutes=10)
    names, cursor = await read(world)
    assert (len(names), len(world.paths("POST", "/coql"))) == (450, queries)
    before = world.twin.limits.used
    await read(world, cursor)
    assert world.twin.limits.used - before == idle + 2
