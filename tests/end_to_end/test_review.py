"""Looking before leaping: a first load matched and reviewed, a plan pinned and applied, a refused value replaced by hand."""

import csv


def filled(acme):
    """Zoho knows an Acme already, and somebody else."""
    acme.customer("C-100", "Acme")
    acme.customer("C-200", "Beta")
    acme.zoho.insert_as_person("Accounts", Account_Name="ACME Inc", ERP_Customer_No="C-100")
    acme.zoho.insert_as_person("Accounts", Account_Name="Sam's own")
    return acme


def names(acme):
    return sorted(row["Account_Name"] for row in acme.zoho.records("Accounts").values())


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_is_created_on_a_filled_system_until_the_reviewed_file_is_applied(acme):
    filled(acme)
    first = acme.sync("customers", code=1)["customers"]
    assert (first["written"], first["parked"]) == (1, 1)
    assert names(acme) == ["Acme", "Sam's own"]
    told = acme.run("match", "customers", "--out", "first.csv")
    assert told.code == 0
    assert "0 linked, 0 ambiguous, 1 new" in told.err
    [row] = rows_of(acme.home / "first.csv")
    assert (row["decision"], row["number"]) == ("create", "C-200")
    assert acme.run("match", "customers", "--apply", "first.csv").code == 0
    assert acme.sync("customers")["customers"]["written"] == 1
    assert names(acme) == ["Acme", "Beta", "Sam's own"]


def test_a_match_shows_linked_ambiguous_and_new_with_the_evidence(acme):
    filled(acme)
    acme.zoho.insert_as_person("Accounts", Account_Name="Beta one", ERP_Customer_No="C-200")
    told = acme.run("match", "customers")
    assert "number = C-100" in told.out
    found = {row["number"]: row for row in acme.run("match", "customers", "--json").json}
    assert (found["C-100"]["fit"], found["C-200"]["fit"]) == ("one", "one")


def test_create_all_says_that_nobody_needs_to_look(acme):
    filled(acme)
    acme.sync("customers", code=1)
    assert acme.run("sync", "customers", "--create-all").code == 0
    assert names(acme) == ["Acme", "Beta", "Sam's own"]


def test_a_reviewed_file_with_mistakes_is_refused_whole(acme):
    filled(acme)
    acme.run("match", "customers", "--out", "first.csv")
    text = (acme.home / "first.csv").read_text(encoding="utf-8-sig")
    (acme.home / "first.csv").write_text(text.replace("link", "lnik").replace("create", "made"), encoding="utf-8")
    told = acme.run("match", "customers", "--apply", "first.csv")
    assert told.code == 2
    assert "line 2" in told.err
    assert "line 3" in told.err
    assert "link, create, skip" in told.err
    (acme.home / "first.csv").write_text("decision,left_id,right_id\nlink,C-100,424242\n")
    told = acme.run("match", "customers", "--apply", "first.csv")
    assert told.code == 2
    assert "no record 424242" in told.err
    assert acme.run("match", "customers", "--apply", "nowhere.csv").code == 2


def test_a_plan_writes_nothing_and_says_fields_calls_and_credits(acme):
    acme.customer("C-100", "Acme")
    acme.sync("customers")
    acme.ifs.update("CustomerInfoSet", "C-100", Name="Acme AB")
    acme.customer("C-200", "Beta")
    before = len(acme.zoho.calls)
    told = acme.run("plan", "customers")
    assert told.code == 0
    assert 'name: "Acme" → "Acme AB"' in told.out
    assert "create zoho account C-200" in told.out
    assert "1 to create at zoho: 1 write calls, 1 credits" in told.err
    assert not [call for call in acme.zoho.calls[before:] if call[0] in ("PUT", "POST") and "coql" not in call[1]]
    assert names(acme) == ["Acme"]


def test_a_pinned_plan_is_applied_without_what_moved_since(acme):
    for number in ("C-100", "C-200", "C-300"):
        acme.customer(number, f"Name {number}")
    acme.sync("customers")
    for number in ("C-100", "C-200"):
        acme.ifs.update("CustomerInfoSet", number, Name=f"Planned {number}")
    assert acme.run("plan", "--out", "plan.jsonl").code == 0
    assert (acme.home / "plan.jsonl").stat().st_mode & 0o777 == 0o600
    acme.ifs.update("CustomerInfoSet", "C-200", Name="Later")
    acme.ifs.update("CustomerInfoSet", "C-300", Name="Not planned")
    told = acme.run("apply", "plan.jsonl")
    assert told.code == 1
    assert "left out: customers C-200: the record was edited since" in told.out
    assert names(acme) == ["Name C-200", "Name C-300", "Planned C-100"]
    acme.sync("customers")
    assert names(acme) == ["Later", "Not planned", "Planned C-100"]


def test_a_plan_edited_by_hand_cut_off_or_of_another_configuration_is_refused(acme):
    acme.customer("C-100", "Acme")
    acme.run("plan", "customers", "--out", "plan.jsonl")
    whole = (acme.home / "plan.jsonl").read_text()
    for text, words in (
        (whole.replace('"Acme"', '"Evil"'), "edited after it was made"),
        ("".join(whole.splitlines(keepends=True)[:-1]), "cut off"),
        ("no plan", "This is no plan"),
        (whole, "flows.customers was changed"),
    ):
        (acme.home / "plan.jsonl").write_text(text)
        if text is whole:
            acme.rewrite('every = "1h"', 'every = "1h"\nwhere = "number != \'X\'"')
        told = acme.run("apply", "plan.jsonl")
        assert (told.code, words in told.err) == (2, True), told
    assert acme.zoho.records("Accounts") == {}


def test_a_refused_value_is_replaced_by_hand_and_told_in_the_audit(acme):
    acme.customer("C-100", "Acme")
    acme.order("10043", WantedDeliveryDate=None)
    acme.sync(code=1)
    [waits] = acme.run("failures", "list", "--json").json
    told = acme.run("failures", "retry", waits["id"], "--set", "closing_on=2026-05-01")
    assert told.code == 0
    assert acme.held("Deals")["10043"]["Closing_Date"] == "2026-05-01"
    assert "values were given by hand" in acme.run("explain", "deal", "10043").out
    assert acme.run("failures", "retry", "--all", "--set", "closing_on").code == 2


def test_a_value_of_a_wrong_type_or_field_keeps_nothing(acme):
    acme.customer("C-100", "Acme")
    acme.order("10043", WantedDeliveryDate=None)
    acme.sync(code=1)
    [waits] = acme.run("failures", "list", "--json").json
    for text, words in (("closing_on=soon", "is no date"), ("closing=1", "no field"), ("account=C-1", "cannot be given")):
        told = acme.run("failures", "retry", waits["id"], "--set", text)
        assert (told.code, words in told.err) == (2, True), told
    assert acme.run("failures", "retry", waits["id"], "--take", "zoho").code == 2
    [after] = acme.run("failures", "list", "--json").json
    assert after == waits
