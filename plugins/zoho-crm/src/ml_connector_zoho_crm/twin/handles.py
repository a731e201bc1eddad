"""``ZohoTwin``: the server with the handles that tests, the demo and simulations pull."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from ml_connector.twin import TwinClock, TwinRequest
from ml_connector_zoho_crm.twin import fill
from ml_connector_zoho_crm.twin.auth import Accounts
from ml_connector_zoho_crm.twin.checks import Wrong
from ml_connector_zoho_crm.twin.http import ZohoServer
from ml_connector_zoho_crm.twin.limits import Limits
from ml_connector_zoho_crm.twin.org import Org, RowChange
from ml_connector_zoho_crm.twin.schema import Field
from ml_connector_zoho_crm.twin.table import Row, Table
from ml_connector_zoho_crm.twin.watch import Mischief
from ml_connector_zoho_crm.twin.wire import decode, encode

ORDER_LINES = "Order_Lines"
LINE_FIELDS = {
    "Line_Key": "text",
    "Item_No": "text",
    "Description": "text",
    "Quantity": "double",
    "Unit": "text",
    "Unit_Price": "currency",
    "Net_Amount": "currency",
    "Wanted_On": "date",
    "Status": "text",
}


class Answer(msgspec.Struct):
    """What ``ZohoTwin.ask`` got: ``json`` has Decimals for fractions and is None when the body is none."""

    status: int
    json: Any
    body: bytes
    headers: Mapping[str, str]


class ZohoTwin(ZohoServer):
    """Zoho CRM v8 with one org, one integration user and one person, Sam.

    The handles speak module names of the vendor ("Accounts", "Sales_Orders") and API names of fields; values are given as they
    are stored: numbers as Decimal, times as aware datetimes, lookups as bare ids. Switches without an argument of their own:
    ``accounts.scopes``, ``accounts.throttle_status``, ``metadata.can_create_fields``, ``metadata.external_beside_unique``,
    ``reader.search_lag``, ``bulk.fail_next``, ``bulk.page_rows``, ``latency_s``, and ``limits.peak`` for what was reached.
    """

    settles_s = 2.5

    def __init__(
        self,
        *,
        client_id: str = "1000.TWIN",
        client_secret: str = "zoho-twin-secret",  # noqa: S107 - it opens nothing but this twin
        refresh_token: str = "1000.refresh.twin",  # noqa: S107
        clock: TwinClock | None = None,
        token_life_s: int = 3600,
        utc_offset: str = "+05:30",
        status_mode: Literal["modern", "legacy"] = "modern",
        concurrency: int = 20,
        sub_concurrency: int = 10,
        credits: int = 5_000_000,  # noqa: A002 - the vendor's word
        mint_limit: int = 10,
        active_tokens: int = 15,
        multi_currency: bool = True,
        api_domain: str | None = None,
        erp_fields: bool = False,
        can_create_fields: bool = True,
        unknown_fields: Literal["reject", "ignore"] = "reject",
        strict_picklists: bool = True,
        coql_max_limit: int = 2000,
    ) -> None:
        clock = clock or TwinClock()
        accounts = Accounts(
            clock,
            client_id=client_id,
            client_secret=client_secret,
            token_life_s=token_life_s,
            mint_limit=mint_limit,
            active_limit=active_tokens,
        )
        super().__init__(
            clock,
            Org(
                clock,
                utc_offset=utc_offset,
                multi_currency=multi_currency,
                erp_fields=erp_fields,
                strict_picklists=strict_picklists,
            ),
            accounts,
            Limits(clock, credits=credits, concurrency=concurrency, sub_concurrency=sub_concurrency),
            status_mode=status_mode,
            api_domain=api_domain,
            unknown_fields=unknown_fields,
            coql_max_limit=coql_max_limit,
        )
        accounts.grants[refresh_token] = self.org.robot.id
        self.metadata.can_create_fields = can_create_fields
        self._client_id, self._client_secret, self._refresh_token = client_id, client_secret, refresh_token

    # -- reaching the twin

    def settings(self, base_url: str) -> dict[str, object]:
        """The connection settings that reach this twin at ``base_url``; secrets as references."""
        lines: dict[str, object] = {"order_lines": "custom_subform", "subform": {"name": ORDER_LINES, "key": "Line_Key"}}
        return (lines if ORDER_LINES in self.org.tables["Deals"].module.fields else {}) | {
            "accounts_server": base_url,
            "api_domain": base_url,
            "client_id": self._client_id,
            "client_secret": "secret:twin/zoho_client_secret",
            "refresh_token": "secret:twin/zoho_refresh_token",
            "limits": {"concurrency": 10, "heavy_concurrency": 6},
            "safety_lag_s": 1,  # nothing commits late in this process
        }

    def secrets(self) -> dict[str, str]:
        """The values behind the references of ``settings``, by reference name."""
        return {"twin/zoho_client_secret": self._client_secret, "twin/zoho_refresh_token": self._refresh_token}

    async def ask(self, method: str, target: str, body: Any = None, /, *, as_person: bool = False, **headers: str) -> Answer:
        """One API call with a fresh token, the way a test or a curious person asks; ``target`` starts behind "/crm/"."""
        user = self.org.person if as_person else self.org.robot
        token = self.accounts.issue(f"ask {user.id}", user.id)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = b"" if body is None else encode(body)
        response = await self(
            TwinRequest(method, "127.0.0.1:80", f"/crm/{target}", {"authorization": f"Zoho-oauthtoken {token}", **named}, sent)
        )
        self.accounts.tokens.pop(token, None)
        is_json = response.body[:1] in (b"{", b"[")
        return Answer(response.status, decode(response.body) if is_json else None, response.body, response.headers)

    # -- records

    def fill(self, accounts: int, orders: int, *, seed: int = 0) -> None:
        """Make up ``accounts`` accounts and ``orders`` deals, as a person would have entered them."""
        fill.fill(self.org, accounts, orders, seed)
        self.watch.flush()

    def edit(self, kind: str, count: int, *, seed: int = 0) -> list[str]:
        """Change ``count`` records of a kind ("account", "deal" …) as a person would; returns their business numbers."""
        numbers = fill.edit(self.org, kind, count, seed)
        self.watch.flush()
        return numbers

    def enters(self, kind: str, *, customer: str = "") -> str:
        """Sam enters a record of the kind, of the account with this ERP key; returns its id."""
        record_id = fill.enters(self.org, kind, customer)
        self.watch.flush()
        return record_id

    def moves(self, kind: str, number: str, stage: str) -> None:
        """Sam moves the deal, or the order, with this ERP key to a stage."""
        fill.moves(self.org, kind, number, stage)
        self.watch.flush()

    @property
    def numbers(self) -> bool:
        return False

    def sets(self, kind: str, record: str, fields: Mapping[str, str | None]) -> str:
        """Sam sets fields of an account, or enters one with record ""; returns its id."""
        module, named = fill.named(self.org, kind, fields)
        if not record:
            return self.insert_as_person(module, **named)
        self.edit_as_person(module, record, **named)
        return record

    def newcomers(self) -> Mapping[str, object]:
        return {}

    def facts(self, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        """(ERP key, or the name where none is set, canonical field path → value) of every record of the kind."""
        return fill.facts(self.org, kind)

    def records(self, module: str) -> Mapping[str, Row]:
        """The live rows of a module by id, as stored; rows of a subform under the subform's own name."""
        return self.org.tables[module].rows

    def insert_as_person(self, module: str, **fields: Any) -> str:
        """A record that Sam enters; values pass the same checks as the API's. Returns its id. Raises ValueError.

        A subform takes a list of rows; nothing is mandatory to people.
        """
        table = self.org.tables[module]
        values, rows = self._checked(table, fields)
        self._not_taken(table, values, None)
        record_id = self.org.insert(table, values, rows, self.org.person.id)
        self.watch.flush()
        return record_id

    def edit_as_person(self, module: str, record_id: str, **fields: Any) -> None:
        """A change that Sam makes; None clears. Raises ValueError for a value that the field does not take.

        Rows of a subform behave as in the API: with ``id`` changed, without appended, with ``_delete`` removed, the rest stay.
        """
        table = self.org.tables[module]
        values, rows = self._checked(table, fields)
        self._not_taken(table, values, record_id)
        self.org.change(table, record_id, values, rows, self.org.person.id)
        self.watch.flush()

    def delete_as_person(self, module: str, record_id: str) -> None:
        self.org.delete(self.org.tables[module], record_id, self.org.person.id)
        self.watch.flush()

    def restore_as_person(self, module: str, record_id: str) -> None:
        """Out of the recycle bin: gone from the feed of deletions, back in reads."""
        self.org.restore(self.org.tables[module], record_id)

    def empty_recycle_bin(self, module: str) -> None:
        """Every deleted record of the module becomes a permanent deletion."""
        self.org.purge(self.org.tables[module])

    def lock(self, record_id: str) -> None:
        """From now on writes to the record answer RECORD_LOCKED, until ``unlock``."""
        self.org.locked.add(record_id)

    def unlock(self, record_id: str) -> None:
        self.org.locked.discard(record_id)

    def _checked(self, table: Table, fields: Mapping[str, Any]) -> tuple[Row, dict[str, list[RowChange]]]:
        """Values and subform rows as the org stores them. Raises ValueError."""
        checks, values, rows = self.org.checks(table), {}, {}
        for name, value in fields.items():
            field = table.module.fields[name]
            if field.data_type == "subform":
                rows[name] = [self._checked_row(self.org.tables[field.target or ""], row) for row in value]
                continue
            if field.data_type == "lookup" and isinstance(value, str):
                value = {"id": value}
            try:
                values[name] = None if value is None else checks[name](value)
            except Wrong as wrong:
                raise ValueError(
                    f"{table.module.name}.{name} does not take {value!r}: {wrong.message} {wrong.details}"
                ) from None
        return values, rows

    def _not_taken(self, table: Table, values: Row, record_id: str | None) -> None:
        """People are told as well when a unique value is another record's. Raises ValueError."""
        for name, value in values.items():
            holders = table.find(name, value) if value is not None and table.module.fields[name].distinct else ()
            if any(holder != record_id for holder in holders):
                raise ValueError(f"{table.module.name}.{name} {value!r} is another record's")

    def _checked_row(self, lines: Table, row: Mapping[str, Any]) -> RowChange:
        values, _ = self._checked(lines, {name: value for name, value in row.items() if name not in ("id", "_delete")})
        return RowChange(row.get("id"), None if "_delete" in row else values)

    # -- what an administrator changes

    def add_field(
        self,
        module: str,
        api_name: str,
        data_type: str = "text",
        *,
        length: int = 0,
        unique: bool = False,
        external: bool = False,
        choices: Iterable[str] = (),
        target: str | None = None,
    ) -> Field:
        """A custom field; ``target`` is the module that a lookup leads to."""
        kind = "org" if external else None
        return self.org.add_field(
            module, api_name, data_type, length=length, unique=unique, external=kind, choices=choices, target=target
        )

    def remove_field(self, module: str, api_name: str) -> None:
        del self.org.tables[module].module.fields[api_name]
        self.org.changed_schema(module, api_name)

    def add_subform(self, module: str, api_name: str, fields: Mapping[str, str]) -> None:
        """A custom subform; ``fields`` is API name → data type, a lookup as "lookup Products"."""
        self.org.add_subform(module, api_name, fields)

    def keep_order_lines(self) -> None:
        """The subform that an administrator makes by hand, so that deals can hold the lines of their orders."""
        self.add_subform("Deals", ORDER_LINES, LINE_FIELDS)

    def set_picklist(self, module: str, field: str, values: Sequence[str]) -> None:
        """Replace the choices. Stages become those of every pipeline; pipelines keep the stages they had or get all."""
        fields = self.org.tables[module].module.fields
        fields[field].choices[:] = values
        if (module, field) == ("Deals", "Stage"):
            self.org.pipelines = {name: list(values) for name in self.org.pipelines}
        if (module, field) == ("Deals", "Pipeline"):
            stages = list(fields["Stage"].choices)
            self.org.pipelines = {name: self.org.pipelines.get(name, stages) for name in values}

    def mandatory(self, module: str, field: str, on: bool = True) -> None:
        """Make a field mandatory on the module's layout, or stop asking for it."""
        known = self.org.tables[module].module.fields[field]
        known.required = on
        known.mandatory = known.mandatory and on

    def rename_module(self, module: str, api_name: str) -> None:
        """Give a module another API name; its ``module_name`` stays."""
        self.org.tables[module].module.api_name = api_name

    def add_module(self, api_name: str) -> str:
        """A custom module that an administrator makes; returns its system name, by which the other handles know it."""
        return self.org.add_module(api_name).module.name

    def without_module(self, module: str) -> None:
        """An edition without this module."""
        for field in list(self.org.tables[module].module.subforms):
            self.org.tables.pop(field.target or "", None)
        del self.org.tables[module]

    # -- deliveries

    @property
    def deliveries(self) -> list[tuple[str, bytes]]:
        """(notify_url, body) of every notification not yet taken, oldest first; whoever delivers them removes them."""
        return self.watch.deliveries

    def mischief(
        self, *, drop: float = 0, duplicate: float = 0, reorder: float = 0, wrong_token: float = 0, seed: int = 0
    ) -> None:
        """What befalls deliveries from now on, each a probability."""
        self.watch.mischief = Mischief(seed, drop, duplicate, reorder, wrong_token)
