"""``reconcile`` as an operator uses it: what people did on either side is named, mended on demand, and nothing else is told."""

import json


def lines(told):
    return [json.loads(line) for line in told.out.splitlines()]


def test_sides_that_agree_are_told_so_with_their_counts(acme):
    acme.customer("C-100")
    acme.order("10042", "C-100", CustomerPoNo="PO-7")
    acme.sync()
    for flow in ("customers", "orders"):
        told = acme.run("reconcile", flow)
        assert (told.code, told.out, told.err) == (0, "", f"{flow}: 1 at ifs, 1 at zoho: 0 differ, 0 missing, 0 extra\n")


def test_what_differs_is_missing_or_extra_is_named_and_mended_on_demand(acme):
    for number in ("C-100", "C-200", "C-300"):
        acme.customer(number, f"Acme {number}")
    acme.sync("customers")
    acme.sam_edits("Accounts", "C-100", Account_Name="ACME (call Sam)")
    acme.sync("customers")  # the drift is reported, and stays
    acme.zoho.delete_as_person("Accounts", acme.held()["C-200"]["id"])
    acme.customer("C-400", "Acme C-400")
    acme.zoho.insert_as_person("Accounts", Account_Name="Sam's own", ERP_Customer_No="S-1")
    told = acme.run("reconcile", "customers")
    assert told.code == 1
    assert 'differs  C-100  name: ifs "Acme C-100", zoho "ACME (call Sam)"' in told.out.splitlines()
    assert "missing at zoho  C-200" in told.out.splitlines()
    assert "missing at zoho  C-400" in told.out.splitlines()
    assert any(line.startswith("extra at zoho  S-1  id ") for line in told.out.splitlines())
    assert told.err == "customers: 4 at ifs, 3 at zoho: 1 differ, 2 missing, 1 extra\n"
    assert len(told.out.splitlines()) == 4

    told = acme.run("reconcile", "customers", "--fix")
    assert told.code == 1
    assert [line for line in told.out.splitlines() if line.startswith("still")] == [
        line for line in told.out.splitlines() if line.startswith("still extra at zoho  S-1")
    ]
    assert told.err.splitlines()[-1] == "customers: 3 sent again, 1 left"
    assert {number: row["Account_Name"] for number, row in acme.held().items()} == {
        "C-100": "Acme C-100",
        "C-200": "Acme C-200",
        "C-300": "Acme C-300",
        "C-400": "Acme C-400",
        "S-1": "Sam's own",
    }
    [chapter] = acme.run("explain", "account", "C-100", "name", "--json").json
    [change] = chapter["entries"][-1]["changes"]
    assert (change["old"], change["new"]) == ("ACME (call Sam)", "Acme C-100")
    assert acme.run("audit", "verify").code == 0


def test_programs_get_one_object_a_line(acme):
    acme.customer("C-100", "Acme")
    acme.order("10042", "C-100")
    acme.order("10043", "C-999")
    acme.sync(code=1)
    acme.sam_edits("Deals", "10042", Stage="Closed Lost")
    told = acme.run("reconcile", "orders", "--json")
    assert told.code == 1
    found = {each["number"]: each for each in lines(told)}
    assert found["10042"]["what"] == "differs"
    assert found["10042"]["fields"] == [{"field": "stage", "left": "Negotiation/Review", "right": "Closed Lost"}]
    assert (found["10043"]["what"], found["10043"]["at"], found["10043"]["standing"]) == ("missing", "zoho", "parked")
    assert "C-999" in found["10043"]["reason"]
    assert len(found) == 2


def test_a_flow_that_is_not_there_is_a_mistake_of_the_user(acme):
    told = acme.run("reconcile", "costumers")
    assert (told.code, told.out) == (2, "")
    assert 'no flow "costumers"' in told.err
