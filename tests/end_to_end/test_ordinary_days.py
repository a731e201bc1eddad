"""What a user sees on ordinary days: records arrive, changes follow, nothing else is touched."""


def audited(acme, *kind_and_key):
    """Every change that ``explain`` tells of, as (field, old, new)."""
    [chapter] = acme.run("explain", *kind_and_key, "--json").json
    return [(each["field"], each.get("old"), each.get("new")) for entry in chapter["entries"] for each in entry["changes"]]


def test_customers_and_orders_arrive_and_a_second_run_writes_nothing(acme):
    acme.customer("C-100", "Acme")
    acme.order("10042", "C-100")
    counts = acme.sync()
    assert (counts["customers"]["written"], counts["orders"]["written"]) == (1, 1)
    deal = acme.held("Deals")["10042"]
    assert deal["Stage"] == "Negotiation/Review"
    assert deal["Account_Name"] == acme.held()["C-100"]["id"]
    assert [flow["written"] for flow in acme.sync().values()] == [0, 0]


def test_a_field_emptied_in_ifs_is_emptied_in_zoho_and_an_unmapped_one_is_left_alone(acme):
    acme.customer()
    acme.order("10042", CustomerPoNo="PO-7")
    acme.sync()
    deal = acme.held("Deals")["10042"]
    assert deal["Customer_Reference"] == "PO-7"
    acme.sam_edits("Deals", "10042", Description="Call Anna before noon")
    acme.ifs.update("CustomerOrderSet", "10042", CustomerPoNo=None)
    acme.sync()
    deal = acme.held("Deals")["10042"]
    assert (deal["Customer_Reference"], deal["Description"]) == (None, "Call Anna before noon")


def test_an_order_whose_customer_is_missing_waits_and_goes_on_when_the_customer_arrives(acme):
    acme.order("10042", "C-100")
    assert acme.sync(code=1)["orders"]["parked"] == 1
    assert acme.held("Deals") == {}
    [waits] = acme.run("failures", "list", "--json").json
    assert (waits["number"], waits["standing"], waits["trouble"]["code"]) == ("10042", "parked", "PARENT_MISSING")
    acme.customer("C-100")
    assert acme.sync()["orders"]["written"] == 1
    assert acme.held("Deals")["10042"]["Account_Name"] == acme.held()["C-100"]["id"]
    assert acme.run("failures", "list").code == 0


def test_an_edit_made_in_zoho_is_told_and_overwritten_at_the_next_change_in_ifs_with_the_old_value_in_the_audit(acme):
    acme.customer("C-100", "Acme")
    acme.sync("customers")
    acme.sam_edits("Accounts", "C-100", Account_Name="ACME (call Sam)")
    acme.sync("customers")
    assert acme.held()["C-100"]["Account_Name"] == "ACME (call Sam)"
    [customers, _] = acme.run("status", "--json").json["flows"]
    assert (customers["drifted"], customers["attention"]) == (1, 0)
    assert "edited at zoho: name; ifs owns it and wins at its next change" in acme.run("explain", "account", "C-100").out
    acme.ifs.update("CustomerInfoSet", "C-100", Name="Acme Pumps")
    acme.sync("customers")
    assert acme.held()["C-100"]["Account_Name"] == "Acme Pumps"
    assert audited(acme, "account", "C-100", "name")[-1] == ("name", "ACME (call Sam)", "Acme Pumps")


def test_a_deletion_made_in_zoho_is_told_and_made_good_at_the_next_change_in_ifs(acme):
    acme.customer("C-100", "Acme")
    acme.sync("customers")
    acme.zoho.delete_as_person("Accounts", acme.held()["C-100"]["id"])
    assert acme.sync("customers")["customers"]["written"] == 0
    assert acme.run("status", "--json").json["flows"][0]["drifted"] == 1
    assert "deleted at zoho; ifs owns it and wins at its next change" in acme.run("explain", "account", "C-100").out
    acme.ifs.update("CustomerInfoSet", "C-100", Name="Acme Pumps")
    acme.sync("customers")
    assert acme.held()["C-100"]["Account_Name"] == "Acme Pumps"
    assert acme.run("status", "--json").json["flows"][0]["drifted"] == 0


def test_a_flow_that_restores_undoes_an_edit_made_in_zoho_at_the_next_run(acme):
    acme.rewrite('every = "1h"', 'every = "1h"\ndrift = "restore"')
    acme.customer("C-100", "Acme")
    acme.sync("customers")
    acme.sam_edits("Accounts", "C-100", Account_Name="ACME (call Sam)")
    acme.sync("customers")
    assert acme.held()["C-100"]["Account_Name"] == "Acme"
    assert ("name", "ACME (call Sam)", "Acme") in audited(acme, "account", "C-100", "name")


def test_a_replay_sends_again_without_doubles(acme):
    acme.customer("C-100", "Acme")
    acme.sync("customers")
    acme.sam_edits("Accounts", "C-100", Account_Name="Spoilt by an import")
    told = acme.run("replay", "account", "C-100")
    assert told.code == 0, told
    assert acme.held()["C-100"]["Account_Name"] == "Acme"
    assert len(acme.zoho.records("Accounts")) == 1


def test_a_replay_of_a_run_and_since_a_time_find_the_same_record(acme):
    acme.customer("C-100")
    acme.sync("customers")
    run = acme.run("status", "--json").json["flows"][0]["last_run"]
    for selection in (("--run", run["id"]), ("--since", run["started_at"]), ("account", "C-100")):
        assert acme.run("replay", *selection).code == 0, selection
    assert acme.run("replay", "account", "C-999").code == 1
    assert len(acme.zoho.records("Accounts")) == 1


def test_custom_fields_that_are_missing_are_named_by_ping_and_made_when_it_is_told_to(make_acme):
    acme = make_acme(erp_fields=False)
    told = acme.run("ping", "zoho")
    assert told.code == 3
    assert "ERP_Customer_No" in told.out
    assert "zoho: not fit" in told.out
    assert acme.run("ping", "--fix").code == 0
    acme.customer("C-100")
    assert acme.sync("customers")["customers"]["written"] == 1


def test_many_customers_that_vanish_at_once_are_no_deletion_until_a_person_says_how_many(acme):
    for number in range(20):
        acme.customer(f"C-{number}", f"Acme {number}")
    acme.sync("customers")
    for number in range(12):
        acme.ifs.remove("CustomerInfoSet", f"C-{number}")
    told = acme.run("sync", "customers")
    assert told.code == 1
    assert "12 of 20 account records are missing" in told.err
    assert "ml-connector sync customers --allow-missing 12" in told.err
    assert acme.run("sync", "--allow-missing", "12").code == 2  # of which flow, it does not say
    assert acme.run("sync", "customers", "--allow-missing", "12").code == 0
    assert acme.sync("customers")["customers"]["written"] == 0
    assert len(acme.held()) == 20  # deletes = "ignore": counterparts stay
    assert "a person said that it is deleted" in acme.run("explain", "account", "C-3").out
