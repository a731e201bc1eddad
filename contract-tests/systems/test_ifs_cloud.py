"""IFS Cloud keeps the contract, proved on its twin behind respx: customers and orders, read by sweep or log, and written."""

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
import pytest
import respx

from ml_connector.domain import UNSET, Address, Kind, Line, Money, Ref, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector.ports.sink import Key
from ml_connector.twin import TwinClock
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    SinkContract,
    StepsContract,
    SweepContract,
    TwinStage,
    staged,
)
from ml_connector_contract_tests.stage import stubs
from ml_connector_contract_tests.twin_stage import lured
from ml_connector_ifs_cloud.plugin import ml_connector_systems
from ml_connector_ifs_cloud.twin import IfsTwin

COMPANY = "10"
COMPUTED = "IFS computes the total from the lines"
BESIDE = (
    "CustOrdCustomerSet",
    "CustomerInvoiceCompanies",
    "CustomerCreditInfoArray",
    "CustomerInfoAddresses",
    "AddressTypes",
    "CommunicationMethods",
)
PRIMARY = "the number is the primary key"


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
        self.alter_next_answer(lured, times=9)  # the first may only ask whether the set is there


class IfsCustomers(IfsStage):
    """Customers, swept by ETag."""

    kind: Kind = "account"
    reads = ("GET", "/CustomerInfoSet")
    writes = ("POST", "/CustomerInfoSet")
    overrides: ClassVar[Mapping[str, object]] = {
        **IfsStage.overrides,
        "entities": {"account": {"create_defaults": {"Country": "Sweden", "CountryCode": "SE"}}},
    }
    cannot: Mapping[Ability, str] = {"doubles": PRIMARY, "lines": "customers have none"}
    text_limit = 100

    def rich(self, n: int) -> Any:
        return self.entity(
            n,
            phone="+46 31 1",
            email="orders@acme.example",
            currency="SEK",
            billing=Address(street="Hamngatan 3", city="Göteborg", postal_code="411 05", country="SE"),
            shipping=Address(street="Werftweg 1", city="Lübeck", postal_code="23552", country="DE"),
            credit_limit=Money(Decimal("250000.50"), "SEK"),
            payment_terms="30",
        )

    def parts(self, n: int) -> int:
        return sum(self.number(n) in map(str, row.values()) for name in BESIDE for row in self.twin.rows(name))

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
    writes = ("POST", "/CustomerOrderSet")
    overrides: ClassVar[Mapping[str, object]] = {
        **IfsStage.overrides,
        "entities": {"order": {"numbers": "given", "create_defaults": {"Contract": "S01", "OrderId": "NO"}}},
    }
    text = "customer_reference"
    text_limit = 50
    clearable = "external_reference"
    money = "total"
    needed: ClassVar[Mapping[str, object]] = {"wanted_on": date(2026, 3, 31)}

    def __init__(self, router: respx.Router) -> None:
        super().__init__(router)
        self.twin.put("CustomerInfoSet", {"CustomerId": "C-100", "Name": "Acme"})
        self.twin.put("CustOrdCustomer", {"CustomerNo": "C-100", "CurrencyCode": "SEK"})

    def entity(self, n: int, **fields: Any) -> Any:
        told = {"customer": Ref("account", "C-100"), "currency": "SEK", "lines": self.lines("1"), **self.needed}
        return super().entity(n, **{**told, **fields})

    def lines(self, *keys: str) -> tuple[Line, ...]:
        return tuple(Line(key=key, sku="P-100", quantity=Decimal(2), unit_price=Decimal("12.50")) for key in keys)

    def number(self, n: int) -> str:
        return f"{10_000 + n:06d}"

    def order_no(self, n: int) -> str:
        return self.number(n)

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        number = self.order_no(n)
        header = {"OrderNo": number, "CustomerNo": "C-100", "CurrencyCode": "SEK", "CustomerPoNo": text or self.title(n)}
        self.twin.put("CustomerOrderSet", {**header, "ExternalRef": self.number(n), "Objstate": "Released"})
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


class IfsOrderWrites(IfsOrders):
    """Orders as they are written: what they come to is IFS's own sum."""

    cannot: Mapping[Ability, str] = {"amounts": COMPUTED, "doubles": PRIMARY}


class IfsNumbered(IfsOrders):
    """Documents that IFS numbers itself, known by what the other side calls them."""

    clearable = "payment_terms"

    def order_no(self, n: int) -> str:
        return f"{90_000 + len(self.twin.rows('CustomerOrderSet'))}"

    def key(self, n: int) -> Key:
        return Key("external_reference", self.number(n))

    def entity(self, n: int, **fields: Any) -> Any:
        told = super().entity(n, **fields)
        return msgspec.structs.replace(told, number=UNSET, external_reference=told.number)

    def facts(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        for _, facts in self.twin.facts(self.kind):
            yield str(facts["external_reference"]), facts


class IfsNumberedOrders(IfsNumbered, IfsOrderWrites):
    """Orders under IFS's numbers."""

    cannot: Mapping[Ability, str] = {"amounts": COMPUTED}
    overrides: ClassVar[Mapping[str, object]] = {
        **IfsStage.overrides,
        "entities": {"order": {"create_defaults": {"Contract": "S01", "OrderId": "NO"}}},
    }


class IfsQuotes(IfsNumbered):
    """Quotations."""

    kind = "quote"
    reads = ("GET", "/OrderQuotationSet")
    writes = ("POST", "/OrderQuotationSet")
    overrides: ClassVar[Mapping[str, object]] = {
        **IfsStage.overrides,
        "entities": {"quote": {"create_defaults": {"Contract": "S01"}}},
    }
    cannot: Mapping[Ability, str] = {
        "amounts": COMPUTED,
        "removing": "no action that cancels a quotation is known unless the user names one",
    }
    needed: ClassVar[Mapping[str, object]] = {}

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        taken = {row["QuotationNo"] for row in self.twin.rows("OrderQuotationSet")}
        record_id = self.number(n) if self.number(n) not in taken else f"Q-{len(taken):05d}"
        header = {"QuotationNo": record_id, "CustomerNo": "C-100", "CurrencyCode": "SEK", "ExternalRef": self.number(n)}
        self.twin.put("OrderQuotationSet", {**header, "CustomerPoNo": text or self.title(n), "Objstate": "Planned"})
        line: dict[str, Any] = {"QuotationNo": record_id, "LineNo": "1", "RelNo": "1", "LineItemNo": 0, "CatalogNo": "P-1"}
        self.twin.put("OrderQuotationLineSet", {**line, "BuyQtyDue": 1, "SaleUnitPrice": amount or Decimal("12.50")})
        return record_id

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.update("OrderQuotationSet", record_id, CustomerPoNo=text)

    def edit_line_as_person(self, record_id: RemoteId) -> None:
        self.twin.update("OrderQuotationLineSet", (record_id, "1", "1", 0), BuyQtyDue=3)

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.remove("OrderQuotationSet", record_id)


class IfsOpportunities(IfsStage):
    """Business opportunities, which have neither lines nor a field for another system's number: known by their name."""

    kind = "deal"
    reads = ("GET", "/BusinessOpportunities")
    writes = ("POST", "/BusinessOpportunities")
    overrides: ClassVar[Mapping[str, object]] = {**IfsStage.overrides, "entities": {"deal": {"numbers": "given"}}}
    cannot: Mapping[Ability, str] = {
        "amounts": "no property for the amount is known unless the user names one",
        "doubles": PRIMARY,
        "clearing": "what is mapped is mandatory in IFS, or no text",
        "lines": "no set for them is known",
        "removing": "no action that ends an opportunity is known unless the user names one",
    }
    text_limit = 200

    def __init__(self, router: respx.Router) -> None:
        super().__init__(router)
        self.twin.put("CustomerInfoSet", {"CustomerId": "C-100", "Name": "Acme"})

    def entity(self, n: int, **fields: Any) -> Any:
        return super().entity(n, **{"account": Ref("account", "C-100"), **fields})

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        row = {"OpportunityNo": self.number(n), "Description": text or self.title(n), "CustomerId": "C-100"}
        self.twin.put("BusinessOpportunities", row)
        return self.number(n)

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.update("BusinessOpportunities", record_id, Description=text)

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.remove("BusinessOpportunities", record_id)


class TestIfsCustomerSweep(SweepContract):
    stage = staged(IfsCustomers)


class TestIfsOrderSweep(SweepContract):
    stage = staged(IfsOrders)


class TestIfsOrderHistory(FeedContract):
    stage = staged(IfsOrderHistory)


class TestIfsCustomerSink(SinkContract):
    stage = staged(IfsCustomers)


class TestIfsOrderSink(SinkContract):
    stage = staged(IfsOrderWrites, IfsNumberedOrders)


class TestIfsQuoteSweep(SweepContract):
    stage = staged(IfsQuotes)


class TestIfsQuoteSink(SinkContract):
    stage = staged(IfsQuotes)


class TestIfsOpportunitySweep(SweepContract):
    stage = staged(IfsOpportunities)


class TestIfsOpportunitySink(SinkContract):
    stage = staged(IfsOpportunities)


class TestIfsSteps(StepsContract):
    stage = staged(IfsCustomers, IfsOrderWrites, IfsNumberedOrders, IfsQuotes)


class TestIfsAuth(AuthContract):
    stage = staged(IfsCustomers)


class TestIfsLimits(LimitsContract):
    stage = staged(IfsOrders)


class TestIfsErrors(ErrorsContract):
    stage = staged(IfsOrders)


async def test_an_empty_list_is_not_taken_for_an_empty_ifs() -> None:
    """A user without rights on any company sees the same 200 and the same empty list."""
    with respx.mock(assert_all_called=False) as router:
        stage = IfsCustomers(router)
        assert await stubs(stage.sweep) == []
        stage.twin.companies_granted = False
        with pytest.raises(ContractBroken, match="Grant companies and sites"):
            await stubs(stage.sweep)
