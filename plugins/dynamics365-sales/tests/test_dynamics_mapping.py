"""Dataverse's rows and ours, both ways: what was written is read, and what was read changes nothing when written again."""

import asyncio
import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ml_connector.domain import UNSET, Account, Address, Entity, Kind, Line, Money
from ml_connector.errors import RecordRejected
from ml_connector.ports.secrets import Secret
from ml_connector.testing import ManualClock, memory_host
from ml_connector.twin import TwinClock
from ml_connector_adapters.http import HttpClient, Limiter, Limits
from ml_connector_adapters.http.twins import TwinTransport
from ml_connector_contract_tests.strategies import accounts, amounts, texts
from ml_connector_dynamics365_sales import convert
from ml_connector_dynamics365_sales.api import Api
from ml_connector_dynamics365_sales.auth import api_hosts, oauth
from ml_connector_dynamics365_sales.children import changes
from ml_connector_dynamics365_sales.judge import judge_for
from ml_connector_dynamics365_sales.metadata import Metadata
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.twin import DynamicsTwin
from ml_connector_dynamics365_sales.twin.checks import read_payload
from ml_connector_dynamics365_sales.twin.reads import Preferences
from ml_connector_dynamics365_sales.wire import Attribute, Behaviour, Choices, Decoders, Option, Vendor, encode

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BASE = "http://127.0.0.1:8123"


@cache
def environment() -> tuple[DynamicsTwin, Callable[[Kind], Plan]]:
    """A twin and the plans that its metadata gives."""
    clock = ManualClock()
    twin = DynamicsTwin(clock=TwinClock(clock.now), erp_columns=True)
    twin.definitions.add_column("account", "mlc_Region", "text", 40)
    told = {**twin.settings(BASE), "client_secret": Secret("secret:twin/dynamics_client_secret")}
    settings = Settings(**told)  # type: ignore[arg-type]
    host = memory_host("crm", clock=clock, secrets=twin.secrets(), transport=TwinTransport(twin))
    client = HttpClient(
        host=host,
        base_url=BASE,
        judge=judge_for(clock),
        limiter=Limiter(Limits(), clock, where="crm"),
        hosts=api_hosts(settings),
        oauth=oauth(settings, host),
    )
    metadata = Metadata(Api(client, "v9.2", lambda answer: None), settings, clock)
    kinds: tuple[Kind, ...] = ("account", "order")

    async def compiled() -> dict[Kind, Plan]:
        return {kind: await metadata.plan(kind) for kind in kinds}

    plans = asyncio.run(compiled())
    return twin, plans.__getitem__


def stored(plan: Plan, body: Vendor) -> Vendor:
    """The row that Dataverse shows after such a body was posted, by way of JSON both times."""
    twin, _ = environment()
    definition = twin.env.defs[plan.table.name]
    twin.env.rows[plan.table.name].clear()
    sent = Decoders.row.decode(encode(body))
    row = twin.writer.insert(definition, read_payload(twin.env, definition, sent), twin.env.robot)
    shown = twin.reader.shown(definition, row, ",".join(plan.select), plan.expand, Preferences(annotations=True), BASE)
    return Decoders.row.decode(encode(shown))


def _same(told: Any, wanted: Any) -> bool:
    if isinstance(wanted, Address):
        parts = msgspec.structs.asdict(wanted)
        if not any(value for value in parts.values() if value is not UNSET):
            return told is None or all(getattr(told, part) is None for part in parts)
        return all(getattr(told, part) == (value or None) for part, value in parts.items() if value is not UNSET)
    if isinstance(wanted, Money):
        return bool(told == Money(wanted.amount, wanted.currency or "EUR"))
    return bool(told == wanted)


def _body(plan: Plan, account: Account) -> Vendor:
    """What is sent; an account that is refused for its length is none of these laws' business."""
    try:
        return plan.body(account, creating=True)[0]
    except RecordRejected as error:
        assume(error.code != "TOO_LONG")
        raise


@UNHURRIED
@given(accounts())
def test_an_account_is_read_as_it_was_written(account: Account) -> None:
    """Every field that was set, and None for every one that was cleared."""
    _, plans = environment()
    plan = plans("account")
    account = msgspec.structs.replace(account, extra=UNSET)
    entity, warnings = plan.entity(stored(plan, _body(plan, account)))
    assert warnings == []
    for field, wanted in msgspec.structs.asdict(account).items():
        if wanted is not UNSET:
            assert _same(getattr(entity, field), wanted), field


@UNHURRIED
@given(accounts())
def test_what_was_read_stands_when_it_is_written_again(account: Account) -> None:
    """Nothing is sent for it, so that nobody's plug-ins run."""
    _, plans = environment()
    plan = plans("account")
    row = stored(plan, _body(plan, msgspec.structs.replace(account, extra=UNSET)))
    entity, _ = plan.entity(row)
    again, _ = plan.body(entity, creating=False)
    assert {name: value for name, value in again.items() if not plan.stands(name, value, row)} == {}


QUANTITIES = amounts(3).map(abs).map(lambda value: value % 10_000)
LINES = st.lists(
    st.builds(
        Line,
        key=st.integers(1, 99).map(str),
        description=st.none() | texts(60),
        quantity=QUANTITIES,
        unit_price=QUANTITIES,
        tax=st.none() | QUANTITIES,
        discount_percent=st.just(UNSET) | st.decimals(0, 100, places=2),
        wanted_on=st.none() | st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)),
    ),
    max_size=4,
    unique_by=lambda line: line.key,
).map(tuple)


@UNHURRIED
@given(LINES)
def test_lines_that_were_read_change_nothing_when_they_are_written_again(lines: tuple[Line, ...]) -> None:
    """Discounts in percent among them, though Dataverse keeps amounts."""
    twin, plans = environment()
    plan = plans("order")
    children = plan.children
    assert children is not None
    twin.env.rows["salesorderdetail"].clear()
    body = {"name": "SO", "customerid_account@odata.bind": f"/accounts({_buyer(twin)})"}
    row = stored(plan, {**body, children.nav: [child.body for child in children.wanted(lines, (), [])]})
    warnings: list[str] = []
    read = children.read(row[children.nav], warnings)
    assert warnings == []
    assert {line.key for line in read} == {line.key for line in lines}
    assert changes(children, children.wanted(read, (), []), row[children.nav]) == []


def _buyer(twin: DynamicsTwin) -> str:
    return next(iter(twin.env.rows["account"]), None) or twin.insert_as_person("account", name="Acme")


@UNHURRIED
@given(
    st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)),
    st.sampled_from(["UTC", "Europe/Oslo", "Pacific/Auckland", "America/Los_Angeles"]),
)
def test_a_day_comes_back_as_the_same_day(day: dt.date, zone: str) -> None:
    """In every zone, and whatever the column's behaviour is."""
    for behaviour in ("DateOnly", "UserLocal"):
        codec = convert.day(Attribute("x", DateTimeBehavior=Behaviour(behaviour)), ZoneInfo(zone))
        assert codec.read(codec.write(day)) == day


def test_a_word_of_the_users_wins_over_a_label() -> None:
    """In both directions; a number without a label is told as it is."""
    options = Choices([Option(1, {"UserLocalizedLabel": {"Label": "Net 30"}}), Option(2, None)])
    codec = convert.choice(Attribute("paymenttermscode", OptionSet=options), {"30D": 1})
    assert (codec.read(1), codec.write("30d"), codec.write("net 30"), codec.read(2)) == ("30D", 1, 1, "2")


@pytest.mark.parametrize(
    ("entity", "field"),
    [
        (Account(name="x" * 161), "name"),
        (Account(billing=Address(city="x" * 81)), "billing.city"),
        (Account(employees=1.5), "employees"),  # type: ignore[arg-type]
        (Account(payment_terms="soon"), "payment_terms"),
        (Account(credit_limit=Money(Decimal("NaN"), "EUR")), "credit_limit"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(entity: Entity, field: str) -> None:
    """Before a call is spent, and nothing is cut."""
    _, plans = environment()
    with pytest.raises(RecordRejected) as caught:
        plans("account").body(entity, creating=True)
    assert caught.value.field == field
