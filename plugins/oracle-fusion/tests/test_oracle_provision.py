"""From a party to a customer that can be invoiced: every step, cut off anywhere, and completed by doing it again."""

import asyncio
from collections.abc import Callable

import pytest
from oracle_world import SET_ID, World, Writing, acme

from ml_connector.domain import Account, Extra
from ml_connector.ports.sink import Create, Key, Rejected, Unknown, Update, Written

READY = Extra({"finance_status": "finance_ready"})


def customer(world: World) -> dict[str, object]:
    [row] = world.twin.store.rows("customer_accounts").values()
    return row


async def status(world: World, number: str) -> object:
    """What a look shows, as the engine looks after an answer was lost."""
    [record] = (await world.accounts.find([Key("number", number)]))[Key("number", number)]
    assert record.entity is not None
    assert isinstance(record.entity.extra, Extra)
    return record.entity.extra["finance_status"]


async def test_a_new_customer_can_be_invoiced_at_once(finance: World) -> None:
    made = await finance.create(acme(extra=READY))
    row = customer(finance)
    [site] = row["_sites"]  # type: ignore[attr-defined]
    assert (row["PartyId"], row["OrigSystemReference"]) == (made.id, acme().number)
    assert (site["SetId"], [use["SiteUseCode"] for use in site["_uses"]]) == (SET_ID, ["BILL_TO"])
    [profile] = finance.twin.store.rows("profiles").values()
    assert (profile["ProfileClassName"], profile["AccountNumber"]) == ("DEFAULT", row["AccountNumber"])
    assert made.warnings == ("made customer account and credit profile and bill-to site",)
    assert await status(finance, acme().number or "") == "finance_ready"


async def test_a_party_alone_is_no_customer_of_receivables(oracle: Callable[..., World]) -> None:
    world = oracle()
    await world.create(acme())
    assert world.called("POST", "Service") == []
    assert dict(world.twin.store.rows("customer_accounts")) == {}


async def test_a_prospect_stays_a_party_until_it_is_asked_for(finance: World) -> None:
    made = await finance.create(acme(category="Prospect"))
    assert dict(finance.twin.store.rows("customer_accounts")) == {}
    assert await status(finance, acme().number or "") is None
    outcome = await finance.update(made, Account(category="Customer", extra=READY))
    assert isinstance(outcome, Written)
    assert await status(finance, acme().number or "") == "finance_ready"


async def test_the_party_is_not_written_to_when_only_readiness_is_asked_for(finance: World) -> None:
    made = await finance.create(acme(extra=Extra({"finance_status": "party_only"})))
    outcome = await finance.update(made, Account(extra=READY))
    assert isinstance(outcome, Written)
    assert outcome.version == made.version
    assert finance.called("PATCH", "/accounts") == []


async def test_one_who_is_ready_is_asked_about_once_and_left_alone(finance: World) -> None:
    made = await finance.create(acme(extra=READY))
    finance.forget_calls()
    assert isinstance(await finance.update(made, Account(extra=READY)), Written)
    assert finance.called("POST", "") == []


@pytest.mark.parametrize("kind", ["lost_before", "lost_after"])
@pytest.mark.parametrize("step", range(1, 6))
async def test_a_crash_at_any_step_is_completed_by_doing_it_again(finance: World, step: int, kind: str) -> None:
    """The steps that post: the party, the look for an account, the account, the look for a profile, the profile, the site."""
    finance.twin.faults.add(Writing(kind, skip=step, path="Service", times=99))  # type: ignore[arg-type]
    outcome = await finance.write(Create(key=Key("number", acme().number or ""), entity=acme(extra=READY)))
    finance.twin.faults.calm()
    if not isinstance(outcome, Written):
        assert isinstance(outcome, Unknown), outcome
    world = finance.again(provision="finance_ready", finance={"set_id": SET_ID, "currency": "SEK"})
    [record] = (await world.accounts.find([Key("number", acme().number or "")]))[Key("number", acme().number or "")]
    [outcome] = await world.accounts.write([Update(id=record.id, changes=Account(extra=READY), version=record.version)])
    assert isinstance(outcome, Written), outcome
    assert await status(world, acme().number or "") == "finance_ready"
    row = customer(world)
    assert len(row["_sites"]) == 1
    assert len(world.twin.store.rows("profiles")) == 1
    assert len(world.twin.store.rows("accounts")) == 1


async def test_a_lost_answer_to_the_party_itself_is_unknown_and_nothing_hangs_on_it(finance: World) -> None:
    finance.twin.faults.add(Writing("lost_after", path="/accounts"))
    outcome = await finance.write(Create(key=Key("number", acme().number or ""), entity=acme(extra=READY)))
    assert isinstance(outcome, Unknown)
    assert await status(finance, acme().number or "") is None


async def test_a_refused_step_says_which_and_in_oracles_words(finance: World) -> None:
    made = await finance.create(acme(extra=Extra({"finance_status": "party_only"})))
    world = finance.again(provision="finance_ready", finance={"set_id": SET_ID, "profile_class": "GOLD"})
    outcome = await world.update(made, Account(extra=READY))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("AR-855001", "extra.finance_status")
    assert "with customer account; its credit profile is refused" in outcome.reason


async def test_a_party_without_a_usage_is_told_with_what_to_do(finance: World) -> None:
    made = await finance.create(acme(extra=Extra({"finance_status": "party_only"})))
    finance.twin.services.usageless.add(int(made.id))
    outcome = await finance.update(made, Account(extra=READY))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, "usage CUSTOMER" in outcome.fix) == ("HZ-120421", True)


async def test_invoices_need_an_address(finance: World) -> None:
    made = await finance.create(acme(billing=None))
    outcome = await finance.update(made, Account(extra=READY))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("NO_ADDRESS", "billing")


async def test_a_new_party_that_cannot_be_made_ready_is_told_as_written_with_a_remark(finance: World) -> None:
    made = await finance.create(acme(billing=None))
    assert made.created
    [remark] = made.warnings
    assert remark.startswith("not ready for invoices: party CDRM_")
    assert remark.endswith("it has no address, and invoices need one")


@pytest.mark.parametrize("change", [acme(billing=None, extra=READY), acme(extra=Extra({"finance_status": "perhaps"}))])
async def test_what_was_asked_for_by_name_and_refused_is_looked_at_again_and_not_called_unwritten(
    finance: World, change: Account
) -> None:
    outcome = await finance.write(Create(key=Key("number", acme().number or ""), entity=change))
    assert isinstance(outcome, Unknown)
    assert len(finance.twin.store.rows("accounts")) == 1


async def test_two_customer_accounts_are_a_persons_to_tell_apart(finance: World) -> None:
    made = await finance.create(acme(extra=Extra({"finance_status": "party_only"})))
    for name in ("One", "Two"):
        finance.twin.open_account(made.id, AccountName=name)
    outcome = await finance.update(made, Account(extra=READY))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "AMBIGUOUS"


async def test_of_two_who_make_a_customer_ready_at_once_neither_is_refused(finance: World) -> None:
    made = await finance.create(acme(extra=Extra({"finance_status": "party_only"})))
    settings = {"provision": "finance_ready", "finance": {"set_id": SET_ID, "currency": "SEK"}}
    hasty = [Update(id=made.id, changes=Account(extra=READY), version=made.version)]
    one, other = await asyncio.gather(finance.accounts.write(hasty), finance.again(**settings).accounts.write(hasty))
    assert [type(outcome) for outcome in (*one, *other)] == [Written, Written]
    assert len(customer(finance)["_sites"]) == 1
    assert len(finance.twin.store.rows("profiles")) == 1


async def test_what_receivables_does_not_show_yet_is_not_called_ready(finance: World) -> None:
    finance.twin.receivables.hidden = 2
    outcome = await finance.write(Create(key=Key("number", acme().number or ""), entity=acme(extra=READY)))
    assert isinstance(outcome, Unknown)
    assert "does not show it yet" in outcome.reason
    assert await status(finance, acme().number or "") == "finance_ready"


@pytest.mark.parametrize("verify", ["bill_to", "none"])
async def test_other_ways_to_verify(oracle: Callable[..., World], verify: str) -> None:
    world = oracle(provision="finance_ready", finance={"set_id": SET_ID, "verify": verify})
    assert isinstance(await world.create(acme(extra=READY)), Written)
    if verify == "bill_to":
        assert await status(world, acme().number or "") == "finance_ready"


async def test_services_that_answer_in_parts_and_without_sites_are_understood(finance: World) -> None:
    finance.twin.switches.multipart = True
    finance.twin.services.hides_sites = True
    assert isinstance(await finance.create(acme(extra=READY)), Written)
    assert len(customer(finance)["_sites"]) == 1


async def test_characters_that_xml_cannot_hold_do_not_spoil_the_envelope(finance: World) -> None:
    await finance.create(acme(name="Acme & <Söhne>\x0b", extra=READY))
    assert customer(finance)["AccountName"] == "Acme & <Söhne>"


async def test_a_service_that_is_not_there_is_no_customers_fault(oracle: Callable[..., World]) -> None:
    world = oracle(provision="finance_ready", finance={"set_id": SET_ID, "customer_accounts_path": "/crmService/Nowhere"})
    outcome = await world.write(Create(key=Key("number", acme().number or ""), entity=acme(extra=READY)))
    assert isinstance(outcome, Unknown)
    assert "HTTP 404" in outcome.reason
