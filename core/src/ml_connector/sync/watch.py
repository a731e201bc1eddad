"""Looks at the written side: our own writes come back as echoes, edits and deletions made there are told as drift.

Nothing is written here; the flow's rule decides what becomes of drift (``decide``), at the next change or at once.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec

from ml_connector.domain import Cursor, Record
from ml_connector.flows import Flow
from ml_connector.ports.clock import Clock
from ml_connector.ports.state import LOST, AuditEntry, Change, End, Lease, Link, Run, Settlement, State
from ml_connector.sync import content
from ml_connector.sync.decide import drift_of
from ml_connector.sync.job import Term
from ml_connector.sync.read import Batch, Position
from ml_connector.sync.settle import tally

RULES: Final = {"restore": "drift: restored at once", "report": "drift: the owner wins at the next change"}


class Watch:
    """Carries what the right side says about itself into the links of one flow."""

    def __init__(self, flow: Flow, run: Run, lease: Lease, state: State, clock: Clock, returning: Sequence[Flow] = ()) -> None:
        self._flow, self._run, self._lease, self._state, self._clock = flow, run, lease, state, clock
        self._returning = returning  # flows that carry back what people do there

    async def carry(self, batches: AsyncIterator[Batch], where: Position, *, notices: Sequence[str] = ()) -> Position:
        """Settle every batch as it comes; returns the position behind the last."""
        async for batch in batches:
            if batch.cursor is not None:
                where = where.at("right", cursor=batch.cursor)
            await self._settle(batch.records, where.encoded() if batch.cursor is not None else None)
        if notices:
            await self._state.settle(self._lease, Settlement(run=self._run, handled_notices=list(notices)))
        return where

    async def _settle(self, records: Sequence[Record], cursor: Cursor | None) -> None:
        links = await self._state.links.by_id(self._flow.name, "right", [record.id for record in records])
        batch = Settlement(run=self._run)
        for record in records:
            self._run.counts.read += 1
            link = links.get(record.id)
            if link is None:  # somebody else's record: none of this flow's business
                tally(self._run.counts, "skipped")
                continue
            tally(self._run.counts, self._see(link, record, batch))
        if cursor is not None:
            batch.cursor = cursor
        await self._state.settle(self._lease, batch)

    def _see(self, link: Link, record: Record, batch: Settlement) -> Term:
        if record.gone:
            if link.right.version is None and link.drift is not None:
                return "unchanged"
            told = msgspec.structs.replace(link, right=End(record.id), drift=LOST)
            self._tell(told, batch, f"deleted at {self._flow.right}", ())
            return "skipped"
        if link.agreed is None or record.entity is None:
            return "echoed" if record.version == link.right.version else "unchanged"
        agreed = content.decode(self._flow.target, link.agreed)
        away = content.strayed(agreed, record.entity)
        if record.version == link.right.version:
            if away and link.right.held is None:  # what the vendor made of our write is nobody's edit: a default, a spelling
                batch.links.append(link.with_end("right", End(record.id, record.version, content.encode(record.entity))))
            return "echoed"
        known = content.decode(self._flow.target, link.right.held) if link.right.held is not None else agreed
        moved = {*content.strayed(known, record.entity), *drift_of(link)}
        strayed = [name for name in away if name in moved]
        told = msgspec.structs.replace(
            link,
            right=End(record.id, record.version, content.encode(record.entity)),
            drift=msgspec.json.encode(strayed) if strayed else None,
        )
        if not strayed:
            batch.links.append(told)
            return "unchanged"
        self._tell(told, batch, f"edited at {self._flow.right}", content.changes_between(known, record.entity, strayed))
        return "skipped"

    def _tell(self, link: Link, batch: Settlement, reason: str, changes: tuple[Change, ...]) -> None:
        back = self._carried_back(changes)
        restore = self._flow.drift == "restore" and back is None
        if restore:
            link = msgspec.structs.replace(link, due=True)
        batch.links.append(link)
        batch.audit.append(
            AuditEntry(
                at=self._clock.now(),
                run=self._run.id,
                flow=self._flow.name,
                trace_id=self._run.trace_id,
                kind=self._flow.target,
                number=link.number,
                link=link.id,
                action="drifted",
                left=link.left.place,
                right=link.right.place,
                rule=f"drift: flow {back} carries it back" if back is not None else RULES[self._flow.drift],
                reason=reason,
                changes=changes,
            )
        )

    def _carried_back(self, changes: Sequence[Change]) -> str | None:
        """The flow that tells all of these edits to the side that is read here."""
        flows = (flow for flow in self._returning if changes and all(flow.carries(change.field) for change in changes))
        return next((flow.name for flow in flows), None)
