"""The twin as tests, demos and simulations hold it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from ml_connector.twin import TwinClock, TwinRequest, TwinResponse
from ml_connector_oracle_fusion.twin import fill
from ml_connector_oracle_fusion.twin.answers import Refused, Row, decode
from ml_connector_oracle_fusion.twin.identity import PATH, Identity
from ml_connector_oracle_fusion.twin.schema import ACCOUNTS, CONTACTS, Resource
from ml_connector_oracle_fusion.twin.server import OracleServer
from ml_connector_oracle_fusion.twin.store import PERSON
from ml_connector_oracle_fusion.twin.trade import ORDERS, PAYABLES, RECEIVABLES, SUPPLIERS

KINDS: Final[dict[str, Resource]] = {"account": ACCOUNTS, "contact": CONTACTS}
TRADE: Final[dict[str, Resource]] = {each.name: each for each in (SUPPLIERS, ORDERS, RECEIVABLES, PAYABLES)}
SOURCE_SYSTEM: Final = "ZOHO_CRM"


class OracleTwin(OracleServer):
    """One pod with one integration user and one person. The handles speak Oracle's words."""

    settles_s = 2.5

    def __init__(
        self,
        *,
        clock: TwinClock | None = None,
        client_id: str = "twin",
        client_secret: str = "oracle-twin-secret",  # noqa: S107 - it opens nothing but this twin
        scope: str = "urn:opc:resource:consumer::all",
        user: str = "INTEGRATION.USER",
        password: str = "oracle-twin-password",  # noqa: S107
    ) -> None:
        clock = clock or TwinClock()
        identity = Identity(clock, client_id=client_id, client_secret=client_secret, scope=scope, user=user, password=password)
        super().__init__(clock, identity)
        self._secrets = {"twin/oracle_client_secret": client_secret}

    # reaching the twin

    def settings(self, base_url: str) -> dict[str, object]:
        """The connection settings that reach this twin at ``base_url``; secrets as references."""
        return {
            "base_url": base_url,
            "any_host": True,
            "token_url": f"{base_url}{PATH}",
            "client_id": self.identity.client_id,
            "client_secret": "secret:twin/oracle_client_secret",
            "scope": self.identity.scope,
            "source_system": SOURCE_SYSTEM,
            "integration_user": "INTEGRATION.USER",
            "lag_s": 0,  # nothing commits late in this process
            "limits": {"requests_per_minute": 60_000},
        }

    def secrets(self) -> dict[str, str]:
        """The values behind the references of ``settings``, by reference name."""
        return dict(self._secrets)

    async def ask(self, method: str, target: str, body: bytes = b"", /, **headers: str) -> tuple[int, Any]:
        """One call with user and password, the way a curious person asks; ``target`` is the path and query."""
        from base64 import b64encode

        pair = f"{self.identity.user}:{self.identity.password}".encode()
        told: dict[str, str] = {"authorization": "Basic " + b64encode(pair).decode(), "accept": "application/json"}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        answer: TwinResponse = await self(TwinRequest(method, "127.0.0.1:80", target, told, body))
        return answer.status, decode(answer.body) if answer.body[:1] in (b"{", b"[") else answer.body

    # records, as a person works on them

    def enter(self, kind: str, *, reference: str | None = None, **values: Any) -> str:
        """A person enters a party; returns its id. ``reference`` is what our source system calls it."""
        body: Row = dict(values)
        if reference is not None:
            body |= {"SourceSystem": SOURCE_SYSTEM, "SourceSystemReferenceValue": reference}
        row, _ = self.parties.create(KINDS[kind], body, PERSON, upsert=False)
        return str(row["PartyId"])

    def change(self, kind: str, record_id: str, **values: Any) -> None:
        """A person changes a party."""
        self.parties.change(KINDS[kind], self.store.rows(KINDS[kind].name)[int(record_id)], values, PERSON)

    def delete(self, kind: str, record_id: str) -> None:
        """A person deletes a party; the pod keeps its name among deletedRecords."""
        row = self.store.remove(KINDS[kind].name, int(record_id))
        for reference in self.parties.references(row["PartyId"]):
            self.store.remove("references", reference["SourceSystemReferenceId"])
        key = self.store.next_id()
        told: Row = {"DeletedRecordId": key, "ObjectCode": "Account" if kind == "account" else "Contact"}
        told |= {"DisplayName": row.get("OrganizationName") or row.get("ContactName"), "PuidAttributeName": "PartyNumber"}
        told |= {
            "KeyAttributeNames": "PartyId",
            "KeyAttributeValues": str(row["PartyId"]),
            "PuidAttributeValue": row["PartyNumber"],
        }
        self.store.insert("deletedRecords", key, told, PERSON)

    def open_account(self, party: str, **values: Any) -> str:
        """A person opens a customer account with a profile and a bill-to site in Receivables; returns its number."""
        key, number = self.store.next_id(), str(self.store.next_number())
        told: Row = {"CustomerAccountId": str(key), "AccountNumber": number, "PartyId": party, "Status": "A", "_sites": []}
        self.store.insert("customer_accounts", key, {**told, **values}, PERSON)
        return number

    def close_account(self, party: str) -> None:
        """A person makes a party's customer accounts inactive."""
        for key, row in list(self.store.rows("customer_accounts").items()):
            if row["PartyId"] == party:
                self.store.change("customer_accounts", key, {"Status": "I"}, PERSON)

    def set_credit(self, number: str, **values: str) -> None:
        """A person gives a customer account a profile, or changes the one it has: ``CreditLimit``, ``CreditHold`` …"""
        profiles = self.store.rows("profiles")
        for key, row in profiles.items():
            if row["AccountNumber"] == number:
                self.store.change("profiles", key, dict(values), PERSON)
                return
        account = next(row for row in self.store.rows("customer_accounts").values() if row["AccountNumber"] == number)
        key = self.store.next_id()
        told: Row = {"CustomerAccountProfileId": str(key), "AccountNumber": number, "PartyId": account["PartyId"]}
        told |= {"CustomerAccountId": account["CustomerAccountId"], "ProfileClassName": "DEFAULT", "CreditHold": "N"}
        self.store.insert("profiles", key, {**told, **values}, PERSON)

    def invoice(self, number: str, amount: Decimal, *, currency: str = "SEK", **values: Any) -> str:
        """A customer account is invoiced; returns the transaction's id. ``balance`` may differ from the amount once it is
        paid."""
        account = next(row for row in self.store.rows("customer_accounts").values() if row["AccountNumber"] == number)
        key = self.store.next_id()
        today = self.clock.now().date()
        told: Row = {
            "CustomerTransactionId": key,
            "TransactionNumber": str(self.store.next_number()),
            "TransactionDate": today.isoformat(),
            "DueDate": (today + timedelta(days=30)).isoformat(),
            "BillToCustomerNumber": number,
            "BillToPartyId": int(account["PartyId"]),
            "InvoiceStatus": "Complete",
            "InvoiceCurrencyCode": currency,
            "EnteredAmount": amount,
            "InvoiceBalanceAmount": amount,
            "PaymentTerms": "Net 30",
        }
        self.store.insert("receivablesInvoices", key, {**told, **values}, PERSON)
        return str(key)

    def pay(self, transaction: str, balance: Decimal = Decimal(0)) -> None:
        """Money came in: what is left of a transaction. The customer account's own time does not move."""
        self.store.change("receivablesInvoices", int(transaction), {"InvoiceBalanceAmount": balance}, PERSON)

    def record(self, name: str, children: Sequence[Row] = (), **values: Any) -> str:
        """A person enters a supplier, an order or an invoice, by the resource's name, with its children; returns its id."""
        resource = TRADE[name]
        key = self.store.next_id()
        told: Row = {resource.id: key, **values}
        for child, kid in resource.kids.items():
            told[child] = [{kid.id: self.store.next_id(), **each} for each in children]
        self.store.insert(name, key, told, PERSON)
        return str(key)

    def amend(self, name: str, record_id: str, **values: Any) -> None:
        """A person changes one of those."""
        self.store.change(name, int(record_id), values, PERSON)

    def row(self, kind: str, record_id: str) -> Row:
        """A party as it is stored."""
        return self.store.rows(KINDS[kind].name)[int(record_id)]

    def fill(self, accounts: int, orders: int, *, seed: int = 0) -> None:
        """Made-up companies and people; a pod has no orders of customers here, so ``orders`` is not asked for."""
        fill.fill(self, accounts, seed)

    def edit(self, kind: str, count: int, *, seed: int = 0) -> list[str]:
        """Change ``count`` records of a kind as a person would; returns their business numbers."""
        return fill.edit(self, kind, count, seed)

    @property
    def numbers(self) -> bool:
        """A party has its number from the first moment; what a source system calls it is no number of Oracle's."""
        return True

    def sets(self, kind: str, record: str, fields: Mapping[str, str | None]) -> str:
        """A person sets fields of an organization, or enters one with record ""; returns its id."""
        if kind != "account":
            raise ValueError(f"people set fields of accounts here, not of {kind}")
        told = {fill.SET[name]: value for name, value in fields.items()}
        try:
            if not record:
                return self.enter(kind, **told)
            self.change(kind, record, **told)
        except Refused as no:
            raise ValueError(f"Oracle does not take {sorted(fields)}: {no}") from no
        return record

    def newcomers(self) -> Mapping[str, object]:
        """Whoever is entered by name and telephone alone has no address, without which nobody is made ready for invoices."""
        return {"provision": "party_only"}

    def facts(self, kind: str) -> Iterator[tuple[str, Mapping[str, object]]]:
        """(business number, canonical field path → value) of every record of the kind."""
        return fill.facts(self, kind)
