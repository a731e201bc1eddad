"""Two hundred stories per pair hold every guarantee, and a seed tells the same story whenever it is played."""

import pytest

from ml_connector.simulation import Make, memory_pair, shortest, verdict_on
from ml_connector_adapters.runner.simulate import MEMORY, maker

PAIRS = (MEMORY, "ifs-cloud:zoho-crm", "ifs-cloud:pipedrive")
SEEDS, BLOCK = 200, 25
"""Blocks spread over the workers of a parallel run."""


@pytest.fixture(scope="module")
def makers() -> dict[str, Make]:
    return {pair: maker(pair) for pair in PAIRS}


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
@pytest.mark.parametrize("pair", PAIRS)
def test_every_story_holds_the_guarantees(pair: str, first: int, makers: dict[str, Make]) -> None:
    for seed in range(first, first + BLOCK):
        verdict = verdict_on(makers[pair], seed)
        if verdict.broken:
            pytest.fail(str(shortest(makers[pair], verdict)), pytrace=False)


@pytest.mark.parametrize("pair", PAIRS)
def test_a_seed_tells_the_same_story_byte_for_byte(pair: str, makers: dict[str, Make]) -> None:
    for seed in range(5):
        one, other = verdict_on(makers[pair], seed), verdict_on(makers[pair], seed)
        assert str(one) == str(other)
        assert one.chronicle.encode() == other.chronicle.encode()


def test_a_failing_story_is_cut_to_the_steps_that_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    from ml_connector.sync.watch import Watch

    monkeypatch.setattr(Watch, "_tell", lambda self, link, batch, reason, changes: None)  # edits over there are not told
    verdict = next(found for seed in range(200) if (found := verdict_on(memory_pair, seed)).broken)
    short = shortest(memory_pair, verdict)
    assert len(short.steps) < len(verdict.steps)
    assert short.broken[0].invariant == verdict.broken[0].invariant
    assert f"ml-connector simulate --pair memory:memory --seed {verdict.seed}" in str(short)
