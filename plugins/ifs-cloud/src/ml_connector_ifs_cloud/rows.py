"""Rows as IFS serves them: vendor property names, numbers as Decimal, dates still as text. Unknown properties are passed over.

A property that was not selected is UNSET, an empty one None. Custom fields and dimensions differ from tenant to tenant, so
``with_extras`` grows a row type by the configured names and the decoder stays one pass in C.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from ml_connector.domain import UNSET, Unset
from ml_connector_adapters.http.odata import Listing

Text: TypeAlias = Unset[str]
Number: TypeAlias = Unset[Decimal]
KeyText: TypeAlias = str | int
"""Keys are strings; some tenants' numeric-looking ones are numbers."""


class Row(msgspec.Struct, kw_only=True, gc=False):
    """What every row carries. A 4.01 server drops ``odata.`` from the annotation."""

    etag_40: str | None = msgspec.field(name="@odata.etag", default=None)
    etag_401: str | None = msgspec.field(name="@etag", default=None)

    @property
    def etag(self) -> str | None:
        return self.etag_40 or self.etag_401


R = TypeVar("R", bound=Row)


class CustomerKey(Row, kw_only=True, gc=False):
    CustomerId: KeyText


class Customer(CustomerKey, kw_only=True, gc=False):
    Name: Text = UNSET
    AssociationNo: Text = UNSET
    Country: Text = UNSET
    CountryCode: Text = UNSET
    DefaultLanguage: Text = UNSET
    CorporateForm: Text = UNSET
    CustomerCategory: Text = UNSET


class CustomerAddress(Row, kw_only=True, gc=False):
    AddressId: KeyText
    Name: Text = UNSET
    Address1: Text = UNSET
    Address2: Text = UNSET
    Address3: Text = UNSET
    Address4: Text = UNSET
    Address5: Text = UNSET
    Address6: Text = UNSET
    ZipCode: Text = UNSET
    City: Text = UNSET
    State: Text = UNSET
    County: Text = UNSET
    Country: Text = UNSET
    ValidFrom: Text = UNSET
    ValidTo: Text = UNSET


class AddressType(Row, kw_only=True, gc=False):
    AddressTypeCode: str
    DefAddress: bool | None = None


class CommMethod(Row, kw_only=True, gc=False):
    CommId: Decimal
    MethodId: str | None = None
    Value: str | None = None
    MethodDefault: bool | None = None


class SalesCustomer(Row, kw_only=True, gc=False):
    """The sales settings of a customer; without them it cannot be put on an order."""

    CustomerNo: KeyText
    CurrencyCode: Text = UNSET
    CustGrp: Text = UNSET
    CustPriceGroupId: Text = UNSET
    MarketCode: Text = UNSET
    SalesmanCode: Text = UNSET


class CreditInfo(Row, kw_only=True, gc=False):
    Company: str
    CreditLimit: Number = UNSET
    CreditBlock: Unset[bool] = UNSET


class InvoiceCompany(Row, kw_only=True, gc=False):
    Company: str
    PayTermId: Text = UNSET
    DefCurrency: Text = UNSET


class OrderKey(Row, kw_only=True, gc=False):
    OrderNo: KeyText


class OrderHeader(OrderKey, kw_only=True, gc=False):
    OrderId: Text = UNSET
    Contract: Text = UNSET
    Company: Text = UNSET
    CustomerNo: Unset[KeyText] = UNSET
    CurrencyCode: Text = UNSET
    CustomerPoNo: Text = UNSET
    ExternalRef: Text = UNSET
    QuotationNo: Text = UNSET
    DateEntered: Text = UNSET
    WantedDeliveryDate: Text = UNSET
    PlannedDeliveryDate: Text = UNSET
    PayTermId: Text = UNSET
    DeliveryTerms: Text = UNSET
    SalesmanCode: Text = UNSET
    TotalAmount: Number = UNSET
    Objstate: Text = UNSET


class LineKey(Row, kw_only=True, gc=False):
    """The key of a line within its document, whose own key is added by ``with_extras``."""

    LineNo: KeyText
    RelNo: KeyText
    LineItemNo: Decimal


class OrderLine(LineKey, kw_only=True, gc=False):
    CatalogNo: Text = UNSET
    CatalogDesc: Text = UNSET
    BuyQtyDue: Number = UNSET
    SalesUnitMeas: Text = UNSET
    SaleUnitPrice: Number = UNSET
    Discount: Number = UNSET
    NetAmountCurr: Number = UNSET
    TaxAmountCurr: Number = UNSET
    GrossAmountCurr: Number = UNSET
    TaxCode: Text = UNSET
    WantedDeliveryDate: Text = UNSET
    Objstate: Text = UNSET


class Site(Row, kw_only=True, gc=False):
    Contract: Text = UNSET
    Company: Text = UNSET


LINE_KEYS: Final = ("LineNo", "RelNo", "LineItemNo")


def with_extras(row: type[R], names: Iterable[str]) -> type[R]:
    """The row type, grown by the properties it does not have yet; their values stay as JSON has them, numbers exact."""
    known = {field.encode_name for field in msgspec.structs.fields(row)}
    fields: list[tuple[str, Any, Any]] = [(name, Any, UNSET) for name in dict.fromkeys(names) if name not in known]
    if not fields:
        return row
    return msgspec.defstruct(f"{row.__name__}WithExtras", fields, bases=(row,), kw_only=True, gc=False)  # type: ignore[return-value]


def decoder_of(row: type[R]) -> msgspec.json.Decoder[Listing[R]]:
    """Decodes a page of such rows; numbers never pass through a float."""
    return msgspec.json.Decoder(Listing[row], float_hook=Decimal)  # type: ignore[valid-type]


def row_decoder(row: type[R]) -> msgspec.json.Decoder[R]:
    """Decodes a single row; numbers never pass through a float."""
    return msgspec.json.Decoder(row, float_hook=Decimal)
