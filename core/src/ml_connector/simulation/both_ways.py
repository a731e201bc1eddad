"""What must hold of two-way flows: every edit survives or is named as the loser, and both sides come to say the same."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from ml_connector.domain import RemoteId, Side
from ml_connector.flows import Flow
from ml_connector.ports.state import Link
from ml_connector.simulation.evidence import Evidence, changes, met, unheard
from ml_connector.simulation.guarantees import BLIND, DOUBLED, LOOPS, LOST, OLDER, RESTS, Broken
from ml_connector.simulation.pair import PERSON, Deed, Stands, same

OTHER: Final[Mapping[Side, Side]] = {"left": "right", "right": "left"}


def examine(evidence: Evidence) -> Iterator[Broken]:
    for flow in evidence.two_way:
        for check in (_arrived, _once, _agree, _settled_by_rule, _told, _stood_there, _loops):
            yield from check(evidence, flow)


def _links(evidence: Evidence, flow: Flow) -> list[Link]:
    return [link for link in evidence.state.links.rows.values() if link.flow == flow.name]


def _arrived(evidence: Evidence, flow: Flow) -> Iterator[Broken]:
    """Every record of either side is on one link, whose standing says what is the matter with it."""
    sides: tuple[Side, ...] = ("left", "right")
    links = _links(evidence, flow)
    for side in sides:
        there = {link.end(side).id: link for link in links}
        for record in evidence.pair.stands(side, flow.kind(side)):
            link = there.get(record.id)
            if link is None:
                yield Broken(LOST, f"{record.kind} {record.number} ({record.id}) on the {side} has no link")
            elif link.standing not in _standings(evidence, flow, side, link, record):
                yield Broken(
                    LOST,
                    f"{record.kind} {record.number} ({record.id}) on the {side} is {link.standing}, "
                    f"and should be {' or '.join(_standings(evidence, flow, side, link, record))}: {link.trouble}",
                )


def _once(evidence: Evidence, flow: Flow) -> Iterator[Broken]:
    """What a person entered on one side is made on the other once, whatever it is found by; unless something was deleted."""
    deeds = [deed for deed in evidence.pair.deeds if deed.kind == flow.kind(deed.side)]
    if any(deed.after is None for deed in deeds):
        return
    for side, far in OTHER.items():
        made = [deed for deed in deeds if deed.side == side and deed.before is None and deed.author != PERSON]
        entered = sum(deed.side == far and deed.before is None and deed.author == PERSON for deed in deeds)
        if len(made) > entered:
            numbers = ", ".join(evidence.named(deed) for deed in made)
            yield Broken(DOUBLED, f"{entered} were entered on the {far}, and {len(made)} were made on the {side}: {numbers}")


def _standings(evidence: Evidence, flow: Flow, side: Side, link: Link, record: Stands) -> tuple[str, ...]:
    far = OTHER[side]
    lost = any(deed.after is None for deed in evidence.deeds(flow, link.end(far).id or "", far))
    ids = {(deed.side, deed.id) for deed in evidence.pair.deeds if deed.kind == record.kind and deed.number == record.number}
    again = len(ids) > len({side for side, _ in ids})  # a number that came again
    if lost or again:
        return ("agreed", "gone", "conflicted", "rejected", "parked")
    counterpart = [one for one in evidence.pair.stands(far, flow.kind(far)) if one.id == link.end(far).id]
    if any(evidence.pair.refused(flow, one.fields) for one in (record, *counterpart)):
        return ("rejected", "agreed")  # it may stand on the other side as well, entered by a person
    asks = {"ask", "newest"} & {flow.owner, *flow.owners.values()}  # two edits in one moment: none is the newer
    stumbled = ("rejected",) if (record.kind, record.number) in evidence.pair.stumbled else ()
    return ("agreed", *(("conflicted",) if asks else ()), *stumbled)


def _agree(evidence: Evidence, flow: Flow) -> Iterator[Broken]:
    """Both sides of an agreed link say the same, but for what a system makes of values."""
    lefts, rights = ({one.id: one for one in evidence.pair.stands(side, flow.kind(side))} for side in OTHER)
    for link in _links(evidence, flow):
        left, right = lefts.get(link.left.id or ""), rights.get(link.right.id or "")
        if left is None or right is None or link.standing not in ("agreed", "conflicted"):
            continue
        waits = {clash.field for clash in link.trouble.clashes} if link.trouble is not None else set()
        for path in dict.fromkeys((*left.fields, *right.fields)):
            here, there = left.fields.get(path), right.fields.get(path)
            if path in waits or same(evidence.pair.habit("right", path, here), there):
                continue
            yield Broken(
                RESTS,
                f"{flow.entity} {left.number}: {path} is {here!r} on the left and {there!r} on the right, "
                "and that is called agreed",
            )


def _settled_by_rule(evidence: Evidence, flow: Flow) -> Iterator[Broken]:
    """A person's value gives way only to one that was set on the other side since both agreed, and to its owner's."""
    partner = _partners(evidence, flow)
    for number, deed in enumerate(evidence.pair.deeds):
        if deed.author == PERSON or deed.kind != flow.kind(deed.side) or deed.before is None or deed.after is None:
            continue
        earlier = evidence.pair.deeds[:number]
        far = OTHER[deed.side]
        ids = {each.id for each in earlier if (each.side, each.kind, each.number) == (deed.side, deed.kind, deed.number)}
        if len(ids) > 1:  # a number that came again takes the counterpart over: first contact, by its own rule
            continue
        for path in deed.changed:
            mine = _last_set(earlier, deed.side, deed.id, path)
            if mine is None or mine.author != PERSON or met(evidence, flow, deed.id, deed.at):
                continue
            agreed_at = _agreed_at(earlier, deed, partner, path)
            if agreed_at is not None and mine.at <= agreed_at:
                continue
            theirs = [
                each
                for each in earlier
                if each.side == far
                and each.id in partner[deed.side, deed.id]
                and each.author == PERSON
                and path in each.changed
            ]
            since = [each for each in theirs if agreed_at is None or each.at >= agreed_at]  # or in that very instant
            value = deed.before.get(path)
            if not since:
                yield Broken(
                    BLIND, f"{path} of {deed.kind} {deed.number} on the {deed.side}, {value!r}, gave way to what was older"
                )
            elif not _may_lose(flow, path, deed.side, mine.at, [_touched_at(earlier, each) for each in since]):
                yield Broken(
                    BLIND,
                    f"{path} of {deed.kind} {deed.number} on the {deed.side}, {value!r}, gave way, "
                    f"and its owner is {flow.owners.get(path, flow.owner)}",
                )


def _may_lose(flow: Flow, path: str, side: Side, mine: datetime, theirs: list[datetime]) -> bool:
    owner = flow.owners.get(path, flow.owner)
    return owner == OTHER[side] or (owner == "newest" and max(theirs) >= mine)


def _touched_at(earlier: list[Deed], deed: Deed) -> datetime:
    """When a person last changed the record at all: systems tell the time of a record, not of a field."""
    return max(each.at for each in earlier if (each.side, each.id, each.author) == (deed.side, deed.id, PERSON))


def _partners(evidence: Evidence, flow: Flow) -> dict[tuple[Side, RemoteId], set[RemoteId]]:
    """The ids that a record was ever linked with."""
    found: dict[tuple[Side, RemoteId], set[RemoteId]] = {
        (deed.side, deed.id): set() for deed in evidence.pair.deeds if deed.kind == flow.kind(deed.side)
    }
    ends = [(link.left.id, link.right.id) for link in _links(evidence, flow)]
    ends += [(entry.left.id, entry.right.id) for entry in evidence.entries if entry.flow == flow.name]
    for left, right in ends:
        if left is not None and right is not None:
            found.setdefault(("left", left), set()).add(right)
            found.setdefault(("right", right), set()).add(left)
    return found


def _last_set(deeds: list[Deed], side: Side, remote_id: RemoteId, path: str) -> Deed | None:
    return next((each for each in reversed(deeds) if each.side == side and each.id == remote_id and path in each.changed), None)


def _agreed_at(
    deeds: list[Deed], deed: Deed, partner: Mapping[tuple[Side, RemoteId], set[RemoteId]], path: str
) -> datetime | None:
    """When we last made the two sides say the same in the field.

    A record that we made says so of what it leaves empty as well, if that is empty on the other side: no field changes by it.
    """
    places = {(deed.side, deed.id), *((OTHER[deed.side], one) for one in partner[deed.side, deed.id])}
    stood = (deed.before or {}).get(path)
    return next(
        (
            each.at
            for each in reversed(deeds)
            if (each.side, each.id) in places
            and each.author != PERSON
            and (path in each.changed or (each.before is None and same((each.after or {}).get(path), stood)))
        ),
        None,
    )


def _told(evidence: Evidence, flow: Flow) -> Iterator[Broken]:
    """Whatever was overwritten stands in the audit."""
    entries = [entry for entry in evidence.entries if entry.flow == flow.name]
    for deed in evidence.ours:
        if deed.kind != flow.kind(deed.side) or deed.before is None or deed.after is None:
            continue
        if met(evidence, flow, deed.id, deed.at):
            continue
        for path in deed.changed:
            old, new = deed.before.get(path), deed.asked.get(path)
            if not any(
                each == path and evidence.stood(path, after, new) and evidence.stood(path, before, old)
                for entry in entries
                if entry.at >= deed.at and deed.id in (entry.left.id, entry.right.id)
                for each, before, after in changes(evidence, entry)
            ):
                yield Broken(
                    BLIND,
                    f"{deed.author} overwrote {path} of {deed.kind} {deed.number} on the {deed.side}, {old!r} with {new!r}, "
                    "and the audit does not tell",
                )


def _stood_there(evidence: Evidence, flow: Flow) -> Iterator[Broken]:
    """Nothing is written that did not stand on the other side."""
    for deed in evidence.ours:
        if deed.kind != flow.kind(deed.side) or deed.after is None:
            continue
        said = [
            each.after
            for each in evidence.pair.deeds
            if (each.side, evidence.named(each)) == (OTHER[deed.side], evidence.named(deed))
            and each.at <= deed.at
            and each.after is not None
        ]
        for path in [path for path in deed.changed if path in deed.asked]:  # the rest the system gave by itself
            value = deed.asked.get(path)
            if not any(same(one.get(path), value) for one in said):
                yield Broken(
                    OLDER,
                    f"{deed.author} wrote {path} = {value!r} to {deed.kind} {deed.number} on the {deed.side}, "
                    "which nobody said",
                )


def _loops(evidence: Evidence, flow: Flow) -> Iterator[Broken]:
    """No more writes of a field, on both sides together, than edits of it."""
    edits: Counter[tuple[str, str]] = Counter()
    writes: Counter[tuple[str, str]] = Counter()
    for deed in evidence.pair.deeds:
        if deed.kind == flow.kind(deed.side):
            number = evidence.named(deed)
            for path in deed.changed:
                given = deed.before is None and path not in deed.asked  # by the system itself, such as its own number
                (edits if given or deed.author == PERSON else writes)[number, path] += 1
            again = any(
                each.author == PERSON and each.before is None and (each.side, evidence.named(each)) == (deed.side, number)
                for each in evidence.pair.deeds
                if each.at >= deed.at
            )
            # Nobody could know that it was there, or somebody has entered it anew, and it is filled anew.
            if deed.after is None and (again or unheard(evidence, flow, deed.number)):
                edits.update((number, path) for path in deed.before or {})
    for (number, path), count in writes.items():
        if count > edits[number, path]:
            yield Broken(LOOPS, f"{path} of {flow.entity} {number} was written {count} times after {edits[number, path]} edits")
