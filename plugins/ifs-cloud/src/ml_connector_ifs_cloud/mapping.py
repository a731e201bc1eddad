"""IFS rows → canonical entities: pure functions, nothing guessed. What cannot be placed is left out and told in a warning."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Literal, TypeVar

import msgspec

from ml_connector.domain import UNSET, Account, Address, Extra, Line, Money, Order, OrderStatus, Ref, Scalar, Unset, UnsetType
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
from ml_connector_ifs_cloud.settings import ADDRESSES, METHODS, STATES, IfsCloudSettings
from ml_connector_ifs_cloud.times import ServerTime

C = TypeVar("C", CreditInfo, InvoiceCompany)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What of the settings mapping goes by."""

    time: ServerTime
    states: Mapping[str, OrderStatus] = msgspec.field(default_factory=lambda: STATES)
    extras: Mapping[str, str] = {}  # canonical name → property of the header row
    components: bool = False
    company: str | None = None
    billing: Sequence[str] = ADDRESSES["billing"]
    shipping: Sequence[str] = ADDRESSES["shipping"]
    methods: Mapping[str, Sequence[str]] = msgspec.field(default_factory=lambda: METHODS)  # "phone" → method ids


def rules_of(settings: IfsCloudSettings, kind: Literal["account", "order"]) -> Rules:
    accounts = settings.entities.account
    return Rules(
        time=ServerTime(settings.time_zone, aware=settings.time_zone_aware_header),
        states=settings.state_map,
        extras=settings.extras(kind),
        components=settings.entities.order.lines.components,
        company=settings.credit_company,
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
    invoice = _of_company(children.invoice, rules.company)
    credit = _of_company(children.credit, rules.company)
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
        external_reference=row.ExternalRef,
        currency=row.CurrencyCode,
        total=_money(row.TotalAmount, row.CurrencyCode),
        ordered_on=_day(row.DateEntered, "DateEntered", rules, warnings),
        wanted_on=_day(row.WantedDeliveryDate, "WantedDeliveryDate", rules, warnings),
        planned_on=_day(row.PlannedDeliveryDate, "PlannedDeliveryDate", rules, warnings),
        payment_terms=row.PayTermId,
        delivery_terms=row.DeliveryTerms,
        salesperson=row.SalesmanCode,
        site=row.Contract,
        company=row.Company,
        lines=UNSET if lines is None else _lines(lines, rules, warnings),
        extra=_extra(row, rules.extras, warnings, {}),
    )
    return entity, tuple(warnings)


def _lines(rows: Sequence[OrderLine], rules: Rules, warnings: list[str]) -> tuple[Line, ...]:
    kept = [row for row in rows if rules.components or row.LineItemNo <= 0]
    kept.sort(key=lambda row: (_numeric(row.LineNo), _numeric(row.RelNo), row.LineItemNo))
    return tuple([_line(row, rules, warnings) for row in kept])


def _line(row: OrderLine, rules: Rules, warnings: list[str]) -> Line:
    key = f"{row.LineNo}-{row.RelNo}-{int(row.LineItemNo)}"
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
        wanted_on=_day(row.WantedDeliveryDate, "WantedDeliveryDate", rules, warnings, key),
        status=_status(row.Objstate, rules, warnings, key),
    )


def _numeric(text: KeyText) -> tuple[int, str]:
    """Line numbers are texts that count: 2 comes before 10."""
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


def _day(text: Unset[str], name: str, rules: Rules, warnings: list[str], line: str = "") -> date | None | UnsetType:
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


def _of_company(rows: Iterable[C] | None, company: str | None) -> C | None | UnsetType:
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
    names = {
        "customer_group": "CustGrp",
        "price_group": "CustPriceGroupId",
        "market": "MarketCode",
        "salesperson": "SalesmanCode",
    }
    told = {name: _get(sales, source) for name, source in names.items()}
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
    """The valid address that is the default for the first wanted type, else one that has the type, else the next type's."""
    if located is None:
        return UNSET
    valid = sorted((place for place in located if _valid(place.row, today)), key=lambda place: str(place.row.AddressId))
    if len(valid) == 1 and valid[0].types is None:
        return _postal(row, valid[0].row)
    for wanted_type in wanted:
        serving = [
            (not found.DefAddress, place)
            for place in valid
            for found in place.types or ()
            if found.AddressTypeCode.lower() == wanted_type.lower()
        ]
        if serving:
            return _postal(row, min(serving, key=lambda pair: pair[0])[1].row)
    return _postal(row, valid[0].row) if any_other and valid else None


def _valid(address: CustomerAddress, today: date) -> bool:
    on = today.isoformat()
    starts, ends = (str(text)[:10] if text else "" for text in (address.ValidFrom, address.ValidTo))
    return (not starts or starts <= on) and (not ends or on <= ends)


def _postal(customer: Customer, row: CustomerAddress) -> Address:
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
    """The default number of the first method id that has any, else its oldest."""
    if methods is None:
        return UNSET
    for wanted in ids:
        found = [method for method in methods if method.Value and _plain(method.MethodId) == _plain(wanted)]
        if found:
            return min(found, key=lambda method: (not method.MethodDefault, method.CommId)).Value
    return None


def _plain(method: str | None) -> str:
    """ "E_MAIL", "EMail" and "E-mail" are one method."""
    return re.sub(r"[^a-z0-9]", "", (method or "").lower())
