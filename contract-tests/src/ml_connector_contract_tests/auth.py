"""What every connection promises about tokens and credentials."""

import asyncio

import pytest

from ml_connector.errors import AuthRejected, ConnectorError
from ml_connector.ports.source import Sweep
from ml_connector_contract_tests.stage import Contract, Stage, records, stubs

TOGETHER = 20


class AuthContract(Contract):
    """One token, shared; renewed once; and no secret in sight."""

    async def test_one_token_serves_many_calls(self, stage: Stage) -> None:
        """A token per call would use up the vendor's mint budget."""
        for _ in range(3):
            await stage.probe()
        assert stage.mints() == 1

    async def test_twenty_calls_at_once_mint_one_token(self, stage: Stage) -> None:
        """The first to need a token gets it for all."""
        stage.needs("entering")
        ids = [stage.put_as_person(n) for n in range(TOGETHER)]
        await asyncio.gather(*(stage.source.fetch([one]) for one in ids))
        assert stage.mints() == 1

    async def test_a_token_past_its_time_is_replaced_before_it_is_refused(self, stage: Stage) -> None:
        """Time alone does not make a call fail."""
        stage.needs("expiring")
        await stage.probe()
        stage.clock.advance(stage.token_life_s + 1)
        assert await stage.probe()
        assert stage.mints() == 2

    async def test_a_token_that_the_vendor_forgot_is_renewed_once_and_the_call_repeated(self, stage: Stage) -> None:
        """A refusal in flight costs one new token and nothing else."""
        stage.needs("expiring")
        await stage.probe()
        stage.expire_tokens()
        assert await stage.probe()
        assert stage.mints() == 2

    async def test_twenty_calls_refused_at_once_mint_one_token(self, stage: Stage) -> None:
        """Whoever is refused first renews; the others find the new token."""
        stage.needs("expiring", "entering")
        ids = [stage.put_as_person(n) for n in range(TOGETHER)]
        await stage.source.fetch(ids[:1])
        stage.expire_tokens()
        answers = await asyncio.gather(*(stage.source.fetch([one]) for one in ids))
        assert [record.id for [record] in answers] == ids
        assert stage.mints() == 2

    async def test_a_restart_uses_the_token_that_is_there(self, stage: Stage) -> None:
        """Tokens outlive the process that minted them."""
        await stage.probe()
        again = stage.connect()
        one = (await stage.probe())[0].id
        assert [record.id for record in await again.sources[stage.kind].fetch([one])] == [one]
        await again.close()
        assert stage.mints() == 1

    async def test_withdrawn_access_says_what_a_person_must_do(self, stage: Stage) -> None:
        """The connection pauses with advice, instead of failing record by record."""
        stage.needs("revoking")
        await stage.probe()
        stage.revoke_access()
        with pytest.raises(AuthRejected) as caught:
            await stage.probe()
        assert caught.value.fix
        assert caught.value.where

    async def test_withdrawn_access_is_not_asked_for_again_and_again(self, stage: Stage) -> None:
        """Hammering a login gets accounts locked."""
        stage.needs("revoking")
        await stage.probe()
        stage.revoke_access()
        mints, calls = stage.mints(), stage.calls()
        with pytest.raises(AuthRejected):
            await stage.probe()
        assert stage.mints() - mints <= 2
        assert stage.calls() - calls <= 4

    async def test_no_secret_shows_in_the_error_that_refused_it(self, stage: Stage) -> None:
        """Errors end up in logs, audits and tickets, with everything that caused them."""
        stage.needs("revoking")
        await stage.probe()
        secrets = list(stage.secrets())
        stage.revoke_access()
        with pytest.raises(AuthRejected) as caught:
            await stage.probe()
        error: BaseException | None = caught.value
        while error is not None:
            told = f"{error!s} {error!r} {vars(error)}"
            assert [secret for secret in secrets if secret in told] == []
            error = error.__cause__ or error.__context__

    async def test_no_secret_shows_in_what_the_connection_shows_of_itself(self, stage: Stage) -> None:
        """A repr in a traceback or a debugger's window gives nothing away."""
        await stage.probe()
        parts = [stage.connection, stage.source, *stage.connection.sinks.values()]
        told = " ".join(repr(part) for part in parts)
        assert [secret for secret in stage.secrets() if secret in told] == []

    async def test_a_redirect_to_another_host_gets_no_token(self, stage: Stage) -> None:
        """A host that is not the vendor's is not talked to, whoever names it."""
        stage.needs("redirects")
        await stage.probe()
        stage.redirect_next_call()
        with pytest.raises(ConnectorError):
            await stage.probe()
        assert list(stage.abroad()) == []

    async def test_a_next_page_on_another_host_gets_no_token(self, stage: Stage) -> None:
        """Links in answers are followed only to hosts that are allowed for the connection."""
        stage.needs("foreign links")
        stage.put_many()
        stage.link_abroad()
        with pytest.raises(ConnectorError):
            await self._read_all(stage)
        assert list(stage.abroad()) == []

    async def _read_all(self, stage: Stage) -> None:
        if isinstance(stage.source, Sweep):
            await stubs(stage.sweep)
        else:
            await records(stage.feed, None)
