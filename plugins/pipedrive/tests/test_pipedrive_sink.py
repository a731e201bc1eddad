"""Writing where nothing guards a record but a look before the write."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain import Account, Contact, Deal, Extra, Money, Product, Ref
from ml_connector.errors import ContractBroken
from ml_connector.ports.sink import Conflict, Create, Key, Later, Rejected, Remove, Unknown, Written
from ml_connector.twin import Fault

PLACE = "/organizations"


async def test_what_stands_there_already_is_not_sent(pipedrive: Callable[..., Any]) -> None:
    """Five tokens saved, no webhook, and nobody's time of change moved."""
    world = pipedrive()
    made = await world.create(Account(number="C-1", name="Acme", website="https://acme.example"))
    again = await world.update(made, Account(name="Acme", website="https://acme.example"))
    assert isinstance(again, Written)
    assert again.version == made.version
    assert world.called("PATCH", "") == []


async def test_two_edits_within_one_second_are_told_apart(pipedrive: Callable[..., Any]) -> None:
    """``update_time`` knows whole seconds; the version knows the content too."""
    world = pipedrive()
    made = await world.create(Account(number="C-1", name="Acme"))
    world.twin.change("organizations", made.id, name="Edited in the same second")
    assert isinstance(await world.update(made, Account(website="https://x.example")), Conflict)


async def test_a_record_that_vanishes_between_look_and_write_is_a_conflict(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    made = await world.create(Account(number="C-1", name="Acme"))
    world.twin.faults.add(Fault("status", status=404, body=b'{"success":false,"error":"not found"}', method="PATCH"))
    assert await world.update(made, Account(name="Acme 2")) == Conflict(current=None)


@pytest.mark.parametrize("flagged", [False, True])
async def test_a_deleted_record_is_gone_whichever_way_pipedrive_says_so(pipedrive: Callable[..., Any], flagged: bool) -> None:
    world = pipedrive()
    made = await world.create(Account(number="C-1", name="Acme"))
    world.twin.reader.answers_deleted = flagged
    world.twin.delete("organizations", made.id)
    assert await world.update(made, Account(name="Acme 2")) == Conflict(current=None)
    assert await world.connection.sources["account"].fetch([made.id]) == []


async def test_a_whole_deal_stands_there_as_it_was_meant(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(pipeline="Service")
    world.twin.add_pipeline("Service", "Open", "Done")
    world.twin.add_field("deals", "Cost center")
    world.twin.add_field("deals", "Order status", "enum", "Planned", "Released")
    account = await world.create(Account(number="C-1", name="Acme"))
    contact = await world.create(Contact(number="P-1", name="Kim Berg", account=Ref("account", account.id)))
    deal = Deal(
        number="100234",
        name="SO 100234",
        amount=Money(Decimal("15400.50"), "NOK"),
        stage="Done",
        closing_on=date(2026, 12, 1),
        account=Ref("account", account.id),
        contact=Ref("contact", contact.id),
        extra=Extra({"Cost center": "CC-4100", "Order status": "Released"}),
    )
    made = await world.create(deal)
    [(number, facts)] = world.twin.facts("deal")
    told = ("amount", "currency", "stage", "pipeline", "account", "closing_on", "Cost center", "Order status")
    assert number == "100234"
    assert [facts[name] for name in told] == [
        *(Decimal("15400.50"), "NOK", "Done", "Service", "C-1", "2026-12-01", "CC-4100", "Released"),
    ]
    [record] = await world.connection.sources["deal"].fetch([made.id])
    assert record.entity.contact == Ref("contact", contact.id)
    assert record.version == made.version


async def test_a_refused_value_is_told_in_our_words(pipedrive: Callable[..., Any]) -> None:
    """A currency that the company does not use, and a customer that is not there."""
    world = pipedrive()
    for deal, field in (
        (Deal(number="1", name="x", amount=Money(Decimal(1), "XXX")), "amount"),
        (Deal(number="1", name="x", account=Ref("account", "999")), "org_id"),
    ):
        outcome = await world.write(Create(key=Key("number", "1"), entity=deal))
        assert isinstance(outcome, Rejected)
        assert outcome.code == "ERR_SCHEMA_VALIDATION_FAILED"
        assert outcome.field in (field, "account")
    assert list(world.twin.facts("deal")) == []


async def test_a_full_plan_rejects_the_record_and_a_missing_right_stops_the_flow(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    create = Create(key=Key("number", "C-1"), entity=Account(number="C-1", name="Acme"))
    full = b'{"success":false,"error":"Limit reached","code":"feature_capping_organizations_limit"}'
    world.twin.faults.add(Fault("status", status=403, body=full, method="POST", path=PLACE))
    outcome = await world.write(create)
    assert isinstance(outcome, Rejected)
    assert "plan" in outcome.fix
    no = b'{"success":false,"error":"Forbidden"}'
    world.twin.faults.add(Fault("status", status=403, body=no, method="POST", path=PLACE))
    with pytest.raises(ContractBroken, match="Forbidden"):
        await world.write(create)


async def test_a_field_that_was_deleted_and_made_anew_is_found_under_its_new_key(pipedrive: Callable[..., Any]) -> None:
    """Its 40 digits are others now; what we knew of it is asked for again."""
    world = pipedrive()
    world.twin.add_field("organizations", "Region")
    made = await world.create(Account(number="C-1", name="Acme", extra=Extra({"Region": "North"})))
    world.twin.remove_field("organizations", "Region")
    world.twin.add_field("organizations", "Region")
    world.clock.advance(120)
    outcome = await world.update(made, Account(extra=Extra({"Region": "South"})))
    assert isinstance(outcome, Conflict | Written)
    [record] = await world.connection.sources["account"].fetch([made.id])
    outcome = await world.write(Create(key=Key("number", "C-1"), entity=Account(extra=Extra({"Region": "South"}))))
    assert isinstance(outcome, Written)
    [(_, facts)] = world.twin.facts("account")
    assert facts["Region"] == "South"
    assert record.id == made.id


@pytest.mark.parametrize("new_options", ["reject", "create"])
async def test_a_word_that_a_list_does_not_have(pipedrive: Callable[..., Any], new_options: str) -> None:
    world = pipedrive(new_options=new_options)
    world.twin.add_field("deals", "Order status", "enum", "Planned")
    deal = Deal(number="1", name="x", extra=Extra({"Order status": "Invoiced"}))
    outcome = await world.write(Create(key=Key("number", "1"), entity=deal))
    if new_options == "reject":
        assert isinstance(outcome, Rejected)
        assert (outcome.field, "Planned" in outcome.reason) == ("extra.Order status", True)
    else:
        assert isinstance(outcome, Written)
        assert next(iter(world.twin.facts("deal")))[1]["Order status"] == "Invoiced"


async def test_an_outage_in_the_middle_of_a_batch_costs_no_outcome(pipedrive: Callable[..., Any]) -> None:
    """What was written is told, the one in the middle is in doubt, and the rest comes later."""
    world = pipedrive()
    writes = [Create(key=Key("number", f"C-{n}"), entity=Account(number=f"C-{n}", name="Acme")) for n in range(4)]
    world.twin.faults.add(
        Fault("lost_after", method="POST", path=PLACE, skip=1),
        Fault("status", status=402, method="POST", path=PLACE, skip=1, body=b"{}"),
    )
    outcomes = await world.connection.sinks["account"].write(writes)
    assert [type(outcome) for outcome in outcomes] == [Written, Unknown, Later, Later]


async def test_a_write_is_never_sent_twice(pipedrive: Callable[..., Any]) -> None:
    """Not even a PATCH: somebody may have edited the record in between."""
    world = pipedrive()
    made = await world.create(Account(number="C-1", name="Acme"))
    world.twin.faults.add(Fault("lost_before", method="PATCH"))
    assert isinstance(await world.update(made, Account(name="Acme 2")), Unknown)
    assert world.called("PATCH", "") == []


async def test_nothing_is_taken_out_of_use_unless_the_user_says_how(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive()
    made = await world.create(Account(number="C-1", name="Acme"))
    [outcome] = await world.connection.sinks["account"].write([Remove(id=made.id, version=made.version)])
    assert isinstance(outcome, Rejected)
    assert "retire.account" in outcome.fix
    product = await world.create(Product(number="GB-12", name="Gearbox"))
    [outcome] = await world.connection.sinks["product"].write([Remove(id=product.id, version=product.version)])
    assert isinstance(outcome, Written)
    assert world.twin.record("products", product.id)["is_linkable"] is False


async def test_a_retirement_by_a_custom_field(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(retire={"account": {"extra.State": "Inactive"}})
    world.twin.add_field("organizations", "State")
    made = await world.create(Account(number="C-1", name="Acme"))
    [outcome] = await world.connection.sinks["account"].write([Remove(id=made.id, version=made.version)])
    assert isinstance(outcome, Written)
    assert next(iter(world.twin.facts("account")))[1]["State"] == "Inactive"


async def test_contacts_of_a_company_with_contact_sync_have_more(pipedrive: Callable[..., Any]) -> None:
    plain, synced = pipedrive(), pipedrive(twin={"contact_sync": True})
    assert "title" not in await plain.connection.sinks["contact"].accepts()
    made = await synced.create(Contact(number="P-1", name="Kim Berg", title="Buyer", description="Likes tea"))
    [record] = await synced.connection.sources["contact"].fetch([made.id])
    assert (record.entity.title, record.entity.description) == ("Buyer", "Likes tea")


async def test_without_the_key_field_nothing_is_written(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(twin={"erp_fields": False})
    with pytest.raises(ContractBroken, match="ERP Customer No"):
        await world.write(Create(key=Key("number", "C-1"), entity=Account(number="C-1", name="Acme")))
    assert list(world.twin.facts("account")) == []
