"""What differs from one installation to the next, and three of them to try a profile on."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

BROWSES: Final = {
    "supplierV2s": ("urn:browse:bebrowse:com.qad.erp.base.supplierV2s", "supplierV2"),
    "customerV2s": ("urn:browse:bebrowse:com.qad.erp.base.customers", "customer"),
    "items": ("urn:browse:bebrowse:com.qad.erp.base.items", "item"),
    "purchaseOrderHeaders": ("urn:browse:bebrowse:com.qad.erp.purchasing.purchaseOrders", "purchaseOrder"),
    "salesOrderHeaders": ("urn:browse:bebrowse:com.qad.erp.sales.salesOrders", "salesOrder"),
    "supplierInvoices": ("urn:browse:bebrowse:com.qad.financials.supplierInvoices", "supplierInvoice"),
}
"""Component → id and prefix of its list."""


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """One instance of QAD.

    placement     where the log-in's fields are read; elsewhere they are not seen
    columns       component → field → column, for lists that show only those; the others show every field under their prefix
    wrapped       records come under ``data``
    page_words    what pageAction must say for the first and for later pages; anything else answers no rows
    more_flag     whether HasMoreParams is told
    total_place   dotted path of a browse's count in its answer
    row_date      layout of dates in lists; None: as in records
    filter_date   layout of dates in filters
    relation_owns a party's posted address is ignored: only the business relation can change it
    blank_domain  QAD makes the blank domain data of a new customer; without it it must be created
    numbers       QAD gives new sales orders their numbers
    receipts      id and prefix of a browse of posted receipts; None: there is none
    basic         calls may carry user and password instead of a session
    sessions      how many a user may have at once: another log-in ends the oldest
    """

    context: str = "/clouderp"
    placement: Literal["form", "query"] = "form"
    browses: Mapping[str, tuple[str, str]] = msgspec.field(default_factory=lambda: dict(BROWSES))
    columns: Mapping[str, Mapping[str, str]] = {}
    wrapped: bool = True
    page_words: tuple[str, str] = ("first", "next")
    more_flag: bool = True
    total_place: str = "data.totalCount"
    row_date: str | None = None
    filter_date: str = "%Y-%m-%d"
    date_layout: str = "%Y-%m-%dT00:00:00.000Z"
    relation_owns: bool = False
    blank_domain: bool = True
    numbers: bool = False
    receipts: tuple[str, str] | None = None
    expires_in: int | None = 1799
    session_minutes: int = 480
    idle_minutes: int = 30
    basic: bool = False
    sessions: int = 1
    stale: str = "Record has been modified by another user"
    domain: str = "10USA"
    entity: str = "10USACO"
    shared_set: str = "10SHARE"
    profile: Mapping[str, Any] = {}  # settings that a user of this installation has to write, beyond address and log-in

    @property
    def workspace(self) -> str:
        return f"{self.domain}_{self.entity}"


DEFAULT: Final = Installation()

CLASSIC: Final = Installation(
    context="/qad-central",
    placement="query",
    wrapped=False,
    expires_in=None,
    relation_owns=True,
    blank_domain=False,
    domain="20EU",
    entity="20EUCO",
    shared_set="20SET",
    browses={
        **BROWSES,
        "customerV2s": ("urn:browse:mfg:cm007", "cm_mstr"),
        "items": ("urn:browse:mfg:gp340", "pt_mstr"),
        "salesOrderHeaders": ("urn:browse:mfg:so803", "so_mstr"),
    },
    columns={
        "customerV2s": {
            "customerCode": "cm_mstr.cm_addr",
            "addressName": "ad_mstr.ad_name",
            "city": "ad_mstr.ad_city",
            "countryCode": "ad_mstr.ad_ctry",
            "telephone": "ad_mstr.ad_phone",
            "currencyCode": "cm_mstr.cm_curr",
            "creditTermsCode": "cm_mstr.cm_cr_terms",
            "creditLimit": "cm_mstr.cm_cr_limit",
        },
        "items": {
            "domainCode": "pt_mstr.pt_domain",
            "itemCode": "pt_mstr.pt_part",
            "description": "pt_mstr.pt_desc1",
            "description2": "pt_mstr.pt_desc2",
            "unitOfMeasure": "pt_mstr.pt_um",
            "itemStatus": "pt_mstr.pt_status",
            "listPrice": "pt_mstr.pt_price",
        },
        "salesOrderHeaders": {
            "domainCode": "so_mstr.so_domain",
            "salesOrderNumber": "so_mstr.so_nbr",
            "soldToCustomerCode": "so_mstr.so_cust",
            "currencyCode": "so_mstr.so_curr",
            "orderDate": "so_mstr.so_ord_date",
            "dueDate": "so_mstr.so_due_date",
            "customShort0": "so_mstr.so_po",
            "customShort1": "local_variables.local-var04",
        },
    },
    profile={
        "auth": {"param_placement": "query"},
        "entities": {
            "account": {
                "browse_id": "urn:browse:mfg:cm007",
                "prefix": "cm_mstr",
                "columns": {
                    "customerCode": "cm_mstr.cm_addr",
                    "addressName": "ad_mstr.ad_name",
                    "city": "ad_mstr.ad_city",
                    "countryCode": "ad_mstr.ad_ctry",
                    "telephone": "ad_mstr.ad_phone",
                    "currencyCode": "cm_mstr.cm_curr",
                    "creditTermsCode": "cm_mstr.cm_cr_terms",
                    "creditLimit": "cm_mstr.cm_cr_limit",
                },
            },
            "product": {
                "browse_id": "urn:browse:mfg:gp340",
                "prefix": "pt_mstr",
                "columns": {
                    "domainCode": "pt_mstr.pt_domain",
                    "itemCode": "pt_mstr.pt_part",
                    "description": "pt_mstr.pt_desc1",
                    "description2": "pt_mstr.pt_desc2",
                    "unitOfMeasure": "pt_mstr.pt_um",
                    "itemStatus": "pt_mstr.pt_status",
                    "listPrice": "pt_mstr.pt_price",
                },
            },
            "order": {
                "browse_id": "urn:browse:mfg:so803",
                "prefix": "so_mstr",
                "columns": {
                    "domainCode": "so_mstr.so_domain",
                    "salesOrderNumber": "so_mstr.so_nbr",
                    "soldToCustomerCode": "so_mstr.so_cust",
                    "currencyCode": "so_mstr.so_curr",
                    "orderDate": "so_mstr.so_ord_date",
                    "dueDate": "so_mstr.so_due_date",
                    "customShort0": "so_mstr.so_po",
                    "customShort1": "local_variables.local-var04",
                },
            },
        },
    },
)
"""An older context root, the log-in's fields in the query, no ``data`` around records, classic programs for lists."""

FLIPPED: Final = Installation(
    page_words=("start", "forward"),
    more_flag=False,
    total_place="totalCount",
    row_date="%d/%m/%Y",
    filter_date="%d/%m/%Y",
    stale="Concurrency check failed",
    receipts=("urn:browse:bebrowse:com.qad.erp.purchasing.receipts", "receipt"),
    domain="30ASIA",
    entity="30JP",
    shared_set="30S",
    profile={
        "browse": {
            "action_first": "start",
            "action_next": "forward",
            "row_date_format": "%d/%m/%Y",
            "filter_date_format": "%d/%m/%Y",
        },
        "entities": {"invoice": {"receipts": {"browse_id": "urn:browse:bebrowse:com.qad.erp.purchasing.receipts"}}},
    },
)
"""Whatever is an assumption in the default profile is otherwise here."""
