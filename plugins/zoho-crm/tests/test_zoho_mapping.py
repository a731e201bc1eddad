"""Zoho's records and ours, both ways, without any call."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import UNSET, Account, Address, Deal, Extra, Money, Order, Ref
from ml_connector.errors import RecordRejected
from ml_connector.ports.secrets import Secret
from ml_connector_zoho_crm import wire
from ml_connector_zoho_crm.plan import Plan, Surroundings
from ml_connector_zoho_crm.settings import Settings
from ml_connector_zoho_crm.wire import Field, Pick

ACME = "5550001000000123001"
SETTINGS = Settings(client_id="1000.X", client_secret=Secret("env:S"), refresh_token=Secret("env:R"))


def fields(*api_names, **typed):
    known = {name: Field(api_name=name, length=200) for name in api_names}
    return known | {name: Field(api_name=name, **how) for name, how in typed.items()}


ACCOUNT_FIELDS = fields(
    "Account_Name",
    "ERP_Customer_No",
    "Billing_Street",
    "Billing_City",
    "Billing_Code",
    "Billing_Country",
    Phone={"data_type": "phone", "length": 30},
    Website={"data_type": "website", "length": 255},
    Account_Type={"data_type": "picklist", "pick_list_values": [Pick("Customer"), Pick("Prospect")]},
    Annual_Revenue={"data_type": "currency", "json_type": "double"},
    Employees={"data_type": "integer", "json_type": "integer"},
    Parent_Account={"data_type": "lookup", "json_type": "jsonobject"},
    Currency={"data_type": "picklist", "pick_list_values": [Pick("EUR")]},
    Cost_Center={"custom_field": True, "length": 10},
    Margin={"data_type": "double", "json_type": "double", "custom_field": True},
    Audited_At={"data_type": "datetime", "custom_field": True},
    Regions={"data_type": "multiselectpicklist", "json_type": "jsonarray", "custom_field": True},
)


@pytest.fixture
def accounts(make_settings):
    def plan(without=(), home="EUR", **settings):
        known = {name: field for name, field in ACCOUNT_FIELDS.items() if name not in without}
        return Plan("account", "Accounts", known, make_settings(**settings), Surroundings(home_currency=home, user="555"))

    return plan


def test_a_record_of_zoho_reads_as_an_account(accounts):
    row = {
        "id": ACME,
        "Account_Name": "Acme",
        "ERP_Customer_No": "C-100",
        "Phone": "",
        "Annual_Revenue": Decimal("1200.50"),
        "Parent_Account": {"name": "Holding", "id": "5550001000000123009"},
        "Billing_City": "Malmö",
        "Billing_Street": None,
        "Modified_Time": "2026-02-01T10:00:00+05:30",
        "Modified_By": {"id": "555"},
        "Margin": Decimal("0.25"),
        "Regions": ["North", "South"],
    }
    record = accounts().record(row)
    assert record.entity == Account(
        number="C-100",
        name="Acme",
        phone=None,
        annual_revenue=Money(Decimal("1200.50"), "EUR"),
        parent=Ref("account", "5550001000000123009"),
        billing=Address(street=None, city="Malmö"),
        extra=Extra({"Margin": Decimal("0.25"), "Regions": "North;South"}),
    )
    assert (record.version, record.by_us) == ("2026-02-01T04:30:00+00:00", True)
    assert record.changed_at == datetime(2026, 2, 1, 4, 30, tzinfo=UTC)


def test_an_account_becomes_what_zoho_takes(accounts):
    acme = Account(
        number="C-100",
        name="Acme",
        phone=None,
        employees=12,
        annual_revenue=Money(Decimal("1200.50"), "EUR"),
        parent=Ref("account", ACME),
        billing=Address(city="Malmö", postal_code=None),
        extra=Extra({"Audited_At": datetime(2026, 2, 1, 9, 30, 0, 999, tzinfo=UTC), "Regions": "North;South"}),
    )
    body, warnings = accounts().body(acme)
    assert body == {
        "ERP_Customer_No": "C-100",
        "Account_Name": "Acme",
        "Phone": None,
        "Employees": 12,
        "Annual_Revenue": Decimal("1200.50"),
        "Currency": "EUR",
        "Parent_Account": {"id": ACME},
        "Billing_City": "Malmö",
        "Billing_Code": None,
        "Audited_At": "2026-02-01T09:30:00+00:00",
        "Regions": ["North", "South"],
    }
    assert warnings == []


def test_a_cleared_address_clears_every_part_and_an_unset_one_none(accounts):
    assert set(accounts().body(Account(billing=None))[0]) == {
        "Billing_Street",
        "Billing_City",
        "Billing_Code",
        "Billing_Country",
    }
    assert accounts().body(Account(name="Acme"))[0] == {"Account_Name": "Acme"}


def test_a_part_of_an_address_without_a_place_is_told_not_lost(accounts):
    assert accounts().body(Account(billing=Address(region="Skåne")))[1] == ["billing.region has no place in Accounts"]


@given(st.decimals(min_value=Decimal("-1e12"), max_value=Decimal("1e12"), allow_nan=False, places=2))
def test_no_amount_changes_on_the_way_to_zoho_and_back(amount):
    sent = wire.encode({"data": [{"Amount": amount}]})
    assert wire.Decoders.rows.decode(sent).data[0]["Amount"] == amount


@given(st.text(min_size=1, max_size=200))
def test_a_name_that_fits_arrives_as_it_is(name):
    plan = Plan("account", "Accounts", ACCOUNT_FIELDS, SETTINGS)
    assert plan.entity(plan.body(Account(name=name))[0])[0].name == name


@pytest.mark.parametrize(
    ("account", "field", "words"),
    [
        (Account(name="x" * 201), "name", "201 characters, and the field Account_Name takes 200"),
        (Account(category="Pirate"), "category", '"Customer", "Prospect"'),
        (Account(phone="n/a"), "phone", "'n/a' is no phone"),
        (Account(website="see below"), "website", "is no website"),
        (Account(extra=Extra({"Cost_Center": "12345678901"})), "extra.Cost_Center", "takes 10"),
        (Account(annual_revenue=Money(Decimal("NaN"), "EUR")), "annual_revenue", "is not a number"),
        (Account(parent=Ref("account", "C-100")), "parent", "is not the id of a record"),
    ],
)
def test_what_zoho_would_refuse_is_refused_with_field_and_limit_before_a_call_is_spent(accounts, account, field, words):
    with pytest.raises(RecordRejected) as caught:
        accounts().body(account)
    assert caught.value.field == field
    assert words in caught.value.what


def test_junk_in_contact_data_is_left_blank_where_the_user_wants_it_so_and_told(accounts):
    body, warnings = accounts(on_bad_contact_data="blank").body(Account(name="Acme", phone="n/a"))
    assert body == {"Account_Name": "Acme", "Phone": None}
    assert warnings[0].startswith("phone left blank: 'n/a'")


def test_an_amount_in_a_foreign_currency_is_never_written_as_the_home_currency(accounts):
    with pytest.raises(RecordRejected, match="keeps EUR only"):
        accounts(without=("Currency",)).body(Account(annual_revenue=Money(Decimal(5), "USD")))


def test_a_record_has_one_currency(accounts):
    with pytest.raises(RecordRejected, match="one currency"):
        accounts().body(Account(currency="EUR", annual_revenue=Money(Decimal(5), "USD")))


def test_a_value_of_another_type_than_expected_is_unset_and_told(accounts):
    entity, warnings = accounts().entity({"id": ACME, "Account_Name": "Acme", "Employees": "a dozen"})
    assert entity == Account(name="Acme")
    assert warnings == ("Employees holds 'a dozen', which is no employees",)


def test_the_sink_accepts_what_is_mapped_and_there_and_may_be_written(accounts):
    accepts = accounts(without=("Phone",)).accepts
    assert {"number", "name", "billing", "annual_revenue", "extra.Cost_Center"} <= accepts
    assert not {"phone", "tax_id", "shipping", "lines", "extra.ERP_Customer_No"} & accepts


def test_a_field_without_standard_place_goes_where_the_user_says(accounts):
    plan = accounts(fields={"account.credit_limit": "Margin"})
    assert "credit_limit" in plan.accepts
    assert plan.body(Account(credit_limit=Money(Decimal(500), "EUR")))[0]["Margin"] == Decimal(500)


def test_only_the_custom_fields_that_were_chosen_are_read(accounts):
    plan = accounts(custom_fields=["Margin"])
    assert "Margin" in plan.select
    assert "Cost_Center" not in plan.select


def test_a_deal_says_won_by_the_forecast_of_its_stage(make_settings):
    known = fields("Deal_Name", "Stage", Closing_Date={"data_type": "date"})
    plan = Plan("deal", "Deals", known, make_settings(), Surroundings(stages={"Bestellt": "won"}))
    entity, _ = plan.entity({"Deal_Name": "Order 10042", "Stage": "Bestellt", "Closing_Date": "2026-03-01"})
    assert entity == Deal(name="Order 10042", stage="Bestellt", status="won", closing_on=date(2026, 3, 1))


def test_a_probability_is_a_whole_number_where_zoho_keeps_whole_numbers(make_settings):
    known = fields("Deal_Name", Probability={"data_type": "integer"})
    plan = Plan("deal", "Deals", known, make_settings())
    assert type(plan.body(Deal(probability=Decimal("50.0")))[0]["Probability"]) is int
    with pytest.raises(RecordRejected, match="fraction"):
        plan.body(Deal(probability=Decimal("12.5")))


def test_an_order_status_travels_by_the_configured_words(make_settings):
    known = fields("Subject", Status={"data_type": "picklist", "pick_list_values": [Pick("Created"), Pick("Approved")]})
    plan = Plan("order", "Sales_Orders", known, make_settings())
    assert plan.body(Order(status="InFulfilment"))[0] == {"Status": "Approved"}
    assert plan.entity({"Status": "Approved"})[0].status == "Released"
    assert plan.entity({"Status": "On hold"})[0].status == "Unknown"


def test_absent_is_unset_and_null_is_none(accounts):
    entity, _ = accounts().entity({"Phone": None})
    assert (entity.phone, entity.name) == (None, UNSET)
