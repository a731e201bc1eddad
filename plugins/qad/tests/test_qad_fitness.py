"""The fit report says what is confirmed, what differs, and what to do about it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec import structs
from qad_world import ACCOUNT, ORDER, WatchedTwin

from ml_connector.ports.fitness import Access, Finding, Need
from ml_connector.system import Connection
from ml_connector_qad import figures
from ml_connector_qad.settings import READS
from ml_connector_qad.twin import DEFAULT

Opener = Callable[..., Connection]


async def report(connection: Connection, kind: Any, access: Access = "read", *fields: str) -> list[Finding]:
    assert connection.fitness is not None
    return await connection.fitness.inspect([Need(kind=kind, access=access, fields=frozenset(fields))])


def told(findings: list[Finding], level: str) -> list[str]:
    return [f"{finding.about}: {finding.what}" for finding in findings if finding.level == level]


async def test_a_furnished_installation_is_fit_for_every_kind(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.fill(10, 10)
    connection = open_twin(twin, entities={"account": ACCOUNT, "order": ORDER})
    for kind in READS:
        findings = await report(connection, kind, "read", "number")
        assert told(findings, "unfit") == []
        assert told(findings, "warning") == []
    assert told(await report(connection, "account", "write", "number", "name"), "unfit") == []


async def test_a_kind_on_assumptions_is_told_as_confirmed_by_the_record_that_was_seen(
    twin: WatchedTwin, open_twin: Opener
) -> None:
    twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings")
    findings = await report(open_twin(twin), "vendor")
    assert any("supplierV2s finds S100; what is assumed of it is confirmed" in line for line in told(findings, "ok"))


async def test_columns_that_the_browse_lacks_are_told_with_those_it_has(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener
) -> None:
    shown = ("sharedSetCode", "customerCode", "addressName")
    twin = make_twin(structs.replace(DEFAULT, columns={"customerV2s": {name: f"customer.{name}" for name in shown}}))
    twin.put("customerV2s", customerCode="C-1", addressName="Acme")
    [finding] = [one for one in await report(open_twin(twin), "account") if one.level == "warning"]
    assert "customer.telephone" in finding.what
    assert "only every 24 hours" in finding.what
    assert "it has customer.addressName, customer.customerCode, customer.sharedSetCode" in finding.fix


async def test_a_field_that_is_not_there_is_told_with_the_nearest_there_is(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings")
    connection = open_twin(twin, entities={"vendor": {"fields": {"email": "email", "name": "supplierName"}}})
    findings = await report(connection, "vendor")
    assert told(findings, "unfit") == ["vendor: neither the browse nor the record has supplierName for name"]
    connection = open_twin(twin, entities={"vendor": {"fields": {"email": "email"}}})
    assert "vendor.email: neither the browse nor the record has email (is it EMail?)" in told(
        await report(connection, "vendor"), "warning"
    )


async def test_a_path_that_is_not_served_and_a_right_that_is_not_granted_are_told(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.fill(3, 3)
    twin.upgrade("items", "articles")
    twin.denied.add("supplierInvoices")
    connection = open_twin(twin)
    [lost] = [one for one in await report(connection, "product") if one.level == "unfit"]
    assert "found at none of items" in lost.what
    [denied] = [one for one in await report(connection, "invoice") if one.level == "unfit"]
    assert "no permission" in denied.what
    assert "role" in denied.fix


async def test_what_a_new_customer_needs_and_nothing_gives_is_told_before_the_first_one(
    twin: WatchedTwin, open_twin: Opener
) -> None:
    findings = await report(open_twin(twin), "account", "write", "number")
    [missing] = [one for one in findings if one.level == "unfit"]
    assert "invoiceStatusCode" in missing.what
    assert "entities.account.create_defaults.salesAccountGLProfileCode" in missing.fix
    assert any("no site and daybook set" in line for line in told(findings, "warning"))


async def test_an_instance_that_tells_nothing_of_itself_is_no_less_fit(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme")
    component = twin.store.components["customerV2s"]
    connection = open_twin(twin, entities={"account": ACCOUNT})
    twin.before("GET", "entitymetadatas", lambda: twin.store.components.pop("customerV2s"))
    findings = await report(connection, "account", "write", "number")
    twin.store.components["customerV2s"] = component
    assert told(findings, "unfit") == []


async def test_a_field_of_a_flow_that_nothing_fills_is_unfit(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme")
    findings = await report(open_twin(twin), "account", "read", "number", "extra.region", "employees")
    assert [one.about for one in findings if one.level == "unfit"] == ["account.employees", "account.extra.region"]


async def test_a_kind_that_is_never_written_is_told(twin: WatchedTwin, open_twin: Opener) -> None:
    assert "vendor: vendor cannot be written here" in told(await report(open_twin(twin), "vendor", "write"), "unfit")


async def test_what_a_thousand_changes_cost_is_what_the_figures_say(twin: WatchedTwin, open_twin: Opener) -> None:
    for n in range(40):
        twin.put("items", itemCode=f"P-{n}", description="Valve", listPrice=Decimal(n))
    connection = open_twin(twin, browse={"page_size": 10}, entities={"product": {"enabled": True}})
    source: Any = connection.sources["product"]
    await source.fetch(["P-0"])
    twin.calls.clear()
    ids = [stub.id async for page in source.stubs(rows=False) for stub in page]
    await source.fetch(ids)
    settings = source.api.settings
    assert len(twin.calls) == figures.reading(40, 40, source.place, settings) == 45
    assert figures.fewest(40, 40, source.place, settings) == 44


async def test_ping_tells_the_hours_of_a_first_load_by_the_limits_that_are_kept(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.fill(3, 3)
    connection = open_twin(twin, limits={"requests_per_minute": 120, "spacing_ms": 200})
    told = {one.about: one.what for one in await report(connection, "vendor")}
    assert "120 calls a minute, 200 ms apart, 2 at once" in told["quota"]
    assert told["vendor.first_load"] == "reading 100,000 records takes 100,201 calls, 13.9 hours"


async def test_a_list_that_shows_a_field_otherwise_than_the_record_is_told(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener
) -> None:
    twin = make_twin(structs.replace(DEFAULT, row_date="%d.%m.%Y"))
    twin.put("customerV2s", customerCode="C-1", addressName="Acme")
    twin.put("salesOrderHeaders", salesOrderNumber="SO1", soldToCustomerCode="C-1", orderDate=twin.clock.now().date())
    warned = told(await report(open_twin(twin, entities={"order": ORDER}), "order"), "warning")
    assert any("shows salesOrder.orderDate otherwise than the record" in line for line in warned)
    connection = open_twin(twin, entities={"order": ORDER}, browse={"row_date_format": "%d.%m.%Y"})
    assert told(await report(connection, "order"), "warning") == []
