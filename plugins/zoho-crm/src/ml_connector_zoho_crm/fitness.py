"""Is the organisation fit for the flows? What ``ping`` asks, and what ``ping --fix`` creates."""

from collections.abc import Iterable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final

from ml_connector.domain import Kind
from ml_connector.errors import AuthRejected, ConnectorError, ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector.ports.fitness import Finding, Level, Need, first_load
from ml_connector_adapters.http import Limiter
from ml_connector_zoho_crm import coql, figures
from ml_connector_zoho_crm.api import NEW_FIELDS, Api, is_missing_right
from ml_connector_zoho_crm.metadata import Metadata
from ml_connector_zoho_crm.plan import Plan
from ml_connector_zoho_crm.settings import CONCURRENCY, Edition, Settings
from ml_connector_zoho_crm.wire import Org

KEY_LENGTH: Final = 100
SHORT_KEY: Final = 30
TEXT_LENGTH: Final = 255
SKEW_S: Final = 5

_PER_USER: Final[dict[Edition, int]] = {"standard": 250, "professional": 500, "enterprise": 1000, "ultimate": 2000}
_CEILING: Final[dict[Edition, int]] = {"standard": 100_000, "professional": 3_000_000, "enterprise": 5_000_000}


class ZohoFitness:
    """Fitness of one connection."""

    def __init__(self, api: Api, metadata: Metadata, settings: Settings, limiter: Limiter, clock: Clock) -> None:
        self._api, self._metadata, self._settings, self._limiter, self._clock = api, metadata, settings, limiter, clock

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        """Read-only. Organisation, token, clock, quota, then each kind: module, rights, fields, key, choices."""
        self._metadata.forget()
        await self._metadata.modules()  # whatever token there is must at least show the modules
        findings = [Finding(level="ok", about="token", what="Zoho takes the access token")]
        org = await self._metadata.org()
        findings += [*self._about_org(org), *self._about_clock()]
        if await self._metadata.user() is None:
            findings.append(
                Finding(
                    level="warning",
                    about="user",
                    what="the integration user is unknown, so its own changes are not told apart",
                    fix="Grant the scope ZohoCRM.users.READ",
                )
            )
        for kind, kind_needs in by_kind(needs).items():
            findings += await self._about_kind(kind, kind_needs)
        return [*findings, *self._about_loads(org, needs)]

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        """Create missing fields that may be created: ERP keys unique and external, everything else as a line of text."""
        self._metadata.forget()
        findings: list[Finding] = []
        for kind, kind_needs in by_kind(needs).items():
            plan = await self._metadata.plan(kind)
            wanted = self._missing(plan, kind_needs)
            for start in range(0, len(wanted), NEW_FIELDS):
                findings += await self._create(plan, wanted[start : start + NEW_FIELDS])
        self._metadata.forget()
        return findings

    def _about_org(self, org: Org | None) -> list[Finding]:
        if org is None:
            fix = "Grant the scope ZohoCRM.org.READ"
            return [Finding(level="warning", about="organisation", what="its currency and edition are unknown", fix=fix)]
        licence = org.license_details
        edition = edition_of(licence.paid_type if licence else None)
        told = f"{org.company_name} ({org.type or 'production'}, {licence.paid_type if licence else 'edition unknown'})"
        findings = [Finding(level="ok", about="organisation", what=told)]
        if edition is None:
            return findings
        cap, ours = CONCURRENCY[edition], self._settings.limits.concurrency
        if ours > cap:
            what = f"limits.concurrency is {ours}, edition {edition} takes {cap} calls at once"
            findings.append(Finding(level="unfit", about="quota", what=what, fix=f"Set limits.concurrency to less than {cap}"))
        allowance = credits_of(edition, licence.users_license_purchased or 0 if licence else 0)
        budget = self._settings.limits.credits_per_day
        if budget is not None and allowance is not None and budget > allowance:
            what = f"limits.credits_per_day is {budget}, the organisation has about {allowance}"
            findings.append(Finding(level="warning", about="quota", what=what, fix="Lower limits.credits_per_day"))
        else:
            left = self._limiter.remaining
            what = f"{allowance if allowance is not None else 'unlimited'} credits a day" + (
                f", {left} left" if left is not None else ""
            )
            findings.append(Finding(level="ok", about="quota", what=what))
        return findings

    def _about_loads(self, org: Org | None, needs: Sequence[Need]) -> list[Finding]:
        """What a first load takes, by the credits of the settings or else of the organisation."""
        licence = org.license_details if org is not None else None
        edition = edition_of(licence.paid_type if licence else None) or self._settings.edition
        theirs = credits_of(edition, (licence.users_license_purchased or 0) if licence else 0) if edition else None
        allowance, findings = self._settings.limits.credits_per_day or theirs, []
        for kind, access in dict.fromkeys((need.kind, need.access) for need in needs):
            (calls, spent), hours = figures.first_load(self._settings, kind, access, allowance)
            assumed = f"{spent:,} credits, at {figures.CALL_S:g} s a call"
            findings.append(first_load(kind, access, calls, hours, assumed))
        return findings

    def _about_clock(self) -> list[Finding]:
        if self._api.vendor_time is None:
            return []
        skew = abs((parsedate_to_datetime(self._api.vendor_time) - self._clock.now()).total_seconds())
        level: Level = "ok" if skew <= SKEW_S else "warning" if skew <= self._settings.safety_lag_s else "unfit"
        fix = "" if level == "ok" else "Set this machine's clock by a time server"
        return [Finding(level=level, about="clock", what=f"{skew:.0f} s apart from Zoho's", fix=fix)]

    async def _about_kind(self, kind: Kind, needs: Sequence[Need]) -> list[Finding]:
        try:
            plan = await self._metadata.plan(kind)
            await self._api.coql(coql.select(("id",), plan.module, "id is not null", limit=1), 1)
            findings = await self._about_rights(kind, needs)
        except (AuthRejected, ContractBroken) as error:
            if isinstance(error, AuthRejected) and not is_missing_right(error):
                raise
            return [Finding(level="unfit", about=kind, what=error.what, fix=error.fix)]
        findings += self._about_fields(plan, needs)
        if any(need.access == "write" for need in needs):
            findings += self._about_key(plan)
            findings += await self._about_defaults(plan)
        return findings or [Finding(level="ok", about=kind, what=f"{plan.module}: everything that the flows need is there")]

    async def _about_rights(self, kind: Kind, needs: Sequence[Need]) -> list[Finding]:
        module = await self._metadata.module(kind)
        if any(need.access == "write" for need in needs) and not (module.creatable and module.editable):
            fix = "Give the integration user's profile the rights to create and edit"
            return [Finding(level="unfit", about=kind, what=f"{module.api_name} may not be created or edited", fix=fix)]
        return []

    def _about_fields(self, plan: Plan, needs: Sequence[Need]) -> list[Finding]:
        findings = []
        for need in needs:
            there = plan.accepts if need.access == "write" else plan.tells
            for field in sorted(need.fields):
                name = field if field.startswith("extra.") else field.partition(".")[0]
                if name in there or name in ("number", "extra"):
                    continue
                api = self._api_name(plan, field)
                if api is None:
                    what, fix = f"{plan.module} has no field for it", f'Give it one: fields."{plan.kind}.{name}" = "API_Name"'
                elif api in plan.fields:
                    what, fix = f"the field {api} cannot be written", "Map another field, or change its rights in Zoho CRM"
                else:
                    what, fix = f"{plan.module} has no field {api}", "Create it, or run ml-connector ping --fix"
                missing = api is not None and api not in plan.fields
                findings.append(Finding(level="unfit", about=f"{plan.kind}.{field}", what=what, fix=fix, repairable=missing))
        return findings

    def _about_key(self, plan: Plan) -> list[Finding]:
        field, about = plan.fields.get(plan.key), f"{plan.kind}.number"
        if field is None:
            what = f"{plan.module} has no field {plan.key} for the ERP's number"
            return [Finding(level="unfit", about=about, what=what, fix="Run ml-connector ping --fix", repairable=True)]
        if not field.identifies:
            what = f"{plan.key} is neither unique nor external, so Zoho does not match by it"
            return [Finding(level="unfit", about=about, what=what, fix='Tick "Do not allow duplicate values" on the field')]
        if field.length is not None and field.length < SHORT_KEY:
            fix = "Lengthen the field in Zoho CRM"
            return [Finding(level="warning", about=about, what=f"{plan.key} takes {field.length} characters only", fix=fix)]
        return []

    async def _about_defaults(self, plan: Plan) -> list[Finding]:
        """Choices that the settings name must exist; a stage must be one of its pipeline's."""
        findings = []
        defaults = dict(self._settings.create_defaults.get(plan.kind, {}))
        for api, value in defaults.items():
            field = plan.fields.get(api)
            if field is None:
                findings.append(_wrong(plan, api, f"create_defaults: {plan.module} has no field {api}"))
            elif field.data_type == "picklist" and field.choices and value not in field.choices:
                findings.append(_wrong(plan, api, f'create_defaults: "{value}" is not among the choices of {api}'))
        await self._metadata.layout_id(plan.kind)
        if plan.kind == "deal":
            pipeline = self._settings.pipeline or str(defaults.get("Pipeline", ""))
            known = await self._metadata.pipelines()
            stage = defaults.get("Stage")
            if pipeline and known and pipeline not in known:
                findings.append(_wrong(plan, "Pipeline", f'there is no pipeline "{pipeline}", only {", ".join(known)}'))
            elif stage and pipeline in known and stage not in known[pipeline]:
                findings.append(_wrong(plan, "Stage", f'pipeline "{pipeline}" has no stage "{stage}"'))
        return findings

    def _api_name(self, plan: Plan, field: str) -> str | None:
        if field.startswith("extra."):
            return field.removeprefix("extra.")
        return plan.key if field == "number" else plan.home(field.partition(".")[0])

    def _missing(self, plan: Plan, needs: Sequence[Need]) -> list[dict[str, Any]]:
        """Definitions of the fields to create, the key first."""
        wanted: dict[str, dict[str, Any]] = {}
        if plan.key not in plan.fields and any(need.access == "write" for need in needs):
            wanted[plan.key] = {
                **_text(plan.key, KEY_LENGTH),
                "external": {"type": "org", "show": True},
                "unique": {"case_sensitive": False},
            }
        for need in needs:
            for field in sorted(need.fields):
                api = self._api_name(plan, field)
                custom = field.startswith("extra.") or self._settings.place(plan.kind, field) is not None
                if api is not None and custom and api not in plan.fields:
                    wanted.setdefault(api, _text(api, TEXT_LENGTH))
        return list(wanted.values())

    async def _create(self, plan: Plan, fields: Sequence[dict[str, Any]]) -> list[Finding]:
        """Create, read back, and compare the names: Zoho derives them from labels and may choose another."""
        names = [str(field["field_label"]).replace(" ", "_") for field in fields]
        try:
            refused = await self._post(plan, fields)
        except ConnectorError as error:
            if not isinstance(error, AuthRejected | ContractBroken) or (
                isinstance(error, AuthRejected) and not is_missing_right(error)
            ):
                raise
            fix = "Grant the scope ZohoCRM.settings.fields.CREATE, or create the fields by hand"
            return [
                Finding(level="unfit", about=f"{plan.kind}.{name}", what=error.what, fix=error.fix or fix) for name in names
            ]
        there = await self._metadata.fields(plan.module)
        new = sorted(set(there) - set(plan.fields))
        findings = []
        for name in names:
            about = f"{plan.kind}.{name}"
            if name in there:
                kind = "a unique line of text" if there[name].identifies else "a line of text"
                findings.append(Finding(level="ok", about=about, what=f"created {plan.module}.{name} as {kind}"))
            elif name in refused:
                findings.append(Finding(level="unfit", about=about, what=f"Zoho refused it: {refused[name]}"))
            else:
                what = f"Zoho created it under another name: {', '.join(new) or 'unknown'}"
                findings.append(
                    Finding(level="unfit", about=about, what=what, fix="Rename the API name in Zoho CRM, or use Zoho's")
                )
        return findings

    async def _post(self, plan: Plan, fields: Sequence[dict[str, Any]]) -> dict[str, str]:
        """API name → Zoho's words for what was refused. A key refused as external and unique is tried as unique alone."""
        refused: dict[str, str] = {}
        again: list[dict[str, Any]] = []
        results = await self._api.create_fields(plan.module, fields)
        for field, result in zip(fields, results, strict=False):
            if result.ok:
                continue
            refused[str(field["field_label"]).replace(" ", "_")] = f"{result.message[:200]} ({result.code})"
            if "external" in field and "unique" in field:
                again.append({key: value for key, value in field.items() if key != "external"})
        if again:
            for field in again:
                refused.pop(str(field["field_label"]).replace(" ", "_"))
            refused |= await self._post(plan, again)
        return refused


def by_kind(needs: Iterable[Need]) -> Mapping[Kind, list[Need]]:
    grouped: dict[Kind, list[Need]] = {}
    for need in needs:
        grouped.setdefault(need.kind, []).append(need)
    return grouped


def edition_of(paid_type: str | None) -> Edition | None:
    """Zoho's word for the edition, among those whose limits are known."""
    told = (paid_type or "").lower()
    if told in ("crmplus", "zohooneenterprise"):
        return "ultimate" if told == "crmplus" else "enterprise"
    known: tuple[Edition, ...] = ("free", "standard", "professional", "enterprise", "ultimate")
    return next((edition for edition in known if edition in told), None)


def credits_of(edition: Edition, users: int) -> int | None:
    """Credits per rolling day (api-limits); None: no ceiling to speak of."""
    if edition == "free":
        return 5_000
    credits_ = 50_000 + _PER_USER[edition] * users
    return min(credits_, _CEILING.get(edition, credits_))


def _text(api_name: str, length: int) -> dict[str, Any]:
    return {"field_label": api_name.replace("_", " "), "data_type": "text", "length": length}


def _wrong(plan: Plan, api: str, what: str) -> Finding:
    return Finding(
        level="unfit", about=f"{plan.kind}.{plan.canonical(api)}", what=what, fix="Mend the setting, or add the choice"
    )
