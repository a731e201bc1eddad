"""Reading records: lists with their paging rules, one record, the feed of deletions, counting and the lagging search."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeAlias

import msgspec

from ml_connector.twin import TwinResponse
from ml_connector_zoho_crm.twin.checks import instant
from ml_connector_zoho_crm.twin.criteria import BadCriterion, Column, Test, test
from ml_connector_zoho_crm.twin.org import Org
from ml_connector_zoho_crm.twin.schema import TEXTS
from ml_connector_zoho_crm.twin.table import Row, Table
from ml_connector_zoho_crm.twin.wire import Call, Refused, answer
from ml_connector_zoho_crm.twin.writes import External

PER_PAGE, MAX_FIELDS, MAX_IDS_LENGTH = 200, 50, 1024
PAGED_REACH, TOKEN_REACH = 2_000, 100_000
SEARCH_REACH, SEARCH_CRITERIA = 2_000, 10

Shape: TypeAlias = list[tuple[str, Callable[[Any], Any] | None]]


class PageToken(msgspec.Struct):
    """Where a list goes on: behind the last row given, for the same user and the same parameters, for a day."""

    user: str
    params: tuple[tuple[str, str], ...]
    last: Row  # the sort value and id of that row, as they were when it was given
    given: int
    expires: datetime


class Reader:
    """The reading calls on one org."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._tokens: dict[str, PageToken] = {}
        self.search_lag = timedelta(seconds=60)

    # -- lists

    def list(self, call: Call, table: Table) -> TwinResponse:
        query = call.query
        if not query.get("fields"):
            raise Refused(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="fields")
        names = [name.strip() for name in query["fields"].split(",")]
        if len(names) > MAX_FIELDS:
            raise Refused(400, "LIMIT_EXCEEDED", "fields exceed the limit", param_name="fields", limit=MAX_FIELDS)
        if "page" in query and "page_token" in query:
            due_to = [{"param_name": "page"}, {"param_name": "page_token"}]
            raise Refused(400, "AMBIGUITY_DURING_PROCESSING", "page and page_token exclude each other", ambiguity_due_to=due_to)
        per_page, page = call.number("per_page", PER_PAGE, PER_PAGE), call.number("page", 1)
        sort_by, order = query.get("sort_by", "id"), query.get("sort_order", "desc")
        if sort_by not in ("id", "Created_Time", "Modified_Time"):
            raise Refused(400, "INVALID_DATA", "invalid data", param_name="sort_by")
        if order not in ("asc", "desc"):
            raise Refused(400, "INVALID_DATA", "invalid data", param_name="sort_order")
        token = self._token(call)
        if page * per_page > PAGED_REACH:
            message = "only the first 2000 records can be had by page; use page_token"
            raise Refused(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", message, limit=PAGED_REACH)
        if token is not None and token.given + per_page > TOKEN_REACH:
            raise Refused(400, "PAGINATION_LIMIT_EXCEEDED", "page_token reaches no further", limit=TOKEN_REACH)
        if not table.rows:
            return answer(204)
        rows = self._sorted(table, sort_by, order, token)
        since = modified_since(call)
        if since is not None:
            newest = next(table.changes.backwards(None))
            if table.rows[newest]["Modified_Time"] <= since:
                return answer(304)
            rows = (row for row in rows if row["Modified_Time"] > since)
        if "ids" in query:
            rows = self._chosen(rows, query["ids"])
        start = (page - 1) * per_page
        found = list(islice(rows, start, start + per_page + 1))
        shown = found[:per_page]
        if not shown:
            return answer(204)
        shape = self._shape(table, (name for name in names if not _is_subform(table, name)))
        told = [_tell(row, shape) for row in shown]
        given = (token.given if token else start) + len(shown)
        more = len(found) > per_page
        next_token = self._issue(call, shown[-1], given) if more else None
        info = {
            "per_page": per_page,
            "count": len(shown),
            "page": page if token is None else given // per_page,
            "sort_by": sort_by,
            "sort_order": order,
            "more_records": more,
            "next_page_token": next_token,
            "previous_page_token": None,
            "page_token_expiry": self._org.told_time(self._tokens[next_token].expires) if next_token else None,
            "call": False,
            "email": False,
        }
        return answer(200, {"data": told, "info": info})

    def _sorted(self, table: Table, sort_by: str, order: str, token: PageToken | None) -> Iterable[Row]:
        """Rows behind the token. Ids grow with Created_Time, so both sort alike."""
        last = token.last if token else None
        if sort_by == "Modified_Time":
            place = (last["Modified_Time"], last["id"]) if last else None
            ids = table.changes.between(place, None) if order == "asc" else table.changes.backwards(place)
            rows: Iterator[Row] = (table.rows[one] for one in ids)
        else:
            place_id = last["id"] if last else None
            rows = table.by_id(place_id) if order == "asc" else table.by_id_backwards(place_id)
        if last is None:
            return rows
        # the row the token stands on is given only if it moved meanwhile
        return (row for row in rows if row["id"] != last["id"] or row["Modified_Time"] != last["Modified_Time"])

    @staticmethod
    def _chosen(rows: Iterable[Row], ids: str) -> Iterator[Row]:
        if len(ids) > MAX_IDS_LENGTH:
            raise Refused(400, "INVALID_DATA", "ids is too long", param_name="ids", maximum_length=MAX_IDS_LENGTH)
        wanted = set(ids.split(","))
        return (row for row in rows if row["id"] in wanted)

    def _token(self, call: Call) -> PageToken | None:
        text = call.query.get("page_token")
        if text is None:
            return None
        token = self._tokens.get(text)
        if token is None:
            raise Refused(400, "INVALID_DATA", "the given page token is invalid", param_name="page_token")
        if token.user != call.user or token.params != _bound_params(call):
            raise Refused(
                400, "TOKEN_BOUND_DATA_MISMATCH", "the page token belongs to other parameters", param_name="page_token"
            )
        if token.expires <= self._org.now():
            raise Refused(400, "EXPIRED_VALUE", "the page token has expired", param_name="page_token")
        return token

    def _issue(self, call: Call, last: Row, given: int) -> str:
        text = f"c{self._org.new_id()[-12:]}"
        kept = {"id": last["id"], "Modified_Time": last["Modified_Time"]}
        expires = self._org.now() + timedelta(days=1)
        self._tokens[text] = PageToken(call.user, _bound_params(call), kept, given, expires)
        return text

    # -- one record

    def one(self, call: Call, table: Table, record_id: str) -> TwinResponse:
        """All fields and subforms of one record; 204 for an id that is not there."""
        external = External(self._org, table, call.headers.get("x-external"))
        if external.record is not None:
            found = table.find(external.record, record_id)
            if not found:
                message = "The value of the external field is invalid."
                raise Refused(400, "INVALID_DATA", message, api_name=external.record, resource_path_index=1)
            record_id = min(found)
        elif not record_id.isdecimal():
            raise Refused(400, "INVALID_DATA", "the id given seems to be invalid", resource_path_index=1)
        row = table.rows.get(record_id)
        if row is None:
            return answer(204)
        names = call.query["fields"].split(",") if call.query.get("fields") else list(table.module.fields)
        told = _tell(row, self._shape(table, names))
        told |= {"$approval_state": "approved", "$editable": True, "$in_merge": False}
        for field in table.module.subforms:
            if field.api_name in names:
                told[field.api_name] = self._org.tell_lines(table, field.api_name, row.get(field.api_name) or ())
                told.setdefault("$has_more", {})[field.api_name] = False
        return answer(200, {"data": [told]})

    def _shape(self, table: Table, names: Iterable[str]) -> Shape:
        """The named fields with their tellers; a name that the module does not know is left out without a word (assumption)."""
        return [(name, self._org.teller(table, name)) for name in names if name in table.module.fields]

    # -- deletions, count, search

    def deleted(self, call: Call, table: Table) -> TwinResponse:
        """Latest deletions first, but the vendor promises no order."""
        kind = call.query.get("type", "all")
        if kind not in ("all", "recycle", "permanent"):
            raise Refused(400, "PATTERN_NOT_MATCHED", "type is invalid", param_name="type")
        per_page, page = call.number("per_page", PER_PAGE, PER_PAGE), call.number("page", 1)
        entries = [entry for entry in reversed(table.deleted) if kind in ("all", entry.type)]
        since = modified_since(call)
        if since is not None and entries:
            entries = [entry for entry in entries if entry.deleted_time > since]
            if not entries:
                return answer(304)
        shown = entries[(page - 1) * per_page : page * per_page]
        if not shown:
            return answer(204)
        told = [
            {
                "id": entry.id,
                "display_name": entry.display_name,
                "type": entry.type,
                "deleted_time": self._org.told_time(entry.deleted_time),
                "deleted_by": self._person(entry.deleted_by),
                "created_by": self._person(entry.created_by),
            }
            for entry in shown
        ]
        more = len(entries) > page * per_page
        return answer(
            200, {"data": told, "info": {"per_page": per_page, "count": len(told), "page": page, "more_records": more}}
        )

    def _person(self, user_id: str | None) -> dict[str, str] | None:
        return {"name": self._org.users[user_id].name, "id": user_id} if user_id else None

    def count(self, call: Call, table: Table) -> TwinResponse:
        criteria = call.query.get("criteria")
        if criteria is None:
            return answer(200, {"count": len(table.rows)})
        matches = self._search_test(table, criteria)
        return answer(200, {"count": sum(1 for row in table.rows.values() if matches(row))})

    def search(self, call: Call, table: Table) -> TwinResponse:
        """One of criteria, email, phone, word, in that priority. Records younger than the index lag are not found."""
        matches = self._wanted(call, table)
        per_page, page = call.number("per_page", PER_PAGE, PER_PAGE), call.number("page", 1)
        if page * per_page > SEARCH_REACH:
            raise Refused(400, "LIMIT_REACHED", "search reaches 2000 records", limit=SEARCH_REACH)
        indexed = self._org.now() - self.search_lag
        found = [row for row in table.by_id() if row["Created_Time"] <= indexed and matches(row)]
        shown = found[(page - 1) * per_page : page * per_page]
        if not shown:
            return answer(204)
        names = call.query["fields"].split(",") if call.query.get("fields") else list(table.module.fields)
        shape = self._shape(table, (name for name in names if not _is_subform(table, name)))
        told = [_tell(row, shape) for row in shown]
        more = len(found) > page * per_page
        return answer(
            200, {"data": told, "info": {"per_page": per_page, "count": len(told), "page": page, "more_records": more}}
        )

    def _wanted(self, call: Call, table: Table) -> Test:
        if "criteria" in call.query:
            return self._search_test(table, call.query["criteria"])
        for param, kinds in (("email", ("email",)), ("phone", ("phone",)), ("word", tuple(TEXTS))):
            if param in call.query:
                needle = call.query[param].casefold()
                names = [field.api_name for field in table.module.fields.values() if field.data_type in kinds]
                exact = param != "word"
                return lambda row: any(
                    isinstance(held := row.get(name), str)
                    and (held.casefold() == needle if exact else needle in held.casefold())
                    for name in names
                )
        names = ["criteria", "email", "phone", "word"]
        raise Refused(400, "EXPECTED_PARAM_MISSING", "one of the expected parameters is missing", param_names=names)

    def _search_test(self, table: Table, criteria: str) -> Test:
        try:
            return SearchParser(self._org, table, criteria).parse()
        except BadCriterion as bad:
            raise Refused(400, "INVALID_QUERY", bad.reason, api_name=bad.column, operator=bad.operator) from None


_OPERATORS = {
    "equals": "=",
    "not_equal": "!=",
    "greater_than": ">",
    "greater_equal": ">=",
    "less_than": "<",
    "less_equal": "<=",
    "in": "in",
    "between": "between",
    "starts_with": "like",
}


class SearchParser:
    """``((Vendor_Name:equals:Acme)and(Phone:starts_with:12))``; special characters are escaped with a backslash."""

    _CRITERION = re.compile(r"\((?P<column>[\w.]+):(?P<operator>\w+):(?P<value>(?:\\.|[^()\\])*)\)")

    def __init__(self, org: Org, table: Table, text: str) -> None:
        self._org, self._table, self._text = org, table, text.strip()
        self._at = self._criteria = 0

    def parse(self) -> Test:
        wanted = self._group() if self._text.startswith("((") else self._chain()
        if self._at < len(self._text):
            raise BadCriterion("Invalid query formed", self._text[self._at :])
        return wanted

    def _group(self) -> Test:
        if self._text.startswith("((", self._at):
            self._at += 1
            inner = self._chain()
            if not self._text.startswith(")", self._at):
                raise BadCriterion("Invalid query formed", self._text[self._at :])
            self._at += 1
            return inner
        return self._criterion()

    def _chain(self) -> Test:
        wanted = self._group()
        while (word := next((one for one in ("and", "or") if self._text.startswith(one, self._at)), None)) is not None:
            self._at += len(word)
            wanted = _joined(word, wanted, self._group())
        return wanted

    def _criterion(self) -> Test:
        match = self._CRITERION.match(self._text, self._at)
        if match is None:
            raise BadCriterion("Invalid query formed", self._text[self._at :])
        self._at, self._criteria = match.end(), self._criteria + 1
        if self._criteria > SEARCH_CRITERIA:
            raise Refused(400, "LIMIT_EXCEEDED", "criteria exceed the limit", limit=SEARCH_CRITERIA)
        operator = _OPERATORS.get(match["operator"])
        if operator is None:
            raise BadCriterion("invalid operator found", match["column"], match["operator"])
        value: Any = re.sub(r"\\(.)", r"\1", match["value"])
        column = Column(self._org, self._table, match["column"], 0)
        if operator in ("in", "between"):
            return test(column, operator, value.split(","))
        if operator == "like":
            return test(column, operator, f"{value}%")
        if operator == "=" and column.kind in TEXTS and column.kind != "textarea":
            return test(column, "like", f"%{value}%")  # equals on a text finds what contains it (community)
        return test(column, operator, value)


def _joined(word: str, left: Test, right: Test) -> Callable[[Row], bool]:
    if word == "and":
        return lambda row: left(row) and right(row)
    return lambda row: left(row) or right(row)


def _tell(row: Row, shape: Shape) -> Row:
    told: Row = {"id": row["id"]}
    for name, tell in shape:
        told[name] = tell(row.get(name)) if tell else row.get(name)
    return told


def _is_subform(table: Table, name: str) -> bool:
    field = table.module.fields.get(name)
    return field is not None and field.data_type == "subform"


def _bound_params(call: Call) -> tuple[tuple[str, str], ...]:
    query: Mapping[str, str] = call.query
    params = {name: value for name, value in query.items() if name not in ("page_token", "page")}
    return (
        *sorted(params.items()),
        ("If-Modified-Since", call.headers.get("if-modified-since", "")),
        ("path", call.request.path),
    )


def modified_since(call: Call) -> datetime | None:
    """``If-Modified-Since``, an ISO 8601 time with offset. What changed at that very second is left out (assumption)."""
    header = call.headers.get("if-modified-since")
    if header is None:
        return None
    try:
        return instant(header)
    except ValueError:
        raise Refused(400, "INVALID_DATA", "If-Modified-Since is invalid", header="If-Modified-Since") from None
