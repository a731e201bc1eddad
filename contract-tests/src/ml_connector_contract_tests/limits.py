"""What every connection promises about the vendor's limits. Waiting happens on the stage's virtual clock."""

import asyncio

import pytest

from ml_connector.errors import Throttled
from ml_connector.ports.sink import Written
from ml_connector_contract_tests.stage import Contract, Stage

LONG_S = 3600
"""Too long to wait within a run."""


class LimitsContract(Contract):
    """Slow down when told, no more calls at once than allowed."""

    async def test_a_throttled_call_waits_as_told_and_then_succeeds(self, stage: Stage) -> None:
        """Nobody notices a short wait, and the vendor is not asked before it is over."""
        stage.needs("throttling", "telling the wait")
        await stage.probe()
        start = stage.clock.now()
        stage.throttle_next_call(7)
        assert await stage.probe()
        assert 7 <= (stage.clock.now() - start).total_seconds() <= 60

    async def test_a_wait_told_as_a_date_is_understood(self, stage: Stage) -> None:
        """HTTP allows both spellings of Retry-After, and gateways use both."""
        stage.needs("throttling", "telling the wait")
        await stage.probe()
        start = stage.clock.now()
        stage.throttle_next_call(7, as_date=True)
        assert await stage.probe()
        assert 6 <= (stage.clock.now() - start).total_seconds() <= 60

    async def test_a_throttled_call_without_a_hint_backs_off_and_then_succeeds(self, stage: Stage) -> None:
        """Some vendors only say no: time passes between the tries."""
        stage.needs("throttling")
        await stage.probe()
        start = stage.clock.now()
        stage.throttle_next_call(None, times=2)
        assert await stage.probe()
        assert stage.clock.now() > start

    async def test_a_call_throttled_for_long_says_for_how_long(self, stage: Stage) -> None:
        """The run ends and tells its runner when to come back, instead of sitting on its lease."""
        stage.needs("throttling", "telling the wait")
        await stage.probe()
        start = stage.clock.now()
        stage.throttle_next_call(LONG_S)
        with pytest.raises(Throttled) as caught:
            await stage.probe()
        assert caught.value.after_s is not None
        assert LONG_S <= caught.value.after_s <= LONG_S + 60
        assert (stage.clock.now() - start).total_seconds() < 60

    async def test_a_vendor_that_throttles_without_end_is_left_alone(self, stage: Stage) -> None:
        """Tries are bounded; what is raised then is Throttled, not a loop."""
        stage.needs("throttling")
        await stage.probe()
        before = stage.calls()
        stage.throttle_next_call(1, times=99)
        with pytest.raises(Throttled):
            await stage.probe()
        stage.calm()
        assert stage.calls() - before <= 10

    async def test_a_throttled_write_is_written_once(self, stage: Stage) -> None:
        """Throttled means untouched: even a create may be sent again, and it is."""
        stage.needs("throttling")
        if stage.kind not in stage.connection.sinks:
            pytest.skip("the kind is not written")
        stage.throttle_next_call(2, of="write")
        [outcome] = await stage.sink.write([stage.create(1)])
        assert isinstance(outcome, Written)
        assert stage.copies(1) == 1

    async def test_no_more_calls_run_at_once_than_the_vendor_takes(self, stage: Stage) -> None:
        """Twenty tasks of one connection share its few lines, and all are served."""
        stage.needs("concurrency", "entering")
        ids = [stage.put_as_person(n) for n in range(20)]
        stage.dawdle()
        answers = await asyncio.gather(*(stage.source.fetch([one]) for one in ids))
        assert [record.id for [record] in answers] == ids
        assert stage.peak() <= stage.concurrency

    async def test_calls_that_wait_together_are_all_served(self, stage: Stage) -> None:
        """A pause of the connection holds every task and loses none."""
        stage.needs("throttling", "entering")
        ids = [stage.put_as_person(n) for n in range(8)]
        await stage.source.fetch(ids[:1])
        stage.throttle_next_call(3, times=2)
        answers = await asyncio.gather(*(stage.source.fetch([one]) for one in ids))
        assert [record.id for [record] in answers] == ids
