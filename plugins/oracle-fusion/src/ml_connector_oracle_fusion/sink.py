"""Writing parties: look for what may stand there already, then send many at once, then bring about what hangs on them.

Oracle has no key that makes a repeated POST harmless, and takes two parties of one name. So a create carries the reference by
which our source system knows the record, and what is in doubt is looked up by it before anything is sent again.
"""

from collections.abc import Sequence
from typing import Final

from ml_connector.domain import UNSET, Record
from ml_connector.errors import AuthRejected, ContractBroken, RecordRejected, RetryLater
from ml_connector.ports.sink import Conflict, Create, Key, Outcome, Rejected, Remove, SinkLimits, Update, Write
from ml_connector_oracle_fusion import mapping
from ml_connector_oracle_fusion.api import Api
from ml_connector_oracle_fusion.batch import Sender
from ml_connector_oracle_fusion.contact_rules import ContactRules
from ml_connector_oracle_fusion.jobs import Job, outcomes
from ml_connector_oracle_fusion.judge import Refused
from ml_connector_oracle_fusion.provision import STATUS, Provisioning
from ml_connector_oracle_fusion.reading import PartyReader

KEYS: Final = ("number", *dict.fromkeys(field.name for fields in mapping.FIELDS.values() for field in fields))


class PartySink:
    """A Sink of accounts or contacts."""

    def __init__(
        self,
        api: Api,
        reader: PartyReader,
        *,
        provisioning: Provisioning | None = None,
        rules: ContactRules | None = None,
    ) -> None:
        self._api, self._reader, self._settings = api, reader, api.settings
        self._provisioning, self._rules = provisioning, rules
        self._sender = Sender(api, reader)

    @property
    def limits(self) -> SinkLimits:
        more = self._provisioning is not None or self._rules is not None
        return SinkLimits(batch=self._settings.batch_parts, parallel=self._settings.limits.write_concurrency, in_steps=more)

    async def accepts(self) -> frozenset[str]:
        return self.accepted

    @property
    def accepted(self) -> frozenset[str]:
        """What the mapping knows; no call is made for it."""
        kind = self._reader.kind
        names = {"number", mapping.PLACE[kind], *(field.name for field in mapping.FIELDS[kind])}
        names |= {"category", "employees", "parent", "active"} if kind == "account" else {"account"}
        custom = self._settings.custom_fields.get("account" if kind == "account" else "contact", {})
        readiness = {f"extra.{STATUS}"} if self._provisioning is not None else set()
        return frozenset(names | readiness | {f"extra.{name}" for name in custom})

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        """Full records by key, compared exactly; a field that cannot be looked up by finds nothing."""
        found: dict[Key, list[Record]] = {key: [] for key in keys}
        for field in dict.fromkeys(key.field for key in found):
            values = [key.value for key in found if key.field == field]
            held = await self._reader.holding(field, values)
            rows = [row for rows in held.values() for row in rows]
            records = {record.id: record for record in await self._reader.records(rows)}
            for value, own in held.items():
                found[Key(field, value)] = [records[str(row["PartyId"])] for row in own]
        return found

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Perform the writes. An error is raised only while it costs no outcome; later on, what failed is told as Later."""
        if not writes:
            return []
        jobs = [self._job(write) for write in writes]
        await self._look(jobs)
        if self._rules is not None:
            await self._rules.before(jobs)
        await self._sender.send([job for job in jobs if job.open and (job.body or job.creates)])
        await self._unchanged([job for job in jobs if job.open and job.row is None])
        for job in jobs:
            if job.open and job.reference is not None:
                await self._attach(job)
        if self._provisioning is not None:
            await self._provisioning.follow(jobs)
        for job in jobs:
            if job.open:
                job.settle()
        return outcomes(jobs)

    # before anything is sent

    def _job(self, write: Write) -> Job:
        job = Job(write=write)
        kind = self._reader.kind
        try:
            if isinstance(write, Create):
                if not write.key.value.strip():
                    raise RecordRejected("the business key is blank", code="NO_KEY", field=write.key.field)
                job.key = write.key
                job.body = mapping.body_of(self._settings, kind, write.entity, creates=True)
                job.body |= self._reference(write)
            elif isinstance(write, Update):
                job.id = write.id
                job.guarded_by(write.version)
                job.body = mapping.body_of(self._settings, kind, write.changes, creates=False)
                job.body |= self._renumbered(write)
            else:
                job.id = write.id
                job.guarded_by(write.version)
                job.body = self._retired(write)
        except RecordRejected as error:
            job.outcome = Rejected(code=error.code or "INVALID", reason=error.what, field=error.field, fix=error.fix)
        if job.outcome is None and job.id is not None and not job.id.isdigit():
            job.outcome = Conflict(current=None)
        return job

    def _reference(self, write: Create) -> dict[str, str]:
        """What a new party is known by from now on. Raises RecordRejected where its number could be kept nowhere."""
        number = write.entity.number if isinstance(write.entity.number, str) else None
        number = number or (write.key.value if write.key.field == "number" else None)
        if not number:
            return {}
        if self._settings.source_system:
            return {"SourceSystem": self._settings.source_system, "SourceSystemReferenceValue": number}
        if self._settings.reference_field:
            return {self._settings.reference_field: number}
        raise RecordRejected(
            f"Oracle numbers its parties itself, so a new one cannot be known by number {number}",
            code="NO_KEY",
            field="number",
            fix='Say source_system = "ZOHO_CRM" (as registered in Oracle), or reference_field, or match by another field',
        )

    def _renumbered(self, write: Update) -> dict[str, str]:
        number = write.changes.number
        if number is UNSET or not number or self._settings.numbering == "party_number":
            return {}
        if self._settings.numbering == "field":
            return {self._settings.reference_field: number}
        return {"SourceSystem": self._settings.source_system, "SourceSystemReferenceValue": number}

    def _retired(self, write: Remove) -> dict[str, str]:
        entities = self._settings.entities
        place = entities.account if self._reader.kind == "account" else entities.contact
        if place.retire == "refuse":
            raise RecordRejected('parties are not taken out of use (retire = "refuse")', code="NO_RETIREMENT")
        return {"PartyStatus": "I"}

    async def _look(self, jobs: Sequence[Job]) -> None:
        """Find what creates may meet, and the numbers of what was never read. Changes nothing."""
        try:
            for field in KEYS:
                await self._look_by(field, [job for job in jobs if job.open and job.key is not None and job.key.field == field])
            await self._numbers([job for job in jobs if job.open and job.id is not None and (job.unmarked or not job.number)])
        except (RetryLater, AuthRejected, ContractBroken) as error:
            for job in jobs:
                if job.open:
                    job.error = error

    async def _look_by(self, field: str, jobs: list[Job]) -> None:
        """Upserts need no look, unless the number may be one of Oracle's own, or a record goes alone: a look tells more."""
        if len(jobs) > 1 and field == "number" and self._settings.source_system and self._settings.upsert:
            jobs = [job for job in jobs if job.key is not None and self._reader.may_be_party_number(job.key.value)]
        if not jobs:
            return
        held = await self._reader.holding(field, list(dict.fromkeys(job.key.value for job in jobs if job.key is not None)))
        for job in jobs:
            assert job.key is not None
            rows = held.get(job.key.value, [])
            if len(rows) > 1:
                named = ", ".join(str(row["PartyNumber"]) for row in rows[:5])
                job.outcome = Rejected(
                    code="AMBIGUOUS", reason=f"{len(rows)} parties have it: {named}", field=field, fix="Merge them in Oracle"
                )
            elif rows:
                self._meet(job, rows[0])

    def _meet(self, job: Job, row: dict[str, object]) -> None:
        """A create for what is there already is an update, and gives the party our reference where it has none."""
        job.found(row)
        job.body = mapping.body_of(self._settings, self._reader.kind, job.entity, creates=False)
        reference = self._reference(job.write) if isinstance(job.write, Create) else {}
        value = reference.get("SourceSystemReferenceValue")
        if value is not None and mapping.reference_of(self._settings, row) != value:
            job.reference = value
        elif self._settings.reference_field in reference and not row.get(self._settings.reference_field):
            job.body |= reference

    async def _numbers(self, jobs: Sequence[Job]) -> None:
        rows = await self._api.by_ids(self._reader.resource, [job.id for job in jobs if job.id is not None]) if jobs else []
        there = {str(row["PartyId"]): row for row in rows}
        for job in jobs:
            row = there.get(job.id or "")
            if row is None:
                job.moved("")
                continue
            job.number = str(row["PartyNumber"])
            if job.unmarked and str(row.get("LastUpdateDate")) != job.unmarked:
                job.moved(mapping.version_of(row).partition("|")[2])

    # afterwards

    async def _unchanged(self, jobs: Sequence[Job]) -> None:
        """An update that changes nothing of the row itself: it is as its version says, or it is not."""
        if not jobs:
            return
        try:
            rows = {
                str(row["PartyId"]): row for row in await self._api.by_ids(self._reader.resource, [str(job.id) for job in jobs])
            }
        except (RetryLater, AuthRejected, ContractBroken) as error:
            for job in jobs:
                job.error = error
            return
        for job in jobs:
            row = rows.get(job.id or "")
            if row is None:
                job.moved("")
            elif job.etag and mapping.version_of(row) != f"{job.number}|{job.etag}":
                job.number = str(row["PartyNumber"])
                job.moved(mapping.version_of(row).partition("|")[2])
            else:
                job.stands(row)
                job.created = False

    async def _attach(self, job: Job) -> None:
        """Give a party that was found by another key the reference by which it is found next time."""
        body = {"SourceSystem": self._settings.source_system, "SourceSystemReferenceValue": job.reference}
        try:
            await self._api.write(self._reader.resource, "POST", job.number, body, below="/child/SourceSystemReference")
            rows = await self._api.by_ids(self._reader.resource, [str(job.id)])
        except Refused as error:
            job.refused(error, "number")
        except (RetryLater, AuthRejected, ContractBroken) as error:
            job.failed(error, begun=True)
        else:
            if rows:
                job.stands(rows[0])
