"""One record's way through a write: what shall be sent, to which row, and what came of it."""

from typing import Any

import msgspec

from ml_connector.errors import ConnectorError, RetryLater
from ml_connector.ports.sink import Conflict, Create, Key, Later, Outcome, Rejected, Remove, Unknown, Update, Written
from ml_connector_oracle_fusion import mapping, wire
from ml_connector_oracle_fusion.judge import Refused
from ml_connector_oracle_fusion.wire import Vendor


class Job(msgspec.Struct, kw_only=True, gc=False):
    """A create has a ``key``; what is known to stand there has an ``id``, a ``number`` (the key in URLs) and an ``etag``."""

    write: Create | Update | Remove
    body: Vendor = {}
    key: Key | None = None
    unmarked: str = ""  # the time of change that stands for an ETag where the row told none
    reference: str | None = None  # to be attached to a row that was found without it
    id: str | None = None
    number: str = ""
    etag: str = ""
    created: bool | None = None  # None: nobody looked before it was sent
    row: Vendor | None = None  # as it stands after the write
    outcome: Outcome | None = None
    error: ConnectorError | None = None  # what stopped the connection, nothing having been written
    warnings: list[str] = msgspec.field(default_factory=list)

    @property
    def open(self) -> bool:
        return self.outcome is None and self.error is None

    @property
    def creates(self) -> bool:
        return self.id is None

    @property
    def entity(self) -> Any:
        write = self.write
        return write.entity if isinstance(write, Create) else write.changes if isinstance(write, Update) else None

    def found(self, row: Vendor) -> None:
        """It stands there."""
        self.id, self.number, self.etag = str(row["PartyId"]), str(row["PartyNumber"]), wire.etag_of(row)
        self.row, self.created = row, False

    def guarded_by(self, version: str | None) -> None:
        """Take number and ETag out of a version."""
        if version is not None:
            self.number, _, etag = version.partition("|")
            self.etag, self.unmarked = ("", etag[1:]) if etag.startswith("@") else (etag, "")

    def stands(self, row: Vendor) -> None:
        """The write was carried out, and this is how the row stands now."""
        if not isinstance(self.write, Create):
            self.created = False
        elif self.created is None:
            self.created = bool(row.get("CreationDate")) and row.get("CreationDate") == row.get("LastUpdateDate")
        self.id, self.number, self.etag, self.row = str(row["PartyId"]), str(row["PartyNumber"]), wire.etag_of(row), row

    def settle(self) -> None:
        """Say that it is written."""
        assert self.row is not None
        changed = self.row.get("LastUpdateDate")
        self.outcome = Written(
            id=str(self.row["PartyId"]),
            version=mapping.version_of(self.row),
            changed_at=wire.instant(str(changed)) if changed else None,
            created=bool(self.created),
            warnings=tuple(self.warnings),
        )

    def refused(self, error: Refused, canonical: str) -> None:
        self.outcome = Rejected(code=error.code, reason=error.what, field=canonical, fix=error.fix)

    def moved(self, etag: str) -> None:
        """Somebody was faster. ``etag`` is the one that stands, "" where it is gone."""
        self.outcome = Conflict(current=f"{self.number}|{wire.bare(etag)}" if etag else None, id=self.id if etag else None)

    def failed(self, error: ConnectorError, *, begun: bool = False) -> None:
        """A call for it ended in an error. ``begun``: a part of it is written already."""
        if begun:
            self.outcome = Unknown(reason=f"party {self.number} is written, the rest perhaps: {error.what}")
        elif isinstance(error, RetryLater) and not error.untouched:
            self.outcome = Unknown(reason=error.what)
        else:
            self.error = error


def outcomes(jobs: list[Job]) -> list[Outcome]:
    """One outcome per job. Raises what stopped the connection, if nothing came of any job; else tells it as Later."""
    stopped = next((job.error for job in jobs if job.error is not None), None)
    if stopped is not None and all(job.outcome is None or isinstance(job.outcome, Rejected) for job in jobs):
        raise stopped
    told: list[Outcome] = []
    for job in jobs:
        error = job.error
        if job.outcome is not None:
            told.append(job.outcome)
        else:
            after = error.after_s if isinstance(error, RetryLater) else None
            told.append(Later(reason=str(error)[:300], after_s=after))
    return told
