"""Settle step: what a batch of jobs leaves behind, as one value that is committed or refused as one."""

from collections.abc import Iterable

import msgspec

from ml_connector.domain import Instant, Kind
from ml_connector.ports.clock import Clock
from ml_connector.ports.state import AuditEntry, Counts, End, Link, Run, Settlement
from ml_connector.sync.job import Job
from ml_connector.sync.mirror import retold
from ml_connector.sync.way import Way


def tally(counts: Counts, term: str, amount: int = 1) -> None:
    setattr(counts, term, getattr(counts, term) + amount)


def entry(run: Run, at: Instant, kind: Kind, link: Link, job: Job) -> AuditEntry:
    """The audit's line about one job that has something to tell."""
    assert job.action is not None
    return AuditEntry(
        at=at,
        run=run.id,
        flow=run.flow,
        trace_id=run.trace_id,
        kind=kind,
        number=link.number,
        link=link.id,
        action=job.action,
        left=link.left.place,
        right=link.right.place,
        side=job.far,
        rule=job.rule,
        reason=job.reason,
        changes=job.changes,
    )


def settlement(run: Run, clock: Clock, way: Way, jobs: Iterable[Job], opened: set[str]) -> Settlement:
    """Links, audit and counts of ended jobs. ``opened`` are the links with an open intent; ended ones are taken out of it."""
    batch = Settlement(run=run)
    at, kind = clock.now(), way.kind
    for job in jobs:
        assert job.term is not None
        tally(run.counts, job.term)
        if job.former is not None and job.there.id is not None:
            batch.links.append(job.former.with_end(job.far, End()))
        if job.link != job.known:
            batch.links.append(job.link)
        if job.mirror is not None and (news := retold(way.flow, job)) is not None:
            batch.retold.append(news)
        for told in job.told:
            line = msgspec.structs.replace(job, action=told.action, rule=told.rule, reason=told.reason, changes=told.changes)
            batch.audit.append(entry(run, at, kind, job.link, line))
            tally(run.counts, "read")  # it was looked up, and found to be written
            tally(run.counts, "written")
        if job.action is not None:
            batch.audit.append(entry(run, at, kind, job.link, job))
        if job.merging is not None and job.term == "written" and job.link.trouble is not None:
            waits = msgspec.structs.replace(job, action="conflicted", reason=job.link.trouble.reason, changes=())
            batch.audit.append(entry(run, at, kind, job.link, waits))
        if job.link.id in opened and job.term != "unknown":
            opened.discard(job.link.id)
            batch.ended_intents.append(job.link.id)
        for warning in job.record.warnings if job.action is not None else ():
            note = msgspec.structs.replace(job, action="noted", reason=warning, changes=())
            batch.audit.append(entry(run, at, kind, job.link, note))
    return batch
