"""Lists and single records: what looks like nothing and is none, other companies' data, paths that moved, odd codes."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec import structs
from qad_world import WatchedTwin

from ml_connector.domain import Account, Product, Stub, Vendor
from ml_connector.errors import ContractBroken
from ml_connector.ports.source import Sweep
from ml_connector.system import Connection
from ml_connector_qad.twin import DEFAULT, FLIPPED
from ml_connector_qad.twin.installation import BROWSES

Opener = Callable[..., Connection]


async def swept(connection: Connection, kind: str = "account", *, rows: bool = False) -> list[Stub]:
    source = connection.sources[kind]  # type: ignore[index]
    assert isinstance(source, Sweep)
    return [stub async for page in source.stubs(rows=rows) for stub in page]


def customers(twin: WatchedTwin, count: int) -> None:
    for n in range(count):
        twin.put("customerV2s", customerCode=f"C-{n:03}", addressName=f"Acme {n}")


async def test_a_browse_that_answers_nothing_is_not_an_empty_company(twin: WatchedTwin, open_twin: Opener) -> None:
    customers(twin, 3)
    twin.silent = True
    with pytest.raises(ContractBroken, match="answers no rows, though it counts 3"):
        await swept(open_twin(twin))
    assert len(twin.asked("GET", "/api/qracore/browses")) >= 2  # it was asked once more


async def test_a_company_without_customers_is_empty(twin: WatchedTwin, open_twin: Opener) -> None:
    assert await swept(open_twin(twin)) == []


async def test_the_wrong_word_for_the_next_page_is_found_out(make_twin: Callable[..., WatchedTwin], open_twin: Opener) -> None:
    twin = make_twin(structs.replace(DEFAULT, page_words=("first", "onward")))
    customers(twin, 12)
    with pytest.raises(ContractBroken, match="gave 5 records of 12"):
        await swept(open_twin(twin, browse={"page_size": 5}))


async def test_the_wrong_word_for_the_first_page_is_found_out(make_twin: Callable[..., WatchedTwin], open_twin: Opener) -> None:
    twin = make_twin(FLIPPED)
    customers(twin, 2)
    with pytest.raises(ContractBroken, match="answers no rows"):
        await swept(open_twin(twin, browse={"action_first": "first"}))


async def test_a_page_that_is_exactly_full_is_not_the_end(make_twin: Callable[..., WatchedTwin], open_twin: Opener) -> None:
    for installation in (DEFAULT, FLIPPED):  # with and without the flag that says whether more follow
        twin = make_twin(installation)
        customers(twin, 10)
        assert len(await swept(open_twin(twin, browse={"page_size": 5}))) == 10
        twin.identity.forget()


async def test_another_companys_rows_are_refused(twin: WatchedTwin, open_twin: Opener) -> None:
    customers(twin, 1)
    for row in twin.store.rows("customerV2s"):
        row.values["sharedSetCode"] = "10SHARE"
    connection = open_twin(twin, scope={"shared_set_customer": "20SHARE"})
    with pytest.raises(ContractBroken, match="sharedSetCode 10SHARE instead of 20SHARE"):
        await swept(connection)


async def test_every_call_names_the_workspace(twin: WatchedTwin, open_twin: Opener) -> None:
    customers(twin, 1)
    await swept(open_twin(twin))
    assert {request.headers.get("x-qad-workspace-id") for request in twin.requests if "/api/" in request.path} == {
        "10USA_10USACO"
    }


async def test_a_column_that_somebody_took_out_of_the_browse_is_told_by_name(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener
) -> None:
    columns = {"customerV2s": {"addressName": "customer.addressName", "city": "customer.city"}}
    twin = make_twin(structs.replace(DEFAULT, columns=columns))
    customers(twin, 1)
    with pytest.raises(ContractBroken, match=r"no column customer\.customerCode; it has customer\.addressName, customer\.city"):
        await swept(open_twin(twin))


async def test_a_browse_under_an_older_name_is_found(make_twin: Callable[..., WatchedTwin], open_twin: Opener) -> None:
    twin = make_twin(structs.replace(DEFAULT, browses={**BROWSES, "items": ("mfg:gp340", "item")}))
    twin.put("items", itemCode="P-100", description="Valve")
    assert [stub.id for stub in await swept(open_twin(twin), "product")] == ["P-100"]


async def test_codes_with_dots_and_slashes_and_blanks_keep_their_spelling(twin: WatchedTwin, open_twin: Opener) -> None:
    codes = ["GB-12.A", "10.20/30", "P 100", "Ä&Ö=1", "P+1", "50%"]
    for code in codes:
        twin.put("items", itemCode=code, description=code)
    connection = open_twin(twin)
    found = await connection.sources["product"].fetch(codes)
    assert [record.id for record in found] == codes
    assert {stub.id: stub.version for stub in await swept(connection, "product")} == {one.id: one.version for one in found}


async def test_a_code_is_one_code_in_whatever_case_and_with_blanks_behind_it(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("items", itemCode="Ab-1  ", description="Valve")
    [record] = await open_twin(twin).sources["product"].fetch(["aB-1"])
    assert record.id == "Ab-1"


async def test_a_component_that_an_upgrade_renamed_is_found_under_its_new_name(twin: WatchedTwin, open_twin: Opener) -> None:
    customers(twin, 2)
    twin.upgrade("customerV2s", "customerV3s")
    component = twin.store.components["customerV2s"]
    twin.store.components["customerV2s"] = structs.replace(component, view_uri="urn:be:com.qad.base.customer.ICustomerV3")
    records = await open_twin(twin).sources["account"].fetch(["C-000", "C-001"])
    assert len(records) == 2


async def test_a_path_that_is_not_served_is_not_taken_for_a_record_that_is_gone(twin: WatchedTwin, open_twin: Opener) -> None:
    customers(twin, 1)
    twin.upgrade("customerV2s", "clients")
    with pytest.raises(ContractBroken, match="C-000 is listed, but found at none of customerV2s, customerV3s, customers"):
        await open_twin(twin).sources["account"].fetch(["C-000"])


async def test_a_list_without_some_columns_tells_what_it_shows(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener
) -> None:
    shown = ("sharedSetCode", "customerCode", "addressName")
    twin = make_twin(structs.replace(DEFAULT, columns={"customerV2s": {name: f"customer.{name}" for name in shown}}))
    customers(twin, 2)
    connection = open_twin(twin)
    before = {stub.id: stub.version for stub in await swept(connection)}
    twin.change("customerV2s", "C-000", addressName="Acme Holding")
    twin.change("customerV2s", "C-001", telephone="+46 8 1")  # no column shows it: the reading of everything will
    after = {stub.id: stub.version for stub in await swept(connection)}
    assert [one for one in before if before[one] != after[one]] == ["C-000"]
    records = await connection.sources["account"].fetch(["C-000", "C-001"])
    assert {record.id: record.version for record in records} == after


async def test_a_kind_on_assumptions_is_confirmed_by_one_row_before_it_is_used(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings")
    connection = open_twin(twin)
    await swept(connection, "vendor")
    sizes = [query.get("pageSize") for query in twin.asked("GET", "/api/qracore/browses")]
    assert sizes.index("1") < sizes.index("500")
    assert len(twin.asked("GET", "/supplierV2s")) == 1


async def test_an_assumption_that_does_not_hold_stops_the_kind_by_name(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings")
    connection = open_twin(twin, entities={"vendor": {"fields": {"name": "supplierName"}}})
    with pytest.raises(ContractBroken, match="neither the browse nor the record has supplierName for name"):
        await swept(connection, "vendor")
    trusted = open_twin(twin, entities={"vendor": {"fields": {"name": "supplierName"}, "enabled": True}})
    assert len(await swept(trusted, "vendor")) == 1


async def test_bank_data_never_leaves_the_plugin(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings", street1="Quay 1", street2="Gate 2", city="Riga")
    [record] = await open_twin(twin).sources["vendor"].fetch(["S100"])
    assert isinstance(record.entity, Vendor)
    assert "DE02" not in repr(record)
    assert record.entity.address is not None and record.entity.address.street == "Quay 1\nGate 2"  # type: ignore[union-attr]


async def test_rows_can_stand_for_records_where_the_list_shows_everything(twin: WatchedTwin, open_twin: Opener) -> None:
    customers(twin, 3)
    connection = open_twin(twin, entities={"account": {"detail": "browse"}})
    stubs = await swept(connection, rows=True)
    assert sorted(stub.record.id for stub in stubs if stub.record) == ["C-000", "C-001", "C-002"]
    assert not twin.asked("GET", "/customerV2s")


async def test_prices_are_in_the_domains_currency(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("items", itemCode="P-1", description="Valve", listPrice=Decimal("12.50"), itemStatus="AC", supplier="")
    twin.put("items", itemCode="P-2", description="Valve", itemStatus="OBS")
    connection = open_twin(twin, currency="usd", entities={"product": {"active_statuses": ["ac"]}})
    one, two = [record.entity for record in await connection.sources["product"].fetch(["P-1", "P-2"])]
    assert isinstance(one, Product) and isinstance(two, Product)
    assert one.list_price is not None and (one.list_price.amount, one.list_price.currency) == (Decimal("12.5"), "USD")  # type: ignore[union-attr]
    assert (one.active, two.active, one.vendor) == (True, False, None)


async def test_closed_documents_are_known_by_their_header_alone(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings")
    for number, status in (("PO1", "O"), ("PO2", "C")):
        twin.put("purchaseOrderHeaders", purchaseOrderNumber=number, supplierCode="S100", orderStatus=status)
        twin.put_line("purchaseOrderLinesGrid", number, itemCode="P-1", quantityOrdered=Decimal(1), purchaseCost=Decimal(2))
    connection = open_twin(twin)
    before = {stub.id: stub.version for stub in await swept(connection, "purchase_order")}
    twin.requests.clear()
    for number in ("PO1", "PO2"):
        twin.lines("purchaseOrderLinesGrid", number)[0]["quantityOrdered"] = Decimal(9)
    after = {stub.id: stub.version for stub in await swept(connection, "purchase_order")}
    assert [one for one in before if before[one] != after[one]] == ["PO1"]
    assert [query["purchaseOrderNumber"] for query in twin.asked("GET", "/purchaseOrderLinesGrid")] == ["PO1"]
    assert [record.id for record in await connection.sources["purchase_order"].fetch(["PO2"])] == ["PO2"]


async def test_lines_that_a_sweep_has_read_serve_the_fetch_that_follows(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings")
    twin.put("purchaseOrderHeaders", purchaseOrderNumber="PO1", supplierCode="S100")
    connection = open_twin(twin)
    await swept(connection, "purchase_order")
    await connection.sources["purchase_order"].fetch(["PO1"])
    assert len(twin.asked("GET", "/purchaseOrderLinesGrid")) == 1
    await connection.sources["purchase_order"].fetch(["PO1"])  # the next one asks anew
    assert len(twin.asked("GET", "/purchaseOrderLinesGrid")) == 2


async def test_a_customers_name_is_its_business_relations(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme", businessRelationCode="BR1")
    twin.put("supplierV2s", supplierCode="S-1", businessRelationCode="BR1")
    connection = open_twin(twin)
    twin.change("supplierV2s", "S-1", addressName="Acme Holding")
    [record] = await connection.sources["account"].fetch(["C-1"])
    assert isinstance(record.entity, Account)
    assert record.entity.name == "Acme Holding"
