"""IFS writes local time and labels it Z ("nominal Z"). This module is the one place that knows what such a text means."""

import re
from binascii import Error as NotBase64
from binascii import a2b_base64
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final

_TEXT: Final = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?)?")


class ServerTime:
    """Translates between instants and IFS's texts.

    zone   the server's (or the API user's) time zone
    aware  the time-zone-aware request header is on, so that Z really is UTC

    Nominal times are ambiguous for an hour in autumn and do not exist for one in spring. An ambiguous text is taken for the
    earlier instant, so that a watermark made of it never runs ahead; one that does not exist is taken as the clock before the
    change would have shown it. The overlap of watermarks (65 minutes) covers the hour that either choice may be wrong by.
    """

    def __init__(self, zone: tzinfo, *, aware: bool) -> None:
        self.zone, self.aware = zone, aware

    def instant(self, text: str) -> datetime:
        """Aware UTC. Raises ValueError when the text is no time."""
        said = _parsed(text)
        if self.aware:
            return said.astimezone(UTC)
        return said.replace(tzinfo=self.zone, fold=0).astimezone(UTC)

    def text(self, instant: datetime) -> str:
        """An instant as IFS writes it, whole seconds."""
        local = instant.astimezone(UTC if self.aware else self.zone)
        return local.strftime("%Y-%m-%dT%H:%M:%SZ")

    def day(self, text: str) -> date:
        """The business date of a Date or DateTimeOffset as people on the server's clock read it. Raises ValueError."""
        if self.aware and len(text) > 10:
            return _parsed(text).astimezone(self.zone).date()
        return _date(text[:10])

    def midnight(self, day: date) -> str:
        """The beginning of a business day as a DateTimeOffset."""
        if self.aware:
            return self.text(datetime(day.year, day.month, day.day, tzinfo=self.zone))
        return f"{day.isoformat()}T00:00:00Z"

    def today(self, now: datetime) -> date:
        return now.astimezone(self.zone).date()


@lru_cache(4096)
def _date(text: str) -> date:
    """Most orders name the same few days."""
    return date.fromisoformat(text)


def earlier(text: str, seconds: float) -> str:
    """A Date or DateTimeOffset text, moved back on its own clock; a Date moves by whole days, rounded up."""
    if len(text) == 10:
        return (date.fromisoformat(text) - timedelta(days=-(-seconds // 86400))).isoformat()
    moved = _parsed(text) - timedelta(seconds=seconds)
    return moved.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_literal(text: str) -> bool:
    """Whether the text may stand in a filter as it is."""
    return _TEXT.fullmatch(text) is not None


def digits_of(etag: str | None) -> bytes:
    """The row version inside a weak ETag (``W/"base64"`` of ``W/"objid:YYYYMMDDHHMMSS"``) as 14 digits; b"" if there is none.

    Only a hint: the ETag is opaque, and its form comes from recorded rows.
    """
    if etag is None:
        return b""
    try:
        told = a2b_base64(etag[3:-1])
    except (NotBase64, ValueError):
        return b""
    digits = told[-15:-1]
    return digits if told[-16:-15] == b":" and told[-1:] == b'"' and digits.isdigit() else b""


def instant_of(digits: bytes, time: ServerTime) -> datetime | None:
    """The instant of a row version, which is on the server's own clock whatever the header says; None when it is none."""
    if not digits:
        return None
    try:
        text = digits.decode()
        return datetime.fromisoformat(f"{text[:8]}T{text[8:]}").replace(tzinfo=time.zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _parsed(text: str) -> datetime:
    """Aware as labelled; a text without a label counts as Z."""
    said = datetime.fromisoformat(text)
    return said if said.tzinfo else said.replace(tzinfo=UTC)
