"""The Dataverse Web API's calls: the only place with paths, parameters, headers and their spelling.

Source: compose-http-requests-handle-errors, page-results, use-change-tracking, execute-batch-operations, use-web-api-actions.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from ml_connector.errors import AnswerLost, ConnectorError, ContractBroken
from ml_connector_adapters.http import Answer, HttpClient, Judge, odata
from ml_connector_dynamics365_sales import multipart
from ml_connector_dynamics365_sales.judge import EXPIRED, said, unexpected
from ml_connector_dynamics365_sales.multipart import Request, Response
from ml_connector_dynamics365_sales.wire import (
    AlternateKey,
    Attribute,
    Decoders,
    Definition,
    Privilege,
    Rows,
    Vendor,
    WhoAmI,
    encode,
)

MULTIPLE_MOST: Final = 100
"""Records of one bulk message: Dataverse has no cap, only time and size; 100 to 1000 is what its documentation starts with."""
AT_ONCE: Final = 4
"""Batches under way: 1200 seconds of execution are allowed in any 300, so that more would only be refused."""
FORBIDDEN: Final = frozenset("/<>*%&:\\?+")
"""Characters that an alternate key's value cannot have in a URL, though the key holds them."""

_NAMESPACE: Final = "Microsoft.Dynamics.CRM"
_HEADERS: Final = {"If-None-Match": "null"}  # else an expanded record may come from a cache
_TARGETS: Final = f'odata.include-annotations="{_NAMESPACE}.lookuplogicalname"'
_TYPED: Final = ("StringAttributeMetadata", "MemoAttributeMetadata")
_CHOICES: Final = ("PicklistAttributeMetadata", "StatusAttributeMetadata")
_BASICS: Final = (
    "LogicalName",
    "AttributeType",
    "AttributeOf",
    "IsCustomAttribute",
    "IsValidForCreate",
    "IsValidForUpdate",
    "IsValidForRead",
)


class TokenExpired(ContractBroken):
    """The change tracking token is older than Dataverse keeps changes: everything has to be read anew."""


class TooLarge(ContractBroken):
    """A batch was longer than somebody on the way lets pass, and nothing of it was done."""


def address(entity_set: str, row_id: str) -> str:
    return f"{entity_set}({row_id})"


def keyed(entity_set: str, column: str, value: str) -> str:
    """A record by alternate key, percent-encoded. ``speakable`` says whether the value can stand there."""
    return f"{entity_set}{odata.key(**{column: value})}"


def speakable(value: str) -> bool:
    return not FORBIDDEN & set(value)


def is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


def row_of(response: Response) -> Vendor:
    """The record that a write answers with. Raises AnswerLost when it cannot be read: nobody knows then what was done."""
    try:
        return Decoders.row.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise AnswerLost("the answer to a write cannot be read; whether it was carried out is unknown") from None


class Api:
    """One environment. Raises AuthRejected, Throttled, Unavailable (AnswerLost for writes), ContractBroken."""

    def __init__(self, client: HttpClient, version: str, judge: Judge) -> None:
        self._client, self._judge = client, judge
        self._lanes = asyncio.Semaphore(AT_ONCE)
        self.root = f"/api/data/{version}/"
        self.vendor_time: str | None = None  # the Date header of the latest answer

    async def close(self) -> None:
        await self._client.aclose()

    # -- reading

    async def pages(
        self,
        entity_set: str,
        select: Sequence[str],
        *,
        where: str = "",
        order: Sequence[str] = (),
        expand: str = "",
        size: int,
        track: bool = False,
    ) -> AsyncIterator[Rows]:
        """Pages of a collection; with ``track`` the last one has the delta link."""
        target = self.root + entity_set + odata.query(select=select, filter=where, orderby=order, expand=expand)
        async for page in self.follow(target, size=size, track=track):
            yield page

    async def follow(self, link: str, *, size: int, track: bool = False) -> AsyncIterator[Rows]:
        """Pages from a link on, each next link taken as it is. Raises TokenExpired for a delta link that is too old."""
        prefer = f"odata.maxpagesize={size},{_TARGETS}" + (",odata.track-changes" if track else "")
        while True:
            answer = await self._send("GET", link, headers={**_HEADERS, "Prefer": prefer})
            if answer.status >= 400:
                if said(answer.body).code == EXPIRED:
                    raise TokenExpired("Dataverse keeps no changes from so long ago", code=EXPIRED)
                raise unexpected(answer.status, answer.body)
            page = answer.decode(Decoders.rows)
            yield page
            if page.next_link is None:
                return
            link = answer.link(page.next_link)

    async def rows(
        self,
        entity_set: str,
        select: Sequence[str],
        *,
        where: str = "",
        order: Sequence[str] = (),
        expand: str = "",
        size: int = 5000,
    ) -> list[Vendor]:
        """All records that ``where`` lets through."""
        return [
            row
            async for page in self.pages(entity_set, select, where=where, order=order, expand=expand, size=size)
            for row in page.value
        ]

    async def found(self, targets: Sequence[str]) -> list[Rows]:
        """The first page of each query, all of them in one call, whose links may be longer there than by themselves."""
        prefer = {**_HEADERS, "Prefer": f"odata.maxpagesize=5000,{_TARGETS}"}
        requests = [Request(method="GET", target=self.root + target, headers=prefer) for target in targets]
        pages: list[Rows] = []
        for told in await self._batch(requests, repeatable=True):
            assert isinstance(told, Response)
            answer = Answer(told.status, told.headers, told.body, f"{self.root}$batch")
            if (error := self._judge(answer)) is not None:
                raise error
            if answer.status >= 400:
                raise unexpected(answer.status, answer.body)
            pages.append(answer.decode(Decoders.rows))
        return pages

    # -- writing

    def operation(
        self,
        method: str,
        target: str,
        body: Vendor | None = None,
        *,
        match: str = "",
        select: Sequence[str] = (),
        expand: str = "",
    ) -> Request:
        """One write. ``match`` is an ETag or ``*``; with ``select`` the answer tells of the record as it stands then."""
        headers = {"If-Match": match} if match else {}
        query = ""
        if select:
            headers["Prefer"] = "return=representation"
            query = odata.query(select=select, expand=expand)
        payload = None if body is None else encode(body)
        return Request(method=method, target=self.root + target + query, headers=headers, body=payload)

    def action(self, name: str, body: Vendor, *, bound_to: str = "") -> Request:
        """A sales action, bound to an entity set or to nothing."""
        return self.operation("POST", f"{bound_to}/{_NAMESPACE}.{name}" if bound_to else name, body)

    async def send(self, request: Request, *, repeatable: bool = False) -> Response:
        """One write by itself; refusals of the record are returned."""
        answer = await self._send(request.method, request.target, request.body, headers=request.headers, repeatable=repeatable)
        if "html" in answer.headers.get("content-type", ""):
            raise AnswerLost("a web page came in answer to a write; whether it was carried out is unknown")
        return Response(answer.status, answer.headers, answer.body)

    def reading(self, target: str, select: Sequence[str], expand: str = "") -> Request:
        """A read of one record, as it goes behind its write in a batch."""
        query = odata.query(select=select, expand=expand)
        return Request(method="GET", target=self.root + target + query, headers={**_HEADERS, "Prefer": _TARGETS})

    async def batch(self, items: Sequence[Request | Sequence[Request]]) -> list[Response | list[Response]]:
        """Operations and change sets that stand or fall one by one: what came of each, in order."""
        async with self._lanes:
            return await self._batch(items, repeatable=False)

    async def upsert_multiple(self, table: str, entity_set: str, targets: Sequence[tuple[str, Vendor]]) -> Response:
        """Records by address, all or none; repeatable, since an upsert twice is an upsert."""
        bodies = [{"@odata.type": f"{_NAMESPACE}.{table}", "@odata.id": target, **body} for target, body in targets]
        request = self.operation("POST", f"{entity_set}/{_NAMESPACE}.UpsertMultiple", {"Targets": bodies})
        return await self.send(request, repeatable=True)

    async def create(self, entity_set: str, body: Vendor, select: Sequence[str]) -> Vendor:
        """A record of the platform's own tables. Raises ContractBroken when it is refused."""
        told = await self.send(self.operation("POST", entity_set, body, select=select))
        if told.status >= 400:
            raise unexpected(told.status, told.body)
        return row_of(told)

    async def delete(self, target: str) -> None:
        """Remove a record of the platform's own tables; one that is gone is fine."""
        told = await self.send(self.operation("DELETE", target), repeatable=True)
        if told.status >= 400 and told.status != 404:
            raise unexpected(told.status, told.body)

    # -- metadata

    async def who(self) -> WhoAmI:
        return (await self._get("WhoAmI")).decode(Decoders.who)

    async def definition(self, table: str) -> Definition:
        """Raises ContractBroken when the environment has no such table."""
        names = (
            "LogicalName",
            "EntitySetName",
            "PrimaryIdAttribute",
            "PrimaryNameAttribute",
            "ChangeTrackingEnabled",
            "Privileges",
        )
        expand = "Keys($select=SchemaName,KeyAttributes,EntityKeyIndexStatus)"
        answer = await self._get(_definition(table) + odata.query(select=names, expand=expand))
        return answer.decode(Decoders.definition)

    async def attributes(self, table: str) -> dict[str, Attribute]:
        """Columns by logical name, with lengths, behaviours of dates and choices."""
        basics, dates, *others = await asyncio.gather(
            self._attributes(table, "", _BASICS),
            self._attributes(table, "DateTimeAttributeMetadata", ("LogicalName", "DateTimeBehavior")),
            *(self._attributes(table, kind, ("LogicalName", "MaxLength")) for kind in _TYPED),
            *(self._attributes(table, kind, ("LogicalName",), "OptionSet") for kind in _CHOICES),
        )
        found = {column.LogicalName: column for column in basics if column.AttributeOf is None}
        for typed in (dates, *others):
            for column in typed:
                if (known := found.get(column.LogicalName)) is not None:
                    known.MaxLength = column.MaxLength or known.MaxLength
                    known.DateTimeBehavior = column.DateTimeBehavior or known.DateTimeBehavior
                    known.OptionSet = column.OptionSet or known.OptionSet
        return found

    async def keys(self, table: str) -> list[AlternateKey]:
        return (await self.definition(table)).Keys

    async def privileges(self, user: str) -> list[Privilege]:
        answer = await self._get(f"systemusers({user})/{_NAMESPACE}.RetrieveUserPrivileges")
        return answer.decode(Decoders.privileges).RolePrivileges

    async def make_column(self, table: str, schema_name: str, label: str, length: int, solution: str) -> None:
        """A line of text. Raises ContractBroken when it is refused."""
        body = {
            "@odata.type": f"{_NAMESPACE}.StringAttributeMetadata",
            "SchemaName": schema_name,
            "MaxLength": length,
            "FormatName": {"Value": "Text"},
            "RequiredLevel": {"Value": "None"},
            "DisplayName": _label(label),
        }
        await self._make(f"{_definition(table)}/Attributes", body, solution)

    async def make_key(self, table: str, schema_name: str, label: str, columns: Sequence[str], solution: str) -> None:
        """An alternate key, whose index is then built in the background. Raises ContractBroken when it is refused."""
        body = {
            "@odata.type": f"{_NAMESPACE}.EntityKeyMetadata",
            "SchemaName": schema_name,
            "DisplayName": _label(label),
            "KeyAttributes": list(columns),
        }
        await self._make(f"{_definition(table)}/Keys", body, solution)

    async def publish(self, tables: Sequence[str]) -> None:
        told = "".join(f"<entity>{table}</entity>" for table in tables)
        xml = f"<importexportxml><entities>{told}</entities></importexportxml>"
        await self.send(self.operation("POST", "PublishXml", {"ParameterXml": xml}), repeatable=True)

    async def _make(self, target: str, body: Vendor, solution: str) -> None:
        request = self.operation("POST", target, body)
        headers = {"MSCRM.SolutionUniqueName": solution} if solution else {}
        answer = await self._send("POST", request.target, request.body, headers=headers)
        if answer.status >= 400:
            raise unexpected(answer.status, answer.body)

    async def _attributes(self, table: str, kind: str, select: Sequence[str], expand: str = "") -> list[Attribute]:
        cast = f"/{_NAMESPACE}.{kind}" if kind else ""
        answer = await self._get(f"{_definition(table)}/Attributes{cast}{odata.query(select=select, expand=expand)}")
        return answer.decode(Decoders.attributes).value

    # -- below

    async def _get(self, target: str) -> Answer:
        answer = await self._send("GET", self.root + target, headers={**_HEADERS, "Consistency": "Strong"})
        if answer.status >= 400:
            raise unexpected(answer.status, answer.body)
        return answer

    async def _batch(
        self, items: Sequence[Request | Sequence[Request]], *, repeatable: bool
    ) -> list[Response | list[Response]]:
        answer = await self._send(
            "POST",
            f"{self.root}$batch",
            multipart.batch(items),
            content_type=multipart.content_type(),
            headers={"Prefer": "odata.continue-on-error", "Accept": "multipart/mixed"},
            repeatable=repeatable,
        )
        try:
            told = multipart.responses(answer.headers.get("content-type", ""), answer.body)
        except ConnectorError as error:
            if answer.status == 413:
                raise TooLarge("The batch is longer than Dynamics, or a proxy on the way, takes it") from None
            if answer.status >= 400:
                raise unexpected(answer.status, answer.body) from None
            if repeatable:
                raise
            raise AnswerLost(f"{error.what}; whether the writes were carried out is unknown") from None
        if len(told) != len(items):
            raise AnswerLost(f"{len(items)} requests were sent in a batch and {len(told)} answers came")
        return told

    async def _send(self, method: str, target: str, body: bytes | None = None, **more: Any) -> Answer:
        kept = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"}
        more["headers"] = {**kept, **more.get("headers", {})}
        if body is not None:
            more.setdefault("content_type", "application/json; charset=utf-8")
        answer = await self._client.send(method, target, body=body, **more)
        self.vendor_time = answer.headers.get("date", self.vendor_time)
        return answer

    def skew_s(self, now: float) -> float | None:
        """Seconds by which Dynamics' clock is ahead of ``now`` (a timestamp); None before the first answer."""
        if self.vendor_time is None:
            return None
        return parsedate_to_datetime(self.vendor_time).timestamp() - now


def _definition(table: str) -> str:
    return f"EntityDefinitions(LogicalName={odata.literal(table)})"


def _label(text: str) -> dict[str, Any]:
    return {
        "@odata.type": f"{_NAMESPACE}.Label",
        "LocalizedLabels": [{"@odata.type": f"{_NAMESPACE}.LocalizedLabel", "Label": text, "LanguageCode": 1033}],
    }
