"""The fit report: what the environment has, compared with what the settings and the flows ask of it, told by name."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from math import ceil
from typing import Any, Final

from ml_connector.domain import Kind
from ml_connector.errors import ContractBroken
from ml_connector.ports.fitness import Finding, Need, first_load
from ml_connector.ports.sink import Sink
from ml_connector_ifs_cloud import figures
from ml_connector_ifs_cloud.accounts import ROW_OF, AccountReader
from ml_connector_ifs_cloud.api import Api
from ml_connector_ifs_cloud.checks import Check, Level
from ml_connector_ifs_cloud.documents import DocumentReader
from ml_connector_ifs_cloud.errors import NotServed
from ml_connector_ifs_cloud.kinds import Orders
from ml_connector_ifs_cloud.metadata import EntityType, MetadataReader, nearest
from ml_connector_ifs_cloud.orders import OrderReader
from ml_connector_ifs_cloud.places import Documents
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rights import ADVICE, Rights

SKEW: Final = timedelta(seconds=60)


class IfsFitness:
    """Reads $metadata and single rows, nothing else."""

    def __init__(self, api: Api, readers: Mapping[Kind, Reader[Any, Any]], sinks: Mapping[Kind, Sink], rights: Rights) -> None:
        self._api, self._readers, self._sinks, self._evidence = api, readers, sinks, rights.evidence
        self._metadata = MetadataReader(api)

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        await self._api.sign_in()
        findings: list[Finding] = []
        for kind, reader in self._readers.items():
            asked = [need for need in needs if need.kind == kind]
            if asked:
                findings += await self._inspect_kind(reader, writes=any(need.access == "write" for need in asked))
                findings += _fields(reader, [need for need in asked if need.access == "read"])
                findings += await self._storable(kind, [need for need in asked if need.access == "write"])
        findings += [
            Finding(level="unfit", about=need.kind, what=f"{need.kind} cannot be {_DONE[need.access]} here", fix=_OFFER)
            for need in needs
            if need.kind not in (self._sinks if need.access == "write" else self._readers)
        ]
        return [*self._connection(), *findings, *self._loads(needs)]

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

    async def _inspect_kind(self, reader: Reader[Any, Any], *, writes: bool) -> list[Finding]:
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
        check = Check(kind, found, schema)
        check.type_name(row, place.entity_type)
        check.key(row, reader.key_names, place.key)
        check.properties(row, (name for name in place.select if name not in reader.rules.extras.values()), "select")
        check.extras(row, reader.rules.extras)
        if place.change_strategy == "timestamp" and place.stamp is not None:
            check.stamp(row, place.stamp.name, place.stamp.edm, modified=place.modified_field is not None)
        if isinstance(reader, AccountReader):
            self._accounts(check, row)
            if writes:
                check.account_writes(row, reader.accounts)
        elif isinstance(reader, DocumentReader):
            if isinstance(reader, OrderReader):
                self._states(check, reader.orders, row)
            if reader.lines is not None:
                check.lines(row, reader.lines, reader.place.key.name)
            if writes and isinstance(place, Documents):
                check.document_writes(row, place)
        return [*check.verdict(), *await self._rights(reader)]

    def _accounts(self, check: Check, row: EntityType) -> None:
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

    async def _storable(self, kind: Kind, needs: Sequence[Need]) -> list[Finding]:
        """Fields that flows write and that have no place here."""
        if not needs:
            return []
        accepts = await self._sinks[kind].accepts()
        findings = []
        for name in sorted({name for need in needs for name in need.fields}):
            if name not in accepts and (name.startswith("extra.") or name.partition(".")[0] not in accepts):
                custom = name.startswith("extra.")
                alike = [each.removeprefix("extra.") for each in accepts if each.startswith("extra.") == custom]
                what = f"{name} cannot be written to IFS{nearest(name.removeprefix('extra.'), alike)}"
                findings.append(Finding(level="unfit", about=f"{kind}.{name}", what=what, fix="Take it out of the flow"))
        return findings

    def _states(self, check: Check, orders: Orders, row: EntityType) -> None:
        if "Objstate" not in orders.select:
            return
        check.enum(row, "Objstate", orders.state_enum, ())
        for state in check.schema.enums.get(orders.state_enum, []):
            if state not in self._api.settings.state_map:
                check.add("warning", "order.status", f'state "{state}" will be told as Unknown', "Add it to state_map")

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
            findings.append(self._here(reader, told.count))
        return findings

    def _here(self, reader: Reader[Any, Any], count: int) -> Finding:
        """The same for what there is, going by the server's own count (which need not be right)."""
        settings = self._api.settings
        calls = figures.reads(settings, reader.kind, count)
        minutes = max(1, ceil(figures.hours(settings, calls) * 60))
        what = f"about {count} {reader.kind}s are here: reading them takes some {calls} calls, {minutes} min or more"
        return Finding(level="ok", about="quota", what=what)

    def _loads(self, needs: Sequence[Need]) -> list[Finding]:
        """What a first load takes, at the pace of the settings: IFS publishes none."""
        settings, findings = self._api.settings, []
        for kind, access in dict.fromkeys((need.kind, need.access) for need in needs):
            if kind in (self._sinks if access == "write" else self._readers):
                assumed = "one address each" if kind == "account" else ""
                assumed = f"{figures.LINES} lines each" if figures.lined(settings, kind) else assumed
                findings.append(first_load(kind, access, *figures.first_load(settings, kind, access), assumed))
        return findings


_DONE: Final = {"read": "read", "write": "written"}
_OFFER: Final = "ifs-cloud reads and writes account, order, quote and deal, and reads product and price_list"


def _fields(reader: Reader[Any, Any], needs: Sequence[Need]) -> list[Finding]:
    """Fields that flows read and that this source never fills."""
    extras = {name.removeprefix("extra.") for name in reader.fills if name.startswith("extra.")}
    fields = {name for name in reader.fills if not name.startswith("extra.")}
    findings = []
    for name in sorted({name for need in needs for name in need.fields}):
        base = name.partition(".")[0]
        extra = name.removeprefix("extra.")
        if base == "extra" and extra not in extras:
            what = f"nothing is configured to fill {name}{nearest(extra, extras)}"
            fix = f"Name its property in custom_fields.{reader.kind}" + (" or dimensions" if reader.kind == "order" else "")
            findings.append(Finding(level="unfit", about=f"{reader.kind}.{name}", what=what, fix=fix))
        elif base != "extra" and base not in fields:
            what = f"IFS has no {base} to read{nearest(base, fields)}"
            findings.append(Finding(level="warning", about=f"{reader.kind}.{name}", what=what, fix="Take it out of the flow"))
    return findings
