"""From a batch of records to jobs: links found, echoes and unchanged dropped, refs translated, and a decision for each."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from ml_connector.domain import Entity, Record, Ref
from ml_connector.errors import RecordRejected
from ml_connector.flows.fields import Projection, refs_of
from ml_connector.ports.clock import Clock
from ml_connector.ports.state import End, Link, Links, Trouble
from ml_connector.sync import instead
from ml_connector.sync.crosswalk import Crosswalk
from ml_connector.sync.job import Job, Names
from ml_connector.sync.match import Match, Matcher
from ml_connector.sync.mirror import discounted, written_by_us
from ml_connector.sync.read import standing_term
from ml_connector.sync.rules import Rules, There, skip

FIRST_LOAD: Final = "FIRST_LOAD"
"""The trouble of records that wait for a person's word before they are made on a filled system."""


class Preparer:
    """Turns records that one way of a flow read into jobs; those with a ``term`` are ended, the others want writing."""

    def __init__(
        self,
        rules: Rules,
        links: Links,
        crosswalk: Crosswalk,
        project: Projection,
        clock: Clock,
        new_id: Callable[[], str],
        *,
        matcher: Matcher | None,
        creates: bool,
        anew: bool,
    ) -> None:
        self._rules, self._way, self._flow = rules, rules.way, rules.way.flow
        self._links, self._crosswalk, self._project = links, crosswalk, project
        self._clock, self._new_id = clock, new_id
        self._matcher = matcher  # looks for counterparts before anything is made; None: the sink's own upsert does
        self._creates = creates  # False: a first load onto a filled system makes nothing before a person has looked
        self._anew = anew  # map again even what did not change: the flow's rules did

    async def jobs(self, records: Sequence[Record], page: int) -> list[Job]:
        near, far = self._way.near, self._way.far
        known = await self._links.by_id(self._flow.name, near, [record.id for record in records])
        strangers = [record.id for record in records if record.id not in known]
        elsewhere = await self._crosswalk.counterparts(near, strangers) if strangers else {}
        jobs: list[Job] = []
        open_jobs: list[tuple[Job, Entity, list[Ref]]] = []
        for record in records:
            link = self._link(record, known, elsewhere)
            job = Job(record=record, link=link, known=known.get(record.id), page=page, far=far)
            jobs.append(job)
            if (entity := self._wanted(job)) is not None:
                open_jobs.append((job, entity, refs_of(entity)))
        names = await self._crosswalk.names(near, (ref for _, _, refs in open_jobs for ref in refs))
        ready: list[tuple[Job, Entity, Names]] = []
        for job, entity, refs in open_jobs:
            if missing := [ref for ref in refs if ref not in names]:
                self._park(job, missing[0])
            else:
                ready.append((job, entity, {ref: names[ref] for ref in refs} if refs else {}))
        await self._find(ready)
        await self._discount_our_own(ready)
        there = await self._there([job for job, _, _ in ready if job.term is None])
        for job, entity, translated in ready:
            if job.term is None:
                self._rules.decide(job, entity, translated, there.get(job.there.id or ""))
                self._left_out(job)
        return jobs

    def _link(self, record: Record, known: dict[str, Link], elsewhere: dict[str, str]) -> Link:
        told = record.entity.number if record.entity is not None else None
        number = told if isinstance(told, str) and told else None
        link = known.get(record.id)
        if link is None:
            here, there = End(record.id, record.version), End(elsewhere.get(record.id))
            left, right = (here, there) if self._way.near == "left" else (there, here)
            return Link(
                id=self._new_id(),
                flow=self._flow.name,
                number=number or record.id,
                left=left,
                right=right,
                standing="in_doubt",
            )
        if number is not None and number != link.number:  # people quote the one that it has now
            link = msgspec.structs.replace(link, number=number)
        return link.with_end(self._way.near, End(record.id, record.version, link.end(self._way.near).held))

    def _wanted(self, job: Job) -> Entity | None:
        """What the target shall hold, refs as they were read; None when the job ended here."""
        record, known = job.record, job.known
        if record.gone or record.entity is None:
            self._gone(job)
            return None
        if known is not None and self._seen(record, known):
            term = standing_term(known.standing)
            if term is not None:
                job.link = known
                job.term = "echoed" if term == "unchanged" and record.by_us and self._flow.two_way else term
                return None
        try:
            desired = self._project(record.entity)
        except RecordRejected as error:
            self._reject(job, error)
            return None
        if desired is None:
            skip(job, f"where: {self._flow.where_text}")
            return None
        if (hold := record.hold) is not None:
            self._wait(job, Trouble(code=hold.code, reason=hold.reason, fix=hold.fix))
            return None
        if not self._flow.two_way:
            desired, job.link = instead.applied(desired, job.link, self._way.kind)
        match = self._flow.match
        if self._flow.creates and not getattr(desired, match[0]) and not any(getattr(desired, field) for field in match):
            self._reject(job, self._nameless())
            return None
        return desired

    def _nameless(self) -> RecordRejected:
        way, field = self._way, self._flow.match[0]
        return RecordRejected(
            f"it has no {' and no '.join(self._flow.match)}, by which {way.target} would know it",
            code="NO_KEY",
            field=field,
            fix=f"Give the {self._flow.kind(way.near)} its {field} at {way.source}: it goes on by itself then",
        )

    def _seen(self, record: Record, known: Link) -> bool:
        return self._way.near_end(known).version == record.version is not None and not known.due and not self._anew

    async def _find(self, ready: Sequence[tuple[Job, Entity, Names]]) -> None:
        """Look for counterparts of what has none, by the flow's keys."""
        if self._matcher is None:
            return
        lonely = {job.record.id: (job, entity) for job, entity, _ in ready if job.there.id is None}
        if not lonely:
            return
        found = await self._matcher.matches({one: entity for one, (_, entity) in lonely.items()})
        for one, (job, _) in lonely.items():
            match found[one].fit:
                case "one":
                    self._join(job, found[one])
                case "none":
                    if not self._creates and self._flow.creates:
                        self._hold(job)
                case _:
                    self._ambiguous(job, found[one])

    def _join(self, job: Job, match: Match) -> None:
        """The record over there is this one's counterpart: by a link of their own, or by the one that waited for them both."""
        far, holder, near = match.records[0], match.holder, self._way.near
        if holder is None:
            job.stand(End(far.id))
        elif holder.standing == "in_doubt" and holder.end(near).id is None:  # our own write, of which nobody has heard yet
            job.known = job.link = holder
            job.term = "echoed"
        elif holder.end(near).id is None and job.known is None:
            here = job.link.end(near)
            job.known, job.link = holder, msgspec.structs.replace(holder.with_end(near, here), number=job.link.number)
        else:
            job.former = holder
            job.stand(End(far.id))

    async def _discount_our_own(self, ready: Sequence[tuple[Job, Entity, Names]]) -> None:
        """Where another flow writes what this one reads, only what people made of it since is a change (``sync.mirror``)."""
        mirrors = await self._crosswalk.mirrors([job.record.id for job, _, _ in ready])
        for job, entity, names in ready:
            job.mirror = mirrors.get(job.record.id)
            if job.mirror is not None and job.term is None:
                ours = written_by_us(job.mirror, self._flow.entity)
                if ours is not None:
                    job.link = discounted(job.link, self._flow.target, entity, self._project.shape(ours), names)

    async def _there(self, jobs: Sequence[Job]) -> dict[str, There]:
        """What stands at the target, for those that have to see it."""
        return await self._rules.look(
            [one for job in jobs if (one := job.there.id) is not None and self._rules.wants_look(job)]
        )

    def _gone(self, job: Job) -> None:
        known = job.known
        news = known is not None and known.standing != "gone"
        deactivates = self._flow.deletes == "deactivate" and self._flow.updates
        if deactivates and known is not None and job.there.id is not None and (news or known.due):
            job.removes, job.rule = True, f"deleted at {self._way.source}, deletes: deactivate"
            return
        job.link = msgspec.structs.replace(job.link, standing="gone")
        why = f"deleted at {self._way.source}; the flow ignores deletions"
        job.end("skipped", "gone" if news else None, reason=why)

    def _park(self, job: Job, parent: Ref) -> None:
        self._wait(
            job,
            Trouble(
                code="PARENT_MISSING",
                reason=f"{parent.kind} {parent.key} has no counterpart at {self._way.target} yet",
                fix=f"It goes on by itself when that {parent.kind} arrives",
                waits_for=parent,
            ),
        )

    def _left_out(self, job: Job) -> None:
        """What this flow does not make, another between the same systems may: then the record is looked at again."""
        if job.term != "skipped" or job.there.id is not None:
            return
        if self._crosswalk.has_siblings(near := self._way.near):
            trouble = Trouble(
                code="NOT_THERE",
                reason=job.reason,
                fix="It goes on by itself when another flow has made it",
                side=near,
                waits_for=Ref(self._flow.kind(near), job.record.id),
                since=self._clock.now(),
            )
            job.link = msgspec.structs.replace(job.link, trouble=trouble)

    def _hold(self, job: Job) -> None:
        kind, target = self._way.kind, self._way.target
        self._wait(
            job,
            Trouble(
                code=FIRST_LOAD,
                reason=f"{target} held {kind} records before this flow's first run, and none of them is this one",
                fix=f"Review: ml-connector match {self._flow.name}; then match --apply FILE, or sync --create-all",
            ),
        )

    def _wait(self, job: Job, trouble: Trouble) -> None:
        trouble = msgspec.structs.replace(trouble, since=self._clock.now(), side=self._way.near)
        news = job.known is None or job.known.standing != "parked"
        job.link = msgspec.structs.replace(job.link, standing="parked")
        job.end("parked", "parked" if news else None, reason=trouble.reason, trouble=trouble)

    def _ambiguous(self, job: Job, match: Match) -> None:
        why = {
            "many": f"several records at {self._way.target} have the same key",
            "taken": f"the record at {self._way.target} with this key stands for another one already",
            "twice": f"several records at {self._way.source} have the same key",
        }[match.fit]
        trouble = Trouble(
            code="AMBIGUOUS",
            reason=f"{why} ({match.evidence}): {', '.join(record.id for record in match.records[:5]) or 'none yet'}",
            field=match.key.field if match.key is not None else self._flow.match[0],
            fix=f"Make the keys unique, or say which it is: ml-connector match {self._flow.name}",
            side=self._way.near,
            since=self._clock.now(),
        )
        news = job.known is None or job.known.trouble is None or job.known.trouble.reason != trouble.reason
        job.link = msgspec.structs.replace(job.link, standing="conflicted")
        job.end("conflicted", "conflicted" if news else None, reason=trouble.reason, trouble=trouble)
        job.link = msgspec.structs.replace(job.link, due=True)  # what makes it clear may happen on the other side alone

    def _reject(self, job: Job, error: RecordRejected) -> None:
        trouble = Trouble(
            code=error.code,
            reason=error.what,
            field=error.field,
            fix=error.fix,
            side=self._way.near,
            since=self._clock.now(),
        )
        job.link = msgspec.structs.replace(job.link, standing="rejected")
        job.end("rejected", "rejected", reason=str(error), trouble=trouble)
