"""Service endpoints and their steps at work: a committed change becomes deliveries, tried twice at most, failures logged."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree

import msgspec

from ml_connector_dynamics365_sales.twin.catalogue import EVENTS, NO_EVENTS
from ml_connector_dynamics365_sales.twin.store import Change, Environment, Row
from ml_connector_dynamics365_sales.twin.wire import INVALID, Refused

LARGEST: Final = 256 * 1024
_RETRIED: Final = (502, 503, 504)
_STRIPPED: Final = ("ParentContext", "InputParameters", "PreEntityImages", "PostEntityImages")


class Delivery(msgspec.Struct):
    """One POST that waits for somebody to carry it to its receiver."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    step: str
    table: str
    record: str


class Watch:
    """The registry's rules, the queue of deliveries, and the system jobs of failed ones."""

    def __init__(self, env: Environment, host: str = "org.crm4.dynamics.com") -> None:
        self._env = env
        self.host = host
        self.deliveries: list[Delivery] = []
        self.padding = 0  # bytes that a plug-in's shared variables add to every context
        env.listeners.append(self._heard)
        for table, messages in EVENTS.items():
            for message in messages:
                self._offer(message, table, allowed=True)
        for message, table in NO_EVENTS:
            self._offer(message, table, allowed=False)

    def allow(self, message: str, table: str, allowed: bool = True) -> None:
        """Whether steps may be registered on a message."""
        self._offer(message, table, allowed)

    def check_step(self, values: Mapping[str, Any]) -> None:
        """Raises Refused for a step that the platform does not take."""
        chosen = self._env.rows["sdkmessagefilter"].get(values.get("sdkmessagefilterid") or "")
        if chosen is None or chosen.values["sdkmessageid"] != values.get("sdkmessageid"):
            raise Refused(400, INVALID, "The message filter does not belong to the message.")
        if not chosen.values["iscustomprocessingstepallowed"]:
            raise Refused(
                400, "0x8004416b", "Custom SdkMessageProcessingStep is not allowed on the specified message and entity."
            )
        if values.get("eventhandler") not in self._env.rows["serviceendpoint"]:
            raise Refused(400, INVALID, "The event handler is missing.")
        message = self._env.rows["sdkmessage"][values["sdkmessageid"]].values["name"]
        if values.get("filteringattributes") and message != "Update":
            raise Refused(400, INVALID, "Filtering attributes are only valid for Update.")
        if values.get("configuration"):
            raise Refused(400, INVALID, "A webhook step takes no configuration.")

    def check_endpoint_removal(self, row: Row) -> None:
        if self._env.where("sdkmessageprocessingstep", eventhandler=row.id):
            raise Refused(405, "0x8004f01f", "The endpoint cannot be deleted because steps refer to it.")

    async def deliver(self, send: Callable[[Delivery], Awaitable[int | None]]) -> None:
        """Carry everything that waits. ``send`` returns the receiver's status, None for none within 60 seconds."""
        while self.deliveries:
            delivery = self.deliveries.pop(0)
            status = await send(delivery)
            if status in _RETRIED:
                status = await send(delivery)
            if status is None or not 200 <= status < 300:
                self.fail(delivery, status)

    def fail(self, delivery: Delivery, status: int | None) -> None:
        """The delivery's system job stays behind as failed."""
        self._env.put(
            "asyncoperation",
            self._env.robot,
            name=f"webhook for {delivery.table}",
            statecode=3,
            statuscode=31,
            operationtype=1,
            regardingobjectid=delivery.record,
            owningextensionid=delivery.step,
            friendlymessage=f"The webhook call failed because of an http request failure: {status or 'timeout'}",
            errorcode=-2147220891,
            completedon=self._env.stamp(),
        )

    def _offer(self, message: str, table: str, allowed: bool) -> None:
        known = self._env.by_key("sdkmessage", {"name": message})
        message_id = known.id if known else self._env.put("sdkmessage", name=message, isprivate=False)
        chosen = self._env.by_key("sdkmessagefilter", {"sdkmessageid": message_id, "primaryobjecttypecode": table})
        if chosen is not None:
            chosen.values["iscustomprocessingstepallowed"] = allowed
            return
        self._env.put(
            "sdkmessagefilter",
            sdkmessageid=message_id,
            primaryobjecttypecode=table,
            iscustomprocessingstepallowed=allowed,
            isvisible=True,
        )

    def _heard(self, change: Change) -> None:
        if change.table not in EVENTS:
            return
        for step in list(self._env.rows["sdkmessageprocessingstep"].values()):
            if step.values["statecode"] == 0 and self._wants(step, change):
                self._queue(step, change)

    def _wants(self, step: Row, change: Change) -> bool:
        message = self._env.rows["sdkmessage"][step.values["sdkmessageid"]]
        chosen = self._env.rows["sdkmessagefilter"][step.values["sdkmessagefilterid"]]
        if message.values["name"] != change.message or chosen.values["primaryobjecttypecode"] != change.table:
            return False
        watched = {name for name in (step.values.get("filteringattributes") or "").split(",") if name}
        return change.message != "Update" or not watched or bool(watched & change.columns)

    def _queue(self, step: Row, change: Change) -> None:
        endpoint = self._env.rows["serviceendpoint"][step.values["eventhandler"]]
        operation = str(
            uuid5(NAMESPACE_URL, f"{step.id}{change.row.id}{change.row.version}{change.message}{self._env.version}")
        )
        milliseconds = int(self._env.now().timestamp() * 1000)
        context = {
            "BusinessUnitId": self._env.business_unit,
            "CorrelationId": operation,
            "Depth": 1,
            "InitiatingUserId": change.user,
            "UserId": change.user,
            "MessageName": change.message,
            "PrimaryEntityName": change.table,
            "PrimaryEntityId": change.row.id,
            "SecondaryEntityName": "none",
            "Stage": step.values["stage"],
            "Mode": step.values["mode"],
            "OperationId": operation,
            "OperationCreatedOn": f"/Date({milliseconds}+0000)/",
            "OrganizationId": self._env.organization_id,
            "OrganizationName": "acme",
            "IsInTransaction": False,
            "InputParameters": [{"key": "Target", "value": self._target(change, milliseconds)}],
            "OutputParameters": [],
            "PreEntityImages": [],
            "PostEntityImages": [],
            "OwningExtension": {"Id": step.id, "LogicalName": "sdkmessageprocessingstep", "Name": None},
            "SharedVariables": [{"key": "padding", "value": "x" * self.padding}] if self.padding else [],
            "ParentContext": {"MessageName": change.parent, "Stage": 30} if change.parent else None,
        }
        headers = {
            "content-type": "application/json",
            "x-ms-dynamics-organization": self.host,
            "x-ms-dynamics-entity-name": change.table,
            "x-ms-dynamics-request-name": change.message,
            "x-ms-correlation-request-id": operation,
        }
        body = msgspec.json.encode(context)
        if len(body) > LARGEST:
            headers["x-ms-dynamics-msg-size-exceeded"] = str(len(body))
            body = msgspec.json.encode({k: v for k, v in context.items() if k not in (*_STRIPPED, "SharedVariables")})
        url, proof = _authenticated(endpoint)
        self.deliveries.append(Delivery(url, {**headers, **proof}, body, step.id, change.table, change.row.id))

    def _target(self, change: Change, milliseconds: int) -> dict[str, Any]:
        attributes: list[dict[str, Any]] = [
            {"key": name, "value": value if isinstance(value, str | int | bool) or value is None else str(value)}
            for name in sorted(change.columns)
            for value in (change.row.values.get(name),)
        ]
        attributes.append({"key": "modifiedon", "value": f"/Date({milliseconds})/"})
        return {
            "__type": "Entity:http://schemas.microsoft.com/xrm/2011/Contracts",
            "LogicalName": change.table,
            "Id": change.row.id,
            "Attributes": attributes,
        }


def _authenticated(endpoint: Row) -> tuple[str, dict[str, str]]:
    url, kind, value = endpoint.values["url"], endpoint.values.get("authtype"), endpoint.values.get("authvalue") or ""
    if kind == 4:
        return f"{url}{'&' if '?' in url else '?'}code={value}", {}
    pairs = {}
    if value:
        root = ElementTree.fromstring(value)  # noqa: S314 - what an administrator registered
        pairs = {str(one.get("name")): str(one.get("value")) for one in root.iter("setting")}
    if kind == 5:
        return url, {name.lower(): told for name, told in pairs.items()}
    return url + "".join(f"{'&' if '?' in url else '?'}{name}={told}" for name, told in pairs.items()), {}
