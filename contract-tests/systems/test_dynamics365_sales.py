"""Dynamics 365 Sales keeps the contract, proved on its twin behind respx: every kind it reads and writes."""

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal

import httpx
import respx

from ml_connector.domain import Kind, Line, Price, Ref, RemoteId
from ml_connector.ports.notices import NoticeRequest, Subscription
from ml_connector.twin import Fault, TwinClock, TwinRequest
from ml_connector.twin import Kind as FaultKind
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    NoticesContract,
    SinkContract,
    StepsContract,
    TwinStage,
    staged,
)
from ml_connector_contract_tests.stage import Of
from ml_connector_contract_tests.twin_stage import arrived, lured, retold
from ml_connector_dynamics365_sales.plugin import SPEC
from ml_connector_dynamics365_sales.twin import DynamicsTwin

WRITES = re.compile(rb"^(POST|PATCH|DELETE) \S+ HTTP/1\.1\r$", re.MULTILINE)
ALTERNATE = "the table has an alternate key"
COMPUTED = "Dataverse computes the total from the lines"


def looks_alone(path: str, body: bytes) -> bool:
    """Whether it is a batch of nothing but reads."""
    return path.endswith("/$batch") and WRITES.search(body) is None


class AtWrites(Fault):
    """What strikes a write; batches that only look pass."""

    def matches(self, request: TwinRequest) -> bool:
        return super().matches(request) and not looks_alone(request.path, request.body)


class DynamicsAccounts(TwinStage):
    """Accounts of one environment, with an alternate key over the account number and change tracking on."""

    spec = SPEC
    base_url = "https://acme.crm4.dynamics.com"
    kind: Kind = "account"
    twin: DynamicsTwin
    reads = ("GET", "/accounts")
    writes = ("POST", "/$batch")
    token_path = "/oauth2/v2.0/token"
    overrides: ClassVar[Mapping[str, object]] = {"page_size": 10, "batch": 10, "limits": {"concurrency": 4}}
    cannot: Mapping[Ability, str] = {"doubles": ALTERNATE, "lines": "accounts have none"}
    text_limit = 160
    token_life_s = 3599
    upserts = True
    told_at_once = 1

    table: ClassVar[str] = "account"
    key_column: ClassVar[str] = "accountnumber"
    title_column: ClassVar[str] = "name"
    money_column: ClassVar[str] = "creditlimit"
    entered: ClassVar[Mapping[str, Any]] = {}

    def _fault(self, of: Of, kind: FaultKind, **more: Any) -> None:
        if of == "read":
            super()._fault(of, kind, **more)
        else:
            self.twin.faults.add(AtWrites(kind, method=self.writes[0], path=self.writes[1], **more))

    def changes_something(self, request: httpx.Request) -> bool:
        return super().changes_something(request) and not looks_alone(request.url.path, request.content)

    def rich(self, n: int) -> Any:
        return self.entity(n, active=False)

    def make_twin(self, clock: TwinClock) -> DynamicsTwin:
        return DynamicsTwin(clock=clock, erp_columns=True, host="acme.crm4.dynamics.com")

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        values = {self.key_column: self.number(n), self.title_column: text or self.title(n)}
        if amount is not None:
            values[self.money_column] = amount
        return self.twin.insert_as_person(self.table, **self.entered, **values)

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.edit_as_person(self.table, record_id, **{self.title_column: text})

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.delete_as_person(self.table, record_id)

    def expire_tokens(self) -> None:
        self.twin.identity.tokens.clear()

    def revoke_access(self) -> None:
        self.twin.identity.client_secret = "another"
        self.twin.identity.tokens.clear()

    def link_abroad(self) -> None:
        self.alter_next_answer(lured)

    def sent(self) -> Sequence[NoticeRequest]:
        return [arrived(each.url, each.headers, each.body) for each in self.twin.deliveries]

    def notice(self, subscription: Subscription, ids: Sequence[RemoteId]) -> NoticeRequest:
        return retold(self.delivery(), PrimaryEntityId=ids[0])

    def forged(self, subscription: Subscription, ids: Sequence[RemoteId], wrong: Literal["token", "channel"]) -> NoticeRequest:
        false = {"token": {"x-mlc-key": "a guess"}, "channel": {"x-mlc-channel": "6f0e2c1a-1111-4222-8333-444455556666"}}
        return retold(self.delivery(), false[wrong], PrimaryEntityId=ids[0])

    def channels(self) -> int:
        return len(self.twin.records("serviceendpoint"))

    def forget_channels(self) -> None:
        self.twin.env.rows["sdkmessageprocessingstep"].clear()
        self.twin.env.rows["serviceendpoint"].clear()

    def registered(self) -> Collection[str]:
        steps = self.twin.records("sdkmessageprocessingstep").values()
        return [*self.twin.records("serviceendpoint"), *(step.id for step in steps if step.values["statecode"] == 0)]

    def register_foreign(self, url: str) -> None:
        self.twin.insert_as_person("serviceendpoint", name="Invoices", url=url, contract=8)

    def drop_part(self) -> None:
        [*_, step] = self.twin.records("sdkmessageprocessingstep")
        self.twin.delete_as_person("sdkmessageprocessingstep", step)


class PolledAccounts(DynamicsAccounts):
    """The same where change tracking is off."""

    cannot: Mapping[Ability, str] = {
        **DynamicsAccounts.cannot,
        "telling deletions": "nothing but change tracking tells of them",
    }

    def make_twin(self, clock: TwinClock) -> DynamicsTwin:
        twin = super().make_twin(clock)
        twin.env.defs["account"].tracked = False
        return twin


class CertifiedAccounts(DynamicsAccounts):
    """The same for an application with a certificate instead of a secret."""

    def make_twin(self, clock: TwinClock) -> DynamicsTwin:
        return DynamicsTwin(clock=clock, certified=True, erp_columns=True, host="acme.crm4.dynamics.com")

    def revoke_access(self) -> None:
        self.twin.identity.certificate = None
        self.twin.identity.tokens.clear()


class KeylessAccounts(DynamicsAccounts):
    """The same where administrators made no alternate key."""

    cannot: Mapping[Ability, str] = {"lines": "accounts have none"}

    def make_twin(self, clock: TwinClock) -> DynamicsTwin:
        twin = super().make_twin(clock)
        twin.env.defs["account"].keys.clear()
        return twin


class BulkAccounts(DynamicsAccounts):
    """The same with UpsertMultiple for what may go in bulk."""

    overrides: ClassVar[Mapping[str, object]] = {**DynamicsAccounts.overrides, "bulk_from": 2}
    writes = ("POST", "/api/data")


class DynamicsContacts(DynamicsAccounts):
    """Contacts, whose full name Dataverse puts together."""

    kind = "contact"
    reads = ("GET", "/contacts")
    cannot: Mapping[Ability, str] = {"doubles": ALTERNATE, "lines": "contacts have none", "amounts": "contacts have none"}
    text = "last_name"
    text_limit = 50
    table = "contact"
    key_column = "mlc_erpkey"
    title_column = "lastname"


class DynamicsProducts(DynamicsAccounts):
    """Products, which begin as drafts and are published."""

    kind = "product"
    reads = ("GET", "/products")
    cannot: Mapping[Ability, str] = {"doubles": ALTERNATE, "lines": "products have none"}
    text_limit = 100
    clearable = "description"
    money = "list_price"
    table = "product"
    key_column = "productnumber"
    money_column = "price"

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        unit = next(row for row in self.twin.records("uom").values() if row.values["isschedulebaseuom"])
        self.entered = {"defaultuomid": unit.id, "defaultuomscheduleid": unit.values["uomscheduleid"]}  # type: ignore[misc]
        return super().put_as_person(n, text=text, amount=amount)


class DynamicsOrders(DynamicsAccounts):
    """Orders with lines, catalogue lines and write-ins among them."""

    kind = "order"
    reads = ("GET", "/salesorders")
    writes = ("POST", "/api/data")
    cannot: Mapping[Ability, str] = {"amounts": COMPUTED, "doubles": ALTERNATE}
    text_limit = 300
    clearable = "description"
    table = "salesorder"
    key_column = "ordernumber"
    status: ClassVar[str] = "Delivered"
    many = 12
    overrides: ClassVar[Mapping[str, object]] = {**DynamicsAccounts.overrides, "page_size": 4}

    def __init__(self, router: respx.Router) -> None:
        super().__init__(router)
        self.buyer = self.twin.insert_as_person("account", name="Acme")
        self.entered = {"customerid": self.buyer}  # type: ignore[misc]
        unit = next(row for row in self.twin.records("uom").values() if row.values["isschedulebaseuom"])
        self.product = self.twin.insert_as_person(
            "product",
            name="Gearbox 12",
            productnumber="GB-12",
            defaultuomid=unit.id,
            defaultuomscheduleid=unit.values["uomscheduleid"],
        )
        self.twin.edit_as_person("product", self.product, statecode=0, statuscode=1)

    def entity(self, n: int, **fields: Any) -> Any:
        return super().entity(n, **{"customer": Ref("account", self.buyer), "lines": self.lines("1"), **fields})

    def lines(self, *keys: str) -> tuple[Line, ...]:
        product = Ref("product", self.product)
        catalogue = [Line(key=key, product=product, quantity=Decimal(2), unit_price=Decimal("12.50")) for key in keys[::2]]
        written_in = [
            Line(key=key, description=f"Item {key}", quantity=Decimal(2), unit_price=Decimal(3)) for key in keys[1::2]
        ]
        return (*catalogue, *written_in)

    def rich(self, n: int) -> Any:
        return self.entity(n, lines=self.lines("1", "2", "3"), status=self.status)

    def edit_line_as_person(self, record_id: RemoteId) -> None:
        line = next(row for row in self.twin.records("salesorderdetail").values() if row.values["salesorderid"] == record_id)
        self.twin.edit_as_person("salesorderdetail", line.id, quantity=Decimal(7))


class DynamicsQuotes(DynamicsOrders):
    """Quotes with lines; several revisions have one number, so that no key keeps it apart."""

    cannot: Mapping[Ability, str] = {"amounts": COMPUTED}
    kind = "quote"
    reads = ("GET", "/quotes")
    table = "quote"
    status = "Active"
    key_column = "quotenumber"


class DynamicsDeals(DynamicsOrders):
    """Opportunities with lines."""

    kind = "deal"
    reads = ("GET", "/opportunities")
    cannot: Mapping[Ability, str] = {"doubles": ALTERNATE}
    table = "opportunity"
    status = "won"
    key_column = "mlc_erpkey"
    money = "amount"
    money_column = "estimatedvalue"

    def entity(self, n: int, **fields: Any) -> Any:
        return TwinStage.entity(self, n, **{"account": Ref("account", self.buyer), "lines": self.lines("1"), **fields})


class DynamicsPriceLists(DynamicsOrders):
    """Price lists; their items stand for lines."""

    kind = "price_list"
    reads = ("GET", "/pricelevels")
    cannot: Mapping[Ability, str] = {
        "amounts": "a price list has amounts in its items only",
        "doubles": ALTERNATE,
        "lines": "a price list has prices, proved in the plugin's own tests",
    }
    text_limit = 100
    table = "pricelevel"
    key_column = "mlc_erpkey"

    def make_twin(self, clock: TwinClock) -> DynamicsTwin:
        twin = super().make_twin(clock)
        twin.env.rows["pricelevel"].clear()
        return twin

    def __init__(self, router: respx.Router) -> None:
        super().__init__(router)
        currencies = self.twin.records("transactioncurrency").values()
        self.entered = {"transactioncurrencyid": next(c.id for c in currencies if c.values["isocurrencycode"] == "EUR")}  # type: ignore[misc]

    def entity(self, n: int, **fields: Any) -> Any:
        prices = (Price(product=Ref("product", self.product), amount=Decimal("9.90")),)
        return TwinStage.entity(self, n, **{"currency": "EUR", "prices": prices, **fields})


class TestDynamicsFeed(FeedContract):
    stage = staged(
        DynamicsAccounts,
        PolledAccounts,
        DynamicsContacts,
        DynamicsProducts,
        DynamicsOrders,
        DynamicsQuotes,
        DynamicsDeals,
        DynamicsPriceLists,
    )


class TestDynamicsSink(SinkContract):
    stage = staged(
        DynamicsAccounts,
        KeylessAccounts,
        BulkAccounts,
        DynamicsContacts,
        DynamicsProducts,
        DynamicsOrders,
        DynamicsQuotes,
        DynamicsDeals,
        DynamicsPriceLists,
    )


class TestDynamicsSteps(StepsContract):
    stage = staged(DynamicsAccounts, KeylessAccounts, DynamicsProducts, DynamicsOrders, DynamicsQuotes, DynamicsDeals)


class TestDynamicsAuth(AuthContract):
    stage = staged(DynamicsAccounts, CertifiedAccounts)


class TestDynamicsLimits(LimitsContract):
    stage = staged(DynamicsAccounts)


class TestDynamicsErrors(ErrorsContract):
    stage = staged(DynamicsAccounts)


class TestDynamicsNotices(NoticesContract):
    stage = staged(DynamicsAccounts)
