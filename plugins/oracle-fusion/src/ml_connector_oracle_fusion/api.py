"""Talking to one pod: paths, headers, paging, batches. Nothing else in the plugin knows a URL.

Oracle, Sales REST and Financials REST: "Manage Collections" (limit, offset, hasMore), "Perform Batch Actions", "Set the REST
Framework Version".
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from ml_connector.errors import AnswerLost, ContractBroken
from ml_connector.system import Host
from ml_connector_adapters.http import Answer, Cost, HttpClient, Limiter, Limits, TokenRefused
from ml_connector_oracle_fusion import query, wire
from ml_connector_oracle_fusion.auth import api_hosts, basic_header, oauth
from ml_connector_oracle_fusion.judge import Refused, judge_for, not_served
from ml_connector_oracle_fusion.settings import STAMPS, Settings, Stamp
from ml_connector_oracle_fusion.wire import Listing, Vendor

ACCEPT: Final = "application/json, application/vnd.oracle.adf.error+json"
ITEM: Final = "application/vnd.oracle.adf.resourceitem+json"
BATCH: Final = "application/vnd.oracle.adf.batch+json"
XML: Final = "text/xml;charset=UTF-8"
WRITE: Final = Cost(heavy=True)
PATIENCE_S: Final = 300
MOST_PAGES: Final = 100_000
FINDERS: Final = {
    (resource, attribute): finder
    for resource in ("accounts", "contacts")
    for attribute, finder in (
        ("PartyId", "PartyIdAltKey"),
        ("PartyNumber", "PartyNumberAltKey"),
        ("SourceSystemReferenceValue", "SourceSystemReferenceAltKey"),
    )
}
READ_TRIES: Final = 3
"""How often a read that met a 500 with a database error is made: such errors are often the data's, sometimes a lock's."""


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One REST resource and what is asked of it."""

    root: Literal["crm", "fscm"]
    name: str
    id: str  # the integer attribute that never changes; queryable and sortable
    own: tuple[str, ...] = ()  # attributes asked for; empty: all
    kids: dict[str, tuple[str, ...]] = {}

    @property
    def fields(self) -> str:
        return query.fields(self.own, self.kids) if self.own else ""


class Api:
    """One pod through one integration user. Every read raises AuthRejected, Throttled, Unavailable, ContractBroken."""

    def __init__(self, settings: Settings, host: Host) -> None:
        self.settings, self.where, self.clock = settings, f'connection "{host.connection}"', host.clock
        self.skew: timedelta | None = None  # the pod's clock less ours, as of the last answer
        self.unversioned: set[str] = set()  # resources that do not serve the framework version asked for
        self.unfiltered: set[str] = set()  # resources that do not filter by their id
        self._host, self._oauth = host, oauth(settings, host)
        self._stamp: Stamp | None = None if settings.timestamps == "auto" else settings.timestamps
        limits = settings.limits
        self._client = HttpClient(
            host=host,
            base_url=settings.base_url,
            judge=judge_for(host.clock, self.where),
            limiter=Limiter(
                Limits(
                    requests_per_minute=limits.requests_per_minute,
                    concurrency=limits.concurrency,
                    heavy_concurrency=min(limits.write_concurrency, limits.concurrency),
                ),
                host.clock,
                where=self.where,
            ),
            hosts=api_hosts(settings),
            oauth=self._oauth,
            headers={"accept": ACCEPT},
            timeout_s=limits.timeout_s,
            attempts=limits.attempts,
            patience_s=PATIENCE_S,
        )

    def __repr__(self) -> str:
        return f"Api({self.settings.base_url!r})"

    async def sign_in(self) -> None:
        """See to it that there is a token. Raises AuthRejected, Throttled, Unavailable."""
        if self._oauth is not None:
            await self._oauth.token()

    async def aclose(self) -> None:
        await self._client.aclose()

    # reading

    async def get(self, resource: str, path: str) -> Answer:
        """GET a path below the pod. A refusal is not one record's trouble: ContractBroken, with the status as ``code``."""
        for attempt in range(READ_TRIES):
            try:
                return await self._send(resource, "GET", path)
            except Refused as error:
                if error.status == 500 and attempt + 1 < READ_TRIES:
                    continue
                fix = (
                    error.fix or "Check the settings that name attributes and filters; ml-connector ping names what is missing"
                )
                broken = ContractBroken(error.what, fix=fix, where=error.where, code=str(error.status))
                raise broken from error
        raise AssertionError

    async def page(self, resource: Resource, **parameters: str | int) -> Listing:
        """One page of a collection."""
        told = {"fields": resource.fields, "links": "self", **parameters}
        answer = await self.get(resource.name, self.path(resource) + query.parameters(**told))
        return answer.decode(wire.listing)

    async def walk(self, resource: Resource, condition: str = "") -> AsyncIterator[list[Vendor]]:
        """Every row by its id, page by page. Each page asks for ids beyond the last one, so that nothing shifts under it.

        Where the resource does not filter by its id, pages are counted instead, and rows that come twice are told once.
        """
        size, after, told = self.settings.page_size, "", 0
        counted = resource.name in self.unfiltered
        known: set[str] = set()
        for _ in range(MOST_PAGES):
            beyond = f"{resource.id} > {after}" if after and not counted else ""
            place: dict[str, int] = {"offset": told} if counted and told else {}
            try:
                listing = await self.page(
                    resource, q=query.both(condition, beyond), orderBy=f"{resource.id}:asc", limit=size, **place
                )
            except ContractBroken as error:
                if error.code != "400" or not beyond:
                    raise
                self.unfiltered.add(resource.name)
                counted = True
                continue
            fresh = [row for row in listing.items if str(row[resource.id]) not in known]
            if fresh:
                yield fresh
            elif listing.items:
                raise ContractBroken(f"{resource.name} does not advance beyond {resource.id} {after}", where=self.where)
            if not listing.items or ended(listing, size):
                return
            known |= {str(row[resource.id]) for row in fresh}
            after, told = str(listing.items[-1][resource.id]), told + len(listing.items)
        raise ContractBroken(f"{resource.name} has no end", where=self.where)

    async def by_ids(self, resource: Resource, ids: Iterable[str]) -> list[Vendor]:
        """Rows by id, any number of them; ids that are none are absent."""
        return await self.matching(resource, resource.id, [one for one in ids if one.isascii() and one.isdigit()])

    async def matching(self, resource: Resource, attribute: str, literals: Sequence[str]) -> list[Vendor]:
        """Rows whose attribute is one of the literals, each once; by a finder each where the attribute is not filtered by.

        Rows that nobody asked for are left out: framework 1 passes over filters that it does not understand.
        """
        found: dict[str, Vendor] = {}
        wanted = list(dict.fromkeys(literals))
        width = self.settings.keys_per_query
        for start in range(0, len(wanted), width):
            chunk = wanted[start : start + width]
            try:
                async for rows in self.walk(resource, query.one_of(attribute, chunk)):
                    found |= {str(row[resource.id]): row for row in rows}
            except ContractBroken as error:
                if error.code != "400" or (finder := FINDERS.get((resource.name, attribute))) is None:
                    raise
                for literal in chunk:
                    found |= {str(row[resource.id]): row for row in await self._found(resource, finder, attribute, literal)}
        told = {query.plain(literal) for literal in wanted}
        return [row for row in found.values() if attribute not in row or str(row[attribute]) in told]

    async def _found(self, resource: Resource, finder: str, attribute: str, literal: str) -> list[Vendor]:
        """Oracle, Sales REST: the alternative keys of accounts, which contacts are expected to have as well."""
        told = {attribute: query.plain(literal)}
        if attribute == "SourceSystemReferenceValue":
            told = {"SourceSystem": self.settings.source_system, **told}
        return (await self.page(resource, finder=query.finder(finder, told))).items

    async def kids(self, resource: Resource, key: str, child: str) -> list[Vendor]:
        """All children of one row, by offset: what was received counts, not what was asked for."""
        path = f"{self.path(resource)}/{quote(key, safe='')}/child/{child}"
        told: dict[str, str | int] = {"fields": ",".join(resource.kids.get(child, ())), "links": "self"}
        found: list[Vendor] = []
        for _ in range(MOST_PAGES):
            answer = await self.get(
                resource.name, path + query.parameters(**told, limit=self.settings.page_size, offset=len(found))
            )
            listing = answer.decode(wire.listing)
            found += listing.items
            if not listing.items or ended(listing, self.settings.page_size):
                return found
        raise ContractBroken(f"{child} of {resource.name} has no end", where=self.where)

    async def timed(self, ask: Callable[[Stamp], Any]) -> Any:
        """Ask with the time written in the way that this pod reads; found out at the first question, by what is not refused."""
        if self._stamp is not None:
            return await ask(self._stamp)
        refusal: ContractBroken | None = None
        for style in STAMPS:
            try:
                answer = await ask(style)
            except ContractBroken as error:
                if error.code != "400":
                    raise
                refusal = refusal or error
                continue
            self._stamp = style
            return answer
        assert refusal is not None
        raise refusal

    # writing

    async def write(
        self,
        resource: Resource,
        method: Literal["POST", "PATCH"],
        key: str | None,
        body: Vendor,
        *,
        etag: str = "",
        upsert: bool = False,
        below: str = "",
    ) -> Answer:
        """Create or change one row, sent once. Raises what a read raises, Refused, and AnswerLost."""
        path = self.path(resource) + (f"/{quote(key, safe='')}" if key is not None else "") + below
        headers = {"Upsert-Mode": "true"} if upsert else {}
        if etag:
            headers["If-Match"] = wire.quoted(etag)
        return await self._change(resource.name, method, path, wire.encode(body), ITEM, headers)

    async def batch(self, root: Literal["crm", "fscm"], parts: Sequence[Vendor]) -> list[Vendor]:
        """Carry out all parts or none. Raises what ``write`` raises; Refused then says that nothing was done."""
        path = self.settings.crm if root == "crm" else self.settings.fscm
        answer = await self._change("batch", "POST", path, wire.encode({"parts": list(parts)}), BATCH, {})
        return answer.decode(wire.batch).parts

    async def soap(self, path: str, action: str, envelope: bytes, *, reads: bool) -> Answer:
        """Call a service; a Fault is handed back. Raises what ``write`` raises."""
        headers = {"SOAPAction": f'"{action}"', "Accept": "text/xml, multipart/related"}
        try:
            return await self._once("soap", "POST", path, envelope, XML, headers, repeatable=reads)
        except TokenRefused as error:
            raise _lost(error) if error.unsure and not reads else error from error
        except Refused as error:
            raise not_served(error) if error.status == 404 else error from error

    def path(self, resource: Resource) -> str:
        return f"{self.settings.crm if resource.root == 'crm' else self.settings.fscm}/{resource.name}"

    async def _change(
        self, resource: str, method: str, path: str, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> Answer:
        try:
            return await self._send(resource, method, path, body, content_type, headers)
        except TokenRefused as error:
            if not error.unsure:
                raise
            raise _lost(error) from error

    async def _send(
        self,
        resource: str,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """With the framework version, unless this resource turned out not to serve it."""
        version = {"REST-Framework-Version": str(self.settings.rest_framework_version)}
        told = {**headers, **({} if resource in self.unversioned else version)}
        try:
            return await self._once(resource, method, path, body, content_type, told)
        except Refused as error:
            if not error.names_version or resource in self.unversioned:
                raise
            self.unversioned.add(resource)
        return await self._once(resource, method, path, body, content_type, headers)

    async def _once(
        self,
        resource: str,
        method: str,
        path: str,
        body: bytes | None,
        content_type: str,
        headers: Mapping[str, str],
        repeatable: bool | None = None,
    ) -> Answer:
        proof = await basic_header(self.settings, self._host) if self._oauth is None else {}
        answer = await self._client.send(
            method,
            path,
            body=body,
            content_type=content_type,
            headers={**proof, **headers},
            repeatable=repeatable,
            cost=WRITE if body is not None and not repeatable else Cost(),
        )
        self.skew = _skew(answer, self.clock.now())
        return answer


def ended(listing: Listing, asked: int) -> bool:
    """The last page: no more is announced, and it is not full by what the server says it gives, maybe less than asked."""
    full = min(asked, listing.limit or asked)
    return not listing.hasMore and len(listing.items) < full


def item_path(resource: Resource, key: str) -> str:
    """A row's path within a batch."""
    return f"/{resource.name}/{quote(key, safe='')}"


def _lost(error: TokenRefused) -> AnswerLost:
    return AnswerLost(f"{error.what}; whether the request was carried out is unknown", where=error.where)


def _skew(answer: Answer, now: datetime) -> timedelta | None:
    try:
        return parsedate_to_datetime(answer.headers["date"]) - now
    except (KeyError, ValueError, TypeError):
        return None
