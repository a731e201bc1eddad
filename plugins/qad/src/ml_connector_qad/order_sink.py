"""Writing sales orders: the header, then its lines one by one; neither is atomic, so each step looks at what stands there."""

from typing import Any

import msgspec

from ml_connector.domain import UNSET, Order, RemoteId, Version
from ml_connector.errors import AnswerLost, RecordRejected
from ml_connector.ports.sink import Key, Written
from ml_connector_qad.account_sink import DomainData
from ml_connector_qad.api import Api
from ml_connector_qad.kinds import Order as Orders
from ml_connector_qad.line_steps import LineSteps
from ml_connector_qad.reading import Reader
from ml_connector_qad.sinking import Moved, QadSink, Row, Standing, Steps, is_duplicate


class OrderSink(QadSink):
    """A Sink of sales orders with their lines."""

    def __init__(self, api: Api, reader: Reader, customers: DomainData) -> None:
        super().__init__(api, reader)
        place = reader.place
        assert isinstance(place, Orders)
        self._orders, self._customers = place, customers
        assert reader.lines is not None
        self._lines = reader.lines

    async def accepts(self) -> frozenset[str]:
        """``total`` is QAD's own sum and only read."""
        return (await super().accepts() | {"lines"}) - {"total", "company"}

    async def create(self, steps: Steps, key: Key, entity: Order) -> Written:
        """Begin the order unless it is there, and complete it. An answer that is lost on a line is looked up once."""
        row = await self.known(key)
        created = row is None
        record_id = self.map.id_of(row) if row is not None else await self._begin(steps, key, entity)
        assert record_id is not None
        changes = msgspec.structs.replace(entity, number=UNSET)
        try:
            return await self._bring_about(steps, record_id, await self.standing(record_id, None), changes, created=created)
        except AnswerLost:
            return await self._bring_about(steps, record_id, await self.standing(record_id, None), changes, created=created)

    async def update(self, steps: Steps, record_id: RemoteId, changes: Order, version: Version | None) -> Written:
        self.renumbered(record_id, changes)
        there = await self.standing(record_id, version)
        return await self._bring_about(steps, record_id, there, msgspec.structs.replace(changes, number=UNSET), created=False)

    async def remove(self, steps: Steps, record_id: RemoteId, version: Version | None) -> Written:
        raise RecordRejected(
            "no way to take a sales order out of use is known",
            code="NO_RETIREMENT",
            fix='Cancel it in QAD, or set deletes = "ignore"',
        )

    async def _begin(self, steps: Steps, key: Key, entity: Order) -> RemoteId:
        """The new header. What QAD would refuse halfway through is refused before. Returns its id."""
        given = entity.number if isinstance(entity.number, str) and entity.number else None
        if given is None and key.field == "number":
            given = key.value
        assigned = self._orders.numbers == "assigned"
        if assigned and key.field == "number":
            raise RecordRejected(
                f'QAD numbers its orders itself (numbers = "assigned"), so a new one cannot be known by number {key.value}',
                code="NO_KEY",
                field="number",
                fix='Tell the number as external_reference, and match = ["external_reference"]',
            )
        if not assigned and given is None:
            raise RecordRejected(
                "a new order needs its number", code="NO_KEY", field="number", fix='Or set numbers = "assigned"'
            )
        body = self._header(entity, None if assigned else given)
        if (source := self.source_of(key.field)) is not None:
            body.setdefault(source, key.value)
        self.lacking(body, self._orders.mandatory)
        for line in entity.lines or ():
            LineSteps.check(line, self._orders.lines, self.api.settings)
        customer = self.map.fields.get("customer", ("",))[0]
        if body.get(customer):
            await self._customers.complete(steps, str(body[customer]))
        try:
            told = await steps.create(self.reader.records, body)
        except RecordRejected as error:
            if not is_duplicate(error):
                raise
            told = body
        record_id = self.map.id_of(told) or (self.map.id_of(body) if not assigned else None)
        if record_id is None:
            row = await self.known(key)
            record_id = self.map.id_of(row) if row is not None else None
        if record_id is None:
            raise AnswerLost("QAD did not say which number the new order has", where=self.api.where)
        return record_id

    def _header(self, entity: Order, number: str | None) -> Row:
        scope = self.reader.records.scope()
        body: Row = {**self._orders.create_defaults, **self.map.values(entity), **scope}
        if number is not None:
            body[self.map.component.keys[0]] = self.api.settings.codes.id(number)
        else:
            body.pop(self.map.component.keys[0], None)
        body = {name: value for name, value in body.items() if value not in (None, "")}
        for name, source in self._orders.copies.items():
            if source in body:
                body.setdefault(name, body[source])
        return body

    async def _bring_about(
        self, steps: Steps, record_id: RemoteId, there: Standing, changes: Order, *, created: bool
    ) -> Written:
        """Header and lines as the entity says them, step by step."""
        values = self.map.values(changes)
        values = {name: value for name, value in values.items() if name not in self.reader.records.component.scope}
        await self.bring(steps, record_id, there, values)
        if changes.lines is not UNSET:
            work = LineSteps(self.api, steps, self._lines, record_id, there.row)
            await work.bring_about(there.deep.lines or [], changes.lines or ())
        if not steps.done:
            return Written(id=record_id, version=there.record.version, created=created)
        record: Any = await self.reader.one(record_id)
        if record is None:
            raise Moved(None)
        return Written(id=record.id, version=record.version, created=created, warnings=steps.warnings)
