"""Pipedrive's REST calls: the only place with paths, parameters, page sizes and what each call costs.

v2 wherever it has the call; users and webhooks live in v1 alone. Costs are tokens of the daily budget: a record 1, a list 10,
a write 5, a deletion 3, a search 20 (``x-token-cost`` in the vendor's specification, August 2026).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlencode

from ml_connector.errors import AnswerLost, ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import Answer, Cost, HttpClient, Limiter
from ml_connector_pipedrive.judge import TOKENS_LEFT, Refusal, refusal
from ml_connector_pipedrive.wire import Decoders, Field, Hook, Me, Option, Pipeline, Stage, Vendor, encode

IDS: Final = 100
"""Most ids of one list."""
BULK: Final = 100
"""Most lines of one call that adds them."""
BULK_FROM: Final = 6
"""From so many on adding lines together (25 tokens) is cheaper than one by one (5 each)."""
_V1, _V2 = "/api/v1", "/api/v2"


_GET = Cost(credits=1)
_ME, _FIELDS, _STAGES = (
    Cost(credits=credits_, essential=True) for credits_ in (2, 10, 5)
)  # without them nothing can be written
_WRITE, _DELETE, _BULK_ADD = (Cost(credits=credits_, essential=True) for credits_ in (5, 3, 25))
_LOOK, _LOOK_UP = Cost(credits=1, essential=True), Cost(credits=20, essential=True)
_HOOKS, _UNHOOK = Cost(credits=10, essential=True), Cost(credits=6, essential=True)


class Api:
    """One company. Raises AuthRejected, Throttled, Unavailable (AnswerLost for writes), ContractBroken (Refusal for a 4xx)."""

    def __init__(
        self,
        client: HttpClient,
        limiter: Limiter,
        searches: Limiter,
        clock: Clock,
        headers: Callable[[], Awaitable[Mapping[str, str]]],
    ) -> None:
        self._client, self._limiter, self._searches, self._clock, self._headers = client, limiter, searches, clock, headers
        self.skew = timedelta()  # how far Pipedrive's clock is ahead of ours, by the latest answer

    def now(self) -> datetime:
        """The present at Pipedrive, whole seconds: what is asked by time is asked by its clock."""
        return (self._clock.now() + self.skew).replace(microsecond=0)

    async def close(self) -> None:
        await self._client.aclose()

    # -- records

    async def record(self, plural: str, record_id: str, *, essential: bool = False) -> Vendor | None:
        """A living record; None when it is deleted, unknown, or hidden from the connector's user."""
        try:
            answer = await self._send("GET", f"{_V2}/{plural}/{record_id}", cost=_LOOK if essential else _GET)
        except Refusal as no:
            if no.absent:
                return None
            raise
        row = answer.decode(Decoders.row).data
        return None if row.get("is_deleted") else row

    async def page(
        self, plural: str, query: Mapping[str, str | int], *, essential: bool = False
    ) -> tuple[list[Vendor], str | None]:
        """One page of a list ("deals/archived" is one as well), and the cursor of the next, which belongs to this query."""
        cost = Cost(credits=20 if plural.endswith("archived") else 10, essential=essential)
        answer = await self._send("GET", f"{_V2}/{plural}?{urlencode(query)}", cost=cost)
        told = answer.decode(Decoders.rows)
        return told.data, told.cursor

    async def pages(
        self, plural: str, query: Mapping[str, str | int], *, essential: bool = False
    ) -> AsyncIterator[list[Vendor]]:
        """All pages of a list."""
        cursor: str | None = None
        while True:
            following = {**query, "cursor": cursor} if cursor else query
            rows, cursor = await self.page(plural, following, essential=essential)
            if rows:
                yield rows
            if not cursor:
                return

    async def create(self, plural: str, body: Vendor) -> Vendor:
        return await self._written("POST", f"{_V2}/{plural}", body)

    async def change(self, plural: str, record_id: str, body: Vendor) -> Vendor:
        """Sets what the body names and nothing else. Never sent twice: somebody may have edited the record in between."""
        return await self._written("PATCH", f"{_V2}/{plural}/{record_id}", body)

    async def ids_with(self, singular: str, field_code: str, term: str) -> list[int]:
        """Records whose field holds exactly this text, as far as the search index knows, which lags behind."""
        query = {"entity_type": singular, "field": field_code, "match": "exact", "term": term, "limit": 100}
        async with self._searches.slot():
            answer = await self._send("GET", f"{_V2}/itemSearch/field?{urlencode(query)}", cost=_LOOK_UP)
        found = (row.get("item", row).get("id") for row in answer.decode(Decoders.rows).data)
        return [one for one in found if isinstance(one, int)]

    # -- lines of deals

    async def lines(self, deals: Sequence[str], page_size: int) -> list[Vendor]:
        """The attached products of any number of deals."""
        found: list[Vendor] = []
        for start in range(0, len(deals), IDS):
            query: dict[str, str | int] = {
                "deal_ids": ",".join(deals[start : start + IDS]),
                "sort_by": "id",
                "limit": page_size,
            }
            async for rows in self.pages("deals/products", query, essential=True):
                found += rows
        return found

    async def add_lines(self, deal: str, bodies: Sequence[Vendor]) -> None:
        path = f"{_V2}/deals/{deal}/products"
        if len(bodies) < BULK_FROM:
            for body in bodies:
                await self._send("POST", path, body, cost=_WRITE)
            return
        for start in range(0, len(bodies), BULK):
            await self._send("POST", f"{path}/bulk", {"data": list(bodies[start : start + BULK])}, cost=_BULK_ADD)

    async def change_line(self, deal: str, line: int, body: Vendor) -> None:
        await self._send("PATCH", f"{_V2}/deals/{deal}/products/{line}", body, cost=_WRITE)

    async def remove_line(self, deal: str, line: int) -> None:
        await self._send("DELETE", f"{_V2}/deals/{deal}/products/{line}", cost=_DELETE)

    # -- schema

    async def fields(self, singular: str) -> list[Field]:
        found: list[Field] = []
        query: dict[str, str | int] = {"limit": 500}
        while True:
            answer = await self._send("GET", f"{_V2}/{singular}Fields?{urlencode(query)}", cost=_FIELDS)
            told = answer.decode(Decoders.fields)
            found += told.data
            if not told.cursor:
                return found
            query = {"limit": 500, "cursor": told.cursor}

    async def add_field(self, singular: str, name: str, kind: str, options: Sequence[str]) -> Field:
        shown = {"add_visible_flag": False, "details_visible_flag": True}
        body: Vendor = {"field_name": name, "field_type": kind, "ui_visibility": shown}
        if options:
            body["options"] = [{"label": label} for label in options]
        return (await self._send("POST", f"{_V2}/{singular}Fields", body, cost=_WRITE)).decode(Decoders.field).data

    async def add_option(self, singular: str, field_code: str, label: str) -> Option:
        answer = await self._send("POST", f"{_V2}/{singular}Fields/{field_code}/options", [{"label": label}], cost=_WRITE)
        return answer.decode(Decoders.options).data[0]

    async def pipelines(self) -> list[Pipeline]:
        return (await self._send("GET", f"{_V2}/pipelines?limit=500", cost=_STAGES)).decode(Decoders.pipelines).data

    async def stages(self) -> list[Stage]:
        return (await self._send("GET", f"{_V2}/stages?limit=500", cost=_STAGES)).decode(Decoders.stages).data

    async def me(self) -> Me:
        return (await self._send("GET", f"{_V1}/users/me", cost=_ME)).decode(Decoders.me).data

    # -- webhooks

    async def hooks(self) -> list[Hook]:
        return (await self._send("GET", f"{_V1}/webhooks", cost=_HOOKS)).decode(Decoders.hooks).data or []

    async def add_hook(self, body: Vendor) -> Hook:
        told = {"event_action": "*", "version": "2.0", **body}
        return (await self._send("POST", f"{_V1}/webhooks", told, cost=_HOOKS)).decode(Decoders.hook).data

    async def remove_hook(self, hook: str) -> None:
        """One that is gone already is fine."""
        try:
            await self._send("DELETE", f"{_V1}/webhooks/{hook}", cost=_UNHOOK)
        except Refusal as no:
            if not no.absent:
                raise

    # -- sending

    async def _written(self, method: str, target: str, body: Vendor) -> Vendor:
        answer = await self._send(method, target, body, cost=_WRITE)
        try:
            return answer.decode(Decoders.row).data
        except ContractBroken as error:
            raise AnswerLost(f"Pipedrive took the call but {error.what}") from error

    async def _send(self, method: str, target: str, payload: object = None, *, cost: Cost) -> Answer:
        body = None if payload is None else encode(payload)
        answer = await self._client.send(method, target, body=body, headers=await self._headers(), cost=cost)
        if date := answer.headers.get("date"):
            self.skew = parsedate_to_datetime(date) - self._clock.now()
        left = answer.headers.get(TOKENS_LEFT, "")
        if left.isdigit():
            self._limiter.credits_left(int(left))
        if answer.status >= 400:
            raise refusal(answer)
        return answer


def rfc3339(when: datetime) -> str:
    """A time as filters take it: UTC, whole seconds."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
