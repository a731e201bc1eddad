"""Single records of a business component: read by their whole key, written by posting the whole object back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from ml_connector.domain import RemoteId
from ml_connector.errors import ContractBroken
from ml_connector_qad import convert
from ml_connector_qad.api import Absent, Api
from ml_connector_qad.judge import MISSING
from ml_connector_qad.kinds import Component
from ml_connector_qad.mapping import id_of, keys_of

Sample = Callable[[], Awaitable[Mapping[str, Any] | None]]


class Saved(msgspec.Struct, frozen=True):
    """What an answer to a write tells: the record (often its key and hash alone), and warnings, which do not block."""

    row: dict[str, Any]
    warnings: tuple[str, ...] = ()


class Records:
    """One component. ``sample`` gives a row of its browse, to tell a path that is wrong from a record that is not there."""

    def __init__(self, api: Api, component: Component, sample: Sample | None = None) -> None:
        self.api, self.component, self._sample = api, component, sample
        self.path, self.view_uri = component.path, component.view_uri
        self.proven = sample is None or api.settings.keyed.known_good
        self._proving = asyncio.Lock()

    @property
    def rows_name(self) -> str:
        """The collection's name in bodies; it goes with the path where an alternative is in use."""
        return self.component.rows_name if self.path == self.component.path else self.path

    def scope(self) -> dict[str, str]:
        """The key fields that are the same for every record of this connection. Raises ContractBroken where one is not set."""
        told = {key: self.api.settings.scope.fill(template) for key, template in self.component.scope.items()}
        for key, value in told.items():
            if not value:
                raise ContractBroken(
                    f"{key} of {self.component.path} is not known",
                    fix=f"Set scope.{self.component.scope[key].strip('{}')}",
                    where=self.api.where,
                )
        return told

    def keys(self, record_id: RemoteId) -> dict[str, str] | None:
        told = keys_of(self.component, record_id)
        return {**self.scope(), **told} if told is not None else None

    def check_scope(self, row: Mapping[str, Any]) -> None:
        """Raises ContractBroken for another company's data: the workspace is wrong, and nothing of it may be used."""
        for key, wanted in self.scope().items():
            value = convert.code(row.get(key))
            if value is not None and not self.api.settings.codes.same(value, wanted):
                raise ContractBroken(
                    f"{self.component.path} came of {key} {value} instead of {wanted}",
                    fix="Check scope: the workspace header names another domain or entity, or its shared set is another",
                    where=self.api.where,
                )

    async def get(self, record_id: RemoteId) -> dict[str, Any] | None:
        """The whole record; None where there is none. Raises ContractBroken where the component is not there at all."""
        keys = self.keys(record_id)
        if keys is None:
            return None
        try:
            row = await self._read(keys)
        except Absent:
            if self.proven:
                return None
            await self._prove()
            row = await self._again(keys)
        else:
            self.proven = self.proven or row is not None
        if row is not None:
            self.check_scope(row)
            found = id_of(self.component, row, self.api.settings)
            if found is not None and not self.api.settings.codes.same(found, record_id):
                raise ContractBroken(
                    f"{self.path} answered {found} when asked for {record_id}",
                    fix="Check the component's keys",
                    where=self.api.where,
                )
        return row

    async def create(self, row: Mapping[str, Any]) -> Saved:
        """Returns what the answer tells of the new record."""
        rules = self.api.settings.write
        return await self._submit({}, {**row, rules.op_field: rules.op_create})

    async def update(self, record_id: RemoteId, row: Mapping[str, Any]) -> Saved:
        """``row`` is the whole record as it was read, changed: what is left out would be blanked."""
        rules = self.api.settings.write
        return await self._submit(self.keys(record_id) or {}, {**row, rules.op_field: rules.op_update})

    def rows_of(self, told: Any) -> list[dict[str, Any]] | None:
        """The records of an answer in either envelope; None where it has none."""
        for path in self.api.settings.keyed.rows_paths:
            rows = convert.at(told, path.replace("{collection}", self.rows_name))
            if isinstance(rows, list):
                return [row for row in rows if isinstance(row, dict)]
        return None

    async def _submit(self, keys: Mapping[str, str], row: Mapping[str, Any]) -> Saved:
        body = {**self.api.settings.write.envelope, self.rows_name: [row]}
        told = await self.api.submit(self._target, [*keys.items(), *self._view()], body)
        return Saved(next(iter(self.rows_of(told) or []), {}), warnings_of(told, self.api.settings.write.warn_path))

    async def _read(self, keys: Mapping[str, str]) -> dict[str, Any] | None:
        told = await self.api.get(self._target, [*keys.items(), *self._view()])
        if self.api.refused(told):
            error = self.api.refusal(told)
            if error.code == MISSING:
                return None
            raise ContractBroken(error.what, where=self.api.where, code=error.code)
        rows = self.rows_of(told)
        if rows is None:
            raise ContractBroken(
                f"{self.path} answered without {self.rows_name}",
                fix="Check keyed.rows_paths and collection",
                where=self.api.where,
            )
        return rows[0] if rows else None

    async def _again(self, keys: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            return await self._read(keys)
        except Absent:
            return None

    async def _prove(self) -> None:
        """Find out by a record that exists whether the path is served, under this name or another. Raises ContractBroken."""
        async with self._proving:
            if self.proven:
                return
            row = await self._sample() if self._sample is not None else None
            record_id = id_of(self.component, row, self.api.settings) if row is not None else None
            keys = self.keys(record_id) if record_id is not None else None
            if keys is None:
                return  # nothing is listed: there is nothing to tell by
            for path, view_uri in {self.component.path: self.component.view_uri, **self.component.candidates}.items():
                self.path, self.view_uri = path, view_uri
                if await self._again(keys) is not None:
                    self.proven = True
                    return
            self.path, self.view_uri = self.component.path, self.component.view_uri
            tried = ", ".join((self.component.path, *self.component.candidates))
            raise ContractBroken(
                f"{record_id} is listed, but found at none of {tried}",
                fix="Take path, view URI and keys of the component from the instance's Swagger pages",
                where=self.api.where,
            )

    @property
    def _target(self) -> str:
        return self.api.settings.keyed.path.replace("{path}", self.path)

    def _view(self) -> list[tuple[str, str]]:
        name = self.api.settings.keyed.view_uri_param
        return [(name, self.view_uri)] if self.view_uri and name else []


def warnings_of(told: Any, path: str) -> tuple[str, ...]:
    """Messages beside a success: those at ``path``, and confirmations (``<entity>Confs``) that QAD's screens would ask for."""
    found = convert.at(told, path) if path else None
    messages = list(found) if isinstance(found, list) else []
    if isinstance(told, Mapping):
        messages += [one for name, part in told.items() if name.endswith("Confs") and isinstance(part, list) for one in part]
    words = [one.get("messageText") or one.get("message") if isinstance(one, Mapping) else one for one in messages]
    return tuple(str(word)[:300] for word in words if word)
