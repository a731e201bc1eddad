"""What the Zoho twin tells of its org, and the handles that tests pull."""

from decimal import Decimal

import pytest

from ml_connector_zoho_crm.twin import ZohoTwin

ERP = {"field_label": "ERP Customer No", "data_type": "text", "length": 100, "external": {"type": "org", "show": True}}


async def fields(twin: ZohoTwin, module: str) -> dict[str, dict]:
    answer = await twin.ask("GET", f"v8/settings/fields?module={module}")
    return {field["api_name"]: field for field in answer.json["fields"]}


async def create(twin: ZohoTwin, *items: dict):
    return await twin.ask("POST", "v8/settings/fields?module=Accounts", {"fields": list(items)})


async def test_a_ping_learns_the_org_its_edition_and_who_it_is():
    twin = ZohoTwin(multi_currency=False)
    (org,) = (await twin.ask("GET", "v8/org")).json["org"]
    assert (org["mc_status"], org["iso_code"], org["license_details"]["paid_type"]) == (False, "EUR", "enterprise")
    (me,) = (await twin.ask("GET", "v8/users?type=CurrentUser")).json["users"]
    assert me["id"] == twin.org.robot.id
    assert "Currency" not in await fields(twin, "Deals")


async def test_a_renamed_module_keeps_its_system_name():
    twin = ZohoTwin()
    twin.rename_module("Accounts", "Customers")
    told = {module["module_name"]: module for module in (await twin.ask("GET", "v8/settings/modules")).json["modules"]}
    assert told["Accounts"]["api_name"] == "Customers"
    assert told["Ordered_Items"]["parent_module"]["api_name"] == "Sales_Orders"
    assert (await twin.ask("GET", "v8/Accounts?fields=id")).json["code"] == "INVALID_MODULE"
    assert (await twin.ask("GET", "v8/Customers?fields=id")).status == 204
    assert (await fields(twin, "Deals"))["Account_Name"]["lookup"]["module"]["api_name"] == "Customers"


async def test_an_edition_may_lack_the_inventory():
    twin = ZohoTwin()
    twin.without_module("Sales_Orders")
    assert (await twin.ask("GET", "v8/settings/fields?module=Ordered_Items")).json["code"] == "INVALID_MODULE"


async def test_fields_tell_type_length_choices_and_who_may_write_them():
    told = await fields(ZohoTwin(), "Deals")
    assert (told["Deal_Name"]["data_type"], told["Deal_Name"]["length"], told["Deal_Name"]["system_mandatory"]) == (
        "text",
        120,
        True,
    )
    assert "Closed Won" in [choice["actual_value"] for choice in told["Stage"]["pick_list_values"]]
    assert told["Expected_Revenue"]["operation_type"]["api_create"] is False
    assert (await fields(ZohoTwin(), "Accounts")).get("ERP_Customer_No") is None


async def test_the_layout_asks_for_more_than_the_system_does():
    (layout,) = (await ZohoTwin().ask("GET", "v8/settings/layouts?module=Deals")).json["layouts"]
    required = {field["api_name"] for section in layout["sections"] for field in section["fields"] if field["required"]}
    assert required == {"Deal_Name", "Stage", "Closing_Date"}


async def test_the_pipeline_says_which_stages_are_won():
    twin = ZohoTwin()
    (layout,) = (await twin.ask("GET", "v8/settings/layouts?module=Deals")).json["layouts"]
    (pipeline,) = (await twin.ask("GET", f"v8/settings/pipeline?layout_id={layout['id']}")).json["pipeline"]
    won = [stage["actual_value"] for stage in pipeline["maps"] if stage["forecast_type"] == "Closed Won"]
    assert (pipeline["default"], won) == (True, ["Closed Won"])


async def test_a_created_field_is_named_after_its_label_and_works_at_once():
    twin = ZohoTwin()
    answer = await create(twin, ERP | {"unique": {"case_sensitive": False}})
    assert (answer.status, answer.json["fields"][0]["code"]) == (201, "SUCCESS")
    told = (await fields(twin, "Accounts"))["ERP_Customer_No"]
    assert (told["custom_field"], told["external"]["type"], told["unique"]) == (True, "org", {"case_sensitive": False})
    item = {"Account_Name": "Acme", "ERP_Customer_No": "C-100"}
    body = {"data": [item], "duplicate_check_fields": ["ERP_Customer_No"]}
    assert (await twin.ask("POST", "v8/Accounts/upsert", body)).status == 200


@pytest.mark.parametrize(
    ("item", "code"),
    [
        ({"data_type": "text"}, "MANDATORY_NOT_FOUND"),
        ({"field_label": "ERP Customer No"}, "MANDATORY_NOT_FOUND"),
        (ERP | {"data_type": "subform"}, "INVALID_DATA"),
        (ERP | {"length": 256}, "INVALID_DATA"),
        (ERP | {"field_label": "Phone"}, "DUPLICATE_DATA"),
        ({"field_label": "Score", "data_type": "currency", "unique": {}}, "SUCCESS"),
        ({"field_label": "Score", "data_type": "currency", "unique": {"case_sensitive": False}}, "NOT_ALLOWED"),
    ],
)
async def test_a_field_that_cannot_be_says_why(item, code):
    assert (await create(ZohoTwin(), item)).json["fields"][0]["code"] == code


async def test_fields_may_be_refused_by_number_right_scope_or_combination():
    many = await create(ZohoTwin(), *(ERP | {"field_label": f"F {at}"} for at in range(6)))
    assert (many.status, many.json["code"], many.json["details"]["limit"]) == (400, "LIMIT_EXCEEDED", 5)
    assert (await create(ZohoTwin(can_create_fields=False), ERP)).json["code"] == "NO_PERMISSION"
    twin = ZohoTwin()
    twin.metadata.external_beside_unique = False
    both = await create(twin, ERP | {"unique": {"case_sensitive": False}})
    assert both.json["fields"][0]["code"] == "AMBIGUITY_DURING_PROCESSING"
    twin.accounts.scopes -= {"ZohoCRM.settings.fields.CREATE"}
    assert (await create(twin, ERP)).status == 401


async def test_unknown_keys_are_refused_unless_the_twin_is_told_to_ignore_them():
    item = {"Account_Name": "Acme", "Nothing": 1, "$approved": True}
    assert (await ZohoTwin().ask("POST", "v8/Accounts", {"data": [item]})).status == 400
    assert (await ZohoTwin(unknown_fields="ignore").ask("POST", "v8/Accounts", {"data": [item]})).status == 201


def test_the_same_seed_fills_the_same_records():
    twins = [ZohoTwin() for _ in range(3)]
    for twin, seed in zip(twins, (1, 1, 2), strict=True):
        twin.fill(20, 10, seed=seed)
    first, same, other = (
        {key: {k: v for k, v in facts.items() if k != "id"} for key, facts in twin.facts("account")} for twin in twins
    )
    assert first == same != other
    assert len(first) == 20
    assert "O'Neil & Söhne GmbH" in first


def test_an_edit_changes_as_many_records_as_it_names():
    twin = ZohoTwin()
    twin.fill(15, 15)
    before = dict(twin.facts("deal"))
    twin.clock.advance(60)
    numbers = twin.edit("deal", 5, seed=3)
    after = dict(twin.facts("deal"))
    changed = [row for row in twin.records("Deals").values() if row["Modified_Time"] > row["Created_Time"]]
    assert len(set(numbers)) == len(changed) == 5
    assert {key for key in after if after[key] != before[key]} <= set(numbers)


def test_facts_of_an_account_are_told_under_its_erp_number_or_its_name():
    twin = ZohoTwin(erp_fields=True)
    twin.insert_as_person("Accounts", Account_Name="Acme", ERP_Customer_No="C-100", Billing_City="Leeds")
    twin.insert_as_person("Accounts", Account_Name="Beta")
    facts = dict(twin.facts("account"))
    assert set(facts) == {"C-100", "Beta"}
    assert (facts["C-100"]["name"], facts["C-100"]["billing.city"], facts["C-100"]["ERP_Customer_No"]) == (
        "Acme",
        "Leeds",
        "C-100",
    )


async def test_facts_of_a_deal_name_its_customer_and_its_lines():
    twin = ZohoTwin(erp_fields=True)
    acme = twin.insert_as_person("Accounts", Account_Name="Acme", ERP_Customer_No="C-100")
    bolt = twin.insert_as_person("Products", Product_Name="Bolt", ERP_Item_No="P-1")
    deal = twin.insert_as_person("Deals", Deal_Name="Order 10042", Stage="Closed Won", Amount=Decimal(5), Account_Name=acme)
    lines = [{"Product_Name": {"id": bolt}, "Quantity": 2, "List_Price": Decimal("2.5")}]
    order = {"Subject": "10042", "Account_Name": {"id": acme}, "Deal_Name": {"id": deal}, "Ordered_Items": lines}
    await twin.ask("POST", "v8/Sales_Orders", {"data": [order]})
    told = dict(twin.facts("deal"))["Order 10042"]
    assert (told["amount"], told["currency"], told["account"]) == (Decimal("5.00"), "EUR", "C-100")
    assert [(line["Product_Name"], line["Net_Total"]) for line in told["lines"]] == [("P-1", Decimal("5.00"))]


def test_people_are_held_to_the_same_checks():
    twin = ZohoTwin()
    with pytest.raises(ValueError, match=r"Accounts\.Phone does not take"):
        twin.insert_as_person("Accounts", Account_Name="Acme", Phone="n/a")


def test_settings_hold_references_and_secrets_hold_values():
    twin = ZohoTwin()
    settings = twin.settings("http://127.0.0.1:8123")
    references = {value.removeprefix("secret:") for value in settings.values() if str(value).startswith("secret:")}
    assert references == set(twin.secrets())
    assert settings["accounts_server"] == settings["api_domain"] == "http://127.0.0.1:8123"


def test_people_cannot_give_a_unique_value_twice():
    twin = ZohoTwin(erp_fields=True)
    twin.insert_as_person("Accounts", Account_Name="Acme", ERP_Customer_No="C-1")
    with pytest.raises(ValueError, match="another record's"):
        twin.insert_as_person("Accounts", Account_Name="Acme again", ERP_Customer_No="c-1")
