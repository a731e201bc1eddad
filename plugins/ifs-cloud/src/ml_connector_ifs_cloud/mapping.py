"""IFS rows → canonical entities: pure functions, nothing guessed. What cannot be placed is left out and told in a warning."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec

from ml_connector.domain import (
    UNSET,
    Account,
    Address,
    Extra,
    Kind,
    Line,
    Money,
    Order,
    OrderStatus,
    Ref,
    Scalar,
    Unset,
    UnsetType,
)
from ml_connector_ifs_cloud.kinds import ADDRESSES, METHODS
from ml_connector_ifs_cloud.places import Lines
from ml_connector_ifs_cloud.rows import (
    AddressType,
    CommMethod,
    CreditInfo,
    Customer,
    CustomerAddress,
    InvoiceCompany,
    KeyText,
    OrderHeader,
    OrderLine,
    SalesCustomer,
)
from ml_connector_ifs_cloud.settings import STATES, IfsCloudSettings
from ml_connector_ifs_cloud.times import ServerTime

C = TypeVar("C", CreditInfo, InvoiceCompany)


SALES_EXTRAS: Final[Mapping[str, str]] = {
    "customer_group": "CustGrp",
    "price_group": "CustPriceGroupId",
    "market": "MarketCode",
    "salesperson": "SalesmanCode",
}
"""Custom fields that come from a customer's sales settings without being configured."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What of the settings mapping goes by."""

    time: ServerTime
    states: Mapping[str, OrderStatus] = msgspec.field(default_factory=lambda: STATES)
    extras: Mapping[str, str] = {}  # canonical name → property of the header row
    components: bool = False
    company: str | None = None
    billing: Sequence[str] = ADDRESSES["billing"]
    shipping: Sequence[str] = ADDRESSES["shipping"]
    external_id: str = "ExternalRef"  # the property that holds an order's external_reference
    line_key: str | None = None  # the property that holds a line's key on the other side
    methods: Mapping[str, Sequence[str]] = msgspec.field(default_factory=lambda: METHODS)  # "phone" → method ids


def rules_of(settings: IfsCloudSettings, kind: Kind, lines: Lines | None) -> Rules:
    accounts = settings.entities.account
    return Rules(
        time=ServerTime(settings.time_zone, aware=settings.time_zone_aware_header),
        states=settings.state_map,
        extras=settings.extras(kind),
        components=lines.components if lines is not None else False,
        line_key=lines.key_field if lines is not None else None,
        company=settings.credit_company,
        external_id=settings.entities.order.external_id_field,
        billing=accounts.address_types["billing"],
        shipping=accounts.address_types["shipping"],
        methods={name: ids for name, ids in accounts.method_ids.items()},  # noqa: C416
    )


class Located(msgspec.Struct, frozen=True):
    """An address with the types it serves; ``types`` is None where they were not asked for."""

    row: CustomerAddress
    types: Sequence[AddressType] | None = None


class Children(msgspec.Struct, frozen=True, kw_only=True):
    """What was read beside the customer row; None is unread, and leaves the fields that depend on it unset."""

    addresses: Sequence[Located] | None = None
    comm_methods: Sequence[CommMethod] | None = None
    sales: Sequence[SalesCustomer] | None = None
    credit: Sequence[CreditInfo] | None = None
    invoice: Sequence[InvoiceCompany] | None = None


def account(row: Customer, children: Children, rules: Rules, today: date) -> tuple[Account, tuple[str, ...]]:
    """One customer with its children, and what could not be placed. ``today`` decides which addresses are valid."""
    warnings: list[str] = []
    sales = _unread_or(children.sales)
    invoice = of_company(children.invoice, rules.company)
    credit = of_company(children.credit, rules.company)
    currency = _first(_get(sales, "CurrencyCode"), _get(invoice, "DefCurrency"))
    entity = Account(
        number=str(row.CustomerId),
        name=row.Name,
        category=row.CustomerCategory,
        tax_id=row.AssociationNo,
        language=row.DefaultLanguage,
        currency=currency,
        billing=_address(row, children.addresses, rules.billing, today, any_other=True),
        shipping=_address(row, children.addresses, rules.shipping, today, any_other=False),
        credit_limit=_limit(credit, _first(_get(invoice, "DefCurrency"), currency)),
        credit_blocked=_get(credit, "CreditBlock"),
        payment_terms=_get(invoice, "PayTermId"),
        extra=_extra(row, rules.extras, warnings, _sales_extra(sales)),
        phone=_reachable(children.comm_methods, rules.methods["phone"]),
        fax=_reachable(children.comm_methods, rules.methods["fax"]),
        email=_reachable(children.comm_methods, rules.methods["email"]),
        website=_reachable(children.comm_methods, rules.methods["website"]),
    )
    return entity, tuple(warnings)


def order(row: OrderHeader, lines: Sequence[OrderLine] | None, rules: Rules) -> tuple[Order, tuple[str, ...]]:
    """One order with its lines in key order, and what could not be placed; ``lines`` None: they could not be read."""
    warnings: list[str] = []
    entity = Order(
        number=str(row.OrderNo),
        status=_status(row.Objstate, rules, warnings, ""),
        type=row.OrderId,
        customer=_customer(row.CustomerNo),
        customer_reference=row.CustomerPoNo,
        external_reference=getattr(row, rules.external_id),
        currency=row.CurrencyCode,
        total=_money(row.TotalAmount, row.CurrencyCode),
        ordered_on=day_of(row.DateEntered, "DateEntered", rules, warnings),
        wanted_on=day_of(row.WantedDeliveryDate, "WantedDeliveryDate", rules, warnings),
        planned_on=day_of(row.PlannedDeliveryDate, "PlannedDeliveryDate", rules, warnings),
        payment_terms=row.PayTermId,
        delivery_terms=row.DeliveryTerms,
        salesperson=row.SalesmanCode,
        site=row.Contract,
        company=row.Company,
        lines=UNSET if lines is None else lines_of(lines, rules, warnings),
        extra=_extra(row, rules.extras, warnings, {}),
    )
    return entity, tuple(warnings)


def lines_of(rows: Sequence[OrderLine], rules: Rules, warnings: list[str]) -> tuple[Line, ...]:
    """Lines in counting order."""
    kept = [row for row in in_order(rows) if rules.components or row.LineItemNo <= 0]
    return tuple([_line(key, row, rules, warnings) for key, row in zip(line_keys(kept, rules), kept, strict=True)])


def in_order(rows: Iterable[OrderLine]) -> list[OrderLine]:
    """Lines as people count them."""
    kept = list(rows)
    if len(kept) > 1:
        kept.sort(key=lambda row: (_numeric(row.LineNo), _numeric(row.RelNo), row.LineItemNo))
    return kept


def line_keys(rows: Sequence[OrderLine], rules: Rules) -> list[str]:
    """What each line is called: by its key on the other side where it has one that is its own, else by its place in IFS."""
    ours = [f"{row.LineNo}-{row.RelNo}-{int(row.LineItemNo)}" for row in rows]
    theirs = [getattr(row, rules.line_key) for row in rows] if rules.line_key is not None else []
    if not any(theirs):
        return ours
    counts = Counter(theirs)
    return [str(their) if their and counts[their] == 1 else our for their, our in zip(theirs, ours, strict=True)]


def _line(key: str, row: OrderLine, rules: Rules, warnings: list[str]) -> Line:
    return Line(
        key=key,
        sku=row.CatalogNo,
        description=row.CatalogDesc,
        quantity=row.BuyQtyDue,
        unit=row.SalesUnitMeas,
        unit_price=row.SaleUnitPrice,
        discount_percent=row.Discount,
        net=row.NetAmountCurr,
        tax=row.TaxAmountCurr,
        gross=row.GrossAmountCurr,
        tax_code=row.TaxCode,
        wanted_on=day_of(row.WantedDeliveryDate, "WantedDeliveryDate", rules, warnings, key),
        status=_status(row.Objstate, rules, warnings, key),
    )


@lru_cache(1024)
def _numeric(text: KeyText) -> tuple[int, str]:
    """Line numbers are texts that count: 2 comes before 10. Most documents have the same few."""
    text = str(text)
    return (len(text), text) if text.isdigit() else (99, text)


def _status(state: Unset[str], rules: Rules, warnings: list[str], line: str) -> Unset[str]:
    if not isinstance(state, str):
        return state
    known = rules.states.get(state)
    if known is None:
        where = f"line {line}: " if line else ""
        warnings.append(f'{where}state "{state}" is not in state_map, taken as Unknown')
        return "Unknown"
    return known


def day_of(text: Unset[str], name: str, rules: Rules, warnings: list[str], line: str = "") -> date | None | UnsetType:
    """A business date; what is none is left out with a warning."""
    if not isinstance(text, str):
        return text
    try:
        return rules.time.day(text)
    except ValueError:
        where = f"line {line}: " if line else ""
        warnings.append(f'{where}{name} "{text[:40]}" is no date, left out')
        return UNSET


def _customer(number: Unset[KeyText]) -> Ref | None | UnsetType:
    if number is None or number is UNSET:
        return number
    return Ref("account", str(number)) if number != "" else None


def _money(amount: Unset[Decimal], currency: Unset[str]) -> Money | None | UnsetType:
    return Money(amount, currency if isinstance(currency, str) else "") if isinstance(amount, Decimal) else amount


def _limit(credit: CreditInfo | None | UnsetType, currency: Unset[str]) -> Money | None | UnsetType:
    amount: Unset[Decimal] = _get(credit, "CreditLimit")
    return _money(amount, currency)


def _unread_or(rows: Sequence[SalesCustomer] | None) -> SalesCustomer | None | UnsetType:
    return UNSET if rows is None else next(iter(rows), None)


def of_company(rows: Iterable[C] | None, company: str | None) -> C | None | UnsetType:
    if rows is None or company is None:
        return UNSET
    return next((row for row in rows if row.Company == company), None)


def _get(row: Any, name: str) -> Any:
    """A row's value; an unread row knows nothing, a row that is not there has nothing."""
    return getattr(row, name) if isinstance(row, msgspec.Struct) else row


def _first(*values: Unset[str]) -> Unset[str]:
    """The first that says something; else None if any is known to be empty."""
    told = [value for value in values if value is not UNSET]
    return next((value for value in told if value), None) if told else UNSET


def _sales_extra(sales: SalesCustomer | None | UnsetType) -> dict[str, Scalar]:
    told = {name: _get(sales, source) for name, source in SALES_EXTRAS.items()}
    return {name: value for name, value in told.items() if value is not UNSET}


def _extra(row: Any, sources: Mapping[str, str], warnings: list[str], found: dict[str, Scalar]) -> Extra | UnsetType:
    for name, source in sources.items():
        value = getattr(row, source)
        if isinstance(value, list | dict):
            warnings.append(f"{source} holds a structure, left out")
        elif value is not UNSET:
            found[name] = value
    return Extra(found) if found else UNSET


def _address(
    row: Customer, located: Sequence[Located] | None, wanted: Sequence[str], today: date, *, any_other: bool
) -> Address | None | UnsetType:
    if located is None:
        return UNSET
    serving = serving_address(located, wanted, today, any_other=any_other)
    return postal(row, serving.row) if serving is not None else None


def serving_address(located: Sequence[Located], wanted: Sequence[str], today: date, *, any_other: bool) -> Located | None:
    """The valid address that is the default for the first wanted type, else one that has the type, else the next type's."""
    valid = sorted((place for place in located if _valid(place.row, today)), key=lambda place: str(place.row.AddressId))
    if len(valid) == 1 and valid[0].types is None:
        return valid[0]
    for wanted_type in wanted:
        serving = [
            (not found.DefAddress, place)
            for place in valid
            for found in place.types or ()
            if found.AddressTypeCode.lower() == wanted_type.lower()
        ]
        if serving:
            return min(serving, key=lambda pair: pair[0])[1]
    return valid[0] if any_other and valid else None


def _valid(address: CustomerAddress, today: date) -> bool:
    on = today.isoformat()
    starts, ends = (str(text)[:10] if text else "" for text in (address.ValidFrom, address.ValidTo))
    return (not starts or starts <= on) and (not ends or on <= ends)


def postal(customer: Customer, row: CustomerAddress) -> Address:
    """An address row as it is told."""
    parts = [getattr(row, f"Address{number}") for number in range(1, 7)]
    lines = [part for part in parts if isinstance(part, str) and part]
    known = any(part is not UNSET for part in parts)
    region = row.State if row.State else row.County if row.County else row.State
    return Address(
        street="\n".join(lines) or None if known else UNSET,
        city=row.City,
        region=region,
        postal_code=row.ZipCode,
        country=_country(customer, row.Country),
    )


def _country(customer: Customer, country: Unset[str]) -> Unset[str]:
    """ISO code where it can be told: as it is, or the customer's own when the address names the customer's country."""
    if isinstance(country, str) and country == customer.Country and customer.CountryCode:
        return customer.CountryCode
    return country


def _reachable(methods: Collection[CommMethod] | None, ids: Sequence[str]) -> Unset[str]:
    if methods is None:
        return UNSET
    found = way_to_reach(methods, ids)
    return found.Value if found is not None else None


def way_to_reach(methods: Collection[CommMethod], ids: Sequence[str]) -> CommMethod | None:
    """The default number of the first method id that has any, else its oldest."""
    for wanted in ids:
        found = [method for method in methods if method.Value and _plain(method.MethodId) == _plain(wanted)]
        if found:
            return min(found, key=lambda method: (not method.MethodDefault, method.CommId))
    return None


def _plain(method: str | None) -> str:
    """ "E_MAIL", "EMail" and "E-mail" are one method."""
    return re.sub(r"[^a-z0-9]", "", (method or "").lower())
