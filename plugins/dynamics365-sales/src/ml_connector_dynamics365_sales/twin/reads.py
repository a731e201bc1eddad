"""Reading: query options, pages by cookie, expanded navigation, and change tracking with delta tokens."""

import base64
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, unquote

import msgspec

from ml_connector_dynamics365_sales.twin.filters import compiled
from ml_connector_dynamics365_sales.twin.schema import Child, Table
from ml_connector_dynamics365_sales.twin.store import Environment, Row
from ml_connector_dynamics365_sales.twin.wire import EXPIRED, MALFORMED, UNKNOWN_OPTION, Refused

MAX_PAGE: Final = 5000
_OPTIONS: Final = frozenset({"$select", "$filter", "$orderby", "$expand", "$top", "$count", "$skiptoken", "$deltatoken"})
_UNTRACKED: Final = ("$filter", "$orderby", "$expand", "$top")
_PART: Final = re.compile(r"[^,(]+(?:\((?:[^()']|'(?:[^']|'')*'|\([^()]*\))*\))?")


class Preferences(msgspec.Struct, frozen=True):
    """The Prefer header, read."""

    page: int = MAX_PAGE
    tracked: bool = False
    representation: bool = False
    annotations: bool = False
    go_on: bool = False


def preferences(headers: Mapping[str, str]) -> Preferences:
    told = [part.strip() for part in headers.get("prefer", "").split(",") if part.strip()]
    names = dict(part.partition("=")[::2] for part in told)
    size = names.get("odata.maxpagesize", str(MAX_PAGE))
    if not size.isdigit() or int(size) < 1:
        raise Refused(400, UNKNOWN_OPTION, f"odata.maxpagesize {size} is no positive number")
    return Preferences(
        page=min(int(size), MAX_PAGE),
        tracked="odata.track-changes" in names,
        representation=names.get("return") == "representation",
        annotations="odata.include-annotations" in names,
        go_on="odata.continue-on-error" in names,
    )


def options(query: str) -> dict[str, str]:
    """Query options, decoded. Raises Refused for those that Dataverse does not know, ``$skip`` among them."""
    found: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        name = unquote(name)
        if name.startswith("$") and name not in _OPTIONS:
            raise Refused(400, UNKNOWN_OPTION, f"The query parameter {name} is not supported")
        found[name] = unquote(value)
    return found


class Reader:
    """Answers GET on tables."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self.tracking_days = 7

    def one(self, table: Table, row: Row, told: Mapping[str, str], prefer: Preferences, base: str) -> dict[str, Any]:
        """One record with what was selected and expanded."""
        return {
            "@odata.context": f"{base}$metadata#{table.entity_set}/$entity",
            **self.shown(table, row, told.get("$select", ""), told.get("$expand", ""), prefer, base),
        }

    def many(self, table: Table, told: dict[str, str], prefer: Preferences, base: str, scope: Mapping[str, str]) -> Any:
        """One page of a collection. ``scope`` keeps to the children of a record."""
        if "$deltatoken" in told:
            return self._delta(table, told, prefer, base)
        if prefer.tracked:
            self._trackable(table, told)
        if "$top" in told and "$skiptoken" in told:
            raise Refused(400, UNKNOWN_OPTION, "$top goes with no page size")
        test = compiled(table, told["$filter"]) if "$filter" in told else None
        order = _order(table, told.get("$orderby", ""))
        kept = {name: value for name, value in scope.items() if not name.startswith("@")}
        known = self._env.where(table.name, **kept) if kept else list(self._env.rows[table.name].values())
        rows = [row for row in known if test is None or test(row)]
        count = len(rows)
        for name, descending in reversed([*order, (table.id, False)]):
            rows.sort(key=lambda row: _rank(row.values.get(name)), reverse=descending)
        token, after = self._env.version, None
        if "$skiptoken" in told:
            token, after = _cookie(told["$skiptoken"])
        if after is not None:
            names = [*order, (table.id, False)]
            rows = [row for row in rows if _behind(row, names, after)]
        size = min(int(told["$top"]), MAX_PAGE) if "$top" in told else prefer.page
        page, rest = rows[:size], "$top" not in told and len(rows) > size
        select, expand = told.get("$select", ""), told.get("$expand", "")
        answer: dict[str, Any] = {"@odata.context": f"{base}$metadata#{table.entity_set}"}
        if told.get("$count") == "true":
            answer["@odata.count"] = min(count, 5000)
        answer["value"] = [self.shown(table, row, select, expand, prefer, base) for row in page]
        if rest:
            last = [page[-1].values.get(name) for name, _ in [*order, (table.id, False)]]
            cookie = base64.urlsafe_b64encode(msgspec.json.encode([token, last]))
            again = "&".join(f"{name}={quote(value)}" for name, value in told.items() if name != "$skiptoken")
            again += ("&" if again else "") + f"$skiptoken={quote(cookie.decode())}"
            answer["@odata.nextLink"] = f"{base}{_path(table, scope, self._env)}?{again}"
        elif prefer.tracked:
            answer["@odata.deltaLink"] = self._delta_link(table, select, token, base)
        return answer

    def shown(self, table: Table, row: Row, select: str, expand: str, prefer: Preferences, base: str) -> dict[str, Any]:
        told: dict[str, Any] = {"@odata.etag": row.etag}
        names = [name.strip() for name in select.split(",") if name.strip()] or [c.wire for c in table.columns.values()]
        for name in [*names, *([table.id] if table.id not in names else [])]:
            column = table.by_wire(name)
            if column is None:
                raise Refused(
                    400, MALFORMED, f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.name}'."
                )
            if column.name == "authvalue":
                continue  # write-only
            value = row.values.get(column.name)
            told[name] = value
            if prefer.annotations and value is not None:
                if column.type == "lookup":
                    target = row.targets.get(column.name) or next(iter(column.targets))
                    told[f"{name}@Microsoft.Dynamics.CRM.lookuplogicalname"] = target
                elif column.options:
                    told[f"{name}@OData.Community.Display.V1.FormattedValue"] = column.options.get(value, "")
        for part in filter(None, (match.strip() for match in _PART.findall(expand))):
            self._expand(table, row, part, prefer, base, told)
        return told

    def _expand(self, table: Table, row: Row, part: str, prefer: Preferences, base: str, told: dict[str, Any]) -> None:
        name, _, inner = part.partition("(")
        given = options(inner.removesuffix(")").replace(";", "&")) if inner else {}
        if (child := table.children.get(name)) is not None:
            inside = self.many(self._env.defs[child.table], given, _plain(prefer), base, _scope(child, row))
            told[name] = inside["value"]
            if "@odata.nextLink" in inside:
                told[f"{name}@odata.nextLink"] = inside["@odata.nextLink"]
            return
        found = table.navigation(name)
        if found is None:
            raise Refused(400, MALFORMED, f"Could not find a property named '{name}' on type '{table.name}'.")
        column, target = found
        held = row.values.get(column.name)
        there = self._env.rows[target].get(held) if held and row.targets.get(column.name, target) == target else None
        told[name] = (
            self.shown(self._env.defs[target], there, given.get("$select", ""), given.get("$expand", ""), prefer, base)
            if there
            else None
        )

    # -- change tracking

    def _trackable(self, table: Table, told: Mapping[str, str]) -> None:
        for name in _UNTRACKED:
            if name in told:
                raise Refused(
                    400, UNKNOWN_OPTION, f"The {name} query parameter isn't supported when Change Tracking is enabled."
                )
        if not table.tracked:
            raise Refused(400, "0x80041103", f"Change tracking is not enabled for entity {table.name}.")

    def _delta_link(self, table: Table, select: str, version: int, base: str) -> str:
        token = f"{version}!{self._env.now():%m/%d/%Y %H:%M:%S}"
        chosen = f"$select={quote(select)}&" if select else ""
        return f"{base}{table.entity_set}?{chosen}$deltatoken={quote(token)}"

    def _delta(self, table: Table, told: dict[str, str], prefer: Preferences, base: str) -> Any:
        self._trackable(table, told)
        version, _, stamp = told["$deltatoken"].partition("!")
        try:
            since, made = int(version), datetime.strptime(stamp, "%m/%d/%Y %H:%M:%S")
        except ValueError:
            raise Refused(400, MALFORMED, "The delta token is malformed") from None
        if self._env.now().replace(tzinfo=None) - made > timedelta(days=self.tracking_days):
            raise Refused(400, EXPIRED, "Version stamp associated with the client has expired. Please perform a full sync.")
        upto = self._env.version
        after = since
        if "$skiptoken" in told:
            upto, last = _cookie(told["$skiptoken"])
            after = int(last[0])
        changed: list[tuple[int, dict[str, Any]]] = [
            (row.version, self.shown(table, row, told.get("$select", ""), "", prefer, base))
            for row in self._env.rows[table.name].values()
            if after < row.version <= upto
        ]
        changed.sort(key=lambda pair: pair[0])
        gone = [
            {"@odata.context": f"{base}$metadata#{table.entity_set}/$deletedEntity", "id": dead.id, "reason": "deleted"}
            for dead in self._env.deleted[table.name]
            if since < dead.version <= upto
        ]
        answer: dict[str, Any] = {"@odata.context": f"{base}$metadata#{table.entity_set}/$delta"}
        page = changed[: prefer.page]
        answer["value"] = [row for _, row in page]
        if len(changed) > prefer.page:
            cookie = base64.urlsafe_b64encode(msgspec.json.encode([upto, [str(page[-1][0])]])).decode()
            again = "&".join(f"{name}={quote(value)}" for name, value in told.items() if name != "$skiptoken")
            answer["@odata.nextLink"] = f"{base}{table.entity_set}?{again}&$skiptoken={quote(cookie)}"
        else:
            answer["value"] += gone
            answer["@odata.deltaLink"] = self._delta_link(table, told.get("$select", ""), upto, base)
        return answer


def _order(table: Table, text: str) -> list[tuple[str, bool]]:
    found = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, direction = part.partition(" ")
        column = table.by_wire(name)
        if column is None or direction not in ("", "asc", "desc"):
            raise Refused(400, MALFORMED, f"Could not order {table.name} by '{part}'.")
        found.append((column.name, direction == "desc"))
    return found


def _rank(value: Any) -> tuple[bool, Any]:
    return (value is not None, value if value is not None else 0)


def _behind(row: Row, names: list[tuple[str, bool]], after: list[Any]) -> bool:
    for (name, descending), last in zip(names, after, strict=True):
        value = row.values.get(name)
        if value == last:
            continue
        ahead = _rank(value) > _rank(last)
        return ahead is not descending
    return False


def _cookie(text: str) -> tuple[int, Any]:
    try:
        token, after = msgspec.json.decode(base64.urlsafe_b64decode(text))
    except (ValueError, msgspec.DecodeError):
        raise Refused(400, MALFORMED, "The paging cookie is malformed") from None
    return int(token), after


def _scope(child: Child, row: Row) -> dict[str, str]:
    return {child.lookup: row.id, "@path": f"({row.id})/{child.nav}"}


def _path(table: Table, scope: Mapping[str, str], env: Environment) -> str:
    if "@path" not in scope:
        return table.entity_set
    lookup = next(name for name in scope if not name.startswith("@"))
    parent = next(iter(table.columns[lookup].targets))
    return env.defs[parent].entity_set + scope["@path"]


def _plain(prefer: Preferences) -> Preferences:
    return Preferences(page=prefer.page, annotations=prefer.annotations)
