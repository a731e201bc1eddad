"""``$filter`` compiled: checked against the types, made a test on rows, and where it allows, spans of the key order."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser

from ml_connector_ifs_cloud.twin.answers import incompatible, malformed, not_implemented, unknown_property
from ml_connector_ifs_cloud.twin.schema import EntityType
from ml_connector_ifs_cloud.twin.tables import Database, Row, Span, Table
from ml_connector_ifs_cloud.twin.values import timestamp

Get: TypeAlias = Callable[[Row], Any]
Spans: TypeAlias = Callable[[Table], list[Span]]

_TOKEN = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][\w.]*'(?:[^']|'')*'|[A-Za-z_][\w.]*")
_SWALLOWED = re.compile(r"(any|all|null|true|false)\w", re.IGNORECASE)
_WORDS = frozenset(
    ("eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "in", "add", "sub", "mul", "div", "mod", "null", "true", "false")
)
_MARK = "_0_"

_ORDER: dict[type[Any], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Gt: ("gt", operator.gt),
    ast.GtE: ("ge", operator.ge),
    ast.Lt: ("lt", operator.lt),
    ast.LtE: ("le", operator.le),
}
_ARITHMETIC: dict[type[Any], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_TEXT, _NUMBER, _BOOLEAN = "Edm.String", "Edm.Decimal", "Edm.Boolean"
_FUNCTIONS: dict[str, tuple[tuple[str, ...], str, Callable[..., Any]]] = {
    "contains": ((_TEXT, _TEXT), _BOOLEAN, lambda text, part: part in text),
    "startswith": ((_TEXT, _TEXT), _BOOLEAN, str.startswith),
    "endswith": ((_TEXT, _TEXT), _BOOLEAN, str.endswith),
    "tolower": ((_TEXT,), _TEXT, str.lower),
    "toupper": ((_TEXT,), _TEXT, str.upper),
    "trim": ((_TEXT,), _TEXT, str.strip),
    "length": ((_TEXT,), _NUMBER, lambda text: Decimal(len(text))),
    "indexof": ((_TEXT, _TEXT), _NUMBER, lambda text, part: Decimal(text.find(part))),
    "concat": ((_TEXT, _TEXT), _TEXT, operator.add),
    "substring": (
        (_TEXT, _NUMBER, _NUMBER),
        _TEXT,
        lambda text, at, size=None: text[int(at) :][: None if size is None else int(size)],
    ),
}
"""Function → types of its arguments, type of its result, what it does. IFS has more; the rest is answered with 501."""


class Filter(NamedTuple):
    test: Get  # True, False, or None where a null makes it unknown; only True lets a row through
    spans: Spans | None  # which part of the key order can pass at all; None: all of it


class _Term(NamedTuple):
    type: str  # Edm type, qualified enum, or "null"
    get: Get
    column: str | None = None  # the property, if the term is nothing but one
    literal: Any = None
    constant: bool = False


class Compiler:
    """Compiles filters for one entity type of one projection and remembers them by their text."""

    def __init__(self, db: Database, entity: EntityType, namespace: str) -> None:
        self._db = db
        self._entity = entity
        self._namespace = namespace
        self._known: dict[str, Filter] = {}

    def compile(self, text: str) -> Filter:
        """Raises Refused: 400 for what does not parse, does not exist or does not fit, 501 for what IFS leaves out."""
        found = self._known.get(text)
        if found is None:
            if len(self._known) > 2000:
                self._known.clear()
            tree = _parse(text)
            term = self._term(tree)
            if term.type != _BOOLEAN:
                raise malformed(f"The filter expression is of type '{term.type}', not Edm.Boolean.", "ODP_FILTER_TYPE")
            found = self._known[text] = Filter(term.get, self._spans(tree))
        return found

    def _term(self, node: Any) -> _Term:
        match node:
            case ast.Identifier():
                return self._property(_full_name(node))
            case ast.Compare():
                return self._compare(node)
            case ast.BoolOp():
                return self._logic(node)
            case ast.UnaryOp():
                return self._unary(node)
            case ast.BinOp():
                return self._arithmetic(node)
            case ast.Call(func=ast.Identifier(namespace=namespace)) if namespace:
                return self._enum_member(node)
            case ast.Call():
                return self._call(node)
            case ast.Attribute() | ast.CollectionLambda():
                raise not_implemented()
        return _literal(node)

    def _property(self, name: str) -> _Term:
        entity, db = self._entity, self._db
        if name in ("luname", "keyref"):
            table = db.tables[entity.name]
            return _Term(_TEXT, (lambda row: entity.name) if name == "luname" else table.keyref, name)
        if name not in entity.properties:
            raise unknown_property(name, f"{self._namespace}.{entity.name}")
        prop, default = entity.properties[name], entity.defaults.get(name)
        kind = f"{self._namespace}.{prop.type}" if prop.is_enum else prop.type
        if derive := entity.derived.get(name):
            return _Term(kind, lambda row: derive(db, row), name)
        if prop.type == "Edm.DateTimeOffset":  # without the Z, so that text with fractions of a second sorts in between
            return _Term(kind, lambda row: str(row.values.get(name) or "")[:-1] or None, name)
        return _Term(kind, lambda row: row.values.get(name, default), name)

    def _compare(self, node: Any) -> _Term:
        if isinstance(node.comparator, ast.In):
            raise not_implemented()
        left, right = self._term(node.left), self._term(node.right)
        if "null" not in (left.type, right.type) and left.type != right.type:
            raise incompatible(left.type, right.type)
        get_left, get_right = left.get, right.get
        if isinstance(node.comparator, ast.Eq | ast.NotEq):
            wanted = isinstance(node.comparator, ast.Eq)
            if right.constant:
                value = right.literal
                return _Term(_BOOLEAN, lambda row: (get_left(row) == value) is wanted)
            return _Term(_BOOLEAN, lambda row: (get_left(row) == get_right(row)) is wanted)
        if left.type.startswith("IfsApp.") or right.type.startswith("IfsApp."):
            raise malformed("An enum can be compared by 'eq' and 'ne' only.", "ODP_ENUM_COMPARISON")
        _, holds = _ORDER[type(node.comparator)]
        collate = self._db.collate

        def test(row: Row) -> bool | None:
            a, b = get_left(row), get_right(row)
            return None if a is None or b is None else holds(collate(a), collate(b))

        return _Term(_BOOLEAN, test)

    def _logic(self, node: Any) -> _Term:
        left, right = self._boolean(node.left), self._boolean(node.right)
        decisive = isinstance(node.op, ast.Or)  # what settles the matter whatever the other side is

        def test(row: Row) -> Any:
            a = left(row)
            if a is decisive:
                return a
            b = right(row)
            if b is decisive:
                return b
            return None if a is None or b is None else not decisive

        return _Term(_BOOLEAN, test)

    def _unary(self, node: Any) -> _Term:
        if isinstance(node.op, ast.USub):
            number = self._typed(node.operand, _NUMBER)
            return _Term(_NUMBER, lambda row: None if (value := number(row)) is None else -value)
        operand = self._boolean(node.operand)
        return _Term(_BOOLEAN, lambda row: None if (value := operand(row)) is None else not value)

    def _arithmetic(self, node: Any) -> _Term:
        if type(node.op) not in _ARITHMETIC:
            raise not_implemented()
        work = _ARITHMETIC[type(node.op)]
        left, right = self._typed(node.left, _NUMBER), self._typed(node.right, _NUMBER)

        def result(row: Row) -> Decimal | None:
            a, b = left(row), right(row)
            return None if a is None or b is None or (work is operator.truediv and not b) else work(a, b)

        return _Term(_NUMBER, result)

    def _call(self, node: Any) -> _Term:
        if node.func.name not in _FUNCTIONS:
            raise not_implemented()
        wanted, result, work = _FUNCTIONS[node.func.name]
        arguments = [self._typed(each, kind) for each, kind in zip(node.args, wanted, strict=False)]

        def value(row: Row) -> Any:
            given = [get(row) for get in arguments]
            return None if None in given else work(*given)

        return _Term(result, value)

    def _enum_member(self, node: Any) -> _Term:
        qualified, (member,) = _full_name(node.func), node.args
        prefix, _, name = qualified.rpartition(".")
        members = self._db.model.enums.get(name, ()) if prefix == self._namespace else ()
        if not isinstance(member, ast.String) or member.val not in members:
            raise malformed(f"'{qualified}' has no member {member!r} in this service.", "ODP_UNKNOWN_ENUM")
        return _Term(qualified, lambda row: member.val, literal=member.val, constant=True)

    def _boolean(self, node: Any) -> Get:
        return self._typed(node, _BOOLEAN)

    def _typed(self, node: Any, kind: str) -> Get:
        term = self._term(node)
        if term.type != kind:
            raise incompatible(kind, term.type)
        return term.get

    def _spans(self, node: Any) -> Spans | None:
        """Which stretch of the key order can satisfy the node, as far as the first key column says so."""
        if isinstance(node, ast.BoolOp):
            left, right = self._spans(node.left), self._spans(node.right)
            if isinstance(node.op, ast.And):
                return _both(left, right) if left and right else left or right
            return _either(left, right) if left and right else None
        if not isinstance(node, ast.Compare) or not isinstance(node.left, ast.Identifier):
            return None
        if _full_name(node.left) != self._entity.keys[0] or not isinstance(node.right, ast._Literal):
            return None
        word = "eq" if isinstance(node.comparator, ast.Eq) else _ORDER.get(type(node.comparator), ("", None))[0]
        value = _literal(node.right).literal
        return (lambda table: [table.span(word, value)]) if word and value is not None else None


def _parse(text: str) -> Any:
    """Hand the text to odata-query, with what its grammar lacks rewritten to what it has."""
    if "\0" in text:
        raise malformed("A character in the filter is not allowed.")

    def rewrite(found: re.Match[str]) -> str:
        token = found.group()
        if not token.endswith("'"):  # a word: the lexer would take AllowedDueDays for `all` and a rest, and EQ for eq
            if token.lower() in _WORDS and token not in _WORDS:
                raise malformed(f"'{token}' must be in lower case.")
            return _MARK + token if _SWALLOWED.match(token) else token
        prefix, quote, rest = token.partition("'")
        return f"{prefix}({quote}{rest})" if "." in prefix else token  # Ns.Type'Member' → Ns.Type('Member')

    try:
        return ODataParser().parse(ODataLexer().tokenize(_TOKEN.sub(rewrite, text)))
    except exceptions.UnknownFunctionException as error:
        raise malformed(str(error)) from None
    except exceptions.ODataException as error:
        raise malformed(f"The filter '{text[:200]}' is not well formed: {error}") from None


def _full_name(node: Any) -> str:
    return ".".join((*node.namespace, node.name)).removeprefix(_MARK)


def _literal(node: Any) -> _Term:
    kind: str
    value: str | Decimal | bool | None
    match node:
        case ast.Null():
            kind, value = "null", None
        case ast.String(val=text):
            kind, value = _TEXT, text
        case ast.Integer(val=text) | ast.Float(val=text):
            kind, value = _NUMBER, Decimal(text)
        case ast.Boolean(val=text):
            kind, value = _BOOLEAN, text == "true"
        case ast.Date(val=text):
            kind, value = "Edm.Date", text
        case ast.DateTime(val=text):
            kind, value = "Edm.DateTimeOffset", _moment(text)
        case _:
            raise incompatible("a primitive type", f"Edm.{type(node).__name__}")
    return _Term(kind, lambda row: value, literal=value, constant=True)


def _moment(text: str) -> str:
    whole = timestamp(text)
    if whole is None:
        raise malformed(f"'{text}' is not a timestamp with a zone.")
    fraction = re.search(r"\.\d*[1-9]", text)
    return whole[:-1] + (fraction.group() if fraction else "")


def _both(left: Spans, right: Spans) -> Spans:
    def spans(table: Table) -> list[Span]:
        crossed = ((max(a, c), min(b, d)) for a, b in left(table) for c, d in right(table))
        return _tidy([(low, high) for low, high in crossed if low < high])

    return spans


def _either(left: Spans, right: Spans) -> Spans:
    return lambda table: _tidy([*left(table), *right(table)])


def _tidy(spans: Sequence[Span]) -> list[Span]:
    """In order and without overlap."""
    tidy: list[Span] = []
    for low, high in sorted(spans):
        if tidy and low <= tidy[-1][1]:
            tidy[-1] = (tidy[-1][0], max(high, tidy[-1][1]))
        else:
            tidy.append((low, high))
    return tidy
