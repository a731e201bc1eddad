"""Notification channels and the deliveries that they cause, undelivered until somebody takes them from ``deliveries``."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from ml_connector.twin import TwinResponse
from ml_connector_zoho_crm.twin.checks import instant
from ml_connector_zoho_crm.twin.org import Org
from ml_connector_zoho_crm.twin.table import Table
from ml_connector_zoho_crm.twin.wire import Call, Fault, Refused, answer, batch, encode, fault

WORDS = {"insert": "create", "update": "edit", "delete": "delete"}
MAX_TOKEN, MAX_URL = 50, 255
LOCAL = ("127.0.0.1", "localhost", "::1")


class Channel(msgspec.Struct):
    """One channel of one user: ``events`` as "Accounts.edit", expiry in UTC."""

    id: str
    user: str
    events: list[str]
    expires: datetime
    notify_url: str
    token: str | None = None
    values: bool = False  # return_affected_field_values
    related: bool = True  # notify_on_related_action

    def wants(self, module: str, operation: str) -> bool:
        return f"{module}.{WORDS[operation]}" in self.events or f"{module}.all" in self.events


class Mischief(msgspec.Struct):
    """What befalls deliveries, each a probability; ``seed`` makes it repeatable."""

    seed: int = 0
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    wrong_token: float = 0.0


class Watch:
    """The ``/actions/watch`` calls and the queue of deliveries."""

    def __init__(self, org: Org, mode: str) -> None:
        self._org, self._mode = org, mode
        self.channels: dict[str, Channel] = {}
        self.deliveries: list[tuple[str, bytes]] = []
        self.base_url = "https://www.zohoapis.eu"
        self._mischief, self._random = Mischief(), Random(0)
        self._pending: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
        org.listeners.append(self._heard)

    @property
    def mischief(self) -> Mischief:
        return self._mischief

    @mischief.setter
    def mischief(self, mischief: Mischief) -> None:
        self._mischief, self._random = mischief, Random(mischief.seed)

    # -- calls

    def subscribe(self, call: Call) -> TwinResponse:
        return self._each(call, self._subscribe, created=201)

    def replace(self, call: Call) -> TwinResponse:
        return self._each(call, self._subscribe_known)

    def patch(self, call: Call) -> TwinResponse:
        return self._each(call, self._patch)

    def _each(self, call: Call, do: Any, created: int = 200) -> TwinResponse:
        items = call.items("watch", 100)
        results = [do(call, item if isinstance(item, dict) else {}, f"$.watch[{at}]") for at, item in enumerate(items)]
        return batch(results, key="watch", created=created, mode=self._mode)

    def told(self, call: Call) -> TwinResponse:
        """One row per channel and module, the caller's own channels only."""
        rows = [
            {
                "channel_id": channel.id,
                "events": [event for event in channel.events if event.split(".")[0] == module],
                "channel_expiry": self._org.told_time(channel.expires),
                "token": channel.token,
                "notify_url": channel.notify_url,
                "resource_uri": f"{self.base_url}/crm/{call.version}/{module}",
                "resource_id": self._resource_id(module),
                "resource_name": module,
                "notify_on_related_action": channel.related,
                "return_affected_field_values": channel.values,
                "fields": None,
                "notification_condition": None,
            }
            for channel in self._alive(call.user)
            for module in dict.fromkeys(event.split(".")[0] for event in channel.events)
            if call.query.get("channel_id", channel.id) == channel.id and call.query.get("module", module) == module
        ]
        page, per_page = call.number("page", 1), call.number("per_page", 200, 200)
        shown = rows[(page - 1) * per_page : page * per_page]
        if not shown:
            return answer(204)
        info = {"page": page, "per_page": per_page, "count": len(shown), "more_records": len(rows) > page * per_page}
        return answer(200, {"watch": shown, "info": info})

    def disable(self, call: Call) -> TwinResponse:
        ids = call.query.get("channel_ids", "")
        if not ids:
            raise Refused(400, "EXPECTED_PARAM_MISSING", "One of the expected parameter is missing", param_name="channel_ids")
        results: list[Fault] = []
        for channel_id in ids.split(","):
            channel = self._own(call.user, channel_id)
            if channel is None:
                results.append(self._not_subscribed(channel_id))
                continue
            del self.channels[channel.id]
            module = channel.events[0].split(".")[0]
            details = {
                "resource_uri": f"{self.base_url}/crm/{call.version}/{module}",
                "resource_id": self._resource_id(module),
                "channel_id": channel.id,
            }
            message = "Successfully un-subscribed from actions-watch"
            results.append({"code": "SUCCESS", "details": details, "message": message, "status": "success"})
        return batch(results, key="watch", mode=self._mode)

    # -- one entry

    def _subscribe(self, call: Call, item: dict[str, Any], path: str) -> Fault:
        wrong = self._wrong(item, path)
        if wrong is not None:
            return wrong
        channel_id = str(item["channel_id"])
        known = self.channels.get(channel_id)
        if known is not None and known.user != call.user and known.expires > self._org.now():
            return fault("DUPLICATE_DATA", "duplicate data", api_name="channel_id", json_path=f"{path}.channel_id")
        self.channels[channel_id] = Channel(
            id=channel_id,
            user=call.user,
            events=list(item["events"]),
            expires=self._expiry(call, item),
            notify_url=item["notify_url"],
            token=item.get("token"),
            values=bool(item.get("return_affected_field_values", False)),
            related=bool(item.get("notify_on_related_action", True)),
        )
        return self._done(call, self.channels[channel_id], "Successfully subscribed for actions-watch of the given module")

    def _subscribe_known(self, call: Call, item: dict[str, Any], path: str) -> Fault:
        channel_id = str(item.get("channel_id", ""))
        if self._own(call.user, channel_id) is None:
            return self._not_subscribed(channel_id)
        result = self._subscribe(call, item, path)
        if result["status"] == "success":
            result["message"] = "Successfully updated the subscribe details"
        return result

    def _patch(self, call: Call, item: dict[str, Any], path: str) -> Fault:
        channel = self._own(call.user, str(item.get("channel_id", "")))
        if channel is None:
            return self._not_subscribed(str(item.get("channel_id", "")))
        if item.get("_delete_events") is True:
            if not isinstance(item.get("events"), list):
                return _invalid("events", path, expected_data_type="jsonarray")
            channel.events = [event for event in channel.events if event not in item["events"]]
            done = self._done(call, channel, "Successfully removed the subscribe details")
            if not channel.events:
                del self.channels[channel.id]
            return done
        wrong = self._wrong(item, path)
        if wrong is not None:
            return wrong
        channel.events, channel.notify_url = list(item["events"]), item["notify_url"]
        if "channel_expiry" in item:
            channel.expires = self._expiry(call, item)
        channel.token = item.get("token", channel.token)
        channel.values = bool(item.get("return_affected_field_values", channel.values))
        channel.related = bool(item.get("notify_on_related_action", channel.related))
        return self._done(call, channel, "Successfully updated the subscribe details")

    def _wrong(self, item: dict[str, Any], path: str) -> Fault | None:
        """The first fault of an entry: channel_id, events and notify_url are mandatory in POST, PUT and PATCH alike."""
        for name in ("channel_id", "events", "notify_url"):
            if not item.get(name):
                return fault("MANDATORY_NOT_FOUND", "required field not found", api_name=name, json_path=f"{path}.{name}")
        if not str(item["channel_id"]).isdecimal():
            return _invalid("channel_id", path, expected_data_type="bigint")
        if not isinstance(item["events"], list):
            return _invalid("events", path, expected_data_type="jsonarray")
        for at, event in enumerate(item["events"]):
            module, _, word = str(event).partition(".")
            table = self._org.table(module)
            if table is None or table.module.parent is not None or word not in ("create", "edit", "delete", "all"):
                return fault("INVALID_DATA", "invalid data", api_name="events", json_path=f"{path}.events[{at}]")
        url = urlsplit(str(item["notify_url"]))
        if not (url.scheme == "https" or (url.scheme == "http" and url.hostname in LOCAL)) or not url.hostname:
            return _invalid("notify_url", path)  # the vendor wants public HTTPS; the demo listens on this machine
        if len(item["notify_url"]) > MAX_URL:
            return _invalid("notify_url", path, maximum_length=MAX_URL)
        if len(str(item.get("token") or "")) > MAX_TOKEN:
            return _invalid("token", path, maximum_length=MAX_TOKEN)
        if "channel_expiry" in item:
            try:
                instant(item["channel_expiry"])
            except ValueError:
                return _invalid("channel_expiry", path, expected_data_type="datetime")
        return None

    def _expiry(self, call: Call, item: dict[str, Any]) -> datetime:
        """The expiry asked for; one hour from now, without an error, when it is missing, past, or too far."""
        now = self._org.now()
        longest = timedelta(days=1) if call.version in ("v2", "v2.1", "v3") else timedelta(days=7)
        asked = instant(item["channel_expiry"]) if "channel_expiry" in item else now
        return asked if now < asked <= now + longest else now + timedelta(hours=1)

    def _done(self, call: Call, channel: Channel, message: str) -> Fault:
        events = [
            {
                "channel_expiry": self._org.told_time(channel.expires),
                "resource_uri": f"{self.base_url}/crm/{call.version}/{module}",
                "resource_id": self._resource_id(module),
                "resource_name": module,
                "channel_id": channel.id,
            }
            for module in dict.fromkeys(event.split(".")[0] for event in channel.events)
        ]
        return {"code": "SUCCESS", "details": {"events": events}, "message": message, "status": "success"}

    def _alive(self, user: str) -> list[Channel]:
        now = self._org.now()
        self.channels = {one: channel for one, channel in self.channels.items() if channel.expires > now}
        return [channel for channel in self.channels.values() if channel.user == user]

    def _own(self, user: str, channel_id: str) -> Channel | None:
        return next((channel for channel in self._alive(user) if channel.id == channel_id), None)

    @staticmethod
    def _not_subscribed(channel_id: str) -> Fault:
        return fault("NOT_SUBSCRIBED", "the channel is not subscribed", api_name="channel_id", channel_id=channel_id)

    def _resource_id(self, module: str) -> str:
        table = self._org.table(module)
        return table.module.id if table else ""

    # -- deliveries

    def _heard(self, table: Table, operation: str, record_id: str, fields: Mapping[str, Any]) -> None:
        if self.channels:
            changes = self._pending.setdefault((table.module.api_name, operation), {})
            changes[record_id] = {**changes.get(record_id, {}), **fields}

    def flush(self) -> None:
        """Turn what happened in one call into deliveries: one per channel, module and operation, with all its ids."""
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        now = self._org.now()
        for (module, operation), changes in pending.items():
            for channel in self.channels.values():
                if channel.expires > now and channel.wants(module, operation):
                    self._send(channel, module, operation, changes)

    def _send(self, channel: Channel, module: str, operation: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
        mischief, chance = self._mischief, self._random.random
        edited = operation == "update"
        table = self._org.table(module)
        assert table is not None
        body: dict[str, Any] = {
            "server_time": int(self._org.now().timestamp() * 1000),
            "module": module,
            "operation": operation,
            "ids": list(changes),
            "affected_fields": [{one: list(fields)} for one, fields in changes.items()] if edited else [],
            "query_params": dict(parse_qsl(urlsplit(channel.notify_url).query)),
            "resource_uri": f"{self.base_url}/crm/v2/{module}",
            "channel_id": channel.id,
            "token": "not-the-token" if chance() < mischief.wrong_token else channel.token,
        }
        if channel.values and edited:
            body["affected_values"] = [
                {"record_id": one, "values": {name: self._told(table, name, value) for name, value in fields.items()}}
                for one, fields in changes.items()
            ]
        delivery = (channel.notify_url, encode(body))
        if chance() < mischief.drop:
            return
        at = self._random.randint(0, len(self.deliveries)) if chance() < mischief.reorder else len(self.deliveries)
        self.deliveries.insert(at, delivery)
        if chance() < mischief.duplicate:
            self.deliveries.append(delivery)

    def _told(self, table: Table, name: str, value: Any) -> Any:
        tell = self._org.teller(table, name)
        return tell(value) if tell else value


def _invalid(name: str, path: str, **details: Any) -> Fault:
    return fault("INVALID_DATA", "invalid data", api_name=name, json_path=f"{path}.{name}", **details)
