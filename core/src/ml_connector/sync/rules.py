"""What a one-way and a two-way flow do differently: what is compared with what, and what a link keeps of it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from ml_connector.domain import Entity, Record, RemoteId
from ml_connector.ports.state import Action, Change, End
from ml_connector.sync import content
from ml_connector.sync.job import Job, Names
from ml_connector.sync.way import Way


class There(msgspec.Struct, frozen=True, gc=False):
    """A record that stands on the written side, in common terms (the right side's)."""

    record: Record
    entity: Entity
    back: Names = {}  # common terms → that side's own, for the refs in it
    shared: bool = False  # other flows write such records as well

    def ours(self, sent: Entity, before: Entity | None) -> bool:
        """Whether the vendor says that the last hand was ours, and it was this flow's that sent this.

        Where other flows write such records, some of what was sent must stand there, and not have stood before.
        """
        return self.record.by_us and (not self.shared or bool(content.came(sent, content.fine(sent), before, self.entity)))

    def moved(self, end: End) -> bool:
        """Whether anything has come upon the record since it was seen at ``end``, as far as versions tell."""
        return end.id != self.record.id or end.version is None or self.record.version != end.version


class Rules(Protocol):
    """Pure but for ``look``, which reads."""

    @property
    def way(self) -> Way: ...

    def wants_look(self, job: Job) -> bool:
        """Whether the counterpart must be seen before anything is decided."""
        ...

    @property
    def sees(self) -> bool:
        """Whether the written side can be read at all."""
        ...

    @property
    def learns(self) -> bool:
        """Whether a write is looked at afterwards, for what the vendor made of it."""
        ...

    async def see(self, records: Sequence[Record]) -> dict[RemoteId, There]:
        """Records of the written side in common terms, by id."""
        ...

    async def look(self, ids: Sequence[RemoteId]) -> dict[RemoteId, There]:
        """What stands on the written side under these ids; absent: nothing, or the system cannot be read."""
        ...

    def decide(self, job: Job, entity: Entity, names: Names, there: There | None) -> None:
        """End the job, or say what shall be written. ``entity`` is what was read, ``names`` what its refs are called there."""
        ...

    def rebase(self, job: Job, there: There, *, landed: bool) -> None:
        """Decide anew over what stands there now. ``landed``: it may be what an unanswered write of ours made of it."""
        ...

    def sent(self, job: Job) -> Entity:
        """The fields that a job will write, in common terms."""
        ...

    def changes(self, job: Job) -> tuple[Change, ...]:
        """What a job that wants writing would change over there, field by field."""
        ...

    def written(self, job: Job, action: Action, learnt: Entity | None) -> None:
        """End the job as written. ``learnt``: what the vendor made of it, in common terms, where it was looked at."""
        ...

    def filled(self, near: Entity, learnt: Entity | None) -> tuple[str, ...]:
        """What the vendor gave a new record that the side it is from lacks and keeps as well: nobody has agreed to it yet."""
        ...

    def lose(self, job: Job) -> None:
        """The counterpart turned out to be gone: end the job, or make the record anew."""
        ...


def leave(job: Job) -> None:
    """Nothing to do. Tells of it only where two records became one business record by that."""
    job.end("unchanged", None if job.known is not None else "adopted")


def skip(job: Job, reason: str) -> None:
    news = job.known is None or job.known.standing != "skipped"
    job.link = msgspec.structs.replace(job.link, standing="skipped")
    job.end("skipped", "skipped" if news else None, reason=reason)
