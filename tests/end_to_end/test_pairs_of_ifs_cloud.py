"""IFS Cloud with each CRM, by the recipe that ships."""

import pytest
from pairs_world import CRMS, agrees


@pytest.mark.parametrize("crm", CRMS)
async def test_both_sides_agree_after_a_bad_day(crm: str, capfd: pytest.CaptureFixture[str]) -> None:
    await agrees("ifs-cloud", crm, capfd)
