"""Connections to the twin."""

import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml_connector.system import Connection
from ml_connector.testing import ManualClock, MemoryTokens, memory_host
from ml_connector.twin import TwinClock
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_qad.adapters import connect
from ml_connector_qad.twin import DEFAULT, Installation, QadTwin

sys.path.append(str(Path(__file__).parent))

from qad_world import BASE, WatchedTwin, merged, settings_of


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 20, 12, 0, tzinfo=UTC))


@pytest.fixture
def make_twin(clock: ManualClock) -> Callable[..., WatchedTwin]:
    def make(installation: Installation = DEFAULT) -> WatchedTwin:
        return WatchedTwin(clock=TwinClock(clock.now), installation=installation)

    return make


@pytest.fixture
def twin(make_twin: Callable[..., WatchedTwin]) -> WatchedTwin:
    return make_twin()


@pytest.fixture
async def open_twin(clock: ManualClock) -> AsyncIterator[Callable[..., Connection]]:
    """``open_twin(twin, **settings)`` connects to a twin; tokens are shared by all connections of a test."""
    opened: list[Connection] = []
    tokens = MemoryTokens()

    def open_(twin: QadTwin, **told: Any) -> Connection:
        host = memory_host("erp", clock=clock, secrets=twin.secrets(), tokens=tokens, transport=TwinTransport(twin))
        opened.append(connect(settings_of(merged(dict(twin.settings(BASE)), told)), host))
        return opened[-1]

    yield open_
    for connection in opened:
        await connection.close()
