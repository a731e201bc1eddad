"""Canonical entities → what IFS is sent: pure functions. What is not told is not sent; an empty text is null, as at Oracle."""

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

from ml_connector.domain import UNSET, Account, Address, Entity, Extra, Line, Money, Order, Ref, UnsetType
from ml_connector.errors import RecordRejected
from ml_connector_ifs_cloud.mapping import SALES_EXTRAS, Rules
from ml_connector_ifs_cloud.rows import CustomerAddress
from ml_connector_ifs_cloud.times import ServerTime

Values: TypeAlias = dict[str, Any]
"""Property → value as JSON will have it; Decimal for numbers."""

ACCOUNT: Final = {"name": "Name", "tax_id": "AssociationNo", "language": "DefaultLanguage"}
ORDER: Final = {
    "customer": "CustomerNo",
    "currency": "CurrencyCode",
    "type": "OrderId",
    "site": "Contract",
    "customer_reference": "CustomerPoNo",
    "payment_terms": "PayTermId",
    "delivery_terms": "DeliveryTerms",
    "salesperson": "SalesmanCode",
    "wanted_on": "WantedDeliveryDate",
}
LINE: Final = {
    "sku": "CatalogNo",
    "description": "CatalogDesc",
    "quantity": "BuyQtyDue",
    "unit_price": "SaleUnitPrice",
    "discount_percent": "Discount",
    "wanted_on": "WantedDeliveryDate",
}
"""Canonical field → property, of what can be written straight into a row."""
_DAYS: Final = frozenset(("WantedDeliveryDate",))
"""DateTimeOffsets in which a business date is kept."""
_STREET_LINES: Final = 6


def account(entity: Account, rules: Rules) -> Values:
    """The customer's own row."""
    return {**_plain(entity, ACCOUNT, rules.time), **_custom(entity, rules.extras, rules.time)}


def sales(entity: Account, rules: Rules) -> Values:
    """The sales settings, without which a customer cannot be put on an order."""
    return {**_plain(entity, {"currency": "CurrencyCode"}, rules.time), **_custom(entity, _sales_sources(rules), rules.time)}


def credit(entity: Account) -> Values:
    limit = entity.credit_limit
    told: Values = {"CreditBlock": bool(entity.credit_blocked)} if entity.credit_blocked is not UNSET else {}
    if limit is not UNSET:
        told["CreditLimit"] = limit.amount if isinstance(limit, Money) else None
    return told


def address(told: Address, use: str, row: CustomerAddress | None) -> Values:
    """An address; ``row`` is the one that stands there, whose region may be kept as its county."""
    values: Values = {}
    if told.street is not UNSET:
        lines = [line for line in (told.street or "").splitlines() if line.strip()]
        if len(lines) > _STREET_LINES:
            raise RecordRejected(
                f"the street has {len(lines)} lines, IFS has place for {_STREET_LINES}", code="TOO_LONG", field=f"{use}.street"
            )
        values |= {f"Address{n + 1}": lines[n] if n < len(lines) else None for n in range(_STREET_LINES)}
    region = "County" if row is not None and not row.State and row.County else "State"
    names = {"city": "City", "postal_code": "ZipCode", "country": "Country", "region": region}
    return values | {prop: value or None for name, prop in names.items() if (value := getattr(told, name)) is not UNSET}


def order(entity: Order, rules: Rules) -> Values:
    """The header of an order."""
    names = {**ORDER, "external_reference": rules.external_id}
    return {**_plain(entity, names, rules.time), **_custom(entity, rules.extras, rules.time)}


def mapped(entity: Entity, fields: Mapping[str, str], rules: Rules) -> Values:
    """The header of what is told property by property."""
    return {**_plain(entity, fields, rules.time), **_custom(entity, rules.extras, rules.time)}


def line(told: Line, rules: Rules) -> Values:
    """A line of an order. A product's id is its number as sales part."""
    values = _plain(told, LINE, rules.time)
    if isinstance(told.product, Ref):
        values["CatalogNo"] = told.product.key
    return values


def differing(wanted: Values, row: object) -> Values:
    """Only what the row does not hold already. A wanted day is held by any time of that day."""
    return {name: value for name, value in wanted.items() if not _same(name, value, getattr(row, name, UNSET))}


def _same(name: str, wanted: Any, present: Any) -> bool:
    if wanted is None:
        return present is None or present == ""
    if name in _DAYS and isinstance(wanted, str) and isinstance(present, str):
        return wanted[:10] == present[:10]
    return bool(wanted == present)


def _plain(entity: Entity | Line, names: Mapping[str, str], time: ServerTime) -> Values:
    told = {prop: getattr(entity, name) for name, prop in names.items()}
    return {
        prop: time.midnight(value) if prop in _DAYS and isinstance(value, dt.date) else _sent(value, time)
        for prop, value in told.items()
        if value is not UNSET
    }


def _custom(entity: Entity, sources: Mapping[str, str], time: ServerTime) -> Values:
    extra = entity.extra if isinstance(entity.extra, Extra) else Extra()
    return {source: _sent(extra[name], time) for name, source in sources.items() if name in extra}


def _sales_sources(rules: Rules) -> dict[str, str]:
    """A custom field of the same name stands on the customer itself."""
    return {name: source for name, source in SALES_EXTRAS.items() if name not in rules.extras}


def _sent(value: Any, time: ServerTime) -> str | bool | int | Decimal | None | UnsetType:
    match value:
        case "" | None:
            return None
        case Ref(key=key):
            return key
        case Money(amount=amount):
            return amount
        case dt.datetime():
            return time.text(value)
        case dt.date():
            return value.isoformat()
        case _:
            return value  # type: ignore[no-any-return]
