"""Records with children: orders, quotes, deals with lines, price lists with items. Many to a batch, each standing by itself.

A new one is one operation, header and children, under an id that follows from its business key: it cannot be made twice. An
existing one is changed in a change set of its own. Its header is guarded by its ETag, and is sent even where only lines change,
because nothing else guards the record as a whole; a read behind it tells what Dataverse made of it. States come last, by the
sales messages that alone may close a record.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

import msgspec

from ml_connector.errors import AnswerLost, ConnectorError, RecordRejected
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Conflict
from ml_connector_dynamics365_sales.api import Api, address, row_of
from ml_connector_dynamics365_sales.batches import Batches, Result, Unit
from ml_connector_dynamics365_sales.children import Change, Item, changes
from ml_connector_dynamics365_sales.jobs import HALF, Job, own_id
from ml_connector_dynamics365_sales.judge import DUPLICATE, NO_SEGMENT, STOPS, refusal, rejected, said
from ml_connector_dynamics365_sales.looks import Look, by_id, by_value, folded, known_by, looked, whole
from ml_connector_dynamics365_sales.mapping import FIXED
from ml_connector_dynamics365_sales.multipart import Request, Response
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.states import state_of, steps_to
from ml_connector_dynamics365_sales.wire import ETAG, Vendor

_ITEM: Final = ("productid", "productnumber", "_defaultuomid_value", "_defaultuomscheduleid_value", "statecode")
_TOLERANCE: Final = Decimal("0.01")
_UNSEEN: Final = "how it stands now could not be read"


class Draft(msgspec.Struct, frozen=True):
    """What is to be sent of one record that exists: columns of its header, and steps for its children."""

    job: Job
    body: Vendor
    steps: Sequence[Change]


class Documents:
    """Writes of one kind with children."""

    def __init__(self, api: Api, clock: Clock, batches: Batches) -> None:
        self._api, self._clock, self._batches = api, clock, batches
        self._bound = True  # as ``states.BOUND`` has it, until Dataverse says otherwise

    async def write(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """Give every job an outcome or an error. Raises what the first look is stopped by."""
        if not jobs:
            return
        blind = plan.key if plan.keyed else ""  # of this column Dataverse lets nobody enter a value twice
        items = await self._look(plan, [job for job in jobs if not job.creates or job.column != blind], jobs)
        met = await self._bring(plan, [job for job in jobs if job.open], items)
        if met:  # somebody has entered them meanwhile, or always had
            await self._meet(plan, met)
            await self._bring(plan, [job for job, _ in met if job.open and job.row is not None], items)
            for job, told in met:
                if job.open and job.row is None:
                    self._refused(plan, job, told)
        await self._move(plan, [job for job in jobs if job.open and job.state is not None])
        for job in jobs:
            if job.open:
                await self._end(plan, job)

    # -- what is there

    async def _look(self, plan: Plan, unknown: Sequence[Job], jobs: Sequence[Job]) -> list[Item]:
        """Put the rows that stand into the unknown jobs; returns the products that the children of all of them name."""
        columns = list(dict.fromkeys(job.column for job in unknown if job.creates))
        looks = [by_id(plan, [job.id for job in unknown if job.id is not None])]
        looks += [by_value(plan, column, [job.key or "" for job in unknown if job.column == column]) for column in columns]
        rows, *more = await looked(self._api, [*looks, *self._named(plan, jobs)])
        present = {str(row[plan.id]): row for row in await whole(self._api, plan, rows)}
        for job in unknown:
            job.row = present.get(job.id or "")
        for column, told in zip(columns, more, strict=False):
            known = known_by(plan, column, await whole(self._api, plan, told))
            for job in unknown:
                if job.creates and job.column == column:
                    job.meet(plan, known.get(folded(job.key or ""), []))
        items = {row["productid"]: _item(row) for told in more[len(columns) :] for row in told}
        return list(items.values())

    def _named(self, plan: Plan, jobs: Sequence[Job]) -> list[Look]:
        assert plan.children is not None
        ids: set[str] = set()
        numbers: set[str] = set()
        for job in jobs:
            if job.has_children:
                some_ids, some_numbers = plan.children.products(job.children)
                ids |= some_ids
                numbers |= some_numbers
        return [
            Look(entity_set="products", select=_ITEM, column="productid", values=sorted(ids), ids=True),
            Look(entity_set="products", select=_ITEM, column="productnumber", values=sorted(numbers)),
        ]

    async def _meet(self, plan: Plan, met: Sequence[tuple[Job, Response]]) -> None:
        """Dataverse has their keys, or the ids that would be theirs."""
        jobs = [job for job, _ in met]
        try:
            await self._look(plan, jobs, [])
            for job in jobs:
                if job.open and job.row is None:
                    job.id = own_id(plan, str(job.body[job.column]))
            [rows] = await looked(self._api, [by_id(plan, [job.id or "" for job in jobs if job.open and job.row is None])])
            present = {str(row[plan.id]): row for row in await whole(self._api, plan, rows)}
        except STOPS as error:
            for job in jobs:
                job.failed(error)
            return
        for job in jobs:
            if job.open and job.row is None:
                job.row = present.get(job.id or "")

    # -- header and children

    async def _bring(self, plan: Plan, jobs: Sequence[Job], items: Sequence[Item]) -> list[tuple[Job, Response]]:
        """Make what is new and change what differs; returns the new ones that Dataverse has already, with its words."""
        drafts: list[Draft] = []
        fresh: list[tuple[Job, Unit]] = []
        for job in jobs:
            try:
                if job.creates and job.row is None:
                    fresh.append((job, self._creation(plan, job, items)))
                elif (draft := self._draft(plan, job, items)) is not None:
                    drafts.append(draft)
            except RecordRejected as error:
                job.outcome = rejected(error)
        await self._reopen(plan, [draft.job for draft in drafts if _shut(draft.job)])
        units = [*fresh, *((draft.job, self._change(plan, draft)) for draft in drafts if draft.job.open)]
        met: list[tuple[Job, Response]] = []
        for (job, _), result in zip(units, await self._batches.send([unit for _, unit in units]), strict=True):
            if isinstance(result, ConnectorError):
                job.failed(result)
            elif not result.refused:
                job.created, job.half = job.row is None, HALF
                self._see(plan, job, result.answer if job.created else result.look)
            elif job.creates and job.row is None and said(result.answer.body).code in DUPLICATE:
                met.append((job, result.answer))
            else:
                self._refused(plan, job, result.answer)
        return met

    def _creation(self, plan: Plan, job: Job, items: Sequence[Item]) -> Unit:
        assert plan.children is not None
        body = {**plan.defaults(job.currency), **job.body, plan.id: own_id(plan, str(job.body[job.column]))}
        for number in FIXED & plan.attributes.keys():
            body.setdefault(number, job.key)  # else the record would get one of Dynamics' own making, which nobody knows
        children: list[Vendor] = []
        if job.has_children:
            children = [child.body for child in plan.children.wanted(job.children, items, job.warnings)]
            body[plan.children.nav] = children
        request = self._api.operation("POST", plan.entity_set, body, select=plan.select, expand=plan.expand)
        return Unit(writes=(request,), rows=1 + len(children))

    def _draft(self, plan: Plan, job: Job, items: Sequence[Item]) -> Draft | None:
        """None where nothing differs, or where the record is not the one that was seen, which is the job's outcome then."""
        assert plan.children is not None
        row = job.row
        if row is None:
            job.outcome = Conflict(current=None)
            return None
        if job.version is not None and job.version != plan.version(row):
            job.outcome = Conflict(current=plan.version(row), id=job.id)
            return None
        body = {name: value for name, value in job.body.items() if not plan.stands(name, value, row)}
        if job.creates:
            body.pop(job.column, None)
        steps: list[Change] = []
        if job.has_children:
            wanted = plan.children.wanted(job.children, items, job.warnings)
            steps = changes(plan.children, wanted, row.get(plan.children.nav) or [])
        return Draft(job, body, steps) if body or steps else None

    def _change(self, plan: Plan, draft: Draft) -> Unit:
        assert plan.children is not None
        assert draft.job.row is not None
        row, children, title = draft.job.row, plan.children, plan.definition.PrimaryNameAttribute or ""
        target = address(plan.entity_set, str(row[plan.id]))
        body = draft.body or {title: row.get(title)}
        writes = [self._api.operation("PATCH", target, body, match=str(row[ETAG]))]
        for step in draft.steps:
            if step.id is None:
                bound = {f"{children.parent}@odata.bind": f"/{target}"}
                writes.append(self._api.operation("POST", children.entity_set, {**(step.body or {}), **bound}))
            elif step.body is None:
                writes.append(self._api.operation("DELETE", address(children.entity_set, step.id)))
            else:
                writes.append(self._api.operation("PATCH", address(children.entity_set, step.id), step.body, match="*"))
        return self._unit(plan, row, writes)

    def _unit(self, plan: Plan, row: Vendor, writes: Sequence[Request]) -> Unit:
        look = self._api.reading(address(plan.entity_set, str(row[plan.id])), plan.select, plan.expand)
        return Unit(writes=tuple(writes), rows=len(writes), look=look)

    def _see(self, plan: Plan, job: Job, told: Response | None) -> None:
        """Take the record as it stands behind a write."""
        try:
            if told is None or told.status >= 400:
                raise AnswerLost(_UNSEEN)
            job.row = row_of(told)
        except AnswerLost as error:
            job.failed(error)

    # -- states

    async def _reopen(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """A record that shall be open and is not has to be opened before it can be edited.

        Where that is refused, the edit will be as well, in the vendor's words.
        """
        for job, result in await self._step(plan, jobs):
            if isinstance(result, ConnectorError):
                job.failed(result)
            elif not result.refused:
                self._see(plan, job, result.look)

    async def _move(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """Bring the states along."""
        for job, result in await self._step(plan, jobs):
            if isinstance(result, ConnectorError):
                job.failed(result)
            elif result.refused:
                self._refused(plan, job, result.answer)
            else:
                job.half = HALF
                self._see(plan, job, result.look)

    async def _step(self, plan: Plan, jobs: Sequence[Job]) -> list[tuple[Job, Result]]:
        """Results of those that have a way to go."""
        units: list[tuple[Job, Unit]] = []
        for job in jobs:
            assert job.row is not None
            assert job.state is not None
            if steps := steps_to(self._api, plan, job.row, job.state, bound=self._bound):
                units.append((job, self._unit(plan, job.row, steps)))
        results = await self._batches.send([unit for _, unit in units])
        told = [(job, result) for (job, _), result in zip(units, results, strict=True)]
        if not self._bound or not any(_unknown(result) for _, result in told):
            return told
        self._bound = False
        again = await self._step(plan, [job for job, result in told if _unknown(result)])
        return [*((job, result) for job, result in told if not _unknown(result)), *again]

    # -- the end

    async def _end(self, plan: Plan, job: Job) -> None:
        assert job.row is not None
        try:
            [row] = await whole(self._api, plan, [job.row])
        except STOPS as error:
            job.failed(error)
            return
        if plan.kind in ("order", "quote"):
            _compare_totals(job, row, len(row.get(plan.children.nav) or ()) if plan.children else 0)
        job.written(plan, row, created=job.created)

    def _refused(self, plan: Plan, job: Job, told: Response) -> None:
        job.refused(refusal(told.status, told.headers, told.body, self._clock.now(), plan.canonical, job.id))


def _shut(job: Job) -> bool:
    """Whether it shall be open and is not."""
    return job.state is not None and job.state[0] == 0 and job.row is not None and state_of(job.row)[0] != 0


def _unknown(result: Result) -> bool:
    """Whether the environment has no such message in the form in which it was sent."""
    return not isinstance(result, ConnectorError) and result.refused and said(result.answer.body).code == NO_SEGMENT


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
