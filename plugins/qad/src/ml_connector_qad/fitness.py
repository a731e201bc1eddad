"""The fit report: the declared profile held against what the installation answers, told by name, with what to do.

QAD's own documents lie behind a log-in, so this is how assumptions are confirmed: one row of each browse, the record behind it,
its lines, and the instance's metadata where it has some.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ml_connector.domain import Kind
from ml_connector.errors import ContractBroken, RetryLater
from ml_connector.ports.fitness import FIRST_LOAD, Finding, Level, Need, first_load
from ml_connector.ports.sink import Sink
from ml_connector_qad import convert, figures
from ml_connector_qad.api import Absent, Api, BadRequest
from ml_connector_qad.billing import EXTRAS
from ml_connector_qad.kinds import Account, Document, Invoice, Order
from ml_connector_qad.reading import Reader
from ml_connector_qad.settings import READS, WRITES

_TELL: Final = 15
_METADATA: Final = "/api/qracore/entitymetadatas"


class QadFitness:
    """Reads single rows and metadata, nothing else."""

    def __init__(self, api: Api, readers: Mapping[Kind, Reader], sinks: Mapping[Kind, Sink]) -> None:
        self._api, self._readers, self._sinks = api, readers, sinks

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        findings = [await self._session(), self._scope()]
        for kind in dict.fromkeys(need.kind for need in needs):
            asked = [need for need in needs if need.kind == kind]
            if kind not in READS or (any(need.access == "write" for need in asked) and kind not in WRITES):
                what = f"{kind} cannot be {'written' if kind in READS else 'read'} here"
                findings.append(_finding("unfit", kind, what, f"qad reads {', '.join(READS)} and writes {', '.join(WRITES)}"))
                continue
            findings += await self._kind(self._readers[kind], asked)
        return [*findings, *self._quota(needs)]

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        """Nothing in QAD is created by us: browses, roles and fields are an administrator's."""
        return []

    async def _session(self) -> Finding:
        spans, user = await self._api.spans(), self._api.settings.auth.username or "the token"
        if spans.session_s is None:
            told = "QAD does not say how long sessions last, so they are renewed by the token's life and when one is refused"
        else:
            idle = f", {spans.idle_s / 60:.0f} of them idle" if spans.idle_s else ""
            told = f"{user} has sessions of {spans.session_s / 60:.0f} minutes{idle}; one is used"
        return _finding("ok", "token", told)

    def _scope(self) -> Finding:
        scope = self._api.settings.scope
        sets = (
            f"shared sets {scope.shared_set_supplier or 'none'} (suppliers), {scope.shared_set_customer or 'none'} (customers)"
        )
        return _finding("ok", "workspace", f"{scope.workspace}, {sets}, at {self._api.settings.base_url}")

    async def _kind(self, reader: Reader, needs: Sequence[Need]) -> list[Finding]:
        kind, findings = reader.kind, list[Finding]()
        if reader.place.enabled is False:
            return [_finding("unfit", kind, "it is switched off", f"Set entities.{kind}.enabled")]
        try:
            findings += await self._browse(reader)
            if any(need.access == "write" for need in needs):
                findings += await self._writes(reader)
        except ContractBroken as error:
            return [_finding("unfit", kind, error.what, error.fix)]
        return [*findings, *await self._fields(reader, needs)]

    async def _browse(self, reader: Reader) -> list[Finding]:
        """The browse's columns, the record behind its first row, and what hangs on it."""
        kind = reader.kind
        row = await reader.sample()
        if row is None:
            assumed = (
                " so that what is assumed of it cannot be confirmed yet" if not reader.confirmed else " which it counts itself"
            )
            return [_finding("warning", kind, f"{reader.listing.ids[0]} lists nothing,{assumed}", "Enter one record in QAD")]
        if lacks := await reader.lacking(row):
            fix = f"Correct entities.{kind} by the instance's Swagger pages and browses"
            return [_finding("unfit", kind, what, fix) for what in lacks]
        record_id = reader.map.id_of(row) or ""
        whole = (await reader.records.get(record_id) if reader.place.detail == "keyed" else None) or row
        assumed = "" if reader.place.enabled is True else "; what is assumed of it is confirmed"
        told = f"{reader.listing.ids[0]} lists it, {reader.records.path} finds {record_id}{assumed}"
        findings = [_finding("ok", kind, told)]
        findings += self._columns(reader, row, whole)
        if isinstance(reader.place, Document):
            findings += await self._hanging(reader, record_id, whole)
        return findings

    def _columns(self, reader: Reader, row: Mapping[str, Any], whole: Mapping[str, Any]) -> list[Finding]:
        kind, findings = reader.kind, list[Finding]()
        unlisted = [name for name in reader.map.wires if name not in row and name in whole]
        if unlisted and reader.place.change_strategy != "full":
            columns = ", ".join(reader.column(name) for name in unlisted)
            what = f"the browse has no column {columns}: changes there are seen only every {reader.place.full_every_h} hours"
            found = ", ".join(sorted(reader.column(name) for name in row)[:_TELL])
            fix = f"Add the columns to a copy of the browse and set browse_id, or name others in columns; it has {found}"
            findings.append(_finding("warning", kind, what, fix))
        otherwise = [
            name
            for name in reader.map.wires
            if name in row and name in whole and reader.map.digest(row, {name}) != reader.map.digest(whole, {name})
        ]
        if otherwise and reader.place.detail == "keyed":
            columns = ", ".join(reader.column(name) for name in otherwise)
            what = f"the browse shows {columns} otherwise than the record: every sweep would read such records again"
            fix = "Name other columns in columns, correct browse.row_date_format, or run ping again if somebody edited just now"
            findings.append(_finding("warning", kind, what, fix))
        missing = [name for name in reader.map.wires if name not in row and name not in whole]
        for name in missing:
            near = _nearest(name, whole)
            what = f"neither the browse nor the record has {name}{near}"
            fix = f"Correct entities.{kind}.fields, or take it out with an empty text"
            findings.append(_finding("warning", f"{kind}.{reader.map.blamed(name)}", what, fix))
        return findings

    async def _hanging(self, reader: Reader, record_id: str, whole: Mapping[str, Any]) -> list[Finding]:
        kind, place = reader.kind, reader.place
        assert isinstance(place, Document)
        if isinstance(place, Invoice):
            return self._receipts(place)
        if reader.lines is None:
            return []
        rows = await reader.lines.read(record_id)
        if not rows:
            return [_finding("ok", f"{kind}.lines", f"{record_id} has none in {reader.lines.lines.path}")]
        names = (*reader.lines.lines.fields.values(), reader.lines.lines.number)
        missing = [name for name in names if name not in rows[0]]
        fix = f"Correct entities.{kind}.lines.fields; a line has {', '.join(sorted(rows[0])[:_TELL])}"
        told = [_finding("unfit", f"{kind}.lines", f"a line has no {name}{_nearest(name, rows[0])}", fix) for name in missing]
        return told or [_finding("ok", f"{kind}.lines", f"{reader.lines.lines.path} has what is configured")]

    def _receipts(self, place: Invoice) -> list[Finding]:
        if place.publish_when == "always":
            return [
                _finding("warning", "invoice.receipts", 'invoices are told before their receipts (publish_when = "always")')
            ]
        source = place.receipts.browse_id or "the lines of the purchase order"
        what = f"an invoice is told when {place.publish_when.replace('_', ' ')}, by {source}; until then it is awaiting_receipt"
        return [_finding("ok", "invoice.receipts", what)]

    async def _writes(self, reader: Reader) -> list[Finding]:
        """What creating takes: values for what is mandatory, and the customer's data in the domain."""
        kind, place, findings = reader.kind, reader.place, list[Finding]()
        if not isinstance(place, (Account, Order)):
            return []
        mapped = {*reader.map.wires, *reader.map.component.keys, *reader.map.component.scope}
        copied = place.copies if isinstance(place, Order) else {"businessRelationCode": "", "isActive": ""}
        needed = dict.fromkeys((*place.mandatory, *await self._mandatory(reader)))
        missing = [name for name in needed if name not in place.create_defaults and name not in mapped and name not in copied]
        if missing:
            fix = "; ".join(f"set entities.{kind}.create_defaults.{name}" for name in missing)
            findings.append(_finding("unfit", kind, f"a new record needs {', '.join(missing)}, which nothing gives", fix))
        if isinstance(place, Account) and not place.follow_up.values:
            what = f"new customers get no site and daybook set in {place.follow_up.component.path}, and so no orders"
            fix = "Set entities.account.follow_up.values.siteCode and daybookSetCode"
            findings.append(_finding("warning", kind, what, fix))
        return findings

    async def _mandatory(self, reader: Reader) -> list[str]:
        """Fields that the instance's metadata calls mandatory; [] where it tells nothing."""
        try:
            told = await self._api.get(_METADATA, [("entityURI", reader.map.component.view_uri)])
        except (Absent, BadRequest, RetryLater):
            return []
        except ContractBroken as error:
            if error.code != "403":
                raise
            return []
        fields = convert.at(told, "data.entityMetadatas.0.fieldMetadatas")
        if not isinstance(fields, list):
            return []
        known = {name.lower(): name for name in (*reader.map.wires, *reader.map.component.keys, *reader.map.component.scope)}
        names = [
            str(each.get("fieldCode", ""))
            for each in fields
            if isinstance(each, Mapping) and each.get("isMandatory") and not each.get("isReadOnly")
        ]
        return [known.get(name.lower(), name[:1].lower() + name[1:]) for name in names if name]

    async def _fields(self, reader: Reader, needs: Sequence[Need]) -> list[Finding]:
        """Fields of the flows that nothing fills or stores here."""
        kind = reader.kind
        fills = {path.partition(".")[0] for path in reader.map.fields} | {"lines", "total", "category"}
        fills |= {f"extra.{name}" for name in reader.place.custom_fields}
        fills |= {f"extra.{name}" for name in EXTRAS} if reader.billing is not None else set()
        stores = await self._sinks[kind].accepts() if kind in self._sinks else frozenset()
        findings: list[Finding] = []
        for need in needs:
            there, what = (stores, "written") if need.access == "write" else (fills, "read")
            for name in sorted(need.fields):
                base = name if name.startswith("extra.") else name.partition(".")[0]
                if base not in there:
                    fix = f"Name its field in entities.{kind}.{'custom_fields' if base != name or '.' in name else 'fields'}"
                    findings.append(
                        _finding("unfit", f"{kind}.{name}", f"{name} cannot be {what}: no field is named for it", fix)
                    )
        return findings

    def _quota(self, needs: Sequence[Need]) -> list[Finding]:
        settings = self._api.settings
        limits = settings.limits
        what = (
            f"QAD publishes no limits; kept to {limits.requests_per_minute} calls a minute, {limits.spacing_ms} ms apart, "
            f"{limits.concurrency} at once"
        )
        findings = [_finding("ok", "quota", what)]
        for kind in dict.fromkeys(need.kind for need in needs if need.access == "read" and need.kind in READS):
            calls = figures.reading(FIRST_LOAD, FIRST_LOAD, settings.place(kind), settings)
            findings.append(first_load(kind, "read", calls, figures.hours(calls, settings)))
        for kind in dict.fromkeys(need.kind for need in needs if need.access == "write" and need.kind in WRITES):
            calls = FIRST_LOAD * figures.creating(settings.place(kind))
            lines = f"{figures.LINES} lines each" if kind == "order" else ""
            findings.append(first_load(kind, "write", calls, figures.hours(calls, settings), lines))
        return findings


def _finding(level: Level, about: str, what: str, fix: str = "") -> Finding:
    return Finding(level=level, about=about, what=what, fix=fix)


def _nearest(name: str, there: Mapping[str, Any]) -> str:
    """The field that may have been meant: of the same letters, or one that begins alike."""
    lowered = name.lower()
    found = [one for one in there if one.lower() == lowered]
    found = found or [one for one in there if len(lowered) > 4 and (lowered in one.lower() or one.lower() in lowered)]
    return f" (is it {found[0]}?)" if found else ""
