"""Values that entities are made of.

Three absences differ from end to end: ``UNSET`` is not known (leave alone), ``None`` is cleared, ``""`` is an empty text.

``gc=False``, here and wherever records are carried: such values never form a circle, so the collector need not look at them.
"""

import datetime as dt
from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from decimal import Decimal
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

__all__ = ["UNSET", "Address", "Extra", "Instant", "Kind", "Money", "Ref", "Scalar", "Unset", "UnsetType"]

Kind: TypeAlias = Literal[
    "account", "contact", "deal", "order", "quote", "vendor", "product", "price_list", "purchase_order", "invoice"
]
Instant: TypeAlias = Annotated[dt.datetime, msgspec.Meta(tz=True)]
Scalar: TypeAlias = str | bool | int | Decimal | dt.date | dt.datetime | None

T = TypeVar("T")
Unset: TypeAlias = T | None | UnsetType
"""What every field of an entity is: a value, cleared, or not known."""


class Money(msgspec.Struct, frozen=True, gc=False):
    """An amount in the currency's major unit; 12.50 and 12.5 are the same amount."""

    amount: Decimal
    currency: str  # ISO 4217, upper case; "" where the vendor has one currency and does not name it


class Address(msgspec.Struct, frozen=True, omit_defaults=True, repr_omit_defaults=True, gc=False):
    """A postal address. ``street`` keeps its lines, separated by newlines; ``country`` is ISO 3166 alpha-2 where known."""

    street: Unset[str] = UNSET
    city: Unset[str] = UNSET
    region: Unset[str] = UNSET
    postal_code: Unset[str] = UNSET
    country: Unset[str] = UNSET


class Ref(msgspec.Struct, frozen=True, gc=False):
    """Another record, named by the id it has on the system that the entity was read from.

    The pipeline alone translates the key into the id on the other side; a plugin neither looks it up nor guesses it.
    """

    kind: Kind
    key: str


class Extra:
    """Custom fields by canonical name, in either direction. Immutable; a name that is absent is unset.

    A mapping, but no ``Mapping``: asking whether a value is one would take the long way through ABCMeta for every field.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Scalar] | None = None, /) -> None:
        self._values = dict(values) if values else {}

    def __getitem__(self, name: str) -> Scalar:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def keys(self) -> KeysView[str]:
        return self._values.keys()

    def values(self) -> ValuesView[Scalar]:
        return self._values.values()

    def items(self) -> ItemsView[str, Scalar]:
        return self._values.items()

    def get(self, name: str, default: T | None = None) -> Scalar | T:
        """The value, or ``default`` where the name is absent."""
        return self._values.get(name, default)

    def as_dict(self) -> dict[str, Scalar]:
        """A fresh dict of the same values."""
        return self._values.copy()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extra) and self._values == other._values

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Extra({self._values!r})"
