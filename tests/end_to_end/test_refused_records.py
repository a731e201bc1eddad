"""A record that Zoho refuses is set aside with Zoho's words; the rest arrive."""

import pytest


@pytest.fixture
def refused(acme):
    """Two orders, one of them without the date that Zoho insists on."""
    acme.customer()
    acme.order("10042")
    acme.order("10043", WantedDeliveryDate=None)
    counts = acme.sync(code=1)
    assert (counts["orders"]["written"], counts["orders"]["rejected"]) == (1, 1)
    return acme


def failure(acme):
    [waits] = acme.run("failures", "list", "--json").json
    return waits


def test_the_rest_arrive_and_zohos_words_are_told_with_what_to_do(refused):
    assert list(refused.held("Deals")) == ["10042"]
    listed = refused.run("failures", "list")
    assert listed.code == 1
    assert "10043" in listed.out
    assert "MANDATORY_NOT_FOUND" in listed.out
    shown = refused.run("failures", "show", failure(refused)["id"])
    assert shown.code == 0
    assert "required field not found" in shown.out
    assert f"failures retry {failure(refused)['id']}" in shown.out
    assert refused.run("status").code == 1


def test_the_list_is_filtered_by_flow_cause_and_age(refused):
    assert len(refused.run("failures", "list", "--flow", "orders", "--json").json) == 1
    assert len(refused.run("failures", "list", "--cause", "MANDATORY_NOT_FOUND", "--json").json) == 1
    assert refused.run("failures", "list", "--flow", "customers", "--json").json == []
    assert refused.run("failures", "list", "--cause", "parked", "--json").json == []
    assert refused.run("failures", "list", "--older-than", "1h", "--json").json == []


def test_correcting_the_source_heals_it_without_anybody_asking(refused):
    refused.ifs.update("CustomerOrderSet", "10043", WantedDeliveryDate="2026-04-30T00:00:00Z")
    refused.sync()
    assert refused.held("Deals")["10043"]["Closing_Date"] == "2026-04-30"
    assert refused.run("failures", "list").code == 0


def test_a_refused_record_is_not_sent_again_until_something_changes(refused):
    before = len(refused.zoho.calls)
    refused.sync(code=1)
    assert not [path for method, path, _ in refused.zoho.calls[before:] if method == "POST" and path.endswith("/upsert")]


def test_a_retry_succeeds_once_the_reason_is_gone(refused):
    one = failure(refused)["id"]
    told = refused.run("failures", "retry", one)
    assert told.code == 1
    assert "still waiting 1" in told.out
    refused.zoho.mandatory("Deals", "Closing_Date", False)
    told = refused.run("failures", "retry", "--all")
    assert told.code == 0, told
    assert "settled 1, still waiting 0" in told.out
    assert set(refused.held("Deals")) == {"10042", "10043"}


def test_a_dismissed_failure_is_told_no_more_and_a_later_change_brings_the_record_back(refused):
    assert refused.run("failures", "dismiss", failure(refused)["id"]).code == 0
    assert refused.run("failures", "list").code == 0
    refused.sync()
    refused.ifs.update("CustomerOrderSet", "10043", CustomerPoNo="PO-8")
    refused.sync(code=1)
    assert failure(refused)["number"] == "10043"


@pytest.mark.parametrize("words", [("retry",), ("dismiss",), ("retry", "no-such-id"), ("show", "no-such-id")])
def test_a_failure_must_be_named(acme, words):
    told = acme.run("failures", *words)
    assert told.code == 2
    assert told.err
