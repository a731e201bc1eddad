"""Records that belong to a record, lines and items of price lists: read, and compared with what shall be."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, Protocol
from zoneinfo import ZoneInfo

import msgspec

from ml_connector.domain import UNSET, Line, Price, Ref
from ml_connector.errors import RecordRejected
from ml_connector_dynamics365_sales.api import is_id
from ml_connector_dynamics365_sales.convert import DECIMAL, FAULTS, day, number, text
from ml_connector_dynamics365_sales.facts import Facts
from ml_connector_dynamics365_sales.mapping import Children
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.wire import Attribute, Vendor

NUMBER_MOST: Final = 1_000_000_000
_HUNDRED: Final = Decimal(100)
_CENT: Final = Decimal("0.01")
_BOUND: Final = re.compile(r"\(([0-9a-f-]{36})\)")
_CURRENCY_AMOUNT: Final = 1


class Item(msgspec.Struct, frozen=True):
    """A product as lines need to know it."""

    id: str
    number: str
    unit: str  # id of its default unit
    group: str  # id of its unit group
    sold: bool  # active, so that Dataverse takes it on lines


class Wanted(msgspec.Struct, frozen=True):
    """A child as it shall stand. ``name`` is what it is known by among its siblings."""

    name: str
    body: Vendor


class Change(msgspec.Struct, frozen=True):
    """One step from what stands to what shall: ``id`` None creates, ``body`` None deletes."""

    id: str | None
    body: Vendor | None


class ChildPlan(Protocol):
    """How one table of children is read and written here."""

    field: Literal["lines", "prices"]
    table: str
    entity_set: str
    id: str
    nav: str
    parent: str
    attributes: Mapping[str, Attribute]

    @property
    def expand(self) -> str: ...

    def read(self, rows: Sequence[Vendor], warnings: list[str]) -> Any: ...

    def products(self, told: Any) -> tuple[set[str], set[str]]:
        """Ids and numbers of the products that are named."""
        ...

    def wanted(self, told: Any, items: Sequence[Item], warnings: list[str]) -> list[Wanted]: ...

    def name_of(self, row: Vendor) -> str: ...


def changes(plan: ChildPlan, wanted: Sequence[Wanted], present: Sequence[Vendor]) -> list[Change]:
    """Steps after which exactly ``wanted`` stands: removals, then changed columns of what stays, then what is new."""
    standing = {plan.name_of(row): row for row in present}
    removed = [Change(row[plan.id], None) for row in present if standing[plan.name_of(row)] is not row]  # namesakes
    kept, new = [], []
    for child in wanted:
        row = standing.pop(child.name, None)
        if row is None:
            new.append(Change(None, child.body))
        elif _turned(child.body, row):
            removed.append(Change(row[plan.id], None))
            new.append(Change(None, child.body))
        elif different := {name: value for name, value in child.body.items() if not _same(name, value, row)}:
            kept.append(Change(row[plan.id], different))
    return [*removed, *(Change(row[plan.id], None) for row in standing.values()), *kept, *new]


def _turned(body: Vendor, row: Vendor) -> bool:
    """A write-in never becomes a catalogue line by update, nor the other way round."""
    return "isproductoverridden" in body and bool(body["isproductoverridden"]) != bool(row.get("isproductoverridden"))


def _same(name: str, value: Any, row: Vendor) -> bool:
    if name.endswith("@odata.bind"):
        match = _BOUND.search(value or "")
        return (match[1] if match else None) == row.get(f"_{name.removesuffix('@odata.bind')}_value")
    there = row.get(name)
    if isinstance(value, Decimal) and there is not None:
        return number(there) == value
    return bool(value == there)


class Lines:
    """Lines of an order, a quote or an opportunity.

    A line is known by ``line_key``; where the environment lacks that column, by ``lineitemnumber``: keys must be numbers.
    """

    field: Literal["lines", "prices"] = "lines"

    def __init__(
        self, where: Children, entity_set: str, key: str, attributes: Mapping[str, Attribute], settings: Settings, facts: Facts
    ) -> None:
        self.table, self.entity_set, self.id, self.nav, self.parent = where.table, entity_set, key, where.nav, where.parent
        self.attributes, self._facts, self._units, self._write_in = attributes, facts, settings.units, settings.unknown_items
        self._key = settings.line_key if settings.line_key in attributes else None
        self._wanted_on = (
            day(attributes["requestdeliveryby"], ZoneInfo(settings.date_zone)) if "requestdeliveryby" in attributes else None
        )

    @property
    def expand(self) -> str:
        names = [self.id, "_productid_value", "_uomid_value", "isproductoverridden", "productdescription", "description"]
        names += [
            "quantity",
            "priceperunit",
            "ispriceoverridden",
            "manualdiscountamount",
            "tax",
            "baseamount",
            "extendedamount",
        ]
        names += ["lineitemnumber", *([self._key] if self._key else []), *(["requestdeliveryby"] if self._wanted_on else [])]
        return f"{self.nav}($select={','.join(names)})"

    def name_of(self, row: Vendor) -> str:
        told = row.get(self._key) if self._key else row.get("lineitemnumber")
        return str(told) if told not in (None, "") else str(row[self.id])

    def read(self, rows: Sequence[Vendor], warnings: list[str]) -> tuple[Line, ...]:
        """Lines in the order of their numbers."""
        ordered = sorted(
            rows, key=lambda row: (row.get("lineitemnumber") is None, row.get("lineitemnumber") or 0, row[self.id])
        )
        lines = []
        for row in ordered:
            try:
                lines.append(self._line(row))
            except FAULTS as error:
                warnings.append(f"line {self.name_of(row)} could not be read: {error}")
        return tuple(lines)

    def _line(self, row: Vendor) -> Line:
        base, discount = row.get("baseamount"), row.get("manualdiscountamount")
        product, written_in = row.get("_productid_value"), bool(row.get("isproductoverridden"))
        whole = number(row.get("quantity") or 0) * number(row.get("priceperunit") or 0)
        percent = _percent(number(discount), whole) if discount is not None and whole else UNSET
        wanted_on = row.get("requestdeliveryby")
        return Line(
            key=self.name_of(row),
            product=Ref("product", product) if product else None,
            description=row.get("productdescription" if written_in else "description") or None,
            quantity=_decimal(row.get("quantity")),
            unit=self._facts.unit_name(row["_uomid_value"]) if row.get("_uomid_value") else None,
            unit_price=_decimal(row.get("priceperunit")),
            discount_percent=percent,
            net=None if base is None else number(base) - number(discount or 0),
            tax=_decimal(row.get("tax")),
            gross=_decimal(row.get("extendedamount")),
            wanted_on=self._wanted_on.read(wanted_on) if wanted_on and self._wanted_on else UNSET,
        )

    def products(self, told: Sequence[Line] | None) -> tuple[set[str], set[str]]:
        lines = told or ()
        ids = {line.product.key for line in lines if isinstance(line.product, Ref) and is_id(line.product.key)}
        return ids, {line.sku for line in lines if isinstance(line.sku, str) and line.sku and not isinstance(line.product, Ref)}

    def wanted(self, told: Sequence[Line] | None, items: Sequence[Item], warnings: list[str]) -> list[Wanted]:
        """Raises RecordRejected, naming the line."""
        by_id, by_number = {item.id: item for item in items}, {item.number.casefold(): item for item in items}
        found = []
        for line in told or ():
            item = by_id.get(line.product.key) if isinstance(line.product, Ref) else by_number.get((line.sku or "").casefold())
            try:
                found.append(Wanted(line.key, self._body(line, item, warnings)))
            except RecordRejected as error:
                error.what, error.field = f"line {line.key}: {error.what}", f"lines.{error.field}" if error.field else "lines"
                raise
        return found

    def _body(self, line: Line, item: Item | None, warnings: list[str]) -> Vendor:
        body: Vendor = {self._key: text(self.attributes[self._key]).write(line.key)} if self._key else {}
        if line.key.isascii() and line.key.isdigit() and int(line.key) < NUMBER_MOST:
            body["lineitemnumber"] = int(line.key)
        elif not self._key:
            raise RecordRejected(
                "the key is no whole number, and the environment has no column for it",
                code="NO_LINE_KEY",
                field="key",
                fix="Create the column that the setting line_key names (ml-connector ping --fix)",
            )
        body |= self._what(line, item, warnings)
        quantity = line.quantity if isinstance(line.quantity, Decimal) else Decimal(1)
        body["quantity"] = DECIMAL.write(quantity)
        if isinstance(line.unit_price, Decimal):
            body |= {"ispriceoverridden": True, "priceperunit": DECIMAL.write(line.unit_price)}
        if isinstance(line.discount_percent, Decimal):
            body["manualdiscountamount"] = self._discount(line, quantity)
        if line.tax is not UNSET:
            body["tax"] = None if line.tax is None else DECIMAL.write(line.tax)
        if line.wanted_on is not UNSET and self._wanted_on is not None:
            body["requestdeliveryby"] = None if line.wanted_on is None else self._wanted_on.write(line.wanted_on)
        return body

    def _what(self, line: Line, item: Item | None, warnings: list[str]) -> Vendor:
        """A catalogue line where Dataverse sells the product, else a write-in."""
        words = line.description if isinstance(line.description, str) and line.description else None
        if item is not None and item.sold:
            unit = item.unit
            if isinstance(line.unit, str) and line.unit:
                unit = self._facts.unit(self._units.get(line.unit, line.unit), item.group).id
            bound: Vendor = {"productid@odata.bind": f"/products({item.id})", "uomid@odata.bind": f"/uoms({unit})"}
            described = {} if line.description is UNSET else {"description": self._text("description", words)}
            return {"isproductoverridden": False, **bound, **described}
        named = isinstance(line.product, Ref) or bool(line.sku)
        if named and self._write_in == "reject":
            told = "is not active" if item is not None else "is unknown"
            raise RecordRejected(
                f"the product {line.sku or (line.product.key if isinstance(line.product, Ref) else '')} {told} in Dynamics",
                code="NO_PRODUCT",
                field="product",
                fix='Bring products over first, or set unknown_items = "write_in"',
            )
        if named and item is not None:
            warnings.append(f"line {line.key} is written in, because its product is not active")
        words = words or (line.sku if isinstance(line.sku, str) else None) or f"Line {line.key}"
        return {"isproductoverridden": True, "productdescription": self._text("productdescription", words)}

    def _text(self, column: str, words: str | None) -> str | None:
        try:
            return None if words is None else str(text(self.attributes[column]).write(words))
        except RecordRejected as error:
            error.field = "description"
            raise

    def _discount(self, line: Line, quantity: Decimal) -> Decimal:
        assert isinstance(line.discount_percent, Decimal)
        if not isinstance(line.unit_price, Decimal):
            if not line.discount_percent:
                return Decimal()
            raise RecordRejected(
                "a discount in percent and no price, and Dynamics keeps discounts as amounts",
                code="INVALID",
                field="discount_percent",
            )
        return _share(quantity * line.unit_price, line.discount_percent)


class Prices:
    """Items of a price list, one per product, in the product's default unit. Items in further units are left alone."""

    field: Literal["lines", "prices"] = "prices"

    def __init__(self, where: Children, entity_set: str, key: str, attributes: Mapping[str, Attribute]) -> None:
        self.table, self.entity_set, self.id, self.nav, self.parent = where.table, entity_set, key, where.nav, where.parent
        self.attributes = attributes

    @property
    def expand(self) -> str:
        names = (self.id, "_productid_value", "_uomid_value", "amount", "pricingmethodcode")
        return f"{self.nav}($select={','.join(names)})"

    def name_of(self, row: Vendor) -> str:
        return f"{row.get('_productid_value')} {row.get('_uomid_value')}"

    def read(self, rows: Sequence[Vendor], warnings: list[str]) -> tuple[Price, ...]:
        """Prices by product id. A product that is priced in several units, or by a percentage, is told in ``warnings``."""
        found: dict[str, Price] = {}
        for row in sorted(rows, key=self.name_of):
            product, amount = str(row.get("_productid_value")), row.get("amount")
            if row.get("pricingmethodcode", _CURRENCY_AMOUNT) != _CURRENCY_AMOUNT or amount is None:
                warnings.append(f"the price of product {product} is no amount")
            elif product in found:
                warnings.append(f"product {product} is priced in several units; one is told")
            else:
                found[product] = Price(product=Ref("product", product), amount=number(amount))
        return tuple(found.values())

    def products(self, told: Sequence[Price] | None) -> tuple[set[str], set[str]]:
        return {price.product.key for price in told or () if is_id(price.product.key)}, set()

    def wanted(self, told: Sequence[Price] | None, items: Sequence[Item], warnings: list[str]) -> list[Wanted]:
        """Raises RecordRejected for what a price list cannot hold."""
        by_id = {item.id: item for item in items}
        found = []
        for price in told or ():
            item = by_id.get(price.product.key)
            if item is None:
                raise RecordRejected(
                    f"the product {price.product.key} is unknown in Dynamics", code="NO_PRODUCT", field="prices"
                )
            if isinstance(price.from_quantity, Decimal) and price.from_quantity > 1:
                raise RecordRejected(
                    f"a price from a quantity of {price.from_quantity} on; a price list keeps one per product and unit",
                    code="NO_PLACE",
                    field="prices",
                    fix="Leave prices for larger quantities out in the flow",
                )
            bound = {
                "productid@odata.bind": f"/products({item.id})",
                "uomid@odata.bind": f"/uoms({item.unit})",
                "amount": DECIMAL.write(price.amount),
                "pricingmethodcode": _CURRENCY_AMOUNT,
            }
            found.append(Wanted(f"{item.id} {item.unit}", bound))
        return found


def _share(base: Decimal, percent: Decimal) -> Decimal:
    return (base * percent / _HUNDRED).quantize(_CENT)


def _percent(amount: Decimal, base: Decimal) -> Decimal:
    """The percentage of two digits that makes this amount, or of as many more as it takes."""
    exact = amount * _HUNDRED / base
    told = (round(exact, digits) for digits in range(2, 10))
    return next((percent for percent in told if _share(base, percent) == amount), round(exact, 10))


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else number(value)
