"""The front door: one callable for Entra ID and the Web API, with faults, authentication, protection, routes and batches."""

import asyncio
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from ml_connector.twin import Fault, Faults, TwinClock, TwinRequest, TwinResponse
from ml_connector_dynamics365_sales.twin import multipart
from ml_connector_dynamics365_sales.twin.business import Business
from ml_connector_dynamics365_sales.twin.checks import located, read_address, read_payload
from ml_connector_dynamics365_sales.twin.definitions import Definitions
from ml_connector_dynamics365_sales.twin.identity import Entra
from ml_connector_dynamics365_sales.twin.limits import Protection, Work
from ml_connector_dynamics365_sales.twin.multipart import Part
from ml_connector_dynamics365_sales.twin.reads import Reader, options, preferences
from ml_connector_dynamics365_sales.twin.schema import Table
from ml_connector_dynamics365_sales.twin.store import Environment
from ml_connector_dynamics365_sales.twin.watch import Watch
from ml_connector_dynamics365_sales.twin.wire import (
    NO_MEMBER,
    NO_RIGHT,
    NO_SEGMENT,
    NOT_ALLOWED,
    Refused,
    answer,
    nothing,
    payload,
)
from ml_connector_dynamics365_sales.twin.writes import Writer

_PREFIX: Final = re.compile(r"/api/data/v9\.\d/")
_ACTIONS: Final = "Microsoft.Dynamics.CRM."
_BULK: Final = ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")
_LONGEST: Final = 32_768
"""Characters of a URL by itself."""
_PRIVILEGES: Final = ("Create", "Read", "Write", "Delete")


class _Weather(Faults):
    """What goes wrong with whole requests. A storm strikes single operations of batches too, with a quarter of its strength."""

    def __init__(self, parts: Faults) -> None:
        super().__init__()
        self._parts = parts

    def storm(self, seed: int, rate: float, kinds: Sequence[Fault], *, most: float = math.inf) -> None:
        super().storm(seed, rate, kinds, most=most)
        self._parts.storm(seed, rate / 4, [fault for fault in kinds if fault.kind == "status"], most=most)

    def calm(self) -> None:
        super().calm()
        self._parts.calm()


class Dataverse:
    """Dataverse Web API v9.2 over one ``Environment``."""

    def __init__(self, clock: TwinClock, identity: Entra, host: str) -> None:
        self.clock, self.identity, self.host, self.latency_s = clock, identity, host, 0.0
        self.part_faults = Faults()  # of single operations of a batch, which take a status alone
        self.faults: Faults = _Weather(self.part_faults)
        self.calls: list[tuple[str, str, int]] = []
        self.env = Environment(clock)
        self.business = Business(self.env)
        self.reader = Reader(self.env)
        self.writer = Writer(self.env, self.business, self.reader)
        self.definitions = Definitions(self.env)
        self.watch = Watch(self.env, host)
        self.protection = Protection(clock)
        self.member = True
        self.depth = "Global"  # of the application user's rights
        self.fulfil_binding = "collection"
        self.nested_refusals = False  # whether the refusal of a change set comes as the one part of a change set's answer
        identity.resource = host

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        """Answer as the vendor would. Raises NoAnswer when a fault cuts the line."""
        return self._answered(request, await self.faults.meet(request, self._work, forget=self.identity.tokens.clear))

    def _answered(self, request: TwinRequest, response: TwinResponse) -> TwinResponse:
        self.calls.append((request.method, request.path, response.status))
        return response

    async def _work(self, request: TwinRequest) -> TwinResponse:
        if request.path.endswith("/oauth2/v2.0/token"):
            return self.identity.answer(request)
        if not self.identity.admits(request.headers.get("authorization", "")):
            told = f"Bearer authorization_uri=https://login.microsoftonline.com/common/oauth2/authorize, resource_id=https://{self.host}/"
            return TwinResponse(401, b"", {"WWW-Authenticate": told})
        match = _PREFIX.match(request.path)
        if match is None:
            return TwinResponse(404, b"<html><body>Not found</body></html>", {"Content-Type": "text/html"})
        base = f"{'http' if request.host.startswith(('127.', 'localhost', '[::1]')) else 'https'}://{request.host}{match[0]}"
        dated = {"Date": f"{self.clock.now():%a, %d %b %Y %H:%M:%S} GMT"}
        try:
            if not self.member:
                raise Refused(403, NO_MEMBER, "The user is not a member of the organization.")
            if len(request.target) > _LONGEST:
                raise Refused(414, "", "The request URI is too long.")
            with self.protection.slot() as work:
                if self.latency_s > 0:
                    await asyncio.sleep(self.latency_s)
                response = self._served(request, base, work)
        except Refused as refused:
            response = refused.answer()
        return TwinResponse(response.status, response.body, {**dated, **response.headers})

    def _served(self, request: TwinRequest, base: str, work: Work) -> TwinResponse:
        if request.path.endswith("/$batch") and request.method == "POST":
            return self._batch(request, base, work)
        before = self.writer.rows
        part = Part(request.method, request.target, request.headers, request.body)
        response, _ = self._one(part, base, {})
        self.protection.spend(work, self.writer.rows - before)
        return response

    # -- batches

    def _batch(self, request: TwinRequest, base: str, work: Work) -> TwinResponse:
        """What was worked off before time ran out stands, whatever becomes of the answer."""
        go_on = preferences(request.headers).go_on
        answers: list[TwinResponse | list[tuple[str, TwinResponse]]] = []
        for part in multipart.parts(request.headers.get("content-type", ""), request.body):
            before = self.writer.rows
            told = self._change_set(part, base) if isinstance(part, list) else self._tried(part, base)
            self.protection.spend(work, self.writer.rows - before)
            answers.append(told)
            status = told.status if isinstance(told, TwinResponse) else 200
            if status >= 400 and not go_on:
                return multipart.joined(answers, status)
        return multipart.joined(answers, 200)

    def _tried(self, part: Part, base: str) -> TwinResponse:
        try:
            self._struck(part)
            return self._one(part, base, {})[0]
        except Refused as refused:
            return refused.answer()

    def _struck(self, part: Part) -> None:
        fault = self.part_faults.next(TwinRequest(part.method, self.host, part.target, part.headers, part.body))
        if fault is not None:
            wait = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            raise Refused(fault.status, "", fault.body.decode(), wait)

    def _change_set(self, inner: list[Part], base: str) -> TwinResponse | list[tuple[str, TwinResponse]]:
        answers: list[tuple[str, TwinResponse]] = []
        made: dict[str, str] = {}
        try:
            with self.env.transaction():
                for part in inner:
                    self._struck(part)
                    response, created = self._one(part, base, made)
                    answers.append((part.content_id, response))
                    if created:
                        made[part.content_id] = created
        except Refused as refused:
            if self.nested_refusals:
                return [(inner[len(answers)].content_id, refused.answer())]
            return refused.answer()
        return answers

    # -- one operation

    def _one(self, part: Part, base: str, contents: dict[str, str]) -> tuple[TwinResponse, str]:
        target = part.target
        if target.startswith("http"):
            target = "/" + target.split("/", 3)[3]
        path, _, query = target.partition("?")
        match = _PREFIX.match(path)
        if match is None:
            raise Refused(404, NO_SEGMENT, f"Resource not found for the segment '{path[:60]}'.")
        segments = path[match.end() :].split("/")
        told, prefer = options(query), preferences(part.headers)
        user = self.env.robot
        first = unquote(segments[0])
        if first.startswith("EntityDefinitions"):
            names = [unquote(segment) for segment in segments]
            if part.method == "GET":
                return self.definitions.get(names, told, base), ""
            return self.definitions.post(names, payload(part.body)), ""
        if "(" not in first and first not in self.env.by_set:
            return self._unbound(part, first), ""
        if first in self.env.by_set:
            return self._collection(part, self.env.by_set[first], segments[1:], told, base, contents)
        if first in ("WhoAmI()", "RetrieveVersion()"):
            return self._unbound(part, first.removesuffix("()")), ""
        address = read_address(self.env, segments[0])
        table = address.table
        if len(segments) > 1:
            return self._below(part, table, segments, told, base), ""
        if part.method == "GET":
            self._may_read(table)
            row = located(self.env, address)
            if part.headers.get("if-none-match") == row.etag and "$expand" not in told:
                return TwinResponse(304, b"", {"OData-Version": "4.0"}), ""
            return answer(200, self.reader.one(table, row, told, prefer, base)), ""
        if part.method == "PATCH":
            body = payload(part.body)
            return self.writer.patch(address, body, user, part.headers, told, prefer, base, contents), ""
        if part.method == "DELETE":
            if table.name == "serviceendpoint":
                self.watch.check_endpoint_removal(located(self.env, address))
            return self.writer.delete(address, user, part.headers), ""
        raise Refused(405, NOT_ALLOWED, f"The HTTP method {part.method} is not supported here.")

    def _collection(
        self, part: Part, table: Table, rest: list[str], told: dict[str, str], base: str, contents: dict[str, str]
    ) -> tuple[TwinResponse, str]:
        prefer = preferences(part.headers)
        if not rest and part.method == "GET":
            self._may_read(table)
            if (prefer.tracked or "$deltatoken" in told) and self.depth != "Global":
                raise Refused(403, NO_RIGHT, "Change tracking needs organization-level read access.")
            shown = self.reader.many(table, told, prefer, base, {})
            return answer(200, shown, {"Preference-Applied": part.headers.get("prefer", "")}), ""
        if rest == ["$count"] and part.method == "GET":
            return TwinResponse(
                200, str(min(5000, len(self.env.rows[table.name]))).encode(), {"Content-Type": "text/plain"}
            ), ""
        if not rest and part.method == "POST":
            body = payload(part.body)
            if table.name == "sdkmessageprocessingstep":
                return self._register(table, body, part, told, base)
            return self.writer.create(table, body, self.env.robot, part.headers, told, prefer, base, contents)
        if len(rest) == 1 and part.method == "POST" and rest[0].startswith(_ACTIONS):
            action = rest[0].removeprefix(_ACTIONS)
            if action in _BULK:
                return self.writer.bulk(table, action, payload(part.body), self.env.robot), ""
            if action == "FulfillSalesOrder" and table.name == "salesorder" and self.fulfil_binding == "collection":
                return self._act(action, payload(part.body)), ""
        raise Refused(404, NO_SEGMENT, f"Resource not found for the segment '{'/'.join(rest)[:60]}'.")

    def _register(
        self, table: Table, body: dict[str, Any], part: Part, told: Mapping[str, str], base: str
    ) -> tuple[TwinResponse, str]:
        self.watch.check_step(read_payload(self.env, table, body).values)
        return self.writer.create(table, body, self.env.robot, part.headers, told, preferences(part.headers), base)

    def _below(self, part: Part, table: Table, segments: list[str], told: dict[str, str], base: str) -> TwinResponse:
        row = located(self.env, read_address(self.env, segments[0]))
        name = segments[1]
        if part.method == "GET" and (child := table.children.get(name)) is not None:
            definition = self.env.defs[child.table]
            scope = {child.lookup: row.id, "@path": f"({row.id})/{name}"}
            return answer(200, self.reader.many(definition, told, preferences(part.headers), base, scope))
        if part.method == "GET" and table.name == "systemuser" and name.startswith(f"{_ACTIONS}RetrieveUserPrivileges"):
            return answer(200, {"RolePrivileges": self._privileges()})
        if part.method == "DELETE" and segments[2:] == ["$ref"] and (found := table.navigation(name)) is not None:
            self.env.update(table.name, row, {found[0].name: None}, self.env.robot)
            return nothing()
        raise Refused(404, NO_SEGMENT, f"Resource not found for the segment '{name[:60]}'.")

    def _unbound(self, part: Part, name: str) -> TwinResponse:
        if part.method == "GET" and name == "WhoAmI":
            told = {
                "BusinessUnitId": self.env.business_unit,
                "UserId": self.env.robot,
                "OrganizationId": self.env.organization_id,
            }
            return answer(200, told)
        if part.method == "GET" and name == "RetrieveVersion":
            return answer(200, {"Version": "9.2.26024.00176"})
        if part.method == "POST" and name == "PublishXml":
            return nothing()
        bound = name == "FulfillSalesOrder" and self.fulfil_binding == "collection"
        if part.method == "POST" and name in self.business.actions and not bound:
            return self._act(name, payload(part.body))
        raise Refused(404, NO_SEGMENT, f"Resource not found for the segment '{name[:60]}'.")

    def _act(self, name: str, body: dict[str, Any]) -> TwinResponse:
        self.env.parent = name
        try:
            with self.env.transaction():
                row = self.business.actions[name](body, self.env.robot)
        finally:
            self.env.parent = ""
        if row is None:
            return nothing()
        table = next(table for table in self.env.defs.values() if self.env.rows[table.name].get(row.id) is row)
        return answer(200, self.reader.shown(table, row, "", "", preferences({}), ""))

    def _may_read(self, table: Table) -> None:
        if ("Read", table.name) in self.writer.no_rights:
            raise Refused(403, NO_RIGHT, f"Principal user is missing prvRead{table.name} privilege.")

    def _privileges(self) -> list[dict[str, str]]:
        return [
            {"PrivilegeName": f"prv{word}{table.capitalize()}", "Depth": self.depth}
            for table in self.env.defs
            for word in _PRIVILEGES
            if (word, table) not in self.writer.no_rights
        ]
