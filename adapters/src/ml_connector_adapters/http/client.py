"""One HTTP client per connection: tokens, limits, retries, host checks and telemetry, so that no plugin writes them."""

import logging
import re
import time
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
from opentelemetry import metrics, trace

from ml_connector.errors import AnswerLost, AuthRejected, ConnectorError, ContractBroken, RetryLater, Throttled, Unavailable
from ml_connector.ports.secrets import Token
from ml_connector.system import Host
from ml_connector_adapters.http.hosts import HostRule, host_of, is_loopback
from ml_connector_adapters.http.limits import ORDINARY, Cost, Limiter

if TYPE_CHECKING:  # httpx takes a tenth of a second to import: only the first call pays for it
    import ssl

    import httpx

    from ml_connector_adapters.http.oauth import OAuth

T = TypeVar("T")

_JITTER_CAP_S = 60.0
_LOGIN = re.compile(r"log-?in|sign-?in|auth|saml|sso|openid|accounts\.", re.IGNORECASE)
HIDDEN = "[hidden]"

_tracer: Final = trace.get_tracer("ml_connector")
_meter: Final = metrics.get_meter("ml_connector")
_duration: Final = _meter.create_histogram(
    "http.client.request.duration", "s", "One exchange with a vendor, waiting for our own limits not included"
)
_resent: Final = _meter.create_counter("ml_connector.http.resends", "{request}", "Requests that were sent again")


class Answer(msgspec.Struct, frozen=True):
    """What came back: ``headers`` with lower-case names, ``url`` without its query. ``repr`` shows neither headers nor body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def decode(self, decoder: "msgspec.json.Decoder[T]") -> T:
        """The body as the decoder's type. Raises ContractBroken when it is a web page, no JSON, or JSON of another shape."""
        if "html" in self.headers.get("content-type", ""):
            raise ContractBroken(
                f"a web page came instead of data (status {self.status}): {self.text()}",
                fix="A proxy or a login page may stand between; open the address in a browser to see what it is",
                where=self.url,
            )
        try:
            return decoder.decode(self.body)
        except msgspec.ValidationError as error:  # it names the path within the answer
            what = f"the answer has a shape we do not know ({error})"
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            what = f"the answer is no JSON ({error})"
        raise ContractBroken(f"{what}: {self.text() or 'it is empty'}", where=self.url)

    def text(self, limit: int = 200) -> str:
        """The body's beginning on one line, at most ``limit`` characters, for error messages."""
        line = " ".join(self.body[: 8 * limit].decode("utf-8", "replace").split())
        return line if len(line) <= limit else line[: limit - 1] + "…"

    def link(self, reference: str) -> str:
        """A link of this answer as an absolute URL, for ``HttpClient.send``, which checks the host."""
        return urljoin(self.url, reference)

    def __repr__(self) -> str:
        return f"Answer(status={self.status}, url={self.url!r}, {len(self.body)} bytes)"

    def __rich_repr__(self) -> Any:
        yield repr(self)


Judge: TypeAlias = Callable[[Answer], ConnectorError | None]
"""A plugin's one table of errors: None hands the answer to the caller."""


class TokenRefused(AuthRejected):
    """A judge's word for "this token is expired or invalid": the client gets another and repeats once, then raises it.

    ``unsure``: the answer does not say whether the request was worked on (a sign-in page with 200), so that only a repeatable
    one is sent again.
    """

    unsure = False


class HttpClient:
    """Sends requests to one connection's vendor and returns answers that the judge let pass.

    base_url    "https://host/base", or a function of the present token (its ``api_domain``); checked by ``hosts`` before use
    attempts    how often one request is sent at most (a repetition after a refused token is not counted)
    patience_s  the longest wait between two attempts; a longer one is the runner's to wait

    stamina does not drive the retries: it sleeps through asyncio, and here all waiting belongs to ``host.clock``, so that
    simulations own time.
    """

    def __init__(
        self,
        *,
        host: Host,
        base_url: str | Callable[[Token | None], str],
        judge: Judge,
        limiter: Limiter,
        hosts: HostRule,
        oauth: "OAuth | None" = None,
        headers: Mapping[str, str] = {},
        timeout_s: float = 60,
        connect_s: float = 10,
        attempts: int = 5,
        patience_s: float = 60,
    ) -> None:
        self._host, self._base_url, self._judge = host, base_url, judge
        self._limiter, self._hosts, self._oauth = limiter, hosts, oauth
        self._headers = {
            "accept": "application/json",
            "accept-encoding": "gzip, deflate",
            "user-agent": "ml-connector",
            **_lower(headers),
        }
        self._timeouts = (timeout_s, connect_s)
        self._attempts, self._patience_s = attempts, patience_s
        self._where = f'connection "{host.connection}"'
        self._client: httpx.AsyncClient | None = None
        self._base = ""  # the last base that ``hosts`` let pass

    async def send(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] = {},
        repeatable: bool | None = None,
        cost: Cost = ORDINARY,
    ) -> Answer:
        """Send one request and return the answer that the judge let pass.

        ``target`` is "/path?query" below the base or an absolute URL, already percent-encoded; it goes out as it stands.
        ``repeatable`` (default: GET and HEAD) says that sending twice does no more than sending once.

        Raises what the judge returned; RetryLater once attempts or patience are used up; AnswerLost when a request that is
        not repeatable left and its outcome is unknown; AuthRejected when a new token is refused too; ContractBroken for a
        host that is not allowed and for redirects, which are never followed.
        """
        if repeatable is None:
            repeatable = method in ("GET", "HEAD")
        own = {**({"content-type": content_type} if body is not None else {}), **_lower(headers)}
        sent = _Sent(method, target, body, own)
        with _tracer.start_as_current_span(
            f"http {method}",
            kind=trace.SpanKind.CLIENT,
            attributes={"http.request.method": method, "ml_connector.connection": self._host.connection},
            record_exception=False,  # a vendor's words may hold a customer's data
            set_status_on_exception=False,
        ) as span:
            try:
                return await self._persist(sent, repeatable, cost)
            except ConnectorError as error:
                error.where = error.where or self._where
                span.set_status(trace.StatusCode.ERROR, type(error).__name__)
                span.set_attribute("error.type", type(error).__name__)
                raise
            finally:
                if span.is_recording():
                    span.set_attributes(sent.attributes())
                if sent.times > 1:
                    _resent.add(sent.times - 1, {"ml_connector.connection": self._host.connection})

    async def aclose(self) -> None:
        """Close what was opened; a later ``send`` opens it again."""
        client, self._client = self._client, None
        if client is not None and self._host.transport is None:  # a transport that was lent is its owner's to close
            await client.aclose()
        if self._oauth is not None:
            await self._oauth.aclose()

    async def _persist(self, sent: "_Sent", repeatable: bool, cost: Cost) -> Answer:
        """Send until there is an answer to return or an error to raise."""
        tries = 0
        refused: Token | None = None  # the token that the vendor did not take the last time
        while True:
            token: Token | None = None
            async with self._limiter.slot(cost, patience_s=self._patience_s):
                try:
                    if self._oauth is not None:
                        token = await (self._oauth.token() if refused is None else self._oauth.refused(refused))
                    outcome = await self._exchange(sent, token)
                except RetryLater as error:
                    outcome = error
            if isinstance(outcome, Answer):
                return outcome
            if isinstance(outcome, TokenRefused):
                if refused is None and token is not None and (repeatable or not outcome.unsure):
                    refused = token
                    continue
                outcome.fix = outcome.fix or "Check that the credentials are for this system and still granted"
            if not isinstance(outcome, RetryLater):
                raise outcome
            if token is not None:
                refused = None  # the vendor took the token; should it expire during the wait, it may be replaced again
            if not (repeatable or outcome.untouched):
                raise _lost(outcome)
            tries += 1
            wait = max(outcome.after_s or 0.0, self._host.random.uniform(0, min(_JITTER_CAP_S, 2.0 ** (tries - 1))))
            if isinstance(outcome, Throttled):
                self._limiter.pause(wait)  # the vendor counts the connection's calls, not this task's; the next slot waits
            if tries >= self._attempts or wait > self._patience_s:
                raise outcome
            if not isinstance(outcome, Throttled):
                await self._host.clock.sleep(wait)

    async def _exchange(self, sent: "_Sent", token: Token | None) -> Answer | ConnectorError:
        """One request and what it came to. Raises Unavailable (``untouched`` when nothing was sent) and ContractBroken."""
        import httpx

        url = self._url(sent.target, token)
        sent.url, sent.server = url, host_of(url)
        headers = {**self._headers, **sent.headers}
        if token is not None and self._oauth is not None:
            headers["authorization"] = f"{self._oauth.scheme} {token.value}"
        try:  # made here and not by the client, which would add the cookies it collects and with them a second kind of login
            request = httpx.Request(sent.method, _parsed(url), headers=headers, content=sent.body)
        except httpx.InvalidURL:
            return ContractBroken(f"{sent.target.partition('?')[0][:200]!r} cannot be part of a URL", where=self._where)
        except UnicodeEncodeError:  # its text would quote the header
            return ContractBroken("a header holds a character that is not ASCII", where=self._where)
        client = self._client or self._open(url)
        sent.times, sent.status = sent.times + 1, 0
        started = time.perf_counter()
        try:
            response = await client.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as error:
            raise Unavailable(
                f"{sent.server} cannot be reached: {error or type(error).__name__}",
                untouched=True,
                fix="Check the address, the network, the proxy and the certificate if this lasts",
                where=self._where,
            ) from error
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol):  # its text may quote a header, so it stays untold
            return ContractBroken(
                "the request could not be written as HTTP; a header holds a forbidden character", where=self._where
            )
        except httpx.RequestError as error:  # timeouts, broken connections, unreadable compression
            raise Unavailable(f"no answer came from {sent.server} ({type(error).__name__})", where=self._where) from error
        finally:
            _duration.record(time.perf_counter() - started, {"http.request.method": sent.method, "server.address": sent.server})
        sent.status = response.status_code
        answer = _answer(response, url, token)
        return _moved(answer) or self._judge(answer) or answer

    def _url(self, target: str, token: Token | None) -> str:
        if target.startswith("/"):
            base = self._base_url if isinstance(self._base_url, str) else self._base_url(token)
            if base != self._base:
                self._base = self._hosts.check(base, self._where)
            return base.rstrip("/") + target
        return self._hosts.check(target, self._where)

    def _open(self, url: str) -> "httpx.AsyncClient":
        import httpx

        quiet = logging.getLogger("httpx")
        if quiet.level == logging.NOTSET:  # its INFO lines quote whole queries, and with them customers' data
            quiet.setLevel(logging.WARNING)
        read, connect = self._timeouts
        lent = self._host.transport
        self._client = httpx.AsyncClient(
            transport=lent,
            verify=_tls() if lent is None else True,
            timeout=httpx.Timeout(read, connect=connect),
            limits=httpx.Limits(max_keepalive_connections=self._limiter.limits.concurrency),  # the limiter bounds the rest
            follow_redirects=False,
            trust_env=not is_loopback(host_of(url)),  # a company's proxy cannot reach this machine
        )
        return self._client


class _Sent:
    """One request, and what the span wants to know about its sending."""

    __slots__ = ("body", "headers", "method", "server", "status", "target", "times", "url")

    def __init__(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> None:
        self.method, self.target, self.body, self.headers = method, target, body, headers
        self.url, self.server, self.status, self.times = "", "", 0, 0

    def attributes(self) -> dict[str, str | int]:
        told: dict[str, str | int] = {"server.address": self.server, "url.path": urlsplit(self.url).path}
        if self.status:
            told["http.response.status_code"] = self.status
        if self.times > 1:
            told["http.request.resend_count"] = self.times - 1
        return told


@lru_cache(64)
def _parsed(url: str) -> "httpx.URL":
    """httpx looks at every character, and writes go to the same few addresses. Raises httpx.InvalidURL."""
    import httpx

    return httpx.URL(url)


@cache
def _tls() -> "ssl.SSLContext":
    """One context per process: loading the certificates takes 27 ms."""
    import httpx

    return httpx.create_ssl_context()


def _answer(response: "httpx.Response", url: str, token: Token | None) -> Answer:
    body = response.content
    if token is not None and response.status_code >= 400:  # some vendors quote the token that they refuse
        body = body.replace(token.value.encode(), HIDDEN.encode())
    return Answer(
        response.status_code,
        {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw},
        body,
        url.partition("?")[0],
    )


def _moved(answer: Answer) -> ConnectorError | None:
    """The error for a redirect: an API answers where it is asked, so this is a login page or another address.

    A login page is how some front doors say 401: nothing was worked on, and another token may pass.
    """
    if not 300 <= answer.status < 400 or answer.status == 304:
        return None
    goal = re.split(r"[?#]", answer.headers.get("location", "nowhere"))[0][:200]
    if _LOGIN.search(goal):
        return TokenRefused(
            f"answered with a redirect ({answer.status}) to the login page {goal}, which was not followed",
            fix="The address may be one for people instead of the API's, or the credentials may not be for it",
        )
    return ContractBroken(
        f"answered with a redirect ({answer.status}) to {goal}, which was not followed",
        fix="If the vendor moved, put the new address into the connection's settings",
    )


def _lost(error: RetryLater) -> RetryLater:
    """What a failure means for a request that must not be sent twice."""
    if not isinstance(error, Unavailable) or isinstance(error, AnswerLost):
        return error
    lost = AnswerLost(
        f"{error.what}; whether the request was carried out is unknown",
        after_s=error.after_s,
        fix=error.fix,
        where=error.where,
        code=error.code,
    )
    lost.__cause__ = error.__cause__
    return lost


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
