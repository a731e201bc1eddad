"""What writing any kind has in common: one record at a time, its steps one after the other, an outcome for whatever happens.

QAD takes whole objects: a record is read, changed and posted back with its ``concurrencyHash``; what is left out would be
blanked. Steps look at what stands there and bring only what is missing, so that a create that was cut off is completed by
being done again.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Any

from ml_connector.domain import Entity, Record, RemoteId, Version
from ml_connector.errors import AnswerLost, RecordRejected, RetryLater
from ml_connector.ports.sink import (
    Conflict,
    Create,
    Key,
    Outcome,
    Rejected,
    Remove,
    SinkLimits,
    Unknown,
    Update,
    Write,
    Written,
)
from ml_connector_qad import convert
from ml_connector_qad.api import Api
from ml_connector_qad.convert import Unreadable
from ml_connector_qad.judge import DUPLICATE, STALE
from ml_connector_qad.reading import Deep, Reader
from ml_connector_qad.records import Records

Row = dict[str, Any]


class Moved(Exception):
    """The record is not as it was when the change was decided; ``current`` is None where it is gone."""

    def __init__(self, current: Version | None) -> None:
        super().__init__(current)
        self.current = current


class Steps:
    """How many requests of one write were carried out, and what QAD remarked on them."""

    def __init__(self) -> None:
        self.done = 0
        self.warnings: tuple[str, ...] = ()

    async def create(self, records: Records, row: Mapping[str, Any]) -> Row:
        saved = await records.create(row)
        self.carried(saved.warnings)
        return saved.row

    async def update(self, records: Records, record_id: RemoteId, row: Mapping[str, Any]) -> None:
        self.carried((await records.update(record_id, row)).warnings)

    def carried(self, warnings: tuple[str, ...]) -> None:
        self.done += 1
        self.warnings = (*self.warnings, *(word for word in warnings if word not in self.warnings))


class Standing:
    """A record as it stands: its whole row, what hangs on it, and the record that reading makes of both."""

    def __init__(self, row: Row, deep: Deep, record: Record) -> None:
        self.row, self.deep, self.record = row, deep, record


class QadSink(ABC):
    """A Sink of one kind over its reader: what is written is seen as it is read."""

    def __init__(self, api: Api, reader: Reader) -> None:
        self.api, self.reader, self.map = api, reader, reader.map

    @property
    def limits(self) -> SinkLimits:
        """One record a call and no two at once: no batch is proven, and writes of a domain are serial."""
        return SinkLimits(batch=1, parallel=1, in_steps=True)

    async def accepts(self) -> frozenset[str]:
        heads = {path.partition(".")[0] for path in self.map.fields}
        return frozenset({*heads, *(f"extra.{name}" for name in self.map.place.custom_fields)})

    @abstractmethod
    async def create(self, steps: Steps, key: Key, entity: Any) -> Written: ...

    @abstractmethod
    async def update(self, steps: Steps, record_id: RemoteId, changes: Any, version: Version | None) -> Written: ...

    @abstractmethod
    async def remove(self, steps: Steps, record_id: RemoteId, version: Version | None) -> Written: ...

    # Looking up

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        found: dict[Key, list[Record]] = {key: [] for key in keys}
        for key in found:
            for row in await self.rows(key):
                record_id = self.map.id_of(row) or key.value
                found[key].append(await self.reader.record(record_id, row))
        return found

    async def rows(self, key: Key) -> list[Row]:
        """Whole records that have the key: by the keyed read where it is the number, else by the browse and then by key."""
        source = self.source_of(key.field)
        if source is None or not key.value.strip():
            return []
        if self.map.component.keys == (source,):
            row = await self.reader.records.get(self.api.settings.codes.id(key.value))
            return [row] if row is not None else []
        listed = await self._listed(source, key.value)
        rows = [row for one in listed if (row := await self.reader.records.get(one)) is not None]
        return [row for row in rows if self._has(row, source, key.value)]

    def source_of(self, field: str) -> str | None:
        """The component's field behind a canonical one that can be looked up by; None where there is none."""
        if field.startswith("extra."):
            return self.map.place.custom_fields.get(field.removeprefix("extra."))
        names = self.map.fields.get(field, ())
        return names[0] if len(names) == 1 else None

    async def _listed(self, source: str, value: str) -> list[RemoteId]:
        """Ids by the browse. A comma cannot be part of a filter's value, so what stands before it is asked for."""
        ops = self.api.settings.browse.ops
        head, comma, _ = value.partition(",")
        listing = self.reader.listing
        if not comma:
            listing = self.reader.listing_for((source, ops.eq, value))
        elif head.strip():
            listing = self.reader.listing_for((source, ops.starts, head))
        ids: dict[RemoteId, None] = {}
        async with aclosing(self.reader.browser.pages(listing)) as pages:
            async for page in pages:
                for row in page:
                    record_id = self.map.id_of(row)
                    if record_id is not None and (source not in row or self._has(row, source, value)):
                        ids[record_id] = None
        return list(ids)

    def _has(self, row: Mapping[str, Any], source: str, value: str) -> bool:
        return self.api.settings.codes.same(convert.text(row.get(source)) or "", value)

    async def known(self, key: Key) -> Row | None:
        """The record that has the key. Raises RecordRejected where several have it, or none can."""
        if self.source_of(key.field) is None or not key.value.strip():
            raise RecordRejected(f"{self.map.kind}s cannot be known by {key.field}", code="NO_KEY", field=key.field)
        rows = await self.rows(key)
        if len(rows) > 1:
            told = ", ".join(str(self.map.id_of(row)) for row in rows[:5])
            raise RecordRejected(f"{key.field} {key.value} is that of several: {told}", code="AMBIGUOUS", field=key.field)
        return rows[0] if rows else None

    # Writing

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for write in writes:
            async with self.api.writing:
                outcomes.append(await self._outcome(write))
        return outcomes

    async def _outcome(self, write: Write) -> Outcome:
        steps = Steps()
        try:
            match write:
                case Create(key=key, entity=entity):
                    return await self.create(steps, key, entity)
                case Update(id=record_id, changes=changes, version=version):
                    return await self.update(steps, record_id, changes, version)
                case Remove(id=record_id, version=version):
                    return await self.remove(steps, record_id, version)
        except Moved as moved:
            return Conflict(current=moved.current)
        except RecordRejected as error:
            if error.code == STALE:
                return await self._overtaken(write)
            field = error.field if "[" in error.field or not error.field else self.map.blamed(error.field)
            return Rejected(code=error.code or "REFUSED", reason=error.what, field=field, fix=error.fix)
        except AnswerLost as lost:
            return Unknown(reason=lost.what)
        except RetryLater as error:
            if steps.done:  # some of it stands: a look tells what is missing
                return Unknown(reason=f"cut off in the middle: {error.what}")
            raise

    async def _overtaken(self, write: Write) -> Outcome:
        """QAD found another hash than the one just read, twice."""
        if isinstance(write, Create):
            records = (await self.find([write.key]))[write.key]
            return Conflict(current=records[0].version, id=records[0].id) if records else Unknown(reason="the record moved")
        record = await self.reader.one(write.id)
        return Conflict(current=record.version if record is not None else None)

    async def standing(self, record_id: RemoteId, version: Version | None) -> Standing:
        """The record as it stands. Raises Moved where it is gone, or not of this version."""
        row = await self.reader.records.get(record_id)
        if row is None:
            raise Moved(None)
        deep = await self.reader.deep(record_id, row)
        record = await self.reader.record(record_id, row, deep)
        if version not in (None, record.version):
            raise Moved(record.version)
        return Standing(row, deep, record)

    async def bring(self, steps: Steps, record_id: RemoteId, there: Standing, values: Mapping[str, Any]) -> list[str]:
        """Post the whole record with these values, unless they stand there; returns the fields that were changed.

        A hash that went stale since the record was read is read again, once; what somebody else changed then is a conflict.
        """
        changed = [name for name, value in values.items() if differs(there.row.get(name), value)]
        if not changed:
            return []
        row = there.row
        for last in (False, True):
            try:
                await steps.update(self.reader.records, record_id, {**row, **{name: values[name] for name in changed}})
                return changed
            except RecordRejected as error:
                if error.code != STALE or last:
                    raise
            again = await self.standing(record_id, there.record.version)
            row = again.row
        return changed

    def renumbered(self, record_id: RemoteId, changes: Entity) -> None:
        """Raises RecordRejected where the change asks for another key."""
        number = changes.number
        by_number = self.map.component.keys == (self.source_of("number"),)
        if by_number and isinstance(number, str) and not self.api.settings.codes.same(number, record_id):
            raise RecordRejected("QAD never gives a record another key", code="RENUMBERED", field="number")

    def lacking(self, row: Mapping[str, Any], mandatory: Sequence[str]) -> None:
        """Raises RecordRejected for the first mandatory field that has no value: before anything is begun."""
        for name in mandatory:
            if row.get(name) in (None, ""):
                field = self.map.blamed(name)
                raise RecordRejected(
                    f"QAD needs {name} of a new record",
                    code="MANDATORY",
                    field=field,
                    fix=f"Give it a value in the flow, or set entities.{self.map.kind}.create_defaults.{name}",
                )


def is_duplicate(error: RecordRejected) -> bool:
    return error.code == DUPLICATE


def differs(there: Any, wanted: Any) -> bool:
    """Whether a value is another than the one that stands there; empty is empty however it is written."""
    if there in (None, "") and wanted in (None, ""):
        return False
    if isinstance(wanted, (Decimal, int)) and not isinstance(wanted, bool):
        try:
            return convert.number(there) != convert.number(wanted)
        except Unreadable:
            return True
    return bool(there != wanted)
