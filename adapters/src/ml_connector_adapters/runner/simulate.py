"""``ml-connector simulate``: the seeded simulation of two made-up systems, or of any two that ship twins and a recipe."""

import asyncio
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
from rich.console import Console

from ml_connector.domain import Kind, Side
from ml_connector.errors import ConfigError
from ml_connector.flows import Flow
from ml_connector.ports.notices import NoticeRequest
from ml_connector.simulation import Made, Make, Verdict, memory_pair, shortest, verdict_on
from ml_connector.simulation.loop import VirtualClock, play
from ml_connector.simulation.pair import PERSON, Deed, Fields, Stands
from ml_connector.simulation.process import Process, ProcessClock, ProcessTokens
from ml_connector.simulation.story import Expire, LoseWrite, Step, Stir, Storm
from ml_connector.system import Connection
from ml_connector.testing import MemoryHost, MemorySecrets, MemoryTokens
from ml_connector.twin import Fault, Twin
from ml_connector.use_cases.preflight import preflight
from ml_connector_adapters.config import Workspace, load
from ml_connector_adapters.http import client as http_client
from ml_connector_adapters.http.twins import answer
from ml_connector_adapters.plugins import discover
from ml_connector_adapters.runner.demo import write_config
from ml_connector_adapters.runner.twins import make_twin

MEMORY: Final = "memory:memory"
say: Final = Console(stderr=True, highlight=False)
tell: Final = Console(highlight=False, soft_wrap=True, markup=False)

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
URLS: Final[Mapping[Side, str]] = {"left": "http://127.0.0.1:1", "right": "http://127.0.0.1:2"}
MOMENT: Final = timedelta(seconds=2)
FAULTS: Final = (
    Fault("status", status=429, retry_after="2"),
    Fault("status", status=429),
    Fault("status", status=500),
    Fault("lost_before"),
    Fault("lost_after"),
    Fault("lost_after"),
    Fault("expire_tokens"),
)


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
    left, _, right = pair.partition(":")
    systems = discover().systems
    recipe = systems[left].recipes.get(right) if left in systems else None
    if recipe is None:
        raise ConfigError(
            f'"{pair}" cannot be simulated', fix=f"Take {MEMORY}, or a pair that has a recipe: ml-connector systems"
        )
    workspace = _workspace((left, right), recipe)
    stages: Mapping[str, str] = tomllib.loads(recipe)["tables"]["order_stage"]

    def made(random: Random) -> Made:
        erp, crm = systems[left].twin, systems[right].twin
        assert erp is not None
        assert crm is not None
        return Made(TwinPair(pair, erp(), crm(), workspace, stages, random), [], HAZARDS)

    return made


class _Door(httpx.AsyncBaseTransport):
    """One process's way to a twin: where it dies, and where what came of each request is written down."""

    def __init__(self, pair: "TwinPair", side: Side, process: Process) -> None:
        self._pair, self._side, self._process = pair, side, process

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._process.touch(on_the_wire=True)
        await asyncio.sleep(self._pair.settles_in(self._side))
        told = len(self._pair.deeds)
        try:
            response = await answer(self._pair.twins[self._side], request)
        finally:
            if request.method != "GET":
                self._pair.note(self._side, self._process.name)
        await self._process.touch(on_the_wire=True, wrote=len(self._pair.deeds) > told)
        return response


@contextmanager
def _jitter(seed: int) -> Iterator[None]:
    """Clients made meanwhile draw their back-off from the seed: a story must be the same whenever it is played."""
    drawn = http_client.Random  # type: ignore[attr-defined]
    http_client.Random = partial(Random, seed)  # type: ignore[attr-defined, assignment]
    try:
        yield
    finally:
        http_client.Random = drawn  # type: ignore[attr-defined]


class TwinPair:
    """An ERP's twin and a CRM's, connected by the recipe that the ERP's plugin ships; records are told by their numbers."""

    def __init__(
        self, name: str, erp: Twin, crm: Twin, workspace: Workspace, stages: Mapping[str, str], random: Random
    ) -> None:
        self.name = name
        self.twins: dict[Side, Twin] = {"left": erp, "right": crm}
        self.deeds: list[Deed] = []
        self.breaches: list[str] = []
        self.forgeries: list[NoticeRequest] = []
        self.stumbled: set[tuple[Kind, str]] = set()
        self._records, self._seed = random.randint(2, 4), random.randrange(10**6)
        self._workspace, self._stages = workspace, stages
        self.flows: Sequence[Flow] = self._workspace.flows
        self._names: dict[Side, str] = {"left": self.flows[0].left, "right": self.flows[0].right}
        self._tokens: dict[Side, MemoryTokens] = {"left": MemoryTokens(), "right": MemoryTokens()}
        self._edited: dict[Side, datetime] = {}
        self._seen: dict[Side, dict[tuple[Kind, str], list[tuple[str, Fields]]]] = {"left": {}, "right": {}}
        for side, twin in self.twins.items():
            twin.settings(URLS[side])  # a twin answers under the address that it gave
            twin.clock.follow(VirtualClock().now)
        play(self._prepare())

    async def _prepare(self) -> None:
        """What ``ping --fix`` does once."""
        self.twins["left"].fill(self._records, self._records + 1, seed=self._seed)
        self.note("left", PERSON)
        for name, connection in self.connect(Process("setup")).items():
            assert connection.fitness is not None
            await preflight(name, connection.fitness, self.flows, repair=True)
            await connection.close()

    @property
    def setting(self) -> str:
        return f"{self._records} accounts, {self._records + 1} orders (seed {self._seed})"

    @property
    def canaries(self) -> Sequence[str]:
        return [value for twin in self.twins.values() for value in twin.secrets().values()]

    def connect(self, process: Process) -> Mapping[str, Connection]:
        return {self._names[side]: self._connection(side, process) for side in self.twins}

    def _connection(self, side: Side, process: Process) -> Connection:
        configured = self._workspace.connections[self._names[side]]
        host = MemoryHost(
            connection=self._names[side],
            clock=ProcessClock(VirtualClock(), process, on_the_wire=True),
            secrets=MemorySecrets(self.twins[side].secrets()),
            tokens=ProcessTokens(self._tokens[side], process),
            transport=_Door(self, side, process),
        )
        with _jitter(self._seed):
            return configured.system.connect(configured.settings, host)

    def draws(self, random: Random) -> Step:
        if random.random() < 0.2:
            kind: Kind = random.choice(("account", "deal"))
            return Stir(side="right", kind=kind, count=1, seed=random.randrange(10**6))
        kind = random.choice(("account", "order"))
        return Stir(side="left", kind=kind, count=random.randint(1, 2), seed=random.randrange(10**6))

    def perform(self, step: Step) -> None:
        match step:
            case Stir():
                self._stir(step)
            case Storm():
                self.twins[step.side].faults.storm(step.seed, step.rate / 2, FAULTS)
            case Expire():
                self.twins[step.side].faults.add(Fault("expire_tokens"))
            case LoseWrite():
                self.twins[step.side].faults.add(Fault("lost_after", method="POST"))
            case _:
                raise TypeError(f"{self.name} cannot do this: {step}")

    def _stir(self, step: Stir) -> None:
        """Vendors' times know whole seconds: an edit in the second of our own write is one that nobody can tell from it."""
        now, twin = VirtualClock().now(), self.twins[step.side]
        ours = [deed.at for deed in self.deeds if deed.side == step.side and deed.author != PERSON]
        if ours and now - ours[-1] < MOMENT:
            return
        twin.edit(step.kind, min(step.count, sum(1 for _ in twin.facts(step.kind))), seed=step.seed)
        self.note(step.side, PERSON)
        self._edited[step.side] = now

    def settles_in(self, side: Side) -> float:
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

    def note(self, side: Side, author: str) -> None:
        """Write down what differs from the last look."""
        now: dict[tuple[Kind, str], list[tuple[str, Fields]]] = {}
        kinds: tuple[Kind, ...] = tuple(flow.kind(side) for flow in self.flows)
        for kind in kinds:
            for number, facts in self.twins[side].facts(kind):
                now.setdefault((kind, number), []).append(
                    (str(facts.get("id", number)), {"number": number, **_told(side, kind, facts)})
                )
        before, self._seen[side] = self._seen[side], now
        at = VirtualClock().now()
        for place, rows in now.items():
            was = before.get(place, [])
            for index, (one, fields) in enumerate(rows):
                earlier = was[index][1] if index < len(was) else None
                if fields != earlier:
                    self.deeds.append(
                        Deed(
                            at=at,
                            side=side,
                            author=author,
                            kind=place[0],
                            id=one,
                            number=place[1],
                            before=earlier,
                            asked=fields,
                            after=fields,
                        )
                    )

    def stands(self, side: Side, kind: Kind) -> list[Stands]:
        return [
            Stands(
                id=one,
                kind=kind,
                number=number,
                fields=fields,
                parents=[("account", str(fields["customer"]))] if kind == "order" and fields.get("customer") else [],
            )
            for (there, number), rows in self._seen[side].items()
            if there == kind
            for one, fields in rows
        ]

    def wanted(self, flow: Flow, fields: Fields) -> Fields | None:
        """By rules written down here and not taken from the engine."""
        if flow.entity == "account" and fields.get("category") != "Customer":
            return None
        held = next((rows[0][1] for (kind, _), rows in self._seen["right"].items() if kind == flow.target), {})
        return {path: value for path, value in self._asked(flow, fields).items() if path in held or path == "number"}

    def _asked(self, flow: Flow, fields: Fields) -> Fields:
        if flow.entity == "account":
            return {**fields, "extra.Tax_ID": fields.get("tax_id"), "extra.Payment_Terms": fields.get("payment_terms")}
        return {
            "number": fields["number"],
            "amount": fields.get("amount"),
            "account": fields.get("customer"),
            "closing_on": fields.get("wanted_on"),
            "stage": self._stages.get(str(fields.get("status"))) or self._stages["InFulfilment"],
            "extra.Region": fields.get("region"),
            "customer_reference": fields.get("customer_reference"),
        }

    def tells(self, side: Side, kind: Kind, path: str) -> bool:
        return side == "left" or any(
            path in fields for (one, _), rows in self._seen[side].items() if one == kind for _, fields in rows
        )

    def refused(self, flow: Flow, wanted: Fields) -> bool:
        return False

    def follows(self, side: Side, kind: Kind) -> bool:
        return True

    def habit(self, side: Side, path: str, value: Any) -> Any:
        if isinstance(value, str):
            return value.strip()
        return value.quantize(Decimal("0.01"), ROUND_HALF_UP) if isinstance(value, Decimal) else value


NAMES: Final = {
    "Tax_ID": "extra.Tax_ID",
    "Payment_Terms": "extra.Payment_Terms",
    "Region": "extra.Region",
    "Customer_Reference": "customer_reference",
}
"""What the recipes' target fields are called in canonical terms."""
RIGHT: Final[Mapping[str, tuple[str, ...]]] = {
    "account": ("name", "phone", "fax", "website", "billing.", "shipping.", "Tax_ID", "Payment_Terms"),
    "deal": ("amount", "stage", "account", "closing_on", "Region", "Customer_Reference"),
}
"""What is compared of a record on the written side: what the recipes write."""


def _told(side: Side, kind: Kind, facts: Mapping[str, object]) -> dict[str, Any]:
    if side == "left":
        return {path: value for path, value in facts.items() if path != "lines"}  # their sum is among the facts
    return {NAMES.get(path, path): value for path, value in facts.items() if path.startswith(RIGHT[kind])}


def _workspace(systems: tuple[str, str], recipe: str) -> Workspace:
    """The recipe's flows, between addresses where nobody listens: the twins are asked in process."""
    twins = {system: (make_twin(system), url) for system, url in zip(systems, URLS.values(), strict=True)}
    with tempfile.TemporaryDirectory() as home:
        write_config(Path(home), recipe, twins)
        return load(Path(home) / "ml-connector.toml", discover().systems)[0]
