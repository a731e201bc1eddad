"""Lines of deals, which Pipedrive calls attached products. Pure.

An attached product has no field for a key, so the key stands at the head of its comment, with the item number that the ERP
knows: "[L:10|GB-12] Gearbox, painted". Lines that people added carry neither and go by their own id and their product's code.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from ml_connector.domain import UNSET, Line, Ref
from ml_connector.errors import RecordRejected
from ml_connector_pipedrive import convert
from ml_connector_pipedrive.convert import Unstorable
from ml_connector_pipedrive.wire import Vendor

_HEAD: Final = re.compile(r"\[L:([^\]|]*)(?:\|([^\]]*))?\] ?")
_ODD: Final = re.compile(r"[\[\]|\n]")


class LineChanges(msgspec.Struct, frozen=True):
    """What turns the lines that stand there into those that are wanted, and their keys afterwards."""

    keys: frozenset[str]
    add: list[Vendor]
    change: list[tuple[int, Vendor]]
    remove: list[int]

    def __bool__(self) -> bool:
        return bool(self.add or self.change or self.remove)


def read_lines(rows: Sequence[Vendor], fallback: str) -> tuple[Line, ...]:
    """In the order in which people see them. ``code`` on a row is its product's; ``fallback`` that of the one for others."""
    return tuple(_line(row, fallback) for row in sorted(rows, key=lambda row: (row.get("order_nr") or 0, row["id"])))


def _line(row: Vendor, fallback: str) -> Line:
    comment, code = row.get("comments") or "", row.get("code")
    head = _HEAD.match(comment)
    if head and fallback and code == fallback:
        code = head[2]
    percent = row.get("discount_type") == "percentage"
    return Line(
        key=_key(row),
        product=Ref("product", str(row["product_id"])),
        sku=code,
        description=(comment[head.end() :] if head else comment) or row.get("name"),
        quantity=convert.exact(row["quantity"]),
        unit_price=convert.exact(row["item_price"]),
        discount_percent=convert.exact(row.get("discount") or 0) if percent else UNSET,
    )


def _key(row: Vendor) -> str:
    head = _HEAD.match(row.get("comments") or "")
    return head[1] if head else f"#{row['id']}"


def missing_skus(lines: Sequence[Line]) -> list[str]:
    """Item numbers of lines that no product flow has named a product for."""
    return [line.sku for line in lines if not isinstance(line.product, Ref) and isinstance(line.sku, str) and line.sku]


def wanted_rows(lines: Sequence[Line], products: Mapping[str, int], fallback: int | None) -> dict[str, Vendor]:
    """Line key → what its attached product shall hold. ``products``: item number → id. Raises RecordRejected."""
    rows: dict[str, Vendor] = {}
    for line in lines:
        try:
            rows[line.key] = _row(line, products, fallback)
        except Unstorable as error:
            raise RecordRejected(f"line {line.key}: {error.what}", field="lines", fix=error.fix, code="NOT_STORABLE") from None
    return rows


def _row(line: Line, products: Mapping[str, int], fallback: int | None) -> Vendor:
    told = line.description if isinstance(line.description, str) else ""
    sku = f"|{line.sku}" if isinstance(line.sku, str) and line.sku else ""
    if _ODD.search(line.key) or _ODD.search(sku[1:]):
        raise Unstorable("neither its key nor its item number may hold [, ] or |")
    row: Vendor = {
        "product_id": _product(line, products, fallback),
        "quantity": convert.number(_or(line.quantity, Decimal(1))),
        "item_price": convert.number(_or(line.unit_price, Decimal(0))),
        "comments": f"[L:{line.key}{sku}] {told}".rstrip(),
        "discount": convert.number(_or(line.discount_percent, Decimal(0))),
        "discount_type": "percentage",
        "tax": 0,
        "tax_method": "none",
    }
    if len(row["comments"]) > convert.LONG_TEXT:
        raise Unstorable("its description is too long for a comment")
    return row


def _product(line: Line, products: Mapping[str, int], fallback: int | None) -> int:
    if isinstance(line.product, Ref) and line.product.key.isdigit():
        return int(line.product.key)
    found = products.get(line.sku) if isinstance(line.sku, str) else None
    found = fallback if found is None else found
    if found is None:
        raise Unstorable(
            f"Pipedrive has no product for {line.sku or 'it'}",
            "Let a product flow run first, or name a product that stands for unknown ones: fallback_product",
        )
    return found


def _or(value: Any, default: Decimal) -> Decimal:
    return default if value in (UNSET, None) else value


def changes(wanted: Mapping[str, Vendor], there: Sequence[Vendor]) -> LineChanges:
    """By key; of two lines with one key the first stays, and lines that are not wanted go, people's own among them."""
    add, change, kept = dict(wanted), list[tuple[int, Vendor]](), set[int]()
    for row in sorted(there, key=lambda row: row["id"]):
        key = _key(row)
        if key in add:
            kept.add(row["id"])
            strayed = {name: value for name, value in add.pop(key).items() if row.get(name) != value}
            if strayed:
                change.append((row["id"], strayed))
    return LineChanges(frozenset(wanted), list(add.values()), change, [row["id"] for row in there if row["id"] not in kept])
