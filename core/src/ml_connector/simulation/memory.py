"""The pair ``memory:memory``: two made-up systems whose manners the seed decides."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any, Literal, cast

import msgspec

from ml_connector.domain import ENTITIES, Address, Entity, Extra, Kind, Money, Ref, Side
from ml_connector.flows import Assignment, Flow
from ml_connector.flows.fields import refs_of
from ml_connector.ports.notices import NoticeRequest
from ml_connector.simulation.loop import VirtualClock
from ml_connector.simulation.pair import HAZARDS, Deed, Fields, Made, Stands
from ml_connector.simulation.process import Process, ProcessClock, ProcessTokens
from ml_connector.simulation.station import MANY, MANY_LEAST, NAMES, Inserts, Line, Manners, Station
from ml_connector.simulation.story import (
    Blind,
    Delete,
    Edit,
    Enter,
    Expire,
    Forge,
    Lapse,
    LoseWrite,
    Race,
    Step,
    Storm,
    Stumble,
)
from ml_connector.system import Connection
from ml_connector.testing import MemoryHost, MemorySecrets, MemorySystem, MemoryTokens, memory_connection
from ml_connector.testing.connection import MemorySink
from ml_connector.testing.shapes import merged
from ml_connector.testing.system import Row, delivery


class MemoryPair:
    """Accounts go from ``erp`` to ``crm`` as they are, orders as deals."""

    name = "memory:memory"

    def __init__(self, random: Random) -> None:
        self.manners = manners = Manners.drawn(random)
        self.deeds: list[Deed] = []
        self.breaches: list[str] = []
        self.forgeries: list[NoticeRequest] = []
        self.systems: dict[Side, Station] = {
            side: Station(side, manners, self.deeds, self.breaches) for side in ("left", "right")
        }
        self._tokens: dict[Side, MemoryTokens] = {"left": MemoryTokens(), "right": MemoryTokens()}
        for side, station in self.systems.items():
            station.secret = f"canary-{side}-secret"
        drift: Literal["restore", "report"] = "restore" if manners.restores else "report"
        self.flows: Sequence[Flow] = (
            Flow(
                name="customers",
                left="erp",
                right="crm",
                entity="account",
                target="account",
                drift=drift,
                two_way=manners.owner is not None,
                owner=manners.owner or "left",
                owners={"phone": "right", "website": "left"} if manners.owner is not None else {},
                signature="1",
            ),
            Flow(
                name="orders",
                left="erp",
                right="crm",
                entity="order",
                target="deal",
                after=("customers",),
                where=lambda data: cast(Any, data).get("status") != "Planned",
                where_text="status != 'Planned'",
                sets=(Assignment("stage", lambda data: cast(Any, data).get("status"), "status"),),
                drift=drift,
                signature="1",
            ),
        )
        self._blind = 0
        self._hid = False
        self._drawn = 0

    @property
    def setting(self) -> str:
        return str(self.manners)

    @property
    def stumbled(self) -> set[tuple[Kind, str]]:
        kinds: tuple[Kind, ...] = ("account", "deal")
        return {(kind, number) for kind in kinds for number in self.systems["right"].stumbled}

    @property
    def patience(self) -> float:
        return 4000

    @property
    def canaries(self) -> Sequence[str]:
        return [station.secret for station in self.systems.values()]

    def connect(self, process: Process) -> Mapping[str, Connection]:
        return {NAMES[side]: self._connection(side, process) for side in NAMES}

    def _connection(self, side: Side, process: Process) -> Connection:
        station, manners = self.systems[side], self.manners
        line = Line(station, process, open_ended=manners.open_ended)
        host = MemoryHost(
            connection=NAMES[side],
            clock=ProcessClock(VirtualClock(), process, on_the_wire=True),
            secrets=MemorySecrets(station.secrets()),
            tokens=ProcessTokens(self._tokens[side], process),
        )
        style = manners.left if side == "left" else manners.right
        made = memory_connection(
            cast(MemorySystem, line),
            ("account", "order", "deal"),
            host=host,
            style=style,
            page=manners.page,
            batch=manners.batch,
            parallel=manners.parallel,
        )
        if station.upserts:
            return made
        sinks = {
            kind: Inserts(kind, sink._system, sink._client, sink.limits)
            for kind, sink in made.sinks.items()
            if isinstance(sink, MemorySink)
        }
        return msgspec.structs.replace(made, sinks=sinks)

    # What people do

    def draws(self, random: Random) -> Step:
        side: Side = "left" if random.random() < (0.75 if self.manners.owner is None else 0.5) else "right"
        kind: Kind = "account" if random.random() < 0.6 else "order" if side == "left" else "deal"
        number = f"{'C' if kind == 'account' else 'O'}-{random.randint(1, self.manners.records)}"
        chance = random.random()
        if chance < 0.07:
            return Delete(side=side, kind=kind, number=number)
        if side == "left" and chance < 0.45:
            return Enter(side=side, kind=kind, number=number, fields=self._fields(random, kind, whole=True))
        if side == "right" and chance < 0.15 and self.manners.upserts:
            return Enter(side=side, kind=kind, number=number, fields=self._fields(random, kind, whole=False))
        return Edit(side=side, kind=kind, number=number, fields=self._fields(random, kind, whole=False))

    def opening(self, random: Random) -> list[Step]:
        """What stands at the source before anything runs."""
        return [
            Enter(side="left", kind="account", number=f"C-{number}", fields=self._fields(random, "account", whole=True))
            for number in range(1, self.manners.records + 1)
            if random.random() < 0.8
        ]

    def _fields(self, random: Random, kind: Kind, *, whole: bool) -> dict[str, Any]:
        """Values that never come twice, so that each tells where it is from."""
        self._drawn += 1
        mark = self._drawn
        value: dict[str, Callable[[], Any]] = {
            "name": lambda: (
                f"Poison {mark}" if random.random() < 0.08 else f"{random.choice(('', ' '))}n{mark} of Acme & Sons "
            ),
            "description": lambda: random.choice((f"text {mark}", f"two\nlines {mark}", f"ümlaut {mark} 𝄞")),
            "extra.cost_center": lambda: f"k{mark} north ",
        }
        if kind == "account":
            value |= {
                "phone": lambda: f"+46 8 {mark} ext",
                "website": lambda: f"https://acme{mark}.example",
                "billing.city": lambda: f"{mark} Malmö",
                "credit_limit": lambda: Decimal(f"{mark}.{random.randint(0, 9999):04}"),
            }
        else:
            value |= {"total" if kind == "order" else "amount": lambda: Decimal(f"{mark}.{random.randint(0, 999):03}")}
        if kind == "order":
            value["status"] = lambda: random.choice(("Planned", "Released", "Released", "Invoiced"))
            value["customer"] = lambda: f"C-{random.randint(1, self.manners.records)}"
        chosen = [*value] if whole else random.sample([*value], random.choice((1, 1, 2)))
        if whole:
            chosen = [name for name in chosen if name in ("name", "status", "customer") or random.random() < 0.6]
        drawn = {name: value[name]() for name in chosen}
        if not whole and random.random() < 0.15:
            drawn |= {name: None for name in drawn if name not in ("name", "status", "customer")}
        return drawn

    def perform(self, step: Step) -> None:
        match step:
            case Enter():
                if self._find(step.side, step.kind, step.number) is None and self._may_come(step):
                    self.systems[step.side].put(self._entity(step.side, step.kind, {"number": step.number, **step.fields}))
            case Edit():
                if (row := self._find(step.side, step.kind, step.number)) is not None:
                    changes = self._entity(step.side, step.kind, step.fields)
                    self.systems[step.side].store(merged(row.entity, changes), by_us=False, over=row.id)
            case Delete():
                if (row := self._find(step.side, step.kind, step.number)) is not None:
                    self.systems[step.side].remove(row, by_us=False)
            case Storm():
                self.systems[step.side].storms.append((Random(step.seed), step.calls, step.rate))
            case Stumble():
                self.systems[step.side].stumble(step.number, step.outcome)
            case Expire():
                self.systems[step.side].expire_tokens()
            case Race():
                edit = Edit(side=step.side, kind=step.kind, number=step.number, fields=step.fields)
                self.systems[step.side].races[step.number] = partial(self.perform, edit)
            case LoseWrite():
                self.systems[step.side].loses_write = True
            case Lapse():
                self.systems[step.side].channels.clear()
            case Blind():
                self._hide(self.systems[step.side], step)
            case Forge():
                station = self.systems[step.side]
                for channel in station.channels.values():
                    forged = msgspec.structs.replace(channel, secret="guessed")
                    for row in station.rows.values():
                        self.forgeries.append(delivery(forged, row.kind, [row.id], event=f"forged {len(self.forgeries)}"))
            case _:
                raise TypeError(f"{self.name} cannot do this: {step}")

    def _hide(self, station: Station, step: Blind) -> None:
        """Few records are hidden once a story, for one run: what is missing from two sweeps may be taken as deleted.

        Very many are hidden for as long as the step says.
        """
        accounts = [row.id for row in station.living("account")]
        if step.runs > 1 and step.share == 1 and len(self.systems["right"].living("account")) >= MANY_LEAST:
            station.hidden, self._blind = set(accounts), step.runs
        elif not self._hid:
            self._hid = True
            station.hidden = {one for place, one in enumerate(station.rows) if place % step.share == 0}
            self._blind = 1

    def deliveries(self, side: Side) -> list[NoticeRequest]:
        waiting = self.systems[side].deliveries[:]
        self.systems[side].deliveries.clear()
        return waiting

    def ran(self) -> None:
        self._blind -= 1
        if self._blind <= 0:
            self.sees_again()

    def sees_again(self) -> None:
        for station in self.systems.values():
            station.hidden.clear()

    def calm(self) -> None:
        for station in self.systems.values():
            station.calm()

    def _find(self, side: Side, kind: Kind, number: str) -> Row | None:
        """The oldest living record of the number."""
        rows = (row for row in self.systems[side].living(kind) if row.entity.number == number)
        return next(rows, None)

    def _may_come(self, step: Enter) -> bool:
        """Where keys are not unique over there, nobody could tell that a number that comes again means the same record."""
        used = any(row.entity.number == step.number for row in self.systems[step.side].rows.values())
        return self.manners.upserts or not used

    def _entity(self, side: Side, kind: Kind, fields: Mapping[str, Any]) -> Entity:
        values: dict[str, Any] = {}
        for path, value in fields.items():
            head, _, rest = path.partition(".")
            if head == "extra":
                values[head] = Extra({rest: value})
            elif head == "billing":
                values[head] = Address(**{rest: value})
            elif head == "customer":
                row = self._find(side, "account", value)
                values[head] = Ref("account", row.id if row is not None else f"missing {value}")
            else:
                values[head] = Money(value, "EUR") if isinstance(value, Decimal) else value
        make: Callable[..., Entity] = ENTITIES[kind]
        return make(**values)

    # What stands

    def stands(self, side: Side, kind: Kind) -> list[Stands]:
        station = self.systems[side]
        return [
            Stands(
                id=row.id,
                kind=kind,
                number=str(row.entity.number),
                fields=station.told(row.entity),
                parents=[(ref.kind, ref.key) for ref in refs_of(row.entity)],
            )
            for row in station.rows.values()
            if row.kind == kind and not row.gone
        ]

    def wanted(self, flow: Flow, fields: Fields) -> Fields | None:
        if flow.name == "customers":
            return fields
        if fields.get("status") == "Planned":
            return None
        told = {path: value for path, value in fields.items() if path in ("number", "name", "description", "extra.cost_center")}
        told |= {
            "name": fields.get("name") or fields["number"],
            "order_number": fields["number"],
            "stage": fields.get("status"),
        }
        told |= {"amount": fields["total"]} if "total" in fields else {}
        return told | ({"account": fields["customer"]} if "customer" in fields else {})

    def refused(self, flow: Flow, wanted: Fields) -> bool:
        return str(wanted.get("name")).lstrip().lower().startswith("poison")

    def follows(self, side: Side, kind: Kind) -> bool:
        return (self.manners.left if side == "left" else self.manners.right) == "feed"

    def tells(self, side: Side, kind: Kind, path: str) -> bool:
        return True

    def habit(self, side: Side, path: str, value: Any) -> Any:
        return self.systems[side].habits.stored(path, value)


def memory_pair(random: Random) -> Made:
    """The pair at its beginning, with what stands at the source."""
    pair = MemoryPair(random)
    manners, hazards = pair.manners, [*HAZARDS]
    hazards += ["blind"] * 6 if manners.records == MANY else []
    hazards += ["meanwhile"] * 4 if manners.left == "feed" and manners.open_ended else []
    hazards += ["notice"] * 4 if manners.right == "sweep" else []
    return Made(pair, pair.opening(random), hazards)
