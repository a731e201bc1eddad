"""QAD keeps the contract under three declared profiles, proved on its twin behind respx: what is read, and what is written."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import respx

from ml_connector.domain import Kind, Line, Ref, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector.twin import Fault, TwinClock, TwinRequest
from ml_connector.twin import Kind as FaultKind
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    ErrorsContract,
    LimitsContract,
    Of,
    SinkContract,
    Stage,
    SweepContract,
    TwinStage,
)
from ml_connector_contract_tests.stage import stubs
from ml_connector_qad.plugin import SPEC
from ml_connector_qad.twin import CLASSIC, DEFAULT, FLIPPED, Installation, QadTwin

BY_NUMBER = "QAD pages by number, never by links"
NO_LINES = "only documents have lines"
INSTALLATIONS = {"default": DEFAULT, "classic": CLASSIC, "flipped": FLIPPED}
GL = {
    "currencyCode": "EUR",
    "creditTermsCode": "N30",
    "invoiceStatusCode": "APPROVED",
    "invoiceControlGLProfileCode": "INV",
    "creditNoteControlGLProfileCode": "CRN",
    "prePaymentControlGLProfileCode": "PRE",
    "salesAccountGLProfileCode": "SAL",
}


class QadStage(TwinStage):
    """One installation; ``entities`` is what a test adds to the installation's own profile."""

    spec = SPEC
    base_url = "https://acme.qad.example"
    token_path = "/oauth/token"
    twin: QadTwin
    token_life_s = 1800
    concurrency = 2
    path: ClassVar[str]
    text_field: ClassVar[str]
    entities: ClassVar[Mapping[str, Any]] = {}
    page_size: ClassVar[int] = 5

    def __init__(self, router: respx.Router, installation: Installation) -> None:
        self.installation = installation
        super().__init__(router)
        profile = deepcopy(dict(installation.profile))
        entities = profile.get("entities", {})
        for kind, told in self.entities.items():
            entities[kind] = {**entities.get(kind, {}), **told}
        browse = {**profile.get("browse", {}), "page_size": self.page_size}
        self.overrides = {"entities": entities, "browse": browse}  # type: ignore[misc]

    def make_twin(self, clock: TwinClock) -> QadTwin:
        return QadTwin(clock=clock, installation=self.installation)

    def expire_tokens(self) -> None:
        self.twin.identity.forget()

    def revoke_access(self) -> None:
        self.twin.identity.enabled = False
        self.twin.identity.forget()

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.change(self.path, record_id, **{self.text_field: text})

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.remove(self.path, record_id)


class QadCustomers(QadStage):
    """Customers, whose name is their business relation's."""

    kind: Kind = "account"
    path = "customerV2s"
    text_field = "addressName"
    reads = ("GET", "/api/")
    writes = ("POST", "/customerV2s")
    cannot: Mapping[Ability, str] = {"foreign links": BY_NUMBER, "lines": NO_LINES}
    entities: ClassVar[Mapping[str, Any]] = {
        "account": {
            "create_defaults": GL,
            "follow_up": {"values": {"siteCode": "10-100", "daybookSetCode": "SO"}},
        }
    }
    text_limit = 80

    def number(self, n: int) -> str:
        return f"C.{n:04d}/X"

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        more = {"creditLimit": amount} if amount is not None else {}
        self.twin.put(self.path, customerCode=self.number(n), addressName=text or self.title(n), currencyCode="EUR", **more)
        return self.number(n)


def _stages(kind: type[QadStage], name: str) -> Iterator[Stage]:
    with respx.mock(assert_all_called=False) as router:
        yield kind(router, INSTALLATIONS[name])


@pytest.fixture(params=INSTALLATIONS)
def installation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def customers(installation: str) -> Iterator[Stage]:
    yield from _stages(QadCustomers, installation)


class TestQadCustomerSweep(SweepContract):
    @pytest.fixture
    def stage(self, customers: Stage) -> Stage:
        return customers


class TestQadCustomerSink(SinkContract):
    @pytest.fixture
    def stage(self, customers: Stage) -> Stage:
        return customers


class TestQadAuth(AuthContract):
    @pytest.fixture
    def stage(self, customers: Stage) -> Stage:
        return customers


class TestQadLimits(LimitsContract):
    @pytest.fixture
    def stage(self, customers: Stage) -> Stage:
        return customers


class TestQadErrors(ErrorsContract):
    @pytest.fixture
    def stage(self, customers: Stage) -> Stage:
        return customers
