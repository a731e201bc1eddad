"""Compare both sides of a flow in full: what differs, what is missing, what is extra. Each side is read once, in flat memory.

The links say what each side should hold, so the left side is held against them first and the right side after it; only what
looks wrong then is looked up on both sides and compared itself. What is still apart when it is looked up anew is told.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import msgspec

from ml_connector.domain import UNSET, Entity, Record, RemoteId, Side
from ml_connector.errors import ContractBroken, RecordRejected
from ml_connector.flows import Flow
from ml_connector.flows.fields import refs_of, with_refs
from ml_connector.ports.notices import Notice
from ml_connector.ports.source import Feed, Sweep
from ml_connector.ports.state import Link, Standing
from ml_connector.sync import content, instead
from ml_connector.sync.compare import NOTHING, Bases, bases, differences, unmoved
from ml_connector.sync.marks import Mark, Marks
from ml_connector.sync.passage import Ends, Itinerary, World, plan_out
from ml_connector.sync.read import Batch, SweepReader, read_feed

T = TypeVar("T")
What: TypeAlias = Literal["differs", "missing", "extra"]
LOOKS: Final = 3
"""How often a record that moves is looked at again."""
_SIDES: Final[tuple[Side, ...]] = ("left", "right")
_TOLD: Final = (Mark.DIFFERS, Mark.MISSING, Mark.EXTRA)
_Pair: TypeAlias = tuple[RemoteId | None, RemoteId | None]
"""Ids on the left and on the right side, as far as they are known."""
_Wanted: TypeAlias = Entity | RecordRejected | None
"""What the right side should hold; why that cannot be said; or None where the flow leaves the record out."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One field that the sides do not agree on. Values are JSON-ready, refs in the right side's terms; None: empty."""

    field: str  # a path: ``phone``, ``billing.city``, ``extra.NAME``, ``lines[KEY].unit``; ``lines[KEY]`` for a whole line
    left: object
    right: object


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record that is not on both sides as the flow says.

    differs  both sides have it; ``fields`` are what they do not agree on
    missing  one side has it, the flow should carry it, and it is not ``at`` the other
    extra    one way: it is ``at`` the right side, and no flow knows anything that it stands for
    """

    what: What
    number: str
    at: str = ""  # a connection's name
    link: str | None = None
    left: RemoteId | None = None
    right: RemoteId | None = None
    fields: tuple[Difference, ...] = ()
    standing: Standing | None = None  # why, where that is known: it is parked, rejected, conflicted, skipped, gone …
    reason: str = ""


class Compared(msgspec.Struct, kw_only=True):
    """How many records each side showed, and how many of each finding there are."""

    left: int = 0
    right: int = 0
    differs: int = 0
    missing: int = 0
    extra: int = 0

    @property
    def apart(self) -> int:
        return self.differs + self.missing + self.extra


class Reconciliation:
    """One comparison of one flow; a context. ``compared`` counts while ``findings`` goes on.

    It takes no lease and writes nothing, unless ``ask`` is called.
    """

    def __init__(self, flow: Flow, ends: Ends, world: World) -> None:
        self._flow, self._ends, self._world, self._links = flow, ends, world, world.state.links
        self._marks = Marks()
        self.compared = Compared()

    async def __aenter__(self) -> Self:
        """Raises ContractBroken when the flow does not fit its systems, or a side cannot be read in full."""
        self._streams = self._everything("left"), self._everything("right")
        self._itinerary: Itinerary = await plan_out(self._flow, self._ends, self._world)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._marks.close()

    async def findings(self) -> AsyncIterator[Finding]:
        """Each record that is apart, once."""
        left, right = self._streams
        async for batch in _ahead(left):
            for finding in await self._take_left(batch.records):
                yield finding
        async for batch in _ahead(right):
            for finding in await self._take_right(batch.records):
                yield finding
        for ids in self._marks.pages("left", Mark.EXPECTED):
            for finding in await self._verify([(one, None) for one in ids]):
                yield finding

    async def ask(self) -> int:
        """Have the next run look at what differs or is missing; returns how many records that are.

        What is extra is left alone, and so is what a person dismissed.
        """
        flow, asked = self._flow, 0
        for side in _SIDES:
            for ids in self._marks.pages(side, Mark.DIFFERS, Mark.MISSING):
                links = await self._links.by_id(flow.name, side, ids)
                linked = [link.id for link in links.values() if link.standing != "skipped"]
                # Two ways, what was agreed must stay: it tells whose edit is the newer one.
                await self._links.mark_due(linked, again=not flow.two_way)
                unknown = tuple(one for one in ids if one not in links)
                if unknown:
                    notice = Notice(kind=flow.kind(side), ids=unknown, dedupe=f"reconcile:{self._world.new_id()}")
                    await self._world.state.inbox.add(flow.name, side, [notice])
                asked += len(linked) + len(unknown)
        return asked

    async def left_over(self) -> AsyncIterator[Finding]:
        """Those of the findings that are still apart."""
        for side in _SIDES:
            for ids in self._marks.pages(side, *_TOLD):
                for finding in await self._judge([(one, None) if side == "left" else (None, one) for one in ids]):
                    yield finding

    # reading

    def _everything(self, side: Side) -> AsyncIterator[Batch]:
        source = self._ends.station(side).source
        if isinstance(source, Feed):
            return read_feed(source, None)
        if isinstance(source, Sweep):
            return SweepReader(source, self._links, self._flow.name, side, full=True, first=False, dry=True).batches()
        raise ContractBroken(
            f"{self._flow.kind(side)} cannot be read in full, so there is nothing to compare",
            where=self._flow.connection(side),
            fix="See what can be read there: ml-connector systems",
        )

    async def _take_left(self, records: Sequence[Record]) -> list[Finding]:
        """Mark what is as last agreed; everything else is a suspect."""
        living = self._living("left", records)
        links = await self._links.by_id(self._flow.name, "left", list(living))
        marks: dict[RemoteId, Mark] = {}
        suspects: list[_Pair] = []
        for one, entity in (await self._wanted(living, links)).items():
            link = links.get(one)
            base = bases(link, self._flow.target).left if link is not None and link.right.id is not None else None
            agreed = isinstance(entity, msgspec.Struct) and unmoved(entity, base)
            marks[one] = Mark.EXPECTED if agreed else Mark.THERE
            if entity is not None and not agreed:
                suspects.append((one, None))
        self.compared.left += self._marks.put("left", marks)
        return await self._verify(suspects, lefts=living)

    async def _take_right(self, records: Sequence[Record]) -> list[Finding]:
        """A suspect is what is not as last agreed, and what stands for nothing that the left side showed."""
        living = self._living("right", records)
        links = await self._links.by_id(self._flow.name, "right", list(living))
        marks = self._marks.of("left", [link.left.id for link in links.values() if link.left.id is not None])
        met: dict[RemoteId, Mark] = {}
        suspects: list[_Pair] = []
        for one, record in living.items():
            link = links.get(one)
            left = link.left.id if link is not None else None
            if link is None or left is None or left not in marks:
                suspects.append((None, one))
            elif marks[left] in (Mark.EXPECTED, Mark.MET):
                met[left] = Mark.MET
                known, entity = self._known(link, record), self._view(record)
                if known.left is None or entity is None or differences(known.left, entity, known):
                    suspects.append((left, one))
        self._marks.put("left", met)
        self.compared.right += self._marks.put("right", dict.fromkeys(living, Mark.THERE))
        return await self._verify(suspects, rights=living)

    def _living(self, side: Side, records: Sequence[Record]) -> dict[RemoteId, Record]:
        """What is there, the later of two, without what was told already."""
        latest = {record.id: record for record in records}
        gone = [one for one, record in latest.items() if record.gone or record.entity is None]
        self._marks.forget(side, gone)
        told = [one for one, mark in self._marks.of(side, latest).items() if mark in _TOLD]
        return {one: record for one, record in latest.items() if one not in {*gone, *told}}

    # comparing

    async def _verify(
        self, suspects: Sequence[_Pair], *, lefts: Mapping[RemoteId, Record] = {}, rights: Mapping[RemoteId, Record] = {}
    ) -> list[Finding]:
        """Compare with what has just been read, then with what stands there now, until the same is found twice in a row.

        What is another difference at every look is on its way, and is not told.
        """
        told: list[Finding] = []
        found = await self._judge(suspects, lefts=lefts, rights=rights)
        for _ in range(LOOKS):
            before = {(each.left, each.right): each for each in found}
            again = await self._judge(list(before))
            told += [each for each in again if before.get((each.left, each.right)) == each]
            found = [each for each in again if before.get((each.left, each.right)) != each]
        for each in told:
            side: Side = "left" if each.left is not None else "right"
            self._marks.put(side, {each.left or each.right or "": Mark[each.what.upper()]})
            setattr(self.compared, each.what, getattr(self.compared, each.what) + 1)
        return told

    async def _judge(
        self, suspects: Sequence[_Pair], *, lefts: Mapping[RemoteId, Record] = {}, rights: Mapping[RemoteId, Record] = {}
    ) -> list[Finding]:
        """Look up the other end of each and what is not at hand, the left one first, and compare."""
        if not suspects:
            return []
        pairs = await self._paired(suspects)
        lefts = await self._at_hand("left", [left for left, _, _ in pairs], lefts)
        links = {left: link for left, _, link in pairs if left is not None and link is not None}
        wanted = await self._wanted({one: lefts[one] for one, _, _ in pairs if one in lefts}, links)
        rights = await self._at_hand("right", [right for _, right, _ in pairs], rights)
        alone = [right for left, right, link in pairs if link is None and left is None and right in rights]
        others = await self._with_others(alone)
        found: list[Finding] = []
        for left, right, link in pairs:
            if right is None or right not in others:
                there = rights.get(right or "")
                finding = self._compare(lefts.get(left or ""), wanted.get(left or ""), there, link)
                if finding is not None:
                    found.append(msgspec.structs.replace(finding, left=left, right=right, link=link.id if link else None))
        return found

    async def _paired(self, suspects: Sequence[_Pair]) -> list[tuple[RemoteId | None, RemoteId | None, Link | None]]:
        """With their links as they are now, and with the counterparts that other flows linked."""
        name = self._flow.name
        by_left = await self._links.by_id(name, "left", [left for left, _ in suspects if left is not None])
        by_right = await self._links.by_id(name, "right", [right for _, right in suspects if right is not None])
        strangers = [left for left, _ in suspects if left is not None and left not in by_left]
        elsewhere = await self._itinerary.crosswalk.counterparts("left", strangers) if strangers else {}
        pairs: list[tuple[RemoteId | None, RemoteId | None, Link | None]] = []
        for left, right in suspects:
            link = by_left.get(left or "") or by_right.get(right or "")
            if link is not None:
                left, right = link.left.id or left, link.right.id
            pairs.append((left, right or elsewhere.get(left or ""), link))
        return pairs

    async def _at_hand(
        self, side: Side, ids: Sequence[RemoteId | None], known: Mapping[RemoteId, Record]
    ) -> dict[RemoteId, Record]:
        source = self._ends.station(side).source
        missing = [one for one in dict.fromkeys(ids) if one is not None and one not in known]
        assert source is not None
        return {**known, **{record.id: record for record in (await source.fetch(missing) if missing else ())}}

    async def _wanted(self, records: Mapping[RemoteId, Record], links: Mapping[RemoteId, Link]) -> dict[RemoteId, _Wanted]:
        """What the flow makes of left records, refs translated; a parent without a counterpart is not told of."""
        wanted: dict[RemoteId, _Wanted] = {}
        for one, record in records.items():
            assert record.entity is not None
            try:
                entity = self._itinerary.project(record.entity)
            except RecordRejected as error:
                wanted[one] = error
                continue
            if entity is not None and not self._flow.two_way and one in links:
                entity, _ = instead.applied(entity, links[one], self._flow.target)
            wanted[one] = entity
        refs = {ref for entity in wanted.values() if isinstance(entity, msgspec.Struct) for ref in refs_of(entity)}
        if not refs:
            return wanted
        names = dict.fromkeys(refs, UNSET) | await self._itinerary.crosswalk.names("left", refs)
        return {one: with_refs(each, names) if isinstance(each, msgspec.Struct) else each for one, each in wanted.items()}

    async def _with_others(self, ids: Sequence[RemoteId]) -> set[RemoteId]:
        """Those right records that another flow writes, or reads from there to this flow's left side."""
        flow, found = self._flow, set[RemoteId]()
        for other in self._world.flows:
            for side in _SIDES:
                away: Side = "right" if side == "left" else "left"
                same = (other.connection(side), other.kind(side)) == (flow.right, flow.target)
                writes = side == "right" or other.two_way
                back = (other.connection(away), other.kind(away)) == (flow.left, flow.entity)
                if ids and other.name != flow.name and same and (writes or back):
                    found |= (await self._links.across(other.name, side, ids)).keys()
        return found

    def _view(self, record: Record) -> Entity | None:
        """What a right record says in the flow's fields; None where a two-way flow leaves it out."""
        assert record.entity is not None
        if not self._flow.two_way:
            return record.entity
        try:
            carried = self._itinerary.project(record.entity) is not None
        except RecordRejected:
            carried = True
        return self._itinerary.project.view(record.entity) if carried else None

    def _known(self, link: Link, right: Record) -> Bases:
        """What the link keeps. Nobody watches a target that is swept, but its versions tell everything."""
        known = bases(link, self._flow.target)
        untouched = link.right.held is None and link.right.version == right.version is not None
        if untouched and not isinstance(self._ends.right.source, Feed) and not self._flow.two_way:
            return msgspec.structs.replace(known, right=right.entity)
        return known

    def _compare(self, left: Record | None, wanted: _Wanted, right: Record | None, link: Link | None) -> Finding | None:
        """One record, as it is found on both sides now."""
        flow = self._flow
        if (left is None and right is None) or (left is not None and wanted is None):
            return None
        if left is None or right is None:
            return self._alone(left, right, link)
        if isinstance(wanted, RecordRejected):
            return self._finding("differs", left, link, reason=str(wanted))
        theirs = self._view(right)
        if wanted is None or theirs is None or not flow.updates:
            return None
        apart = differences(wanted, theirs, self._known(link, right) if link is not None else NOTHING)
        fields = tuple(Difference(field=path, left=content.told(a), right=content.told(b)) for path, a, b in apart)
        return self._finding("differs", left, link, fields=fields) if fields else None

    def _alone(self, left: Record | None, right: Record | None, link: Link | None) -> Finding | None:
        """A record that one side has."""
        flow = self._flow
        linked = link is not None and link.left.id is not None and link.right.id is not None
        removed = link is not None and link.standing == "gone" and not link.due and flow.deletes == "deactivate"
        if removed or not (linked or flow.creates):
            return None
        if left is not None:
            return self._finding("missing", left, link, at=flow.right)
        if right is None or self._view(right) is None:
            return None
        return self._finding("missing" if flow.two_way else "extra", right, link, at=flow.left if flow.two_way else flow.right)

    def _finding(self, what: What, record: Record, link: Link | None, *, reason: str = "", **told: Any) -> Finding:
        number = record.entity.number if record.entity is not None else None
        trouble = link.trouble if link is not None else None
        return Finding(
            what=what,
            number=link.number if link is not None else str(number or record.id),
            standing=link.standing if link is not None and link.standing != "agreed" else None,
            reason=reason or (trouble.reason if trouble is not None else ""),
            **told,
        )


async def _ahead(stream: AsyncIterator[T]) -> AsyncIterator[T]:
    """The same, with the next one read while this one is looked at."""
    coming = asyncio.ensure_future(anext(stream, None))
    try:
        while (item := await coming) is not None:
            coming = asyncio.ensure_future(anext(stream, None))
            yield item
    finally:
        coming.cancel()
