"""COQL: the select statement over records, as far as a connector needs it.

``select f, g.h from Module where (…) [order by f asc, id asc] limit [offset,] n`` (or ``limit n offset m``); criteria are
bracketed pairwise. Assumptions: texts compare without regard to case, nulls come first when ascending, rows come by ascending
id when no order is asked for. No grouping, no aggregates.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, NoReturn

import msgspec

from ml_connector_zoho_crm.twin.criteria import BadCriterion, Column, Test, test
from ml_connector_zoho_crm.twin.org import Org
from ml_connector_zoho_crm.twin.schema import PERSONS
from ml_connector_zoho_crm.twin.table import Place, Row, Table
from ml_connector_zoho_crm.twin.wire import Refused

MAX_FIELDS, MAX_CRITERIA, MAX_VALUES, MAX_ORDER = 500, 25, 100, 10
MAX_JOINS, MAX_DEPTH = 2, 2
MAX_REACH, DEFAULT_LIMIT = 100_000, 200
LAST = "~"  # sorts behind every id

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_$][\w$]*(?:\.[\w$]+)*)|(?P<sign>!=|>=|<=|[=<>(),]))"
)


class Criterion(msgspec.Struct):
    """``column operator value``; the value is a literal, or a list for ``in`` and ``between``."""

    column: str
    operator: str
    value: Any = None


class Both(msgspec.Struct):
    """Two conditions joined by ``and`` or ``or``."""

    word: str
    left: "Criterion | Both"
    right: "Criterion | Both"


class Query(msgspec.Struct):
    """A parsed statement."""

    fields: list[str]
    module: str
    where: Criterion | Both
    order: list[tuple[str, bool]]  # (column, descending)
    limit: int
    offset: int

    @property
    def credits(self) -> int:
        """1 up to 200 rows, 2 up to 1,000, 3 up to 2,000."""
        return 1 if self.limit <= 200 else 2 if self.limit <= 1000 else 3


class Parser:
    """Recursive descent over the tokens; raises Refused with SYNTAX_ERROR, INVALID_QUERY or LIMIT_EXCEEDED."""

    def __init__(self, text: str, max_limit: int) -> None:
        self._max_limit = max_limit
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        self._criteria = 0
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise Refused(
                    400, "SYNTAX_ERROR", "error occurred while parsing the query", near=text[at : at + 20], line=1, column=at
                )
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def parse(self) -> Query:
        self._word("select")
        fields = self._list(self._column)
        if len(fields) > MAX_FIELDS:
            raise Refused(400, "LIMIT_EXCEEDED", "select fields exceed the limit", limit=MAX_FIELDS, clause="select")
        self._word("from")
        module = self._column()
        self._word("where", clause="where")
        where = self._condition()
        order: list[tuple[str, bool]] = []
        if self._skip("order"):
            self._word("by")
            order = self._list(self._direction)
            if len(order) > MAX_ORDER:
                raise Refused(400, "LIMIT_EXCEEDED", "order by columns exceed the limit", limit=MAX_ORDER, clause="order by")
        limit, offset = self._limits()
        if self._at < len(self._tokens):
            self._syntax()
        return Query(fields, module, where, order, limit, offset)

    def _limits(self) -> tuple[int, int]:
        limit, offset = DEFAULT_LIMIT, 0
        if self._skip("limit"):
            limit = self._number()
            if self._skip(","):
                offset, limit = limit, self._number()
            elif self._skip("offset"):
                offset = self._number()
        if not 1 <= limit <= self._max_limit:
            raise Refused(400, "INVALID_QUERY", "limit is out of range", limit=str(limit))
        if offset + limit > MAX_REACH:
            raise Refused(400, "LIMIT_EXCEEDED", "offset reaches too far", limit=str(MAX_REACH))
        return limit, offset

    def _condition(self) -> Criterion | Both:
        """One or two operands: three in a row must be bracketed."""
        left = self._operand()
        word = "and" if self._skip("and") else "or" if self._skip("or") else ""
        return Both(word, left, self._operand()) if word else left

    def _operand(self) -> Criterion | Both:
        if self._skip("("):
            inner = self._condition()
            self._word(")")
            return inner
        self._criteria += 1
        if self._criteria > MAX_CRITERIA:
            raise Refused(400, "LIMIT_EXCEEDED", "criteria exceed the limit", limit=MAX_CRITERIA, clause="where")
        column = self._column()
        if self._skip("is"):
            negated = self._skip("not")
            self._word("null")
            return Criterion(column, "is not null" if negated else "is null")
        if self._skip("not"):
            operator = "not " + self._one_of("in", "like", "between")
        else:
            operator = self._one_of("=", "!=", ">", ">=", "<", "<=", "in", "like", "between")
        if operator.endswith("between"):
            low = self._literal()
            self._word("and")
            return Criterion(column, operator, [low, self._literal()])
        if not operator.endswith("in"):
            return Criterion(column, operator, self._literal())
        self._word("(")
        values = self._list(self._literal)
        self._word(")")
        if len(values) > MAX_VALUES:
            raise Refused(
                400, "LIMIT_EXCEEDED", "values exceed the limit", limit=MAX_VALUES, column_name=column, operator=operator
            )
        return Criterion(column, operator, values)

    def _direction(self) -> tuple[str, bool]:
        column = self._column()
        descending = self._skip("desc")
        if not descending:
            self._skip("asc")
        return column, descending

    def _list(self, member: Callable[[], Any]) -> list[Any]:
        members = [member()]
        while self._skip(","):
            members.append(member())
        return members

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _skip(self, word: str) -> bool:
        kind, text = self._peek()
        if kind in ("word", "sign") and text.lower() == word:
            self._at += 1
            return True
        return False

    def _word(self, word: str, **details: Any) -> None:
        if not self._skip(word):
            self._syntax(**details)

    def _one_of(self, *words: str) -> str:
        word = next((word for word in words if self._skip(word)), None)
        return word or self._syntax(operator=self._peek()[1])

    def _column(self) -> str:
        kind, text = self._peek()
        if kind == "string":  # a reserved word used as a name is quoted
            text = text[1:-1]
        elif kind != "word" or text.lower() in ("select", "from", "where", "and", "or", "order", "limit"):
            self._syntax()
        self._at += 1
        return text

    def _literal(self) -> Any:
        kind, text = self._peek()
        if kind == "string":
            value: Any = text[1:-1].replace("''", "'")
        elif kind == "number":
            value = text
        elif kind == "word" and text.lower() in ("true", "false"):
            value = text.lower()
        else:
            self._syntax()
        self._at += 1
        return value

    def _number(self) -> int:
        kind, text = self._peek()
        if kind != "number" or not text.isdecimal():
            self._syntax(clause="limit")
        self._at += 1
        return int(text)

    def _syntax(self, **details: Any) -> NoReturn:
        raise Refused(400, "SYNTAX_ERROR", "error occurred while parsing the query", **(details or {"near": self._peek()[1]}))


class Bounds(msgspec.Struct):
    """A hull around what a condition can match: places in the order of changes, and ids. Always wide enough, seldom exact."""

    low: Place | None = None
    high: Place | None = None
    low_id: str | None = None
    high_id: str | None = None


def run(org: Org, query: Query) -> tuple[list[Row], bool]:
    """The rows of a query as told in JSON, and whether more would follow."""
    table = org.table(query.module)
    if table is None:
        raise Refused(400, "INVALID_MODULE", "the module name given seems to be invalid")
    try:
        if len({path.split(".")[0] for path in _columns(query) if "." in path}) > MAX_JOINS:
            raise Refused(400, "LIMIT_EXCEEDED", "joins exceed the limit", limit=MAX_JOINS)
        columns = [Column(org, table, path, MAX_DEPTH) for path in query.fields]
        order = [(Column(org, table, path, MAX_DEPTH), descending) for path, descending in query.order]
        matches = _compile(org, table, query.where)
        rows, sorted_already = _scan(org, table, query, order)
    except BadCriterion as bad:
        details = {"column_name": bad.column} | ({"operator": bad.operator} if bad.operator else {})
        raise Refused(400, "INVALID_QUERY", bad.reason, **details) from None
    found: Iterable[Row] = filter(matches, rows)
    if not sorted_already:
        listed = list(found)
        for column, descending in reversed(order):
            get = column.getter()
            listed.sort(key=lambda row, get=get: ((held := get(row)) is not None, held), reverse=descending)  # type: ignore[misc]
        found = listed
    page = list(islice(found, query.offset, query.offset + query.limit + 1))
    return _tell(org, columns, page[: query.limit]), len(page) > query.limit


def _columns(query: Query) -> Iterator[str]:
    def named(condition: Criterion | Both) -> Iterator[str]:
        if isinstance(condition, Both):
            yield from named(condition.left)
            yield from named(condition.right)
        else:
            yield condition.column

    yield from query.fields
    yield from (path for path, _ in query.order)
    yield from named(query.where)


def _compile(org: Org, table: Table, condition: Criterion | Both) -> Test:
    if isinstance(condition, Both):
        left, right = _compile(org, table, condition.left), _compile(org, table, condition.right)
        if condition.word == "and":
            return lambda row: left(row) and right(row)
        return lambda row: left(row) or right(row)
    return test(Column(org, table, condition.column, MAX_DEPTH), condition.operator, condition.value)


def _scan(org: Org, table: Table, query: Query, order: list[tuple[Column, bool]]) -> tuple[Iterable[Row], bool]:
    """Rows that hold every match, from the cheapest place, and whether they come in the order asked for."""
    wanted = [(column.path, descending) for column, descending in order]
    named = _by_index(org, table, query.where)
    if named is not None:
        return [table.rows[one] for one in sorted(named)], wanted in ([], [("id", False)])
    bounds = _bounds(org, table, query.where)
    if wanted in ([("Modified_Time", False)], [("Modified_Time", False), ("id", False)]):
        return (table.rows[one] for one in table.changes.between(bounds.low, bounds.high)), True
    if wanted == [("Modified_Time", True), ("id", True)]:
        return (table.rows[one] for one in table.changes.backwards(bounds.high)), True
    if wanted == [("id", True)]:
        return table.by_id_backwards(bounds.high_id), True
    if wanted in ([], [("id", False)]):
        return table.by_id(bounds.low_id), True
    if bounds.low or bounds.high:
        return (table.rows[one] for one in table.changes.between(bounds.low, bounds.high)), False
    return table.by_id(bounds.low_id), False


def _by_index(org: Org, table: Table, condition: Criterion | Both) -> Collection[str] | None:
    """The ids that an indexed ``=`` or ``in`` of the condition leaves, None when it has none that always applies."""
    if isinstance(condition, Both):
        left, right = _by_index(org, table, condition.left), _by_index(org, table, condition.right)
        if condition.word == "or":
            return None if left is None or right is None else {*left, *right}
        return right if left is None else left if right is None or len(left) <= len(right) else right
    field = table.module.fields.get(condition.column)
    if condition.operator not in ("=", "in") or "." in condition.column or not table.quick(field, condition.column):
        return None
    column = Column(org, table, condition.column, MAX_DEPTH)
    values = condition.value if condition.operator == "in" else [condition.value]
    return {one for value in values for one in table.find(condition.column, column.value(value, condition.operator))}


def _bounds(org: Org, table: Table, condition: Criterion | Both) -> Bounds:
    if isinstance(condition, Both):
        left, right = _bounds(org, table, condition.left), _bounds(org, table, condition.right)
        return _meet(left, right) if condition.word == "and" else _join(left, right)
    operator = condition.operator
    if condition.column not in ("Modified_Time", "id") or operator not in ("=", ">", ">=", "<", "<="):
        return Bounds()
    value = Column(org, table, condition.column, MAX_DEPTH).value(condition.value, operator)
    if condition.column == "id":
        return Bounds(
            low_id=value if operator in ("=", ">", ">=") else None, high_id=value if operator in ("=", "<", "<=") else None
        )
    moment: datetime = value
    low = {"=": "", ">=": "", ">": LAST}.get(operator)
    high = {"=": LAST, "<=": LAST, "<": ""}.get(operator)
    return Bounds(low=None if low is None else (moment, low), high=None if high is None else (moment, high))


def _meet(left: Bounds, right: Bounds) -> Bounds:
    met = Bounds(
        max((one.low for one in (left, right) if one.low), default=None),
        min((one.high for one in (left, right) if one.high), default=None),
        max((one.low_id for one in (left, right) if one.low_id), default=None),
        min((one.high_id for one in (left, right) if one.high_id), default=None),
    )
    if met.low and met.high and met.low[0] == met.high[0] and met.low_id and met.low[1] == "":
        met.low = (met.low[0], met.low_id)  # one second only: there the id bounds the place as well
    return met


def _join(left: Bounds, right: Bounds) -> Bounds:
    return Bounds(
        min(left.low, right.low) if left.low and right.low else None,
        max(left.high, right.high) if left.high and right.high else None,
        min(left.low_id, right.low_id) if left.low_id and right.low_id else None,
        max(left.high_id, right.high_id) if left.high_id and right.high_id else None,
    )


def _tell(org: Org, columns: list[Column], rows: list[Row]) -> list[Row]:
    """Rows under the paths that were asked for, ``id`` always among them; lookups and people as bare ``{"id"}``."""
    plain = [column.path for column in columns if not column.hops and _plain(column)]
    shaped = [(column.path, column.getter(), _teller(org, column)) for column in columns if column.hops or not _plain(column)]
    told = []
    for row in rows:
        out = {name: row.get(name) for name in plain}
        out["id"] = row["id"]
        for path, get, tell in shaped:
            value = get(row)
            out[path] = None if value is None else tell(value)
        told.append(out)
    return told


def _plain(column: Column) -> bool:
    return column.kind not in ("datetime", "lookup") and column.kind not in PERSONS


def _teller(org: Org, column: Column) -> Callable[[Any], Any]:
    if column.kind == "datetime":
        return org.told_time
    if column.kind == "lookup":
        target = org.tables[column.field.target].rows if column.field and column.field.target in org.tables else {}
        return lambda value: {"id": value} if value in target else None
    if column.kind in PERSONS:
        return lambda value: {"id": value}
    return lambda value: value


def parse(text: Any, max_limit: int) -> Query:
    """Parse ``select_query``. Raises Refused."""
    if not isinstance(text, str) or not text.strip():
        raise Refused(400, "MANDATORY_NOT_FOUND", "required field not found", api_name="select_query")
    return Parser(text, max_limit).parse()
