"""A killed process does nothing more, a frozen one nothing meanwhile; and nobody waits for the clock."""

import asyncio
import time

import pytest

from ml_connector.simulation.loop import VirtualClock, play
from ml_connector.simulation.process import Hangs, Killed, Process, ProcessClock


def test_a_week_passes_in_no_time() -> None:
    async def week() -> float:
        await asyncio.sleep(7 * 24 * 3600)
        return VirtualClock().monotonic()

    began = time.monotonic()
    assert play(week()) == 7 * 24 * 3600
    assert time.monotonic() - began < 1


def test_who_waits_for_what_cannot_come_is_told_so() -> None:
    async def forever() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="nobody will do"):
        play(forever())


def test_a_process_dies_where_it_touches_the_world_and_does_nothing_on_its_way_out() -> None:
    process, done = Process("doomed"), list[str]()

    async def work() -> None:
        try:
            for place in range(10):
                await process.touch()
                done.append(f"step {place}")
        finally:
            await process.touch()
            done.append("cleaned up")

    async def story() -> BaseException | None:
        process.dies_at = 3
        return await process.wait(process.start(work()))

    assert isinstance(play(story()), Killed)
    assert done == ["step 0", "step 1"]


@pytest.mark.parametrize(("after", "kept"), [(False, ["1"]), (True, ["1", "2"])])
def test_a_process_dies_in_a_commit_before_or_after_it_took_effect(after: bool, kept: list[str]) -> None:
    process, rows = Process("doomed"), list[str]()

    async def work() -> None:
        for row in ("1", "2", "3"):

            async def write(row: str = row) -> None:
                rows.append(row)

            await process.commit(write)

    async def story() -> BaseException | None:
        process.dies_in_commit = (2, after)
        return await process.wait(process.start(work()))

    assert isinstance(play(story()), Killed)
    assert rows == kept


def test_a_frozen_process_with_all_its_tasks_stands_still_until_it_is_thawed() -> None:
    process, done = Process("frozen"), list[str]()

    async def beat() -> None:
        while True:
            await ProcessClock(VirtualClock(), process).sleep(20)
            done.append("beat")

    async def work() -> None:
        heart = asyncio.create_task(beat())
        for place in range(3):
            await process.touch()
            done.append(f"step {place}")
        heart.cancel()

    async def story() -> None:
        process.freezes_at = 2
        main = process.start(work())
        await process.until_frozen(main)
        await asyncio.sleep(90)
        assert done == ["step 0"]
        process.thaw()
        assert await process.wait(main) is None

    play(story())
    assert done[-1] == "step 2"


def test_a_run_that_never_ends_is_found() -> None:
    process = Process("stuck")

    async def work() -> None:
        await asyncio.Event().wait()

    async def story() -> None:
        await process.wait(process.start(work()))

    with pytest.raises(Hangs):
        play(story())
