"""Is this company fit for the flows? What ``ping`` asks, and the custom fields that ``ping --fix`` creates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ml_connector.domain import Kind
from ml_connector.errors import AuthRejected, ContractBroken
from ml_connector.ports.fitness import Finding, Need, first_load
from ml_connector_adapters.http import Limiter
from ml_connector_pipedrive import figures
from ml_connector_pipedrive.api import Api
from ml_connector_pipedrive.judge import Refusal
from ml_connector_pipedrive.metadata import Metadata
from ml_connector_pipedrive.plan import Plan, wanted_type
from ml_connector_pipedrive.settings import Settings
from ml_connector_pipedrive.wire import Me

SKEW_S: Final = 5
POLL_SHARE: Final = 4
"""At most a quarter of the day's tokens goes into asking what changed."""
_DAY_MIN: Final = 1440
_POLL: Final = 10


class PipedriveFitness:
    """Fitness of one connection."""

    def __init__(self, api: Api, metadata: Metadata, settings: Settings, limiter: Limiter) -> None:
        self._api, self._metadata, self._settings, self._limiter = api, metadata, settings, limiter

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        """Read-only. User and company, clock, budget, webhooks, then each kind: rights, fields, key, what settings name."""
        self._metadata.forget()
        me = await self._metadata.me()
        findings = [Finding(level="ok", about="token", what="Pipedrive takes the token"), *self._about_user(me)]
        findings += self._about_clock()
        findings += await self._about_webhooks()
        for kind, kind_needs in by_kind(needs).items():
            findings += await self._about_kind(kind, kind_needs)
        return [*findings, *self._about_budget(needs)]

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        """Create the custom fields that are missing, the key first, each of the type that the settings or its use ask for."""
        self._metadata.forget()
        findings: list[Finding] = []
        for kind, kind_needs in by_kind(needs).items():
            plan = await self._metadata.plan(kind)
            for field, name in _to_create(plan, kind_needs).items():
                findings.append(await self._create(plan, field, name))
        self._metadata.forget()
        return findings

    def _about_user(self, me: Me) -> list[Finding]:
        told = f"{me.company_name or me.company_domain or 'company'}, as user {me.name or me.id}"
        findings = [Finding(level="ok", about="company", what=told)]
        if me.is_admin not in (None, 1, True):
            what = "the connector's user is no administrator: what he cannot see is neither read nor told by webhooks"
            fix = "Give the connector a user of its own who sees everything"
            findings.append(Finding(level="warning", about="user", what=what, fix=fix))
        return findings

    def _about_clock(self) -> list[Finding]:
        skew = abs(self._api.skew.total_seconds())
        if skew <= SKEW_S:
            return [Finding(level="ok", about="clock", what=f"{skew:.0f} s apart from Pipedrive's")]
        what = f"{skew:.0f} s apart from Pipedrive's; changes are asked for by its clock, tokens expire by ours"
        return [Finding(level="warning", about="clock", what=what, fix="Set this machine's clock by a time server")]

    async def _about_webhooks(self) -> list[Finding]:
        """Whether they could be registered, and which of ours nobody listens to any more."""
        try:
            hooks = await self._api.hooks()
        except (AuthRejected, Refusal) as error:
            if not is_missing_right(error):
                raise
            fix = "Grant the scope admin, or let an administrator's token do it; without it changes are found by polling"
            return [Finding(level="warning", about="webhooks", what=f"they cannot be registered: {error.what}", fix=fix)]
        ours = [hook for hook in hooks if hook.name.startswith("ml-connector ")]
        dead = [hook for hook in ours if not hook.is_active or hook.remove_reason is not None]
        addresses = {hook.subscription_url.rpartition("/")[0] for hook in ours}
        findings = [
            Finding(level="ok", about="webhooks", what=f"{len(hooks)} of 40 are registered, {len(ours)} by ml-connector")
        ]
        if dead or len(ours) > len({(hook.event_object, hook.name) for hook in ours}):
            ids = ", ".join(str(hook.id) for hook in dead or ours)
            what = f"some of {ids} at {', '.join(sorted(addresses))} are left over from earlier registrations"
            fix = "Delete those whose address no workspace of yours uses: Settings, Tools and apps, Webhooks"
            findings.append(Finding(level="warning", about="webhooks", what=what, fix=fix))
        return findings

    def _about_budget(self, needs: Sequence[Need]) -> list[Finding]:
        budget, left = self._settings.tokens_per_day, self._limiter.remaining
        kinds = len({need.kind for need in needs})
        shortest = max(1, -(-kinds * _POLL * _DAY_MIN * POLL_SHARE // budget))
        span = "every minute" if shortest == 1 else f"every {shortest} minutes"
        what = (
            f"{budget} tokens a day{f', {left} left' if left is not None else ''}; "
            f"{kinds} kind{'s' * (kinds != 1)} may be polled {span}"
        )
        findings = [Finding(level="ok", about="budget", what=what), *self._about_loads(needs)]
        if left is not None and left > budget:
            fix = "Set plan and seats to what the company has"
            findings.append(
                Finding(level="warning", about="budget", what=f"Pipedrive says {left} are left, more than that", fix=fix)
            )
        if left is not None and left < self._limiter.limits.credit_reserve:
            fix = "Wait for the day's end, or read less often"
            findings.append(Finding(level="warning", about="budget", what="only the reserve is left: reading waits", fix=fix))
        return findings

    def _about_loads(self, needs: Sequence[Need]) -> list[Finding]:
        findings = []
        for kind, access in dict.fromkeys((need.kind, need.access) for need in needs):
            (calls, tokens), hours = figures.first_load(self._settings, kind, access)
            findings.append(first_load(kind, access, calls, hours, f"{tokens:,} tokens"))
        return findings

    async def _about_kind(self, kind: Kind, needs: Sequence[Need]) -> list[Finding]:
        try:
            plan = await self._metadata.plan(kind)
            await self._api.page(plan.shape.plural, {"limit": 1})
        except (AuthRejected, ContractBroken) as error:
            if isinstance(error, AuthRejected) and not is_missing_right(error):
                raise
            return [Finding(level="unfit", about=kind, what=error.what, fix=error.fix)]
        findings = self._about_fields(plan, needs)
        if any(need.access == "write" for need in needs):
            findings += self._about_key(plan)
        if kind == "deal":
            findings += await self._about_deals(plan)
        return findings or [
            Finding(level="ok", about=kind, what=f"{plan.shape.plural}: everything that the flows need is there")
        ]

    def _about_fields(self, plan: Plan, needs: Sequence[Need]) -> list[Finding]:
        findings: dict[str, Finding] = {}
        for need in needs:
            for path in sorted(need.fields):
                field = path if path.startswith("extra.") else path.partition(".")[0]
                if field in plan.knows or field in ("number", "extra"):
                    continue
                findings[path] = self._lack(plan, path, field)
        return list(findings.values())

    def _lack(self, plan: Plan, path: str, field: str) -> Finding:
        about = f"{plan.kind}.{path}"
        if complaint := plan.wrong.get(field):
            fix = "Rename or delete one of them in Pipedrive, or name another field in the settings"
            return Finding(level="unfit", about=about, what=complaint, fix=fix)
        name = _name(plan, field)
        if name is None:
            fix = f'Give it a custom field by name: fields."{plan.kind}.{field}" = "Name"'
            return Finding(level="unfit", about=about, what=f"{plan.shape.plural} have no field for it", fix=fix)
        what = f'{plan.shape.plural} have no custom field "{name}"'
        return Finding(level="unfit", about=about, what=what, fix="Create it, or run ml-connector ping --fix", repairable=True)

    def _about_key(self, plan: Plan) -> list[Finding]:
        if plan.key is not None:
            return []
        return [self._lack(plan, "number", "number")]

    async def _about_deals(self, plan: Plan) -> list[Finding]:
        """Pipelines and products that the settings name must exist."""
        findings = []
        known = [pipeline.name for pipeline in plan.schema.pipelines]
        if self._settings.pipeline and self._settings.pipeline not in known:
            what = f'there is no pipeline "{self._settings.pipeline}", only {", ".join(known)}'
            findings.append(Finding(level="unfit", about="deal.pipeline", what=what, fix="Mend the setting pipeline"))
        stages = "; ".join(
            f"{pipeline.name}: {', '.join(stage.name for stage in plan.schema.stages if stage.pipeline_id == pipeline.id)}"
            for pipeline in plan.schema.pipelines
        )
        return [*findings, Finding(level="ok", about="deal.stage", what=stages)]

    async def _create(self, plan: Plan, field: str, name: str) -> Finding:
        about, kind = f"{plan.kind}.{field}", wanted_type(plan.kind, field, name, self._settings)
        options = self._settings.options.get(f"{plan.kind}.{name}", ())
        if kind in ("enum", "set") and not options:
            fix = f'Name them: options."{plan.kind}.{name}" = ["Planned", "Released"]'
            return Finding(level="unfit", about=about, what=f'"{name}" of type {kind} needs options', fix=fix)
        try:
            await self._api.add_field(plan.shape.singular, name, kind, options)
        except (AuthRejected, Refusal) as error:
            if isinstance(error, AuthRejected) and not is_missing_right(error):
                raise
            fix = error.fix or "Create the field in Pipedrive: Settings, Data fields"
            return Finding(level="unfit", about=about, what=f'"{name}" could not be created: {error.what}', fix=fix)
        return Finding(level="ok", about=about, what=f'created the custom field "{name}" of {plan.shape.plural} as {kind}')


def is_missing_right(error: AuthRejected | ContractBroken) -> bool:
    """The token works, but not for this call."""
    return error.code == "SCOPE" or (isinstance(error, Refusal) and error.missing_right)


def by_kind(needs: Iterable[Need]) -> Mapping[Kind, list[Need]]:
    grouped: dict[Kind, list[Need]] = {}
    for need in needs:
        grouped.setdefault(need.kind, []).append(need)
    return grouped


def _name(plan: Plan, field: str) -> str | None:
    """Name of the custom field that a canonical field should live in; None where it has none."""
    return field.removeprefix("extra.") if field.startswith("extra.") else plan.missing.get(field)


def _to_create(plan: Plan, needs: Sequence[Need]) -> dict[str, str]:
    """Canonical field → name of the custom field to create."""
    wanted: dict[str, str] = {}
    if "number" in plan.missing and any(need.access == "write" for need in needs):
        wanted["number"] = plan.missing["number"]
    for field in sorted({field for need in needs for field in need.fields}):
        head = field if field.startswith("extra.") else field.partition(".")[0]
        name = _name(plan, head)
        if name is not None and head not in plan.columns and head not in plan.wrong:
            wanted.setdefault(head, name)
    return wanted
