"""One way of a flow, ready to be travelled: where it reads, how it decides, where it writes."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from ml_connector.domain import Record, Side
from ml_connector.errors import ContractBroken
from ml_connector.flows import Flow
from ml_connector.flows.fields import Projection
from ml_connector.ports.clock import Clock
from ml_connector.ports.sink import Sink
from ml_connector.ports.source import Feed, Source, Sweep
from ml_connector.ports.state import Links, State
from ml_connector.ports.telemetry import Telemetry
from ml_connector.sync.crosswalk import Crosswalk
from ml_connector.sync.match import Matcher
from ml_connector.sync.one_way import OneWay
from ml_connector.sync.prepare import Preparer
from ml_connector.sync.read import Batch, Mark, Position, SweepReader, due_for_full, position, read_feed
from ml_connector.sync.rules import Rules
from ml_connector.sync.two_way import TwoWay
from ml_connector.sync.way import Way, shared, ways
from ml_connector.sync.write import Writer


class Station(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a flow, as far as its connection can do it. One way, the left needs no sink, the right no source."""

    source: Source | None = None
    sink: Sink | None = None


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """What one flow works on."""

    left: Station
    right: Station

    def station(self, side: Side) -> Station:
        return self.left if side == "left" else self.right


class World(msgspec.Struct, frozen=True, kw_only=True):
    """What every use case is lent."""

    state: State
    clock: Clock
    telemetry: Telemetry
    new_id: Callable[[], str]
    owner: str  # this process, for leases
    flows: tuple[Flow, ...]  # all of the workspace, for refs between them


class Passage(msgspec.Struct, frozen=True, kw_only=True):
    way: Way
    source: Source
    sink: Sink
    rules: Rules
    crosswalk: Crosswalk
    preparer: Preparer
    writer: Writer

    def batches(
        self, links: Links, mark: Mark, *, anew: bool, since: datetime | None = None, dry: bool = False
    ) -> AsyncIterator[Batch]:
        """What changed on the near side since the mark; ``anew``: everything; ``dry``: only for a look.

        Raises ContractBroken when it cannot be told.
        """
        if isinstance(self.source, Feed):
            start = self.source.cursor_at(since) if since is not None else None if anew else mark.cursor
            return read_feed(self.source, start)
        if not isinstance(self.source, Sweep):
            raise ContractBroken(
                f"{self.way.flow.kind(self.way.near)} can be looked up but not followed",
                where=self.way.source,
                fix="Choose another strategy",
            )
        full, first = anew or since is not None, mark.swept_at is None
        return SweepReader(self.source, links, self.way.flow.name, self.way.near, full=full, first=first, dry=dry).batches()


class Itinerary:
    """The passages of one flow, as its systems are today. Made by ``plan_out``."""

    def __init__(self, flow: Flow, ends: Ends, world: World, accepts: Mapping[Side, frozenset[str]]) -> None:
        self._flow, self._ends, self._world, self._accepts = flow, ends, world, accepts
        told = repr(sorted(accepts["right"]) if not flow.two_way else sorted((side, sorted(accepts[side])) for side in accepts))
        self.signature = f"{flow.signature}/{hashlib.blake2b(told.encode(), digest_size=8).hexdigest()}"
        fields = frozenset[str]().union(*accepts.values())
        self.project = Projection(flow, fields)
        self.crosswalk = Crosswalk(flow, world.flows, world.state.links)

    async def where(self) -> Position:
        """Where the flow stands."""
        cursor = await self._world.state.cursors.load(self._flow.name)
        return position(cursor) if cursor else Position(signature=self.signature)

    def overdue(self, way: Way, mark: Mark, now: datetime) -> bool:
        """Whether every record of the near side must be read anew because versions do not tell everything."""
        source = self._ends.station(way.near).source
        return isinstance(source, Sweep) and due_for_full(source, mark, now)

    def rules(self, way: Way) -> Rules:
        flow, world = self._flow, self._world
        source, others = self._ends.station(way.far).source, shared(way, world.flows)
        if not flow.two_way:
            return OneWay(way, source, [other for other in world.flows if other.returns(flow)], shared=others)
        assert source is not None
        return TwoWay(way, source, self.project, self.crosswalk, self._accepts, world.clock, shared=others)

    def passage(self, way: Way, *, anew: bool, creates: bool, empty: bool = False, pinned: bool = False) -> Passage:
        """``creates`` False: what has no counterpart is held for a person's review. ``empty``: the target held nothing when
        this run began, so that nobody needs to look for counterparts. ``pinned``: see Writer.
        """
        world, links = self._world, self._world.state.links
        near, far = self._ends.station(way.near), self._ends.station(way.far)
        assert near.source is not None
        assert far.sink is not None
        rules = self.rules(way)
        preparer = Preparer(
            rules,
            links,
            self.crosswalk,
            self.project,
            world.clock,
            world.new_id,
            matcher=None if empty else Matcher(self._flow, way.far, far.sink, links),
            creates=creates,
            anew=anew,
        )
        return Passage(
            way=way,
            source=near.source,
            sink=far.sink,
            rules=rules,
            crosswalk=self.crosswalk,
            preparer=preparer,
            writer=Writer(rules, far.sink, links, world.clock, pinned=pinned),
        )


async def plan_out(flow: Flow, ends: Ends, world: World) -> Itinerary:
    """Ask the systems what they store. Raises ContractBroken when the flow does not fit them."""
    accepts: dict[Side, frozenset[str]] = {}
    for way in ways(flow):
        sink = ends.station(way.far).sink
        assert sink is not None
        accepts[way.far] = await sink.accepts()
        if not accepts[way.far].intersection(flow.match):  # others may only find records, such as numbers that the vendor gives
            raise ContractBroken(
                f"{way.kind} has no place for {' or '.join(flow.match)}, by which the flow matches",
                where=way.target,
                fix=f"Match by another field (flows.{flow.name}.match), or create it: ml-connector ping {way.target} --fix",
            )
    return Itinerary(flow, ends, world, accepts)


async def strangers(flow: Flow, side: Side, ends: Ends, world: World) -> bool:
    """Whether that side holds records of the flow's kind that no flow between any systems has to do with."""
    source = ends.station(side).source
    name, kind = flow.connection(side), flow.kind(side)
    sides: tuple[Side, ...] = ("left", "right")
    known = [(other, at) for other in world.flows for at in sides if (other.connection(at), other.kind(at)) == (name, kind)]
    async for ids in _living(source):
        for other, at in known:
            linked = await world.state.links.by_id(other.name, at, ids)
            ids = [one for one in ids if one not in linked]
        if ids:
            return True
    return False


async def _living(source: Source | None) -> AsyncIterator[list[str]]:
    if isinstance(source, Feed):
        async for page in source.changed_since(None):
            yield _ids(page.records)
    elif isinstance(source, Sweep):
        async for stubs in source.stubs(rows=False):
            yield [stub.id for stub in stubs]


def _ids(records: Iterable[Record]) -> list[str]:
    return [record.id for record in records if not record.gone]
