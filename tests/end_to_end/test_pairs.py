"""Every pair that has a recipe, through the demo's whole story: first load, no change, edits and new records on each side, a
storm with a kill, both sides compared in full, and ``reconcile`` finding nothing.
"""

import pytest

from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.demo import run_demo

PAIRS = sorted((left, right) for left, spec in discover().systems.items() for right in spec.recipes)


@pytest.mark.parametrize(("left", "right"), PAIRS, ids=":".join)
async def test_a_pair_agrees_after_a_bad_day(left: str, right: str, capfd: pytest.CaptureFixture[str]) -> None:
    code = await run_demo(left, right, 10, thorough=True)
    told = capfd.readouterr().err
    assert code == 0, told
    assert "Both sides agree" in told
