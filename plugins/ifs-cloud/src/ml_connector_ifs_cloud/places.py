"""What can be configured of any kind of record: where it is served, what is read of it, and how it is written."""

import keyword
import re
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from ml_connector.domain import OrderStatus

Edm: TypeAlias = Literal["string", "decimal", "date", "datetime"]
"""Types a literal in a filter can have: ``'C1001'``, ``1001``, ``2026-01-15``, ``2026-01-15T09:30:00Z``."""
Strategy: TypeAlias = Literal["etag_sweep", "full", "timestamp", "history_log"]
Paging: TypeAlias = Literal["nextlink_then_skip", "skip_only", "nextlink_only", "keyset"]
Numbers: TypeAlias = Literal["given", "assigned"]
"""Who numbers a new record: the flow where it tells a number (IFS where it tells none), or always IFS's own series."""
Default: TypeAlias = str | bool | int
"""What a property of a new record holds where the flow says nothing."""


_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def property_name(name: str) -> None:
    """Raises ValueError for what cannot be the name of a property, a set or an action."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ValueError(f'"{name}" is not a name that a property or set can have')


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration: misspelt keys are mistakes."""


class Field(Table, frozen=True, kw_only=True):
    """A property and its type, because a literal in a filter must have the property's own type."""

    name: str
    edm: Edm = "string"


class Action(Table, frozen=True, kw_only=True):
    """A command of a projection by its name in $metadata, and the parameters it is sent."""

    name: str
    body: dict[str, Default] = {}

    def __post_init__(self) -> None:
        for name in (self.name, *self.body):
            property_name(name)

    def filled(self, **values: str) -> "Action":
        """With ``{name}`` in its texts replaced by these values."""
        body = dict(self.body)
        for name, value in values.items():
            body = {key: told.replace(f"{{{name}}}", value) if isinstance(told, str) else told for key, told in body.items()}
        return Action(name=self.name, body=body)


class Place(Table, frozen=True, kw_only=True):
    """Where a kind of record is served."""

    gateway: str = "main"
    projection: str
    read_set: str
    aliases: tuple[str, ...] = ()  # "OtherHandling.svc/OtherSet", tried in this order when the first is not served
    entity_type: str
    key: Field
    change_strategy: Strategy = "etag_sweep"
    created_field: Field | None = None
    modified_field: Field | None = None
    select: tuple[str, ...]
    filter: str | None = None  # OData text, added to every list
    full_every_h: Annotated[int, msgspec.Meta(ge=0)] = 24
    expect_rows: bool = True
    known_key: str | None = None

    def __post_init__(self) -> None:
        for alias in self.aliases:
            if not re.fullmatch(r"\w+\.svc/\w+", alias):
                raise ValueError(f'aliases: "{alias}" is not of the form Projection.svc/EntitySet')
        for name in (self.projection, self.read_set, self.entity_type, self.key.name, *self.select):
            property_name(name)
        if self.change_strategy == "timestamp" and self.stamp is None:
            raise ValueError("change_strategy timestamp needs modified_field (or created_field, which shows new records only)")
        if self.stamp is not None and self.change_strategy == "timestamp" and self.stamp.edm not in ("date", "datetime"):
            raise ValueError(f'{self.stamp.name}: edm must be "date" or "datetime" for change_strategy timestamp')

    @property
    def keys(self) -> tuple[str, ...]:
        """Properties besides ``key`` by which a record is looked up, read whatever ``select`` says."""
        return ()

    @property
    def stamp(self) -> Field | None:
        """What the timestamp strategy goes by."""
        return self.modified_field or self.created_field

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """(projection, entity set), most wanted first."""
        others = (tuple(alias.split(".svc/")) for alias in self.aliases)
        return ((self.projection, self.read_set), *((name, entity_set) for name, entity_set in others))


class Lines(Table, frozen=True, kw_only=True):
    """Lines: a flat set, read by key range; the navigation is what is left where the flat set is not served."""

    set: str | None = "CustomerOrderLineSet"
    aliases: tuple[str, ...] = ("CustomerOrderLinesSet",)
    nav: str = "OrderLinesArray"
    entity_type: str = "CustomerOrderLine"
    components: bool = False  # True: package components (LineItemNo > 0) are lines too
    key_field: str | None = "CustomerPoLineNo"  # holds the line's key on the other side; None: lines are known by their place
    cancel: Action | None = Action(name="CustomerOrderLine_SetCancelled")
    deletable: tuple[str, ...] = ("Planned",)  # states in which a line is deleted; in all others it is cancelled
    select: tuple[str, ...] = (
        "OrderNo",
        "LineNo",
        "RelNo",
        "LineItemNo",
        "CatalogNo",
        "CatalogDesc",
        "BuyQtyDue",
        "SalesUnitMeas",
        "SaleUnitPrice",
        "Discount",
        "NetAmountCurr",
        "TaxAmountCurr",
        "GrossAmountCurr",
        "TaxCode",
        "WantedDeliveryDate",
        "PromisedDeliveryDate",
        "QtyShipped",
        "QtyInvoiced",
        "Objstate",
    )

    @property
    def sets(self) -> tuple[str, ...]:
        return () if self.set is None else (self.set, *self.aliases)


class StatusWrite(Table, frozen=True, kw_only=True):
    """How an order's status is written. Names and bodies of actions are assumed: $metadata has those of a tenant.

    action       the action that leads to the status, bound to the order
    patch_field  the word for the status goes into a custom field, and IFS's own state is left alone
    off          it is not
    """

    mode: Literal["action", "patch_field", "off"] = "action"
    actions: dict[OrderStatus, Action] = {}
    patch_field: str | None = None

    def __post_init__(self) -> None:
        if self.patch_field is not None:
            property_name(self.patch_field)
        elif self.mode == "patch_field":
            raise ValueError("mode patch_field needs patch_field, the property to write, such as Cf_Crm_Stage")


class Documents(Place, frozen=True, kw_only=True):
    """Where documents are served, and how they are written."""

    lines: Lines | None = None
    numbers: Numbers = "assigned"
    create_defaults: dict[str, Default] = {}
    status_write: StatusWrite = StatusWrite(mode="off")

    def __post_init__(self) -> None:
        super().__post_init__()
        key_field = self.lines.key_field if self.lines is not None else None
        for name in (*self.create_defaults, *([key_field] if key_field else ())):
            property_name(name)

    @property
    def keys(self) -> tuple[str, ...]:
        field = self.status_write.patch_field
        return (field,) if field is not None else ()
