"""The front door: faults, sign-in, routes, and the correlation id on every answer."""

from email.utils import format_datetime

from ml_connector.twin import Faults, TwinClock, TwinRequest, TwinResponse
from ml_connector_oracle_fusion.twin.answers import SIGN_IN, Refused
from ml_connector_oracle_fusion.twin.identity import PATH, Identity
from ml_connector_oracle_fusion.twin.parties import Parties
from ml_connector_oracle_fusion.twin.receivables import (
    ACTIVITIES,
    BILL_TO_ACCOUNTS,
    BILL_TO_SITES,
    SITE_ACTIVITIES,
    Receivables,
)
from ml_connector_oracle_fusion.twin.rest import Rest, Switches
from ml_connector_oracle_fusion.twin.schema import CRM, FSCM
from ml_connector_oracle_fusion.twin.soap import Services
from ml_connector_oracle_fusion.twin.store import Store

VERSION = "11.13.18.05"
HTML = {"content-type": "text/html"}


class OracleServer:
    """One pod and its identity domain on one origin."""

    def __init__(self, clock: TwinClock, identity: Identity) -> None:
        self.clock, self.faults = clock, Faults()
        self.calls: list[tuple[str, str, int]] = []
        self.identity = identity
        self.switches = Switches()
        self.store = Store(clock)
        self.parties = Parties(self.store)
        self.rest = Rest(self.store, self.parties, self.switches)
        self.services = Services(self.store, self.parties, self.switches)
        self.receivables = Receivables(self.store)
        for resource, rows in (
            (ACTIVITIES, self.receivables.activities),
            (SITE_ACTIVITIES, self.receivables.site_activities),
            (BILL_TO_ACCOUNTS, self.receivables.bill_to_accounts),
            (BILL_TO_SITES, self.receivables.bill_to_sites),
        ):
            self.rest.resources[resource.name], self.rest.derived[resource.name] = resource, rows
        self.signs_in = False  # whoever is not known is sent to a sign-in page instead of being refused
        self._asked = 0

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        """Answer as the vendor would. Raises NoAnswer when a fault cuts the line."""
        page = b"<html><body>Scheduled maintenance</body></html>"
        return self._told(request, await self.faults.meet(request, self._answer, forget=self.identity.forget, page=page))

    async def _answer(self, request: TwinRequest) -> TwinResponse:
        path = request.path
        if path == PATH:
            return self.identity.answer(request)
        if not self.identity.admits(request.headers.get("authorization", "")):
            if self.signs_in:
                return TwinResponse(302, b"", {"location": f"https://login-{request.host}/oam/server/obrareq.cgi"})
            return TwinResponse(401, SIGN_IN, HTML)
        local = request.host.partition(":")[0] in ("127.0.0.1", "localhost")
        base = f"{'http' if local else 'https'}://{request.host}"
        try:
            if not self.switches.bearer_on_soap and "Service" in path and "bearer" in request.headers["authorization"].lower():
                return TwinResponse(401, SIGN_IN, HTML)
            if (soap := self.services.answer(request)) is not None:
                return soap
            for root in (CRM, FSCM):
                if path.startswith(f"{root}{VERSION}"):
                    return self.rest.answer(request, f"{root}{VERSION}", path.removeprefix(f"{root}{VERSION}"), base)
            raise Refused(404)
        except Refused as no:
            version = request.headers.get("rest-framework-version", "1")
            return no.response(int(version) if version.isdigit() else 1, request.headers.get("accept", ""))

    def _told(self, request: TwinRequest, answer: TwinResponse) -> TwinResponse:
        self._asked += 1
        self.calls.append((request.method, request.path, answer.status))
        now = format_datetime(self.clock.now(), usegmt=True)
        ecid = f"005{self._asked:08x}-twin"
        return TwinResponse(answer.status, answer.body, {"date": now, "x-oracle-dms-ecid": ecid, **answer.headers})
