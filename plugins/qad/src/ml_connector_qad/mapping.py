"""QAD's records ↔ entities: pure functions over the declared field map. What cannot be placed is told in a warning."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final

from ml_connector.domain import ENTITIES, UNSET, Address, Entity, Extra, Kind, Line, Money, Ref, RemoteId, Version
from ml_connector.errors import RecordRejected
from ml_connector.sync.content import encode
from ml_connector_qad import convert
from ml_connector_qad.convert import Unreadable
from ml_connector_qad.kinds import Account, Component, Document, Lines, Product
from ml_connector_qad.settings import QadSettings

Row = Mapping[str, Any]

REFS: Final[dict[str, Kind]] = {
    "vendor": "vendor",
    "customer": "account",
    "purchase_order": "purchase_order",
    "product": "product",
    "order": "order",
}
DAYS: Final = frozenset(("ordered_on", "wanted_on", "planned_on", "due_on", "issued_on", "quoted_on", "valid_until"))
MONEY: Final = frozenset(("total", "open_amount", "list_price", "credit_limit", "annual_revenue"))
FLAGS: Final = frozenset(("active", "credit_blocked"))
CODES: Final = frozenset(("number", "currency", "status", "payment_terms", "language", "company", "site", "unit"))
_DIGEST_BYTES: Final = 8
_HUNDRED: Final = Decimal(100)
_PERCENT: Final = Decimal("0.0001")


class FieldMap:
    """The field map of one kind, ready for use in both directions."""

    def __init__(self, kind: Kind, settings: QadSettings) -> None:
        self.kind, self.settings = kind, settings
        self.place = settings.place(kind)
        self.fields = settings.fields(kind)
        self.wires = settings.wires(kind)
        self.component = self.place.component

    # Ids

    def id_of(self, row: Row) -> RemoteId | None:
        """The record's id from its key fields; None where one of them is empty."""
        return id_of(self.component, row, self.settings)

    # Reading

    def entity(self, row: Row, lines: Sequence[Row] | None = None) -> tuple[Entity, tuple[str, ...]]:
        """The row as an entity. Fields that the row does not have are unset."""
        warnings: list[str] = []
        currency = self._currency(row)
        told: dict[str, Any] = {}
        addresses: dict[str, dict[str, Any]] = {}
        for path, names in self.fields.items():
            head, _, part = path.partition(".")
            present = [row[name] for name in names if name in row]
            if not present:
                continue
            try:
                value = self._value(head, part, present, currency, warnings)
            except Unreadable as error:
                warnings.append(f"{path} was left out: {error}")
                continue
            if part:
                addresses.setdefault(head, {})[part] = value
            else:
                told[head] = value
        told |= {head: Address(**parts) for head, parts in addresses.items()}
        if isinstance(self.place, Account) and self.place.category:
            told["category"] = self.place.category
        extras = self._extras(row, warnings)
        if isinstance(self.place, Document) and (own := self._lines) is not None and lines is not None:
            told["lines"] = lines_of(lines, own, self.settings, warnings)
            told["total"] = Money(
                sum((line.net for line in told["lines"] if isinstance(line.net, Decimal)), Decimal()), currency
            )
        if extras:
            told["extra"] = Extra(extras)
        make: Any = ENTITIES[self.kind]
        return make(**told), tuple(warnings)

    def digest(self, row: Row, watched: Collection[str], *more: str) -> Version:
        """Differs whenever the mapped fields differ, of those ``watched``; equal for a list's row and the whole record."""
        seen = {name: value for name, value in row.items() if name in watched and value not in (None, "")}
        entity, _ = self.entity(seen)
        return blake2b(b"\0".join((encode(entity), *(part.encode() for part in more))), digest_size=_DIGEST_BYTES).hexdigest()

    @property
    def _lines(self) -> Lines | None:
        return getattr(self.place, "lines", None)

    def _value(self, head: str, part: str, present: Sequence[Any], currency: str, warnings: list[str]) -> Any:
        raw = present[0]
        if part == "street":
            lines = [convert.text(one) or "" for one in present]
            return "\n".join(lines).rstrip("\n") or None
        if part:
            return convert.text(raw)
        if head in REFS:
            code = convert.code(raw)
            return Ref(REFS[head], self.settings.codes.id(code)) if code is not None else None
        if head in DAYS:
            return convert.day(raw, self.settings.keyed.wire_datetime)
        if head in MONEY:
            amount = convert.number(raw)
            return Money(amount, currency) if amount is not None else None
        if head == "active" and isinstance(self.place, Product):
            statuses = self.place.active_statuses
            return statuses is None or any(self.settings.codes.same(convert.code(raw) or "", one) for one in statuses)
        if head in FLAGS:
            return convert.flag(raw)
        if head == "status":
            return self._status(convert.code(raw), warnings)
        if head == "currency":
            return (convert.code(raw) or "").upper() or None
        return convert.code(raw) if head in CODES else convert.text(raw)

    def _status(self, word: str | None, warnings: list[str]) -> str | None:
        states = self.place.states if isinstance(self.place, Document) else {}
        if word is None or not states:
            return word
        if word not in states:
            warnings.append(f'status "{word}" is not in states')
            return "Unknown"
        return states[word]

    def _currency(self, row: Row) -> str:
        names = self.fields.get("currency", ())
        own = convert.code(row.get(names[0])) if names else None
        return (own or self.settings.currency).upper()

    def _extras(self, row: Row, warnings: list[str]) -> dict[str, Any]:
        extras: dict[str, Any] = {}
        for name, source in self.place.custom_fields.items():
            if source in row:
                raw = row[source]
                try:
                    extras[name] = convert.day(raw, self.settings.keyed.wire_datetime) if is_day(source) else scalar(raw)
                except Unreadable as error:
                    warnings.append(f"extra.{name} was left out: {error}")
        return extras

    # Writing

    def values(self, entity: Any) -> dict[str, Any]:
        """Fields of the component that the entity sets; empty ones as QAD empties them ("" or null). Raises RecordRejected."""
        told: dict[str, Any] = {}
        for path, names in self.fields.items():
            head, _, part = path.partition(".")
            value = getattr(entity, head, UNSET)
            if part and value is not UNSET:
                value = getattr(value, part) if isinstance(value, Address) else None
            if value is UNSET:
                continue
            told |= self._wire(head, part, names, value)
        if isinstance(entity.extra, Extra):
            for name, source in self.place.custom_fields.items():
                if name in entity.extra:
                    told[source] = self._plain(entity.extra[name])
        return told

    def _wire(self, head: str, part: str, names: Sequence[str], value: Any) -> dict[str, Any]:
        field = f"{head}.{part}" if part else head
        if part == "street":
            return dict(zip(names, convert.split_street(value or "", len(names), field), strict=True))
        if head == "status" and isinstance(self.place, Document) and self.place.states and value is not None:
            words = {ours: word for word, ours in self.place.states.items()}
            if value not in words:
                raise RecordRejected(f'no word of QAD\'s stands for "{value}"', code="NO_STATE", field="status")
            return {names[0]: words[value]}
        if value is None and head in DAYS | MONEY | FLAGS:
            return {names[0]: None}
        return {names[0]: self._plain(value)}

    def _plain(self, value: Any) -> Any:
        return to_wire(value, self.settings.keyed.wire_datetime)

    def blamed(self, name: str) -> str:
        """The canonical path behind a field of the component, the field itself where there is none."""
        for path, names in self.fields.items():
            if any(name.lower() == one.lower() for one in names):
                return path
        for extra, source in self.place.custom_fields.items():
            if source.lower() == name.lower():
                return f"extra.{extra}"
        return name


def id_of(component: Component, row: Row, settings: QadSettings) -> RemoteId | None:
    parts = [convert.code(row.get(key)) for key in component.keys]
    told = [part for part in parts if part is not None]
    if len(told) < len(parts):
        return None
    if len(told) == 1:
        return settings.codes.id(told[0])
    return ".".join(convert.escape(settings.codes.id(part)) for part in told)


def keys_of(component: Component, record_id: RemoteId) -> dict[str, str] | None:
    """The key fields behind an id; None for a text that is no id of this component."""
    if len(component.keys) == 1:
        return {component.keys[0]: record_id} if record_id.strip() else None
    parts = record_id.split(".")
    if len(parts) != len(component.keys) or not all(parts):
        return None
    return {key: convert.unescape(part) for key, part in zip(component.keys, parts, strict=True)}


def lines_of(rows: Iterable[Row], lines: Lines, settings: QadSettings, warnings: list[str]) -> tuple[Line, ...]:
    """The lines in the order of their numbers; what a line nets is its quantity times its price after discount."""
    found = []
    for row in rows:
        try:
            found.append((convert.number(row.get(lines.number)) or Decimal(), line_of(row, lines, settings)))
        except Unreadable as error:
            warnings.append(f"line {row.get(lines.number)} was left out: {error}")
    return tuple(line for _, line in sorted(found, key=lambda pair: pair[0]))


def line_of(row: Row, lines: Lines, settings: QadSettings) -> Line:
    """Raises Unreadable."""
    names = lines.fields
    told: dict[str, Any] = {"key": line_key(row, lines)}
    if (sku := names.get("sku")) and sku in row:
        told["sku"] = convert.code(row[sku])
        told["product"] = Ref("product", settings.codes.id(told["sku"])) if told["sku"] else None
    for name in ("description", "unit"):
        if (source := names.get(name)) and source in row:
            told[name] = convert.text(row[source])
    quantity = convert.number(row.get(names.get("quantity", "")))
    price = convert.number(row.get(names.get("unit_price", "")))
    net_price = convert.number(row.get(names["net_price"])) if names.get("net_price", "") in row else None
    if net_price is not None and not price:
        price = net_price
    if price is not None and net_price is not None and net_price != price:
        told["discount_percent"] = convert.plain((_HUNDRED * (price - net_price) / price).quantize(_PERCENT))
    told["quantity"], told["unit_price"] = quantity, price
    each = net_price if net_price is not None else price
    told["net"] = convert.plain(quantity * each) if quantity is not None and each is not None else None
    if (source := names.get("wanted_on")) and source in row:
        told["wanted_on"] = convert.day(row[source], settings.keyed.wire_datetime)
    extras = {name: scalar(row[source]) for name, source in lines.extra.items() if source in row}
    if extras:
        told["extra"] = Extra(extras)
    return Line(**told)


def line_key(row: Row, lines: Lines) -> str:
    own = convert.code(row.get(lines.key_field)) if lines.key_field else None
    return own or convert.code(row.get(lines.number)) or "0"


def line_values(line: Line, lines: Lines, layout: str) -> dict[str, Any]:
    """Fields of the line that it sets."""
    told: dict[str, Any] = {}
    names = lines.fields
    for name in ("sku", "description", "quantity", "unit", "unit_price", "wanted_on"):
        value = getattr(line, name)
        if name == "sku" and value in (UNSET, None) and isinstance(line.product, Ref):
            value = line.product.key
        if name in names and value is not UNSET:
            told[names[name]] = to_wire(value, layout)
    if "net_price" in names and isinstance(line.unit_price, Decimal):
        discount = line.discount_percent if isinstance(line.discount_percent, Decimal) else Decimal()
        told[names["net_price"]] = convert.plain(line.unit_price * (_HUNDRED - discount) / _HUNDRED)
    if lines.key_field:
        told[lines.key_field] = line.key
    if isinstance(line.extra, Extra):
        told |= {source: to_wire(line.extra[name], layout) for name, source in lines.extra.items() if name in line.extra}
    return told


def to_wire(value: Any, layout: str) -> Any:
    """None becomes "" (as QAD empties texts); dates, amounts and refs become what their fields hold."""
    if value is None:
        return ""
    if isinstance(value, Money):
        return value.amount
    if isinstance(value, Ref):
        return value.key
    return value.strftime(layout) if hasattr(value, "strftime") else value


def scalar(raw: Any) -> Any:
    """A custom field's value: text, flag or exact number."""
    if raw is None or raw == "":
        return None
    if isinstance(raw, (bool, str)):
        return raw
    return convert.number(raw) if isinstance(raw, (int, Decimal)) else str(raw)


def is_day(source: str) -> bool:
    """Custom fields that hold dates are called customDate1 to customDate5."""
    return source.startswith("customDate")
