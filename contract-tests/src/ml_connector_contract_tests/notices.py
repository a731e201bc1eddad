"""What every reader of notices promises: only the vendor gets in, and one channel per callback lives."""

from typing import Literal

import msgspec
import pytest

from ml_connector.errors import NoticeRejected
from ml_connector.ports.notices import Callback, Subscription
from ml_connector_contract_tests.stage import Contract, Stage

SECRET = "k7Qm2-canary-9Zt4Vw"
MANY_IDS = 20_000
GARBAGE = (b"", b"{}", b"[]", b"null", b'"text"', b"\xff\xfe\x00", b"<html>502</html>", b'{"ids": {"a": 1}}', b"[" * 5000)


class NoticesContract(Contract):
    """Subscribing, renewing, and reading what comes in."""

    async def test_a_notice_with_the_right_proof_names_every_record(self, stage: Stage) -> None:
        """All ids of a delivery are read, not only the first."""
        subscription = await self._subscribe(stage)
        ids = [stage.put_as_person(n) for n in (1, 2, 3)]
        notices = stage.notices.read(stage.notice(subscription, ids), subscription)
        assert {one for notice in notices for one in notice.ids} == set(ids)
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
        request = stage.notice(subscription, [stage.put_as_person(1), stage.put_as_person(2)])
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

    def _callback(self, stage: Stage) -> Callback:
        return Callback(url="https://connector.example/notices/p4thT0ken", secret=SECRET, kinds=(stage.kind,))

    async def _subscribe(self, stage: Stage) -> Subscription:
        stage.needs("entering")
        return await stage.notices.subscribe(self._callback(stage))
