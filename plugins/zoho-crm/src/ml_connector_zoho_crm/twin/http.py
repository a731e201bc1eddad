"""The front door: one callable for the accounts server and the API, with faults, authentication, scopes, limits and routes."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import msgspec

from ml_connector.twin import Faults, TwinClock, TwinRequest, TwinResponse
from ml_connector_zoho_crm.twin import coql
from ml_connector_zoho_crm.twin.auth import Accounts
from ml_connector_zoho_crm.twin.bulk import Bulk
from ml_connector_zoho_crm.twin.limits import Limits
from ml_connector_zoho_crm.twin.metadata import Metadata
from ml_connector_zoho_crm.twin.org import Org
from ml_connector_zoho_crm.twin.reads import Reader
from ml_connector_zoho_crm.twin.table import Table
from ml_connector_zoho_crm.twin.watch import LOCAL, Watch
from ml_connector_zoho_crm.twin.wire import Call, Refused, answer, batch, parts_of
from ml_connector_zoho_crm.twin.writes import Writer, duplicate_check_fields

MAX_RECORDS = 100
_VERSION = re.compile(r"v\d(\.\d)?")


class Work(msgspec.Struct):
    """What a call will do, weighed before it is done. ``heavy`` calls count against the sub-concurrency as well."""

    run: Callable[[], TwinResponse]
    scopes: list[str]
    credits: int = 1
    heavy: bool = False


Plan: TypeAlias = Callable[[Call], Work]
RecordPlan: TypeAlias = Callable[[Call, Table, str], Work]  # the text is the module as scopes spell it


class ZohoServer:
    """Zoho CRM v8 and its accounts server over one ``Org``."""

    def __init__(
        self,
        clock: TwinClock,
        org: Org,
        accounts: Accounts,
        limits: Limits,
        *,
        status_mode: str,
        api_domain: str | None,
        unknown_fields: str,
        coql_max_limit: int,
    ) -> None:
        self.clock, self.faults, self.latency_s = clock, Faults(), 0.0
        self.calls: list[tuple[str, str, int]] = []
        self.org, self.accounts, self.limits = org, accounts, limits
        self.watch = Watch(org, status_mode)
        self.bulk = Bulk(org, self.watch.deliveries)
        self.metadata, self.reader = Metadata(org), Reader(org)
        self._mode, self._api_domain = status_mode, api_domain
        self._unknown_fields, self._coql_max_limit = unknown_fields, coql_max_limit
        self._org_routes: dict[tuple[str, str], Plan] = self._routes_of_the_org()
        self._record_routes: dict[tuple[str, str], RecordPlan] = {
            ("GET", ""): self._list,
            ("POST", ""): self._insert,
            ("PUT", ""): self._update_many,
            ("DELETE", ""): self._delete_many,
            ("POST", "upsert"): self._upsert,
            ("GET", "deleted"): self._deleted,
            ("GET", "search"): self._search,
            ("GET", "actions/count"): self._count,
            ("GET", "*"): self._get,
            ("PUT", "*"): self._update_one,
            ("DELETE", "*"): self._delete_one,
        }

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        """Answer as the vendor would. Raises NoAnswer when a fault cuts the line."""
        return self._answered(request, await self.faults.meet(request, self._work, forget=self.accounts.tokens.clear))

    def _answered(self, request: TwinRequest, response: TwinResponse) -> TwinResponse:
        self.calls.append((request.method, request.path, response.status))
        return response

    async def _work(self, request: TwinRequest) -> TwinResponse:
        parts = parts_of(request.path)
        try:
            if parts[0] == "oauth":
                return self._oauth(request, parts)
            user = self.accounts.user_of(request)
            work = self._plan(request, parts, user)
            self.accounts.demand(work.scopes)
            with self.limits.slot(work.credits, heavy=work.heavy):
                if self.latency_s > 0:
                    await asyncio.sleep(self.latency_s)
                response = work.run()
        except Refused as refused:
            response = answer(refused.status, refused.fault)
        self.watch.flush()
        more = self.limits.headers()
        return TwinResponse(response.status, response.body, {**response.headers, **more}) if more else response

    # -- routes

    def _oauth(self, request: TwinRequest, parts: list[str]) -> TwinResponse:
        if request.method != "POST" or parts[1:] not in (["v2", "token"], ["v2", "token", "revoke"]):
            return TwinResponse(404, b"<html><body>Page not found</body></html>", {"Content-Type": "text/html"})
        if parts[-1] == "revoke":
            return self.accounts.revoke(request)
        return self.accounts.token(request, self.api_domain(request.host), self.org.org_id[-9:])

    def api_domain(self, host: str) -> str:
        """What a token answer names: this very server on loopback, else the configured domain or the EU's."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if name.strip("[]") in LOCAL:
            return f"http://{host}"
        return self._api_domain or "https://www.zohoapis.eu"

    def _plan(self, request: TwinRequest, parts: list[str], user: str) -> Work:
        """Find the route. Raises Refused for an unknown address, module or method."""
        bulk = parts[:2] == ["crm", "bulk"]
        rest = parts[2:] if bulk else parts[1:]
        if parts[0] != "crm" or len(rest) < 2 or not _VERSION.fullmatch(rest[0]):
            raise Refused(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")
        version, tail = rest[0], (["bulk"] if bulk else []) + rest[1:]
        for place in (tail, [*tail[:-1], "*"], [*tail[:-2], "*", tail[-1]] if len(tail) > 1 else tail):
            route = self._org_routes.get((request.method, "/".join(place)))
            if route is not None:
                args = tuple(part for part, shape in zip(tail, place, strict=True) if shape == "*")
                return route(Call(request, version, args, user))
        if any(address == "/".join(tail) for _, address in self._org_routes):
            raise Refused(405, "INVALID_REQUEST_METHOD", "The http request method type is not a valid one")
        if tail[0] in ("settings", "bulk", "actions"):
            raise Refused(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")
        return self._plan_record(request, version, tail, user)

    def _plan_record(self, request: TwinRequest, version: str, tail: list[str], user: str) -> Work:
        table = self.org.table(tail[0])
        if table is None:
            raise Refused(400, "INVALID_MODULE", "the module name given seems to be invalid", resource_path_index=0)
        place = "/".join(tail[1:])
        named = place in ("upsert", "deleted", "search", "actions/count")
        route = self._record_routes.get((request.method, place if named or not place else "*"))
        if (len(tail) > 2 and not named) or (route is None and not named and place == "actions"):
            raise Refused(404, "INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one")
        if route is None:
            raise Refused(405, "INVALID_REQUEST_METHOD", "The http request method type is not a valid one")
        if table.module.parent is not None and request.method != "GET":
            raise Refused(400, "NOT_SUPPORTED", "rows of a subform are written through their record", resource_path_index=0)
        call = Call(request, version, tuple(tail[1:2]), user)
        return route(call, table, self._scope(table))

    def _routes_of_the_org(self) -> dict[tuple[str, str], Plan]:
        meta, watch, bulk = self.metadata, self.watch, self.bulk

        def simple(run: Callable[[Call], TwinResponse], scope: str, cost: int = 1) -> Plan:
            return lambda call: Work(partial(run, call), [scope], cost)

        def of_module(run: Callable[[Call, Table], TwinResponse], scope: str) -> Plan:
            return lambda call: Work(partial(run, call, self._module_of(call)), [scope])

        return {
            ("GET", "org"): simple(meta.org, "ZohoCRM.org.READ"),
            ("GET", "users"): simple(meta.users, "ZohoCRM.users.READ"),
            ("GET", "settings/modules"): simple(meta.modules, "ZohoCRM.settings.modules.READ"),
            ("GET", "settings/modules/*"): of_module(meta.module, "ZohoCRM.settings.modules.READ"),
            ("GET", "settings/fields"): of_module(meta.fields, "ZohoCRM.settings.fields.READ"),
            ("POST", "settings/fields"): of_module(meta.create_fields, "ZohoCRM.settings.fields.CREATE"),
            ("GET", "settings/layouts"): of_module(meta.layouts, "ZohoCRM.settings.layouts.READ"),
            ("GET", "settings/pipeline"): simple(meta.pipelines, "ZohoCRM.settings.pipeline.READ"),
            ("POST", "coql"): self._coql,
            ("GET", "actions/watch"): simple(watch.told, "ZohoCRM.notifications.READ"),
            ("POST", "actions/watch"): simple(watch.subscribe, "ZohoCRM.notifications.CREATE"),
            ("PUT", "actions/watch"): simple(watch.replace, "ZohoCRM.notifications.UPDATE"),
            ("PATCH", "actions/watch"): simple(watch.patch, "ZohoCRM.notifications.UPDATE"),
            ("DELETE", "actions/watch"): simple(watch.disable, "ZohoCRM.notifications.DELETE"),
            ("POST", "bulk/read"): simple(bulk.create, "ZohoCRM.bulk.CREATE", 50),
            ("GET", "bulk/read/*"): simple(bulk.status, "ZohoCRM.bulk.READ"),
            ("GET", "bulk/read/*/result"): simple(bulk.result, "ZohoCRM.bulk.READ"),
        }

    def _module_of(self, call: Call) -> Table:
        """The module that a settings call names, by parameter or, for ``settings/modules/{name}``, in the path."""
        name = call.args[0] if call.args else call.query.get("module")
        if not name:
            raise Refused(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="module")
        table = self.org.table(name)
        if table is None:
            raise Refused(400, "INVALID_MODULE", "the module name given seems to be invalid", param_name="module")
        return table

    def _scope(self, table: Table) -> str:
        return f"ZohoCRM.modules.{(table.module.parent or table.module.name).replace('_', '')}"

    # -- plans of record calls

    def _list(self, call: Call, table: Table, scope: str) -> Work:
        heavy = "sort_by" in call.query or "cvid" in call.query
        return Work(partial(self.reader.list, call, table), [f"{scope}.READ"], 3 if "cvid" in call.query else 1, heavy)

    def _get(self, call: Call, table: Table, scope: str) -> Work:
        return Work(partial(self.reader.one, call, table, call.args[0]), [f"{scope}.READ"])

    def _deleted(self, call: Call, table: Table, scope: str) -> Work:
        return Work(partial(self.reader.deleted, call, table), [f"{scope}.READ"], 2)

    def _count(self, call: Call, table: Table, scope: str) -> Work:
        return Work(partial(self.reader.count, call, table), [f"{scope}.READ"])

    def _search(self, call: Call, table: Table, scope: str) -> Work:
        scopes = [f"{scope}.READ", "ZohoSearch.securesearch.READ"]
        return Work(partial(self.reader.search, call, table), scopes, 3, True)

    def _coql(self, call: Call) -> Work:
        query = coql.parse(call.body.get("select_query"), self._coql_max_limit)
        table = self.org.table(query.module)
        scopes = ["ZohoCRM.coql.READ"] + ([f"{self._scope(table)}.READ"] if table else [])

        def run() -> TwinResponse:
            rows, more = coql.run(self.org, query)
            return answer(200, {"data": rows, "info": {"count": len(rows), "more_records": more}}) if rows else answer(204)

        return Work(run, scopes, query.credits, True)

    def _insert(self, call: Call, table: Table, scope: str) -> Work:
        items, writer = call.items("data", MAX_RECORDS), self._writer(call, table)
        run = lambda: batch([writer.insert(at, item) for at, item in enumerate(items)], created=201, mode=self._mode)  # noqa: E731
        return _weighed(run, [f"{scope}.CREATE"], len(items))

    def _update_many(self, call: Call, table: Table, scope: str) -> Work:
        items, writer = call.items("data", MAX_RECORDS), self._writer(call, table)
        run = lambda: batch([writer.update(at, item) for at, item in enumerate(items)], mode=self._mode)  # noqa: E731
        return _weighed(run, [f"{scope}.UPDATE"], len(items))

    def _upsert(self, call: Call, table: Table, scope: str) -> Work:
        items, writer = call.items("data", MAX_RECORDS), self._writer(call, table)
        keys = duplicate_check_fields(table, call.body.get("duplicate_check_fields"))
        run = lambda: batch([writer.upsert(at, item, keys) for at, item in enumerate(items)], mode=self._mode)  # noqa: E731
        return _weighed(run, [f"{scope}.CREATE", f"{scope}.UPDATE"], len(items))

    def _update_one(self, call: Call, table: Table, scope: str) -> Work:
        items, writer, record_id = call.items("data", 1), self._writer(call, table), call.args[0]

        def run() -> TwinResponse:
            target: str | None = record_id
            if writer.external.record is not None:
                target = writer.by_external(record_id)
                if target is None:
                    message = "The value of the external field is invalid."
                    raise Refused(400, "INVALID_DATA", message, api_name=writer.external.record, resource_path_index=1)
            return batch([writer.update(0, items[0], target)], mode=self._mode)

        return Work(run, [f"{scope}.UPDATE"])

    def _delete_many(self, call: Call, table: Table, scope: str) -> Work:
        ids = [one for one in call.query.get("ids", "").split(",") if one]
        if not ids:
            raise Refused(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="ids")
        if len(ids) > MAX_RECORDS:
            raise Refused(400, "LIMIT_EXCEEDED", "ids exceed the limit", param_name="ids", maximum_length=MAX_RECORDS)
        writer = self._writer(call, table)
        return Work(lambda: batch([writer.delete(one) for one in ids], mode=self._mode), [f"{scope}.DELETE"])

    def _delete_one(self, call: Call, table: Table, scope: str) -> Work:
        writer, record_id = self._writer(call, table), call.args[0]
        return Work(lambda: batch([writer.delete(record_id)], mode=self._mode), [f"{scope}.DELETE"])

    def _writer(self, call: Call, table: Table) -> Writer:
        return Writer(self.org, table, call, unknown_fields=self._unknown_fields)


def _weighed(run: Callable[[], TwinResponse], scopes: list[str], records: int) -> Work:
    """A credit per started ten records; more than ten make the call a heavy one."""
    return Work(run, scopes, -(-records // 10), records > 10)
