"""Calls to one QAD installation: the session before them, the workspace with them, and what is common to every answer."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from ml_connector.errors import AnswerLost, AuthRejected, ContractBroken, RecordRejected, Unavailable
from ml_connector.system import Host
from ml_connector_adapters.http import Answer, HostRule, HttpClient, Limiter, Limits, TokenRefused
from ml_connector_qad import convert
from ml_connector_qad.auth import PROBE_FAILURES, Login, Spans
from ml_connector_qad.judge import STACK, judge_for, refusal, said
from ml_connector_qad.settings import QadSettings

Pairs: TypeAlias = Iterable[tuple[str, str]]
_BAD: Final = 400
_ABSENT: Final = 404


class BadRequest(ContractBroken):
    """400: a key that is incomplete, or a view URI or browse that the installation does not know."""


class Absent(ContractBroken):
    """404: no such record, or no such path; whoever asked must find out which."""


class Api:
    """One connection's client. Reads run side by side, writes of the connection one record after the other."""

    def __init__(self, settings: QadSettings, host: Host) -> None:
        self.settings, self.clock = settings, host.clock
        self.where = f'connection "{host.connection}"'
        self.writing = asyncio.Lock()  # writes are serial per domain: database locks and licensed sessions bound them
        self.login = Login(settings, host)
        limits = settings.limits
        self._client = HttpClient(
            host=host,
            base_url=settings.base_url,
            judge=judge_for(host.clock, self.login.ended),
            limiter=Limiter(
                Limits(
                    requests_per_minute=limits.requests_per_minute,
                    spacing_s=limits.spacing_ms / 1000,
                    concurrency=limits.concurrency,
                ),
                host.clock,
                where=self.where,
            ),
            hosts=HostRule(urlsplit(settings.base_url).netloc),
            oauth=self.login.oauth,
            headers={
                "accept-language": settings.accept_language,
                settings.scope.workspace_header: settings.scope.workspace,
                **settings.extra_headers,
            },
            timeout_s=limits.read_timeout_s,
            connect_s=limits.connect_timeout_s,
            attempts=limits.attempts,
        )
        self._learning = asyncio.Lock()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def get(self, path: str, pairs: Pairs = ()) -> Any:
        """The JSON of a read. Raises Absent (404), BadRequest (400), and what the judge says."""
        await self._begin()
        try:
            answer = await self._send("GET", path, pairs)
        except Unavailable as error:
            if error.code != STACK:
                raise
            raise ContractBroken(error.what, fix="Ask QAD's administrator: the program behind it failed", code=STACK) from error
        return self._json(answer)

    async def post(self, path: str, pairs: Pairs, body: Mapping[str, Any], *, repeatable: bool = False) -> Any:
        """The JSON of a write, whether it was carried out or refused. Sent once unless the vendor certainly did nothing.

        ``repeatable``: it only has something computed, so that sending it again does no harm.

        Raises AnswerLost where the answer is lost or cannot be read; RecordRejected for 400; ContractBroken for 404.
        """
        return await self._change("POST", path, pairs, body, repeatable=repeatable)

    async def delete(self, path: str, pairs: Pairs) -> Any:
        return await self._change("DELETE", path, pairs, None)

    async def submit(self, path: str, pairs: Pairs, body: Mapping[str, Any]) -> Any:
        """A write that counts only if the answer says so: 200 is no success. Raises RecordRejected with the vendor's words."""
        return self.judged(await self.post(path, pairs, body))

    def judged(self, told: Any) -> Any:
        rules = self.settings.write
        if convert.at(told, rules.success_path) is not True:
            raise self.refusal(told)
        return told

    def refused(self, told: Any) -> bool:
        """Whether an answer to something else than a write says that it failed."""
        return convert.at(told, self.settings.write.success_path) is False

    def refusal(self, told: Any) -> RecordRejected:
        rules = self.settings.write
        errors = convert.at(told, rules.errors_path)
        if not isinstance(errors, list):
            errors = told.get("errors", []) if isinstance(told, Mapping) else []
        return refusal(errors if isinstance(errors, list) else [], rules, self.where)

    async def spans(self) -> Spans:
        """How long sessions may last. Asked once."""
        await self._begin()
        return self.login.spans or Spans()

    async def _begin(self) -> None:
        """See to the session, and the first time ask how long it may last."""
        await self.login.fresh()
        auth = self.settings.auth
        if self.login.spans is not None or not auth.session_path or self.login.oauth is None:
            return
        async with self._learning:
            if self.login.spans is not None:
                return
            try:
                self.login.learn(self._json(await self._send("GET", auth.session_path, ())))
            except AuthRejected:
                raise
            except PROBE_FAILURES:
                self.login.spans = Spans()  # not granted or not there: the token's own life counts

    async def _send(
        self, method: str, path: str, pairs: Pairs, body: bytes | None = None, *, repeatable: bool | None = None
    ) -> Answer:
        query = urlencode(list(pairs), quote_via=quote, safe=":")
        target = f"{path}?{query}" if query else path
        headers = await self.login.headers()
        return await self._client.send(method, target, body=body, headers=headers, repeatable=repeatable)

    async def _change(
        self, method: str, path: str, pairs: Pairs, body: Mapping[str, Any] | None, *, repeatable: bool = False
    ) -> Any:
        await self._begin()
        try:
            sent = convert.encode(body) if body is not None else None
            answer = await self._send(method, path, pairs, sent, repeatable=repeatable)
        except TokenRefused as error:
            if not error.unsure:
                raise
            raise AnswerLost(f"{error.what}; whether the request was carried out is unknown", where=self.where) from None
        if answer.status == _BAD:
            raise RecordRejected(said(answer), code="400", where=self.where)
        if answer.status == _ABSENT:
            raise Absent(f"{path} is not there", fix="Check the component's path", where=self.where)
        try:
            return convert.decode(answer.body) if answer.body else {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise AnswerLost(
                "the answer to a write is no JSON; whether it was carried out is unknown", where=self.where
            ) from None

    def _json(self, answer: Answer) -> Any:
        if answer.status == _ABSENT:
            raise Absent(f"nothing is there: {said(answer)}", where=answer.url)
        if answer.status == _BAD:
            raise BadRequest(
                f"not understood: {said(answer)}",
                fix="Check keys, view URI and browse id against the instance's Swagger pages",
                where=answer.url,
            )
        try:
            return convert.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ContractBroken(f"the answer is no JSON: {answer.text()}", where=answer.url) from None
