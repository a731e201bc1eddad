"""Undo what a run wrote: its before-images, restored where nobody has touched the record since.

What the sides last agreed on stays on the link, and what stands on the written side now is kept beside it as held there. So the
next run does not write the undone change again; the field's next change at its source does.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from ml_connector.domain import UNSET, Kind, RemoteId, Side, Version
from ml_connector.errors import RetryLater
from ml_connector.flows import Flow
from ml_connector.flows.fields import refs_of, with_refs
from ml_connector.ports.sink import Conflict, Later, Rejected, Unknown, Written
from ml_connector.ports.state import Action, AuditEntry, AuditRecord, Change, Lease, Run, Settlement, State
from ml_connector.sync import content
from ml_connector.sync.job import Term
from ml_connector.sync.passage import Ends, Itinerary, Passage, World, plan_out
from ml_connector.sync.restore import WRITES, Deed, deeds
from ml_connector.sync.rules import There
from ml_connector.sync.settle import tally
from ml_connector.sync.way import ways
from ml_connector.sync.write import TRIES
from ml_connector.use_cases.booking import booked, verdict

CHUNK: Final = 100
"""How many records are looked at together."""

_ACTION: Final[Mapping[Term, Action]] = {
    "written": "undone",
    "unchanged": "noted",
    "skipped": "skipped",
    "conflicted": "conflicted",
    "rejected": "rejected",
    "unknown": "in_doubt",
}


class Undone(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one record that the run wrote.

    ``term``: written (restored), unchanged (it stands like that already), or left out: conflicted (somebody wrote it since),
    skipped (what stood there before is not known), rejected (the vendor refuses), unknown (the answer was lost).
    """

    kind: Kind
    number: str
    connection: str  # where it was written
    term: Term
    reason: str = ""  # why it was left out, or what of it
    changes: tuple[Change, ...] = ()  # from what the run wrote to what stands there now


async def flow_of(run: str, state: State) -> str | None:
    """The flow of a run, by what the audit tells of it; None when it tells nothing."""
    async for record in state.ledger.entries(run=run):
        return record.entry.flow
    return None


async def undo(
    flow: Flow,
    run: str,
    ends: Ends,
    world: World,
    *,
    records: Collection[tuple[Kind, str]] = (),
    told: Callable[[Undone], None] = lambda undone: None,
) -> Run:
    """Restore what the run with this id wrote, as a run of its own, which can be undone in its turn.

    ``records`` (kind on either side, number) narrows it to these. ``told`` hears of every record as soon as it is settled.
    Returns the ended run: green, or attention when something was left out or waits. Raises what ``run_flow`` raises.
    """
    async with booked(flow, world) as (undoing, lease):
        undoing.note = f"undo of run {run}"
        work = _Undo(flow, run, world, await plan_out(flow, ends, world), records)
        whole = True
        async for chunk in work.chunks():
            undoing.counts.read += len(chunk)
            async for settled in work.carry_out(chunk, undoing, lease):
                whole = whole and all(deed.whole for deed in settled)
                for deed in settled:
                    told(work.tell(deed))
        undoing.outcome = await verdict(flow, world, undoing)
        if undoing.outcome == "green" and not whole:
            undoing.outcome = "attention"
    return undoing


async def foresee(
    flow: Flow, run: str, ends: Ends, world: World, *, records: Collection[tuple[Kind, str]] = ()
) -> AsyncIterator[Undone]:
    """What ``undo`` would do as things stand, by looking alone: "written" is what would be restored."""
    work = _Undo(flow, run, world, await plan_out(flow, ends, world), records)
    async for chunk in work.chunks():
        for deed in chunk:
            deed.term = deed.term or "written"
            yield work.tell(deed)


class _Undo:
    """The undoing of one run, chunk by chunk."""

    def __init__(self, flow: Flow, run: str, world: World, itinerary: Itinerary, records: Collection[tuple[Kind, str]]) -> None:
        self._flow, self._run = flow, run
        self._state, self._clock = world.state, world.clock
        self._numbers = {number for kind, number in records if kind in (flow.entity, flow.target)} if records else None
        self._passages = {way.far: itinerary.passage(way, anew=False, creates=False) for way in ways(flow)}

    def tell(self, deed: Deed) -> Undone:
        assert deed.term is not None
        return Undone(
            kind=deed.entry.kind,
            number=deed.entry.number,
            connection=self._flow.connection(deed.entry.side),
            term=deed.term,
            reason=deed.reason,
            changes=deed.undone if deed.term == "written" else (),
        )

    async def chunks(self) -> AsyncIterator[list[Deed]]:
        """What the run wrote, compared with what stands there; a Deed without a term wants writing. One side at a time, so
        that what is settled of a record on one side is known when its other side comes."""
        chunk: dict[Side, list[Deed]] = {"right": [], "left": []}
        async for record in self._state.ledger.entries(run=self._run):
            for deed in await self._begun(record):
                chunk[deed.entry.side].append(deed)
            for side in chunk:
                if len(chunk[side]) >= CHUNK:
                    yield await self._judged(side, chunk[side])
                    chunk[side] = []
        for side, rest in chunk.items():
            yield await self._judged(side, rest)

    async def _begun(self, record: AuditRecord) -> list[Deed]:
        """Everything the run did to a record, when this is the first entry that tells of it."""
        entry = record.entry
        asked = self._numbers is None or entry.number in self._numbers
        if entry.flow != self._flow.name or entry.action not in WRITES or not asked:
            return []
        first, found = deeds([each async for each in self._state.ledger.entries(link=entry.link)], self._run)
        return found if record.seq == first else []

    async def _judged(self, side: Side, mine: list[Deed]) -> list[Deed]:
        where = self._flow.connection(side)
        if (passage := self._passages.get(side)) is None:
            for deed in mine:
                deed.finish("skipped", f"the flow does not write at {where} any more")
            return mine
        links = await self._state.links.by_id(self._flow.name, side, [deed.id for deed in mine])
        for deed in mine:
            link = links.get(deed.id)
            deed.link = link if link is not None and link.id == deed.entry.link else None
            deed.prepare(where)
        if passage.rules.sees:
            there = await passage.rules.look([deed.id for deed in _open(mine)])
            for deed in _open(mine):
                deed.compare(there.get(deed.id), where)
        await self._translate(side, _open(mine), passage)
        return mine

    async def _translate(self, side: Side, mine: Sequence[Deed], passage: Passage) -> None:
        """The old values as the written side says them."""
        refs = {ref for deed in mine if deed.before is not None for ref in refs_of(deed.before)}
        names = dict.fromkeys(refs, UNSET) | (await passage.crosswalk.names("right", refs) if side == "left" and refs else {})
        for deed in mine:
            if deed.before is None:
                continue
            deed.sent = sent = deed.before if side == "right" else with_refs(deed.before, names)
            if strange := [path for path in deed.paths if not content.tells(sent, path)]:
                deed.finish("skipped", f"what it named has no counterpart any more: {', '.join(strange)}")

    async def carry_out(self, chunk: Sequence[Deed], run: Run, lease: Lease) -> AsyncIterator[list[Deed]]:
        """Write a chunk batch by batch; every deed comes back ended and settled."""
        ended, wanted = [deed for deed in chunk if deed.term is not None], _open(chunk)
        await self._settle(ended, run, lease)
        yield ended
        while wanted:
            passage = self._passages[wanted[0].entry.side]
            batch, wanted = wanted[: passage.sink.limits.batch], wanted[passage.sink.limits.batch :]
            await self._announce(batch, run, lease)
            try:
                await self._perform(batch, passage)
            finally:
                await self._settle(batch, run, lease)
            yield batch

    async def _announce(self, batch: Sequence[Deed], run: Run, lease: Lease) -> None:
        """Before writes leave, the links say what will stand there: after a crash they would pass for a person's edits."""
        links = [deed.held(None, deed.version) for deed in batch]
        await self._state.settle(lease, Settlement(run=run, links=links))

    async def _perform(self, batch: Sequence[Deed], passage: Passage) -> None:
        """End every deed of a batch. Raises what stops a flow (AuthRejected, RetryLater, ContractBroken)."""
        left = list(batch)
        for attempt in range(TRIES):
            landed: list[tuple[Deed, Version | None]] = []
            doubtful: list[Deed] = []
            busy: list[Deed] = []
            pause = 0.0
            outcomes = await passage.sink.write([deed.write() for deed in left])
            for deed, outcome in zip(left, outcomes, strict=True):
                match outcome:
                    case Written(version=version):
                        landed.append((deed, version))
                    case Rejected(code=code, field=field, reason=reason):
                        deed.finish("rejected", f"{code}, {field}: {reason}" if field else f"{code}, {reason}")
                    case Conflict(current=current):
                        what = "edited" if current is not None else "deleted"
                        deed.finish("conflicted", f"{what} at {passage.way.target} since")
                    case Unknown():
                        doubtful.append(deed)
                    case Later(after_s=after):
                        busy.append(deed)
                        pause = max(pause, after if after is not None else 2.0**attempt)
            found, again = await self._look_up(doubtful, passage)
            await self._land([*landed, *found], passage)
            left = [*busy, *again]
            if not left:
                return
            if pause and attempt + 1 < TRIES:
                await self._clock.sleep(pause)
        for deed in left:
            deed.finish("conflicted", f"{passage.way.target} did not take it in several tries; undo the run again")

    async def _look_up(
        self, doubtful: Sequence[Deed], passage: Passage
    ) -> tuple[list[tuple[Deed, Version | None]], list[Deed]]:
        """Answers were lost: what landed after all, and what certainly did not. What cannot be told stays in doubt."""
        landed: list[tuple[Deed, Version | None]] = []
        again: list[Deed] = []
        there = await self._look(doubtful, passage)
        for deed in doubtful:
            found = there.get(deed.id)
            if found is None:
                deed.finish("unknown", "the answer was lost, and nothing can be seen there now; undo the run again")
            elif found.record.version == deed.version:
                again.append(deed)
            elif deed.stands_at(found.entity) or (deed.made and found.record.by_us):
                landed.append((deed, found.record.version))
            else:
                deed.finish("unknown", "the answer was lost, and something else stands there now; look at it")
        return landed, again

    async def _look(self, mine: Sequence[Deed], passage: Passage) -> dict[RemoteId, There]:
        try:
            return await passage.rules.look([deed.id for deed in mine])
        except RetryLater:
            return {}

    async def _land(self, landed: Sequence[tuple[Deed, Version | None]], passage: Passage) -> None:
        there = await self._look([deed for deed, _ in landed], passage)
        for deed, version in landed:
            found = there.get(deed.id)
            exact = found is not None and found.record.version == version
            deed.land(found.entity if found is not None and exact else None, version)

    async def _settle(self, batch: Sequence[Deed], run: Run, lease: Lease) -> None:
        """Links of all (what was not written stands again as before); counts and audit of what has ended."""
        if not batch:
            return
        settlement = Settlement(run=run, links=[deed.link for deed in batch if deed.link is not None])
        for deed in batch:
            if deed.term is not None:
                tally(run.counts, deed.term)
                settlement.audit.append(self._entry(deed, deed.term, run))
        await self._state.settle(lease, settlement)

    def _entry(self, deed: Deed, term: Term, run: Run) -> AuditEntry:
        entry, link = deed.entry, deed.link
        return AuditEntry(
            at=self._clock.now(),
            run=run.id,
            flow=run.flow,
            trace_id=run.trace_id,
            kind=entry.kind,
            number=entry.number,
            link=entry.link,
            action=_ACTION[term],
            left=link.left.place if link is not None else entry.left,
            right=link.right.place if link is not None else entry.right,
            side=entry.side,
            rule=f"undo of run {self._run}",
            reason=deed.reason,
            changes=deed.undone if term == "written" else (),
        )


def _open(mine: Iterable[Deed]) -> list[Deed]:
    return [deed for deed in mine if deed.term is None]
