"""Compiled expressions say what JMESPath's own interpreter says, over expressions and data that nobody chose."""

from decimal import Decimal
from typing import Any

import jmespath
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_connector.errors import RecordRejected
from ml_connector_adapters.expressions import compile_condition, compile_expression
from ml_connector_adapters.expressions.functions import Pack

REFUSED = "refused"

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "y", Decimal("0.5"), Decimal("1.0")])
data = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
leaves = st.sampled_from(
    [
        *("a", "b", "c", "@", "a.b", "a.b.c", "*", "a.*"),
        *("a[0]", "a[-1].b", "a[0][1]", "[0]", "a[]", "a[].b", "a[*].b", "a[1:]"),
        *("'x'", "''", "`0`", "`1`", "`true`", "`false`", "`null`", "`[]`", "`{}`", "`[1, true]`"),
    ]
)


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "&&", "||", "|"]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        inner.map(lambda one: f"!({one})"),
        two.map(lambda pair: f"a[?{pair[0]}].{{k: {pair[1]}}}"),
        two.map(lambda pair: f"[{pair[0]}, {pair[1]}]"),
        two.map(lambda pair: f"not_null({pair[0]}, {pair[1]})"),
        two.map(lambda pair: f"map(&{pair[0]}, to_array({pair[1]}))"),
        two.map(lambda pair: f"contains(to_array({pair[0]}), {pair[1]})"),
        inner.map(lambda one: f"length({one})"),
        inner.map(lambda one: f"type({one})"),
    )


expressions = st.recursive(leaves, _larger, max_leaves=6)


def _theirs(text: str, record: Any) -> Any:
    try:
        return jmespath.search(text, record, jmespath.Options(custom_functions=Pack({})))
    except (ValueError, TypeError):
        return REFUSED


def _ours(text: str, record: Any) -> Any:
    try:
        return compile_expression(text, {})(record)
    except RecordRejected:
        return REFUSED


@settings(max_examples=400, deadline=None)
@given(expressions, data)
def test_a_compiled_expression_says_what_the_interpreter_says(text: str, record: Any) -> None:
    assert repr(_ours(text, record)) == repr(_theirs(text, record))  # repr tells 1 from true and 1.0


@settings(max_examples=200, deadline=None)
@given(expressions, data)
def test_a_condition_holds_where_a_filter_of_jmespath_keeps_the_record(text: str, record: Any) -> None:
    kept = _theirs(f"[?{text}]", [record])
    try:
        holds: Any = [record] if compile_condition(text, {})(record) else []
    except RecordRejected:
        holds = REFUSED
    assert holds == kept or (record is None and kept == [])  # a projection leaves null out
