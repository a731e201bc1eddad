"""The notice receiver and the probes: ``/notices/…``, ``/healthz``, ``/readyz``, ``/metrics``. Nothing else is served."""

import logging
from collections.abc import Sequence
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ml_connector.errors import NoticeRejected, RetryLater
from ml_connector.ports.notices import NoticeRequest
from ml_connector.ports.telemetry import Telemetry
from ml_connector_adapters.runner.service import Tenant

log = logging.getLogger("ml_connector")

BODY_LIMIT: Final = 256 * 1024
"""No vendor's notice comes near this many bytes; what does is not read to its end."""


def application(tenants: Sequence[Tenant], telemetry: Telemetry) -> Starlette:
    """The receiver for all workspaces of the process; a notice's address alone tells which one it is for."""

    async def notice(request: Request) -> Response:
        body = await _bounded(request)
        if body is None:
            telemetry.count("ml_connector.notices", 1, outcome="oversized")
            return PlainTextResponse("", 413)
        told = NoticeRequest(
            path_token=request.path_params["token"],
            query=dict(request.query_params),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=body,
        )
        for tenant in tenants:
            try:
                await tenant.notice(told)
            except NoticeRejected:
                continue
            except RetryLater as error:  # proved, and not kept: the vendor must send it again
                log.warning("%s: a notice could not be kept: %s", tenant.name, error)
                telemetry.count("ml_connector.notices", 1, outcome="deferred")
                return PlainTextResponse("", 503)
            telemetry.count("ml_connector.notices", 1, outcome="accepted")
            return PlainTextResponse("", 200)
        telemetry.count("ml_connector.notices", 1, outcome="rejected")
        return PlainTextResponse("", 404)  # no word about why: the sender proved nothing

    async def healthy(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(request: Request) -> Response:
        for tenant in tenants:
            try:
                await tenant.worker.world.state.cursors.load("")
            except Exception:
                log.exception("%s: the state cannot be read", tenant.name)
                return PlainTextResponse(f"{tenant.name}: the state cannot be read\n", 503)
        return PlainTextResponse("ok\n")

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(
        routes=[
            Route("/notices/{token}", notice, methods=["POST"]),
            Route("/healthz", healthy),
            Route("/readyz", ready),
            Route("/metrics", metrics),
        ]
    )


async def _bounded(request: Request) -> bytes | None:
    """The body, or None as soon as it is longer than anybody may send."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_LIMIT:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
