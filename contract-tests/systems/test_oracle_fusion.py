"""Oracle Fusion keeps the contract, proved on its twin behind respx: what is read by change or swept, and parties written."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import respx

from ml_connector.domain import Kind, RemoteId
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
    SweepContract,
    TwinStage,
)
from ml_connector_oracle_fusion.plugin import SPEC
from ml_connector_oracle_fusion.twin import OracleTwin

CRM = "/crmRestApi/resources/11.13.18.05"
NO_LINES = "parties have none"
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
    overrides: ClassVar[Mapping[str, object]] = {"page_size": 10, "keys_per_query": 10}
    cannot: Mapping[Ability, str] = {
        "amounts": NO_AMOUNTS,
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


class OracleContacts(OracleAccounts):
    """Contacts, known by what the CRM calls them."""

    kind: Kind = "contact"
    reads = ("GET", "/contacts")
    text = "last_name"
    text_limit = 150
    text_attribute: ClassVar[str] = "LastName"


def _stages(kind: type[OracleAccounts]) -> Iterator[Stage]:
    with respx.mock(assert_all_called=False) as router:
        yield kind(router)


@pytest.fixture
def accounts() -> Iterator[Stage]:
    yield from _stages(OracleAccounts)


class TestOracleFeed(FeedContract):
    @pytest.fixture(
        params=(OracleAccounts, OtherAccounts, OldAccounts, TellingAccounts, OracleContacts), ids=lambda kind: kind.__name__
    )
    def stage(self, request: pytest.FixtureRequest) -> Iterator[Stage]:
        yield from _stages(request.param)


class TestOracleSweep(SweepContract):
    @pytest.fixture
    def stage(self) -> Iterator[Stage]:
        yield from _stages(SweptAccounts)


class TestOracleSink(SinkContract):
    @pytest.fixture(params=(OracleAccounts, OtherAccounts, OldAccounts, OracleContacts), ids=lambda kind: kind.__name__)
    def stage(self, request: pytest.FixtureRequest) -> Iterator[Stage]:
        yield from _stages(request.param)


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
