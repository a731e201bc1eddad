"""Writing one kind: upserts by alternate key and guarded updates, many to a batch, each standing or falling by itself."""

from collections.abc import Sequence
from typing import Final

from ml_connector.domain import Kind
from ml_connector.domain.record import Record
from ml_connector.errors import AnswerLost, ConnectorError, RecordRejected
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Conflict, Key, Outcome, SinkLimits, Write, Written
from ml_connector_dynamics365_sales.api import AT_ONCE, Api, address, keyed, row_of, speakable
from ml_connector_dynamics365_sales.batches import Batches, Unit
from ml_connector_dynamics365_sales.bulk import Bulk
from ml_connector_dynamics365_sales.documents import Documents
from ml_connector_dynamics365_sales.jobs import HALF, Job, job_for, outcomes, own_id
from ml_connector_dynamics365_sales.judge import STOPS, refusal, rejected
from ml_connector_dynamics365_sales.looks import by_value, folded, known_by, looked, rows_by_id, whole
from ml_connector_dynamics365_sales.mapping import table_of
from ml_connector_dynamics365_sales.metadata import Metadata
from ml_connector_dynamics365_sales.multipart import Request
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.wire import Vendor

DOCUMENTS: Final = 2
"""So many batches' worth of records with lines per call, which are looked at together before they are written."""


class DynamicsSink:
    """A Sink of one kind."""

    def __init__(self, kind: Kind, api: Api, metadata: Metadata, settings: Settings, clock: Clock) -> None:
        self._kind, self._api, self._metadata, self._settings, self._clock = kind, api, metadata, settings, clock
        self._batches = Batches(api, settings.batch)
        self._documents = Documents(api, clock, self._batches)
        self._bulk = Bulk(api)

    @property
    def limits(self) -> SinkLimits:
        """Batches as the settings say, no more at once than execution time allows. The runner keeps its lease meanwhile."""
        if table_of(self._kind, self._settings).children is not None:
            return SinkLimits(batch=DOCUMENTS * self._settings.batch, parallel=1, in_steps=True)
        return SinkLimits(batch=self._settings.batch, parallel=min(self._settings.limits.concurrency, AT_ONCE))

    async def accepts(self) -> frozenset[str]:
        """What the mapping knows and the environment lets us write."""
        return (await self._metadata.plan(self._kind)).accepts

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        """Full records by key. Neither case nor blanks behind it matter, as at Dataverse."""
        found: dict[Key, list[Record]] = {key: [] for key in keys}
        if not found:
            return found
        plan = await self._metadata.plan(self._kind)
        by_column: dict[str, list[Key]] = {}
        for key in found:
            if (column := plan.columns.get(key.field)) is not None and key.value.strip():
                by_column.setdefault(column, []).append(key)
        looks = [by_value(plan, column, [key.value for key in wanted]) for column, wanted in by_column.items()]
        for (column, wanted), rows in zip(by_column.items(), await looked(self._api, looks), strict=True):
            known = known_by(plan, column, await whole(self._api, plan, rows))
            for key in wanted:
                found[key] += [plan.record(row) for row in known.get(folded(key.value), ())]
        return found

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Perform the writes. An error is raised only while it costs no outcome; later on, what failed is told as Later."""
        if not writes:
            return []
        plan = await self._metadata.plan(self._kind)
        jobs = [job_for(plan, write) for write in writes]
        if any(job.outcome is not None for job in jobs):  # by what we know; an administrator may have changed it since
            self._metadata.doubt()
            plan = await self._metadata.plan(self._kind)
            jobs = [job_for(plan, write) for write in writes]
        open_jobs = [job for job in jobs if job.outcome is None]
        if plan.children is not None:
            await self._documents.write(plan, open_jobs)
        elif open_jobs:
            await self._write_flat(plan, open_jobs)
        await tell_conflicts(self._api, plan, jobs)
        return outcomes(jobs)

    # -- records without children

    async def _write_flat(self, plan: Plan, jobs: Sequence[Job]) -> None:
        creates, updates = [job for job in jobs if job.creates], [job for job in jobs if not job.creates]
        unseen = [job for job in creates if not self._upsertable(plan, job)]
        await self._meet(plan, unseen)
        for job in unseen:
            if job.id is None and job.open:
                try:
                    job.body = {**plan.defaults(), **job.body}
                except RecordRejected as error:
                    job.outcome = rejected(error)
        upserts = [job for job in creates if self._upsertable(plan, job)]
        if self._settings.bulk_from is not None and len(upserts) >= self._settings.bulk_from:
            upserts = await self._bulk.upsert(plan, upserts, self._clock.now())
        for job in updates:
            if job.state is not None:
                job.body |= _stated(job.state)
                job.state = None
            if not job.body:
                job.outcome = Written(id=job.id or "", version=job.version, warnings=tuple(job.warnings))
        new = [(job, self._create_request(plan, job)) for job in (*upserts, *unseen) if job.open]
        old = [(job, self._update_request(plan, job)) for job in updates if job.open]
        await self._send(plan, [*new, *old])
        await self._follow_up(plan, creates)

    async def _meet(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """Tell creates of what exists already which record it is, refuse where it is several. Changes nothing at Dataverse."""
        columns = list(dict.fromkeys(job.column for job in jobs))
        looks = [by_value(plan, column, [job.key or "" for job in jobs if job.column == column]) for column in columns]
        for column, rows in zip(columns, await looked(self._api, looks), strict=True):
            known = known_by(plan, column, rows)
            for job in jobs:
                if job.column == column:
                    job.meet(plan, known.get(folded(job.key or ""), []))

    def _upsertable(self, plan: Plan, job: Job) -> bool:
        """Whether the alternate key takes the record as it is, so that nobody has to look first."""
        usable = plan.keyed and job.column == plan.key and speakable(str(job.body[job.column]))
        return usable and not plan.table.deferred

    def _create_request(self, plan: Plan, job: Job) -> Request:
        select = (plan.id, "modifiedon", "statecode", "statuscode")
        body = {name: told for name, told in job.body.items() if name != job.column}
        if job.id is not None:  # it is known by its key already, in whichever spelling
            return self._api.operation("PATCH", address(plan.entity_set, job.id), body, match="*", select=select)
        value = str(job.body[job.column])
        if plan.keyed and job.column == plan.key and speakable(value):
            return self._api.operation("PATCH", keyed(plan.entity_set, job.column, value), body, select=select)
        return self._api.operation("PATCH", address(plan.entity_set, own_id(plan, value)), job.body, select=select)

    def _update_request(self, plan: Plan, job: Job) -> Request:
        target = address(plan.entity_set, job.id or "")
        return self._api.operation("PATCH", target, job.body, match=job.version or "*", select=(plan.id, "modifiedon"))

    async def _send(self, plan: Plan, sent: Sequence[tuple[Job, Request]], *, following: bool = False) -> None:
        """Send one write for each and take what came of it. ``following``: the record was created before."""
        results = await self._batches.send([Unit(writes=(request,), rows=1) for _, request in sent])
        for (job, _), result in zip(sent, results, strict=True):
            if isinstance(result, ConnectorError):
                job.failed(result)
            elif result.refused:
                told = result.answer
                job.refused(refusal(told.status, told.headers, told.body, self._clock.now(), plan.canonical, job.id))
            else:
                try:
                    job.created = job.created if following else result.answer.status == 201
                    job.written(plan, row_of(result.answer), created=job.created)
                except AnswerLost as error:
                    job.failed(error)

    async def _follow_up(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """States of what was created: a new record always begins in its initial one."""
        steps: list[tuple[Job, Request]] = []
        for job in jobs:
            if not isinstance(job.outcome, Written):
                continue
            state = job.state
            if state is None and plan.table.deferred and job.outcome.created and self._settings.publish_products:
                state = plan.table.active
            if state is not None and state != job.stands:
                target = address(plan.entity_set, job.outcome.id)
                job.created, job.half = job.outcome.created, HALF
                select = (plan.id, "modifiedon")
                steps.append((job, self._api.operation("PATCH", target, _stated(state), match="*", select=select)))
        await self._send(plan, steps, following=True)


async def tell_conflicts(api: Api, plan: Plan, jobs: Sequence[Job]) -> None:
    """Put the version that stands now into outcomes that only know that theirs is stale."""
    stale = [job for job in jobs if isinstance(job.outcome, Conflict) and job.outcome.current == "" and job.id]
    if not stale:
        return
    try:
        rows = {str(row[plan.id]): row for row in await rows_by_id(api, plan, [job.id or "" for job in stale])}
    except STOPS:
        return
    for job in stale:
        row = rows.get(job.id or "")
        if row is None:
            job.outcome = Conflict(current=None)
        elif row.get("merged") and row.get("_masterid_value"):
            job.outcome = Conflict(current=None, id=str(row["_masterid_value"]))
        else:
            job.outcome = Conflict(current=plan.version(row), id=job.id)


def _stated(state: tuple[int, int | None]) -> Vendor:
    code, status = state
    return {"statecode": code} if status is None else {"statecode": code, "statuscode": status}
