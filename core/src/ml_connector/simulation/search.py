"""From a seed to a verdict, and from a failing story to the shortest one that still fails."""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

import msgspec

from ml_connector.simulation.guarantees import Broken
from ml_connector.simulation.invariants import check
from ml_connector.simulation.loop import play
from ml_connector.simulation.pair import Make
from ml_connector.simulation.stage import Stage
from ml_connector.simulation.story import Step, draw, told


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a story came to: the invariants that broke, and everything that happened, line by line."""

    pair: str
    seed: int
    setting: str
    steps: Sequence[Step]
    broken: Sequence[Broken]
    chronicle: str

    def __str__(self) -> str:
        """For people: the story, what broke, and how to see it again."""
        broken = "\n".join(f"  broken: {one}" for one in self.broken[:5]) or "  everything holds"
        again = f"ml-connector simulate --pair {self.pair} --seed {self.seed}"
        return f"{self.pair}, seed {self.seed}\n  {self.setting}\n{told(self.steps)}\n{broken}\n  again: {again}"


def verdict_on(make: Make, seed: int, steps: Sequence[Step] | None = None) -> Verdict:
    """Play the seed's story, or other steps in the seed's setting."""
    made = make(Random(f"{seed}/pair"))
    random = Random(f"{seed}/story")
    story = [*made.opening, *draw(random, made.pair.draws, length=(5, 16), hazards=made.hazards)]
    stage = Stage(made.pair)

    async def whole() -> list[Broken]:
        await stage.play(story if steps is None else steps)
        return await check(stage)

    broken = play(whole())
    return Verdict(
        pair=made.pair.name,
        seed=seed,
        setting=made.pair.setting,
        steps=story if steps is None else steps,
        broken=broken,
        chronicle=_chronicle(stage),
    )


def _chronicle(stage: Stage) -> str:
    deeds = [
        f"{deed.at} {deed.side} {deed.author} {deed.kind} {deed.number} {deed.id}: {deed.before} → {deed.after}"
        for deed in stage.pair.deeds
    ]
    runs = [f"{end.at} {end.process} {end.flow} {end.run} {end.error}" for end in stage.ended]
    audit = [f"{record.seq} {record.hash} {msgspec.json.encode(record.entry).decode()}" for record in stage.state.ledger.audit]
    return "\n".join((*deeds, *runs, *audit))


def search(make: Make, seeds: Iterable[int]) -> Iterator[Verdict]:
    """A verdict on each seed, in order."""
    return (verdict_on(make, seed) for seed in seeds)


def shortest(make: Make, verdict: Verdict, *, tries: int = 400) -> Verdict:
    """The same failure with as few steps as can be found: halves, quarters … are left out while it still fails."""
    wanted = {one.invariant for one in verdict.broken[:1]}
    best, width = verdict, max(1, len(verdict.steps) // 2)
    while tries > 0:
        shorter = None
        for start in range(0, len(best.steps), width):
            tries -= 1
            steps = [*best.steps[:start], *best.steps[start + width :]]
            tried = verdict_on(make, verdict.seed, steps)
            if wanted & {one.invariant for one in tried.broken}:
                shorter = tried
                break
        if shorter is not None:
            best = shorter
            width = min(width, max(1, len(best.steps) // 2))
        elif width == 1:
            return best
        else:
            width //= 2
    return best
