"""An ERP's twin and a CRM's, connected by a configuration that is derived from the recipe which the ERP's plugin ships.

The system that leads is on the left, be it the ERP or the CRM.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple

from ml_connector.domain import Kind, RemoteId, Side
from ml_connector.flows import Flow
from ml_connector.ports.notices import NoticeRequest
from ml_connector.simulation.loop import VirtualClock, play
from ml_connector.simulation.pair import PERSON, Deed, Fields, Stands
from ml_connector.simulation.process import Process, ProcessClock, ProcessTokens
from ml_connector.simulation.story import Edit, Enter, Expire, LoseWrite, Step, Stir, Storm
from ml_connector.system import Connection
from ml_connector.testing import MemoryHost, MemorySecrets, MemoryTokens
from ml_connector.twin import Clerk, Fault, Twin
from ml_connector.use_cases.preflight import preflight
from ml_connector_adapters.runner.simulate.doors import Door
from ml_connector_adapters.runner.simulate.people import OTHER, People
from ml_connector_adapters.runner.simulate.script import SIDES, Script
from ml_connector_adapters.runner.simulate.views import READY, Views, habit, in_scope

HAZARDS: Final = (
    "kill",
    "kill at write",
    "kill at write",
    "commit",
    "commit",
    "freeze",
    "twice",
    "meanwhile",
    "storm",
    "storm",
    "lose write",
    "expire",
)
"""What may go wrong between two twins: no more than what every twin can play."""
MOMENT: Final = timedelta(seconds=2)
LONG_AGO: Final = timedelta(hours=1)
FAULTS: Final = (
    Fault("status", status=429, retry_after="2"),
    Fault("status", status=429),
    Fault("status", status=500),
    Fault("lost_before"),
    Fault("lost_after"),
    Fault("lost_after"),
    Fault("expire_tokens"),
)
NEWCOMERS: Final = 3
"""How many accounts people enter on each side at most."""


class Row(NamedTuple):
    """A record as a twin told it at the last look."""

    number: str
    fields: dict[str, Any]
    besides: dict[str, Any]  # what the system works out of other fields: compared in the end, and nobody's deed
    facts: Mapping[str, object]  # all that the twin told


class TwinPair:
    """Two twins and the flows between them; records are told by their numbers."""

    def __init__(self, name: str, script: Script, random: Random) -> None:
        self.name, self._script = name, script
        self.twins: dict[Side, Twin] = dict(zip(SIDES, script.twins(), strict=True))
        self.deeds: list[Deed] = []
        self.breaches: list[str] = []
        self.forgeries: list[NoticeRequest] = []
        self.stumbled: set[tuple[Kind, str]] = set()
        self._records, self._seed = random.randint(2, 4), random.randrange(10**6)
        self.flows: Sequence[Flow] = script.workspace.flows
        self._two_way = next((flow for flow in self.flows if flow.two_way), None)
        accounts = next((flow for flow in self.flows if flow.entity == "account"), None)
        self._match = accounts.match if accounts is not None else ()
        self._views = Views(script)
        self._names: dict[Side, str] = {"left": self.flows[0].left, "right": self.flows[0].right}
        self._tokens: dict[Side, MemoryTokens] = {"left": MemoryTokens(), "right": MemoryTokens()}
        self._edited: dict[Side, datetime] = {}  # when a person last did something there
        self._written: dict[Side, datetime] = {}  # when a process last did
        self._seen: dict[Side, dict[tuple[Kind, RemoteId], Row]] = {"left": {}, "right": {}}
        self._entered: dict[str, tuple[Side, RemoteId]] = {}  # by the name under which the story knows it
        for twin in self.twins.values():
            twin.clock.follow(VirtualClock().now)
        led = accounts is not None and random.random() < 0.5
        hands = SIDES if self._two_way is not None else SIDES[:1] if led else ()
        self._hands = [side for side in hands if isinstance(self.twins[side], Clerk)]
        play(self._prepare())
        self._people = People(
            self.flows,
            self._hands,
            known=[row.number for (kind, _), row in self._seen["left"].items() if kind == "account"],
            numbers=script.numbers,
            addresses=bool(self._views.readies),
        )

    async def _prepare(self) -> None:
        """What ``ping --fix`` does once. What stands at the side that leads is older than what any vendor holds back yet."""
        clock = self.twins["left"].clock
        clock.follow(lambda: VirtualClock().now() - LONG_AGO)
        self.twins["left"].fill(self._records, self._records + 1, seed=self._seed)
        self.note("left", PERSON)
        clock.follow(VirtualClock().now)
        for name, connection in self.connect(Process("setup")).items():
            assert connection.fitness is not None
            await preflight(name, connection.fitness, self.flows, repair=True)
            await connection.close()

    @property
    def setting(self) -> str:
        ways = "both ways" if self._two_way is not None else "one way"
        clerks = " and ".join(self._hands) or "nobody"
        return f"{self._records} accounts {ways}, {self._records + 1} orders, {clerks} sets fields (seed {self._seed})"

    @property
    def patience(self) -> float:
        """People set what some ERPs keep beside a record without telling so in its version: a day's full reading finds it."""
        return 90_000 if self._hands else 4000

    @property
    def canaries(self) -> Sequence[str]:
        return [value for twin in self.twins.values() for value in twin.secrets().values()]

    def connect(self, process: Process) -> Mapping[str, Connection]:
        return {self._names[side]: self._connection(side, process) for side in self.twins}

    def _connection(self, side: Side, process: Process) -> Connection:
        configured = self._script.workspace.connections[self._names[side]]
        host = MemoryHost(
            connection=self._names[side],
            clock=ProcessClock(VirtualClock(), process, on_the_wire=True),
            secrets=MemorySecrets(self.twins[side].secrets()),
            tokens=ProcessTokens(self._tokens[side], process),
            transport=Door(self.twins[side], process, partial(self._settles_in, side), partial(self.note, side)),
            random=Random(self._seed),  # a story must be the same whenever it is played
        )
        return configured.system.connect(configured.settings, host)

    # What people do

    def draws(self, random: Random) -> Step:
        return self._people.draws(random)

    def perform(self, step: Step) -> None:
        match step:
            case Stir():
                count = min(step.count, sum(1 for _ in self.twins[step.side].facts(step.kind)))
                self._person(step.side, lambda twin: twin.edit(step.kind, count, seed=step.seed))
            case Enter():
                self._enter(step)
            case Edit():
                self._edit(step)
            case Storm():
                self.twins[step.side].faults.storm(step.seed, step.rate / 2, FAULTS)
            case Expire():
                self.twins[step.side].faults.add(Fault("expire_tokens"))
            case LoseWrite():
                self.twins[step.side].faults.add(Fault("lost_after", method="POST"))
            case _:
                raise TypeError(f"{self.name} cannot do this: {step}")

    def _person(self, side: Side, acts: Callable[[Twin], object]) -> bool:
        """Vendors' times know whole seconds: an edit in the second of our own write is one that nobody can tell from it."""
        now = VirtualClock().now()
        ours = self._written.get(side)
        if ours is not None and now - ours < MOMENT:
            return False
        acts(self.twins[side])
        self.note(side, PERSON)
        self._edited[side] = now
        return True

    def _enter(self, step: Enter) -> None:
        entered = sum(side == step.side for side, _ in self._entered.values())
        if entered < NEWCOMERS and step.number not in self._entered:
            before = self._seen[step.side].keys()
            if self._person(step.side, lambda twin: _clerk(twin).sets(step.kind, "", step.fields)):
                [(_, one)] = self._seen[step.side].keys() - before
                self._entered[step.number] = step.side, one

    def _edit(self, step: Edit) -> None:
        """A number is given once. A name that is matched by is left alone until both sides bear the number: till then it is
        what a lost create is looked up by.
        """
        here, there = self._find(step.side, step.number), self._find(OTHER[step.side], step.number)
        if here is None:
            return
        numbered = self._seen[step.side][step.kind, here].fields["number"] is not None
        settled = {"number": numbered, "name": there is None and "name" in self._match}
        fields = {name: value for name, value in step.fields.items() if not settled.get(name)}
        if fields:
            self._person(step.side, lambda twin: _clerk(twin).sets(step.kind, here, fields))

    def _find(self, side: Side, name: str) -> RemoteId | None:
        """The id on that side of what the story calls by its number, or by the name of who was entered."""
        number: str | None = name
        if name in self._entered:
            home, one = self._entered[name]
            if home == side:
                return one
            number = self._seen[home]["account", one].fields["number"]
        elif name.startswith("new-"):
            return None
        rows = self._seen[side].items()
        return next(
            (one for (kind, one), row in rows if kind == "account" and row.fields["number"] == number is not None), None
        )

    def _settles_in(self, side: Side) -> float:
        """Seconds until the last edit's second is over."""
        edited = self._edited.get(side)
        return max(0.0, (edited + MOMENT - VirtualClock().now()).total_seconds()) if edited is not None else 0.0

    def deliveries(self, side: Side) -> list[NoticeRequest]:
        return []

    def ran(self) -> None:
        """Storms blow over with time, not with calls."""
        for twin in self.twins.values():
            twin.faults.calm()

    def sees_again(self) -> None:
        """Nothing is ever hidden."""

    def calm(self) -> None:
        self.ran()

    # What stands

    def note(self, side: Side, author: str) -> bool:
        """Write down what differs from the last look; whether anything does that a twin tells."""
        now: dict[tuple[Kind, RemoteId], Row] = {}
        for kind, flow in {flow.kind(side): flow for flow in reversed(self.flows)}.items():
            for called, facts in self.twins[side].facts(kind):
                if not flow.two_way or in_scope(kind, facts):
                    number = self._views.number(flow, side, called, facts)
                    shown, besides = self._views.told(flow, side, number, facts), self._views.besides(flow, side, facts)
                    now[kind, str(facts.get("id", called))] = Row(number or called, shown, besides, facts)
        before, self._seen[side] = self._seen[side], now
        at = VirtualClock().now()
        changed = any(place not in before or before[place].facts != row.facts for place, row in now.items())
        if changed and author != PERSON:
            self._written[side] = at
        for place, row in now.items():
            was = before.get(place)
            if was is None or row.fields != was.fields:
                self.deeds.append(
                    Deed(
                        at=at,
                        side=side,
                        author=author,
                        kind=place[0],
                        id=place[1],
                        number=row.number,
                        before=was.fields if was is not None else None,
                        asked=row.fields if was is not None or author == PERSON else self._sent(side, row),
                        after=row.fields,
                    )
                )
        return changed

    def _sent(self, side: Side, row: Row) -> Fields:
        """Of a record that we made: a number that nobody bore on the other side is one that the vendor gave."""
        borne = any(other.number == row.number for other in self._seen[OTHER[side]].values())
        return row.fields if borne else {path: value for path, value in row.fields.items() if path != "number"}

    def stands(self, side: Side, kind: Kind) -> list[Stands]:
        accounts = {row.number: one for (there, one), row in self._seen[side].items() if there == "account"}
        buyers = {
            one: str(row.fields.get("customer") or "") for (there, one), row in self._seen[side].items() if there == "order"
        }
        return [
            Stands(
                id=one,
                kind=kind,
                number=row.number,
                fields=row.fields | row.besides,
                parents=[("account", accounts.get(buyer, buyer))] if (buyer := buyers.get(one)) else [],
            )
            for (there, one), row in self._seen[side].items()
            if there == kind
        ]

    def wanted(self, flow: Flow, fields: Fields) -> Fields | None:
        if not in_scope(flow.entity, fields):
            return None
        rows = (row for (kind, _), row in self._seen["right"].items() if kind == flow.target)
        held = next((row.fields | row.besides for row in rows), {})
        return {path: value for path, value in self._views.asked(flow, fields).items() if path in held or path == "number"}

    def tells(self, side: Side, kind: Kind, path: str) -> bool:
        return side == "left" or any(path in row.fields for (one, _), row in self._seen[side].items() if one == kind)

    def refused(self, flow: Flow, wanted: Fields) -> bool:
        """What has none of the flow's keys could not be found again, and who has no address is not made ready for invoices."""
        if not any(wanted.get(key) for key in flow.match):
            return True
        return flow.name in self._views.readies and not any(wanted.get(name) for name in READY)

    def follows(self, side: Side, kind: Kind) -> bool:
        return True

    def habit(self, side: Side, path: str, value: Any) -> Any:
        return habit(path, value)


def _clerk(twin: Twin) -> Clerk:
    assert isinstance(twin, Clerk)
    return twin
