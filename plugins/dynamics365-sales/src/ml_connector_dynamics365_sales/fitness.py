"""Is the environment fit for the flows? What ``ping`` asks, and what ``ping --fix`` creates."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ml_connector.domain import Kind
from ml_connector.errors import ContractBroken
from ml_connector.ports.clock import Clock
from ml_connector.ports.fitness import Finding, Level, Need, first_load
from ml_connector_dynamics365_sales import figures
from ml_connector_dynamics365_sales.api import Api
from ml_connector_dynamics365_sales.children import Lines
from ml_connector_dynamics365_sales.facts import Facts
from ml_connector_dynamics365_sales.metadata import Metadata
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.settings import Settings
from ml_connector_dynamics365_sales.wire import AlternateKey, Privilege

KEY_LENGTH: Final = 100
TEXT_LENGTH: Final = 255
SKEW_S: Final = 5

_GLOBAL: Final = ("Global", 3, "3")
_RIGHTS: Final = {"read": ("Read",), "write": ("Read", "Create", "Write")}
_CUSTOMISER: Final = "Give the application user the role System Customizer for this, or create it at make.powerapps.com"


class DynamicsFitness:
    """Fitness of one connection."""

    def __init__(self, api: Api, metadata: Metadata, settings: Settings, clock: Clock) -> None:
        self._api, self._metadata, self._settings, self._clock = api, metadata, settings, clock

    async def inspect(self, needs: Sequence[Need]) -> list[Finding]:
        """Read-only. The user, the clock, the limits, currencies, price list; then each kind: rights, columns, key."""
        self._metadata.forget()
        facts = await self._metadata.facts()  # whoever may not even ask who it is gets no further
        findings = [Finding(level="ok", about="user", what=f"Dataverse knows the application user ({facts.user})")]
        findings += [*self._about_clock(), *self._about_limits(needs), *self._about_setup(facts, needs)]
        privileges, told = await self._privileges(facts)
        findings += told
        for kind, kind_needs in by_kind(needs).items():
            findings += await self._about_kind(kind, kind_needs, privileges)
        return findings

    async def repair(self, needs: Sequence[Need]) -> list[Finding]:
        """Create missing columns and alternate keys. An index over many records is built in the background after that."""
        self._metadata.forget()
        findings: list[Finding] = []
        published: set[str] = set()
        for kind, kind_needs in by_kind(needs).items():
            plan = await self._metadata.plan(kind)
            for table, column, length in self._missing(plan, kind_needs):
                findings.append(await self._make_column(plan.kind, table, column, length))
                published.add(table)
        if published:
            await self._api.publish(sorted(published))
        self._metadata.forget()
        for kind, kind_needs in by_kind(needs).items():
            plan = await self._metadata.plan(kind)
            if any(need.access == "write" for need in kind_needs) and self._lacks_key(plan):
                findings.append(await self._make_key(plan))
        self._metadata.forget()
        return findings

    # -- what holds for all kinds

    def _about_clock(self) -> list[Finding]:
        skew = self._api.skew_s(self._clock.now().timestamp())
        if skew is None:
            return []
        level: Level = "ok" if abs(skew) <= SKEW_S else "warning" if abs(skew) <= self._settings.overlap_s else "unfit"
        fix = "" if level == "ok" else "Set this machine's clock by a time server"
        return [Finding(level=level, about="clock", what=f"{abs(skew):.0f} s apart from Dataverse's", fix=fix)]

    def _about_limits(self, needs: Sequence[Need]) -> list[Finding]:
        what = "6000 requests and 20 minutes of execution in any 5 minutes, 52 requests at once, at each web server"
        findings = [Finding(level="ok", about="quota", what=what)]
        for kind, access in dict.fromkeys((need.kind, need.access) for need in needs):
            assumed = f"at {figures.ROW_S:g} s a row" if access == "write" else ""
            findings.append(first_load(kind, access, *figures.first_load(self._settings, kind, access), assumed))
        return findings

    def _about_setup(self, facts: Facts, needs: Sequence[Need]) -> list[Finding]:
        told = ", ".join(sorted(facts.currencies.values())) or "none that we may see"
        findings = [Finding(level="ok" if facts.currencies else "unfit", about="currencies", what=told)]
        writes = {need.kind for need in needs if need.access == "write"}
        wanted = self._settings.price_list
        if wanted and wanted not in {prices.name for prices in facts.prices}:
            names = ", ".join(f'"{prices.name}"' for prices in facts.prices) or "none that we may see"
            what = f'there is no price list "{wanted}", only {names}'
            findings.append(Finding(level="unfit", about="price_list", what=what, fix="Mend the setting price_list"))
        elif not wanted and writes & {"order", "quote"}:
            what = "new orders and quotes get no price list; forms may demand one when people edit them"
            findings.append(Finding(level="warning", about="price_list", what=what, fix="Name one in the setting price_list"))
        if "product" in writes and self._settings.unit_group not in facts.groups.values():
            what = f'there is no unit group "{self._settings.unit_group}"'
            findings.append(Finding(level="unfit", about="product.unit", what=what, fix="Name one in the setting unit_group"))
        return findings

    async def _privileges(self, facts: Facts) -> tuple[dict[str, Privilege] | None, list[Finding]]:
        try:
            told = await self._api.privileges(facts.user or "")
        except ContractBroken as error:
            fix = "Nothing need be done if reads and writes succeed"
            return None, [
                Finding(level="warning", about="rights", what=f"the user's rights cannot be told: {error.what}", fix=fix)
            ]
        return {privilege.PrivilegeName.lower(): privilege for privilege in told}, []

    # -- what holds for one kind

    async def _about_kind(self, kind: Kind, needs: Sequence[Need], privileges: Mapping[str, Privilege] | None) -> list[Finding]:
        try:
            plan = await self._metadata.plan(kind)
        except ContractBroken as error:
            return [Finding(level="unfit", about=kind, what=error.what, fix=error.fix)]
        writes = any(need.access == "write" for need in needs)
        findings = self._about_rights(plan, needs, privileges) if privileges is not None else []
        findings += self._about_columns(plan, needs)
        if any(need.access == "read" for need in needs):
            findings += self._about_tracking(plan, privileges)
        if writes:
            findings += [*self._about_key(plan), *self._about_lines(plan), *self._about_words(plan)]
        told = f"{plan.table.name}: everything that the flows need is there"
        return findings or [Finding(level="ok", about=kind, what=told)]

    def _about_rights(self, plan: Plan, needs: Sequence[Need], privileges: Mapping[str, Privilege]) -> list[Finding]:
        """Lines have no rights of their own: they are their parent's."""
        wanted = {word for need in needs for word in _RIGHTS[need.access]}
        names = [told.Name for told in plan.definition.Privileges if told.PrivilegeType in wanted]
        missing = [name for name in names if name.lower() not in privileges]
        fix = "Add it to the application user's security role"
        return [Finding(level="unfit", about=plan.kind, what=f"the privilege {name} is missing", fix=fix) for name in missing]

    def _about_tracking(self, plan: Plan, privileges: Mapping[str, Privilege] | None) -> list[Finding]:
        about = f"{plan.kind}.changes"
        if self._settings.changes == "poll":
            return []
        if not plan.definition.ChangeTrackingEnabled:
            level: Level = "unfit" if self._settings.changes == "track" else "warning"
            what = f"change tracking is off for {plan.table.name}: changes are polled, deletions are not told"
            return [Finding(level=level, about=about, what=what, fix='Switch on "Track changes" in the table\'s properties')]
        name = next((told.Name.lower() for told in plan.definition.Privileges if told.PrivilegeType == "Read"), "")
        read = (privileges or {}).get(name)
        if read is not None and read.Depth not in _GLOBAL:
            what = f"change tracking needs organisation-wide read on {plan.table.name}, and the role reads less"
            return [Finding(level="unfit", about=about, what=what, fix='Widen the role, or set changes = "poll"')]
        return []

    def _about_columns(self, plan: Plan, needs: Sequence[Need]) -> list[Finding]:
        findings = []
        for need in needs:
            there = plan.accepts | plan.given if need.access == "write" else plan.tells
            for field in sorted(need.fields):
                name = field if field.startswith("extra.") else field.partition(".")[0]
                if name in there or name in ("number", "extra"):
                    continue
                column = self._column(plan, field)
                missing = column is not None and column not in plan.attributes
                if column is None:
                    what = f"{plan.table.name} has no column for it"
                    fix = f'Give it one: fields."{plan.kind}.{name}" = "{self._settings.prefix}_{name}"'
                elif missing:
                    what, fix = f"{plan.table.name} has no column {column}", "Create it, or run ml-connector ping --fix"
                else:
                    what, fix = f"the column {column} cannot be written", "Map another, or let Dynamics compute it"
                repairable = missing and "_" in str(column)
                findings.append(Finding(level="unfit", about=f"{plan.kind}.{field}", what=what, fix=fix, repairable=repairable))
        return findings

    def _about_key(self, plan: Plan) -> list[Finding]:
        about = f"{plan.kind}.number"
        column = plan.attributes.get(plan.key)
        if column is None:
            what, fix = f"{plan.table.name} has no column {plan.key} for the ERP's number", "Run ml-connector ping --fix"
            return [Finding(level="unfit", about=about, what=what, fix=fix, repairable=True)]
        if (key := _key_over(plan)) is not None and key.EntityKeyIndexStatus != "Active":
            what = f"the alternate key {key.SchemaName} is {key.EntityKeyIndexStatus or 'not active'}"
            fix = (
                "Wait for its index"
                if key.EntityKeyIndexStatus in ("Pending", "InProgress")
                else "Remove duplicates, then reactivate it"
            )
            return [Finding(level="warning", about=about, what=what, fix=fix)]
        if self._lacks_key(plan):
            what = f"no alternate key is over {plan.key}: new records are looked up first, and nothing keeps them unique"
            return [Finding(level="warning", about=about, what=what, fix="Run ml-connector ping --fix", repairable=True)]
        return []

    def _about_lines(self, plan: Plan) -> list[Finding]:
        column = self._settings.line_key
        if not isinstance(plan.children, Lines) or column in plan.children.attributes:
            return []
        what = f"{plan.children.table} has no column {column}: only lines whose keys are whole numbers can be kept"
        return [
            Finding(
                level="warning", about=f"{plan.kind}.lines.key", what=what, fix="Run ml-connector ping --fix", repairable=True
            )
        ]

    def _about_words(self, plan: Plan) -> list[Finding]:
        """Words of the settings must stand for statuses and choices that the environment has."""
        statuses = plan.statuses()
        words = {"order": self._settings.order_status, "quote": self._settings.quote_status}.get(plan.kind, {})
        findings = [
            Finding(
                level="unfit",
                about=f"{plan.kind}.status",
                what=f'"{word}" stands for {status}, which {plan.table.name} does not have',
                fix=f"Mend the setting {plan.kind}_status",
            )
            for word, status in words.items()
            if statuses and status not in statuses
        ]
        for path, mapped in self._settings.choices.items():
            kind, _, field = path.partition(".")
            column = plan.attributes.get(plan.columns.get(field, "")) if kind == plan.kind else None
            options = (
                {option.Value for option in column.OptionSet.Options} if column is not None and column.OptionSet else set()
            )
            findings += [
                Finding(
                    level="unfit",
                    about=path,
                    what=f'"{word}" stands for {value}, which is no choice',
                    fix="Mend the setting choices",
                )
                for word, value in mapped.items()
                if options and value not in options
            ]
        return findings

    # -- making

    def _column(self, plan: Plan, field: str) -> str | None:
        if field.startswith("extra."):
            return field.removeprefix("extra.")
        return plan.key if field == "number" else plan.home(field.partition(".")[0])

    def _lacks_key(self, plan: Plan) -> bool:
        """Quotes have no key: their revisions share a number. Leads and others have one where the column is there."""
        return plan.kind != "quote" and plan.key != plan.id and plan.key in plan.attributes and _key_over(plan) is None

    def _missing(self, plan: Plan, needs: Sequence[Need]) -> list[tuple[str, str, int]]:
        """Table, column and length of what is to be made, the key first."""
        wanted: dict[tuple[str, str], int] = {}
        writes = any(need.access == "write" for need in needs)
        if writes and plan.key not in plan.attributes:
            wanted[plan.table.name, plan.key] = KEY_LENGTH
        if writes and isinstance(plan.children, Lines) and self._settings.line_key not in plan.children.attributes:
            wanted[plan.children.table, self._settings.line_key] = KEY_LENGTH
        for need in needs:
            for field in sorted(need.fields):
                column = self._column(plan, field)
                if column is not None and "_" in column and column not in plan.attributes:
                    wanted.setdefault((plan.table.name, column), TEXT_LENGTH)
        return [(table, column, length) for (table, column), length in wanted.items()]

    async def _make_column(self, kind: Kind, table: str, column: str, length: int) -> Finding:
        prefix, _, name = column.partition("_")
        schema_name = f"{prefix}_{name[:1].upper()}{name[1:]}"
        try:
            await self._api.make_column(table, schema_name, name.replace("_", " "), length, self._settings.solution)
        except ContractBroken as error:
            return Finding(level="unfit", about=f"{kind}.{column}", what=error.what, fix=error.fix or _CUSTOMISER)
        return Finding(level="ok", about=f"{kind}.{column}", what=f"created {table}.{column} as a line of text")

    async def _make_key(self, plan: Plan) -> Finding:
        about, name = f"{plan.kind}.number", f"{self._settings.prefix}_{plan.table.name}_erpkey"
        try:
            await self._api.make_key(plan.table.name, name, "ERP key", [plan.key], self._settings.solution)
        except ContractBroken as error:
            return Finding(level="unfit", about=about, what=error.what, fix=error.fix or _CUSTOMISER)
        status = next((key.EntityKeyIndexStatus for key in await self._api.keys(plan.table.name) if key.SchemaName == name), "")
        if status == "Failed":
            what = f"the key over {plan.key} failed: some records have the same value"
            return Finding(level="unfit", about=about, what=what, fix="Mend the duplicates, then reactivate the key")
        return Finding(
            level="ok", about=about, what=f"created the alternate key {name} over {plan.key} ({status or 'Pending'})"
        )


def _key_over(plan: Plan) -> AlternateKey | None:
    return next((key for key in plan.definition.Keys if key.KeyAttributes == [plan.key]), None)


def by_kind(needs: Iterable[Need]) -> Mapping[Kind, list[Need]]:
    grouped: dict[Kind, list[Need]] = {}
    for need in needs:
        grouped.setdefault(need.kind, []).append(need)
    return grouped
