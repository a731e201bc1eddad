"""Lists: flat rows with dotted keys, page by page, without an order; asked wrongly they answer 200 and no rows."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import Any

from ml_connector.twin import TwinResponse
from ml_connector_qad.twin.answers import errors, json
from ml_connector_qad.twin.installation import Installation
from ml_connector_qad.twin.store import Store, Values
from ml_connector_qad.twin.wire import told

Filter = tuple[str, str, str]
_EMPTY = {"data": [], "auxillaryData": {"HasMoreParams": "false"}}


class Browses:
    """Answers ``/api/qracore/browses`` and its totalCount."""

    def __init__(self, store: Store, installation: Installation) -> None:
        self._store, self._installation = store, installation

    def page(self, query: Sequence[tuple[str, str]], domain: str) -> TwinResponse:
        asked, rules = dict(query), self._installation
        rows = self._rows(asked.get("browseId", ""), filters(query), domain)
        page, size = asked.get("page", ""), asked.get("pageSize", "20")
        if not page.isdecimal() or not size.isdecimal() or not int(size):
            return json(200, _EMPTY)
        first, later = rules.page_words
        if int(page) < 1 or asked.get("pageAction") != (first if int(page) == 1 else later):
            return json(200, _EMPTY)
        start = (int(page) - 1) * int(size)
        body: Values = {"data": rows[start : start + int(size)]}
        if rules.more_flag:
            body["auxillaryData"] = {"HasMoreParams": "true" if start + int(size) < len(rows) else "false"}
        return json(200, body)

    def total(self, query: Sequence[tuple[str, str]], domain: str) -> TwinResponse:
        count = len(self._rows(dict(query).get("browseId", ""), filters(query), domain))
        body: Any = count
        for name in reversed(self._installation.total_place.split(".")):
            body = {name: body}
        return json(200, body)

    def _rows(self, browse_id: str, conditions: Sequence[Filter], domain: str) -> list[Values]:
        """Every row that meets the conditions, in an order that means nothing and stays."""
        table, columns, keys = self._table(browse_id)
        for column, _, _ in conditions:
            if column not in columns.values():
                raise errors(400, f"Unknown column {column}")
        layout = self._installation.row_date or self._installation.date_layout
        found = []
        for values in table:
            if values.get("domainCode", domain) != domain or values.get("sharedSetCode", self._set(domain)) != self._set(
                domain
            ):
                continue
            if all(self._meets(values, columns, condition) for condition in conditions):
                row = {column: told(values.get(field), layout) for field, column in columns.items()}
                found.append((_place(keys, values), row))
        return [row for _, row in sorted(found, key=lambda pair: pair[0])]

    def _set(self, domain: str) -> str:
        """The shared set that a workspace of this domain sees."""
        return self._installation.shared_set if domain == self._installation.domain else "OTHERSET"

    def _table(self, browse_id: str) -> tuple[list[Values], Mapping[str, str], Sequence[str]]:
        """Rows, field → column, and the fields that make a row's key."""
        receipts = self._installation.receipts
        if receipts is not None and browse_id == receipts[0]:
            fields = (
                "domainCode",
                "receiptNumber",
                "purchaseOrderNumber",
                "purchaseOrderLine",
                "quantityReceived",
                "receiptDate",
            )
            return self._store.receipts, {field: f"{receipts[1]}.{field}" for field in fields}, ("receiptNumber",)
        for path, (known, prefix) in self._installation.browses.items():
            if browse_id == known:
                component = self._store.components[path]
                columns = self._installation.columns.get(path) or {name: f"{prefix}.{name}" for name in component.fields}
                return [self._store.shown(component, row) for row in self._store.rows(path)], columns, component.keys
        raise errors(404, f"Browse {browse_id} does not exist")

    def _meets(self, values: Values, columns: Mapping[str, str], condition: Filter) -> bool:
        column, op, text = condition
        value = next(values.get(field) for field, name in columns.items() if name == column)
        if op not in _OPS:
            raise errors(400, f"Unknown operator {op}")
        return _OPS[op](*_comparable(value, text, self._installation.filter_date))


def _comparable(value: Any, text: str, layout: str) -> tuple[Any, Any]:
    if isinstance(value, bool):
        return value, text.lower() == "true"
    if isinstance(value, Decimal):
        try:
            return value, Decimal(text)
        except InvalidOperation:
            raise errors(400, f"{text} is no number") from None
    if isinstance(value, date):
        try:
            return value, datetime.strptime(text, layout).date()
        except ValueError:
            raise errors(400, f"{text} is no date") from None
    return str(value or "").strip().casefold(), text.strip().casefold()


_OPS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda one, other: bool(one == other),
    "cn": lambda one, other: other in one,
    "sw": lambda one, other: one.startswith(other),
    "ew": lambda one, other: one.endswith(other),
    "gt": lambda one, other: bool(one > other),
    "ge": lambda one, other: bool(one >= other),
    "lt": lambda one, other: bool(one < other),
    "le": lambda one, other: bool(one <= other),
}


def filters(query: Sequence[tuple[str, str]]) -> list[Filter]:
    """Conditions of a request, all of which must hold. A comma within a value cannot be told from one that separates."""
    found = []
    for name, text in query:
        if name != "filter":
            continue
        parts = text.split(",")
        if len(parts) != 4 or parts[3] != "literal":
            raise errors(400, f"Filter cannot be read: {text}")
        found.append((parts[0], parts[1], parts[2]))
    return found


def _place(keys: Sequence[str], values: Values) -> bytes:
    """Where a row comes: by nothing that a reader could rely on, but the same every time."""
    return blake2b("\0".join(str(values.get(key)) for key in keys).encode(), digest_size=8).digest()
