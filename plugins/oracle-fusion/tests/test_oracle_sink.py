"""Writing parties: many in a call, halved where one spoils the rest, found by reference or number, and never doubled."""

from collections.abc import Callable
from typing import Any

import pytest
from oracle_world import World, Writing, acme

from ml_connector.domain import Account, Extra
from ml_connector.ports.sink import Conflict, Create, Key, Rejected, Remove, Unknown, Update, Written
from ml_connector.twin import Fault

ROOT = "/crmRestApi/resources/11.13.18.05"


def creates(*companies: Account) -> list[Create]:
    return [Create(key=Key("number", company.number or ""), entity=company) for company in companies]


def names(world: World) -> list[str]:
    return sorted(row["OrganizationName"] for row in world.twin.store.rows("accounts").values())


async def test_many_new_customers_go_in_one_call_that_looks_before_it_writes(oracle: Callable[..., World]) -> None:
    world = oracle()
    companies = [acme(n) for n in range(25)]
    first = await world.accounts.write(creates(*companies))
    again = await world.accounts.write(creates(*companies))
    assert [outcome.created for outcome in first if isinstance(outcome, Written)] == [True] * 25
    assert [outcome.created for outcome in again if isinstance(outcome, Written)] == [False] * 25
    assert [path for _, path, _ in world.twin.calls if "token" not in path] == [ROOT] * 2
    assert len(names(world)) == 25


async def test_many_changed_customers_go_in_one_call_without_a_look(oracle: Callable[..., World]) -> None:
    world = oracle()
    made = await world.accounts.write(creates(*(acme(n) for n in range(25))))
    world.forget_calls()
    changes = [
        Update(id=one.id, changes=Account(phone="+46 8 1"), version=one.version) for one in made if isinstance(one, Written)
    ]
    outcomes = await world.accounts.write(changes)
    assert all(isinstance(outcome, Written) and not outcome.created for outcome in outcomes)
    assert [path for _, path, _ in world.twin.calls] == [ROOT]


async def test_a_record_that_spoils_its_batch_is_singled_out_and_the_rest_is_written(oracle: Callable[..., World]) -> None:
    world = oracle()
    companies = [acme(n, email="nobody" if n == 13 else "ap@acme.example") for n in range(25)]
    outcomes = await world.accounts.write(creates(*companies))
    assert [at for at, outcome in enumerate(outcomes) if not isinstance(outcome, Written)] == [13]
    refused = outcomes[13]
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("JBO-27024", "email")
    assert len(names(world)) == 24
    assert len(world.called("POST", ROOT)) <= 12


@pytest.mark.parametrize("stale", [412, 200])
async def test_a_stale_part_is_a_conflict_and_its_neighbours_are_written(oracle: Callable[..., World], stale: int) -> None:
    """Whether Oracle fails the batch or leaves the part undone, nobody could confirm."""
    world = oracle()
    world.twin.switches.stale_part = stale
    made = [one for one in await world.accounts.write(creates(*(acme(n) for n in range(5)))) if isinstance(one, Written)]
    world.twin.change("account", made[2].id, OrganizationName="Edited by Kim")
    updates = [Update(id=one.id, changes=Account(name=f"New {at}"), version=one.version) for at, one in enumerate(made)]
    outcomes = await world.accounts.write(updates)
    assert [type(outcome) for outcome in outcomes] == [Written, Written, Conflict, Written, Written]
    assert names(world) == ["Edited by Kim", "New 0", "New 1", "New 3", "New 4"]


async def test_a_batch_whose_answer_was_lost_is_sent_once_and_found_by_its_references(oracle: Callable[..., World]) -> None:
    world = oracle()
    world.twin.faults.add(Writing("lost_after", path=ROOT))
    companies = [acme(n) for n in range(5)]
    outcomes = await world.accounts.write(creates(*companies))
    assert all(isinstance(outcome, Unknown) for outcome in outcomes)
    assert len(world.called("POST", ROOT)) == 0
    found = await world.accounts.find([Key("number", company.number or "") for company in companies])
    assert [len(records) for records in found.values()] == [1] * 5


async def test_a_pod_that_refuses_to_read_within_a_batch_is_found_out_once(oracle: Callable[..., World]) -> None:
    world = oracle()
    world.twin.switches.batch_gets = False
    await world.connection.sources["account"].fetch(["1"])
    world.forget_calls()
    companies = [acme(n) for n in range(25)]
    first = await world.accounts.write(creates(*companies))
    assert len(world.twin.calls) == 2
    world.clock.advance(5)
    again = await world.accounts.write(creates(*(acme(n, phone="+46 8 1") for n in range(25))))
    assert len(world.twin.calls) == 3
    assert [outcome.created for outcome in (*first, *again) if isinstance(outcome, Written)] == [True] * 25 + [False] * 25


async def test_batches_that_take_too_long_are_halved_for_a_while(oracle: Callable[..., World]) -> None:
    world = oracle(batch_parts=20)
    world.twin.faults.add(Writing("status", status=504, path=ROOT))
    await world.accounts.write(creates(*(acme(n) for n in range(20))))
    world.forget_calls()
    await world.accounts.write(creates(*(acme(n) for n in range(20))))
    assert len(world.called("POST", ROOT)) == 2


async def test_a_party_that_has_oracles_number_is_adopted_and_gets_our_reference(oracle: Callable[..., World]) -> None:
    world = oracle()
    party = world.twin.enter("account", OrganizationName="Acme of old", PartyNumber="CDRM_77")
    made = await world.create(acme(number="CDRM_77"))
    assert (made.id, made.created) == (party, False)
    [reference] = world.twin.parties.references(int(party))
    assert (reference["SourceSystem"], reference["SourceSystemReferenceValue"]) == ("ZOHO_CRM", "CDRM_77")
    assert names(world) == ["Acme 1"]


async def test_numbers_that_may_be_oracles_own_are_looked_for_before_a_batch(oracle: Callable[..., World]) -> None:
    world = oracle()
    world.twin.enter("account", OrganizationName="Acme of old", PartyNumber="10043")
    outcomes = await world.accounts.write(creates(acme(number="10043"), acme(2, number="10044")))
    assert [outcome.created for outcome in outcomes if isinstance(outcome, Written)] == [False, True]
    assert len(names(world)) == 2


async def test_a_number_that_two_parties_have_is_never_guessed(oracle: Callable[..., World]) -> None:
    world = oracle()
    for _ in range(2):
        world.twin.enter("account", OrganizationName="Acme")
    outcome = await world.write(Create(key=Key("name", "Acme"), entity=Account(name="Acme")))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "AMBIGUOUS"


async def test_two_parties_may_have_one_name(oracle: Callable[..., World]) -> None:
    world = oracle()
    await world.create(acme(1, name="Acme"))
    await world.create(acme(2, name="Acme"))
    assert names(world) == ["Acme", "Acme"]


async def test_a_source_system_that_nobody_registered_is_told_with_what_to_do(oracle: Callable[..., World]) -> None:
    world = oracle(source_system="PIPEDRIVE")
    outcome = await world.write(Create(key=Key("number", "1"), entity=acme(number="1")))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, "Source Systems" in outcome.fix) == ("HZ-120559", True)


async def test_a_party_whose_number_was_changed_is_found_by_its_id(oracle: Callable[..., World]) -> None:
    world = oracle()
    made = await world.create(acme())
    world.twin.change("account", made.id, PartyNumber="ACME-1")
    [record] = await world.connection.sources["account"].fetch([made.id])
    old = (made.version or "").partition("|")[0]
    stands = f"{old}|{(record.version or '').partition('|')[2]}"
    [outcome] = await world.accounts.write([Update(id=made.id, changes=Account(phone="+46 8 1"), version=stands)])
    assert isinstance(outcome, Written)
    assert (outcome.version or "").startswith("ACME-1|")


async def test_without_a_place_for_the_number_a_new_customer_is_refused(oracle: Callable[..., World]) -> None:
    world = oracle(source_system="")
    outcome = await world.write(Create(key=Key("number", "C-100"), entity=acme(number="C-100")))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("NO_KEY", "number")


async def test_without_upsert_each_new_customer_is_looked_for_first(oracle: Callable[..., World]) -> None:
    world = oracle(upsert=False)
    await world.accounts.write(creates(acme(1), acme(2)))
    world.forget_calls()
    await world.accounts.write(creates(acme(1), acme(3)))
    assert [method for method, _, _ in world.twin.calls] == ["GET", "POST"]
    assert len(names(world)) == 3


async def test_who_was_made_meanwhile_is_updated_instead(oracle: Callable[..., World]) -> None:
    """Somebody enters the customer between our look and our write."""
    world = oracle(upsert=False)
    make = world.twin.parties.create

    def first_by_somebody_else(resource: Any, body: Any, who: str, *, upsert: bool) -> Any:
        world.twin.parties.create = make  # type: ignore[method-assign]
        make(resource, {**body, "OrganizationName": "Somebody's"}, who, upsert=False)
        return make(resource, body, who, upsert=upsert)

    world.twin.parties.create = first_by_somebody_else  # type: ignore[method-assign]
    made = await world.create(acme())
    assert (made.created, names(world)) == (False, ["Acme 1"])


async def test_a_framework_version_that_a_resource_does_not_serve_is_left_out_and_told(oracle: Callable[..., World]) -> None:
    world = oracle(rest_framework_version=9)
    world.twin.switches.versions = (1, 2, 3)
    others = [world.twin.enter("account", OrganizationName=f"Other {n}") for n in range(3)]
    made = await world.create(acme())
    assert [record.id for record in await world.connection.sources["account"].fetch([made.id])] == [made.id]
    assert made.id not in others
    assert world.connection.fitness is not None
    told = await world.connection.fitness.inspect([])
    assert [finding.about for finding in told if finding.level == "warning"] == ["accounts"]


async def test_a_customer_is_made_inactive_and_never_deleted(oracle: Callable[..., World]) -> None:
    world = oracle()
    made = await world.create(acme())
    [outcome] = await world.accounts.write([Remove(id=made.id, version=made.version)])
    assert isinstance(outcome, Written)
    assert world.twin.row("account", made.id)["PartyStatus"] == "I"
    assert world.called("DELETE", "") == []


async def test_inactive_customers_are_refused_in_oracles_words(oracle: Callable[..., World]) -> None:
    world = oracle()
    made = await world.create(acme())
    world.twin.change("account", made.id, PartyStatus="I")
    [outcome] = await world.accounts.write([Update(id=made.id, changes=Account(name="Acme AB"), version=None)])
    assert isinstance(outcome, Rejected)
    assert "inactive record" in outcome.reason


async def test_custom_fields_are_written_and_read(oracle: Callable[..., World]) -> None:
    world = oracle(custom_fields={"account": {"market": "IndustryCode"}})
    made = await world.create(acme(extra=Extra({"market": "Rail"})))
    assert world.twin.row("account", made.id)["IndustryCode"] == "Rail"
    [record] = await world.connection.sources["account"].fetch([made.id])
    assert isinstance(record.entity, Account)
    assert isinstance(record.entity.extra, Extra)
    assert record.entity.extra["market"] == "Rail"


async def test_our_own_changes_are_told_apart_from_peoples(oracle: Callable[..., World]) -> None:
    world = oracle()
    made = await world.create(acme())
    [ours] = await world.connection.sources["account"].fetch([made.id])
    world.twin.change("account", made.id, OrganizationName="Edited by Kim")
    [theirs] = await world.connection.sources["account"].fetch([made.id])
    assert (ours.by_us, theirs.by_us) == (True, False)


async def test_a_missing_right_to_write_stops_the_flow_and_is_no_records_fault(oracle: Callable[..., World]) -> None:
    from ml_connector.errors import ContractBroken

    world = oracle()
    world.twin.rest.denied_writes.add("accounts")
    with pytest.raises(ContractBroken, match="may not do this"):
        await world.accounts.write(creates(acme()))


async def test_a_resource_that_the_pod_hides_stops_the_flow_at_once(oracle: Callable[..., World]) -> None:
    from ml_connector.errors import ContractBroken

    world = oracle(upsert=False)
    world.twin.faults.add(Fault("status", status=404, method="POST", path=ROOT, times=9))
    with pytest.raises(ContractBroken, match="404"):
        await world.accounts.write(creates(acme()))
    world.twin.faults.calm()
    assert names(world) == []


async def test_the_calls_for_a_thousand_changes_are_the_fewest_that_batches_allow(oracle: Callable[..., World]) -> None:
    """What the README says: 40 calls of 25 parts, for new customers and for changed ones alike."""
    world = oracle()
    companies = [acme(number=f"5843104000000{n:06d}", name=f"Acme {n}") for n in range(1000)]
    made: list[Written] = []
    await world.connection.sources["account"].fetch(["1"])  # the token
    world.forget_calls()
    for start in range(0, 1000, 25):
        made += [one for one in await world.accounts.write(creates(*companies[start : start + 25])) if isinstance(one, Written)]
    assert (len(made), len(world.twin.calls)) == (1000, 40)
    world.forget_calls()
    for start in range(0, 1000, 25):
        part = [Update(id=one.id, changes=Account(phone="+46 8 1"), version=one.version) for one in made[start : start + 25]]
        assert all(isinstance(outcome, Written) for outcome in await world.accounts.write(part))
    assert len(world.twin.calls) == 40


async def test_a_throttled_batch_waits_as_told_and_is_written_once(oracle: Callable[..., World]) -> None:
    world = oracle()
    world.twin.faults.add(Fault("status", status=429, retry_after="7", path=ROOT, method="POST"))
    outcomes = await world.accounts.write(creates(acme(1), acme(2)))
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    assert len(names(world)) == 2
