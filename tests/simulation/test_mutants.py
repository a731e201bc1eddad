"""Bugs planted in the engine, one at a time: each is caught by some seed, by the invariant that it breaks.

A seed counts only if the invariant holds there without the bug.
"""

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

import ml_connector.sync.absence
import ml_connector.sync.one_way
import ml_connector.sync.pipeline
import ml_connector.sync.prepare
import ml_connector.sync.read
import ml_connector.sync.settle
import ml_connector.testing.notices
from ml_connector.domain import UNSET
from ml_connector.flows import Flow
from ml_connector.flows.fields import Projection
from ml_connector.ports.sink import Rejected, Update
from ml_connector.ports.state import End, Settlement
from ml_connector.simulation import memory_pair, verdict_on
from ml_connector.simulation.guarantees import BLIND, DOUBLED, FENCED, FORGED, LEDGER, LIMITS, LOOPS, LOST, RESTS
from ml_connector.sync import content
from ml_connector.sync.decide import Leave, Set
from ml_connector.sync.job import Pages
from ml_connector.sync.pipeline import Pipeline
from ml_connector.sync.prepare import Preparer
from ml_connector.sync.two_way import TwoWay
from ml_connector.sync.watch import Watch
from ml_connector.sync.write import Writer
from ml_connector.testing.state import MemoryLeases
from ml_connector.use_cases.run_flow import _Run

Plant = Callable[[pytest.MonkeyPatch], None]
MUTANTS: dict[str, tuple[Plant, tuple[str, ...]]] = {}
SEEDS = 300
"""A mutant that so many seeds do not catch has escaped."""


def mutant(*invariants: str) -> Callable[[Plant], Plant]:
    """Register a bug, with the invariants by one of which it must be caught."""

    def register(plant: Plant) -> Plant:
        MUTANTS[plant.__name__] = (plant, invariants)
        return plant

    return register


@functools.cache
def broken_without(seed: int) -> frozenset[str]:
    """The invariants that the seed breaks without any planted bug: none, unless the engine has a bug of its own."""
    return frozenset(each.invariant for each in verdict_on(memory_pair, seed).broken)


@mutant(LOST, RESTS)
def cursor_saved_early(patch: pytest.MonkeyPatch) -> None:
    def frontier(self: Any) -> Any:
        cursors = [cursor for cursor in self._cursors.values() if cursor is not None]
        return cursors[-1] if cursors else UNSET

    patch.setattr(Pages, "frontier", frontier)


@mutant(DOUBLED, LEDGER)
def creates_leave_without_an_intent(patch: pytest.MonkeyPatch) -> None:
    async def declare(self: Any, creates: Any) -> None: ...

    patch.setattr(Pipeline, "_declare", declare)


@mutant(DOUBLED, LEDGER)
def intent_opened_after_the_call(patch: pytest.MonkeyPatch) -> None:
    waiting: list[Any] = []
    declare, settle = Pipeline._declare, Pipeline._settle

    async def later(self: Any, creates: Any) -> None:
        self._undeclared = [*getattr(self, "_undeclared", []), *creates]

    async def perform(self: Any, jobs: Any, leave: Any) -> None:
        await sent(self, jobs, leave)
        pipeline = waiting[-1]
        mine = [job for job in jobs if job in getattr(pipeline, "_undeclared", [])]
        await declare(pipeline, mine)

    async def remember(self: Any) -> None:
        waiting.append(self)
        await settle(self)

    sent = Writer.perform
    patch.setattr(Pipeline, "_declare", later)
    patch.setattr(Pipeline, "_settle", remember)
    patch.setattr(Writer, "perform", perform)


class _Wrapped:
    def __init__(self, inside: Any) -> None:
        self._inside = inside

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)


@mutant(RESTS, LEDGER)
def batch_results_misaligned(patch: pytest.MonkeyPatch) -> None:
    class Turned(_Wrapped):
        async def write(self, writes: Any) -> Any:
            outcomes = await self._inside.write(writes)
            return outcomes[1:] + outcomes[:1]

    _wrap_sink(patch, Turned)


def _wrap_sink(patch: pytest.MonkeyPatch, wrap: Any) -> None:
    begin = Writer.__init__

    def init(self: Any, rules: Any, sink: Any, *rest: Any, **named: Any) -> None:
        begin(self, rules, wrap(sink), *rest, **named)

    patch.setattr(Writer, "__init__", init)


@mutant(LEDGER)
def echo_check_off(patch: pytest.MonkeyPatch) -> None:
    see = Watch._see
    patch.setattr(
        Watch,
        "_see",
        lambda self, link, record, batch: see(self, msgspec.structs.replace(link, right=End(link.right.id)), record, batch),
    )


@mutant(FENCED)
def lease_unfenced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MemoryLeases, "hold", lambda self, lease: None)


@mutant(BLIND)
def unset_written_as_null(patch: pytest.MonkeyPatch) -> None:
    only = content.only

    def nulled(entity: Any, names: Any) -> Any:
        reduced = only(entity, names)
        empty = {name: None for name in ("email", "industry", "description", "phone") if getattr(reduced, name, 0) is UNSET}
        return msgspec.structs.replace(reduced, **empty)

    patch.setattr(content, "only", nulled)


@mutant(LOST)
def parked_record_dropped(patch: pytest.MonkeyPatch) -> None:
    def park(self: Any, job: Any, parent: Any) -> None:
        job.link = msgspec.structs.replace(job.link, standing="skipped")
        job.end("parked", None)

    patch.setattr(Preparer, "_park", park)


@mutant(LOST, RESTS)
def lost_answer_taken_as_success(patch: pytest.MonkeyPatch) -> None:
    async def look_up(self: Any, doubtful: Any) -> list[Any]:
        for job in doubtful:
            self._rules.written(job, "updated", None)
        return []

    patch.setattr(Writer, "_look_up", look_up)


@mutant(DOUBLED)
def lost_answer_blindly_repeated(patch: pytest.MonkeyPatch) -> None:
    async def look_up(self: Any, doubtful: Any) -> list[Any]:
        return list(doubtful)

    patch.setattr(Writer, "_look_up", look_up)


@mutant(LOST)
def lost_answer_taken_as_failure(patch: pytest.MonkeyPatch) -> None:
    async def look_up(self: Any, doubtful: Any) -> list[Any]:
        for job in doubtful:
            job.link = msgspec.structs.replace(job.link, standing="rejected")
            job.end("rejected", "rejected", reason="no answer")
        return []

    patch.setattr(Writer, "_look_up", look_up)


@mutant(BLIND)
def written_without_the_version(patch: pytest.MonkeyPatch) -> None:
    write = Writer._write

    def unguarded(self: Any, job: Any) -> Any:
        made = write(self, job)
        return msgspec.structs.replace(made, version=None) if isinstance(made, Update) else made

    patch.setattr(Writer, "_write", unguarded)


@mutant(RESTS, LOST)
def older_of_two_wins(patch: pytest.MonkeyPatch) -> None:
    async def fresh(self: Any, records: Any) -> list[Any]:
        kept: dict[str, Any] = {}
        for record in records:
            if record.id in kept or record.id in self._flying:
                ml_connector.sync.pipeline.tally(self._run.counts, "unchanged")
            else:
                kept[record.id] = record
        return list(kept.values())

    patch.setattr(Pipeline, "_fresh", fresh)


@mutant(LEDGER)
def ledger_counts_a_write_twice(patch: pytest.MonkeyPatch) -> None:
    tally = ml_connector.sync.settle.tally
    patch.setattr(
        ml_connector.sync.settle,
        "tally",
        lambda counts, term, amount=1: tally(counts, term, amount * (1 + (term == "written"))),
    )


@mutant(LEDGER)
def ledger_counts_writes_as_unchanged(patch: pytest.MonkeyPatch) -> None:
    tally = ml_connector.sync.settle.tally
    patch.setattr(
        ml_connector.sync.settle,
        "tally",
        lambda counts, term, amount=1: tally(counts, "unchanged" if term == "written" else term, amount),
    )


@mutant(BLIND, LEDGER)
def audit_entry_missing(patch: pytest.MonkeyPatch) -> None:
    settlement = ml_connector.sync.settle.settlement

    def forgetful(*args: Any) -> Settlement:
        batch = settlement(*args)
        batch.audit = [entry for entry in batch.audit if entry.action != "updated"]
        return batch

    patch.setattr(ml_connector.sync.pipeline, "settlement", forgetful)


@mutant(BLIND)
def audit_tells_the_new_value_as_the_old(patch: pytest.MonkeyPatch) -> None:
    between = content.changes_between

    def blurred(old: Any, new: Any, *rest: Any) -> Any:
        return between(new, new, *rest)

    patch.setattr(content, "changes_between", blurred)


@mutant(LOST)
def gone_after_one_sweep(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ml_connector.sync.absence, "STRIKES", 1)


@mutant(LOST)
def mass_disappearance_believed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ml_connector.sync.absence, "BRAKE_LEAST", 10**6)


@mutant(BLIND)
def notice_handled_before_it_is_settled(patch: pytest.MonkeyPatch) -> None:
    carry = Watch.carry

    async def hasty(self: Any, batches: Any, where: Any, *, notices: Any = ()) -> Any:
        if notices:
            await self._state.settle(self._lease, Settlement(run=self._run, handled_notices=list(notices)))
        return await carry(self, batches, where)

    patch.setattr(Watch, "carry", hasty)


@mutant(FORGED)
def forged_notice_accepted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ml_connector.testing.notices, "hmac", SimpleNamespace(compare_digest=lambda one, other: True))


@mutant(LIMITS)
def retry_after_ignored(patch: pytest.MonkeyPatch) -> None:
    class Hasty(_Wrapped):
        async def sleep(self, seconds: float) -> None: ...

    begin = Writer.__init__

    def init(self: Any, rules: Any, sink: Any, links: Any, clock: Any, **named: Any) -> None:
        begin(self, rules, sink, links, Hasty(clock), **named)

    patch.setattr(Writer, "__init__", init)


@mutant(BLIND)
def where_ignored(patch: pytest.MonkeyPatch) -> None:
    begin = Projection.__init__

    def init(self: Any, flow: Any, *rest: Any) -> None:
        begin(self, msgspec.structs.replace(flow, where=None), *rest)

    patch.setattr(Projection, "__init__", init)


@mutant(DOUBLED, LEDGER, LOST, BLIND)
def open_intents_forgotten(patch: pytest.MonkeyPatch) -> None:
    async def forget(self: Any, itinerary: Any) -> None: ...

    patch.setattr(_Run, "_settle_doubt", forget)


@mutant(BLIND, LEDGER)
def edits_over_there_not_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Watch, "_tell", lambda self, link, batch, reason, changes: None)


@mutant(LOST)
def one_refusal_sinks_its_batch(patch: pytest.MonkeyPatch) -> None:
    class Sinking(_Wrapped):
        async def write(self, writes: Any) -> Any:
            outcomes = await self._inside.write(writes)
            refused = next((each for each in outcomes if isinstance(each, Rejected)), None)
            return [refused] * len(outcomes) if refused else outcomes

    _wrap_sink(patch, Sinking)


@mutant(RESTS, LOST)
def refs_not_translated(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ml_connector.sync.one_way, "with_refs", lambda entity, names: entity)


@mutant(LOST)
def nothing_is_tried_again(patch: pytest.MonkeyPatch) -> None:
    async def never(self: Any, *arguments: Any, **named: Any) -> None: ...

    patch.setattr(_Run, "_retry_due", never)


@mutant(RESTS)
def clearing_ignored(patch: pytest.MonkeyPatch) -> None:
    changed = content.changed_fields

    def deaf(new: Any, old: Any) -> list[str]:
        return [name for name in changed(new, old) if getattr(new, name.partition(".")[0]) is not None]

    patch.setattr(content, "changed_fields", deaf)


@mutant(RESTS)
def what_did_not_change_is_written_again(patch: pytest.MonkeyPatch) -> None:
    decide = ml_connector.sync.one_way.decide

    def eager(flow: Any, desired: Any, link: Any, held: Any) -> Any:
        decision = decide(flow, desired, link, held)
        return Set(("name",), "to be sure") if isinstance(decision, Leave) else decision

    patch.setattr(ml_connector.sync.one_way, "decide", eager)
    for module in (ml_connector.sync.prepare, ml_connector.sync.read):
        patch.setattr(module, "standing_term", lambda standing: None)


@mutant(BLIND)
def the_left_owns_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Flow, "owner_of", lambda self, path: "left")


@mutant(RESTS)
def the_way_back_is_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TwoWay, "_owe", lambda self, job: None)


@mutant(LOOPS)
def what_the_vendor_made_of_it_is_not_learnt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TwoWay, "learns", property(lambda self: False))


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, invariants = MUTANTS[name]
    for seed in range(SEEDS):
        with monkeypatch.context() as patch:
            plant(patch)
            broken = [each for each in verdict_on(memory_pair, seed).broken if each.invariant in invariants]
        if broken and not broken_without(seed).issuperset(each.invariant for each in broken):
            print(f"{name}: seed {seed}, {broken[0]}")
            return
    pytest.fail(f"{name} escaped {SEEDS} seeds")
