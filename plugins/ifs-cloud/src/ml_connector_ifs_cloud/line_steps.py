"""Writing the lines of a document: each wanted line is compared with the one that stands for it."""

from collections.abc import Awaitable, Sequence
from typing import Any, Final

from ml_connector.domain import Line, RemoteId
from ml_connector.errors import RecordRejected
from ml_connector_ifs_cloud import mapping, payload
from ml_connector_ifs_cloud.api import EntitySet
from ml_connector_ifs_cloud.documents import DocumentReader
from ml_connector_ifs_cloud.errors import STALE
from ml_connector_ifs_cloud.places import Lines
from ml_connector_ifs_cloud.rows import OrderLine
from ml_connector_ifs_cloud.sinking import Steps

_CANCELLED: Final = "Cancelled"


class LineSteps:
    """The steps for the lines of one document."""

    def __init__(
        self, steps: Steps, reader: DocumentReader[Any, Any], lines: Lines, found: EntitySet, number: RemoteId
    ) -> None:
        self._steps, self._reader, self._lines = steps, reader, lines
        self._found, self._number = found, number

    async def bring_about(self, rows: Sequence[OrderLine], wanted: Sequence[Line]) -> None:
        """Add what is missing, change what differs, then take away what is not wanted (any more)."""
        living = [row for row in rows if row.LineItemNo <= 0 and row.Objstate != _CANCELLED]
        pairs = self._paired(living, wanted)
        for line, row in pairs:
            values = payload.line(line, self._reader.rules)
            if row is None:
                part_of(line, self._reader.rules)
                own = {self._lines.key_field: line.key} if self._lines.key_field else {}
                body = {name: value for name, value in {**own, **values}.items() if value is not None}
                await _blaming(line, self._steps.post(self._path(), body))
            elif changed := payload.differing(values, row):
                await _blaming(line, self._steps.patch(self._path(row), row.etag, changed))
        kept = [row for _, row in pairs]
        for row in living:
            if all(row is not other for other in kept):
                await self._drop(row)

    def _paired(self, living: Sequence[OrderLine], wanted: Sequence[Line]) -> list[tuple[Line, OrderLine | None]]:
        """Each wanted line with the one that stands for it: by key; without a key field those left over by part and order."""
        by_key = dict(zip(mapping.line_keys(living, self._reader.rules), living, strict=True))
        pairs = [(line, self._fitting(line, by_key.get(line.key))) for line in wanted]
        if self._lines.key_field is not None:
            return pairs
        free = [row for row in living if all(row is not taken for _, taken in pairs)]
        for place, (line, row) in enumerate(pairs):
            like = next((one for one in free if self._fitting(line, one)), None) if row is None else None
            if like is not None:
                pairs[place] = line, like
                free.remove(like)
        return pairs

    def _fitting(self, line: Line, row: OrderLine | None) -> OrderLine | None:
        """The row, unless it is of another part, which IFS never changes: another part is another line."""
        if row is None or payload.line(line, self._reader.rules).get("CatalogNo", row.CatalogNo) != row.CatalogNo:
            return None
        return row

    async def _drop(self, row: OrderLine) -> None:
        if row.Objstate in self._lines.deletable:
            await self._steps.delete(self._path(row), row.etag)
        elif self._lines.cancel is not None:
            await self._steps.act(self._lines.cancel, on=self._path(row), etag=row.etag)
        else:
            raise RecordRejected(
                f"line {row.LineNo}-{row.RelNo} at {row.Objstate} cannot be taken away",
                code="NO_CANCEL",
                field="lines",
                fix=f"Name the action in entities.{self._reader.kind}.lines.cancel",
            )

    def _path(self, row: OrderLine | None = None) -> str:
        return self._reader.line_path(self._found, self._number, row)


def part_of(line: Line, rules: mapping.Rules) -> str:
    """The sales part of a line. Raises RecordRejected where there is none."""
    part = payload.line(line, rules).get("CatalogNo")
    if not part:
        raise RecordRejected(
            f"line {line.key} names no sales part, without which IFS takes no line",
            code="NO_PART",
            field=f"lines[{line.key}].sku",
            fix="Give the line a product, or its number as sku",
        )
    return str(part)


async def _blaming(line: Line, work: Awaitable[object]) -> None:
    """A refused line says which it is."""
    try:
        await work
    except RecordRejected as error:
        if error.code != STALE:
            error.what = f"line {line.key}: {error.what}"
            error.field = error.field or f"lines[{line.key}]"
        raise
