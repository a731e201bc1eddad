"""The business components of an installation: their fields, types, lengths, keys and references, as far as they are public.

Names come from public integrator code; lengths are made up, because exact ones are each installation's own.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

Type = Literal["text", "number", "flag", "date"]


class Field(msgspec.Struct, frozen=True):
    """``refers`` names a reference table, or a component whose key the value must be."""

    type: Type = "text"
    length: int = 80
    mandatory: bool = False
    refers: str = ""


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """``keys`` in the order of the URI; ``relation`` says that name and addresses are the business relation's."""

    path: str
    title: str
    view_uri: str
    keys: tuple[str, ...]
    fields: dict[str, Field]
    relation: bool = False


def _texts(*names: str, length: int = 80) -> dict[str, Field]:
    return {name: Field(length=length) for name in names}


_CODE = Field(length=18)
_STAMP = {"lastModifiedDate": Field("date"), "lastModifiedTime": Field("number"), "lastModifiedUser": Field()}
_CUSTOM = {
    **_texts(*(f"customShort{n}" for n in range(20)), length=60),
    **{f"customDecimal{n}": Field("number") for n in range(5)},
    **{f"customDate{n}": Field("date") for n in range(1, 6)},
}
_TERMS = {
    "currencyCode": Field(length=3, mandatory=True, refers="currency"),
    "creditTermsCode": Field(length=8, mandatory=True, refers="terms"),
    "invoiceStatusCode": Field(length=20, mandatory=True),
    "invoiceControlGLProfileCode": Field(mandatory=True),
    "creditNoteControlGLProfileCode": Field(mandatory=True),
    "prePaymentControlGLProfileCode": Field(mandatory=True),
}
RELATION = {
    "addressName": "businessRelationName1",
    "addressSearchName": "businessRelationSearchName",
    "street1": "headOfficeStreet1",
    "street2": "headOfficeStreet2",
    "street3": "headOfficeStreet3",
    "zipCode": "headOfficeZipCode",
    "city": "headOfficeCity",
    "stateCode": "headOfficeStateCode",
    "countryCode": "headOfficeCountryCode",
    "telephone": "headOfficeTelephone",
    "fax": "headOfficeFax",
    "EMail": "headOfficeEMail",
    "webSite": "headOfficeWebSite",
}
"""A party's copy of the address → where the business relation holds it."""
_PARTY = {
    "isActive": Field("flag"),
    "businessRelationCode": Field(length=18, mandatory=True, refers="businessRelationV2s"),
    **_texts(*RELATION),
    **_TERMS,
    **_texts("taxZone", "taxClass", "languageCode", length=20),
    **_CUSTOM,
    **_STAMP,
}


def _document(**fields: Field) -> dict[str, Field]:
    return {"domainCode": _CODE, **fields, **_CUSTOM, **_STAMP}


_MONEY_TERMS = {
    "currencyCode": Field(length=3, mandatory=True, refers="currency"),
    "creditTermsCode": Field(length=8, refers="terms"),
}

COMPONENTS = (
    Component(
        path="businessRelationV2s",
        title="Business relation",
        view_uri="urn:be:com.qad.base.address.IBusinessRelationV2",
        keys=("businessRelationCode",),
        fields={
            "businessRelationCode": _CODE,
            "isActive": Field("flag"),
            "languageCode": Field(),
            "changeStatus": Field(length=2, mandatory=True),
            **_texts(*RELATION.values()),
            **_STAMP,
        },
    ),
    Component(
        path="supplierV2s",
        title="Supplier",
        view_uri="urn:be:com.qad.base.supplier.ISupplierV2",
        keys=("sharedSetCode", "supplierCode"),
        fields={
            "sharedSetCode": _CODE,
            "supplierCode": _CODE,
            "supplierTypeCode": Field(),
            "purchaseTypeCode": Field(),
            "purchaseAccountGLProfileCode": Field(mandatory=True),
            **_PARTY,
        },
        relation=True,
    ),
    Component(
        path="customerV2s",
        title="Customer",
        view_uri="urn:be:com.qad.base.customer.ICustomerV2",
        keys=("sharedSetCode", "customerCode"),
        fields={
            "sharedSetCode": _CODE,
            "customerCode": _CODE,
            "salesAccountGLProfileCode": Field(mandatory=True),
            "creditLimit": Field("number"),
            **_PARTY,
        },
        relation=True,
    ),
    Component(
        path="mfgCustomers",
        title="Customer data",
        view_uri="urn:be:com.qad.base.customer.IMfgCustomer",
        keys=("domainContext", "customerCode"),
        fields={
            "domainContext": _CODE,
            "customerCode": Field(length=18, refers="customerV2s"),
            "siteCode": Field(mandatory=True, refers="site"),
            "daybookSetCode": Field(mandatory=True),
        },
    ),
    Component(
        path="items",
        title="Item",
        view_uri="urn:be:com.qad.base.item.IItem",
        keys=("domainCode", "itemCode"),
        fields=_document(
            itemCode=_CODE,
            **_texts("description", "description2", "itemType", "itemGroup", "buyer", "barcode", "articleNumber"),
            unitOfMeasure=Field(length=2, mandatory=True),
            productLine=Field(length=4, mandatory=True),
            itemStatus=Field(length=8),
            siteCode=Field(refers="site"),
            supplier=Field(refers="supplierV2s"),
            listPrice=Field("number"),
            GLCostTotal=Field("number"),
            currentCostTotal=Field("number"),
            netWeight=Field("number"),
            isTaxable=Field("flag"),
            addedDate=Field("date"),
        ),
    ),
    Component(
        path="purchaseOrderHeaders",
        title="Purchase order",
        view_uri="urn:be:com.qad.purchasing.purchaseorders.IPurchaseOrderHeader",
        keys=("domainCode", "purchaseOrderNumber"),
        fields=_document(
            purchaseOrderNumber=_CODE,
            supplierCode=Field(length=18, mandatory=True, refers="supplierV2s"),
            **_MONEY_TERMS,
            **_texts("daybookSetCode", "shipToSite", "billToCode", "contact", "remarks"),
            orderDate=Field("date"),
            dueDate=Field("date"),
            orderStatus=Field(length=1),
            isConfirmed=Field("flag"),
            exchangeRate=Field("number"),
        ),
    ),
    Component(
        path="salesOrderHeaders",
        title="Sales order",
        view_uri="urn:be:com.qad.sales.salesorder.ISalesOrderHeader",
        keys=("domainCode", "salesOrderNumber"),
        fields=_document(
            salesOrderNumber=_CODE,
            soldToCustomerCode=Field(length=18, mandatory=True, refers="customerV2s"),
            billToCustomerCode=Field(length=18, mandatory=True, refers="customerV2s"),
            shipToCustomerCode=Field(length=18, mandatory=True, refers="customerV2s"),
            siteCode=Field(mandatory=True, refers="site"),
            daybookSetCode=Field(mandatory=True),
            **_MONEY_TERMS,
            orderDate=Field("date"),
            dueDate=Field("date"),
        ),
    ),
    Component(
        path="supplierInvoices",
        title="Supplier invoice",
        view_uri="urn:be:com.qad.financials.purchaseledger.supplierinvoice.ISupplierInvoice",
        keys=("domainCode", "supplierInvoiceNumber"),
        fields=_document(
            supplierInvoiceNumber=_CODE,
            supplierCode=Field(length=18, mandatory=True, refers="supplierV2s"),
            purchaseOrderNumber=Field(length=18),
            currencyCode=Field(length=3, mandatory=True, refers="currency"),
            invoiceStatusCode=Field(length=20),
            invoiceDate=Field("date"),
            dueDate=Field("date"),
            invoiceAmount=Field("number"),
            openAmount=Field("number"),
        ),
    ),
)


class Grid(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of one document: ``order`` is the order in which fields must be changed."""

    path: str
    change_path: str
    change_collection: str
    parent: str
    number: str
    price: str
    order: tuple[str, ...]
    fields: dict[str, Field]


GRIDS = (
    Grid(
        path="purchaseOrderLinesGrid",
        change_path="purchaseOrderLines/fieldChangeV2",
        change_collection="purchaseOrderLines",
        parent="purchaseOrderHeaders",
        number="purchaseOrderLine",
        price="purchaseCost",
        order=("siteCode", "itemCode", "quantityOrdered", "purchaseCost"),
        fields={
            "domainCode": Field(),
            "purchaseOrderNumber": Field(),
            "purchaseOrderLine": Field("number"),
            "siteCode": Field(refers="site"),
            "itemCode": Field(length=18, mandatory=True),
            "unitOfMeasure": Field(),
            "quantityOrdered": Field("number"),
            "quantityReceived": Field("number"),
            "purchaseCost": Field("number"),
            "dueDate": Field("date"),
            "isReceivedPurchaseOrderLineV2": Field("flag"),
        },
    ),
    Grid(
        path="salesOrderLinesGrid",
        change_path="salesOrderLines/fieldChange",
        change_collection="salesOrderLines",
        parent="salesOrderHeaders",
        number="salesOrderLine",
        price="netPrice",
        order=("itemCode", "siteCode", "quantityOrdered", "listPrice", "discountFormatted", "netPrice", "dueDate"),
        fields={
            "domainCode": Field(),
            "salesOrderNumber": Field(),
            "salesOrderLine": Field("number"),
            "itemCode": Field(length=18, mandatory=True),
            "siteCode": Field(mandatory=True, refers="site"),
            "unitOfMeasure": Field(),
            "quantityOrdered": Field("number"),
            "listPrice": Field("number"),
            "discountFormatted": Field(),
            "netPrice": Field("number"),
            "dueDate": Field("date"),
        },
    ),
)


def numbers(component: Component) -> Iterator[str]:
    """Fields that hold numbers."""
    return (name for name, field in component.fields.items() if field.type == "number")
