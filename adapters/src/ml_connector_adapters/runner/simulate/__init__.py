"""``ml-connector simulate``: the seeded simulation of two made-up systems, or of any two that ship twins and a recipe."""

import time
from collections.abc import Iterable
from random import Random
from typing import Final

from rich.console import Console

from ml_connector.errors import ConfigError
from ml_connector.simulation import Made, Make, Verdict, memory_pair, shortest, verdict_on
from ml_connector_adapters.plugins import discover

MEMORY: Final = "memory:memory"
say: Final = Console(stderr=True, highlight=False)
tell: Final = Console(highlight=False, soft_wrap=True, markup=False)


def simulate(pair: str, seeds: Iterable[int]) -> int:
    """Play the seeds' stories and print the shortest one of each that breaks a guarantee; 0 when everything holds.

    Raises ConfigError when there is no such pair.
    """
    make = maker(pair)
    began, played, failed = time.monotonic(), 0, 0
    with say.status("simulating") as status:
        for seed in seeds:
            verdict = verdict_on(make, seed)
            played += 1
            if verdict.broken:
                failed += 1
                tell.print(str(_shortest(make, verdict)))
            status.update(f"{pair}: {played} stories, {failed} broken")
    seconds = time.monotonic() - began
    tell.print(f"{pair}: {played} stories in {seconds:.1f} s, {failed} broken")
    return 1 if failed else 0


def _shortest(make: Make, verdict: Verdict) -> Verdict:
    say.print(f"seed {verdict.seed} breaks a guarantee; looking for the shortest story that does")
    return shortest(make, verdict)


def maker(pair: str) -> Make:
    """What makes the pair ``LEFT:RIGHT`` from a seed. Raises ConfigError."""
    if pair == MEMORY:
        return memory_pair
    from ml_connector_adapters.runner.simulate.pair import HAZARDS, TwinPair
    from ml_connector_adapters.runner.simulate.script import scripts

    left, _, right = pair.partition(":")
    systems = discover().systems
    recipe = systems[left].recipes.get(right) if left in systems else None
    if recipe is None:
        raise ConfigError(
            f'"{pair}" cannot be simulated', fix=f"Take {MEMORY}, or a pair that has a recipe: ml-connector systems"
        )
    found = scripts(recipe, systems[left], systems[right])

    def made(random: Random) -> Made:
        return Made(TwinPair(pair, random.choice(found), random), [], HAZARDS)

    return made
