"""How rows look on the wire: metadata and children by framework version, the fields asked for, links.

Oracle, Sales REST: "Set the REST Framework Version".
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ml_connector_oracle_fusion.twin.answers import Row, bad
from ml_connector_oracle_fusion.twin.schema import Resource
from ml_connector_oracle_fusion.twin.store import etag_of


class Wanted(msgspec.Struct, frozen=True):
    """What one request asks rows to show."""

    version: int
    base: str  # scheme and authority
    root: str  # path of the REST root with its version
    fields: tuple[str, ...] | None = None
    kids: Mapping[str, tuple[str, ...] | None] = {}
    only_data: bool = False


def wanted(resource: Resource, query: Mapping[str, str], version: int, base: str, root: str) -> Wanted:
    """``fields`` wins over ``expand``. Raises Refused (400) for attributes and children that are not there."""
    own: tuple[str, ...] | None = None
    kids: dict[str, tuple[str, ...] | None] = {}
    if query.get("fields"):
        own = ()
        for group in query["fields"].split(";"):
            child, colon, names = group.rpartition(":")
            chosen = tuple(name.strip() for name in names.split(",") if name.strip())
            if not colon:
                own = chosen
                _check(resource, chosen)
            else:
                _check(_kid(resource, child), chosen)
                kids[child] = chosen
    elif query.get("expand"):
        names_ = list(resource.kids) if query["expand"] == "all" else query["expand"].split(",")
        for name in names_:
            _kid(resource, name)
            kids[name] = None
    return Wanted(version, base, root, own, kids, query.get("onlyData") == "true")


def shown(resource: Resource, row: Row, children: Mapping[str, Sequence[Row]], want: Wanted, path: str) -> Row:
    """One row. ``path`` is the collection's, below the root."""
    names = want.fields if want.fields is not None else tuple(resource.attributes)
    told: Row = {name: row.get(name) for name in names}
    for name, chosen in want.kids.items():
        kid = resource.kids[name]
        inner = msgspec.structs.replace(want, fields=chosen, kids={})
        below = f"{path}/{key_text(resource, row)}/child/{name}"
        rows = [shown(kid, each, {}, inner, below) for each in children.get(name, ())[:25]]
        more = len(children.get(name, ())) > 25
        told[name] = rows if want.version < 3 else collection(rows, more, 25, 0)
    if want.only_data:
        return told
    key = key_text(resource, row)
    link: Row = {
        "rel": "self",
        "href": f"{want.base}:443{want.root}{path}/{key}"
        if ":" not in want.base[8:]
        else f"{want.base}{want.root}{path}/{key}",
    }
    etag = etag_of(resource.name, row[resource.id], row) if resource.tracked else ""
    if want.version >= 6:
        headers = {"headers": {"ETag": f'"{etag}"'}} if etag else {}
        told["@context"] = {"key": key, **headers, "links": [link]}
    else:
        link |= {"name": resource.name, "kind": "item"}
        if etag:
            link["properties"] = {"changeIndicator": etag}
        told["links"] = [link]
    return told


def collection(rows: list[Row], more: bool, limit: int, offset: int, total: int | None = None) -> Row:
    told: dict[str, Any] = {"items": rows, "count": len(rows), "hasMore": more, "limit": limit, "offset": offset}
    if total is not None:
        told["totalResults"] = total
    if not rows:
        del told["items"]
    return {**told, "links": []}


def key_text(resource: Resource, row: Row) -> str:
    """The row's key as URLs hold it; an opaque one is a hash of the twin's own."""
    if resource.opaque:
        return "00020000000EACED00057708000" + format(int(row[resource.id]) * 7919, "X")
    return str(row[resource.key])


def _check(resource: Resource, names: Sequence[str]) -> None:
    for name in names:
        if name not in resource.attributes:
            raise bad(f"URL request parameter fields with value {name} is not valid.")


def _kid(resource: Resource, name: str) -> Resource:
    if name not in resource.kids:
        raise bad(f"URL request parameter with child {name} is not valid.")
    return resource.kids[name]
