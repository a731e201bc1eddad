"""The fit report: what the pod lets this user do, compared with what the settings and the flows ask, told with what to do."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from ml_connector.domain import Kind
from ml_connector.errors import ContractBroken
from ml_connector.ports.fitness import FIRST_LOAD, Finding, Need, first_load
from ml_connector_oracle_fusion import figures, query, wire
from ml_connector_oracle_fusion.api import Api, Resource
from ml_connector_oracle_fusion.balances import ACTIVITIES
from ml_connector_oracle_fusion.customers import Customers
from ml_connector_oracle_fusion.judge import Refused
from ml_connector_oracle_fusion.provision import READY, STATUS
from ml_connector_oracle_fusion.reading import Reader
from ml_connector_oracle_fusion.sink import PartySink

SKEW: Final = timedelta(seconds=60)
HUB: Final = Resource(root="crm", name="hubOrganizations", id="PartyId", own=("PartyNumber",))
ROLES: Final[dict[str, str]] = {
    "accounts": "a role that may view and edit accounts, such as Sales Administrator",
    "contacts": "a role that may view and edit contacts",
    "suppliers": "a role with View Supplier",
    "purchaseOrders": "a role with View Purchase Order",
    "receivablesInvoices": "a role with View Receivables Transactions, and data access to the business unit",
    "invoices": "a role with View Payables Invoices, and data access to the business unit",
    "receivablesCustomerAccountActivities": "a role with View Receivables Customer Account Activities",
}
BALANCES: Final = ("ar_balance", "ar_due", "ar_currency", "ar_as_of", "customer_account")


class OracleFitness:
    """Reads single rows and descriptions, nothing else."""

    def __init__(self, api: Api, readers: Mapping[Kind, Reader], sinks: Mapping[Kind, PartySink]) -> None:
        self._api, self._readers, self._sinks, self._settings = api, readers, sinks, api.settings

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        """The token first, then each kind in use, then what finance needs, the clock and the pace."""
        await self._api.sign_in()
        findings: list[Finding] = []
        for kind, reader in self._readers.items():
            asked = [need for need in needs if need.kind == kind]
            if asked:
                findings += await self._about_kind(kind, reader, asked)
        finance = self._settings.provision == "finance_ready" and any(_writes(need, "account") for need in needs)
        balances = self._settings.entities.account.strategy == "balances" and any(_reads(need, "account") for need in needs)
        if finance or balances:
            findings += await self._about_receivables()
        if finance:
            findings += await self._about_services()
            findings += self._about_status(needs)
        if self._settings.source_system and any(need.access == "write" for need in needs):
            findings += await self._about_source_system()
        return [*self._about_connection(), *findings, *self._about_pace(needs)]

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        """Nothing in Oracle can be created by us: roles, source systems and fields are an administrator's."""
        return []

    def _about_connection(self) -> list[Finding]:
        settings = self._settings
        how = f"user {settings.user} by password" if settings.auth == "basic" else f"client {settings.client_id} by token"
        findings = [Finding(level="ok", about="token", what=f"{settings.base_url} takes {how}")]
        skew = self._api.skew
        if skew is not None and abs(skew) > SKEW:
            seconds, place = abs(int(skew.total_seconds())), "ahead of" if skew > timedelta() else "behind"
            fix = "Set the clock of this machine by a time server"
            findings.append(
                Finding(level="warning", about="clock", what=f"Oracle's clock is {seconds} s {place} ours", fix=fix)
            )
        version = settings.rest_framework_version
        findings += [
            Finding(level="warning", about=name, what=f"{name} does not serve framework version {version}, so its own is used")
            for name in sorted(self._api.unversioned)
        ]
        return findings

    # each kind

    async def _about_kind(self, kind: Kind, reader: Reader, needs: Sequence[Need]) -> list[Finding]:
        resource = reader.resource
        try:
            await self._api.page(resource, q=reader.condition, limit=1)
        except ContractBroken as error:
            return [await self._refused(kind, resource, error)]
        findings = self._about_fields(kind, needs)
        findings += await self._about_description(kind, resource, writes=any(need.access == "write" for need in needs))
        return findings or [Finding(level="ok", about=kind, what=f"{resource.name}: everything that the flows need is there")]

    async def _refused(self, kind: str, resource: Resource, error: ContractBroken) -> Finding:
        fix = error.fix
        if error.code in ("403", "404"):
            fix = f"Give the integration user {ROLES.get(resource.name, 'a role that may view them')}"
            if resource.name == "accounts" and await self._opens(HUB):
                fix += "; hubOrganizations is open to it, so it may be an ERP user without a sales role"
        elif error.code == "400":
            fix = "Check custom_fields, reference_field and filter: Oracle does not know something that they name"
        return Finding(level="unfit", about=kind, what=f"{resource.name}: {error.what}", fix=fix)

    async def _opens(self, resource: Resource) -> bool:
        try:
            await self._api.page(resource, limit=1)
        except ContractBroken:
            return False
        return True

    def _about_fields(self, kind: Kind, needs: Sequence[Need]) -> list[Finding]:
        """What a sink cannot hold and a source cannot tell."""
        sink, findings = self._sinks.get(kind), {}
        for need in needs:
            for path in sorted(need.fields):
                about = f"{kind}.{path}"
                if need.access == "write" and sink is not None and not self._stores(kind, path):
                    fix = f"Take it out of the flow, or name an attribute: custom_fields.{kind}" if "extra." in path else ""
                    findings[about] = Finding(level="unfit", about=about, what="Oracle has no place for it here", fix=fix)
                elif need.access == "read" and path.startswith("extra.") and not self._tells(kind, path[6:]):
                    fix = f'Name the attribute: custom_fields.{kind} = {{ "{path[6:]}" = "…_c" }}'
                    findings[about] = Finding(level="warning", about=about, what="nothing tells it", fix=fix)
        return list(findings.values())

    def _stores(self, kind: Kind, path: str) -> bool:
        accepted = self._sinks[kind].accepted
        return path in accepted or path.partition(".")[0] in accepted

    def _tells(self, kind: Kind, name: str) -> bool:
        settings = self._settings
        custom = settings.custom_fields.get("account" if kind == "account" else "contact", {})
        if kind not in ("account", "contact"):
            return True
        known = {"party_number", *custom}
        if kind == "account" and settings.entities.account.strategy == "balances":
            known |= set(BALANCES)
        elif kind == "account" and settings.provision == "finance_ready":
            known |= {STATUS, "customer_account"}
        return name in known

    async def _about_description(self, kind: Kind, resource: Resource, *, writes: bool) -> list[Finding]:
        """Custom attributes by their names, and whether records may be created. Silent where a pod does not describe itself."""
        try:
            answer = await self._api.get(resource.name, f"{self._api.path(resource)}/describe")
            told = answer.decode(wire.item)
        except ContractBroken:
            return []
        described = (told.get("Resources") or {}).get(resource.name)
        if not isinstance(described, dict):
            return []
        names = {str(each.get("name")) for each in described.get("attributes") or () if isinstance(each, dict)}
        wanted = set(self._settings.custom_fields.get("account" if kind == "account" else "contact", {}).values())
        if kind in ("account", "contact") and self._settings.reference_field:
            wanted.add(self._settings.reference_field)
        findings = [
            Finding(
                level="unfit",
                about=f"{kind}.{name}",
                what=f"{resource.name} has no attribute {name}",
                fix="Create it in Application Composer, or correct the name; letters count",
            )
            for name in sorted(wanted - names if names else ())
        ]
        actions = _actions(described)
        if writes and actions and not {"create", "POST"} & actions:
            fix = f"Give the integration user {ROLES.get(resource.name, 'a role that may edit them')}"
            findings.append(Finding(level="unfit", about=kind, what=f"{resource.name} cannot be created by this user", fix=fix))
        return findings

    # finance

    async def _about_receivables(self) -> list[Finding]:
        try:
            await self._api.page(ACTIVITIES, limit=1)
        except ContractBroken as error:
            return [await self._refused("receivables", ACTIVITIES, error)]
        findings = [Finding(level="ok", about="receivables", what="balances can be read")]
        if self._settings.entities.account.strategy == "balances" and not self._settings.finance.currency:
            fix = 'Say finance.currency = "USD"'
            what = "Oracle's totals name no currency, and none is set for the ledger"
            findings.append(Finding(level="warning", about="receivables", what=what, fix=fix))
        return findings

    async def _about_services(self) -> list[Finding]:
        """Looks that find nothing, through both SOAP services."""
        customers, findings = Customers(self._api), []
        for name, ask in (("customer accounts", customers.of_party), ("customer profiles", customers.profile)):
            try:
                await ask("0")
            except (Refused, ContractBroken) as error:
                fix = error.fix or 'Give the integration user a role that may manage customers; or provision = "party_only"'
                findings.append(Finding(level="unfit", about="finance", what=f"{name}: {error.what}", fix=fix))
        return findings or [Finding(level="ok", about="finance", what="the services for customer accounts and profiles answer")]

    def _about_status(self, needs: Sequence[Need]) -> list[Finding]:
        if any(_writes(need, "account") and f"extra.{STATUS}" in need.fields for need in needs):
            return []
        what = "no flow says which customers shall be ready, so that nothing completes one that was cut off"
        fix = f'Set "extra.{STATUS}" = "\'{READY}\'" in the flow of accounts: see the plugin\'s README'
        return [Finding(level="warning", about=f"account.extra.{STATUS}", what=what, fix=fix)]

    async def _about_source_system(self) -> list[Finding]:
        system = self._settings.source_system
        told = {"SourceSystem": system, "SourceSystemReferenceValue": "ml-connector-ping"}
        accounts = next(reader.resource for kind, reader in self._readers.items() if kind == "account")
        try:
            await self._api.page(accounts, finder=query.finder("SourceSystemReferenceAltKey", told), limit=1)
        except ContractBroken as error:
            fix = "Register it in Oracle: Setup, Manage Trading Community Source Systems, for trading community members"
            return [Finding(level="unfit", about="source_system", what=f"{system}: {error.what}", fix=fix)]
        what = f"{system} can be looked up by; only the first write shows whether Oracle has it registered (HZ-120559 if not)"
        return [Finding(level="ok", about="source_system", what=what)]

    # pace

    def _about_pace(self, needs: Sequence[Need]) -> list[Finding]:
        """Oracle publishes no limit, so the figures are those of the settings."""
        settings = self._settings
        told = f"at most {settings.limits.requests_per_minute} requests a minute"
        findings = [Finding(level="ok", about="pace", what=told)]
        for kind, access in dict.fromkeys((need.kind, need.access) for need in needs):
            writes = access == "write"
            calls = figures.writes(settings, FIRST_LOAD, kind) if writes else figures.reads(settings, FIRST_LOAD)
            findings.append(first_load(kind, access, calls, figures.hours(settings, calls)))
        return findings


def _writes(need: Need, kind: str = "") -> bool:
    return need.access == "write" and kind in ("", need.kind)


def _reads(need: Need, kind: str = "") -> bool:
    return need.access == "read" and kind in ("", need.kind)


def _actions(described: Mapping[str, Any]) -> set[str]:
    """Names and methods of what may be done with the collection."""
    collection = described.get("collection")
    listed = collection.get("actions") if isinstance(collection, dict) else None
    rows = [each for each in listed or () if isinstance(each, dict)]
    return {str(each.get(name)) for each in rows for name in ("name", "method")}
