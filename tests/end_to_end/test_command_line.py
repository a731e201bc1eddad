"""Every command: help that helps, mistakes told in words, JSON that parses, and the number that it leaves with."""

import pytest

from ml_connector_adapters.runner.cli.app import app


def commands(parent=app, words=()):
    """Every command as its words; groups are walked into, flags left out."""
    for name in parent:
        if name.startswith("-"):
            continue
        below = list(commands(parent[name], (*words, name)))
        yield from below or [(*words, name)]


COMMANDS = sorted(commands())
READING = [
    ("status",),
    ("explain", "account", "C-100"),
    ("explain", "order", "10042", "amount"),
    ("failures", "list"),
    ("secrets", "list"),
    ("systems",),
    ("db", "status"),
    ("audit", "verify"),
    ("ping",),
    ("sync",),
]
MISTAKES = [
    ("snyc",),
    ("sync", "custmers"),
    ("sync", "--since", "tomorrow"),
    ("sync", "--config", "nowhere.toml"),
    ("explain", "ordr", "10042"),
    ("explain", "order"),
    ("replay",),
    ("replay", "ordr", "10042"),
    ("ping", "salesforce"),
    ("twin", "sap"),
    ("run", "--listen", "everywhere"),
    ("run", "--listen", "127.0.0.1:99999"),
    ("demo", "--pair", "sap:zoho-crm"),
    ("audit", "export", "--since", "yesterday"),
    ("failures", "list", "--older-than", "long"),
    ("secrets", "set"),
]


def test_all_promised_commands_are_there():
    promised = "demo init secrets check ping sync run status explain failures replay systems twin db schema audit"
    assert set(promised.split()) <= {words[0] for words in COMMANDS}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(acme, words):
    told = acme.run(*words, "--help")
    assert told.code == 0
    sentences = told.out.partition("Usage")[2].partition("\n")[2].partition("╭")[0]
    assert len(sentences.split()) > 4


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_a_mistake_on_the_command_line_is_told_in_words_with_exit_code_2(acme, words):
    told = acme.run(*words)
    assert told.code == 2, told
    assert len(told.err.split()) > 3
    assert told.out == ""
    assert acme.ifs.calls == acme.zoho.calls == []


def test_a_mistyped_name_gets_the_nearest_one(acme):
    assert 'Did you mean "customers"?' in acme.run("sync", "custmers").err
    assert "order" in acme.run("explain", "ordr", "10042").err


def test_what_reads_speaks_json_that_holds_no_more_than_the_answer(acme):
    acme.customer()
    acme.order("10042")
    acme.sync()
    for words in READING:
        told = acme.run(*words, "--json")
        assert told.code == 0, told
        assert isinstance(told.json, (list, dict)), words


def test_green_leaves_with_0_and_records_that_need_attention_with_1(acme):
    acme.customer()
    assert acme.run("sync").code == 0
    assert acme.run("status").code == 0
    acme.order("10042", "C-404")
    assert acme.run("sync").code == 1
    assert acme.run("status").code == 1
    assert acme.run("failures", "list").code == 1


def test_an_outage_leaves_with_3_and_is_told_once_with_the_connections_name(acme):
    acme.rewrite(f'base_url = "{acme.urls[0]}"', 'base_url = "http://127.0.0.1:9"')
    acme.rewrite("requests_per_minute = 60000", "requests_per_minute = 60000, attempts = 1")
    told = acme.run("sync", "customers")
    assert told.code == 3
    assert told.err.count("cannot be reached") == 1
    assert "ifs" in told.err
    assert "ifs: PAUSED" in acme.run("status").out


def test_the_version_is_told(acme):
    assert acme.run("--version").out.strip()
