"""Orders are written header first, then line by line, then the state by its action; one that was begun is completed."""

from datetime import date
from decimal import Decimal

import msgspec
import pytest

from ml_connector.domain import UNSET, Extra, Line, Order, Ref
from ml_connector.ports.sink import Conflict, Create, Key, Rejected, Remove, Unknown, Update, Written
from ml_connector.twin import Fault, TwinClock

DEFAULTS = {"create_defaults": {"Contract": "S01", "OrderId": "NO"}}
WHOLE = Order(
    external_reference="SO-77",
    customer=Ref("account", "C-1"),
    currency="SEK",
    wanted_on=date(2026, 3, 31),
    customer_reference="PO 9",
    payment_terms="30",
    lines=(
        Line(key="a", sku="P-100", quantity=Decimal(2), unit_price=Decimal("12.50")),
        Line(key="b", product=Ref("product", "P-101"), quantity=Decimal("0.75"), discount_percent=Decimal(5)),
        Line(key="c", sku="P-102", quantity=Decimal(1), wanted_on=date(2026, 4, 1)),
    ),
    extra=Extra({"region": "NORTH"}),
)


def line(key, sku="P-100", quantity=2, **fields):
    return Line(key=key, sku=sku, quantity=Decimal(quantity), **fields)


@pytest.fixture
def twin(watched):
    return furnished(watched)


def furnished(twin):
    twin.put("CustomerInfoSet", {"CustomerId": "C-1", "Name": "Acme"})
    twin.put("CustOrdCustomer", {"CustomerNo": "C-1", "CurrencyCode": "SEK"})
    return twin


@pytest.fixture
def connect(open_twin):
    def open_(twin, **order):
        return open_twin(twin, entities={"order": {**DEFAULTS, **order}})

    return open_


def create(entity=WHOLE, field="external_reference"):
    return Create(key=Key(field, getattr(entity, field)), entity=entity)


async def write(connection, what):
    [outcome] = await connection.sinks["order"].write([what])
    return outcome


async def made(connection, entity=WHOLE, **more):
    outcome = await write(connection, create(msgspec.structs.replace(entity, **more)))
    assert isinstance(outcome, Written), outcome
    return outcome


async def changed(connection, before, **fields):
    return await write(connection, Update(id=before.id, changes=Order(**fields), version=before.version))


def lines(twin):
    return [(row["CustomerPoLineNo"], row["CatalogNo"], row["Objstate"]) for row in twin.rows("CustomerOrderLineSet")]


def state(twin):
    [row] = twin.rows("CustomerOrderSet")
    return row["Objstate"]


async def test_a_whole_order_arrives_and_the_number_that_ifs_gave_it_is_its_id(twin, connect, read):
    connection = connect(twin)
    outcome = await made(connection)
    record = await read(connection, "order", outcome.id)
    assert (outcome.created, outcome.version, record.entity.number) == (True, record.version, outcome.id)
    for name in ("external_reference", "customer", "currency", "wanted_on", "customer_reference", "payment_terms"):
        assert getattr(record.entity, name) == getattr(WHOLE, name)
    told = [(one.key, one.sku, one.quantity, one.unit_price, one.discount_percent) for one in record.entity.lines]
    assert told == [
        ("a", "P-100", Decimal(2), Decimal("12.50"), Decimal(0)),
        ("b", "P-101", Decimal("0.75"), Decimal("87.45"), Decimal(5)),
        ("c", "P-102", Decimal(1), Decimal("12.345"), Decimal(0)),
    ]
    assert [one.wanted_on for one in record.entity.lines] == [date(2026, 3, 31), date(2026, 3, 31), date(2026, 4, 1)]
    assert record.entity.extra["region"] == "NORTH"
    assert [name for _, name in twin.changes()] == ["CustomerOrderSet", *["OrderLinesArray"] * 3]


@pytest.mark.parametrize("released", [False, True])
@pytest.mark.parametrize("kind", ["lost_before", "lost_after"])
async def test_a_create_that_is_cut_off_at_any_step_is_completed_and_never_doubled(twin, connect, clock, kind, released):
    """The process dies at the n-th request that changes something: whatever comes after it never arrives."""
    first = await made(connect(twin, release_on_create=released))
    whole = (twin.table("CustomerOrderSet"), twin.table("CustomerOrderLineSet"))
    assert whole[0][0]["Objstate"] == ("Released" if released else "Planned")
    steps = len(twin.changes())
    assert steps == 4 + released
    for step in range(steps):
        other = furnished(type(twin)(clock=TwinClock(clock.now)))
        connection = connect(other, release_on_create=released)
        other.faults.add(Fault(kind, method="POST", path="/projection/", skip=step, times=10**6))
        outcome = await write(connection, create())
        other.faults.calm()
        everything_arrived = kind == "lost_after" and step == steps - 1
        assert isinstance(outcome, Written if everything_arrived else Unknown), step
        begun = step > 0 or kind == "lost_after"
        found = await connect(other).sinks["order"].find([Key("external_reference", "SO-77")])
        assert [record.id for record in found[Key("external_reference", "SO-77")]] == [first.id] * begun
        again = await made(connect(other, release_on_create=released))
        assert again.created is not begun
        assert (other.table("CustomerOrderSet"), other.table("CustomerOrderLineSet")) == whole, step


async def test_an_answer_that_was_lost_behind_the_header_is_looked_up_at_once(twin, connect):
    twin.faults.add(Fault("lost_after", method="POST", path="/OrderLinesArray", skip=1))
    twin.faults.add(Fault("lost_after", method="POST", path="_SetReleased"))
    outcome = await write(connect(twin, release_on_create=True), create())
    assert isinstance(outcome, Unknown)  # twice in one write is left to the pipeline
    twin.faults.calm()
    assert (await made(connect(twin, release_on_create=True))).created is False
    assert (len(lines(twin)), state(twin)) == (3, "Released")


async def test_a_refused_line_says_which_and_the_order_goes_on_once_it_is_mended(twin, connect):
    connection = connect(twin)
    bad = msgspec.structs.replace(WHOLE, lines=(*WHOLE.lines[:2], line("c", "P-999")))
    outcome = await write(connection, create(bad))
    assert isinstance(outcome, Rejected)
    assert outcome.reason.startswith("line c: HTTP 500")
    assert "P-999 does not exist" in outcome.reason
    assert outcome.field == "lines[c]"
    assert (await made(connection)).created is False
    assert [key for key, _, _ in lines(twin)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("entity", "code", "field"),
    [
        (msgspec.structs.replace(WHOLE, lines=(Line(key="x", quantity=Decimal(1)),)), "NO_PART", "lines[x].sku"),
        (msgspec.structs.replace(WHOLE, status="Delivered"), "NO_ACTION", "status"),
    ],
)
async def test_what_would_fail_halfway_is_refused_before_the_order_is_begun(twin, connect, entity, code, field):
    outcome = await write(connect(twin), create(entity))
    assert (outcome.code, outcome.field, twin.changes()) == (code, field, [])


async def test_a_missing_field_is_told_in_ifss_words_and_ours(twin, connect):
    outcome = await write(connect(twin), create(msgspec.structs.replace(WHOLE, wanted_on=UNSET)))
    assert (outcome.field, "[WANTED_DELIVERY_DATE] is mandatory" in outcome.reason) == ("wanted_on", True)


async def test_a_strangers_number_is_no_key_where_ifs_numbers_orders_itself(twin, connect):
    entity = msgspec.structs.replace(WHOLE, number="SO-77")
    outcome = await write(connect(twin), create(entity, "number"))
    assert (outcome.code, twin.changes()) == ("NO_KEY", [])
    assert (await made(connect(twin, numbers="given"), entity)).id == "SO-77"


async def test_the_key_may_stand_in_another_property(twin, connect, read):
    twin.add_custom_field("CustomerOrder", "Cf_Crm_Id")
    connection = connect(twin, external_id_field="Cf_Crm_Id")
    outcome = await made(connection)
    assert twin.rows("CustomerOrderSet")[0]["Cf_Crm_Id"] == "SO-77"
    assert (await read(connection, "order", outcome.id)).entity.external_reference == "SO-77"
    assert (await made(connection)).id == outcome.id


async def test_a_custom_number_is_compared_to_the_last_digit(twin, connect, open_twin):
    twin.add_custom_field("CustomerOrder", "Cf_Rate", "number")
    connection = open_twin(twin, entities={"order": DEFAULTS}, custom_fields={"order": {"rate": "Cf_Rate"}})
    rate = Extra({"rate": Decimal("0.10000000000000000001")})
    await made(connection, extra=rate)
    assert [method for method, _ in twin.changes()] == ["POST"] * 4
    assert twin.rows("CustomerOrderSet")[0]["Cf_Rate"] == rate["rate"]


async def test_lines_are_added_changed_and_taken_away_by_their_keys(twin, connect):
    connection = connect(twin)
    first = await made(connection)
    twin.requests.clear()
    wanted = (line("a", unit_price=Decimal("12.5")), line("c", "P-102", 3), line("d", "P-103"))
    done = await changed(connection, first, lines=wanted)
    assert isinstance(done, Written)
    assert [(key, part) for key, part, _ in lines(twin)] == [("a", "P-100"), ("c", "P-102"), ("d", "P-103")]
    assert [method for method, _ in twin.changes()] == ["PATCH", "POST", "DELETE"]


async def test_a_line_that_was_released_is_cancelled_and_not_deleted(twin, connect):
    connection = connect(twin, release_on_create=True)
    first = await made(connection)
    done = await changed(connection, first, lines=WHOLE.lines[:2])
    assert lines(twin)[2] == ("c", "P-102", "Cancelled")
    twin.requests.clear()
    await changed(connection, done, lines=WHOLE.lines[:2])
    assert twin.changes() == []


async def test_another_part_is_another_line(twin, connect):
    connection = connect(twin)
    first = await made(connection)
    await changed(connection, first, lines=(line("a", "P-105"), *WHOLE.lines[1:]))
    assert sorted((key, part) for key, part, _ in lines(twin)) == [("a", "P-105"), ("b", "P-101"), ("c", "P-102")]


async def test_without_a_key_field_lines_are_known_by_part_and_order(twin, connect):
    connection = connect(twin, lines={"key_field": None})
    entity = msgspec.structs.replace(WHOLE, lines=(line("x"), line("y"), line("z", "P-101")))
    twin.faults.add(Fault("lost_after", method="POST", path="/OrderLinesArray", skip=1, times=9))
    await write(connection, create(entity))
    twin.faults.calm()
    await made(connection, entity)
    assert [part for _, part, _ in lines(twin)] == ["P-100", "P-100", "P-101"]


async def test_an_order_born_in_ifs_keeps_its_lines_under_ifss_own_keys(twin, connect, read):
    twin.put("CustomerOrderSet", {"OrderNo": "500", "CustomerNo": "C-1", "Objstate": "Planned", "CurrencyCode": "SEK"})
    head = {"OrderNo": "500", "RelNo": "1", "LineItemNo": 0, "CatalogNo": "P-100", "SaleUnitPrice": 1, "Objstate": "Planned"}
    for number in ("1", "2"):
        twin.put("CustomerOrderLineSet", {**head, "LineNo": number, "BuyQtyDue": 1, "CustomerPoLineNo": "10"})
    connection = connect(twin)
    record = await read(connection, "order", "500")
    assert [one.key for one in record.entity.lines] == ["1-1-0", "2-1-0"]  # 10 is no line's own
    wanted = tuple(msgspec.structs.replace(one, quantity=Decimal(7)) for one in record.entity.lines)
    await write(connection, Update(id="500", changes=Order(lines=wanted), version=record.version))
    assert [row["BuyQtyDue"] for row in twin.rows("CustomerOrderLineSet")] == [Decimal(7)] * 2


async def test_a_days_time_that_a_person_chose_is_left_alone(twin, connect):
    connection = connect(twin)
    first = await made(connection)
    twin.update("CustomerOrderSet", first.id, WantedDeliveryDate="2026-03-31T14:00:00Z")
    twin.requests.clear()
    await write(connection, Update(id=first.id, changes=Order(wanted_on=date(2026, 3, 31)), version=None))
    assert twin.changes() == []


async def test_a_status_is_moved_by_its_action_under_the_etag_just_read(twin, connect, read):
    connection = connect(twin)
    first = await made(connection)
    done = await changed(connection, first, status="Released", customer_reference="PO 10")
    assert (state(twin), done.version) == ("Released", (await read(connection, "order", first.id)).version)
    assert twin.changes()[-2:] == [
        ("PATCH", f"CustomerOrderSet(OrderNo='{first.id}')"),
        ("POST", "IfsApp.CustomerOrderHandling.CustomerOrder_SetReleased"),
    ]
    twin.requests.clear()
    assert (await changed(connection, done, status="Released")).version == done.version
    assert twin.changes() == []


async def test_a_move_that_ifs_does_not_allow_is_refused_in_its_words_and_not_tried_again(twin, connect):
    connection = connect(twin)
    first = await made(connection)
    twin.update("CustomerOrderSet", first.id, Objstate="Delivered")
    twin.requests.clear()
    outcome = await write(connection, Update(id=first.id, changes=Order(status="Cancelled"), version=None))
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.field) == ("20112", "status")
    assert "An order in state Delivered cannot become Cancelled" in outcome.reason
    assert len(twin.changes()) == 1


async def test_a_status_may_go_into_a_custom_field_instead(twin, connect):
    twin.add_custom_field("CustomerOrder", "Cf_Crm_Stage")
    connection = connect(twin, status_write={"mode": "patch_field", "patch_field": "Cf_Crm_Stage"})
    first = await made(connection)
    await changed(connection, first, status="Delivered")
    assert (twin.rows("CustomerOrderSet")[0]["Cf_Crm_Stage"], state(twin)) == ("Delivered", "Planned")
    assert "status" not in await connect(twin, status_write={"mode": "off"}).sinks["order"].accepts()


async def test_an_order_out_of_use_is_cancelled(twin, connect):
    connection = connect(twin)
    first = await made(connection)
    assert isinstance(await write(connection, Remove(id=first.id, version=first.version)), Written)
    assert state(twin) == "Cancelled"


async def test_a_line_that_a_person_added_makes_our_version_old(twin, connect, read):
    connection = connect(twin)
    first = await made(connection)
    row = {"OrderNo": first.id, "LineNo": "9", "RelNo": "1", "LineItemNo": 0, "CatalogNo": "P-100", "SaleUnitPrice": 1}
    twin.put("CustomerOrderLineSet", {**row, "BuyQtyDue": 1})
    outcome = await changed(connection, first, lines=WHOLE.lines)
    assert outcome == Conflict(current=(await read(connection, "order", first.id)).version)


async def test_an_edit_of_a_line_just_before_ours_is_a_conflict_and_stays(twin, connect):
    connection = connect(twin)
    first = await made(connection)
    key = (first.id, "1", "1", Decimal(0))
    twin.before("PATCH", "/OrderLinesArray", lambda: twin.update("CustomerOrderLineSet", key, BuyQtyDue=8))
    outcome = await changed(connection, first, lines=(line("a", quantity=5), *WHOLE.lines[1:]))
    assert isinstance(outcome, Conflict)
    assert twin.rows("CustomerOrderLineSet")[0]["BuyQtyDue"] == Decimal(8)


async def test_every_change_carries_the_etag_it_was_decided_on(twin, connect):
    twin.switches.upsert_without_if_match = True
    connection = connect(twin)
    first = await made(connection)
    await changed(connection, first, customer_reference="PO 10", lines=(line("a", quantity=5),), status="Released")
    methods = {(request.method, "if-match" in request.headers) for request in twin.requests if twin.is_change(request)}
    assert methods == {("POST", False), ("PATCH", True), ("DELETE", True), ("POST", True)}


async def test_a_closed_order_refuses_edits_in_ifss_words(twin, connect):
    connection = connect(twin)
    first = await made(connection)
    twin.update("CustomerOrderSet", first.id, Objstate="Invoiced")
    outcome = await write(connection, Update(id=first.id, changes=Order(customer_reference="PO 10"), version=None))
    assert "in state Invoiced may not be changed" in outcome.reason
