"""The lines of one document, read from its grid, and a short memory of those that a sweep has just read."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

from ml_connector.domain import Order, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector.sync.content import encode
from ml_connector_qad import convert
from ml_connector_qad.api import Absent, Api
from ml_connector_qad.handing import Handing
from ml_connector_qad.judge import MISSING
from ml_connector_qad.kinds import Component, Lines
from ml_connector_qad.mapping import keys_of, lines_of
from ml_connector_qad.records import Records

Row = dict[str, Any]


class LineReader:
    """Lines of one kind of document."""

    def __init__(self, api: Api, header: Component, lines: Lines) -> None:
        self.api, self.header, self.lines = api, header, lines
        self._records = Records(api, header)
        self.handing: Handing[list[Row]] = Handing(api.clock)

    def query(self, record_id: RemoteId) -> list[tuple[str, str]]:
        """The document's key fields, which go with every call about its lines."""
        keys = {**self._records.scope(), **(keys_of(self.header, record_id) or {})}
        view = [(self.api.settings.keyed.view_uri_param, self.lines.view_uri)] if self.lines.view_uri else []
        return [*keys.items(), *view]

    async def read(self, record_id: RemoteId) -> list[Row]:
        """The rows of the grid, [] where there are none or no such document."""
        path = self.api.settings.keyed.path.replace("{path}", self.lines.path)
        try:
            told = await self.api.get(path, [*self.lines.list_query.items(), *self.query(record_id)])
        except Absent:
            return []
        if self.api.refused(told):
            error = self.api.refusal(told)
            if error.code == MISSING:
                return []
            raise ContractBroken(error.what, where=self.api.where, code=error.code)
        rows = rows_at(told, self.api.settings.keyed.rows_paths, self.lines.rows_name)
        if rows is None:
            raise ContractBroken(
                f"{self.lines.path} answered without {self.lines.rows_name}",
                fix="Check lines.collection of the kind",
                where=self.api.where,
            )
        return rows

    def digest(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """Differs whenever a line differs in what is told of it."""
        warnings: list[str] = []
        told = lines_of(rows, self.lines, self.api.settings, warnings)
        return blake2b(encode(Order(lines=told)), digest_size=8).hexdigest()


def rows_at(told: Any, paths: Sequence[str], collection: str) -> list[Row] | None:
    """The rows in either envelope; None where there are none to be found."""
    for path in paths:
        rows = convert.at(told, path.replace("{collection}", collection))
        if isinstance(rows, list):
            return [row for row in rows if isinstance(row, dict)]
    return None
