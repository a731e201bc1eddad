"""Lists, COQL, deletions, search, counts and bulk reads of the Zoho twin."""

import csv
import io
import zipfile
from decimal import Decimal
from urllib.parse import quote

import pytest

from ml_connector_zoho_crm.twin import ZohoTwin

NAMES = ("Acme", "Beta", "Gamma", "Delta", "O'Neil")


def twin_with_accounts(*names: str, apart_s: int = 1, **options) -> tuple[ZohoTwin, list[str]]:
    twin, ids = ZohoTwin(erp_fields=True, **options), []
    for at, name in enumerate(names):
        ids.append(twin.insert_as_person("Accounts", Account_Name=name, ERP_Customer_No=f"C-{100 + at}"))
        twin.clock.advance(apart_s)
    return twin, ids


async def names(twin: ZohoTwin, target: str, **headers: str) -> list[str]:
    return [row["Account_Name"] for row in (await twin.ask("GET", target, **headers)).json["data"]]


async def select(twin: ZohoTwin, query: str):
    return await twin.ask("POST", "v8/coql", {"select_query": query})


class TestLists:
    async def test_a_list_wants_to_know_its_fields_and_at_most_fifty(self):
        twin, _ = twin_with_accounts("Acme")
        missing = await twin.ask("GET", "v8/Accounts")
        assert (missing.status, missing.json["code"]) == (400, "REQUIRED_PARAM_MISSING")
        many = await twin.ask("GET", "v8/Accounts?fields=" + ",".join(f"F{at}" for at in range(51)))
        assert (many.status, many.json["code"]) == (400, "LIMIT_EXCEEDED")

    async def test_the_newest_id_comes_first_unless_asked_otherwise(self):
        twin, _ = twin_with_accounts(*NAMES)
        assert await names(twin, "v8/Accounts?fields=Account_Name") == list(reversed(NAMES))
        assert await names(twin, "v8/Accounts?fields=Account_Name&sort_order=asc") == list(NAMES)

    async def test_tokens_lead_through_every_page_even_while_people_edit(self):
        twin, ids = twin_with_accounts(*NAMES)
        params = "fields=Account_Name&per_page=2&sort_by=Modified_Time&sort_order=asc"
        seen, answer = [], await twin.ask("GET", f"v8/Accounts?{params}")
        twin.edit_as_person("Accounts", ids[0], Phone="555-0100")
        while True:
            seen += [row["Account_Name"] for row in answer.json["data"]]
            token = answer.json["info"]["next_page_token"]
            if not answer.json["info"]["more_records"]:
                break
            answer = await twin.ask("GET", f"v8/Accounts?{params}&page_token={token}")
        assert seen == [*NAMES, "Acme"]

    async def test_a_page_token_is_bound_to_its_parameters_its_user_and_its_day(self):
        twin, _ = twin_with_accounts(*NAMES)
        first = await twin.ask("GET", "v8/Accounts?fields=Account_Name&per_page=2")
        token = first.json["info"]["next_page_token"]
        same = f"v8/Accounts?fields=Account_Name&per_page=2&page_token={token}"
        other = await twin.ask("GET", f"v8/Accounts?fields=Phone&per_page=2&page_token={token}")
        assert other.json["code"] == "TOKEN_BOUND_DATA_MISMATCH"
        assert (await twin.ask("GET", same, as_person=True)).json["code"] == "TOKEN_BOUND_DATA_MISMATCH"
        assert (await twin.ask("GET", f"{same}&page=2")).json["code"] == "AMBIGUITY_DURING_PROCESSING"
        assert (await twin.ask("GET", same)).status == 200
        twin.clock.advance(86_401)
        assert (await twin.ask("GET", same)).json["code"] == "EXPIRED_VALUE"

    async def test_pages_by_number_end_at_two_thousand_records(self):
        twin, _ = twin_with_accounts(*NAMES)
        beyond = await twin.ask("GET", "v8/Accounts?fields=Account_Name&page=11")
        assert beyond.json["code"] == "DISCRETE_PAGINATION_LIMIT_EXCEEDED"
        assert beyond.json["details"]["limit"] == 2000
        assert (await twin.ask("GET", "v8/Accounts?fields=Account_Name&page=2")).status == 204

    async def test_only_what_changed_since_comes_back_and_nothing_is_a_304(self):
        twin, ids = twin_with_accounts(*NAMES)
        since = twin.org.told_time(twin.org.now())
        assert (await twin.ask("GET", "v8/Accounts?fields=Account_Name", if_modified_since=since)).status == 304
        twin.clock.advance(1)
        twin.edit_as_person("Accounts", ids[1], Phone="555-0100")
        assert await names(twin, "v8/Accounts?fields=Account_Name", if_modified_since=since) == ["Beta"]
        assert (await twin.ask("GET", "v8/Vendors?fields=id", if_modified_since=since)).status == 204

    async def test_ids_choose_records_within_the_length_of_the_parameter(self):
        twin, ids = twin_with_accounts(*NAMES)
        assert await names(twin, f"v8/Accounts?fields=Account_Name&ids={ids[0]},{ids[2]}") == ["Gamma", "Acme"]
        long = ",".join([ids[0]] * 60)
        assert (await twin.ask("GET", f"v8/Accounts?fields=Account_Name&ids={long}")).status == 400

    async def test_one_record_comes_whole_and_an_unknown_id_is_an_empty_204(self):
        twin, ids = twin_with_accounts("Acme")
        (told,) = (await twin.ask("GET", f"v8/Accounts/{ids[0]}")).json["data"]
        assert told["Owner"] == {"name": "Sam Okafor", "id": twin.org.person.id, "email": "sam@example.com"}
        assert (told["Billing_City"], told["ERP_Customer_No"]) == (None, "C-100")
        assert (await twin.ask("GET", "v8/Accounts/5550001000000999999")).status == 204
        assert (await twin.ask("GET", "v8/Accounts/C-100")).status == 400


class TestCoql:
    async def test_a_keyset_reads_every_change_once_even_in_one_second(self):
        twin, _ = twin_with_accounts(*NAMES, apart_s=0)
        second = twin.org.told_time(twin.org.now())
        where, seen = "id is not null", []
        while True:
            query = f"select Account_Name, Modified_Time from Accounts where {where} order by Modified_Time asc, id asc limit 2"
            answer = await select(twin, query)
            seen += [row["Account_Name"] for row in answer.json["data"]]
            if not answer.json["info"]["more_records"]:
                break
            last = answer.json["data"][-1]
            same = f"((Modified_Time = '{last['Modified_Time']}') and (id > {last['id']}))"
            where = f"(((Modified_Time > '{last['Modified_Time']}') or {same}) and (Modified_Time < '2999-01-01T00:00:00Z'))"
        assert last["Modified_Time"] == second
        assert seen == list(NAMES)

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ("Account_Name = 'O''Neil'", ["O'Neil"]),
            ("Account_Name = 'acme'", ["Acme"]),
            ("Account_Name != 'Acme'", ["Beta", "Gamma", "Delta", "O'Neil"]),
            ("Account_Name like '%e%a%'", ["Beta", "Delta"]),
            ("Account_Name not like '%ta'", ["Acme", "Gamma", "O'Neil"]),
            ("ERP_Customer_No in ('C-100', 'C-102', 'C-999')", ["Acme", "Gamma"]),
            ("ERP_Customer_No not in ('C-100', 'C-102')", ["Beta", "Delta", "O'Neil"]),
            ("Phone is not null", []),
            ("(Employees > 2 and Employees <= 4)", ["Gamma", "Delta"]),
            ("((Employees = 1 or Employees = 5) and Account_Name != 'Acme')", ["O'Neil"]),
            ("Employees between 2 and 3", ["Beta", "Gamma"]),
        ],
    )
    async def test_criteria_choose_rows(self, where, found):
        twin, ids = twin_with_accounts(*NAMES)
        for at, record_id in enumerate(ids, 1):
            twin.edit_as_person("Accounts", record_id, Employees=at)
        answer = await select(twin, f"select Account_Name from Accounts where {where} order by id asc")
        assert answer.status == (200 if found else 204)
        assert [row["Account_Name"] for row in (answer.json or {"data": []})["data"]] == found

    async def test_sorting_limit_and_offset_cut_the_same_rows_in_either_spelling(self):
        twin, _ = twin_with_accounts(*NAMES)
        query = "select Account_Name from Accounts where id is not null order by Account_Name desc limit"
        for tail in ("1, 2", "2 offset 1"):
            answer = await select(twin, f"{query} {tail}")
            assert [row["Account_Name"] for row in answer.json["data"]] == ["Gamma", "Delta"]
            assert answer.json["info"] == {"count": 2, "more_records": True}

    async def test_lookups_are_bare_ids_and_joins_are_asked_for(self):
        twin, ids = twin_with_accounts("Acme", "Acme Group")
        twin.edit_as_person("Accounts", ids[0], Parent_Account=ids[1])
        deal = twin.insert_as_person(
            "Deals", Deal_Name="Order 10042", Stage="Closed Won", Account_Name=ids[0], Amount=Decimal("9.5")
        )
        columns = "Account_Name, Account_Name.Account_Name, Account_Name.Parent_Account.Account_Name, Amount"
        answer = await select(twin, f"select {columns} from Deals where Account_Name.ERP_Customer_No = 'C-100'")
        assert answer.json["data"] == [
            {
                "id": deal,
                "Account_Name": {"id": ids[0]},
                "Account_Name.Account_Name": "Acme",
                "Account_Name.Parent_Account.Account_Name": "Acme Group",
                "Amount": Decimal("9.50"),
            }
        ]

    async def test_lines_are_read_from_their_own_module(self):
        twin = ZohoTwin()
        twin.add_subform("Deals", "Order_Lines", {"Line_Key": "text"})
        item = {"Deal_Name": "10042", "Stage": "Closed Won", "Closing_Date": "2026-03-01", "Order_Lines": [{"Line_Key": "1"}]}
        await twin.ask("POST", "v8/Deals", {"data": [item]})
        (deal,) = twin.records("Deals")
        answer = await select(twin, f"select Line_Key, Parent_Id from Order_Lines where Parent_Id = '{deal}'")
        assert [(row["Line_Key"], row["Parent_Id"]) for row in answer.json["data"]] == [("1", {"id": deal})]

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("select id from Accounts", "SYNTAX_ERROR"),
            ("select id Accounts where id is not null", "SYNTAX_ERROR"),
            ("select id from Accounts where Phone = '1' and Fax = '2' and Rating = 'Active'", "SYNTAX_ERROR"),
            ("select id from Accounts where Phone = 'O'Neil'", "SYNTAX_ERROR"),
            ("select id, Nothing from Accounts where id is not null", "INVALID_QUERY"),
            ("select id from Accounts where Description = 'x'", "INVALID_QUERY"),
            ("select id from Accounts where Modified_Time > '2026-02-01T09:00:00'", "INVALID_QUERY"),
            ("select id from Accounts where Modified_Time > '2026-02-01T09:00:00.5Z'", "INVALID_QUERY"),
            ("select id from Accounts where Phone > '1'", "INVALID_QUERY"),
            ("select Ordered_Items from Sales_Orders where id is not null", "INVALID_QUERY"),
            ("select id from Accounts where id is not null limit 2001", "INVALID_QUERY"),
            ("select id from Accounts where id is not null limit 100000, 1", "LIMIT_EXCEEDED"),
            (f"select id from Accounts where id in ({','.join(['1'] * 101)})", "LIMIT_EXCEEDED"),
            (f"select {','.join(['id'] * 501)} from Accounts where id is not null", "LIMIT_EXCEEDED"),
            ("select id from Acounts where id is not null", "INVALID_MODULE"),
            ("", "MANDATORY_NOT_FOUND"),
        ],
    )
    async def test_a_query_that_cannot_be_says_why(self, query, code):
        answer = await select(ZohoTwin(), query)
        assert (answer.status, answer.json["code"]) == (400, code)

    async def test_twenty_five_criteria_pass_and_one_more_does_not(self):
        twin, where = ZohoTwin(), "Phone = '1'"
        for _ in range(24):
            where = f"({where} or Phone = '1')"
        assert (await select(twin, f"select id from Accounts where {where}")).status == 204
        refused = await select(twin, f"select id from Accounts where ({where} or Phone = '1')")
        assert refused.json["code"] == "LIMIT_EXCEEDED"


class TestDeletions:
    async def test_a_deletion_shows_as_recycled_then_as_permanent(self):
        twin, ids = twin_with_accounts("Acme", "Beta")
        since = twin.org.told_time(twin.org.now())
        assert (await twin.ask("GET", "v8/Accounts/deleted")).status == 204
        twin.clock.advance(1)
        twin.delete_as_person("Accounts", ids[0])
        (entry,) = (await twin.ask("GET", "v8/Accounts/deleted?type=all", if_modified_since=since)).json["data"]
        assert (entry["id"], entry["display_name"], entry["type"]) == (ids[0], "Acme", "recycle")
        twin.empty_recycle_bin("Accounts")
        (entry,) = (await twin.ask("GET", "v8/Accounts/deleted?type=permanent")).json["data"]
        assert (entry["id"], entry["display_name"], entry["deleted_by"]) == (ids[0], None, None)
        twin.clock.advance(1)
        later = twin.org.told_time(twin.org.now())
        assert (await twin.ask("GET", "v8/Accounts/deleted", if_modified_since=later)).status == 304
        assert (await twin.ask("GET", "v8/Accounts/deleted?type=gone")).json["code"] == "PATTERN_NOT_MATCHED"

    async def test_a_restored_record_leaves_the_feed_and_reads_again(self):
        twin, ids = twin_with_accounts("Acme", "Beta")
        twin.delete_as_person("Accounts", ids[0])
        assert await names(twin, "v8/Accounts?fields=Account_Name") == ["Beta"]
        twin.restore_as_person("Accounts", ids[0])
        assert await names(twin, "v8/Accounts?fields=Account_Name&sort_order=asc") == ["Acme", "Beta"]
        assert (await twin.ask("GET", "v8/Accounts/deleted")).status == 204


async def test_search_does_not_see_what_was_entered_just_now():
    twin, _ = twin_with_accounts("Acme", apart_s=0)
    criteria = "v8/Accounts/search?criteria=" + quote(r"((Account_Name:equals:acm)and(ERP_Customer_No:starts_with:C\-))")
    assert (await twin.ask("GET", criteria)).status == 204
    twin.clock.advance(61)
    assert [row["Account_Name"] for row in (await twin.ask("GET", criteria)).json["data"]] == ["Acme"]


async def test_a_count_counts_all_or_what_fits():
    twin, _ = twin_with_accounts(*NAMES)
    assert (await twin.ask("GET", "v8/Accounts/actions/count")).json == {"count": 5}
    assert (await twin.ask("GET", "v8/Accounts/actions/count?criteria=(Account_Name:equals:Beta)")).json == {"count": 1}


class TestBulk:
    async def job(self, twin: ZohoTwin, **query) -> str:
        body = {"query": {"module": {"api_name": "Accounts"}} | query, "file_type": "csv"}
        answer = await twin.ask("POST", "bulk/v8/read", body)
        assert answer.status == 201, answer.json
        return str(answer.json["data"][0]["details"]["id"])

    async def finish(self, twin: ZohoTwin, job: str) -> tuple[list[str], dict]:
        states = []
        while states[-1:] not in (["COMPLETED"], ["FAILURE"]):
            told = (await twin.ask("GET", f"bulk/v8/read/{job}")).json["data"][0]
            states.append(told["state"])
        return states, told

    async def test_a_job_passes_its_states_and_ends_in_a_zip_of_csv(self):
        twin, ids = twin_with_accounts("Acme", "Beta")
        twin.edit_as_person("Accounts", ids[0], Parent_Account=ids[1])
        fields = ["id", "Account_Name", "Parent_Account", "Phone"]
        job = await self.job(twin, fields=fields)
        states, told = await self.finish(twin, job)
        assert states == ["ADDED", "QUEUED", "IN PROGRESS", "COMPLETED"]
        assert told["result"]["download_url"] == f"/crm/bulk/v8/read/{job}/result"
        packed = (await twin.ask("GET", f"bulk/v8/read/{job}/result")).body
        text = zipfile.ZipFile(io.BytesIO(packed)).read(f"{job}.csv").decode()
        assert list(csv.reader(io.StringIO(text))) == [
            ["Id", "Account_Name", "Parent_Account", "Phone"],
            [ids[0], "Acme", ids[1], ""],
            [ids[1], "Beta", "", ""],
        ]

    async def test_pages_go_on_by_token_and_criteria_choose(self):
        twin, _ = twin_with_accounts(*NAMES)
        twin.bulk.page_rows = 2
        one = {"field": {"api_name": "Account_Name"}, "comparator": "not_equal", "value": "Beta"}
        job = await self.job(twin, fields=["Account_Name"], criteria={"group_operator": "and", "group": [one]})
        _, told = await self.finish(twin, job)
        assert (told["result"]["count"], told["result"]["more_records"]) == (2, True)
        again = await self.job(twin, page_token=told["result"]["next_page_token"])
        _, told = await self.finish(twin, again)
        assert (told["result"]["count"], told["result"]["more_records"]) == (2, False)

    async def test_a_job_can_fail_and_its_result_does_not_wait_for_ever(self):
        twin, _ = twin_with_accounts("Acme")
        twin.bulk.fail_next = True
        states, _ = await self.finish(twin, await self.job(twin, fields=["id"]))
        assert states[-1] == "FAILURE"
        job = await self.job(twin, fields=["id"])
        await self.finish(twin, job)
        downloads = [(await twin.ask("GET", f"bulk/v8/read/{job}/result")).status for _ in range(11)]
        assert downloads == [200] * 10 + [429]
        twin.clock.advance(86_401)
        assert (await twin.ask("GET", f"bulk/v8/read/{job}/result")).status == 404

    async def test_external_fields_and_unknown_jobs_are_not_to_be_had(self):
        twin = ZohoTwin(erp_fields=True)
        query = {"module": {"api_name": "Accounts"}, "fields": ["ERP_Customer_No"]}
        assert (await twin.ask("POST", "bulk/v8/read", {"query": query})).json["code"] == "FIELD_NOT_SUPPORTED"
        assert (await twin.ask("GET", "bulk/v8/read/1")).status == 404
