"""Quotations, opportunities, sales parts and price lists are read and written property by property, as the settings say."""

from datetime import date
from decimal import Decimal

import pytest

from ml_connector.domain import Deal, Line, Money, Quote, Ref
from ml_connector.errors import ContractBroken
from ml_connector.ports.fitness import Need
from ml_connector.ports.sink import Create, Key, Remove, Update, Written

QUOTE = Quote(
    external_reference="D-1",
    customer=Ref("account", "C-1"),
    currency="SEK",
    valid_until=date(2026, 4, 30),
    lines=(Line(key="a", sku="P-100", quantity=Decimal(2)),),
)


@pytest.fixture
def twin(watched):
    watched.put("CustomerInfoSet", {"CustomerId": "C-1", "Name": "Acme"})
    return watched


def connected(open_twin, twin, **entities):
    return open_twin(twin, entities={"quote": {"create_defaults": {"Contract": "S01"}}, **entities})


async def write(connection, kind, what):
    [outcome] = await connection.sinks[kind].write([what])
    return outcome


async def test_a_potential_order_becomes_a_quotation_under_its_own_number(twin, open_twin, read):
    connection = connected(open_twin, twin)
    outcome = await write(connection, "quote", Create(key=Key("external_reference", "D-1"), entity=QUOTE))
    assert (outcome.created, outcome.id) == (True, "Q00001")
    record = await read(connection, "quote", "Q00001")
    assert record.version == outcome.version
    for name in ("external_reference", "customer", "currency", "valid_until"):
        assert getattr(record.entity, name) == getattr(QUOTE, name)
    assert record.entity.number == "Q00001"
    assert (record.entity.status, record.entity.quoted_on) == ("Planned", date(2026, 1, 20))
    [line] = record.entity.lines
    assert (line.key, line.sku, line.unit_price) == ("a", "P-100", Decimal("249.00"))
    again = await write(connection, "quote", Create(key=Key("external_reference", "D-1"), entity=QUOTE))
    assert (again.id, again.created) == ("Q00001", False)


async def test_a_quotation_that_ifs_numbered_is_told_by_that_number(twin, open_twin, read):
    twin.put("OrderQuotationSet", {"QuotationNo": "Q9", "CustomerNo": "C-1", "Objstate": "Released"})
    record = await read(connected(open_twin, twin), "quote", "Q9")
    assert record.entity.number == "Q9"


async def test_fields_go_where_the_settings_say(twin, open_twin, read):
    twin.add_custom_field("OrderQuotation", "Cf_Title")
    quote = {"create_defaults": {"Contract": "S01"}, "fields": {"name": "Cf_Title", "payment_terms": ""}}
    connection = connected(open_twin, twin, quote=quote)
    assert {"name", "lines"} <= await connection.sinks["quote"].accepts()
    assert not {"payment_terms", "status", "quoted_on"} & await connection.sinks["quote"].accepts()
    entity = Quote(external_reference="D-1", name="Pumps", customer=Ref("account", "C-1"), currency="SEK")
    await write(connection, "quote", Create(key=Key("external_reference", "D-1"), entity=entity))
    assert twin.rows("OrderQuotationSet")[0]["Cf_Title"] == "Pumps"
    assert (await read(connection, "quote", "Q00001")).entity.name == "Pumps"


async def test_a_quotation_has_no_way_out_of_use_unless_it_is_named(twin, open_twin):
    connection = connected(open_twin, twin)
    await write(connection, "quote", Create(key=Key("external_reference", "D-1"), entity=QUOTE))
    outcome = await write(connection, "quote", Remove(id="Q00001", version=None))
    assert (outcome.code, outcome.field) == ("NO_ACTION", "status")


async def test_an_opportunity_arrives_and_is_known_by_its_name(twin, open_twin, read):
    connection = connected(open_twin, twin)
    deal = Deal(number="77", name="Pumps for Acme", account=Ref("account", "C-1"), closing_on=date(2026, 5, 1))
    refused = await write(connection, "deal", Create(key=Key("number", "77"), entity=deal))
    assert (refused.code, refused.field) == ("NO_KEY", "number")
    outcome = await write(connection, "deal", Create(key=Key("name", "Pumps for Acme"), entity=deal))
    entity = (await read(connection, "deal", outcome.id)).entity
    assert (entity.number, entity.name, entity.account, entity.closing_on, entity.stage) == (
        outcome.id,
        "Pumps for Acme",
        Ref("account", "C-1"),
        date(2026, 5, 1),
        "Open",
    )
    changed = Update(id=outcome.id, changes=Deal(closing_on=date(2026, 6, 1)), version=outcome.version)
    assert isinstance(await write(connection, "deal", changed), Written)
    assert twin.rows("BusinessOpportunities")[0]["WantedDeliveryDate"] == "2026-06-01T00:00:00Z"


async def test_sales_parts_of_one_site_are_products(twin, open_twin, read):
    with pytest.raises(ContractBroken, match="not said which"):
        await read(connected(open_twin, twin), "product", "P-100")
    connection = connected(open_twin, twin, product={"site": "S01", "currency": "EUR"})
    entity = (await read(connection, "product", "P-102")).entity
    assert (entity.number, entity.name, entity.unit) == ("P-102", "Shaft seal 25 mm", "pcs")
    assert (entity.list_price, entity.active) == (Money(Decimal("12.345"), "EUR"), True)
    assert "product" not in connection.sinks


async def test_price_lists_are_read_without_their_prices(twin, open_twin, swept, read):
    twin.put("SalesPriceListSet", {"PriceListNo": "10", "Description": "Retail", "CurrencyCode": "SEK"})
    connection = connected(open_twin, twin)
    assert list(await swept(connection, "price_list")) == ["10"]
    entity = (await read(connection, "price_list", "10")).entity
    assert (entity.number, entity.name, entity.currency) == ("10", "Retail", "SEK")


async def test_what_an_environment_calls_otherwise_is_named(twin, open_twin):
    needs = [
        Need(kind=kind, access=access, fields=frozenset({"number"}))
        for kind, access in (
            ("quote", "read"),
            ("quote", "write"),
            ("deal", "write"),
            ("product", "read"),
            ("price_list", "read"),
        )
    ]
    twin.put("OrderQuotationSet", {"QuotationNo": "Q9", "CustomerNo": "C-1"})
    connection = connected(open_twin, twin, product={"site": "S01"}, price_list={"expect_rows": False})
    found = await connection.fitness.inspect(needs)
    assert [one.what for one in found if one.level == "unfit"] == []
    wrong = connected(open_twin, twin, quote={"fields": {"valid_until": "ExpiryDate"}}, product={"site": "S01"})
    found = await wrong.fitness.inspect(needs)
    assert "OrderQuotation has no property ExpiryDate (the nearest is ExpirationDate)" in "".join(one.what for one in found)
