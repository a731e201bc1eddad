"""What expressions say about a record, and what is refused before any record comes."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.errors import RecordRejected
from ml_connector_adapters.expressions import compile_condition, compile_expression, paths_of, tables_of

TABLES = {"order_stage": {"Released": "Negotiation/Review", "4711": "Region North", "true": "yes", "12.50": "dozen"}}
ORDER: dict[str, Any] = {
    "number": "10042",
    "status": "Released",
    "total": {"amount": Decimal("12.50"), "currency": "EUR"},
    "wanted_on": "2026-03-01",
    "lines": [
        {"key": "1", "sku": "BOLT-8", "quantity": Decimal("3"), "net": Decimal("0.10")},
        {"key": "2", "sku": "NUT-8", "quantity": Decimal("1"), "net": Decimal("0.20")},
    ],
    "extra": {"cost_center": "4711", "rush": True, "weight": 7, "notes": None},
}


def say(text: str, data: Any = ORDER) -> Any:
    return compile_expression(text, TABLES)(data)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lookup('order_stage', status)", "Negotiation/Review"),
        ("lookup('order_stage', number, 'Qualification')", "Qualification"),
        ("lookup('order_stage', number, `null`)", None),
        ("lookup('order_stage', extra.notes)", None),
        ("lookup('order_stage', extra.rush)", "yes"),
        ("lookup('order_stage', total.amount)", "dozen"),
        ("decimal('1.005')", Decimal("1.005")),
        ("decimal(extra.notes)", None),
        ("to_number(number)", Decimal("10042")),
        ("to_number(status)", None),
        ("to_number(extra.rush)", None),
        ("sum(lines[].net)", Decimal("0.30")),
        ("avg(lines[].net)", Decimal("0.15")),
        ("max(lines[].net)", Decimal("0.20")),
        ("max_by(lines, &net).sku", "NUT-8"),
        ("sort_by(lines, &quantity)[0].sku", "NUT-8"),
        ("ceil(total.amount)", 13),
        ("abs(`-1.5`)", Decimal("1.5")),
        ("round(decimal('2.345'), `2`)", Decimal("2.35")),
        ("round(total.amount)", Decimal("13")),
        ("round(`1250`, `-2`)", Decimal("1300")),
        ("round(extra.notes, `2`)", None),
        ("upper(status)", "RELEASED"),
        ("lower(status)", "released"),
        ("trim('  Acme ')", "Acme"),
        ("upper(extra.notes)", None),
        ("concat(number, '/', extra.notes, total.amount)", "10042/12.50"),
        ("join(', ', lines[].sku)", "BOLT-8, NUT-8"),
        ("coalesce(extra.notes, extra.missing, 'none')", "none"),
        ("coalesce(extra.notes, '')", ""),
        ("replace(number, '0', 'O')", "1OO42"),
        ("split('a;b', ';')", ["a", "b"]),
        ("date('2026-03-01T23:30:00Z')", "2026-03-01"),
        ("date(wanted_on)", "2026-03-01"),
        ("type(total.amount)", "number"),
        ("to_string(total.amount)", "12.50"),
        ("to_string(total)", '{"amount":12.50,"currency":"EUR"}'),
        ("lines[?net > `0.1`].sku | [0]", "NUT-8"),
        ("lines[-1].sku", "NUT-8"),
        ("lines[7].sku", None),
        ("number.amount", None),
        ("extra.*", ["4711", True, 7]),
        ("{no: number, first: lines[0].sku}", {"no": "10042", "first": "BOLT-8"}),
    ],
)
def test_what_an_expression_says_about_an_order(text: str, told: Any) -> None:
    said = say(text)
    assert said == told
    assert type(said) is type(told)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("total.amount > `0`", True),
        ("total.amount == `12.5`", True),
        ("total.amount >= `12.51`", False),
        ("status", True),
        ("extra.notes", False),
        ("`0`", True),
        ("''", False),
        ("lines[?sku == 'SCREW']", False),
        ("extra.rush == `1`", False),
        ("status > extra.notes", False),
        ("!extra.rush", False),
        ("!lines[?sku == 'SCREW'] && !extra.notes == `true`", True),
        ("!extra.notes && (extra.weight < `8` || number)", True),
    ],
)
def test_what_counts_as_true_in_a_condition(text: str, holds: bool) -> None:
    assert compile_condition(text, TABLES)(ORDER) is holds


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**12), max_value=10**12))
def test_every_digit_of_a_number_in_an_expression_counts(number: Decimal) -> None:
    assert say(f"`{number}`") == number
    assert compile_condition(f"@ == `{number}`", {})(number) is True
    assert compile_condition(f"@ > `{number}`", {})(number + Decimal("0.001")) is True


def test_a_literal_longer_than_a_float_keeps_its_digits() -> None:
    assert say("`12345678901234567.89`") == Decimal("12345678901234567.89")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lookup('order_stage', number)", 'table order_stage has no entry for "10042". Add it to [tables.order_stage]'),
        ("lookup('order_stage', lines)", "lookup() takes a single value, it was given a list"),
        ("decimal(status)", 'decimal() cannot read "Released" as a number'),
        ("decimal('1e999999999')", "decimal() cannot read"),
        ("decimal('NaN')", "decimal() cannot read"),
        ("sum(lines[].sku)", "sum() was given a text, it takes array of number"),
        ("starts_with(extra.notes, 'A')", "starts_with() was given nothing, it takes string"),
        ("status > `1`", "a text meets a number"),
        ("date(status)", 'date() cannot read "Released" as a date'),
        ("round(status)", 'round() takes a number and a count of digits, it was given "Released"'),
        ("split(status, '')", "split() takes a text to split at"),
        ("replace(status, '', 'x')", "replace() takes a text to look for"),
        ("upper(lines)", "upper() takes a single value, it was given a list"),
        ("sort_by(lines, &product)", "sort_by() was given an object"),
    ],
)
def test_a_record_that_an_expression_cannot_take_is_set_aside_with_the_reason(text: str, told: str) -> None:
    with pytest.raises(RecordRejected) as caught:
        say(text)
    assert told in str(caught.value)
    assert text in str(caught.value) or "[tables.order_stage]" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (" ", "it is empty"),
        ("status ==", "it ends too early, at character 10"),
        ("total.amount > 0", '"0" cannot stand at character 16. A number stands between backticks: `0`'),
        ("status = 'Planned'", "a single = at character 8. Compare with =="),
        ("status == 'Planned", "the quote ' is never closed at character 11"),
        ("status == `Planned`", "`Planned` is no JSON value at character 11. A text stands between single quotes"),
        ("total # 2", '"#" means nothing here at character 7'),
        ("lokup('order_stage', status)", 'there is no function lokup(). Did you mean "lookup"?'),
        ("lookup('order_stages', status)", 'there is no table "order_stages". Did you mean "order_stage"?'),
        ("lookup(status, 'order_stage')", "takes the table's name between single quotes"),
        ("lookup('order_stage')", "lookup() takes 2 to 3 arguments, not 1"),
        ("coalesce()", "coalesce() takes 1 or more arguments, not 0"),
        ("upper(status, number)", "upper() takes 1 argument, not 2"),
        ("(" * 5000 + "a", "nested too deeply"),
        ("!" * 400 + "a", "nested too deeply"),
    ],
)
def test_a_mistake_in_an_expression_is_told_in_words_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        compile_expression(text, TABLES)
    assert told in str(caught.value)


@given(st.text("ab.[]?*&|!=<>'\"`0-{}:,@()\\ ", max_size=12))
def test_whatever_is_typed_is_either_an_expression_or_told_as_a_mistake(text: str) -> None:
    try:
        expression = compile_expression(text, {})
    except ValueError as error:
        assert str(error)
        return
    try:
        expression({"a": [1, {"b": "x"}], "b": None})
    except RecordRejected as error:
        assert error.code == "EXPRESSION"


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("total.amount > `0` && status != 'Planned'", {"total.amount", "status"}),
        ("lines[?net > `0`].product.key | [0]", {"lines[].net", "lines[].product.key"}),
        ("lines[0].extra.color", {"lines[].extra.color"}),
        ("lines[:2].sku", {"lines[].sku"}),
        ("sum(lines[*].net)", {"lines[].net"}),
        ("sort_by(lines, &net)", {"lines", "lines[].net"}),
        ("bill_to.{city: city, land: country}", {"bill_to.city", "bill_to.country"}),
        ("concat(bill_to.city, ship_to.city)", {"bill_to.city", "ship_to.city"}),
        ("status | upper(@)", {"status"}),
        ("!extra.rush", {"extra.rush"}),
        ("extra.*", {"extra"}),
        ('"extra"."Cost Center"', {"extra.Cost Center"}),
        ("'Planned'", set()),
        ("@", set()),
    ],
)
def test_which_fields_an_expression_uses(text: str, paths: set[str]) -> None:
    assert paths_of(text) == paths


def test_which_tables_an_expression_looks_into() -> None:
    assert tables_of("coalesce(lookup('stage', status, `null`), lookup('type', type))") == {"stage", "type"}
