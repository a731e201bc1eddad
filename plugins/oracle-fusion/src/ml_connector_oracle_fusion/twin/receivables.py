"""What Receivables shows of customer accounts: activities with balances, bill-to sites, and the lists published of both.

Oracle, Financials REST: "Receivables Customer Account Activities" and "…Site Activities". Totals are in the ledger's
currency and carry none; the times are the account row's, so that no invoice and no receipt moves them.
"""

from decimal import Decimal
from typing import Final

from ml_connector_oracle_fusion.twin.answers import Row
from ml_connector_oracle_fusion.twin.schema import CRM, FSCM, STAMPS, Resource, Type
from ml_connector_oracle_fusion.twin.store import Store

_BOTH: Final[dict[str, Type]] = {
    "AccountId": "integer",
    "AccountNumber": "string",
    "CustomerId": "integer",
    "CustomerName": "string",
    "TaxRegistrationNumber": "string",
    "TaxpayerIdentificationNumber": "string",
    **STAMPS,
}
_FINDER: Final = ("AccountNumber", "CustomerName", "TaxRegistrationNumber", "TaxpayerIdentificationNumber")
ACTIVITIES: Final = Resource(
    name="receivablesCustomerAccountActivities",
    root=FSCM,
    key="AccountId",
    id="AccountId",
    attributes={**_BOTH, "TotalOpenReceivablesForAccount": "number", "TotalTransactionsDueForAccount": "number"},
    queryable=frozenset(_BOTH),
    finders={"CustomerAccountActivitiesFinder": _FINDER},
    tracked=False,
)
SITE_ACTIVITIES: Final = Resource(
    name="receivablesCustomerAccountSiteActivities",
    root=FSCM,
    key="BillToSiteUseId",
    id="BillToSiteUseId",
    attributes={
        **_BOTH,
        "BillToSiteUseId": "integer",
        "BillToSiteNumber": "string",
        "BillToSiteAddress": "string",
        "TotalOpenReceivablesForSite": "number",
        "TotalTransactionsDueForSite": "number",
    },
    queryable=frozenset({*_BOTH, "BillToSiteUseId", "BillToSiteNumber"} - set(STAMPS)),
    finders={"CustomerAccountSiteActivitiesFinder": (*_FINDER, "BillToSiteNumber")},
    tracked=False,
)
_BILL_TO: Final[dict[str, Type]] = {
    "CustAccountId": "integer",
    "PartyId": "integer",
    **dict.fromkeys(("AccountName", "AccountNumber", "PartyName", "PartyNumber", "Status"), "string"),
}
BILL_TO_ACCOUNTS: Final = Resource(
    name="billToAccounts",
    root=CRM,
    key="CustAccountId",
    id="CustAccountId",
    attributes=_BILL_TO,
    queryable=frozenset(_BILL_TO),
    finders={"PrimaryPartyIdFinder": ("primaryPartyId",)},
    tracked=False,
)
_BILL_TO_SITE: Final[dict[str, Type]] = {
    **dict.fromkeys(("SiteUseId", "CustAccountId", "CustAcctSiteId", "PartySiteId", "SetId"), "integer"),
    "SiteUseCode": "string",
    "Status": "string",
}
BILL_TO_SITES: Final = Resource(
    name="billToSites",
    root=CRM,
    key="SiteUseId",
    id="SiteUseId",
    attributes=_BILL_TO_SITE,
    queryable=frozenset(_BILL_TO_SITE),
    finders={"BillToSiteFinder": ("BindCustAcctId", "BindSiteUseCd")},
    tracked=False,
)


class Receivables:
    """Views over customer accounts and invoices."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.hidden = 0  # so many looks at sites still show none of the new ones

    def activities(self) -> list[Row]:
        rows = []
        for account in self._accounts():
            open_, due = self._totals(account["AccountNumber"])
            told = {"TotalOpenReceivablesForAccount": open_, "TotalTransactionsDueForAccount": due}
            rows.append({**self._head(account), **told})
        return rows

    def site_activities(self) -> list[Row]:
        if self.hidden > 0:
            self.hidden -= 1
            return []
        rows = []
        for account in self._accounts():
            open_, due = self._totals(account["AccountNumber"])
            for site in account["_sites"]:
                for use in (use for use in site["_uses"] if use["SiteUseCode"] == "BILL_TO"):
                    key = int(use["CustomerAccountSiteUseId"])
                    told = {"BillToSiteUseId": key, "BillToSiteNumber": str(key)[-6:]}
                    told |= {"TotalOpenReceivablesForSite": open_, "TotalTransactionsDueForSite": due}
                    rows.append({**self._head(account), **told})
        return rows

    def bill_to_accounts(self) -> list[Row]:
        return [
            {
                "CustAccountId": int(account["CustomerAccountId"]),
                "PartyId": int(account["PartyId"]),
                "AccountNumber": account["AccountNumber"],
                "AccountName": account.get("AccountName"),
                "Status": account["Status"],
            }
            for account in self._accounts()
        ]

    def bill_to_sites(self) -> list[Row]:
        return [
            {
                "SiteUseId": int(use["CustomerAccountSiteUseId"]),
                "SiteUseCode": use["SiteUseCode"],
                "CustAccountId": int(account["CustomerAccountId"]),
                "CustAcctSiteId": int(site["CustomerAccountSiteId"]),
                "PartySiteId": int(site["PartySiteId"]),
                "SetId": int(site["SetId"]),
                "Status": "A",
            }
            for account in self._accounts()
            for site in account["_sites"]
            for use in site["_uses"]
        ]

    def _accounts(self) -> list[Row]:
        return [row for row in self._store.rows("customer_accounts").values() if row["Status"] == "A"]

    def _head(self, account: Row) -> Row:
        party = self._store.rows("accounts").get(int(account["PartyId"]), {})
        return {
            "AccountId": int(account["CustomerAccountId"]),
            "AccountNumber": account["AccountNumber"],
            "CustomerId": int(account["PartyId"]),
            "CustomerName": party.get("OrganizationName"),
            "TaxRegistrationNumber": None,
            "TaxpayerIdentificationNumber": party.get("TaxpayerIdentificationNumber"),
            **{name: account[name] for name in STAMPS},
        }

    def _totals(self, number: str) -> tuple[Decimal, Decimal]:
        """Open, and overdue."""
        today = self._store.clock.now().date().isoformat()
        open_, due = Decimal(0), Decimal(0)
        for invoice in self._store.rows("receivablesInvoices").values():
            if invoice["BillToCustomerNumber"] == number and invoice["InvoiceStatus"] == "Complete":
                open_ += invoice["InvoiceBalanceAmount"]
                due += invoice["InvoiceBalanceAmount"] if (invoice.get("DueDate") or "9999") < today else 0
        return open_, due
