"""Sending jobs: many in one call where Oracle takes them together, one by one where it does not.

Oracle, Sales REST: "Perform Batch Actions": parts are carried out in order, all of them or none. A refused batch is halved
until the record that spoils it stands alone. A batch whose answer was lost may have been carried out, so nothing of it is
sent again.
"""

from collections.abc import Sequence
from typing import Final

from ml_connector.errors import AnswerLost, AuthRejected, ContractBroken, RetryLater
from ml_connector_adapters.http import Answer
from ml_connector_oracle_fusion import mapping, query, wire
from ml_connector_oracle_fusion.api import Api, item_path
from ml_connector_oracle_fusion.jobs import Job
from ml_connector_oracle_fusion.judge import DUPLICATE, Refused, not_served
from ml_connector_oracle_fusion.reading import PartyReader
from ml_connector_oracle_fusion.wire import Vendor

LOOK: Final = "look"
_LOOK_FIELDS: Final = ("PartyId", "SourceSystem", "SourceSystemReferenceValue")


class Sender:
    """Carries out jobs of one kind. Afterwards each has a row, an outcome or an error."""

    def __init__(self, api: Api, reader: PartyReader) -> None:
        self._api, self._reader, self._settings = api, reader, api.settings
        self._width = api.settings.batch_parts
        self._looks = True  # False: this pod refuses batches that read

    async def send(self, jobs: Sequence[Job]) -> None:
        """All jobs, in order."""
        left = list(jobs)
        while left:
            part, left = left[: self._width], left[self._width :]
            await self._together(part, probes=True)

    async def _together(self, jobs: Sequence[Job], *, looks: bool = True, probes: bool = False) -> bool:
        """Whether they went in one call. ``probes``: a refused batch goes once more without its look, which may be to blame."""
        if len(jobs) == 1:
            await self._alone(jobs[0])
            return False
        parts = [self._part(at, job) for at, job in enumerate(jobs)]
        look = self._look(jobs) if looks and self._looks else None
        if look is not None:
            parts.insert(0, look)
        try:
            answers = await self._api.batch("crm", parts)
        except Refused:
            if look is not None and probes:
                self._looks = not await self._together(jobs, looks=False)
                return False
            middle = len(jobs) // 2
            await self._together(jobs[:middle])
            await self._together(jobs[middle:])
            return False
        except (RetryLater, AuthRejected, ContractBroken) as error:
            self._narrow(error)
            for job in jobs:
                job.failed(_unreadable(error))
            return False
        self._width = min(self._settings.batch_parts, self._width * 2)
        await self._take(jobs, {str(each.get("id")): each for each in answers})
        return True

    def _part(self, at: int, job: Job) -> Vendor:
        resource = self._reader.resource
        if job.creates:
            operation = "upsert" if self._upserts(job) else "create"
            return {"id": f"p{at}", "path": f"/{resource.name}", "operation": operation, "payload": job.body}
        guard = {"ifMatch": wire.quoted(job.etag)} if job.etag else {}
        return {"id": f"p{at}", "path": item_path(resource, job.number), "operation": "update", **guard, "payload": job.body}

    def _look(self, jobs: Sequence[Job]) -> Vendor | None:
        """A part that looks, before the others are carried out, which of the records are there: upserts do not tell."""
        values = [str(job.body["SourceSystemReferenceValue"]) for job in jobs if job.created is None and self._upserts(job)]
        if not values:
            return None
        chain = query.one_of("SourceSystemReferenceValue", [query.text(value) for value in dict.fromkeys(values)])
        told = query.parameters(q=chain, fields=",".join(_LOOK_FIELDS), onlyData="true", limit=self._settings.page_size)
        return {"id": LOOK, "path": f"/{self._reader.resource.name}{told}", "operation": "get"}

    async def _take(self, jobs: Sequence[Job], answers: dict[str, Vendor]) -> None:
        """What came of each part. What its answer does not tell is read."""
        looked = answers.get(LOOK, {}).get("payload")
        items = looked.get("items") if isinstance(looked, dict) else None
        known = None if items is None else {mapping.reference_of(self._settings, row) for row in items}
        unread: list[Job] = []
        for at, job in enumerate(jobs):
            answer = answers.get(f"p{at}", {})
            if answer.get("preconditionSucceeded") is False:
                await self._moved(job)
                continue
            if job.created is None and known is not None and self._upserts(job):
                reference = str(job.body["SourceSystemReferenceValue"])
                job.created = reference not in known
                known.add(reference)
            row = answer.get("payload")
            if isinstance(row, dict) and row.get("PartyId") and row.get("PartyNumber") and wire.etag_of(row):
                job.stands(row)
            else:
                unread.append(job)
        await self._read_back(unread)

    async def _alone(self, job: Job) -> None:
        resource = self._reader.resource
        try:
            if job.creates:
                answer = await self._api.write(resource, "POST", None, job.body, upsert=self._upserts(job))
                if answer.status == 200 and job.created is None:
                    job.created = False
            else:
                patched = await self._patched(job)
                if patched is None:
                    return
                answer = patched
        except Refused as error:
            if job.creates and error.status == 404:
                job.error = not_served(error)
            elif error.code in DUPLICATE and await self._met(job):
                await self._alone(job)
            elif error.stale:
                await self._moved(job, error.etag)
            else:
                job.refused(error, mapping.canonical(self._reader.kind, error.field))
            return
        except (RetryLater, AuthRejected, ContractBroken) as error:
            job.failed(_unreadable(error))
            return
        await self._read(job, answer)

    async def _met(self, job: Job) -> bool:
        """Whether a create was refused because somebody had just made the record; then it is an update of that one."""
        if not job.creates or job.key is None:
            return False
        try:
            held = (await self._reader.holding(job.key.field, [job.key.value]))[job.key.value]
        except (RetryLater, AuthRejected, ContractBroken):
            return False  # the refusal stands, and is told
        if len(held) != 1:
            return False
        job.found(held[0])
        pair = ("SourceSystem", "SourceSystemReferenceValue")
        job.body = {name: value for name, value in job.body.items() if name not in pair}
        return True

    async def _read(self, job: Job, answer: Answer) -> None:
        try:
            row = answer.decode(wire.item)
        except ContractBroken as error:
            job.failed(_unreadable(error))
            return
        if row.get("PartyId") and row.get("PartyNumber") and wire.etag_of(row):
            job.stands(row)
        else:
            await self._read_back([job])

    async def _patched(self, job: Job) -> Answer | None:
        """PATCH by number; where nobody has it, by the number that the party has now. Sets the outcome where it is gone."""
        resource = self._reader.resource
        try:
            return await self._api.write(resource, "PATCH", job.number, job.body, etag=job.etag)
        except Refused as error:
            if error.status != 404 or job.id is None:
                raise
        rows = await self._api.by_ids(resource, [job.id])
        if not rows or str(rows[0]["PartyNumber"]) == job.number:
            job.moved("")
            return None
        job.number = str(rows[0]["PartyNumber"])
        return await self._api.write(resource, "PATCH", job.number, job.body, etag=job.etag)

    async def _moved(self, job: Job, etag: str = "") -> None:
        """A conflict with the version that stands; the row is looked at where Oracle did not name it."""
        if not etag and job.id is not None:
            try:
                rows = await self._api.by_ids(self._reader.resource, [job.id])
            except (RetryLater, AuthRejected, ContractBroken) as error:
                job.failed(error)
                return
            if rows:
                job.number, etag = str(rows[0]["PartyNumber"]), mapping.version_of(rows[0]).partition("|")[2]
        job.moved(etag)

    async def _read_back(self, jobs: Sequence[Job]) -> None:
        """The rows of jobs that were carried out and whose answers did not show them."""
        if not jobs:
            return
        try:
            by_id = await self._api.by_ids(self._reader.resource, [job.id for job in jobs if job.id is not None])
            rows = {str(row["PartyId"]): row for row in by_id}
            keys = [job.key.value for job in jobs if job.id is None and job.key is not None]
            found = await self._reader.holding("number", keys) if keys else {}
        except (RetryLater, AuthRejected, ContractBroken) as error:
            for job in jobs:
                job.failed(error, begun=True)
            return
        for job in jobs:
            held = found.get(job.key.value, []) if job.id is None and job.key is not None else []
            row = rows.get(job.id or "") or (held[0] if len(held) == 1 else None)
            if row is None:
                job.failed(ContractBroken("Oracle said that it is written and does not show it"), begun=True)
            else:
                job.stands(row)

    def _upserts(self, job: Job) -> bool:
        """Whether Oracle itself keeps the record from being doubled: by the source system's reference, and by nothing else."""
        return job.creates and self._settings.upsert and "SourceSystemReferenceValue" in job.body

    def _narrow(self, error: Exception) -> None:
        """Batches that take too long are halved for a while."""
        if isinstance(error, RetryLater) and not error.untouched:
            self._width = max(2, self._width // 2)


def _unreadable(error: RetryLater | AuthRejected | ContractBroken) -> RetryLater | AuthRejected | ContractBroken:
    """An answer that cannot be read leaves open what was done."""
    if isinstance(error, ContractBroken) and "the answer" in error.what:
        return AnswerLost(error.what, where=error.where)
    return error
