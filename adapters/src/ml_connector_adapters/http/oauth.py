"""OAuth 2 access tokens: one per credential, shared by tasks, processes and restarts, within the vendor's mint budget."""

import asyncio
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode

import msgspec
from opentelemetry import metrics

from ml_connector.errors import AnswerLost, AuthRejected, ConnectorError, ContractBroken, RetryLater, Throttled, Unavailable
from ml_connector.ports.secrets import Token, TokenRecord
from ml_connector.system import Host
from ml_connector_adapters.http.client import HIDDEN, Answer, HttpClient
from ml_connector_adapters.http.hosts import HostRule
from ml_connector_adapters.http.limits import Limiter, Limits, retry_after

_SECRET_FIELD = re.compile("secret|token|password|code|assertion")
_PASSING = ("temporarily_unavailable", "server_error")  # RFC 6749 section 4.1.2.1
_GRACE_S = 30.0  # how long a living token serves on when its early refresh fails

_minted: Final = metrics.get_meter("ml_connector").create_counter(
    "ml_connector.token.mints", "{token}", "Access tokens asked for"
)


class Mints(msgspec.Struct, frozen=True):
    """How many tokens a vendor mints for one credential: ``count`` in any ``window_s`` seconds."""

    count: int
    window_s: float


def read_token(status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> Token:
    """The token of a standard answer (RFC 6749 section 5); success is an ``access_token``, whatever the status says.

    A missing ``expires_in`` counts as 180 seconds. Raises AuthRejected when the vendor refuses the credentials, Throttled for
    429, Unavailable for 5xx and for answers that are no JSON. No error quotes more than ``error`` and ``error_description``.
    """
    after = retry_after(headers, now)
    if status == 429:
        raise Throttled("the token endpoint had too many requests", after_s=after)
    if status >= 500:
        raise Unavailable(f"the token endpoint answered with status {status}", after_s=after)
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unavailable(
            f"the token endpoint's answer (status {status}) is no JSON object", fix="Check the token address if this lasts"
        ) from None
    value = said.get("access_token")
    if isinstance(value, str) and value and "error" not in said:
        return Token(value=value, expires_at=now + timedelta(seconds=_life(said.get("expires_in"))))
    code = str(said.get("error", "no access_token"))[:60]
    if code in _PASSING:
        raise Unavailable(f"the token endpoint says {code}", after_s=after)
    words = " ".join(str(said.get("error_description", "")).split())[:200]
    raise AuthRejected(
        f"no token was given: {code}{f' ({words})' if words else ''}",
        fix="Check client id, client secret, grant and scopes in the connection's settings, and that the client is enabled",
        code=code,
    )


def _life(expires_in: object) -> float:
    try:
        return max(0.0, float(expires_in))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return 180.0


class OAuth:
    """Keeps one credential's token fresh: refreshed ahead of its end, by one refresher at a time, never beyond the mint budget.

    form       the fields of the token request, asked at every mint, so that a rotated secret is picked up
    placement  where the fields go: "form" (the body), or "query" for vendors who read them nowhere else; queries end in logs
    basic      client id and secret for HTTP Basic instead of the form
    read       turns the endpoint's answer into a token or raises
    scheme     the word before the token in the Authorization header
    leeway_s   how long before its end a token is replaced, at most half of its life
    mints      the vendor's budget, counted from the stored times of all processes; None: unbounded
    credential the name under which the host keeps the token
    hosts      where the credentials may go: ``token_url`` is checked like every other address
    """

    def __init__(
        self,
        *,
        host: Host,
        token_url: str,
        form: Callable[[], Awaitable[dict[str, str]]],
        read: Callable[[int, Mapping[str, str], bytes, datetime], Token] = read_token,
        placement: Literal["form", "query"] = "form",
        basic: Callable[[], Awaitable[tuple[str, str]]] | None = None,
        scheme: str = "Bearer",
        leeway_s: float = 30,
        mints: Mints | None = None,
        credential: str = "default",
        hosts: HostRule,
    ) -> None:
        self.scheme = scheme
        self._host, self._token_url, self._form, self._read, self._basic = host, token_url, form, read, basic
        self._placement, self._leeway_s, self._mints, self._credential = placement, leeway_s, mints, credential
        self._where = f'connection "{host.connection}"'
        limiter = Limiter(Limits(concurrency=1), host.clock, where=self._where)
        self._endpoint = HttpClient(
            host=host, base_url=token_url, judge=lambda _: None, limiter=limiter, hosts=hosts, timeout_s=30, attempts=1
        )
        self._token: Token | None = None
        self._fresh_until = 0.0  # on the monotonic clock
        self._lock = asyncio.Lock()
        self._rounds = 0  # how often somebody renewed, and
        self._failure: ConnectorError | None = None  # how the last time failed

    async def token(self) -> Token:
        """A token that is fresh enough to be sent.

        Raises AuthRejected when a person must act, Throttled(after_s) when the mint budget is used up, Unavailable when the
        endpoint does not answer.
        """
        if self._token is not None and self._host.clock.monotonic() < self._fresh_until:
            return self._token
        return await self._renew(None)

    async def refused(self, token: Token) -> Token:
        """Another token after the vendor refused exactly this one: a newer one that somebody else got, else a new one."""
        if self._token is not None and self._token.value != token.value and self._host.clock.monotonic() < self._fresh_until:
            return self._token
        return await self._renew(token)

    async def aclose(self) -> None:
        """Close the connection to the token endpoint; a later mint opens it again."""
        await self._endpoint.aclose()

    async def _renew(self, refused: Token | None) -> Token:
        """Adopt the stored token or mint one; those who come meanwhile share the outcome, failures too."""
        round_ = self._rounds
        async with self._lock:
            if self._rounds != round_:
                if self._failure is not None:
                    raise self._failure
                if self._token is not None and (refused is None or self._token.value != refused.value):
                    return self._token
            self._failure = None
            try:
                self._token = await self._stored_or_minted(refused)
            except ConnectorError as error:
                error.where = error.where or self._where
                self._failure = error
                raise
            finally:
                self._rounds += 1
            return self._token

    async def _stored_or_minted(self, refused: Token | None) -> Token:
        tokens = self._host.tokens
        if token := self._adopt(await tokens.load(self._credential), refused):
            return token
        async with tokens.refreshing(self._credential):
            record = await tokens.load(self._credential)  # the refresher before us may have brought what we need
            if token := self._adopt(record, refused):
                return token
            try:
                return await self._mint(record)
            except RetryLater:
                left = self._left(record.token)
                if record.token is None or left <= 0 or (refused is not None and record.token.value == refused.value):
                    raise
                self._fresh_until = self._host.clock.monotonic() + min(left, _GRACE_S)  # it lives: use it, try again soon
                return record.token

    def _adopt(self, record: TokenRecord, refused: Token | None) -> Token | None:
        """The stored token, if it is fresh enough and not the one that was refused."""
        token = record.token
        if token is None or (refused is not None and token.value == refused.value):
            return None
        born = record.minted[-1] if record.minted else None
        life = (token.expires_at - born).total_seconds() if born is not None else 2 * self._leeway_s
        fresh_for = self._left(token) - min(self._leeway_s, max(0.0, life / 2))
        if fresh_for <= 0:
            return None
        self._fresh_until = self._host.clock.monotonic() + fresh_for
        return token

    def _left(self, token: Token | None) -> float:
        return (token.expires_at - self._host.clock.now()).total_seconds() if token is not None else 0.0

    async def _mint(self, record: TokenRecord) -> Token:
        """Ask the endpoint once. The mint is on record before it leaves, so that a kill or a lost answer counts too."""
        tokens, now = self._host.tokens, self._host.clock.now()
        past = self._within_budget(record.minted, now)
        form, headers = await self._form(), {}
        secrets = [value for name, value in form.items() if _SECRET_FIELD.search(name)]
        if self._basic is not None:
            name, secret = await self._basic()
            secrets.append(secret)
            pair = f"{quote(name, safe='')}:{quote(secret, safe='')}"  # RFC 6749 section 2.3.1
            headers["authorization"] = "Basic " + b64encode(pair.encode()).decode()
        await tokens.save(self._credential, TokenRecord(token=record.token, minted=(*past, now)))
        _minted.add(1, {"ml_connector.connection": self._host.connection})
        try:
            answer = await self._ask(urlencode(form, quote_via=quote), headers)
        except AnswerLost as error:  # a mint's answer: the request that needs the token has not left
            raise Unavailable(error.what.partition(";")[0], untouched=True, where=error.where) from None
        except Unavailable:
            await tokens.save(self._credential, record)  # never connected: the vendor counted nothing
            raise
        try:
            token = _sendable(self._read(answer.status, answer.headers, answer.body, self._host.clock.now()))
        except ConnectorError as error:
            raise _told(error, secrets) from None
        record = TokenRecord(token=token, minted=(*past, now))
        await tokens.save(self._credential, record)
        self._fresh_until = self._host.clock.monotonic()  # a token shorter than its leeway serves one call
        self._adopt(record, None)
        return token

    async def _ask(self, fields: str, headers: Mapping[str, str]) -> Answer:
        if self._placement == "query":
            return await self._endpoint.send("POST", f"{self._token_url}?{fields}", headers=headers)
        return await self._endpoint.send(
            "POST", self._token_url, body=fields.encode(), content_type="application/x-www-form-urlencoded", headers=headers
        )

    def _within_budget(self, minted: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
        """The mints that still count. Raises Throttled when one more would be too many."""
        if self._mints is None:
            return ()
        window = timedelta(seconds=self._mints.window_s)
        past = tuple(when for when in minted if when > now - window)
        if len(past) < self._mints.count:
            return past
        then = past[-self._mints.count] + window
        raise Throttled(
            f"the vendor gives {self._mints.count} tokens in {self._mints.window_s:g} seconds and they are used up; "
            f"the next may be asked for at {then:%H:%M:%S} UTC",
            after_s=(then - now).total_seconds(),
            fix="If this returns, look for another program that uses the same credentials",
            where=self._where,
        )


def _sendable(token: Token) -> Token:
    if not token.value or not token.value.isascii() or not token.value.isprintable() or " " in token.value:
        raise ContractBroken("the token endpoint sent an access token that cannot stand in a header")
    return token


def _told(error: ConnectorError, secrets: Iterable[str]) -> ConnectorError:
    """The error as the caller may see it: without secrets that a vendor's words quote, and with nothing sent as yet."""
    if isinstance(error, RetryLater):
        error.untouched = True
    for secret in filter(None, secrets):
        error.what, error.fix, error.code = (text.replace(secret, HIDDEN) for text in (error.what, error.fix, error.code))
    error.args = (error.what,)
    return error
