"""``$filter`` compiled to a test on rows. Text compares without regard to case, as SQL Server does it."""

import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, TypeAlias

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser

from ml_connector_dynamics365_sales.twin.schema import Table
from ml_connector_dynamics365_sales.twin.store import Row
from ml_connector_dynamics365_sales.twin.wire import MALFORMED, Refused

Test: TypeAlias = Callable[[Row], bool]
Get: TypeAlias = Callable[[Row], Any]

CONDITIONS: Final = 500
"""Of one query (FetchXml reference, "filter": 0 to 500 conditions)."""
_TOO_MANY: Final = "0x8004430c"

_ORDER: Final[dict[Any, Callable[[Any, Any], bool]]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}
_FUNCTIONS: Final[dict[str, Callable[[str, str], bool]]] = {
    "contains": lambda text, part: part in text,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


def compiled(table: Table, text: str) -> Test:
    """Raises Refused: 400 for what does not parse, does not exist or does not fit."""
    try:
        tree = ODataParser().parse(ODataLexer().tokenize(text))
    except (exceptions.ODataException, RecursionError) as error:
        raise Refused(400, MALFORMED, f"Syntax error in the filter: {str(error)[:200]}") from None
    if _conditions(tree) > CONDITIONS:
        raise Refused(400, _TOO_MANY, "Number of conditions in query exceeded maximum limit.")
    return _test(table, tree)


def _conditions(tree: Any) -> int:
    nodes, count = [tree], 0
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.BoolOp):
            nodes += [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            nodes.append(node.operand)
        else:
            count += 1
    return count


def _test(table: Table, node: Any) -> Test:
    match node:
        case ast.BoolOp(op=ast.Or()):
            return _any(table, node)
        case ast.BoolOp():
            left, right = _test(table, node.left), _test(table, node.right)
            return lambda row: left(row) and right(row)
        case ast.UnaryOp(op=ast.Not()):
            inner = _test(table, node.operand)
            return lambda row: not inner(row)
        case ast.Compare():
            return _compare(table, node)
        case ast.Call(func=ast.Identifier(name=name)) if name in _FUNCTIONS:
            return _call(table, name, node)
    raise Refused(400, MALFORMED, f"The filter holds what this service does not know: {type(node).__name__}")


def _any(table: Table, node: Any) -> Test:
    """A chain of ``or``; equalities of one property in it become one look into a set."""
    parts, flat = [node], []
    while parts:
        part = parts.pop()
        if isinstance(part, ast.BoolOp) and isinstance(part.op, ast.Or):
            parts += [part.left, part.right]
        else:
            flat.append(part)
    sets: dict[str, tuple[Get, set[Any]]] = {}
    tests: list[Test] = []
    for part in flat:
        if isinstance(part, ast.Compare) and isinstance(part.comparator, ast.Eq) and isinstance(part.left, ast.Identifier):
            get, value = _property(table, part.left), _literal(table, part.left, part.right)
            sets.setdefault(part.left.name, (get, set()))[1].add(value)
        else:
            tests.append(_test(table, part))
    members = list(sets.values())
    return lambda row: any(get(row) in values for get, values in members) or any(test(row) for test in tests)


def _compare(table: Table, node: Any) -> Test:
    get, value = _property(table, node.left), _literal(table, node.left, node.right)
    if isinstance(node.comparator, ast.Eq):
        return lambda row: bool(get(row) == value)
    if isinstance(node.comparator, ast.NotEq):
        return lambda row: bool(get(row) != value)
    holds = _ORDER.get(type(node.comparator))
    if holds is None:
        raise Refused(400, MALFORMED, "This comparison is not supported")

    def test(row: Row) -> bool:
        told = get(row)
        return told is not None and value is not None and holds(told, value)

    return test


def _call(table: Table, name: str, node: Any) -> Test:
    get, part, work = _property(table, node.args[0]), _literal(table, node.args[0], node.args[1]), _FUNCTIONS[name]
    return lambda row: isinstance(told := get(row), str) and work(told, part)


def _property(table: Table, node: Any) -> Get:
    column = table.by_wire(node.name) if isinstance(node, ast.Identifier) else None
    if column is None:
        told = getattr(node, "name", "?")
        raise Refused(
            400, MALFORMED, f"Could not find a property named '{told}' on type 'Microsoft.Dynamics.CRM.{table.name}'."
        )
    name = column.name
    if column.type in ("text", "memo"):
        return lambda row: value.casefold() if (value := row.values.get(name)) is not None else None
    return lambda row: row.values.get(name)


def _literal(table: Table, prop: Any, node: Any) -> Any:
    column = table.by_wire(prop.name)
    assert column is not None
    fits: tuple[str, ...]
    value: Any
    match node:
        case ast.Null():
            return None
        case ast.String(val=text):
            value, fits = text.casefold(), ("text", "memo")
        case ast.GUID(val=text):
            value, fits = text.lower(), ("guid", "lookup")
        case ast.Integer(val=text) | ast.Float(val=text):
            value, fits = Decimal(text), ("int", "dec", "money", "choice", "state", "status")
        case ast.Boolean(val=text):
            value, fits = text == "true", ("bool",)
        case ast.Date(val=text):
            value, fits = text, ("date",)
        case ast.DateTime(val=text):
            value, fits = text, ("instant",)
        case _:
            raise Refused(400, MALFORMED, "A literal was expected")
    if column.type not in fits:
        raise Refused(400, MALFORMED, f"A binary operator with incompatible types was detected on '{prop.name}'.")
    return value
