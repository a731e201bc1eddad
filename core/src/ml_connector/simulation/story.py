"""What happens in one simulation, as a list of steps that can be printed, left out one by one, and played again."""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, ClassVar, TypeAlias

import msgspec

from ml_connector.domain import Kind, Side


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens. ``str`` tells it to people."""

    tells: ClassVar[str]

    def __str__(self) -> str:
        return self.tells.format_map(msgspec.structs.asdict(self))


class Enter(Step, frozen=True, kw_only=True):
    """A person creates a record, unless one with the number is there."""

    side: Side
    kind: Kind
    number: str
    fields: Mapping[str, Any]
    tells = "{side}: a person enters {kind} {number} with {fields}"


class Edit(Step, frozen=True, kw_only=True):
    """A person sets fields (None: clears them) of a record, if it is there."""

    side: Side
    kind: Kind
    number: str
    fields: Mapping[str, Any]
    tells = "{side}: a person sets {fields} of {kind} {number}"


class Delete(Step, frozen=True, kw_only=True):
    """A person deletes a record, if it is there."""

    side: Side
    kind: Kind
    number: str
    tells = "{side}: a person deletes {kind} {number}"


class Stir(Step, frozen=True, kw_only=True):
    """People change some records of a kind; which and how, the system's own seed decides."""

    side: Side
    kind: Kind
    count: int
    seed: int
    tells = "{side}: people edit {count} {kind} records (seed {seed})"


class Wait(Step, frozen=True, kw_only=True):
    seconds: int
    tells = "{seconds} s pass"


class Run(Step, frozen=True, kw_only=True):
    """Every flow runs once, in order; ``full`` reads everything anew."""

    full: bool = False
    tells = "the flows run (full: {full})"


class RunKilled(Step, frozen=True, kw_only=True):
    """The same, and the process is killed the ``touch``-th time that it touches state, system or clock."""

    touch: int
    tells = "the flows run, and the process is killed at touch {touch}"


class RunKilledInCommit(Step, frozen=True, kw_only=True):
    commit: int
    after: bool
    tells = "the flows run, and the process is killed at commit {commit} (after it took effect: {after})"


class RunKilledAtWrite(Step, frozen=True, kw_only=True):
    """The system has taken the ``write``-th write of the run, and nobody hears the answer any more."""

    write: int
    tells = "the flows run, and the process is killed when write {write} was taken, before it hears of it"


class RunFrozen(Step, frozen=True, kw_only=True):
    """The process stands still at the touch; its lease ends, another takes over, then it wakes up and goes on."""

    touch: int
    seconds: int
    edits: Sequence[Step] = ()
    tells = "the flows run; the process freezes at touch {touch} for {seconds} s, meanwhile [{edits}] and another takes over"


class RunTwice(Step, frozen=True, kw_only=True):
    tells = "two processes run the flows at once"


class RunMeanwhile(Step, frozen=True, kw_only=True):
    """People edit while the flows run, ``apart`` touches from one edit to the next."""

    touch: int
    apart: int
    edits: Sequence[Step]
    tells = "the flows run; from touch {touch} on, every {apart} touches: [{edits}]"


class Storm(Step, frozen=True, kw_only=True):
    """Each of the next ``calls`` requests meets a fault with probability ``rate``; which, the seed decides."""

    side: Side
    seed: int
    calls: int
    rate: float
    tells = "{side}: a storm over the next {calls} calls (rate {rate}, seed {seed})"


class LoseWrite(Step, frozen=True, kw_only=True):
    """The next write is taken, and its answer is lost."""

    side: Side
    tells = "{side}: the answer to the next write is lost"


class Stumble(Step, frozen=True, kw_only=True):
    """The next write about the record is answered with this outcome."""

    side: Side
    kind: Kind
    number: str
    outcome: str  # "later", "rejected"
    tells = "{side}: the next write about {kind} {number} is answered: {outcome}"


class Race(Step, frozen=True, kw_only=True):
    """A person is faster: sets fields just before the next write about the record arrives."""

    side: Side
    kind: Kind
    number: str
    fields: Mapping[str, Any]
    tells = "{side}: just before the next write about {kind} {number}, a person sets {fields} of it"


class Expire(Step, frozen=True, kw_only=True):
    side: Side
    tells = "{side}: every access token is forgotten"


class Subscribe(Step, frozen=True, kw_only=True):
    """Channels are opened or renewed, as the runner does it now and then."""

    tells = "notification channels are opened or renewed"


class Lapse(Step, frozen=True, kw_only=True):
    side: Side
    tells = "{side}: the notification channels lapse"


class Deliver(Step, frozen=True, kw_only=True):
    """Notices that wait arrive: some never, some twice, in any order."""

    side: Side
    seed: int
    tells = "{side}: waiting notices arrive, some lost, some twice, out of order (seed {seed})"


class Forge(Step, frozen=True, kw_only=True):
    side: Side
    tells = "{side}: somebody forges a notice"


class Blind(Step, frozen=True, kw_only=True):
    """For so many runs some records do not show up in any listing, as when an API user loses rights."""

    side: Side
    share: int  # every ``share``-th record is hidden; 1: all
    runs: int
    tells = "{side}: every {share}. record is hidden from listings for {runs} runs"


Steps: TypeAlias = Sequence[Step]


def told(steps: Steps) -> str:
    """The story as a numbered list."""
    return "\n".join(f"{number:3}. {_sentence(step)}" for number, step in enumerate(steps, 1))


def _sentence(step: Step) -> str:
    values = msgspec.structs.asdict(step)
    for name, value in values.items():
        if name == "edits":
            values[name] = "; ".join(_sentence(each) for each in value)
        if name == "fields":
            values[name] = ", ".join(
                f"{field} = {part!r}" if part is not None else f"{field} cleared" for field, part in value.items()
            )
    return step.tells.format_map(values)


def draw(random: Random, edit: Callable[[Random], Step], *, length: tuple[int, int], hazards: Sequence[str]) -> list[Step]:
    """A story of edits, runs and hazards. ``edit`` draws what a person does; ``hazards`` name what may go wrong."""
    steps: list[Step] = []
    if (
        first := random.choice(("", "", "kill", "kill at write", "lose write", "storm", "meanwhile"))
    ) != "":  # most creates happen in the first run
        steps += [*_hazard(random, edit, first), Run()]
    wanted = random.randint(*length)
    while len(steps) < wanted:
        chance = random.random()
        if chance < 0.40:
            steps.append(edit(random))
        elif chance < 0.50:
            steps.append(Wait(seconds=random.choice((1, 30, 61, 300, 4000, 90_000))))
        elif chance < 0.62:
            steps.append(Run(full=random.random() < 0.15))
        else:
            steps += _hazard(random, edit, random.choice(hazards))
    return steps


def _hazard(random: Random, edit: Callable[[Random], Step], name: str) -> list[Step]:
    side: Side = random.choice(("left", "right"))
    touch = int(10 ** random.uniform(0.3, 2.1))
    edits = [edit(random) for _ in range(random.randint(1, 3))]
    match name:
        case "kill":
            return [RunKilled(touch=touch)]
        case "kill at write":
            return [RunKilledAtWrite(write=random.choice((1, 1, 2, 3)))]
        case "race":
            drawn = [each for each in (edit(random) for _ in range(20)) if isinstance(each, Edit) and each.kind == "account"]
            mine = next((each for each in drawn if each.side == "left"), None)
            theirs = next((each for each in drawn if each.side == "right"), None)
            if mine is None or theirs is None:
                return [Run()]
            return [Run(), mine, Race(side="right", kind="account", number=mine.number, fields=theirs.fields), Run()]
        case "lose write":
            return [LoseWrite(side=side)]
        case "commit":
            return [RunKilledInCommit(commit=random.randint(1, 12), after=random.random() < 0.5)]
        case "freeze":
            return [RunFrozen(touch=touch, seconds=random.choice((30, 90, 400)), edits=edits)]
        case "twice":
            return [RunTwice()]
        case "meanwhile":
            edits += [edit(random) for _ in range(2)]
            return [RunMeanwhile(touch=touch, apart=random.randint(1, 8), edits=edits)]
        case "storm":
            calls, rate = random.choice(((3, 1.0), (10, 0.5), (30, 0.25)))
            return [Storm(side=side, seed=random.randrange(10**6), calls=calls, rate=rate)]
        case "expire":
            return [Expire(side=side)]
        case "subscribe":
            return [Subscribe()]
        case "lapse":
            return [Lapse(side=side)]
        case "deliver":
            return [Deliver(side=side, seed=random.randrange(10**6))]
        case "notice":  # told of an edit, and then dead before anything came of it
            edits = [each for each in (edit(random) for _ in range(12)) if getattr(each, "side", "") == "right"][:3]
            seed = random.randrange(10**6)
            return [Subscribe(), *edits, Deliver(side="right", seed=seed), RunKilled(touch=random.randint(4, 24))]
        case "forge":
            return [Forge(side=side)]
        case "blind":
            runs = random.choice((1, 3))
            return [Blind(side="left", share=random.choice((1, 2)) if runs == 1 else 1, runs=runs), *[Run()] * runs]
        case "stumble":
            about, outcome = edits[0], random.choice(("later", "rejected"))
            if not isinstance(about, Enter | Edit | Delete):
                return [about]
            return [Stumble(side="right", kind=about.kind, number=about.number, outcome=outcome)]
        case _:
            raise ValueError(f"no hazard is called {name}")
