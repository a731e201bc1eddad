"""The URL of a request taken apart as Apache Olingo does it: split first, decode after, and a plus sign stays a plus sign."""

import base64
import re
from decimal import Decimal
from urllib.parse import unquote

import msgspec

from ml_connector_ifs_cloud.twin.answers import Refused, incompatible, malformed, not_implemented
from ml_connector_ifs_cloud.twin.schema import EntityType, Value

KNOWN = frozenset({"$select", "$filter", "$orderby", "$top", "$skip", "$count", "$expand", "$skiptoken"})
UNIMPLEMENTED = frozenset({"$search", "$apply", "$compute", "$format", "$deltatoken", "$levels", "$index", "$id"})

_SEGMENT = re.compile(r"([^()]+)(?:\((.*)\))?", re.DOTALL)
_KEY_PART = re.compile(r"\s*(?:(\w+)\s*=\s*)?('(?:[^']|'')*'|[^,'\s]+)\s*(?:,|$)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Segment(msgspec.Struct, frozen=True):
    """One step of a path: a name, and a key predicate if there was one."""

    name: str
    key: tuple[tuple[str, str], ...] | None = None  # (property, literal); the property is "" in the short form Set('x')


class Options(msgspec.Struct, frozen=True):
    """System query options of one request; texts are decoded, None means left out."""

    select: tuple[str, ...] | None = None
    filter: str | None = None
    orderby: tuple[tuple[str, bool], ...] = ()  # (property, descending)
    top: int | None = None
    skip: int = 0
    count: bool = False
    expand: str | None = None
    select_fields: tuple[str, ...] | None = None

    @property
    def shapes_a_list(self) -> bool:
        return bool(self.filter is not None or self.orderby or self.top is not None or self.skip or self.count)


def parse_path(raw: str) -> list[Segment]:
    """Take apart what stands behind ``<Projection>.svc/``, still percent-encoded."""
    return [_segment(_decode(part)) for part in raw.split("/")]


def parse_options(query: str) -> Options:
    given: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, _, value = pair.partition("=")
        if name.startswith("%24"):
            raise malformed(f"The query option '{name}' is not defined; write the dollar sign as it is.")
        if name in given:
            raise malformed(f"The query option '{name}' is given twice.")
        if name in UNIMPLEMENTED:
            raise not_implemented()
        if name.startswith("$") and name not in KNOWN:
            raise malformed(f"The system query option '{name}' is not defined.")
        given[name] = _decode(value)
    skip = _natural("$skip", given["$skip"]) if "$skip" in given else 0
    top = _natural("$top", given["$top"]) if "$top" in given else None
    if "$skiptoken" in given:
        skip, top = read_skiptoken(given["$skiptoken"])
    if given.get("$count", "false") not in ("true", "false"):
        raise malformed("The value of '$count' must be true or false.")
    return Options(
        select=_names(given.get("$select")),
        filter=given.get("$filter"),
        orderby=_orderby(given.get("$orderby")),
        top=top,
        skip=skip,
        count=given.get("$count") == "true",
        expand=given.get("$expand"),
        select_fields=_names(given.get("select-fields")),
    )


def write_skiptoken(skip: int, top: int | None) -> str:
    """Where a chain of linked pages goes on: rows to skip, rows still wanted."""
    return base64.urlsafe_b64encode(f"{skip}:{'' if top is None else top}".encode()).decode().rstrip("=")


def read_skiptoken(token: str) -> tuple[int, int | None]:
    try:
        skip, _, top = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode().partition(":")
        return int(skip), int(top) if top else None
    except ValueError:
        raise malformed("The value of '$skiptoken' is not one that this service gave out.") from None


def key_values(entity: EntityType, segment: Segment) -> dict[str, Value]:
    """Check a key predicate against the key of the type: every column, by name unless there is only one, of the right type."""
    parts = segment.key or ()
    if len(parts) == 1 and not parts[0][0] and len(entity.keys) == 1:
        parts = ((entity.keys[0], parts[0][1]),)
    names = tuple(name for name, _ in parts)
    if sorted(names) != sorted(entity.keys):
        raise malformed(f"The key of '{entity.name}' is ({', '.join(entity.keys)}), given was ({', '.join(names)}).", "ODP_KEY")
    return {name: _key_literal(literal, entity.properties[name].type) for name, literal in parts}


def _segment(text: str) -> Segment:
    found = _SEGMENT.fullmatch(text)
    if not found:
        raise malformed(f"The path segment '{text}' is not well formed.")
    name, inside = found.groups()
    if inside is None:
        return Segment(name)
    parts, at = [], 0
    while at < len(inside):
        part = _KEY_PART.match(inside, at)
        if not part:
            raise malformed(f"The key predicate '({inside})' is not well formed.")
        parts.append((part.group(1) or "", part.group(2)))
        at = part.end()
    return Segment(name, tuple(parts))


def _key_literal(literal: str, wanted: str) -> Value:
    kind = "Edm.String" if literal.startswith("'") else "Edm.Decimal" if _NUMBER.fullmatch(literal) else "unknown"
    if kind != wanted:
        raise incompatible(wanted, kind)
    return literal[1:-1].replace("''", "'") if kind == "Edm.String" else Decimal(literal)


def _orderby(text: str | None) -> tuple[tuple[str, bool], ...]:
    keys = []
    for part in text.split(",") if text is not None else ():
        name, _, direction = part.strip().partition(" ")
        if not name or direction.strip() not in ("", "asc", "desc"):
            raise malformed(f"The expression '{part}' in '$orderby' is not well formed.")
        keys.append((name, direction.strip() == "desc"))
    return tuple(keys)


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise malformed("The value of '$select' is not well formed.")
    return names


def _natural(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise malformed(f"The value '{text}' of '{option}' is not a non-negative integer.")
    return int(text)


def _decode(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Refused(400, "ODP_REQUEST_URI", "Malformed Request.", (("ODP_ENCODING", "The URL is not UTF-8."),)) from None
