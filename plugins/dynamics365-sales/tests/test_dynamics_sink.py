"""Writing accounts, contacts and products: keys, batches, bulk messages, currencies, and what a bad record costs others."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from ml_connector.domain import Account, Address, Contact, Extra, Money, Product, Ref
from ml_connector.errors import AuthRejected, ContractBroken, Unavailable
from ml_connector.ports.sink import Conflict, Create, Key, Rejected, Remove, Unknown, Update, Written
from ml_connector.twin import Fault


def creates(count: int, **fields: Any) -> list[Create]:
    entities = [Account(number=f"C-{n}", name=f"Acme {n}", **fields) for n in range(count)]
    return [Create(key=Key("number", str(entity.number)), entity=entity) for entity in entities]


@pytest.mark.parametrize("number", ["100/A", "A&B", "50%", "a+b", "what?", "x:y", "back\\slash", "<b>", "*"])
async def test_a_number_that_cannot_stand_in_a_url_is_written_once(dynamics: Callable[..., Any], number: str) -> None:
    """Such a key is unique at Dataverse, and addressing by it fails: the record is looked up and addressed by id."""
    world = dynamics()
    first = await world.create("account", Account(number=number, name="Acme"))
    second = await world.create("account", Account(number=number, name="Acme Holding"))
    assert isinstance(first, Written)
    assert (second.id, first.created, second.created) == (first.id, True, False)
    assert [row.values["accountnumber"] for row in world.twin.records("account").values()] == [number]


@pytest.mark.parametrize("number", ["O'Neil", "株式会社", "a b", "Ä-1", "(1)", "a,b=c"])
async def test_other_awkward_numbers_go_by_the_key(dynamics: Callable[..., Any], number: str) -> None:
    """Quotes are doubled and everything else encoded: one call, no look before."""
    world = dynamics()
    assert (await world.create("account", Account(number=number, name="Acme"))).created
    assert world.asked("GET", "/accounts") == 0
    assert [row.values["accountnumber"] for row in world.twin.records("account").values()] == [number]


async def test_a_batch_goes_in_one_call_and_each_record_stands_for_itself(dynamics: Callable[..., Any]) -> None:
    """A refused part of a batch is that record's alone."""
    world = dynamics(batch=50)
    writes = creates(3)
    writes[1] = Create(key=Key("number", "C-1"), entity=Account(number="C-1", name="Acme", phone="+47 22 00 00 00"))
    await world.connection.sinks["account"].accepts()
    world.twin.env.defs["account"].columns["telephone1"].length = 5  # shortened since we asked
    outcomes = await world.write("account", *writes)
    assert [type(outcome) for outcome in outcomes] == [Written, Rejected, Written]
    assert outcomes[1].field == "phone"
    assert world.asked("POST", "/$batch") <= 1


async def test_a_refused_bulk_is_halved_until_the_one_at_fault_stands_alone(dynamics: Callable[..., Any]) -> None:
    """UpsertMultiple stands or falls as a whole; the other seven are written in bulk all the same."""
    world = dynamics(bulk_from=2)
    await world.connection.sinks["account"].accepts()
    world.twin.env.defs["account"].columns["telephone1"].length = 5
    writes = creates(8)
    writes[5] = Create(key=Key("number", "C-5"), entity=Account(number="C-5", name="Acme 5", phone="+47 22 00 00 00"))
    outcomes = await world.write("account", *writes)
    assert [type(outcome) for outcome in outcomes] == [Written] * 5 + [Rejected] + [Written] * 2
    assert all(outcome.created for outcome in outcomes if isinstance(outcome, Written))
    assert len(world.twin.records("account")) == 7
    assert world.asked("POST", "UpsertMultiple") == 5  # 8, 4 of which one half fails, 2, then the one by itself
    assert world.asked("POST", "$batch") == 1


async def test_bulk_tells_new_from_known(dynamics: Callable[..., Any]) -> None:
    """The message tells nothing, so what was there before was looked up."""
    world = dynamics(bulk_from=2)
    await world.write("account", *creates(2))
    outcomes = await world.write("account", *creates(4))
    assert [outcome.created for outcome in outcomes] == [False, False, True, True]
    record = await world.read("account", outcomes[3].id)
    assert record.version == outcomes[3].version


async def test_one_bad_number_costs_no_second_look_for_the_others(dynamics: Callable[..., Any]) -> None:
    """Where there is no alternate key, all numbers of a batch are looked up in one query."""
    world = dynamics()
    world.twin.env.defs["account"].keys.clear()
    outcomes = await world.write("account", *creates(10))
    assert all(isinstance(outcome, Written) for outcome in outcomes)
    assert world.asked("GET", "/accounts") == 1


async def test_without_a_key_the_id_follows_from_the_number(dynamics: Callable[..., Any]) -> None:
    """So that two runners who look at the same time do not create two records."""
    world = dynamics()
    world.twin.env.defs["account"].keys.clear()
    first = await world.create("account", Account(number="C-1", name="Acme"))
    world.twin.delete_as_person("account", first.id)
    second = await world.create("account", Account(number="c-1", name="Acme"))
    assert second.id == first.id


async def test_a_key_whose_index_is_not_ready_is_not_used(dynamics: Callable[..., Any]) -> None:
    """Pending keys cannot be addressed by."""
    world = dynamics(twin={"erp_columns": False})
    world.twin.definitions.index_s = 60
    world.twin.definitions.add_key("account", "mlc_erpkey", ("accountnumber",))
    assert (await world.create("account", Account(number="C-1", name="Acme"))).created
    assert world.asked("GET", "/accounts") == 1


async def test_an_outage_before_anything_was_written_is_an_error(dynamics: Callable[..., Any]) -> None:
    """Nobody's outcome is lost, so the run may stop and come back."""
    world = dynamics()
    await world.connection.sinks["account"].accepts()
    world.twin.faults.add(Fault("status", status=429, path="$batch", times=99, retry_after="3600"))
    with pytest.raises(Exception, match="Service protection"):
        await world.write("account", *creates(2))


async def test_a_missing_privilege_stops_the_flow_with_its_name(dynamics: Callable[..., Any]) -> None:
    """A thousand refused records would hide the one thing to mend."""
    world = dynamics()
    world.twin.writer.no_rights.add(("Create", "account"))
    with pytest.raises(ContractBroken, match="privilege"):
        await world.write("account", *creates(3))


async def test_an_application_user_who_is_no_member_is_told_so(dynamics: Callable[..., Any]) -> None:
    """The commonest mistake of a new connection, with what to do about it."""
    world = dynamics()
    world.twin.member = False
    with pytest.raises(AuthRejected, match="application user"):
        await world.write("account", *creates(1))


async def test_a_product_is_published_unless_it_shall_not_be(dynamics: Callable[..., Any]) -> None:
    """New products are drafts, which no order takes."""
    world = dynamics()
    made = await world.create("product", Product(number="IT-1", name="Crane", list_price=Money(Decimal("9.90"), "SEK")))
    retired = await world.create("product", Product(number="IT-2", name="Old crane", active=False))
    states = {row.values["productnumber"]: row.values["statecode"] for row in world.twin.records("product").values()}
    assert states == {"IT-1": 0, "IT-2": 1}
    assert made.version == (await world.read("product", made.id)).version
    assert (await world.read("product", retired.id)).entity.active is False
    shy = world.again(publish_products=False)
    draft = await shy.create("product", Product(number="IT-3", name="Draft"))
    assert world.twin.records("product")[draft.id].values["statecode"] == 2


async def test_a_product_gets_unit_and_group_and_keeps_what_people_gave_it(dynamics: Callable[..., Any]) -> None:
    """Defaults are for new records only."""
    world = dynamics()
    dozen = next(row for row in world.twin.records("uom").values() if row.values["name"] == "Dozen")
    known = world.product("IT-1", defaultuomid=dozen.id)
    await world.create("product", Product(number="IT-1", name="Crane"))
    assert world.twin.records("product")[known].values["defaultuomid"] == dozen.id
    made = await world.create("product", Product(number="IT-2", name="Crane", unit="Dozen"))
    assert world.twin.records("product")[made.id].values["defaultuomid"] == dozen.id
    outcome = await world.create("product", Product(number="IT-3", name="Crane", unit="KG"))
    assert isinstance(outcome, Rejected)
    assert outcome.field == "unit"


async def test_a_record_has_one_currency(dynamics: Callable[..., Any]) -> None:
    """Amounts keep theirs: it becomes the record's, and two of them are refused."""
    world = dynamics()
    made = await world.create("account", Account(number="C-1", name="Acme", credit_limit=Money(Decimal(5), "SEK")))
    assert (await world.read("account", made.id)).entity.credit_limit == Money(Decimal(5), "SEK")
    clash = Account(number="C-2", name="A", credit_limit=Money(Decimal(5), "SEK"), annual_revenue=Money(Decimal(1), "EUR"))
    assert (await world.create("account", clash)).code == "CURRENCY"
    unknown = await world.create("account", Account(number="C-3", name="A", credit_limit=Money(Decimal(5), "XAF")))
    assert (unknown.code, unknown.field) == ("CURRENCY", "currency")


async def test_choices_are_told_by_their_labels_or_by_the_users_own_words(dynamics: Callable[..., Any]) -> None:
    """Labels are the environment's; a word that stands for none is refused with what there is."""
    world = dynamics(choices={"account.payment_terms": {"30": 1}})
    made = await world.create("account", Account(number="C-1", name="A", payment_terms="30", category="customer"))
    values = world.twin.records("account")[made.id].values
    assert (values["paymenttermscode"], values["customertypecode"]) == (1, 3)
    entity = (await world.read("account", made.id)).entity
    assert (entity.payment_terms, entity.category) == ("30", "Customer")
    outcome = await world.create("account", Account(number="C-2", name="A", payment_terms="99 days"))
    assert (outcome.code, outcome.field) == ("NO_CHOICE", "payment_terms")
    assert '"Net 45"' in outcome.reason
    lenient = world.again(unknown_choices="leave")
    made = await lenient.create("account", Account(number="C-3", name="A", payment_terms="99 days"))
    assert made.warnings[0].startswith('payment_terms left alone: "99 days"')


async def test_custom_columns_travel_as_extra(dynamics: Callable[..., Any]) -> None:
    """By logical name, in both directions and with their types."""
    world = dynamics()
    world.twin.definitions.add_column("account", "mlc_Region", "text", 20)
    world.twin.definitions.add_column("account", "mlc_Score", "dec")
    extra = Extra({"mlc_region": "North", "mlc_score": Decimal("1.5")})
    made = await world.create("account", Account(number="C-1", name="A", extra=extra))
    assert (await world.read("account", made.id)).entity.extra == extra
    cleared = await world.change("account", made, Account(extra=Extra({"mlc_region": None})))
    assert (await world.read("account", cleared.id)).entity.extra["mlc_region"] is None
    lost = await world.change("account", cleared, Account(extra=Extra({"mlc_nothing": "x"})))
    assert lost.warnings == ("extra.mlc_nothing has no place in account",)


async def test_a_standard_column_that_is_named_travels_as_extra_too(dynamics: Callable[..., Any]) -> None:
    """For what no canonical field stands for, the record's own id among it."""
    world = dynamics(extra_columns=["telephone2", "accountid"])
    made = await world.create("account", Account(number="C-1", name="A", extra=Extra({"telephone2": "+47 1"})))
    assert (await world.read("account", made.id)).entity.extra == Extra({"telephone2": "+47 1", "accountid": made.id})


async def test_an_account_that_was_merged_away_says_into_which(dynamics: Callable[..., Any]) -> None:
    """The row stays behind inactive; its master is the record to go on with."""
    world = dynamics()
    made = await world.create("account", Account(number="C-1", name="Acme"))
    master = world.account(name="Acme Group")
    row = world.twin.records("account")[made.id]
    world.twin.env.update("account", row, {"merged": True, "masterid": master, "statecode": 1, "statuscode": 2}, master)
    outcome = await world.change("account", made, Account(name="Acme Holding"))
    assert outcome == Conflict(current=None, id=master)
    assert (await world.read("account", made.id)).warnings == (f"it was merged into {master}",)


async def test_a_state_that_stands_already_costs_no_call(dynamics: Callable[..., Any]) -> None:
    """ERPs say of every customer that it is active; a new account is active by itself."""
    world = dynamics()
    await world.write("account", *creates(3, active=True))
    assert world.asked("POST", "$batch") == 1
    await world.write("account", *creates(3, active=False))
    assert world.asked("POST", "$batch") == 3
    assert {row.values["statecode"] for row in world.twin.records("account").values()} == {1}


async def test_taking_out_of_use_is_a_state_and_bringing_back_too(dynamics: Callable[..., Any]) -> None:
    """Inactive records stay where they are."""
    world = dynamics()
    made = await world.create("account", Account(number="C-1", name="Acme", active=False))
    assert world.twin.records("account")[made.id].values["statecode"] == 1
    back = await world.change("account", made, Account(active=True))
    assert world.twin.records("account")[made.id].values["statecode"] == 0
    [removed] = await world.write("account", Remove(id=back.id, version=back.version))
    assert isinstance(removed, Written)
    assert world.twin.records("account")[made.id].values["statecode"] == 1


async def test_a_contact_belongs_to_its_account(dynamics: Callable[..., Any]) -> None:
    """The parent may be an account or a contact; only an account is told as one."""
    world = dynamics()
    account = world.account()
    entity = Contact(
        number="P-1", first_name="Kari", last_name="Berg", account=Ref("account", account), address=Address(city="Oslo")
    )
    made = await world.create("contact", entity)
    read = (await world.read("contact", made.id)).entity
    assert (read.name, read.account, read.address.city) == ("Kari Berg", Ref("account", account), "Oslo")
    boss = world.twin.insert_as_person("contact", lastname="Boss")
    child = world.twin.insert_as_person("contact", lastname="Child", parentcustomerid=boss)
    assert (await world.read("contact", child)).entity.account is None


async def test_a_ref_that_is_no_id_is_refused_by_field(dynamics: Callable[..., Any]) -> None:
    """A link to something that is not in Dataverse never becomes a URL."""
    world = dynamics()
    outcome = await world.create("account", Account(number="C-1", name="A", parent=Ref("account", "x) or (1 eq 1")))
    assert (outcome.code, outcome.field) == ("INVALID", "parent")


async def test_an_update_without_a_version_is_unguarded_and_never_creates(dynamics: Callable[..., Any]) -> None:
    """A PATCH without If-Match would bring a deleted record back."""
    world = dynamics()
    made = await world.create("account", Account(number="C-1", name="Acme"))
    world.twin.delete_as_person("account", made.id)
    [outcome] = await world.write("account", Update(id=made.id, changes=Account(name="Back"), version=None))
    assert outcome == Conflict(current=None)
    assert not world.twin.records("account")


async def test_a_known_record_that_vanishes_before_it_is_written_is_not_brought_back(dynamics: Callable[..., Any]) -> None:
    """Between the look and the write somebody deletes it."""
    world = dynamics()
    made = await world.create("account", Account(number="100/A", name="Acme"))
    twin = world.twin

    async def deleting(request: Any) -> Any:
        if request.path.endswith("$batch") and made.id in twin.records("account"):
            twin.delete_as_person("account", made.id)
        return await twin(request)

    world.host.transport.twin = deleting
    outcome = await world.create("account", Account(number="100/A", name="Acme Holding"))
    assert outcome == Conflict(current=None)
    assert not twin.records("account")


async def test_lost_answers_in_a_row_are_an_outage_and_no_more_than_that(dynamics: Callable[..., Any]) -> None:
    """Metadata that cannot be read stops the run before it begins."""
    world = dynamics()
    world.twin.faults.add(Fault("lost_before", path="EntityDefinitions", times=99))
    with pytest.raises(Unavailable):
        await world.write("account", *creates(1))


async def test_a_create_whose_answer_is_lost_is_not_told_as_a_record_that_somebody_else_had_entered(
    dynamics: Callable[..., Any],
) -> None:
    """Sent again by itself, the upsert would find its own work and say that nothing was created."""
    world = dynamics()
    await world.connection.sinks["account"].accepts()
    world.twin.faults.add(Fault("lost_after", method="POST"))
    [outcome] = await world.write("account", *creates(1))
    assert isinstance(outcome, Unknown)
    assert len(world.twin.records("account")) == 1


async def test_an_environment_without_the_unit_group_refuses_products_one_by_one(dynamics: Callable[..., Any]) -> None:
    """What a new product needs and the environment lacks is told of each; a known product needs nothing."""
    world = dynamics(unit_group="Metric")
    world.product("IT-1")
    entities = [Product(number="IT-1", name="Crane"), Product(number="IT-2", name="Hook")]
    known, new = await world.write("product", *(Create(key=Key("number", str(one.number)), entity=one) for one in entities))
    assert isinstance(known, Written)
    assert isinstance(new, Rejected)
    assert (new.code, new.field) == ("UNIT", "unit")


async def test_two_accounts_with_one_number_are_named_and_neither_is_changed(dynamics: Callable[..., Any]) -> None:
    """Only where administrators made no key; a person merges them, and then the survivor is the one."""
    world = dynamics()
    world.twin.env.defs["account"].keys.clear()
    first, second = (world.account(accountnumber="C-1") for _ in range(2))
    outcome = await world.create("account", Account(number="C-1", name="Acme"))
    assert (outcome.code, outcome.field) == ("AMBIGUOUS", "number")
    assert first in outcome.reason
    assert second in outcome.reason
    assert {row.values["name"] for row in world.twin.records("account").values()} == {"Nordvik AS"}
    world.twin.env.rows["account"][second].values |= {"merged": True, "masterid": first, "statecode": 1, "statuscode": 2}
    assert (await world.create("account", Account(number="C-1", name="Acme"))).id == first


async def test_blanks_before_a_number_make_it_another(dynamics: Callable[..., Any]) -> None:
    """An id of our own making that left them out would have written over the other account."""
    world = dynamics()
    world.twin.env.defs["account"].keys.clear()
    made = [await world.create("account", Account(number=number, name="Acme")) for number in ("C-1", " C-1", "c-1 ")]
    assert [outcome.created for outcome in made] == [True, True, False]
    assert made[2].id == made[0].id != made[1].id
