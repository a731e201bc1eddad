"""Conditions on records, shared by COQL, search and bulk read: a column, an operator, a value, made into a test of a row."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from ml_connector_zoho_crm.twin.checks import instant
from ml_connector_zoho_crm.twin.org import Org
from ml_connector_zoho_crm.twin.schema import NUMBERS, PERSONS, TEXTS, Field
from ml_connector_zoho_crm.twin.table import Row, Table

Test: TypeAlias = Callable[[Row], bool]
Getter: TypeAlias = Callable[[Row], Any]

LISTED = ("in", "not in")
RANGE = ("between", "not between")
PATTERN = ("like", "not like")
EQUALITY = ("=", "!=", *LISTED, "is null", "is not null")
ORDER = (">", ">=", "<", "<=", *RANGE)


class BadCriterion(Exception):
    """A criterion that cannot be asked; ``reason`` is for people, the rest for ``details``."""

    def __init__(self, reason: str, column: str, operator: str = "") -> None:
        super().__init__(reason)
        self.reason, self.column, self.operator = reason, column, operator


class Column:
    """A field of the module, or of a record that lookups lead to: ``Account_Name.Account_Name``."""

    def __init__(self, org: Org, table: Table, path: str, depth: int) -> None:
        self.path = path
        *hops, name = path.split(".")
        if len(hops) > depth:
            raise BadCriterion(f"more than {depth} joins", path)
        self.hops: list[tuple[str, Table]] = []
        for hop in hops:
            lookup = table.module.fields.get(hop)
            if lookup is None or lookup.data_type != "lookup" or lookup.target not in org.tables:
                raise BadCriterion("column given seems to be invalid", path)
            table = org.tables[lookup.target]
            self.hops.append((hop, table))
        self.table, self.name = table, name
        self.field: Field | None = table.module.fields.get(name)
        if self.field is None and name != "id":
            raise BadCriterion("column given seems to be invalid", path)
        self.kind = "id" if self.field is None else self.field.data_type
        if self.kind in ("subform", "multiselectlookup", "profileimage", "fileupload"):
            raise BadCriterion("column is not supported", path)

    def getter(self) -> Getter:
        """Reads the stored value from a row of the module that was asked."""
        name = self.name
        if not self.hops:
            return lambda row: row.get(name)
        hops = self.hops

        def read(row: Row) -> Any:
            for lookup, table in hops:
                found = table.rows.get(row.get(lookup) or "")
                if found is None:
                    return None
                row = found
            return row.get(name)

        return read

    def value(self, text: Any, operator: str) -> Any:
        """A literal as the field stores it, ready for comparison. Raises BadCriterion when it cannot be one."""
        try:
            if self.kind == "datetime":
                return instant(text)
            if self.kind in NUMBERS:
                if isinstance(text, bool):
                    raise ValueError("not a number")
                return Decimal(str(text))
            if self.kind == "boolean":
                return {"true": True, "false": False}[str(text).lower()]
        except (ValueError, KeyError, InvalidOperation):
            raise BadCriterion("invalid value", self.path, operator) from None
        if isinstance(text, dict):
            text = text.get("id")
        if not isinstance(text, str | int):
            raise BadCriterion("invalid value", self.path, operator)
        return str(text).zfill(19) if self.kind == "id" else self.table.key(self.name, str(text))


def test(column: Column, operator: str, value: Any) -> Test:
    """The test of one criterion. ``value`` is a literal, a list for in and between, ignored for is null."""
    _check_operator(column, operator)
    get, key, name = column.getter(), column.table.key, column.name
    if operator == "is null":
        return lambda row: get(row) is None
    if operator == "is not null":
        return lambda row: get(row) is not None
    if operator in PATTERN:
        return _like(get, str(value), negated=operator == "not like")
    if operator in (*LISTED, *RANGE) and not (isinstance(value, list) and value and (operator in LISTED or len(value) == 2)):
        raise BadCriterion("Please check the value of the field", column.path, operator)
    if operator in LISTED:
        wanted = {column.value(one, operator) for one in value}
        if operator == "in":
            return lambda row: (held := get(row)) is not None and key(name, held) in wanted
        return lambda row: (held := get(row)) is None or key(name, held) not in wanted
    if operator in RANGE:
        low, high = (column.value(one, operator) for one in value)
        inside = operator == "between"
        return lambda row: (held := get(row)) is not None and (low <= held <= high) == inside
    one = column.value(value, operator)
    folded = column.kind in TEXTS
    if operator == "=":
        return (
            (lambda row: (held := get(row)) is not None and key(name, held) == one) if folded else lambda row: get(row) == one
        )
    if operator == "!=":
        return (lambda row: (held := get(row)) is None or key(name, held) != one) if folded else lambda row: get(row) != one
    return _ordered(get, operator, one)


def _check_operator(column: Column, operator: str) -> None:
    kind = column.kind
    if kind == "textarea":
        raise BadCriterion("column is not filterable", column.path, operator)  # multi-line fields cannot be filtered
    allowed: tuple[str, ...] = EQUALITY
    if kind in NUMBERS or kind in ("id", "date", "datetime"):
        allowed += ORDER
    elif kind in TEXTS:
        allowed += PATTERN
    elif kind not in PERSONS and kind not in ("lookup", "boolean"):
        allowed = ("is null", "is not null")
    if operator not in allowed:
        raise BadCriterion("invalid operator found", column.path, operator)


def _ordered(get: Getter, operator: str, one: Any) -> Test:
    if operator == ">":
        return lambda row: (held := get(row)) is not None and held > one
    if operator == ">=":
        return lambda row: (held := get(row)) is not None and held >= one
    if operator == "<":
        return lambda row: (held := get(row)) is not None and held < one
    return lambda row: (held := get(row)) is not None and held <= one


def _like(get: Getter, pattern: str, *, negated: bool) -> Test:
    expression = re.compile(".*".join(re.escape(part) for part in pattern.split("%")), re.IGNORECASE | re.DOTALL)

    def check(row: Row) -> bool:
        held = get(row)
        return negated if held is None else (expression.fullmatch(held) is not None) != negated

    return check
