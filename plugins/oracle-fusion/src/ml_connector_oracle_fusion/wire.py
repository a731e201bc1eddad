"""JSON as Oracle writes it: rows with their metadata in either shape, children in either shape, and what is sent.

Oracle, Sales REST: "Set the REST Framework Version": children are bare lists before 3 and collections from there on, keys and
ETags stand under ``links`` before 6 and under ``@context`` from there on. Both are read whatever was asked for.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import msgspec

from ml_connector.errors import ContractBroken

Vendor: TypeAlias = dict[str, Any]


class Listing(msgspec.Struct):
    """One page of a collection; an empty one may leave ``items`` out."""

    items: list[Vendor] = []
    count: int | None = None
    hasMore: bool = False
    limit: int | None = None


class Batch(msgspec.Struct):
    """The answer to a batch that was carried out."""

    parts: list[Vendor]


listing: Final = msgspec.json.Decoder(Listing, float_hook=Decimal)
item: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
batch: Final = msgspec.json.Decoder(Batch, float_hook=Decimal)
encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def etag_of(row: Mapping[str, Any]) -> str:
    """The row's ETag without its quotes, "" where it has none."""
    context = row.get("@context")
    if isinstance(context, dict):
        headers = context.get("headers")
        if isinstance(headers, dict) and headers.get("ETag"):
            return bare(str(headers["ETag"]))
    for link in _links(row):
        if link.get("rel") == "self" and isinstance(link.get("properties"), dict):
            return bare(str(link["properties"].get("changeIndicator") or ""))
    return ""


def bare(etag: str) -> str:
    """Header and body spell the same ETag with and without quotes."""
    return etag.removesuffix("--gzip").strip('"') if not etag.startswith("W/") else etag


def quoted(etag: str) -> str:
    """The ETag as If-Match wants it."""
    return etag if etag.startswith("W/") else f'"{etag}"'


def key_of(row: Mapping[str, Any]) -> str:
    """The row's key in URLs, an opaque one too: it is taken from what the row says of itself and never made up."""
    context = row.get("@context")
    if isinstance(context, dict) and context.get("key"):
        return str(context["key"])
    for link in _links(row):
        if link.get("rel") == "self" and link.get("href"):
            return unquote(urlsplit(str(link["href"])).path.rpartition("/")[2])
    return ""


def children(row: Mapping[str, Any], name: str) -> tuple[list[Vendor], bool]:
    """A row's expanded children, and whether these are all of them."""
    held = row.get(name)
    if isinstance(held, dict):
        return [each for each in held.get("items") or [] if isinstance(each, dict)], not held.get("hasMore")
    return [each for each in held or [] if isinstance(each, dict)], True


def instant(value: str) -> datetime:
    """ISO 8601 with an offset and up to three digits of a second. Raises ContractBroken."""
    try:
        when = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        raise ContractBroken(f"{value[:40]!r} is no time as Oracle writes it") from None
    return (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).astimezone(UTC)


def day(value: object) -> date | None:
    """The date of a date or time, None where there is none."""
    return date.fromisoformat(str(value)[:10]) if value else None


def amount(value: object) -> Decimal | None:
    """A number, None where there is none."""
    return None if value is None or value == "" else value if isinstance(value, Decimal) else Decimal(str(value))


def _links(row: Mapping[str, Any]) -> list[Vendor]:
    context = row.get("@context")
    more = context.get("links") if isinstance(context, dict) else None
    return [link for link in (*(row.get("links") or ()), *(more or ())) if isinstance(link, dict)]
