"""The twin is as strict as what is known of QAD, so that what passes here has a chance there."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from qad_world import GL, WatchedTwin

from ml_connector.twin import TwinRequest
from ml_connector_qad.twin import DEFAULT

CUSTOMERS = "urn:browse:bebrowse:com.qad.erp.base.customers"
VIEW = "urn:be:com.qad.base.customer.ICustomerV2"


class Person:
    """Somebody with curl."""

    def __init__(self, twin: WatchedTwin) -> None:
        self.twin, self.token = twin, ""

    async def log_in(self) -> "Person":
        form = {
            "client_id": "MLCONNECTOR",
            "grant_type": "password",
            "username": "mlc",
            "password": self.twin.identity.password,
        }
        answer = await self.send("POST", "/oauth/token", urlencode(form).encode(), "application/x-www-form-urlencoded")
        self.token = msgspec.json.decode(answer[1])["access_token"]
        return self

    async def send(self, method: str, path: str, body: bytes = b"", kind: str = "application/json", **headers: str) -> Any:
        told = {"content-type": kind, "authorization": f"Bearer {self.token}", "x-qad-workspace-id": "10USA_10USACO", **headers}
        request = TwinRequest(method, "acme.qad.example", f"/clouderp{path}", {k: v for k, v in told.items() if v}, body)
        answer = await self.twin(request)
        return answer.status, answer.body

    async def get(self, path: str, *pairs: tuple[str, str], **headers: str) -> tuple[int, Any]:
        status, body = await self.send("GET", f"{path}?{urlencode(pairs)}", **headers)
        return status, msgspec.json.decode(body)

    async def post(self, path: str, row: dict[str, Any], *pairs: tuple[str, str], collection: str = "") -> Any:
        body = {"supplementaryMessages": [], collection or path: [row]}
        told = msgspec.json.Encoder(decimal_format="number").encode(body)
        _, answer = await self.send("POST", f"/api/erp/{path}?{urlencode(pairs)}", told)
        return msgspec.json.decode(answer)

    async def browse(self, *pairs: tuple[str, str]) -> list[Any]:
        _, told = await self.get("/api/qracore/browses", ("browseId", CUSTOMERS), *pairs)
        rows: list[Any] = told["data"]
        return rows


@pytest.fixture
async def person(twin: WatchedTwin) -> Person:
    for n in range(3):
        twin.put("customerV2s", customerCode=f"C-{n}", addressName=f"Acme {n}", currencyCode="EUR")
    return await Person(twin).log_in()


KEYS = (("sharedSetCode", "10SHARE"), ("customerCode", "C-0"), ("viewUri", VIEW))


async def test_a_browse_without_page_or_action_answers_nothing(person: Person) -> None:
    first = (("page", "1"), ("pageSize", "2"), ("pageAction", "first"))
    assert len(await person.browse(*first)) == 2
    assert await person.browse(("pageSize", "2")) == []
    assert await person.browse(("page", "1"), ("pageSize", "2")) == []
    assert await person.browse(("page", "2"), ("pageSize", "2"), ("pageAction", "first")) == []
    assert len(await person.browse(("page", "2"), ("pageSize", "2"), ("pageAction", "next"))) == 1


async def test_filters_are_anded_and_a_comma_in_a_value_breaks_them(person: Person) -> None:
    first = (("page", "1"), ("pageSize", "9"), ("pageAction", "first"))
    rows = await person.browse(
        *first, ("filter", "customer.customerCode,ge,C-1,literal"), ("filter", "customer.addressName,ew,2,literal")
    )
    assert [row["customer.customerCode"] for row in rows] == ["C-2"]
    pairs = (("browseId", CUSTOMERS), *first, ("filter", "customer.addressName,eq,Acme, Inc.,literal"))
    assert (await person.get("/api/qracore/browses", *pairs))[0] == 400


async def test_a_key_that_is_incomplete_and_a_view_that_is_unknown_are_400(person: Person) -> None:
    assert (await person.get("/api/erp/customerV2s", *KEYS[1:]))[0] == 400
    assert (await person.get("/api/erp/customerV2s", *KEYS[:2], ("viewUri", "urn:be:x")))[0] == 400
    status, told = await person.get("/api/erp/customerV2s", *KEYS)
    assert (status, told["data"]["customerV2s"][0]["uri"]) == (200, f"{VIEW}:10SHARE.C-0")


async def test_what_a_posted_record_leaves_out_is_blanked(twin: WatchedTwin, person: Person) -> None:
    twin.change("customerV2s", "C-0", taxZone="SE-STD")
    _, told = await person.get("/api/erp/customerV2s", *KEYS)
    row = told["data"]["customerV2s"][0]
    partial = {name: row[name] for name in ("sharedSetCode", "customerCode", "businessRelationCode", *GL, "concurrencyHash",
                                            "businessRelationConcurrencyHash")}  # fmt: skip
    answer = await person.post("customerV2s", {**partial, "dataOperation": "U"}, *KEYS)
    assert answer["submitResult"]["success"] is True
    assert (twin.stored("customerV2s", "C-0")["taxZone"], twin.stored("customerV2s", "C-0")["addressName"]) == ("", "")


async def test_an_outdated_hash_is_refused_with_status_200(person: Person) -> None:
    _, told = await person.get("/api/erp/customerV2s", *KEYS)
    row = {**told["data"]["customerV2s"][0], "dataOperation": "U"}
    assert (await person.post("customerV2s", row, *KEYS))["submitResult"]["success"] is True
    [error] = (await person.post("customerV2s", row, *KEYS))["submitResult"]["errors"]
    assert (error["message"], error["fieldName"]) == ("Record has been modified by another user", "concurrencyHash")


async def test_a_record_without_an_operation_is_saved_nowhere_and_called_a_success(twin: WatchedTwin, person: Person) -> None:
    _, told = await person.get("/api/erp/customerV2s", *KEYS)
    row = {**told["data"]["customerV2s"][0], "addressName": "Acme Holding"}
    assert (await person.post("customerV2s", row, *KEYS))["submitResult"]["success"] is True
    assert twin.stored("customerV2s", "C-0")["addressName"] == "Acme 0"


async def test_fields_of_a_line_are_changed_in_order_and_the_line_is_carried_on(twin: WatchedTwin, person: Person) -> None:
    twin.put("items", itemCode="P-1", description="Valve", listPrice=Decimal(10))
    twin.put("salesOrderHeaders", salesOrderNumber="SO1", soldToCustomerCode="C-0")
    keys = (("domainCode", "10USA"), ("salesOrderNumber", "SO1"))

    async def change(row: dict[str, Any], field: str) -> Any:
        query = (*keys, ("fieldName", field), ("dataOperation", "CREATE"))
        return await person.post("salesOrderLines/fieldChange", row, *query, collection="salesOrderLines")

    early = await change({"siteCode": "10-100"}, "siteCode")
    assert early["submitResult"]["errors"][0]["message"] == "Fields were changed out of order"
    row = (await change({"itemCode": "P-1"}, "itemCode"))["data"]["salesOrderLines"][0]
    assert (row["listPrice"], row["unitOfMeasure"], row["salesOrderLine"]) == (10, "EA", 1)
    dropped = await change({"itemCode": "P-1", "siteCode": "10-100"}, "siteCode")
    assert dropped["submitResult"]["success"] is False
    bare = {"itemCode": "P-1", "siteCode": "10-100", "quantityOrdered": 1, "dataOperation": "C"}
    assert (await person.post("salesOrderLinesGrid", bare, *keys))["submitResult"]["success"] is False
    assert (await person.get("/api/erp/salesOrderLinesGrid", *keys))[1]["data"]["salesOrderLinesGrid"] == []


async def test_without_a_workspace_the_data_is_that_of_another_company(person: Person) -> None:
    pairs = (("browseId", CUSTOMERS), ("page", "1"), ("pageSize", "9"), ("pageAction", "first"))
    headers = {"x-qad-workspace-id": ""}
    assert (await person.get("/api/qracore/browses", *pairs, **headers))[1]["data"] == []


async def test_sessions_end_by_idleness_and_by_another_log_in(twin: WatchedTwin, person: Person) -> None:
    other = await Person(twin).log_in()
    assert (await person.get("/api/qracore/securityControl"))[0] == 401
    assert (await other.get("/api/qracore/securityControl"))[0] == 200
    other.twin.clock.advance(DEFAULT.idle_minutes * 60 + 1)
    assert (await other.get("/api/qracore/securityControl"))[0] == 401


def test_the_same_seed_fills_in_the_same_records(make_twin: Callable[..., WatchedTwin]) -> None:
    one, other = make_twin(), make_twin()
    for twin in (one, other):
        twin.fill(10, 20, seed=7)
        twin.edit("order", 5, seed=3)
    for kind in ("account", "vendor", "product", "order", "purchase_order", "invoice"):
        assert dict(one.facts(kind)) == dict(other.facts(kind))


def test_a_clerk_gives_a_new_customer_its_code_which_nobody_has_and_which_stays(twin: WatchedTwin) -> None:
    assert twin.sets("account", "", {"number": "K-1", "name": "Newcomer", "phone": "+1 555 100"}) == "K-1"
    twin.sets("account", "K-1", {"phone": None, "website": "https://www.newcomer.example"})
    [(number, facts)] = twin.facts("account")
    assert (number, facts["name"], facts["phone"]) == ("K-1", "Newcomer", None)
    assert facts["website"] == "https://www.newcomer.example"
    assert twin.stored("mfgCustomers", "K-1")["siteCode"] == "10-100"
    for record, fields in (
        ("", {"name": "No code"}),
        ("", {"number": "k-1 ", "name": "The same to QAD"}),
        ("K-1", {"number": "K-2"}),
        ("K-1", {"name": None}),
    ):
        with pytest.raises(ValueError, match=r"code|exists|key|name"):
            twin.sets("account", record, fields)
