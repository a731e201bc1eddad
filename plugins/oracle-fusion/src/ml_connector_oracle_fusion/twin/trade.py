"""Suppliers, purchase orders and invoices as the pod serves them.

Oracle, Procurement REST and Financials REST. Suppliers cannot be filtered by LastUpdateDate; purchase orders and payables
invoices have opaque keys.
"""

from typing import Final

from ml_connector_oracle_fusion.twin.schema import FSCM, STAMPS, Resource, Type


def _attributes(integers: str = "", numbers: str = "", strings: str = "", flags: str = "", dates: str = "") -> dict[str, Type]:
    told: dict[str, Type] = dict.fromkeys(integers.split(), "integer")
    told |= dict.fromkeys(numbers.split(), "number")
    told |= dict.fromkeys(strings.split(), "string")
    told |= dict.fromkeys(flags.split(), "boolean")
    told |= dict.fromkeys(dates.split(), "date")
    return told


def _kid(name: str, key: str, attributes: dict[str, Type]) -> Resource:
    return Resource(name=name, root=FSCM, key=key, id=key, attributes={key: "integer", **attributes}, tracked=False)


_SUPPLIER: Final = {
    **_attributes(
        "SupplierId SupplierPartyId",
        "",
        "SupplierNumber Supplier AlternateName SupplierType TaxRegistrationNumber TaxpayerId CorporateWebsite "
        "PreferredFunctionalCurrencyCode Status",
        "",
        "InactiveDate",
    ),
    **STAMPS,
}
SUPPLIERS: Final = Resource(
    name="suppliers",
    root=FSCM,
    key="SupplierId",
    id="SupplierId",
    attributes=_SUPPLIER,
    queryable=frozenset(_SUPPLIER)
    - {"LastUpdateDate", "CreatedBy", "LastUpdatedBy", "Status", "CorporateWebsite", "PreferredFunctionalCurrencyCode"},
    finders={"PrimaryKeyFinder": ("SupplierId",)},
    kids={
        "addresses": _kid(
            "addresses",
            "SupplierAddressId",
            _attributes(
                "",
                "",
                "AddressName AddressLine1 AddressLine2 AddressLine3 AddressLine4 City State Province County PostalCode "
                "Country CountryCode Email PhoneCountryCode PhoneAreaCode PhoneNumber Status",
                "AddressPurposeOrderingFlag AddressPurposeRemitToFlag",
            ),
        )
    },
    tracked=False,
)
_ORDER: Final = {
    **_attributes(
        "POHeaderId SupplierId",
        "Ordered Total TotalTax",
        "OrderNumber Description Status StatusCode Supplier CurrencyCode SoldToLegalEntity ProcurementBU PaymentTerms "
        "BuyerDisplayName",
        "",
        "OrderDate",
    ),
    **STAMPS,
}
ORDERS: Final = Resource(
    name="purchaseOrders",
    root=FSCM,
    key="POHeaderId",
    id="POHeaderId",
    attributes=_ORDER,
    queryable=frozenset(_ORDER) - {"Ordered", "Total", "TotalTax", "OrderDate", "PaymentTerms"},
    finders={"PrimaryKey": ("POHeaderId",)},
    kids={
        "lines": _kid(
            "lines",
            "POLineId",
            _attributes("", "LineNumber Quantity Price Ordered TotalTax Total", "Item Description UOMCode StatusCode"),
        )
    },
    opaque=True,
)
_RECEIVABLE: Final = {
    **_attributes(
        "CustomerTransactionId BillToPartyId",
        "EnteredAmount InvoiceBalanceAmount",
        "TransactionNumber TransactionType BillToCustomerNumber InvoiceStatus InvoiceCurrencyCode PaymentTerms PurchaseOrder "
        "BusinessUnit Comments",
        "",
        "TransactionDate DueDate",
    ),
    **STAMPS,
}
RECEIVABLES: Final = Resource(
    name="receivablesInvoices",
    root=FSCM,
    key="CustomerTransactionId",
    id="CustomerTransactionId",
    attributes=_RECEIVABLE,
    queryable=frozenset({*STAMPS, "CustomerTransactionId", "TransactionNumber", "BillToPartyId", "InvoiceStatus"})
    | {"InvoiceBalanceAmount"},
    finders={"PrimaryKey": ("CustomerTransactionId",)},
    kids={
        "receivablesInvoiceLines": _kid(
            "receivablesInvoiceLines",
            "CustomerTransactionLineId",
            _attributes(
                "LineNumber",
                "Quantity UnitSellingPrice LineAmount",
                "ItemNumber Description UnitOfMeasure TaxClassificationCode",
            ),
        )
    },
)
_PAYABLE: Final = {
    **_attributes(
        "InvoiceId",
        "InvoiceAmount AmountPaid",
        "InvoiceNumber InvoiceType InvoiceCurrency PaidStatus ValidationStatus ApprovalStatus AccountingStatus Supplier "
        "SupplierNumber PurchaseOrderNumber PaymentTerms BusinessUnit Description",
        "CanceledFlag",
        "InvoiceDate",
    ),
    **STAMPS,
}
PAYABLES: Final = Resource(
    name="invoices",
    root=FSCM,
    key="InvoiceId",
    id="InvoiceId",
    attributes=_PAYABLE,
    queryable=frozenset(_PAYABLE),
    finders={"PrimaryKey": ("InvoiceId",)},
    kids={
        "invoiceLines": _kid(
            "invoiceLines",
            "InvoiceLineId",
            _attributes("LineNumber", "Quantity UnitPrice LineAmount", "LineType Item Description UOM TaxClassification"),
        )
    },
    opaque=True,
)
