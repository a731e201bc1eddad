"""The mapping of one kind, compiled against what the organisation really has: reads records, writes bodies, says what fits."""

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ml_connector.domain import ENTITIES, UNSET, Address, Entity, Extra, Kind, Money, Record
from ml_connector.errors import ContractBroken, RecordRejected
from ml_connector_zoho_crm import coql
from ml_connector_zoho_crm.convert import CONTACT_DATA, TEXT, Codec, Junk, checked, custom, instant
from ml_connector_zoho_crm.lines import LinePlan, free_text
from ml_connector_zoho_crm.mapping import module_of, rows_of
from ml_connector_zoho_crm.settings import Settings
from ml_connector_zoho_crm.wire import Field, Vendor, version_of

_ALWAYS: Final = ("id", "Modified_Time", "Modified_By")
_STATUS: Final = "Record_Status__s"
_FAULTS: Final = (ValueError, TypeError, KeyError, AttributeError, InvalidOperation)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What else of the organisation the mapping needs to know."""

    home_currency: str | None = None  # None: not told
    stages: Mapping[str, str] = {}  # deal stage → "open", "won", "lost"
    lines: LinePlan | None = None
    user: str | None = None  # id of the integration user


ALONE: Final = Surroundings()


class Reader(msgspec.Struct, frozen=True):
    field: str
    api: str
    read: Callable[[Any], Any]
    money: bool = False


class Plan:
    """One kind in one organisation. ``module`` goes into URLs; ``select`` is what a full record takes."""

    def __init__(
        self, kind: Kind, module: str, fields: Mapping[str, Field], settings: Settings, around: Surroundings = ALONE
    ) -> None:
        self.kind, self.module, self.fields, self.around = kind, module, fields, around
        self.key = settings.key(kind)
        self.lines = around.lines
        self._entity = ENTITIES[kind]
        self._blanks = settings.on_bad_contact_data == "blank"
        self._strategy = settings.order_lines if kind == "deal" else "custom_subform" if around.lines else "none"
        self._currency = "Currency" if "Currency" in fields else None
        table = rows_of(kind, settings)
        self._homes = {row.field: row.api for row in table if row.api}
        rows = [row for row in table if row.api in fields]
        self.apis: dict[str, str] = {row.field: row.api for row in rows if row.api}
        self._readers = [Reader(row.field, row.api, row.codec.read, row.money) for row in rows if row.api]
        self._writers: dict[str, tuple[str, Callable[[Any], Any], bool]] = {
            row.field: (row.api, checked(row.codec, fields[row.api]), row.money)
            for row in rows
            if row.api and not row.read_only and fields[row.api].writable
        }
        self._places = {
            place.field: {part: api for part, api in place.parts.items() if api in fields}
            for place in module_of(kind, settings).places
        }
        self._places = {field: parts for field, parts in self._places.items() if parts}
        self._parts = {
            api: checked(TEXT, fields[api]) for parts in self._places.values() for api in parts.values() if fields[api].writable
        }
        self._extras = self._customs(settings, taken={*self.apis.values(), *self._parts})
        self._extra_writers = {api: checked(codec, fields[api]) for api, codec in self._extras.items() if fields[api].writable}
        self.accepts = self._accepted()
        self.tells = self._told()
        self.select = self._selected()

    def _customs(self, settings: Settings, taken: set[str]) -> dict[str, Codec]:
        chosen = settings.custom_fields
        found: dict[str, Codec] = {}
        for api, field in self.fields.items():
            if field.custom_field and api not in taken and (chosen is None or api in chosen):
                codec = custom(field)
                if codec is not None:
                    found[api] = codec
        return found

    def _accepted(self) -> frozenset[str]:
        names = {*self._writers, *(f"extra.{api}" for api in self._extra_writers)}
        names |= {field for field, parts in self._places.items() if any(api in self._parts for api in parts.values())}
        if self._strategy != "none" and (self._strategy != "custom_subform" or self.lines is not None):
            names.add("lines")
        return frozenset(names)

    def _told(self) -> frozenset[str]:
        """What reading tells of: canonical names, as in ``accepts``."""
        names = {*self.apis, *self._places, *(f"extra.{api}" for api in self._extras)}
        if self.lines is not None:
            names.add("lines")
        if self.around.stages:
            names.add("status")
        return frozenset(names)

    def home(self, field: str) -> str | None:
        """Under which API name a field would be kept, whether or not the organisation has it."""
        return self._homes.get(field)

    def _selected(self) -> tuple[str, ...]:
        wanted = [*_ALWAYS, *(reader.api for reader in self._readers), *self._parts_read(), *self._extras]
        wanted += [api for api in (_STATUS, self._currency) if api and api in self.fields]
        return tuple(dict.fromkeys(wanted))

    def _parts_read(self) -> list[str]:
        return [api for parts in self._places.values() for api in parts.values()]

    def selected(self) -> tuple[str, ...]:
        """``select`` for a query. Raises ContractBroken when the module has more fields than one query takes."""
        if len(self.select) > coql.SELECT:
            raise ContractBroken(
                f"{self.module} has {len(self.select)} fields to read, and one query takes {coql.SELECT}",
                fix="Name those that the flows need in custom_fields",
            )
        return self.select

    # reading

    def record(self, row: Vendor) -> Record:
        """A Record from one of Zoho's; what could not be read is unset and told in ``warnings``."""
        modified = row.get("Modified_Time")
        at = instant(modified) if modified else None
        by = row.get("Modified_By")
        by_id = by.get("id") if isinstance(by, dict) else by
        entity, warnings = self.entity(row)
        return Record(
            id=str(row["id"]),
            entity=entity,
            version=version_of(at) if at else None,
            changed_at=at,
            by_us=self.around.user is not None and str(by_id) == self.around.user,
            warnings=warnings,
        )

    def living(self, row: Vendor) -> bool:
        """Drafts and trash are none of a flow's business."""
        return row.get(_STATUS) in (None, "", "Available")

    def entity(self, row: Vendor) -> tuple[Entity, tuple[str, ...]]:
        """The entity that a record tells of. Keys that are absent are unset, null and empty text are None."""
        values: dict[str, Any] = {}
        warnings: list[str] = []
        currency = row.get("Currency") or self.around.home_currency or ""
        for reader in self._readers:
            if reader.api not in row:
                continue
            raw = row[reader.api]
            if raw is None or raw == "":
                values[reader.field] = None
                continue
            try:
                value = reader.read(raw)
            except _FAULTS:
                warnings.append(f"{reader.api} holds {str(raw)[:40]!r}, which is no {reader.field}")
                continue
            values[reader.field] = Money(value, currency) if reader.money else value
        for field, parts in self._places.items():
            values |= _address(field, parts, row)
        extras = self._read_extras(row, warnings)
        if extras:
            values["extra"] = Extra(extras)
        if self.kind == "deal":
            self._read_deal(values)
        self._read_lines(row, values, warnings)
        return self._entity(**values), tuple(warnings)

    def _read_extras(self, row: Vendor, warnings: list[str]) -> dict[str, Any]:
        extras: dict[str, Any] = {}
        for api, codec in self._extras.items():
            if api not in row:
                continue
            raw = row[api]
            try:
                extras[api] = None if raw is None or raw == "" or raw == [] else codec.read(raw)
            except _FAULTS:
                warnings.append(f"{api} holds {str(raw)[:40]!r}, which is no {self.fields[api].data_type}")
        return extras

    def _read_deal(self, values: dict[str, Any]) -> None:
        if (status := self.around.stages.get(values.get("stage") or "")) is not None:
            values["status"] = status
        if self._strategy == "description" and isinstance(values.get("description"), str):
            values["description"] = free_text(values["description"])

    def _read_lines(self, row: Vendor, values: dict[str, Any], warnings: list[str]) -> None:
        if self.lines is None or not isinstance(row.get(self.lines.subform), list):
            return
        if row.get("$has_more", {}).get(self.lines.subform) if isinstance(row.get("$has_more"), dict) else False:
            warnings.append(f"{self.lines.subform} has more rows than Zoho shows; the lines are not told")
            return
        try:
            values["lines"] = self.lines.read(row[self.lines.subform])
        except _FAULTS as error:
            warnings.append(f"{self.lines.subform} could not be read: {error}")

    # writing

    def body(self, entity: Entity) -> tuple[Vendor, list[str]]:
        """What to send for what the entity holds, lines excepted, and warnings. Raises RecordRejected, naming the field.

        Unset is left out, None and empty text become null. Checked against the organisation's metadata, so that what Zoho
        would refuse for its length, choice or form costs no call.
        """
        out: Vendor = {}
        warnings: list[str] = []
        currencies: set[str] = set()
        for field, value in zip(entity.__struct_fields__, msgspec.structs.astuple(entity), strict=True):
            if value is UNSET or field == "lines":
                continue
            if (writer := self._writers.get(field)) is not None:
                api, write, money = writer
                if money and value is not None:
                    currencies.add(value.currency)
                    value = value.amount
                self._put(out, api, field, value, write, warnings)
            elif field == "extra":
                self._write_extras(value, out, warnings)
            elif field in self._places:
                self._write_address(field, value, out, warnings)
            elif value is not None:
                warnings.append(f"{field} has no place in {self.module}")
        self._write_currency(currencies - {""}, out)
        return out, warnings

    def _put(self, out: Vendor, api: str, field: str, value: Any, write: Callable[[Any], Any], warnings: list[str]) -> None:
        try:
            out[api] = write(value)
        except RecordRejected as error:
            if not self._blanks or not isinstance(error, Junk):
                error.field = field
                raise
            out[api] = None
            warnings.append(f"{field} left blank: {error.what}")

    def _write_address(self, field: str, address: Address | None, out: Vendor, warnings: list[str]) -> None:
        parts = self._places[field]
        for part in Address.__struct_fields__:
            value = None if address is None else getattr(address, part)
            if value is UNSET:
                continue
            api = parts.get(part)
            if api is not None and api in self._parts:
                self._put(out, api, f"{field}.{part}", value, self._parts[api], warnings)
            elif value:
                warnings.append(f"{field}.{part} has no place in {self.module}")

    def _write_extras(self, extra: Extra | None, out: Vendor, warnings: list[str]) -> None:
        for api, value in (extra or Extra()).items():
            write = self._extra_writers.get(api)
            if write is None:
                warnings.append(f"extra.{api} has no place in {self.module}")
            else:
                self._put(out, api, f"extra.{api}", value, write, warnings)

    def _write_currency(self, currencies: set[str], out: Vendor) -> None:
        """Amounts never change their currency on the way: one per record, and the home currency where it is the only one."""
        named = out.get("Currency")
        if not currencies:
            return
        if len(currencies) > 1 or (named and named not in currencies):
            told = ", ".join(sorted({*currencies, *([named] if named else [])}))
            raise RecordRejected(f"amounts in {told}, and a record in Zoho has one currency", code="CURRENCY", field="currency")
        (currency,) = currencies
        if self._currency is not None:
            out.setdefault("Currency", currency)
        elif self.around.home_currency not in (None, currency):
            raise RecordRejected(
                f"an amount in {currency}, and the organisation keeps {self.around.home_currency} only",
                code="CURRENCY",
                field="currency",
                fix="Switch multiple currencies on in Zoho CRM, or convert the amount in the flow",
            )

    def is_contact_data(self, api_name: str) -> bool:
        field = self.fields.get(api_name)
        return self._blanks and field is not None and field.data_type in CONTACT_DATA

    def canonical(self, api_name: str) -> str:
        """Our path for one of Zoho's names, else Zoho's name itself."""
        for reader in self._readers:
            if reader.api == api_name:
                return reader.field
        for field, parts in self._places.items():
            for part, api in parts.items():
                if api == api_name:
                    return f"{field}.{part}"
        if self.lines is not None and api_name == self.lines.subform:
            return "lines"
        return f"extra.{api_name}" if api_name in self._extras else api_name


def _address(field: str, parts: Mapping[str, str], row: Vendor) -> dict[str, Any]:
    """Unset when no part is told, None when all that are told are empty."""
    told = {part: row[api] or None for part, api in parts.items() if api in row}
    if not told:
        return {}
    return {field: Address(**told) if any(told.values()) else None}


def literal(plan: Plan, api: str, value: str) -> str | None:
    """A value as a query needs it for that field; None when the field cannot hold it."""
    if api == "id" and not coql.is_id(value):
        return None
    if plan.fields[api].json_type not in ("integer", "double"):
        return coql.text(value)
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return format(number, "f") if number.is_finite() else None
