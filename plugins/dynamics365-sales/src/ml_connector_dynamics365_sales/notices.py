"""Webhooks of Dataverse: a service endpoint with our secret header, and steps on the messages that take any.

Dataverse signs nothing. What proves a delivery is a header that the endpoint sends, derived from the subscription's secret and
the endpoint's id, and compared in constant time. Endpoints do not end, but administrators and solution imports disable or
remove their steps: a subscription is therefore told to last two days, to be looked after once a day. Deliveries are tried twice
at most, and only after 502, 503 and 504; what failed is found in the system jobs and told, and polling brings it in any case.
Source: use-webhooks, register-web-hook, register-plug-in, reference/entities/serviceendpoint.
"""

import hashlib
import hmac
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5
from xml.sax.saxutils import quoteattr

import msgspec

from ml_connector.domain import Kind
from ml_connector.errors import ContractBroken, NoticeRejected
from ml_connector.ports.clock import Clock
from ml_connector.ports.notices import Callback, Notice, NoticeRequest, Subscription
from ml_connector_adapters.http import odata
from ml_connector_dynamics365_sales.api import Api, address, is_id
from ml_connector_dynamics365_sales.mapping import TABLE_OF, table_of
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.wire import Context, Decoders, Vendor

KEY: Final = "x-mlc-key"
CHANNEL: Final = "x-mlc-channel"
LARGEST: Final = 256 * 1024
"""Dataverse strips a context that would be larger; ids stay, and nothing else is needed."""
MARK: Final = "managed by ml-connector"
LIFE: Final = timedelta(days=2)

_WEBHOOK, _HTTP_HEADER, _JSON = 8, 5, 2
_FAILED: Final = 31
_CHANGES: Final = ("Create", "Update", "Delete")
_log: Final = logging.getLogger(__name__)


class Wish(msgspec.Struct, frozen=True):
    """A message on a table that shall be heard of."""

    message: str
    table: str


EVENTS: Final = (Wish("ConvertQuoteToSalesOrder", "quote"), Wish("FulfillSalesOrder", "salesorder"))
"""Messages that people expect. Today's releases take no step on them: a converted quote is the Create of an order with a
quote, a fulfilled order an Update of its state, and both are heard of anyway. Where a release takes one, it is registered."""


class DynamicsNotices:
    """Notices of one connection."""

    def __init__(self, api: Api, settings: Settings, clock: Clock, connection: str) -> None:
        self._api, self._settings, self._clock, self._connection = api, settings, clock, connection

    async def subscribe(self, callback: Callback) -> Subscription:
        """An endpoint for this address with its steps, after removing whatever else of ours calls this receiver."""
        now = self._clock.now()
        await self._remove(await self._endpoints(callback.url))
        endpoint = str(uuid5(NAMESPACE_URL, f"{callback.url} {now.isoformat()}"))
        await self._api.create("serviceendpoints", self._endpoint(endpoint, callback), ("serviceendpointid",))
        if not await self._complete(endpoint, callback.kinds):
            await self._remove([endpoint])
            raise ContractBroken(
                "Dataverse takes a step on none of the messages", fix="Leave public_url out and poll", where=self._connection
            )
        return Subscription(
            id=endpoint,
            connection=self._connection,
            kinds=tuple(callback.kinds),
            callback_url=callback.url,
            secret=callback.secret,
            created_at=now,
            expires_at=now + LIFE,
        )

    async def renew(self, subscription: Subscription) -> Subscription:
        """Put back steps that were disabled or removed, remove orphans, tell failed deliveries; open anew what is gone."""
        standing = await self._endpoints(subscription.callback_url)
        if subscription.id not in standing:
            callback = Callback(url=subscription.callback_url, secret=subscription.secret, kinds=subscription.kinds)
            return await self.subscribe(callback)
        await self._remove([one for one in standing if one != subscription.id])
        await self._complete(subscription.id, subscription.kinds)
        now = self._clock.now()
        if failed := await self.failed_since(subscription.id, now - LIFE):
            _log.warning(
                "%s: %d deliveries failed within two days; polling brings their records. The last: %s",
                self._connection,
                len(failed),
                failed[0].get("friendlymessage"),
            )
        return msgspec.structs.replace(subscription, expires_at=now + LIFE)

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Close; what is gone already is fine."""
        await self._remove([subscription.id])

    def read(self, request: NoticeRequest, subscription: Subscription) -> list[Notice]:
        """The record that a delivery is about; none where it is of a table that nobody asked for. Raises NoticeRejected."""
        genuine = [
            _same(request.headers.get(KEY, ""), proof(subscription.secret, subscription.id)),
            _same(request.headers.get(CHANNEL, ""), subscription.id),
            len(request.body) <= LARGEST,
        ]
        if not all(genuine):
            raise NoticeRejected("the proof of a notice failed", where=self._connection)
        try:
            context = Decoders.context.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NoticeRejected("no notice of Dataverse's", where=self._connection) from None
        kind, record_id = TABLE_OF.get(context.PrimaryEntityName), context.PrimaryEntityId.lower()
        if not is_id(record_id):
            raise NoticeRejected("a notice without a record", where=self._connection)
        return [Notice(kind=kind, ids=(record_id,), dedupe=_dedupe(context))] if kind in subscription.kinds and kind else []

    async def failed_since(self, endpoint: str, when: datetime) -> list[Vendor]:
        """System jobs of deliveries that failed since then, newest first."""
        found: list[Vendor] = []
        for step in await self._steps(endpoint):
            where = odata.both(
                odata.eq("statuscode", _FAILED),
                f"_owningextensionid_value eq {step['sdkmessageprocessingstepid']}",
                odata.ge("completedon", when.replace(microsecond=0)),
            )
            select = ("asyncoperationid", "_regardingobjectid_value", "friendlymessage", "completedon")
            found += await self._api.rows("asyncoperations", select, where=where)
        return sorted(found, key=lambda job: str(job["completedon"]), reverse=True)

    # -- the registry

    async def _complete(self, endpoint: str, kinds: Sequence[Kind]) -> int:
        """Make the steps that are missing and may be made, enable those that are off; returns how many there are now."""
        standing = {
            Wish(str(step["sdkmessageid"]["name"]), str(step["sdkmessagefilterid"]["primaryobjecttypecode"])): step
            for step in await self._steps(endpoint)
        }
        count = 0
        for wish in self._wishes(kinds):
            step = standing.get(wish)
            if step is None:
                count += await self._register(endpoint, wish)
                continue
            count += 1
            if step.get("statecode") != 0:
                target = address("sdkmessageprocessingsteps", str(step["sdkmessageprocessingstepid"]))
                body = {"statecode": 0, "statuscode": 1}
                await self._api.send(self._api.operation("PATCH", target, body, match="*"), repeatable=True)
        return count

    def _wishes(self, kinds: Sequence[Kind]) -> list[Wish]:
        """Changes of the kinds' tables. Lines are left out: a change of one reprices its order, which is then told."""
        tables = [table_of(kind, self._settings).name for kind in kinds]
        return [Wish(message, table) for table in tables for message in _CHANGES] + [w for w in EVENTS if w.table in tables]

    async def _register(self, endpoint: str, wish: Wish) -> bool:
        """Whether the step could be made."""
        filters = await self._filters(wish)
        if filters is None:
            return False
        message_id, filter_id = filters
        body: Vendor = {
            "name": f"ml-connector: {wish.message} of {wish.table}",
            "description": MARK,
            "stage": 40,  # after the fact
            "mode": 1,  # asynchronous: a synchronous step would hold people up
            "rank": 1,
            "supporteddeployment": 0,
            "asyncautodelete": True,
            "eventhandler_serviceendpoint@odata.bind": f"/{address('serviceendpoints', endpoint)}",
            "sdkmessageid@odata.bind": f"/{address('sdkmessages', message_id)}",
            "sdkmessagefilterid@odata.bind": f"/{address('sdkmessagefilters', filter_id)}",
        }
        await self._api.create("sdkmessageprocessingsteps", body, ("sdkmessageprocessingstepid",))
        return True

    async def _filters(self, wish: Wish) -> tuple[str, str] | None:
        """Ids of message and filter, if a step may be registered on them: asked at run time, because releases differ."""
        table = odata.literal(wish.table)
        inner = f"$select=sdkmessagefilterid,iscustomprocessingstepallowed;$filter=primaryobjecttypecode eq {table}"
        expand = f"sdkmessageid_sdkmessagefilter({inner})"
        for row in await self._api.rows("sdkmessages", ("sdkmessageid",), where=odata.eq("name", wish.message), expand=expand):
            for chosen in row.get("sdkmessageid_sdkmessagefilter") or ():
                if chosen.get("iscustomprocessingstepallowed") is True:
                    return str(row["sdkmessageid"]), str(chosen["sdkmessagefilterid"])
        return None

    def _endpoint(self, endpoint: str, callback: Callback) -> Vendor:
        headers = {KEY: proof(callback.secret, endpoint), CHANNEL: endpoint}
        settings = "".join(f"<setting name={quoteattr(name)} value={quoteattr(value)} />" for name, value in headers.items())
        return {
            "serviceendpointid": endpoint,
            "name": self._name,
            "url": callback.url,
            "contract": _WEBHOOK,
            "authtype": _HTTP_HEADER,
            "authvalue": f"<settings>{settings}</settings>",
            "messageformat": _JSON,
            "userclaim": 1,
            "connectionmode": 1,
            "description": MARK,
        }

    @property
    def _name(self) -> str:
        return f"ml-connector {self._connection}"[:256]

    async def _endpoints(self, url: str) -> list[str]:
        """Ids of our endpoints at this receiver: of this very address, or left behind by a former subscription of ours."""
        origin = "{0.scheme}://{0.netloc}/".format(urlsplit(url))
        where = odata.both(odata.eq("contract", _WEBHOOK), odata.eq("name", self._name))
        rows = await self._api.rows("serviceendpoints", ("serviceendpointid", "url"), where=where)
        return [str(row["serviceendpointid"]) for row in rows if str(row["url"]).startswith(origin)]

    async def _steps(self, endpoint: str) -> list[Vendor]:
        return await self._api.rows(
            "sdkmessageprocessingsteps",
            ("sdkmessageprocessingstepid", "statecode"),
            where=f"_eventhandler_value eq {endpoint}",
            expand="sdkmessageid($select=name),sdkmessagefilterid($select=primaryobjecttypecode)",
        )

    async def _remove(self, endpoints: Sequence[str]) -> None:
        """Steps first: an endpoint that has some cannot be removed."""
        for endpoint in endpoints:
            for step in await self._steps(endpoint):
                await self._api.delete(address("sdkmessageprocessingsteps", str(step["sdkmessageprocessingstepid"])))
            await self._api.delete(address("serviceendpoints", endpoint))


def proof(secret: str, endpoint: str) -> str:
    """The header's value: of this endpoint alone, and nothing from which the secret could be had."""
    return hmac.new(secret.encode(), f"endpoint {endpoint}".encode(), hashlib.sha256).hexdigest()


def _same(told: str, expected: str) -> bool:
    return hmac.compare_digest(told.encode("utf-8", "replace"), expected.encode())


def _dedupe(context: Context) -> str:
    """Equal for the second attempt at a delivery: the operation and the step, where they are told."""
    step = context.OwningExtension.Id if context.OwningExtension else ""
    event = (context.OperationId, step) if context.OperationId else (context.CorrelationId, context.MessageName)
    return hashlib.sha256("\n".join((*event, context.PrimaryEntityId)).encode()).hexdigest()
