"""Making a party ready for invoices: customer account, credit profile, account site with bill-to use, one after the other.

Every step looks first and does what is missing, and the step that Receivables shows comes last. So whatever was cut off
shows as not ready, and is completed by doing it again. ``extra.finance_status`` tells a party that is ready, and asks for it;
of one that is not it is empty, as any field is that a write in steps has not come to.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

from ml_connector.domain import UNSET, Scalar
from ml_connector.errors import AuthRejected, ContractBroken, RetryLater
from ml_connector.ports.sink import Create, Rejected, Remove, Unknown
from ml_connector_oracle_fusion import mapping, wire
from ml_connector_oracle_fusion.api import Api, Resource
from ml_connector_oracle_fusion.customers import BILL_TO, CustomerAccount, Customers
from ml_connector_oracle_fusion.jobs import Job
from ml_connector_oracle_fusion.judge import DUPLICATE, Refused
from ml_connector_oracle_fusion.reading import PartyReader

STATUS: Final = "finance_status"
READY: Final = "finance_ready"
PARTY: Final = "party_only"
ACCOUNT: Final = "customer_account"
SITES: Final = Resource(
    root="fscm",
    name="receivablesCustomerAccountSiteActivities",
    id="BillToSiteUseId",
    own=("BillToSiteUseId", "AccountId", "AccountNumber", "CustomerId"),
)
BILL_TO_ACCOUNTS: Final = Resource(
    root="crm", name="billToAccounts", id="CustAccountId", own=("CustAccountId", "AccountNumber", "PartyId", "Status")
)
BILL_TO_SITES: Final = Resource(
    root="crm", name="billToSites", id="SiteUseId", own=("SiteUseId", "SiteUseCode", "CustAccountId", "Status")
)


class Ready:
    """Which parties can be invoiced, asked of Receivables for many at once."""

    def __init__(self, api: Api) -> None:
        self._api, self._verify = api, api.settings.finance.verify

    async def extras(self, parties: Sequence[str]) -> Mapping[str, Mapping[str, Scalar]]:
        """Party id → ``finance_status`` and the number of the customer account."""
        numbers = await self.numbers(parties)
        return {
            party: {STATUS: READY if party in numbers else None, ACCOUNT: numbers.get(party)}
            for party in dict.fromkeys(parties)
        }

    async def numbers(self, parties: Sequence[str]) -> dict[str, str]:
        """Party id → number of the customer account that has a bill-to site; parties without one are absent."""
        if self._verify == "none":
            return {}
        if self._verify == "bill_to":
            accounts = await self._api.matching(BILL_TO_ACCOUNTS, "PartyId", list(parties))
            sites = await self._api.matching(BILL_TO_SITES, "CustAccountId", [str(row["CustAccountId"]) for row in accounts])
            with_use = {str(row["CustAccountId"]) for row in sites if row.get("SiteUseCode") == BILL_TO}
            ready = [row for row in accounts if str(row["CustAccountId"]) in with_use]
            return {str(row["PartyId"]): str(row["AccountNumber"]) for row in ready}
        rows = await self._api.matching(SITES, "CustomerId", list(parties))
        return {str(row["CustomerId"]): str(row["AccountNumber"]) for row in rows}


class Provisioning:
    """Brings parties to where invoices can be made. What it cannot finish becomes the job's outcome."""

    def __init__(self, api: Api, reader: PartyReader) -> None:
        self._api, self._reader, self._settings = api, reader, api.settings
        self._customers, self._ready = Customers(api), Ready(api)

    async def follow(self, jobs: Sequence[Job]) -> None:
        """Of jobs whose parties are written, those that shall be ready are made so. What many can be asked at once is."""
        written = [job for job in jobs if job.open and job.row is not None]
        await self._make_ready(written)
        for job in written:
            self._tell_apart(job)

    def _tell_apart(self, job: Job) -> None:
        """A refusal says that nothing is written. Where the party is, that is told, and being ready is another matter: a remark
        where nobody asked for it by name, else for the next look to find missing.
        """
        refusal = job.outcome
        if not isinstance(refusal, Rejected) or not (job.body or isinstance(job.write, Create)):
            return
        if self._asked(job) is None:
            job.outcome = None
            job.warnings.append(f"not ready for invoices: {refusal.reason}")
        else:
            job.outcome = Unknown(reason=refusal.reason)

    def _asked(self, job: Job) -> Scalar:
        extra = job.entity.extra
        return extra.get(STATUS) if extra is not UNSET else None

    async def _make_ready(self, jobs: Sequence[Job]) -> None:
        wanted = [job for job in jobs if self._wants(job)]
        if not wanted:
            return
        try:
            ready = await self._ready.numbers([str(job.id) for job in wanted])
            unready = [job for job in wanted if job.id not in ready]
            addresses = await self._addresses(unready)
        except (RetryLater, AuthRejected, ContractBroken) as error:
            for job in wanted:
                job.outcome = Unknown(reason=f"party {job.number} is written; how far it is is not known: {error.what}")
            return
        made = await asyncio.gather(*(self._provision(job, addresses.get(str(job.id))) for job in unready))
        await self._check([job for job, done in zip(unready, made, strict=True) if done and job.open])

    def _wants(self, job: Job) -> bool:
        if isinstance(job.write, Remove):
            return False
        asked = self._asked(job)
        if asked is None:
            return isinstance(job.write, Create) and (job.row or {}).get("Type") != mapping.TYPE_PROSPECT
        if asked == PARTY:
            return False
        if asked != READY:
            job.outcome = Rejected(
                code="UNKNOWN_STATUS",
                reason=f'"{str(asked)[:40]}" is no status that can be brought about',
                field=f"extra.{STATUS}",
                fix=f'Say "{READY}" or "{PARTY}"',
            )
            return False
        return True

    async def _provision(self, job: Job, address: str | None) -> bool:
        """Whether every step is done."""
        party, step = str(job.id), "its address"
        done: list[str] = []
        try:
            address = address or await self._address(job)
            if address is None:
                job.outcome = Rejected(
                    code="NO_ADDRESS",
                    reason=f"party {job.number} is written; it has no address, and invoices need one",
                    field=mapping.PLACE["account"],
                    fix="Fill in the billing address at its source",
                )
                return False
            step = "its customer account"
            account = await self._account(job, done)
            if account is None:
                return False
            step = "its credit profile"
            if await self._customers.profile(account.number) is None:
                made = await _unless_there(self._customers.make_profile(party, account))
                done += ["credit profile"] if made else []
            step = "its bill-to site"
            if await self._bill_to(party, account, address):
                done.append("bill-to site")
        except Refused as error:
            told = f", with {' and '.join(done)}" if done else ""
            job.outcome = Rejected(
                code=error.code,
                reason=f"party {job.number} is written{told}; {step} is refused: {error.what}",
                field=f"extra.{STATUS}",
                fix=error.fix,
            )
            return False
        except (RetryLater, AuthRejected, ContractBroken) as error:
            job.outcome = Unknown(reason=f"party {job.number} is written; {step} is not known: {error.what}")
            return False
        if done:
            job.warnings.append(f"made {' and '.join(done)}")
        return True

    async def _bill_to(self, party: str, account: CustomerAccount, address: str) -> bool:
        """Whether a site of the address with its use was made. Who finds that somebody was faster looks once more."""
        for _ in range(2):
            site = next((site for site in account.sites if site.address == address), None)
            if site is not None and BILL_TO in site.uses:
                return False
            if await _unless_there(self._customers.make_bill_to(party, account, address, site)):
                return True
            account = next((each for each in await self._customers.of_party(party) if each.id == account.id), account)
        return False

    async def _addresses(self, jobs: Sequence[Job]) -> dict[str, str]:
        """Party id → id of its primary address, which is what a site is made of."""
        slim = Resource(
            root="crm", name=self._reader.resource.name, id="PartyId", own=("PartyId",), kids={"PrimaryAddress": ("AddressId",)}
        )
        rows = await self._api.by_ids(slim, [str(job.id) for job in jobs])
        found = {str(row["PartyId"]): wire.children(row, "PrimaryAddress")[0] for row in rows}
        return {party: str(held[0]["AddressId"]) for party, held in found.items() if held}

    async def _address(self, job: Job) -> str | None:
        """The same of one party, asked by itself: a list may lag behind what was just written."""
        rows = await self._api.kids(self._reader.resource, job.number, "PrimaryAddress")
        return str(rows[0]["AddressId"]) if rows else None

    async def _account(self, job: Job, done: list[str]) -> CustomerAccount | None:
        """The party's customer account: the one with our reference, the only one, or a new one."""
        party = str(job.id)
        reference = mapping.number_of(self._settings, job.row or {}) or ""
        found = [account for account in await self._customers.of_party(party) if account.active]
        ours = [account for account in found if reference and account.reference == reference] or found
        if len(ours) > 1:
            named = ", ".join(account.number for account in ours[:5])
            job.outcome = Rejected(
                code="AMBIGUOUS",
                reason=f"party {job.number} is written; it has {len(ours)} customer accounts: {named}",
                field=f"extra.{STATUS}",
                fix="Finish it in Oracle: only a person can tell which of them is meant",
            )
            return None
        if ours:
            return ours[0]
        name = str((job.row or {}).get("OrganizationName") or job.number)
        made = await self._customers.make_account(party, name, reference)
        done.append("customer account")
        if made.number:
            return made
        return next(iter(await self._customers.of_party(party)), None)

    async def _check(self, jobs: Sequence[Job]) -> None:
        """Whether Receivables shows them."""
        if self._settings.finance.verify == "none" or not jobs:
            return
        try:
            ready = await self._ready.numbers([str(job.id) for job in jobs])
        except (RetryLater, AuthRejected, ContractBroken) as error:
            for job in jobs:
                job.outcome = Unknown(reason=f"party {job.number} is written, all steps are done; a look failed: {error.what}")
            return
        for job in jobs:
            if job.id not in ready:
                reason = f"party {job.number} is written, all steps are done; Receivables does not show it yet"
                job.outcome = Unknown(reason=reason)


async def _unless_there(step: Awaitable[object]) -> bool:
    """Whether the step made something: False where it was refused because that is there by now."""
    try:
        await step
    except Refused as error:
        if error.code not in DUPLICATE:
            raise
        return False
    return True
