"""The kinds of records: business component, browse, keys and fields of each, all of them data with a usual value.

Names are taken from public integrator code unless marked [A] (assumption). ``enabled = "verified"`` stands on kinds that rest
on assumptions: their first use calls the browse and one record and goes no further where something is missing.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from ml_connector_qad.profile import Count, Table

Enabled: TypeAlias = bool | Literal["verified"]
Names: TypeAlias = str | tuple[str, ...]
Value: TypeAlias = str | bool | int

_ADDRESS: Final[dict[str, Names]] = {
    "street": ("street1", "street2", "street3"),
    "city": "city",
    "region": "stateCode",
    "postal_code": "zipCode",
    "country": "countryCode",
}
_PARTY: Final[dict[str, Names]] = {
    "name": "addressName",
    "email": "EMail",
    "phone": "telephone",
    "website": "webSite",
    "currency": "currencyCode",
    "payment_terms": "creditTermsCode",
    "active": "isActive",
}
FIELDS: Final[dict[str, dict[str, Names]]] = {
    "vendor": {
        "number": "supplierCode",
        **_PARTY,
        "category": "supplierTypeCode",
        **{f"address.{part}": names for part, names in _ADDRESS.items()},
    },
    "product": {
        "number": "itemCode",
        "name": "description",
        "description": "description2",
        "category": "productLine",
        "unit": "unitOfMeasure",
        "list_price": "listPrice",
        "vendor": "supplier",
        "active": "itemStatus",
    },
    "account": {
        "number": "customerCode",
        **_PARTY,
        "fax": "fax",
        "language": "languageCode",
        "credit_limit": "creditLimit",  # [A]
        **{f"billing.{part}": names for part, names in _ADDRESS.items()},
    },
    "purchase_order": {
        "number": "purchaseOrderNumber",
        "vendor": "supplierCode",
        "status": "orderStatus",
        "currency": "currencyCode",
        "payment_terms": "creditTermsCode",
        "company": "domainCode",
        "site": "shipToSite",
        "buyer": "contact",
        "description": "remarks",
        "ordered_on": "orderDate",
        "due_on": "dueDate",
    },
    "invoice": {  # all [A]
        "number": "supplierInvoiceNumber",
        "vendor": "supplierCode",
        "purchase_order": "purchaseOrderNumber",
        "status": "invoiceStatusCode",
        "currency": "currencyCode",
        "total": "invoiceAmount",
        "open_amount": "openAmount",
        "issued_on": "invoiceDate",
        "due_on": "dueDate",
    },
    "order": {
        "number": "salesOrderNumber",
        "customer": "soldToCustomerCode",
        "currency": "currencyCode",
        "payment_terms": "creditTermsCode",
        "company": "domainCode",
        "site": "siteCode",
        "ordered_on": "orderDate",
        "wanted_on": "dueDate",
    },
}
"""Kind → canonical field → field of the component; several stand for lines of one text."""


class Component(Table, frozen=True, kw_only=True):
    """One business component: ``POST`` and ``GET`` on its collection, told apart by keys."""

    path: str
    collection: str = ""  # "": as ``path``
    view_uri: str = ""
    candidates: dict[str, str] = msgspec.field(
        default_factory=dict
    )  # other path → its view URI, tried where ``path`` is not served (V3 after an upgrade)
    scope: dict[str, str] = msgspec.field(
        default_factory=dict
    )  # key field → template of its one value, e.g. sharedSetCode = "{shared_set_customer}"
    keys: tuple[str, ...]  # the other key fields; several make an id with dots between

    @property
    def rows_name(self) -> str:
        return self.collection or self.path


class Lines(Table, frozen=True, kw_only=True):
    """The lines of a document, read and written apart from its header."""

    path: str
    collection: str = ""  # "": as ``path`` [A]
    number: str
    list_query: dict[str, str] = msgspec.field(default_factory=lambda: {"initialize": "true"})
    fields: dict[str, str]
    extra: dict[str, str] = msgspec.field(default_factory=dict)  # canonical name → field of the line
    key_field: str = ""  # a field that holds the line's key on the other side; "": QAD's line number is the key
    field_change_path: str
    field_change_collection: str  # [A]
    field_change_order: tuple[str, ...]
    field_change_query: dict[str, str] = msgspec.field(default_factory=dict)
    view_uri: str = ""
    received_flag: str = ""
    received_quantity: str = ""
    remove: Literal["delete", "refuse"] = "delete"  # [A]

    @property
    def rows_name(self) -> str:
        return self.collection or self.path


class Entity(Table, frozen=True, kw_only=True):
    """How one kind is listed, read and told."""

    enabled: Enabled = "verified"
    component: Component
    browse_id: str
    aliases: tuple[str, ...] = ()  # other browse ids, tried where the first is refused
    prefix: str
    columns: dict[str, str] = msgspec.field(
        default_factory=dict
    )  # field → the browse's column, where it is not prefix + separator + field
    fields: dict[str, Names] = msgspec.field(default_factory=dict)  # over the usual ones; "" takes one out
    custom_fields: dict[str, str] = msgspec.field(default_factory=dict)  # extra.NAME → field
    filters: tuple[tuple[str, str, str], ...] = ()  # (field, operator, value), all of them must hold
    detail: Literal["keyed", "browse"] = "keyed"
    change_strategy: Literal["hash_sweep", "modified", "full"] = "hash_sweep"
    modified_field: str = "lastModifiedDate"  # for "modified": a column that somebody added to the browse
    modified_time_field: str = "lastModifiedTime"  # seconds since midnight at the server [A]; "" where there is none
    overlap_days: Annotated[int, msgspec.Meta(ge=1)] = 1
    full_every_h: Annotated[int, msgspec.Meta(ge=0)] = 24
    count: Literal["keys", "rows", "off"] = "keys"  # what the browse's total must agree with


class Document(Entity, frozen=True, kw_only=True):
    """A kind with lines or receipts: what hangs on it moves without its header."""

    states: dict[str, str] = msgspec.field(default_factory=dict)  # the component's word → ours
    open_filter: tuple[str, str] | None = None  # (field, value): only such documents are looked into at every sweep
    window_field: str = ""  # else those whose date is not older than window_days
    window_days: Count = 120


class Vendor(Entity, frozen=True, kw_only=True):
    component: Component = Component(
        path="supplierV2s",
        view_uri="urn:be:com.qad.base.supplier.ISupplierV2",
        candidates={
            "supplierV3s": "urn:be:com.qad.base.supplier.ISupplierV3",
            "suppliers": "urn:be:com.qad.base.supplier.ISupplier",
        },
        scope={"sharedSetCode": "{shared_set_supplier}"},
        keys=("supplierCode",),
    )
    browse_id: str = "urn:browse:bebrowse:com.qad.erp.base.supplierV2s"  # [A]
    prefix: str = "supplierV2"


class Product(Entity, frozen=True, kw_only=True):
    component: Component = Component(
        path="items",
        view_uri="urn:be:com.qad.base.item.IItem",
        scope={"domainCode": "{domain}"},
        keys=("itemCode",),
    )
    browse_id: str = "urn:browse:bebrowse:com.qad.erp.base.items"  # [A]
    aliases: tuple[str, ...] = ("urn:browse:mfg:gp340", "mfg:gp340")
    prefix: str = "item"
    active_statuses: tuple[str, ...] | None = None  # itemStatus codes are the customer's own; None: all are active


_RELATION: Final = {
    "addressName": "businessRelationName1",
    "addressSearchName": "businessRelationSearchName",
    "languageCode": "languageCode",
    "street1": "headOfficeStreet1",
    "street2": "headOfficeStreet2",
    "street3": "headOfficeStreet3",
    "zipCode": "headOfficeZipCode",
    "city": "headOfficeCity",
    "stateCode": "headOfficeStateCode",
    "countryCode": "headOfficeCountryCode",  # [A]
    "telephone": "headOfficeTelephone",
    "fax": "headOfficeFax",
    "EMail": "headOfficeEMail",  # [A]
    "webSite": "headOfficeWebSite",
}


class Relation(Table, frozen=True, kw_only=True):
    """The business relation that holds a customer's name and addresses; several parties may share one."""

    component: Component = Component(
        path="businessRelationV2s",
        view_uri="urn:be:com.qad.base.address.IBusinessRelationV2",
        keys=("businessRelationCode",),
    )
    link_field: str = "businessRelationCode"
    fields: dict[str, str] = msgspec.field(default_factory=lambda: dict(_RELATION))  # customer's field → relation's
    create_defaults: dict[str, Value] = msgspec.field(default_factory=lambda: {"changeStatus": "2", "isActive": True})


class FollowUp(Table, frozen=True, kw_only=True):
    """What makes a customer usable in the operating domain, once it exists."""

    component: Component = Component(
        path="mfgCustomers",
        view_uri="urn:be:com.qad.base.customer.IMfgCustomer",
        scope={"domainContext": "{domain}"},
        keys=("customerCode",),
    )
    values: dict[str, Value] = msgspec.field(default_factory=dict)  # siteCode and daybookSetCode; none: the step is left out


class Account(Entity, frozen=True, kw_only=True):
    enabled: Enabled = True  # the browse is [C]
    component: Component = Component(
        path="customerV2s",
        view_uri="urn:be:com.qad.base.customer.ICustomerV2",
        candidates={
            "customerV3s": "urn:be:com.qad.base.customer.ICustomerV3",
            "customers": "urn:be:com.qad.base.customer.ICustomer",
        },
        scope={"sharedSetCode": "{shared_set_customer}"},
        keys=("customerCode",),
    )
    browse_id: str = "urn:browse:bebrowse:com.qad.erp.base.customers"
    prefix: str = "customer"
    category: str = "Customer"  # what every customer's category is told as; "": nothing
    create_defaults: dict[str, Value] = msgspec.field(default_factory=dict)
    mandatory: tuple[str, ...] = (  # [C]
        "currencyCode",
        "creditTermsCode",
        "invoiceStatusCode",
        "invoiceControlGLProfileCode",
        "creditNoteControlGLProfileCode",
        "prePaymentControlGLProfileCode",
        "salesAccountGLProfileCode",
    )
    relation: Relation = Relation()
    follow_up: FollowUp = FollowUp()


class PurchaseOrder(Document, frozen=True, kw_only=True):
    component: Component = Component(
        path="purchaseOrderHeaders",
        view_uri="urn:be:com.qad.purchasing.purchaseorders.IPurchaseOrderHeader",
        scope={"domainCode": "{domain}"},
        keys=("purchaseOrderNumber",),
    )
    browse_id: str = "urn:browse:bebrowse:com.qad.erp.purchasing.purchaseOrders"  # [A]
    prefix: str = "purchaseOrder"
    states: dict[str, str] = msgspec.field(  # C and X [A]
        default_factory=lambda: {"O": "open", "C": "closed", "X": "cancelled"}
    )
    open_filter: tuple[str, str] | None = ("orderStatus", "O")
    invoice_status: bool = False  # tell what is invoiced on it, as extra.invoice_status and its like
    lines: Lines = Lines(
        path="purchaseOrderLinesGrid",
        number="purchaseOrderLine",
        fields={"sku": "itemCode", "quantity": "quantityOrdered", "unit_price": "purchaseCost", "wanted_on": "dueDate"},
        extra={"quantity_received": "quantityReceived", "received": "isReceivedPurchaseOrderLineV2", "site": "siteCode"},
        field_change_path="purchaseOrderLines/fieldChangeV2",
        field_change_collection="purchaseOrderLines",
        field_change_order=("siteCode", "itemCode", "quantityOrdered", "purchaseCost"),
        received_flag="isReceivedPurchaseOrderLineV2",
        received_quantity="quantityReceived",  # [A]
    )


class Receipts(Table, frozen=True, kw_only=True):
    """Where posted receipts are listed. Without a browse the purchase order's lines are the evidence."""

    browse_id: str = ""  # [A]
    prefix: str = "receipt"
    columns: dict[str, str] = msgspec.field(default_factory=dict)
    order_field: str = "purchaseOrderNumber"
    line_field: str = "purchaseOrderLine"
    quantity_field: str = "quantityReceived"


class Invoice(Document, frozen=True, kw_only=True):
    component: Component = Component(
        path="supplierInvoices",  # [A]
        view_uri="urn:be:com.qad.financials.purchaseledger.supplierinvoice.ISupplierInvoice",
        scope={"domainCode": "{domain}"},
        keys=("supplierInvoiceNumber",),  # [A] often entity, year, daybook and voucher
    )
    browse_id: str = "urn:browse:bebrowse:com.qad.financials.supplierInvoices"  # [A]
    prefix: str = "supplierInvoice"
    window_field: str = "invoiceDate"
    publish_when: Literal["receipt_posted", "fully_received", "amount_received", "always"] = "receipt_posted"
    quantity_tolerance_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0
    amount_tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0
    receipts: Receipts = Receipts()


class Order(Document, frozen=True, kw_only=True):
    enabled: Enabled = True  # the browse is [C]
    component: Component = Component(
        path="salesOrderHeaders",
        view_uri="urn:be:com.qad.sales.salesorder.ISalesOrderHeader",
        scope={"domainCode": "{domain}"},
        keys=("salesOrderNumber",),
    )
    browse_id: str = "urn:browse:bebrowse:com.qad.erp.sales.salesOrders"
    prefix: str = "salesOrder"
    window_field: str = "orderDate"
    numbers: Literal["given", "assigned"] = "given"
    create_defaults: dict[str, Value] = msgspec.field(default_factory=dict)
    copies: dict[str, str] = msgspec.field(
        default_factory=lambda: {"billToCustomerCode": "soldToCustomerCode", "shipToCustomerCode": "soldToCustomerCode"}
    )
    mandatory: tuple[str, ...] = ("soldToCustomerCode",)
    lines: Lines = Lines(
        path="salesOrderLinesGrid",
        number="salesOrderLine",  # [A]
        fields={
            "sku": "itemCode",
            "quantity": "quantityOrdered",
            "unit_price": "listPrice",
            "net_price": "netPrice",
            "wanted_on": "dueDate",
        },
        extra={"site": "siteCode"},
        field_change_path="salesOrderLines/fieldChange",
        field_change_collection="salesOrderLines",
        field_change_order=("itemCode", "siteCode", "quantityOrdered", "listPrice", "netPrice", "dueDate"),
        field_change_query={"dataOperation": "CREATE"},
    )


class Entities(Table, frozen=True, kw_only=True):
    """Every kind that is served."""

    vendor: Vendor = Vendor()
    product: Product = Product()
    account: Account = Account()
    purchase_order: PurchaseOrder = PurchaseOrder()
    invoice: Invoice = Invoice()
    order: Order = Order()
