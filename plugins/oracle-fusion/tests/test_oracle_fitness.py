"""What ``ping`` says of a pod: what is missing, by name, and what to do about it."""

from collections.abc import Callable
from typing import Any

import pytest
from oracle_world import SET_ID, World

from ml_connector.errors import AuthRejected
from ml_connector.ports.fitness import Finding, Need
from ml_connector_oracle_fusion import figures

WRITES = [Need(kind="account", access="write", fields=frozenset({"name", "billing.city"}))]
READS = [Need(kind="account", access="read", fields=frozenset({"name"}))]
FINANCE: dict[str, Any] = {"provision": "finance_ready", "finance": {"set_id": SET_ID}}


async def told(world: World, needs: list[Need]) -> list[Finding]:
    assert world.connection.fitness is not None
    return await world.connection.fitness.inspect(needs)


def of(findings: list[Finding], about: str) -> Finding:
    return next(finding for finding in findings if finding.about == about)


async def test_a_pod_that_has_everything_is_fit(oracle: Callable[..., World]) -> None:
    findings = await told(oracle(), [*WRITES, *READS])
    assert {finding.level for finding in findings} == {"ok"}
    loads = ["account.first_load", "account.first_load"]
    assert [finding.about for finding in findings] == ["token", "account", "source_system", "pace", *loads]


async def test_looking_changes_nothing(oracle: Callable[..., World]) -> None:
    world = oracle(**FINANCE)
    await told(world, WRITES)
    assert world.called("PATCH", "") == []
    assert {table: dict(rows) for table, rows in world.twin.store.tables.items() if rows} == {}
    assert world.connection.fitness is not None
    assert await world.connection.fitness.repair(WRITES) == []


async def test_a_missing_role_is_told_with_the_kind_that_it_stops(oracle: Callable[..., World]) -> None:
    world = oracle()
    world.twin.rest.denied.add("accounts")
    finding = of(await told(world, WRITES), "account")
    assert (finding.level, "role" in finding.fix) == ("unfit", True)


async def test_a_user_who_may_look_and_not_write_is_told_before_the_first_record(oracle: Callable[..., World]) -> None:
    world = oracle()
    world.twin.rest.denied_writes.add("accounts")
    assert of(await told(world, WRITES), "account").level == "unfit"
    assert of(await told(world, READS), "account").level == "ok"


async def test_attributes_that_the_settings_name_must_exist(oracle: Callable[..., World]) -> None:
    world = oracle(custom_fields={"contact": {"market": "PersonDEO_Market_c"}})
    needs = [Need(kind="contact", access="read", fields=frozenset({"extra.market"}))]
    finding = of(await told(world, needs), "contact.PersonDEO_Market_c")
    assert (finding.level, "Application Composer" in finding.fix) == ("unfit", True)


async def test_an_attribute_that_a_reading_names_and_nobody_has_is_told(oracle: Callable[..., World]) -> None:
    world = oracle(custom_fields={"account": {"market": "OrganizationDEO_Market_c"}})
    finding = of(await told(world, READS), "account")
    assert (finding.level, "custom_fields" in finding.fix) == ("unfit", True)


async def test_fields_without_a_place_are_named(oracle: Callable[..., World]) -> None:
    needs = [
        Need(kind="account", access="write", fields=frozenset({"credit_limit", "extra.market"})),
        Need(kind="account", access="read", fields=frozenset({"extra.nothing", "extra.party_number"})),
    ]
    findings = await told(oracle(), needs)
    assert [(f.about, f.level) for f in findings if f.level != "ok"] == [
        ("account.credit_limit", "unfit"),
        ("account.extra.market", "unfit"),
        ("account.extra.nothing", "warning"),
    ]


async def test_services_that_the_user_may_not_call_are_told_for_finance_alone(oracle: Callable[..., World]) -> None:
    world = oracle(**FINANCE)
    world.twin.switches.bearer_on_soap = False
    with pytest.raises(AuthRejected):
        await told(world, WRITES)
    party_only = world.again()
    assert {finding.level for finding in await told(party_only, WRITES)} == {"ok"}


async def test_a_flow_that_does_not_say_who_shall_be_ready_is_warned_of_crashes(oracle: Callable[..., World]) -> None:
    world = oracle(**FINANCE)
    assert of(await told(world, WRITES), "account.extra.finance_status").level == "warning"
    says = [Need(kind="account", access="write", fields=frozenset({"name", "extra.finance_status"}))]
    assert {finding.level for finding in await told(world, says)} == {"ok"}


async def test_balances_without_a_currency_are_warned_of(oracle: Callable[..., World]) -> None:
    world = oracle(entities={"account": {"strategy": "balances"}})
    assert of(await told(world, READS), "receivables").level == "ok"
    assert "currency" in next(f for f in await told(world, READS) if f.level == "warning").fix


async def test_a_clock_that_is_off_is_told(oracle: Callable[..., World]) -> None:
    world = oracle()
    world.twin.clock.advance(-600)
    finding = of(await told(world, READS), "clock")
    assert (finding.level, "600 s behind" in finding.what) == ("warning", True)


@pytest.mark.parametrize(("provision", "calls", "hours"), [("party_only", 4_000, "0.1"), ("finance_ready", 516_000, "14.3")])
async def test_a_first_load_is_told_in_calls_and_hours(
    oracle: Callable[..., World], provision: str, calls: int, hours: str
) -> None:
    """What the README says."""
    world = oracle(provision=provision, finance={"set_id": SET_ID}, limits={"requests_per_minute": 600})
    assert figures.writes(world.settings, 100_000) == calls
    assert f"{calls:,} calls, {hours} hours" in of(await told(world, WRITES), "account.first_load").what
    assert figures.reads(world.settings, 100_000) == 201


async def test_new_customers_cost_what_the_figures_say(finance: World) -> None:
    from oracle_world import acme

    from ml_connector.ports.sink import Create, Key

    companies = [acme(number=f"5843104000000{n:06d}", name=f"Acme {n}") for n in range(50)]
    await finance.connection.sources["account"].fetch([])
    await told(finance, [])
    finance.forget_calls()
    for start in range(0, 50, 25):
        part = companies[start : start + 25]
        await finance.accounts.write([Create(key=Key("number", one.number or ""), entity=one) for one in part])
    assert len(finance.twin.calls) == figures.writes(finance.settings, 50) == 258
