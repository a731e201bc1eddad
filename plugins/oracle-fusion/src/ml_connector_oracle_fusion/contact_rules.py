"""What a contact does to accounts, where the settings say so: fill in its own, or bring one into being if it has none.

It is done before the contact itself is written: whatever is cut off in between is done again with the contact.
"""

from collections.abc import Sequence
from typing import Final

from ml_connector.domain import UNSET, Account, Contact
from ml_connector.errors import AuthRejected, ContractBroken, RecordRejected, RetryLater
from ml_connector.ports.sink import Create, Key, Later, Rejected, Unknown, Update
from ml_connector_oracle_fusion import mapping
from ml_connector_oracle_fusion.api import Api
from ml_connector_oracle_fusion.batch import Sender
from ml_connector_oracle_fusion.jobs import Job
from ml_connector_oracle_fusion.provision import Provisioning
from ml_connector_oracle_fusion.reading import PartyReader

SUFFIX: Final = "/account"
"""Behind a contact's reference: the account that was made of it."""


class ContactRules:
    """The rules ``parent`` and ``alone`` of ``entities.contact``."""

    def __init__(
        self, api: Api, contacts: PartyReader, accounts: PartyReader, provisioning: Provisioning | None = None
    ) -> None:
        self._api, self._contacts, self._accounts, self._settings = api, contacts, accounts, api.settings
        self._rules, self._provisioning = api.settings.entities.contact, provisioning
        self._sender = Sender(api, accounts)

    async def before(self, jobs: Sequence[Job]) -> None:
        """Make accounts of contacts that stand alone, and tell accounts what their contacts say."""
        mine = [job for job in jobs if job.open and isinstance(job.entity, Contact)]
        if self._rules.parent == "primary":
            for job in mine:
                if job.creates and job.body.get("AccountPartyId"):
                    job.body["ContactIsPrimaryForAccount"] = "Y"
        if self._rules.alone != "person":
            await self._alone([job for job in mine if job.creates and not job.entity.account])
        if self._rules.parent == "update":
            await self._parents([job for job in mine if job.open and (job.entity.email or job.entity.phone)])

    # those who stand alone

    async def _alone(self, jobs: Sequence[Job]) -> None:
        made: dict[int, Job] = {}
        for at, job in enumerate(jobs):
            if self._rules.alone == "refuse":
                job.outcome = Rejected(
                    code="NO_ACCOUNT",
                    reason='the contact has no account (entities.contact.alone = "refuse")',
                    field="account",
                    fix="Give it an account at its source",
                )
                continue
            try:
                made[at] = self._company(job)
            except RecordRejected as error:
                job.outcome = Rejected(code=error.code, reason=error.what, field=error.field, fix=error.fix)
        await self._sender.send(list(made.values()))
        if self._provisioning is not None:
            await self._provisioning.follow(list(made.values()))
        for at, company in made.items():
            if company.open and company.id is not None:
                jobs[at].body |= {"AccountPartyId": int(company.id), "ContactIsPrimaryForAccount": "Y"}
            else:
                _hold_back(jobs[at], company)

    def _company(self, job: Job) -> Job:
        """An account in the contact's name. Raises RecordRejected."""
        contact: Contact = job.entity
        number = job.body.get("SourceSystemReferenceValue")
        if number is None:
            raise RecordRejected(
                "an account made of a contact needs a reference", code="NO_KEY", field="number", fix="Set source_system"
            )
        name = " ".join(str(part) for part in (contact.first_name, contact.last_name) if isinstance(part, str) and part)
        account = Account(
            number=f"{number}{SUFFIX}", name=name, email=contact.email, phone=contact.phone, billing=contact.address
        )
        key = Key("number", f"{number}{SUFFIX}")
        body = mapping.body_of(self._settings, "account", account, creates=True)
        pair = {"SourceSystem": self._settings.source_system, "SourceSystemReferenceValue": key.value}
        return Job(write=Create(key=key, entity=account), key=key, body=body | pair)

    # those who have one

    async def _parents(self, jobs: Sequence[Job]) -> None:
        try:
            parents = await self._of(jobs)
            rows = await self._api.by_ids(self._accounts.resource, list(dict.fromkeys(parents.values())))
        except (RetryLater, AuthRejected, ContractBroken) as error:
            for job in jobs:
                job.error = error
            return
        there = {str(row["PartyId"]): row for row in rows}
        updates: dict[str, Job] = {}
        told: list[tuple[Job, str]] = []
        for at, job in enumerate(jobs):
            party = parents.get(at)
            if party is None or party not in there:
                continue
            changes = Account(email=job.entity.email or UNSET, phone=job.entity.phone or UNSET)
            wanted = mapping.body_of(self._settings, "account", changes, creates=False)
            body = {name: value for name, value in wanted.items() if there[party].get(name) != value}
            if not body:
                continue
            if party not in updates:
                updates[party] = Job(write=Update(id=party, changes=changes, version=None))
                updates[party].found(there[party])
            updates[party].body |= body
            told.append((job, party))
        await self._sender.send(list(updates.values()))
        for job, party in told:
            _hold_back(job, updates[party])

    async def _of(self, jobs: Sequence[Job]) -> dict[int, str]:
        """Place of the job → party id of its account: what it says, else what the contact has."""
        found = {at: str(job.body["AccountPartyId"]) for at, job in enumerate(jobs) if job.body.get("AccountPartyId")}
        silent = {at: job for at, job in enumerate(jobs) if job.id is not None and "AccountPartyId" not in job.body}
        rows = await self._api.by_ids(self._contacts.resource, [str(job.id) for job in silent.values()])
        accounts = {str(row["PartyId"]): row.get("AccountPartyId") for row in rows}
        return found | {at: str(accounts[job.id]) for at, job in silent.items() if job.id and accounts.get(job.id)}


def _hold_back(job: Job, account: Job) -> None:
    """What became of the account decides about its contact: a refusal is a warning, anything else is tried again with it."""
    if account.error is not None:
        job.error = account.error
    elif isinstance(account.outcome, Rejected) and account.id is not None:
        job.warnings.append(f"account {account.number}: {account.outcome.reason}")
    elif isinstance(account.outcome, Rejected):
        job.outcome = account.outcome
    elif account.outcome is not None:
        reason = account.outcome.reason if isinstance(account.outcome, Unknown | Later) else "it changed meanwhile"
        job.outcome = Later(reason=f"its account comes first: {reason}")
