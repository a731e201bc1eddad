"""Versions of IFS records: the row's ETag, byte for byte, and where that says too little, a fingerprint behind it.

``W/"Vy8i…"``                            a customer whose children are not part of the version
``W/"Vy8i…";lines=0f3c9a51d2e4b687``     an order: header ETag and a hash of its lines' keys and ETags
``W/"Vy8i…";children=…``, ``;content=…`` a customer with its children, any record under the strategy ``full``

``header_etag`` gives back what belongs into If-Match.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Literal

from ml_connector.domain import Entity, Version
from ml_connector.sync.content import encode
from ml_connector_ifs_cloud.rows import LineKey

_DIGEST_BYTES: Final = 8
_MARKS: Final = (";lines=", ";children=", ";content=")


def header_etag(version: Version) -> str | None:
    """The ETag of the row itself; None when the vendor gave none."""
    for mark in _MARKS:
        etag, found, _ = version.rpartition(mark)
        if found:
            return etag or None
    return version or None


def order_version(etag: str, lines: Sequence[LineKey] | None) -> Version:
    """Differs whenever the header row or any line row differs, whatever the order in which lines come; None: lines unread."""
    if lines is None:
        return f"{etag};lines=unread"
    told = sorted([f"{line.LineNo}\0{line.RelNo}\0{int(line.LineItemNo)}\0{line.etag}" for line in lines])
    return f"{etag};lines={_digest(chr(10).join(told).encode())}"


def content_version(etag: str | None, entity: Entity, mark: Literal["children", "content"]) -> Version:
    """Differs whenever what we read of the record differs."""
    return f"{etag or ''};{mark}={_digest(encode(entity))}"


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
