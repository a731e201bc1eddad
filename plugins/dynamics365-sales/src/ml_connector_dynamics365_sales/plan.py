"""The mapping of one kind, compiled against what the environment really has: reads records, writes bodies."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ml_connector.domain import UNSET, Address, Entity, Extra, Money, Record, Ref
from ml_connector.errors import RecordRejected
from ml_connector_dynamics365_sales.api import address, is_id
from ml_connector_dynamics365_sales.convert import (
    DECIMAL,
    FAULTS,
    NO_CHOICE,
    instant,
    text,
)
from ml_connector_dynamics365_sales.layout import Layout, prop_of
from ml_connector_dynamics365_sales.mapping import ENTITY_SETS, EXTERNAL, FIXED, Row
from ml_connector_dynamics365_sales.wire import ETAG, TARGET, Vendor

DEAL_STATES: Final = {0: "open", 1: "won", 2: "lost"}


class Plan(Layout):
    """One kind in one environment: what is read and what is sent."""

    def record(self, row: Vendor) -> Record:
        """A Record from a row as ``select`` and ``expand`` ask for it; what cannot be read is told in ``warnings``."""
        entity, warnings = self.entity(row)
        if row.get("merged") and row.get("_masterid_value"):
            warnings.append(f"it was merged into {row['_masterid_value']}")
        return Record(
            id=str(row[self.id]),
            entity=entity,
            version=self.version(row),
            changed_at=instant(row["modifiedon"]) if row.get("modifiedon") else None,
            by_us=self.facts.user is not None and row.get("_modifiedby_value") == self.facts.user,
            warnings=tuple(warnings),
        )

    def version(self, row: Vendor) -> str:
        """The row's ETag, and a digest of its children's where it has some: a line may change without its header."""
        etag = str(row[ETAG])
        if self.children is None:
            return etag
        told = sorted(f"{child[self.children.id]}{child[ETAG]}" for child in row.get(self.children.nav) or ())
        return f"{etag};{hashlib.sha256(chr(10).join(told).encode()).hexdigest()[:16]}"

    def entity(self, row: Vendor) -> tuple[Entity, list[str]]:
        values: dict[str, Any] = {}
        warnings: list[str] = []
        currency = self.facts.currency(row.get("_transactioncurrencyid_value"))
        for mapped in self.rows:
            prop = prop_of(mapped)
            if prop not in row:
                continue
            raw = row[prop]
            if raw is None or raw == "":
                values[mapped.field] = None
                continue
            try:
                values[mapped.field] = self._read(mapped, raw, row, currency)
            except FAULTS:
                warnings.append(f"{mapped.column} holds {str(raw)[:40]!r}, which is no {mapped.field}")
        for place in self._places.values():
            values |= _address(place.field, place.lines, place.parts, row)
        if self.kind in ("order", "quote"):
            self._one_customer(values)
        if values.get("number") and EXTERNAL in self.given:
            values.pop(EXTERNAL, None)  # the ERP has numbered it, and Dynamics' own number is no news to anybody
        values |= self._read_state(row)
        extras = self._read_extras(row, warnings)
        if extras:
            values["extra"] = Extra(extras)
        if self.children is not None and isinstance(row.get(self.children.nav), list):
            values[self.children.field] = self.children.read(row[self.children.nav], warnings)
        return self._entity(**values), warnings

    def _read(self, mapped: Row, raw: Any, row: Vendor, currency: str) -> Any:
        if mapped.type == "money":
            return Money(DECIMAL.read(raw), currency)
        if mapped.type == "currency":
            return self.facts.currency(raw) or None
        if mapped.type == "unit":
            return self.facts.unit_name(raw)
        if mapped.type == "ref":
            target = row.get(f"{prop_of(mapped)}{TARGET}", mapped.table)
            return Ref(mapped.kind, str(raw)) if target == mapped.table else None
        return self._codecs[mapped.field].read(raw)

    def _one_customer(self, values: dict[str, Any]) -> None:
        """One lookup holds an account or a contact: beside an account nothing is known of a contact."""
        if isinstance(values.get("customer"), Ref):
            values.pop("contact", None)

    def _read_state(self, row: Vendor) -> dict[str, Any]:
        state, status = row.get("statecode"), row.get("statuscode")
        if state is None:
            return {}
        if self.table.flag:
            return {"active": int(state) == self.table.active[0]}
        if self.kind == "order":
            return {"status": self.settings.order_words.get(str(status), "Unknown")}
        if self.kind == "quote":
            return {"status": self.settings.quote_words.get(str(status), "Unknown")}
        return {"status": DEAL_STATES.get(int(state), "Unknown")} if self.kind == "deal" else {}

    def _read_extras(self, row: Vendor, warnings: list[str]) -> dict[str, Any]:
        extras: dict[str, Any] = {}
        for name, codec in self._extras.items():
            if name not in row:
                continue
            raw = row[name]
            try:
                extras[name] = None if raw is None or raw == "" else codec.read(raw)
            except FAULTS:
                warnings.append(f"{name} holds {str(raw)[:40]!r}, which does not fit its type")
        return extras

    # -- writing

    def stands(self, name: str, value: Any, row: Vendor) -> bool:
        """Whether the row has the value of a body's property already; what was not read is taken for different."""
        if not name.endswith("@odata.bind"):
            return name in row and bool(row[name] == value)
        prop = self._bound_props.get(name.removesuffix("@odata.bind"))
        if prop is None or prop not in row:
            return False
        return bool(row[prop] is None) if value is None else f"({row[prop]})" in value

    def body(self, entity: Entity, *, creating: bool) -> tuple[Vendor, list[str]]:
        """What to send for what the entity holds, state and children excepted, and warnings.

        Unset is left out, None and empty text become null. Raises RecordRejected, naming the field, for what Dataverse would
        refuse for its length, choice or form.
        """
        out: Vendor = {}
        warnings: list[str] = []
        held = {
            field: value
            for field, value in zip(entity.__struct_fields__, msgspec.structs.astuple(entity), strict=True)
            if value is not UNSET and field not in ("status", "active", "lines", "prices")
        }
        by_field = {row.field: row for row in self.rows if not row.read_only}
        if self.kind in ("order", "quote"):
            self._write_customer(held, out, warnings, creating=creating)
        for field, value in held.items():
            if field == "extra":
                self._write_extras(value, out, warnings)
            elif field in self._places:
                self._write_address(field, value, out, warnings)
            elif (row := by_field.get(field)) is None or not self._writable(str(row.column)):
                if value is not None and field not in self.columns:
                    warnings.append(f"{field} has no place in {self.table.name}")
            elif creating or row.column not in FIXED:
                self._write_or_leave(row, value, out, warnings)
        self._write_currency(held, out, creating=creating)
        return out, warnings

    def _write_or_leave(self, row: Row, value: Any, out: Vendor, warnings: list[str]) -> None:
        try:
            self._write(row, value, out)
        except RecordRejected as error:
            if error.code != NO_CHOICE or self.settings.unknown_choices == "reject":
                raise
            warnings.append(f"{row.field} left alone: {error.what}")

    def _write(self, row: Row, value: Any, out: Vendor) -> None:
        column = str(row.column)
        try:
            if row.type == "ref":
                out[f"{row.nav}@odata.bind"] = None if value is None else f"/{self._bound(row, value)}"
            elif row.type == "unit":
                out |= self.facts.unit_bound(self.settings.units.get(value, value)) if value else {}
            elif row.type == "money":
                out[column] = None if value is None else DECIMAL.write(value.amount)
            elif row.type != "currency":
                out[column] = None if value is None or value == "" else self._codecs[row.field].write(value)
        except RecordRejected as error:
            error.field = error.field or row.field
            raise
        except FAULTS as error:
            raise RecordRejected(f"{value!r} does not fit the column {column}", code="INVALID", field=row.field) from error

    def _bound(self, row: Row, ref: Ref) -> str:
        if not is_id(ref.key):
            raise RecordRejected(f"{ref.key!r} is not the id of a record in Dynamics", code="INVALID")
        return address(ENTITY_SETS[row.table], ref.key)

    def _write_customer(self, held: dict[str, Any], out: Vendor, warnings: list[str], *, creating: bool) -> None:
        """The account is the customer; a contact is, where there is no account. Both are one lookup."""
        contact, customer = held.pop("contact", UNSET), held.get("customer", UNSET)
        if isinstance(contact, Ref):
            if customer is None or (creating and customer is UNSET):
                held.pop("customer", None)
                row = next(row for row in self.rows if row.field == "contact")
                self._write(row, contact, out)
            else:
                warnings.append("contact has no place beside the customer")

    def _write_address(self, field: str, told: Address | None, out: Vendor, warnings: list[str]) -> None:
        place = self._places[field]
        street = None if told is None else told.street
        if street is not UNSET:
            lines = (street or "").split("\n")
            if len(lines) > len(place.lines):
                lines = [*lines[:2], ", ".join(lines[2:])]
            for column, line in zip(place.lines, [*lines, "", ""], strict=False):
                self._put(column, f"{field}.street", line.strip(), out)
        for part, column in place.parts.items():
            value = None if told is None else getattr(told, part)
            if value is not UNSET:
                self._put(column, f"{field}.{part}", value, out)

    def _put(self, column: str, field: str, value: str | None, out: Vendor) -> None:
        if column not in self.attributes:
            return
        try:
            out[column] = text(self.attributes[column]).write(value) if value else None
        except RecordRejected as error:
            error.field = field
            raise

    def _write_extras(self, extra: Extra | None, out: Vendor, warnings: list[str]) -> None:
        for name, value in (extra or Extra()).items():
            if name not in self._extras or not self._writable(name):
                warnings.append(f"extra.{name} has no place in {self.table.name}")
                continue
            try:
                out[name] = None if value is None or value == "" else self._extras[name].write(value)
            except RecordRejected as error:
                error.field = f"extra.{name}"
                raise
            except FAULTS as error:
                raise RecordRejected(
                    f"{value!r} does not fit the column {name}", code="INVALID", field=f"extra.{name}"
                ) from error

    def _write_currency(self, held: Mapping[str, Any], out: Vendor, *, creating: bool) -> None:
        """Amounts never change their currency on the way: one per record."""
        if "transactioncurrencyid" not in self.attributes:
            return
        named = held.get("currency")
        amounts = {
            value.currency for field, value in held.items() if isinstance(value, Money) and self._counts(field, creating)
        }
        currencies = (amounts | ({named} if isinstance(named, str) else set())) - {""}
        if len(currencies) > 1:
            told = ", ".join(sorted(currencies))
            raise RecordRejected(f"amounts in {told}, and a record has one currency", code="CURRENCY", field="currency")
        for currency in currencies:
            out["transactioncurrencyid@odata.bind"] = f"/transactioncurrencies({self.facts.currency_id(currency)})"

    def _counts(self, field: str, creating: bool) -> bool:
        """Whether an amount's currency becomes the record's: a total that is only read tells it to a new record alone."""
        return creating or any(row.field == field and not row.read_only for row in self.rows)

    def state(self, entity: Entity) -> tuple[int, int | None] | None:
        """State and status that the entity asks for; None where it says nothing. Raises RecordRejected."""
        if self.table.flag:
            active = getattr(entity, "active", UNSET)
            if not isinstance(active, bool):
                return None
            return self.table.active if active else self.table.retired
        word = getattr(entity, "status", UNSET)
        if self.kind not in ("order", "quote", "deal") or not isinstance(word, str) or word in ("", "Unknown"):
            return None
        if self.kind == "deal":
            state = next((state for state, told in DEAL_STATES.items() if told == word), None)
            if state is None:
                raise RecordRejected(f'"{word}" is neither open, won nor lost', code=NO_CHOICE, field="status")
            return state, None
        words = self.settings.order_status if self.kind == "order" else self.settings.quote_status
        status = words.get(word)
        states = self.statuses()
        if status is None or (states and status not in states):
            raise RecordRejected(
                f'no status of {self.table.name} stands for "{word}"',
                code=NO_CHOICE,
                field="status",
                fix=f"Give it one in the setting {self.kind}_status",
            )
        return states.get(status, 0), status

    def statuses(self) -> dict[int, int]:
        """Status → the state that it belongs to, as the environment has them."""
        column = self.attributes.get("statuscode")
        options = column.OptionSet.Options if column is not None and column.OptionSet is not None else []
        return {option.Value: option.State or 0 for option in options}

    def defaults(self, currency: str | None = None) -> Vendor:
        """What a new record needs and the flow does not say."""
        if self.kind == "product":
            unit = self.settings.default_unit
            bound: Vendor = self.facts.unit_bound(unit) if unit else self.facts.base_unit_bound()
            return {"quantitydecimal": 2, "productstructure": 1, **bound}
        if self.kind == "deal" and self.table.name == "opportunity":
            return {"isrevenuesystemcalculated": False}
        if self.kind in ("order", "quote") and (prices := self.facts.price_list(currency)) is not None:
            return {"pricelevelid@odata.bind": f"/pricelevels({prices})"}
        return {}


def _address(field: str, lines: tuple[str, ...], parts: Mapping[str, str], row: Vendor) -> dict[str, Any]:
    """Unset when no part is told, None when all that are told are empty."""
    told: dict[str, Any] = {part: row[column] or None for part, column in parts.items() if column in row}
    street = [row[column] or "" for column in lines if column in row]
    if street:
        told["street"] = "\n".join(street).rstrip("\n") or None
    if not told:
        return {}
    return {field: Address(**told) if any(told.values()) else None}
