"""What every connection promises when the line or the vendor fails while reading."""

import pytest

from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken, RetryLater
from ml_connector_contract_tests.stage import Contract, Stage, text_of

REFUSED = (AuthRejected, ContractBroken, RetryLater)
"""What an unreadable answer may end in: some vendors' web page is a login."""


class ErrorsContract(Contract):
    """Reads are repeated, an outage is told as one, and nothing made up ever comes back."""

    async def test_a_server_error_while_reading_is_repeated(self, stage: Stage) -> None:
        """A hiccup costs a moment, not a run."""
        await stage.probe()
        stage.break_next_call("read")
        assert await stage.probe()

    async def test_an_answer_lost_while_reading_is_repeated(self, stage: Stage) -> None:
        """Reading twice does no more than reading once."""
        await stage.probe()
        stage.lose_next_answer("read", after=True)
        assert await stage.probe()

    async def test_an_outage_that_lasts_is_told_as_one(self, stage: Stage) -> None:
        """It may work later: RetryLater, after a bounded number of tries, with pauses between them."""
        await stage.probe()
        before, start = stage.calls(), stage.clock.now()
        stage.break_next_call("read", times=99)
        with pytest.raises(RetryLater):
            await stage.probe()
        stage.calm()
        assert 2 <= stage.calls() - before <= 10
        assert stage.clock.now() > start

    async def test_a_line_that_stays_dead_is_told_as_an_outage(self, stage: Stage) -> None:
        """No answer at all is an outage too, not a defect of ours."""
        await stage.probe()
        stage.lose_next_answer("read", after=False, times=99)
        with pytest.raises(RetryLater):
            await stage.probe()
        stage.calm()

    async def test_a_web_page_instead_of_data_is_never_taken_for_an_empty_answer(self, stage: Stage) -> None:
        """A proxy's or a login's page with status 200 is refused or asked for again; "no such record" would be a lie."""
        one = (await stage.probe())[0].id
        stage.garble_next_answer("read")
        try:
            records = await stage.source.fetch([one])
        except REFUSED:
            return
        assert [text_of(stage, record) for record in records] == [stage.title(1)]

    async def test_web_pages_that_keep_coming_are_an_error(self, stage: Stage) -> None:
        """Whoever repeats an unreadable answer gives up in the end, aloud."""
        await stage.probe()
        stage.garble_next_answer("read", times=99)
        with pytest.raises(REFUSED):
            await stage.probe()
        stage.calm()

    async def test_an_error_says_where_and_what(self, stage: Stage) -> None:
        """With three connections in a workspace a person must see which one it was."""
        await stage.probe()
        stage.break_next_call("read", times=99)
        with pytest.raises(ConnectorError) as caught:
            await stage.probe()
        stage.calm()
        assert caught.value.what
        assert caught.value.where

    async def test_after_an_outage_the_same_connection_works_again(self, stage: Stage) -> None:
        """Nothing stays broken behind a failure: no lock held, no slot lost."""
        await stage.probe()
        for _ in range(stage.concurrency + 1):
            stage.break_next_call("read", times=99)
            with pytest.raises(RetryLater):
                await stage.probe()
            stage.calm()
        assert await stage.probe()
