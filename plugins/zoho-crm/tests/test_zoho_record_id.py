"""Where the other system knows Zoho's records by their own ids: nothing to create in Zoho, nothing to fill in."""

from ml_connector.domain import Account, Extra
from ml_connector.ports.fitness import Need
from ml_connector.ports.sink import Create, Key, Rejected, Update, Written

BY_ID = {"keys": {"account": "id"}}


async def test_the_number_of_a_record_is_its_id(zoho):
    world = zoho(**BY_ID)
    entered = world.twin.insert_as_person("Accounts", Account_Name="Acme")
    [record] = await world.connection.sources["account"].fetch([entered])
    assert (record.id, record.entity.number) == (entered, entered)


async def test_a_record_is_found_by_its_id_and_what_is_none_finds_nothing(zoho):
    world = zoho(**BY_ID)
    entered = world.twin.insert_as_person("Accounts", Account_Name="Acme")
    keys = [Key("number", entered), Key("number", "CDRM_481207"), Key("number", "' or id is not null")]
    found = await world.connection.sinks["account"].find(keys)
    assert [[record.id for record in found[key]] for key in keys] == [[entered], [], []]


async def test_a_record_that_was_found_is_updated(zoho):
    world = zoho(**BY_ID)
    entered = world.twin.insert_as_person("Accounts", Account_Name="Acme")
    [outcome] = await world.connection.sinks["account"].write(
        [Update(id=entered, changes=Account(number=entered, phone="555-0100"), version=None)]
    )
    assert isinstance(outcome, Written)
    assert world.twin.records("Accounts")[entered]["Phone"] == "555-0100"


async def test_a_new_record_cannot_be_known_by_an_id_that_zoho_did_not_give(zoho):
    world = zoho(**BY_ID)
    entity = Account(number="5843104000000425008", name="Acme", extra=Extra())
    [outcome] = await world.connection.sinks["account"].write([Create(key=Key("number", entity.number), entity=entity)])
    assert isinstance(outcome, Rejected)
    assert outcome.code == "NO_KEY"
    assert world.twin.records("Accounts") == {}


async def test_no_field_is_missing_and_none_is_made(zoho):
    world = zoho(**BY_ID)
    needs = [Need(kind="account", access="write", fields=frozenset({"number", "phone"}))]
    assert [finding for finding in await world.connection.fitness.inspect(needs) if finding.level == "unfit"] == []
    assert await world.connection.fitness.repair(needs) == []
