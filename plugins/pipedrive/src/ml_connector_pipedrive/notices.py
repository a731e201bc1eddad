"""Pipedrive's webhooks: registered one per kind, proved by HTTP Basic, and by a gateway's signature where there is one.

Pipedrive signs nothing; its own proof is the user and password that it keeps with each webhook. Both are derived from the
subscription's secret. A webhook does not end by itself, but one that was not answered for three days is deleted, so that the
subscription is given a life of two days and renewing it means looking whether every webhook still stands.
Source: guide-for-webhooks-v2.
"""

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ml_connector.domain import Kind
from ml_connector.errors import NoticeRejected
from ml_connector.ports.notices import Callback, Notice, NoticeRequest, Subscription
from ml_connector.system import Host
from ml_connector_pipedrive.api import Api
from ml_connector_pipedrive.plan import SHAPES
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.wire import Hook

LIFE: Final = timedelta(days=2)
USER: Final = "ml-connector"
_BETWEEN: Final = "\n"
"""Between our own secret and the gateway's in what is kept of a subscription: neither holds a line break."""
_KINDS: Final[dict[str, Kind]] = {**{shape.singular: kind for kind, shape in SHAPES.items()}, "deal_product": "deal"}


class _Meta(msgspec.Struct):
    id: str
    entity: str
    entity_id: str
    webhook_id: str
    action: str = ""


class _Line(msgspec.Struct):
    deal_id: int | None = None


class _Delivery(msgspec.Struct):
    meta: _Meta
    data: _Line | None = None
    previous: _Line | None = None


_decoder: Final = msgspec.json.Decoder(_Delivery)


class PipedriveNotices:
    """Notices of one connection."""

    def __init__(self, api: Api, settings: Settings, host: Host) -> None:
        self._api, self._settings, self._host = api, settings, host

    async def subscribe(self, callback: Callback) -> Subscription:
        """Register a webhook per kind, after deleting what calls the same address or a former one. Half a set is taken back."""
        await self._remove([str(hook.id) for hook in await self._api.hooks() if self._ours(hook, callback.url)])
        registered: list[str] = []
        try:
            for entity in self._entities(callback):
                registered.append(str((await self._api.add_hook(self._registration(callback, entity))).id))
        except BaseException:
            await self._remove(registered)
            raise
        now = self._host.clock.now()
        return Subscription(
            id=",".join(registered),
            connection=self._host.connection,
            kinds=tuple(callback.kinds),
            callback_url=callback.url,
            secret=await self._kept(callback.secret),
            created_at=now,
            expires_at=now + LIFE,
        )

    async def renew(self, subscription: Subscription) -> Subscription:
        """Look whether every webhook still stands, and no other of ours; else all are registered anew."""
        mine = set(subscription.id.split(","))
        ours = [hook for hook in await self._api.hooks() if self._ours(hook, subscription.callback_url)]
        standing = {str(hook.id) for hook in ours if hook.is_active and hook.remove_reason is None}
        secret = subscription.secret.partition(_BETWEEN)[0]
        if standing != mine:  # one too many is a duplicate of a registration whose answer was lost
            return await self.subscribe(Callback(url=subscription.callback_url, secret=secret, kinds=subscription.kinds))
        expires = self._host.clock.now() + LIFE
        return msgspec.structs.replace(subscription, secret=await self._kept(secret), expires_at=expires)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Delete; what is gone already is fine, and so are others that call the same address."""
        mine = set(subscription.id.split(","))
        mine |= {str(hook.id) for hook in await self._api.hooks() if hook.subscription_url == subscription.callback_url}
        await self._remove(sorted(mine))

    def read(self, request: NoticeRequest, subscription: Subscription) -> list[Notice]:
        """One notice per delivery. The proof comes first, in constant time. Raises NoticeRejected."""
        ours, _, gateways = subscription.secret.partition(_BETWEEN)
        webhook, proofs = self._settings.webhook, list[bool]()
        if "basic" in webhook.proof:
            proofs.append(_same(request.headers.get("authorization", ""), _basic(ours)))
        if "hmac_sha256" in webhook.proof:
            told = request.headers.get(webhook.hmac_header.lower(), "")
            proofs.append(bool(gateways) and _same(told, self._signature(gateways, request.body)))
        if not proofs or not all(proofs):
            raise self._rejected("the proof of a notice failed")
        try:
            delivery = _decoder.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._rejected("no notice of Pipedrive's") from None
        meta = delivery.meta
        if meta.webhook_id not in subscription.id.split(","):
            raise self._rejected("a notice of another webhook")
        kind = _KINDS.get(meta.entity)
        if kind is None or kind not in subscription.kinds:
            raise self._rejected("a notice of what was never subscribed")
        record_id = meta.entity_id if meta.entity != "deal_product" else _deal(delivery)
        if not record_id.isdigit():
            raise self._rejected("a notice that names no record")
        dedupe = hashlib.sha256(f"{meta.id}\n{meta.entity}\n{meta.entity_id}\n{meta.action}".encode()).hexdigest()
        return [Notice(kind=kind, ids=(record_id,), dedupe=dedupe)]

    def _entities(self, callback: Callback) -> list[str]:
        entities = [SHAPES[kind].singular for kind in callback.kinds if kind in SHAPES]
        return [*entities, "deal_product"] if self._settings.lines and "deal" in callback.kinds else entities

    def _registration(self, callback: Callback, entity: str) -> dict[str, Any]:
        told = {"subscription_url": callback.url, "event_object": entity, "name": f"{self._name} {entity}"}
        if "basic" in self._settings.webhook.proof:
            told |= {"http_auth_user": USER, "http_auth_password": password(callback.secret)}
        return told

    @property
    def _name(self) -> str:
        return f"ml-connector {self._host.connection}"

    def _ours(self, hook: Hook, url: str) -> bool:
        """It calls this address, or is this connection's by its name and calls this receiver: a subscription left it behind."""
        named = hook.name == f"{self._name} {hook.event_object}"
        return hook.subscription_url == url or (named and hook.subscription_url.startswith(origin(url)))

    async def _kept(self, secret: str) -> str:
        """Our own secret, and the gateway's as it is now: reading a delivery cannot wait for the vault."""
        if self._settings.webhook.hmac_secret is None:
            return secret
        return f"{secret}{_BETWEEN}{await self._host.secrets.reveal(self._settings.webhook.hmac_secret)}"

    async def _remove(self, hooks: list[str]) -> None:
        for hook in hooks:
            await self._api.remove_hook(hook)

    def _signature(self, secret: str, body: bytes) -> str:
        digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
        webhook = self._settings.webhook
        told = digest.hex() if webhook.hmac_encoding == "hex" else base64.b64encode(digest).decode()
        return webhook.hmac_prefix + told

    def _rejected(self, what: str) -> NoticeRejected:
        return NoticeRejected(what, where=self._host.connection)


def origin(url: str) -> str:
    """The receiver behind an address."""
    return "{0.scheme}://{0.netloc}/".format(urlsplit(url))


def password(secret: str) -> str:
    """The password that Pipedrive keeps and sends."""
    return hmac.new(secret.encode(), b"basic", hashlib.sha256).hexdigest()


def _basic(secret: str) -> str:
    return "Basic " + base64.b64encode(f"{USER}:{password(secret)}".encode()).decode()


def _deal(delivery: _Delivery) -> str:
    told = delivery.data or delivery.previous
    return "" if told is None or told.deal_id is None else str(told.deal_id)


def _same(told: str, expected: str) -> bool:
    return hmac.compare_digest(told.encode(), expected.encode())
