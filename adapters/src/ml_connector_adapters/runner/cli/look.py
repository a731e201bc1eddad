"""Commands that look at how things stand and how they came to: status, explain."""

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from cyclopts import App

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import (
    Config,
    Json,
    answer,
    answer_json,
    complain,
    in_words,
    opened,
    run,
    shown,
    table,
)

if TYPE_CHECKING:
    from ml_connector.domain import Kind
    from ml_connector.flows import Flow
    from ml_connector.ports.state import Standing
    from ml_connector.use_cases.explain import Chapter, Event, Field, Held
    from ml_connector_adapters.runner.container import Opened

WAITING: Final[tuple["Standing", ...]] = ("parked", "rejected")
"""Standings that are told with what the records wait for."""


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
    from ml_connector.use_cases.booking import ATTENTION
    from ml_connector_adapters.runner.schedule import next_due

    now = here.world.clock.now()
    flows = []
    for flow in here.workspace.flows:
        last = next(iter(await here.store.ledger.last(flow.name)), None)
        tally = dict(await here.store.links.tally(flow.name))
        waiting: dict[str, Counter[str]] = {
            standing: await _causes(here, flow.name, standing) if tally.get(standing) else Counter() for standing in WAITING
        }
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
                **waiting,
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


async def _causes(here: "Opened", flow: str, standing: "Standing") -> Counter[str]:
    """Code → how many of the flow's latest thousand records of that standing have it because of that."""
    links = await here.store.links.standing(flow, (standing,))
    return Counter(link.trouble.code for link in links if link.trouble is not None)


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
        for standing in WAITING:
            if told_by_code := ", ".join(f"{count} {code}" for code, count in sorted(flow[standing].items())):
                looked_at = sum(flow[standing].values())
                latest = f"of the latest {looked_at:,}, " if looked_at < flow["standings"][standing] else ""
                answer(f"{flow['flow']}: {standing}: {latest}{told_by_code}")
    for each in told["connections"]:
        token = f"token until {each['token_until']:%H:%M:%S}Z" if each["token_until"] else "no token yet"
        channel = f", channel until {each['channel_until']:%Y-%m-%d %H:%M}Z" if each["channel_until"] else ""
        answer(f"{each['connection']}: {'PAUSED: ' + each['paused'] if each['paused'] else 'open'}, {token}{channel}")


def known_kind(kind: str) -> "Kind":
    """The word as a kind of record. Raises ConfigError."""
    from ml_connector.domain import ENTITIES

    found = next((each for each in ENTITIES if each == kind), None)
    if found is None:
        raise ConfigError(f'"{kind}" is no kind of record', fix=f"There are: {', '.join(ENTITIES)}")
    return found


def explain(kind: str, number: str, field: str | None = None, /, *, json: Json = False, config: Config = None) -> int:
    """One record's story: what either side holds and whose edit that was, and every change with who, when, why, in which trace.

    Parameters
    ----------
    kind
        order, account, deal …
    number
        The business number, as people quote it.
    field
        Only this field of the target (stage, billing, extra.Region …).
    """

    async def task() -> int:
        from ml_connector.use_cases.explain import explain as tell

        wanted = known_kind(kind)
        async with opened(config) as here:
            if field is not None:
                _check_field(field, wanted, here.workspace.flows)
            chapters = await tell(wanted, number, here.workspace.flows, here.store, field=field)
        if json:
            answer_json([_chapter(chapter) for chapter in chapters])
        elif not chapters:
            complain(f"no flow knows {kind} {number}")
        else:
            for chapter in chapters:
                _show_chapter(chapter, field)
        return 0 if chapters else 1

    return run(task)


def _check_field(field: str, kind: "Kind", flows: "tuple[Flow, ...]") -> None:
    """Raises ConfigError for a field that no target has that records of this kind become."""
    from ml_connector.domain import ENTITIES
    from ml_connector.flows.fields import misnamed
    from ml_connector_adapters.words import nearest

    targets = sorted({flow.target for flow in flows if kind in (flow.entity, flow.target)})
    if targets and all(misnamed(field, target) is not None for target in targets):
        raise ConfigError(f'{targets[0]} has no field "{field}"{nearest(field, ENTITIES[targets[0]].__struct_fields__)}')


def _chapter(chapter: "Chapter") -> dict[str, Any]:
    flow, link = chapter.flow, chapter.link
    return {
        "flow": flow.name,
        "standing": link.standing,
        flow.left: link.left.place,
        flow.right: link.right.place,
        "trouble": link.trouble,
        "drift": chapter.drift,
        "fields": [
            {"field": each.field, "agreed": each.agreed, flow.left: each.left, flow.right: each.right, "clash": each.clash}
            for each in chapter.fields
        ],
        "entries": [
            {"seq": event.record.seq, "hash": event.record.hash, "by": event.by, "by_version": event.version, **_told(event)}
            for event in chapter.events
        ],
    }


def _told(event: "Event") -> dict[str, Any]:
    import msgspec

    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event.entry))
    return told


def _show_chapter(chapter: "Chapter", field: str | None) -> None:
    flow, link = chapter.flow, chapter.link
    answer(f"{flow.name}: {link.standing}")
    answer(f"  {flow.left}: {flow.entity} {link.left.id or 'not there'} at version {link.left.version or 'unknown'}")
    answer(f"  {flow.right}: {flow.target} {link.right.id or 'not there'} at version {link.right.version or 'unknown'}")
    for each in chapter.fields:
        if field is not None or each.differs:
            _show_field(flow, each)
    if link.trouble is not None:
        place = f"{link.trouble.field}: " if link.trouble.field and not link.trouble.clashes else ""
        answer(f"  waits: {link.trouble.code}, {place}{link.trouble.reason}. {link.trouble.fix}".rstrip(". ") + ".")
        if clashing := [each.field for each in chapter.fields if each.clash is not None]:
            for choice in (f"--take {flow.left}", f"--take {flow.right}", f"--set {clashing[0]}=VALUE"):
                answer(f"    ml-connector failures retry {link.id} {choice}")
    _show_drift(chapter)
    for event in chapter.events:
        _show_event(event, flow, field)


def _show_field(flow: "Flow", told: "Field") -> None:
    sides = ((flow.left, told.left), (flow.right, told.right))
    if not told.differs and told.left.origin == told.right.origin:
        answer(f"  {told.field}: {shown(told.left.value)} on both sides{_whose(told.left)}")
        return
    answer(f"  {told.field}: last agreed {shown(told.agreed)}")
    for name, held in sides:
        answer(f"    {name} holds {shown(held.value)}{_whose(held)}")


def _whose(held: "Held") -> str:
    if held.origin is None:
        return ""
    origin = held.origin
    version = f" at version {origin.version}" if origin.version else ""
    return f": set by {origin.by}{version}, {_time(origin.at)}, entry {origin.seq}"


def _show_drift(chapter: "Chapter") -> None:
    from ml_connector.ports.state import DELETED

    if not chapter.drift:
        return
    flow = chapter.flow
    what = "deleted" if chapter.drift == (DELETED,) else "edited"
    fields = "" if what == "deleted" else f": {', '.join(chapter.drift)}"
    rule = "restored by the next run" if flow.drift == "restore" else f"{flow.left} owns it and wins at its next change"
    answer(f"  {what} at {flow.right}{fields}; {rule}")


def _show_event(event: "Event", flow: "Flow", field: str | None) -> None:
    from ml_connector.sync.restore import WRITES
    from ml_connector.use_cases.explain import PERSON, about

    entry = event.entry
    version = f" (version {event.version})" if event.version else ""
    edit = "decided by a person" if event.by == PERSON else f"{event.by}'s edit{version}"
    written = f" at {flow.connection(entry.side)}, {edit}" if entry.action in WRITES else ""
    reason = f": {entry.reason}" if entry.reason else ""
    answer(f"  {_time(entry.at)} {entry.action}{written}{reason}{version if entry.action == 'drifted' else ''}")
    for change in entry.changes:
        if field is None or about(change.field, field):
            because = f" ({change.rule})" if isinstance(change.rule, str) else ""
            for told in in_words(change):
                answer(f"    {told}{because}")
    answer(f"    entry {event.record.seq}, rule: {entry.rule or flow.name}; run {entry.run}, trace {entry.trace_id}")


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"
