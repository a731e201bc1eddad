"""One projection at work: finds what a URL names, reads it, and hands what writes to ``writes``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from ml_connector.twin import TwinRequest, TwinResponse
from ml_connector_ifs_cloud.twin import writes
from ml_connector_ifs_cloud.twin.answers import (
    JSON,
    Refused,
    malformed,
    not_allowed,
    not_found,
    not_implemented,
    unknown_property,
)
from ml_connector_ifs_cloud.twin.edmx import metadata, service_document
from ml_connector_ifs_cloud.twin.filters import Compiler, Filter
from ml_connector_ifs_cloud.twin.schema import Action, EntityType, Navigation, Projection, Value
from ml_connector_ifs_cloud.twin.tables import Database, Row, Table, rows_between
from ml_connector_ifs_cloud.twin.urls import Options, Segment, key_values, parse_options, parse_path, write_skiptoken

DEFAULT_PAGE = 100
"""Rows in a page where the server links pages on its own and the client asks for no number."""

_ENCODERS = {style: msgspec.json.Encoder(decimal_format=style) for style in ("number", "string")}


class Switches(msgspec.Struct):
    """How this environment behaves where environments differ."""

    nextlink: bool = False
    page_cap: int | None = None
    upsert_without_if_match: bool = False
    companies_granted: bool = True


class Target(NamedTuple):
    """What a path leads to."""

    entity: EntityType
    key: dict[str, Value] | None = None  # given if the path names one row …
    row: Row | None = None  # … which may not be there
    parent: tuple[Navigation, Row] | None = None
    action: Action | None = None
    counted: bool = False  # …/$count


class Service:
    """Answers requests to one projection; raises Refused for everything that IFS would refuse."""

    def __init__(self, db: Database, projection: Projection, switches: Switches) -> None:
        self._db = db
        self._projection = projection
        self._switches = switches
        self._filters: dict[str, Compiler] = {}

    def forget_filters(self) -> None:
        self._filters.clear()

    def answer(self, request: TwinRequest, rest: str, base: str) -> TwinResponse:
        """``rest`` is the path behind ``<Projection>.svc/``, ``base`` the scheme and authority that links are built on."""
        if rest in ("", "$metadata"):
            if request.method != "GET":
                raise not_allowed("GET")
            if rest:
                body = metadata(self._db.model, self._projection)
                return TwinResponse(200, body, {"content-type": "application/xml", "odata-version": "4.0"})
            return TwinResponse(200, service_document(self._projection), _headers(JSON))
        if rest in ("$batch", "$openapi"):
            raise not_implemented()
        options = parse_options(request.query)
        target = self._find(parse_path(rest))
        if options.expand is not None:
            raise self._unexpanded(target.entity, options.expand)
        reply = Reply(self, target, options, request, base)
        if target.action:
            if request.method != "POST":
                raise not_allowed("POST")
            result = writes.call(self._db, target.entity, target.row, target.action, request)
            return reply.value(result) if target.action.result else TwinResponse(204, b"", {"odata-version": "4.0"})
        if target.key is None:
            return self._collection(target, options, request, reply)
        return self._single(target, options, request, reply)

    def _collection(self, target: Target, options: Options, request: TwinRequest, reply: Reply) -> TwinResponse:
        if request.method == "GET":
            return self._list(target, options, reply)
        if target.counted or target.entity.read_only:
            raise not_allowed("GET")
        if request.method != "POST":
            raise not_allowed("GET", "POST")
        return reply.created(writes.create(self._db, target.entity, request, target.parent))

    def _single(self, target: Target, options: Options, request: TwinRequest, reply: Reply) -> TwinResponse:
        allowed = ("GET",) if target.entity.read_only else ("GET", "PATCH", "DELETE")
        if request.method not in allowed:
            raise not_allowed(*allowed)
        if options.shapes_a_list:
            raise malformed("A list option cannot be applied to one entity.")
        key = target.key
        row = target.row if self._switches.companies_granted else None
        upsert = self._switches.upsert_without_if_match and "if-match" not in request.headers
        if row is None:
            if request.method == "PATCH" and upsert:
                return reply.created(writes.create(self._db, target.entity, request, target.parent, key=key))
            raise not_found()
        if request.method == "PATCH":
            writes.change(self._db, target.entity, row, request, upsert=upsert)
        elif request.method == "DELETE":
            writes.remove(self._db, target.entity, row, request)
            return TwinResponse(204, b"", {"odata-version": "4.0"})
        return reply.one(row)

    def _find(self, path: list[Segment]) -> Target:
        head, *more = path
        if head.name not in self._projection.sets:
            action = self._db.model.actions.get(head.name)
            if action and head.name in self._projection.actions and head.key is None and not more:
                return Target(self._db.model.types["CustomerInfo"], action=action)  # of no entity; any type stands in
            raise not_found(f"Cannot find EntitySet, Singleton, ActionImport or FunctionImport with name '{head.name}'.")
        target = self._keyed(self._db.model.types[self._projection.sets[head.name]], head, None)
        for segment in more:
            target = self._step(target, segment)
        return target

    def _step(self, target: Target, segment: Segment) -> Target:
        entity, row = target.entity, target.row
        if target.counted or target.action:
            raise malformed(f"The segment '{segment.name}' must not follow here.")
        if segment.name == "$count" and target.key is None:
            return target._replace(counted=True)
        if target.key is None:
            raise malformed(f"The segment '{segment.name}' must not follow a collection.")
        if row is None:
            raise not_found()
        if navigation := entity.navigations.get(segment.name):
            return self._keyed(self._db.model.types[navigation.target], segment, (navigation, row))
        prefix = f"{self._projection.namespace}."
        action = self._db.model.actions.get(segment.name.removeprefix(prefix))
        if action and segment.name.startswith(prefix) and action.entity == entity.name:
            return target._replace(action=action)
        if segment.name in entity.properties:
            raise not_implemented()
        raise not_found(f"'{segment.name}' is neither a property nor a bound action of '{prefix}{entity.name}'.")

    def _keyed(self, entity: EntityType, segment: Segment, parent: tuple[Navigation, Row] | None) -> Target:
        if segment.key is None:
            return Target(entity, parent=parent)
        key = key_values(entity, segment)
        row = self._db.get(entity.name, *(key[name] for name in entity.keys))
        if row is not None and parent and row not in self._db.tables[entity.name].children(parent[0], parent[1].values):
            row = None
        return Target(entity, key, row, parent)

    def _list(self, target: Target, options: Options, reply: Reply) -> TwinResponse:
        entity = target.entity
        for name, _ in options.orderby:
            self.check_property(entity, name)
        chosen = self._filter(entity, options.filter)
        if target.counted:
            number = sum(1 for _ in self._matching(target, chosen, options))
            return TwinResponse(200, str(number).encode(), {"content-type": "text/plain"})
        matching = self._matching(target, chosen, options)
        total: int | None = None
        if options.count:
            matching = iter(everything := list(matching))
            total = len(everything)
        cap = self._switches.page_cap
        if cap is None and self._switches.nextlink and options.top is None:
            cap = DEFAULT_PAGE
        size = options.top if cap is None else cap if options.top is None else min(cap, options.top)
        page = list(islice(matching, options.skip, None if size is None else options.skip + size))
        wanted = options.top is None or len(page) < options.top
        more = self._switches.nextlink and wanted and next(matching, None) is not None
        return reply.many(page, total, more)

    def _unexpanded(self, entity: EntityType, text: str) -> Refused:
        for name in text.split(","):
            if name.partition("(")[0].strip() not in entity.navigations:
                return malformed(f"The navigation '{name}' is not defined in type '{entity.name}'.")
        return not_implemented()  # collections; and no type of this twin has a single-valued reference

    def _filter(self, entity: EntityType, text: str | None) -> Filter | None:
        if text is None:
            return None
        if entity.name not in self._filters:
            self._filters[entity.name] = Compiler(self._db, entity, self._projection.namespace)
        return self._filters[entity.name].compile(text)

    def _matching(self, target: Target, chosen: Filter | None, options: Options) -> Iterator[Row]:
        """Rows that pass, lazily and in the order asked for; without $orderby in the order in which they were stored."""
        table = self._db.tables[target.entity.name]
        if not self._switches.companies_granted:
            return iter(())
        keys = target.entity.keys
        by_key = options.orderby == tuple((name, False) for name in keys[: len(options.orderby)]) and bool(options.orderby)
        rows: Iterable[Row]
        if target.parent:
            rows = table.children(target.parent[0], target.parent[1].values)
        elif chosen and chosen.spans:
            rows = rows_between(table, chosen.spans(table))
        else:
            rows = table.in_key_order if by_key else table.rows.values()
        if chosen:
            test = chosen.test
            rows = (row for row in rows if test(row) is True)
        if by_key and not target.parent:
            return iter(rows)
        if options.orderby:
            return iter(self._sorted(table, rows, options))
        return iter(sorted(rows, key=lambda row: row.serial) if chosen and chosen.spans else rows)

    def _sorted(self, table: Table, rows: Iterable[Row], options: Options) -> list[Row]:
        """Stable, the first key last; nulls come last as in Oracle, and first when descending."""
        ordered = list(rows)
        for name, descending in reversed(options.orderby):

            def rank(row: Row, name: str = name) -> tuple[bool, Any]:
                value = self._db.value(table.entity, row, name)
                return value is None, None if value is None else table.collate(value)

            ordered.sort(key=rank, reverse=descending)
        return ordered

    def check_property(self, entity: EntityType, name: str) -> None:
        if name not in entity.properties and name not in ("luname", "keyref", "Objgrants"):
            raise unknown_property(name, f"{self._projection.namespace}.{entity.name}")

    def document(self, entity: EntityType, row: Row, names: tuple[str, ...] | None, *, etag: bool) -> dict[str, object]:
        """A row as JSON will have it; without ``names`` every property, the null ones too."""
        table, values, defaults = self._db.tables[entity.name], row.values, entity.defaults
        document: dict[str, object] = {"@odata.etag": table.etag(row)} if etag else {}
        if names is None:
            document |= {"luname": entity.name, "keyref": table.keyref(row), "Objgrants": None}
            document |= dict.fromkeys(entity.properties)
            document |= defaults
            document |= values
            for name, derive in entity.derived.items():
                document[name] = derive(self._db, row)
            return document
        for name in names:
            if name in values:
                document[name] = values[name]
            elif name in entity.derived:
                document[name] = entity.derived[name](self._db, row)
            elif name in ("luname", "keyref"):
                document[name] = entity.name if name == "luname" else table.keyref(row)
            else:
                document[name] = defaults.get(name)
        return document

    def etag(self, entity: EntityType, row: Row) -> str:
        return self._db.tables[entity.name].etag(row)


class Reply:
    """Puts one answer together in the form that the request's headers and options ask for."""

    def __init__(self, service: Service, target: Target, options: Options, request: TwinRequest, base: str) -> None:
        self._service = service
        self._target = target
        self._options = options
        self._request = request
        self._base = base
        accept = request.headers.get("accept", "").replace(" ", "").lower()
        self._bare = "odata.metadata=none" in accept
        self._exact = "ieee754compatible=true" in accept
        self._names = self._selected()  # checked before anything is written

    def _selected(self) -> tuple[str, ...] | None:
        """The properties to return, keys always among them; None for all. Raises Refused for one that does not exist."""
        asked = self._options.select if self._request.method == "GET" else self._options.select_fields or self._options.select
        if asked is None or "*" in asked:
            return None
        for name in asked:
            self._service.check_property(self._target.entity, name)
        return tuple(dict.fromkeys([*self._target.entity.keys, *asked]))

    def many(self, rows: list[Row], total: int | None, more: bool) -> TwinResponse:
        body: dict[str, object] = {} if self._bare else {"@odata.context": self._context("")}
        if total is not None:
            body["@odata.count"] = total
        body["value"] = [self._document(row) for row in rows]
        if more:
            body["@odata.nextLink"] = self._next(len(rows))
        return self._respond(200, body)

    def one(self, row: Row, status: int = 200) -> TwinResponse:
        document = self._document(row)
        body = document if self._bare else {"@odata.context": self._context("/$entity"), **document}
        return self._respond(status, body, {"etag": self._service.etag(self._target.entity, row)})

    def created(self, row: Row) -> TwinResponse:
        return self.one(row, 201)

    def value(self, value: Value) -> TwinResponse:
        return self._respond(200, {"@odata.context": self._context(""), "value": value})

    def _document(self, row: Row) -> dict[str, object]:
        return self._service.document(self._target.entity, row, self._names, etag=not self._bare)

    def _respond(self, status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> TwinResponse:
        kind = "application/json;odata.metadata=none" if self._bare else JSON
        if self._exact:
            kind += ";IEEE754Compatible=true"
        encoded = _ENCODERS["string" if self._exact else "number"].encode(body)
        return TwinResponse(status, encoded, {**_headers(kind), **(headers or {})})

    def _context(self, suffix: str) -> str:
        root, _, rest = self._request.path.partition(".svc/")
        select = f"({','.join(self._options.select)})" if self._options.select else ""
        return f"{self._base}{root}.svc/$metadata#{rest.partition('?')[0].partition('(')[0]}{select}{suffix}"

    def _next(self, given: int) -> str:
        options = self._options
        top = None if options.top is None else options.top - given
        keep = [
            pair for pair in self._request.query.split("&") if pair.partition("=")[0] not in ("$top", "$skip", "$skiptoken", "")
        ]
        keep.append(f"$skiptoken={quote(write_skiptoken(options.skip + given, top))}")
        return f"{self._base}{self._request.path}?{'&'.join(keep)}"


def _headers(kind: str) -> dict[str, str]:
    return {"content-type": kind, "odata-version": "4.0"}
