"""Commands that look at what happened: status, explain, audit."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import Config, Json, answer, answer_json, complain, opened, run, table

if TYPE_CHECKING:
    from ml_connector.ports.state import AuditRecord
    from ml_connector.use_cases.explain import Chapter
    from ml_connector_adapters.runner.container import Opened

audit_app = App(name="audit", help="The audit trail: export it, verify its hash chain.")


def register(app: App) -> None:
    app.command(status)
    app.command(explain)


def status(*, watch: bool = False, json: Json = False, config: Config = None) -> int:
    """Per flow: last run, counts, next run, what waits for a person. Per connection: token, pause, channel.

    Parameters
    ----------
    watch
        Show it again every two seconds.
    """

    async def task() -> int:
        import asyncio

        async with opened(config) as here:
            while True:
                told = await _status(here)
                if json:
                    answer_json(told)
                else:
                    _show_status(told)
                if not watch:
                    waits = any(flow["attention"] for flow in told["flows"])
                    paused = any(each["paused"] for each in told["connections"])
                    return 3 if paused else 1 if waits else 0
                await asyncio.sleep(2)

    return run(task)


async def _status(here: "Opened") -> dict[str, Any]:
    from ml_connector.use_cases.run_flow import ATTENTION
    from ml_connector_adapters.runner.schedule import next_due

    now = here.world.clock.now()
    flows = []
    for flow in here.workspace.flows:
        last = next(iter(await here.store.ledger.last(flow.name)), None)
        tally = dict(await here.store.links.tally(flow.name))
        due = next_due(flow.schedule, last.started_at if last else None, now)
        flows.append(
            {
                "flow": flow.name,
                "last_run": last,
                "lag_s": round((now - last.started_at).total_seconds()) if last else None,
                "next_run": due,
                "standings": tally,
                "drifted": tally.get("drifted", 0),
                "attention": sum(tally.get(standing, 0) for standing in ATTENTION),
            }
        )
    paused = await here.store.pauses.paused(now)
    channels = {each.connection: each for each in await here.store.subscriptions.all()}
    connections = []
    for name in here.workspace.connections:
        channel = channels.get(name)
        connections.append(
            {
                "connection": name,
                "paused": paused[name][0] if name in paused else "",
                "token_until": (token.expires_at if (token := await here.token(name)) else None),
                "channel_until": channel.expires_at if channel else None,
            }
        )
    return {"workspace": here.workspace.name, "key": here.key_origin, "flows": flows, "connections": connections}


def _show_status(told: dict[str, Any]) -> None:
    answer(f"workspace {told['workspace']}; master key: {told['key']}")
    rows = []
    for flow in told["flows"]:
        last = flow["last_run"]
        rows.append(
            (
                flow["flow"],
                f"{last.started_at:%Y-%m-%d %H:%M:%S}Z {last.outcome}" if last else "never",
                f"{flow['next_run']:%H:%M:%S}Z" if flow["next_run"] else "when asked",
                flow["standings"].get("agreed", 0),
                flow["attention"],
                flow["drifted"],
            )
        )
    table(("flow", "last run", "next", "agreed", "needs attention", "edited there"), rows)
    for flow in told["flows"]:
        if flow["last_run"] is not None and flow["last_run"].note:
            answer(f"{flow['flow']}: {flow['last_run'].note}")
    for each in told["connections"]:
        token = f"token until {each['token_until']:%H:%M:%S}Z" if each["token_until"] else "no token yet"
        channel = f", channel until {each['channel_until']:%Y-%m-%d %H:%M}Z" if each["channel_until"] else ""
        answer(f"{each['connection']}: {'PAUSED: ' + each['paused'] if each['paused'] else 'open'}, {token}{channel}")


def explain(kind: str, number: str, field: str | None = None, /, *, json: Json = False, config: Config = None) -> int:
    """One record's story: where it stands, and every change with who, when, under which rule, in which trace.

    Parameters
    ----------
    kind
        order, account, deal …
    number
        The business number, as people quote it.
    field
        Only changes of this field.
    """

    async def task() -> int:
        from ml_connector.domain import ENTITIES
        from ml_connector.use_cases.explain import explain as tell

        if kind not in ENTITIES:
            raise ConfigError(f'"{kind}" is no kind of record', fix=f"There are: {', '.join(ENTITIES)}")
        async with opened(config) as here:
            chapters = await tell(kind, number, here.workspace.flows, here.store, field=field)
        if json:
            answer_json([_chapter(chapter) for chapter in chapters])
        elif not chapters:
            complain(f"no flow knows {kind} {number}")
        else:
            for chapter in chapters:
                _show_chapter(chapter, field)
        return 0 if chapters else 1

    return run(task)


def _chapter(chapter: "Chapter") -> dict[str, Any]:
    link = chapter.link
    return {
        "flow": chapter.flow.name,
        "standing": link.standing,
        chapter.flow.left: link.left,
        chapter.flow.right: link.right,
        "trouble": link.trouble,
        "drift": chapter.drift,
        "entries": [{"seq": record.seq, "hash": record.hash, **_told(record)} for record in chapter.entries],
    }


def _told(record: "AuditRecord") -> dict[str, Any]:
    import msgspec

    return msgspec.to_builtins(record.entry)  # type: ignore[no-any-return]


def _show_chapter(chapter: "Chapter", field: str | None) -> None:
    from ml_connector.sync import content
    from ml_connector.sync.decide import DELETED

    flow, link = chapter.flow, chapter.link
    answer(f"{flow.name}: {link.standing}")
    answer(f"  {flow.left}: {flow.entity} {link.left.id or 'not there'} at version {link.left.version or 'unknown'}")
    answer(f"  {flow.right}: {flow.target} {link.right.id or 'not there'} at version {link.right.version or 'unknown'}")
    if field is not None and link.agreed is not None:
        for change in content.changes_between(None, content.decode(flow.target, link.agreed), [field]):
            answer(f"  agreed {field}: {_value(change.new)}")
    if link.trouble is not None:
        place = f"{link.trouble.field}: " if link.trouble.field else ""
        answer(f"  waits: {link.trouble.code}, {place}{link.trouble.reason}. {link.trouble.fix}".rstrip(". ") + ".")
    if chapter.drift:
        what = "deleted" if chapter.drift == (DELETED,) else "edited"
        fields = "" if what == "deleted" else f": {', '.join(chapter.drift)}"
        answer(f"  {what} at {flow.right}{fields}; {_drift_rule(flow.drift, flow.left)}")
    for record in chapter.entries:
        entry = record.entry
        reason = f": {entry.reason}" if entry.reason else ""
        answer(
            f"  {entry.at:%Y-%m-%d %H:%M:%S}Z {entry.action}{reason} (rule: {entry.rule or flow.name}; trace {entry.trace_id})"
        )
        for change in entry.changes:
            if field is None or change.field == field:
                answer(f"    {change.field}: {_value(change.old)} → {_value(change.new)}")


def _drift_rule(rule: str, owner: str) -> str:
    return "restored by the next run" if rule == "restore" else f"{owner} owns it and wins at its next change"


def _value(value: Any) -> str:
    import msgspec

    if value is msgspec.UNSET or value == "UNSET":
        return "(unknown)"
    return msgspec.json.encode(value).decode()


@audit_app.command
def export(*, since: datetime | None = None, config: Config = None) -> int:
    """Every entry as one JSON object a line, oldest first."""

    async def task() -> int:
        import msgspec

        from ml_connector_adapters.runner.cli.work import _aware

        async with opened(config) as here:
            entries: AsyncIterator[AuditRecord] = here.store.ledger.entries(since=_aware(since))
            async for record in entries:
                answer(msgspec.json.encode({"seq": record.seq, "hash": record.hash, **_told(record)}).decode())
        return 0

    return run(task)


@audit_app.command
def verify(*, config: Config = None, json: Annotated[bool, Parameter(negative="")] = False) -> int:
    """Check the hash chain: a changed, removed or reordered entry is found."""

    async def task() -> int:
        async with opened(config) as here:
            count, broken = await here.store.ledger.verify()
        if json:
            answer_json({"entries": count, "first_broken": broken})
        elif broken is None:
            answer(f"{count} entries, the chain is whole")
        else:
            answer(f"the chain breaks at entry {broken}: it or its predecessor was changed, removed or moved")
        return 0 if broken is None else 1

    return run(task)
