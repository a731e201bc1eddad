"""Writing the lines of a sales order, as QAD's screens do: field after field, each answered with the recalculated line.

The order of the fields matters (item before site on sales orders), and the line that an answer brings is carried on unchanged
into the next call: it holds the number, unit and totals that QAD gave it. Only the last call stores it.
"""

from collections.abc import Sequence
from typing import Any

from ml_connector.domain import Line, RemoteId
from ml_connector.errors import ContractBroken, RecordRejected
from ml_connector_qad import convert
from ml_connector_qad.api import Api
from ml_connector_qad.judge import STALE
from ml_connector_qad.kinds import Lines
from ml_connector_qad.lines import LineReader, rows_at
from ml_connector_qad.mapping import line_key, line_values
from ml_connector_qad.records import warnings_of
from ml_connector_qad.settings import QadSettings
from ml_connector_qad.sinking import Row, Steps, differs


class LineSteps:
    """The steps for the lines of one order; ``header`` is its whole row."""

    def __init__(self, api: Api, steps: Steps, reader: LineReader, record_id: RemoteId, header: Row) -> None:
        self._api, self._steps, self._reader, self._lines = api, steps, reader, reader.lines
        self._id, self._header = record_id, header

    @staticmethod
    def check(line: Line, lines: Lines, settings: QadSettings) -> None:
        """Raises RecordRejected for a line that QAD would not take, before anything is begun."""
        if not line_values(line, lines, settings.keyed.wire_datetime).get(lines.fields["sku"]):
            raise RecordRejected(
                f"line {line.key} names no item, without which QAD takes no line",
                code="NO_ITEM",
                field=f"lines[{line.key}].sku",
                fix="Give the line a product, or its item number as sku",
            )

    async def bring_about(self, rows: Sequence[Row], wanted: Sequence[Line]) -> None:
        """Add what is missing, change what differs, then take away what is not wanted (any more)."""
        pairs = self._paired(rows, wanted)
        for line, row in pairs:
            values = line_values(line, self._lines, self._api.settings.keyed.wire_datetime)
            try:
                if row is None:
                    self.check(line, self._lines, self._api.settings)
                    await self._add(values)
                elif any(differs(row.get(name), value) for name, value in values.items()):
                    await self._change(row, values)
            except RecordRejected as error:
                raise self._blaming(error, line) from None
        kept = [row for _, row in pairs if row is not None]
        for row in rows:
            if all(row is not other for other in kept):
                await self._drop(row)

    def _paired(self, rows: Sequence[Row], wanted: Sequence[Line]) -> list[tuple[Line, Row | None]]:
        """Each wanted line with the one that stands for it: by key, those left over by item and order."""
        by_key = {line_key(row, self._lines): row for row in rows}
        pairs = [(line, self._fitting(line, by_key.get(line.key))) for line in wanted]
        if self._lines.key_field:
            return pairs
        free = [row for row in rows if all(row is not taken for _, taken in pairs)]
        for place, (line, row) in enumerate(pairs):
            like = next((one for one in free if self._fitting(line, one) is not None), None) if row is None else None
            if like is not None:
                pairs[place] = line, like
                free.remove(like)
        return pairs

    def _fitting(self, line: Line, row: Row | None) -> Row | None:
        """The row, unless it is of another item: another item is another line."""
        if row is None:
            return None
        source = self._lines.fields["sku"]
        asked = line_values(line, self._lines, self._api.settings.keyed.wire_datetime).get(source)
        same = asked in (None, "") or self._api.settings.codes.same(str(asked), convert.code(row.get(source)) or "")
        return row if same else None

    async def _add(self, values: Row) -> None:
        rules, lines = self._api.settings.write, self._lines
        keys = dict(self._reader.query(self._id))
        keys.pop(self._api.settings.keyed.view_uri_param, None)
        told = {"siteCode": self._header.get("siteCode"), **values}
        row: Row = dict(keys)
        for field in lines.field_change_order:
            if told.get(field) not in (None, ""):
                row = await self._field_changed({**row, field: told[field]}, field)
        rest = {name: value for name, value in values.items() if name not in lines.field_change_order}
        await self._store({**row, **rest, rules.op_field: rules.op_create})

    async def _field_changed(self, row: Row, field: str) -> Row:
        """The line as QAD recalculates it. Nothing is stored by this, so it may be sent again."""
        lines, keyed = self._lines, self._api.settings.keyed
        told = await self._api.post(
            keyed.path.replace("{path}", lines.field_change_path),
            [*self._reader.query(self._id), ("fieldName", field), *lines.field_change_query.items()],
            {**self._api.settings.write.envelope, lines.field_change_collection: [row]},
            repeatable=True,
        )
        if self._api.refused(told):
            raise self._api.refusal(told)
        rows = rows_at(told, keyed.rows_paths, lines.field_change_collection)
        if not rows:
            raise ContractBroken(
                f"{lines.field_change_path} answered without a line",
                fix="Check lines.field_change_collection of the kind",
                where=self._api.where,
            )
        return rows[0]

    async def _change(self, row: Row, values: Row) -> None:
        rules = self._api.settings.write
        await self._store({**row, **values, rules.op_field: rules.op_update})

    async def _store(self, row: Row) -> None:
        path = self._api.settings.keyed.path.replace("{path}", self._lines.path)
        body = {**self._api.settings.write.envelope, self._lines.rows_name: [row]}
        told = await self._api.submit(path, self._reader.query(self._id), body)
        self._steps.carried(warnings_of(told, self._api.settings.write.warn_path))

    async def _drop(self, row: Row) -> None:
        number = convert.code(row.get(self._lines.number)) or ""
        if self._lines.remove == "refuse":
            raise RecordRejected(f"line {number} is not taken away (lines.remove)", code="NO_REMOVAL", field=f"lines[{number}]")
        path = self._api.settings.keyed.path.replace("{path}", self._lines.path)
        told: Any = await self._api.delete(path, [*self._reader.query(self._id), (self._lines.number, number)])
        if self._api.refused(told):
            raise self._api.refusal(told)
        self._steps.carried(())

    def _blaming(self, error: RecordRejected, line: Line) -> RecordRejected:
        """A refused line says which it is."""
        if error.code != STALE and "[" not in error.field:
            names = {source.lower(): name for name, source in self._lines.fields.items()}
            part = names.get(error.field.lower(), error.field)
            error.what = f"line {line.key}: {error.what}"
            error.field = f"lines[{line.key}]" + (f".{part}" if part else "")
        return error
