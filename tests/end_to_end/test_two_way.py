"""Two Zoho organisations kept in agreement both ways, with the real plugin on both sides and the real program in between."""

import pytest
from acme_world import Acme, toml

from ml_connector_zoho_crm.twin import ZohoTwin

FLOWS = """
[flows.parties]
between = ["ifs", "zoho"]
entity = "account"
owner = "ifs"
owners = { phone = "zoho", website = "ask" }
"""
NAMES = {"ifs": "North", "zoho": "South"}


class Pair(Acme):
    """``ifs`` is North here, another Zoho: the fixture's names stay."""

    def configure(self, flows=FLOWS, **options):
        lines = ["[workspace]", 'name = "acme"', 'state = "sqlite:///acme.db"']
        for name, twin, url in (("ifs", self.ifs, self.urls[0]), ("zoho", self.zoho, self.urls[1])):
            lines += [f"[connections.{name}]", 'system = "zoho-crm"']
            lines += [f"{key} = {toml(value)}" for key, value in twin.settings(url).items()]
        self.config.write_text("\n".join(lines) + "\n" + flows, encoding="utf-8")

    def twin(self, name):
        return self.ifs if name == "ifs" else self.zoho

    def edits(self, name, number, **fields):
        for twin in (self.ifs, self.zoho):
            twin.clock.advance(2)
        self.twin(name).edit_as_person("Accounts", self.at(name)[number]["id"], **fields)
        for twin in (self.ifs, self.zoho):
            twin.clock.advance(2)

    def enters(self, name, number, account_name, **fields):
        self.twin(name).insert_as_person("Accounts", Account_Name=account_name, ERP_Customer_No=number, **fields)

    def at(self, name):
        rows = self.twin(name).records("Accounts")
        return {row["ERP_Customer_No"]: {**row, "id": one} for one, row in rows.items() if row.get("ERP_Customer_No")}

    def writes(self):
        return sum(
            method in ("PUT", "POST") and "/Accounts" in path
            for twin in (self.ifs, self.zoho)
            for method, path, _ in twin.calls
        )

    def quiet(self):
        self.parties()  # what was written comes back as an echo
        before = self.writes()
        assert self.parties()["written"] == 0
        assert self.writes() == before

    def parties(self, code=0):
        return self.sync("parties", code=code)["parties"]


@pytest.fixture
def pair(doors, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    twins = [ZohoTwin(erp_fields=True), ZohoTwin(erp_fields=True)]
    for (_, door), twin in zip(doors, twins, strict=True):
        door.twin = twin
        twin.clock.advance(-60)
    made = Pair(tmp_path, *twins, [url for url, _ in doors], capsys)
    made.keep_secrets()
    return made


def test_records_and_edits_of_both_organisations_come_to_stand_on_both(pair):
    pair.enters("ifs", "C-1", "Acme")
    assert pair.parties()["written"] == 1
    pair.enters("zoho", "C-2", "Beta")
    assert pair.parties()["written"] == 1
    pair.quiet()
    pair.edits("ifs", "C-1", Account_Name="Acme AB")
    pair.edits("zoho", "C-1", Description="From South")
    pair.parties()
    for name in NAMES:
        one = pair.at(name)["C-1"]
        assert (one["Account_Name"], one["Description"]) == ("Acme AB", "From South")
        assert set(pair.at(name)) == {"C-1", "C-2"}
    pair.quiet()


def test_a_clash_goes_to_its_owner_or_waits_until_a_person_takes_a_side(pair):
    pair.enters("ifs", "C-1", "Acme", Phone="0", Website="w.example")
    pair.parties()
    pair.edits("ifs", "C-1", Account_Name="North", Phone="1", Website="north.example")
    pair.edits("zoho", "C-1", Account_Name="South", Phone="2", Website="south.example")
    pair.parties(code=1)
    for name in NAMES:
        assert (pair.at(name)["C-1"]["Account_Name"], pair.at(name)["C-1"]["Phone"]) == ("North", "2")
    [waits] = pair.run("failures", "list", "--json").json
    assert waits["trouble"]["code"] == "CLASH"
    shown = pair.run("failures", "show", waits["id"]).out
    assert 'website: ifs "north.example", zoho "south.example"' in shown
    assert pair.run("failures", "retry", waits["id"], "--take", "zoho").code == 0
    assert [pair.at(name)["C-1"]["Website"] for name in NAMES] == ["south.example"] * 2
    pair.quiet()
    told = pair.run("explain", "account", "C-1", "phone").out
    assert "owner: zoho" in told


def test_a_plan_of_both_ways_is_pinned_and_applied(pair):
    pair.enters("ifs", "C-1", "Acme")
    pair.parties()
    pair.parties()
    pair.edits("ifs", "C-1", Phone="1")
    pair.edits("zoho", "C-1", Description="From South")
    told = pair.run("plan", "--out", "plan.jsonl")
    assert "1 to update at ifs" in told.err
    assert "1 to update at zoho" in told.err
    assert pair.run("apply", "plan.jsonl").code == 0
    assert [(pair.at(name)["C-1"]["Phone"], pair.at(name)["C-1"]["Description"]) for name in NAMES] == [("1", "From South")] * 2


def test_two_filled_organisations_are_matched_before_anything_is_made(pair):
    for name in NAMES:
        pair.enters(name, "C-1", f"Acme {NAMES[name]}", **({"Phone": "1"} if name == "ifs" else {"Fax": "2"}))
    pair.enters("ifs", "C-2", "Beta")
    pair.enters("zoho", "C-3", "Gamma")
    assert pair.parties(code=1)["parked"] == 2
    assert [len(pair.at(name)) for name in NAMES] == [2, 2]
    one = pair.at("zoho")["C-1"]
    assert (one["Account_Name"], one["Phone"], one["Fax"]) == ("Acme North", "1", "2")
    assert pair.run("match", "parties", "--out", "m.csv").code == 0
    assert pair.run("match", "parties", "--apply", "m.csv").code == 0
    pair.parties()
    assert [set(pair.at(name)) for name in NAMES] == [{"C-1", "C-2", "C-3"}] * 2
    pair.quiet()
