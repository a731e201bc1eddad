"""Fixtures of the state's tests: each runs once per database that the state supports."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.store import Store, open_store


@pytest.fixture(params=["sqlite"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address where no state is yet."""
    return f"{request.param}:///{tmp_path}/state.db"


@pytest.fixture
def state_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(state_url: str, state_clock: ManualClock) -> AsyncIterator[Store]:
    async with open_store(state_url, clock=state_clock, environ={}) as store:
        yield store
