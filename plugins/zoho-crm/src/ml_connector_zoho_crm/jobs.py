"""One write on its way: what is sent, for which places of the batch, and how it ended."""

from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC
from typing import Any

import msgspec

from ml_connector.domain import UNSET, Line, UnsetType
from ml_connector.errors import RecordRejected
from ml_connector.ports.sink import Create, Outcome, Rejected, Remove, Update, Write, Written
from ml_connector_zoho_crm.plan import Plan
from ml_connector_zoho_crm.wire import Result, Vendor, version_of


class Job(msgspec.Struct, kw_only=True, gc=False):
    """A create has a ``key``, an update an ``id``; a create that turns out to exist has both."""

    places: list[int]
    body: Vendor
    warnings: list[str] = []
    lines: tuple[Line, ...] | None | UnsetType = UNSET
    rows: list[Vendor] | None = None  # the lines as they shall stand in a subform
    whole: bool = False  # the rows went out as those of a new record
    key: tuple[str, str] | None = None  # API name and value
    id: str | None = None
    version: str | None = None
    outcome: Outcome | None = None

    @property
    def name(self) -> Hashable:
        """Equal for two writes of one record. Zoho tells unique values apart without regard to case."""
        return self.id or (self.key and (self.key[0], self.key[1].strip().casefold()))

    def reject(self, error: RecordRejected) -> None:
        self.outcome = Rejected(code=error.code or "INVALID_DATA", reason=error.what, field=error.field, fix=error.fix)

    def written(self, result: Result) -> None:
        at = result.details.Modified_Time if result.details else None
        self.outcome = Written(
            id=result.id or self.id or "",
            version=version_of(at) if at else None,
            changed_at=at and at.astimezone(UTC),
            created=result.action == "insert",
            warnings=tuple(self.warnings),
        )

    def untouched(self) -> None:
        """Nothing was left to send: the record stands as it should."""
        self.outcome = Written(id=self.id or "", version=self.version, warnings=tuple(self.warnings))


def job_for(plan: Plan, write: Write, place: int, retirement: dict[str, Any]) -> Job:
    """The job of one write; one that cannot be sent is rejected already."""
    job = Job(places=[place], body={})
    try:
        match write:
            case Create(key=key, entity=entity):
                job.body, job.warnings = plan.body(entity)
                job.lines = getattr(entity, "lines", UNSET)
                job.key = _key(plan, key.field, job.body, key.value)
                job.body[job.key[0]] = job.body.get(job.key[0]) or job.key[1]
            case Update(id=record_id, changes=changes, version=version):
                job.id, job.version = record_id, version
                job.body, job.warnings = plan.body(changes)
                job.lines = getattr(changes, "lines", UNSET)
            case Remove(id=record_id, version=version):
                job.id, job.version, job.body = record_id, version, dict(retirement)
                if not retirement:
                    raise RecordRejected(
                        f"Zoho has no standard way to take a record of {plan.module} out of use",
                        code="NO_RETIREMENT",
                        fix=f'Say what marks it, for example retire.{plan.kind} = {{ Status = "Inactive" }}',
                    )
    except RecordRejected as error:
        job.reject(error)
    if job.id is not None:
        job.body["id"] = job.id
    if "lines" not in plan.accepts:
        job.lines = UNSET
    return job


def _key(plan: Plan, field: str, body: Vendor, value: str) -> tuple[str, str]:
    api = plan.apis.get(field)
    if api is None:
        raise RecordRejected(
            f"{plan.module} has no field for {field}, by which a repeated record would be known",
            code="NO_KEY",
            field=field,
            fix="Create the key field (ml-connector ping --fix)",
        )
    if api == "id":
        raise RecordRejected(
            f"Zoho gives its records their ids itself, so a new one cannot be known by {value}",
            code="NO_KEY",
            field=field,
            fix=f'Let the flow say writes = "update", or keep the number in a field: keys.{plan.kind}',
        )
    told = str(body.get(api) or value)
    if not told.strip():
        raise RecordRejected(
            "the business key is blank, and Zoho would insert a new record every time", code="NO_KEY", field=field
        )
    return api, told


def collapsed(jobs: Iterable[Job]) -> list[Job]:
    """One job per record: two of one record in one call have no promised order, so the later is laid over the earlier."""
    by_name: dict[Hashable, Job] = {}
    for job in jobs:
        if job.outcome is not None:
            continue
        earlier = by_name.setdefault(job.name, job)
        if earlier is job:
            continue
        earlier.body |= job.body
        earlier.places += job.places
        earlier.warnings = [*earlier.warnings, *job.warnings]
        earlier.lines = earlier.lines if job.lines is UNSET else job.lines
        if job.version != earlier.version:  # the two saw different states; the older cannot be right about both
            earlier.version = min(filter(None, (job.version, earlier.version)), default=None)
    return list(by_name.values())


def outcomes(jobs: Sequence[Job], count: int) -> list[Outcome]:
    """One outcome per place. A record that was written twice in the batch was created, if at all, by its last write."""
    told: dict[int, Outcome] = {}
    for job in jobs:
        assert job.outcome is not None
        for place in job.places:
            told[place] = job.outcome
        if isinstance(job.outcome, Written):
            for place in job.places[:-1]:
                note = "written together with a later write of the same record"
                told[place] = msgspec.structs.replace(job.outcome, created=False, warnings=(*job.outcome.warnings, note))
    return [told[place] for place in range(count)]
