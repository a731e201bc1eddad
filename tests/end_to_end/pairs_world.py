"""A pair of systems through the demo's whole story: first load, no change, edits and new records on each side, a storm with a
kill, both sides compared in full, and ``reconcile`` finding nothing.
"""

import pytest

from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.demo import run_demo

CRMS = ["dynamics365-sales", "pipedrive", "zoho-crm"]


async def agrees(left: str, right: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert sorted(discover().systems[left].recipes) == CRMS
    code = await run_demo(left, right, 6, thorough=True)
    told = capfd.readouterr().err
    assert code == 0, told
    assert "Both sides agree" in told
