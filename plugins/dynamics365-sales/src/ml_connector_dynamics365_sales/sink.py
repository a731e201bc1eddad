"""Writing one kind: upserts by alternate key and guarded updates, many to a batch, each standing or falling by itself."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import datetime
from typing import Final

from ml_connector.domain import Kind
from ml_connector.domain.record import Record
from ml_connector.errors import AnswerLost, RecordRejected
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Conflict, Key, Outcome, Rejected, SinkLimits, Write, Written
from ml_connector_adapters.http import odata
from ml_connector_dynamics365_sales.api import Api, address, is_id, keyed, row_of, speakable
from ml_connector_dynamics365_sales.bulk import Bulk
from ml_connector_dynamics365_sales.documents import Documents
from ml_connector_dynamics365_sales.jobs import HALF, STOPS, Job, folded, job_for, outcomes, own_id
from ml_connector_dynamics365_sales.judge import refusal, rejected
from ml_connector_dynamics365_sales.mapping import table_of
from ml_connector_dynamics365_sales.metadata import Metadata
from ml_connector_dynamics365_sales.multipart import Request, Response
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.source import rows_by_id, whole
from ml_connector_dynamics365_sales.wire import Vendor

VALUES: Final = 20
"""Values of one query: they may be long and are percent-encoded."""
DOCUMENTS: Final = 10
"""Records with lines per call: each takes calls of its own."""
REVISED: Final = 7


class DynamicsSink:
    """A Sink of one kind."""

    def __init__(self, kind: Kind, api: Api, metadata: Metadata, settings: Settings, clock: Clock) -> None:
        self._kind, self._api, self._metadata, self._settings, self._clock = kind, api, metadata, settings, clock
        self._documents = Documents(api, clock)
        self._bulk = Bulk(api)

    @property
    def limits(self) -> SinkLimits:
        """Batches as the settings say; records with lines go in fewer at once, because each takes several calls."""
        concurrency = self._settings.limits.concurrency
        if table_of(self._kind, self._settings).children is not None:
            return SinkLimits(batch=DOCUMENTS, parallel=max(1, concurrency // 4), in_steps=True)
        return SinkLimits(batch=self._settings.batch, parallel=concurrency)

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
        for column, wanted in by_column.items():
            rows = await rows_by_value(self._api, plan, column, [key.value for key in wanted])
            for key in wanted:
                found[key] += [plan.record(row) for row in rows.get(folded(key.value), ())]
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
            await self._meet(plan, open_jobs)
            await self._documents.write(plan, [job for job in open_jobs if job.outcome is None])
        elif open_jobs:
            await self._write_flat(plan, open_jobs)
        return outcomes(jobs)

    async def _meet(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """Tell creates of what exists already which record it is, refuse where it is several. Changes nothing at Dataverse."""
        creates = [job for job in jobs if job.creates]
        for column in dict.fromkeys(job.column for job in creates):
            ours = [job for job in creates if job.column == column]
            rows = await rows_by_value(self._api, plan, column, [job.key or "" for job in ours])
            for job in ours:
                rows_of_key = rows.get(folded(job.key or ""), [])
                present = [row for row in rows_of_key if not row.get("merged")] or rows_of_key
                if len(present) > 1:
                    job.outcome = _ambiguous(plan, job, present)
                elif present:
                    job.id = str(present[0][plan.id])

    # -- records without children

    async def _write_flat(self, plan: Plan, jobs: Sequence[Job]) -> None:
        creates, updates = [job for job in jobs if job.creates], [job for job in jobs if not job.creates]
        unseen = [job for job in creates if not self._upsertable(plan, job)]
        await self._meet(plan, unseen)
        for job in unseen:
            if job.id is None and job.outcome is None:
                try:
                    job.body = {**plan.defaults(), **job.body}
                except RecordRejected as error:
                    job.outcome = rejected(error)
        upserts = [job for job in creates if job not in unseen]
        if self._settings.bulk_from is not None and len(upserts) >= self._settings.bulk_from:
            upserts = await self._bulk.upsert(plan, upserts, self._clock.now())
        for job in updates:
            if job.state is not None:
                job.body |= _stated(job.state)
                job.state = None
            if not job.body:
                job.outcome = Written(id=job.id or "", version=job.version, warnings=tuple(job.warnings))
        await asyncio.gather(
            *self._sends(plan, [*upserts, *(job for job in unseen if job.outcome is None)], self._create_request),
            *self._sends(plan, [job for job in updates if job.outcome is None], self._update_request),
        )
        await self._follow_up(plan, creates)
        await tell_conflicts(self._api, plan, jobs)

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

    def _sends(
        self, plan: Plan, jobs: Sequence[Job], request: Callable[[Plan, Job], Request]
    ) -> Iterator[Coroutine[None, None, None]]:
        width = self._settings.batch
        for start in range(0, len(jobs), width):
            yield self._send(plan, jobs[start : start + width], request)

    async def _send(self, plan: Plan, jobs: Sequence[Job], request: Callable[[Plan, Job], Request]) -> None:
        """Never twice by itself, although an upsert may be: the second answer would say that nothing was created."""
        try:
            told = await self._api.batch([request(plan, job) for job in jobs])
        except STOPS as error:
            for job in jobs:
                job.failed(error)
            return
        for job, response in zip(jobs, told, strict=True):
            take(plan, job, response, self._clock.now())

    async def _follow_up(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """States of what was created: a new record always begins in its initial one."""
        waiting = [job for job in jobs if isinstance(job.outcome, Written)]
        steps: list[tuple[Job, str, tuple[int, int | None]]] = []
        for job in waiting:
            assert isinstance(job.outcome, Written)
            state = job.state
            if state is None and plan.table.deferred and job.outcome.created and self._settings.publish_products:
                state = plan.table.active
            if state is not None and state != job.stands:
                steps.append((job, job.outcome.id, state))
        if not steps:
            return
        requests = [
            self._api.operation(
                "PATCH",
                address(plan.entity_set, record_id),
                _stated(state),
                match="*",
                select=(plan.id, "modifiedon"),
            )
            for _, record_id, state in steps
        ]
        for job, _, _ in steps:
            job.half = HALF
        try:
            told = await self._api.batch(requests, repeatable=True)
        except STOPS as error:
            for job, _, _ in steps:
                job.failed(error)
            return
        for (job, _, _), response in zip(steps, told, strict=True):
            assert isinstance(job.outcome, Written)
            take(plan, job, response, self._clock.now(), created=job.outcome.created)


def take(plan: Plan, job: Job, response: Response, now: datetime, *, created: bool | None = None) -> None:
    """Read one part's answer into the job's outcome."""
    if response.status >= 400:
        job.refused(refusal(response.status, response.headers, response.body, now, plan.canonical, job.id))
        return
    try:
        job.written(plan, row_of(response), created=response.status == 201 if created is None else created)
    except AnswerLost as error:
        job.failed(error)


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


async def rows_by_value(api: Api, plan: Plan, column: str, values: Sequence[str]) -> dict[str, list[Vendor]]:
    """Folded value → rows that have it, children included. Of a revised quote only its latest revision is told."""
    told = dict.fromkeys(value.rstrip(" ") for value in values if value.strip())
    wanted = [value for value in told if column != plan.id or is_id(value)]
    found: dict[str, list[Vendor]] = {}
    for start in range(0, len(wanted), VALUES):
        where = odata.either(*(_is(plan, column, value) for value in wanted[start : start + VALUES]))
        rows = await api.rows(plan.entity_set, plan.select, where=where, expand=plan.expand)
        for row in await whole(api, plan, rows):
            if plan.kind != "quote" or row.get("statuscode") != REVISED:
                found.setdefault(folded(str(row[column])), []).append(row)
    return found


def _is(plan: Plan, column: str, value: str) -> str:
    """An id stands without quotes in a filter."""
    return f"{column} eq {value}" if column == plan.id else odata.eq(column, value)


def _ambiguous(plan: Plan, job: Job, present: Sequence[Vendor]) -> Rejected:
    named = ", ".join(str(row[plan.id]) for row in present[:5])
    return Rejected(
        code="AMBIGUOUS",
        reason=f"{len(present)} records of {plan.table.name} have it: {named}",
        field=plan.canonical(job.column),
        fix="Merge them in Dynamics, or empty the column on all but one; an alternate key (ping --fix) keeps it so",
    )


def _stated(state: tuple[int, int | None]) -> Vendor:
    code, status = state
    return {"statecode": code} if status is None else {"statecode": code, "statuscode": status}
