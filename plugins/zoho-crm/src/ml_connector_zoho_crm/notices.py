"""Zoho's notification channels: opened, prolonged, closed, and their deliveries proved by two secrets.

Zoho signs nothing. What proves a delivery is the channel's token, which Zoho echoes in the body, and a second secret in the
query of the address that Zoho calls. Both are derived from the subscription's own secret, so nothing else needs to be kept.
Source: notifications overview and update-info (v8); a channel asked for too long a life silently gets one hour.
"""

import hashlib
import hmac
import logging
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec

from ml_connector.domain import Kind
from ml_connector.errors import ConnectorError, ContractBroken, NoticeRejected
from ml_connector.ports.clock import Clock
from ml_connector.ports.notices import Callback, Notice, NoticeRequest, Subscription
from ml_connector_zoho_crm.api import Api
from ml_connector_zoho_crm.judge import ABSENT
from ml_connector_zoho_crm.metadata import Metadata
from ml_connector_zoho_crm.settings import span
from ml_connector_zoho_crm.wire import ChannelResult, Decoders, Delivery

TOKEN_LENGTH: Final = 48
"""Zoho takes 50 characters."""
URL_LENGTH: Final = 255
LONGEST: Final = timedelta(days=7) - timedelta(hours=1)
_TOLERANCE: Final = timedelta(minutes=5)
_QUERY: Final = "k"

_log: Final = logging.getLogger(__name__)


class ZohoNotices:
    """Notices of one connection."""

    def __init__(self, api: Api, metadata: Metadata, clock: Clock, connection: str, channel_ttl: str) -> None:
        self._api, self._metadata, self._clock, self._connection = api, metadata, clock, connection
        self._life = min(span(channel_ttl), LONGEST)

    async def subscribe(self, callback: Callback) -> Subscription:
        """Open a channel under a fresh id, after closing whatever of ours still calls the same address or a former one."""
        now = self._clock.now()
        url = _address(callback.url, callback.secret)
        await self._close_stale(callback.url)
        channel = channel_id(self._connection, callback.url, now)
        wanted = now + self._life
        result = await self._watch("POST", await self._channel(channel, callback.url, callback.secret, callback.kinds, wanted))
        if result is None:
            raise ContractBroken(f"Zoho opened no channel for {url.partition('?')[0]}", where=self._connection)
        return Subscription(
            id=channel,
            connection=self._connection,
            kinds=tuple(callback.kinds),
            callback_url=callback.url,
            secret=callback.secret,
            created_at=now,
            expires_at=self._expiry(result, wanted),
        )

    async def renew(self, subscription: Subscription) -> Subscription:
        """Prolong in place, close what stands beside it; open anew when Zoho forgot it, as it does with every expired one."""
        wanted = self._clock.now() + self._life
        entry = await self._channel(subscription.id, subscription.callback_url, subscription.secret, subscription.kinds, wanted)
        result = await self._watch("PATCH", entry)
        if result is None:
            callback = Callback(url=subscription.callback_url, secret=subscription.secret, kinds=subscription.kinds)
            return await self.subscribe(callback)
        await self._close_stale(subscription.callback_url, but=subscription.id)
        return msgspec.structs.replace(subscription, expires_at=self._expiry(result, wanted))

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Close; one that is gone already is fine."""
        await self._close([subscription.id])

    def read(self, request: NoticeRequest, subscription: Subscription) -> list[Notice]:
        """One notice per record. The proof: both secrets (in constant time) and the channel's id. Raises NoticeRejected."""
        try:
            delivery = Decoders.delivery.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise NoticeRejected("no notice of Zoho's", where=self._connection) from None
        told = request.query.get(_QUERY, "")
        echoed = (delivery.query_params or {}).get(_QUERY, told)
        proof = url_secret(subscription.secret)
        genuine = [
            _same(delivery.token, channel_token(subscription.secret, subscription.id)),
            _same(told, proof),
            _same(echoed, proof),
            _same(str(delivery.channel_id), subscription.id),
        ]
        if not all(genuine):
            raise NoticeRejected("the proof of a notice failed", where=self._connection)
        kind = self._kind(delivery.module, subscription)
        return [
            Notice(kind=kind, ids=(record_id,), dedupe=_dedupe(delivery, record_id)) for record_id in delivery.ids if record_id
        ]

    def _kind(self, module: str, subscription: Subscription) -> Kind:
        kind = self._metadata.kind_of(module)
        if kind in subscription.kinds:
            return kind
        if kind is None and len(subscription.kinds) == 1:  # renamed by an administrator, and nobody has asked for names yet
            return subscription.kinds[0]
        raise NoticeRejected("a notice of a module that was never subscribed", where=self._connection)

    async def _channel(self, channel: str, url: str, secret: str, kinds: Any, expires_at: datetime) -> dict[str, Any]:
        events = [f"{(await self._metadata.module(kind)).api_name}.all" for kind in kinds]
        return {
            "channel_id": channel,
            "events": events,
            "channel_expiry": expires_at.astimezone(UTC).isoformat(timespec="seconds"),
            "token": channel_token(secret, channel),
            "notify_url": _address(url, secret),
            "return_affected_field_values": False,
            "notify_on_related_action": False,
        }

    async def _watch(self, method: str, entry: dict[str, Any]) -> ChannelResult | None:
        """The result; None when Zoho does not know the channel. Raises ContractBroken for any other refusal."""
        try:
            results = await self._api.watch(method, entry)
        except ContractBroken as error:
            if error.code in ABSENT:
                return None
            raise
        if not results:
            return None
        if results[0].status == "success":
            return results[0]
        if results[0].code in ABSENT:
            return None
        raise _refused(results[0], self._connection)

    async def _close_stale(self, url: str, *, but: str = "") -> None:
        """Close the channels of this address, whoever opened them, and what this connection left behind at this receiver."""
        origin = "{0.scheme}://{0.netloc}/".format(urlsplit(url))
        stale: set[str] = set()
        for channel in await self._api.channels():
            address, name = channel.notify_url.partition("?")[0], str(channel.channel_id)
            ours = address.startswith(origin) and name.endswith(_mark(self._connection, address))
            if (address == url or ours) and name != but:
                stale.add(name)
        if stale:
            await self._close(sorted(stale))

    async def _close(self, channels: list[str]) -> None:
        try:
            results = await self._api.unwatch(channels)
        except ContractBroken as error:
            if error.code not in ABSENT:
                raise
            return
        for result in results:
            if result.status != "success" and result.code not in ABSENT:
                raise _refused(result, self._connection)

    def _expiry(self, result: ChannelResult, wanted: datetime) -> datetime:
        """What Zoho granted, which alone counts: asked for too long a life, it grants one hour and says nothing."""
        events = result.details.events if result.details else []
        granted = min((event.channel_expiry for event in events if event.channel_expiry is not None), default=None)
        if granted is None:
            granted = self._clock.now() + timedelta(hours=1)
        granted = granted.astimezone(UTC)
        if granted < wanted - _TOLERANCE:
            _log.warning(
                "%s: Zoho keeps the channel until %s, not until %s as asked; lower channel_ttl if this stays",
                self._connection,
                granted.isoformat(timespec="seconds"),
                wanted.isoformat(timespec="seconds"),
            )
        return granted


def channel_id(connection: str, url: str, now: datetime) -> str:
    """A number of ours that no other channel has: the time in milliseconds, then our mark. Fits a long."""
    return f"{int(now.timestamp() * 1000)}{_mark(connection, url)}"


def _mark(connection: str, url: str) -> str:
    """Six digits by which a channel shows whose it is: Zoho keeps no name with it."""
    digits = int.from_bytes(hashlib.sha256(f"{connection}\n{url}".encode()).digest()[:8]) % 1_000_000
    return f"{digits:06}"


def channel_token(secret: str, channel: str) -> str:
    """The token of one channel: another channel's does not fit it."""
    return hmac.new(secret.encode(), f"channel {channel}".encode(), hashlib.sha256).hexdigest()[:TOKEN_LENGTH]


def url_secret(secret: str) -> str:
    """The second secret, in the query of the address."""
    return hmac.new(secret.encode(), b"address", hashlib.sha256).hexdigest()[:32]


def _address(url: str, secret: str) -> str:
    address = f"{url}?{urlencode({_QUERY: url_secret(secret)})}"
    if len(address) > URL_LENGTH:
        raise ContractBroken(f"The callback's address has {len(address)} characters, Zoho takes {URL_LENGTH}", fix="Shorten it")
    return address


def _same(told: str, expected: str) -> bool:
    return hmac.compare_digest(told.encode(), expected.encode())


def _dedupe(delivery: Delivery, record_id: str) -> str:
    parts = (delivery.channel_id, delivery.module, record_id, delivery.operation, delivery.server_time)
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def _refused(result: ChannelResult, where: str) -> ConnectorError:
    return ContractBroken(f"Zoho refused the channel: {result.message[:200]} ({result.code})", where=where, code=result.code)
