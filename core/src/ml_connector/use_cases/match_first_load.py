"""Before a first load: propose which records of both sides are one, and seed the links from what a person made of it."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from ml_connector.domain import Record, RemoteId, Side
from ml_connector.errors import ConfigError
from ml_connector.flows import Flow
from ml_connector.ports.source import Source
from ml_connector.ports.state import AuditEntry, End, Link, Run, Settlement
from ml_connector.sync.match import Fit, Match, Matcher
from ml_connector.sync.passage import Ends, World, plan_out
from ml_connector.sync.prepare import FIRST_LOAD
from ml_connector.sync.read import CHUNK, Mark
from ml_connector.sync.way import Way, ways
from ml_connector.use_cases.booking import booked

Decision: TypeAlias = Literal["link", "create", "skip", ""]
"""link    these two are one record
create  it has no counterpart: let the flow make one
skip    leave it out until it changes at its source
        nothing decided: it goes on waiting
"""


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What the keys say about one record, and what follows if nobody objects. One of the ids may be missing."""

    decision: Decision
    number: str
    name: str
    left_id: RemoteId | None = None
    right_id: RemoteId | None = None
    fit: Fit
    evidence: str
    candidates: tuple[RemoteId, ...] = ()  # on the other side, where it is not one alone


async def propose(flow: Flow, ends: Ends, world: World) -> AsyncIterator[Proposal]:
    """One proposal per record that no link of the flow knows yet: the left side's, then, for a two-way flow, what only the
    right side has. Writes nothing. Raises what reading raises.
    """
    itinerary = await plan_out(flow, ends, world)
    claimed: set[RemoteId] = set()  # on the right, by a record of the left
    for way in ways(flow):
        far = ends.station(way.far).sink
        assert far is not None
        matcher = Matcher(flow, way.far, far, world.state.links)
        passage = itinerary.passage(way, anew=True, creates=True)
        async for batch in passage.batches(world.state.links, Mark(), anew=True, dry=True):
            records = await _unknown(flow, way, batch.records, world)
            entities = {
                record.id: entity for record in records if record.entity and (entity := itinerary.project(record.entity))
            }
            found = await matcher.matches(entities)
            for record in records:
                if record.id not in found or (way.near == "right" and found[record.id].fit != "none"):
                    continue  # what a record of the left matches was told with that one
                yield _proposal(way, record, found[record.id], claimed)


async def _unknown(flow: Flow, way: Way, records: Sequence[Record], world: World) -> list[Record]:
    known = await world.state.links.by_id(flow.name, way.near, [record.id for record in records])
    waiting = {one for one, link in known.items() if way.far_end(link).id is None and link.standing in ("parked", "conflicted")}
    return [record for record in records if not record.gone and (record.id not in known or record.id in waiting)]


def _proposal(way: Way, record: Record, match: Match, claimed: set[RemoteId]) -> Proposal:
    entity = record.entity
    assert entity is not None
    fit = match.fit
    far = match.records[0].id if fit == "one" else None
    if far is not None and way.near == "left":
        if far in claimed:
            fit, far = "twice", None
        else:
            claimed.add(far)
    sides: dict[Side, RemoteId | None] = {way.near: record.id, way.far: far}
    return Proposal(
        decision="link" if fit == "one" else "create" if fit == "none" else "",
        number=entity.number if isinstance(entity.number, str) else "",
        name=entity.name if isinstance(entity.name, str) else "",
        left_id=sides["left"],
        right_id=sides["right"],
        fit=fit,
        evidence=match.evidence,
        candidates=() if fit == "one" else tuple(each.id for each in match.records[:10]),
    )


class Seeds(msgspec.Struct, kw_only=True):
    """How many records the reviewed file linked, freed to be made, left out, and left waiting."""

    linked: int = 0
    creates: int = 0
    skipped: int = 0
    undecided: int = 0


async def seed(flow: Flow, ends: Ends, world: World, rows: Sequence[tuple[str, Proposal]]) -> tuple[Run, Seeds]:
    """Make the links that a person reviewed, all of them or none; from then on the flow may create what it does not find.

    ``rows`` are proposals with the place where each stands, for messages. Raises ConfigError with every mistake: ids that do
    not exist, one record linked to two, rows that decide something they have no ids for.
    """
    found, mistakes = await _looked_up(ends, rows)
    mistakes += _claimed_twice(rows)
    async with booked(flow, world) as (run, lease):
        mistakes += await _linked_already(flow, world, rows)
        if mistakes:
            raise ConfigError(mistakes[0], mistakes=tuple(mistakes))
        seeds = Seeds()
        batch = Settlement(run=run)
        waiting = {(way.near, way.near_end(link).id): link for way in ways(flow) async for link in _held(flow, world, way)}
        for _, row in rows:
            if row.decision == "":
                seeds.undecided += 1
            elif row.decision == "create":
                seeds.creates += 1
            else:
                stood = waiting.get(("left", row.left_id)) or waiting.get(("right", row.right_id))
                link = _link(flow, world, row, found, stood)
                batch.links.append(link)
                batch.audit.append(_told(flow, run, world, link, row))
                seeds.linked += row.decision == "link"
                seeds.skipped += row.decision == "skip"
        where = await (await plan_out(flow, ends, world)).where()
        batch.cursor = msgspec.structs.replace(where, opened=True).encoded()
        free = [link.id for link in waiting.values() if link.id not in {each.id for each in batch.links}]
        await world.state.settle(lease, batch)
        await world.state.links.mark_due(free)
        run.outcome = "green"
    return run, seeds


async def _held(flow: Flow, world: World, way: Way) -> AsyncIterator[Link]:
    """Links that wait on the near side for a first load's review."""
    async for links in world.state.links.every(flow.name):
        for link in links:
            waits = link.trouble is not None and link.trouble.code in (FIRST_LOAD, "AMBIGUOUS")
            if waits and way.near_end(link).id is not None and way.far_end(link).id is None:
                yield link


def _link(flow: Flow, world: World, row: Proposal, found: Mapping[tuple[Side, RemoteId], Record], stood: Link | None) -> Link:
    linked = row.decision == "link"
    sides: tuple[tuple[Side, RemoteId | None], ...] = (("left", row.left_id), ("right", row.right_id))
    ends = {side: End(one, found[side, one].version if not linked else None) if one else End() for side, one in sides}
    return Link(
        id=stood.id if stood is not None else world.new_id(),
        flow=flow.name,
        number=row.number or row.left_id or row.right_id or "",
        left=ends["left"],
        right=ends["right"],
        standing="agreed" if linked else "skipped",
        due=linked,
    )


def _told(flow: Flow, run: Run, world: World, link: Link, row: Proposal) -> AuditEntry:
    return AuditEntry(
        at=world.clock.now(),
        run=run.id,
        flow=flow.name,
        trace_id=run.trace_id,
        kind=flow.target,
        number=link.number,
        link=link.id,
        action="adopted" if row.decision == "link" else "skipped",
        left=link.left,
        right=link.right,
        rule="a person reviewed the first load",
        reason=row.evidence,
    )


async def _looked_up(ends: Ends, rows: Iterable[tuple[str, Proposal]]) -> tuple[dict[tuple[Side, RemoteId], Record], list[str]]:
    """The records that rows decide about, and what is wrong with the rows by themselves."""
    mistakes: list[str] = []
    wanted: dict[Side, dict[RemoteId, str]] = {"left": {}, "right": {}}
    for place, row in rows:
        if row.decision == "link" and not (row.left_id and row.right_id):
            mistakes.append(f"{place}: a link needs both ids. Fill in the missing one, or decide create or skip")
        elif row.decision in ("create", "skip") and not (row.left_id or row.right_id):
            mistakes.append(f"{place}: {row.decision} of what? Both ids are empty")
        elif row.decision in ("link", "skip"):
            if row.left_id:
                wanted["left"][row.left_id] = place
            if row.right_id:
                wanted["right"][row.right_id] = place
    found: dict[tuple[Side, RemoteId], Record] = {}
    for side, ids in wanted.items():
        source: Source | None = ends.station(side).source
        names = list(ids)
        for start in range(0, len(names), CHUNK):
            records = await source.fetch(names[start : start + CHUNK]) if source is not None else []
            found |= {(side, record.id): record for record in records}
        if source is not None:
            mistakes += [f"{ids[one]}: no record {one} on the {side} side" for one in names if (side, one) not in found]
    return found, mistakes


def _claimed_twice(rows: Iterable[tuple[str, Proposal]]) -> list[str]:
    mistakes: list[str] = []
    first: dict[tuple[str, RemoteId], str] = {}
    for place, row in rows:
        if row.decision not in ("link", "skip"):
            continue
        for side, one in (("left", row.left_id), ("right", row.right_id)):
            if one and (side, one) in first:
                mistakes.append(f"{place}: {side} record {one} is decided about at {first[side, one]} already")
            elif one:
                first[side, one] = place
    return mistakes


async def _linked_already(flow: Flow, world: World, rows: Sequence[tuple[str, Proposal]]) -> list[str]:
    mistakes: list[str] = []
    sides: tuple[Side, ...] = ("left", "right")
    for side in sides:
        other: Side = "right" if side == "left" else "left"
        places = {
            one: place
            for place, row in rows
            if row.decision in ("link", "skip") and (one := row.left_id if side == "left" else row.right_id)
        }
        for one, link in (await world.state.links.by_id(flow.name, side, list(places))).items():
            if link.end(other).id is not None:
                mistakes.append(f"{places[one]}: {side} record {one} is linked with {link.end(other).id} already")
    return mistakes
