"""The twin of QAD Adaptive ERP: log-in, browses, business components and line grids, as strict as what is known of them.

An ``Installation`` says what differs from one instance to the next; DEFAULT, CLASSIC and FLIPPED are three to try a profile on.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from ml_connector.twin import Faults, TwinClock, TwinRequest, TwinResponse
from ml_connector_qad.twin import facts, fill
from ml_connector_qad.twin.answers import Refused, errors, json, login_page
from ml_connector_qad.twin.browses import Browses
from ml_connector_qad.twin.components import Components
from ml_connector_qad.twin.grids import Grids
from ml_connector_qad.twin.identity import Identity
from ml_connector_qad.twin.installation import CLASSIC, DEFAULT, FLIPPED, Installation
from ml_connector_qad.twin.metadata import metadata
from ml_connector_qad.twin.store import Store, Values, fold

__all__ = ["CLASSIC", "DEFAULT", "FLIPPED", "Installation", "QadTwin"]

PASSWORD = "twin/qad_password"


class QadTwin:
    """One instance of QAD.

    ``denied`` names components and browse ids that the user's role may not use (403). ``silent`` makes browses answer no rows
    although there are some. ``login_pages`` answers so many API calls with the log-in page, or with a redirect to it where
    ``login_redirects`` is set. Codes are blind to case.
    """

    settles_s = 0.0

    def __init__(
        self,
        *,
        clock: TwinClock | None = None,
        installation: Installation = DEFAULT,
        username: str = "mlc",
        password: str = "qad-twin-password",  # noqa: S107 - made up
        client_id: str = "MLCONNECTOR",
    ) -> None:
        self.clock = clock or TwinClock()
        self.faults = Faults()
        self.calls: list[tuple[str, str, int]] = []
        self.installation = installation
        self.identity = Identity(installation, self.clock, username=username, password=password, client_id=client_id)
        self.store = Store(self.clock.now)
        self.denied: set[str] = set()
        self.silent = False
        self.login_pages = 0
        self.login_redirects = False
        self._components = Components(self.store, installation)
        self._grids = Grids(self.store, installation)
        self._browses = Browses(self.store, installation)
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)

    # Serving

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        response = await self.faults.meet(
            request, self._answer, forget=self.identity.forget, refusal=_refusal, page=login_page().body
        )
        self.calls.append((request.method, request.path, response.status))
        return response

    async def _answer(self, request: TwinRequest) -> TwinResponse:
        root = self.installation.context
        if not request.path.startswith(f"{root}/"):
            return login_page()  # another context root: the web server's own page
        path = unquote(request.path[len(root) :])
        if path == "/oauth/token":
            return self.identity.answer(request)
        if not self.identity.admits(request.headers.get("authorization", "")):
            return json(401, {"error": "invalid_token", "error_description": "Session has ended"})
        if self.login_pages > 0:
            self.login_pages -= 1
            if self.login_redirects:
                return TwinResponse(302, b"", {"location": f"{root}/resources/login.jsp"})
            return login_page()
        try:
            return self._route(request, path)
        except Refused as refused:
            return refused.response

    def _route(self, request: TwinRequest, path: str) -> TwinResponse:
        query = parse_qsl(request.query, keep_blank_values=True)
        domain = self._domain(request.headers)
        if path == "/api/qracore/securityControl" and request.method == "GET":
            return json(200, self.identity.control())
        if path == "/api/qracore/entitymetadatas" and request.method == "GET":
            return metadata(self.store, dict(query).get("entityURI", ""))
        if path == "/api/qracore/browses" and request.method == "GET":
            self._granted(dict(query).get("browseId", ""))
            page = self._browses.page(query, domain)
            return json(200, {"data": [], "auxillaryData": {"HasMoreParams": "false"}}) if self.silent else page
        if path == "/api/qracore/browses/totalCount/" and request.method == "GET":
            return self._browses.total(query, domain)
        if path.startswith("/api/erp/"):
            return self._erp(request, path.removeprefix("/api/erp/"), dict(query), domain)
        raise errors(404, f"No resource {path}")

    def _erp(self, request: TwinRequest, path: str, query: Mapping[str, str], domain: str) -> TwinResponse:
        self._granted(path)
        if any(query.get(key, domain) != domain for key in ("domainCode", "domainContext")):
            raise errors(403, "Domain is not that of the workspace")
        grid, changed = self.store.grids.get(path), self._grids.by_change.get(path)
        match request.method:
            case "GET" if grid is not None:
                return self._grids.read(grid, query)
            case "GET" if path in self._components.paths:
                return self._components.read(path, query)
            case "POST" if grid is not None:
                return self._grids.write(grid, query, self._body(request))
            case "POST" if changed is not None:
                return self._grids.change_field(changed, query, self._body(request))
            case "POST" if path in self._components.paths:
                return self._components.write(path, query, self._body(request))
            case "DELETE" if grid is not None:
                return self._grids.delete(grid, query)
            case "DELETE" if path in self._components.paths:
                return self._components.delete(path, query)
        raise errors(404, f"No resource {path}")

    def _domain(self, headers: Mapping[str, str]) -> str:
        """Of the workspace that was asked for; without one the user's default, which is another company."""
        workspace = headers.get("x-qad-workspace-id")
        if workspace is None:
            return "99TEST"
        if workspace != self.installation.workspace:
            raise errors(403, f"No access to workspace {workspace}")
        return self.installation.domain

    def _granted(self, name: str) -> None:
        if name in self.denied:
            raise errors(403, "User has no permission for this resource")

    def _body(self, request: TwinRequest) -> Any:
        if "application/json" not in request.headers.get("content-type", ""):
            raise errors(400, "Content type must be application/json")
        try:
            return self._decoder.decode(request.body)
        except msgspec.DecodeError:
            raise errors(400, "Body is no JSON") from None

    # How to reach it

    def settings(self, base_url: str) -> dict[str, object]:
        rules = self.installation
        auth = {"client_id": self.identity.client_id, "username": self.identity.username, "password": f"secret:{PASSWORD}"}
        scope = {
            "domain": rules.domain,
            "entity": rules.entity,
            "shared_set_supplier": rules.shared_set,
            "shared_set_customer": rules.shared_set,
        }
        told: dict[str, object] = {
            **rules.profile,
            "base_url": base_url.rstrip("/") + rules.context,
            "scope": scope,
            "auth": {**auth, **rules.profile.get("auth", {})},
            "limits": {"requests_per_minute": 60_000, "spacing_ms": 0},
        }
        return told

    def secrets(self) -> dict[str, str]:
        return {PASSWORD: self.identity.password}

    # Records

    def fill(self, accounts: int, orders: int, *, seed: int = 0) -> None:
        """Customers and their orders, and a fifth as many suppliers, items, purchase orders, receipts and invoices."""
        fill.Filler(self.store, self.installation, seed).fill(accounts, orders)

    def edit(self, kind: str, count: int, *, seed: int = 0) -> list[str]:
        return fill.edit(self.store, kind, count, Random(seed))

    @property
    def numbers(self) -> bool:
        """A customer's code is the clerk's to choose."""
        return False

    def sets(self, kind: str, record: str, fields: Mapping[str, str | None]) -> str:
        """A person sets fields of a customer, or enters one under the code ``number`` with record ""; returns its code."""
        if kind != "account":
            raise ValueError(f"people set fields of accounts here, not of {kind}")
        return fill.sets(self.store, self.installation, record, fields)

    def newcomers(self) -> Mapping[str, object]:
        """QAD takes no customer without terms and profiles, and no order of one that the domain has no data of."""
        return {
            "entities": {
                "account": {"create_defaults": fill.CUSTOMER_DEFAULTS, "follow_up": {"values": fill.DOMAIN_DATA}},
            }
        }

    def facts(self, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        return facts.of(self.store, kind)

    def put(self, path: str, **values: Any) -> Values:
        """Enter a record as a person would; scope keys and a party's relation are filled in. Returns what is stored."""
        return fill.put(self.store, self.installation, path, values)

    def change(self, path: str, code: str, **changes: Any) -> None:
        """Change a record as a person would; a party's address is changed on its business relation."""
        fill.change(self.store, path, code, changes)

    def remove(self, path: str, code: str) -> None:
        row = fill.find(self.store, path, code)
        del self.store.tables[path][self.store.key(self.store.components[path], row.values)]

    def put_line(self, grid: str, code: str, **values: Any) -> Values:
        """Enter a line of a document."""
        return fill.put_line(self.store, grid, code, values)

    def lines(self, grid: str, code: str) -> Sequence[Values]:
        """A document's lines as stored; changing them changes the table."""
        shape = self.store.grids[grid]
        return self.store.lines_of(shape, fill.find(self.store, shape.parent, code).values)

    def receive(self, purchase_order: str, line: int, quantity: Decimal, *, whole: bool = False) -> None:
        """Post a receipt, from which a pending invoice arises."""
        found = next(one for one in self.lines("purchaseOrderLinesGrid", purchase_order) if one["purchaseOrderLine"] == line)
        found["quantityReceived"] += quantity
        found["isReceivedPurchaseOrderLineV2"] = whole or found["quantityReceived"] >= found["quantityOrdered"]
        self.store.receipts.append(
            {
                "domainCode": self.installation.domain,
                "receiptNumber": f"RC{len(self.store.receipts) + 1:05d}",
                "purchaseOrderNumber": purchase_order,
                "purchaseOrderLine": Decimal(line),
                "quantityReceived": quantity,
                "receiptDate": self.clock.now().date(),
            }
        )

    def upgrade(self, path: str, other: str) -> None:
        """Serve a component under another name from now on, as after a release."""
        self._components.paths[other] = self._components.paths.pop(path)

    def stored(self, path: str, code: str) -> Values:
        """A record as it is told, by its last key."""
        return self.store.shown(self.store.components[path], fill.find(self.store, path, code))

    def codes(self, path: str) -> list[str]:
        key = self.store.components[path].keys[-1]
        return sorted((str(row.values[key]) for row in self.store.rows(path)), key=fold)


def _refusal(status: int) -> TwinResponse:
    return json(status, {"errors": [{"message": "User has no permission for this resource"}]} if status == 403 else {})
