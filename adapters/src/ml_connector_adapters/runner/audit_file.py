"""The audit as a file: JSON lines whose chain of hashes can be verified away from the state.

head    {"audit": 1, "workspace": "acme", "after": {"seq": 0, "hash": "000…"}}: the place in the chain where the file begins;
        also ``since`` where it was asked for, and ``only`` (run, kinds, number) where the file is a selection
entries {"seq": 1, "hash": "5f1…", "at": "2026-01-05T08:00:00Z", …}, oldest first; in a selection also ``before``, the hash of
        the entry that goes before it in the chain
foot    {"end": {"seq": 7, "hash": "c40…"}, "entries": 7}: the place in the chain where the export ended

An entry's hash is what the state itself keeps. A file that is no selection is checked as a chain, so that nothing can be
changed, removed, moved or put in. Of a selection every entry is checked for itself, and the number of them.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import IO, Any, Final, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from ml_connector.errors import ConfigError
from ml_connector.ports.state import AuditEntry, AuditRecord, Ledger
from ml_connector_adapters.store.ledger import START, chained

T = TypeVar("T")

FORMAT: Final = 1
_LONGEST: Final = 1 << 26
"""No line of an audit is longer (bytes): an order of a hundred thousand lines."""
_AGAIN: Final = "Make it anew: ml-connector audit export > FILE"


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry's number and hash; before the first entry 0 and zeros."""

    seq: int
    hash: str


class Only(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a selection holds: entries to which all of this applies, as far as it is given."""

    run: str | None = None
    kinds: tuple[str, ...] = ()
    number: str | None = None

    def fits(self, entry: AuditEntry) -> bool:
        return (
            self.run in (None, entry.run)
            and (not self.kinds or entry.kind in self.kinds)
            and self.number in (None, entry.number)
        )


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    audit: int
    workspace: str
    after: Place
    since: datetime | UnsetType = UNSET
    only: Only | UnsetType = UNSET


class Foot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    end: Place
    entries: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is worth. ``first_broken`` is the number of the first entry that does not fit, None when all do."""

    entries: int  # that were checked
    only: Only | None = None  # a selection: entries that are missing between others are not missed
    first_broken: int | None = None
    line: int | None = None
    what: str = ""


async def export(
    ledger: Ledger, workspace: str, *, since: datetime | None = None, only: Only | None = None
) -> AsyncIterator[str]:
    """The file's lines. ``since``: from the first entry of that time on. Reads the whole audit, in flat memory."""
    last, count, begun = Place(0, START), 0, since is None
    head: Head | None = None
    async for record in ledger.entries():
        begun = begun or (since is not None and record.entry.at >= since)
        if begun:
            if head is None:
                head = _head(workspace, last, since, only)
                yield _line(head)
            if only is None or only.fits(record.entry):
                count += 1
                yield _line(_told(record, last.hash if only is not None else None))
        last = Place(record.seq, record.hash)
    if head is None:
        yield _line(_head(workspace, last, since, only))
    yield _line(Foot(end=last, entries=count))


def _head(workspace: str, after: Place, since: datetime | None, only: Only | None) -> Head:
    return Head(audit=FORMAT, workspace=workspace, after=after, since=since or UNSET, only=only or UNSET)


def _line(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _told(record: AuditRecord, before: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {"seq": record.seq, "hash": record.hash}
    if before is not None:
        told["before"] = before
    return told | _plain(record.entry)


def _plain(entry: AuditEntry) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(entry))
    return told


def verify(file: IO[bytes], name: str) -> Verdict:
    """Check every line of an exported file, in flat memory. Raises ConfigError, with the line, for what is no such file."""
    lines = enumerate(iter(lambda: file.readline(_LONGEST), b""), 1)
    head = _read_head(lines, name)
    only = None if isinstance(head.only, UnsetType) else head.only
    check = _Check(head.after, only)
    number = 1
    for number, line in lines:
        value = _object(line, number, name)
        if value is None:
            return check.verdict(number, "the file breaks off in the middle of this line")
        if "end" in value:
            what = check.foot(_converted(value, Foot, number, name))
            if not what and next(lines, None) is not None:
                number, what = number + 1, "something was put behind the file's end"
            return check.verdict(number, what) if what else check.verdict()
        if what := check.entry(value, number, name):
            return check.verdict(number, what)
    return check.verdict(number + 1, "the file's last line is missing: it was cut off")


class _Check:
    """Goes from place to place. What does not fit is told in words; "" means that it does."""

    def __init__(self, after: Place, only: Only | None) -> None:
        self._last, self._only = after, only
        self._entries = 0
        self._broken = after.seq + 1  # the number of the entry that is looked at, or would come next

    def verdict(self, line: int | None = None, what: str = "") -> Verdict:
        broken = self._broken if line is not None else None
        return Verdict(entries=self._entries, only=self._only, first_broken=broken, line=line, what=what)

    def entry(self, value: dict[str, Any], number: int, name: str) -> str:
        told = dict(value)
        place = _converted({each: told.pop(each, None) for each in ("seq", "hash")}, Place, number, name)
        before = told.pop("before", None) if self._only is not None else self._last.hash
        entry = _converted(told, AuditEntry, number, name)
        what = self._order(place.seq) or self._content(place, before, entry, told)
        if not what:
            self._entries += 1
            self._last, self._broken = place, place.seq + 1
        return what

    def _order(self, seq: int) -> str:
        last = self._last.seq
        if seq <= last:
            self._broken = last + 1 if self._only is None else seq
            return f"entry {seq} does not belong behind entry {last}: it was moved here or put in"
        if self._only is None and seq != last + 1:
            return f"entry {last + 1} is missing: entry {seq} stands in its place"
        self._broken = seq
        return ""

    def _content(self, place: Place, before: object, entry: AuditEntry, told: dict[str, Any]) -> str:
        whole = _plain(msgspec.structs.replace(entry, left=entry.left.place, right=entry.right.place))
        follows = isinstance(before, str) and (place.seq != self._last.seq + 1 or before == self._last.hash)
        if whole | told != whole or not follows or place.hash != chained(str(before), place.seq, entry):
            return f"entry {place.seq} was changed, or is not the one that belongs here"
        if self._only is not None and not self._only.fits(entry):
            return f"entry {place.seq} does not belong to what the first line says is selected"
        return ""

    def foot(self, foot: Foot) -> str:
        last, end = self._last, foot.end
        if self._only is None and end.seq != last.seq:
            self._broken = min(last.seq, end.seq) + 1
            return f"entry {self._broken} {'is missing' if end.seq > last.seq else 'was put in'}: the export ended at {end.seq}"
        if foot.entries != self._entries:
            return f"{foot.entries} entries were exported and {self._entries} are here; which it is cannot be told"
        if end.seq < last.seq or (end.seq == last.seq and end.hash != last.hash):
            self._broken = last.seq
            return f"entry {last.seq} is not the one that the export ended with"
        return ""


def _read_head(lines: Iterator[tuple[int, bytes]], name: str) -> Head:
    _, line = next(lines, (1, b""))
    value = _object(line, 1, name) if line else None
    if value is None or "audit" not in value:
        raise ConfigError("line 1 is not the first line of an exported audit", fix=_AGAIN, where=name)
    if value["audit"] != FORMAT:
        raise ConfigError(f"an audit file of format {value['audit']}; this program knows {FORMAT}", where=name)
    return _converted(value, Head, 1, name)


def _object(line: bytes, number: int, name: str) -> dict[str, Any] | None:
    """The line's object; None when the file ends in the middle of it."""
    try:
        value: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        return value
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if number > 1 and not line.endswith(b"\n"):
            return None
        raise ConfigError(f"line {number} is no JSON object ({error})", fix=_AGAIN, where=name) from None


def _converted(value: dict[str, Any], kind: type[T], number: int, name: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(f"line {number} is no line of an audit: {error}", fix=_AGAIN, where=name) from None
