"""What the open window costs: creates that double at a system which offers no key to look them up by.

python bench/window.py                       the one-way stories among 5,000 seeds whose target inserts whatever it is sent
python bench/window.py --seeds 500

The stories are those of ``ml-connector simulate``: answers are lost, processes die and freeze. Each is played twice: with a
look-up by key, which must double nothing, and without. See “Windows that stay open” in docs/guarantees.md.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from random import Random

import msgspec

from ml_connector.domain import Record
from ml_connector.ports.sink import Key, SinkLimits
from ml_connector.simulation.loop import play
from ml_connector.simulation.memory import MemoryPair, memory_pair
from ml_connector.simulation.pair import PERSON
from ml_connector.simulation.process import Process
from ml_connector.simulation.stage import Stage
from ml_connector.simulation.station import Inserts
from ml_connector.simulation.story import draw
from ml_connector.system import Connection


class Blindly(Inserts):
    """The sink of a system that can be asked for ids only."""

    @property
    def limits(self) -> SinkLimits:
        return msgspec.structs.replace(self._limits, find_by_key=False)

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        return {key: [] for key in keys}


class Pair(MemoryPair):
    """The same two systems, the right one without a look-up."""

    def connect(self, process: Process) -> Mapping[str, Connection]:
        made = dict(super().connect(process))
        sinks = {
            kind: Blindly(kind, sink._system, sink._client, sink.limits)
            for kind, sink in made["crm"].sinks.items()
            if isinstance(sink, Inserts)
        }
        return made | {"crm": msgspec.structs.replace(made["crm"], sinks=sinks)}


def played(seed: int, *, look_up: bool) -> Counter[str] | None:
    """What one story came to; None for a seed whose flow is two-way or whose target upserts."""
    made = memory_pair(Random(f"{seed}/pair"))
    pair = made.pair if look_up else Pair(Random(f"{seed}/pair"))
    assert isinstance(pair, MemoryPair)
    if pair.manners.owner is not None or pair.manners.upserts:
        return None
    stage = Stage(pair)
    play(stage.play([*made.opening, *draw(Random(f"{seed}/story"), made.pair.draws, length=(5, 16), hazards=made.hazards)]))
    heard = {record.entry.right.id or "" for record in stage.state.ledger.audit if record.entry.action == "created"}
    return outcome(pair, heard)


def outcome(pair: MemoryPair, heard: Set[str]) -> Counter[str]:
    """Creates of ours at the target, and which found the business record there: one of which nobody had heard, or had."""
    present: dict[tuple[str, str], str] = {}
    told: Counter[str] = Counter(stories=1)
    for deed in pair.deeds:
        if deed.side != "right":
            continue
        place = (deed.kind, deed.id)
        if deed.after is None:
            present.pop(place, None)
            continue
        if deed.before is None and deed.author != PERSON:
            told["creates"] += 1
            twins = [one for (kind, one), number in present.items() if (kind, number) == (deed.kind, deed.number)]
            told["doubled after a lost answer"] += any(one not in heard for one in twins)
            told["doubled for a second source record"] += bool(twins) and all(one in heard for one in twins)
        present[place] = deed.number
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5_000)
    seeds = parser.parse_args().seeds
    for look_up in (True, False):
        total: Counter[str] = Counter()
        for seed in range(seeds):
            total += played(seed, look_up=look_up) or Counter()
        names = ("stories", "creates", "doubled after a lost answer", "doubled for a second source record")
        print(f"{'with' if look_up else 'without'} look-up: " + ", ".join(f"{total[name]:,} {name}" for name in names))


if __name__ == "__main__":
    main()
