"""Kinds whose properties are told by the settings, field by field: quotations, opportunities, sales parts, price lists."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from ml_connector.domain import ENTITIES, UNSET, Entity, Extra, Kind, Money, Ref
from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector_adapters.http import odata
from ml_connector_ifs_cloud import mapping, payload
from ml_connector_ifs_cloud.api import Api, EntitySet
from ml_connector_ifs_cloud.document_sink import DocumentSink
from ml_connector_ifs_cloud.documents import DocumentReader
from ml_connector_ifs_cloud.kinds import Mapped, Products
from ml_connector_ifs_cloud.rows import OrderLine, Row, with_extras

_REFS: Final[dict[str, Kind]] = {"customer": "account", "account": "account"}
_DAYS: Final = frozenset(("quoted_on", "valid_until", "valid_from", "closing_on"))
_MONEY: Final = frozenset(("total", "amount", "list_price"))


class MappedReader(DocumentReader[Any, Any]):
    """Reads one such kind."""

    def __init__(self, kind: Kind, api: Api, place: Mapped, clock: Clock) -> None:
        self.kind, self.mapped = kind, place
        header = with_extras(Row, (place.key.name, *place.fields.values()))
        super().__init__(api, place, place.lines, header, with_extras(Row, (place.key.name,)), clock)

    @property
    def fills(self) -> frozenset[str]:
        lines = {"lines"} if self.lines is not None else set()
        return frozenset({"number", *self.mapped.fields, *lines, *(f"extra.{name}" for name in self.rules.extras)})

    @property
    def key_names(self) -> tuple[str, ...]:
        return ("Contract", *super().key_names) if isinstance(self.mapped, Products) else super().key_names

    def scope(self, found: EntitySet) -> str:
        settings, fields = self.api.settings, self.mapped.fields
        if isinstance(self.mapped, Products):
            return odata.eq("Contract", self._site(self.mapped))
        return odata.both(
            odata.one_of(fields["company"], settings.companies) if settings.companies and "company" in fields else "",
            odata.one_of(fields["site"], settings.sites) if settings.sites and "site" in fields else "",
        )

    def entity(self, row: Any, lines: Sequence[OrderLine] | None) -> tuple[Entity, tuple[str, ...]]:
        warnings: list[str] = []
        told = {name: self._value(name, getattr(row, prop), row, warnings) for name, prop in self.mapped.fields.items()}
        theirs = getattr(row, self.mapped.number_field) if self.mapped.number_field is not None else None
        told["number"] = str(theirs) if theirs else self.id_of(row)
        if lines is not None:
            told["lines"] = mapping.lines_of(lines, self.rules, warnings)
        if extras := {name: value for name, prop in self.rules.extras.items() if (value := getattr(row, prop)) is not UNSET}:
            told["extra"] = Extra(extras)
        make: Any = ENTITIES[self.kind]
        return make(**told), tuple(warnings)

    def _value(self, name: str, raw: Any, row: Any, warnings: list[str]) -> Any:
        if raw is None or raw is UNSET:
            return raw
        if name in _REFS:
            return Ref(_REFS[name], str(raw)) if raw != "" else None
        if name in _DAYS:
            return mapping.day_of(raw, self.mapped.fields[name], self.rules, warnings)
        if name in _MONEY:
            return Money(Decimal(raw), self._currency(row))
        if name == "active" and isinstance(self.mapped, Products):
            return raw in self.mapped.active_values
        return str(raw)

    def _currency(self, row: Any) -> str:
        own = self.mapped.fields.get("currency")
        stated = getattr(row, own) if own is not None else None
        return stated or (self.mapped.currency if isinstance(self.mapped, Products) else "")

    def _site(self, products: Products) -> str:
        """A part's number is unique within a site only."""
        sites = self.api.settings.sites
        site = products.site or (sites[0] if len(sites) == 1 else None)
        if site is None:
            raise ContractBroken(
                "sales parts are read of one site, and it is not said which",
                fix="Set entities.product.site, or name one site in sites",
                where=self.api.where,
            )
        return site


class MappedSink(DocumentSink[MappedReader]):
    """Writes one such kind."""

    def __init__(self, api: Api, reader: MappedReader) -> None:
        super().__init__(api, reader, reader.mapped)
        self._fields = {
            name: prop for name, prop in reader.mapped.fields.items() if name not in ("number", *reader.mapped.read_only)
        }

    async def accepts(self) -> frozenset[str]:
        status = {"status"} if self.settings.status_write.mode != "off" else set()
        lines = {"lines"} if self.settings.lines is not None else set()
        return frozenset({"number", *self._fields, *status, *lines, *(f"extra.{name}" for name in self.rules.extras)})

    def values(self, entity: Any) -> payload.Values:
        own = {"number": self.reader.mapped.number_field} if self.reader.mapped.number_field is not None else {}
        return payload.mapped(entity, {**self._fields, **own}, self.rules)

    def status_of(self, row: Any) -> str:
        """In IFS's own words, where the settings say which property holds it."""
        source = self.reader.mapped.fields.get("status")
        return str(getattr(row, source)) if source is not None else ""

    def field_of(self, key: str) -> str | None:
        if key == "number":
            return self.reader.mapped.number_field or self.reader.place.key.name
        return self.rules.extras.get(key.removeprefix("extra.")) if key.startswith("extra.") else self._fields.get(key)

    def blamed(self, name: str) -> str:
        known = {
            prop.upper(): field
            for field, prop in (*self.reader.mapped.fields.items(), ("number", self.field_of("number") or ""))
        }
        return known.get(name, name)
