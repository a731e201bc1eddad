"""The front door: one callable for the OAuth server and both API versions, with faults, limits, scopes, costs and routes."""

import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import msgspec

from ml_connector.twin import Faults, TwinClock, TwinRequest, TwinResponse
from ml_connector_pipedrive.twin.auth import Access
from ml_connector_pipedrive.twin.company import Company, timed
from ml_connector_pipedrive.twin.limits import Limits
from ml_connector_pipedrive.twin.reads import Reader
from ml_connector_pipedrive.twin.shapes import CUSTOM, SHAPES
from ml_connector_pipedrive.twin.tables import Field
from ml_connector_pipedrive.twin.webhooks import Webhooks
from ml_connector_pipedrive.twin.wire import Call, Refused, Row, decode, invalid, refused, success, unknown_parameter

BULK = 100
Work: TypeAlias = Callable[[Call], TwinResponse]


class Route(msgspec.Struct, frozen=True):
    method: str
    path: re.Pattern[str]
    cost: int
    scopes: frozenset[str]
    work: Work
    search: bool = False


class PipedriveServer:
    """Pipedrive over one ``Company``."""

    def __init__(self, clock: TwinClock, company: Company, access: Access, limits: Limits) -> None:
        self.clock, self.faults = clock, Faults()
        self.calls: list[tuple[str, str, int]] = []
        self.company, self.access, self.limits = company, access, limits
        self.reader, self.webhooks = Reader(company), Webhooks(company)
        self.can_create_fields = True
        self._routes = [*self._v2(), *self._v1()]

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        """Answer as the vendor would. Raises NoAnswer when a fault cuts the line."""
        return self._answered(request, await self.faults.meet(request, self._work, forget=self.access.bearers.clear))

    def _answered(self, request: TwinRequest, response: TwinResponse) -> TwinResponse:
        self.calls.append((request.method, request.path, response.status))
        date = self.clock.now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        return TwinResponse(response.status, response.body, {"Date": date, **response.headers})

    async def _work(self, request: TwinRequest) -> TwinResponse:
        headers: dict[str, str] = {}
        try:
            if oauth := re.fullmatch(r"/oauth/(token|revoke)/?", request.path):
                return self.access.oauth(request, oauth[1])
            token, user, bound = self.access.caller(request)
            route, args = self._route(request)
            if bound:
                self.access.demand(route.scopes)
            self.limits.take(token, route.cost, search=route.search)
            headers = self.limits.headers(token)
            response = route.work(Call(request, args, user))
        except Refused as no:
            response = no.response
        return TwinResponse(response.status, response.body, {**headers, **response.headers})

    def _route(self, request: TwinRequest) -> tuple[Route, tuple[str, ...]]:
        path = re.sub(r"^/v1/", "/api/v1/", request.path)
        found = [(route, match) for route in self._routes if (match := route.path.fullmatch(path))]
        for route, match in found:
            if route.method == request.method:
                return route, match.groups()
        raise refused(405, "Method not allowed") if found else refused(404, "Unknown method")

    # -- routes

    def _v2(self) -> list[Route]:
        reader = self.reader
        routes = [
            _route("GET", "v2/itemSearch/field", 20, "search:read", work=reader.by_field, search=True),
            _route("GET", "v2/pipelines", 5, "deals:full", "admin", work=self._pipelines),
            _route("GET", "v2/stages", 5, "deals:full", "admin", work=self._stages),
            _route("GET", "v2/deals/archived", 20, "deals:full", work=partial(reader.listed, "deals", archived=True)),
            _route("GET", "v2/deals/products", 10, "deals:full", "products:full", work=reader.lines),
            _route("GET", "v2/deals/(\\d+)/products", 10, "deals:full", "products:full", work=reader.lines_of),
            _route("POST", "v2/deals/(\\d+)/products", 5, "deals:full", "products:full", work=self._add_line),
            _route("POST", "v2/deals/(\\d+)/products/bulk", 25, "deals:full", "products:full", work=self._add_lines),
            _route("PATCH", "v2/deals/(\\d+)/products/(\\d+)", 5, "deals:full", "products:full", work=self._change_line),
            _route("DELETE", "v2/deals/(\\d+)/products/(\\d+)", 3, "deals:full", "products:full", work=self._remove_line),
        ]
        for plural, shape in SHAPES.items():
            scope, fields = f"{shape.search}:full", f"{shape.singular}Fields"
            narrow = f"{'contact' if shape.search == 'contacts' else shape.singular}-fields:full"
            routes += [
                _route(
                    "GET", f"v2/{plural}/search", 20, scope, "search:read", work=partial(reader.search, plural), search=True
                ),
                _route("GET", f"v2/{plural}", 10, scope, work=partial(reader.listed, plural)),
                _route("POST", f"v2/{plural}", 5, scope, work=partial(self._create, plural)),
                _route("GET", f"v2/{plural}/([^/]+)", 1, scope, work=partial(reader.one, plural)),
                _route("PATCH", f"v2/{plural}/([^/]+)", 5, scope, work=partial(self._change, plural)),
                _route("DELETE", f"v2/{plural}/([^/]+)", 3, scope, work=partial(self._delete, plural)),
                _route("GET", f"v2/{fields}", 10, scope, "admin", narrow, work=partial(self._fields, plural)),
                _route("POST", f"v2/{fields}", 5, "admin", narrow, work=partial(self._add_field, plural)),
                _route("POST", f"v2/{fields}/([^/]+)/options", 5, "admin", narrow, work=partial(self._add_options, plural)),
            ]
        self._new_status = {"organizations": 200, "persons": 200, "deals": 200, "products": 201}
        return routes

    def _v1(self) -> list[Route]:
        hooks = self.webhooks
        return [
            _route("GET", "v1/users/me", 2, work=self._me),
            _route("GET", "v1/currencies", 20, work=self._currencies),
            _route("GET", "v1/webhooks", 10, "admin", work=hooks.listed),
            _route("POST", "v1/webhooks", 10, "admin", work=hooks.create),
            _route("DELETE", "v1/webhooks/([^/]+)", 6, "admin", work=hooks.delete),
        ]

    def _create(self, plural: str, call: Call) -> TwinResponse:
        row = self.company.create(plural, call.body(), call.user)
        return success(self.company.shown(plural, row), status=self._new_status[plural])

    def _change(self, plural: str, call: Call) -> TwinResponse:
        return success(self.company.shown(plural, self.company.change(plural, call.id, call.body(), call.user)))

    def _delete(self, plural: str, call: Call) -> TwinResponse:
        self.company.delete(plural, call.id, call.user)
        return success({"id": call.id})

    def _add_line(self, call: Call) -> TwinResponse:
        return success(timed(self.company.add_line(call.id, call.body(), call.user)), status=201)

    def _add_lines(self, call: Call) -> TwinResponse:
        bodies = call.body().get("data")
        if not isinstance(bodies, list) or not 1 <= len(bodies) <= BULK:
            raise invalid("data", f"must hold 1 to {BULK} products")
        bodies = self.company.fitting_lines(call.id, bodies)
        return success([timed(self.company.add_line(call.id, body, call.user)) for body in bodies], status=201)

    def _change_line(self, call: Call) -> TwinResponse:
        return success(timed(self.company.change_line(call.id, int(call.args[1]), call.body(), call.user)))

    def _remove_line(self, call: Call) -> TwinResponse:
        self.company.remove_line(call.id, int(call.args[1]), call.user)
        return success({"id": int(call.args[1])})

    # -- schema

    def _fields(self, plural: str, call: Call) -> TwinResponse:
        query = call.query("limit", "cursor", "include_fields")
        fields, start = list(self.company.fields[plural].values()), int(query.get("cursor", "0"))
        limit = int(query.get("limit", "100"))
        if not 1 <= limit <= 500:
            raise invalid("limit", "must be between 1 and 500")
        page = fields[start : start + limit]
        cursor = str(start + limit) if start + limit < len(fields) else None
        return success([_field(field) for field in page], next_cursor=cursor)

    def _add_field(self, plural: str, call: Call) -> TwinResponse:
        if not self.can_create_fields:
            raise Refused(403, {"success": False, "error": "Forbidden", "error_info": "", "data": None})
        body = call.body()
        for name in body:
            if name not in ("field_name", "field_type", "options", "ui_visibility", "important_fields", "required_fields"):
                raise unknown_parameter(name)
        if not isinstance(body.get("field_name"), str) or body.get("field_type") not in CUSTOM:
            raise invalid("field_type", "field_name and a known field_type are required")
        if body["field_type"] in ("enum", "set") and not body.get("options"):
            raise invalid("options", "are required")
        labels = [option["label"] for option in body.get("options") or ()]
        return success(_field(self.company.add_field(plural, body["field_name"], body["field_type"], labels)))

    def _add_options(self, plural: str, call: Call) -> TwinResponse:
        field, body = self.company.fields[plural].get(call.args[0]), decode(call.request.body)
        if field is None or field.options is None:
            raise refused(404, "Field not found", code="ERR_NOT_FOUND")
        if not isinstance(body, list) or not all(
            isinstance(one, dict) and 1 <= len(one.get("label", "")) <= 255 for one in body
        ):
            raise invalid("options", "must be an array of labels")
        self.company.add_options(field, [one["label"] for one in body])
        return success(field.options[-len(body) :])

    def _pipelines(self, call: Call) -> TwinResponse:
        call.query("sort_by", "sort_direction", "limit", "cursor")
        return success(list(self.company.pipelines.values()), next_cursor=None)

    def _stages(self, call: Call) -> TwinResponse:
        query = call.query("pipeline_id", "sort_by", "sort_direction", "limit", "cursor")
        chosen = [row for row in self.company.stages.values() if query.get("pipeline_id") in (None, str(row["pipeline_id"]))]
        return success(chosen, next_cursor=None)

    def _me(self, call: Call) -> TwinResponse:
        company = {"company_id": 7700123, "company_domain": "acme-corp", "company_name": "Acme", "timezone_name": "Europe/Oslo"}
        return success(
            {"id": call.user, "name": "Connector", "is_admin": 1, "default_currency": self.company.currency, **company}
        )

    def _currencies(self, call: Call) -> TwinResponse:
        call.query("term")
        told = [
            {
                "id": at,
                "code": code,
                "name": code,
                "decimal_points": 2,
                "symbol": code,
                "active_flag": True,
                "is_custom_flag": False,
            }
            for at, code in enumerate(self.company.currencies, 1)
        ]
        return success(told)


def _route(method: str, path: str, cost: int, *scopes: str, work: Work, search: bool = False) -> Route:
    return Route(method, re.compile(f"/api/{path}"), cost, frozenset(scopes), work, search)


def _field(field: Field) -> Row:
    return {
        "field_name": field.name,
        "field_code": field.code,
        "field_type": field.type,
        "options": field.options,
        "subfields": None,
        "is_custom_field": field.custom,
        "is_optional_response_field": False,
    }
