"""A process's way to a twin: where it dies, and where what came of each request is written down."""

import asyncio
from collections.abc import Callable

import httpx

from ml_connector.simulation.process import Process
from ml_connector.twin import Twin
from ml_connector_adapters.http.twins import answer


class Door(httpx.AsyncBaseTransport):
    """Requests wait for ``settles_in`` seconds; ``note`` is told who asked, after whatever may have changed something, and says
    whether it has.
    """

    def __init__(self, twin: Twin, process: Process, settles_in: Callable[[], float], note: Callable[[str], bool]) -> None:
        self._twin, self._process = twin, process
        self._settles_in, self._note = settles_in, note

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._process.touch(on_the_wire=True)
        await asyncio.sleep(self._settles_in())
        wrote = False
        try:
            response = await answer(self._twin, request)
        finally:
            if request.method != "GET":
                wrote = self._note(self._process.name)
        await self._process.touch(on_the_wire=True, wrote=wrote)
        return response
