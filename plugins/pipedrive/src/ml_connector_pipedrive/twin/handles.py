"""The twin as tests, demos and simulations hold it: the server, and the handles on its company."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from ml_connector.twin import TwinClock, TwinRequest
from ml_connector_pipedrive.twin import fill
from ml_connector_pipedrive.twin.auth import Access
from ml_connector_pipedrive.twin.company import PERSON, ROBOT, Company
from ml_connector_pipedrive.twin.http import PipedriveServer
from ml_connector_pipedrive.twin.limits import ALLOWANCES, Limits, Plan
from ml_connector_pipedrive.twin.tables import Field
from ml_connector_pipedrive.twin.webhooks import Delivery
from ml_connector_pipedrive.twin.wire import Refused, Row, decode, encode


class Answer(msgspec.Struct):
    """What ``PipedriveTwin.ask`` got: ``json`` has Decimals for fractions and is None when the body is none."""

    status: int
    json: Any
    body: bytes
    headers: Mapping[str, str]


class PipedriveTwin(PipedriveServer):
    """One company with one integration user and one person.

    The handles speak the vendor's words: "organizations", "persons", "deals", "products", and fields as API v2 takes them. A
    custom field is named by its name; values pass the same checks as the API's, and what they refuse is a ValueError.

    ``burst`` and ``daily``: what ``plan``, ``seats`` and the kind of token give, unless they are said.

    Switches without an argument of their own: ``reader.lag_s`` (the search index), ``reader.answers_deleted``,
    ``reader.tells_unset``, ``company.lines_move_deal``, ``company.unique_codes``, ``can_create_fields``, ``access.scopes``.
    """

    settles_s = 2.5

    def __init__(
        self,
        *,
        clock: TwinClock | None = None,
        auth: Literal["oauth2", "api_token"] = "oauth2",
        api_token: str = "twin0000api0000token0000of0000pipedrive0",  # noqa: S107 - it opens nothing but this twin
        client_id: str = "twin",
        client_secret: str = "pipedrive-twin-secret",  # noqa: S107
        refresh_token: str = "1:1:twin",  # noqa: S107
        token_life_s: int = 3600,
        plan: Plan = "growth",
        seats: int = 3,
        burst: int | None = None,
        searches: int = 10,
        daily: int | None = None,
        currency: str = "EUR",
        contact_sync: bool = False,
        erp_fields: bool = False,
    ) -> None:
        clock = clock or TwinClock()
        company = Company(clock, currency=currency, contact_sync=contact_sync)
        access = Access(clock, client_id=client_id, client_secret=client_secret, life_s=token_life_s)
        allowance = ALLOWANCES[plan]
        most = allowance.oauth2 if auth == "oauth2" else allowance.api_token
        limits = Limits(
            clock,
            burst=most if burst is None else burst,
            searches=searches,
            daily=allowance.daily * seats if daily is None else daily,
        )
        super().__init__(clock, company, access, limits)
        access.tokens[api_token] = ROBOT
        access.refresh[refresh_token] = datetime.max.replace(tzinfo=UTC)
        self._auth, self._client_id, self._plan, self._seats = auth, client_id, plan, seats
        self._secrets = {
            "twin/pipedrive_api_token": api_token,
            "twin/pipedrive_client_secret": client_secret,
            "twin/pipedrive_refresh_token": refresh_token,
        }
        self._lines: dict[str, object] = {}
        if erp_fields:
            for kind, name in fill.KEYS.items():
                if kind != "product":
                    self.add_field(fill.PLURALS[kind], name)

    # -- reaching the twin

    def settings(self, base_url: str) -> dict[str, object]:
        """The connection settings that reach this twin at ``base_url``; secrets as references."""
        common: dict[str, object] = {"base_url": base_url, "plan": self._plan, "seats": self._seats, **self._lines}
        if self._auth == "api_token":
            return {**common, "auth": "api_token", "api_token": "secret:twin/pipedrive_api_token"}
        return {
            **common,
            "auth": "oauth2",
            "oauth_url": base_url,
            "client_id": self._client_id,
            "client_secret": "secret:twin/pipedrive_client_secret",
            "refresh_token": "secret:twin/pipedrive_refresh_token",
        }

    def secrets(self) -> dict[str, str]:
        """The values behind the references of ``settings``, by reference name."""
        unused = {"api_token": ("client_secret", "refresh_token"), "oauth2": ("api_token",)}[self._auth]
        return {name: value for name, value in self._secrets.items() if not name.endswith(unused)}

    async def ask(self, method: str, target: str, body: Any = None, /, **headers: str) -> Answer:
        """One API call with the API token, the way a test or a curious person asks; ``target`` starts behind "/api/"."""
        named = {"x-api-token": self._secrets["twin/pipedrive_api_token"]}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = b"" if body is None else encode(body)
        response = await self(TwinRequest(method, "127.0.0.1:80", f"/api/{target}", named, sent))
        is_json = response.body[:1] in (b"{", b"[")
        return Answer(response.status, decode(response.body) if is_json else None, response.body, response.headers)

    # -- records

    def fill(self, accounts: int, orders: int, *, seed: int = 0) -> None:
        """Make up ``accounts`` organizations and ``orders`` deals, as a person would have entered them."""
        fill.fill(self.company, accounts, orders, seed)

    def edit(self, kind: str, count: int, *, seed: int = 0) -> list[str]:
        """Change ``count`` records of a kind ("account", "deal" …) as a person would; returns their business numbers."""
        return fill.edit(self.company, kind, count, seed)

    def enters(self, kind: str, *, customer: str = "") -> str:
        """A person enters a record of the kind, a deal of the organization with this ERP key; returns its id."""
        return fill.enters(self.company, kind, customer)

    def moves(self, kind: str, number: str, stage: str) -> None:
        """A person drags the deal with this ERP key to a stage of its pipeline."""
        fill.moves(self.company, kind, number, stage)

    @property
    def numbers(self) -> bool:
        return False

    def sets(self, kind: str, record: str, fields: Mapping[str, str | None]) -> str:
        """A person sets fields of an organization, or enters one with record ""; returns its id."""
        plural, own, custom = fill.named(self.company, kind, fields)
        if not record:
            return self.enter(plural, custom=custom, **own)
        self.change(plural, record, custom=custom, **own)
        return record

    def newcomers(self) -> Mapping[str, object]:
        return {}

    def facts(self, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        """(ERP key, or the name where none is set, canonical field path → value) of every record of the kind."""
        return fill.facts(self.company, kind)

    def record(self, plural: str, record_id: str | int) -> Row:
        """A row as it is stored, living or deleted."""
        return self.company.tables[plural].rows[int(record_id)]

    def enter(self, plural: str, *, custom: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """A record that a person enters; returns its id. ``custom``: name of the field → value."""
        with _told():
            return str(self.company.create(plural, self._body(plural, custom, fields), PERSON, "app")["id"])

    def change(self, plural: str, record_id: str | int, *, custom: Mapping[str, Any] | None = None, **fields: Any) -> None:
        """A change that a person makes; None clears."""
        with _told():
            self.company.change(plural, int(record_id), self._body(plural, custom, fields), PERSON, "app")

    def delete(self, plural: str, record_id: str | int) -> None:
        with _told():
            self.company.delete(plural, int(record_id), PERSON, "app")

    def attach(self, deal: str | int, product: str | int, **fields: Any) -> str:
        """A product that a person adds to a deal; returns the line's id."""
        body = {"product_id": int(product), "item_price": 1, "quantity": 1, **fields}
        with _told():
            return str(self.company.add_line(int(deal), body, PERSON, "app")["id"])

    def _body(self, plural: str, custom: Mapping[str, Any] | None, fields: Row) -> Row:
        if not custom:
            return fields
        return {**fields, "custom_fields": {self.field(plural, name).code: value for name, value in custom.items()}}

    # -- what an administrator changes

    def add_field(self, plural: str, name: str, kind: str = "varchar", *options: str) -> Field:
        """A custom field; two of one name are two fields."""
        return self.company.add_field(plural, name, kind, options)

    def remove_field(self, plural: str, name: str) -> None:
        self.company.remove_field(plural, name)

    def field(self, plural: str, name: str) -> Field:
        return next(field for field in self.company.fields[plural].values() if field.name == name)

    def keep_order_lines(self) -> None:
        """A product that stands for every item, so that deals can hold the lines of their orders."""
        self.enter("products", name="ERP item", code="ERP-ITEM")
        self._lines = {"lines": True, "fallback_product": "ERP-ITEM"}

    def add_pipeline(self, name: str, *stages: str) -> int:
        return self.company.add_pipeline(name, *stages)

    # -- deliveries

    @property
    def deliveries(self) -> list[Delivery]:
        """Every delivery that nobody took, oldest first. ``webhooks.delivered`` tells the vendor how one was answered."""
        return self.webhooks.deliveries


@contextmanager
def _told() -> Iterator[None]:
    """People hear of a refusal as a ValueError."""
    try:
        yield
    except Refused as refused:
        raise ValueError(str(refused.body)) from None
