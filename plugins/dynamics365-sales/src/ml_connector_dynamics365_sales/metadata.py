"""What this environment has: tables, columns, keys, currencies, units. Asked once, kept a day, asked anew on surprise."""

import asyncio
from typing import Final

from ml_connector.domain import Kind
from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_dynamics365_sales.api import Api
from ml_connector_dynamics365_sales.children import ChildPlan, Lines, Prices
from ml_connector_dynamics365_sales.facts import Facts, PriceLevel, Unit
from ml_connector_dynamics365_sales.mapping import Children, table_of
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.wire import Definition, Vendor

KEPT_S: Final = 86_400.0
CALM_S: Final = 60.0
"""Least time between two readings, however many surprises there are."""


class Metadata:
    """Plans by kind, compiled from the environment's own metadata. Raises what the api raises."""

    def __init__(self, api: Api, settings: Settings, clock: Clock) -> None:
        self._api, self._settings, self._clock = api, settings, clock
        self._lock = asyncio.Lock()
        self._plans: dict[Kind, tuple[float, Plan]] = {}
        self._facts: tuple[float, Facts] | None = None
        self._children: dict[str, Definition] = {}
        self._doubted = False

    async def plan(self, kind: Kind) -> Plan:
        """How this kind is read and written now. Raises ContractBroken when the environment does not have its table."""
        if (plan := self._known(kind)) is not None:
            return plan
        async with self._lock:
            if (plan := self._known(kind)) is not None:
                return plan
            plan = await self._compile(kind)
            self._plans[kind] = (self._clock.monotonic(), plan)
            return plan

    async def facts(self) -> Facts:
        async with self._lock:
            return await self._known_facts()

    async def child(self, kind: Kind) -> Definition | None:
        """The metadata of the kind's children, None where it has none; known once its plan is."""
        await self.plan(kind)
        children = table_of(kind, self._settings).children
        return self._children[children.table] if children else None

    def doubt(self) -> None:
        """Dataverse contradicted what we know: read it anew before the next use, but not twice a minute."""
        self._doubted = True

    def forget(self) -> None:
        """Somebody changed the environment: everything is read anew."""
        self._plans.clear()
        self._facts = None
        self._doubted = False

    def _known(self, kind: Kind) -> Plan | None:
        if kind not in self._plans:
            return None
        read_at, plan = self._plans[kind]
        age = self._clock.monotonic() - read_at
        if self._doubted and age >= CALM_S:
            self.forget()
            return None
        return plan if age < KEPT_S else None

    async def _compile(self, kind: Kind) -> Plan:
        table = table_of(kind, self._settings)
        definition, attributes = await asyncio.gather(self._api.definition(table.name), self._api.attributes(table.name))
        facts = await self._known_facts()
        children = await self._child_plan(table.children, facts) if table.children else None
        return Plan(kind, definition, attributes, self._settings, facts, children)

    async def _child_plan(self, where: Children, facts: Facts) -> ChildPlan:
        definition, attributes = await asyncio.gather(self._api.definition(where.table), self._api.attributes(where.table))
        self._children[where.table] = definition
        entity_set, key = definition.EntitySetName, definition.PrimaryIdAttribute
        if where.field == "prices":
            return Prices(where, entity_set, key, attributes)
        return Lines(where, entity_set, key, attributes, self._settings, facts)

    async def _known_facts(self) -> Facts:
        now = self._clock.monotonic()
        if self._facts is None or now - self._facts[0] >= KEPT_S:
            self._facts = (now, await self._read_facts())
        return self._facts[1]

    async def _read_facts(self) -> Facts:
        api, settings = self._api, self._settings
        who, currencies, units, groups, prices = await asyncio.gather(
            api.who(),
            api.rows("transactioncurrencies", ("transactioncurrencyid", "isocurrencycode")),
            self._comfort("uoms", ("uomid", "name", "_uomscheduleid_value", "isschedulebaseuom")),
            self._comfort("uomschedules", ("uomscheduleid", "name")),
            self._comfort("pricelevels", ("pricelevelid", "name", "_transactioncurrencyid_value")),
        )
        return Facts(
            user=who.UserId,
            organization=who.OrganizationId,
            currencies={row["transactioncurrencyid"]: row["isocurrencycode"] for row in currencies},
            units=tuple(
                Unit(row["uomid"], row["name"], row["_uomscheduleid_value"], bool(row.get("isschedulebaseuom")))
                for row in units
            ),
            groups={row["uomscheduleid"]: row["name"] for row in groups},
            group=settings.unit_group,
            prices=tuple(
                PriceLevel(row["pricelevelid"], row["name"] or "", row["_transactioncurrencyid_value"]) for row in prices
            ),
            chosen_prices=settings.price_list,
        )

    async def _comfort(self, entity_set: str, select: tuple[str, ...]) -> list[Vendor]:
        """What is only needed by some kinds: a missing right leaves it empty."""
        try:
            return await self._api.rows(entity_set, select)
        except ContractBroken:
            return []
