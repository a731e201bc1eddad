"""What customers owe: read on its own, because no invoice and no payment moves a customer's own time."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from oracle_world import World

from ml_connector.domain import Account, Extra, Money, Record
from ml_connector.ports.source import Sweep

BALANCES: dict[str, Any] = {"entities": {"account": {"strategy": "balances"}}, "finance": {"currency": "SEK"}}


def sweep(world: World) -> Sweep:
    source = world.connection.sources["account"]
    assert isinstance(source, Sweep)
    return source


async def versions(world: World) -> dict[str, str]:
    return {stub.id: stub.version async for chunk in sweep(world).stubs(rows=False) for stub in chunk}


async def one(world: World, party: str) -> Record:
    [record] = await sweep(world).fetch([party])
    return record


def customer(world: World, name: str = "Acme", reference: str = "Z1") -> tuple[str, str]:
    party = world.twin.enter("account", OrganizationName=name, reference=reference)
    return party, world.twin.open_account(party, AccountName=name)


async def test_an_invoice_and_its_payment_are_seen_though_the_account_keeps_its_time(oracle: Callable[..., World]) -> None:
    world = oracle(**BALANCES)
    party, number = customer(world)
    before = await versions(world)
    invoice = world.twin.invoice(number, Decimal("1250.50"))
    invoiced = await versions(world)
    world.twin.pay(invoice, Decimal("250.50"))
    paid = await versions(world)
    assert len({before[party], invoiced[party], paid[party]}) == 3
    [account] = world.twin.store.rows("customer_accounts").values()
    assert account["LastUpdateDate"] == account["CreationDate"]
    record = await one(world, party)
    assert isinstance(record.entity, Account)
    assert isinstance(record.entity.extra, Extra)
    assert record.entity.extra["ar_balance"] == Decimal("250.50")


async def test_everything_the_crm_shows_comes_together(oracle: Callable[..., World]) -> None:
    world = oracle(**BALANCES)
    party, number = customer(world)
    world.twin.invoice(number, Decimal(100), DueDate="2026-01-01")
    world.twin.set_credit(number, CreditLimit="5000", CreditCurrencyCode="USD", CreditHold="Y", PaymentTerms="Net 30")
    record = await one(world, party)
    entity = record.entity
    assert isinstance(entity, Account)
    assert (entity.number, entity.name) == ("Z1", "Acme")
    assert (entity.credit_limit, entity.credit_blocked, entity.payment_terms) == (Money(Decimal(5000), "USD"), True, "Net 30")
    assert isinstance(entity.extra, Extra)
    assert dict(entity.extra) == {
        "ar_balance": Decimal(100),
        "ar_due": Decimal(100),
        "ar_currency": "SEK",
        "customer_account": number,
        "party_number": "CDRM_481001",
    }


async def test_a_customer_without_a_profile_has_no_limit_and_no_hold(oracle: Callable[..., World]) -> None:
    from ml_connector.domain import UNSET

    world = oracle(**BALANCES)
    party, _ = customer(world)
    entity = (await one(world, party)).entity
    assert isinstance(entity, Account)
    assert (entity.credit_limit, entity.credit_blocked) == (UNSET, UNSET)


async def test_a_party_with_several_customer_accounts_is_one_balance_with_a_warning(oracle: Callable[..., World]) -> None:
    world = oracle(**BALANCES)
    party, number = customer(world)
    other = world.twin.open_account(party)
    for each in (number, other):
        world.twin.invoice(each, Decimal(10))
    record = await one(world, party)
    assert isinstance(record.entity, Account)
    assert isinstance(record.entity.extra, Extra)
    assert record.entity.extra["ar_balance"] == Decimal(20)
    assert number in record.warnings[0]


async def test_accounts_of_one_party_are_one_balance_across_the_edge_of_a_page(oracle: Callable[..., World]) -> None:
    world = oracle(page_size=3, **BALANCES)
    many, _ = customer(world, "Many", "Z0")
    for _ in range(7):
        world.twin.open_account(many)
    parties = [many, *(customer(world, f"Acme {n}", f"Z{n}")[0] for n in range(1, 6))]
    world.twin.open_account(parties[3])
    seen = [stub.id async for chunk in sweep(world).stubs(rows=False) for stub in chunk]
    assert sorted(seen) == sorted(parties)
    told = await versions(world)
    assert {party: (await one(world, party)).version for party in parties} == told


async def test_a_party_without_a_customer_account_has_no_balance(oracle: Callable[..., World]) -> None:
    world = oracle(**BALANCES)
    party = world.twin.enter("account", OrganizationName="Acme")
    assert await sweep(world).fetch([party]) == []
    assert await versions(world) == {}


async def test_a_thousand_balances_are_swept_in_three_calls(oracle: Callable[..., World]) -> None:
    world = oracle(**BALANCES)
    for n in range(1000):
        customer(world, f"Acme {n}", f"Z{n}")
    await sweep(world).fetch(["1"])
    world.forget_calls()
    assert len(await versions(world)) == 1000
    assert len(world.twin.calls) == 3


@pytest.mark.parametrize(("hours", "every"), [(24, 86_400), (0, None)])
async def test_limits_leave_no_trace_and_so_everything_is_read_anew(
    oracle: Callable[..., World], hours: int, every: int | None
) -> None:
    world = oracle(entities={"account": {"strategy": "balances", "full_every_h": hours}})
    told = sweep(world).full_every
    assert (told.total_seconds() if told else None) == every


async def test_the_time_of_reading_is_told_where_it_is_asked_for(oracle: Callable[..., World]) -> None:
    world = oracle(entities={"account": {"strategy": "balances"}}, finance={"as_of": True})
    party, _ = customer(world)
    record = await one(world, party)
    assert isinstance(record.entity, Account)
    assert isinstance(record.entity.extra, Extra)
    assert record.entity.extra["ar_as_of"] == world.clock.now()
