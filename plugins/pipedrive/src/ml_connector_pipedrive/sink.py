"""Writing one kind at a vendor without upsert, external id or ETag: look, compare, write one record, and say what came of it.

A create is looked up by its key first and becomes an update of what is there. An update reads the record again and is a
conflict when that is no longer what was seen. What remains is the moment between this look and the write, which nothing guards.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final
from weakref import WeakValueDictionary

from ml_connector.domain import ENTITIES, UNSET, Deal, Entity, Extra, Kind, Record
from ml_connector.errors import AnswerLost, AuthRejected, ContractBroken, RecordRejected, RetryLater
from ml_connector.ports.sink import (
    Conflict,
    Create,
    Key,
    Later,
    Outcome,
    Rejected,
    Remove,
    SinkLimits,
    Unknown,
    Update,
    Write,
    Written,
)
from ml_connector_pipedrive import mapping
from ml_connector_pipedrive.api import Api
from ml_connector_pipedrive.deal_lines import DealLines
from ml_connector_pipedrive.judge import Refusal
from ml_connector_pipedrive.lines import LineChanges, changes
from ml_connector_pipedrive.lookup import Lookup
from ml_connector_pipedrive.metadata import Metadata
from ml_connector_pipedrive.plan import Column, Plan
from ml_connector_pipedrive.reading import Reading
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.wire import Vendor

BATCH: Final = 50
"""Pipedrive writes one record a call; so many creates share one look at what is there."""


class PipedriveSink:
    """A Sink of one kind."""

    def __init__(
        self,
        kind: Kind,
        api: Api,
        metadata: Metadata,
        reading: Reading,
        lookup: Lookup,
        lines: DealLines | None,
        settings: Settings,
    ) -> None:
        self._kind, self._api, self._metadata, self._settings = kind, api, metadata, settings
        self._reading, self._lookup, self._lines = reading, lookup, lines
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def limits(self) -> SinkLimits:
        return SinkLimits(batch=BATCH, parallel=self._settings.limits.concurrency, in_steps=self._lines is not None, credits=6)

    async def accepts(self) -> frozenset[str]:
        """What the mapping knows and the company has fields for."""
        return (await self._metadata.plan(self._kind)).knows

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        """Full records by key, compared exactly; a field that cannot be looked up by finds nothing."""
        found: dict[Key, list[Record]] = {key: [] for key in keys}
        if not found:
            return found
        plan = await self._metadata.plan(self._kind)
        for name in dict.fromkeys(key.field for key in found):
            column = plan.columns.get(name)
            if column is None:
                continue
            values = [key.value for key in found if key.field == name]
            hints = await self._lookup.ids(plan, column, values)
            rows = await self._holding(plan, column, (one for ids in hints.values() for one in ids), set(values))
            for row, record in zip(rows, await self._reading.records(plan, rows), strict=True):
                found[Key(name, str(column.held(row)))].append(record)
        return found

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Perform the writes. An error is raised only while it costs no outcome; later on, what failed is told as Later."""
        if not writes:
            return []
        hints = await self._look_ahead(writes)
        outcomes: list[Outcome] = []
        for write in writes:
            try:
                outcomes.append(await self._outcome(write, hints))
            except (AuthRejected, RetryLater, ContractBroken) as error:
                if not outcomes:
                    raise
                after = error.after_s if isinstance(error, RetryLater) else None
                return [*outcomes, *[Later(reason=str(error)[:300], after_s=after)] * (len(writes) - len(outcomes))]
        return outcomes

    # -- one write

    async def _outcome(self, write: Write, hints: Mapping[Key, list[int]]) -> Outcome:
        """Raises what stops the connection, nothing having been written."""
        for again in (True, False):
            plan = await self._metadata.plan(self._kind)
            try:
                if isinstance(write, Create):
                    return await self._create(plan, write, hints.get(write.key, []))
                return await self._update(plan, write)
            except RecordRejected as error:
                outcome = Rejected(code=error.code or "REFUSED", reason=error.what, field=error.field, fix=error.fix)
            except AnswerLost as error:
                return Unknown(reason=error.what)
            except Refusal as no:
                if no.missing_right and not no.code.startswith("feature_capping"):
                    raise
                outcome = Rejected(code=no.code, reason=no.what, field=plan.canonical(no.place), fix=no.fix)
            if again:  # by what we know; an administrator may have changed it since
                self._metadata.doubt(self._kind)
                if await self._metadata.plan(self._kind) is plan:
                    break
        return outcome

    async def _create(self, plan: Plan, write: Create, hints: Sequence[int]) -> Outcome:
        column = plan.columns.get(write.key.field)
        if column is None:
            name = plan.missing.get(write.key.field) or plan.wrong.get(write.key.field) or write.key.field
            raise ContractBroken(
                f"{plan.shape.plural} cannot be looked up by {write.key.field}: {name}",
                fix="Run ml-connector ping --fix, or match by number",
            )
        async with self._locks.setdefault(write.key.value, asyncio.Lock()):
            ours = self._lookup.ours(column, write.key.value)
            ids = [*hints, *([ours] if ours is not None else [])]
            there = await self._holding(plan, column, ids, (write.key.value,))
            if len(there) > 1:
                named = ", ".join(str(row["id"]) for row in there)
                raise RecordRejected(
                    f"{len(there)} {plan.shape.plural} have it: {named}",
                    field=write.key.field,
                    fix="Merge them in Pipedrive, or empty the field on all but one",
                    code="AMBIGUOUS",
                )
            if there:
                return await self._changed(plan, there[0], write.entity)
            if (wait := self._lookup.settles_in(column, write.key.value)) > 0:
                return Later(reason="an earlier create may still be under way, its answer was lost", after_s=wait)
            plan = await self._metadata.grown(plan, write.entity)
            wanted = await self._lines.wanted(write.entity) if self._lines is not None else None
            body = mapping.body(plan, write.entity, None)
            try:
                row = await self._api.create(plan.shape.plural, body)
            except AnswerLost:
                self._lookup.lost(column, write.key.value)
                raise
            self._lookup.wrote(column, write.key.value, row["id"])
        return await self._with_lines(plan, row, changes(wanted, []) if wanted else None, created=True)

    async def _update(self, plan: Plan, write: Update | Remove) -> Outcome:
        row = await self._api.record(plan.shape.plural, write.id, essential=True) if write.id.isdigit() else None
        if row is None:
            return Conflict(current=None)
        [record] = await self._reading.records(plan, [row])
        if write.version is not None and write.version != record.version:
            return Conflict(current=record.version, id=record.id)
        entity = write.changes if isinstance(write, Update) else self._retired(plan)
        return await self._changed(plan, row, entity)

    async def _changed(self, plan: Plan, row: Vendor, entity: Entity) -> Outcome:
        """Send what differs; nothing when nothing does."""
        plan = await self._metadata.grown(plan, entity)
        lines: LineChanges | None = None
        if self._lines is not None and (wanted := await self._lines.wanted(entity)) is not None:
            lines = await self._lines.differing(str(row["id"]), wanted)
        if told := mapping.body(plan, entity, row):
            try:
                row = await self._api.change(plan.shape.plural, str(row["id"]), told)
            except Refusal as no:
                if no.absent:  # deleted since we looked
                    return Conflict(current=None)
                raise
        return await self._with_lines(plan, row, lines, created=False)

    def _retired(self, plan: Plan) -> Entity:
        """What takes a record out of use. Raises RecordRejected where nothing is configured."""
        retirement = self._settings.retirement(plan.kind)
        if not retirement:
            raise RecordRejected(
                f"nothing says how {plan.shape.plural} are taken out of use, and nothing is ever deleted",
                fix=f'Say it: retire.{plan.kind} = {{ "extra.State" = "Inactive" }}',
                code="NO_RETIREMENT",
            )
        extra = {name.removeprefix("extra."): value for name, value in retirement.items() if name.startswith("extra.")}
        fields = {name: value for name, value in retirement.items() if not name.startswith("extra.")}
        return ENTITIES[plan.kind](**fields, extra=Extra(extra) if extra else UNSET)

    async def _with_lines(self, plan: Plan, row: Vendor, lines: LineChanges | None, *, created: bool) -> Outcome:
        """The last part of a write. With the deal written and its lines in doubt the whole is in doubt."""
        deal = str(row["id"])
        if lines and self._lines is not None:
            try:
                await self._lines.write(deal, lines)
                row = await self._api.record(plan.shape.plural, deal, essential=True) or row
            except Refusal as no:
                reason = f"deal {deal} is written, its lines are not: {no.what}"
                return Rejected(code=no.code, reason=reason, field="lines", fix=no.fix)
            except (RetryLater, AuthRejected, ContractBroken) as error:
                return Unknown(reason=f"deal {deal} is written, its lines perhaps: {error.what}")
        try:
            [record] = await self._reading.records(plan, [row])
        except (RetryLater, AuthRejected, ContractBroken) as error:
            return Unknown(reason=f"{deal} is written and could not be read back: {error.what}")
        if lines and isinstance(record.entity, Deal) and {line.key for line in record.entity.lines or ()} != lines.keys:
            return Unknown(reason=f"deal {deal} is written, and holds other lines than were sent")
        return Written(id=record.id, version=record.version, changed_at=record.changed_at, created=created)

    # -- looking up

    async def _look_ahead(self, writes: Sequence[Write]) -> dict[Key, list[int]]:
        """Ids that may stand under the keys of the creates, asked for together."""
        keys = list(dict.fromkeys(write.key for write in writes if isinstance(write, Create)))
        hints: dict[Key, list[int]] = {}
        plan = await self._metadata.plan(self._kind)
        for name in dict.fromkeys(key.field for key in keys):
            if (column := plan.columns.get(name)) is not None:
                found = await self._lookup.ids(plan, column, [key.value for key in keys if key.field == name])
                hints |= {Key(name, value): ids for value, ids in found.items()}
        return hints

    async def _holding(self, plan: Plan, column: Column, ids: Iterable[int], values: Collection[str]) -> list[Vendor]:
        """Those of the rows that live and hold one of the values, exactly: what a lookup found is only a hint."""
        rows = await self._reading.rows(plan, [str(one) for one in dict.fromkeys(ids)], essential=True)
        return sorted((row for row in rows if column.held(row) in values), key=lambda row: row["id"])
