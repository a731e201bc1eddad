"""A whole engine in one process: two made-up systems, a memory for state, a clock that tests own."""

import itertools
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from ml_connector.domain import Account, Deal, Kind, Money, Order, Ref
from ml_connector.flows import Assignment, Flow
from ml_connector.ports.state import AuditEntry, Link, Run
from ml_connector.sync.passage import Ends, Station, World
from ml_connector.testing import ManualClock, MemoryState, MemorySystem, SilentTelemetry, memory_connection
from ml_connector.use_cases.run_flow import run_flow

CUSTOMERS = Flow(name="customers", left="erp", right="crm", entity="account", target="account", signature="1")
ORDERS = Flow(
    name="orders",
    left="erp",
    right="crm",
    entity="order",
    target="deal",
    after=("customers",),
    sets=(Assignment("stage", lambda data: data["status"], "status"),),
    signature="1",
)


class Engine:
    """``erp`` and ``crm`` are the systems; ``run`` runs one flow as a runner would."""

    def __init__(self, style: Literal["feed", "sweep"] = "sweep", *flows: Flow, **crm: Any) -> None:
        self.clock = ManualClock()
        self.state = MemoryState(self.clock)
        self.telemetry = SilentTelemetry()
        self.erp, self.crm = MemorySystem(self.clock), MemorySystem(self.clock, **crm)
        self.flows = flows or (CUSTOMERS, ORDERS)
        self._ids = itertools.count(1)
        self.left = memory_connection(self.erp, style=style)
        self.right = memory_connection(self.crm, style="feed")
        self.world = self.process("runner")

    def process(self, owner: str) -> World:
        return World(
            state=self.state,
            clock=self.clock,
            telemetry=self.telemetry,
            new_id=lambda: f"id{next(self._ids)}",
            owner=owner,
            flows=self.flows,
        )

    def ends(self, flow: Flow) -> Ends:
        left, right = self.left, self.right
        return Ends(
            left=Station(source=left.sources[flow.entity], sink=left.sinks[flow.entity] if flow.two_way else None),
            right=Station(source=right.sources[flow.target], sink=right.sinks[flow.target]),
        )

    async def run(self, flow: Flow = CUSTOMERS, **options: Any) -> Run:
        self.clock_on()
        return await run_flow(flow, self.ends(flow), self.world, **options)

    def clock_on(self, seconds: float = 60) -> None:
        self.clock.advance(seconds)

    async def both(self) -> tuple[Run, Run]:
        return await self.run(CUSTOMERS), await self.run(ORDERS)

    # what a person would look at

    def there(self, kind: Kind = "account") -> dict[str, Any]:
        """What the CRM holds, by business number."""
        return {str(entity.number): entity for entity in self.crm.records(kind).values()}

    def id_there(self, number: str, kind: Kind = "account") -> str:
        return next(key for key, entity in self.crm.records(kind).items() if entity.number == number)

    async def link(self, number: str, flow: Flow = CUSTOMERS) -> Link:
        [link] = await self.state.links.by_number(number, flow.name)
        return link

    async def audit(self, choose: Callable[[AuditEntry], bool] = lambda entry: True) -> list[AuditEntry]:
        return [record.entry async for record in self.state.ledger.entries() if choose(record.entry)]


def customer(number: str = "C-100", **fields: Any) -> Account:
    return Account(number=number, **{"name": f"Acme {number}", "phone": "+46 8 1", **fields})


def order(number: str = "10042", customer_id: str = "C-100", **fields: Any) -> Order:
    from decimal import Decimal

    return Order(
        number=number,
        **{"customer": Ref("account", customer_id), "status": "Released", "total": Money(Decimal("75.00"), "EUR"), **fields},
    )


def changed(flow: Flow, **changes: Any) -> Flow:
    return msgspec.structs.replace(flow, **changes)


__all__ = ["CUSTOMERS", "ORDERS", "Account", "Deal", "Engine", "changed", "customer", "order"]
