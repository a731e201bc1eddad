"""Writing customers: three records that make one, whole objects, hashes that go stale, and what is shared."""

from collections.abc import Callable

import pytest
from msgspec import structs
from qad_world import ACCOUNT, GL, WatchedTwin

from ml_connector.domain import Account, Address
from ml_connector.ports.sink import Conflict, Create, Key, Rejected, Remove, Unknown, Update, Written
from ml_connector.system import Connection
from ml_connector.twin import Fault
from ml_connector_qad.twin import CLASSIC, DEFAULT

Opener = Callable[..., Connection]
ACME = Account(
    number="C.10/1",
    name="Acme",
    phone="+46 8 1",
    billing=Address(street="Quay 1\nGate 2", city="Hull", country="GB"),
)


def create(entity: Account = ACME) -> Create:
    return Create(key=Key("number", str(entity.number)), entity=entity)


@pytest.mark.parametrize("installation", [DEFAULT, CLASSIC], ids=["blank domain data", "none"])
async def test_a_new_customer_gets_a_relation_and_its_data_in_the_domain(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener, installation: object
) -> None:
    twin = make_twin(installation)
    [made] = await open_twin(twin, entities={"account": ACCOUNT}).sinks["account"].write([create()])
    assert isinstance(made, Written)
    assert made.id == "C.10/1"
    assert twin.stored("customerV2s", "C.10/1")["addressName"] == "Acme"
    relation = twin.stored("businessRelationV2s", "C.10/1")
    assert (relation["businessRelationName1"], relation["headOfficeStreet2"], relation["changeStatus"]) == (
        "Acme",
        "Gate 2",
        "2",
    )
    data = twin.stored("mfgCustomers", "C.10/1")
    assert (data["siteCode"], data["daybookSetCode"]) == ("10-100", "SO")


async def test_an_update_keeps_what_it_does_not_know(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme", taxZone="SE-STD", customShort7="VIP", telephone="+46 8 1")
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    [done] = await sink.write([Update(id="C-1", changes=Account(phone="+46 8 2"), version=None)])
    assert isinstance(done, Written)
    stored = twin.stored("customerV2s", "C-1")
    assert (stored["taxZone"], stored["customShort7"], stored["addressName"]) == ("SE-STD", "VIP", "Acme")
    assert stored["telephone"] == "+46 8 2"


async def test_an_update_that_changes_nothing_posts_nothing(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme")
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    [done] = await sink.write([Update(id="C-1", changes=Account(name="Acme", phone=None), version=None)])
    assert isinstance(done, Written)
    assert not twin.asked("POST", "/api/erp/")


async def test_a_hash_that_goes_stale_in_between_is_read_again_once(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme", businessRelationCode="BR1")
    twin.put("supplierV2s", supplierCode="S-1", businessRelationCode="BR1")
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    twin.before("POST", "/customerV2s", lambda: twin.change("customerV2s", "C-1", taxZone="NO"))
    [done] = await sink.write([Update(id="C-1", changes=Account(phone="+46 8 2"), version=None)])
    assert isinstance(done, Written)
    assert (twin.stored("customerV2s", "C-1")["taxZone"], twin.stored("customerV2s", "C-1")["telephone"]) == ("NO", "+46 8 2")


async def test_somebody_elses_edit_of_a_field_of_ours_in_between_is_a_conflict(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme", businessRelationCode="BR1")
    twin.put("supplierV2s", supplierCode="S-1", businessRelationCode="BR1")
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    twin.before("POST", "/customerV2s", lambda: twin.change("supplierV2s", "S-1", addressName="Acme of Sam"))
    [outcome] = await sink.write([Update(id="C-1", changes=Account(phone="+46 8 2"), version=None)])
    assert isinstance(outcome, Conflict)  # the relation that both share has moved, and with it the companion hash
    assert twin.stored("customerV2s", "C-1")["addressName"] == "Acme of Sam"


async def test_what_is_mandatory_is_asked_for_before_anything_is_begun(twin: WatchedTwin, open_twin: Opener) -> None:
    defaults = {name: value for name, value in GL.items() if name != "creditTermsCode"}
    sink = open_twin(twin, entities={"account": {"create_defaults": defaults}}).sinks["account"]
    [refused] = await sink.write([create()])
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("MANDATORY", "payment_terms")
    assert "entities.account.create_defaults.creditTermsCode" in refused.fix
    assert not twin.asked("POST", "/api/erp/")


async def test_a_code_that_the_shared_set_does_not_have_is_told_with_qads_words(twin: WatchedTwin, open_twin: Opener) -> None:
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    [refused] = await sink.write([create(structs.replace(ACME, payment_terms="N99"))])
    assert isinstance(refused, Rejected)
    assert (refused.field, refused.code) == ("payment_terms", "QAD-1")
    assert refused.reason == "Field is mandatory (creditTermsCode = N99)"
    assert "reference table" in refused.fix


async def test_a_create_that_was_cut_off_anywhere_is_completed_by_being_done_again(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener
) -> None:
    for path in ("/businessRelationV2s", "/customerV2s", "/mfgCustomers"):
        for kind in ("lost_after", "lost_before"):
            twin = make_twin()
            sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
            twin.faults.add(Fault(kind, method="POST", path=path))  # type: ignore[arg-type]
            [outcome] = await sink.write([create()])
            assert isinstance(outcome, Unknown), (path, kind)
            [again] = await sink.write([create()])
            assert isinstance(again, Written), (path, kind)
            assert twin.codes("customerV2s") == ["C.10/1"]
            assert twin.codes("businessRelationV2s") == ["C.10/1"]
            assert twin.stored("mfgCustomers", "C.10/1")["siteCode"] == "10-100"
            twin.identity.forget()


async def test_a_customer_whose_answer_was_lost_has_its_domain_data_all_the_same(twin: WatchedTwin, open_twin: Opener) -> None:
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    twin.faults.add(Fault("lost_after", method="POST", path="/customerV2s"))
    [outcome] = await sink.write([create()])
    assert isinstance(outcome, Unknown)
    assert twin.stored("mfgCustomers", "C.10/1")["daybookSetCode"] == "SO"


async def test_a_name_that_only_the_relation_may_change_is_changed_there(
    make_twin: Callable[..., WatchedTwin], open_twin: Opener
) -> None:
    twin = make_twin(CLASSIC)
    twin.put("customerV2s", customerCode="C-1", addressName="Acme")
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    [done] = await sink.write([Update(id="C-1", changes=Account(name="Acme Holding"), version=None)])
    assert isinstance(done, Written)
    assert not done.warnings
    assert twin.stored("customerV2s", "C-1")["addressName"] == "Acme Holding"


async def test_a_customer_taken_out_of_use_is_inactive(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme")
    [done] = await open_twin(twin, entities={"account": ACCOUNT}).sinks["account"].write([Remove(id="C-1", version=None)])
    assert isinstance(done, Written)
    assert twin.stored("customerV2s", "C-1")["isActive"] is False


async def test_a_customer_never_gets_another_code(twin: WatchedTwin, open_twin: Opener) -> None:
    twin.put("customerV2s", customerCode="C-1", addressName="Acme")
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    [refused] = await sink.write([Update(id="C-1", changes=Account(number="C-2"), version=None)])
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("RENUMBERED", "number")


async def test_a_street_of_more_lines_than_qad_has_is_refused_and_not_cut(twin: WatchedTwin, open_twin: Opener) -> None:
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    [refused] = await sink.write([create(structs.replace(ACME, billing=Address(street="1\n2\n3\n4")))])
    assert isinstance(refused, Rejected)
    assert refused.field == "billing.street"


async def test_a_customer_is_found_by_a_text_with_a_comma_which_no_filter_can_hold(
    twin: WatchedTwin, open_twin: Opener
) -> None:
    for code, name in (("C-1", "Acme, Inc."), ("C-2", "Acme, Ltd"), ("C-3", "Acme")):
        twin.put("customerV2s", customerCode=code, addressName=name)
    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    keys = [Key("name", "Acme, Inc."), Key("name", "Acme"), Key("name", ",")]
    found = await sink.find(keys)
    assert [[record.id for record in found[key]] for key in keys] == [["C-1"], ["C-3"], []]


async def test_writes_of_two_kinds_follow_one_another(twin: WatchedTwin, open_twin: Opener) -> None:
    import asyncio

    sink = open_twin(twin, entities={"account": ACCOUNT}).sinks["account"]
    entities = [structs.replace(ACME, number=f"C-{n}") for n in range(4)]
    await asyncio.gather(*(sink.write([create(entity)]) for entity in entities))
    posts = [request.path.rpartition("/")[2] for request in twin.requests if request.method == "POST"][1:]
    assert posts == ["businessRelationV2s", "customerV2s", "mfgCustomers"] * 4
