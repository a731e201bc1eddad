"""Lines of orders, quotes, invoices and deals: as rows of a subform, or as a readable block in a description. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import msgspec

from ml_connector.domain import UNSET, Line, Ref
from ml_connector.errors import RecordRejected
from ml_connector_zoho_crm.convert import DECIMAL, TEXT, Codec, checked, custom, lookup
from ml_connector_zoho_crm.settings import Subform
from ml_connector_zoho_crm.wire import Field, Vendor

BLOCK_START: Final = "[order lines, kept by ml-connector]"
BLOCK_END: Final = "[end of order lines]"

_HUNDRED: Final = Decimal(100)
_CENT: Final = Decimal("0.01")
_PRODUCT: Final = lookup("product")


class Cell(msgspec.Struct, frozen=True):
    """One field of a line. ``write`` is None where Zoho computes it."""

    field: str
    api: str
    codec: Codec
    write: Any = None


class LinePlan(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A subform as this organisation has it."""

    subform: str  # API name on the parent record
    cells: tuple[Cell, ...]
    key: str | None  # API name of the field that holds the line's key; None: matched by product and position
    needs_product: bool
    discount: str | None = None  # API name of the discount, an amount at Zoho

    @cached_property
    def _written(self) -> tuple[tuple[int, str, Callable[[Any], Any]], ...]:
        """Where in a line the value stands, where it goes, and by what."""
        places = {field: place for place, field in enumerate(Line.__struct_fields__)}
        return tuple((places[cell.field], cell.api, cell.write) for cell in self.cells if cell.write is not None)

    @property
    def select(self) -> tuple[str, ...]:
        """API names of what a query of the subform's module asks for."""
        named = [cell.api for cell in self.cells] + [api for api in (self.key, self.discount) if api]
        return tuple(dict.fromkeys(["id", "Parent_Id", *named]))

    def read(self, rows: Sequence[Vendor]) -> tuple[Line, ...]:
        """Lines in the order of the rows; a row without key is known by its own id."""
        return tuple(map(self._line, rows))

    def _line(self, row: Vendor) -> Line:
        values: dict[str, Any] = {}
        for cell in self.cells:
            if cell.api in row:
                raw = row[cell.api]
                values[cell.field] = None if raw is None or raw == "" else cell.codec.read(raw)
        key = row.get(self.key) if self.key else None
        discount = row.get(self.discount) if self.discount else None
        if discount is not None:
            whole = (values.get("quantity") or 0) * (values.get("unit_price") or 0)
            values["discount_percent"] = (Decimal(discount) * _HUNDRED / whole).quantize(_CENT) if whole else Decimal()
        return Line(key=str(key or row.get("id") or ""), **values)

    def rows(self, lines: Sequence[Line], products: Mapping[str, str]) -> list[Vendor]:
        """What the lines look like at Zoho; ``products`` names products by stock keeping unit. Raises RecordRejected."""
        return [self._row(line, products) for line in lines]

    def _row(self, line: Line, products: Mapping[str, str]) -> Vendor:
        row: Vendor = {self.key: line.key} if self.key else {}
        if products and not isinstance(line.product, Ref) and isinstance(line.sku, str) and line.sku in products:
            line = msgspec.structs.replace(line, product=Ref("product", products[line.sku]))
        if self.needs_product and not isinstance(line.product, Ref):
            raise RecordRejected(
                f"line {line.key} names no product that Zoho knows (item {line.sku or 'unset'}), and Zoho demands one per line",
                code="MANDATORY_NOT_FOUND",
                field="lines",
                fix="Bring products over first (a product flow), or set order_lines to another way",
            )
        told, place = msgspec.structs.astuple(line), 0
        try:
            for place, api, write in self._written:
                if (value := told[place]) is not UNSET:
                    row[api] = write(value)
        except RecordRejected as error:
            error.field = f"lines.{Line.__struct_fields__[place]}"
            error.what = f"line {line.key}: {error.what}"
            raise
        if self.discount and isinstance(line.discount_percent, Decimal):
            row[self.discount] = _discount(line)
        return row

    def changes(self, wanted: Sequence[Vendor], present: Sequence[Vendor]) -> list[Vendor]:
        """Rows to send so that the lines become exactly ``wanted``: changed cells by row id, new rows, ``_delete`` for others.

        Rows that are not mentioned stay as they are (Zoho, subforms), so nothing is sent for equal ones.
        """
        standing = dict(zip(self._names(present), present, strict=True))
        sent: list[Vendor] = []
        for name, row in zip(self._names(wanted), wanted, strict=True):
            there = standing.pop(name, None)
            if there is None:
                sent.append(row)
            elif changed := {api: value for api, value in row.items() if _bare(value) != _bare(there.get(api))}:
                sent.append({"id": there["id"], **changed})
        return sent + [{"id": row["id"], "_delete": None} for row in standing.values()]

    def _names(self, rows: Sequence[Vendor]) -> list[tuple[str, int]]:
        """What a row is known by: its key, else its product; and which of its namesakes it is."""
        product = next((cell.api for cell in self.cells if cell.field == "product"), "")
        counts: Counter[str] = Counter()
        names: list[tuple[str, int]] = []
        for row in rows:
            name = str(_bare(row.get(self.key or product)) or "")
            counts[name] += 1
            names.append((name, counts[name]))
        return names


def _discount(line: Line) -> Decimal:
    assert isinstance(line.discount_percent, Decimal)
    if not isinstance(line.quantity, Decimal) or not isinstance(line.unit_price, Decimal):
        if not line.discount_percent:
            return Decimal()
        raise RecordRejected(
            f"line {line.key} has a discount in percent but no quantity and price, and Zoho keeps discounts as amounts",
            code="DEPENDENT_FIELD_MISSING",
            field="lines.discount_percent",
        )
    return (line.quantity * line.unit_price * line.discount_percent / _HUNDRED).quantize(_CENT)


def _bare(value: Any) -> Any:
    """A cell for comparison: lookups by id, empty as null."""
    if isinstance(value, dict):
        return str(value.get("id"))
    return None if value == "" else value


_INVENTORY: Final[tuple[tuple[str, tuple[str, ...], Codec, bool], ...]] = (
    ("product", ("Product_Name",), _PRODUCT, True),
    ("quantity", ("Quantity", "quantity"), DECIMAL, True),
    ("unit_price", ("List_Price", "ListPrice", "list_price"), DECIMAL, True),
    ("description", ("Description",), TEXT, True),
    ("net", ("Total_After_Discount",), DECIMAL, False),
    ("tax", ("Tax",), DECIMAL, False),
    ("gross", ("Net_Total",), DECIMAL, False),
)
"""Vendor material spells some line fields in several ways: the first that the organisation's metadata has counts."""


def inventory_plan(subform: str, fields: Mapping[str, Field], key: str) -> LinePlan:
    """Plan of a standard line-item subform."""
    cells = []
    for name, spellings, codec, writes in _INVENTORY:
        field = next((fields[api] for api in spellings if api in fields), None)
        if field is not None:
            cells.append(Cell(name, field.api_name, codec, checked(codec, field) if writes else None))
    return LinePlan(
        subform=subform,
        cells=tuple(cells),
        key=key if key in fields else None,
        needs_product=True,
        discount="Discount" if "Discount" in fields else None,
    )


def custom_plan(settings: Subform, fields: Mapping[str, Field]) -> LinePlan:
    """Plan of a custom subform of Deals; what the subform does not have is left out."""
    cells = []
    for name, api in settings.fields.items():
        field = fields.get(api)
        codec = custom(field) if field else None
        if field is not None and codec is not None:
            if name == "product" and field.data_type == "lookup":
                codec = _PRODUCT
            elif name == "product":
                continue
            cells.append(Cell(name, api, codec, checked(codec, field) if field.writable else None))
    return LinePlan(subform=settings.name, cells=tuple(cells), key=settings.key, needs_product=False)


def block(lines: Sequence[Line]) -> str:
    """Lines for people, one a row, between markers by which the block is found again."""
    return "\n".join([BLOCK_START, *map(_told, lines), BLOCK_END])


def _told(line: Line) -> str:
    quantity = " ".join(str(part) for part in (_plain(line.quantity), line.unit) if part)
    price = f"at {_plain(line.unit_price)}" if _plain(line.unit_price) else ""
    net = f"= {_plain(line.net)}" if _plain(line.net) else ""
    wanted = f"wanted {line.wanted_on}" if line.wanted_on else ""
    parts = (line.key, line.sku, line.description, quantity, price, net, wanted, line.status)
    return " | ".join(" ".join(str(part).split()) for part in parts if part)


def _plain(value: Any) -> str:
    return format(value, "f") if isinstance(value, Decimal) else ""


def free_text(description: str | None) -> str | None:
    """The description without the block: what people wrote."""
    if not description or BLOCK_START not in description:
        return description
    before, _, rest = description.partition(BLOCK_START)
    _, _, behind = rest.partition(BLOCK_END)
    return "\n".join(part for part in (before.strip(), behind.strip()) if part) or None


def block_of(description: str | None) -> str | None:
    """The block alone, markers included, if there is one."""
    if not description or BLOCK_START not in description:
        return None
    start = description.index(BLOCK_START)
    end = description.find(BLOCK_END, start)
    return description[start:] if end < 0 else description[start : end + len(BLOCK_END)]


def joined(text: str | None, lines_block: str | None) -> str | None:
    """Free text and block as one description."""
    return "\n\n".join(part for part in (text, lines_block) if part) or None
