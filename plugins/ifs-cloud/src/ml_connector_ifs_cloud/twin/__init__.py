"""The twin of IFS Cloud: token endpoint, gateways, projections, and the tables behind them, as strict as the fact sheet says.

``IfsTwin`` answers requests; ``metadata_modified`` and ``locked`` are the vendor's own transient refusals as faults to script.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from random import Random

from ml_connector.twin import Faults, TwinClock, TwinRequest, TwinResponse
from ml_connector_ifs_cloud.twin import facts, fill
from ml_connector_ifs_cloud.twin.answers import Refused, locked, metadata_modified, not_found
from ml_connector_ifs_cloud.twin.business import COMPANY, COUNTRIES, SALES_PARTS, SITE
from ml_connector_ifs_cloud.twin.catalogue import declare
from ml_connector_ifs_cloud.twin.fill import Buyer
from ml_connector_ifs_cloud.twin.identity import Keycloak
from ml_connector_ifs_cloud.twin.schema import EntityType, Property, Value
from ml_connector_ifs_cloud.twin.service import Service, Switches
from ml_connector_ifs_cloud.twin.tables import Collation, Database, Row
from ml_connector_ifs_cloud.twin.values import from_person

__all__ = ["IfsTwin", "locked", "metadata_modified"]

PROJECTIONS = (
    "CustomerHandling", "CustomersHandling", "CustomerOrderHandling", "CompanySiteHandling", "HistoryLogHandling",
    "SalesQuotationHandling", "BusinessOpportunityHandling", "SalesPartHandling", "SalesPriceListHandling",
)  # fmt: skip
GATEWAYS = ("main", "int", "b2b")
SECRET = "twin/ifs_client_secret"
RETRY_AFTER_S = 5

_HTML = {"content-type": "text/html"}
_FIELD_TYPES = {
    "string": "Edm.String",
    "number": "Edm.Decimal",
    "boolean": "Edm.Boolean",
    "date": "Edm.Date",
    "timestamp": "Edm.DateTimeOffset",
}


class IfsTwin:
    """One environment of IFS Cloud.

    calls_per_minute         None for no limit; beyond it 429 with ``Retry-After: 5``
    nextlink                 the server links pages: at ``page_cap`` rows, or at 100 where the client asks for no number
    page_cap                 most rows in one answer; without ``nextlink`` the server cuts silently
    time_offset_hours        how far the server's local time, which it labels Z, is ahead of UTC
    upsert_without_if_match  PATCH without If-Match updates or inserts; otherwise it is 428
    gateways                 which of main, int and b2b serve the projections; the others answer "Metadata not found."
    projections              those deployed
    collation                how the database sorts and compares text

    ``grants`` holds the projections that the API user may use; others answer ``denied_as`` (403, or 404 to hide them).
    ``companies_granted`` off empties every list, and hides every row, with no error.
    ``history_enabled`` names the logical units whose changes are logged. ``actions`` can be renamed or taken away.
    """

    settles_s = 0.0

    def __init__(
        self,
        *,
        realm: str = "acmeprod",
        client_id: str = "ML_CONNECTOR",
        client_secret: str = "ifs-twin-secret",  # noqa: S107 - made up
        clock: TwinClock | None = None,
        token_life_s: int = 180,
        calls_per_minute: int | None = None,
        nextlink: bool = False,
        page_cap: int | None = None,
        time_offset_hours: float = 0,
        upsert_without_if_match: bool = False,
        gateways: Collection[str] = ("main",),
        projections: Collection[str] = PROJECTIONS,
        collation: Collation = "binary",
    ) -> None:
        self.clock = clock or TwinClock()
        self.faults = Faults()
        self.calls: list[tuple[str, str, int]] = []
        self.calls_per_minute = calls_per_minute
        self.gateways = set(gateways)
        self.projections = set(projections)
        self.grants = set(projections)
        self.denied_as = 403
        self.switches = Switches(nextlink, page_cap, upsert_without_if_match)
        self.identity = Keycloak(realm, client_id, client_secret, token_life_s, self.clock)
        self.late_customer: str | None = None
        self._model = declare()
        self._db = Database(self._model, self.clock, timedelta(hours=time_offset_hours), collation)
        self._db.insert(self._type("CompanySiteSet"), {"Contract": SITE, "Company": COMPANY, "Description": "Head office"})
        for code, name in COUNTRIES.items():
            self._db.insert(self._type("IsoCountry"), {"Id": code, "Description": name})
        for number, (description, price) in SALES_PARTS.items():
            part: dict[str, Value] = {"Contract": SITE, "CatalogNo": number, "CatalogDesc": description, "ListPrice": price}
            self._db.insert(self._type("SalesPart"), {**part, "SalesUnitMeas": "pcs", "ActiveInd": "Active"})
        self._services = {name: Service(self._db, self._model.projections[name], self.switches) for name in self.projections}
        self._recent: deque[datetime] = deque()
        self._base_url = ""
        self.history_enabled = self._db.history_enabled
        self.actions = self._model.actions

    # Serving

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        response = await self.faults.meet(
            request, self._answer, forget=self.identity.forget, refusal=_refusal, page=b"<html><body>Sign in</body></html>"
        )
        self.calls.append((request.method, request.path, response.status))
        return response

    async def _answer(self, request: TwinRequest) -> TwinResponse:
        if request.path.startswith("/auth/realms/"):
            return self.identity.answer(request, self._base(request))
        if not self.identity.admits(request.headers.get("authorization", "")):
            return TwinResponse(401, b"<html>401 Unauthorized</html>", {**_HTML, "www-authenticate": "Bearer"})
        if self._over_the_limit():
            return TwinResponse(429, b"<html>429 Too Many Requests</html>", {**_HTML, "retry-after": str(RETRY_AFTER_S)})
        try:
            service, rest = self._route(request.path)
            return service.answer(request, rest, self._base(request))
        except Refused as refused:
            return refused.response

    def _route(self, path: str) -> tuple[Service, str]:
        """Find the service behind ``/<gateway>/ifsapplications/projection/v1/<Projection>.svc/…``."""
        gateway, _, rest = path.removeprefix("/").partition("/ifsapplications/projection/v1/")
        name, dot, rest = rest.partition(".svc")
        if not dot or gateway not in self.gateways or name not in self._services or (rest and rest[0] != "/"):
            raise not_found("Metadata not found.")
        if name not in self.grants:
            if self.denied_as == 404:
                raise not_found("Metadata not found.")
            raise Refused(403, "ODP_FORBIDDEN", f"User does not have access to the projection {name}.")
        return self._services[name], rest.removeprefix("/")

    def _over_the_limit(self) -> bool:
        if self.calls_per_minute is None:
            return False
        now = self.clock.now()
        while self._recent and self._recent[0] <= now - timedelta(minutes=1):
            self._recent.popleft()
        if len(self._recent) >= self.calls_per_minute:
            return True
        self._recent.append(now)
        return False

    def _base(self, request: TwinRequest) -> str:
        scheme = "http" if self._base_url == f"http://{request.host}" else "https"
        return f"{scheme}://{request.host}"

    # How to reach it

    def settings(self, base_url: str) -> dict[str, object]:
        self._base_url = base_url.rstrip("/")
        return {
            "base_url": self._base_url,
            "realm": self.identity.realm,
            "client_id": self.identity.client_id,
            "client_secret": f"secret:{SECRET}",
            "company": "10",
            "limits": {"requests_per_minute": 60_000},
        }

    def secrets(self) -> dict[str, str]:
        return {SECRET: self.identity.client_secret}

    # Switches

    @property
    def companies_granted(self) -> bool:
        return self.switches.companies_granted

    @companies_granted.setter
    def companies_granted(self, granted: bool) -> None:
        self.switches.companies_granted = granted

    @property
    def equal_tokens_within_a_second(self) -> bool:
        """Whether two changes in one second leave the same ETag, as the one-second version of IFS can; off by default."""
        return self._db.equal_tokens_within_a_second

    @equal_tokens_within_a_second.setter
    def equal_tokens_within_a_second(self, equal: bool) -> None:
        self._db.equal_tokens_within_a_second = equal

    def add_custom_field(self, entity: str, name: str, kind: str = "string") -> None:
        """Publish a custom field ``Cf_…`` on an entity type; ``kind`` is string, number, boolean, date or timestamp."""
        if not name.startswith("Cf_"):
            raise ValueError(f"a custom field of IFS is named Cf_…, not {name!r}")
        self._type(entity).properties[name] = Property(name, _FIELD_TYPES[kind])
        for service in self._services.values():
            service.forget_filters()

    # Records

    def fill(self, accounts: int, orders: int, *, seed: int = 0) -> None:
        filler = fill.Filler(self._db, seed)
        buyers = filler.customers(accounts) or self._buyers()
        late = None
        if orders > 1 or (orders and not buyers):
            self.late_customer = f"C-{self._db.next_number('CustomerInfo'):04d}"
            late = Buyer(self.late_customer, "EUR", "30", "1")
        filler.orders(orders, buyers, late)

    def reveal_late_customer(self) -> str:
        """Insert the customer that an order already names. Returns its number."""
        if self.late_customer is None:
            raise ValueError("no order waits for a customer; fill with two orders or more")
        if self._db.get("CustomerInfo", self.late_customer) is None:
            fill.Filler(self._db, 1).customer(self.late_customer, "Late Arrival Ltd")
        return self.late_customer

    def edit(self, kind: str, count: int, *, seed: int = 0) -> list[str]:
        """Change records of kind "account" or "order"; open ones and full customers are taken first."""
        random = Random(seed)
        entity, change, first = self._editors()[kind]
        table = self._db.tables[entity]
        preferred = [row for row in table.in_key_order if first(row)]
        others = [row for row in table.in_key_order if not first(row)]
        chosen = random.sample(preferred, min(count, len(preferred)))
        chosen += random.sample(others, min(count - len(chosen), len(others)))
        for row in chosen:
            change(self._db, row, random)
        return [str(row.key[0]) for row in chosen]

    @property
    def numbers(self) -> bool:
        return True

    def sets(self, kind: str, record: str, fields: Mapping[str, str | None]) -> str:
        """A person sets fields of a customer, or enters one with record ""; returns its number."""
        if kind != "account":
            raise ValueError(f"people set fields of accounts here, not of {kind}")
        return fill.sets(self._db, record, fields)

    def newcomers(self) -> Mapping[str, object]:
        """IFS takes no customer without a country."""
        return {"entities": {"account": {"create_defaults": {"Country": "Sweden", "CountryCode": "SE"}}}}

    def facts(self, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        return facts.OF[kind](self._db)

    def put(self, set_name: str, row: Mapping[str, object]) -> Row:
        """Store a row as the database would hold it; only its key must be complete. ``set_name`` may be a navigation's name."""
        entity = self._type(set_name)
        return self._db.insert(entity, self._values(entity, row))

    def update(self, set_name: str, key: object, **changes: object) -> None:
        """Change a row as a person in IFS would: it gets a new ETag. ``key`` is one value, or a tuple in the key's order."""
        entity = self._type(set_name)
        self._db.update(entity, self._row(entity, key), self._values(entity, changes))

    def remove(self, set_name: str, key: object) -> None:
        entity = self._type(set_name)
        self._db.delete(entity, self._row(entity, key))

    def rows(self, set_name: str) -> list[dict[str, Value]]:
        """Every row with every property, in key order."""
        entity = self._type(set_name)
        return [self._db.values(entity, row) for row in self._db.tables[entity.name].in_key_order]

    def etag(self, set_name: str, key: object) -> str:
        entity = self._type(set_name)
        return self._db.tables[entity.name].etag(self._row(entity, key))

    def _type(self, name: str) -> EntityType:
        return self._model.type_of(name)

    def _row(self, entity: EntityType, key: object) -> Row:
        parts = key if isinstance(key, tuple) else (key,)
        names = dict(zip(entity.keys, parts, strict=True))
        return self._db.tables[entity.name].rows[tuple(self._values(entity, names).values())]

    def _values(self, entity: EntityType, raw: Mapping[str, object]) -> dict[str, Value]:
        return {name: from_person(entity.properties[name], value, self._model.enums) for name, value in raw.items()}

    def _buyers(self) -> list[Buyer]:
        rows = self._db.tables["CustOrdCustomer"].in_key_order
        return [Buyer(str(row.key[0]), str(row.values.get("CurrencyCode")), "30", "1") for row in rows]

    def _editors(self) -> dict[str, tuple[str, Callable[[Database, Row, Random], None], Callable[[Row], bool]]]:
        def is_customer(row: Row) -> bool:
            return row.values.get("CustomerCategory", "Customer") == "Customer"

        def is_open(row: Row) -> bool:
            known = self._db.get("CustomerInfo", row.values.get("CustomerNo")) is not None
            return known and row.values.get("Objstate") not in fill.CLOSED

        return {
            "account": ("CustomerInfo", fill.edit_customer, is_customer),
            "order": ("CustomerOrder", fill.edit_order, is_open),
        }


def _refusal(status: int) -> TwinResponse:
    return TwinResponse(status, f"<html>{status}</html>".encode(), _HTML)
