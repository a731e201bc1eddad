"""Writing to Zoho: keyed, guarded, and one record's trouble its own."""

from datetime import date
from decimal import Decimal

import pytest

from ml_connector.domain import Account, Address, Deal, Extra, Money, Product, Ref
from ml_connector.errors import AuthRejected, ContractBroken, Throttled, Unavailable
from ml_connector.ports.sink import Conflict, Create, Key, Later, Rejected, Remove, Unknown, Update, Written
from ml_connector.twin import Fault


def create(number, **values):
    return Create(key=Key("number", number), entity=Account(number=number, **values))


async def acme(world, **values):
    """Acme as the connector created it; its Written."""
    (outcome,) = await world.connection.sinks["account"].write([create("C-100", name="Acme", **values)])
    world.pass_time(seconds=10)
    return outcome


def stored(world, module="Accounts"):
    key = "Account_Name" if module == "Accounts" else "Deal_Name"
    return sorted(row[key] for row in world.twin.records(module).values())


async def test_a_new_account_is_there_with_all_that_was_said(zoho):
    world = zoho()
    outcome = await acme(world, phone="555-0100", billing=Address(city="Malmö"), annual_revenue=Money(Decimal("12.50"), "EUR"))
    row = world.twin.records("Accounts")[outcome.id]
    assert (row["ERP_Customer_No"], row["Billing_City"], row["Annual_Revenue"]) == ("C-100", "Malmö", Decimal("12.50"))
    assert outcome.created
    assert outcome.version == "2026-03-02T12:00:00+00:00"


async def test_the_same_customer_created_twice_is_one_account(zoho):
    world = zoho()
    first = await acme(world)
    second = await acme(world, phone="555-0100")
    assert (second.id, second.created) == (first.id, False)
    assert stored(world) == ["Acme"]


async def test_two_customers_of_one_name_stay_two_accounts(zoho):
    world = zoho()
    outcomes = await world.connection.sinks["account"].write([create("C-100", name="Acme"), create("C-200", name="Acme")])
    assert len({outcome.id for outcome in outcomes}) == 2


async def test_one_key_twice_in_a_batch_is_one_account_with_two_outcomes(zoho):
    world = zoho()
    writes = [create("C-100", name="Acme"), create("C-200", name="Beta"), create("c-100", name="Acme", phone="555-0100")]
    first, beta, last = await world.connection.sinks["account"].write(writes)
    assert first.id == last.id != beta.id
    assert [first.created, beta.created, last.created] == [False, True, True]
    assert world.twin.records("Accounts")[last.id]["Phone"] == "555-0100"


@pytest.mark.parametrize("mode", ["modern", "legacy"])
async def test_one_refused_account_is_told_and_the_rest_still_arrive(zoho, mode):
    world = zoho(twin={"status_mode": mode})
    ghost = Ref("account", "5550001000000999999")
    writes = [create("C-100", name="Acme"), create("C-200", name="Beta", parent=ghost), create("C-300")]
    good, orphan, nameless = await world.connection.sinks["account"].write(writes)
    assert isinstance(good, Written)
    assert isinstance(orphan, Rejected)
    assert (orphan.code, orphan.field) == ("INVALID_DATA", "parent")
    assert (nameless.code, nameless.field) == ("MANDATORY_NOT_FOUND", "name")
    assert stored(world) == ["Acme"]


async def test_a_text_too_long_is_rejected_by_name_and_limit_without_a_call(zoho):
    world = zoho()
    (outcome,) = await world.connection.sinks["account"].write([create("C-100", name="x" * 201)])
    assert (outcome.field, "200" in outcome.reason) == ("name", True)
    assert world.paths("POST", "upsert") == []


async def test_a_blank_key_is_never_sent(zoho):
    world = zoho()
    (outcome,) = await world.connection.sinks["account"].write([Create(key=Key("number", " "), entity=Account(name="Acme"))])
    assert outcome.code == "NO_KEY"
    assert stored(world) == []


async def test_an_update_sets_clears_and_leaves_alone(zoho):
    world = zoho()
    there = await acme(world, phone="555-0100", fax="555-0101")
    changes = Account(name="Acme AB", phone=None)
    (outcome,) = await world.connection.sinks["account"].write([Update(id=there.id, changes=changes, version=there.version)])
    row = world.twin.records("Accounts")[there.id]
    assert (row["Account_Name"], row["Phone"], row["Fax"]) == ("Acme AB", None, "555-0101")
    assert (outcome.created, outcome.version) == (False, "2026-03-02T12:00:10+00:00")


async def test_an_account_that_sam_changed_is_a_conflict_and_keeps_what_sam_wrote(zoho):
    world = zoho()
    there = await acme(world)
    world.twin.edit_as_person("Accounts", there.id, Phone="555-0199")
    update = Update(id=there.id, changes=Account(phone="555-0100"), version=there.version)
    (outcome,) = await world.connection.sinks["account"].write([update])
    assert outcome == Conflict(current="2026-03-02T12:00:10+00:00", id=there.id)
    assert world.twin.records("Accounts")[there.id]["Phone"] == "555-0199"


async def test_a_later_write_to_one_record_does_not_open_the_guard_of_another(zoho):
    world = zoho()
    sink = world.connection.sinks["account"]
    there = await acme(world)
    world.twin.edit_as_person("Accounts", there.id, Phone="555-0199")
    world.pass_time(seconds=10)
    (beta,) = await sink.write([create("C-200", name="Beta")])
    writes = [Update(id=one.id, changes=Account(phone="555-0100"), version=one.version) for one in (there, beta)]
    assert [type(outcome) for outcome in await sink.write(writes)] == [Conflict, Written]
    assert world.twin.records("Accounts")[there.id]["Phone"] == "555-0199"


async def test_an_edit_between_the_look_and_the_write_is_refused_for_that_record_alone(zoho):
    world = zoho()
    sink = world.connection.sinks["account"]
    first, second = await sink.write([create("C-100", name="Acme"), create("C-200", name="Beta")])
    world.pass_time(seconds=10)

    async def meanwhile(module, records, **more):
        world.pass_time(seconds=1)
        world.twin.edit_as_person("Accounts", first.id, Phone="555-0199")
        return await update(module, records, **more)

    update, sink._api.update = sink._api.update, meanwhile
    writes = [Update(id=one.id, changes=Account(fax="555-0101"), version=one.version) for one in (first, second)]
    moved, written = await sink.write(writes)
    assert isinstance(moved, Conflict)
    assert moved.current == "2026-03-02T12:00:11+00:00"
    assert isinstance(written, Written)
    assert world.twin.records("Accounts")[first.id]["Phone"] == "555-0199"


MOVED = b'{"code":"ALREADY_MODIFIED","status":"error","message":"m","details":{"Modified_Time":"2026-03-02T17:30:00+05:30"}}'


@pytest.mark.parametrize(
    "body",
    [MOVED, b'{"data":[%s]}' % MOVED, b'{"data":[%s,%s]}' % (MOVED, MOVED)],
    ids=["for the call", "one for all", "each, though none moved"],
)
async def test_a_refusal_of_the_whole_call_is_sorted_out_record_by_record(zoho, body):
    world = zoho()
    sink = world.connection.sinks["account"]
    there = await sink.write([create("C-100", name="Acme"), create("C-200", name="Beta")])
    world.pass_time(seconds=10)
    world.twin.faults.add(Fault(kind="status", status=412, method="PUT", body=body))
    outcomes = await sink.write([Update(id=one.id, changes=Account(fax="1"), version=one.version) for one in there])
    assert [type(outcome) for outcome in outcomes] == [Written, Written]
    assert len(world.paths("PUT", "Accounts")) == 3


@pytest.mark.parametrize("body", [b'{"data":[]}', b'{"data":[{"code":"SUCCESS","status":"success"}]}', b"{}", b'{"data":'])
async def test_an_answer_that_does_not_account_for_every_record_is_unknown(zoho, body):
    world = zoho()
    world.twin.faults.add(Fault(kind="status", status=200, path="upsert", body=body))
    outcomes = await world.connection.sinks["account"].write([create("C-100", name="Acme"), create("C-200", name="Beta")])
    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown]


async def test_an_account_that_is_gone_is_a_conflict_with_nothing(zoho):
    world = zoho()
    there = await acme(world)
    world.twin.delete_as_person("Accounts", there.id)
    guarded = Update(id=there.id, changes=Account(name="Acme AB"), version=there.version)
    unguarded = Update(id=there.id, changes=Account(name="Acme AB"), version=None)
    sink = world.connection.sinks["account"]
    assert await sink.write([guarded]) == [Conflict(current=None)]
    assert await sink.write([unguarded]) == [Conflict(current=None)]


async def test_guarded_updates_of_a_whole_batch_take_one_look_and_one_call(zoho):
    world = zoho()
    sink = world.connection.sinks["account"]
    there = await sink.write([create(f"C-{n}", name=f"Customer {n}") for n in range(100)])
    world.pass_time(seconds=10)
    world.twin.calls.clear()
    outcomes = await sink.write([Update(id=one.id, changes=Account(fax="1"), version=one.version) for one in there])
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    assert [(method, path.rpartition("/")[2]) for method, path, _ in world.twin.calls] == [
        ("POST", "coql"),
        ("PUT", "Accounts"),
    ]


async def test_a_locked_record_is_for_later(zoho):
    world = zoho()
    there = await acme(world)
    world.twin.lock(there.id)
    update = Update(id=there.id, changes=Account(name="Acme AB"), version=there.version)
    (outcome,) = await world.connection.sinks["account"].write([update])
    assert isinstance(outcome, Later)
    assert outcome.after_s == 120


@pytest.mark.parametrize("kind", ["lost_after", "lost_before", "garbage"])
async def test_a_lost_answer_is_unknown_and_the_record_can_be_looked_up(zoho, kind):
    world = zoho()
    await world.connection.sinks["account"].accepts()
    world.twin.faults.add(Fault(kind=kind, path="upsert"))
    (outcome,) = await world.connection.sinks["account"].write([create("C-100", name="Acme")])
    assert isinstance(outcome, Unknown)
    found = await world.connection.sinks["account"].find([Key("number", "C-100")])
    assert len(found[Key("number", "C-100")]) == (0 if kind == "lost_before" else 1)


async def test_a_server_fault_in_the_middle_of_a_write_is_unknown_not_repeated(zoho):
    world = zoho()
    world.twin.faults.add(Fault(kind="status", status=500, path="upsert"))
    (outcome,) = await world.connection.sinks["account"].write([create("C-100", name="Acme")])
    assert isinstance(outcome, Unknown)
    assert len(world.paths("POST", "upsert")) == 1


async def test_a_throttled_write_waits_and_goes_through(zoho):
    world = zoho()
    world.twin.faults.add(Fault(kind="status", status=429, path="upsert", body=b'{"code":"TOO_MANY_REQUESTS"}'))
    (outcome,) = await world.connection.sinks["account"].write([create("C-100", name="Acme")])
    assert isinstance(outcome, Written)


async def test_a_write_that_zoho_keeps_turning_away_is_raised_when_nothing_was_written(zoho):
    world = zoho()
    world.twin.faults.add(Fault(kind="status", status=429, path="upsert", times=9, body=b'{"code":"TOO_MANY_REQUESTS"}'))
    with pytest.raises(Throttled):
        await world.connection.sinks["account"].write([create("C-100", name="Acme")])


async def test_what_was_written_is_told_even_when_another_part_of_the_batch_is_turned_away(zoho):
    world = zoho()
    there = await acme(world)
    world.twin.faults.add(Fault(kind="status", status=429, method="PUT", times=9, body=b'{"code":"TOO_MANY_REQUESTS"}'))
    writes = [create("C-200", name="Beta"), Update(id=there.id, changes=Account(name="Acme AB"), version=there.version)]
    created, turned_away = await world.connection.sinks["account"].write(writes)
    assert isinstance(created, Written)
    assert isinstance(turned_away, Later)


async def test_an_expired_token_in_the_middle_is_renewed_once_and_the_write_repeated(zoho):
    world = zoho()
    world.twin.faults.add(Fault(kind="expire_tokens", path="upsert"))
    (outcome,) = await world.connection.sinks["account"].write([create("C-100", name="Acme")])
    assert isinstance(outcome, Written)
    assert len(world.paths("POST", "oauth")) == 2


async def test_a_missing_scope_is_an_auth_error_that_no_refresh_is_wasted_on(zoho):
    world = zoho()
    world.twin.accounts.scopes = frozenset({"ZohoCRM.org.READ"})
    with pytest.raises(AuthRejected, match="scope"):
        await world.connection.sinks["account"].write([create("C-100", name="Acme")])
    assert len(world.paths("POST", "oauth")) == 1


async def test_a_unique_value_that_another_customer_holds_is_rejected_not_merged(zoho):
    world = zoho()
    world.twin.add_field("Accounts", "VAT_No", length=30, unique=True)
    world.twin.insert_as_person("Accounts", Account_Name="Beta", ERP_Customer_No="C-200", VAT_No="SE1")
    (outcome,) = await world.connection.sinks["account"].write([create("C-100", name="Acme", extra=Extra({"VAT_No": "SE1"}))])
    assert (outcome.code, outcome.field) == ("DUPLICATE_DATA", "extra.VAT_No")
    assert stored(world) == ["Beta"]


async def test_junk_that_only_zoho_recognises_is_blanked_on_a_second_try_where_the_user_wants_it(zoho):
    world = zoho(on_bad_contact_data="blank")
    outcome = await acme(world, phone="(555)..0100")
    assert isinstance(outcome, Written)
    assert outcome.warnings == ("phone left blank: Zoho does not take '(555)..0100'",)
    assert world.twin.records("Accounts")[outcome.id]["Phone"] is None


async def test_a_product_is_retired_by_its_flag_and_an_account_by_what_the_user_configured(zoho):
    world = zoho(retire={"account": {"Account_Type": "Distributor"}})
    (bolt,) = await world.connection.sinks["product"].write(
        [Create(key=Key("number", "B-1"), entity=Product(number="B-1", name="Bolt", active=True))]
    )
    await world.connection.sinks["product"].write([Remove(id=bolt.id, version=bolt.version)])
    assert world.twin.records("Products")[bolt.id]["Product_Active"] is False
    there = await acme(world)
    (outcome,) = await world.connection.sinks["account"].write([Remove(id=there.id, version=there.version)])
    assert isinstance(outcome, Written)
    assert world.twin.records("Accounts")[there.id]["Account_Type"] == "Distributor"


async def test_without_a_way_to_retire_a_removal_is_rejected_with_the_way_to_configure_one(zoho):
    world = zoho()
    there = await acme(world)
    (outcome,) = await world.connection.sinks["account"].write([Remove(id=there.id, version=None)])
    assert (outcome.code, "retire.account" in outcome.fix) == ("NO_RETIREMENT", True)


async def test_without_the_key_field_nothing_is_written_under_a_name_alone(zoho):
    world = zoho(twin={"erp_fields": False})
    (outcome,) = await world.connection.sinks["account"].write([create("C-100", name="Acme")])
    assert (outcome.code, stored(world)) == ("NO_KEY", [])


async def test_a_key_is_found_whatever_is_in_it(zoho):
    world = zoho()
    numbers = ["O'Neil", "C 100", "ÅÄÖ-1", "50%", "a\\b", 'q"q', *(f"C-{n}" for n in range(250))]
    sink = world.connection.sinks["account"]
    for start in range(0, len(numbers), 100):
        await sink.write([create(number, name=f"Customer {number}") for number in numbers[start : start + 100]])
    found = await sink.find([Key("number", number) for number in (*numbers, "C-999")])
    assert {key.value for key, records in found.items() if len(records) != 1} == {"C-999"}
    assert all(records[0].entity.number == key.value for key, records in found.items() if records)


async def test_namesakes_are_all_found(zoho):
    world = zoho()
    await world.connection.sinks["account"].write([create(f"C-{n}", name="Acme", phone=f"555-{n}") for n in range(3)])
    found = await world.connection.sinks["account"].find([Key("name", "acme"), Key("phone", "555-1")])
    assert [len(records) for records in found.values()] == [3, 1]


async def test_a_new_deal_gets_defaults_and_an_existing_one_keeps_what_sam_chose(zoho):
    world = zoho(create_defaults={"deal": {"Stage": "Qualification", "Closing_Date": "2026-12-31"}})
    sink = world.connection.sinks["deal"]
    write = Create(key=Key("number", "10042"), entity=Deal(number="10042", name="Order 10042"))
    (there,) = await sink.write([write])
    assert world.twin.records("Deals")[there.id]["Stage"] == "Qualification"
    world.twin.edit_as_person("Deals", there.id, Stage="Closed Won")
    (again,) = await sink.write([write])
    assert (again.id, again.created) == (there.id, False)
    assert world.twin.records("Deals")[there.id]["Stage"] == "Closed Won"


async def test_a_deal_arrives_with_account_amount_and_dates(zoho):
    world = zoho(create_defaults={"deal": {"Stage": "Closed Won"}})
    there = await acme(world)
    order = Deal(
        number="10042",
        name="Order 10042",
        amount=Money(Decimal("1999.90"), "USD"),
        account=Ref("account", there.id),
        closing_on=date(2026, 3, 1),
    )
    (deal,) = await world.connection.sinks["deal"].write([Create(key=Key("number", "10042"), entity=order)])
    (record,) = await world.connection.sources["deal"].fetch([deal.id])
    assert record.entity.amount == Money(Decimal("1999.90"), "USD")
    assert (record.entity.account, record.entity.closing_on) == (Ref("account", there.id), date(2026, 3, 1))
    assert (record.entity.status, record.by_us, record.version) == ("won", True, deal.version)


async def test_a_choice_that_an_administrator_took_away_is_known_after_one_refusal(zoho):
    world = zoho()
    sink = world.connection.sinks["account"]
    await sink.accepts()
    world.twin.set_picklist("Accounts", "Industry", ["Shipping"])
    (by_zoho,) = await sink.write([create("C-100", name="Acme", industry="Retail")])
    world.pass_time(minutes=2)
    (by_us,) = await sink.write([create("C-100", name="Acme", industry="Retail")])
    assert by_zoho.field == by_us.field == "industry"
    assert "Shipping" in by_us.reason
    assert len(world.paths("POST", "upsert")) == 1


async def test_a_choice_that_an_administrator_added_is_taken_at_once(zoho):
    world = zoho()
    await world.connection.sinks["account"].accepts()
    world.pass_time(minutes=2)
    world.twin.set_picklist("Accounts", "Industry", ["Shipping"])
    assert isinstance(await acme(world, industry="Shipping"), Written)


async def test_a_renamed_module_is_found_by_its_system_name(zoho):
    world = zoho()
    world.twin.rename_module("Accounts", "Customers")
    assert isinstance(await acme(world), Written)
    assert world.paths("POST", "Customers/upsert")


async def test_a_module_that_the_edition_lacks_is_a_broken_contract_that_says_so(zoho):
    world = zoho()
    world.twin.without_module("Vendors")
    with pytest.raises(ContractBroken, match="no module Vendors"):
        await world.connection.sinks["vendor"].accepts()


async def test_an_outage_before_anything_is_sent_is_raised(zoho):
    world = zoho()
    await world.connection.sinks["account"].accepts()
    world.twin.faults.add(Fault(kind="status", status=503, path="coql", times=99))
    with pytest.raises(Unavailable):
        await world.connection.sinks["account"].write(
            [Update(id="5550001000000123001", changes=Account(name="Acme"), version="2026-03-02T12:00:00+00:00")]
        )
