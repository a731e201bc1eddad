"""The twin is as strict as the pod: asked without the plugin, it refuses what Oracle refuses and shows what Oracle shows."""

from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from ml_connector.twin import TwinRequest
from ml_connector_oracle_fusion.twin import OracleTwin

CRM = "/crmRestApi/resources/11.13.18.05"
FSCM = "/fscmRestApi/resources/11.13.18.05"
ITEM = {"content_type": "application/vnd.oracle.adf.resourceitem+json"}
ERRORS = {"accept": "application/json, application/vnd.oracle.adf.error+json"}
V4 = {"rest_framework_version": "4", **ERRORS}


class Pod:
    """A twin, asked by a curious person."""

    def __init__(self) -> None:
        self.twin = OracleTwin()

    async def get(self, target: str, **headers: str) -> tuple[int, Any]:
        return await self.twin.ask("GET", target, **{"rest_framework_version": "4", **headers})

    async def q(self, text: str, resource: str = "accounts", **headers: str) -> tuple[int, Any]:
        return await self.get(f"{CRM}/{resource}?q={quote(text, safe='')}", **headers)

    async def post(self, body: Any, **headers: str) -> tuple[int, Any]:
        return await self.twin.ask("POST", f"{CRM}/accounts", msgspec.json.encode(body), **{**V4, **ITEM, **headers})


@pytest.fixture
def pod() -> Pod:
    return Pod()


async def test_a_page_is_25_rows_and_more_than_499_are_silently_fewer(pod: Pod) -> None:
    pod.twin.fill(600, 0)
    _, page = await pod.get(f"{CRM}/accounts")
    assert (page["count"], page["limit"], page["hasMore"]) == (25, 25, True)
    _, page = await pod.get(f"{CRM}/accounts?limit=1000")
    assert (page["count"], page["limit"]) == (499, 499)


async def test_an_empty_page_has_no_items(pod: Pod) -> None:
    status, page = await pod.get(f"{CRM}/accounts")
    assert (status, "items" in page, page["count"]) == (200, False, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("OrganizationName = 'O''Brien'", 1),
        ("OrganizationName like 'A%'", 1),
        ("OrganizationName like 'A*'", 1),
        ("City = 'Lund' or City = 'Malmö'", 2),
        ("City = 'Lund' and OrganizationName = 'Acme'", 1),
        ("City = 'Lund' or City = 'Malmö';OrganizationName = 'Acme'", 1),
        ("City in ('Lund', 'Malmö')", 2),
        ("City is null", 1),
        ("City is not null", 2),
        ("EmployeesTotal between 5 and 15", 1),
        ("(City = 'Lund' or City = 'Malmö') and EmployeesTotal >= 20", 1),
        ("PartyId > 1", 3),
        ("LastUpdateDate >= '2020-01-01T00:00:00.000+00:00'", 3),
    ],
)
async def test_row_match_expressions(pod: Pod, text: str, found: int) -> None:
    pod.twin.enter("account", OrganizationName="Acme", City="Lund", Country="SE", EmployeesTotal=10)
    pod.twin.enter("account", OrganizationName="Bolts", City="Malmö", Country="SE", EmployeesTotal=20)
    pod.twin.enter("account", OrganizationName="O'Brien")
    status, page = await pod.q(text)
    assert (status, page["count"]) == (200, found)


@pytest.mark.parametrize(
    "text",
    [
        "Nonsense = 'x'",
        "FormattedPhoneNumber = 'x'",
        "PartyId = 'x'",
        "City = 5",
        "City = 'Lund",
        "City",
        "City = 'a' or",
        "LastUpdateDate > '2025-01-15 10:30:00'",
        "LastUpdateDate > '2025-01-15T10:30:00 00:00'",
    ],
)
async def test_what_oracle_would_not_understand_is_400(pod: Pod, text: str) -> None:
    assert (await pod.q(text))[0] == 400


async def test_a_plus_that_is_not_encoded_is_a_space(pod: Pod) -> None:
    text = quote("LastUpdateDate >= '2020-01-01T00:00:00+00:00'", safe="+")
    assert (await pod.get(f"{CRM}/accounts?q={text}"))[0] == 400


async def test_framework_1_passes_over_row_match_filters_and_speaks_plain_text(pod: Pod) -> None:
    pod.twin.fill(3, 0)
    _, page = await pod.q("City = 'Lund' or City = 'Malmö'", rest_framework_version="1")
    assert page["count"] == 3
    status, body = await pod.q("Nonsense = 'x'", rest_framework_version="1", **ERRORS)
    assert (status, isinstance(body, bytes)) == (400, True)


async def test_errors_are_structured_from_4_on_where_the_caller_takes_them(pod: Pod) -> None:
    _, body = await pod.post({"Type": "ZCA_CUSTOMER"})
    assert body["o:errorDetails"][0]["o:errorCode"] == "JBO-27014"
    assert body["o:errorDetails"][0]["o:errorPath"] == "/OrganizationName"
    _, body = await pod.post({"Type": "ZCA_CUSTOMER"}, accept="application/json")
    assert isinstance(body, bytes)


@pytest.mark.parametrize(("version", "shape"), [("1", list), ("2", list), ("3", dict), ("4", dict), ("9", dict)])
async def test_children_are_lists_before_3_and_collections_from_there(pod: Pod, version: str, shape: type) -> None:
    pod.twin.enter("account", OrganizationName="Acme", City="Lund", Country="SE")
    _, page = await pod.get(f"{CRM}/accounts?expand=PrimaryAddress", rest_framework_version=version)
    assert isinstance(page["items"][0]["PrimaryAddress"], shape)


async def test_etags_stand_under_links_before_6_and_in_the_context_from_there(pod: Pod) -> None:
    pod.twin.enter("account", OrganizationName="Acme")
    _, old = await pod.get(f"{CRM}/accounts", rest_framework_version="5")
    _, new = await pod.get(f"{CRM}/accounts", rest_framework_version="6")
    etag = old["items"][0]["links"][0]["properties"]["changeIndicator"]
    assert new["items"][0]["@context"]["headers"]["ETag"] == f'"{etag}"'
    assert "links" not in new["items"][0]
    _, bare = await pod.get(f"{CRM}/accounts?onlyData=true")
    assert "links" not in bare["items"][0]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "JBO-27014"),
        ({"OrganizationName": ""}, "JBO-27014"),
        ({"OrganizationName": "x" * 361}, "JBO-27010"),
        ({"OrganizationName": 5}, "JBO-27011"),
        ({"OrganizationName": "A", "PartyId": 5}, "JBO-27008"),
        ({"OrganizationName": "A", "Type": "NONE"}, "JBO-27024"),
        ({"OrganizationName": "A", "City": "Lund"}, "JBO-27014"),
        ({"OrganizationName": "A", "City": "Lund", "Country": "Sweden"}, "JBO-27010"),
        ({"OrganizationName": "A", "SourceSystem": "NOBODY", "SourceSystemReferenceValue": "1"}, "HZ-120559"),
        ({"OrganizationName": "A", "SourceSystem": "ZOHO_CRM"}, "JBO-27014"),
        ({"OrganizationName": "A", "ParentAccountPartyId": 42}, "JBO-27024"),
    ],
)
async def test_what_breaks_a_rule_is_400_with_its_code(pod: Pod, body: Any, code: str) -> None:
    status, told = await pod.post(body)
    assert (status, told["o:errorDetails"][0].get("o:errorCode")) == (400, code)
    assert dict(pod.twin.store.rows("accounts")) == {}


async def test_an_unknown_attribute_is_400(pod: Pod) -> None:
    assert (await pod.post({"OrganizationName": "A", "Address1": "the other view's name"}))[0] == 400


async def test_names_may_repeat_and_references_may_not(pod: Pod) -> None:
    pair = {"SourceSystem": "ZOHO_CRM", "SourceSystemReferenceValue": "1"}
    assert (await pod.post({"OrganizationName": "A", **pair}))[0] == 201
    assert (await pod.post({"OrganizationName": "A"}))[0] == 201
    status, told = await pod.post({"OrganizationName": "A", **pair})
    assert (status, told["o:errorDetails"][0]["o:errorCode"]) == (400, "FND_CMN_RCRD_VAL")
    status, told = await pod.post({"OrganizationName": "B", **pair}, upsert_mode="true")
    assert (status, told["OrganizationName"]) == (200, "B")
    assert len(pod.twin.store.rows("accounts")) == 2


async def test_an_etag_guards_a_change_and_a_change_of_nothing_moves_nothing(pod: Pod) -> None:
    _, row = await pod.post({"OrganizationName": "A"})
    target, etag = f"{CRM}/accounts/{row['PartyNumber']}", row["links"][0]["properties"]["changeIndicator"]
    same = await pod.twin.ask("PATCH", target, b'{"OrganizationName":"A"}', **V4, **ITEM, if_match=f'"{etag}"')
    assert same[1]["links"][0]["properties"]["changeIndicator"] == etag
    assert same[1]["LastUpdateDate"] == row["LastUpdateDate"]
    assert (await pod.twin.ask("PATCH", target, b'{"OrganizationName":"B"}', **V4, **ITEM, if_match=f'"{etag}"'))[0] == 200
    assert (await pod.twin.ask("PATCH", target, b'{"OrganizationName":"C"}', **V4, **ITEM, if_match=f'"{etag}"'))[0] == 412
    assert (await pod.get(target, if_none_match=f'"{etag}"'))[0] == 200


async def test_one_part_that_fails_takes_all_back(pod: Pod) -> None:
    parts = [
        {"id": "p1", "path": "/accounts", "operation": "create", "payload": {"OrganizationName": "A"}},
        {"id": "p2", "path": "/accounts?q=PartyId%20%3E%201", "operation": "get"},
        {"id": "p3", "path": "/accounts", "operation": "create", "payload": {"City": "Lund"}},
    ]
    batch = {"content_type": "application/vnd.oracle.adf.batch+json"}
    status, told = await pod.twin.ask("POST", CRM, msgspec.json.encode({"parts": parts}), **V4, **batch)
    assert (status, told["o:errorDetails"][0]["o:errorPath"]) == (400, "/parts/2/OrganizationName")
    assert dict(pod.twin.store.rows("accounts")) == {}
    status, told = await pod.twin.ask("POST", CRM, msgspec.json.encode({"parts": parts[:2]}), **V4, **batch)
    assert (status, told["parts"][1]["payload"]["count"]) == (200, 1)


async def test_finders_take_their_variables_and_no_others(pod: Pod) -> None:
    pod.twin.enter("account", OrganizationName="A", reference="1,2;3")
    found = "finder=SourceSystemReferenceAltKey;SourceSystem=ZOHO_CRM,SourceSystemReferenceValue=1%2C2%3B3"
    assert (await pod.get(f"{CRM}/accounts?{found}"))[1]["count"] == 1
    assert (await pod.get(f"{CRM}/accounts?finder=Nobody;X=1"))[0] == 400
    assert (await pod.get(f"{CRM}/accounts?finder=PartyIdAltKey;PartyNumber=1"))[0] == 400


async def test_opaque_keys_are_taken_from_the_row(pod: Pod) -> None:
    order = pod.twin.record("purchaseOrders", [{"LineNumber": 1}], OrderNumber="PO-1")
    _, page = await pod.get(f"{FSCM}/purchaseOrders")
    key = page["items"][0]["links"][0]["href"].rpartition("/")[2]
    assert key != order
    assert (await pod.get(f"{FSCM}/purchaseOrders/{key}/child/lines"))[1]["count"] == 1
    assert (await pod.get(f"{FSCM}/purchaseOrders/{order}"))[0] == 404


async def test_suppliers_cannot_be_filtered_by_their_time(pod: Pod) -> None:
    text = quote("LastUpdateDate > '2025-01-15T10:30:00+00:00'", safe="")
    assert (await pod.get(f"{FSCM}/suppliers?q={text}"))[0] == 400


@pytest.mark.parametrize(("root", "resource"), [(CRM, "suppliers"), (FSCM, "accounts"), (CRM, "customerAccounts")])
async def test_each_resource_has_its_root(pod: Pod, root: str, resource: str) -> None:
    assert (await pod.get(f"{root}/{resource}"))[0] == 404


async def test_who_is_not_known_gets_a_web_page(pod: Pod) -> None:
    answer = await pod.twin(TwinRequest("GET", "127.0.0.1:80", f"{CRM}/accounts", {"authorization": "Bearer nobody"}))
    assert (answer.status, answer.headers["content-type"]) == (401, "text/html")
    assert "x-oracle-dms-ecid" in answer.headers


async def test_a_new_row_may_be_missing_by_key_for_a_moment(pod: Pod) -> None:
    pod.twin.switches.late = 1
    _, row = await pod.post({"OrganizationName": "A"})
    target = f"{CRM}/accounts/{row['PartyNumber']}"
    assert [(await pod.get(target))[0] for _ in range(2)] == [404, 200]


def account(*lines: str, operation: str = "mergeCustomerAccount") -> bytes:
    inner = "".join(lines)
    types = "http://xmlns.oracle.com/apps/cdm/foundation/parties/customerAccountService/applicationModule/types/"
    return (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"'
        f' xmlns:t="{types}" xmlns:s="http://xmlns.oracle.com/apps/cdm/foundation/parties/customerAccountService/"><e:Body>'
        f"<t:{operation}><t:customerAccount>{inner}</t:customerAccount></t:{operation}></e:Body></e:Envelope>"
    ).encode()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("<s:CreatedByModule>HZ_WS</s:CreatedByModule>",), b"Attribute PartyId"),
        (("<s:PartyId>{party}</s:PartyId>",), b"JBO-27024: Failed to validate a row"),
        (("<s:PartyId>1</s:PartyId>", "<s:CreatedByModule>HZ_WS</s:CreatedByModule>"), b"FND_CMN_RCRD_MSNG"),
        (
            ("<s:PartyId>{party}</s:PartyId>", "<s:CreatedByModule>X</s:CreatedByModule>", "<s:Nonsense>1</s:Nonsense>"),
            b"Unknown",
        ),
    ],
)
async def test_a_service_refuses_with_a_fault(pod: Pod, lines: tuple[str, ...], words: bytes) -> None:
    party = pod.twin.enter("account", OrganizationName="A")
    action = "http://xmlns.oracle.com/apps/cdm/foundation/parties/customerAccountService/applicationModule/mergeCustomerAccount"
    told = {"content_type": "text/xml;charset=UTF-8", "soapaction": action}
    body = account(*(line.replace("{party}", party) for line in lines))
    status, answer = await pod.twin.ask("POST", "/crmService/CustomerAccountService", body, **told)
    assert (status, words in answer) == (500, True)
    assert dict(pod.twin.store.rows("customer_accounts")) == {}


async def test_a_wrong_namespace_is_an_unknown_method(pod: Pod) -> None:
    body = account().replace(b"applicationModule/types/", b"types/")
    told = {"content_type": "text/xml;charset=UTF-8", "soapaction": "x"}
    status, answer = await pod.twin.ask("POST", "/crmService/CustomerAccountService", body, **told)
    assert (status, b"Unknown method" in answer) == (500, True)


def test_the_same_seed_gives_the_same_records() -> None:
    one, other = OracleTwin(), OracleTwin()
    for twin in (one, other):
        twin.fill(20, 0, seed=7)
        twin.edit("account", 5, seed=3)
    assert dict(one.facts("account")) == dict(other.facts("account"))
    assert dict(one.facts("contact")) == dict(other.facts("contact"))


def test_a_person_enters_an_organization_and_sets_its_fields_as_oracle_takes_them(pod: Pod) -> None:
    party = pod.twin.sets("account", "", {"name": "Newcomer", "phone": "+46 8 1"})
    pod.twin.sets("account", party, {"phone": None, "website": "https://www.newcomer.example"})
    [(number, facts)] = pod.twin.facts("account")
    assert (number, facts["id"]) == (pod.twin.row("account", party)["PartyNumber"], party)
    assert (facts["name"], facts["phone"], facts["website"]) == ("Newcomer", None, "https://www.newcomer.example")
    assert (facts["customer_accounts"], facts["bill_to_sites"], facts["profiles"]) == (0, 0, 0)
    with pytest.raises(ValueError, match="name"):
        pod.twin.sets("account", party, {"name": None})
