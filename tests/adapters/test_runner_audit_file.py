"""An exported audit proves itself, away from the state: whatever is done to it is found, and named by its number."""

import io
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_world import MORNING, entry, keep

from ml_connector.errors import ConfigError
from ml_connector.ports.state import AuditEntry, AuditRecord, Change, End
from ml_connector_adapters.runner.audit_file import Only, Verdict, export, verify
from ml_connector_adapters.store import Store
from ml_connector_adapters.store.ledger import START, chained


class Chain:
    """A ledger of these entries."""

    def __init__(self, entries: Iterable[AuditEntry]) -> None:
        self.told = entries

    async def entries(self, **which: object) -> AsyncIterator[AuditRecord]:
        before = START
        for seq, told in enumerate(self.told, 1):
            before = chained(before, seq, told)
            yield AuditRecord(seq=seq, entry=told, hash=before)


async def exported(entries: Iterable[AuditEntry], **options: Any) -> list[str]:
    return [line async for line in export(Chain(entries), "acme", **options)]  # type: ignore[arg-type]


def verified(lines: Iterable[str]) -> Verdict:
    return verify(io.BytesIO("".join(f"{line}\n" for line in lines).encode()), "audit.jsonl")


def days(count: int = 7) -> list[AuditEntry]:
    return [
        entry(str(n), run=f"run-{n % 2}", kind="deal" if n % 3 else "account", at=MORNING + timedelta(hours=n))
        for n in range(1, count + 1)
    ]


def drawn_at(lines: list[str], line: int, **members: Any) -> list[str]:
    """The same with other members in one line."""
    told = msgspec.json.decode(lines[line]) | members
    return [*lines[:line], msgspec.json.encode(told).decode(), *lines[line + 1 :]]


async def test_a_whole_audit_is_whole_and_a_piece_of_it_goes_on_from_the_hash_before_it() -> None:
    assert verified(await exported(days())) == Verdict(entries=7)
    piece = await exported(days(), since=MORNING + timedelta(hours=4))
    first = msgspec.json.decode(piece[0])
    assert first["after"] == {"seq": 3, "hash": msgspec.json.decode((await exported(days()))[3])["hash"]}
    assert verified(piece) == Verdict(entries=4)
    assert verified(await exported([])) == Verdict(entries=0)
    assert verified(await exported(days(), since=MORNING + timedelta(days=9))) == Verdict(entries=0)


async def test_a_piece_has_no_hole_where_the_clocks_of_two_workers_differ() -> None:
    late = [msgspec.structs.replace(each, at=MORNING) if each.number == "6" else each for each in days()]
    assert verified(await exported(late, since=MORNING + timedelta(hours=4))) == Verdict(entries=4)


@pytest.mark.parametrize("only", [Only(run="run-1"), Only(kinds=("account",)), Only(number="3", run="run-1")])
async def test_of_a_selection_every_entry_is_checked_for_itself(only: Only) -> None:
    lines = await exported(days(), only=only)
    assert verified(lines) == Verdict(entries=len(lines) - 2, only=only)
    assert verified(drawn_at(lines, 1, reason="as agreed")).first_broken == msgspec.json.decode(lines[1])["seq"]


async def test_a_selection_tells_that_entries_are_missing_though_not_which() -> None:
    lines = await exported(days(), only=Only(run="run-1"))
    assert "which it is cannot be told" in verified([*lines[:2], *lines[3:]]).what
    assert verified([*lines[:1], lines[2], lines[1], *lines[3:]]).first_broken == 1
    assert "does not belong to what" in verified(drawn_at(lines, 0, only={"run": "run-0"})).what
    assert verified(lines[:-1]).first_broken == 8


async def test_in_a_selection_neighbours_must_fit_each_other() -> None:
    lines = await exported(days(), only=Only(kinds=("deal",)))
    forged = msgspec.structs.replace(days()[1], reason="as agreed")
    given_ = {"reason": "as agreed", "before": "f" * 64, "hash": chained("f" * 64, 2, forged)}
    assert verified(drawn_at(lines, 2, **given_)).first_broken == 2


async def test_where_the_end_does_not_fit_it_says_why() -> None:
    lines = await exported(days())
    assert verified([*lines[:7], lines[8]]).what == "entry 7 is missing: the export ended at 7"
    assert verified([*lines[:8], (await exported(days(6)))[-1]]).what == "entry 7 was put in: the export ended at 6"
    behind = verified([*lines, lines[7]])
    assert (behind.line, behind.what) == (10, "something was put behind the file's end")


VALUES = {
    "at": "2026-01-05T08:00:01Z",
    "run": "run-9",
    "flow": "customers",
    "trace_id": "0",
    "kind": "order",
    "number": "10043",
    "link": "link-9",
    "action": "created",
    "left": {"id": "SO9", "version": '"v1"'},
    "right": {},
    "side": "left",
    "rule": "owner: zoho",
    "reason": "as agreed",
    "changes": [{"field": "note", "old": "by truck", "new": "by plane"}],
    "hash": "f" * 64,
    "seq": 99,
}
"""Another value of every member."""


@pytest.mark.parametrize("member", [*AuditEntry.__struct_fields__, "hash", "seq"])
async def test_another_value_of_any_member_is_found(member: str) -> None:
    lines = await exported(days())
    for at in (1, 4, 7):
        assert verified(drawn_at(lines, at, **{member: VALUES[member]})).first_broken == at
    assert verified(drawn_at(lines, 4, left={"id": "SO4", "version": '"v1"', "missed": 7})).first_broken == 4
    assert verified(drawn_at(lines, 4, signed="by the auditor")).first_broken == 4


texts = st.text(max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
changes = st.builds(
    Change,
    field=texts,
    old=st.just(msgspec.UNSET) | values,
    new=st.just(msgspec.UNSET) | values,
    rule=st.just(msgspec.UNSET) | texts,
)
ends = st.builds(End, id=st.none() | texts, version=st.none() | texts)
entries = st.builds(
    AuditEntry,
    at=st.integers(0, 10**12).map(lambda micros: MORNING + timedelta(microseconds=micros)),
    run=texts,
    flow=texts,
    trace_id=texts,
    kind=st.sampled_from(["account", "deal"]),
    number=texts,
    link=texts,
    action=st.sampled_from(["created", "updated", "drifted", "undone"]),
    left=ends,
    right=ends,
    side=st.sampled_from(["left", "right"]),
    rule=texts,
    reason=texts,
    changes=st.lists(changes, max_size=2).map(tuple),
)


def meddled(lines: list[str], told: list[AuditEntry], data: st.DataObject) -> tuple[list[str], int]:
    """The file after one deed, and the number of the first entry that does not fit by that."""
    at = data.draw(st.integers(1, len(told)), label="at")
    match data.draw(st.sampled_from(["change", "rehash", "remove", "swap", "insert", "repeat", "truncate"]), label="deed"):
        case "change" | "rehash" as deed:
            other = data.draw(entries.filter(lambda one: msgspec.to_builtins(one) != msgspec.to_builtins(told[at - 1])))
            before = msgspec.json.decode(lines[at - 1])["hash"] if at > 1 else START
            line = msgspec.to_builtins(other) | {"seq": at, "hash": msgspec.json.decode(lines[at])["hash"]}
            if deed == "rehash":  # a forger who knows the function
                line["hash"] = chained(before, at, other)
            forged = msgspec.json.encode(line).decode()
            return [*lines[:at], forged, *lines[at + 1 :]], at if deed == "change" else min(at + 1, len(told))
        case "remove":
            return [*lines[:at], *lines[at + 1 :]], at
        case "swap":
            to = data.draw(st.integers(1, len(told)).filter(lambda one: one != at), label="to") if len(told) > 1 else 0
            swapped = list(lines)
            swapped[at], swapped[to] = lines[to], lines[at]
            return swapped, min(at, to)
        case "insert":
            line = msgspec.to_builtins(data.draw(entries)) | {"seq": at, "hash": "0" * 64}
            return [*lines[:at], msgspec.json.encode(line).decode(), *lines[at:]], at
        case "repeat":
            return [*lines[: at + 1], lines[at], *lines[at + 1 :]], at + 1
        case _:
            return lines[:at], at


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(told=st.lists(entries, min_size=1, max_size=6), data=st.data())
async def test_any_one_thing_done_to_an_exported_chain_is_found(told: list[AuditEntry], data: st.DataObject) -> None:
    lines = await exported(told)
    assert verified(lines) == Verdict(entries=len(told))
    touched, first = meddled(lines, told, data)
    try:
        assert verified(touched).first_broken == first
    except ConfigError:
        assert touched[0] != lines[0]  # its head is another line


async def test_a_cut_in_the_middle_of_a_line_is_a_cut() -> None:
    whole = "".join(f"{line}\n" for line in await exported(days())).encode()
    for end in range(whole.index(b"\n") + 1, len(whole) - 1, 7):
        found = verify(io.BytesIO(whole[:end]), "audit.jsonl")
        assert found.first_broken == found.entries + 1


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "line 1 is not the first line"),
        (["Dear diary"], "line 1 is no JSON object"),
        (["{}"], "line 1 is not the first line"),
        (["[1]"], "line 1 is no JSON object"),
        (['{"audit": 2}'], "format 2; this program knows 1"),
        (['{"audit": 1, "workspace": "acme"}'], "line 1 is no line of an audit: .*after"),
        (["HEAD", "Dear diary"], "line 2 is no JSON object"),
        (["HEAD", '{"seq": 1}'], "line 2 is no line of an audit"),
        (["HEAD", '{"seq": "1", "hash": "0"}'], "line 2 is no line of an audit"),
        (["HEAD", '{"seq": 1, "hash": "0"}'], "line 2 is no line of an audit: .*at"),
        (["HEAD", '{"end": 7}'], "line 2 is no line of an audit"),
    ],
)
async def test_what_is_no_audit_file_is_refused_with_the_line_and_what_to_do(lines: list[str], complaint: str) -> None:
    [head, *_] = await exported([])
    with pytest.raises(ConfigError, match=complaint) as caught:
        verified([head if line == "HEAD" else line for line in lines])
    assert caught.value.where == "audit.jsonl"


async def test_what_the_store_chained_is_whole_as_a_file(store: Store) -> None:
    raw = Change(field="x", new=msgspec.Raw(b'{"decimal":"1.50","b":[1,null]}'))
    odd = [
        entry("1", side="left", right=End(), reason="Größe > 3 „m“\u2028", changes=(raw, Change(field="note", old=None))),
        entry("2", changes=(), at=MORNING + timedelta(microseconds=1)),
        *days(5),
    ]
    await keep(store, audit=odd)
    assert verified([line async for line in export(store.ledger, "acme")]) == Verdict(entries=7)


async def test_a_long_audit_is_exported_and_verified_in_flat_memory(tmp_path: Any) -> None:
    file = tmp_path / "audit.jsonl"
    tracemalloc.start()
    with file.open("w") as out:
        async for line in export(Chain(entry(str(n), reason="x" * 1000) for n in range(3000)), "acme"):  # type: ignore[arg-type]
            out.write(f"{line}\n")
    with file.open("rb") as lines:
        assert verify(lines, "audit.jsonl") == Verdict(entries=3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
