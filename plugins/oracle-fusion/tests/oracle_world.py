"""A pod on this machine: the plugin in front, its twin behind, and no time but the twin's."""

from typing import Any

import msgspec

from ml_connector.domain import Account, Address, Contact
from ml_connector.ports.sink import Create, Key, Outcome, Sink, Update, Write, Written
from ml_connector.system import Connection
from ml_connector.testing import ManualClock, MemoryTokens, memory_host
from ml_connector.twin import Fault, TwinRequest
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_oracle_fusion.adapters import connect
from ml_connector_oracle_fusion.settings import Settings
from ml_connector_oracle_fusion.twin import OracleTwin

BASE = "http://127.0.0.1:8123"
SET_ID = "300000001"


class Writing(Fault):
    """A fault that meets what writes, on REST and SOAP alike."""

    def matches(self, request: TwinRequest) -> bool:
        return request.method in ("POST", "PATCH") and "/token" not in request.path and super().matches(request)


class World:
    """One twin and one connection to it."""

    def __init__(self, twin: OracleTwin, clock: ManualClock, **settings: Any) -> None:
        self.twin, self.clock = twin, clock
        self.settings = settings_for(**{**twin.settings(BASE), **settings})
        self.host = memory_host(
            "oracle",
            clock=clock,
            secrets={**twin.secrets(), "pem": "", "password": twin.identity.password},
            tokens=MemoryTokens(),
            transport=TwinTransport(twin),
        )
        self.connection: Connection = connect(self.settings, self.host)

    def again(self, **settings: Any) -> "World":
        """Another connection to the same pod, as after a restart, or with other settings."""
        return World(self.twin, self.clock, **settings)

    @property
    def accounts(self) -> Sink:
        return self.connection.sinks["account"]

    @property
    def contacts(self) -> Sink:
        return self.connection.sinks["contact"]

    def called(self, method: str, part: str) -> list[str]:
        return [path for made, path, _ in self.twin.calls if made == method and part in path]

    def forget_calls(self) -> None:
        self.twin.calls.clear()

    async def write(self, write: Write) -> Outcome:
        entity = write.entity if isinstance(write, Create) else write.changes
        [outcome] = await self.connection.sinks["contact" if isinstance(entity, Contact) else "account"].write([write])
        return outcome

    async def create(self, entity: Any) -> Written:
        outcome = await self.write(Create(key=Key("number", entity.number), entity=entity))
        assert isinstance(outcome, Written), outcome
        return outcome

    async def update(self, made: Written, changes: Any) -> Outcome:
        return await self.write(Update(id=made.id, changes=changes, version=made.version))


def settings_for(**values: Any) -> Settings:
    return msgspec.convert(values, Settings, dec_hook=lambda kind, value: kind(value))


def acme(n: int = 1, **more: Any) -> Account:
    """A company as a CRM tells of it; its number is the CRM's id."""
    told: dict[str, Any] = {
        "number": f"58431040000004250{n:02d}",
        "name": f"Acme {n}",
        "email": "ap@acme.example",
        "phone": "+46 8 555 0199",
        "billing": Address("Hamngatan 4", "Stockholm", None, "111 47", "SE"),
    }
    return Account(**{**told, **more})
