"""Documents whose lines take a call each: a process that died among them is followed by one that brings the rest, once."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from engine import CUSTOMERS, Engine, customer

from ml_connector.domain import Line, Order, Ref
from ml_connector.flows import Flow
from ml_connector.ports.sink import Create, Unknown
from ml_connector.sync import content
from ml_connector.testing.connection import MemorySink

SALES = Flow(name="sales", left="erp", right="crm", entity="order", target="order", after=("customers",), signature="1")


class Died(BaseException):
    """The process is gone."""


def lines(*keys: str) -> tuple[Line, ...]:
    return tuple(Line(key=key, sku=f"P-{n}", quantity=Decimal(n)) for n, key in enumerate(keys, 1))


async def cut_off(flow: Flow, stands: tuple[Line, ...]) -> Engine:
    """An order with three lines, of which ``stands`` had been written when the process died."""
    engine = Engine("feed", CUSTOMERS, flow)
    buyer = engine.erp.put(customer())
    await engine.run()
    engine.erp.put(Order(number="10042", customer=Ref("account", buyer), lines=lines("a", "b", "c")))
    sink = engine.right.sinks["order"]
    assert isinstance(sink, MemorySink)
    whole, sink._limits = sink.write, msgspec.structs.replace(sink.limits, in_steps=True)

    async def part(writes: Any) -> Any:
        [create] = writes
        assert isinstance(create, Create)
        engine.crm.store(msgspec.structs.replace(create.entity, lines=stands), by_us=False)
        raise Died

    sink.write = part
    with pytest.raises((Died, BaseExceptionGroup)):
        await engine.run(flow)
    sink.write = whole
    engine.clock_on(4000)
    return engine


@pytest.mark.parametrize("written", [0, 1, 2])
@pytest.mark.parametrize("writes", ["create", "create+update"])
async def test_an_order_that_was_cut_off_among_its_lines_is_completed_by_the_next_run(writes: Any, written: int) -> None:
    flow = msgspec.structs.replace(SALES, writes=writes)
    engine = await cut_off(flow, lines("1", "2", "3")[:written])  # under keys of the vendor's own
    assert (await engine.run(flow)).outcome == "green"
    [order] = engine.crm.records("order").values()
    assert [line.sku for line in order.lines or ()] == ["P-1", "P-2", "P-3"]
    run = await engine.run(flow)
    assert (run.counts.written, (await engine.link("10042", flow)).drift) == (0, None)


@pytest.mark.parametrize("writes", ["create", "create+update"])
async def test_an_order_that_was_whole_when_nobody_heard_of_it_is_left_as_it_stands(writes: Any) -> None:
    flow = msgspec.structs.replace(SALES, writes=writes)
    engine = await cut_off(flow, lines("1", "2", "3"))
    before = dict(engine.crm.records("order"))
    await engine.run(flow)
    assert engine.crm.records("order") == before
    assert (await engine.link("10042", flow)).drift is None


async def test_lines_that_somebody_made_others_of_since_are_told_and_left() -> None:
    flow = msgspec.structs.replace(SALES, writes="create")
    engine = await cut_off(flow, (Line(key="1", sku="P-9", quantity=Decimal(9)),))
    await engine.run(flow)
    [order] = engine.crm.records("order").values()
    assert [line.sku for line in order.lines or ()] == ["P-9"]
    assert "lines" in ((await engine.link("10042", flow)).drift or b"").decode()


async def test_that_we_made_it_does_not_prove_that_all_of_it_came() -> None:
    """The vendor says that the last hand was ours: it was, at the first of several calls."""
    engine = Engine("feed", CUSTOMERS)
    engine.erp.put(customer(website="https://acme.example"))
    sink = engine.right.sinks["account"]
    assert isinstance(sink, MemorySink)
    whole, first = sink.write, iter([None])
    sink._limits = msgspec.structs.replace(sink.limits, in_steps=True)

    async def part(writes: Any) -> Any:
        for _ in first:
            engine.crm.store(customer(website=None), by_us=True)
            return [Unknown(reason="the record was written, what follows was not")]
        return await whole(writes)

    sink.write = part
    assert (await engine.run()).outcome == "green"
    assert engine.there()["C-100"].website == "https://acme.example"
    assert (await engine.run()).counts.written == 0


def test_what_is_left_of_lines_that_were_cut_off_is_their_beginning() -> None:
    sent = lines("a", "b", "c")
    assert content.begun(sent, lines("1", "2"))
    assert not content.begun(sent, lines("1", "2", "3"))
    assert not content.begun(sent, sent[1:])
    assert not content.begun(sent, None)
