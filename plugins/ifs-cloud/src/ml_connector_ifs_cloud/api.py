"""Talking to IFS Cloud: paths, query options, headers and the token. Nothing else in the plugin knows a URL."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from ml_connector.domain import RemoteId
from ml_connector.errors import AnswerLost, ContractBroken, RecordRejected
from ml_connector.system import Host
from ml_connector_adapters.http import Answer, HostRule, HttpClient, Limiter, Limits, OAuth, TokenRefused, odata
from ml_connector_ifs_cloud.errors import NotFound, NotServed, judge_for
from ml_connector_ifs_cloud.paging import Pager, Query, literal_of
from ml_connector_ifs_cloud.places import Action, Field, Place
from ml_connector_ifs_cloud.rows import Row
from ml_connector_ifs_cloud.settings import IfsCloudSettings
from ml_connector_ifs_cloud.tasks import together

R = TypeVar("R", bound=Row)
T = TypeVar("T")

_HEADERS: Final = {"OData-Version": "4.0", "OData-MaxVersion": "4.0", "Accept": "application/json"}
_OPTION: Final = re.compile(r"(?<=[?&])\$")
_FILTER: Final = re.compile(r"(?<=[?&])\$filter=([^&]*)")


class Service(msgspec.Struct, frozen=True):
    """One projection on one gateway: the path up to ``.svc``."""

    gateway: str
    projection: str
    path: str


class EntitySet(msgspec.Struct, frozen=True):
    """A set that was found to be served."""

    service: Service
    name: str

    @property
    def path(self) -> str:
        return f"{self.service.path}/{self.name}"

    def enum(self, type_name: str, member: str) -> str:
        """A literal of one of the projection's enumerations: each projection has its own, and bare text is refused."""
        qualified = type_name if "." in type_name else f"IfsApp.{self.service.projection}.{type_name}"
        return odata.literal(odata.EnumLiteral(qualified, member))


class _Counted(msgspec.Struct):
    value: list[msgspec.Raw]
    odata_count: int | str | None = msgspec.field(default=None, name="@odata.count")
    plain_count: int | str | None = msgspec.field(default=None, name="@count")


_encoder: Final = msgspec.json.Encoder(decimal_format="number")
_counted: Final = msgspec.json.Decoder(_Counted)


class Api:
    """One environment through one service user. Every read raises AuthRejected, Throttled, Unavailable, ContractBroken."""

    def __init__(self, settings: IfsCloudSettings, host: Host) -> None:
        self.settings, self.where = settings, f'connection "{host.connection}"'
        self.skew: timedelta | None = None  # the server's clock less ours, as of the last answer
        self._clock = host.clock
        self._pager = Pager(settings.paging, settings.page_size, short_page_ends=settings.short_page_ends)
        self._found: dict[tuple[str, ...], EntitySet | None] = {}
        self._finding = asyncio.Lock()
        self._oauth, self._client = _client(settings, host)

    async def sign_in(self) -> None:
        """See to it that there is a token. Raises AuthRejected, Throttled, Unavailable."""
        await self._oauth.token()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def get(self, target: str, *, accept: str = "", etag: str | None = None) -> Answer:
        """GET a path or a link. A rule of the database that refuses a read is not one record's trouble: ContractBroken."""
        special = {"Accept": accept, "If-None-Match": etag or ""}
        try:
            answer = await self._client.send("GET", target, headers={name: value for name, value in special.items() if value})
        except RecordRejected as error:
            raise ContractBroken(error.what, fix=error.fix, where=error.where, code=error.code) from error
        self.skew = _skew(answer, self._clock.now())
        return answer

    async def change(self, method: str, path: str, body: Mapping[str, object] | None = None, *, etag: str = "") -> Answer:
        """POST, PATCH or DELETE, sent once. ``etag`` goes into If-Match, without which IFS inserts what is not there.

        Raises what a read raises, RecordRejected (``code`` STALE: somebody was faster), and AnswerLost.
        """
        told = _encoder.encode(body) if body is not None else None
        try:
            return await self._client.send(
                method, path, body=told, headers={"If-Match": etag} if etag else {}, repeatable=False
            )
        except TokenRefused as error:
            if not error.unsure:
                raise
            raise AnswerLost(f"{error.what}; whether the request was carried out is unknown", where=error.where) from error

    async def act(self, action: Action, *, on: str, etag: str) -> None:
        """Call an action that is bound to the record at path ``on``."""
        projection = on.partition(".svc/")[0].rpartition("/")[2]
        await self.change("POST", f"{on}/IfsApp.{projection}.{action.name}", action.body, etag=etag)

    async def call(self, service: Service, action: Action) -> None:
        """Call an action of a service, which is bound to no record."""
        await self.change("POST", f"{service.path}/{action.name}", action.body)

    async def row(self, path: str, decoder: msgspec.json.Decoder[T]) -> T | None:
        """One record by its path, None when it is not there."""
        try:
            return (await self.get(path)).decode(decoder)
        except NotFound:
            return None

    def rows(self, query: Query[R], *, start: str = "") -> AsyncGenerator[Sequence[R], None]:
        """All rows of a query, page by page, by the connection's paging rules."""
        return self._pager.pages(query, self._page, start=start)

    async def all(self, query: Query[R]) -> list[R]:
        return [row async for page in self.rows(query) for row in page]

    async def by_keys(self, query: Query[R], field: Field, ids: Iterable[RemoteId]) -> list[R]:
        """The rows whose ``field`` is one of the ids, by or-chains of bounded length that run concurrently."""
        chunks = self._chunks(query, field, ids)
        answers = await together(self.all(msgspec.structs.replace(query, filter=chunk)) for chunk in chunks)
        return [row for rows in answers for row in rows]

    async def count(self, found: EntitySet, condition: str = "") -> tuple[bool, int | None]:
        """Whether there is a row at all, and how many where the server counts (it need not, and may count wrongly)."""
        text = odata.query(filter=condition, top=1)
        try:
            answer = await self.get(found.path + self._dressed(text + "&$count=true"))
        except ContractBroken as error:
            if isinstance(error, NotFound | NotServed):
                raise
            answer = await self.get(found.path + self._dressed(text))
        told = answer.decode(_counted)
        total = told.odata_count if told.odata_count is not None else told.plain_count
        return bool(told.value), int(total) if total is not None else None

    def service(self, gateway: str, projection: str) -> Service:
        return Service(gateway, projection, f"{self.settings.gateways[gateway]}/{projection}.svc")

    async def place(self, place: Place) -> EntitySet:
        """Where the kind is served: the first of its names that answers, looked for once."""
        options = [EntitySet(self.service(place.gateway, projection), name) for projection, name in place.places]
        if len(options) == 1:
            return options[0]
        found = await self.first_served(options, place.key.name)
        if found is None:
            self._found.clear()  # the next run looks again: what is missing may have been granted
            names = ", ".join(f"{option.service.projection}.svc/{option.name}" for option in options)
            raise NotServed(
                f"none of {names} is served by gateway {place.gateway}",
                fix="Check gateway, projection and read_set, and that the service user is granted the projection",
                where=self.where,
            )
        return found

    async def first_served(self, options: Sequence[EntitySet], key: str) -> EntitySet | None:
        """The first set that answers, None when no one does; asked once."""
        name = tuple(option.path for option in options)
        async with self._finding:
            if name not in self._found:
                for option in options:
                    try:
                        await self.get(option.path + self._dressed(odata.query(select=[key], top=1)))
                    except (NotServed, NotFound):
                        continue
                    self._found[name] = option
                    break
                else:
                    self._found[name] = None
            return self._found[name]

    def entity_path(self, found: EntitySet, key: Field, number: RemoteId) -> str:
        """The path of one record, key named and percent-encoded."""
        return found.path + odata.key(**self.key_of(key, number))

    def key_of(self, key: Field, number: RemoteId) -> dict[str, odata.Value]:
        return {key.name: Decimal(number) if key.edm == "decimal" else number}

    async def _page(self, query: Query[R], target: str) -> tuple[Sequence[R], str | None]:
        answer = await self.get(query.path + self._dressed(target) if target.startswith("?") else target)
        listing = answer.decode(query.decoder)
        return listing.value, answer.link(listing.next_link) if listing.next_link else None

    def _dressed(self, text: str) -> str:
        """The query text as some front ends want it; links of the vendor's are never touched."""
        if self.settings.double_parens:
            text = _FILTER.sub(r"$filter=((\1))", text)
        return _OPTION.sub("%24", text) if self.settings.encode_dollar else text

    def _chunks(self, query: Query[R], field: Field, ids: Iterable[RemoteId]) -> list[str]:
        fixed = len(self.settings.base_url) + len(query.path) + len(query.text(top=self.settings.page_size)) + 40
        room = self.settings.max_url_len - fixed
        chunks: list[list[str]] = []
        used = 0
        for number in dict.fromkeys(ids):
            condition = f"{field.name} eq {literal_of(field.edm, number)}"
            length = len(odata.query(filter=condition)) + len("%20or%20")
            if not chunks or len(chunks[-1]) == self.settings.key_filter_chunk or used + length > room:
                chunks.append([])
                used = 0
            chunks[-1].append(condition)
            used += length
        return [odata.both(query.filter, odata.either(*chunk)) for chunk in chunks]


def _skew(answer: Answer, now: datetime) -> timedelta | None:
    try:
        return parsedate_to_datetime(answer.headers["date"]) - now
    except (KeyError, ValueError, TypeError):
        return None


def _client(settings: IfsCloudSettings, host: Host) -> tuple[OAuth, HttpClient]:
    where = f'connection "{host.connection}"'
    hosts = HostRule(*{urlsplit(url).netloc for url in (settings.base_url, settings.token_endpoint)})
    limits = Limits(requests_per_minute=settings.limits.requests_per_minute, concurrency=settings.limits.concurrency)
    zone = {"X-Ifs-Time-Zone-Aware-Request": "true"} if settings.time_zone_aware_header else {}
    headers = {name.lower(): value for name, value in (_HEADERS | zone | settings.extra_headers).items()}
    basic = settings.client_auth == "client_secret_basic"

    async def credentials() -> tuple[str, str]:
        return settings.client_id, await host.secrets.reveal(settings.client_secret)

    async def form() -> dict[str, str]:
        fields = {"grant_type": "client_credentials", "scope": settings.scope}
        if not basic:
            fields["client_id"], fields["client_secret"] = await credentials()
        return fields

    oauth = OAuth(
        host=host,
        token_url=settings.token_endpoint,
        form=form,
        basic=credentials if basic else None,
        leeway_s=settings.expiry_leeway_s,
        hosts=hosts,
    )
    return oauth, HttpClient(
        host=host,
        base_url=settings.base_url,
        judge=judge_for(settings, where, host.clock),
        limiter=Limiter(limits, host.clock, where=where),
        hosts=hosts,
        oauth=oauth,
        headers={name: value for name, value in headers.items() if value},
        timeout_s=settings.limits.read_timeout_s,
        connect_s=settings.limits.connect_timeout_s,
        attempts=settings.limits.attempts,
    )
