"""Acorn behind the ports: one feed, one sink, and the check that ``ping`` asks for."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from ml_connector.domain import Cursor, Instant, Page, Record, RemoteId
from ml_connector.errors import AnswerLost, ConnectorError, ContractBroken, Throttled, Unavailable
from ml_connector.ports.fitness import Finding, Need
from ml_connector.ports.sink import Conflict, Create, Key, Outcome, Rejected, SinkLimits, Unknown, Update, Write, Written
from ml_connector.system import Connection, Host
from ml_connector_acorn.mapping import FIELDS, Customer, body_of, record_of
from ml_connector_acorn.plugin import Settings
from ml_connector_adapters.http import Answer, HostRule, HttpClient, Limiter, Limits, OAuth, TokenRefused, retry_after

AT_ONCE: Final = 20
"""Most ids or numbers that one call takes."""


class Listing(msgspec.Struct):
    customers: list[Customer]
    more: bool


class Refusal(msgspec.Struct):
    code: str
    message: str
    field: str = ""


_listing: Final = msgspec.json.Decoder(Listing)
_customer: Final = msgspec.json.Decoder(Customer)
_refusal: Final = msgspec.json.Decoder(Refusal)


def connect(settings: Settings, host: Host) -> Connection:
    """Both abilities share one client. Makes no call."""
    hosts = HostRule(urlsplit(settings.base_url).netloc)

    async def form() -> dict[str, str]:
        secret = await host.secrets.reveal(settings.client_secret)
        return {"grant_type": "client_credentials", "client_id": settings.client_id, "client_secret": secret}

    client = HttpClient(
        host=host,
        base_url=settings.base_url,
        judge=judge_for(host),
        limiter=Limiter(Limits(requests_per_minute=600, concurrency=4), host.clock, where=host.connection),
        hosts=hosts,
        oauth=OAuth(host=host, token_url=f"{settings.base_url}/oauth/token", form=form, hosts=hosts),
    )
    feed = AccountFeed(client, settings.page_size)
    return Connection(
        sources={"account": feed},
        sinks={"account": AccountSink(client, feed)},
        fitness=AcornFitness(client),
        close=client.aclose,
    )


def judge_for(host: Host) -> Callable[[Answer], ConnectorError | None]:
    """Acorn's one table of errors. What a sink wants to read itself (404, 412, 422) passes."""

    def judge(answer: Answer) -> ConnectorError | None:
        if answer.status == 401:
            return TokenRefused("Acorn does not take the access token", fix="Check client_id and client_secret")
        if answer.status == 429:
            return Throttled("Acorn counted too many calls", after_s=retry_after(answer.headers, host.clock.now()))
        if answer.status >= 500 or "html" in answer.headers.get("content-type", ""):
            return Unavailable(f"Acorn answered {answer.status}: {answer.text()}")
        if answer.status >= 400 and answer.status not in (404, 412, 422):
            return ContractBroken(f"Acorn refused the request with {answer.status}: {answer.text()}")
        return None

    return judge


class AccountFeed:
    """Customers in the order of Acorn's change number, which moves with every edit and deletion."""

    def __init__(self, client: HttpClient, page_size: int) -> None:
        self._client, self._page_size = client, page_size

    async def listed(self, **query: object) -> Listing:
        answer = await self._client.send("GET", "/v1/customers?" + urlencode(query, doseq=True))
        return answer.decode(_listing)

    async def fetch(self, ids: Sequence[RemoteId]) -> list[Record]:
        found: list[Customer] = []
        for start in range(0, len(ids), AT_ONCE):
            found += (await self.listed(id=ids[start : start + AT_ONCE])).customers
        return [record_of(row) for row in found]

    async def changed_since(self, cursor: Cursor | None) -> AsyncIterator[Page]:
        """The cursor is a query parameter: "after:41" (a change number) or "since:2026-01-15T09:00:00+00:00"."""
        place, more = cursor or "after:0", True
        while more:
            name, _, value = place.partition(":")
            listing = await self.listed(**{name: value, "limit": self._page_size})
            more = listing.more
            if listing.customers:
                place = f"after:{listing.customers[-1].seq}"
                yield Page(records=tuple(record_of(row) for row in listing.customers), cursor=place)

    def cursor_at(self, when: Instant) -> Cursor:
        return f"since:{when.isoformat()}"


class AccountSink:
    """One customer a call: then whatever stops the connection costs no other record its outcome."""

    limits = SinkLimits(batch=1, parallel=4)

    def __init__(self, client: HttpClient, feed: AccountFeed) -> None:
        self._client, self._feed = client, feed

    async def accepts(self) -> frozenset[str]:
        return FIELDS

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        found: dict[Key, list[Record]] = {key: [] for key in keys}
        for start in range(0, len(keys), AT_ONCE):
            chunk = keys[start : start + AT_ONCE]
            for row in (await self._feed.listed(number=[key.value for key in chunk])).customers:
                found[Key("number", row.number)].append(record_of(row))
        return found

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        return [await self._outcome(write) for write in writes]

    async def _outcome(self, write: Write) -> Outcome:
        try:
            answer = await self._send(write)
        except AnswerLost as lost:  # it left and nobody knows: never success, never failure
            return Unknown(reason=lost.what)
        if answer.status == 404:
            return Conflict(current=None)
        if answer.status == 412:
            return Conflict(current=answer.decode(_customer).rev)
        if answer.status == 422:
            said = answer.decode(_refusal)
            return Rejected(code=said.code, reason=said.message, field=said.field)
        row = answer.decode(_customer)
        return Written(id=row.id, version=row.rev, changed_at=row.changed, created=answer.status == 201)

    async def _send(self, write: Write) -> Answer:
        if isinstance(write, Create):  # by number: a customer that is there already is updated
            target = f"/v1/customers/by-number/{quote(write.key.value, safe='')}"
            return await self._client.send("PUT", target, body=msgspec.json.encode(body_of(write.entity)))
        body = body_of(write.changes) if isinstance(write, Update) else {"active": False}
        guard = {} if write.version is None else {"if-match": write.version}
        target = f"/v1/customers/{quote(write.id, safe='')}"
        return await self._client.send("PATCH", target, body=msgspec.json.encode(body), headers=guard)


class AcornFitness:
    """What ``ping`` shows."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        await self._client.send("GET", "/v1/customers?limit=1&after=0")
        found = [Finding(level="ok", about="token", what="Acorn takes the access token")]
        for need in needs:
            homeless = sorted(need.fields - FIELDS) if need.access == "write" else []
            found += [Finding(level="unfit", about=f"{need.kind}.{name}", what=f"Acorn has no {name}") for name in homeless]
        return found

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        return []  # Acorn has no custom fields to create
