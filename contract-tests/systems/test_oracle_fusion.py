"""Oracle Fusion keeps the contract, proved on its twin behind respx: what is read by change or swept, and parties written."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import httpx
import msgspec
import pytest
import respx

from ml_connector.domain import Address, Extra, Kind, RemoteId
from ml_connector.twin import Fault, TwinClock, TwinRequest
from ml_connector.twin import Kind as FaultKind
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    Of,
    SinkContract,
    Stage,
    StepsContract,
    SweepContract,
    TwinStage,
    staged,
)
from ml_connector_oracle_fusion.plugin import SPEC
from ml_connector_oracle_fusion.twin import OracleTwin

CRM = "/crmRestApi/resources/11.13.18.05"
NO_LINES = "parties have none"
REFERENCES = "a reference of one source system is one party's"
NO_LINKS = "pages are asked for by time and id, never by link"
NO_AMOUNTS = "a party has no amount; limits and balances are the customer account's"
SILENT = "Oracle lists deletions under a code that only the pod knows"


class Leap(Fault):
    """A fault that meets writes alone: a batch and a single write go to the root or below it, as readings do."""

    def matches(self, request: TwinRequest) -> bool:
        return request.method in ("POST", "PATCH") and super().matches(request)


class OracleAccounts(TwinStage):
    """Accounts, known by what the CRM calls them."""

    spec = SPEC
    base_url = "https://acme.fa.us2.oraclecloud.com"
    kind: Kind = "account"
    twin: OracleTwin
    reads = ("GET", "/accounts")
    writes = (None, CRM)
    token_path = "/oauth2/v1/token"
    overrides: ClassVar[Mapping[str, object]] = {"page_size": 10, "keys_per_query": 10, "lag_s": 60}
    cannot: Mapping[Ability, str] = {
        "amounts": NO_AMOUNTS,
        "doubles": REFERENCES,
        "foreign links": NO_LINKS,
        "lines": NO_LINES,
        "telling deletions": SILENT,
    }
    text_limit = 360
    text_attribute: ClassVar[str] = "OrganizationName"

    def make_twin(self, clock: TwinClock) -> OracleTwin:
        return OracleTwin(clock=clock)

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        return self.twin.enter(self.kind, reference=self.number(n), **{self.text_attribute: text or self.title(n)})

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.change(self.kind, record_id, **{self.text_attribute: text})

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.delete(self.kind, record_id)

    def expire_tokens(self) -> None:
        self.twin.identity.forget()

    def revoke_access(self) -> None:
        self.twin.identity.client_secret = "another"
        self.twin.identity.forget()

    def _fault(self, of: Of, kind: FaultKind, **more: Any) -> None:
        fault = Leap if of == "write" else Fault
        method, path = self.writes if of == "write" else self.reads
        self.twin.faults.add(fault(kind, method=method, path=path, **more))


class OtherAccounts(OracleAccounts):
    """The same on a pod where what nobody could confirm is the other way round."""

    overrides: ClassVar[Mapping[str, object]] = {**OracleAccounts.overrides, "rest_framework_version": 9, "upsert": False}

    def make_twin(self, clock: TwinClock) -> OracleTwin:
        twin = OracleTwin(clock=clock)
        twin.switches.stamps = ("space",)
        twin.switches.cap = 7
        twin.switches.stale_part = 200
        twin.switches.upsert_status = 201
        twin.switches.late = 2
        return twin


class OldAccounts(OracleAccounts):
    """The oldest framework that reads row-match expressions: text for errors, bare lists for children."""

    overrides: ClassVar[Mapping[str, object]] = {**OracleAccounts.overrides, "rest_framework_version": 2}

    def make_twin(self, clock: TwinClock) -> OracleTwin:
        twin = OracleTwin(clock=clock)
        twin.switches.stamps, twin.switches.has_more = ("iso_z",), False
        return twin


class SweptAccounts(OracleAccounts):
    """Accounts by sweep."""

    overrides: ClassVar[Mapping[str, object]] = {**OracleAccounts.overrides, "entities": {"account": {"strategy": "sweep"}}}


class TellingAccounts(OracleAccounts):
    """A pod whose code for deleted accounts is known."""

    overrides: ClassVar[Mapping[str, object]] = {
        **OracleAccounts.overrides,
        "entities": {"account": {"deleted_code": "Account"}},
    }
    cannot: Mapping[Ability, str] = {
        ability: why for ability, why in OracleAccounts.cannot.items() if ability != "telling deletions"
    }


class OracleBalances(OracleAccounts):
    """What customers owe and may owe, swept on its own."""

    reads = ("GET", "/receivablesCustomerAccountActivities")
    overrides: ClassVar[Mapping[str, object]] = {
        **OracleAccounts.overrides,
        "entities": {"account": {"strategy": "balances"}},
        "finance": {"currency": "EUR"},
    }
    cannot: Mapping[Ability, str] = {"lines": NO_LINES}

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        party = super().put_as_person(n, text=text)
        number = self.twin.open_account(party, AccountName=text or self.title(n))
        self.twin.set_credit(number, **({} if amount is None else {"CreditLimit": str(amount)}))
        return party

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.close_account(record_id)


class CheapBalances(OracleBalances):
    """The same without limits and holds, so that records come with the sweep."""

    overrides: ClassVar[Mapping[str, object]] = {**OracleBalances.overrides, "finance": {"credit": False}}
    cannot: Mapping[Ability, str] = {"amounts": "limits are not read", "lines": NO_LINES}


class OracleCustomers(OracleAccounts):
    """Accounts that are made ready for invoices: a party, its customer account, credit profile, site and use."""

    overrides: ClassVar[Mapping[str, object]] = {
        **OracleAccounts.overrides,
        "provision": "finance_ready",
        "finance": {"set_id": "300000001", "currency": "SEK"},
    }
    counted = ("customer_account", "party_number")

    def rich(self, n: int) -> Any:
        address = Address(street="Hamngatan 4", city="Stockholm", postal_code="111 47", country="SE")
        ready = Extra({"finance_status": "finance_ready"})
        return self.entity(n, phone="+46 8 1", email="ap@acme.example", billing=address, extra=ready)

    def parts(self, n: int) -> int:
        accounts = [row for row in self.twin.store.rows("customer_accounts").values() if self._of(n, row)]
        sites = [site for row in accounts for site in row["_sites"]]
        profiles = [row for row in self.twin.store.rows("profiles").values() if self._of(n, row)]
        return len(accounts) + len(sites) + sum(len(site["_uses"]) for site in sites) + len(profiles)

    def _of(self, n: int, row: Mapping[str, Any]) -> bool:
        return str(row["PartyId"]) in {str(facts["id"]) for number, facts in self.facts() if number == self.number(n)}

    def changes_something(self, request: httpx.Request) -> bool:
        """A look by SOAP goes by POST as well, and says so in its action."""
        action = request.headers.get("soapaction", "").strip('"').rpartition("/")[2]
        return super().changes_something(request) and not action.startswith(("find", "get"))


class OracleContacts(OracleAccounts):
    """Contacts, known by what the CRM calls them."""

    kind: Kind = "contact"
    reads = ("GET", "/contacts")
    text = "last_name"
    text_limit = 150
    text_attribute: ClassVar[str] = "LastName"


class BareContacts(OracleContacts):
    """Contacts of a pod that filters them by nothing and knows no ETags for them: found by finders, swept by counting."""

    overrides: ClassVar[Mapping[str, object]] = {**OracleAccounts.overrides, "entities": {"contact": {"strategy": "sweep"}}}

    def make_twin(self, clock: TwinClock) -> OracleTwin:
        twin = OracleTwin(clock=clock)
        bare = msgspec.structs.replace(twin.rest.resources["contacts"], queryable=frozenset(), tracked=False)
        twin.rest.resources["contacts"] = bare
        return twin


class OracleSuppliers(OracleAccounts):
    """Suppliers, swept because Oracle does not filter them by time of change."""

    kind: Kind = "vendor"
    reads = ("GET", "/suppliers")
    cannot: Mapping[Ability, str] = {"amounts": "suppliers have none", "lines": "suppliers have none"}
    resource: ClassVar[str] = "suppliers"
    number_attribute: ClassVar[str] = "SupplierNumber"
    amount_attribute: ClassVar[str] = ""
    text_attribute: ClassVar[str] = "Supplier"

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        values: dict[str, Any] = {self.number_attribute: self.number(n), self.text_attribute: text or self.title(n)}
        if self.amount_attribute:
            values[self.amount_attribute] = amount or Decimal(1)
        return self.twin.record(self.resource, [{"LineNumber": 1, "Quantity": 2}], **values)

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.amend(self.resource, record_id, **{self.text_attribute: text})

    def edit_line_as_person(self, record_id: RemoteId) -> None:
        child = next(iter(self.twin.rest.resources[self.resource].kids))
        row = self.twin.store.rows(self.resource)[int(record_id)]
        row[child] = [{**each, "Quantity": 3} for each in row[child]]

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.store.remove(self.resource, int(record_id))


class OracleOrders(OracleSuppliers):
    """Purchase orders with their lines, by time of change."""

    kind = "purchase_order"
    reads = ("GET", "/purchaseOrders")
    cannot: Mapping[Ability, str] = {"telling deletions": SILENT}
    text = "description"
    money = "total"
    resource = "purchaseOrders"
    number_attribute = "OrderNumber"
    amount_attribute = "Total"
    text_attribute = "Description"


class SweptOrders(OracleOrders):
    """Purchase orders by sweep, which sees a line that moved without its header."""

    overrides: ClassVar[Mapping[str, object]] = {
        **OracleAccounts.overrides,
        "entities": {"purchase_order": {"strategy": "sweep"}},
    }


class OracleInvoices(OracleOrders):
    """Customers' invoices."""

    kind = "invoice"
    reads = ("GET", "/receivablesInvoices")
    resource = "receivablesInvoices"
    money = "open_amount"
    number_attribute = "TransactionNumber"
    amount_attribute = "InvoiceBalanceAmount"
    text_attribute = "Comments"


class OraclePayables(OracleOrders):
    """Suppliers' invoices."""

    kind = "invoice"
    reads = ("GET", "/invoices")
    overrides: ClassVar[Mapping[str, object]] = {**OracleAccounts.overrides, "entities": {"invoice": {"of": "payables"}}}
    resource = "invoices"
    number_attribute = "InvoiceNumber"
    amount_attribute = "InvoiceAmount"


FED = (
    OracleAccounts,
    OtherAccounts,
    OldAccounts,
    TellingAccounts,
    OracleContacts,
    OracleOrders,
    OracleInvoices,
    OraclePayables,
)
WRITTEN = (OracleAccounts, OtherAccounts, OldAccounts, OracleContacts, BareContacts)
SWEPT = (SweptAccounts, BareContacts, OracleBalances, CheapBalances, OracleSuppliers, SweptOrders)


def _stages(kind: type[OracleAccounts]) -> Iterator[Stage]:
    with respx.mock(assert_all_called=False) as router:
        yield kind(router)


@pytest.fixture
def accounts() -> Iterator[Stage]:
    yield from _stages(OracleAccounts)


class TestOracleFeed(FeedContract):
    @pytest.fixture(params=FED, ids=lambda kind: kind.__name__)
    def stage(self, request: pytest.FixtureRequest) -> Iterator[Stage]:
        yield from _stages(request.param)


class TestOracleSweep(SweepContract):
    @pytest.fixture(params=SWEPT, ids=lambda kind: kind.__name__)
    def stage(self, request: pytest.FixtureRequest) -> Iterator[Stage]:
        yield from _stages(request.param)


class TestOracleSink(SinkContract):
    @pytest.fixture(params=WRITTEN, ids=lambda kind: kind.__name__)
    def stage(self, request: pytest.FixtureRequest) -> Iterator[Stage]:
        yield from _stages(request.param)


class TestOracleSteps(StepsContract):
    stage = staged(OracleCustomers)


class TestOracleAuth(AuthContract):
    @pytest.fixture
    def stage(self, accounts: Stage) -> Stage:
        return accounts


class TestOracleLimits(LimitsContract):
    @pytest.fixture
    def stage(self, accounts: Stage) -> Stage:
        return accounts


class TestOracleErrors(ErrorsContract):
    @pytest.fixture(params=(OracleAccounts, OtherAccounts), ids=lambda kind: kind.__name__)
    def stage(self, request: pytest.FixtureRequest) -> Iterator[Stage]:
        yield from _stages(request.param)
