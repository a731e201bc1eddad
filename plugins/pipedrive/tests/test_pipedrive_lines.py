"""Lines of deals: keys in comments, products by number, and a value that Pipedrive sums up."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import Deal, Line, Money, Ref
from ml_connector.ports.sink import Create, Key, Rejected, Unknown, Written
from ml_connector.twin import Fault
from ml_connector_contract_tests.strategies import amounts, texts
from ml_connector_pipedrive.lines import changes, read_lines, wanted_rows

LINES = st.lists(
    st.builds(
        Line,
        key=st.integers(1, 99).map(str),
        sku=st.sampled_from(("GB-12", "V-8")),
        description=texts(60),
        quantity=amounts(3),
        unit_price=amounts(4).filter(lambda price: abs(price) < 10**9),
        discount_percent=st.decimals(0, 100, places=2),
    ),
    max_size=5,
    unique_by=lambda line: line.key,
).map(tuple)
PRODUCTS = {"GB-12": 77, "V-8": 78}
CODES = {id_: code for code, id_ in PRODUCTS.items()}


def attached(lines: tuple[Line, ...]) -> list[dict[str, Any]]:
    rows = wanted_rows(lines, PRODUCTS, None).values()
    return [{"id": at, "order_nr": at, "code": CODES[row["product_id"]], **row} for at, row in enumerate(rows, 1)]


@given(LINES)
def test_lines_read_back_as_they_were_written(lines: tuple[Line, ...]) -> None:
    for told, line in zip(read_lines(attached(lines), ""), lines, strict=True):
        names = ("key", "sku", "quantity", "unit_price", "discount_percent")
        assert [getattr(told, name) for name in names] == [getattr(line, name) for name in names]
        assert told.description == line.description
        assert told.product == Ref("product", str(PRODUCTS[str(line.sku)]))


@given(LINES, LINES)
def test_changes_lead_from_any_lines_to_any_others(there: tuple[Line, ...], wanted: tuple[Line, ...]) -> None:
    rows = {row["id"]: row for row in attached(there)}
    told = changes(wanted_rows(wanted, PRODUCTS, None), list(rows.values()))
    for one, strayed in told.change:
        rows[one] = {**rows[one], **strayed}
    left = [row for one, row in rows.items() if one not in told.remove] + [
        {"id": 100 + at, "order_nr": 100 + at, **row} for at, row in enumerate(told.add)
    ]
    assert sorted(line.key for line in read_lines(left, "")) == sorted(line.key for line in wanted)
    assert not changes(wanted_rows(wanted, PRODUCTS, None), left)


def line(key: str, **fields: Any) -> Line:
    return Line(key=key, **{"sku": "GB-12", "quantity": Decimal(2), "unit_price": Decimal("12.50"), **fields})


def with_product(world: Any) -> str:
    return str(world.twin.enter("products", name="Gearbox 12", code="GB-12"))


async def test_a_product_is_found_by_its_number(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(lines=True)
    product = with_product(world)
    made = await world.create(Deal(number="1", name="x", lines=(line("10"), line("20", quantity=Decimal(3)))))
    [record] = await world.connection.sources["deal"].fetch([made.id])
    assert [(each.key, each.sku, each.product) for each in record.entity.lines] == [
        ("10", "GB-12", Ref("product", product)),
        ("20", "GB-12", Ref("product", product)),
    ]
    assert record.entity.amount == Money(Decimal("62.5"), "EUR")
    assert record.version == made.version


async def test_an_item_without_a_product_is_refused_before_the_deal_is_written(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(lines=True)
    outcome = await world.write(Create(key=Key("number", "1"), entity=Deal(number="1", name="x", lines=(line("10"),))))
    assert isinstance(outcome, Rejected)
    assert (outcome.field, "GB-12" in outcome.reason) == ("lines", True)
    assert list(world.twin.facts("deal")) == []


async def test_or_it_stands_under_the_product_for_all_others_with_its_own_number(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(lines=True, fallback_product="ERP-ITEM")
    world.twin.enter("products", name="ERP item", code="ERP-ITEM")
    made = await world.create(Deal(number="1", name="x", lines=(line("10", description="Gearbox"),)))
    [record] = await world.connection.sources["deal"].fetch([made.id])
    assert [(each.sku, each.description) for each in record.entity.lines] == [("GB-12", "Gearbox")]


async def test_a_line_that_people_added_is_told_with_its_products_number(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(lines=True)
    product = with_product(world)
    deal = world.twin.enter("deals", title="x")
    attached = world.twin.attach(deal, product, quantity=4, comments="urgent")
    [record] = await world.connection.sources["deal"].fetch([deal])
    [told] = record.entity.lines
    assert (told.key, told.sku, told.description, told.quantity) == (f"#{attached}", "GB-12", "urgent", Decimal(4))


@pytest.mark.parametrize("count", [5, 6, 130])
async def test_many_lines_go_together(pipedrive: Callable[..., Any], count: int) -> None:
    """One by one 5 tokens each, together 25 per hundred."""
    world = pipedrive(lines=True)
    with_product(world)
    await world.create(Deal(number="1", name="x", lines=tuple(line(str(n)) for n in range(count))))
    assert len(next(iter(world.twin.facts("deal")))[1]["lines"]) == count  # type: ignore[arg-type]
    singly, together = len(world.called("POST", "/products")), len(world.called("POST", "/bulk"))
    assert (singly - together, together) == ((5, 0) if count == 5 else (0, -(-count // 100)))


@pytest.mark.parametrize("moves", [False, True])
async def test_a_lines_edit_moves_the_version_even_where_it_moves_no_time(pipedrive: Callable[..., Any], moves: bool) -> None:
    world = pipedrive(lines=True)
    world.twin.company.lines_move_deal = moves
    with_product(world)
    made = await world.create(Deal(number="1", name="x", lines=(line("10"),)))
    [(_, facts)] = world.twin.facts("deal")
    world.clock.advance(5)
    [held] = facts["lines"]  # type: ignore[misc]
    world.twin.company.change_line(int(made.id), held["id"], {"quantity": 9}, 1, "app")
    [record] = await world.connection.sources["deal"].fetch([made.id])
    assert record.version != made.version


async def test_the_currency_is_the_orders_and_the_value_is_the_lines(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(lines=True)
    with_product(world)
    await world.create(Deal(number="1", name="x", amount=Money(Decimal(999), "SEK"), lines=(line("10"),)))
    [(_, facts)] = world.twin.facts("deal")
    assert (facts["amount"], facts["currency"]) == (Decimal("25.00"), "SEK")


async def test_with_lines_in_doubt_the_deal_is_in_doubt_and_a_repetition_completes_it(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(lines=True)
    with_product(world)
    create = Create(key=Key("number", "1"), entity=Deal(number="1", name="x", lines=(line("10"), line("20"))))
    world.twin.faults.add(Fault("lost_after", method="POST", path="/products"))
    assert isinstance(await world.write(create), Unknown)
    outcome = await world.write(create)
    assert isinstance(outcome, Written)
    [(_, facts)] = world.twin.facts("deal")
    assert [each["key"] for each in facts["lines"]] == ["10", "20"]  # type: ignore[union-attr]


async def test_refused_lines_are_told_with_the_deal_that_stands(pipedrive: Callable[..., Any]) -> None:
    world = pipedrive(lines=True)
    product = with_product(world)
    world.twin.change("products", product, is_linkable=False)
    create = Create(key=Key("number", "1"), entity=Deal(number="1", name="x", lines=(line("10"),)))
    outcome = await world.write(create)
    assert isinstance(outcome, Rejected)
    assert (outcome.field, "deal 1 is written" in outcome.reason) == ("lines", True)


async def test_lines_of_which_pipedrive_took_only_some_are_no_success(pipedrive: Callable[..., Any]) -> None:
    """Whether lines that go together are taken all or none is not documented."""
    world = pipedrive(lines=True)
    world.twin.company.bulk_is_atomic = False
    with_product(world)
    gone = world.twin.enter("products", name="Old", code="V-8", is_linkable=False)
    lines = [line(str(n)) for n in range(9)] + [line("old", sku="V-8")]
    outcome = await world.write(Create(key=Key("number", "1"), entity=Deal(number="1", name="x", lines=tuple(lines))))
    assert isinstance(outcome, Unknown)
    world.twin.change("products", gone, is_linkable=True)
    again = await world.write(Create(key=Key("number", "1"), entity=Deal(number="1", name="x", lines=tuple(lines))))
    assert isinstance(again, Written)
