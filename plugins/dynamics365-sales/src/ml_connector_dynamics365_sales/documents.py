"""Records with children: orders, quotes, deals with lines, price lists with items. Each is brought to where it shall be alone.

A new one goes in one request with its children, under an id that follows from its business key: a repetition meets itself.
An existing one is changed in one change set. Its header is guarded by its ETag, and is sent even where only lines change,
because nothing else guards the order as a whole. States come last, by the sales messages that alone may close a record.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from ml_connector.errors import RecordRejected
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Conflict
from ml_connector_adapters.http import odata
from ml_connector_dynamics365_sales.api import Api, address, row_of
from ml_connector_dynamics365_sales.children import Change, Item, changes
from ml_connector_dynamics365_sales.jobs import HALF, STOPS, Job, own_id
from ml_connector_dynamics365_sales.judge import DUPLICATE, refusal, rejected, said
from ml_connector_dynamics365_sales.mapping import FIXED
from ml_connector_dynamics365_sales.multipart import Response
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.source import either_id, rows_by_id, whole
from ml_connector_dynamics365_sales.states import steps_to
from ml_connector_dynamics365_sales.wire import ETAG, Vendor

IDS: Final = 50
_ITEM: Final = ("productid", "productnumber", "_defaultuomid_value", "_defaultuomscheduleid_value", "statecode")
_TOLERANCE: Final = Decimal("0.01")


class Documents:
    """Writes of one kind with children."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self._api, self._clock = api, clock

    async def write(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """Give every job an outcome or an error. Creates that exist already have their id by now."""
        if not jobs:
            return
        ids = [job.id for job in jobs if job.id is not None]
        present = {str(row[plan.id]): row for row in await rows_by_id(self._api, plan, ids)}
        items = await self._items(plan, jobs)
        await asyncio.gather(*(self._one(plan, job, present.get(job.id or ""), items) for job in jobs))

    async def _one(self, plan: Plan, job: Job, row: Vendor | None, items: Sequence[Item]) -> None:
        try:
            if job.creates and row is None:
                await self._create(plan, job, items)
            elif row is None:
                job.outcome = Conflict(current=None)
            elif job.version is not None and job.version != plan.version(row):
                job.outcome = Conflict(current=plan.version(row), id=job.id)
            else:
                await self._change(plan, job, row, items)
        except RecordRejected as error:
            job.outcome = rejected(error)
        except STOPS as error:
            job.failed(error)

    async def _create(self, plan: Plan, job: Job, items: Sequence[Item]) -> None:
        assert plan.children is not None
        row_id = own_id(plan, str(job.body[job.column]))
        body = {**plan.defaults(job.currency), **job.body, plan.id: row_id}
        for number in FIXED & plan.attributes.keys():
            body.setdefault(number, job.key)  # else the record would get one of Dynamics' own making, which nobody knows
        if job.has_children:
            body[plan.children.nav] = [child.body for child in plan.children.wanted(job.children, items, job.warnings)]
        request = self._api.operation("POST", plan.entity_set, body, select=plan.select, expand=plan.expand)
        told = await self._api.send(request, repeatable=True)  # the id makes sure that it stands once
        if told.status >= 400:
            if said(told.body).code in DUPLICATE and (row := await self._row(plan, row_id)) is not None:
                job.id = row_id  # an earlier attempt got through
                await self._change(plan, job, row, items, created=True)
            else:
                self._refused(plan, job, told)
            return
        job.half = HALF
        await self._finish(plan, job, row_of(told), created=True, changed=False)

    async def _change(self, plan: Plan, job: Job, row: Vendor, items: Sequence[Item], *, created: bool = False) -> None:
        assert plan.children is not None
        body = {name: value for name, value in job.body.items() if not plan.stands(name, value, row)}
        if job.creates:
            body.pop(job.column, None)
        steps: list[Change] = []
        if job.has_children:
            wanted = plan.children.wanted(job.children, items, job.warnings)
            steps = changes(plan.children, wanted, row.get(plan.children.nav) or [])
        changed = bool(body or steps)
        if changed:
            row = await self._reopened(plan, job, row)
            title = plan.definition.PrimaryNameAttribute or ""
            told = await self._send(plan, row, body or {title: row.get(title)}, steps)
            if told is not None:
                self._refused(plan, job, told)
                if isinstance(job.outcome, Conflict) and job.outcome.current == "":
                    now = await self._row(plan, str(row[plan.id]))
                    job.outcome = Conflict(current=plan.version(now), id=job.id) if now else Conflict(current=None)
                return
            job.half = HALF
        await self._finish(plan, job, row, created=created, changed=changed)

    async def _send(self, plan: Plan, row: Vendor, body: Vendor, steps: Sequence[Change]) -> Response | None:
        """Header and children in one; None when all of it stands, else the refusal."""
        assert plan.children is not None
        row_id, children = str(row[plan.id]), plan.children
        requests = [self._api.operation("PATCH", address(plan.entity_set, row_id), body, match=str(row[ETAG]))]
        for step in steps:
            if step.id is None:
                bound = {f"{children.parent}@odata.bind": f"/{address(plan.entity_set, row_id)}"}
                requests.append(self._api.operation("POST", children.entity_set, {**(step.body or {}), **bound}))
            elif step.body is None:
                requests.append(self._api.operation("DELETE", address(children.entity_set, step.id)))
            else:
                requests.append(self._api.operation("PATCH", address(children.entity_set, step.id), step.body, match="*"))
        told = [await self._api.send(requests[0])] if len(requests) == 1 else await self._api.change_set(requests)
        return next((one for one in told if one.status >= 400), None)

    async def _reopened(self, plan: Plan, job: Job, row: Vendor) -> Vendor:
        """A record that shall be open and is not has to be opened before it can be edited."""
        if job.state is None or job.state[0] != 0 or row.get("statecode") in (None, 0):
            return row
        for step in steps_to(self._api, plan, str(row[plan.id]), _state(row), job.state):
            told = await step()
            if told.status >= 400:
                return row  # the edit will be refused in the vendor's words
        return await self._row(plan, str(row[plan.id])) or row

    async def _finish(self, plan: Plan, job: Job, row: Vendor, *, created: bool, changed: bool) -> None:
        """Bring the state along and tell the version that stands at the end."""
        moved = False
        if job.state is not None:
            for step in steps_to(self._api, plan, str(row[plan.id]), _state(row), job.state):
                told = await step()
                if told.status >= 400:
                    self._refused(plan, job, told)
                    return
                moved = True
        if changed or moved:
            row = await self._row(plan, str(row[plan.id])) or row
        else:
            [row] = await whole(self._api, plan, [row])
        if plan.kind in ("order", "quote"):
            _compare_totals(job, row, len(row.get(plan.children.nav) or ()) if plan.children else 0)
        job.written(plan, row, created=created)

    def _refused(self, plan: Plan, job: Job, told: Response) -> None:
        job.refused(refusal(told.status, told.headers, told.body, self._clock.now(), plan.canonical, job.id))

    async def _row(self, plan: Plan, row_id: str) -> Vendor | None:
        row = await self._api.row(address(plan.entity_set, row_id), plan.select, plan.expand)
        return None if row is None else (await whole(self._api, plan, [row]))[0]

    async def _items(self, plan: Plan, jobs: Sequence[Job]) -> list[Item]:
        """The products that the jobs' children name."""
        assert plan.children is not None
        ids: set[str] = set()
        numbers: set[str] = set()
        for job in jobs:
            if job.has_children:
                by_id, by_number = plan.children.products(job.children)
                ids |= by_id
                numbers |= by_number
        conditions = [either_id("productid", chunk) for chunk in _chunks(sorted(ids))]
        conditions += [odata.either(*(odata.eq("productnumber", n) for n in chunk)) for chunk in _chunks(sorted(numbers), 20)]
        pages = await asyncio.gather(*(self._api.rows("products", _ITEM, where=where) for where in conditions))
        return [_item(row) for rows in pages for row in rows]


def _compare_totals(job: Job, row: Vendor, lines: int) -> None:
    """Dataverse adds up by itself: a sum that differs by more than rounding, with tax and without, is told."""
    total, with_tax = job.total, row.get("totalamount")
    if total is None or with_tax is None:
        return
    sums = (Decimal(with_tax), Decimal(with_tax) - Decimal(row.get("totaltax") or 0))
    if all(abs(total - told) > _TOLERANCE * max(1, lines) for told in sums):
        job.warnings.append(f"Dynamics adds up to {with_tax}, the source says {total}")


def _item(row: Vendor) -> Item:
    return Item(
        id=row["productid"],
        number=row.get("productnumber") or "",
        unit=row.get("_defaultuomid_value") or "",
        group=row.get("_defaultuomscheduleid_value") or "",
        sold=row.get("statecode") == 0,
    )


def _state(row: Vendor) -> tuple[int, int]:
    return int(row.get("statecode") or 0), int(row.get("statuscode") or 0)


def _chunks(values: Sequence[str], width: int = IDS) -> list[Sequence[str]]:
    return [values[start : start + width] for start in range(0, len(values), width)]
