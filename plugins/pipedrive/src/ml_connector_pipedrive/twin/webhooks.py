"""Webhooks v2: registration through v1, deliveries with HTTP Basic, retries, the ban, and deletion after three silent days."""

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ml_connector.twin import TwinResponse
from ml_connector_pipedrive.twin.auth import LOCAL
from ml_connector_pipedrive.twin.company import Company, timed
from ml_connector_pipedrive.twin.tables import Change
from ml_connector_pipedrive.twin.wire import JSON, Call, Refused, Row, encode

MOST: Final = 40
RETRIES: Final = (3, 30, 150)
BAN_AT: Final = 10
BAN: Final = timedelta(minutes=30)
PATIENCE: Final = timedelta(days=3)
ACTIONS: Final = ("create", "change", "delete", "*")
OBJECTS: Final = (
    *("activity", "deal", "lead", "note", "organization", "person", "pipeline", "product", "stage", "user", "*"),
    *("deal_product", "deal_installment", "board", "phase", "project", "task"),
)
_WRITABLE: Final = frozenset(
    {"subscription_url", "event_action", "event_object", "name", "version", "http_auth_user", "http_auth_password", "user_id"}
)


class Delivery(msgspec.Struct):
    """One POST that the vendor makes. Whoever delivers it says with ``Webhooks.delivered`` how it was answered."""

    webhook: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    due: datetime
    attempt: int = 1


class Webhook(msgspec.Struct):
    id: int
    told: Row
    heard: datetime  # the last success, or the registration
    failures: int = 0
    banned_until: datetime | None = None


class Webhooks:
    """``deliveries`` wait to be taken, oldest first; ``lost`` counts what a ban or the last retry swallowed."""

    def __init__(self, company: Company) -> None:
        self._company = company
        self._ids, self._events = count(550017), count(1)
        self.hooks: dict[int, Webhook] = {}
        self.deliveries: list[Delivery] = []
        self.lost = 0
        self._mischief: tuple[Random, float, float] | None = None
        company.listeners.append(self._hear)

    def mischief(self, *, duplicate: float = 0, reorder: float = 0, seed: int = 0) -> None:
        """From now on deliveries come twice, or before earlier ones, each with its probability."""
        self._mischief = (Random(seed), duplicate, reorder)

    # -- registration

    def listed(self, call: Call) -> TwinResponse:
        self._forget_the_silent()
        call.query()
        return _ok([self._shown(hook) for hook in self.hooks.values()])

    def create(self, call: Call) -> TwinResponse:
        body = call.body()
        errors: dict[str, list[str]] = {}
        for name in body.keys() - _WRITABLE:
            errors[name] = ["is not allowed"]
        for name in ("subscription_url", "event_action", "event_object", "name"):
            if not isinstance(body.get(name), str) or not body[name]:
                errors[name] = ["is required"]
        url = urlsplit(str(body.get("subscription_url", "")))
        local = url.scheme == "http" and url.hostname in LOCAL
        if (url.scheme != "https" and not local) or not url.hostname or url.hostname.endswith("pipedrive.com"):
            errors["subscription_url"] = ["invalid or non-reachable URL"]
        if body.get("event_action") not in ACTIONS or body.get("event_object") not in OBJECTS:
            errors["event_action"] = ["unknown event"]
        if body.get("version", "2.0") != "2.0":
            errors["version"] = ["only 2.0 is modelled"]
        if errors:
            raise Refused(400, {"status": "error", "success": False, "errors": errors})
        self._forget_the_silent()
        if len(self.hooks) >= MOST:
            raise Refused(422, {"status": "error", "success": False, "errors": {"limit": ["webhook limit reached"]}})
        hook = Webhook(next(self._ids), {"version": "2.0", "user_id": call.user, **body}, self._company.now())
        self.hooks[hook.id] = hook
        return _ok(self._shown(hook), status=201)

    def delete(self, call: Call) -> TwinResponse:
        if self.hooks.pop(int(call.args[0]) if call.args[0].isdigit() else -1, None) is None:
            raise Refused(404, {"status": "error", "success": False, "errors": {"id": ["not found"]}})
        return TwinResponse(200, encode({"status": "ok", "success": True}), JSON)

    def _shown(self, hook: Webhook) -> Row:
        more = {
            "company_id": 7700123,
            "owner_id": hook.told["user_id"],
            "is_active": 1,
            "type": "general",
            "remove_reason": None,
        }
        return {"id": hook.id, **more, **hook.told}

    def _forget_the_silent(self) -> None:
        horizon = self._company.now() - PATIENCE
        self.hooks = {one: hook for one, hook in self.hooks.items() if hook.heard > horizon}

    # -- deliveries

    def _hear(self, change: Change) -> None:
        now, event = self._company.clock.now(), f"5b0c9f10-2f6a-4d7e-9a41-{next(self._events):012}"
        self._forget_the_silent()
        for hook in self.hooks.values():
            if hook.told["event_object"] not in ("*", change.entity) or hook.told["event_action"] not in ("*", change.action):
                continue
            if hook.banned_until is not None and now < hook.banned_until:
                self.lost += 1
                continue
            self._enqueue(hook, self._told(hook, change, event, now), now)

    def _enqueue(self, hook: Webhook, body: Row, now: datetime) -> None:
        headers = {"content-type": "application/json"}
        if "http_auth_user" in hook.told:
            pair = f"{hook.told['http_auth_user']}:{hook.told.get('http_auth_password', '')}"
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        delivery = Delivery(hook.id, hook.told["subscription_url"], headers, encode(body), now)
        self.deliveries.append(delivery)
        if self._mischief is not None:
            random, duplicate, reorder = self._mischief
            if random.random() < duplicate:
                self.deliveries.append(delivery)
            if random.random() < reorder:
                random.shuffle(self.deliveries)

    def delivered(self, delivery: Delivery, *, good: bool) -> None:
        """How a delivery ended: a 2xx within ten seconds is good; anything else is tried again after 3, 30 and 150 s."""
        hook, now = self.hooks.get(delivery.webhook), self._company.clock.now()
        if hook is None:
            return
        if good:
            hook.heard = self._company.now()
            return
        if delivery.attempt == 1:
            hook.failures += 1
            if hook.failures >= BAN_AT:
                hook.failures, hook.banned_until = 0, now + BAN
        if delivery.attempt > len(RETRIES):
            self.lost += 1
            return
        body = msgspec.json.decode(delivery.body)
        body["meta"]["attempt"] = delivery.attempt + 1
        again = now + timedelta(seconds=RETRIES[delivery.attempt - 1])
        self.deliveries.append(msgspec.structs.replace(delivery, body=encode(body), due=again, attempt=delivery.attempt + 1))

    def take(self) -> list[Delivery]:
        """The deliveries that are due; they wait no longer."""
        now = self._company.clock.now()
        due = [delivery for delivery in self.deliveries if delivery.due <= now]
        self.deliveries = [delivery for delivery in self.deliveries if delivery.due > now]
        return due

    def _told(self, hook: Webhook, change: Change, event: str, now: datetime) -> Row:
        row = change.after or change.before or {}
        meta: Row = {
            "action": change.action,
            "entity": change.entity,
            "entity_id": str(row["id"]),
            "company_id": "7700123",
            "user_id": str(change.user),
            "id": event,
            "correlation_id": event,
            "is_bulk_edit": False,
            "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
            "type": "general",
            "version": "2.0",
            "webhook_id": str(hook.id),
            "webhook_owner_id": str(hook.told["user_id"]),
            "change_source": change.source,
            "permitted_user_ids": [str(hook.told["user_id"])],
            "attempt": 1,
            "host": "acme-corp.pipedrive.com",
        }
        after = None if change.after is None else self._shape(change.entity, change.after)
        before = None if change.before is None else self._shape(change.entity, change.before)
        if before is not None and after is not None:
            previous = {name: value for name, value in before.items() if name != "custom_fields" and after.get(name) != value}
            old, new = before.get("custom_fields", {}), after.get("custom_fields", {})
            if strayed := {code: old.get(code) for code in {*old, *new} if old.get(code) != new.get(code)}:
                previous["custom_fields"] = strayed
            before = previous
        return {"meta": meta, "data": after, "previous": before}

    def _shape(self, entity: str, row: Row) -> Row:
        """A row as webhooks tell it: custom fields with their types, visibility as text."""
        told = timed(row)
        if "visible_to" in told:
            told["visible_to"] = str(told["visible_to"])
        if "custom_fields" in told:
            fields = self._company.fields[f"{entity}s"]
            told["custom_fields"] = {code: _typed(fields[code].type, value) for code, value in row["custom_fields"].items()}
        return told


def _typed(kind: str, value: Any) -> Row:
    if kind == "enum":
        return {"type": kind, "id": value}
    if kind == "set":
        return {"type": kind, "values": [{"id": one} for one in value]}
    return {"type": kind, **(value if isinstance(value, dict) else {"value": value})}


def _ok(data: Any, *, status: int = 200) -> TwinResponse:
    return TwinResponse(status, encode({"status": "ok", "success": True, "data": data}), JSON)
