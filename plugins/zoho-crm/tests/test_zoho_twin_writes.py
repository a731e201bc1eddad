"""Inserting, updating, upserting and deleting in the Zoho twin."""

from decimal import Decimal

import pytest

from ml_connector_zoho_crm.twin import ZohoTwin

DEAL = {"Deal_Name": "Order 10042", "Stage": "Closed Won", "Closing_Date": "2026-03-01"}


def twin_with_acme(**options) -> tuple[ZohoTwin, str]:
    twin = ZohoTwin(erp_fields=True, **options)
    return twin, twin.insert_as_person("Accounts", Account_Name="Acme", ERP_Customer_No="C-100")


async def upsert(twin: ZohoTwin, module: str, *items: dict, keys: list[str] | None = None, **headers: str):
    body = {"data": list(items), "trigger": []} | ({"duplicate_check_fields": keys} if keys else {})
    return await twin.ask("POST", f"v8/{module}/upsert", body, **headers)


async def test_a_new_record_gets_a_long_id_and_the_connector_as_its_author():
    twin = ZohoTwin()
    answer = await twin.ask("POST", "v8/Accounts", {"data": [{"Account_Name": "Acme"}]})
    (result,) = answer.json["data"]
    assert (answer.status, result["code"], result["message"]) == (201, "SUCCESS", "record added")
    assert len(result["details"]["id"]) == 19
    assert result["details"]["Modified_By"] == {"name": "Connector", "id": twin.org.robot.id}
    assert result["details"]["Modified_Time"].endswith("+05:30")


async def test_results_stand_in_the_order_of_the_items_and_one_bad_record_sinks_no_other():
    twin = ZohoTwin()
    items = [{"Account_Name": "Acme"}, {"Account_Name": "Beta", "Phone": "n/a"}, {"Phone": "555-0100"}]
    answer = await twin.ask("POST", "v8/Accounts", {"data": items})
    assert answer.status == 207
    assert [result["code"] for result in answer.json["data"]] == ["SUCCESS", "INVALID_DATA", "MANDATORY_NOT_FOUND"]
    assert answer.json["data"][1]["details"] == {
        "api_name": "Phone",
        "json_path": "$.data[1].Phone",
        "expected_data_type": "phone",
    }
    assert answer.json["data"][2]["details"] == {"api_name": "Account_Name", "json_path": "$.data[2].Account_Name"}
    assert len(twin.records("Accounts")) == 1


@pytest.mark.parametrize(("mode", "statuses"), [("modern", (201, 207, 400)), ("legacy", (200, 202, 202))])
async def test_the_status_tells_the_mixture_of_results(mode, statuses):
    twin, good, bad = ZohoTwin(status_mode=mode), {"Vendor_Name": "Nordstål"}, {}
    for items, status in zip(([good], [good, bad], [bad]), statuses, strict=True):
        assert (await twin.ask("POST", "v8/Vendors", {"data": items})).status == status


@pytest.mark.parametrize(
    ("module", "field", "value", "details"),
    [
        ("Accounts", "Account_Name", "x" * 201, {"maximum_length": 200}),
        ("Accounts", "Account_Name", 42, {"expected_data_type": "text"}),
        ("Accounts", "Website", "n/a", {"expected_data_type": "website"}),
        ("Accounts", "Annual_Revenue", "12.50", {"expected_data_type": "double"}),
        ("Accounts", "Employees", Decimal("1.5"), {"expected_data_type": "integer"}),
        ("Accounts", "Industry", "Piracy", {"expected_data_type": "picklist"}),
        ("Contacts", "Email", "nobody", {"expected_data_type": "email"}),
        ("Contacts", "Email_Opt_Out", "true", {"expected_data_type": "boolean"}),
        ("Contacts", "Date_of_Birth", "2026-02-30", {"expected_data_type": "date"}),
        ("Contacts", "Account_Name", "5550001000000123001", {"expected_data_type": "jsonobject"}),
        ("Contacts", "Full_Name", "Ann Lee", {}),
        ("Contacts", "No_Such_Field", "x", {}),
        ("Products", "Taxable", 1, {"expected_data_type": "boolean"}),
    ],
)
async def test_a_value_that_does_not_fit_its_field_is_invalid_data(module, field, value, details):
    names = {"Accounts": "Account_Name", "Contacts": "Last_Name", "Products": "Product_Name"}
    item = {names[module]: "Acme", field: value}
    answer = await ZohoTwin().ask("POST", f"v8/{module}", {"data": [item]})
    (result,) = answer.json["data"]
    assert (answer.status, result["code"]) == (400, "INVALID_DATA")
    assert result["details"] == {"api_name": field, "json_path": f"$.data[0].{field}"} | details


@pytest.mark.parametrize("phone", ["+49 89 123456", "(020) 7946-0123", "555-0100", "1-800-FLOWERS", "12345;67"])
async def test_phones_as_people_write_them_are_taken(phone):
    answer = await ZohoTwin().ask("POST", "v8/Accounts", {"data": [{"Account_Name": "Acme", "Phone": phone}]})
    assert answer.status == 201


async def test_many_faults_of_one_record_come_together():
    answer = await ZohoTwin().ask("POST", "v8/Accounts", {"data": [{"Phone": "-", "Website": "-"}]})
    (result,) = answer.json["data"]
    assert result["code"] == "MULTIPLE_OR_MULTI_ERRORS"
    assert [(one["code"], one["details"]["api_name"]) for one in result["details"]["errors"]] == [
        ("INVALID_DATA", "Phone"),
        ("INVALID_DATA", "Website"),
        ("MANDATORY_NOT_FOUND", "Account_Name"),
    ]


async def test_a_lookup_to_nobody_points_below_the_lookup_and_a_missing_record_at_the_item():
    twin = ZohoTwin()
    nobody = {"id": "5550001000000999999"}
    answer = await twin.ask("POST", "v8/Deals", {"data": [DEAL | {"Account_Name": nobody}]})
    assert answer.json["data"][0]["details"]["json_path"] == "$.data[0].Account_Name.id"
    answer = await twin.ask("PUT", "v8/Deals", {"data": [DEAL | nobody]})
    assert answer.json["data"][0]["details"]["json_path"] == "$.data[0].id"


async def test_a_blank_name_is_a_missing_name():
    answer = await ZohoTwin().ask("POST", "v8/Accounts", {"data": [{"Account_Name": "   "}]})
    assert answer.json["data"][0]["code"] == "MANDATORY_NOT_FOUND"


async def test_a_deal_wants_its_closing_date_unless_the_layout_lets_go_of_it():
    twin, item = ZohoTwin(), {"Deal_Name": "Order 10042", "Stage": "Qualification"}
    assert (await twin.ask("POST", "v8/Deals", {"data": [item]})).status == 400
    twin.mandatory("Deals", "Closing_Date", False)
    assert (await twin.ask("POST", "v8/Deals", {"data": [item]})).status == 201


async def test_a_stage_must_belong_to_the_pipeline():
    twin = ZohoTwin()
    twin.org.pipelines = {"Standard (Standard)": ["Qualification"]}
    answer = await twin.ask("POST", "v8/Deals", {"data": [DEAL]})
    assert answer.json["data"][0]["message"] == "Pipeline doesn't contain the Stage"
    twin.set_picklist("Deals", "Stage", ["Ordered", "Closed Won"])
    assert (await twin.ask("POST", "v8/Deals", {"data": [DEAL]})).status == 201


async def test_money_is_rounded_to_the_cent_and_texts_are_trimmed():
    twin = ZohoTwin()
    await twin.ask("POST", "v8/Deals", {"data": [DEAL | {"Deal_Name": " Order 10042 ", "Amount": Decimal("1234.565")}]})
    (row,) = twin.records("Deals").values()
    assert (row["Deal_Name"], row["Amount"]) == ("Order 10042", Decimal("1234.57"))
    assert (row["Currency"], row["Probability"], row["Expected_Revenue"]) == ("EUR", 100, Decimal("1234.57"))


async def test_money_keeps_every_digit_on_its_way_through_json():
    twin = ZohoTwin()
    await twin.ask("POST", "v8/Deals", {"data": [DEAL | {"Amount": Decimal("123456789012.34")}]})
    (record_id,) = twin.records("Deals")
    answer = await twin.ask("GET", f"v8/Deals/{record_id}?fields=Amount")
    assert b'"Amount":123456789012.34' in answer.body


async def test_null_clears_and_an_omitted_key_stays():
    twin, acme = twin_with_acme()
    twin.edit_as_person("Accounts", acme, Phone="555-0100", Fax="555-0101")
    answer = await twin.ask("PUT", f"v8/Accounts/{acme}", {"data": [{"Phone": None}]})
    assert answer.status == 200
    assert (twin.records("Accounts")[acme]["Phone"], twin.records("Accounts")[acme]["Fax"]) == (None, "555-0101")


async def test_an_upsert_finds_the_customer_by_its_number():
    twin, acme = twin_with_acme()
    items = [{"ERP_Customer_No": "c-100", "Account_Name": "Acme AB"}, {"ERP_Customer_No": "C-200", "Account_Name": "Beta"}]
    answer = await upsert(twin, "Accounts", *items, keys=["ERP_Customer_No"])
    first, second = answer.json["data"]
    assert (first["action"], first["duplicate_field"], first["details"]["id"]) == ("update", "ERP_Customer_No", acme)
    assert (second["action"], second["duplicate_field"]) == ("insert", None)


async def test_an_upsert_without_its_key_fields_merges_two_customers_of_one_name():
    twin, acme = twin_with_acme()
    answer = await upsert(twin, "Accounts", {"ERP_Customer_No": "C-200", "Account_Name": "Acme"})
    assert answer.json["data"][0]["details"]["id"] == acme
    assert [row["ERP_Customer_No"] for row in twin.records("Accounts").values()] == ["C-200"]


async def test_an_order_twice_in_one_upsert_leaves_the_last_one_standing():
    twin = ZohoTwin(erp_fields=True)
    items = [DEAL | {"ERP_Order_No": "10042", "Amount": amount} for amount in (10, 20)]
    answer = await upsert(twin, "Deals", *items, keys=["ERP_Order_No"])
    assert [result["action"] for result in answer.json["data"]] == ["insert", "update"]
    assert [row["Amount"] for row in twin.records("Deals").values()] == [Decimal("20.00")]


async def test_only_system_unique_or_external_fields_may_tell_duplicates():
    answer = await upsert(ZohoTwin(), "Products", {"Product_Name": "Bracket", "Product_Code": "B-1"}, keys=["Product_Code"])
    assert (answer.status, answer.json["code"]) == (400, "INVALID_DATA")


async def test_a_second_record_with_a_taken_number_names_the_one_that_has_it():
    twin, acme = twin_with_acme()
    answer = await twin.ask("POST", "v8/Accounts", {"data": [{"Account_Name": "Beta", "ERP_Customer_No": "C-100"}]})
    (result,) = answer.json["data"]
    assert result["code"] == "DUPLICATE_DATA"
    assert result["details"]["duplicate_record"]["id"] == acme


async def test_a_guarded_update_that_comes_too_late_is_refused_and_nothing_is_overwritten():
    twin, acme = twin_with_acme()
    read_at = twin.org.told_time(twin.records("Accounts")[acme]["Modified_Time"])
    twin.clock.advance(5)
    twin.edit_as_person("Accounts", acme, Phone="555-0100")
    body = {"data": [{"Phone": "555-0199"}]}
    answer = await twin.ask("PUT", f"v8/Accounts/{acme}", body, if_unmodified_since=read_at)
    assert (answer.status, answer.json["data"][0]["code"]) == (412, "ALREADY_MODIFIED")
    assert twin.records("Accounts")[acme]["Phone"] == "555-0100"
    now = twin.org.told_time(twin.records("Accounts")[acme]["Modified_Time"])
    assert (await twin.ask("PUT", f"v8/Accounts/{acme}", body, if_unmodified_since=now)).status == 200


async def test_in_a_guarded_batch_each_record_answers_for_itself():
    twin, acme = twin_with_acme()
    beta = twin.insert_as_person("Accounts", Account_Name="Beta")
    read_at = twin.org.told_time(twin.org.now())
    twin.clock.advance(5)
    twin.edit_as_person("Accounts", acme, Phone="555-0100")
    body = {"data": [{"id": acme, "Fax": "1"}, {"id": beta, "Fax": "1"}]}
    answer = await twin.ask("PUT", "v8/Accounts", body, if_unmodified_since=read_at)
    assert (answer.status, [result["code"] for result in answer.json["data"]]) == (207, ["ALREADY_MODIFIED", "SUCCESS"])


async def test_a_locked_record_waits_for_its_person():
    twin, acme = twin_with_acme()
    twin.lock(acme)
    answer = await twin.ask("PUT", f"v8/Accounts/{acme}", {"data": [{"Phone": "555-0100"}]})
    assert answer.json["data"][0]["code"] == "RECORD_LOCKED"
    assert (await twin.ask("DELETE", f"v8/Accounts/{acme}")).json["data"][0]["code"] == "RECORD_LOCKED"
    twin.unlock(acme)
    assert (await twin.ask("DELETE", f"v8/Accounts/{acme}")).json["data"][0]["message"] == "record deleted"


async def test_a_hundred_records_fit_in_a_call_and_one_more_does_not():
    items = [{"Vendor_Name": f"V-{at}"} for at in range(101)]
    answer = await ZohoTwin().ask("POST", "v8/Vendors", {"data": items})
    assert (answer.status, answer.json["code"], answer.json["details"]["maximum_length"]) == (400, "LIMIT_EXCEEDED", 100)
    assert (await ZohoTwin().ask("POST", "v8/Vendors", {"data": items[:100]})).status == 201


async def test_external_values_stand_for_ids_in_path_body_and_lookup():
    twin, acme = twin_with_acme()
    of_account = {"x_external": "Accounts.ERP_Customer_No"}
    assert (await twin.ask("GET", "v8/Accounts/C-100", **of_account)).json["data"][0]["id"] == acme
    answer = await twin.ask("PUT", "v8/Accounts", {"data": [{"ERP_Customer_No": "C-100", "Fax": "1"}]}, **of_account)
    assert answer.json["data"][0]["details"]["id"] == acme
    deal = DEAL | {"Account_Name": {"ERP_Customer_No": "C-100"}}
    answer = await twin.ask("POST", "v8/Deals", {"data": [deal]}, x_external="Deals.Account_Name.ERP_Customer_No")
    assert twin.records("Deals")[answer.json["data"][0]["details"]["id"]]["Account_Name"] == acme
    assert (await twin.ask("DELETE", "v8/Accounts?ids=C-100", **of_account)).json["data"][0]["details"] == {"id": acme}


async def test_an_external_value_that_nobody_has_is_invalid_data():
    twin, _ = twin_with_acme()
    answer = await twin.ask("GET", "v8/Accounts/C-9", x_external="Accounts.ERP_Customer_No")
    assert (answer.status, answer.json["message"]) == (400, "The value of the external field is invalid.")
    slashed = await twin.ask("GET", "v8/Accounts/C%2F1", x_external="Accounts.ERP_Customer_No")
    assert (slashed.status, slashed.json["code"]) == (404, "INVALID_URL_PATTERN")


async def test_an_org_may_add_unknown_choices_by_itself():
    twin = ZohoTwin(strict_picklists=False)
    item = {"Account_Name": "Acme", "Industry": "Piracy"}
    assert (await twin.ask("POST", "v8/Accounts", {"data": [item]})).status == 201
    assert "Piracy" in twin.org.tables["Accounts"].module.fields["Industry"].choices


async def test_a_guard_on_an_upsert_protects_what_it_finds():
    twin, acme = twin_with_acme()
    read_at = twin.org.told_time(twin.org.now())
    twin.clock.advance(5)
    twin.edit_as_person("Accounts", acme, Phone="555-0100")
    item = {"ERP_Customer_No": "C-100", "Account_Name": "Acme", "Phone": None}
    answer = await upsert(twin, "Accounts", item, keys=["ERP_Customer_No"], if_unmodified_since=read_at)
    assert (answer.status, answer.json["data"][0]["code"]) == (412, "ALREADY_MODIFIED")


@pytest.mark.parametrize("odd", [{"id": 5550001000000123001}, {"id": ["x"]}, "C-100", None, 7])
async def test_an_item_that_is_no_record_is_an_error_of_its_own(odd):
    answer = await ZohoTwin().ask("PUT", "v8/Accounts", {"data": [odd]})
    assert (answer.status, answer.json["data"][0]["code"]) == (400, "INVALID_DATA")


class TestLines:
    """Rows of subforms."""

    async def order(self, twin: ZohoTwin, **more) -> str:
        acme = twin.insert_as_person("Accounts", Account_Name="Acme")
        bolt = twin.insert_as_person("Products", Product_Name="Bolt", Unit_Price=Decimal("2.50"))
        lines = [
            {"Product_Name": {"id": bolt}, "Quantity": 4},
            {"Product_Name": {"id": bolt}, "Quantity": 2, "List_Price": 10, "Discount": 5},
        ]
        item = {"Subject": "Order 10042", "Account_Name": {"id": acme}, "Ordered_Items": lines} | more
        answer = await twin.ask("POST", "v8/Sales_Orders", {"data": [item]})
        assert answer.status == 201, answer.json
        return str(answer.json["data"][0]["details"]["id"])

    async def test_an_order_is_totalled_from_its_lines(self):
        twin = ZohoTwin()
        order = await self.order(twin, Discount=5, Adjustment=Decimal("-0.01"))
        (told,) = (await twin.ask("GET", f"v8/Sales_Orders/{order}")).json["data"]
        assert [line["Net_Total"] for line in told["Ordered_Items"]] == [Decimal("10.00"), Decimal("15.00")]
        assert (told["Sub_Total"], told["Grand_Total"]) == (Decimal("25.00"), Decimal("19.99"))
        assert told["Ordered_Items"][0]["Product_Name"]["name"] == "Bolt"

    async def test_a_row_changes_one_is_added_one_goes_and_the_rest_stay(self):
        twin = ZohoTwin()
        order = await self.order(twin)
        first, second = twin.records("Sales_Orders")[order]["Ordered_Items"]
        bolt = next(iter(twin.records("Products")))
        rows = [{"id": first, "Quantity": 8}, {"id": second, "_delete": None}, {"Product_Name": {"id": bolt}, "Quantity": 1}]
        await twin.ask("PUT", f"v8/Sales_Orders/{order}", {"data": [{"Ordered_Items": rows}]})
        (told,) = (await twin.ask("GET", f"v8/Sales_Orders/{order}")).json["data"]
        assert [line["Quantity"] for line in told["Ordered_Items"]] == [8, 1]
        assert (told["Ordered_Items"][0]["id"], told["Sub_Total"]) == (first, Decimal("22.50"))
        await twin.ask("PUT", f"v8/Sales_Orders/{order}", {"data": [{"Status": "Created"}]})
        assert len(twin.records("Ordered_Items")) == 2

    async def test_a_line_without_its_product_says_which_line(self):
        twin = ZohoTwin()
        acme = twin.insert_as_person("Accounts", Account_Name="Acme")
        item = {"Subject": "Order 10042", "Account_Name": {"id": acme}, "Ordered_Items": [{"Quantity": "two"}]}
        (result,) = (await twin.ask("POST", "v8/Sales_Orders", {"data": [item]})).json["data"]
        assert [one["details"]["json_path"] for one in result["details"]["errors"]] == [
            "$.data[0].Ordered_Items[0].Quantity",
            "$.data[0].Ordered_Items[0].Product_Name",
        ]

    async def test_an_order_without_lines_is_no_order(self):
        twin = ZohoTwin()
        acme = twin.insert_as_person("Accounts", Account_Name="Acme")
        answer = await twin.ask("POST", "v8/Sales_Orders", {"data": [{"Subject": "10042", "Account_Name": {"id": acme}}]})
        assert answer.json["data"][0]["details"]["api_name"] == "Ordered_Items"

    async def test_a_custom_subform_of_a_deal_takes_a_hundred_rows(self):
        twin = ZohoTwin()
        twin.add_subform("Deals", "Order_Lines", {"Line_Key": "text", "Quantity": "double"})
        rows = [{"Line_Key": str(at), "Quantity": at} for at in range(101)]
        assert (await twin.ask("POST", "v8/Deals", {"data": [DEAL | {"Order_Lines": rows}]})).status == 400
        assert (await twin.ask("POST", "v8/Deals", {"data": [DEAL | {"Order_Lines": rows[:100]}]})).status == 201
        listed = await twin.ask("GET", "v8/Deals?fields=Deal_Name,Order_Lines")
        assert set(listed.json["data"][0]) == {"id", "Deal_Name"}

    async def test_lines_name_their_products_by_the_numbers_of_the_erp(self):
        twin = ZohoTwin(erp_fields=True)
        nordstal = twin.insert_as_person("Vendors", Vendor_Name="Nordstål")
        bolt = twin.insert_as_person("Products", Product_Name="Bolt", ERP_Item_No="P-1")
        header = {"x_external": "Purchase_Orders.Purchase_Items.Product_Name.ERP_Item_No"}
        items = [
            {
                "Subject": key,
                "Vendor_Name": {"id": nordstal},
                "Purchase_Items": [{"Product_Name": {"ERP_Item_No": key}, "Quantity": 1}],
            }
            for key in ("P-1", "P-9")
        ]
        answer = await twin.ask("POST", "v8/Purchase_Orders", {"data": items}, **header)
        assert [result["code"] for result in answer.json["data"]] == ["SUCCESS", "INVALID_DATA"]
        assert answer.json["data"][1]["details"]["json_path"] == "$.data[1].Purchase_Items[0].Product_Name.ERP_Item_No"
        assert [row["Product_Name"] for row in twin.records("Purchase_Items").values()] == [bolt]

    async def test_a_person_edits_lines_and_the_totals_follow(self):
        twin = ZohoTwin()
        order = await self.order(twin)
        first, second = twin.records("Sales_Orders")[order]["Ordered_Items"]
        twin.edit_as_person(
            "Sales_Orders", order, Ordered_Items=[{"id": first, "_delete": None}, {"id": second, "Quantity": 3}]
        )
        assert twin.records("Sales_Orders")[order]["Grand_Total"] == Decimal("25.00")

    async def test_deleting_an_order_takes_its_lines_along_and_restoring_brings_them_back(self):
        twin = ZohoTwin()
        order = await self.order(twin)
        twin.delete_as_person("Sales_Orders", order)
        assert not twin.records("Ordered_Items")
        twin.restore_as_person("Sales_Orders", order)
        assert len(twin.records("Ordered_Items")) == 2
