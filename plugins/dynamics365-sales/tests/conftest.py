"""A Dataverse environment on this machine: the plugin in front, its twin behind, and no time but the twin's."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ml_connector.domain import Kind, Page, Record
from ml_connector.ports.sink import Create, Key, Outcome, Update, Write
from ml_connector.system import Connection
from ml_connector.testing import ManualClock, MemoryTokens, memory_host
from ml_connector.twin import TwinClock
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_dynamics365_sales.adapters import connect
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.twin import DynamicsTwin

BASE = "http://127.0.0.1:8123"
ORG = "https://acme.crm4.dynamics.com"


class World:
    """One twin and one connection to it."""

    def __init__(self, twin: DynamicsTwin, clock: ManualClock, **settings: Any) -> None:
        self.twin, self.clock = twin, clock
        self.settings = settings_for(**{**twin.settings(BASE), **settings})
        self.host = memory_host(
            "crm", clock=clock, secrets=twin.secrets(), tokens=MemoryTokens(), transport=TwinTransport(twin)
        )
        self.connection: Connection = connect(self.settings, self.host)

    def again(self, **settings: Any) -> "World":
        """Another connection to the same environment, as after a restart with other settings."""
        return World(self.twin, self.clock, **settings)

    def asked(self, method: str, part: str) -> int:
        return sum(called == method and part in path for called, path, _ in self.twin.calls)

    def pass_time(self, **span: float) -> None:
        self.clock.advance(timedelta(**span).total_seconds())

    async def write(self, kind: Kind, *writes: Write) -> list[Outcome]:
        return await self.connection.sinks[kind].write(writes)

    async def create(self, kind: Kind, entity: Any) -> Any:
        """The outcome of creating it by its number."""
        [outcome] = await self.write(kind, Create(key=Key("number", entity.number), entity=entity))
        return outcome

    async def change(self, kind: Kind, made: Any, changes: Any) -> Any:
        """The outcome of an update at the version that an earlier outcome told."""
        [outcome] = await self.write(kind, Update(id=made.id, changes=changes, version=made.version))
        return outcome

    async def read(self, kind: Kind, record_id: str) -> Record:
        [record] = await self.connection.sources[kind].fetch([record_id])
        return record

    async def pages(self, kind: Kind, cursor: str | None) -> list[Page]:
        return [page async for page in self.connection.sources[kind].changed_since(cursor)]  # type: ignore[attr-defined]

    async def news(self, kind: Kind, cursor: str | None) -> tuple[list[Record], str | None]:
        """What the feed tells from a cursor on, and the last cursor."""
        pages = await self.pages(kind, cursor)
        cursors = [page.cursor for page in pages if page.cursor is not None]
        return [record for page in pages for record in page.records], cursors[-1] if cursors else cursor

    # what a salesperson has

    def account(self, **values: Any) -> str:
        return self.twin.insert_as_person("account", **{"name": "Nordvik AS", **values})

    def product(self, number: str = "IT-77", *, active: bool = True, **values: Any) -> str:
        unit = next(row for row in self.twin.records("uom").values() if row.values["isschedulebaseuom"])
        known = {"name": f"Item {number}", "defaultuomid": unit.id, "defaultuomscheduleid": unit.values["uomscheduleid"]}
        made = self.twin.insert_as_person("product", productnumber=number, **{**known, **values})
        if active:
            self.twin.edit_as_person("product", made, statecode=0, statuscode=1)
        return made

    def lines_of(self, order: str, table: str = "salesorderdetail", lookup: str = "salesorderid") -> list[dict[str, Any]]:
        return [row.values for row in self.twin.records(table).values() if row.values[lookup] == order]


def settings_for(**values: Any) -> Settings:
    proof = {} if "client_certificate" in values else {"client_secret": "env:S"}
    told = {"org_url": ORG, "tenant_id": "acme", "client_id": "app", **proof, **values}
    return msgspec.convert(told, Settings, dec_hook=lambda kind, value: kind(value))


@pytest.fixture
def make_settings() -> Callable[..., Settings]:
    """Settings as a user would write them, with what is not at issue filled in."""
    return settings_for


@pytest.fixture
def dynamics() -> Callable[..., World]:
    """``dynamics(batch=2, twin={…})``: a fresh environment at noon with the ERP's columns and keys, and a connection to it."""

    def build(*, twin: dict[str, Any] | None = None, **settings: Any) -> World:
        clock = ManualClock(datetime(2026, 3, 2, 12, tzinfo=UTC))
        made = DynamicsTwin(**{"erp_columns": True, "clock": TwinClock(clock.now), **(twin or {})})
        return World(made, clock, **settings)

    return build
