"""Who may read a state."""

import stat
from pathlib import Path

from ml_connector.testing import ManualClock
from ml_connector_adapters.store import open_store


async def test_a_new_state_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/state.db", clock=ManualClock()):
        pass
    assert stat.S_IMODE((tmp_path / "state.db").stat().st_mode) == 0o600
