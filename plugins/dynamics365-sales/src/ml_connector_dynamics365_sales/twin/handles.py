"""``DynamicsTwin``: the service with the handles that tests, the demo and simulations pull."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from ml_connector.twin import TwinClock, TwinRequest
from ml_connector_dynamics365_sales.twin import certificates, fill
from ml_connector_dynamics365_sales.twin.checks import read_payload
from ml_connector_dynamics365_sales.twin.identity import Entra
from ml_connector_dynamics365_sales.twin.service import Dataverse
from ml_connector_dynamics365_sales.twin.store import Row
from ml_connector_dynamics365_sales.twin.watch import Delivery
from ml_connector_dynamics365_sales.twin.wire import Refused, payload

T = TypeVar("T")

_encoder = msgspec.json.Encoder(decimal_format="number")
TENANT = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"


class Answer(msgspec.Struct):
    """What ``DynamicsTwin.ask`` got; ``json`` is None when the body is none."""

    status: int
    json: Any
    headers: Mapping[str, str]


class DynamicsTwin(Dataverse):
    """Dynamics 365 Sales with one environment, one application user and one person, Sam.

    ``certified``: the application has a certificate instead of a secret. ``servers``: web servers of the environment, each with
    service protection limits of its own, all of which the connection's settings use.

    Handles speak logical names of tables ("account", "salesorder") and columns; lookups are bare ids. Switches without an
    argument of their own: ``env.defs[TABLE].tracked``, ``reader.tracking_days``, ``definitions.index_s``, ``.may_customise``,
    ``business.number_on_update`` and ``.closing_by_patch``, ``writer.no_rights``, ``protection``, ``member``, ``depth``,
    ``fulfil_binding``, ``nested_refusals``, ``part_faults``, ``identity.secret_expired``, ``watch.allow``, ``watch.padding``,
    ``latency_s``.
    """

    settles_s = 2.5

    def __init__(
        self,
        *,
        clock: TwinClock | None = None,
        tenant: str = TENANT,
        client_id: str = "b8b8b8b8-0000-4000-8000-twinclient01",
        client_secret: str = "dynamics-twin-secret",  # noqa: S107 - it opens nothing but this twin
        certified: bool = False,
        erp_columns: bool = False,
        servers: int = 1,
        host: str = "org.crm4.dynamics.com",
    ) -> None:
        clock = clock or TwinClock()
        super().__init__(clock, Entra(clock, tenant, client_id, client_secret), host)
        self._pem, self.protection.servers = "", servers
        if certified:
            self.identity.certificate, self._pem = certificates.made(clock.now())
        fill.furnish(self.env)
        if erp_columns:
            fill.add_erp_columns(self.definitions)

    def settings(self, base_url: str) -> dict[str, object]:
        """The connection settings that reach this twin at ``base_url``; secrets as references."""
        servers = self.protection.servers
        return {
            "org_url": base_url,
            "authority": base_url,
            "tenant_id": self.identity.tenant,
            "client_id": self.identity.client_id,
            f"client_{self._proof}": f"secret:twin/dynamics_client_{self._proof}",
            **({"limits": {"requests_per_minute": 1000 * servers}} if servers > 1 else {}),
        }

    def secrets(self) -> dict[str, str]:
        """The values behind the references of ``settings``, by reference name."""
        return {f"twin/dynamics_client_{self._proof}": self._pem or self.identity.client_secret}

    @property
    def _proof(self) -> str:
        return "certificate" if self._pem else "secret"

    async def ask(self, method: str, target: str, body: Any = None, /, **headers: str) -> Answer:
        """One API call with a fresh token; ``target`` starts behind "/api/data/v9.2/"."""
        token = f"ask-{len(self.calls)}"
        self.identity.tokens[token] = self.clock.now().replace(year=9999)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = body if isinstance(body, bytes) else b"" if body is None else _encoder.encode(body)
        told = await self(
            TwinRequest(method, self.host, f"/api/data/v9.2/{target}", {"authorization": f"Bearer {token}", **named}, sent)
        )
        self.identity.tokens.pop(token, None)
        return Answer(told.status, payload(told.body) if told.body[:1] == b"{" else None, told.headers)

    # -- records

    def fill(self, accounts: int, orders: int, *, seed: int = 0) -> None:
        """Make up ``accounts`` accounts and ``orders`` orders with lines, as a person would have entered them."""
        fill.fill(self, accounts, orders, seed)

    def edit(self, kind: str, count: int, *, seed: int = 0) -> list[str]:
        """Change ``count`` records of a kind ("account", "order" …) as a person would; returns their business numbers."""
        return fill.edit(self, kind, count, seed)

    def enters(self, kind: str, *, customer: str = "") -> str:
        """Sam enters a record of the kind, of the account with this number; orders and deals with a line. Returns its id."""
        return fill.enters(self, kind, customer)

    def moves(self, kind: str, number: str, stage: str) -> None:
        """Sam gives the order another status reason, by its number over there."""
        fill.moves(self, kind, number, stage)

    @property
    def numbers(self) -> bool:
        return False

    def sets(self, kind: str, record: str, fields: Mapping[str, str | None]) -> str:
        """Sam sets fields of an account, or enters one with record ""; returns its id."""
        table, columns = fill.columns(kind, fields)
        if not record:
            return self.insert_as_person(table, **columns)
        self.edit_as_person(table, record, **columns)
        return record

    def newcomers(self) -> Mapping[str, object]:
        return {}

    def facts(self, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        """(business number, canonical field path → value) of every record of the kind."""
        return fill.facts(self.env, kind)

    def records(self, table: str) -> Mapping[str, Row]:
        """The rows of a table by id, as stored."""
        return self.env.rows[table]

    def insert_as_person(self, table: str, **values: Any) -> str:
        """A record that Sam enters, under the same checks as the API's; children by navigation name. Raises ValueError."""
        definition = self.env.defs[table]
        return self._checked(
            lambda: (
                self.writer.insert(
                    definition, read_payload(self.env, definition, self._body(table, values)), self.env.person
                ).id
            )
        )

    def edit_as_person(self, table: str, record_id: str, **values: Any) -> None:
        """A change that Sam makes; None clears. Raises ValueError."""
        definition = self.env.defs[table]
        row = self.env.rows[table][record_id]
        self._checked(
            lambda: self.writer.update(
                definition, row, read_payload(self.env, definition, self._body(table, values)), self.env.person
            )
        )

    def delete_as_person(self, table: str, record_id: str) -> None:
        with self.env.transaction():
            self.env.delete(table, self.env.rows[table][record_id], self.env.person)

    def act_as_person(self, action: str, **body: Any) -> str:
        """A sales action that Sam starts, "ConvertQuoteToSalesOrder" for example; returns the id of what it made."""
        self.env.parent = action
        try:
            with self.env.transaction():
                made = self.business.actions[action](body, self.env.person)
        finally:
            self.env.parent = ""
        return made.id if made is not None else ""

    def _checked(self, work: Callable[[], T]) -> T:
        try:
            with self.env.transaction():
                return work()
        except Refused as refused:
            raise ValueError(refused.message) from None

    def _body(self, table: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values by column as the API takes them: lookups bound to the table that has the id."""
        definition, body = self.env.defs[table], dict[str, Any]()
        for name, value in values.items():
            column = definition.columns.get(name)
            if column is None or column.type != "lookup":
                body[name] = value
                continue
            for target, nav in column.targets.items():
                if value is None or value in self.env.rows[target]:
                    body[f"{nav}@odata.bind"] = value and f"/{self.env.defs[target].entity_set}({value})"
                    break
        return body

    @property
    def deliveries(self) -> list[Delivery]:
        """What the platform wants to post to receivers, oldest first; ``watch.deliver`` carries it."""
        return self.watch.deliveries
