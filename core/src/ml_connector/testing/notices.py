"""Notification channels of a MemorySystem."""

import hmac
from datetime import timedelta
from typing import Final

import msgspec

from ml_connector.domain import Kind, RemoteId
from ml_connector.errors import NoticeRejected
from ml_connector.ports.notices import Callback, Notice, NoticeRequest, Subscription
from ml_connector.testing.client import MemoryClient
from ml_connector.testing.system import Channel, MemorySystem

CHANNEL_LIFE: Final = timedelta(days=1)
MOST_IDS: Final = 1000
"""A notice that names more is not from this system."""


class _Body(msgspec.Struct):
    channel: str
    secret: str
    event: int | str
    kind: Kind
    ids: list[RemoteId]


_decoder: Final = msgspec.json.Decoder(_Body)


class MemoryNotices:
    """``Notices``: a channel lives a day, its secret comes back in every body."""

    def __init__(self, system: MemorySystem, client: MemoryClient) -> None:
        self._system, self._client = system, client

    async def subscribe(self, callback: Callback) -> Subscription:
        return await self._client.call(lambda: self._open(callback.url, callback.secret, tuple(callback.kinds)))

    async def renew(self, subscription: Subscription) -> Subscription:
        return await self._client.call(lambda: self._open(subscription.callback_url, subscription.secret, subscription.kinds))

    async def unsubscribe(self, subscription: Subscription) -> None:
        await self._client.call(lambda: self._system.channels.pop(subscription.id, None))

    def read(self, request: NoticeRequest, subscription: Subscription) -> list[Notice]:
        try:
            body = _decoder.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NoticeRejected("the body cannot be read", where=subscription.connection) from None
        proven = hmac.compare_digest(body.secret.encode(), subscription.secret.encode())
        if not proven or body.channel != subscription.id or len(body.ids) > MOST_IDS:
            raise NoticeRejected("the proof failed", where=subscription.connection)
        dedupe = f"{body.channel}/{body.kind}/{body.event}"
        return [Notice(kind=body.kind, ids=tuple(dict.fromkeys(body.ids)), dedupe=dedupe)] if body.ids else []

    def _open(self, url: str, secret: str, kinds: tuple[Kind, ...]) -> Subscription:
        """The one channel of this address, prolonged if it lives, opened if not."""
        channels, now = self._system.channels, self._system.clock.now()
        ours = [channel for channel in channels.values() if channel.url == url]
        for channel in ours:
            del channels[channel.id]
        living = next((channel.id for channel in ours if channel.expires_at > now), None)
        channel = Channel(
            id=living or self._system.new_id("channel"), url=url, secret=secret, kinds=kinds, expires_at=now + CHANNEL_LIFE
        )
        channels[channel.id] = channel
        return Subscription(
            id=channel.id,
            connection=self._client.connection,
            kinds=kinds,
            callback_url=url,
            secret=secret,
            created_at=now,
            expires_at=channel.expires_at,
        )
