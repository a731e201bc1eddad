"""Everything that ``ml-connector run`` keeps alive: the workspaces, their tenants, and the HTTP receiver."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack

import uvicorn
from opentelemetry.exporter.prometheus import PrometheusMetricReader

from ml_connector_adapters import telemetry
from ml_connector_adapters.config import Workspace
from ml_connector_adapters.runner.container import open_workspace
from ml_connector_adapters.runner.service import Tenant, serve
from ml_connector_adapters.runner.web import application

log = logging.getLogger("ml_connector")


async def run_headless(workspaces: Sequence[Workspace], host: str, port: int, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set, then finish the batches in hand and close."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    told = telemetry.install(readers=(PrometheusMetricReader(),))
    async with AsyncExitStack() as stack:
        tenants: list[Tenant] = []
        for workspace in workspaces:
            here = await stack.enter_async_context(open_workspace(workspace, telemetry=told))
            tenants.append(Tenant(workspace.name, here.worker, workspace.public_url, here.world.clock, stop))
        receiver = _Receiver(
            uvicorn.Config(application(tenants, told), host=host, port=port, log_config=None, access_log=False)
        )
        serving = asyncio.create_task(receiver.serve())
        log.info("%d workspaces, listening on %s:%d", len(tenants), host, port)
        try:
            await serve(tenants)
        finally:
            receiver.should_exit = True
            await serving


class _Receiver(uvicorn.Server):
    """Signals are the program's business, not the receiver's."""

    def install_signal_handlers(self) -> None:
        return
