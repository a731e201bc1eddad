"""Everything that ``ml-connector run`` keeps alive: the workspaces, their tenants, and the HTTP receiver."""

import asyncio
import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager

import uvicorn
from opentelemetry.exporter.prometheus import PrometheusMetricReader

from ml_connector.errors import ConfigError
from ml_connector_adapters import telemetry
from ml_connector_adapters.config import Workspace
from ml_connector_adapters.runner.container import open_workspace
from ml_connector_adapters.runner.service import Tenant, serve
from ml_connector_adapters.runner.web import application

log = logging.getLogger("ml_connector")


async def run_headless(workspaces: Sequence[Workspace], host: str, port: int, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set, then finish the batches in hand and close. Raises ConfigError when the port is taken.

    Port 0 takes a free one; the log says which.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    told = telemetry.install(readers=(PrometheusMetricReader(),))
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(_listen(host, port))
        tenants: list[Tenant] = []
        for workspace in workspaces:
            here = await stack.enter_async_context(open_workspace(workspace, telemetry=told))
            tenants.append(Tenant(workspace.name, here.worker, workspace.public_url, here.world.clock, stop))
        receiver = _Receiver(uvicorn.Config(application(tenants, told), log_config=None, log_level="warning", access_log=False))
        serving = asyncio.create_task(receiver.serve(sockets=[listener]))
        log.info("%d workspaces, listening on %s:%d", len(tenants), host, listener.getsockname()[1])
        try:
            await serve(tenants)
        finally:
            receiver.should_exit = True
            await serving


def _listen(host: str, port: int) -> socket.socket:
    """Bound before anything is opened, so that a taken port costs nothing."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror or error}", fix="Free the port, or name another with --listen"
        ) from error


class _Receiver(uvicorn.Server):
    """Signals are the program's business, not the receiver's: it answers until the last batch is through."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
