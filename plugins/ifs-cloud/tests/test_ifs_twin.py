"""The twin of IFS Cloud behaves as the vendor's documents and recorded traffic say."""

import base64
import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import quote
from xml.etree import ElementTree

import msgspec
import pytest

from ml_connector.twin import Fault, NoAnswer, Twin, TwinClock, TwinRequest, TwinResponse
from ml_connector_ifs_cloud.twin import IfsTwin, locked, metadata_modified

TOKEN = "/auth/realms/acmeprod/protocol/openid-connect/token"
ROOT = "/main/ifsapplications/projection/v1/"
CUSTOMERS = "CustomerHandling.svc/CustomerInfoSet"
ORDERS = "CustomerOrderHandling.svc/CustomerOrderSet"
LINES = "CustomerOrderHandling.svc/CustomerOrderLineSet"
STATE = "IfsApp.CustomerOrderHandling.CustomerOrderState"
NEW_CUSTOMER = {
    "Name": "Northwind Marine Ltd", "CreationDate": "2026-01-15", "Country": "Sweden", "CountryCode": "SE",
    "DefaultLanguage": "en", "PartyType": "Customer", "DefaultDomain": True,
}  # fmt: skip
NEW_ORDER = {
    "CustomerNo": "C-100", "Contract": "S01", "OrderId": "NO", "CurrencyCode": "EUR",
    "WantedDeliveryDate": "2026-03-01T00:00:00Z",
}  # fmt: skip


class Answer:
    def __init__(self, response: TwinResponse) -> None:
        self.status, self.headers, self.raw = response.status, response.headers, response.body

    @property
    def body(self):
        return msgspec.json.Decoder(float_hook=Decimal).decode(self.raw)

    @property
    def rows(self):
        return self.body["value"]

    @property
    def code(self):
        return self.body["error"]["code"]

    @property
    def detail(self):
        return self.body["error"]["details"][0]["message"]


class Caller:
    """A plain client: signs in once, encodes query texts as the vendor wants them."""

    def __init__(self, twin: IfsTwin) -> None:
        self.twin = twin
        self.token = ""

    async def sign_in(self, **form: str) -> Answer:
        fields = {"grant_type": "client_credentials", "client_id": "ML_CONNECTOR", "client_secret": "ifs-twin-secret"} | form
        body = "&".join(f"{name}={quote(value)}" for name, value in fields.items()).encode()
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = Answer(await self.twin(TwinRequest("POST", "erp.example", TOKEN, headers, body)))
        if answer.status == 200:
            self.token = answer.body["access_token"]
        return answer

    async def send(self, method: str, path: str, body: object = None, *, root: str = ROOT, **headers: str) -> Answer:
        sent = {"authorization": f"Bearer {self.token}"} | {name.replace("_", "-"): value for name, value in headers.items()}
        raw = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
        if raw:
            sent.setdefault("content-type", "application/json")
        return Answer(await self.twin(TwinRequest(method, "erp.example", root + path, sent, raw)))

    async def get(self, path: str, **options: str) -> Answer:
        query = "&".join(f"${name}={quote(value, safe=',()')}" for name, value in options.items())
        return await self.send("GET", f"{path}?{query}" if query else path)


@pytest.fixture
def twin() -> IfsTwin:
    clock = TwinClock(lambda: dt.datetime(2026, 1, 15, 9, 30, 12, tzinfo=dt.UTC))
    return IfsTwin(clock=clock)


@pytest.fixture
async def erp(twin: IfsTwin) -> Caller:
    twin.put("CustomerInfoSet", {"CustomerId": "C-100", "Name": "Acme", "CountryCode": "SE"})
    twin.put("CustomerInfoSet", {"CustomerId": "C-101", "Name": "O'Neil & Sons"})
    twin.put("CustOrdCustomerSet", {"CustomerNo": "C-100", "CurrencyCode": "EUR"})
    twin.put("CustomerInfoAddresses", {"CustomerId": "C-100", "AddressId": "1", "City": "Hull"})
    twin.put("AddressTypes", {"CustomerId": "C-100", "AddressId": "1", "AddressTypeCode": "Delivery", "DefAddress": True})
    twin.put(
        "CustomerOrderSet",
        {"OrderNo": "10042", "CustomerNo": "C-100", "Objstate": "Planned", "OrderCreationDate": "2026-01-10T08:00:00Z"},
    )
    for number, price in (("1", "10.1275"), ("2", "0.10")):
        line = {"OrderNo": "10042", "LineNo": number, "CatalogNo": "P-100", "BuyQtyDue": 2, "SaleUnitPrice": Decimal(price)}
        twin.put("CustomerOrderLineSet", line)
    caller = Caller(twin)
    await caller.sign_in()
    return caller


def test_the_twin_fulfils_the_protocol(twin):
    held: Twin = twin
    assert held.settings("http://127.0.0.1:8123/") == {
        "base_url": "http://127.0.0.1:8123", "realm": "acmeprod", "client_id": "ML_CONNECTOR",
        "client_secret": "secret:twin/ifs_client_secret", "company": "10", "limits": {"requests_per_minute": 60_000},
    }  # fmt: skip
    assert held.secrets() == {"twin/ifs_client_secret": "ifs-twin-secret"}


# Signing in


async def test_a_token_lives_three_minutes(erp):
    erp.twin.clock.advance(179)
    assert (await erp.get(CUSTOMERS)).status == 200
    erp.twin.clock.advance(1)
    assert (await erp.get(CUSTOMERS)).status == 401


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "SOMEONE"}, 401, "invalid_client"),
        ({"grant_type": "device"}, 400, "unsupported_grant_type"),
        ({"grant_type": "password"}, 400, "unauthorized_client"),
        ({"grant_type": "refresh_token", "refresh_token": "stale"}, 400, "invalid_grant"),
        ({"scope": "email"}, 400, "invalid_scope"),
    ],
)
async def test_the_token_endpoint_refuses_as_keycloak_does(twin, form, status, error):
    answer = await Caller(twin).sign_in(**form)
    assert (answer.status, answer.body["error"]) == (status, error)


async def test_a_client_may_sign_in_by_basic_authentication(twin):
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "authorization": "Basic " + base64.b64encode(b"ML_CONNECTOR:ifs-twin-secret").decode(),
    }
    answer = Answer(await twin(TwinRequest("POST", "erp.example", TOKEN, headers, b"grant_type=client_credentials")))
    assert (answer.status, answer.body["expires_in"], answer.body["token_type"]) == (200, 180, "Bearer")


async def test_a_call_without_a_token_is_turned_away_without_json(twin):
    answer = await Caller(twin).get(CUSTOMERS)
    assert (answer.status, answer.headers["content-type"]) == (401, "text/html")


# Gateways, grants, limits


@pytest.mark.parametrize(
    "path",
    [
        "/int/ifsapplications/projection/v1/CustomerHandling.svc/CustomerInfoSet",
        "/main/ifsapplications/projection/v1/PurchasePartHandling.svc/PurchasePartSet",
        "/main/ifsapplications/entity/v1/CustomerInfoEntity.svc/CustomerInfoSet",
    ],
)
async def test_a_service_that_is_not_there_has_no_metadata(erp, path):
    answer = await erp.send("GET", path, root="")
    assert (answer.status, answer.code) == (404, "ODP_RESOURCE_NOTFOUND")
    assert answer.body["error"]["message"] == "Metadata not found."


async def test_a_projection_that_is_not_granted_is_forbidden_or_hidden(erp):
    erp.twin.grants.remove("CustomerHandling")
    assert (await erp.get(CUSTOMERS)).status == 403
    erp.twin.denied_as = 404
    assert (await erp.get(CUSTOMERS)).status == 404
    assert (await erp.get(ORDERS)).status == 200


async def test_a_user_without_companies_sees_empty_lists_and_no_error(erp):
    erp.twin.companies_granted = False
    for path in (CUSTOMERS, ORDERS, LINES, f"{CUSTOMERS}(CustomerId='C-100')/CustomerInfoAddresses"):
        answer = await erp.get(path)
        assert (answer.status, answer.rows) == (200, [])
    assert (await erp.get(f"{CUSTOMERS}(CustomerId='C-100')")).status == 404


async def test_too_many_calls_in_a_minute_are_put_off(erp):
    erp.twin.calls_per_minute = 2
    statuses = [(await erp.get(CUSTOMERS)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await erp.get(CUSTOMERS)).headers["retry-after"] == "5"
    erp.twin.clock.advance(60)
    assert (await erp.get(CUSTOMERS)).status == 200


# What the service says about itself


async def test_the_service_document_lists_the_sets(erp):
    answer = await erp.get("CustomerOrderHandling.svc/")
    assert [entry["name"] for entry in answer.rows] == ["CustomerOrderSet", "CustomerOrderLineSet"]


async def test_the_metadata_names_keys_enums_and_bound_actions(erp):
    erp.twin.add_custom_field("CustomerOrder", "Cf_Cost_Center")
    tree = ElementTree.fromstring((await erp.get("CustomerOrderHandling.svc/$metadata")).raw)
    edm = "{http://docs.oasis-open.org/odata/ns/edm}"
    order = tree.find(f".//{edm}EntityType[@Name='CustomerOrder']")
    assert [key.get("Name") for key in order.iter(f"{edm}PropertyRef")] == ["OrderNo"]
    assert order.find(f"{edm}Property[@Name='Objstate']").get("Type") == STATE
    assert order.find(f"{edm}Property[@Name='Cf_Cost_Center']").get("Type") == "Edm.String"
    assert order.find(f"{edm}Property[@Name='CustomerNo']").get("MaxLength") == "20"
    action = tree.find(f".//{edm}Action[@Name='CustomerOrder_SetReleased']")
    assert (action.get("IsBound"), action.find(f"{edm}Parameter").get("Type")) == ("true", STATE.replace("State", ""))
    assert tree.find(f".//{edm}EnumType[@Name='CustomerOrderState']/{edm}Member[@Name='PartiallyDelivered']") is not None


# Reading


async def test_a_row_carries_what_the_system_adds(erp):
    (row, _) = (await erp.get(LINES, orderby="OrderNo,LineNo,RelNo,LineItemNo")).rows
    assert row["keyref"] == "LINE_ITEM_NO=0^LINE_NO=1^ORDER_NO=10042^REL_NO=1^"
    assert (row["luname"], row["Objgrants"]) == ("CustomerOrderLine", None)
    inner = base64.b64decode(re.fullmatch(r'W/"(.+)"', row["@odata.etag"]).group(1)).decode()
    assert re.fullmatch(r'W/"[A-Za-z0-9+/]{18}:20260115093012"', inner)


async def test_one_row_has_its_etag_in_the_header_too(erp):
    answer = await erp.get(f"{ORDERS}(OrderNo='10042')")
    assert answer.headers["etag"] == answer.body["@odata.etag"]
    assert answer.headers["content-type"] == "application/json;odata.metadata=minimal"


async def test_a_selection_brings_the_key_and_the_etag_along(erp):
    answer = await erp.get(CUSTOMERS, select="Name", orderby="CustomerId", top="1")
    assert answer.body["@odata.context"].endswith("CustomerHandling.svc/$metadata#CustomerInfoSet(Name)")
    assert answer.rows[0].keys() == {"@odata.etag", "CustomerId", "Name"}


async def test_numbers_go_over_the_wire_digit_by_digit(erp):
    price = Decimal("12345678901234567.8901")
    erp.twin.put("CustomerOrderSet", {"OrderNo": "10043"})
    line = {"OrderNo": "10043", "LineNo": "1", "BuyQtyDue": 1, "SaleUnitPrice": price}
    erp.twin.put("CustomerOrderLineSet", line)
    answer = await erp.get(f"{ORDERS}(OrderNo='10043')")
    assert b'"TotalAmount":12345678901234567.8901' in answer.raw
    exact = await erp.send("GET", f"{ORDERS}(OrderNo='10043')", accept="application/json;IEEE754Compatible=true")
    assert exact.body["TotalAmount"] == str(price)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"{CUSTOMERS}(CustomerId='C-100')/CustomerInfoAddresses", 1),
        (f"{CUSTOMERS}('C-100')/CustOrdCustomers", 1),
        (f"{CUSTOMERS}(CustomerId='C-101')/CustOrdCustomers", 0),
        (f"{CUSTOMERS}(CustomerId='C-100')/CustomerInfoAddresses(CustomerId='C-100',AddressId='1')/AddressTypes", 1),
        (f"{ORDERS}(OrderNo='10042')/OrderLinesArray", 2),
    ],
)
async def test_a_navigation_gives_the_children_of_one_row(erp, path, found):
    answer = await erp.get(path)
    assert (answer.status, len(answer.rows)) == (200, found)


async def test_a_key_with_a_quote_a_slash_and_a_percent_sign_is_found(erp):
    erp.twin.put("CustomerInfoSet", {"CustomerId": "O'N/1%", "Name": "Odd"})
    answer = await erp.get(f"{CUSTOMERS}(CustomerId='O%27%27N%2F1%25')")
    assert answer.body["Name"] == "Odd"


@pytest.mark.parametrize(
    "path",
    [
        f"{ORDERS}(OrderNo=10042)",
        f"{LINES}(OrderNo='10042',LineNo='1',RelNo='1',LineItemNo='0')",
        f"{LINES}(OrderNo='10042',LineNo='1')",
        f"{LINES}('10042')",
        f"{ORDERS}(OrderNo='10042",
    ],
)
async def test_a_key_of_the_wrong_type_or_shape_is_malformed(erp, path):
    assert (await erp.get(path)).status == 400


@pytest.mark.parametrize(
    "path", [f"{ORDERS}(OrderNo='1')", f"{ORDERS}(OrderNo='1')/OrderLinesArray", "CustomerHandling.svc/CustomerSet"]
)
async def test_what_does_not_exist_is_not_found(erp, path):
    answer = await erp.get(path)
    assert (answer.status, answer.code) == (404, "ODP_RESOURCE_NOTFOUND")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CustomerId eq 'C-100'", ["C-100"]),
        ("CustomerId gt 'C-100'", ["C-101", "C-102"]),
        ("CustomerId ge 'C-101' and CustomerId lt 'C-102'", ["C-101"]),
        ("CustomerId le 'C-101' or Name eq 'Zeta'", ["C-100", "C-101", "C-102"]),
        ("CustomerId eq 'C-102' or CustomerId eq 'C-100'", ["C-100", "C-102"]),
        ("not (CustomerId eq 'C-100')", ["C-101", "C-102"]),
        ("Name eq 'O''Neil & Sons'", ["C-101"]),
        ("contains(Name,'Neil')", ["C-101"]),
        ("startswith(Name,'Ac') or endswith(Name,'ta')", ["C-100", "C-102"]),
        ("tolower(Name) eq 'zeta'", ["C-102"]),
        ("CreationDate ge 2026-01-01", ["C-102"]),
        ("not (CreationDate ge 2026-01-01)", []),
        ("CreationDate eq null", ["C-100", "C-101"]),
        ("OneTime eq false and CustomerCategory ne IfsApp.CustomerHandling.CustomerCategory'Prospect'", ["C-100", "C-101"]),
    ],
)
async def test_a_filter_lets_the_right_rows_through(erp, text, found):
    erp.twin.put("CustomerInfoSet", {
        "CustomerId": "C-102", "Name": "Zeta", "CreationDate": "2026-01-02", "CustomerCategory": "Prospect",
    })  # fmt: skip
    answer = await erp.get(CUSTOMERS, filter=text, select="CustomerId", orderby="CustomerId")
    assert [row["CustomerId"] for row in answer.rows] == found


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Nme eq 'Acme'", "The property 'Nme', used in a query expression, is not defined in type"),
        ("Objstate eq 'Released'", "not compatible"),
        (f"Objstate eq {STATE.replace('Order', '')}'Released'", "no member"),
        (f"Objstate eq {STATE}'Relaesed'", "no member"),
        ("OrderNo eq 10042", "The types 'Edm.String' and 'Edm.Decimal' are not compatible."),
        ("DateEntered ge 2026-01-15T00:00:00Z", "not compatible"),
        ("OrderCreationDate ge 2026-01-15", "not compatible"),
        ("OrderCreationDate ge '2026-01-15T00:00:00Z'", "not compatible"),
        ("OrderNo eq '10042", "not well formed"),
        ("OrderNo EQ '10042'", "lower case"),
        ("OrderNo", "not Edm.Boolean"),
        ("shout(OrderNo) eq 'A'", "Unknown function"),
    ],
)
async def test_a_filter_that_does_not_fit_is_malformed(erp, text, hint):
    answer = await erp.get(ORDERS, filter=text)
    assert (answer.status, answer.body["error"]["message"]) == (400, "Malformed Request.")
    assert hint in answer.detail


@pytest.mark.parametrize(
    ("option", "value"),
    [("filter", "OrderNo in ('1','2')"), ("filter", "round(TotalAmount) eq 1"), ("filter", "TotalAmount mod 2 eq 1"),
     ("expand", "OrderLinesArray"), ("search", "Acme"), ("apply", "aggregate(TotalAmount with sum as T)")],
)  # fmt: skip
async def test_what_ifs_leaves_out_of_odata_is_not_implemented(erp, option, value):
    answer = await erp.get(ORDERS, **{option: value})
    assert (answer.status, answer.code) == (501, "ODP_NOT_IMPLEMENTED")


@pytest.mark.parametrize(
    "query",
    ["$filter=OrderNo+eq+'10042'", "$orderby=OrderNo+desc", "$select=Nope", "$orderby=Nope", "$top=-1", "$top=x", "$wrong=1",
     "%24top=1", "$top=1&$top=2", "$expand=Nope", "$select=OrderNo,"],
)  # fmt: skip
async def test_a_query_that_is_not_well_formed_is_malformed(erp, query):
    answer = await erp.send("GET", f"{ORDERS}?{query}")
    assert (answer.status, answer.code) == (400, "ODP_REQUEST_URI")


async def test_a_property_that_begins_with_a_word_of_the_language_can_be_asked_for(erp):
    answer = await erp.get(ORDERS, filter="AllowedOperations ne 'all' and startswith(AllowedOperations,'N')")
    assert [row["OrderNo"] for row in answer.rows] == ["10042"]


async def test_a_moment_with_an_offset_is_the_same_moment(erp):
    for text, found in (("ge 2026-01-10T10:00:00+02:00", 1), ("gt 2026-01-10T08:00:00Z", 0), ("lt 2026-01-10T08:00:00.5Z", 1)):
        assert len((await erp.get(ORDERS, filter=f"OrderCreationDate {text}")).rows) == found


async def test_rows_come_in_no_useful_order_unless_it_is_asked_for(erp):
    erp.twin.put("CustomerInfoSet", {"CustomerId": "A-1", "Name": "Zeta"})
    assert [row["CustomerId"] for row in (await erp.get(CUSTOMERS)).rows] == ["C-100", "C-101", "A-1"]
    by_key = await erp.get(CUSTOMERS, orderby="CustomerId")
    assert [row["CustomerId"] for row in by_key.rows] == ["A-1", "C-100", "C-101"]
    by_name = await erp.get(CUSTOMERS, orderby="Name desc,CustomerId", count="true", top="2")
    assert ([row["Name"] for row in by_name.rows], by_name.body["@odata.count"]) == (["Zeta", "O'Neil & Sons"], 3)


async def test_a_database_that_ignores_case_compares_and_sorts_alike():
    erp = Caller(IfsTwin(collation="ignore_case"))
    await erp.sign_in()
    for key in ("b", "A", "C"):
        erp.twin.put("CustomerInfoSet", {"CustomerId": key, "Name": key})
    listed = await erp.get(CUSTOMERS, orderby="CustomerId", filter="CustomerId gt 'A'")
    assert [row["CustomerId"] for row in listed.rows] == ["b", "C"]


async def test_a_set_can_be_counted(erp):
    assert (await erp.get(f"{CUSTOMERS}/$count")).raw == b"2"
    assert (await erp.get(f"{CUSTOMERS}/$count", filter="Name eq 'Acme'")).raw == b"1"


async def test_a_full_page_has_no_link_and_the_next_is_skipped_to(erp):
    first = await erp.get(CUSTOMERS, orderby="CustomerId", top="1")
    second = await erp.get(CUSTOMERS, orderby="CustomerId", top="1", skip="1")
    assert "@odata.nextLink" not in first.body
    assert [row["CustomerId"] for row in first.rows + second.rows] == ["C-100", "C-101"]


async def test_a_server_with_a_cap_cuts_a_page_silently_or_links_on(erp):
    erp.twin.switches.page_cap = 2
    for number in range(5):
        erp.twin.put("CustomerInfoSet", {"CustomerId": f"D-{number}"})
    silent = await erp.get(CUSTOMERS, top="5", orderby="CustomerId")
    assert (len(silent.rows), "@odata.nextLink" in silent.body) == (2, False)
    erp.twin.switches.nextlink = True
    page, sizes = await erp.get(CUSTOMERS, top="5", orderby="CustomerId"), []
    while link := page.body.get("@odata.nextLink"):
        sizes.append(len(page.rows))
        page = await erp.send("GET", link.removeprefix("https://erp.example"), root="")
    assert [*sizes, len(page.rows)] == [2, 2, 1]


async def test_a_server_that_labels_its_local_time_as_utc(erp):
    twin = IfsTwin(clock=erp.twin.clock, time_offset_hours=2)
    twin.put("CustomerInfoSet", {"CustomerId": "C-100"})
    twin.put("CustOrdCustomerSet", {"CustomerNo": "C-100"})
    caller = Caller(twin)
    await caller.sign_in()
    order = await caller.send("POST", ORDERS, NEW_ORDER)
    assert order.body["OrderCreationDate"] == "2026-01-15T11:30:12Z"


# Writing


async def test_a_new_customer_gets_its_number_from_the_server(erp):
    answer = await erp.send("POST", CUSTOMERS, NEW_CUSTOMER)
    assert (answer.status, answer.body["CustomerId"], answer.body["CustomerCategory"]) == (201, "C-0001", "Customer")
    assert answer.headers["etag"] == answer.body["@odata.etag"]
    chosen = await erp.send("POST", CUSTOMERS, {**NEW_CUSTOMER, "CustomerId": "X-9"})
    assert chosen.body["CustomerId"] == "X-9"


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"Name": None}, "[NAME] is mandatory"),
        ({"CustomerId": "C-100"}, "already exists"),
        ({"Name": "x" * 101}, "(actual: 101, maximum: 100)"),
    ],
)
async def test_the_business_logic_refuses_with_a_server_error(erp, change, hint):
    answer = await erp.send("POST", CUSTOMERS, NEW_CUSTOMER | change)
    assert (answer.status, answer.code) == (500, "DATABASE_ERROR")
    assert hint in answer.detail


@pytest.mark.parametrize(
    "body",
    [
        b"{not json", b"[]", {**NEW_CUSTOMER, "Nme": "x"}, {**NEW_CUSTOMER, "CreationDate": "15.01.2026"},
        {**NEW_CUSTOMER, "OneTime": "false"}, {**NEW_CUSTOMER, "CustomerCategory": "prospect"},
        {**NEW_CUSTOMER, "luname": "CustomerInfo"},
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_read_is_refused(erp, body):
    answer = await erp.send("POST", CUSTOMERS, body)
    assert (answer.status, answer.code) == (400, "ODP_DESERIALIZATION_ERROR")


async def test_a_body_of_another_content_type_is_refused(erp):
    answer = await erp.send("POST", CUSTOMERS, NEW_CUSTOMER, content_type="text/plain")
    assert (answer.status, answer.code) == (400, "ODP_DESERIALIZATION_ERROR")


async def test_an_order_is_written_header_first_and_then_line_by_line(erp):
    order = await erp.send("POST", ORDERS, NEW_ORDER)
    number = order.body["OrderNo"]
    lines = f"{ORDERS}(OrderNo='{number}')/OrderLinesArray"
    first = await erp.send("POST", lines, {"CatalogNo": "P-101", "BuyQtyDue": 2})
    second = await erp.send("POST", lines, {"CatalogNo": "P-102", "BuyQtyDue": 1, "SaleUnitPrice": 5.5})
    assert [each.body["LineNo"] for each in (first, second)] == ["1", "2"]
    assert (first.body["CatalogDesc"], first.body["NetAmountCurr"]) == ("Impeller, bronze", Decimal("174.9000"))
    read = await erp.get(f"{ORDERS}(OrderNo='{number}')")
    assert (read.body["TotalAmount"], read.body["Objstate"], read.body["CustomerName"]) == (
        Decimal("180.40"),
        "Planned",
        "Acme",
    )


async def test_a_customer_without_sales_settings_cannot_be_put_on_an_order(erp):
    answer = await erp.send("POST", ORDERS, {**NEW_ORDER, "CustomerNo": "C-101"})
    assert (answer.status, answer.code) == (500, "DATABASE_ERROR")
    await erp.send("POST", f"{CUSTOMERS}(CustomerId='C-101')/CustOrdCustomers", {"CurrencyCode": "EUR"})
    assert (await erp.send("POST", ORDERS, {**NEW_ORDER, "CustomerNo": "C-101"})).status == 201


async def test_a_patch_changes_what_it_names_and_gives_a_new_etag(erp):
    path = f"{CUSTOMERS}(CustomerId='C-100')"
    before = (await erp.get(path)).headers["etag"]
    answer = await erp.send("PATCH", path, {"Name": "Acme AB"}, if_match=before)
    assert (answer.status, answer.body["Name"], answer.body["CountryCode"]) == (200, "Acme AB", "SE")
    assert answer.headers["etag"] != before
    stale = await erp.send("PATCH", path, {"Name": "Acme Inc"}, if_match=before)
    assert (stale.status, (await erp.get(path)).body["Name"]) == (412, "Acme AB")
    assert (await erp.send("PATCH", path, {"Name": "Acme Inc"}, if_match="*")).status == 200


async def test_a_write_without_if_match_is_refused(erp):
    path = f"{ORDERS}(OrderNo='10042')"
    action = f"{path}/IfsApp.CustomerOrderHandling.CustomerOrder_SetReleased"
    for method, target, body in (("PATCH", path, {}), ("DELETE", path, None), ("POST", action, {})):
        answer = await erp.send(method, target, body)
        assert (answer.status, answer.code) == (428, "ODP_MISSING_PRECONDITION")


async def test_a_patch_without_if_match_inserts_where_the_release_upserts(erp):
    erp.twin.switches.upsert_without_if_match = True
    inserted = await erp.send("PATCH", f"{CUSTOMERS}(CustomerId='C-777')", {**NEW_CUSTOMER, "CustomerId": "ignored"})
    updated = await erp.send("PATCH", f"{CUSTOMERS}(CustomerId='C-777')", {"Name": "Renamed", "Objstate": "ignored"})
    assert [(each.status, each.body["CustomerId"]) for each in (inserted, updated)] == [(201, "C-777"), (200, "C-777")]
    missing = await erp.send("PATCH", f"{CUSTOMERS}(CustomerId='C-778')", {"Name": "x"}, if_match="*")
    assert missing.status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [({"Objstate": "Released"}, 400), ({"TotalAmount": 1}, 500), ({"CustomerName": "x"}, 500), ({"@odata.etag": "x"}, 200)],
)
async def test_what_only_the_server_writes_cannot_be_patched(erp, body, status):
    answer = await erp.send("PATCH", f"{ORDERS}(OrderNo='10042')", body, if_match="*")
    assert answer.status == status


async def test_a_line_edit_moves_the_total_but_not_the_etag_of_the_header(erp):
    header, line = f"{ORDERS}(OrderNo='10042')", f"{LINES}(OrderNo='10042',LineNo='1',RelNo='1',LineItemNo=0)"
    before, old = await erp.get(header), (await erp.get(line)).headers["etag"]
    changed = await erp.send("PATCH", line, {"BuyQtyDue": 3}, if_match=old)
    after = await erp.get(header)
    assert (before.body["TotalAmount"], after.body["TotalAmount"]) == (Decimal("20.4550"), Decimal("30.5825"))
    assert (after.headers["etag"] == before.headers["etag"], changed.headers["etag"] != old) == (True, True)


async def test_an_address_edit_leaves_the_etag_of_the_customer(erp):
    before = erp.twin.etag("CustomerInfoSet", "C-100")
    path = f"{CUSTOMERS}(CustomerId='C-100')/CustomerInfoAddresses(CustomerId='C-100',AddressId='1')"
    answer = await erp.send("PATCH", path, {"City": "Leeds"}, if_match="*")
    assert (answer.status, answer.body["City"], erp.twin.etag("CustomerInfoSet", "C-100")) == (200, "Leeds", before)


async def test_an_order_is_released_once_and_its_lines_with_it(erp):
    path = f"{ORDERS}(OrderNo='10042')"
    action = f"{path}/IfsApp.CustomerOrderHandling.CustomerOrder_SetReleased"
    before = (await erp.get(path)).headers["etag"]
    answer = await erp.send("POST", action, {}, if_match=before)
    assert (answer.status, answer.raw) == (204, b"")
    assert {line["Objstate"] for line in (await erp.get(f"{path}/OrderLinesArray")).rows} == {"Released"}
    assert (await erp.send("POST", action, {}, if_match=before)).status == 412
    again = await erp.send("POST", action, {}, if_match="*")
    assert (again.status, again.code) == (500, "DATABASE_ERROR")


async def test_an_order_is_cancelled_with_a_reason(erp):
    path = f"{ORDERS}(OrderNo='10042')"
    action = f"{path}/IfsApp.CustomerOrderHandling.CustomerOrder_SetCancelled"
    assert (await erp.send("POST", action, {"Reason": "x"}, if_match="*")).status == 400
    assert (await erp.send("POST", action, {"CancelReason": "LOST"}, if_match="*")).status == 204
    read = await erp.get(path)
    assert (read.body["Objstate"], read.body["CancelReason"]) == ("Cancelled", "LOST")


async def test_an_action_can_have_a_result_or_be_missing_from_the_installation(erp):
    path = f"{ORDERS}(OrderNo='10042')/IfsApp.CustomerOrderHandling."
    printed = await erp.send("POST", path + "CustomerOrder_PrintResultKey", {"ReportId": "CO"}, if_match="*")
    assert (printed.status, printed.body["value"]) == (200, "558001")
    del erp.twin.actions["CustomerOrder_SetReleased"]
    assert (await erp.send("POST", path + "CustomerOrder_SetReleased", {}, if_match="*")).status == 404


async def test_a_prospect_becomes_a_customer_by_command_only(erp):
    assert (await erp.send("PATCH", f"{CUSTOMERS}('C-100')", {"CustomerCategory": "Prospect"}, if_match="*")).status == 500
    command = {"CustomerId": "C-100", "CustomerCategory": "Prospect"}
    assert (await erp.send("POST", "CustomerHandling.svc/ChangeCustomerCategory", command)).status == 204
    assert (await erp.get(f"{CUSTOMERS}('C-100')")).body["CustomerCategory"] == "Prospect"


async def test_a_deleted_order_takes_its_lines_along(erp):
    answer = await erp.send("DELETE", f"{ORDERS}(OrderNo='10042')", if_match=erp.twin.etag("CustomerOrderSet", "10042"))
    assert answer.status == 204
    assert ((await erp.get(f"{ORDERS}(OrderNo='10042')")).status, (await erp.get(LINES)).rows) == (404, [])


async def test_a_method_that_a_resource_does_not_take_is_not_allowed(erp):
    for method, path in (
        ("PUT", f"{ORDERS}(OrderNo='10042')"),
        ("DELETE", ORDERS),
        ("POST", "HistoryLogHandling.svc/HistoryLogOverviewSet"),
    ):
        assert (await erp.send(method, path, {}, if_match="*")).status == 405


async def test_only_the_fields_asked_for_come_back_from_a_write(erp):
    answer = await erp.send("POST", f"{CUSTOMERS}?select-fields=Name", NEW_CUSTOMER)
    assert answer.body.keys() == {"@odata.context", "@odata.etag", "CustomerId", "Name"}
    refused = await erp.send("PATCH", f"{CUSTOMERS}('C-100')?select-fields=Nope", {"Name": "x"}, if_match="*")
    assert (refused.status, (await erp.get(f"{CUSTOMERS}('C-100')")).body["Name"]) == (400, "Acme")


async def test_a_custom_field_is_read_filtered_and_written_like_any_other(erp):
    path = f"{ORDERS}(OrderNo='10042')"
    assert (await erp.send("PATCH", path, {"Cf_Cost_Center": "4711"}, if_match="*")).status == 400
    erp.twin.add_custom_field("CustomerOrder", "Cf_Cost_Center", "string")
    assert (await erp.send("PATCH", path, {"Cf_Cost_Center": "4711"}, if_match="*")).status == 200
    found = await erp.get(ORDERS, filter="Cf_Cost_Center eq '4711'", select="Cf_Cost_Center")
    assert [row["Cf_Cost_Center"] for row in found.rows] == ["4711"]


async def test_the_history_log_keeps_what_an_administrator_switched_on(erp):
    erp.twin.history_enabled.add("CustomerOrder")
    erp.twin.update("CustomerOrderSet", "10042", CustomerPoNo="PO-9")
    erp.twin.update("CustomerInfoSet", "C-100", Name="Acme AB")
    text = "LuName eq 'CustomerOrder' and TimeStamp gt 2026-01-15T00:00:00Z"
    (entry,) = (await erp.get("HistoryLogHandling.svc/HistoryLogOverviewSet", filter=text)).rows
    assert (entry["Keys"], entry["HistoryType"], entry["TimeStamp"]) == ("ORDER_NO=10042^", "Modify", "2026-01-15T09:30:12Z")
    details = await erp.get(f"HistoryLogHandling.svc/HistoryLogDetailsSet(LogId={entry['LogId']})/HistoryLogAttributeArray")
    assert [(each["ColumnName"], each["NewValue"]) for each in details.rows] == [("CUSTOMER_PO_NO", "PO-9")]


async def test_two_changes_in_one_second_can_be_made_to_share_a_token(erp):
    erp.twin.equal_tokens_within_a_second = True
    before = erp.twin.etag("CustomerInfoSet", "C-100")
    erp.twin.update("CustomerInfoSet", "C-100", Name="Acme AB")
    assert erp.twin.etag("CustomerInfoSet", "C-100") == before
    erp.twin.clock.advance(1)
    erp.twin.update("CustomerInfoSet", "C-100", Name="Acme Inc")
    assert erp.twin.etag("CustomerInfoSet", "C-100") != before


# Faults


async def test_the_vendors_own_transient_refusals_do_no_work(erp):
    erp.twin.faults.add(metadata_modified(method="POST"), locked(method="PATCH"))
    answers = [
        await erp.send("POST", CUSTOMERS, NEW_CUSTOMER),
        await erp.send("PATCH", f"{CUSTOMERS}('C-100')", {}, if_match="*"),
    ]
    assert [(each.status, each.code) for each in answers] == [(503, "MI_MODIFIED_ERROR"), (423, "FND_LOCKED")]
    assert len(erp.twin.rows("CustomerInfoSet")) == 2


@pytest.mark.parametrize(("kind", "customers"), [("lost_before", 2), ("lost_after", 3)])
async def test_a_line_that_goes_dead_leaves_the_work_undone_or_done(erp, kind, customers):
    erp.twin.faults.add(Fault(kind, method="POST"))
    answered = len(erp.twin.calls)
    with pytest.raises(NoAnswer):
        await erp.send("POST", CUSTOMERS, NEW_CUSTOMER)
    assert (len(erp.twin.rows("CustomerInfoSet")), len(erp.twin.calls)) == (customers, answered)


async def test_garbage_expired_tokens_and_a_plain_status_can_be_scripted(erp):
    erp.twin.faults.add(Fault("garbage"), Fault("status", status=503, retry_after="7"), Fault("expire_tokens"))
    garbage, busy, expired = [await erp.get(CUSTOMERS) for _ in range(3)]
    assert (garbage.status, garbage.raw[:6]) == (200, b"<html>")
    assert (busy.status, busy.headers["retry-after"], expired.status) == (503, "7", 401)
    assert [status for _, _, status in erp.twin.calls] == [200, 200, 503, 401]


# Made-up records


def facts(twin: IfsTwin, kind: str) -> dict[str, Mapping[str, object]]:
    return dict(twin.facts(kind))


def test_the_same_seed_gives_the_same_records(twin):
    other = IfsTwin(clock=twin.clock)
    twin.fill(12, 20, seed=7)
    other.fill(12, 20, seed=7)
    assert (facts(twin, "account"), facts(twin, "order")) == (facts(other, "account"), facts(other, "order"))
    other.fill(3, 3, seed=7)
    assert len(facts(other, "account")) == 15


def test_awkward_records_are_always_among_them(twin):
    twin.fill(8, 12)
    accounts, orders = facts(twin, "account"), facts(twin, "order")
    names = [str(fact["name"]) for fact in accounts.values()]
    assert {len(name) for name in names} >= {100}
    assert any('O\'Neil "Sons" &' in name for name in names) and any(name.endswith("   ") for name in names)
    assert any(ord(letter) > 0xFFFF for name in names for letter in name)
    assert "Prospect" in {fact["category"] for fact in accounts.values()}
    assert len({fact["status"] for fact in orders.values()}) == 9
    assert len({twin.etag("CustomerInfoSet", key)[-16:] for key in accounts}) < len(accounts)


def test_every_customer_has_where_to_deliver_and_where_to_send_the_invoice(twin):
    twin.fill(40, 0)
    for number, fact in facts(twin, "account").items():
        assert fact["billing.street"] and fact["shipping.city"], number
        assert isinstance(fact["credit_limit"], Decimal) and fact["payment_terms"] and fact["currency"]
    assert sum(fact["phone"] is not None for fact in facts(twin, "account").values()) > 25


def test_the_lines_of_an_order_add_up_to_its_amount(twin):
    twin.fill(10, 60)
    orders = facts(twin, "order")
    for fact in orders.values():
        assert fact["amount"] == sum(net for *_, net in fact["lines"])
        assert 1 <= len(fact["lines"]) <= 5
    assert len({fact["currency"] for fact in orders.values()}) > 2
    assert {len(str(fact["amount"]).partition(".")[2]) for fact in orders.values()} == {2, 3, 4}


def test_one_order_waits_for_a_customer_who_comes_late(twin):
    twin.fill(5, 10)
    waiting = [fact for fact in facts(twin, "order").values() if fact["customer"] not in facts(twin, "account")]
    assert [fact["customer"] for fact in waiting] == [twin.late_customer]
    assert twin.reveal_late_customer() in facts(twin, "account")


async def test_a_number_given_out_by_the_server_is_not_the_late_customers(twin):
    twin.fill(5, 10)
    erp = Caller(twin)
    await erp.sign_in()
    created = await erp.send("POST", CUSTOMERS, NEW_CUSTOMER)
    assert (twin.late_customer, created.body["CustomerId"]) == ("C-0006", "C-0007")


@pytest.mark.parametrize(
    ("kind", "sets"), [("account", ["CustomerInfoSet"]), ("order", ["CustomerOrderSet", "CustomerOrderLineSet"])]
)
def test_an_edit_shows_and_moves_an_etag(twin, kind, sets):
    twin.fill(30, 40)
    tables = {name: twin._type(name) for name in sets}

    def tags() -> dict[object, str]:
        return {(name, key): twin.etag(name, key) for name in tables for key in twin._db.tables[tables[name].name].rows}

    before, old = facts(twin, kind), tags()
    edited = twin.edit(kind, 12, seed=3)
    after, new = facts(twin, kind), tags()
    assert len(set(edited)) == 12
    assert {number for number in after if after[number] != before[number]} == set(edited)
    assert {key[0] for (_, key), tag in new.items() if old[(_, key)] != tag} == set(edited)


async def put_order(erp, state):
    erp.twin.put("CustomerOrderSet", {"OrderNo": "1", "CustomerNo": "C-100", "Objstate": state})
    line = {"OrderNo": "1", "LineNo": "1", "RelNo": "1", "LineItemNo": 0, "CatalogNo": "P-100", "SaleUnitPrice": 1}
    erp.twin.put("CustomerOrderLineSet", {**line, "BuyQtyDue": 1, "Objstate": state})
    return f"{ORDERS}(OrderNo='1')", f"{LINES}(OrderNo='1',LineNo='1',RelNo='1',LineItemNo=0)"


@pytest.mark.parametrize(
    ("state", "status"), [("Planned", 201), ("PartiallyDelivered", 201), ("Delivered", 500), ("Invoiced", 500)]
)
async def test_lines_are_added_to_open_orders_alone(erp, state, status):
    order, _ = await put_order(erp, state)
    added = await erp.send("POST", f"{order}/OrderLinesArray", {"CatalogNo": "P-101", "BuyQtyDue": 1})
    assert added.status == status


@pytest.mark.parametrize(
    ("state", "deleted", "cancelled"), [("Planned", 204, 204), ("Released", 500, 204), ("Picked", 500, 500)]
)
async def test_a_line_is_deleted_while_it_is_planned_and_cancelled_until_it_is_picked(erp, state, deleted, cancelled):
    _, line = await put_order(erp, state)
    tag = erp.twin.etag("CustomerOrderLineSet", ("1", "1", "1", Decimal(0)))
    action = f"{line}/IfsApp.CustomerOrderHandling.CustomerOrderLine_SetCancelled"
    assert (await erp.send("POST", action, {})).status == 428
    assert (await erp.send("POST", action, {}, if_match=tag)).status == cancelled
    erp.twin.update("CustomerOrderLineSet", ("1", "1", "1", Decimal(0)), Objstate=state)
    tag = erp.twin.etag("CustomerOrderLineSet", ("1", "1", "1", Decimal(0)))
    assert (await erp.send("DELETE", line, if_match=tag)).status == deleted


@pytest.mark.parametrize(("state", "status"), [("Released", 200), ("Invoiced", 500), ("Cancelled", 500)])
async def test_a_closed_order_is_not_changed(erp, state, status):
    order, _ = await put_order(erp, state)
    changed = await erp.send("PATCH", order, {"CustomerPoNo": "X"}, if_match=erp.twin.etag("CustomerOrderSet", "1"))
    assert changed.status == status


@pytest.mark.parametrize("name", ["CustomerNo", "Contract", "OrderId"])
async def test_whose_and_where_an_order_is_stays(erp, name):
    order, _ = await put_order(erp, "Planned")
    changed = await erp.send("PATCH", order, {name: "X"}, if_match=erp.twin.etag("CustomerOrderSet", "1"))
    assert "may not be specified" in changed.detail


async def test_an_order_that_was_released_is_not_deleted(erp):
    order, _ = await put_order(erp, "Released")
    assert (await erp.send("DELETE", order, if_match=erp.twin.etag("CustomerOrderSet", "1"))).status == 500


async def test_a_prospect_can_be_quoted_to_and_nobody_unknown(erp):
    erp.twin.put("CustomerInfoSet", {"CustomerId": "C-9", "Name": "Beta", "CustomerCategory": "Prospect"})
    quotation = {"Contract": "S01", "CurrencyCode": "EUR"}
    path = "SalesQuotationHandling.svc/OrderQuotationSet"
    made = await erp.send("POST", path, {**quotation, "CustomerNo": "C-9"})
    assert (made.status, made.body["QuotationNo"]) == (201, "Q00001")
    assert "C-8 does not exist" in (await erp.send("POST", path, {**quotation, "CustomerNo": "C-8"})).detail
    line = {"CatalogNo": "P-100", "BuyQtyDue": 2}
    added = await erp.send("POST", f"{path}(QuotationNo='Q00001')/OrderQuotationLineArray", line)
    assert (added.body["LineNo"], added.body["NetAmountCurr"]) == ("1", Decimal("498.00"))


async def test_a_country_is_looked_up_by_its_code(erp):
    path = "CustomerHandling.svc/Lookup_IsoCountry_EntitySet"
    assert (await erp.get(f"{path}(Id='SE')")).body["Description"] == "Sweden"
    assert (await erp.get(f"{path}(Id='XX')")).status == 404
