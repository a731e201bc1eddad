"""The fit report: what the environment has, compared with what the settings and the flows ask of it, told by name."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from math import ceil
from typing import Any, Final, Literal, TypeAlias

from ml_connector.domain import Kind
from ml_connector.errors import ContractBroken
from ml_connector.ports.fitness import Finding, Need
from ml_connector_ifs_cloud.accounts import ROW_OF
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.errors import NotServed
from ml_connector_ifs_cloud.metadata import EntityType, Metadata, MetadataReader, nearest
from ml_connector_ifs_cloud.orders import OrderReader
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rights import ADVICE, Rights
from ml_connector_ifs_cloud.rows import LINE_KEYS

Level: TypeAlias = Literal["ok", "warning", "unfit"]

SKEW: Final = timedelta(seconds=60)
EDM: Final = {"string": "Edm.String", "decimal": "Edm.Decimal", "date": "Edm.Date", "datetime": "Edm.DateTimeOffset"}

FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "account": frozenset(
        (
            "number",
            "name",
            "category",
            "tax_id",
            "phone",
            "fax",
            "email",
            "website",
            "language",
            "currency",
            "billing",
            "shipping",
            "credit_limit",
            "credit_blocked",
            "payment_terms",
        )
    ),
    "order": frozenset(
        (
            "number",
            "status",
            "currency",
            "total",
            "lines",
            "company",
            "site",
            "payment_terms",
            "type",
            "customer",
            "customer_reference",
            "external_reference",
            "ordered_on",
            "wanted_on",
            "planned_on",
            "delivery_terms",
            "salesperson",
        )
    ),
}
"""Canonical fields that reading can fill, by kind."""
SALES_EXTRAS: Final = frozenset(("customer_group", "price_group", "market", "salesperson"))
"""Custom fields that come from a customer's sales settings without being configured."""


class IfsFitness:
    """Reads $metadata and single rows, nothing else."""

    def __init__(self, api: Api, readers: Mapping[Kind, Reader[Any, Any]], rights: Rights) -> None:
        self._api, self._readers, self._evidence = api, readers, rights.evidence
        self._metadata = MetadataReader(api)

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        await self._api.sign_in()
        findings: list[Finding] = []
        for kind, reader in self._readers.items():
            if any(need.kind == kind and need.access == "read" for need in needs):
                findings += await self._inspect_kind(reader)
                findings += _fields(reader, [need for need in needs if need.kind == kind])
        findings += [
            Finding(level="unfit", about=need.kind, what=f"{need.kind} cannot be {_DONE[need.access]} here", fix=_OFFER)
            for need in needs
            if need.access == "write" or need.kind not in self._readers
        ]
        return [*self._connection(), *findings]

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        """Nothing in IFS can be created by us: custom fields and grants are an administrator's."""
        return []

    def _connection(self) -> list[Finding]:
        findings = [
            Finding(level="ok", about="token", what=f"{self._api.settings.realm} gives {self._api.settings.client_id} tokens")
        ]
        skew = self._api.skew
        if skew is not None and abs(skew) > SKEW:
            ahead = "ahead of" if skew > timedelta() else "behind"
            seconds = abs(int(skew.total_seconds()))
            fix = "Set the clock of this machine; if IFS's is wrong, raise watermark_overlap_s by as much"
            findings.append(Finding(level="warning", about="clock", what=f"IFS's clock is {seconds} s {ahead} ours", fix=fix))
        return findings

    async def _inspect_kind(self, reader: Reader[Any, Any]) -> list[Finding]:
        kind, place = reader.kind, reader.place
        try:
            found = await self._api.place(place)
            schema = await self._metadata.read(found.service)
        except NotServed as error:
            return [Finding(level="unfit", about=kind, what=error.what, fix=error.fix)]
        row = schema.type_of(found.name)
        if row is None:
            what = f"{found.service.projection}.svc has no set {found.name}{nearest(found.name, schema.sets)}"
            return [Finding(level="unfit", about=kind, what=what, fix="Correct read_set, or add the set to aliases")]
        check = _Check(kind, found, schema)
        check.type_name(row, place.entity_type)
        check.key(row, place.key.name, place.key.edm)
        check.properties(row, (name for name in place.select if name not in reader.rules.extras.values()), "select")
        check.extras(row, reader.rules.extras)
        if place.change_strategy == "timestamp" and place.stamp is not None:
            check.stamp(row, place.stamp.name, place.stamp.edm, modified=place.modified_field is not None)
        if isinstance(reader, OrderReader):
            await self._orders(check, reader, row)
        else:
            self._accounts(check, row)
        return [*check.verdict(), *await self._rights(reader)]

    def _accounts(self, check: "_Check", row: EntityType) -> None:
        accounts = self._api.settings.entities.account
        if accounts.categories:
            check.enum(row, "CustomerCategory", accounts.category_enum, accounts.categories)
        for child in sorted(self._api.settings.children):
            name = accounts.child_paths[child]
            flat = child == "sales" and accounts.sales_set in check.schema.sets
            if name not in row.navigations and not flat:
                check.missing(f"children: {row.name} has no navigation {name}", name, row.navigations, "warning")
                continue
            found = check.schema.types.get(row.navigations.get(name, ""))
            if found is not None:
                wanted = {field.name for field in ROW_OF[child][1]}
                check.properties(found, sorted(wanted), f"children.{child}")

    async def _orders(self, check: "_Check", reader: OrderReader, row: EntityType) -> None:
        orders = reader.orders
        if "Objstate" in orders.select:
            check.enum(row, "Objstate", orders.state_enum, ())
            members = check.schema.enums.get(orders.state_enum, [])
            for state in members:
                if state not in self._api.settings.state_map:
                    check.add("warning", "order.status", f'state "{state}" will be told as Unknown', "Add it to state_map")
        served = [name for name in orders.lines.sets if name in check.schema.sets]
        line = check.schema.type_of(served[0]) if served else check.schema.types.get(row.navigations.get(orders.lines.nav, ""))
        if line is None:
            names = ", ".join((*orders.lines.sets, orders.lines.nav))
            check.missing(f"lines: none of {names} is there", orders.lines.nav, (*check.schema.sets, *row.navigations), "unfit")
            return
        if not served:
            check.add("warning", "order.lines", "lines take one call per order, as no flat set is served", "Check lines.set")
        check.properties(line, dict.fromkeys((*LINE_KEYS, *orders.lines.select)), "lines.select", about="order.lines")

    async def _rights(self, reader: Reader[Any, Any]) -> list[Finding]:
        try:
            told = await self._evidence(reader)
        except ContractBroken as error:
            return [Finding(level="unfit", about=reader.kind, what=error.what, fix=error.fix)]
        level: Level = "ok"
        if told.verdict == "missing":
            level = "unfit"
        elif told.verdict in ("unknown", "filtered", "empty"):
            level = "warning"
        fix = {"missing": ADVICE, "unknown": ADVICE, "filtered": "Check companies, sites, categories and filter"}
        findings = [Finding(level=level, about=f"{reader.kind}.rights", what=told.what, fix=fix.get(told.verdict, ""))]
        if told.count:
            findings.append(self._first_load(reader, told.count))
        return findings

    def _first_load(self, reader: Reader[Any, Any], count: int) -> Finding:
        """What a first load costs, going by the server's own count (which need not be right)."""
        settings = self._api.settings
        pages = ceil(count / settings.page_size)
        if isinstance(reader, OrderReader):
            calls, assumed = pages + ceil(3 * count / settings.page_size), "three lines an order"
        else:
            own = settings.children - {"sales"}
            calls = pages + count * len(own) + ceil(count / settings.key_filter_chunk) * ("sales" in settings.children)
            assumed = "one address a customer"
        minutes = max(1, ceil(calls / settings.limits.requests_per_minute))
        what = f"about {count} {reader.kind}s: a first load takes some {calls} calls ({assumed}), {minutes} min or more"
        return Finding(level="ok", about="quota", what=what)


_DONE: Final = {"read": "read", "write": "written"}
_OFFER: Final = "ifs-cloud reads account and order, and writes nothing"


class _Check:
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

    def key(self, row: EntityType, name: str, edm: str) -> None:
        if row.key != [name]:
            self.add("unfit", self._kind, f"the key of {row.name} is {', '.join(row.key) or 'none'}, not {name}", "Correct key")
        self._typed(row, name, edm, "key")

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

    def verdict(self) -> list[Finding]:
        if any(finding.level == "unfit" for finding in self._findings):
            return self._findings
        place = f"{self._found.service.projection}.svc/{self._found.name} on gateway {self._found.service.gateway}"
        return [Finding(level="ok", about=self._kind, what=f"{place} has what is configured"), *self._findings]

    def _typed(self, row: EntityType, name: str, edm: str, setting: str) -> None:
        actual = row.properties.get(name)
        if actual is not None and actual != EDM[edm]:
            self.add("unfit", self._kind, f"{setting}: {name} is {actual}, not {EDM[edm]}", f"Correct the edm of {setting}")


def _fields(reader: Reader[Any, Any], needs: Sequence[Need]) -> list[Finding]:
    """Fields that flows read and that this source never fills."""
    extras = set(reader.rules.extras) | (SALES_EXTRAS if "sales" in reader.api.settings.children else set())
    if reader.kind == "order":
        extras -= SALES_EXTRAS - set(reader.rules.extras)
    findings = []
    for name in sorted({name for need in needs if need.access == "read" for name in need.fields}):
        base = name.partition(".")[0]
        extra = name.removeprefix("extra.")
        if base == "extra" and extra not in extras:
            what = f"nothing is configured to fill {name}{nearest(extra, extras)}"
            fix = f"Name its property in custom_fields.{reader.kind}" + (" or dimensions" if reader.kind == "order" else "")
            findings.append(Finding(level="unfit", about=f"{reader.kind}.{name}", what=what, fix=fix))
        elif base != "extra" and base not in FIELDS[reader.kind]:
            what = f"IFS has no {base} to read{nearest(base, FIELDS[reader.kind])}"
            findings.append(Finding(level="warning", about=f"{reader.kind}.{name}", what=what, fix="Take it out of the flow"))
    return findings
