"""Values and changes of the audit as commands tell them to people."""

import msgspec
import pytest

from ml_connector.domain import UNSET
from ml_connector.ports.state import Change
from ml_connector_adapters.runner.cli.common import in_words, shown

GEARBOX = {"key": "1", "product": {"kind": "product", "key": "77"}, "sku": "GB-12", "quantity": "2", "net": "50.00"}
BOLTS = {"key": "2", "sku": "B-8", "quantity": "100", "net": "25.00"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (UNSET, "(unknown)"),
        (None, "null"),
        ("Acme", '"Acme"'),
        ("Zoë 🚚", '"Zoë 🚚"'),
        ({"amount": "75.00", "currency": "EUR"}, "75.00 EUR"),
        (msgspec.Raw(b'{"amount":"75.00","currency":"EUR"}'), "75.00 EUR"),
        ({"amount": "75.00", "currency": ""}, "75.00"),
        ({"kind": "account", "key": "4711"}, "account 4711"),
        ({"street": "Main St 1", "city": None}, '{"street":"Main St 1","city":null}'),
        (GEARBOX, '{key: "1", product: product 77, sku: "GB-12", quantity: "2", net: "50.00"}'),
    ],
)
def test_money_references_and_lines_are_told_as_people_say_them(value: object, told: str) -> None:
    assert shown(value) == told


def test_of_an_orders_lines_only_what_changed_is_told() -> None:
    change = Change(field="lines", old=[GEARBOX, BOLTS], new=[BOLTS, {**GEARBOX, "quantity": "3", "net": "75.00"}])
    assert list(in_words(change)) == ['lines[1].quantity: "2" → "3"', 'lines[1].net: "50.00" → "75.00"']


def test_lines_that_come_and_go_are_told_whole() -> None:
    bolts = '{key: "2", sku: "B-8", quantity: "100", net: "25.00"}'
    assert list(in_words(Change(field="lines", old=[GEARBOX], new=[GEARBOX, BOLTS]))) == [f"lines[2]: no line → {bolts}"]
    assert list(in_words(Change(field="lines", old=[GEARBOX, BOLTS], new=[GEARBOX]))) == [f"lines[2]: {bolts} → no line"]
    assert list(in_words(Change(field="lines", new=[BOLTS]))) == [f"lines[2]: (unknown) → {bolts}"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Change(field="phone", old="1", new=None), 'phone: "1" → null'),
        (Change(field="phone", new="1"), 'phone: (unknown) → "1"'),
        (Change(field="lines", old=[], new=[]), "lines: [] → []"),
    ],
)
def test_any_other_change_is_told_from_old_to_new(change: Change, told: str) -> None:
    assert list(in_words(change)) == [told]
