"""One record's way through a write: what shall be sent, to where, and what came of it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from ml_connector.domain import UNSET, UnsetType
from ml_connector.errors import ConnectorError, RecordRejected, RetryLater
from ml_connector.ports.sink import Conflict, Create, Later, Outcome, Rejected, Remove, Unknown, Update, Write, Written
from ml_connector_dynamics365_sales.api import is_id
from ml_connector_dynamics365_sales.convert import instant
from ml_connector_dynamics365_sales.judge import rejected
from ml_connector_dynamics365_sales.looks import folded
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.wire import Vendor

_SPACE: Final = UUID("5f0d3650-53a1-4e65-9c0e-d365a1e50001")


class Job(msgspec.Struct, kw_only=True, gc=False):
    """A create has a ``key`` (its value), an update an ``id``; a create that turns out to exist has both."""

    body: Vendor = {}
    warnings: list[str] = []
    children: Any = UNSET  # lines or prices as they shall stand
    state: tuple[int, int | None] | None = None  # state and status as they shall be
    stands: tuple[int | None, int | None] | None = None  # as the first write's answer told them
    currency: str | None = None
    total: Decimal | None = None  # what the lines should add up to
    key: str | None = None
    column: str = ""  # of the key
    id: str | None = None
    version: str | None = None
    outcome: Outcome | None = None
    error: ConnectorError | None = None  # what stopped the connection while this record was being written
    half: str = ""  # what was done already when something failed
    row: Vendor | None = None  # the record as it stands there, children included; None: not looked at, or not there
    created: bool = False  # by us, now

    @property
    def creates(self) -> bool:
        return self.key is not None

    @property
    def has_children(self) -> bool:
        return not isinstance(self.children, UnsetType)

    @property
    def open(self) -> bool:
        """Whether something is still to be done for it."""
        return self.outcome is None and self.error is None

    def meet(self, plan: Plan, rows: Sequence[Vendor]) -> None:
        """Tell a create which of the rows with its key it is: none makes it new, of several it is refused."""
        present = [row for row in rows if not row.get("merged")] or rows
        if len(present) > 1:
            named = ", ".join(str(row[plan.id]) for row in present[:5])
            self.outcome = Rejected(
                code="AMBIGUOUS",
                reason=f"{len(present)} records of {plan.table.name} have it: {named}",
                field=plan.canonical(self.column),
                fix="Merge them in Dynamics, or empty the column on all but one; an alternate key (ping --fix) keeps it so",
            )
        elif present:
            self.row = present[0]
            self.id = str(self.row[plan.id])

    def written(self, plan: Plan, row: Vendor, *, created: bool = False) -> None:
        self.stands = row.get("statecode"), row.get("statuscode")
        changed = row.get("modifiedon")
        self.outcome = Written(
            id=str(row[plan.id]),
            version=plan.version(row),
            changed_at=instant(changed) if changed else None,
            created=created,
            warnings=tuple(self.warnings),
        )

    def refused(self, told: Outcome | ConnectorError) -> None:
        """Take a refusal. Of what stands in half it is never said that nothing was written: it has to be looked up."""
        if isinstance(told, ConnectorError):
            self.failed(told)
        elif self.half and isinstance(told, Rejected):
            self.outcome = msgspec.structs.replace(told, reason=f"{self.half}: {told.reason}")
        elif self.half:
            reason = told.reason if isinstance(told, Later | Unknown) else "it changed meanwhile"
            self.outcome = Unknown(reason=f"{self.half}: {reason}")
        else:
            self.outcome = told

    def failed(self, error: ConnectorError) -> None:
        """A call for this record ended in an error: it may be that nobody knows what was done, or only half of it was."""
        if self.half:
            self.outcome = Unknown(reason=f"{self.half}: {error.what}")
        elif isinstance(error, RetryLater) and not error.untouched:
            self.outcome = Unknown(reason=error.what)
        else:
            self.error = error


def job_for(plan: Plan, write: Write) -> Job:
    """The job of one write; one that cannot be sent has its outcome already."""
    job = Job()
    try:
        match write:
            case Create(key=key, entity=entity):
                job.key, job.column = key.value, _column(plan, key.field)
                if not key.value.strip():
                    raise RecordRejected("the business key is blank", code="NO_KEY", field=key.field)
                job.body, job.warnings = plan.body(entity, creating=True)
                job.body.setdefault(job.column, key.value)
                _more(plan, job, entity)
            case Update(id=record_id, changes=changes, version=version):
                job.id, job.version = record_id, version
                job.body, job.warnings = plan.body(changes, creating=False)
                _more(plan, job, changes)
            case Remove(id=record_id, version=version):
                job.id, job.version, job.state = record_id, version, _retired(plan)
    except RecordRejected as error:
        job.outcome = rejected(error)
    if job.id is not None and job.outcome is None and not is_id(job.id):
        job.outcome = Conflict(current=None)
    return job


def _more(plan: Plan, job: Job, entity: Any) -> None:
    job.state = plan.state(entity)
    if plan.children is not None:
        job.children = getattr(entity, plan.children.field, UNSET)
    total = getattr(entity, "total", None)
    currency = getattr(entity, "currency", None)
    job.currency = currency if isinstance(currency, str) else getattr(total, "currency", None)
    job.total = getattr(total, "amount", None)


def _column(plan: Plan, field: str) -> str:
    column = plan.columns.get(field)
    if column is None:
        raise RecordRejected(
            f"{plan.table.name} has no column for {field}, by which a repeated record would be known",
            code="NO_KEY",
            field=field,
            fix=f"Create {plan.home(field) or 'one'} (ml-connector ping --fix), or name another in the setting keys",
        )
    return column


def _retired(plan: Plan) -> tuple[int, int | None]:
    if plan.table.retired is not None:
        return plan.table.retired
    if plan.kind == "deal":
        return 2, 4 if plan.table.name == "opportunity" else 7
    raise RecordRejected(f"{plan.table.name} cannot be taken out of use", code="NO_RETIREMENT")


def own_id(plan: Plan, value: str) -> str:
    """The id that a new record with this business key gets from us: the same each time, so that it cannot be created twice."""
    return str(uuid5(_SPACE, f"{plan.facts.organization}/{plan.table.name}/{folded(value)}"))


def outcomes(jobs: list[Job]) -> list[Outcome]:
    """One outcome per job. Raises what stopped the connection, if nothing at all came of the jobs; else tells it as Later."""
    errors = [job.error for job in jobs if job.error is not None and job.outcome is None]
    if errors and not any(isinstance(job.outcome, Written | Conflict | Unknown) for job in jobs):
        raise errors[0]
    told: list[Outcome] = []
    for job in jobs:
        if job.outcome is None:
            error = job.error
            after = error.after_s if isinstance(error, RetryLater) else None
            job.outcome = Later(reason=str(error) if error else "it was not sent", after_s=after)
        told.append(job.outcome)
    return told


HALF: Final = "the record was written, what follows was not"
