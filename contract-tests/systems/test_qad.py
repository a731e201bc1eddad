"""QAD keeps the contract under three declared profiles, proved on its twin behind respx: what is read, and what is written."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from decimal import Decimal
from typing import Any, ClassVar

import pytest
import respx
from msgspec import structs

from ml_connector.domain import UNSET, Address, Kind, Line, Ref, RemoteId
from ml_connector.ports.sink import Key
from ml_connector.twin import TwinClock
from ml_connector_contract_tests import (
    Ability,
    AuthContract,
    ErrorsContract,
    FeedContract,
    LimitsContract,
    SinkContract,
    Stage,
    StepsContract,
    SweepContract,
    TwinStage,
)
from ml_connector_qad.plugin import SPEC
from ml_connector_qad.twin import CLASSIC, DEFAULT, FLIPPED, Installation, QadTwin

BY_NUMBER = "QAD pages by number, never by links"
NO_LINES = "only documents have lines"
CODES = "a code is the record's own key in QAD"
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
    cannot: Mapping[Ability, str] = {"doubles": CODES, "foreign links": BY_NUMBER, "lines": NO_LINES}
    entities: ClassVar[Mapping[str, Any]] = {
        "account": {
            "create_defaults": GL,
            "follow_up": {"values": {"siteCode": "10-100", "daybookSetCode": "SO"}},
        }
    }
    text_limit = 80

    def number(self, n: int) -> str:
        return f"C.{n:04d}/X"

    def rich(self, n: int) -> Any:
        address = Address(street="Hamngatan 3", city="Göteborg", postal_code="411 05", country="SE")
        return self.entity(n, phone="+46 31 1", email="orders@acme.example", payment_terms="N45", billing=address)

    def parts(self, n: int) -> int:
        """Business relation and customer. A look does not see the data in the domain, which the first order completes."""
        return sum(self.number(n) in self.twin.codes(path) for path in ("businessRelationV2s", "customerV2s"))

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        more = {"creditLimit": amount} if amount is not None else {}
        self.twin.put(self.path, customerCode=self.number(n), addressName=text or self.title(n), currencyCode="EUR", **more)
        return self.number(n)


class QadSuppliers(QadStage):
    """Suppliers, of whose bank data nothing is ever told."""

    kind = "vendor"
    path = "supplierV2s"
    text_field = "addressName"
    reads = ("GET", "/api/")
    cannot: Mapping[Ability, str] = {"foreign links": BY_NUMBER, "lines": NO_LINES, "amounts": "suppliers have none"}

    def number(self, n: int) -> str:
        return f"S.{n:04d}/X"

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        self.twin.put(self.path, supplierCode=self.number(n), addressName=text or self.title(n))
        return self.number(n)


class QadItems(QadStage):
    """Items, whose prices are in the domain's own currency."""

    kind = "product"
    path = "items"
    text_field = "description"
    reads = ("GET", "/api/")
    cannot: Mapping[Ability, str] = {"foreign links": BY_NUMBER, "lines": NO_LINES}
    money = "list_price"

    def number(self, n: int) -> str:
        return f"P/{n:04d}.5"

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        price = amount if amount is not None else Decimal("12.50")
        self.twin.put(self.path, itemCode=self.number(n), description=text or self.title(n), listPrice=price)
        return self.number(n)


class QadStampedSuppliers(QadSuppliers):
    """Suppliers followed by the day of their last change, which somebody added to the browse."""

    cannot: Mapping[Ability, str] = {
        **QadSuppliers.cannot,
        "telling deletions": "a list of what changed does not show what is gone",
    }
    entities: ClassVar[Mapping[str, Any]] = {"vendor": {"change_strategy": "modified"}}
    many = 45
    lag_s = 3 * 86_400.0


class QadDocuments(QadStage):
    """What documents have in common: a header, and lines of which it knows nothing."""

    reads = ("GET", "/api/")
    cannot: Mapping[Ability, str] = {"foreign links": BY_NUMBER}
    money = "total"
    grid: ClassVar[str]

    def __init__(self, router: respx.Router, installation: Installation) -> None:
        super().__init__(router, installation)
        self.twin.put("customerV2s", customerCode="C-100", addressName="Acme", currencyCode="EUR")
        self.twin.put("supplierV2s", supplierCode="S100", addressName="Baltic Castings")
        self.twin.put("items", itemCode="P-100", description="Valve", listPrice=Decimal(10))

    def edit_line_as_person(self, record_id: RemoteId) -> None:
        self.twin.lines(self.grid, record_id)[0]["quantityOrdered"] = Decimal(7)


class QadPurchaseOrders(QadDocuments):
    """Purchase orders with their lines."""

    kind = "purchase_order"
    path = "purchaseOrderHeaders"
    text_field = "remarks"
    text = "description"
    grid = "purchaseOrderLinesGrid"

    def number(self, n: int) -> str:
        return f"PO{n:04d}"

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        number = self.number(n)
        header = {"purchaseOrderNumber": number, "supplierCode": "S100", "remarks": text or self.title(n)}
        self.twin.put(self.path, **header, orderDate=self.clock.now().date())
        cost = amount if amount is not None else Decimal("12.50")
        self.twin.put_line(self.grid, number, itemCode="P-100", quantityOrdered=Decimal(1), purchaseCost=cost)
        return number


class QadInvoices(QadDocuments):
    """Supplier invoices whose purchase order is received."""

    kind = "invoice"
    path = "supplierInvoices"
    text_field = "customShort0"
    text = "description"
    cannot: Mapping[Ability, str] = {"foreign links": BY_NUMBER, "lines": "only their purchase orders have lines"}
    entities: ClassVar[Mapping[str, Any]] = {"invoice": {"fields": {"description": "customShort0"}}}

    def number(self, n: int) -> str:
        return f"INV.{n:04d}"

    def __init__(self, router: respx.Router, installation: Installation) -> None:
        super().__init__(router, installation)
        self.twin.put("purchaseOrderHeaders", purchaseOrderNumber="PO1", supplierCode="S100")
        line = {"itemCode": "P-100", "quantityOrdered": Decimal(5), "purchaseCost": Decimal(2)}
        self.twin.put_line("purchaseOrderLinesGrid", "PO1", **line)
        self.twin.receive("PO1", 1, Decimal(2))

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        told = {"supplierInvoiceNumber": self.number(n), "supplierCode": "S100", "purchaseOrderNumber": "PO1"}
        self.twin.put(
            self.path,
            **told,
            customShort0=text or self.title(n),
            invoiceAmount=amount if amount is not None else Decimal(10),
            invoiceDate=self.clock.now().date(),
            invoiceStatusCode="APPROVED",
        )
        return self.number(n)


class QadOrders(QadDocuments):
    """Sales orders with their lines; two custom fields hold the customer's reference and ours."""

    kind = "order"
    path = "salesOrderHeaders"
    text_field = "customShort0"
    text = "customer_reference"
    grid = "salesOrderLinesGrid"
    writes = ("POST", "/salesOrderHeaders")
    entities: ClassVar[Mapping[str, Any]] = {
        "account": QadCustomers.entities["account"],
        "order": {
            "fields": {
                "customer_reference": "customShort0",
                "external_reference": "customShort1",
                "description": "customShort3",
            },
            "create_defaults": {"siteCode": "10-100", "daybookSetCode": "SO"},
        },
    }
    text_limit = 60
    clearable = "description"

    def number(self, n: int) -> str:
        return f"SO{n:04d}"

    def order_number(self, n: int) -> str:
        """What QAD knows the n-th order by."""
        return self.number(n)

    def entity(self, n: int, **fields: Any) -> Any:
        told = {"customer": Ref("account", "C-100"), "currency": "EUR", "lines": self.lines("1")}
        return super().entity(n, **{**told, **fields})

    def lines(self, *keys: str) -> tuple[Line, ...]:
        return tuple(Line(key=key, sku="P-100", quantity=Decimal(2), unit_price=Decimal("12.50")) for key in keys)

    def put_as_person(self, n: int, *, text: str | None = None, amount: Decimal | None = None) -> RemoteId:
        number, price = self.order_number(n), amount if amount is not None else Decimal("12.50")
        header = {"salesOrderNumber": number, "soldToCustomerCode": "C-100", "currencyCode": "EUR"}
        header["customShort1"] = self.number(n)
        self.twin.put(self.path, **header, customShort0=text or self.title(n), orderDate=self.clock.now().date())
        line = {"itemCode": "P-100", "quantityOrdered": Decimal(1), "listPrice": price, "netPrice": price}
        self.twin.put_line(self.grid, number, **line)
        return number


class QadOrderWrites(QadOrders):
    """Sales orders as they are written, under the numbers that they are given."""

    cannot: Mapping[Ability, str] = {
        "amounts": "QAD computes the total from the lines",
        "doubles": CODES,
        "removing": "no way to take a sales order out of use is known",
    }


class QadNumberedOrders(QadOrderWrites):
    """Sales orders that QAD numbers itself, known by what the other side calls them."""

    cannot: Mapping[Ability, str] = {ability: why for ability, why in QadOrderWrites.cannot.items() if ability != "doubles"}
    entities: ClassVar[Mapping[str, Any]] = {
        **QadOrders.entities,
        "order": {**QadOrders.entities["order"], "numbers": "assigned"},
    }

    def make_twin(self, clock: TwinClock) -> QadTwin:
        return QadTwin(clock=clock, installation=structs.replace(self.installation, numbers=True))

    def order_number(self, n: int) -> str:
        return f"SO9{sum(1 for _ in self.twin.facts('order')):03d}"

    def key(self, n: int) -> Key:
        return Key("external_reference", self.number(n))

    def entity(self, n: int, **fields: Any) -> Any:
        told = super().entity(n, **fields)
        return structs.replace(told, number=UNSET, external_reference=told.number)

    def facts(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        for _, facts in self.twin.facts("order"):
            yield str(facts["external_reference"]), facts


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


class TestQadSweeps(SweepContract):
    @pytest.fixture(params=[QadSuppliers, QadItems, QadPurchaseOrders, QadInvoices, QadOrders])
    def stage(self, request: pytest.FixtureRequest, installation: str) -> Iterator[Stage]:
        yield from _stages(request.param, installation)


class TestQadStampedFeed(FeedContract):
    @pytest.fixture
    def stage(self, installation: str) -> Iterator[Stage]:
        yield from _stages(QadStampedSuppliers, installation)


class TestQadOrderSink(SinkContract):
    @pytest.fixture(params=[QadOrderWrites, QadNumberedOrders], ids=["given", "assigned"])
    def stage(self, request: pytest.FixtureRequest, installation: str) -> Iterator[Stage]:
        yield from _stages(request.param, installation)


class TestQadSteps(StepsContract):
    """Each kind of write in an installation of its own: which calls there are to be cut off at, no profile decides."""

    @pytest.fixture(
        params=[(QadCustomers, "classic"), (QadOrderWrites, "default"), (QadNumberedOrders, "flipped")],
        ids=["customers", "given", "assigned"],
    )
    def stage(self, request: pytest.FixtureRequest) -> Iterator[Stage]:
        yield from _stages(*request.param)
