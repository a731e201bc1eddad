"""The rules of a two-way flow: what changed on either side is merged, and each way writes its own share of it.

A base moves only for fields that both sides then agree on. What has to go the other way keeps its base and marks the link due,
so that the way back finds it, in this run or, if the program dies in between, in the next.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from ml_connector.domain import UNSET, Entity, Record, Ref, RemoteId, Side
from ml_connector.flows.fields import Projection, refs_of, with_refs
from ml_connector.ports.clock import Clock
from ml_connector.ports.source import Source
from ml_connector.ports.state import Action, Change, Clash, End, Link, Trouble
from ml_connector.sync import content, turns
from ml_connector.sync.crosswalk import Crosswalk
from ml_connector.sync.instead import chosen, taken
from ml_connector.sync.job import Job, Merging, Names
from ml_connector.sync.merge import Merged, View, merge
from ml_connector.sync.rules import There, leave
from ml_connector.sync.way import Way

HALTED: Final = "(stopped)"
"""What a Clash says was agreed where a field is stopped because it goes to and fro."""


class TwoWay:
    """Fulfils Rules for one way of a two-way flow. ``accepts`` are the fields that each side can store.

    ``shared``: other flows write such records as well.
    """

    def __init__(
        self,
        way: Way,
        target: Source,
        project: Projection,
        crosswalk: Crosswalk,
        accepts: Mapping[Side, frozenset[str]],
        clock: Clock,
        *,
        shared: bool = False,
    ) -> None:
        self.way, self._shared = way, shared
        self._target, self._project, self._crosswalk, self._accepts, self._clock = target, project, crosswalk, accepts, clock

    def wants_look(self, job: Job) -> bool:
        return True

    @property
    def sees(self) -> bool:
        return True

    @property
    def learns(self) -> bool:
        return True

    async def look(self, ids: Sequence[RemoteId]) -> dict[RemoteId, There]:
        return await self.see(await self._target.fetch(ids)) if ids else {}

    async def see(self, records: Sequence[Record]) -> dict[RemoteId, There]:
        found = [(record, self._project.view(record.entity)) for record in records if record.entity is not None]
        if self.way.far == "right":
            return {record.id: There(record, entity, shared=self._shared) for record, entity in found}
        refs = {ref for _, entity in found for ref in refs_of(entity)}
        names = dict.fromkeys(refs, UNSET) | await self._crosswalk.names("left", refs)
        back = {name: ref for ref, name in names.items() if isinstance(name, Ref)}
        return {record.id: There(record, with_refs(entity, names), back, self._shared) for record, entity in found}

    def decide(self, job: Job, entity: Entity, names: Names, there: There | None) -> None:
        near = with_refs(entity, names) if self.way.near == "left" else entity
        if there is None:
            self._alone(job, near, names)
            return
        unlearnt = self._unlearnt(job, there)
        job.stand(msgspec.structs.replace(job.there, id=there.record.id, version=there.record.version))
        self._merge(job, near, names, there, unlearnt=unlearnt)
        if not job.names:
            self._rest(job)

    def _unlearnt(self, job: Job, there: There) -> list[Side]:
        """Sides that stand as we wrote them, and whose spelling of it could perhaps not be seen when they were written."""
        seen = self.way.near_end(job.known) if job.known is not None else End()
        near = job.record.by_us and job.record.version == seen.version is not None
        far = there.record.by_us and not there.moved(job.there)
        return [side for side, ours in ((self.way.near, near), (self.way.far, far)) if ours]

    def _rest(self, job: Job) -> None:
        """There is nothing for this way to write."""
        assert job.merging is not None
        self._agree(job, job.merging, (), None)
        if job.merging.merged.clashes:
            self._clash(job)
        else:
            leave(job)
        self._owe(job)

    def _alone(self, job: Job, near: Entity, names: Names) -> None:
        """There is no counterpart, as far as anybody knows."""
        asked = job.known is not None and job.known.standing == "gone" and job.known.due
        if job.there.id is not None and not asked:
            self.lose(job)
            return
        job.remake = job.there.id is not None
        paths = tuple(path for path in content.changed_fields(near, None) if self._stores(self.way.far, path))
        job.desired = self._there(content.only(near, paths), names)
        job.rule, job.before, job.names = "new", None, ()
        job.merging = Merging(
            near=View(None, near),
            far=View(None, type(near)()),
            merged=_narrowed(Merged(entity=near), {self.way.far: paths}),
            names=names,
        )

    def _merge(self, job: Job, near: Entity, names: Names, there: There, *, unlearnt: Collection[Side] = ()) -> None:
        flow, way, link = self.way.flow, self.way, job.link
        bases = {side: _base(link, side, way) for side in (way.near, way.far)}
        for side, entity in ((way.near, near), (way.far, there.entity)):
            if side in unlearnt and (base := bases[side]) is not None:
                bases[side] = content.learnt(base, entity)
        views = {way.near: View(bases[way.near], near), way.far: View(bases[way.far], there.entity)}
        newer = self._newer(job.record, there.record)
        merged = merge(flow, views["left"], views["right"], newer=newer, chosen=chosen(link, way.kind), take=taken(link))
        halted = turns.stopped(link.turns)
        lists = {
            side: tuple(path for path in merged.to(side) if self._stores(side, path) and path not in halted)
            for side in (way.near, way.far)
        }
        stops = [path for path in dict.fromkeys([*merged.to_left, *merged.to_right]) if path in halted]
        merged = _narrowed(merged, lists, [_halted(path, views) for path in stops])
        job.merging = Merging(near=views[way.near], far=views[way.far], merged=merged, names={**names, **there.back})
        job.before, job.remake = there.entity, False
        job.names = lists[way.far]
        job.rule = ""
        if job.names:
            job.desired = self._there(merged.entity, job.merging.names)

    def _stores(self, side: Side, path: str) -> bool:
        head, _, rest = path.partition(".")
        accepts = self._accepts[side]
        return path in accepts or "extra.*" in accepts if head == "extra" and rest else head in accepts

    def _there(self, entity: Entity, names: Names) -> Entity:
        """Common terms in the written side's."""
        if self.way.far == "right":
            return entity
        return with_refs(entity, {ref: names.get(ref, UNSET) for ref in refs_of(entity)})

    def _newer(self, near: Record, far: Record) -> Side | None:
        if near.changed_at is None or far.changed_at is None or near.changed_at == far.changed_at:
            return None
        return self.way.near if near.changed_at > far.changed_at else self.way.far

    def rebase(self, job: Job, there: There, *, landed: bool) -> None:
        assert job.merging is not None
        action: Action = "created" if job.creates else "updated"
        paths, rule, sent = job.names or job.merging.merged.to(self.way.far), job.rule, self.changes(job)
        ours = job.merging.merged.entity
        before = job.before if job.names else None
        moved = there.moved(job.there)
        landed, spelt = landed and moved, moved and there.ours(content.only(ours, paths), before)
        whole = spelt or content.stands(content.only(ours, paths), before, there.entity)
        came = paths if whole else content.came(ours, paths, before, there.entity)
        job.stand(msgspec.structs.replace(job.there, id=there.record.id, version=there.record.version))
        if landed and came:  # perhaps not all of it, where a write takes several calls: the rest is merged and written anew
            job.tell(action, rule, sent if whole else [change for change in sent if change.field in came])
            theirs = content.spelling(content.only(ours, came), there.entity, by_us=spelt)
            filled = self.filled(job.merging.near.now, theirs) if action == "created" else ()
            self._agree(job, job.merging, [path for path in came if path not in filled], theirs)
        self._merge(job, job.merging.near.now, job.merging.names, there)
        job.rule = job.rule or rule
        if not job.names:
            self._rest(job)
            job.action = None if landed and job.term == "unchanged" else job.action

    def sent(self, job: Job) -> Entity:
        assert job.merging is not None
        merged = job.merging.merged
        return content.only(merged.entity, job.names or merged.to(self.way.far))

    def changes(self, job: Job) -> tuple[Change, ...]:
        assert job.merging is not None
        merged = job.merging.merged
        paths = job.names or merged.to(self.way.far)
        return content.changes_between(job.before if job.names else None, merged.entity, paths, merged.rules)

    def written(self, job: Job, action: Action, learnt: Entity | None) -> None:
        assert job.merging is not None
        merging = job.merging
        paths = job.names or merging.merged.to(self.way.far)
        job.changes = self.changes(job)
        filled = self.filled(merging.near.now, learnt) if action != "updated" else ()
        self._agree(job, merging, [path for path in paths if path not in filled], learnt)
        if job.names:
            kept = turns.turned(job.link.turns, paths, self.way.far, self._clock.now())
            job.link = msgspec.structs.replace(job.link, turns=kept)
        clashes = merging.merged.clashes
        if clashes:
            job.link = msgspec.structs.replace(job.link, standing="conflicted")
        job.end("written", action, trouble=self._trouble(clashes) if clashes else None)
        self._owe(job)
        if action != "updated" and (learnt is None or filled):
            job.link = msgspec.structs.replace(job.link, due=True)

    def lose(self, job: Job) -> None:
        """Deletions are not undone by an edit on the other side; a person who wants the record back says so."""
        reason = f"deleted at {self.way.target}; replay the record to make it again"
        news = job.known is None or job.known.standing != "gone"
        job.link = msgspec.structs.replace(job.link, standing="gone")
        job.end("skipped", "gone" if news else None, reason=reason)

    def _agree(self, job: Job, merging: Merging, written: Sequence[str], learnt: Entity | None) -> None:
        """Move the bases of all fields that both sides agree on now."""
        way, merged = self.way, merging.merged
        back = set(merged.to(way.near))
        same = [path for path in merged.same if path not in back]
        sent = [path for path in written if path not in back]
        empty = type(merged.entity)()
        agreed = content.decode(way.kind, job.link.agreed) if job.link.agreed else empty
        near = _moved(merging.near, dict.fromkeys((*same, *sent), merging.near.now))
        far = _moved(
            merging.far,
            dict.fromkeys(same, merging.far.now)
            | {path: learnt if learnt is not None and content.tells(learnt, path) else merged.entity for path in sent},
        )
        agreed = content.put(agreed, {path: content.value_at(merged.entity, path) for path in (*same, *sent)})
        told = content.encode(agreed)
        job.link = msgspec.structs.replace(
            _holding(_holding(job.link, way.near, near, agreed), way.far, far, agreed), standing="agreed", agreed=told
        )
        if not merged.clashes and not back:
            job.link = msgspec.structs.replace(job.link, instead=None)

    def _owe(self, job: Job) -> None:
        """What must go the other way is for that way to write."""
        assert job.merging is not None
        if job.merging.merged.to(self.way.near):
            job.link = msgspec.structs.replace(job.link, due=True)

    def filled(self, near: Entity, learnt: Entity | None) -> tuple[str, ...]:
        """What the vendor filled in that the near side lacks and can store, such as a number: nobody has agreed to it yet."""
        if learnt is None:
            return ()
        return tuple(
            path
            for path in content.changed_fields(learnt, near)
            if content.is_empty(content.value_at(near, path))
            and not content.is_empty(content.value_at(learnt, path))
            and self._stores(self.way.near, path)
        )

    def _clash(self, job: Job) -> None:
        assert job.merging is not None
        trouble = self._trouble(job.merging.merged.clashes)
        news = job.known is None or job.known.trouble is None or job.known.trouble.clashes != trouble.clashes
        job.link = msgspec.structs.replace(job.link, standing="conflicted")
        job.changes = tuple(Change(field=clash.field, old=clash.left, new=clash.right) for clash in trouble.clashes)
        job.end("conflicted", "conflicted" if news else None, reason=trouble.reason, trouble=trouble)

    def _trouble(self, clashes: Sequence[Clash]) -> Trouble:
        flow = self.way.flow
        halted = [clash for clash in clashes if clash.agreed == HALTED]
        told = halted or clashes
        fields = ", ".join(clash.field for clash in told)
        take = f"--take {flow.left}, --take {flow.right} or --set FIELD=VALUE"
        if halted:
            reason = f"{fields}: written to and fro more than {turns.MOST} times; something over there sets it again and again"
            fix = f"Let one side alone write it (leave it out of flows.{flow.name}.fields, carry it in a one-way flow), then: "
        else:
            reason = f"{fields}: changed at {flow.left} and at {flow.right}, and the flow leaves it to a person"
            fix = "Say whose value it shall be: "
        return Trouble(
            code="TO_AND_FRO" if halted else "CLASH",
            reason=reason,
            field=told[0].field,
            fix=f"{fix}failures retry ID {take}",
            side=self.way.near,
            clashes=tuple(clashes),
            since=self._clock.now(),
        )


def _halted(path: str, views: Mapping[Side, View]) -> Clash:
    left, right = (content.told(content.value_at(views[side].now, path), path) for side in ("left", "right"))
    return Clash(field=path, agreed=HALTED, left=left, right=right)


def _base(link: Link, side: Side, way: Way) -> Entity | None:
    told = link.end(side).held or link.agreed
    return content.decode(way.kind, told) if told else None


def _moved(view: View, nows: Mapping[str, Entity]) -> Entity:
    base = view.base if view.base is not None else type(view.now)()
    return content.put(base, {path: content.value_at(now, path) for path, now in nows.items()})


def _holding(link: Link, side: Side, held: Entity, agreed: Entity) -> Link:
    end = link.end(side)
    kept = None if held == agreed else content.encode(held)
    return link.with_end(side, End(end.id, end.version, kept, 0))


def _narrowed(merged: Merged, lists: Mapping[Side, tuple[str, ...]], clashes: Sequence[Clash] = ()) -> Merged:
    """The merge with other lists of what goes where."""
    return msgspec.structs.replace(
        merged,
        to_left=lists.get("left", ()),
        to_right=lists.get("right", ()),
        clashes=(*merged.clashes, *clashes),
    )
