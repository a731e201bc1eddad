"""Canonical entities. Every field may be unset; ``number`` is always the business key a person would quote on the phone."""

import datetime as dt
from decimal import Decimal
from typing import Final, Literal, TypeAlias

import msgspec

from ml_connector.domain.values import UNSET, Address, Extra, Kind, Money, Ref, Unset

OrderStatus: TypeAlias = Literal[
    "Planned",
    "Released",
    "InFulfilment",
    "PartiallyDelivered",
    "Delivered",
    "Invoiced",
    "Cancelled",
    "Blocked",
    "Unknown",
]
"""The words an Order's ``status`` is told in. A status that a plugin cannot place is "Unknown", never a guess."""


class _Entity(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True, gc=False):
    number: Unset[str] = UNSET
    name: Unset[str] = UNSET
    description: Unset[str] = UNSET
    extra: Extra | msgspec.UnsetType = UNSET


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, repr_omit_defaults=True, gc=False):
    """One line of an order, quote, purchase order, invoice or deal. ``key`` is stable while the line lives."""

    key: str
    product: Unset[Ref] = UNSET
    sku: Unset[str] = UNSET
    description: Unset[str] = UNSET
    quantity: Unset[Decimal] = UNSET
    unit: Unset[str] = UNSET
    unit_price: Unset[Decimal] = UNSET
    discount_percent: Unset[Decimal] = UNSET
    net: Unset[Decimal] = UNSET
    tax: Unset[Decimal] = UNSET
    gross: Unset[Decimal] = UNSET
    tax_code: Unset[str] = UNSET
    wanted_on: Unset[dt.date] = UNSET
    status: Unset[str] = UNSET
    extra: Extra | msgspec.UnsetType = UNSET


class Account(_Entity, frozen=True):
    """A customer or prospect company."""

    category: Unset[str] = UNSET  # "Customer", "Prospect" …
    tax_id: Unset[str] = UNSET
    phone: Unset[str] = UNSET
    fax: Unset[str] = UNSET
    email: Unset[str] = UNSET
    website: Unset[str] = UNSET
    industry: Unset[str] = UNSET
    language: Unset[str] = UNSET
    currency: Unset[str] = UNSET
    parent: Unset[Ref] = UNSET
    billing: Unset[Address] = UNSET
    shipping: Unset[Address] = UNSET
    credit_limit: Unset[Money] = UNSET
    credit_blocked: Unset[bool] = UNSET
    payment_terms: Unset[str] = UNSET
    annual_revenue: Unset[Money] = UNSET
    employees: Unset[int] = UNSET
    active: Unset[bool] = UNSET


class Contact(_Entity, frozen=True):
    """A person, at an account or alone."""

    first_name: Unset[str] = UNSET
    last_name: Unset[str] = UNSET
    email: Unset[str] = UNSET
    phone: Unset[str] = UNSET
    mobile: Unset[str] = UNSET
    title: Unset[str] = UNSET
    department: Unset[str] = UNSET
    role: Unset[str] = UNSET
    account: Unset[Ref] = UNSET
    address: Unset[Address] = UNSET


class Deal(_Entity, frozen=True):
    """A chance to sell, or what a CRM shows of an order."""

    amount: Unset[Money] = UNSET
    stage: Unset[str] = UNSET
    pipeline: Unset[str] = UNSET
    status: Unset[str] = UNSET  # "open", "won", "lost"
    probability: Unset[Decimal] = UNSET  # percent
    closing_on: Unset[dt.date] = UNSET
    type: Unset[str] = UNSET
    lead_source: Unset[str] = UNSET
    next_step: Unset[str] = UNSET
    account: Unset[Ref] = UNSET
    contact: Unset[Ref] = UNSET
    quote: Unset[Ref] = UNSET
    order_number: Unset[str] = UNSET
    customer_reference: Unset[str] = UNSET
    lines: Unset[tuple[Line, ...]] = UNSET


class _Document(_Entity, frozen=True):
    status: Unset[str] = UNSET
    currency: Unset[str] = UNSET
    total: Unset[Money] = UNSET
    lines: Unset[tuple[Line, ...]] = UNSET
    company: Unset[str] = UNSET
    site: Unset[str] = UNSET
    payment_terms: Unset[str] = UNSET


class Order(_Document, frozen=True):
    """A customer's order with its lines. ``status`` is an OrderStatus."""

    type: Unset[str] = UNSET
    customer: Unset[Ref] = UNSET
    contact: Unset[Ref] = UNSET
    deal: Unset[Ref] = UNSET
    quote: Unset[Ref] = UNSET
    customer_reference: Unset[str] = UNSET  # the customer's own purchase order number
    external_reference: Unset[str] = UNSET  # what an outside system calls this order
    ordered_on: Unset[dt.date] = UNSET
    wanted_on: Unset[dt.date] = UNSET
    planned_on: Unset[dt.date] = UNSET
    delivery_terms: Unset[str] = UNSET
    salesperson: Unset[str] = UNSET
    bill_to: Unset[Address] = UNSET
    ship_to: Unset[Address] = UNSET


class Quote(_Document, frozen=True):
    """An offer with its lines."""

    customer: Unset[Ref] = UNSET
    contact: Unset[Ref] = UNSET
    deal: Unset[Ref] = UNSET
    customer_reference: Unset[str] = UNSET
    external_reference: Unset[str] = UNSET  # what an outside system calls this quote
    quoted_on: Unset[dt.date] = UNSET
    valid_until: Unset[dt.date] = UNSET
    bill_to: Unset[Address] = UNSET
    ship_to: Unset[Address] = UNSET


class Vendor(_Entity, frozen=True):
    """A supplier."""

    category: Unset[str] = UNSET
    tax_id: Unset[str] = UNSET
    email: Unset[str] = UNSET
    phone: Unset[str] = UNSET
    website: Unset[str] = UNSET
    currency: Unset[str] = UNSET
    payment_terms: Unset[str] = UNSET
    address: Unset[Address] = UNSET
    active: Unset[bool] = UNSET


class Product(_Entity, frozen=True):
    """Something sold or bought; ``number`` is the stock keeping unit."""

    category: Unset[str] = UNSET
    unit: Unset[str] = UNSET
    list_price: Unset[Money] = UNSET
    vendor: Unset[Ref] = UNSET
    stock: Unset[Decimal] = UNSET
    active: Unset[bool] = UNSET


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One product's price on a list, from a quantity on."""

    product: Ref
    amount: Decimal
    from_quantity: Unset[Decimal] = UNSET


class PriceList(_Entity, frozen=True):
    """Prices in one currency, for a time."""

    currency: Unset[str] = UNSET
    valid_from: Unset[dt.date] = UNSET
    valid_until: Unset[dt.date] = UNSET
    active: Unset[bool] = UNSET
    prices: Unset[tuple[Price, ...]] = UNSET


class PurchaseOrder(_Document, frozen=True):
    """An order to a supplier with its lines."""

    vendor: Unset[Ref] = UNSET
    buyer: Unset[str] = UNSET
    ordered_on: Unset[dt.date] = UNSET
    due_on: Unset[dt.date] = UNSET


class Invoice(_Document, frozen=True):
    """A customer's or a supplier's invoice and how far it is paid."""

    customer: Unset[Ref] = UNSET
    vendor: Unset[Ref] = UNSET
    order: Unset[Ref] = UNSET
    purchase_order: Unset[Ref] = UNSET
    issued_on: Unset[dt.date] = UNSET
    due_on: Unset[dt.date] = UNSET
    open_amount: Unset[Money] = UNSET


Entity: TypeAlias = Account | Contact | Deal | Order | Quote | Vendor | Product | PriceList | PurchaseOrder | Invoice

ENTITIES: Final[dict[Kind, type[Entity]]] = {
    "vendor": Vendor,
    "product": Product,
    "price_list": PriceList,
    "account": Account,
    "contact": Contact,
    "quote": Quote,
    "order": Order,
    "deal": Deal,
    "purchase_order": PurchaseOrder,
    "invoice": Invoice,
}
"""Kind → class, in the order in which kinds depend on one another: what is named by others comes first."""
