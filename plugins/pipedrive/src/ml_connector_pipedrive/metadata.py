"""What this company has: fields, options, pipelines, its currency. Asked once, kept a day, asked anew on surprise."""

import asyncio
from datetime import timedelta
from typing import Final

from ml_connector.domain import Entity, Kind
from ml_connector.ports.clock import Clock
from ml_connector_pipedrive import mapping
from ml_connector_pipedrive.api import Api
from ml_connector_pipedrive.convert import plain
from ml_connector_pipedrive.plan import SHAPES, Plan, Schema, plan_for
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.wire import Me, Pipeline, Stage

KEEP: Final = timedelta(days=1)
DOUBT: Final = timedelta(minutes=1)
"""How old what we know must be before a surprise makes us ask again, lest every record asks for a field that is never there."""


class Metadata:
    """One connection's memory of the company; keys of custom fields live here and nowhere else."""

    def __init__(self, api: Api, settings: Settings, clock: Clock) -> None:
        self._api, self._settings, self._clock = api, settings, clock
        self._plans: dict[Kind, tuple[float, Plan]] = {}
        self._me: Me | None = None
        self._ways: tuple[list[Pipeline], list[Stage]] | None = None
        self._asking = asyncio.Lock()

    async def plan(self, kind: Kind) -> Plan:
        """The kind as the company has it now, or had it at most a day ago."""
        async with self._asking:
            kept = self._plans.get(kind)
            if kept is None or kept[0] + KEEP.total_seconds() <= self._clock.monotonic():
                kept = (self._clock.monotonic(), await self._ask(kind))
                self._plans[kind] = kept
            return kept[1]

    async def me(self) -> Me:
        """The connector's own user and company."""
        if self._me is None:
            self._me = await self._api.me()
        return self._me

    def doubt(self, kind: Kind) -> None:
        """Something did not fit what we know: ask again, unless we just did."""
        kept = self._plans.get(kind)
        if kept is not None and kept[0] + DOUBT.total_seconds() <= self._clock.monotonic():
            del self._plans[kind]
            self._ways = None

    def forget(self, kind: Kind | None = None) -> None:
        """What we know of a kind, or everything."""
        if kind is not None:
            self._plans.pop(kind, None)
            return
        self._plans.clear()
        self._me = self._ways = None

    async def grown(self, plan: Plan, entity: Entity) -> Plan:
        """The plan after options were added for words that a list does not have yet, where the settings allow it."""
        if self._settings.new_options == "reject":
            return plan
        added = False
        for name, value in mapping.set_fields(entity):
            column = plan.columns.get(name)
            field = plan.schema.fields.get(column.code) if column is not None and column.custom else None
            if field is None or field.field_type not in ("enum", "set") or value is None:
                continue
            labels = {option.label for option in field.options or ()}
            words = plain(value).split(";") if field.field_type == "set" else [plain(value)]
            for word in dict.fromkeys(word.strip() for word in words):
                if word and word not in labels:
                    await self._api.add_option(plan.shape.singular, field.field_code, word)
                    added = True
        if not added:
            return plan
        self.forget(plan.kind)
        return await self.plan(plan.kind)

    async def _ask(self, kind: Kind) -> Plan:
        fields = await self._api.fields(SHAPES[kind].singular)
        pipelines: list[Pipeline] = []
        stages: list[Stage] = []
        if kind == "deal":
            if self._ways is None:
                self._ways = (await self._api.pipelines(), await self._api.stages())
            pipelines, stages = self._ways
        home = self._settings.currency or (await self.me()).default_currency
        schema = Schema(
            fields={field.field_code: field for field in fields},
            home=home,
            pipelines=tuple(sorted((each for each in pipelines if not each.is_deleted), key=lambda each: each.order_nr)),
            stages=tuple(sorted((each for each in stages if not each.is_deleted), key=lambda each: each.order_nr)),
        )
        return plan_for(kind, schema, self._settings)
