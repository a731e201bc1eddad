"""What must hold after the storm, told from the systems' own records and the deeds that they took. See docs/guarantees.md."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ml_connector.domain import Kind, RemoteId, Side
from ml_connector.flows import Flow
from ml_connector.ports.state import AuditEntry, Link
from ml_connector.simulation import both_ways
from ml_connector.simulation.evidence import Evidence, changes, kept, met, unheard
from ml_connector.simulation.guarantees import (
    BLIND,
    DOUBLED,
    LEDGER,
    LIMITS,
    LOOPS,
    LOST,
    OLDER,
    RESTS,
    SECRETS,
    Broken,
)
from ml_connector.simulation.pair import PERSON, Deed, Fields, Stands, same
from ml_connector.simulation.stage import Stage

DELETED = "(deleted)"


async def check(stage: Stage) -> list[Broken]:
    """Everything that does not hold, gravest first."""
    found = [*stage.broken]
    evidence = Evidence(stage)
    for examine in (_arrived, _lives, _doubled, _blind, _older, _loops, _rests, _ledger, _audit, _limits, _secrets):
        found += examine(evidence)
    found += both_ways.examine(evidence)
    count, wrong = await stage.state.ledger.verify()
    if wrong is not None:
        found.append(Broken(LEDGER, f"the audit's chain of {count} breaks at entry {wrong}"))
    return found


def _arrived(evidence: Evidence) -> Iterator[Broken]:
    pair = evidence.pair
    for flow in evidence.one_way:
        rights = evidence.rights(flow)
        for record in pair.stands("left", flow.entity):
            name = f"{flow.entity} {record.number} ({record.id})"
            links = evidence.links.get((flow.name, record.id), [])
            if len(links) != 1:
                yield Broken(LOST, f"{name} has {len(links)} links after {flow.name} ran in calm weather")
                continue
            [link] = links
            wanted = pair.wanted(flow, record.fields)
            expected = _standings(evidence, flow, record, wanted)
            there = rights.get(link.right.id or "")
            if expected == ("agreed",) and there is not None and pair.refused(flow, there.fields):
                expected = ("agreed", "rejected")  # what a person made of it over there, that system does not take from us
            if link.standing not in expected:
                yield Broken(LOST, f"{name} is {link.standing}, and should be {' or '.join(expected)}: {link.trouble}")
            elif link.standing == "agreed" and wanted is not None:
                yield from _agrees(evidence, flow, name, link, wanted, rights)


def _standings(evidence: Evidence, flow: Flow, record: Stands, wanted: Fields | None) -> tuple[str, ...]:
    pair = evidence.pair
    if wanted is None:
        return ("skipped",)
    missing = gone = again = False
    for kind, parent in record.parents:
        other = next(each for each in pair.flows if each.entity == kind)
        there = next(
            (link.right.id for link in evidence.links.get((other.name, parent), []) if link.right.id is not None), None
        )
        number = next((deed.number for deed in pair.deeds if (deed.side, deed.kind, deed.id) == ("left", kind, parent)), "")
        again |= _came_again(evidence, "left", kind, number)
        missing |= there is None
        gone |= any(deed.after is None and (deed.side, deed.number) == ("right", number) for deed in pair.deeds)
    if missing:  # another parent of its number may have taken the counterpart over since
        return ("parked", "agreed") if again else ("parked",)
    if pair.refused(flow, wanted):
        return ("rejected",)
    if _came_again(evidence, "left", flow.entity, record.number):
        return ("agreed", "conflicted")  # a number that came again: whose the counterpart is, a person must say
    if gone:  # and while its parent is not there, the target takes it not
        return ("agreed", "rejected", "parked")
    return ("agreed", "rejected") if (flow.target, record.number) in pair.stumbled else ("agreed",)


def _came_again(evidence: Evidence, side: Side, kind: Kind, number: str) -> bool:
    """Whether several records of that side have had the number."""
    return len({deed.id for deed in evidence.pair.deeds if (deed.side, deed.kind, deed.number) == (side, kind, number)}) > 1


def _agrees(
    evidence: Evidence, flow: Flow, name: str, link: Link, wanted: Fields, rights: Mapping[RemoteId, Stands]
) -> Iterator[Broken]:
    pair = evidence.pair
    drift = msgspec.json.decode(link.drift, type=list[str]) if link.drift else []
    there = rights.get(link.right.id or "")
    if there is None:
        deed = next((deed for deed in reversed(evidence.deeds(flow, link.right.id or "")) if deed.after is None), None)
        if deed is None:
            yield Broken(LOST, f"{name} counts as agreed, and nothing with the id {link.right.id} was ever on the right")
        elif evidence.could_see(flow, deed) and DELETED not in drift:
            yield Broken(LOST, f"{name} was deleted on the right, and its link does not say so")
        elif DELETED in drift and flow.drift == "restore":
            yield Broken(RESTS, f"{name} was deleted on the right, and is not restored")
        return
    for path, value in wanted.items():
        asked, stands = pair.habit("right", path, value), there.fields.get(path)
        if same(asked, stands):
            continue
        deed = evidence.edited_by_person(flow, there.id, path)
        if deed is None:
            yield Broken(RESTS, f"{name}: {path} is {stands!r} on the right, should be {asked!r}, and no person made it so")
        elif evidence.could_see(flow, deed):
            if flow.drift == "restore":
                yield Broken(RESTS, f"{name}: {path} was edited to {stands!r} on the right, and is not restored to {asked!r}")
            elif path.partition(".")[0] not in {each.partition(".")[0] for each in drift}:
                yield Broken(BLIND, f"{name}: {path} was edited to {stands!r} on the right, and its link does not say so")
            elif not _names_edit(evidence, flow, deed, path):
                yield Broken(LEDGER, f"{name}: {path} was edited to {stands!r} on the right, and the audit does not tell")


def _names_edit(evidence: Evidence, flow: Flow, deed: Deed, path: str) -> bool:
    return any(
        entry.at >= deed.at and any(each == path for each, _, _ in changes(evidence, entry))
        for entry in evidence.about(flow, deed.id)
    )


def _lives(evidence: Evidence) -> Iterator[Broken]:
    """What is there is not taken as deleted because it did not show up once."""
    dead: dict[tuple[Side, RemoteId], list[datetime]] = defaultdict(list)
    for deed in evidence.pair.deeds:
        if deed.after is None:
            dead[deed.side, deed.id].append(deed.at)
    for entry in evidence.entries:
        flow = next(each for each in evidence.pair.flows if each.name == entry.flow)
        ends = dead["left", entry.left.id or ""] + (dead["right", entry.right.id or ""] if flow.two_way else [])
        if entry.action == "gone" and not any(at <= entry.at for at in ends):
            yield Broken(LOST, f"{entry.kind} {entry.number} was taken as deleted ({entry.reason}), and is there")


def _doubled(evidence: Evidence) -> Iterator[Broken]:
    """Nothing is created where the business record stands already."""
    present: dict[tuple[str, str, RemoteId], str] = {}
    for deed in evidence.pair.deeds:
        place = (deed.side, deed.kind, deed.id)
        if deed.after is None:
            present.pop(place, None)
        elif place not in present:
            twins = [one for one, number in present.items() if one[:2] == place[:2] and number == deed.number]
            if deed.author != PERSON and twins:
                yield Broken(
                    DOUBLED, f"{deed.author} created {deed.kind} {deed.number} as {deed.id}, and there was {twins[0][2]}"
                )
            present[place] = deed.number


def _blind(evidence: Evidence) -> Iterator[Broken]:
    """Whatever a write changed, the audit tells with its old value; and nothing was written that the source never said."""
    for deed in evidence.ours:
        if any(deed.kind == flow.kind(deed.side) for flow in evidence.two_way):
            continue
        if deed.side == "left":
            yield Broken(BLIND, f"{deed.author} wrote {deed.kind} {deed.number} on the left, which the flows only read")
            continue
        flow = next(each for each in evidence.making if each.target == deed.kind)
        history = _history(evidence, flow, deed.number)
        for path in deed.changed:
            said = {repr(wanted.get(path)) for _, wanted in history if wanted is not None and path in wanted}
            if not said:
                yield Broken(
                    BLIND, f"{deed.author} wrote {path} of {deed.kind} {deed.number}, of which the source never said anything"
                )
        if not any(wanted is not None for at, wanted in history if at <= deed.at):
            yield Broken(BLIND, f"{deed.author} wrote {deed.kind} {deed.number}, which the flow's where leaves out")
        if deed.before is None or met(evidence, flow, deed.id, deed.at):
            continue
        for path in deed.changed:
            old, new = deed.before.get(path), deed.asked.get(path)
            told = any(
                each == path and evidence.stood(path, after, new) and evidence.stood(path, before, old)
                for entry in evidence.about(flow, deed.id)
                if entry.at >= deed.at
                for each, before, after in changes(evidence, entry)
            )
            if not told and not kept(evidence, flow, deed, path):
                yield Broken(
                    BLIND,
                    f"{deed.author} overwrote {path} of {deed.kind} {deed.number}, {old!r} with {new!r}, "
                    "and the audit does not tell",
                )


def _history(evidence: Evidence, flow: Flow, number: str) -> list[tuple[Any, Fields | None]]:
    """What the left records of the number asked for, from each change on, oldest first."""
    return [
        (deed.at, evidence.pair.wanted(flow, deed.after))
        for deed in evidence.pair.deeds
        if deed.side == "left" and deed.kind == flow.entity and deed.number == number and deed.after is not None
    ]


def _older(evidence: Evidence) -> Iterator[Broken]:
    """Per field, what we wrote is a walk forward through what stood at the source."""
    for flow in evidence.making:
        place: dict[tuple[RemoteId, str], int] = {}
        histories: dict[str, list[tuple[Any, Fields | None]]] = {}
        for deed in evidence.ours:
            if deed.side != "right" or deed.kind != flow.target or deed.after is None:
                continue
            history = histories.setdefault(deed.number, _history(evidence, flow, deed.number))
            for path in deed.changed:
                from_here = place.get((deed.id, path), 0)
                value = deed.after.get(path)
                found = next(
                    (
                        step
                        for step, (at, wanted) in enumerate(history)
                        if step >= from_here
                        and at <= deed.at
                        and wanted is not None
                        and path in wanted
                        and same(evidence.pair.habit("right", path, wanted[path]), value)
                    ),
                    None,
                )
                if found is None:
                    yield Broken(
                        OLDER,
                        f"{deed.author} wrote {path} = {value!r} to {deed.kind} {deed.number}, "
                        "which did not stand at the source, or no longer did when the last value was written",
                    )
                else:
                    place[deed.id, path] = found


def _loops(evidence: Evidence) -> Iterator[Broken]:
    """No more writes of a field than edits of it, on either side."""
    for flow in evidence.making:
        edits: Counter[tuple[str, str]] = Counter()
        writes: Counter[tuple[str, str]] = Counter()
        for deed in evidence.pair.deeds:
            person = deed.author == PERSON
            if deed.side == "left" and deed.kind == flow.entity and deed.after is not None:
                wanted = evidence.pair.wanted(flow, deed.after) or {}
                was = (evidence.pair.wanted(flow, deed.before) if deed.before is not None else None) or {}
                edits.update((deed.number, path) for path, value in wanted.items() if not same(value, was.get(path)))
            elif deed.side == "right" and deed.kind == flow.target:
                if deed.after is None:  # whatever is made again is written again
                    edits.update((deed.number, path) for path in deed.before or {})
                (edits if person else writes).update((deed.number, path) for path in deed.changed)
        for (number, path), count in writes.items():
            if count > edits[number, path]:
                yield Broken(
                    LOOPS, f"{path} of {flow.target} {number} was written {count} times after {edits[number, path]} edits"
                )


def _rests(evidence: Evidence) -> Iterator[Broken]:
    late = [deed for deed in evidence.pair.deeds[evidence.stage.rests_at :] if deed.author != PERSON]
    if late:
        yield Broken(RESTS, f"the last run still sent {len(late)} writes, one of them about {late[0].kind} {late[0].number}")


def _ledger(evidence: Evidence) -> Iterator[Broken]:
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in evidence.entries:
        told[entry.run][entry.action] += 1
    for end in evidence.stage.ended:
        if end.run is None:
            continue
        counts, actions = end.run.counts, told[end.run.id]
        if "add up" in end.run.note:
            yield Broken(LEDGER, f"a run of {end.flow} by {end.process}: {end.run.note}")
        writes = actions["created"] + actions["updated"] + actions["removed"]
        if end.error is None and not writes <= counts.written <= writes + actions["adopted"]:
            yield Broken(LEDGER, f"a run of {end.flow} counts {counts.written} written, and its audit tells of {writes}")
        for term, action in (("rejected", "rejected"), ("unknown", "in_doubt")):
            if end.error is None and getattr(counts, term) < actions[action]:
                yield Broken(
                    LEDGER,
                    f"a run of {end.flow} counts {getattr(counts, term)} {term}, and its audit tells of {actions[action]}",
                )


def _touched(evidence: Evidence, flow: Flow, remote: RemoteId) -> bool:
    """Whether a person has changed or deleted the record: of what nobody heard and nobody can see, nobody can tell more."""
    return any(deed.author == PERSON for deed in evidence.deeds(flow, remote))


def _audit(evidence: Evidence) -> Iterator[Broken]:
    """One entry per write that was taken, and nothing told that was not received."""
    for flow in evidence.pair.flows:
        asked: dict[tuple[Side, RemoteId], list[Deed]] = defaultdict(list)
        for deed in evidence.ours:
            if deed.kind == flow.kind(deed.side):
                asked[deed.side, deed.id].append(deed)
        entries = [entry for entry in evidence.entries if entry.flow == flow.name]
        created = Counter(_written_end(entry) for entry in entries if entry.action == "created")
        for place, count in created.items():
            made = sum(deed.before is None for deed in asked[place])
            if made != count and not met(evidence, flow, place[1], evidence.entries[0].at):
                yield Broken(LEDGER, f"the audit tells {count} times that {place[1]} was created, and it was {made} times")
        for place, deeds in asked.items():
            unknowable = unheard(evidence, flow, deeds[0].number) and _touched(evidence, flow, place[1])
            made = flow.creates and any(deed.before is None for deed in deeds)
            if made and not created[place] and not unknowable:
                yield Broken(
                    LEDGER, f"{deeds[0].kind} {deeds[0].number} was created as {place[1]}, and the audit does not tell"
                )
        for entry in entries:
            if entry.action == "drifted" and not _backed(evidence, flow, entry):
                yield Broken(
                    LEDGER, f"the audit tells that {entry.kind} {entry.number} was {entry.reason}, and no person did that"
                )
            if entry.action in ("created", "updated"):
                yield from _received(evidence, entry, asked[_written_end(entry)])


def _written_end(entry: AuditEntry) -> tuple[Side, RemoteId]:
    side: Side = entry.side or "right"
    return side, (entry.left.id if side == "left" else entry.right.id) or ""


def _received(evidence: Evidence, entry: AuditEntry, received: Sequence[Deed]) -> Iterator[Broken]:
    if not received:
        yield Broken(LEDGER, f"the audit tells that {entry.kind} {entry.number} was {entry.action}, and nothing was received")
        return
    for path, _, new in changes(evidence, entry):
        if evidence.pair.tells(entry.side or "right", entry.kind, path) and not any(
            evidence.stood(path, new, deed.asked.get(path)) for deed in received if deed.at <= entry.at
        ):
            yield Broken(
                LEDGER, f"the audit tells that {path} of {entry.kind} {entry.number} became {new!r}, which was not received"
            )


def _backed(evidence: Evidence, flow: Flow, entry: AuditEntry) -> bool:
    return any(deed.author == PERSON and deed.at <= entry.at for deed in evidence.deeds(flow, entry.right.id or ""))


def _limits(evidence: Evidence) -> Iterator[Broken]:
    yield from (Broken(LIMITS, breach) for breach in evidence.pair.breaches)


def _secrets(evidence: Evidence) -> Iterator[Broken]:
    state, stage = evidence.state, evidence.stage
    told = repr((state.links.rows, state.ledger.runs, state.inbox.rows, state.cursors.rows, state.intents.rows))
    told += msgspec.json.encode(state.ledger.audit).decode()
    told += repr([str(end.error) for end in stage.ended]) + repr([vars(span) for span in stage.telemetry.spans])
    for canary in (*evidence.pair.canaries, "canary-notice-"):
        if canary in told:
            around = re.search(f".{{0,60}}{re.escape(canary)}", told)
            yield Broken(SECRETS, f"a secret stands in the state, a trace or an error: {around.group() if around else ''}")
