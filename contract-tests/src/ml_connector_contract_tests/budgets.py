"""What a connection promises to a vendor that counts credits by the day: it keeps count, and a reserve for what must pass."""

import asyncio

import pytest

from ml_connector.errors import Throttled
from ml_connector.ports.notices import Callback
from ml_connector.ports.sink import Update, Written
from ml_connector_contract_tests.stage import Contract, Stage

DAY_S = 86_400
PATIENCE_S = 60
MOST_READS = 5000


class BudgetContract(Contract):
    """Daily credits. ``stage.reserve`` of ``stage.budget`` are for writes and notices, as the stage's settings say."""

    async def test_with_the_reserve_alone_left_a_read_is_refused_before_it_leaves(self, stage: Stage) -> None:
        """What can wait waits, and the runner is told for how long."""
        await self._down_to_the_reserve(stage)
        before = stage.calls()
        with pytest.raises(Throttled) as caught:
            await stage.probe()
        assert stage.calls() == before
        assert caught.value.after_s is not None
        assert caught.value.after_s > 0

    async def test_writes_and_notices_pass_from_the_reserve(self, stage: Stage) -> None:
        """An order does not wait for tomorrow because of today's reports. What is looked up for a write is part of it."""
        made = await self._down_to_the_reserve(stage)
        [again] = await stage.sink.write([Update(id=made.id, changes=stage.changes(**{stage.text: "B"}), version=made.version)])
        assert isinstance(again, Written)
        [new] = await stage.sink.write([stage.create(4)])
        assert isinstance(new, Written)
        assert [record.id for record in await stage.find_one(4)] == [new.id]
        if stage.connection.notices is not None:
            callback = Callback(url="https://connector.example/notices/p4thT0ken", secret="s3cret", kinds=(stage.kind,))
            await stage.notices.renew(await stage.notices.subscribe(callback))

    async def test_a_process_that_has_just_begun_writes_from_the_reserve(self, stage: Stage) -> None:
        """What it must know of the vendor before its first write is part of the write."""
        await self._down_to_the_reserve(stage)
        [outcome] = await stage.connect().sinks[stage.kind].write([stage.create(4)])
        assert isinstance(outcome, Written)

    async def test_reads_that_run_at_once_leave_the_reserve_whole(self, stage: Stage) -> None:
        """What is under way is counted at its price before its answer tells: of eight reads the one passes that fits."""
        stage.needs("concurrency")
        await stage.probe()
        before = stage.credits_left()
        await stage.probe()
        cost = before - stage.credits_left()
        assert cost > 0
        stage.leave_credits(stage.reserve + 2 * cost)
        await stage.probe()  # its answer tells what is left
        stage.dawdle()
        ends = await asyncio.gather(*(stage.probe() for _ in range(8)), return_exceptions=True)
        assert [type(end) for end in ends if isinstance(end, BaseException)] == [Throttled] * 7
        assert stage.credits_left() == stage.reserve

    async def test_where_the_vendor_says_nothing_the_own_count_is_the_vendors(self, stage: Stage) -> None:
        """Every call is counted at its price, those that write and those that only get ready among them."""
        stage.needs("counting")
        stage.hush()
        start, price = stage.credits_left(), 0
        for n in range(1, MOST_READS):
            before = stage.credits_left()
            try:
                await stage.probe(1)
                if n % 7 == 0:
                    await stage.sink.write([stage.create(10 + n)])
            except Throttled:
                break
            price = max(price, before - stage.credits_left())
        spent, allowed = start - stage.credits_left(), stage.budget - stage.reserve
        assert allowed - price < spent <= allowed + price

    async def test_a_spent_budget_is_not_asked_again_before_it_is_back(self, stage: Stage) -> None:
        """No pause within a run helps: reads and writes alike are told to come back later, without a call."""
        await stage.probe()
        stage.leave_credits(0)
        before, start = stage.calls(), stage.clock.now()
        with pytest.raises(Throttled) as caught:
            await stage.probe()
        assert stage.calls() - before <= 1
        assert caught.value.after_s is not None
        assert caught.value.after_s >= PATIENCE_S
        asked = stage.calls()
        with pytest.raises(Throttled):
            await stage.probe()
        with pytest.raises(Throttled):
            await stage.sink.write([stage.create(2)])
        assert stage.calls() == asked
        assert (stage.clock.now() - start).total_seconds() < PATIENCE_S
        assert stage.copies(2) == 0
        stage.clock.advance(DAY_S)
        assert await stage.probe()
        [outcome] = await stage.sink.write([stage.create(2)])
        assert isinstance(outcome, Written)

    async def _down_to_the_reserve(self, stage: Stage) -> Written:
        """Other programs have spent the rest, and the answer to a write has told so."""
        await stage.probe()
        [made] = await stage.sink.write([stage.create(2)])
        stage.leave_credits(stage.reserve)
        [made] = await stage.sink.write([stage.create(3)])
        assert isinstance(made, Written)
        assert stage.credits_left() < stage.reserve
        return made
