"""Laws of the three-way merge, as properties: of single fields, of parts, of lines, and of what both sides come to hold."""

from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ml_connector.domain import UNSET, Account, Address, Extra, Line, Order
from ml_connector.flows import Flow
from ml_connector.sync import content
from ml_connector.sync.merge import Merged, View, merge

LEFT = Flow(name="f", left="erp", right="crm", entity="account", target="account", two_way=True, owner="left")
OWNERS = st.sampled_from(["left", "right", "newest", "ask"])

texts = st.sampled_from(["a", "b", "c", None, UNSET])
accounts = st.builds(
    Account,
    name=texts,
    phone=texts,
    billing=st.one_of(st.just(UNSET), st.builds(Address, street=texts, city=texts)),
    extra=st.one_of(st.just(UNSET), st.dictionaries(st.sampled_from("xyz"), st.sampled_from(["1", "2", None])).map(Extra)),
)
lines = st.lists(
    st.builds(Line, key=st.sampled_from(["1", "2", "3"]), quantity=st.integers(1, 3).map(Decimal), unit=st.sampled_from("mk")),
    max_size=3,
    unique_by=lambda line: line.key,
).map(tuple)
flows = st.builds(lambda owner: msgspec.structs.replace(LEFT, owner=owner), OWNERS)
newest = st.sampled_from(["left", "right", None])


def after(view: View, merged: Merged, paths: tuple[str, ...]) -> Any:
    """What a side holds when what it owes was written to it."""
    return content.put(view.now, {path: content.value_at(merged.entity, path) for path in paths})


def values(entity: Any) -> dict[str, Any]:
    paths = content.changed_fields(entity, None)
    whole = [
        part
        for path in paths
        for part in (
            [f"billing.{p}" for p in content.parts_of(entity.billing)] if path == "billing" and entity.billing else [path]
        )
    ]
    return {path: content.value_at(entity, path) for path in whole}


@given(flows, accounts, accounts, accounts, accounts, newest)
def test_nothing_is_written_where_nothing_moved(flow: Flow, base_l: Any, base_r: Any, _a: Any, _b: Any, newer: Any) -> None:
    merged = merge(flow, View(base_l, base_l), View(base_r, base_r), newer=newer)
    assert (merged.to_left, merged.to_right, merged.same, merged.clashes) == ((), (), (), ())


@given(flows, accounts, accounts, newest)
def test_what_one_side_alone_changed_goes_to_the_other_and_nowhere_else(flow: Flow, base: Any, now: Any, newer: Any) -> None:
    merged = merge(flow, View(base, now), View(base, base), newer=newer)
    known = {path for path, value in values(now).items() if content.value_at(base, path) is not UNSET}
    moved = {path for path in known if content.value_at(now, path) != content.value_at(base, path)}
    assert known.isdisjoint(merged.to_left)
    assert not {clash.field for clash in merged.clashes} & known
    assert {path for path in moved if path not in merged.same} == set(merged.to_right) & known


@given(flows, accounts, accounts, accounts, accounts, newest)
def test_both_sides_end_alike_and_a_second_merge_has_nothing_to_do(
    flow: Flow, base_l: Any, base_r: Any, now_l: Any, now_r: Any, newer: Any
) -> None:
    left, right = View(base_l, now_l), View(base_r, now_r)
    merged = merge(flow, left, right, newer=newer)
    new_l, new_r = after(left, merged, merged.to_left), after(right, merged, merged.to_right)
    for path in {*merged.to_left, *merged.to_right, *merged.same}:
        assert content.alike(content.value_at(new_l, path), content.value_at(new_r, path)), path
    again = merge(flow, View(new_l, new_l), View(new_r, new_r), newer=newer)
    assert (again.to_left, again.to_right) == ((), ())


@given(flows, accounts, accounts, accounts, newest)
def test_the_sides_may_be_swapped_with_their_owners(flow: Flow, base: Any, now_l: Any, now_r: Any, newer: Any) -> None:
    other: dict[str, Any] = {"left": "right", "right": "left"}
    mirrored = msgspec.structs.replace(flow, left=flow.right, right=flow.left, owner=other.get(flow.owner, flow.owner))
    one = merge(flow, View(base, now_l), View(base, now_r), newer=newer)
    two = merge(mirrored, View(base, now_r), View(base, now_l), newer=other.get(newer, newer))
    assert (set(one.to_left), set(one.to_right)) == (set(two.to_right), set(two.to_left))
    assert {clash.field for clash in one.clashes} == {clash.field for clash in two.clashes}


@given(flows, accounts, accounts, accounts, newest)
def test_no_value_is_invented_and_unset_never_clears(flow: Flow, base: Any, now_l: Any, now_r: Any, newer: Any) -> None:
    merged = merge(flow, View(base, now_l), View(base, now_r), newer=newer)
    for path in (*merged.to_left, *merged.to_right):
        value = content.value_at(merged.entity, path)
        assert value is not UNSET
        assert value in (content.value_at(now_l, path), content.value_at(now_r, path))


@given(accounts, accounts, accounts)
def test_asking_writes_nothing_in_the_fields_that_clash(base: Any, now_l: Any, now_r: Any) -> None:
    asking = msgspec.structs.replace(LEFT, owner="ask")
    merged = merge(asking, View(base, now_l), View(base, now_r))
    assert not {clash.field for clash in merged.clashes} & {*merged.to_left, *merged.to_right, *merged.same}


@given(accounts, accounts)
def test_at_first_contact_an_empty_field_never_wins_over_a_filled_one(now_l: Any, now_r: Any) -> None:
    for owner in ("left", "right"):
        flow = msgspec.structs.replace(LEFT, owner=owner)
        merged = merge(flow, View(None, now_l), View(None, now_r))
        for path in (*merged.to_left, *merged.to_right):
            sides = (content.value_at(now_l, path), content.value_at(now_r, path))
            if any(value not in (None, UNSET, "") for value in sides):
                assert content.value_at(merged.entity, path) not in (None, UNSET, "")


def orders(some: Any) -> Order:
    return Order(number="1", lines=some)


@given(st.sampled_from(["left", "right"]), lines, lines, lines)
def test_lines_are_merged_by_their_keys_and_both_sides_end_with_the_same(owner: Any, base: Any, now_l: Any, now_r: Any) -> None:
    flow = Flow(name="f", left="erp", right="crm", entity="order", target="order", two_way=True, owner=owner)
    left, right = View(orders(base), orders(now_l)), View(orders(base), orders(now_r))
    merged = merge(flow, left, right)
    ends = [after(left, merged, merged.to_left), after(right, merged, merged.to_right)]
    one, two = ({line.key: line for line in end.lines} for end in ends)
    assert one == two
    was, here, there = ({line.key: line for line in some} for some in (base, now_l, now_r))
    for key in {*was, *here, *there}:
        if here.get(key) == was.get(key):
            assert one.get(key) == there.get(key)
        elif there.get(key) == was.get(key):
            assert one.get(key) == here.get(key)


def test_a_line_that_one_side_changed_and_the_other_deleted_is_a_clash_for_the_owner() -> None:
    line, more = Line(key="1", quantity=Decimal(1)), Line(key="1", quantity=Decimal(2))
    for owner, kept in (("left", (more,)), ("right", ())):
        flow = Flow(name="f", left="erp", right="crm", entity="order", target="order", two_way=True, owner=owner)  # type: ignore[arg-type]
        merged = merge(flow, View(orders((line,)), orders((more,))), View(orders((line,)), orders(())))
        assert merged.entity.lines == kept  # type: ignore[union-attr]


def test_lines_that_are_asked_about_wait_whole_with_each_clash_named() -> None:
    line = Line(key="1", quantity=Decimal(1))
    asking = Flow(name="f", left="erp", right="crm", entity="order", target="order", two_way=True, owner="ask")
    two, three = (msgspec.structs.replace(line, quantity=Decimal(n)) for n in (2, 3))
    merged = merge(asking, View(orders((line,)), orders((two,))), View(orders((line,)), orders((three,))))
    assert [(clash.field, clash.left, clash.right) for clash in merged.clashes] == [("lines[1].quantity", "2", "3")]
    assert (merged.to_left, merged.to_right) == ((), ())
