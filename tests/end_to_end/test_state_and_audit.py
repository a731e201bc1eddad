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


def test_the_export_holds_one_entry_per_outcome_in_order_each_with_its_trace(lived):
    entries = [json.loads(line) for line in lived.run("audit", "export").out.splitlines()]
    assert [(entry["action"], entry["number"]) for entry in entries] == [
        ("created", "C-100"),
        ("created", "C-101"),
        ("created", "10042"),
        ("updated", "C-100"),
    ]
    assert [entry["seq"] for entry in entries] == [1, 2, 3, 4]
    assert all(len(entry["trace_id"]) == 32 for entry in entries)
    since = lived.run("audit", "export", "--since", entries[-1]["at"]).out.splitlines()
    assert [json.loads(line)["seq"] for line in since] == [4]


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
