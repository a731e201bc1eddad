"""Acorn keeps the contract, proved on its twin behind respx."""

from collections.abc import Mapping
from decimal import Decimal
from typing import ClassVar

from ml_connector_acorn.plugin import SPEC
from ml_connector_acorn.twin import LONGEST, AcornTwin

from ml_connector.domain import Kind, RemoteId
from ml_connector.twin import TwinClock
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    SinkContract,
    TwinStage,
    staged,
)


class AcornAccounts(TwinStage):
    """Customers of one Acorn account."""

    spec = SPEC
    base_url = "https://api.acorn.example"
    kind: Kind = "account"
    twin: AcornTwin
    reads = ("GET", "/v1/customers")
    writes = (None, "/v1/customers/")
    token_path = "/oauth/token"
    overrides: ClassVar[Mapping[str, object]] = {"page_size": 10}
    cannot: Mapping[Ability, str] = {
        "doubles": "Acorn lets no two customers have one number",
        "foreign links": "Acorn pages by number, not by link",
        "lines": "customers have none",
    }
    text_limit = LONGEST

    def make_twin(self, clock: TwinClock) -> AcornTwin:
        return AcornTwin(clock=clock)

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        money = {} if amount is None else {"credit_limit": str(amount), "currency": "EUR"}
        return self.twin.insert(self.number(n), name=text or self.title(n), **money)

    def edit_as_person(self, record_id: RemoteId, text: str) -> None:
        self.twin.change(record_id, name=text)

    def delete_as_person(self, record_id: RemoteId) -> None:
        self.twin.change(record_id, deleted=True)

    def revoke_access(self) -> None:
        self.twin.client_secret = "another"
        self.twin.tokens.clear()


class TestAcornFeed(FeedContract):
    stage = staged(AcornAccounts)


class TestAcornSink(SinkContract):
    stage = staged(AcornAccounts)


class TestAcornAuth(AuthContract):
    stage = staged(AcornAccounts)


class TestAcornLimits(LimitsContract):
    stage = staged(AcornAccounts)


class TestAcornErrors(ErrorsContract):
    stage = staged(AcornAccounts)
