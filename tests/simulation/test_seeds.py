"""Two hundred stories of the memory pair, twenty-five of each pair of IFS Cloud's twin and a dozen of each other pair hold
every guarantee, and a seed tells the same story whenever it is played. ``ml-connector simulate`` plays as many as wanted.
"""

from random import Random

import pytest

from ml_connector.errors import ConfigError
from ml_connector.simulation import Made, Make, memory_pair, shortest, verdict_on
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.simulate import MEMORY, maker
from ml_connector_adapters.runner.simulate.pair import HAZARDS, TwinPair
from ml_connector_adapters.runner.simulate.script import scripts

CRMS = ("zoho-crm", "pipedrive", "dynamics365-sales")
OF_TWINS = {"ifs-cloud": 25, "qad": 12, "oracle-fusion": 12}
SEEDS = {MEMORY: 200, **{f"{erp}:{crm}": count for erp, count in OF_TWINS.items() for crm in CRMS}}
"""A story of twins takes ten times as long."""
BLOCK = 25
"""Blocks spread over the workers of a parallel run."""
BLOCKS = [(pair, first, min(first + BLOCK, count)) for pair, count in SEEDS.items() for first in range(0, count, BLOCK)]


@pytest.fixture(scope="module")
def makers() -> dict[str, Make]:
    return {pair: maker(pair) for pair in SEEDS}


@pytest.mark.parametrize(("pair", "first", "end"), BLOCKS)
def test_every_story_holds_the_guarantees(pair: str, first: int, end: int, makers: dict[str, Make]) -> None:
    for seed in range(first, end):
        verdict = verdict_on(makers[pair], seed)
        if verdict.broken:
            pytest.fail(str(shortest(makers[pair], verdict)), pytrace=False)


@pytest.mark.parametrize("pair", SEEDS)
def test_a_seed_tells_the_same_story_byte_for_byte(pair: str, makers: dict[str, Make]) -> None:
    for seed in range(3):
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


def test_a_pair_without_a_recipe_cannot_be_played_and_one_with_a_recipe_can() -> None:
    with pytest.raises(ConfigError, match='"zoho-crm:ifs-cloud" cannot be simulated'):
        maker("zoho-crm:ifs-cloud")
    made = maker("ifs-cloud:pipedrive")
    ways = {made(Random(seed)).pair.setting.split(",")[0].partition(" accounts ")[2] for seed in range(9)}
    assert ways == {"one way", "both ways"}


def test_a_system_that_the_recipe_reads_first_leads_be_it_the_crm() -> None:
    systems = discover().systems
    one_way, both_ways = scripts(systems["oracle-fusion"].recipes["zoho-crm"], systems["oracle-fusion"], systems["zoho-crm"])
    assert one_way.systems == both_ways.systems == ("zoho-crm", "oracle-fusion")
    assert [(flow.name, flow.left) for flow in one_way.workspace.flows] == [("accounts", "zoho")]
    assert [(flow.name, flow.two_way) for flow in both_ways.workspace.flows] == [("accounts", True)]


RECIPE = """
[connections.ifs]
system = "ifs-cloud"
[connections.zoho]
system = "zoho-crm"
[flows.customers]
from = "ifs"
to = "zoho"
entity = "account"
"""


def test_a_recipe_may_lack_orders_and_stages() -> None:
    systems = discover().systems
    found = scripts(RECIPE, systems["ifs-cloud"], systems["zoho-crm"])
    assert [flow.name for script in found for flow in script.workspace.flows] == ["customers", "customers"]
    for script in found:
        verdict = verdict_on(lambda random, script=script: Made(TwinPair("bare", script, random), [], HAZARDS), 1)
        assert verdict.broken == []


def test_a_recipe_that_cannot_be_judged_is_not_played() -> None:
    ifs, zoho = (discover().systems[name] for name in ("ifs-cloud", "zoho-crm"))
    with pytest.raises(ConfigError, match="none of its flows can be judged"):
        scripts(f"{RECIPE}where = \"name != 'Acme'\"\n", ifs, zoho)
