"""Writing one kind: upserts by ERP key, guarded updates many at a time, and every result taken seriously.

How updates are guarded. ``If-Unmodified-Since`` covers a whole call, and Zoho's own advice is one call per guarded record.
Here the records' Modified_Time is first read in one query. Those that moved are conflicts and are not sent. The rest go in one
call whose header is the newest Modified_Time just verified: an edit made after that query is later than every verified time, so
Zoho refuses it, per record or (where Zoho refuses the whole call) by a second round of single calls. What remains is Zoho's
precision: two edits within one second are not told apart.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from ml_connector.domain import UNSET, Kind, Ref
from ml_connector.domain.record import Record
from ml_connector.errors import AnswerLost, AuthRejected, ContractBroken, RecordRejected, RetryLater
from ml_connector.ports.sink import Conflict, Key, Later, Outcome, SinkLimits, Unknown, Write, Written
from ml_connector_zoho_crm import coql
from ml_connector_zoho_crm.api import BATCH, Api
from ml_connector_zoho_crm.convert import instant
from ml_connector_zoho_crm.deal_orders import DealOrders
from ml_connector_zoho_crm.jobs import Job, collapsed, job_for, outcomes
from ml_connector_zoho_crm.judge import field_of, refusal
from ml_connector_zoho_crm.lines import block, block_of, free_text, joined
from ml_connector_zoho_crm.metadata import Metadata
from ml_connector_zoho_crm.plan import Plan
from ml_connector_zoho_crm.queries import any_with, ids_by_key, matching, rows_by_id, with_lines
from ml_connector_zoho_crm.settings import Settings
from ml_connector_zoho_crm.wire import Result, Vendor, version_of

_MOVED: Final = "ALREADY_MODIFIED"
_SEEN: Final = ("id", "Modified_Time")

Call = Callable[[list[Vendor]], Awaitable[list[Result]]]


class ZohoSink:
    """A Sink of one kind."""

    def __init__(self, kind: Kind, api: Api, metadata: Metadata, settings: Settings) -> None:
        self._kind, self._api, self._metadata, self._settings = kind, api, metadata, settings
        self._in_description = kind == "deal" and settings.order_lines == "description"
        self._orders = DealOrders(api, metadata, settings) if kind == "deal" and settings.order_lines == "sales_order" else None
        self._asking = asyncio.Lock()
        self._keyless: dict[str, bool] = {}  # by key field: no record had a value in it when the first create came

    @property
    def limits(self) -> SinkLimits:
        """One batch more than Zoho may have at once: it is made ready meanwhile and waits for its turn at the limiter."""
        beside = self._kind == "deal" and self._settings.order_lines == "sales_order"  # the deal, then its sales order
        return SinkLimits(batch=BATCH, parallel=self._settings.limits.heavy_concurrency + 1, in_steps=beside, credits=1, per=10)

    async def accepts(self) -> frozenset[str]:
        """What the mapping knows and the organisation lets us write."""
        return (await self._metadata.plan(self._kind)).accepts

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        """Full records by key, through COQL because Zoho's search misses fresh records. Case does not matter, as at Zoho."""
        found: dict[Key, list[Record]] = {key: [] for key in keys}
        if not found:
            return found
        plan = await self._metadata.plan(self._kind)
        by_api: dict[str, dict[str, list[Key]]] = {}
        for key in found:
            api = plan.apis.get(key.field)
            if api is not None and key.value.strip():
                by_api.setdefault(api, {}).setdefault(key.value.strip().casefold(), []).append(key)
        for api, wanted in by_api.items():
            values = [keys[0].value.strip() for keys in wanted.values()]
            rows = [row for row in await matching(self._api, plan, api, values, plan.selected()) if plan.living(row)]
            if plan.lines is not None:
                rows = await with_lines(self._api, plan.lines, rows, self._settings.line_page)
            for row in rows:
                record = plan.record(row)
                for key in wanted.get(str(row[api]).strip().casefold(), ()):
                    found[key].append(record)
        return found

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        """Perform the writes. An error is raised only while it costs no outcome; later on, what failed is told as Later."""
        if not writes:
            return []
        plan = await self._metadata.plan(self._kind)
        jobs = self._jobs(plan, writes)
        if any(job.outcome is not None for job in jobs):  # by what we know; an administrator may have changed it since
            self._metadata.doubt(self._kind)
            plan = await self._metadata.plan(self._kind)
            jobs = self._jobs(plan, writes)
        kept = collapsed(jobs)
        rejected = [job for job in jobs if job.outcome is not None]
        await self._prepare(plan, kept)
        await self._send_all(plan, [job for job in kept if job.outcome is None])
        if self._orders is not None:
            await self._orders.follow(plan, kept)
        return outcomes([*kept, *rejected], len(writes))

    def _jobs(self, plan: Plan, writes: Sequence[Write]) -> list[Job]:
        retirement = self._settings.retirement(self._kind)
        return [job_for(plan, write, place, retirement) for place, write in enumerate(writes)]

    # before anything is sent

    async def _prepare(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """Look at what stands there, sort out what moved or vanished, and complete the bodies. Changes nothing at Zoho."""
        await self._line_rows(plan, jobs)
        creates = [job for job in jobs if job.key is not None and job.outcome is None]
        updates = [job for job in jobs if job.key is None and job.outcome is None]
        defaults = await self._defaults()
        if creates and (defaults or self._in_description or plan.lines is not None):
            await self._meet_existing(plan, creates, defaults)
        for job in updates:
            if not coql.is_id(job.id or ""):
                job.outcome = Conflict(current=None)
        looked_at = [
            job for job in updates if job.outcome is None and (job.version is not None or self._needs_sight(plan, job))
        ]
        ids = [job.id for job in (*looked_at, *creates) if job.id is not None and job.outcome is None]
        present = await self._present(plan, ids, whole={job.id for job in jobs if job.id and job.rows is not None})
        for job in looked_at:
            self._check(job, present)
        for job in jobs:
            if job.outcome is None:
                self._complete(plan, job, present.get(job.id or "", {}))

    def _needs_sight(self, plan: Plan, job: Job) -> bool:
        return job.rows is not None or (self._in_description and (job.lines is not UNSET or "Description" in job.body))

    async def _line_rows(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """Lines as subform rows; a line without a product that Zoho knows is told before anything is written."""
        lined = [job for job in jobs if job.lines is not UNSET and job.outcome is None]
        lines = plan.lines if self._orders is None else (await self._metadata.plan("order")).lines
        if not lined or lines is None or self._in_description:
            return
        missing = {
            line.sku
            for job in (lined if lines.needs_product else ())
            for line in job.lines or ()
            if not isinstance(line.product, Ref) and isinstance(line.sku, str) and line.sku
        }
        products: dict[str, str] = {}
        if missing:
            product_plan = await self._metadata.plan("product")
            if product_plan.key in product_plan.fields:
                products = await ids_by_key(self._api, product_plan, sorted(missing))
        for job in lined:
            try:
                job.rows = lines.rows(job.lines or (), products)
            except RecordRejected as error:
                job.reject(error)

    async def _defaults(self) -> dict[str, Any]:
        """What a new record gets where the flow says nothing; only for what does not exist, so that nobody's edit is undone."""
        defaults = dict(self._settings.create_defaults.get(self._kind, {}))
        if self._kind == "deal" and self._settings.pipeline:
            defaults.setdefault("Pipeline", self._settings.pipeline)
        if (layout := await self._metadata.layout_id(self._kind)) is not None:
            defaults.setdefault("Layout", {"id": layout})
        return defaults

    async def _meet_existing(self, plan: Plan, creates: Sequence[Job], defaults: dict[str, Any]) -> None:
        """A create of what exists already becomes an update of it; what is new gets its defaults."""
        for api in dict.fromkeys(job.key[0] for job in creates if job.key):
            if not defaults and not self._in_description and await self._nobody_has(plan, api):
                continue
            ours = [job for job in creates if job.key and job.key[0] == api]
            existing = await ids_by_key(self._api, plan, [job.key[1] for job in ours if job.key], api_name=api)
            for job in ours:
                assert job.key is not None
                job.id = existing.get(job.key[1])
                if job.id is not None:
                    job.body["id"] = job.id
                else:
                    job.body = {**defaults, **job.body}

    async def _nobody_has(self, plan: Plan, api: str) -> bool:
        """Whether the module held no record with a key when this sink began: a first load then looks none of its creates up.

        Should somebody bring one of the keys in meanwhile, the upsert finds it as it always does, so that no record is doubled.
        Only lines would stand beside his: Zoho's answer tells of it, ``_mend_lines`` puts it right, and looking up begins.
        """
        async with self._asking:
            if api not in self._keyless:
                self._keyless[api] = not await any_with(self._api, plan, api)
            return self._keyless[api]

    async def _present(self, plan: Plan, ids: Sequence[str], whole: set[str | None]) -> dict[str, Vendor]:
        """What stands at Zoho now: times by one query per hundred, subform rows of ``whole`` by another."""
        fields = (*_SEEN, "Description") if self._in_description else _SEEN
        present = await rows_by_id(self._api, plan, ids, fields)
        wide = [row for record_id, row in present.items() if record_id in whole]
        if wide and self._orders is None and plan.lines is not None:
            present |= {str(row["id"]): row for row in await with_lines(self._api, plan.lines, wide, self._settings.line_page)}
        return present

    def _check(self, job: Job, present: dict[str, Vendor]) -> None:
        row = present.get(job.id or "")
        if row is None:
            job.outcome = Conflict(current=None)
            return
        version = version_of(instant(row["Modified_Time"]))
        if job.version is not None and job.version != version:
            job.outcome = Conflict(current=version, id=job.id)

    def _complete(self, plan: Plan, job: Job, row: Vendor) -> None:
        """Put the lines into the body: rows that differ, or the block in the description."""
        if job.rows is not None and plan.lines is not None and self._orders is None:
            rows = plan.lines.changes(job.rows, row.get(plan.lines.subform) or []) if job.id else job.rows
            job.whole = job.id is None
            if rows:
                job.body[plan.lines.subform] = rows
        elif self._in_description and (job.lines is not UNSET or "Description" in job.body):
            there = row.get("Description")
            text = job.body["Description"] if "Description" in job.body else free_text(there)
            lines = job.lines
            told = block_of(there) if lines is UNSET else block(lines) if lines else None
            job.body["Description"] = joined(text, told)
            limit = plan.fields["Description"].length
            if limit and len(job.body["Description"] or "") > limit:
                job.reject(
                    RecordRejected(
                        f"with the lines the description has {len(job.body['Description'])} characters, Zoho takes {limit}",
                        field="lines",
                        fix="Set order_lines to another way",
                    )
                )
        if job.outcome is None and set(job.body) == {"id"}:
            job.untouched()

    # sending

    async def _send_all(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """All groups at once. Raises only when nothing at all was achieved."""
        tasks = [self._send(plan, group, call) for group, call in self._groups(plan, jobs)]
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [end for end in ends if isinstance(end, BaseException)]
        for error in errors:
            if not isinstance(error, AuthRejected | RetryLater | ContractBroken):
                raise error
        if errors and all(job.outcome is None for job in jobs):
            raise errors[0]
        for job in jobs:
            if job.outcome is None:
                after = next((error.after_s for error in errors if isinstance(error, RetryLater)), None)
                job.outcome = Later(reason="; ".join(str(error) for error in errors)[:300], after_s=after)

    def _groups(self, plan: Plan, jobs: Sequence[Job]) -> list[tuple[list[Job], Call]]:
        """Creates by key field, guarded updates, unguarded updates: one call each."""
        groups: list[tuple[list[Job], Call]] = []
        creates = [job for job in jobs if job.id is None]
        for api in dict.fromkeys(job.key[0] for job in creates if job.key):
            groups.append(([job for job in creates if job.key and job.key[0] == api], self._upsert(plan, api)))
        guarded = [job for job in jobs if job.id is not None and job.version is not None]
        if guarded:
            groups.append((guarded, self._update(plan, newest(guarded))))
        unguarded = [job for job in jobs if job.id is not None and job.version is None]
        if unguarded:
            groups.append((unguarded, self._update(plan, None)))
        return groups

    def _upsert(self, plan: Plan, key: str) -> Call:
        return lambda bodies: self._api.upsert(plan.module, bodies, key)

    def _update(self, plan: Plan, since: str | None) -> Call:
        return lambda bodies: self._api.update(plan.module, bodies, unmodified_since=since)

    async def _send(self, plan: Plan, jobs: Sequence[Job], call: Call, *, last: bool = False) -> None:
        """One call and, where a result asks for it, one more. ``last``: what is refused now stays refused."""
        try:
            results = await call([job.body for job in jobs])
        except AnswerLost as error:
            for job in jobs:
                job.outcome = Unknown(reason=error.what)
            return
        except ContractBroken as error:
            if error.code != _MOVED:
                raise
            if last and len(jobs) == 1:
                jobs[0].outcome = Conflict(current="", id=jobs[0].id)
            else:
                await self._singly(plan, jobs)
            return
        singly: list[Job] = []
        again: list[Job] = []
        beside: list[Job] = []
        for job, result in zip(jobs, results, strict=True):
            if result.ok:
                job.written(result)
                if job.whole and job.rows and not is_new(job):
                    beside.append(job)
            elif not last and result.code == _MOVED and self._bystander(job, result):
                singly.append(job)
            elif not last and self._mended(plan, job, result):
                again.append(job)
            else:
                job.outcome = self._refused(plan, job, result)
        await self._singly(plan, singly)
        for group, repeat in self._groups(plan, again):
            await self._send(plan, group, repeat, last=True)
        if beside:
            await self._mend_lines(plan, beside)

    async def _mend_lines(self, plan: Plan, jobs: Sequence[Job]) -> None:
        """These records were there after all, so their rows were added to what stood there: leave the wanted ones alone.

        Until that has happened nothing counts as written. What fails here is looked up when it is tried again.
        """
        assert plan.lines is not None
        self._keyless = dict.fromkeys(self._keyless, False)
        written = [(job, job.outcome) for job in jobs]
        for job, outcome in written:
            assert isinstance(outcome, Written)
            job.id, job.outcome, job.whole, job.version = outcome.id, None, False, None
        ids = [job.id for job in jobs if job.id is not None]
        present = await self._present(plan, ids, whole=set(ids))
        for job, outcome in written:
            standing = present.get(job.id or "", {}).get(plan.lines.subform) or []
            job.body = {"id": job.id, plan.lines.subform: plan.lines.changes(job.rows or [], standing)}
            if not job.body[plan.lines.subform]:
                job.outcome = outcome
        if wanting := [job for job in jobs if job.outcome is None]:
            await self._send(plan, wanting, self._update(plan, None), last=True)

    async def _singly(self, plan: Plan, jobs: Iterable[Job]) -> None:
        """Each record under its own guard."""
        await asyncio.gather(*(self._send(plan, [job], self._update(plan, job.version), last=True) for job in jobs))

    @staticmethod
    def _bystander(job: Job, result: Result) -> bool:
        """Refused along with others of the call although it did not move itself."""
        at = result.details.Modified_Time if result.details else None
        return at is not None and job.version is not None and version_of(at) == job.version

    def _mended(self, plan: Plan, job: Job, result: Result) -> bool:
        """Whether a second try makes sense, with the job changed for it."""
        details = result.details
        name = field_of(result)
        if result.code == "DUPLICATE_DATA" and job.key is not None and details is not None and name in (None, job.key[0]):
            twin = (details.duplicate_record.id if details.duplicate_record else None) or details.id
            if twin is not None:
                job.id = job.body["id"] = str(twin)
                return True
        if result.code == "INVALID_DATA" and name and job.body.get(name) is not None and plan.is_contact_data(name):
            job.warnings = [*job.warnings, f"{plan.canonical(name)} left blank: Zoho does not take {job.body[name]!r}"]
            job.body[name] = None
            return True
        return False

    def _refused(self, plan: Plan, job: Job, result: Result) -> Outcome:
        outcome = refusal(result, plan.canonical)
        if result.code == "INVALID_DATA" and not isinstance(outcome, Conflict):
            self._metadata.doubt(self._kind)  # our checks let it pass, so the organisation has changed
        if isinstance(outcome, Conflict) and outcome.current is not None and outcome.id is None:
            return Conflict(current=outcome.current, id=job.id)
        return outcome


def newest(jobs: Iterable[Job]) -> str:
    """The latest version among guarded jobs; versions are UTC texts of equal form, so they sort as times."""
    return max(job.version for job in jobs if job.version is not None)


def is_new(job: Job) -> bool:
    return isinstance(job.outcome, Written) and job.outcome.created
