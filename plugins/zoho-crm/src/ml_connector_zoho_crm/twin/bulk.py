"""Bulk read: jobs that take their time, and a ZIP with one CSV at the end."""

import csv
import io
import zipfile
from collections import deque
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import count, islice
from typing import Any

import msgspec

from ml_connector.twin import TwinResponse
from ml_connector_zoho_crm.twin.criteria import BadCriterion, Column, Test, test
from ml_connector_zoho_crm.twin.org import Org
from ml_connector_zoho_crm.twin.table import Row, Table
from ml_connector_zoho_crm.twin.wire import Call, Refused, answer

PAGE_ROWS, MAX_PAGE, MAX_FIELDS, MAX_CRITERIA, MAX_VALUES = 200_000, 500, 200, 25, 20
STATES = ("ADDED", "QUEUED", "IN PROGRESS", "COMPLETED")  # with a space, unlike bulk write
_COMPARATORS = {
    "equal": ("=", "{}"),
    "not_equal": ("!=", "{}"),
    "in": ("in", ""),
    "not_in": ("not in", ""),
    "less_than": ("<", "{}"),
    "less_equal": ("<=", "{}"),
    "greater_than": (">", "{}"),
    "greater_equal": (">=", "{}"),
    "between": ("between", ""),
    "not_between": ("not between", ""),
    "contains": ("like", "%{}%"),
    "not_contains": ("not like", "%{}%"),
    "starts_with": ("like", "{}%"),
    "ends_with": ("like", "%{}"),
}


class Name(msgspec.Struct, frozen=True):
    """``{"api_name": …}``, how requests name modules and fields."""

    api_name: str


class Criteria(msgspec.Struct):
    """One criterion, or a group of them when ``group`` is there."""

    group_operator: str = ""
    group: list["Criteria"] | None = None
    field: Name = Name("")
    comparator: str = ""
    value: Any = None


class Plan(msgspec.Struct):
    """The ``query`` of a request."""

    module: Name | None = None
    fields: list[str] = []
    criteria: Criteria | None = None
    page: int = 1
    page_token: str | None = None


class Callback(msgspec.Struct):
    """Where to knock when the job is done."""

    url: str
    method: str = "post"


class Order(msgspec.Struct):
    """The body of a request."""

    query: Plan
    callback: Callback | None = None
    file_type: str = "csv"


class Job(msgspec.Struct):
    """One job. ``archive`` is None until it completes."""

    id: str
    callback: Callback | None
    table: Table
    fields: list[str]
    matches: Test
    page: int
    created: datetime
    user: str
    polls: int = 0
    failed: bool = False
    count: int = 0
    more: bool = False
    next_token: str | None = None
    archive: bytes | None = None


class Bulk:
    """The ``/crm/bulk`` read calls. A job moves on one state each time it is asked for."""

    def __init__(self, org: Org, deliveries: list[tuple[str, bytes]]) -> None:
        self._org, self._deliveries = org, deliveries
        self._jobs: dict[str, Job] = {}
        self._tokens: dict[str, tuple[Job, datetime]] = {}
        self._downloads: deque[datetime] = deque()
        self.fail_next = False
        self.page_rows = PAGE_ROWS

    def create(self, call: Call) -> TwinResponse:
        try:
            order = msgspec.convert(call.body, Order)
        except msgspec.ValidationError as error:
            raise Refused(400, "INVALID_DATA", str(error)) from None
        callback = order.callback
        if callback is not None and not callback.url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise Refused(400, "INVALID_CALLBACK_URL", "the callback url is invalid")
        token = order.query.page_token
        job = self._planned(order.query, call) if token is None else self._continued(token, call)
        job.callback = callback
        self._jobs[job.id] = job
        details = {
            "id": job.id,
            "operation": "read",
            "state": "ADDED",
            "created_by": self._user(call.user),
            "created_time": self._org.told_time(job.created),
        }
        added = {"status": "success", "code": "ADDED_SUCCESSFULLY", "message": "Added successfully.", "details": details}
        return answer(201, {"data": [added], "info": {}})

    def _planned(self, plan: Plan, call: Call) -> Job:
        table = self._org.table(plan.module.api_name) if plan.module else None
        if table is None:
            raise Refused(400, "MODULE_NOT_AVAILABLE", "the module is not available")
        if not 1 <= plan.page <= MAX_PAGE:
            raise Refused(400, "PAGE_RANGE_EXCEEDED", "the page is out of range", max_limit=MAX_PAGE)
        known = table.module.fields
        fields = plan.fields or [
            name for name, field in known.items() if field.external is None and field.data_type != "subform"
        ]
        if len(fields) > MAX_FIELDS:
            raise Refused(400, "LIMIT_EXCEEDED", "fields exceed the limit", limit=MAX_FIELDS)
        for name in fields:
            field = known.get(name)
            if name != "id" and (field is None or field.external is not None or field.data_type == "subform"):
                raise Refused(400, "FIELD_NOT_SUPPORTED", "the field is not supported", api_name=name)
        matches = self._criteria(table, plan.criteria, count(1)) if plan.criteria else lambda row: True
        return Job(self._org.new_id(), None, table, fields, matches, plan.page, self._org.now(), call.user)

    def _continued(self, token: str, call: Call) -> Job:
        before, expires = self._tokens.get(token, (None, None))
        if before is None or expires is None:
            raise Refused(400, "INVALID_DATA", "invalid data", api_name="page_token", json_path="$.query.page_token")
        if expires <= self._org.now():
            raise Refused(400, "EXPIRED_VALUE", "the page token has expired", api_name="page_token")
        page, created = before.page + 1, self._org.now()
        return Job(self._org.new_id(), None, before.table, before.fields, before.matches, page, created, call.user)

    def _criteria(self, table: Table, criteria: Criteria, seen: Iterator[int]) -> Test:
        if criteria.group is not None:
            if criteria.group_operator not in ("and", "or"):
                raise Refused(
                    400, "GROUP_OPERATOR_NOT_SUPPORTED", "the group operator is not supported", supported=["and", "or"]
                )
            tests = [self._criteria(table, one, seen) for one in criteria.group]
            join = all if criteria.group_operator == "and" else any
            return lambda row: join(one(row) for one in tests)
        if next(seen) > MAX_CRITERIA:
            raise Refused(400, "CRITERIA_LIMIT_EXCEEDED", "criteria exceed the limit", limit=MAX_CRITERIA)
        name, value = criteria.field.api_name, criteria.value
        if criteria.comparator not in _COMPARATORS:
            raise Refused(400, "FIELD_COMPARATOR_IN_CRITERIA_NOT_SUPPORTED", "comparator is not supported", api_name=name)
        operator, shape = _COMPARATORS[criteria.comparator]
        if operator.endswith("in") and isinstance(value, list) and len(value) > MAX_VALUES:
            raise Refused(400, "VALUE_LIMIT_EXCEEDED_IN_CRITERIA", "values exceed the limit", limit=MAX_VALUES)
        try:
            column = Column(self._org, table, name, 1)
            if value in ("${EMPTY}", None):
                return test(column, "is null" if operator == "=" else "is not null", None)
            return test(column, operator, shape.format(value) if shape and isinstance(value, str) else value)
        except BadCriterion as bad:
            raise Refused(400, "FIELD_IN_CRITERIA_NOT_SUPPORTED", bad.reason, api_name=name) from None

    def status(self, call: Call) -> TwinResponse:
        job = self._job(call.args[0])
        state = STATES[min(job.polls, 3)]
        if state == "COMPLETED" and job.archive is None and not job.failed:
            job.failed, self.fail_next = self.fail_next, False
            if not job.failed:
                self._complete(job)
        if job.failed:
            state = "FAILURE"
        job.polls += 1
        told: Row = {
            "id": job.id,
            "operation": "read",
            "state": state,
            "query": {"module": {"api_name": job.table.module.api_name}, "page": job.page, "fields": job.fields},
            "created_by": self._user(job.user),
            "created_time": self._org.told_time(job.created),
            "file_type": "csv",
        }
        if state == "COMPLETED":
            told["result"] = {
                "page": job.page,
                "per_page": self.page_rows,
                "count": job.count,
                "download_url": f"/crm/bulk/{call.version}/read/{job.id}/result",
                "more_records": job.more,
                "next_page_token": job.next_token,
            }
        return answer(200, {"data": [told]})

    def result(self, call: Call) -> TwinResponse:
        """The ZIP; kept one day, at most ten downloads a minute."""
        job = self._job(call.args[0])
        now = self._org.now()
        if job.archive is None or job.created + timedelta(days=1) <= now:
            raise Refused(404, "RESOURCE_NOT_FOUND", "the result is not available")
        while self._downloads and self._downloads[0] <= now - timedelta(minutes=1):
            self._downloads.popleft()
        if len(self._downloads) >= 10:
            raise Refused(429, "TOO_MANY_REQUESTS", "too many downloads")
        self._downloads.append(now)
        disposition = f'attachment; filename="{job.id}.zip"'
        return TwinResponse(200, job.archive, {"Content-Type": "application/zip", "Content-Disposition": disposition})

    def _complete(self, job: Job) -> None:
        start = (job.page - 1) * self.page_rows
        rows = list(islice(filter(job.matches, job.table.by_id()), start, start + self.page_rows + 1))
        job.more = len(rows) > self.page_rows
        rows = rows[: self.page_rows]
        job.count = len(rows)
        if job.more:
            job.next_token = f"b{job.id[-12:]}"
            self._tokens[job.next_token] = (job, self._org.now() + timedelta(days=1))
        job.archive = _zipped(job.id, self._lines(job, rows))
        if job.callback is not None:
            self._deliveries.append((job.callback.url, b"{}"))  # its body is not documented; only the wake-up counts

    def _lines(self, job: Job, rows: list[Row]) -> Iterator[list[str]]:
        yield ["Id" if name == "id" else name for name in job.fields]
        for row in rows:
            yield [self._cell(row.get(name)) for name in job.fields]

    def _cell(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, datetime):
            return self._org.told_time(value)
        if isinstance(value, list):
            return ";".join(str(one.get("name", "")) if isinstance(one, dict) else str(one) for one in value)
        return value.isoformat() if isinstance(value, date) else str(value)

    def _job(self, job_id: str) -> Job:
        job = self._jobs.get(job_id)
        if job is None:
            raise Refused(404, "RESOURCE_NOT_FOUND", "the job does not exist")
        return job

    def _user(self, user_id: str) -> dict[str, str]:
        return {"id": user_id, "name": self._org.users[user_id].name}


def _zipped(name: str, lines: Iterator[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(lines)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.csv", text.getvalue())
    return packed.getvalue()
