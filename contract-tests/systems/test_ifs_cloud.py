"""IFS Cloud keeps the contract, proved on its twin behind respx: customers and orders, by sweep and by History Log.

The plugin only reads.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import httpx
import msgspec
import pytest
import respx

from ml_connector.domain import Kind, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector.twin import TwinClock
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    Stage,
    SweepContract,
    TwinStage,
)
from ml_connector_contract_tests.stage import stubs
from ml_connector_contract_tests.twin_stage import ELSEWHERE
from ml_connector_ifs_cloud.plugin import ml_connector_systems
from ml_connector_ifs_cloud.twin import IfsTwin

COMPANY = "10"


class IfsStage(TwinStage):
    """One environment whose server keeps Swedish time and labels it Z, as IFS does."""

    spec = ml_connector_systems()[0]
    base_url = "https://acme.ifs.cloud"
    twin: IfsTwin
    token_path = "/protocol/openid-connect/token"
    overrides: ClassVar[Mapping[str, object]] = {
        "page_size": 5,
        "company": COMPANY,
        "server_timezone": "Europe/Stockholm",
    }
    many = 25
    token_life_s = 180

    def make_twin(self, clock: TwinClock) -> IfsTwin:
        return IfsTwin(clock=clock, time_offset_hours=1, nextlink=True)

    def expire_tokens(self) -> None:
        self.twin.identity.forget()

    def revoke_access(self) -> None:
        self.twin.identity.client_secret = "another"
        self.twin.identity.forget()

    def link_abroad(self) -> None:
        def lure(told: httpx.Response) -> httpx.Response:
            body = {**msgspec.json.decode(told.content), "@odata.nextLink": ELSEWHERE}
            return httpx.Response(200, headers={"content-type": "application/json"}, content=msgspec.json.encode(body))

        self.alter_next_answer(lure, times=9)  # the first may only ask whether the set is there


class IfsCustomers(IfsStage):
    """Customers, swept by ETag."""

    kind: Kind = "account"
    reads = ("GET", "/CustomerInfoSet")
    cannot: Mapping[Ability, str] = {"lines": "customers have none"}

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        number = self.number(n)
        self.twin.put("CustomerInfoSet", {"CustomerId": number, "Name": text or self.title(n), "CountryCode": "SE"})
        if amount is not None:
            self.twin.put("CustomerCreditInfoArray", {"Company": COMPANY, "Identity": number, "CreditLimit": amount})
            self.twin.put("CustomerInvoiceCompanies", {"Company": COMPANY, "Identity": number, "DefCurrency": "SEK"})
        return number

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.update("CustomerInfoSet", record_id, Name=text)

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.remove("CustomerInfoSet", record_id)


class IfsOrders(IfsStage):
    """Orders with their lines, swept by ETag."""

    kind = "order"
    reads = ("GET", "/CustomerOrderSet")
    text = "customer_reference"
    money = "total"

    def number(self, n: int) -> str:
        return f"{10_000 + n:06d}"

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        number = self.number(n)
        header = {"OrderNo": number, "CustomerNo": "C-100", "CurrencyCode": "SEK", "CustomerPoNo": text or self.title(n)}
        self.twin.put("CustomerOrderSet", {**header, "Objstate": "Released"})
        line: dict[str, Any] = {"OrderNo": number, "LineNo": "1", "RelNo": "1", "LineItemNo": 0, "CatalogNo": "P-1"}
        self.twin.put("CustomerOrderLineSet", {**line, "BuyQtyDue": 1, "SaleUnitPrice": amount or Decimal("12.50")})
        return number

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.update("CustomerOrderSet", record_id, CustomerPoNo=text)

    def edit_line_as_person(self, record_id: RemoteId) -> None:
        self.twin.update("CustomerOrderLineSet", (record_id, "1", "1", 0), BuyQtyDue=3)

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.remove("CustomerOrderLineSet", (record_id, "1", "1", 0))
        self.twin.remove("CustomerOrderSet", record_id)


class IfsOrderHistory(IfsOrders):
    """Orders followed through the History Log, where an administrator switched it on."""

    overrides: ClassVar[Mapping[str, object]] = {
        **IfsStage.overrides,
        "watermark_overlap_s": 60,
        "entities": {"order": {"change_strategy": "history_log"}},
    }

    def make_twin(self, clock: TwinClock) -> IfsTwin:
        twin = super().make_twin(clock)
        twin.history_enabled |= {"CustomerOrder", "CustomerOrderLine"}
        return twin


def _stages(kind: type[IfsStage]) -> Iterator[Stage]:
    with respx.mock(assert_all_called=False) as router:
        yield kind(router)


@pytest.fixture
def customers() -> Iterator[Stage]:
    yield from _stages(IfsCustomers)


@pytest.fixture
def orders() -> Iterator[Stage]:
    yield from _stages(IfsOrders)


class TestIfsCustomerSweep(SweepContract):
    @pytest.fixture
    def stage(self, customers: Stage) -> Stage:
        return customers


class TestIfsOrderSweep(SweepContract):
    @pytest.fixture
    def stage(self, orders: Stage) -> Stage:
        return orders


class TestIfsOrderHistory(FeedContract):
    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        yield from _stages(IfsOrderHistory)


class TestIfsAuth(AuthContract):
    @pytest.fixture
    def stage(self, customers: Stage) -> Stage:
        return customers


class TestIfsLimits(LimitsContract):
    @pytest.fixture
    def stage(self, orders: Stage) -> Stage:
        return orders


class TestIfsErrors(ErrorsContract):
    @pytest.fixture
    def stage(self, orders: Stage) -> Stage:
        return orders


async def test_an_empty_list_is_not_taken_for_an_empty_ifs() -> None:
    """A user without rights on any company sees the same 200 and the same empty list."""
    with respx.mock(assert_all_called=False) as router:
        stage = IfsCustomers(router)
        assert await stubs(stage.sweep) == []
        stage.twin.companies_granted = False
        with pytest.raises(ContractBroken, match="Grant companies and sites"):
            await stubs(stage.sweep)
