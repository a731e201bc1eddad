"""The runner's parts around a made-up ERP and CRM, in time that nobody waits for."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal

from engine import CUSTOMERS, ORDERS, Engine, changed

from ml_connector.flows import Every, Flow
from ml_connector.system import Connection
from ml_connector.testing import MemorySystem, memory_connection, memory_host
from ml_connector_adapters.runner.service import Tenant
from ml_connector_adapters.runner.worker import Worker

HOURLY = Every(timedelta(hours=1))
CUSTOMERS_HOURLY, ORDERS_HOURLY = changed(CUSTOMERS, schedule=HOURLY), changed(ORDERS, schedule=HOURLY)


class House:
    """One workspace in the service; ``engine`` holds its systems, ``live`` lets it run until something holds."""

    def __init__(self, *flows: Flow, public_url: str | None = None) -> None:
        self.engine = engine = Engine("sweep", *flows)
        engine.left, engine.right = self._connect("erp", engine.erp, "sweep"), self._connect("crm", engine.crm, "feed")
        self.worker = Worker(engine.world, {"erp": engine.left, "crm": engine.right})
        self.stop = asyncio.Event()
        self.tenant = Tenant("acme", self.worker, public_url, self.engine.clock, self.stop)

    def _connect(self, name: str, system: MemorySystem, style: Literal["feed", "sweep"]) -> Connection:
        host = memory_host(name, clock=self.engine.clock, secrets=system.secrets())
        return memory_connection(system, style=style, host=host)

    async def live(self, holds: Callable[[], Any], *, channels: bool = False) -> None:
        """Run the service until this holds, then stop it cleanly; fails when it does not come to hold."""
        tasks = [asyncio.create_task(self.tenant.tend())]
        tasks += [asyncio.create_task(self.tenant.keep_channels())] if channels else []
        try:
            async with asyncio.timeout(30):
                while not holds():
                    for task in tasks:
                        if task.done():
                            task.result()
                    await self.engine.clock.sleep(1)
        finally:
            self.stop.set()
            async with asyncio.timeout(30):
                await asyncio.gather(*tasks)

    def runs(self, flow: str) -> list[Any]:
        """The runs of a flow that ended, oldest first."""
        return [run for run in self.engine.state.ledger.runs.values() if run.flow == flow and run.ended_at is not None]
