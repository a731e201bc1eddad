"""The REST roots at work: collections, items, children, writes, batches.

Oracle, Sales REST: "Manage Collections", "Perform Batch Actions", "verify your resource using the ETag value".
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, unquote_plus

import msgspec

from ml_connector.twin import TwinRequest, TwinResponse
from ml_connector_oracle_fusion.twin import shapes
from ml_connector_oracle_fusion.twin.answers import Detail, Refused, Row, bad, decode, encode, missing
from ml_connector_oracle_fusion.twin.filters import Filters
from ml_connector_oracle_fusion.twin.parties import Parties
from ml_connector_oracle_fusion.twin.schema import ACCOUNTS, CONTACTS, DELETED, HUB_REFERENCES, Resource
from ml_connector_oracle_fusion.twin.store import ROBOT, Store, etag_of
from ml_connector_oracle_fusion.twin.trade import ORDERS, PAYABLES, RECEIVABLES, SUPPLIERS

ITEM_TYPES: Final = ("application/json", "application/vnd.oracle.adf.resourceitem+json")
BATCH_TYPE: Final = "application/vnd.oracle.adf.batch+json"
ACTION_TYPE: Final = "application/vnd.oracle.adf.action+json"
JSON: Final = {"content-type": "application/json"}
DEFAULT_LIMIT: Final = 25
PARTIES: Final = (ACCOUNTS.name, CONTACTS.name)
SERVED: Final = (ACCOUNTS, CONTACTS, HUB_REFERENCES, DELETED, SUPPLIERS, ORDERS, RECEIVABLES, PAYABLES)


class Switches(msgspec.Struct):
    """How this pod behaves where pods differ, or where nobody could confirm how they do."""

    cap: int = 499
    stamps: tuple[str, ...] = ("iso_offset",)
    versions: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9)
    upsert_status: int = 200  # of an upsert that updated
    stale_part: int = 412  # or 200: the part is left undone and says so
    has_more: bool = True  # False: the last full page does not announce more
    batch_parts: int = 1000
    batch_gets: bool = True  # False: a part that reads is refused
    late: int = 0  # so many readings of a new row by key are answered 404
    bearer_on_soap: bool = True
    multipart: bool = False  # SOAP answers come as multipart/related


class Request(msgspec.Struct, frozen=True):
    """One call within a root, whether on its own or as part of a batch."""

    method: str
    root: str
    path: tuple[str, ...]
    query: str
    headers: Mapping[str, str]
    body: Any
    base: str
    version: int

    @property
    def told(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def header(self, name: str) -> str:
        return self.headers.get(name, "")


class Rest:
    """Both roots over one store. ``derived`` are collections that are made up from other tables when they are read."""

    def __init__(self, store: Store, parties: Parties, switches: Switches) -> None:
        self.store, self.parties, self.switches = store, parties, switches
        self.resources: dict[str, Resource] = {each.name: each for each in SERVED}
        self.derived: dict[str, Callable[[], Sequence[Row]]] = {"hubSourceSystemReferences": self._hub}
        self.denied: set[str] = set()  # resources that the user's roles do not open
        self.denied_writes: set[str] = set()
        self._read_early: dict[int, int] = {}

    def answer(self, request: TwinRequest, root: str, rest: str, base: str) -> TwinResponse:
        """``rest`` is the path behind the root. Raises Refused."""
        version = self._version(request)
        path = tuple(unquote(part) for part in rest.split("/") if part)
        content = request.headers.get("content-type", "").partition(";")[0]
        if not path:
            if request.method == "GET":
                listed = {
                    "items": [{"version": "11.13.18.05", "adf:extension.allowedFrameworkVersions": self.switches.versions}]
                }
                return TwinResponse(200, encode(listed), JSON)
            if request.method != "POST" or content != BATCH_TYPE:
                raise Refused(415, Detail("The media type is not supported."))
            return self._batch(request, root, base, version)
        body = self._body(request, content) if request.method in ("POST", "PATCH") else None
        call = Request(request.method, root, path, request.query, request.headers, body, base, version)
        status, told, headers = self.perform(call)
        return TwinResponse(status, b"" if told is None else encode(told), {**JSON, **headers})

    def perform(self, call: Request) -> tuple[int, Any, dict[str, str]]:
        """Status, body, headers. Raises Refused."""
        resource = self.resources.get(call.path[0])
        if resource is None or not call.root.startswith(resource.root):
            raise missing()
        if resource.name in self.denied or (call.method != "GET" and resource.name in self.denied_writes):
            raise Refused(403, Detail("You do not have the privilege."))
        match call.path[1:], call.method:
            case (), "GET":
                return 200, self._list(call, resource, self._rows(resource), f"/{resource.name}"), {}
            case (), "POST":
                return self._create(call, resource)
            case ("describe",), "GET":
                return 200, self._describe(resource), {}
            case (key,), "GET":
                return self._item(call, resource, key)
            case (key,), "PATCH":
                return self._change(call, resource, key)
            case (key, "child", child), "GET":
                row, kid = self._one(resource, key), self._kid(resource, child)
                rows = self.children(resource, row)[child]
                return 200, self._list(call, kid, rows, f"/{resource.name}/{key}/child/{child}"), {}
            case (key, "child", "SourceSystemReference"), "POST":
                return self._attach(call, resource, key)
            case _:
                raise Refused(405, Detail(f"The action {call.method} is not supported."))

    # reading

    def _list(self, call: Request, resource: Resource, rows: Sequence[Row], path: str) -> Row:
        told = call.told
        want = shapes.wanted(resource, told, call.version, call.base, call.root)
        chosen = [row for row in rows if self._found(call, resource, row)]
        if told.get("q"):
            check = Filters(resource.attributes, resource.queryable, self.switches.stamps).compile(told["q"], call.version)
            chosen = [row for row in chosen if check(row)]
        for part in reversed(told.get("orderBy", "").split(",") if told.get("orderBy") else []):
            name, _, direction = part.partition(":")
            if name not in resource.attributes or direction not in ("", "asc", "desc"):
                raise bad(f"URL request parameter orderBy with value {part} is not valid.")
            chosen.sort(key=_by(name), reverse=direction == "desc")
        limit = min(_count(told, "limit", DEFAULT_LIMIT), self.switches.cap)
        offset = _count(told, "offset", 0)
        page = chosen[offset : offset + limit]
        more = len(chosen) > offset + limit and self.switches.has_more
        kids = bool(want.kids)
        items = [shapes.shown(resource, row, self.children(resource, row) if kids else {}, want, path) for row in page]
        return shapes.collection(items, more, limit, offset, len(chosen) if told.get("totalResults") == "true" else None)

    def _item(self, call: Request, resource: Resource, key: str) -> tuple[int, Any, dict[str, str]]:
        row = self._one(resource, key)
        if resource.name in PARTIES and self._read_early.get(row["PartyId"], 0) > 0:
            self._read_early[row["PartyId"]] -= 1
            raise missing()
        etag = etag_of(resource.name, row[resource.id], row) if resource.tracked else ""
        if etag and call.header("if-none-match").strip('"') == etag:
            return 304, None, {"etag": f'"{etag}"'}
        return 200, self._shown(call, resource, row), {"etag": f'"{etag}"'} if etag else {}

    def _shown(self, call: Request, resource: Resource, row: Row) -> Row:
        want = shapes.wanted(resource, call.told, call.version, call.base, call.root)
        return shapes.shown(resource, self._whole(resource, row), self.children(resource, row), want, f"/{resource.name}")

    def _rows(self, resource: Resource) -> list[Row]:
        if resource.name in self.derived:
            return list(self.derived[resource.name]())
        return [self._whole(resource, row) for row in self.store.rows(resource.name).values()]

    def _whole(self, resource: Resource, row: Row) -> Row:
        """With the first of a party's references, which stands on the party itself."""
        if resource.name not in PARTIES:
            return row
        first = next((each for each in self.parties.references(row["PartyId"]) if each["Status"] == "A"), None)
        pair = ("SourceSystem", "SourceSystemReferenceValue")
        return {**row, **{name: first[name] if first else None for name in pair}}

    def children(self, resource: Resource, row: Row) -> dict[str, list[Row]]:
        if resource.name == ACCOUNTS.name:
            address: list[Row] = []
            if row.get("PrimaryAddressId"):
                own = {name: row.get(name) for name in resource.kids["PrimaryAddress"].attributes}
                address = [{**own, "AddressId": row["PrimaryAddressId"], "_version": row["_version"]}]
            return {"PrimaryAddress": address, "SourceSystemReference": self.parties.references(row["PartyId"])}
        return {name: list(row.get(name) or ()) for name in resource.kids}

    def _hub(self) -> list[Row]:
        return [
            {**row, "OwnerEntityId": row["PartyId"], "OwnerEntityObject": "HZ_PARTIES"}
            for row in self.store.rows("references").values()
        ]

    def _found(self, call: Request, resource: Resource, row: Row) -> bool:
        """Whether the finder, if any, finds the row; its values are decoded one by one, after the text was taken apart."""
        raw = next((part[7:] for part in call.query.split("&") if part.startswith("finder=")), "")
        if not raw:
            return True
        name, _, text = raw.partition(";")
        allowed = resource.finders.get(name)
        if allowed is None:
            raise bad(f"The finder {name} is not found.")
        for part in filter(None, text.split(",")):
            variable, _, value = part.partition("=")
            if variable not in allowed:
                raise bad(f"The finder variable {variable} is not found.")
            if str(row.get(_FINDER_NAMES.get(variable, variable))) != unquote_plus(value):
                return False
        return True

    def _one(self, resource: Resource, key: str) -> Row:
        return next((row for row in self._rows(resource) if shapes.key_text(resource, row) == key), None) or _nothing()

    def _kid(self, resource: Resource, name: str) -> Resource:
        if name not in resource.kids:
            raise missing()
        return resource.kids[name]

    def _describe(self, resource: Resource) -> Row:
        attributes = [
            {
                "name": name,
                "type": kind,
                "queryable": name in resource.queryable,
                "updatable": name in resource.writable,
                "mandatory": name in resource.required,
            }
            for name, kind in resource.attributes.items()
        ]
        able = resource.name in PARTIES and resource.name not in self.denied_writes
        get = {"name": "get", "method": "GET"}
        told: Row = {
            "attributes": attributes,
            "finders": [{"name": name} for name in resource.finders],
            "children": {name: {} for name in resource.kids},
            "collection": {"actions": [get, *([{"name": "create", "method": "POST"}] if able else [])]},
            "item": {"actions": [get, *([{"name": "update", "method": "PATCH"}] if able else [])]},
        }
        return {"Resources": {resource.name: told}}

    # writing

    def _create(self, call: Request, resource: Resource) -> tuple[int, Any, dict[str, str]]:
        if resource.name not in PARTIES:
            raise Refused(405, Detail("The action POST is not supported."))
        body = self._checked(resource, call.body)
        row, new = self.parties.create(resource, body, ROBOT, upsert=call.header("upsert-mode").lower() == "true")
        if new:
            self._read_early[row["PartyId"]] = self.switches.late
        etag = etag_of(resource.name, row[resource.id], row)
        return 201 if new else self.switches.upsert_status, self._shown(call, resource, row), {"etag": f'"{etag}"'}

    def _change(self, call: Request, resource: Resource, key: str) -> tuple[int, Any, dict[str, str]]:
        if resource.name not in PARTIES:
            raise Refused(405, Detail("The action PATCH is not supported."))
        row = self.parties.row(resource, key)
        etag = etag_of(resource.name, row[resource.id], row)
        if (guard := call.header("if-match")) and guard not in (f'"{etag}"', "*"):
            raise Refused(412, Detail("The resource was changed."), headers={"etag": f'"{etag}"'})
        row = self.parties.change(resource, row, self._checked(resource, call.body), ROBOT)
        etag = etag_of(resource.name, row[resource.id], row)
        return 200, self._shown(call, resource, row), {"etag": f'"{etag}"'}

    def _attach(self, call: Request, resource: Resource, key: str) -> tuple[int, Any, dict[str, str]]:
        kid = self._kid(resource, "SourceSystemReference")
        body = self._checked(kid, call.body)
        row = self.parties.attach(
            self.parties.row(resource, key), body["SourceSystem"], body["SourceSystemReferenceValue"], ROBOT
        )
        want = shapes.wanted(kid, {}, call.version, call.base, call.root)
        return 201, shapes.shown(kid, row, {}, want, f"/{resource.name}/{key}/child/SourceSystemReference"), {}

    def _checked(self, resource: Resource, body: Any) -> Row:
        """The body with known, writable attributes of the right type and length. Raises Refused (400)."""
        if not isinstance(body, dict):
            raise bad("The request body could not be parsed.", "27521")
        for name, value in body.items():
            kind = resource.attributes.get(name)
            if kind is None:
                raise bad(f"The attribute {name} does not exist on {resource.name}.", "", f"/{name}")
            if name not in resource.writable:
                raise bad(f"The attribute {name} is read-only.", "JBO-27008", f"/{name}")
            if value is None:
                continue
            fits = (
                isinstance(value, str)
                if kind in ("string", "stamp", "date")
                else isinstance(value, bool) is (kind == "boolean")
            )
            if not fits or (kind in ("integer", "number") and isinstance(value, str)):
                raise bad(f"The value for {name} has the wrong type.", "JBO-27011", f"/{name}")
            if name in resource.lengths and len(value) > resource.lengths[name]:
                raise bad(f"The value for {name} exceeds the length {resource.lengths[name]}.", "JBO-27010", f"/{name}")
        for name in resource.required:
            if name in body and not body[name]:
                raise bad(f"You must enter a value for {name}.", "JBO-27014", f"/{name}")
        return body

    def _batch(self, request: TwinRequest, root: str, base: str, version: int) -> TwinResponse:
        body = _json(request.body)
        parts = body.get("parts") if isinstance(body, dict) else None
        if not isinstance(parts, list) or len(parts) > self.switches.batch_parts:
            raise bad("The batch request is not valid.", "27521")
        answers: list[Row] = []
        with self.store.together():
            for at, part in enumerate(parts):
                try:
                    answers.append(self._part(part, root, base, version))
                except Refused as no:
                    raise no.below(f"/parts/{at}") from None
        return TwinResponse(200, encode({"parts": answers}), {"content-type": BATCH_TYPE})

    def _part(self, part: Row, root: str, base: str, version: int) -> Row:
        operation = part.get("operation")
        method = {"get": "GET", "create": "POST", "upsert": "POST", "update": "PATCH"}.get(str(operation))
        if operation == "get" and not self.switches.batch_gets:
            raise bad("The operation get isn't enabled for batch execution.")
        if method is None or not part.get("id") or not str(part.get("path", "")).startswith("/"):
            raise bad(f"The operation {operation} is not valid.", "27521")
        path, _, query = str(part["path"]).partition("?")
        headers = {"if-match": str(part["ifMatch"])} if part.get("ifMatch") else {}
        if operation == "upsert":
            headers["upsert-mode"] = "true"
        names = tuple(unquote(name) for name in path.split("/") if name)
        call = Request(method, root, names, query, headers, part.get("payload"), base, version)
        told = {"id": part["id"], "path": part["path"], "operation": operation}
        try:
            _, payload, _ = self.perform(call)
        except Refused as no:
            if no.status == 412 and self.switches.stale_part == 200:
                return {**told, "preconditionSucceeded": False}
            raise
        return {**told, **({"preconditionSucceeded": True} if "ifMatch" in part else {}), "payload": payload}

    def _version(self, request: TwinRequest) -> int:
        asked = request.headers.get("rest-framework-version", "1")
        if not asked.isdigit() or int(asked) not in self.switches.versions:
            raise bad(f"The REST framework version {asked} is not supported by the resource.")
        return int(asked)

    def _body(self, request: TwinRequest, content: str) -> Any:
        if content not in (*ITEM_TYPES, ACTION_TYPE):
            raise Refused(415, Detail("The media type is not supported."))
        return _json(request.body)


_FINDER_NAMES: Final = {"primaryPartyId": "PartyId", "BindCustAcctId": "CustAccountId", "BindSiteUseCd": "SiteUseCode"}


def _json(body: bytes) -> Any:
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise bad("The request body could not be parsed.", "27521") from None


def _count(told: Mapping[str, str], name: str, default: int) -> int:
    value = told.get(name, str(default))
    if not value.isdigit():
        raise bad(f"URL request parameter {name} with value {value} is not valid.")
    return int(value)


def _by(name: str) -> Callable[[Row], tuple[bool, Any]]:
    """Rows without a value come first."""

    def key(row: Row) -> tuple[bool, Any]:
        value = row.get(name)
        return value is not None, value if value is not None else 0

    return key


def _nothing() -> Row:
    raise missing()
