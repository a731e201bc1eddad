"""What one projection has, held against what the settings ask of it: every lack told by name, with the nearest there is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, TypeAlias

from ml_connector.ports.fitness import Finding
from ml_connector_ifs_cloud.api import EntitySet
from ml_connector_ifs_cloud.kinds import Accounts
from ml_connector_ifs_cloud.metadata import EntityType, Metadata, nearest
from ml_connector_ifs_cloud.places import Action, Documents, Field, Lines
from ml_connector_ifs_cloud.rows import LINE_KEYS

Level: TypeAlias = Literal["ok", "warning", "unfit"]

EDM: Final = {"string": "Edm.String", "decimal": "Edm.Decimal", "date": "Edm.Date", "datetime": "Edm.DateTimeOffset"}


class Check:
    """Collects what a schema lacks."""

    def __init__(self, kind: str, found: EntitySet, schema: Metadata) -> None:
        self._kind, self._found, self.schema = kind, found, schema
        self._findings: list[Finding] = []

    def add(self, level: Level, about: str, what: str, fix: str = "") -> None:
        self._findings.append(Finding(level=level, about=about, what=what, fix=fix))

    def missing(self, what: str, name: str, names: Iterable[str], level: Level, about: str = "") -> None:
        fix = f"Correct the name in entities.{self._kind}, or take it out"
        self.add(level, about or self._kind, what + nearest(name, names), fix)

    def type_name(self, row: EntityType, wanted: str) -> None:
        if row.name != wanted:
            self.add("warning", self._kind, f"{self._found.name} holds {row.name}, not {wanted}", "Correct entity_type")

    def key(self, row: EntityType, names: Sequence[str], field: Field) -> None:
        if sorted(row.key) != sorted(names):
            told = f"the key of {row.name} is {', '.join(row.key) or 'none'}, not {', '.join(names)}"
            self.add("unfit", self._kind, told, "Correct key")
        self._typed(row, field.name, field.edm, "key")

    def properties(self, row: EntityType, names: Iterable[str], setting: str, about: str = "") -> None:
        for name in names:
            if name not in row.properties:
                self.missing(f"{setting}: {row.name} has no property {name}", name, row.properties, "unfit", about)

    def extras(self, row: EntityType, extras: Mapping[str, str]) -> None:
        for name, source in extras.items():
            if source not in row.properties:
                what = f"{row.name} has no property {source}{nearest(source, row.properties)}"
                fix = "Publish the custom field, or correct custom_fields or dimensions (names are case-sensitive)"
                self.add("unfit", f"{self._kind}.extra.{name}", what, fix)

    def stamp(self, row: EntityType, name: str, edm: str, *, modified: bool) -> None:
        self.properties(row, [name], "modified_field" if modified else "created_field")
        self._typed(row, name, edm, "stamp")
        if not modified:
            what = f"{name} says when a record was created: edits and deletions will not be seen"
            self.add("warning", self._kind, what, 'Use change_strategy = "etag_sweep", or a modified_field')

    def enum(self, row: EntityType, name: str, wanted: str, members: Sequence[str]) -> None:
        """A filter needs the enumeration's own name, a plain text must have none."""
        actual = row.properties.get(name)
        if actual is None:
            self.missing(f"{row.name} has no property {name}", name, row.properties, "unfit")
            return
        expected = wanted.rpartition(".")[2] or "Edm.String"
        if actual.rpartition(".")[2] != expected.rpartition(".")[2]:
            setting = 'category_enum (or "" for plain text)' if name == "CustomerCategory" else "state_enum"
            self.add("unfit", self._kind, f"{name} is of type {actual}, not {expected}", f"Correct {setting}")
        known = self.schema.enums.get(actual)
        for member in members:
            if known is not None and member not in known:
                self.add("unfit", self._kind, f"{actual} has no member {member}{nearest(member, known)}", "Correct categories")

    def lines(self, row: EntityType, lines: Lines, key: str) -> None:
        about = f"{self._kind}.lines"
        served = [name for name in lines.sets if name in self.schema.sets]
        line = self.schema.type_of(served[0]) if served else self.schema.types.get(row.navigations.get(lines.nav, ""))
        if line is None:
            told = f"lines: none of {', '.join((*lines.sets, lines.nav))} is there"
            self.missing(told, lines.nav, (*self.schema.sets, *row.navigations), "unfit")
            return
        if not served:
            self.add("warning", about, "lines take one call per order, as no flat set is served", "Check lines.set")
        own = (lines.key_field,) if lines.key_field is not None else ()
        self.properties(line, dict.fromkeys((key, *LINE_KEYS, *lines.select, *own)), "lines.select", about=about)

    def document_writes(self, row: EntityType, place: Documents) -> None:
        """What creating such documents and moving their state takes."""
        writes, lines = place.status_write, place.lines
        self.properties(row, (*place.keys, *place.create_defaults), "to write")
        if lines is not None:
            line = self.schema.types.get(row.navigations.get(lines.nav, ""))
            if line is None:
                told = f"lines.nav: {row.name} has no navigation {lines.nav}"
                self.missing(told, lines.nav, row.navigations, "unfit", f"{self._kind}.lines")
            elif lines.cancel is not None:
                self.action(lines.cancel, line.name, "lines.cancel", "warning", f"{self._kind}.lines")
        if writes.mode == "action":
            for status, action in writes.actions.items():
                self.action(action, row.name, f"status_write.actions.{status}", "unfit", f"{self._kind}.status")
        self.granted(f"POST and PATCH of {row.name}" + (" and its lines, and the actions that are named" if lines else ""))

    def account_writes(self, row: EntityType, accounts: Accounts) -> None:
        """What creating customers takes."""
        self.properties(row, accounts.create_defaults, "create_defaults")
        if accounts.category_action is not None:
            self.action(accounts.category_action, "", "category_action", "warning", "account.category")
        if accounts.country_set is not None and accounts.country_set not in self.schema.sets:
            what = f"country_set: {accounts.country_set} is not served"
            self.missing(what, accounts.country_set, self.schema.sets, "warning", "account.billing.country")
        self.granted(f"POST and PATCH of {row.name} and its children")

    def action(self, action: Action, bound_to: str, setting: str, level: Level, about: str) -> None:
        """A configured action that is not there is told with those that are."""
        found = self.schema.actions.get(action.name)
        if found is None or found.bound_to != bound_to:
            candidates = [name for name, one in self.schema.actions.items() if one.bound_to == bound_to]
            there = f"; there are {', '.join(sorted(candidates)[:12])}" if candidates else ""
            self.missing(f"{setting}: no action {action.name}{there}", action.name, candidates, level, about)
            return
        for name in action.body:
            if name not in found.parameters:
                self.missing(f"{setting}: {action.name} takes no {name}", name, found.parameters, level, about)

    def granted(self, what: str) -> None:
        """IFS shows a right to write only when it is used."""
        self.add("ok", f"{self._kind}.rights", f"to be granted for writing, which IFS does not tell beforehand: {what}")

    def verdict(self) -> list[Finding]:
        if any(finding.level == "unfit" for finding in self._findings):
            return self._findings
        place = f"{self._found.service.projection}.svc/{self._found.name} on gateway {self._found.service.gateway}"
        return [Finding(level="ok", about=self._kind, what=f"{place} has what is configured"), *self._findings]

    def _typed(self, row: EntityType, name: str, edm: str, setting: str) -> None:
        actual = row.properties.get(name)
        if actual is not None and actual != EDM[edm]:
            self.add("unfit", self._kind, f"{setting}: {name} is {actual}, not {EDM[edm]}", f"Correct the edm of {setting}")
