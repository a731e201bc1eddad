"""The fields that Zoho works out by itself: full names, probabilities, expected revenue, totals of lines and orders."""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from ml_connector_zoho_crm.twin.catalogue import CURRENCIES, PIPELINE, STAGES
from ml_connector_zoho_crm.twin.table import Row

CENT = Decimal("0.01")


def on_insert(module: str, fields: Mapping[str, Any], values: Row) -> None:
    """Fill what a new record gets when nothing was said: currency, rate, pipeline, status, line price of zero."""
    if "Currency" in fields:
        currency = values.setdefault("Currency", next(iter(CURRENCIES))) or next(iter(CURRENCIES))
        values["Currency"] = currency
        values.setdefault("Exchange_Rate", Decimal(CURRENCIES.get(currency, "1")))
    if module == "Deals":
        values.setdefault("Pipeline", PIPELINE)
    if module == "Products":
        values.setdefault("Product_Active", True)


def on_write(module: str, before: Mapping[str, Any], values: Row) -> None:
    """Add to ``values`` what follows from them; ``before`` is the record as it stands, {} for a new one."""
    rule = _RULES.get(module)
    if rule is not None:
        rule(before, values)


def _contact(before: Mapping[str, Any], values: Row) -> None:
    if "First_Name" in values or "Last_Name" in values:
        names = (values.get(name, before.get(name)) for name in ("First_Name", "Last_Name"))
        values["Full_Name"] = " ".join(name for name in names if name)


def _deal(before: Mapping[str, Any], values: Row) -> None:
    if "Stage" in values and "Probability" not in values and values["Stage"] != before.get("Stage"):
        values["Probability"] = STAGES.get(values["Stage"], (50, "Open"))[0]
    if "Amount" in values or "Probability" in values:
        amount = values.get("Amount", before.get("Amount"))
        chance = values.get("Probability", before.get("Probability"))
        values["Expected_Revenue"] = None if amount is None or chance is None else _round(amount * chance / 100)


_RULES: dict[str, Callable[[Mapping[str, Any], Row], None]] = {"Contacts": _contact, "Deals": _deal}


def line_totals(line: Mapping[str, Any], unit_price: Decimal | None) -> Row:
    """What a line item comes to; ``unit_price`` is the product's, used when the line names no price."""
    price = line.get("List_Price")
    if price is None:
        price = unit_price or Decimal("0.00")
    total = _round((line.get("Quantity") or Decimal()) * price)
    after = total - (line.get("Discount") or Decimal())
    tax = _tax(after, line.get("Line_Tax"))
    return {"List_Price": price, "Total": total, "Total_After_Discount": after, "Tax": tax, "Net_Total": after + tax}


def order_totals(lines: Sequence[Row], before: Mapping[str, Any], values: Row) -> Row:
    """Sub-total, tax and grand total of a quote, order or invoice; header taxes come from ``$line_tax``."""

    def stands(name: str) -> Decimal:
        return values.get(name, before.get(name)) or Decimal("0.00")

    subtotal = sum((line["Net_Total"] for line in lines), Decimal("0.00"))
    taxes = values.get("$line_tax", before.get("$line_tax"))
    tax = _tax(subtotal - stands("Discount"), taxes)
    return {"Sub_Total": subtotal, "Tax": tax, "Grand_Total": subtotal - stands("Discount") + tax + stands("Adjustment")}


def _tax(base: Decimal, taxes: Sequence[Mapping[str, Any]] | None) -> Decimal:
    return _round(sum((base * tax["percentage"] / 100 for tax in taxes or ()), Decimal()))


def _round(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)
