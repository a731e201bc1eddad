"""IFS rows become customers and orders without losing, adding or guessing anything."""

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import UNSET, Address, Money, Ref
from ml_connector_ifs_cloud import mapping
from ml_connector_ifs_cloud.mapping import Children, Located, Rules
from ml_connector_ifs_cloud.rows import (
    AddressType,
    CommMethod,
    CreditInfo,
    Customer,
    CustomerAddress,
    InvoiceCompany,
    OrderHeader,
    OrderLine,
    SalesCustomer,
    decoder_of,
    with_extras,
)
from ml_connector_ifs_cloud.times import ServerTime

TODAY = date(2026, 1, 20)
RULES = Rules(time=ServerTime(ZoneInfo("Europe/Stockholm"), aware=False), company="10")
AMOUNTS = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**15), max_value=10**15)


def order_of(*lines, rules=RULES, **header):
    return mapping.order(OrderHeader(OrderNo="C1001", **header), list(lines), rules)


def line(number="1", release="1", item=0, **values):
    return OrderLine(LineNo=number, RelNo=release, LineItemNo=Decimal(item), **values)


def account_of(rules=RULES, children=None, **header):
    return mapping.account(Customer(CustomerId="C-100", **header), children or Children(), rules, TODAY)[0]


def page(row, **values):
    """One row as IFS's JSON has it, decoded as the adapter does it."""
    body = b'{"value":[' + msgspec.json.encode(values) + b"]}"
    return decoder_of(row).decode(body).value[0]


@given(AMOUNTS, AMOUNTS)
def test_amounts_never_change_on_their_way_from_json(total, net):
    body = b'{"value":[{"OrderNo":"C1001","TotalAmount":%s,"CurrencyCode":"EUR"}]}' % format(total, "f").encode()
    row = decoder_of(OrderHeader).decode(body).value[0]
    entity, _ = mapping.order(row, [line(NetAmountCurr=net)], RULES)
    assert entity.total == Money(total, "EUR")
    assert entity.lines[0].net == net


@given(st.lists(AMOUNTS, max_size=20))
def test_the_lines_of_an_order_sum_to_what_ifs_said(amounts):
    entity, _ = order_of(*(line(str(at), NetAmountCurr=amount) for at, amount in enumerate(amounts, 1)))
    assert sum((one.net for one in entity.lines), Decimal(0)) == sum(amounts, Decimal(0))
    assert [one.key for one in entity.lines] == [f"{at}-1-0" for at in range(1, len(amounts) + 1)]


@given(st.text(max_size=60))
def test_text_comes_as_ifs_holds_it(text):
    row = page(Customer, CustomerId="C-100", Name=text, AssociationNo=text)
    entity, warnings = mapping.account(row, Children(), RULES, TODAY)
    assert (entity.name, entity.tax_id, warnings) == (text, text, ())


def test_what_was_not_selected_is_unknown_and_what_is_null_is_empty():
    entity, _ = mapping.order(page(OrderHeader, OrderNo="C1001", CustomerPoNo=None), [], RULES)
    assert entity.customer_reference is None
    assert entity.external_reference is UNSET
    assert entity.total is UNSET
    assert entity.extra is UNSET


def test_a_state_that_nobody_knows_is_unknown_and_told():
    entity, warnings = order_of(line(Objstate="Halted"), Objstate="Planed")
    assert (entity.status, entity.lines[0].status) == ("Unknown", "Unknown")
    assert 'state "Planed" is not in state_map' in warnings[0]
    assert warnings[1].startswith("line 1-1-0")


def test_both_states_of_picking_are_one_word_of_ours():
    assert {order_of(Objstate=state)[0].status for state in ("Reserved", "Picked")} == {"InFulfilment"}


def test_dates_are_the_ones_on_the_servers_calendar():
    entity, _ = order_of(DateEntered="2026-01-15", WantedDeliveryDate="2026-02-01T00:00:00Z", PlannedDeliveryDate=None)
    assert (entity.ordered_on, entity.wanted_on, entity.planned_on) == (date(2026, 1, 15), date(2026, 2, 1), None)


def test_a_date_that_is_none_is_left_out_and_told():
    entity, warnings = order_of(WantedDeliveryDate="soon")
    assert entity.wanted_on is UNSET
    assert warnings == ('WantedDeliveryDate "soon" is no date, left out',)


def test_components_of_a_package_are_no_lines_unless_asked_for():
    rows = [line("1", item=-1, NetAmountCurr=Decimal(9)), line("1", item=1), line("1", item=2)]
    assert [one.key for one in order_of(*rows)[0].lines] == ["1-1--1"]
    with_components = msgspec.structs.replace(RULES, components=True)
    assert len(order_of(*rows, rules=with_components)[0].lines) == 3


def test_lines_come_in_counting_order_whatever_order_they_were_read_in():
    rows = [line("10"), line("2"), line("1", "2"), line("1", "1")]
    assert [one.key for one in order_of(*rows)[0].lines] == ["1-1-0", "1-2-0", "2-1-0", "10-1-0"]


def test_unread_lines_are_unknown_not_none():
    entity, _ = mapping.order(OrderHeader(OrderNo="C1001"), None, RULES)
    assert entity.lines is UNSET


def test_an_order_names_its_customer_by_the_customers_own_key():
    assert order_of(CustomerNo="C-100")[0].customer == Ref("account", "C-100")
    assert order_of(CustomerNo=100)[0].customer == Ref("account", "100")
    assert order_of(CustomerNo=None)[0].customer is None


def test_dimensions_and_custom_fields_come_exactly_and_with_their_type():
    rules = msgspec.structs.replace(RULES, extras={"region": "RegionCode", "margin": "Cf_Margin", "vip": "Cf_Vip"})
    row = with_extras(OrderHeader, rules.extras.values())
    body = b'{"value":[{"OrderNo":"C1","RegionCode":"NORTH","Cf_Margin":12.3456789012345678901,"Cf_Vip":true}]}'
    entity, _ = mapping.order(decoder_of(row).decode(body).value[0], [], rules)
    assert dict(entity.extra) == {"region": "NORTH", "margin": Decimal("12.3456789012345678901"), "vip": True}


def test_properties_that_nobody_asked_for_are_passed_over():
    row = page(OrderHeader, OrderNo="C1001", AllowedOperations="^^*", Objgrants=None, Cf_Unheard={"of": 1})
    assert mapping.order(row, [], RULES)[0].number == "C1001"


def located(number, *types, **values):
    rows = [AddressType(AddressTypeCode=name.strip("!"), DefAddress=name.endswith("!")) for name in types]
    return Located(CustomerAddress(AddressId=number, City=f"City {number}", **values), rows)


@pytest.mark.parametrize(
    ("addresses", "billing", "shipping"),
    [
        ([located("1", "Document"), located("2", "Document!", "Delivery")], "City 2", "City 2"),
        ([located("1", "Delivery!"), located("2", "Pay")], "City 2", "City 1"),
        ([located("2"), located("1", "Visit")], "City 1", "City 1"),
        ([located("2", "Document!", ValidTo="2026-01-19"), located("1", "Document")], "City 1", None),
        ([located("1", ValidFrom="2026-01-21"), located("2", ValidFrom="2026-01-20")], "City 2", None),
        ([Located(CustomerAddress(AddressId="1", City="City 1"))], "City 1", "City 1"),
    ],
)
def test_the_address_for_invoices_and_for_goods(addresses, billing, shipping):
    entity = account_of(children=Children(addresses=addresses))
    assert entity.billing.city == billing
    assert (entity.shipping.city if entity.shipping else entity.shipping) == shipping


def test_a_customer_without_addresses_has_none_and_with_unread_ones_we_do_not_know():
    assert account_of(children=Children(addresses=[])).billing is None
    assert account_of().billing is UNSET


def test_an_address_keeps_its_lines_and_takes_the_customers_country_code():
    row = CustomerAddress(
        AddressId="1", Address1="Dock 4", Address2="", Address3="2nd floor", City="Malmö", State=None, County="Skåne",
        ZipCode="211 20", Country="Sweden",
    )  # fmt: skip
    entity = account_of(children=Children(addresses=[Located(row)]), Country="Sweden", CountryCode="SE")
    assert entity.billing == Address("Dock 4\n2nd floor", "Malmö", "Skåne", "211 20", "SE")


def test_the_default_number_wins_and_ways_of_writing_a_method_are_one():
    methods = [
        CommMethod(CommId=Decimal(1), MethodId="Phone", Value="040-1"),
        CommMethod(CommId=Decimal(2), MethodId="PHONE", Value="040-2", MethodDefault=True),
        CommMethod(CommId=Decimal(3), MethodId="E_MAIL", Value="info@acme.example"),
        CommMethod(CommId=Decimal(4), MethodId="Fax", Value=None),
    ]
    entity = account_of(children=Children(comm_methods=methods))
    assert (entity.phone, entity.email, entity.fax, entity.website) == ("040-2", "info@acme.example", None, None)


def test_credit_and_terms_are_those_of_the_configured_company():
    children = Children(
        sales=[SalesCustomer(CustomerNo="C-100", CurrencyCode="USD", CustGrp="10")],
        credit=[CreditInfo(Company="20", CreditLimit=Decimal(1)), CreditInfo(Company="10", CreditLimit=Decimal("5000.50"))],
        invoice=[InvoiceCompany(Company="10", PayTermId="30", DefCurrency="SEK"), InvoiceCompany(Company="20", PayTermId="0")],
    )
    entity = account_of(children=children)
    assert entity.credit_limit == Money(Decimal("5000.50"), "SEK")
    assert (entity.payment_terms, entity.currency, entity.extra["customer_group"]) == ("30", "USD", "10")


def test_a_company_that_keeps_no_credit_data_clears_the_limit():
    entity = account_of(children=Children(credit=[CreditInfo(Company="20", CreditLimit=Decimal(1))], invoice=[]))
    assert (entity.credit_limit, entity.credit_blocked, entity.payment_terms) == (None, None, None)


@pytest.mark.parametrize("category", ["Customer", "Prospect", "EndCustomer", None])
def test_a_category_keeps_its_word(category):
    assert account_of(CustomerCategory=category).category == category
