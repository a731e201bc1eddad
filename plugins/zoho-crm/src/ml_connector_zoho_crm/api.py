"""Zoho CRM's REST calls: the only place with paths, parameters, headers, batch sizes and credits.

Credits: 1 per call, 1 per ten records written, 1 to 3 per COQL call, 2 for deleted records, 50 for a bulk read. Heavy calls
(writes of more than ten records, COQL) share a concurrency of ten in all editions. Source: api-limits, COQL-Limitations.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from ml_connector.errors import AnswerLost, AuthRejected, ContractBroken
from ml_connector_adapters.http import Answer, Cost, HttpClient, Limiter
from ml_connector_zoho_crm import judge as table
from ml_connector_zoho_crm.wire import (
    BulkState,
    Channel,
    ChannelResult,
    Decoders,
    Deleted,
    Field,
    ModuleInfo,
    Named,
    Org,
    Pipeline,
    Result,
    Rows,
    Vendor,
    encode,
)

T = TypeVar("T")

BATCH: Final = 100
"""Most records of one write (insert-records, update-records, upsert-records)."""
PAGE: Final = 200
"""Most records of one page of a list."""
NEW_FIELDS: Final = 5
"""Most fields of one call that creates fields."""
BULK_CREDITS: Final = 50

_EMPTY: Final = (204, 304)
_ORDINARY: Final = Cost()


class Api:
    """One organisation. Raises AuthRejected, Throttled, Unavailable (AnswerLost for writes), ContractBroken.

    ``essential``: whatever is asked serves a write, and may be paid from the reserve of credits.
    """

    def __init__(
        self, client: HttpClient, limiter: Limiter, version: str, trigger: Sequence[str] = (), *, essential: bool = False
    ) -> None:
        self._client, self._limiter, self._essential = client, limiter, essential
        self._root, self._bulk = f"/crm/{version}", f"/crm/bulk/{version}"
        self._trigger = list(trigger)
        self.vendor_time: str | None = None  # the Date header of the latest answer

    async def close(self) -> None:
        await self._client.aclose()

    async def coql(self, query: str, limit: int) -> Rows:
        """Rows of a query, at most ``limit``; repeatable, since it changes nothing."""
        cost = 1 if limit <= 200 else 2 if limit <= 1000 else 3
        answer = await self._send(
            "POST", f"{self._root}/coql", {"select_query": query}, repeatable=True, cost=Cost(credits=cost, heavy=True)
        )
        return Rows(data=[]) if answer.status in _EMPTY else answer.decode(Decoders.rows)

    async def record(self, module: str, record_id: str) -> Vendor | None:
        """One record with its subform rows; None when it is not there (Zoho says so with 204, 400 or 404)."""
        try:
            answer = await self._get(f"{self._root}/{module}/{quote(record_id, safe='')}")
        except ContractBroken as error:
            if error.code in ("INVALID_DATA", *table.ABSENT):
                return None
            raise
        return None if answer.status in _EMPTY else next(iter(answer.decode(Decoders.rows).data), None)

    async def deleted(self, module: str, since: datetime) -> list[Deleted]:
        """Everything deleted since then, oldest first. Zoho promises no order and no page token: all pages, then sorted."""
        found: list[Deleted] = []
        headers = {"If-Modified-Since": since.astimezone(UTC).isoformat(timespec="seconds")}
        for page in range(1, 1_000):
            target = f"{self._root}/{module}/deleted?type=all&page={page}&per_page={PAGE}"
            answer = await self._send("GET", target, headers=headers, cost=Cost(credits=2))
            if answer.status in _EMPTY:
                break
            rows = answer.decode(Decoders.deleted)
            found += rows.data
            if not rows.info.more_records:
                break
        return sorted(found, key=lambda deleted: (deleted.deleted_time, deleted.id))

    async def count(self, module: str) -> int:
        answer = await self._send("GET", f"{self._root}/{module}/actions/count")
        return 0 if answer.status in _EMPTY else answer.decode(Decoders.count).count

    async def upsert(self, module: str, records: Sequence[Vendor], key: str) -> list[Result]:
        """Insert, or update what has the same ``key``; always told what to match on, else Zoho merges records of equal name."""
        return await self._write("POST", f"{self._root}/{module}/upsert", records, {"duplicate_check_fields": [key]})

    async def update(self, module: str, records: Sequence[Vendor], *, unmodified_since: str | None = None) -> list[Result]:
        """Change records by their ``id``. ``unmodified_since`` guards the whole call: what was modified later is refused."""
        headers = {"If-Unmodified-Since": unmodified_since} if unmodified_since else {}
        return await self._write("PUT", f"{self._root}/{module}", records, {}, headers)

    async def _write(
        self, method: str, target: str, records: Sequence[Vendor], more: Mapping[str, Any], headers: Mapping[str, str] = {}
    ) -> list[Result]:
        """One result per record, whatever the status. AnswerLost when a success cannot be read or counted: who knows then."""
        cost = Cost(credits=-(-len(records) // 10), heavy=len(records) > 10, essential=True)
        body = {"data": records, **more, "trigger": self._trigger}
        answer = await self._send(method, target, body, headers=headers, repeatable=False, cost=cost, check=False)
        try:
            results = answer.decode(Decoders.results).data
        except ContractBroken as error:
            raise AnswerLost(f"Zoho took the call but {error.what}") from error
        if len(results) == len(records):
            return results
        if len(results) == 1 and not results[0].ok:
            raise table.request_error(answer, results[0])
        raise AnswerLost(f"Zoho told of {len(results)} results for {len(records)} records")

    async def modules(self) -> list[ModuleInfo]:
        return (await self._get(f"{self._root}/settings/modules")).decode(Decoders.modules).modules

    async def fields(self, module: str) -> list[Field]:
        answer = await self._get(f"{self._root}/settings/fields?{urlencode({'module': module, 'type': 'all'})}")
        return [] if answer.status in _EMPTY else answer.decode(Decoders.fields).fields

    async def create_fields(self, module: str, fields: Sequence[Mapping[str, Any]]) -> list[Result]:
        """At most ``NEW_FIELDS``; results in order. Zoho derives the API names from the labels."""
        answer = await self._send(
            "POST", f"{self._root}/settings/fields?module={module}", {"fields": list(fields)}, repeatable=False, check=False
        )
        return _results(answer)

    async def layouts(self, module: str) -> list[Named]:
        answer = await self._get(f"{self._root}/settings/layouts?module={module}")
        return [] if answer.status in _EMPTY else answer.decode(Decoders.layouts).layouts

    async def pipelines(self, layout_id: str) -> list[Pipeline]:
        answer = await self._get(f"{self._root}/settings/pipeline?layout_id={layout_id}")
        return [] if answer.status in _EMPTY else answer.decode(Decoders.pipelines).pipeline

    async def org(self) -> Org:
        return (await self._get(f"{self._root}/org")).decode(Decoders.orgs).org[0]

    async def current_user(self) -> str | None:
        answer = await self._get(f"{self._root}/users?type=CurrentUser")
        return None if answer.status in _EMPTY else answer.decode(Decoders.users).users[0].id

    async def start_bulk_read(self, query: Mapping[str, Any]) -> str:
        """Queue a job; its id."""
        answer = await self._send(
            "POST", f"{self._bulk}/read", {"query": query, "file_type": "csv"}, repeatable=True, cost=Cost(credits=BULK_CREDITS)
        )
        details = answer.decode(Decoders.bulk).data[0].details
        if details is None:
            raise table.request_error(answer, next(iter(_results(answer)), None))
        return details.id

    async def bulk_state(self, job: str) -> BulkState:
        return (await self._get(f"{self._bulk}/read/{job}")).decode(Decoders.bulk).data[0]

    async def bulk_result(self, path: str) -> bytes:
        """The ZIP; ``path`` as the finished job told it."""
        return (await self._get(path)).body

    async def channels(self) -> list[Channel]:
        """Channels of this user, one row per channel and module."""
        found: list[Channel] = []
        for page in range(1, 100):
            answer = await self._get(f"{self._root}/actions/watch?page={page}&per_page={PAGE}", essential=True)
            if answer.status in _EMPTY:
                break
            rows = answer.decode(Decoders.channels)
            found += rows.watch
            if not rows.info.more_records:
                break
        return found

    async def watch(self, method: str, channel: Mapping[str, Any]) -> list[ChannelResult]:
        """POST opens, PATCH prolongs; both may be repeated, the channel's id makes them the same."""
        answer = await self._send(
            method, f"{self._root}/actions/watch", {"watch": [channel]}, repeatable=True, cost=Cost(essential=True), check=False
        )
        return [] if answer.status in _EMPTY else answer.decode(Decoders.watched).watch

    async def unwatch(self, channel_ids: Sequence[str]) -> list[ChannelResult]:
        target = f"{self._root}/actions/watch?channel_ids={','.join(channel_ids)}"
        answer = await self._send("DELETE", target, repeatable=True, cost=Cost(essential=True), check=False)
        return [] if answer.status in _EMPTY else answer.decode(Decoders.watched).watch

    async def _get(self, target: str, *, essential: bool = False) -> Answer:
        return await self._send("GET", target, cost=Cost(essential=essential))

    async def _send(
        self,
        method: str,
        target: str,
        payload: object = None,
        *,
        headers: Mapping[str, str] = {},
        repeatable: bool | None = None,
        cost: Cost = _ORDINARY,
        check: bool = True,
    ) -> Answer:
        """``check``: results per record are no answer to this call, so a status of 400 and more is an error."""
        body = None if payload is None else encode(payload)
        if self._essential:
            cost = msgspec.structs.replace(cost, essential=True)
        answer = await self._client.send(method, target, body=body, headers=headers, repeatable=repeatable, cost=cost)
        self.vendor_time = answer.headers.get("date", self.vendor_time)
        left = answer.headers.get(table.CREDITS_LEFT, "")
        if left.isdigit():
            self._limiter.credits_left(int(left))
        if check and answer.status >= 400:
            raise table.request_error(answer, next(iter(_results(answer)), None))
        return answer


def _results(answer: Answer) -> list[Result]:
    try:
        return Decoders.envelope.decode(answer.body).items
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def is_missing_right(error: AuthRejected | ContractBroken) -> bool:
    """The token works, but not for this call: what only adds comfort goes on without it."""
    return error.code == table.SCOPE or error.code in table.RIGHTS
