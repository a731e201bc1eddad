"""Acorn's customer ↔ Account. Pure functions."""

import datetime as dt
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from ml_connector.domain import UNSET, Account, Entity, Money, Record

FIELDS: Final = frozenset({"number", "name", "phone", "credit_limit", "currency", "active"})
"""What a customer has a place for, in canonical names."""


class Customer(Struct, frozen=True):
    """One customer as Acorn sends it. Amounts are texts, so that no digit is lost on the way."""

    id: str
    number: str
    name: str
    rev: str
    seq: int
    changed: dt.datetime
    phone: str | None = None
    credit_limit: Decimal | None = None
    currency: str | None = None
    active: bool = True
    deleted: bool = False


def record_of(row: Customer) -> Record:
    limit = None if row.credit_limit is None else Money(row.credit_limit, row.currency or "")
    account = Account(
        number=row.number, name=row.name, phone=row.phone, credit_limit=limit, currency=row.currency, active=row.active
    )
    return Record(id=row.id, entity=None if row.deleted else account, version=row.rev, changed_at=row.changed, gone=row.deleted)


def body_of(entity: Entity) -> dict[str, Any]:
    """What Acorn shall store: set fields only, null for cleared ones."""
    told = {name: value for name in FIELDS if (value := getattr(entity, name)) is not UNSET}
    limit = told.get("credit_limit")
    if isinstance(limit, Money):
        told |= {"credit_limit": format(limit.amount, "f"), "currency": limit.currency or None}
    return told
