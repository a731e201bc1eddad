"""Puts a twin where a vendor would be: behind httpx in process, behind respx, or behind a real socket."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from ml_connector.twin import NoAnswer, Twin, TwinRequest, TwinResponse


class TwinTransport(httpx.AsyncBaseTransport):
    """An httpx transport that asks the twin within the process, ``latency_s`` of the event loop's time later."""

    def __init__(self, twin: Twin, *, latency_s: float = 0.0) -> None:
        self.twin, self.latency_s = twin, latency_s

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.latency_s > 0:
            await asyncio.sleep(self.latency_s)
        return await answer(self.twin, request)


async def answer(twin: Twin, request: httpx.Request) -> httpx.Response:
    """The twin's answer to an httpx request; ``partial(answer, twin)`` is a respx side effect. A cut line: httpx.ReadError."""
    asked = TwinRequest(
        request.method,
        request.url.netloc.decode("ascii"),
        request.url.raw_path.decode("ascii"),
        _headers(request.headers.raw),
        await request.aread(),
    )
    try:
        told = await twin(asked)
    except NoAnswer as error:
        raise httpx.ReadError("the twin dropped the connection", request=request) from error
    return httpx.Response(told.status, headers=dict(told.headers), content=told.body, request=request)


@asynccontextmanager
async def serving(twin: Twin, *, host: str = "127.0.0.1", port: int = 0, latency_s: float = 0.0) -> AsyncIterator[str]:
    """Serve the twin over HTTP while the block runs; yields its base URL.

    Port 0 takes a free one. A cut line closes the socket without an answer. Raises OSError when the port is taken.
    """
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Line(H11Protocol):
        """One client's connection, whose transport the application may close: ASGI has no way to leave without a word."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.app = _Application(twin, transport, latency_s)

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals are the program's, not the twin's

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, or asyncio leaves Nagle's 40 ms on
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # from here on a client may connect, and is served as soon as uvicorn is up
    except OSError:
        listener.close()
        raise
    server = Server(
        uvicorn.Config(
            _Application(twin, None, latency_s),
            http=Line,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
        listener.close()


class _Application:
    """The twin as an ASGI application on one connection."""

    def __init__(self, twin: Twin, transport: asyncio.Transport | None, latency_s: float) -> None:
        self._twin, self._transport, self._latency_s = twin, transport, latency_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if self._latency_s > 0:
            await asyncio.sleep(self._latency_s)
        headers = _headers(scope["headers"])
        query = scope["query_string"].decode("ascii")
        target = scope["raw_path"].decode("ascii") + (f"?{query}" if query else "")
        try:
            told = await self._twin(TwinRequest(scope["method"], headers.get("host", ""), target, headers, body))
        except NoAnswer:
            if self._transport is None:
                raise
            self._transport.close()
            await receive()  # the disconnect; without it the server would answer 500 for us
            return
        await _tell(told, send)


async def _tell(told: TwinResponse, send: Any) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told.headers.items()]
    if told.status not in (204, 304) and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(told.body)).encode()))
    await send({"type": "http.response.start", "status": told.status, "headers": headers})
    await send({"type": "http.response.body", "body": told.body})


def _headers(raw: Any) -> Mapping[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in raw}
