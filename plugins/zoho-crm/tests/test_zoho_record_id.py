"""Where the other system knows Zoho's records by their own ids: nothing to create in Zoho, nothing to fill in."""

from decimal import Decimal

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


async def test_an_order_has_both_the_number_of_the_erp_and_its_own_id_and_is_found_by_either(zoho):
    world = zoho(fields={"order.external_reference": "id"})
    account = world.twin.insert_as_person("Accounts", Account_Name="Acme")
    product = world.twin.insert_as_person("Products", Product_Name="Valve")
    lines = [{"Product_Name": product, "Quantity": Decimal(1), "List_Price": Decimal(5)}]
    entered = world.twin.insert_as_person(
        "Sales_Orders", Subject="Valves", Account_Name=account, ERP_Order_No="10042", Ordered_Items=lines
    )
    sink, keys = world.connection.sinks["order"], [Key("number", "10042"), Key("external_reference", entered)]
    found = await sink.find(keys)
    assert [[(one.entity.number, one.entity.external_reference) for one in found[key]] for key in keys] == [
        [("10042", entered)]
    ] * 2
    assert "external_reference" not in await sink.accepts()
    needs = [Need(kind="order", access="read", fields=frozenset({"number", "external_reference"}))]
    assert [finding for finding in await world.connection.fitness.inspect(needs) if finding.level == "unfit"] == []
