"""Lines of documents, as QAD's screens enter them: field after field in a fixed order, and stored by the grid's post."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ml_connector.twin import TwinResponse
from ml_connector_qad.twin.answers import errors, failed, json
from ml_connector_qad.twin.components import one_record
from ml_connector_qad.twin.installation import Installation
from ml_connector_qad.twin.schema import Grid
from ml_connector_qad.twin.store import Store, Values, empty, fold
from ml_connector_qad.twin.wire import referred, stored, told

_OK = {"submitResult": {"success": True, "severity": 0, "errors": []}}
_TOKEN = "lineState"
"""An opaque field that QAD's answers carry and its final post wants back."""


class Grids:
    """Answers the line calls of purchase and sales orders."""

    def __init__(self, store: Store, installation: Installation) -> None:
        self._store, self._installation = store, installation
        self.by_change = {grid.change_path: grid for grid in store.grids.values()}

    def read(self, grid: Grid, query: Mapping[str, str]) -> TwinResponse:
        self._parent(grid, query)
        if query.get("initialize") != "true":
            return self._rows(grid.path, [])
        return self._rows(grid.path, [self._told(grid, line) for line in self._store.lines_of(grid, query)])

    def change_field(self, grid: Grid, query: Mapping[str, str], body: Any) -> TwinResponse:
        """The line with one field changed and the rest recalculated; nothing is stored."""
        self._parent(grid, query)
        line = one_record(body, grid.change_collection)
        name = query.get("fieldName", "")
        if name not in grid.order:
            raise errors(400, f"Unknown field {name}")
        if grid.change_path == "salesOrderLines/fieldChange" and query.get("dataOperation") != "CREATE":
            raise errors(400, "dataOperation is missing")
        done = [field for field in str(line.get(_TOKEN, "")).split(",") if field]
        place = grid.order.index(name)
        if any(grid.order.index(field) >= place for field in done) or not {*grid.order[:2][:place]} <= {*done}:
            raise failed("Fields were changed out of order", name, line.get(name))
        if grid.number not in line and done:
            raise failed("The line was not carried on", grid.number)
        value = stored(name, grid.fields[name], line.get(name))
        if name == "itemCode":
            item = self._store.get("items", {"domainCode": query["domainCode"], "itemCode": value})
            if item is None:
                raise failed("Field is mandatory", name, value, "QAD-1")
            line = {**line, "unitOfMeasure": item.values["unitOfMeasure"], "listPrice": item.values["listPrice"]}
            line["netPrice" if grid.price == "netPrice" else "purchaseCost"] = item.values["listPrice"]
        if name == "listPrice":
            line = {**line, "netPrice": value}
        referred(self._store, name, grid.fields[name], value, line)
        number = line.get(grid.number) or self._store.next_line(self._store.lines_of(grid, query), grid)
        line = {name: one for name, one in line.items() if name in grid.fields or name == _TOKEN}
        return self._rows(grid.change_collection, [{**line, grid.number: number, _TOKEN: ",".join([*done, name])}])

    def write(self, grid: Grid, query: Mapping[str, str], body: Any) -> TwinResponse:
        parent = self._parent(grid, query)
        line = one_record(body, grid.path)
        lines = self._store.lines_of(grid, query)
        operation = line.get("dataOperation")
        values = self._values(grid, line)
        if operation == "C":
            done = str(line.get(_TOKEN, "")).split(",")
            if not values[grid.number] or not {*grid.order[:3]} <= {*done}:
                raise failed("The line was not carried on from its field changes", grid.number)
            if any(one[grid.number] == values[grid.number] for one in lines):
                raise failed(f"Line {values[grid.number]} already exists", grid.number, values[grid.number])
            lines.append({**values, **{key: parent[key] for key in self._store.components[grid.parent].keys}})
        elif operation == "U":
            found = next((one for one in lines if one[grid.number] == values[grid.number]), None)
            if found is None:
                raise failed(f"Line {values[grid.number]} does not exist", grid.number)
            if fold(found["itemCode"]) != fold(values["itemCode"]):
                raise failed("The item of a line cannot be changed", "itemCode", values["itemCode"])
            found |= values
        return json(200, _OK)

    def delete(self, grid: Grid, query: Mapping[str, str]) -> TwinResponse:
        self._parent(grid, query)
        lines = self._store.lines_of(grid, query)
        found = next((one for one in lines if str(one[grid.number]) == query.get(grid.number)), None)
        if found is None:
            raise failed(f"Line {query.get(grid.number)} does not exist", grid.number)
        lines.remove(found)
        return json(200, _OK)

    def _values(self, grid: Grid, line: Values) -> Values:
        known = {*grid.fields, "dataOperation", _TOKEN}
        for name in line:
            if name not in known:
                raise failed(f"Unknown field {name}", name)
        values = {
            name: stored(name, field, line[name]) if name in line else empty(field.type) for name, field in grid.fields.items()
        }
        for name, field in grid.fields.items():
            referred(self._store, name, field, values[name], values)
        if not values["quantityOrdered"]:
            raise failed("Quantity must not be zero", "quantityOrdered", Decimal())
        return values

    def _parent(self, grid: Grid, query: Mapping[str, str]) -> Values:
        component = self._store.components[grid.parent]
        if any(not query.get(key) for key in component.keys):
            raise errors(400, "Key parameters are incomplete")
        row = self._store.get(grid.parent, query)
        if row is None:
            raise failed(f"{component.title} {query[component.keys[-1]]} does not exist")
        return row.values

    def _told(self, grid: Grid, line: Values) -> Values:
        return {name: told(line.get(name), self._installation.date_layout) for name in grid.fields} | {"dataOperation": ""}

    def _rows(self, collection: str, rows: list[Values]) -> TwinResponse:
        rows = [{name: told(value, self._installation.date_layout) for name, value in row.items()} for row in rows]
        body: Values = {"data": {collection: rows}} if self._installation.wrapped else {collection: rows}
        return json(200, body)
