"""Orders shown as deals, and a deal's stage told back: the order changes its status in IFS, once, by IFS's own action."""

from acme_world import FLOWS

BACK = """
[flows.stages]
from = "zoho"
to = "ifs"
entity = "deal"
as = "order"
after = ["orders"]
writes = "update"
fields = ["status"]

[flows.stages.set]
status = "lookup('stage_status', stage)"

[tables.stage_status]
"Proposal/Price Quote" = "Planned"
"Negotiation/Review" = "Released"
"Closed Won" = "Invoiced"
"""


def states(acme):
    return {number: facts["status"] for number, facts in acme.ifs.facts("order")}


def shown(acme):
    acme.configure(FLOWS + BACK)
    acme.customer()
    acme.order("10042", Objstate="Planned")
    acme.sync()
    assert acme.held("Deals")["10042"]["Stage"] == "Proposal/Price Quote"
    return acme


def test_what_the_first_flow_wrote_is_no_news_to_the_second(acme):
    shown(acme)
    for _ in range(2):
        counts = acme.sync()
        assert [counts[flow]["written"] for flow in ("orders", "stages")] == [0, 0]
    assert states(acme) == {"10042": "Planned"}


def test_a_stage_that_sam_moves_releases_the_order_and_everything_comes_to_rest(acme):
    shown(acme)
    acme.sam_edits("Deals", "10042", Stage="Negotiation/Review")
    assert acme.sync()["stages"]["written"] == 1
    assert states(acme) == {"10042": "Released"}
    for _ in range(2):
        counts = acme.sync()
    assert [counts[flow]["written"] for flow in ("orders", "stages")] == [0, 0]
    assert acme.held("Deals")["10042"]["Stage"] == "Negotiation/Review"
    told = acme.run("explain", "order", "10042", "status").out
    assert "zoho" in told
    assert '"Released"' in told


def test_a_step_that_ifs_does_not_allow_waits_with_ifs_words_and_does_not_loop(acme):
    shown(acme)
    acme.sam_edits("Deals", "10042", Stage="Closed Won")
    assert acme.sync(code=1)["stages"]["rejected"] == 1
    [waits] = acme.run("failures", "list", "--json").json
    assert (waits["flow"], waits["number"]) == ("stages", "10042")
    before = len(acme.ifs.calls)
    acme.sync(code=1)
    assert not [call for call in acme.ifs.calls[before:] if call[0] in ("PATCH", "POST") and "token" not in call[1]]
    assert states(acme) == {"10042": "Planned"}
