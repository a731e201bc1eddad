"""A record that its source says must wait is parked with the source's word for it, and let go when its version moves."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import msgspec
from engine import Engine, customer

from ml_connector.domain import Account, Hold, Record, Stub
from ml_connector.ports.source import Sweep
from ml_connector.system import Connection

RECEIPT = Hold(code="awaiting_receipt", reason="nothing was received on its order yet", fix="Post the receipt")


class Waiting:
    """A sweep of a system in which customers without a phone wait."""

    def __init__(self, inner: Sweep) -> None:
        self._inner = inner
        self.full_every: timedelta | None = None

    async def fetch(self, ids: Sequence[str]) -> list[Record]:
        return [self._held(record) for record in await self._inner.fetch(ids)]

    async def stubs(self, *, rows: bool) -> AsyncIterator[Sequence[Stub]]:
        async for stubs in self._inner.stubs(rows=rows):
            yield [
                msgspec.structs.replace(stub, record=self._held(stub.record)) if stub.record is not None else stub
                for stub in stubs
            ]

    def _held(self, record: Record) -> Record:
        waits = isinstance(record.entity, Account) and not record.entity.phone
        return msgspec.structs.replace(record, hold=RECEIPT) if waits else record


def waiting_engine() -> Engine:
    engine = Engine("sweep")
    inner = engine.left.sources["account"]
    assert isinstance(inner, Sweep)
    engine.left = Connection(sources={"account": Waiting(inner)}, sinks=engine.left.sinks, close=engine.left.close)
    return engine


async def test_what_waits_is_parked_under_its_own_name_and_not_written() -> None:
    engine = waiting_engine()
    engine.erp.put(customer("C-1"))
    engine.erp.put(customer("C-2", phone=None))
    run = await engine.run()
    assert (run.counts.written, run.counts.parked, run.outcome) == (1, 1, "attention")
    link = await engine.link("C-2")
    assert link.standing == "parked"
    assert link.trouble is not None
    assert (link.trouble.code, link.trouble.reason, link.trouble.fix) == (RECEIPT.code, RECEIPT.reason, RECEIPT.fix)
    assert set(engine.there()) == {"C-1"}


async def test_what_waited_is_written_once_it_may_go() -> None:
    engine = waiting_engine()
    one = engine.erp.put(customer("C-2", phone=None))
    await engine.run()
    assert (await engine.run()).counts.parked == 1  # still waiting, and still told
    engine.erp.edit_as_person("account", one, phone="+46 8 1")
    run = await engine.run()
    assert (run.counts.written, run.outcome) == (1, "green")
    assert (await engine.link("C-2")).trouble is None


async def test_what_stands_there_already_stays_as_it_is_while_its_successor_waits() -> None:
    engine = waiting_engine()
    one = engine.erp.put(customer("C-2"))
    await engine.run()
    engine.erp.edit_as_person("account", one, phone=None, name="Acme Holding")
    assert (await engine.run()).counts.parked == 1
    assert engine.there()["C-2"].name == "Acme C-2"
