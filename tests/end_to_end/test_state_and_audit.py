"""The state file: never damaged by the wrong program, and an audit that shows when somebody tampered with it."""

import json
import sqlite3
from contextlib import closing

import pytest


@pytest.fixture
def lived(acme):
    """A state with a short history: two customers, one order, one change."""
    for number in ("C-100", "C-101"):
        acme.customer(number)
    acme.order("10042")
    acme.sync()
    acme.ifs.update("CustomerInfoSet", "C-100", Name="Acme Pumps")
    acme.sync()
    return acme


def edit_state(acme, statement):
    with closing(sqlite3.connect(acme.state)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("words", [("sync",), ("status",), ("secrets", "list"), ("audit", "verify"), ("db", "upgrade")])
def test_a_state_from_a_newer_version_is_refused_and_left_as_it_is(lived, words):
    edit_state(lived, "UPDATE ml_connector_revision SET version_num = '9999'")
    before = lived.state.read_bytes()
    told = lived.run(*words)
    assert told.code == 2
    assert "newer" in told.err
    assert lived.state.read_bytes() == before


def test_a_file_that_is_no_state_is_refused_and_left_as_it_is(make_acme):
    acme = make_acme(secrets=False)
    acme.state.write_text("Dear diary, " * 500)
    told = acme.run("status")
    assert told.code == 2
    assert acme.state.read_text() == "Dear diary, " * 500


def test_the_schemas_revision_is_told_and_an_empty_state_is_brought_up(make_acme):
    acme = make_acme(secrets=False)
    told = acme.run("db", "status", "--json")
    assert (told.code, told.json["acme"][0]) == (1, None)
    assert acme.run("db", "upgrade").code == 0
    told = acme.run("db", "status", "--json")
    assert told.code == 0
    assert told.json["acme"][0] == told.json["acme"][1]


def exported(acme, *words):
    """The lines of an export: its head, its entries, its foot."""
    head, *entries, foot = map(json.loads, acme.run("audit", "export", *words).out.splitlines())
    return head, entries, foot


def test_the_export_holds_one_entry_per_outcome_in_order_each_with_its_trace(lived):
    head, entries, foot = exported(lived)
    assert (head["workspace"], head["after"]["seq"], foot["entries"]) == ("acme", 0, 4)
    assert [(entry["action"], entry["number"]) for entry in entries] == [
        ("created", "C-100"),
        ("created", "C-101"),
        ("created", "10042"),
        ("updated", "C-100"),
    ]
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4]
    assert all(len(entry["trace_id"]) == 32 for entry in entries)
    assert [entry["seq"] for entry in exported(lived, "--since", entries[-1]["at"])[1]] == [4]


def test_the_export_can_be_of_one_run_or_one_record_whatever_its_kind_is_called_on_either_side(lived):
    _, entries, _ = exported(lived)
    assert [entry["seq"] for entry in exported(lived, "--run", entries[-1]["run"])[1]] == [4]
    for kind in ("order", "deal"):
        head, [entry], _ = exported(lived, "--kind", kind, "--number", "10042")
        assert (entry["seq"], entry["before"], head["only"]["number"]) == (3, entries[1]["hash"], "10042")
    assert lived.run("audit", "export", "--number", "C-999").code == 1
    told = lived.run("audit", "export", "--kind", "ordr")
    assert (told.code, told.out) == (2, "")


@pytest.mark.parametrize("words", [(), ("--kind", "account"), ("--since", "2026-01-01")])
def test_an_exported_file_is_verified_without_the_state_and_without_a_configuration(lived, words):
    file = lived.home / "audit.jsonl"
    file.write_text(lived.run("audit", "export", *words).out)
    lived.config.unlink()
    lived.state.unlink()
    told = lived.run("audit", "verify", str(file))
    assert (told.code, told.err) == (0, "")
    assert ("selection" in told.out) == ("--kind" in words)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:2], *lines[3:]]))
    told = lived.run("audit", "verify", str(file), "--json")
    assert (told.code, told.json["first_broken"] is not None) == (1, True)
    assert "Compare with a fresh one" in lived.run("audit", "verify", str(file)).out


def test_a_hole_in_an_audit_file_is_named_with_its_line(lived):
    file = lived.home / "audit.jsonl"
    lines = lived.run("audit", "export").out.splitlines(keepends=True)
    file.write_text("".join([*lines[:3], *lines[4:]]))
    told = lived.run("audit", "verify", str(file))
    assert told.code == 1
    assert "audit.jsonl, line 4: entry 3 is missing: entry 4 stands in its place" in told.out


def test_a_file_that_is_no_audit_is_a_clear_mistake(lived):
    file = lived.home / "audit.jsonl"
    for text, complaint in (("Dear diary", "line 1 is no JSON object"), ("", "line 1 is not the first line")):
        file.write_text(text)
        told = lived.run("audit", "verify", str(file))
        assert (told.code, told.out) == (2, "")
        assert f"audit.jsonl: {complaint}" in told.err
        assert "ml-connector audit export" in told.err
    assert lived.run("audit", "verify", "missing.jsonl").code == 2


@pytest.mark.parametrize(
    ("tampering", "at"),
    [
        ("UPDATE audit SET number = 'C-999' WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 2", 2),
        ("UPDATE audit SET seq = CASE seq WHEN 2 THEN 3 ELSE 2 END + 100 WHERE seq IN (2, 3)", 2),
        ("DELETE FROM audit WHERE seq = 4", 4),
    ],
)
def test_a_changed_removed_or_moved_entry_is_found(lived, tampering, at):
    assert lived.run("audit", "verify").out == "4 entries, the chain is whole\n"
    edit_state(lived, tampering)
    told = lived.run("audit", "verify", "--json")
    assert told.code == 1
    assert told.json["first_broken"] == at
    assert "breaks" in lived.run("audit", "verify").out


def last_run(acme, flow):
    return next(each["last_run"] for each in acme.run("status", "--json").json["flows"] if each["flow"] == flow)["id"]


def test_a_run_is_undone_where_nobody_has_edited_since_and_the_next_run_leaves_it_so(lived):
    """C-100 was renamed by the last run; C-101 is renamed by another, and Sam then edits it."""
    lived.ifs.update("CustomerInfoSet", "C-100", Name="Spoilt")
    lived.ifs.update("CustomerInfoSet", "C-101", Name="Spoilt")
    lived.sync("customers")
    spoilt = last_run(lived, "customers")
    lived.sam_edits("Accounts", "C-101", Account_Name="Sam's")
    told = lived.run("undo", "--run", spoilt, "--dry-run")
    assert told.code == 1
    assert 'C-100 at zoho: would be restored, name: "Spoilt" → "Acme Pumps"' in told.out
    assert "C-101 at zoho: left out, edited at zoho since: name" in told.out
    assert lived.held()["C-100"]["Account_Name"] == "Spoilt"
    told = lived.run("undo", "--run", spoilt, "--json")
    assert (told.code, told.json["run"]["outcome"]) == (1, "attention")
    names = {number: row["Account_Name"] for number, row in lived.held().items()}
    assert names == {"C-100": "Acme Pumps", "C-101": "Sam's"}
    assert lived.sync("customers")["customers"]["written"] == 0
    assert lived.held()["C-100"]["Account_Name"] == "Acme Pumps"
    assert lived.run("audit", "verify").code == 0
    story = lived.run("explain", "account", "C-100", "name").out
    assert f"undo of run {spoilt}" in story
    assert 'zoho holds "Acme Pumps": set by a person' in story


def test_undoing_can_be_narrowed_to_records_and_be_undone(lived):
    lived.ifs.update("CustomerInfoSet", "C-100", Name="Spoilt")
    lived.sync("customers")
    spoilt = last_run(lived, "customers")
    told = lived.run("undo", "--run", spoilt, "--record", "account", "C-100", "--record", "account", "C-999")
    assert told.code == 1
    assert "wrote nothing at account C-999" in told.err
    assert lived.held()["C-100"]["Account_Name"] == "Acme Pumps"
    lived.zoho.clock.advance(2)
    assert lived.run("undo", "--run", last_run(lived, "customers")).code == 0
    assert lived.held()["C-100"]["Account_Name"] == "Spoilt"


def test_a_run_that_nobody_knows_is_not_undone(lived):
    told = lived.run("undo", "--run", "no-such-run")
    assert (told.code, told.out) == (2, "")
    assert 'no run "no-such-run"' in told.err


def test_the_story_of_one_field_tells_both_sides_and_every_change(lived):
    story = lived.run("explain", "account", "C-100", "name")
    assert story.code == 0
    assert '  name: "Acme Pumps" on both sides: set by ifs at version' in story.out
    assert '    name: "Acme" → "Acme Pumps"' in story.out
    [chapter] = lived.run("explain", "account", "C-100", "name", "--json").json
    [field] = chapter["fields"]
    assert (field["agreed"], field["ifs"]["value"], field["zoho"]["value"]) == ("Acme Pumps",) * 3
    assert field["zoho"]["origin"]["seq"] == 4
    told = lived.run("explain", "account", "C-100", "nmae")
    assert (told.code, told.out) == (2, "")
    assert 'Did you mean "name"?' in told.err
