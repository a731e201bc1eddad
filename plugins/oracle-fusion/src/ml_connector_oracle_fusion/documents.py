"""Suppliers, purchase orders and invoices as entities; they are read and never written. Pure functions and tables.

Oracle, Procurement REST: "Suppliers", "Purchase Orders"; Financials REST: "Receivables Invoices", "Payables Invoices".
Statuses are told in Oracle's own words.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from ml_connector.domain import UNSET, Address, Extra, Invoice, Line, Money, PurchaseOrder, Ref, Scalar, Vendor
from ml_connector_oracle_fusion import wire
from ml_connector_oracle_fusion.api import Resource

Row = Mapping[str, Any]

SUPPLIERS: Final = Resource(
    root="fscm",
    name="suppliers",
    id="SupplierId",
    own=(
        "SupplierId",
        "SupplierNumber",
        "Supplier",
        "AlternateName",
        "SupplierType",
        "TaxRegistrationNumber",
        "TaxpayerId",
        "CorporateWebsite",
        "PreferredFunctionalCurrencyCode",
        "Status",
        "InactiveDate",
        "LastUpdateDate",
        "LastUpdatedBy",
    ),
    kids={
        "addresses": (
            "AddressName",
            "AddressLine1",
            "AddressLine2",
            "AddressLine3",
            "AddressLine4",
            "City",
            "State",
            "Province",
            "County",
            "PostalCode",
            "CountryCode",
            "AddressPurposeOrderingFlag",
            "Email",
            "PhoneCountryCode",
            "PhoneAreaCode",
            "PhoneNumber",
            "Status",
        )
    },
)
ORDERS: Final = Resource(
    root="fscm",
    name="purchaseOrders",
    id="POHeaderId",
    own=(
        "POHeaderId",
        "OrderNumber",
        "Description",
        "StatusCode",
        "SupplierId",
        "CurrencyCode",
        "Total",
        "SoldToLegalEntity",
        "ProcurementBU",
        "PaymentTerms",
        "BuyerDisplayName",
        "OrderDate",
        "LastUpdateDate",
        "LastUpdatedBy",
    ),
    kids={
        "lines": (
            "LineNumber",
            "Item",
            "Description",
            "Quantity",
            "UOMCode",
            "Price",
            "Ordered",
            "TotalTax",
            "Total",
            "StatusCode",
        )
    },
)
RECEIVABLES: Final = Resource(
    root="fscm",
    name="receivablesInvoices",
    id="CustomerTransactionId",
    own=(
        "CustomerTransactionId",
        "TransactionNumber",
        "TransactionType",
        "TransactionDate",
        "DueDate",
        "BillToPartyId",
        "BillToCustomerNumber",
        "InvoiceStatus",
        "InvoiceCurrencyCode",
        "EnteredAmount",
        "InvoiceBalanceAmount",
        "PaymentTerms",
        "PurchaseOrder",
        "BusinessUnit",
        "Comments",
        "LastUpdateDate",
        "LastUpdatedBy",
    ),
    kids={
        "receivablesInvoiceLines": (
            "LineNumber",
            "ItemNumber",
            "Description",
            "Quantity",
            "UnitOfMeasure",
            "UnitSellingPrice",
            "LineAmount",
            "TaxClassificationCode",
        )
    },
)
PAYABLES: Final = Resource(
    root="fscm",
    name="invoices",
    id="InvoiceId",
    own=(
        "InvoiceId",
        "InvoiceNumber",
        "InvoiceType",
        "InvoiceDate",
        "InvoiceCurrency",
        "InvoiceAmount",
        "AmountPaid",
        "PaidStatus",
        "ValidationStatus",
        "ApprovalStatus",
        "AccountingStatus",
        "CanceledFlag",
        "Supplier",
        "SupplierNumber",
        "PurchaseOrderNumber",
        "PaymentTerms",
        "BusinessUnit",
        "Description",
        "LastUpdateDate",
        "LastUpdatedBy",
    ),
    kids={
        "invoiceLines": (
            "LineNumber",
            "LineType",
            "Item",
            "Description",
            "Quantity",
            "UOM",
            "UnitPrice",
            "LineAmount",
            "TaxClassification",
        )
    },
)
_LINES: Final = ("AddressLine1", "AddressLine2", "AddressLine3", "AddressLine4")


def supplier(row: Row, addresses: Sequence[Row]) -> Vendor:
    """A supplier, with the address that orders go to, else its first."""
    living = [each for each in addresses if str(each.get("Status") or "ACTIVE").upper() == "ACTIVE"]
    chosen = next((each for each in living if each.get("AddressPurposeOrderingFlag") is True), next(iter(living), None))
    phone = (
        [str(chosen[name]) for name in ("PhoneCountryCode", "PhoneAreaCode", "PhoneNumber") if chosen.get(name)]
        if chosen
        else []
    )
    return Vendor(
        number=_text(row, "SupplierNumber"),
        name=_text(row, "Supplier"),
        description=_text(row, "AlternateName"),
        category=_text(row, "SupplierType"),
        tax_id=_text(row, "TaxRegistrationNumber") or _text(row, "TaxpayerId"),
        website=_text(row, "CorporateWebsite"),
        currency=_text(row, "PreferredFunctionalCurrencyCode"),
        active=str(row.get("Status") or "ACTIVE").upper() == "ACTIVE" and not row.get("InactiveDate"),
        address=_address(chosen) if chosen is not None else None,
        email=_text(chosen, "Email") if chosen is not None else None,
        phone=" ".join(phone) or None,
        extra=Extra({"inactive_on": wire.day(row.get("InactiveDate"))}),
    )


def purchase_order(row: Row, lines: Sequence[Row] | None) -> PurchaseOrder:
    currency = _text(row, "CurrencyCode")
    return PurchaseOrder(
        number=_text(row, "OrderNumber"),
        description=_text(row, "Description"),
        status=_text(row, "StatusCode"),
        currency=currency,
        total=_money(row.get("Total"), currency),
        company=_text(row, "SoldToLegalEntity"),
        site=_text(row, "ProcurementBU"),
        payment_terms=_text(row, "PaymentTerms"),
        vendor=Ref("vendor", str(row["SupplierId"])) if row.get("SupplierId") else None,
        buyer=_text(row, "BuyerDisplayName"),
        ordered_on=wire.day(row.get("OrderDate")),
        lines=UNSET if lines is None else tuple(_order_line(line) for line in lines),
    )


def receivable(row: Row, lines: Sequence[Row] | None) -> Invoice:
    """A customer's invoice. What is open of it is in the invoice's own currency."""
    currency = _text(row, "InvoiceCurrencyCode")
    return Invoice(
        number=_text(row, "TransactionNumber"),
        description=_text(row, "Comments"),
        status=_text(row, "InvoiceStatus"),
        currency=currency,
        total=_money(row.get("EnteredAmount"), currency),
        open_amount=_money(row.get("InvoiceBalanceAmount"), currency),
        company=_text(row, "BusinessUnit"),
        payment_terms=_text(row, "PaymentTerms"),
        customer=Ref("account", str(row["BillToPartyId"])) if row.get("BillToPartyId") else None,
        issued_on=wire.day(row.get("TransactionDate")),
        due_on=wire.day(row.get("DueDate")),
        lines=UNSET if lines is None else tuple(_receivable_line(line) for line in lines),
        extra=_extra(row, type="TransactionType", customer_account="BillToCustomerNumber", purchase_order="PurchaseOrder"),
    )


def payable(row: Row, lines: Sequence[Row] | None, supplier_id: str | None) -> Invoice:
    """A supplier's invoice."""
    currency = _text(row, "InvoiceCurrency")
    total, paid = wire.amount(row.get("InvoiceAmount")), wire.amount(row.get("AmountPaid")) or Decimal(0)
    return Invoice(
        number=_text(row, "InvoiceNumber"),
        description=_text(row, "Description"),
        status="Cancelled" if row.get("CanceledFlag") is True else _text(row, "PaidStatus"),
        currency=currency,
        total=_money(total, currency),
        open_amount=_money(None if total is None else total - paid, currency),
        company=_text(row, "BusinessUnit"),
        payment_terms=_text(row, "PaymentTerms"),
        vendor=Ref("vendor", supplier_id) if supplier_id else None,
        issued_on=wire.day(row.get("InvoiceDate")),
        lines=UNSET if lines is None else tuple(_payable_line(line) for line in lines),
        extra=_extra(
            row,
            type="InvoiceType",
            supplier="Supplier",
            supplier_number="SupplierNumber",
            purchase_order="PurchaseOrderNumber",
            validation="ValidationStatus",
            approval="ApprovalStatus",
            accounting="AccountingStatus",
        ),
    )


def _order_line(row: Row) -> Line:
    return Line(
        key=_key(row),
        sku=_text(row, "Item"),
        description=_text(row, "Description"),
        quantity=wire.amount(row.get("Quantity")),
        unit=_text(row, "UOMCode"),
        unit_price=wire.amount(row.get("Price")),
        net=wire.amount(row.get("Ordered")),
        tax=wire.amount(row.get("TotalTax")),
        gross=wire.amount(row.get("Total")),
        status=_text(row, "StatusCode"),
    )


def _receivable_line(row: Row) -> Line:
    return Line(
        key=_key(row),
        sku=_text(row, "ItemNumber"),
        description=_text(row, "Description"),
        quantity=wire.amount(row.get("Quantity")),
        unit=_text(row, "UnitOfMeasure"),
        unit_price=wire.amount(row.get("UnitSellingPrice")),
        net=wire.amount(row.get("LineAmount")),
        tax_code=_text(row, "TaxClassificationCode"),
    )


def _payable_line(row: Row) -> Line:
    return Line(
        key=_key(row),
        sku=_text(row, "Item"),
        description=_text(row, "Description"),
        quantity=wire.amount(row.get("Quantity")),
        unit=_text(row, "UOM"),
        unit_price=wire.amount(row.get("UnitPrice")),
        net=wire.amount(row.get("LineAmount")),
        tax_code=_text(row, "TaxClassification"),
        extra=Extra({"type": _text(row, "LineType")}),
    )


def _key(row: Row) -> str:
    """Line numbers come as 1 and as 1.0."""
    number = wire.amount(row.get("LineNumber"))
    return format(number.normalize(), "f") if number is not None else ""


def _address(row: Row) -> Address:
    return Address(
        street="\n".join(str(row[name]) for name in _LINES if row.get(name)) or None,
        city=_text(row, "City"),
        region=_text(row, "State") or _text(row, "Province") or _text(row, "County"),
        postal_code=_text(row, "PostalCode"),
        country=_text(row, "CountryCode"),
    )


def _text(row: Row, name: str) -> str | None:
    value = row.get(name)
    return str(value) if value not in (None, "") else None


def _money(value: object, currency: str | None) -> Money | None:
    amount = wire.amount(value)
    return Money(amount, currency or "") if amount is not None else None


def _extra(row: Row, **names: str) -> Extra:
    told: dict[str, Scalar] = {name: _text(row, attribute) for name, attribute in names.items()}
    return Extra(told)
