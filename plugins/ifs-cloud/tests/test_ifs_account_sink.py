"""Customers are written row by row, guarded by ETags, and a write that was cut off is completed by being done again."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from ml_connector.domain import Account, Address, Extra, Money
from ml_connector.ports.sink import Conflict, Create, Key, Later, Rejected, Remove, Unknown, Update, Written
from ml_connector.twin import Fault, TwinClock
from ml_connector_ifs_cloud.twin import locked

HOME = Address(street="Hamngatan 3\nGate 2", city="Göteborg", region=None, postal_code="411 05", country="SE")
YARD = Address(street="Werftweg 1", city="Lübeck", region=None, postal_code="23552", country="DE")
WHOLE = Account(
    number="C-1",
    name="Northwind Marine Ltd",
    tax_id="5560000000",
    language="sv",
    phone="+46 31 1",
    email="orders@northwind.example",
    website="https://northwind.example",
    currency="SEK",
    billing=HOME,
    shipping=YARD,
    credit_limit=Money(Decimal("250000.50"), "SEK"),
    credit_blocked=False,
    payment_terms="30",
    extra=Extra({"market": "OEM", "customer_group": "10"}),
)
SETS = (
    "CustomerInfoSet", "CustOrdCustomerSet", "CustomerInvoiceCompanies", "CustomerCreditInfoArray", "CustomerInfoAddresses",
    "AddressTypes", "CommunicationMethods",
)  # fmt: skip


def create(entity=WHOLE, field="number"):
    return Create(key=Key(field, getattr(entity, field)), entity=entity)


async def write(connection, what):
    [outcome] = await connection.sinks["account"].write([what])
    return outcome


async def made(connection, entity=WHOLE):
    outcome = await write(connection, create(entity))
    assert isinstance(outcome, Written), outcome
    return outcome


def tables(twin):
    return {name: twin.table(name) for name in SETS}


def types(twin):
    return {(row["AddressId"], row["AddressTypeCode"]) for row in twin.table("AddressTypes") if row["DefAddress"]}


async def test_a_whole_customer_arrives_and_reads_back_as_it_was_written(watched, open_twin, read):
    connection = open_twin(watched)
    outcome = await made(connection)
    record = await read(connection, "account", "C-1")
    assert (outcome.created, outcome.id, outcome.version) == (True, "C-1", record.version)
    told = {name: value for name, value in msgspec.structs.asdict(WHOLE).items() if value is not msgspec.UNSET}
    assert {name: getattr(record.entity, name) for name in told if name != "extra"} | {"extra": WHOLE.extra} == told
    assert WHOLE.extra.items() <= record.entity.extra.items()
    assert watched.changes()[0] == ("POST", "CustomerInfoSet")


async def test_nothing_is_changed_without_if_match_and_nothing_created_with_it(watched, open_twin):
    watched.switches.upsert_without_if_match = True  # a header that is forgotten would go unnoticed
    connection = open_twin(watched)
    first = await made(connection)
    changes = Account(name="Other", phone="+46 31 2", billing=Address(city="Malmö"), payment_terms="60", website=None)
    assert isinstance(await write(connection, Update(id="C-1", changes=changes, version=first.version)), Written)
    sent = {(request.method, "if-match" in request.headers) for request in watched.requests if watched.is_change(request)}
    assert sent == {("POST", False), ("PATCH", True), ("DELETE", True)}


async def test_only_what_differs_is_sent(watched, open_twin):
    connection = open_twin(watched)
    first = await made(connection)
    watched.requests.clear()
    again = await write(connection, Update(id="C-1", changes=WHOLE, version=first.version))
    assert (again.version, watched.changes()) == (first.version, [])
    await write(connection, Update(id="C-1", changes=msgspec.structs.replace(WHOLE, tax_id="1"), version=first.version))
    [request] = [request for request in watched.requests if watched.is_change(request)]
    assert msgspec.json.decode(request.body) == {"AssociationNo": "1"}


@pytest.mark.parametrize("kind", ["lost_before", "lost_after"])
async def test_a_create_that_is_cut_off_at_any_step_is_completed_and_never_doubled(watched, open_twin, clock, kind):
    """The process dies at the n-th request: whatever comes after it never arrives."""
    await made(open_twin(watched))
    whole, steps = tables(watched), sum(watched.is_change(request) for request in watched.requests)
    assert steps > 12
    for step in range(steps):
        twin = type(watched)(clock=TwinClock(clock.now))
        for method in ("POST", "PATCH", "DELETE"):
            twin.faults.add(Fault(kind, method=method, path="/projection/", skip=step, times=10**6))
        assert isinstance(await write(open_twin(twin), create()), Unknown), step
        twin.faults.calm()
        found = await open_twin(twin).sinks["account"].find([Key("number", "C-1")])
        assert len(found[Key("number", "C-1")]) == (0 if step == 0 and kind == "lost_before" else 1)
        again = await made(open_twin(twin))
        assert again.created is (step == 0 and kind == "lost_before")
        assert tables(twin) == whole, step


async def test_ifs_numbers_a_customer_that_comes_without_a_number(watched, open_twin, read):
    connection = open_twin(watched)
    entity = Account(name="Beta", billing=HOME)
    outcome = await write(connection, create(entity, "name"))
    assert outcome.created
    assert (await read(connection, "account", outcome.id)).entity.number == outcome.id
    again = await write(connection, create(entity, "name"))
    assert (again.id, again.created) == (outcome.id, False)


async def test_where_ifs_numbers_customers_itself_a_strangers_number_is_no_key(watched, open_twin):
    connection = open_twin(watched, entities={"account": {"numbers": "assigned"}})
    outcome = await write(connection, create())
    assert (outcome.code, outcome.field, watched.changes()) == ("NO_KEY", "number", [])
    outcome = await write(connection, create(WHOLE, "tax_id"))
    assert (outcome.created, outcome.id) == (True, "C-0001")


async def test_two_customers_of_one_name_are_never_guessed_between(watched, open_twin):
    for number in ("C-8", "C-9"):
        watched.put("CustomerInfoSet", {"CustomerId": number, "Name": "Beta"})
    outcome = await write(open_twin(watched), create(Account(name="Beta", billing=HOME), "name"))
    assert (outcome.code, outcome.field, watched.changes()) == ("AMBIGUOUS", "name", [])
    assert "C-8, C-9" in outcome.reason


async def test_an_edit_of_a_child_just_before_ours_is_a_conflict_and_stays(watched, open_twin):
    connection = open_twin(watched)
    first = await made(connection)
    way = ("Customer", "C-1", Decimal(1))
    watched.before("PATCH", "/CommunicationMethods", lambda: watched.update("CommunicationMethods", way, Value="0"))
    outcome = await write(connection, Update(id="C-1", changes=Account(phone="+46 31 9"), version=first.version))
    assert outcome == Conflict(current=first.version)
    assert watched.table("CommunicationMethods")[0]["Value"] == "0"


async def test_a_customer_that_moved_is_a_conflict_even_where_only_a_child_would_change(watched, open_twin, clock):
    connection = open_twin(watched)
    first = await made(connection)
    clock.advance(60)
    watched.update("CustomerInfoSet", "C-1", Name="Edited by Sam")
    watched.requests.clear()
    outcome = await write(connection, Update(id="C-1", changes=Account(phone="+46 31 9"), version=first.version))
    assert outcome == Conflict(current=watched.etag("CustomerInfoSet", "C-1"))
    assert watched.changes() == []


async def test_a_customer_cannot_get_another_number(watched, open_twin):
    connection = open_twin(watched)
    first = await made(connection)
    outcome = await write(connection, Update(id="C-1", changes=Account(number="C-2"), version=first.version))
    assert (outcome.code, outcome.field) == ("RENUMBERED", "number")


async def test_the_category_changes_by_ifss_own_action(watched, open_twin, read):
    connection = open_twin(watched, entities={"account": {"categories": ["Customer", "Prospect"]}})
    first = await made(connection, msgspec.structs.replace(WHOLE, category="Prospect"))
    assert watched.table("CustomerInfoSet")[0]["CustomerCategory"] == "Prospect"
    done = await write(connection, Update(id="C-1", changes=Account(category="Customer"), version=first.version))
    record = await read(connection, "account", "C-1")
    assert (record.entity.category, record.version) == ("Customer", done.version)
    assert watched.changes()[-1] == ("POST", "ChangeCustomerCategory")


async def test_one_address_for_both_is_one_address_at_ifs_and_is_split_when_only_one_changes(watched, open_twin, read):
    connection = open_twin(watched)
    first = await made(connection, msgspec.structs.replace(WHOLE, shipping=HOME))
    assert types(watched) == {("1", code) for code in ("Document", "Pay", "Delivery", "Visit")}
    changes = Account(billing=Address(street="Box 1", city="Malmö"))
    await write(connection, Update(id="C-1", changes=changes, version=first.version))
    assert types(watched) == {("2", "Document"), ("2", "Pay"), ("1", "Delivery"), ("1", "Visit")}
    entity = (await read(connection, "account", "C-1")).entity
    assert (entity.billing.city, entity.billing.postal_code, entity.shipping) == ("Malmö", "411 05", HOME)


async def test_a_persons_only_address_without_types_keeps_serving_for_the_other_use(watched, open_twin, read):
    connection = open_twin(watched)
    watched.put("CustomerInfoSet", {"CustomerId": "C-1", "Name": "Acme", "CountryCode": "SE"})
    watched.put("CustomerInfoAddresses", {"CustomerId": "C-1", "AddressId": "HQ", "Address1": "Old 1", "City": "Lund"})
    await write(connection, Update(id="C-1", changes=Account(shipping=YARD), version=None))
    entity = (await read(connection, "account", "C-1")).entity
    assert (entity.billing.street, entity.shipping) == ("Old 1", YARD)


async def test_an_address_is_taken_away_by_its_validity_unless_it_serves_for_both(watched, open_twin, read):
    connection = open_twin(watched)
    first = await made(connection)
    await write(connection, Update(id="C-1", changes=Account(shipping=None), version=first.version))
    assert [row.get("ValidTo") for row in watched.table("CustomerInfoAddresses")] == [None, "2026-01-19"]
    watched.put("CustomerInfoSet", {"CustomerId": "C-2", "Name": "Acme", "CountryCode": "SE"})
    watched.put("CustomerInfoAddresses", {"CustomerId": "C-2", "AddressId": "HQ", "City": "Lund"})
    outcome = await write(connection, Update(id="C-2", changes=Account(billing=None), version=None))
    assert (outcome.code, outcome.field) == ("SHARED", "billing")


async def test_a_street_of_seven_lines_is_refused_and_not_cut(watched, open_twin):
    connection = open_twin(watched)
    first = await made(connection)
    changes = Account(billing=Address(street="\n".join("1234567")))
    outcome = await write(connection, Update(id="C-1", changes=changes, version=first.version))
    assert (outcome.code, outcome.field) == ("TOO_LONG", "billing.street")


async def test_a_country_that_ifs_does_not_know_is_told_unless_it_is_named(watched, open_twin):
    entity = msgspec.structs.replace(WHOLE, billing=Address(city="Reykjavík", country="IS"))
    outcome = await write(open_twin(watched), create(entity))
    assert (outcome.code, outcome.field, watched.changes()) == ("COUNTRY", "billing.country", [])
    named = open_twin(watched, entities={"account": {"countries": {"IS": "Iceland"}}})
    await made(named, entity)
    assert watched.table("CustomerInfoSet")[0]["Country"] == "Iceland"


async def test_a_customer_without_a_country_is_refused_in_ifss_words(watched, open_twin):
    outcome = await write(open_twin(watched), create(Account(number="C-1", name="Acme")))
    assert isinstance(outcome, Rejected)
    assert "[COUNTRY] is mandatory" in outcome.reason
    assert outcome.field == "billing.country"


async def test_a_limit_in_another_currency_than_the_companys_is_not_guessed_at(watched, open_twin):
    connection = open_twin(watched)
    first = await made(connection)
    changes = Account(credit_limit=Money(Decimal(5), "USD"))
    outcome = await write(connection, Update(id="C-1", changes=changes, version=first.version))
    assert (outcome.code, outcome.field) == ("CURRENCY", "credit_limit")


async def test_a_customer_out_of_use_is_barred_from_orders(watched, open_twin):
    connection = open_twin(watched)
    first = await made(connection)
    assert isinstance(await write(connection, Remove(id="C-1", version=first.version)), Written)
    assert watched.table("CustOrdCustomerSet")[0]["CrStop"] is True
    refusing = open_twin(watched, entities={"account": {"retire": "refuse"}})
    assert (await write(refusing, Remove(id="C-1", version=None))).code == "NO_RETIREMENT"


async def test_a_customer_whom_somebody_has_open_is_tried_later(watched, open_twin):
    connection = open_twin(watched, limits={"attempts": 2, "requests_per_minute": 60_000})
    first = await made(connection)
    watched.faults.add(locked(times=9, method="PATCH"))
    outcome = await write(connection, Update(id="C-1", changes=Account(name="Other"), version=first.version))
    assert isinstance(outcome, Later)
    assert watched.table("CustomerInfoSet")[0]["Name"] == WHOLE.name


async def test_a_child_that_cannot_be_read_is_not_written_blindly(watched, open_twin):
    connection = open_twin(watched, entities={"account": {"child_paths": {"comm_methods": "CommMethods"}}})
    watched.put("CustomerInfoSet", {"CustomerId": "C-1", "Name": "Acme"})
    outcome = await write(connection, Update(id="C-1", changes=Account(phone="1"), version=None))
    assert outcome.code == "UNREAD"


async def test_a_version_that_takes_children_along_sees_their_edits(watched, open_twin, clock):
    connection = open_twin(watched, entities={"account": {"sweep_children": "always"}})
    first = await made(connection)
    clock.advance(timedelta(minutes=1).total_seconds())
    watched.update("CommunicationMethods", ("Customer", "C-1", Decimal(1)), Value="0")
    outcome = await write(connection, Update(id="C-1", changes=Account(name="Other"), version=first.version))
    assert isinstance(outcome, Conflict)
    done = await write(connection, Update(id="C-1", changes=Account(name="Other"), version=outcome.current))
    assert isinstance(done, Written)


async def test_what_it_accepts_depends_on_what_is_read_beside_the_row(watched, open_twin):
    accepts = await open_twin(watched, company=None).sinks["account"].accepts()
    assert {"number", "name", "billing", "phone", "currency", "extra.market", "category"} <= accepts
    assert not accepts & {"credit_limit", "payment_terms", "active", "parent"}
    bare = open_twin(watched, entities={"account": {"children": [], "category_action": None}})
    assert await bare.sinks["account"].accepts() == {"number", "name", "tax_id", "language"}


async def test_a_change_of_the_customers_own_row_is_one_call_that_its_etag_guards(watched, open_twin):
    connection = open_twin(watched)
    first = await made(connection)
    watched.calls.clear()
    changed = await write(connection, Update(id="C-1", changes=Account(name="Other"), version=first.version))
    assert [method for method, _, _ in watched.calls] == ["PATCH"]
    assert (await connection.sources["account"].fetch(["C-1"]))[0].version == changed.version != first.version
    late = await write(connection, Update(id="C-1", changes=Account(name="Late"), version=first.version))
    assert late == Conflict(current=changed.version)
    watched.remove("CustomerInfoSet", "C-1")
    assert await write(connection, Update(id="C-1", changes=Account(name="Gone"), version=changed.version)) == Conflict(
        current=None
    )


async def test_what_hangs_on_a_customer_is_not_looked_for_when_it_has_just_been_made(watched, open_twin):
    """Its key is looked for, it is made with an address, two types and a number, and its version is read."""
    connection = open_twin(watched)
    await made(connection)
    watched.calls.clear()
    await made(connection, Account(number="C-2", name="Beta", billing=HOME, phone="+46 31 2"))
    assert [method for method, _, _ in watched.calls] == ["GET", "POST", "POST", "POST", "POST", "POST", "GET"]
