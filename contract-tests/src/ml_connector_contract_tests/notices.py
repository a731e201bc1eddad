"""What every reader of notices promises: only the vendor gets in, and one channel per callback lives."""

import asyncio
from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest

from ml_connector.domain import Kind
from ml_connector.errors import NoticeRejected
from ml_connector.ports.notices import Callback, Subscription
from ml_connector_contract_tests.stage import Contract, Stage

SECRET = "k7Qm2-canary-9Zt4Vw"
MANY_IDS = 20_000
GARBAGE = (b"", b"{}", b"[]", b"null", b'"text"', b"\xff\xfe\x00", b"<html>502</html>", b'{"ids": {"a": 1}}', b"[" * 5000)


class NoticesContract(Contract):
    """Subscribing, renewing, and reading what comes in."""

    async def test_a_notice_with_the_right_proof_names_every_record(self, stage: Stage) -> None:
        """All ids of a delivery are read, not only the first; a vendor that names one at a time delivers as often."""
        subscription = await self._subscribe(stage)
        ids = [stage.put_as_person(n) for n in (1, 2, 3)]
        requests = stage.notices_of(subscription, ids)
        notices = [notice for request in requests for notice in stage.notices.read(request, subscription)]
        assert [one for notice in notices for one in notice.ids] == ids
        assert {notice.kind for notice in notices} == {stage.kind}

    @pytest.mark.parametrize("wrong", ["token", "channel"])
    async def test_a_notice_with_a_wrong_proof_is_refused(self, stage: Stage, wrong: Literal["token", "channel"]) -> None:
        """Knowing the address is not enough, and one channel's notice is not another's."""
        subscription = await self._subscribe(stage)
        with pytest.raises(NoticeRejected):
            stage.notices.read(stage.forged(subscription, [stage.put_as_person(1)], wrong), subscription)

    @pytest.mark.parametrize("body", GARBAGE, ids=lambda body: repr(body[:12]))
    async def test_a_body_that_proves_nothing_is_refused(self, stage: Stage, body: bytes) -> None:
        """Whatever arrives at a public address ends in NoticeRejected, never in another error."""
        subscription = await self._subscribe(stage)
        request = msgspec.structs.replace(stage.notice(subscription, [stage.put_as_person(1)]), body=body, headers={})
        with pytest.raises(NoticeRejected):
            stage.notices.read(request, subscription)

    async def test_a_huge_list_of_ids_is_bounded(self, stage: Stage) -> None:
        """It is refused, or read without an id made up or doubled."""
        if stage.told_at_once is not None:
            pytest.skip(f"a delivery names at most {stage.told_at_once}")
        subscription = await self._subscribe(stage)
        ids = [str(9_000_000_000 + n) for n in range(MANY_IDS)]
        try:
            notices = stage.notices.read(stage.notice(subscription, ids), subscription)
        except NoticeRejected:
            return
        told = [one for notice in notices for one in notice.ids]
        assert len(told) == len(set(told)) <= MANY_IDS
        assert set(told) <= set(ids)

    async def test_a_repeated_delivery_has_the_same_mark(self, stage: Stage) -> None:
        """Vendors repeat themselves; the inbox must be able to tell."""
        subscription = await self._subscribe(stage)
        request = stage.notices_of(subscription, [stage.put_as_person(1), stage.put_as_person(2)])[0]
        first = [notice.dedupe for notice in stage.notices.read(request, subscription)]
        assert [notice.dedupe for notice in stage.notices.read(request, subscription)] == first
        assert len(set(first)) == len(first)

    async def test_two_events_on_one_record_have_different_marks(self, stage: Stage) -> None:
        """The second edit must not be taken for a repeat of the first."""
        subscription = await self._subscribe(stage)
        one = stage.put_as_person(1)
        first = stage.notices.read(stage.notice(subscription, [one]), subscription)
        stage.clock.advance(1)
        second = stage.notices.read(stage.notice(subscription, [one]), subscription)
        assert {notice.dedupe for notice in first}.isdisjoint(notice.dedupe for notice in second)

    async def test_reading_a_notice_asks_nobody(self, stage: Stage) -> None:
        """A flood of notices must not become a flood of calls."""
        subscription = await self._subscribe(stage)
        request = stage.notice(subscription, [stage.put_as_person(1)])
        before = stage.calls()
        stage.notices.read(request, subscription)
        assert stage.calls() == before

    async def test_a_subscription_knows_what_it_is_and_when_it_ends(self, stage: Stage) -> None:
        """The expiry is the vendor's answer, not our wish: it lies ahead."""
        subscription = await self._subscribe(stage)
        assert subscription.id
        assert subscription.kinds == (stage.kind,)
        assert subscription.callback_url == self._callback(stage).url
        assert subscription.expires_at is None or subscription.expires_at > stage.clock.now()
        assert stage.channels() == 1

    async def test_subscribing_twice_leaves_one_channel(self, stage: Stage) -> None:
        """A restart before the subscription was saved must not double every notice."""
        await self._subscribe(stage)
        second = await self._subscribe(stage)
        assert stage.channels() == 1
        assert stage.notices.read(stage.notice(second, [stage.put_as_person(1)]), second)

    async def test_renewing_prolongs_the_one_channel(self, stage: Stage) -> None:
        """At half life the end moves on, and the channel stays one."""
        subscription = await self._subscribe(stage)
        if subscription.expires_at is None:
            pytest.skip("channels do not end")
        stage.clock.advance((subscription.expires_at - stage.clock.now()).total_seconds() / 2)
        renewed = await stage.notices.renew(subscription)
        assert renewed.expires_at is not None
        assert renewed.expires_at > subscription.expires_at
        assert stage.channels() == 1
        assert stage.notices.read(stage.notice(renewed, [stage.put_as_person(1)]), renewed)

    async def test_a_channel_that_the_vendor_forgot_is_opened_anew(self, stage: Stage) -> None:
        """A renewal that comes too late heals, and what it opens can be read."""
        subscription = await self._subscribe(stage)
        stage.forget_channels()
        renewed = await stage.notices.renew(subscription)
        assert stage.channels() == 1
        assert stage.notices.read(stage.notice(renewed, [stage.put_as_person(1)]), renewed)

    async def test_what_the_vendor_dropped_in_part_is_whole_after_a_renewal(self, stage: Stage) -> None:
        """A webhook that was deleted or a step that was removed would leave one kind, or one event, unheard."""
        stage.needs("registrations", "dropping parts")
        subscription = await self._subscribe(stage, stage.watched)
        whole = len(stage.registered())
        stage.drop_part()
        assert len(stage.registered()) < whole
        renewed = await stage.notices.renew(subscription)
        assert len(stage.registered()) == whole
        assert renewed.kinds == tuple(stage.watched)
        assert stage.notices.read(stage.notice(renewed, [stage.put_as_person(1)]), renewed)

    async def test_two_processes_that_subscribe_at_once_end_with_one_channel(self, stage: Stage) -> None:
        """Neither saw the other's, so that for a while there are two; the first renewal leaves one."""
        stage.needs("entering", "concurrency")
        await stage.probe()
        other = stage.connect().notices
        assert other is not None
        stage.dawdle()
        first = asyncio.create_task(stage.notices.subscribe(self._callback(stage)))
        await asyncio.sleep(0)
        stage.clock.advance(1)
        await other.subscribe(self._callback(stage))
        renewed = await stage.notices.renew(await first)
        assert stage.channels() == 1
        assert stage.notices.read(stage.notice(renewed, [stage.put_as_person(2)]), renewed)

    async def test_what_was_registered_under_a_former_address_is_removed(self, stage: Stage) -> None:
        """Every subscription has an address of its own: where its memory was lost, nobody else would ever remove it."""
        stage.needs("orphans")
        await stage.notices.subscribe(self._callback(stage, token="f0rmerT0ken"))
        stage.clock.advance(60)
        await self._subscribe(stage)
        assert stage.channels() == 1

    async def test_what_others_have_registered_is_left_alone(self, stage: Stage) -> None:
        """Neither another program's address, on our own host perhaps, nor another connection's of this program."""
        stage.needs("registrations")
        for url in ("https://connector.example/hooks/invoices", "https://other.example/notices/p4thT0ken"):
            stage.register_foreign(url)
        neighbour = stage.neighbour().notices
        assert neighbour is not None
        await neighbour.subscribe(self._callback(stage, token="n3ighb0ur"))
        theirs = set(stage.registered())
        subscription = await self._subscribe(stage)
        assert theirs < set(stage.registered())
        subscription = await stage.notices.renew(subscription)
        await self._subscribe(stage)
        assert theirs < set(stage.registered())
        await stage.notices.unsubscribe(subscription)
        assert theirs <= set(stage.registered())

    async def test_unsubscribing_closes_and_may_be_said_twice(self, stage: Stage) -> None:
        """A channel that is gone already is what was wanted."""
        subscription = await self._subscribe(stage)
        await stage.notices.unsubscribe(subscription)
        assert stage.channels() == 0
        await stage.notices.unsubscribe(subscription)

    async def test_the_proof_does_not_show(self, stage: Stage) -> None:
        """Neither in what we remember of the channel nor in the words of a refusal."""
        subscription = await self._subscribe(stage)
        assert SECRET not in repr(subscription)
        forged = stage.forged(subscription, [stage.put_as_person(1)], "token")
        with pytest.raises(NoticeRejected) as caught:
            stage.notices.read(forged, subscription)
        assert SECRET not in f"{caught.value} {caught.value!r}"
        assert subscription.secret not in f"{caught.value} {caught.value!r}"

    def _callback(self, stage: Stage, kinds: Sequence[Kind] = (), *, token: str = "p4thT0ken") -> Callback:
        return Callback(url=f"https://connector.example/notices/{token}", secret=SECRET, kinds=kinds or (stage.kind,))

    async def _subscribe(self, stage: Stage, kinds: Sequence[Kind] = ()) -> Subscription:
        stage.needs("entering")
        return await stage.notices.subscribe(self._callback(stage, kinds))
