"""Zoho CRM keeps the contract, proved on its twin behind respx: accounts and deals."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal

import respx

from ml_connector.domain import Kind, Line, Ref, RemoteId
from ml_connector.ports.notices import NoticeRequest, Subscription
from ml_connector.twin import TwinClock
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    BudgetContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    NoticesContract,
    SinkContract,
    StepsContract,
    TwinStage,
    staged,
)
from ml_connector_contract_tests.twin_stage import arrived, retold
from ml_connector_zoho_crm.plugin import SPEC
from ml_connector_zoho_crm.twin import ZohoTwin
from ml_connector_zoho_crm.twin.watch import Channel

UNIQUE = "the field with the ERP's number is unique"
NO_WAIT = "Zoho's 429 does not say how long to wait"


class ZohoAccounts(TwinStage):
    """Accounts of one organisation, matched by a custom field with the ERP's customer number."""

    spec = SPEC
    base_url = "https://www.zohoapis.eu"
    kind: Kind = "account"
    twin: ZohoTwin
    reads = ("POST", "/coql")
    writes = (None, "/Accounts")
    token_path = "/oauth/v2/token"
    overrides: ClassVar[Mapping[str, object]] = {"coql_page": 10, "limits": {"concurrency": 5, "heavy_concurrency": 4}}
    cannot: Mapping[Ability, str] = {
        "doubles": UNIQUE,
        "dropping parts": "a channel is kept or dropped whole",
        "foreign links": "Zoho pages by keyset and tokens, never by links",
        "lines": "accounts have none",
        "removing": "accounts have no field that takes them out of use unless the user names one",
        "telling the wait": NO_WAIT,
    }
    text_limit = 200
    money = "annual_revenue"
    concurrency = 5
    many = 120
    upserts = True

    module: ClassVar[str] = "Accounts"
    key_field: ClassVar[str] = "ERP_Customer_No"
    title_field: ClassVar[str] = "Account_Name"
    money_field: ClassVar[str] = "Annual_Revenue"
    entered: ClassVar[Mapping[str, Any]] = {}

    def make_twin(self, clock: TwinClock) -> ZohoTwin:
        return ZohoTwin(clock=clock, erp_fields=True)

    def facts(self) -> Iterable[tuple[str, Mapping[str, object]]]:
        amounts = {row["id"]: row.get(self.money_field) for row in self.twin.records(self.module).values()}
        for number, facts in self.twin.facts(self.kind):
            yield number, {**facts, self.money: amounts[facts["id"]]}

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        fields = {self.key_field: self.number(n), self.title_field: text or self.title(n), self.money_field: amount}
        return self.twin.insert_as_person(self.module, **self.entered, **fields)

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.edit_as_person(self.module, record_id, **{self.title_field: text})

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.delete_as_person(self.module, record_id)

    def expire_tokens(self) -> None:
        self.twin.accounts.tokens.clear()

    def revoke_access(self) -> None:
        self.twin.accounts.grants.clear()
        self.twin.accounts.tokens.clear()

    def sent(self) -> Sequence[NoticeRequest]:
        return [arrived(url, {"content-type": "application/json"}, body) for url, body in self.twin.deliveries]

    def notice(self, subscription: Subscription, ids: Sequence[RemoteId]) -> NoticeRequest:
        return retold(self.delivery(), ids=list(ids))

    def forged(self, subscription: Subscription, ids: Sequence[RemoteId], wrong: Literal["token", "channel"]) -> NoticeRequest:
        false = {"token": {"token": "a guess"}, "channel": {"channel_id": "1700000000000"}}
        return retold(self.delivery(), ids=list(ids), **false[wrong])

    def channels(self) -> int:
        return sum(channel.expires > self.clock.now() for channel in self.twin.watch.channels.values())

    def forget_channels(self) -> None:
        self.twin.watch.channels.clear()

    def registered(self) -> Collection[str]:
        return [channel.id for channel in self.twin.watch.channels.values() if channel.expires > self.clock.now()]

    def register_foreign(self, url: str) -> None:
        channel = str(len(self.twin.watch.channels) + 7)
        expires = self.clock.now() + dt.timedelta(days=1)
        self.twin.watch.channels[channel] = Channel(channel, self.twin.org.robot.id, ["Deals.all"], expires, url)


class LegacyAccounts(ZohoAccounts):
    """The same where batches answer 200 and 202 whatever became of the records, as older organisations see it."""

    def make_twin(self, clock: TwinClock) -> ZohoTwin:
        return ZohoTwin(clock=clock, erp_fields=True, status_mode="legacy")


class ZohoBudget(ZohoAccounts):
    """The same with few credits, and what makes a create look before it writes."""

    budget, reserve = 400, 100
    overrides: ClassVar[Mapping[str, object]] = {
        "coql_page": 10,
        "create_defaults": {"account": {"Industry": "Manufacturing"}},
        "limits": {"concurrency": 5, "heavy_concurrency": 4, "credits_per_day": 400, "credit_reserve": 100},
    }

    def make_twin(self, clock: TwinClock) -> ZohoTwin:
        twin = super().make_twin(clock)
        twin.limits.allowance = self.budget
        return twin

    def leave_credits(self, count: int) -> None:
        with self.twin.limits.slot(self.credits_left() - count, heavy=False):
            pass

    def credits_left(self) -> int:
        return self.twin.limits.allowance - self.twin.limits.used

    def hush(self) -> None:
        self.twin.limits.allowance = 1_000_000


class ZohoDeals(ZohoAccounts):
    """Deals, matched by a custom field with the ERP's order number."""

    kind = "deal"
    writes = (None, "/Deals")
    cannot: Mapping[Ability, str] = {
        "doubles": UNIQUE,
        "lines": 'deals have lines only with order_lines = "sales_order" or "custom_subform"',
        "removing": "deals have no field that takes them out of use unless the user names one",
        "telling the wait": NO_WAIT,
    }
    text_limit = 120
    clearable = "next_step"
    money = "amount"
    module = "Deals"
    key_field = "ERP_Order_No"
    title_field = "Deal_Name"
    money_field = "Amount"
    entered: ClassVar[Mapping[str, Any]] = {"Stage": "Qualification", "Closing_Date": "2026-03-31"}

    def facts(self) -> Iterable[tuple[str, Mapping[str, object]]]:
        steps = {row["id"]: row.get("Next_Step") for row in self.twin.records(self.module).values()}
        for number, facts in self.twin.facts(self.kind):
            yield number, {**facts, "next_step": steps[str(facts["id"])]}

    def entity(self, n: int, **fields: Any) -> Any:
        return super().entity(n, **{"stage": "Qualification", "closing_on": dt.date(2026, 3, 31), **fields})


class ZohoOrders(ZohoAccounts):
    """Sales orders with their line items, for an account and a product that are there."""

    kind = "order"
    writes = (None, "/Sales_Orders")
    overrides: ClassVar[Mapping[str, object]] = {**ZohoAccounts.overrides, "retire": {"order": {"Status": "Cancelled"}}}
    cannot: Mapping[Ability, str] = {
        "amounts": "Zoho computes the total from the lines",
        "doubles": UNIQUE,
        "telling the wait": NO_WAIT,
    }
    text_limit = 120
    clearable = "customer_reference"
    module = "Sales_Orders"
    key_field = "ERP_Order_No"
    title_field = "Subject"
    many = 25

    def __init__(self, router: respx.Router) -> None:
        super().__init__(router)
        self.buyer = self.twin.insert_as_person("Accounts", Account_Name="Acme")
        self.product = self.twin.insert_as_person("Products", Product_Name="Gearbox 12", ERP_Item_No="GB-12")

    def facts(self) -> Iterable[tuple[str, Mapping[str, object]]]:
        for number, facts in self.twin.facts("order"):
            yield number, {**facts, "customer_reference": facts["Purchase_Order"]}

    def entity(self, n: int, **fields: Any) -> Any:
        return super().entity(n, **{"customer": Ref("account", self.buyer), "lines": self.lines("1"), **fields})

    def lines(self, *keys: str) -> tuple[Line, ...]:
        product = Ref("product", self.product)
        return tuple(Line(key=key, product=product, quantity=Decimal(2), unit_price=Decimal("12.50")) for key in keys)

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        fields = {self.key_field: self.number(n), self.title_field: text or self.title(n), "Account_Name": self.buyer}
        return self.twin.insert_as_person(self.module, **fields)


class ZohoDealsWithOrders(ZohoDeals):
    """Deals whose lines stand in a sales order beside each."""

    overrides: ClassVar[Mapping[str, object]] = {**ZohoDeals.overrides, "order_lines": "sales_order"}

    def __init__(self, router: respx.Router) -> None:
        super().__init__(router)
        self.buyer = self.twin.insert_as_person("Accounts", Account_Name="Acme")
        self.product = self.twin.insert_as_person("Products", Product_Name="Gearbox 12", ERP_Item_No="GB-12")

    def rich(self, n: int) -> Any:
        product = Ref("product", self.product)
        lines = tuple(Line(key=key, product=product, quantity=Decimal(2), unit_price=Decimal(3)) for key in "123")
        return self.entity(n, account=Ref("account", self.buyer), lines=lines)

    def parts(self, n: int) -> int:
        orders = [order for order in self.twin.records("Sales_Orders").values() if order["ERP_Order_No"] == self.number(n)]
        return sum(1 + len(order["Ordered_Items"]) for order in orders)


class TestZohoAccountFeed(FeedContract):
    stage = staged(ZohoAccounts)


class TestZohoDealFeed(FeedContract):
    stage = staged(ZohoDeals)


class TestZohoAccountSink(SinkContract):
    stage = staged(ZohoAccounts, LegacyAccounts)


class TestZohoDealSink(SinkContract):
    stage = staged(ZohoDeals)


class TestZohoOrderFeed(FeedContract):
    stage = staged(ZohoOrders)


class TestZohoOrderSink(SinkContract):
    stage = staged(ZohoOrders)


class TestZohoSteps(StepsContract):
    stage = staged(ZohoAccounts, ZohoOrders, ZohoDealsWithOrders)


class TestZohoAuth(AuthContract):
    stage = staged(ZohoAccounts)


class TestZohoLimits(LimitsContract):
    stage = staged(ZohoAccounts)


class TestZohoBudget(BudgetContract):
    stage = staged(ZohoBudget)


class TestZohoErrors(ErrorsContract):
    stage = staged(ZohoAccounts)


class TestZohoNotices(NoticesContract):
    stage = staged(ZohoAccounts)
