"""Pipedrive keeps the contract, proved on its twin behind respx: accounts, contacts, deals with and without lines, products."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec
import respx

from ml_connector.domain import Kind, Line, Ref, RemoteId
from ml_connector.ports.notices import NoticeRequest, Subscription
from ml_connector.twin import Fault, TwinClock, TwinRequest
from ml_connector.twin import Kind as FaultKind
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    BudgetContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    NoticesContract,
    Of,
    SinkContract,
    StepsContract,
    TwinStage,
    staged,
)
from ml_connector_contract_tests.twin_stage import arrived, retold
from ml_connector_pipedrive.plugin import SPEC
from ml_connector_pipedrive.twin import PipedriveTwin
from ml_connector_pipedrive.twin.company import ROBOT
from ml_connector_pipedrive.twin.webhooks import Webhook

BY_CURSOR = "Pipedrive pages by cursors, never by links"
SILENT = "Pipedrive lists deleted deals and nothing else that was deleted"
WITHOUT_LINES = "only deals have lines"
UNLESS_SAID = "nothing takes them out of use unless the user says what"


class Leap(Fault):
    """A fault that meets writes alone: at this vendor every write looks before it leaps, at the same address."""

    def matches(self, request: TwinRequest) -> bool:
        return request.method in ("POST", "PATCH") and super().matches(request)


class PipedriveAccounts(TwinStage):
    """Organizations of one company, matched by a custom field with the ERP's customer number."""

    spec = SPEC
    base_url = "https://acme-corp.pipedrive.com"
    kind: Kind = "account"
    twin: PipedriveTwin
    reads = ("GET", "/organizations")
    writes = (None, "/organizations")
    token_path = "/oauth/token"
    overrides: ClassVar[Mapping[str, object]] = {"page_size": 10}
    cannot: Mapping[Ability, str] = {
        "foreign links": BY_CURSOR,
        "lines": WITHOUT_LINES,
        "removing": UNLESS_SAID,
        "telling deletions": SILENT,
    }
    text_limit = 255
    clearable = "website"
    many = 120
    concurrency = 4
    told_at_once = 1

    plural: ClassVar[str] = "organizations"
    key_field: ClassVar[str] = "ERP Customer No"
    title_field: ClassVar[str] = "name"

    def make_twin(self, clock: TwinClock) -> PipedriveTwin:
        twin = PipedriveTwin(clock=clock, erp_fields=True)
        twin.add_field("organizations", "Credit limit", "monetary")
        twin.add_field("deals", "Customer reference")
        return twin

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        custom: dict[str, Any] = {self.key_field: self.number(n)}
        if amount is not None:
            custom["Credit limit"] = {"value": amount, "currency": "EUR"}
        return self.twin.enter(self.plural, **{self.title_field: text or self.title(n)}, custom=custom)

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.change(self.plural, record_id, **{self.title_field: text})

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.delete(self.plural, record_id)

    def expire_tokens(self) -> None:
        self.twin.access.bearers.clear()

    def revoke_access(self) -> None:
        self.twin.access.refresh.clear()
        self.twin.access.bearers.clear()

    def sent(self) -> Sequence[NoticeRequest]:
        return [arrived(each.url, each.headers, each.body) for each in self.twin.deliveries]

    def notice(self, subscription: Subscription, ids: Sequence[RemoteId]) -> NoticeRequest:
        return self._delivered(ids[0])

    def forged(self, subscription: Subscription, ids: Sequence[RemoteId], wrong: Literal["token", "channel"]) -> NoticeRequest:
        if wrong == "channel":
            return self._delivered(ids[0], webhook_id="1")
        return retold(self._delivered(ids[0]), {"authorization": "Basic bWwtY29ubmVjdG9yOmEgZ3Vlc3M="})

    def channels(self) -> int:
        return len(self.twin.webhooks.hooks)

    def forget_channels(self) -> None:
        self.twin.webhooks.hooks.clear()

    def registered(self) -> Collection[str]:
        return [str(hook) for hook in self.twin.webhooks.hooks]

    def register_foreign(self, url: str) -> None:
        told = {"subscription_url": url, "event_action": "*", "event_object": "deal", "name": "Invoices", "user_id": ROBOT}
        hook = len(self.twin.webhooks.hooks) + 7
        self.twin.webhooks.hooks[hook] = Webhook(hook, told, self.clock.now())

    def drop_part(self) -> None:
        del self.twin.webhooks.hooks[max(self.twin.webhooks.hooks)]

    def _fault(self, of: Of, kind: FaultKind, **more: Any) -> None:
        fault = Leap if of == "write" else Fault
        method, path = self.writes if of == "write" else self.reads
        self.twin.faults.add(fault(kind, method=method, path=path, **more))

    def _delivered(self, record_id: RemoteId, **fakes: object) -> NoticeRequest:
        request = self.delivery()
        return retold(request, meta={**msgspec.json.decode(request.body)["meta"], "entity_id": record_id, **fakes})


class OtherAccounts(PipedriveAccounts):
    """The same with an API token, and where what nobody could confirm is the other way round."""

    def make_twin(self, clock: TwinClock) -> PipedriveTwin:
        twin = PipedriveTwin(clock=clock, erp_fields=True, auth="api_token")
        twin.add_field("organizations", "Credit limit", "monetary")
        twin.reader.lag_s, twin.reader.answers_deleted, twin.reader.tells_unset = 30, True, False
        return twin


class PipedriveBudget(PipedriveAccounts):
    """The same on a small budget."""

    cannot: Mapping[Ability, str] = {**PipedriveAccounts.cannot, "counting": "every answer of Pipedrive's tells what is left"}
    budget, reserve = 4000, 400
    overrides: ClassVar[Mapping[str, object]] = {"page_size": 10, "limits": {"tokens_per_day": 4000, "reserve_percent": 10}}

    def make_twin(self, clock: TwinClock) -> PipedriveTwin:
        twin = super().make_twin(clock)
        twin.limits.daily = self.budget
        return twin

    def leave_credits(self, count: int) -> None:
        self.twin.limits.spent += self.twin.limits.left - count

    def credits_left(self) -> int:
        return self.twin.limits.left


class PipedriveContacts(PipedriveAccounts):
    """Persons, matched by a custom field."""

    kind = "contact"
    reads = ("GET", "/persons")
    writes = (None, "/persons")
    cannot: Mapping[Ability, str] = {**PipedriveAccounts.cannot, "amounts": "persons have none"}
    clearable = "phone"
    plural = "persons"
    key_field = "ERP Contact No"


class PipedriveDeals(PipedriveAccounts):
    """Deals, matched by a custom field with the ERP's order number."""

    kind = "deal"
    reads = ("GET", "/deals")
    writes = (None, "/deals")
    overrides: ClassVar[Mapping[str, object]] = {"page_size": 10, "slow_every": "1m", "retire": {"deal": {"status": "lost"}}}
    cannot: Mapping[Ability, str] = {"lines": "deals have lines only with lines = true"}
    clearable = "customer_reference"
    money = "amount"
    plural = "deals"
    key_field = "ERP Order No"
    title_field = "title"

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        custom = {self.key_field: self.number(n)}
        return self.twin.enter("deals", title=text or self.title(n), value=amount or 0, currency="EUR", custom=custom)


class PipedriveLines(PipedriveDeals):
    """Deals with products attached, for a product that is there."""

    overrides: ClassVar[Mapping[str, object]] = {**PipedriveDeals.overrides, "lines": True}
    cannot: Mapping[Ability, str] = {"amounts": "Pipedrive sums up the lines"}
    many = 25

    def __init__(self, router: respx.Router) -> None:
        super().__init__(router)
        self.product = self.twin.enter("products", name="Gearbox 12", code="GB-12")

    def lines(self, *keys: str) -> tuple[Line, ...]:
        product = Ref("product", self.product)
        return tuple(Line(key=key, product=product, quantity=Decimal(2), unit_price=Decimal("12.50")) for key in keys)


class PipedriveProducts(PipedriveAccounts):
    """Products, matched by their code."""

    kind = "product"
    reads = ("GET", "/products")
    writes = (None, "/products")
    cannot: Mapping[Ability, str] = {"foreign links": BY_CURSOR, "lines": WITHOUT_LINES, "telling deletions": SILENT}
    clearable = "description"
    money = "list_price"
    plural = "products"

    def facts(self) -> Iterable[tuple[str, Mapping[str, object]]]:
        for number, facts in self.twin.facts("product"):
            prices = facts["prices"]
            assert isinstance(prices, Mapping)
            yield number, {**facts, "list_price": prices["EUR"]}

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        prices = [{"currency": "EUR", "price": amount or 0}]
        return self.twin.enter("products", name=text or self.title(n), code=self.number(n), prices=prices)


EVERY = (PipedriveAccounts, OtherAccounts, PipedriveContacts, PipedriveDeals, PipedriveLines, PipedriveProducts)


class TestPipedriveFeed(FeedContract):
    stage = staged(*EVERY)


class TestPipedriveSink(SinkContract):
    stage = staged(*EVERY)


class TestPipedriveSteps(StepsContract):
    stage = staged(PipedriveLines, PipedriveProducts)


class TestPipedriveAuth(AuthContract):
    stage = staged(PipedriveAccounts)


class TestPipedriveLimits(LimitsContract):
    stage = staged(PipedriveAccounts)


class TestPipedriveBudget(BudgetContract):
    stage = staged(PipedriveBudget)


class TestPipedriveErrors(ErrorsContract):
    stage = staged(PipedriveAccounts, OtherAccounts)


class TestPipedriveNotices(NoticesContract):
    stage = staged(PipedriveAccounts)
