"""One decision per record, from what is wanted, what was agreed, and what was seen over there."""

import msgspec
import pytest

from ml_connector.domain import Account
from ml_connector.flows import Flow
from ml_connector.ports.state import DELETED, End, Link
from ml_connector.sync import content
from ml_connector.sync.decide import Leave, Make, Set, Skip, decide

FLOW = Flow(name="customers", left="erp", right="crm", entity="account", target="account")
ACME = Account(number="C-100", name="Acme", phone="1")


def link(agreed: Account | None = ACME, *, right: str | None = "z1", drift: list[str] | None = None) -> Link:
    return Link(
        id="l1",
        flow="customers",
        number="C-100",
        left=End("C-100", "v1"),
        right=End(right, "t1"),
        standing="agreed",
        agreed=content.encode(agreed) if agreed else None,
        drift=msgspec.json.encode(drift) if drift else None,
    )


def test_a_record_without_counterpart_is_made() -> None:
    assert isinstance(decide(FLOW, ACME, None, None), Make)
    assert isinstance(decide(FLOW, ACME, link(right=None), None), Make)


def test_an_unchanged_record_is_left() -> None:
    assert decide(FLOW, ACME, link(), None) == Leave()


def test_only_what_changed_is_set() -> None:
    decision = decide(FLOW, Account(number="C-100", name="Acme", phone="2"), link(), None)
    assert isinstance(decision, Set)
    assert decision.names == ("phone",)


def test_an_edit_over_there_waits_for_the_owners_next_change() -> None:
    assert decide(FLOW, ACME, link(drift=["name"]), None) == Leave()
    decision = decide(FLOW, Account(number="C-100", name="Acme", phone="2"), link(drift=["name"]), None)
    assert isinstance(decision, Set)
    assert decision.names == ("phone", "name")


def test_an_edit_over_there_is_undone_at_once_where_the_flow_says_so() -> None:
    decision = decide(msgspec.structs.replace(FLOW, drift="restore"), ACME, link(drift=["name"]), None)
    assert isinstance(decision, Set)
    assert decision.names == ("name",)


def test_a_record_deleted_over_there_comes_back_with_the_owners_next_change() -> None:
    assert decide(FLOW, ACME, link(drift=[DELETED]), None) == Leave()
    assert isinstance(decide(FLOW, Account(number="C-100", name="Acme", phone="2"), link(drift=[DELETED]), None), Make)


def test_a_counterpart_with_nothing_agreed_is_compared_with_what_stands_there() -> None:
    assert decide(FLOW, ACME, link(None), ACME) == Leave()
    decision = decide(FLOW, ACME, link(None), Account(number="C-100", name="Acme", phone="9"))
    assert isinstance(decision, Set)
    assert decision.names == ("phone",)


@pytest.mark.parametrize(("writes", "known"), [("update", None), ("create", "z1")])
def test_a_flow_writes_only_what_it_may(writes: str, known: str | None) -> None:
    flow = msgspec.structs.replace(FLOW, writes=writes)
    changed = Account(number="C-100", name="Acme", phone="2")
    assert isinstance(decide(flow, changed, link(right=known), None), Skip)
