"""Writing customers: the business relation that holds name and address, the customer, then its data in the operating domain."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ml_connector.domain import UNSET, Account, RemoteId, Version
from ml_connector.errors import AnswerLost, RecordRejected
from ml_connector.ports.sink import Key, Written
from ml_connector_qad.api import Api
from ml_connector_qad.judge import STALE
from ml_connector_qad.kinds import Account as Accounts
from ml_connector_qad.reading import Reader
from ml_connector_qad.records import Records
from ml_connector_qad.sinking import Moved, QadSink, Row, Steps, differs, is_duplicate


class DomainData:
    """The record that makes a customer usable in the operating domain: its site and daybook set.

    QAD makes it, blank, once the customer exists; it is then posted as an update. Where there is none it is created.
    """

    def __init__(self, api: Api, accounts: Accounts) -> None:
        self._values = accounts.follow_up.values
        self._records = Records(api, accounts.follow_up.component)

    async def complete(self, steps: Steps, record_id: RemoteId) -> None:
        """Fill in what is empty; what somebody has set stays."""
        if not self._values:
            return
        row = await self._records.get(record_id)
        if row is None:
            keys = self._records.keys(record_id) or {}
            await steps.create(self._records, {**keys, **self._values})
            return
        missing = {name: value for name, value in self._values.items() if row.get(name) in (None, "")}
        if missing:
            await steps.update(self._records, record_id, {**row, **missing})


class AccountSink(QadSink):
    """A Sink of customers."""

    def __init__(self, api: Api, reader: Reader) -> None:
        super().__init__(api, reader)
        place = reader.place
        assert isinstance(place, Accounts)
        self._accounts, self._relation = place, place.relation
        self._relations = Records(api, place.relation.component)
        self.domain_data = DomainData(api, place)

    async def create(self, steps: Steps, key: Key, entity: Account) -> Written:
        row = await self.known(key)
        if row is not None:
            return await self._adopt(steps, row, entity)
        number = entity.number if isinstance(entity.number, str) and entity.number else None
        if number is None and key.field == "number":
            number = key.value
        if number is None:
            raise RecordRejected(
                "a new customer needs its code, which QAD does not give by itself",
                code="NO_KEY",
                field="number",
                fix="Give the flow a number for it (flows.NAME.set.number)",
            )
        record_id = self.api.settings.codes.id(number)
        body = {**self._accounts.create_defaults, **self.map.values(entity), **(self.reader.records.keys(record_id) or {})}
        body = {name: value for name, value in body.items() if value not in (None, "")}
        link = self._relation.link_field
        body.setdefault(link, record_id)
        body.setdefault(self._active, True)
        self.lacking(body, self._accounts.mandatory)
        await self._begin_relation(steps, str(body[link]), body)
        try:
            await steps.create(self.reader.records, body)
        except RecordRejected as error:
            if not is_duplicate(error) or (row := await self.reader.records.get(record_id)) is None:
                raise
            return await self._adopt(steps, row, entity)  # somebody was faster
        except AnswerLost:
            if await self.reader.records.get(record_id) is not None:
                await self.domain_data.complete(steps, record_id)  # nobody else will; the next run's look tells the rest
            raise
        await self.domain_data.complete(steps, record_id)
        return await self._written(steps, record_id, body, created=True)

    async def update(self, steps: Steps, record_id: RemoteId, changes: Account, version: Version | None) -> Written:
        self.renumbered(record_id, changes)
        values = self.map.values(msgspec.structs.replace(changes, number=UNSET))
        there = await self.standing(record_id, version)
        try:
            changed = await self.bring(steps, record_id, there, values)
        except AnswerLost:
            there = await self.standing(record_id, None)
            changed = [name for name, value in values.items() if differs(there.row.get(name), value)]
            if any(name not in self._relation.fields for name in changed):
                raise  # it did not land, or not as it was sent
            return await self._written(steps, record_id, {name: values[name] for name in changed}, created=False)
        if not changed:
            return Written(id=record_id, version=there.record.version)
        return await self._written(steps, record_id, {name: values[name] for name in changed}, created=False)

    async def remove(self, steps: Steps, record_id: RemoteId, version: Version | None) -> Written:
        """Make the customer inactive; it keeps its history."""
        return await self.update(steps, record_id, Account(active=False), version)

    @property
    def _active(self) -> str:
        return self.map.fields.get("active", ("isActive",))[0]

    async def _adopt(self, steps: Steps, row: Row, entity: Account) -> Written:
        """A create whose record is there already: complete it, and update it."""
        record_id = self.map.id_of(row)
        assert record_id is not None
        await self.domain_data.complete(steps, record_id)
        return await self.update(steps, record_id, msgspec.structs.replace(entity, number=UNSET), None)

    async def _begin_relation(self, steps: Steps, code: str, body: Mapping[str, Any]) -> None:
        """The business relation, unless it is there from an earlier try or a supplier of the same code."""
        if await self._relations.get(code) is not None:
            return
        relation = self._relation
        row = {**relation.create_defaults, **(self._relations.keys(code) or {})}
        row |= {theirs: body[ours] for ours, theirs in relation.fields.items() if body.get(ours) not in (None, "")}
        search = relation.fields.get("addressSearchName")
        if search is not None and not row.get(search) and "addressName" in body:
            row[search] = body["addressName"]
        try:
            await steps.create(self._relations, row)
        except RecordRejected as error:
            if not is_duplicate(error):
                raise self._of_customer(error) from None

    async def _written(self, steps: Steps, record_id: RemoteId, sent: Mapping[str, Any], *, created: bool) -> Written:
        """What stands now. Names and addresses that did not land are the business relation's alone here: they go there."""
        row = await self.reader.records.get(record_id)
        if row is None:
            raise Moved(None)
        stray = {name: value for name, value in sent.items() if name in self._relation.fields and differs(row.get(name), value)}
        if stray and row.get(self._relation.link_field):
            await self._change_relation(steps, str(row[self._relation.link_field]), stray)
            row = await self.reader.records.get(record_id)
            if row is None:
                raise Moved(None)
        record = await self.reader.record(record_id, row)
        lost = [self.map.blamed(name) for name, value in stray.items() if differs(row.get(name), value)]
        kept = (f"QAD kept its own {', '.join(lost)}",) if lost else ()
        return Written(id=record.id, version=record.version, created=created, warnings=(*steps.warnings, *kept))

    async def _change_relation(self, steps: Steps, code: str, values: Mapping[str, Any]) -> None:
        for last in (False, True):
            row = await self._relations.get(code)
            if row is None:
                return
            missing = {name: value for name, value in self._relation.create_defaults.items() if row.get(name) in (None, "")}
            theirs = {self._relation.fields[name]: value for name, value in values.items()}
            try:
                await steps.update(self._relations, code, {**row, **missing, **theirs})
                return
            except RecordRejected as error:
                if error.code != STALE or last:
                    raise self._of_customer(error) from None

    def _of_customer(self, error: RecordRejected) -> RecordRejected:
        """The refusal with the customer's field for the relation's."""
        ours = {theirs.lower(): name for name, theirs in self._relation.fields.items()}
        error.field = ours.get(error.field.lower(), error.field)
        return error
