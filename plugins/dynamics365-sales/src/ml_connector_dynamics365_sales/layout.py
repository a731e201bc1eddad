"""Where the fields of one kind are in this environment: which columns it has, which can be written, what they are called."""

from collections.abc import Mapping
from typing import Final
from zoneinfo import ZoneInfo

from ml_connector.domain import ENTITIES, Kind
from ml_connector_dynamics365_sales.children import ChildPlan
from ml_connector_dynamics365_sales.convert import BOOLEAN, DECIMAL, INTEGER, Codec, choice, custom, day, text
from ml_connector_dynamics365_sales.facts import Facts
from ml_connector_dynamics365_sales.mapping import EXTERNAL, FIXED, ORDER_NUMBER, Row, rows_of, table_of
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.wire import Attribute, Definition

_LOOKUPS: Final = ("ref", "currency", "unit")
_ALWAYS: Final = ("modifiedon", "_modifiedby_value", "statecode", "statuscode", "merged", "_masterid_value", "totaltax")


def prop_of(row: Row) -> str:
    """The property that holds the row's value in JSON."""
    return f"_{row.column}_value" if row.type in _LOOKUPS else str(row.column)


class Layout:
    """One kind in one environment, as far as it stands still."""

    def __init__(
        self,
        kind: Kind,
        definition: Definition,
        attributes: Mapping[str, Attribute],
        settings: Settings,
        facts: Facts,
        children: ChildPlan | None = None,
    ) -> None:
        self.kind, self.definition, self.attributes, self.facts, self.children = kind, definition, attributes, facts, children
        self.settings = settings
        self.table = table_of(kind, settings)
        self.entity_set, self.id = definition.EntitySetName, definition.PrimaryIdAttribute
        self.key = settings.key(kind)
        self.keyed = any(k.KeyAttributes == [self.key] and k.EntityKeyIndexStatus == "Active" for k in definition.Keys)
        self._zone = ZoneInfo(settings.date_zone)
        self._entity = ENTITIES[kind]
        self._homes = {row.field: str(row.column) for row in rows_of(kind, settings)}
        self.rows = [row for row in rows_of(kind, settings) if row.column in attributes]
        self.columns = {row.field: str(row.column) for row in self.rows}
        self._codecs = {row.field: self._codec(row) for row in self.rows if row.type not in (*_LOOKUPS, "money")}
        self._places = {
            place.field: place for place in self.table.places if any(column in attributes for column in place.parts.values())
        }
        self._extras = self._customs()
        self._bound_props = {row.nav: prop_of(row) for row in self.rows if row.type == "ref"}
        self._bound_props["transactioncurrencyid"] = "_transactioncurrencyid_value"
        self._columns_back = {column: field for field, column in reversed(list(self.columns.items()))}
        self.accepts, self.tells = self._accepted(), self._told()
        self.select = self._selected()

    # -- what there is

    def _codec(self, row: Row) -> Codec:
        attribute = self.attributes[str(row.column)]
        if row.type == "date":
            return day(attribute, self._zone)
        if row.type == "choice":
            return choice(attribute, self.settings.choices.get(f"{self.kind}.{row.field}", {}))
        if row.type == "text" and attribute.AttributeType not in ("String", "Memo"):  # a place that the user chose
            return custom(attribute, self._zone) or text(attribute)
        return {"decimal": DECIMAL, "int": INTEGER, "bool": BOOLEAN}.get(row.type) or text(attribute)

    def _customs(self) -> dict[str, Codec]:
        chosen, named = self.settings.custom_fields, self.settings.extra_columns
        taken = {row.column for row in self.rows if not row.read_only}
        found: dict[str, Codec] = {}
        for name, attribute in self.attributes.items():
            ours = attribute.IsCustomAttribute and not name.endswith("_base") and (chosen is None or name in chosen)
            wanted = (ours or name in named) and attribute.IsValidForRead and name not in taken
            if wanted and (codec := custom(attribute, self._zone)) is not None:
                found[name] = codec
        return found

    def _writable(self, column: str, *, creating: bool = True) -> bool:
        attribute = self.attributes.get(column)
        if attribute is None:
            return False
        return attribute.IsValidForCreate if column in FIXED or creating else attribute.IsValidForUpdate

    def _accepted(self) -> frozenset[str]:
        names = {row.field for row in self.rows if not row.read_only and self._writable(str(row.column))}
        names |= {f"extra.{name}" for name in self._extras if self._writable(name)} | set(self._places)
        return frozenset(names | self._states() | ({self.children.field} if self.children else set()))

    def _told(self) -> frozenset[str]:
        names = {*self.columns, *self._places, *(f"extra.{name}" for name in self._extras)}
        return frozenset(names | self._states() | ({self.children.field} if self.children else set()))

    def _states(self) -> set[str]:
        return {"active"} if self.table.flag else {"status"} if self.kind in ("order", "quote", "deal") else set()

    def _selected(self) -> tuple[str, ...]:
        wanted = [self.id, *(name for name in _ALWAYS if name.strip("_").removesuffix("_value") in self.attributes)]
        wanted += [prop_of(row) for row in self.rows]
        for place in self._places.values():
            wanted += [column for column in (*place.lines, *place.parts.values()) if column in self.attributes]
        if "transactioncurrencyid" in self.attributes:
            wanted.append("_transactioncurrencyid_value")
        return tuple(dict.fromkeys([*wanted, *self._extras]))

    @property
    def given(self) -> frozenset[str]:
        """Keys that Dynamics gives out itself: they find records and are never written."""
        return frozenset((EXTERNAL,) if self.columns.get(EXTERNAL) == ORDER_NUMBER else ())

    @property
    def expand(self) -> str:
        return self.children.expand if self.children else ""

    def home(self, field: str) -> str | None:
        """In which column a field would be kept, whether or not the environment has it."""
        return self._homes.get(field)

    def canonical(self, column: str) -> str:
        """Our path for one of Dataverse's names, else Dataverse's name itself."""
        name = column.removeprefix("_").removesuffix("_value")
        if (field := self._columns_back.get(name)) is not None:
            return field
        for place in self._places.values():
            if name in place.lines:
                return f"{place.field}.street"
            for part, own in place.parts.items():
                if own == name:
                    return f"{place.field}.{part}"
        if name in self._extras:
            return f"extra.{name}"
        if self.children is not None and name in self.children.attributes and name not in self.attributes:
            return self.children.field
        return name
