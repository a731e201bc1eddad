"""People: linked to their account, made its primary contact, telling it their data, or standing alone."""

from collections.abc import Callable
from typing import Any

from oracle_world import World, Writing, acme

from ml_connector.domain import Account, Contact, Ref
from ml_connector.ports.sink import Create, Key, Later, Rejected, Update, Written


def kim(account: str | None = None, **more: Any) -> Contact:
    told: dict[str, Any] = {
        "number": "5843104000000500001",
        "first_name": "Kim",
        "last_name": "Larsen",
        "email": "kim@acme.example",
        "phone": "+46 70 1234567",
    }
    if account is not None:
        told["account"] = Ref("account", account)
    return Contact(**{**told, **more})


def rule(**values: str) -> dict[str, Any]:
    return {"entities": {"contact": values}}


async def test_a_contact_is_linked_to_its_account_and_leaves_it_as_it_is(oracle: Callable[..., World]) -> None:
    world = oracle()
    company = await world.create(acme())
    made = await world.create(kim(company.id))
    row = world.twin.row("contact", made.id)
    assert (row["AccountPartyId"], row["ContactName"]) == (int(company.id), "Kim Larsen")
    assert world.twin.row("account", company.id)["EmailAddress"] == "ap@acme.example"
    assert world.twin.row("account", company.id)["PrimaryContactPartyId"] is None


async def test_a_contact_becomes_the_primary_one_where_the_settings_say_so(oracle: Callable[..., World]) -> None:
    world = oracle(**rule(parent="primary"))
    company = await world.create(acme())
    made = await world.create(kim(company.id))
    assert world.twin.row("account", company.id)["PrimaryContactPartyId"] == int(made.id)


async def test_a_contact_tells_its_account_its_phone_and_email(oracle: Callable[..., World]) -> None:
    world = oracle(**rule(parent="update"))
    company = await world.create(acme())
    made = await world.create(kim(company.id))
    row = world.twin.row("account", company.id)
    assert (row["EmailAddress"], row["RawPhoneNumber"]) == ("kim@acme.example", "+46 70 1234567")
    outcome = await world.update(made, Contact(phone="+46 70 7654321"))
    assert isinstance(outcome, Written)
    assert world.twin.row("account", company.id)["RawPhoneNumber"] == "+46 70 7654321"
    assert world.twin.row("account", company.id)["OrganizationName"] == "Acme 1"


async def test_a_contact_waits_where_its_account_could_not_be_told(oracle: Callable[..., World]) -> None:
    world = oracle(**rule(parent="update"))
    company = await world.create(acme())
    world.twin.faults.add(Writing("lost_before", path="/accounts", times=9))
    outcome = await world.write(Create(key=Key("number", kim().number or ""), entity=kim(company.id)))
    assert isinstance(outcome, Later)
    assert dict(world.twin.store.rows("contacts")) == {}


async def test_what_the_account_refuses_is_a_warning_and_the_contact_is_written(oracle: Callable[..., World]) -> None:
    world = oracle(**rule(parent="update"))
    company = await world.create(acme())
    world.twin.change("account", company.id, PartyStatus="I")
    made = await world.create(kim(company.id))
    assert "inactive record" in made.warnings[0]


async def test_a_contact_without_an_account_is_a_person_of_its_own(oracle: Callable[..., World]) -> None:
    world = oracle()
    made = await world.create(kim())
    assert world.twin.row("contact", made.id)["AccountPartyId"] is None
    assert dict(world.twin.store.rows("accounts")) == {}


async def test_a_contact_without_an_account_is_refused_where_the_settings_say_so(oracle: Callable[..., World]) -> None:
    world = oracle(**rule(alone="refuse"))
    outcome = await world.write(Create(key=Key("number", kim().number or ""), entity=kim()))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("NO_ACCOUNT", "account")


async def test_an_account_is_made_of_a_contact_that_stands_alone_once(oracle: Callable[..., World]) -> None:
    world = oracle(**rule(alone="account"))
    made = await world.create(kim())
    [company] = world.twin.store.rows("accounts").values()
    assert (company["OrganizationName"], company["EmailAddress"]) == ("Kim Larsen", "kim@acme.example")
    assert company["PrimaryContactPartyId"] == int(made.id)
    await world.create(kim())
    assert len(world.twin.store.rows("accounts")) == 1
    [record] = await world.connection.sources["contact"].fetch([made.id])
    assert isinstance(record.entity, Contact)
    assert record.entity.account is None


async def test_ten_contacts_of_one_account_cost_one_look_and_two_batches(oracle: Callable[..., World]) -> None:
    world = oracle(**rule(parent="update"))
    company = await world.create(acme())
    world.forget_calls()
    people = [kim(company.id, number=f"58431040000005{n:05d}", last_name=f"Larsen {n}") for n in range(10)]
    outcomes = await world.contacts.write([Create(key=Key("number", one.number or ""), entity=one) for one in people])
    assert all(isinstance(outcome, Written) and outcome.created for outcome in outcomes)
    assert len(world.twin.calls) == 3


async def test_an_unknown_account_is_refused_by_oracle_in_its_words(oracle: Callable[..., World]) -> None:
    world = oracle()
    outcome = await world.write(Create(key=Key("number", kim().number or ""), entity=kim("42")))
    assert isinstance(outcome, Rejected)
    assert outcome.field == "account"


async def test_a_parent_is_written_by_its_party(oracle: Callable[..., World]) -> None:
    world = oracle()
    parent = await world.create(acme(1))
    child = await world.create(acme(2, parent=Ref("account", parent.id)))
    assert world.twin.row("account", child.id)["ParentAccountPartyId"] == int(parent.id)
    outcome = await world.write(Update(id=child.id, changes=Account(parent=None), version=child.version))
    assert isinstance(outcome, Written)
    assert world.twin.row("account", child.id)["ParentAccountPartyId"] is None
