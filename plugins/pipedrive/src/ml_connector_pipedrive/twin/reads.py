"""Lists, records by id, searches: paging by key set, cursors that belong to one query, and an index that lags behind."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.twin import TwinResponse
from ml_connector_pipedrive.twin.company import LISTED, Company, timed
from ml_connector_pipedrive.twin.shapes import HASH, SHAPES
from ml_connector_pipedrive.twin.tables import Field
from ml_connector_pipedrive.twin.wire import Call, Row, invalid, refused, success

PAGE: Final = 500
IDS: Final = 100
KEYS: Final = 15
SEARCHABLE: Final = frozenset({"address", "varchar", "text", "varchar_auto", "double", "monetary", "phone"})
_PAGING: Final = ("limit", "cursor")
_SORTING: Final = ("sort_by", "sort_direction")


class Reader:
    """``lag_s``: how far the search index is behind. ``answers_deleted``: what GET says of a deleted record."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self.lag_s = 1.0
        self.answers_deleted = False
        self.tells_unset = True

    def one(self, plural: str, call: Call) -> TwinResponse:
        query = call.query(*(() if plural == "products" else ("custom_fields", "include_fields", "include_labels")))
        row = self._company.tables[plural].rows.get(call.id)
        if row is None or (row["is_deleted"] and not self.answers_deleted):
            self._company.living(plural, call.id)
        assert row is not None
        return success(self._shown(plural, row, _keys(query)))

    def listed(self, plural: str, call: Call, *, archived: bool = False) -> TwinResponse:
        shape = SHAPES[plural]
        more = ("updated_until",) if shape.until else ()
        query = call.query(
            "ids", "owner_id", "custom_fields", "updated_since", *more, *_SORTING, *_PAGING,
            *(("org_id", "person_id", "pipeline_id", "stage_id", "status") if plural == "deals" else ()),
            *(("org_id",) if plural == "persons" else ()),
        )  # fmt: skip
        keys = _keys(query)
        rows = self._chosen(plural, query, archived)
        for name in ("owner_id", "org_id", "person_id", "pipeline_id", "stage_id"):
            if name in query:
                rows = [row for row in rows if str(row[name]) == query[name]]
        since, until = _time(query, "updated_since"), _time(query, "updated_until")
        rows = [
            row
            for row in rows
            if (since is None or row["update_time"] >= since) and (until is None or row["update_time"] < until)
        ]
        page, cursor = _page(rows, query, ("id", "update_time", "add_time", *(("name",) if plural == "products" else ())))
        return success([self._shown(plural, row, keys) for row in page], next_cursor=cursor)

    def _shown(self, plural: str, row: Row, keys: set[str] | None) -> Row:
        told = self._company.shown(plural, row, keys)
        if not self.tells_unset:
            told["custom_fields"] = {code: value for code, value in told["custom_fields"].items() if value is not None}
        return told

    def _chosen(self, plural: str, query: dict[str, str], archived: bool) -> list[Row]:
        rows = self._company.tables[plural].rows
        status = query.get("status")
        if status not in (None, "open", "won", "lost", "deleted"):
            raise invalid("status", "must be one of open, won, lost, deleted")
        horizon = self._company.now() - LISTED
        chosen = [row for row in rows.values() if row["is_deleted"] == (status == "deleted")]
        if status == "deleted":
            chosen = [row for row in chosen if row["update_time"] >= horizon]
        elif plural == "deals":
            chosen = [row for row in chosen if row["is_archived"] == archived and status in (None, row["status"])]
        if "ids" in query:
            ids = query["ids"].split(",")
            if len(ids) > IDS or not all(one.isdigit() for one in ids):
                raise invalid("ids", f"must be at most {IDS} numbers")
            chosen = [row for row in chosen if str(row["id"]) in ids]
        return chosen

    def lines(self, call: Call) -> TwinResponse:
        query = call.query("deal_ids", *_SORTING, *_PAGING)
        ids = query.get("deal_ids", "").split(",")
        if len(ids) > IDS or not all(one.isdigit() for one in ids):
            raise invalid("deal_ids", f"must be at most {IDS} numbers")
        return self._lines([line for line in self._company.lines.values() if str(line["deal_id"]) in ids], query)

    def lines_of(self, call: Call) -> TwinResponse:
        query = call.query(*_SORTING, *_PAGING)
        self._company.living("deals", call.id)
        return self._lines(list(self._company.lines_of(call.id)), query)

    def _lines(self, rows: list[Row], query: dict[str, str]) -> TwinResponse:
        page, cursor = _page(rows, query, ("id", "deal_id", "add_time", "update_time", "order_nr"))
        return success([timed(row) for row in page], next_cursor=cursor)

    # -- searching

    def by_field(self, call: Call) -> TwinResponse:
        """``/itemSearch/field``: one field, and exactly its case when ``match`` is exact."""
        query = call.query("term", "entity_type", "match", "field", *_PAGING)
        shapes = {shape.singular: shape for shape in SHAPES.values()}
        shape, match, term = shapes.get(query.get("entity_type", "")), query.get("match", "exact"), query.get("term", "")
        if shape is None or match not in ("exact", "beginning", "middle"):
            raise invalid("entity_type", "must be deal, person, organization or product, and match exact, beginning or middle")
        if len(term) < (1 if match == "exact" else 2):
            raise invalid("term", "is too short")
        field = self._searchable(shape.plural, query.get("field", ""))
        known: dict[str, Callable[[str], bool]] = {
            "exact": lambda value: value == term,
            "beginning": lambda value: value.startswith(term),
            "middle": lambda value: term in value,
        }
        fits = known[match]
        hits = [row for row in self._indexed(shape.plural) if any(fits(value) for value in _values(row, field))]
        page, cursor = _page(hits, {**query, "sort_by": "id"}, ("id",))
        return success([{"id": row["id"], "name": row[shape.title]} for row in page], next_cursor=cursor)

    def search(self, plural: str, call: Call) -> TwinResponse:
        """``/{entity}/search``: any case, any of the fields, and no word about which."""
        query = call.query("term", "fields", "exact_match", *_PAGING)
        shape, term = SHAPES[plural], query.get("term", "").casefold()
        exact = query.get("exact_match") == "true"
        if len(term) < (1 if exact else 2):
            raise invalid("term", "is too short")
        fields = [
            field
            for field in self._company.fields[plural].values()
            if field.type in SEARCHABLE
            and ("custom_fields" if field.custom else field.code) in query.get("fields", "custom_fields,name")
        ]
        hits = [
            row
            for row in self._indexed(plural)
            if any(
                value.casefold() == term if exact else term in value.casefold()
                for field in fields
                for value in _values(row, field)
            )
        ]
        page, cursor = _page(hits, {**query, "sort_by": "id"}, ("id",))
        items = [
            {"result_score": 1, "item": {"id": row["id"], "type": shape.singular, "name": row[shape.title]}} for row in page
        ]
        return success({"items": items}, next_cursor=cursor)

    def _indexed(self, plural: str) -> Iterator[Row]:
        return self._company.tables[plural].indexed(self._company.clock.now() - timedelta(seconds=self.lag_s))

    def _searchable(self, plural: str, code: str) -> Field:
        field = self._company.fields[plural].get(code)
        if field is None or field.type not in SEARCHABLE:
            raise invalid("field", f"{code} is not a searchable field")
        return field


def _values(row: Row, field: Field) -> Iterable[str]:
    value = (row["custom_fields"] if field.custom else row).get(field.code)
    if isinstance(value, dict):
        value = value.get("value")
    return () if value is None else (str(value),)


def _keys(query: dict[str, str]) -> set[str] | None:
    if "custom_fields" not in query:
        return None
    keys = query["custom_fields"].split(",")
    if len(keys) > KEYS or not all(HASH.fullmatch(key) for key in keys):
        raise invalid("custom_fields", f"must be at most {KEYS} keys of custom fields")
    return set(keys)


def _time(query: dict[str, str], name: str) -> datetime | None:
    if name not in query:
        return None
    try:
        return datetime.strptime(query[name], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise invalid(name, "must be a date-time") from None


def _page(rows: list[Row], query: dict[str, str], sortable: tuple[str, ...]) -> tuple[list[Row], str | None]:
    """One page, and the cursor of the next: the place of its first row, and the query that it belongs to."""
    limit, by, way = query.get("limit", "100"), query.get("sort_by", "id"), query.get("sort_direction", "asc")
    if not limit.isdigit() or not 1 <= int(limit) <= PAGE:
        raise invalid("limit", f"must be between 1 and {PAGE}")
    if by not in sortable or way not in ("asc", "desc"):
        raise invalid("sort_by", f"must be one of {', '.join(sortable)}, and sort_direction asc or desc")
    asked = {name: value for name, value in query.items() if name != "cursor"}
    mark = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:12]
    place: Callable[[Row], tuple[Any, int]] = lambda row: (row[by], row["id"])  # noqa: E731
    rows = sorted(rows, key=place, reverse=way == "desc")
    if "cursor" in query:
        value, first = _read(query["cursor"], mark)
        start = (_like(rows[0][by], value), first) if rows else None
        rows = [row for row in rows if start and (place(row) >= start if way == "asc" else place(row) <= start)]
    rest = rows[int(limit) :]
    return rows[: int(limit)], _written(rest[0], by, way, mark) if rest else None


def _written(row: Row, by: str, way: str, mark: str) -> str:
    value = row[by].isoformat() if isinstance(row[by], datetime) else row[by]
    told = {"field": by, "fieldValue": value, "sortDirection": way, "id": row["id"], "query": mark}
    return base64.urlsafe_b64encode(msgspec.json.encode(told)).decode().rstrip("=")


def _read(cursor: str, mark: str) -> tuple[Any, int]:
    try:
        told = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if told["query"] != mark:
            raise ValueError(cursor)
        return told["fieldValue"], told["id"]
    except (ValueError, KeyError, TypeError):
        raise refused(400, "Invalid cursor", code="ERR_BAD_REQUEST") from None


def _like(sample: Any, value: Any) -> Any:
    if isinstance(sample, datetime):
        return datetime.fromisoformat(value)
    return Decimal(value) if isinstance(sample, Decimal) else value
