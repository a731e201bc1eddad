"""What this organisation has: modules, fields, layouts, currency, stages. Asked once, kept a day, asked anew on surprise."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from ml_connector.domain import Kind
from ml_connector.errors import AuthRejected, ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_zoho_crm.api import Api, is_missing_right
from ml_connector_zoho_crm.lines import LinePlan, custom_plan, inventory_plan
from ml_connector_zoho_crm.mapping import MODULES, module_of
from ml_connector_zoho_crm.plan import Plan, Surroundings
from ml_connector_zoho_crm.settings import Settings
from ml_connector_zoho_crm.wire import Field, ModuleInfo, Operations, Org

T = TypeVar("T")

KEPT_S: Final = 86_400.0
CALM_S: Final = 60.0
"""Least time between two readings, however many surprises there are."""
RECORD_ID: Final = Field(api_name="id", data_type="bigint", json_type="string", unique=True, operation_type=Operations())
"""What a module's fields do not list: the record's own id, by which a flow may match (``keys.account = "id"``)."""


class Metadata:
    """Plans by kind, compiled from the organisation's own metadata. Raises what the api raises."""

    def __init__(self, api: Api, settings: Settings, clock: Clock) -> None:
        self._api, self._settings, self._clock = api, settings, clock
        self._lock = asyncio.Lock()
        self._plans: dict[Kind, tuple[float, Plan]] = {}
        self._modules: tuple[float, dict[str, ModuleInfo]] | None = None
        self._comforts: dict[str, object] = {}
        self._doubted: set[Kind] = set()

    async def plan(self, kind: Kind) -> Plan:
        """How this kind is read and written now. Raises ContractBroken when the organisation does not have its module."""
        if (plan := self._known(kind)) is not None:
            return plan
        async with self._lock:
            if (plan := self._known(kind)) is not None:
                return plan
            plan = await self._compile(kind)
            self._plans[kind] = (self._clock.monotonic(), plan)
            self._doubted.discard(kind)
            return plan

    def _known(self, kind: Kind) -> Plan | None:
        if kind not in self._plans:
            return None
        read_at, plan = self._plans[kind]
        age = self._clock.monotonic() - read_at
        return plan if age < (CALM_S if kind in self._doubted else KEPT_S) else None

    def doubt(self, kind: Kind) -> None:
        """Zoho contradicted what we know of this kind: read it anew before the next use."""
        self._doubted.add(kind)

    def forget(self) -> None:
        """Somebody changed the organisation's fields: everything is read anew."""
        self._plans.clear()
        self._modules = None
        self._comforts.clear()

    async def modules(self) -> Mapping[str, ModuleInfo]:
        """Modules by system name, whatever administrators renamed them to."""
        now = self._clock.monotonic()
        if self._modules is None or now - self._modules[0] > KEPT_S:
            listed = await self._api.modules()
            self._modules = (now, {module.module_name or module.api_name: module for module in listed})
        return self._modules[1]

    async def module(self, kind: Kind) -> ModuleInfo:
        name, known = module_of(kind, self._settings).name, await self.modules()
        own = kind in self._settings.modules  # custom modules have system names of Zoho's making, which nobody sees
        found = next((one for one in known.values() if one.api_name == name), None) if own else known.get(name)
        if found is None or not found.api_supported:
            raise ContractBroken(
                f"The organisation has no module {name}",
                fix=f"modules.{kind} is a custom module's API name: Setup, Developer Hub, APIs & SDKs, API Names"
                if own
                else "Inventory modules come with edition Professional; a module may also be hidden from the user's profile",
            )
        return found

    def kind_of(self, module: str) -> Kind | None:
        """The kind behind a module's API name, as far as is known without asking."""
        known = self._modules[1] if self._modules else {}
        for kind in MODULES:
            mapped = module_of(kind, self._settings)
            if module == (known[mapped.name].api_name if mapped.name in known else mapped.name):
                return kind
        return None

    async def fields(self, module: str) -> dict[str, Field]:
        return {field.api_name: field for field in await self._api.fields(module)}

    async def org(self) -> Org | None:
        """None when the scope to look is not granted."""
        return await self._comfort("org", self._api.org)

    async def user(self) -> str | None:
        """Id of the integration user, None when the scope to look is not granted."""
        return await self._comfort("user", self._api.current_user)

    async def layout_id(self, kind: Kind) -> str | None:
        """Id of the layout that the settings name for new records of this kind. Raises ContractBroken when it is not there."""
        wanted = self._settings.layouts.get(kind)
        if wanted is None:
            return None
        module = (await self.module(kind)).api_name
        layouts = await self._comfort(f"layouts {kind}", lambda: self._api.layouts(module)) or []
        for layout in layouts:
            if layout.name == wanted:
                return layout.id
        names = ", ".join(f'"{layout.name}"' for layout in layouts) or "none that we may see"
        raise ContractBroken(f'{module} has no layout "{wanted}"', fix=f"layouts.{kind}: it has {names}")

    async def pipelines(self) -> dict[str, dict[str, str]]:
        """Pipeline → stage → "open", "won" or "lost", by forecast type rather than by name; empty where we may not look."""
        module = (await self.module("deal")).api_name
        found: dict[str, dict[str, str]] = {}
        for layout in await self._comfort("layouts deal", lambda: self._api.layouts(module)) or []:
            for pipeline in await self._comfort(f"pipelines {layout.id}", partial(self._api.pipelines, layout.id)) or []:
                found[pipeline.actual_value or pipeline.display_value] = {
                    stage.actual_value or stage.display_value or "": _status(stage.forecast_type) for stage in pipeline.maps
                }
        return found

    async def _compile(self, kind: Kind) -> Plan:
        module = await self.module(kind)
        asked = (self._fields_and_lines(kind, module.api_name), self.org(), self._stages(kind), self.user())
        (fields, lines), org, stages, user = await asyncio.gather(*asked)
        around = Surroundings(home_currency=org.iso_code if org else None, stages=stages, lines=lines, user=user)
        return Plan(kind, module.api_name, fields, self._settings, around)

    async def _stages(self, kind: Kind) -> dict[str, str]:
        """Stage → status, for deals; a stage that means different things in different pipelines tells nothing."""
        if kind != "deal":
            return {}
        told: dict[str, set[str]] = {}
        for stages in (await self.pipelines()).values():
            for stage, status in stages.items():
                told.setdefault(stage, set()).add(status)
        return {stage: next(iter(statuses)) for stage, statuses in told.items() if len(statuses) == 1 and "" not in statuses}

    async def _fields_and_lines(self, kind: Kind, module: str) -> tuple[dict[str, Field], LinePlan | None]:
        fields = await self.fields(module)
        if self._settings.tells_id(kind):
            fields = {RECORD_ID.api_name: RECORD_ID, **fields}
        return fields, await self._lines(kind, fields)

    async def _lines(self, kind: Kind, fields: Mapping[str, Field]) -> LinePlan | None:
        settings, subform = self._settings, module_of(kind, self._settings).lines
        if kind == "deal" and settings.subform is not None:
            if settings.subform.name not in fields:
                raise ContractBroken(
                    f"Deals have no subform {settings.subform.name}",
                    fix="Create it in Zoho CRM (Enterprise and up), or set order_lines to another way",
                )
            rows = await self.fields(settings.subform.name)
            if settings.subform.key not in rows:
                raise ContractBroken(f"The subform {settings.subform.name} has no field {settings.subform.key}")
            return custom_plan(settings.subform, rows)
        if subform is None or subform not in fields:
            return None
        return inventory_plan(subform, await self.fields(subform), settings.line_key)

    async def _comfort(self, name: str, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Ask once for what is good to know; a missing scope, right or feature (pipelines) is a None, not an error."""
        if name not in self._comforts:
            try:
                self._comforts[name] = await ask()
            except ContractBroken:
                self._comforts[name] = None
            except AuthRejected as error:
                if not is_missing_right(error):
                    raise
                self._comforts[name] = None
        return self._comforts[name]  # type: ignore[return-value]


def _status(forecast_type: str | None) -> str:
    kind = (forecast_type or "").lower()
    return next((status for status in ("won", "lost", "open") if status in kind), "")
