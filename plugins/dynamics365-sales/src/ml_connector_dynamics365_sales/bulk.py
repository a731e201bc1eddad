"""``UpsertMultiple``: many records in a call that stands or falls as a whole, halved until the one at fault stands alone."""

from collections.abc import Sequence
from datetime import datetime

from ml_connector_dynamics365_sales.api import MULTIPLE_MOST, Api, keyed
from ml_connector_dynamics365_sales.jobs import Job
from ml_connector_dynamics365_sales.judge import STOPS, whole
from ml_connector_dynamics365_sales.looks import Look, folded, looked
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.wire import Vendor


class Bulk:
    """Bulk upserts of one connection."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def upsert(self, plan: Plan, jobs: Sequence[Job], now: datetime) -> list[Job]:
        """Write what can be written in bulk; returns the jobs that go one by one, so that each is told its fault.

        The message tells no ids, so keys are looked up before (which are new?) and after (which ids and versions?).
        """
        distinct = {folded(str(job.body[job.column])): job for job in jobs}
        ours = list(distinct.values())
        others = [job for job in jobs if distinct[folded(str(job.body[job.column]))] is not job]
        before = await self._rows(plan, ours)
        written: list[Job] = []
        left: list[Job] = []
        waiting = [ours[start : start + MULTIPLE_MOST] for start in range(0, len(ours), MULTIPLE_MOST)]
        while waiting:
            chunk = waiting.pop()
            if len(chunk) == 1:
                left += chunk
                continue
            try:
                told = await self._api.upsert_multiple(plan.table.name, plan.entity_set, [_target(plan, job) for job in chunk])
            except STOPS as error:
                for job in chunk:
                    job.failed(error)
                continue
            if told.status < 400:
                written += chunk
            elif (refused := whole(told.status, told.headers, told.body, now)) is not None:
                for job in chunk:
                    job.failed(refused)
            else:
                middle = len(chunk) // 2
                waiting += [chunk[middle:], chunk[:middle]]
        try:
            after = await self._rows(plan, written)
        except STOPS as error:
            for job in written:
                job.half = "the record was written, how it stands could not be read"
                job.failed(error)
            return left + others
        for job in written:
            name = folded(str(job.body[job.column]))
            if (row := after.get(name)) is None:
                left.append(job)
                continue
            job.written(plan, row, created=name not in before)
        return left + others

    async def _rows(self, plan: Plan, jobs: Sequence[Job]) -> dict[str, Vendor]:
        select = (plan.id, plan.key, "modifiedon", "statecode", "statuscode")
        values = [str(job.body[job.column]).rstrip(" ") for job in jobs]
        look = Look(entity_set=plan.entity_set, select=select, column=plan.key, values=values)
        [rows] = await looked(self._api, [look])
        return {folded(str(row[plan.key])): row for row in rows}


def _target(plan: Plan, job: Job) -> tuple[str, Vendor]:
    body = {name: value for name, value in job.body.items() if name != job.column}
    return keyed(plan.entity_set, job.column, str(job.body[job.column])), body
