"""Fixtures: the vendors' addresses for the whole session, and an Acme with empty vendors behind them for every test."""

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from acme_world import Acme

from ml_connector.twin import Twin, TwinRequest, TwinResponse
from ml_connector_adapters.http.twins import serving
from ml_connector_ifs_cloud.twin import IfsTwin
from ml_connector_zoho_crm.twin import ZohoTwin


class Door:
    """Where a vendor is reached. The address stays for the whole session, the twin behind it is another in every test."""

    twin: Twin

    async def __call__(self, request: TwinRequest) -> TwinResponse:
        return await self.twin(request)


@pytest.fixture(scope="session")
def doors() -> Iterator[list[tuple[str, Door]]]:
    """The addresses of IFS and of Zoho, served by an event loop in a thread of its own."""
    loop, stack = asyncio.new_event_loop(), contextlib.AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    opened = [Door(), Door()]
    yield [(wait(stack.enter_async_context(serving(door))), door) for door in opened]
    wait(stack.aclose())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="session")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a state that holds the secrets and nothing else, made by the first test that wants one."""
    return tmp_path_factory.mktemp("safe")


def _with_secrets(acme: Acme, safe: Path) -> None:
    names = ("acme.db", "acme.db.key")
    if (safe / names[0]).exists():
        for name in names:
            shutil.copy2(safe / name, acme.home)
        return
    acme.keep_secrets()
    for name in names:
        shutil.copy2(acme.home / name, safe)


@pytest.fixture
def make_acme(
    doors: list[tuple[str, Door]],
    safe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., Acme]]:
    """``make_acme(erp_fields=False)`` with options of Zoho's twin; secrets are kept already unless ``secrets=False``."""
    for name in ("ML_CONNECTOR_CONFIG", "ML_CONNECTOR_KEY", "ML_CONNECTOR_KEY_FILE", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    made: list[Acme] = []

    def make(*, secrets: bool = True, **options: Any) -> Acme:
        ifs, zoho = IfsTwin(), ZohoTwin(**{"erp_fields": True, **options})
        zoho.add_field("Deals", "Customer_Reference")
        zoho.clock.advance(-30)  # behind ours by more than safety_lag_s, so that nobody has to wait for it
        for (_, door), twin in zip(doors, (ifs, zoho), strict=True):
            door.twin = twin
        made.append(Acme(tmp_path, ifs, zoho, [url for url, _ in doors], capsys))
        if secrets:
            _with_secrets(made[0], safe)
        return made[0]

    yield make
    for process in made[0].processes if made else ():
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def acme(make_acme: Callable[..., Acme]) -> Acme:
    """Both vendors empty, the configuration written, the secrets kept."""
    return make_acme()


@pytest.fixture
def until() -> Callable[..., None]:
    """``until(lambda: …)``: wait until something holds; fail when it does not in time."""

    def wait(holds: Callable[[], object], seconds: float = 15) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)

    return wait
