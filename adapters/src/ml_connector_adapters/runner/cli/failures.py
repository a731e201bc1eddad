"""``failures``: every record that is parked, rejected, in conflict or in doubt, with the vendor's words and what to do."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from ml_connector.errors import ConfigError
from ml_connector_adapters.runner.cli.common import Config, Json, answer, answer_json, complain, opened, run, shown, table

if TYPE_CHECKING:
    from ml_connector.domain import Side
    from ml_connector.ports.state import Link
    from ml_connector_adapters.runner.container import Opened

app = App(name="failures", help="Records that wait for something: list, show, retry, dismiss.")


async def _waiting(here: "Opened", flow: str | None, cause: str | None, older: timedelta | None) -> "list[Link]":
    from ml_connector.use_cases.booking import ATTENTION

    found = await here.store.links.standing(flow, ATTENTION)
    now = here.world.clock.now()
    return [
        link
        for link in found
        if (cause is None or cause in (link.standing, link.trouble.code if link.trouble else ""))
        and (
            older is None or (link.trouble is not None and link.trouble.since is not None and now - link.trouble.since >= older)
        )
    ]


@app.command(name="list")
def list_(
    *,
    flow: str | None = None,
    cause: str | None = None,
    older_than: timedelta | None = None,
    json: Json = False,
    config: Config = None,
) -> int:
    """Everything that waits, newest trouble first.

    Parameters
    ----------
    flow
        Only this flow.
    cause
        A standing (parked, rejected, conflicted, in_doubt) or a vendor's code (INVALID_DATA …).
    older_than
        Only trouble at least that old (90s, 15m, 2h, 3d).
    """

    async def task() -> int:
        async with opened(config) as here:
            found = await _waiting(here, flow, cause, older_than)
        if json:
            answer_json([_told(link) for link in found])
        elif not found:
            complain("nothing waits")
        else:
            table(
                ("id", "flow", "record", "standing", "cause", "what to do"),
                [
                    (link.id, link.flow, link.number, link.standing, _cause(link), link.trouble.fix if link.trouble else "")
                    for link in found
                ],
            )
        return 1 if found else 0

    return run(task)


def _cause(link: "Link") -> str:
    if link.trouble is None:
        return ""
    place = f"{link.trouble.field}: " if link.trouble.field else ""
    return f"{link.trouble.code}, {place}{link.trouble.reason}"


def _told(link: "Link") -> dict[str, Any]:
    return {
        "id": link.id,
        "flow": link.flow,
        "number": link.number,
        "standing": link.standing,
        "left": link.left,
        "right": link.right,
        "trouble": link.trouble,
    }


async def _named(here: "Opened", ids: tuple[str, ...]) -> "list[Link]":
    found = {link.id: link for link in await _waiting(here, None, None, None)}
    if unknown := [each for each in ids if each not in found]:
        raise ConfigError(f'nothing waits under "{unknown[0]}"', fix="See: ml-connector failures list")
    return [found[each] for each in ids]


@app.command
def show(failure: str, /, *, json: Json = False, config: Config = None) -> int:
    """One record that waits, whole."""

    async def task() -> int:
        async with opened(config) as here:
            [link] = await _named(here, (failure,))
            left, right = next((flow.left, flow.right) for flow in here.workspace.flows if flow.name == link.flow)
        if json:
            answer_json(_told(link))
            return 0
        answer(f"{link.flow}: {link.number} is {link.standing}")
        answer(f"  ids: {link.left.id or 'none'} → {link.right.id or 'none'}")
        if link.trouble is not None:
            answer(f"  {_cause(link)}")
            for clash in link.trouble.clashes:
                sides = f"{left} {shown(clash.left)}, {right} {shown(clash.right)}"
                answer(f"  {clash.field}: {sides}, agreed {shown(clash.agreed)}")
            answer(f"  since {link.trouble.since:%Y-%m-%d %H:%M:%S}Z, attempts {link.trouble.attempts}")
            answer(f"  what to do: {link.trouble.fix or 'correct the record at its source'}; then: failures retry {link.id}")
        return 0

    return run(task)


@app.command
def retry(
    *failures: str,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    values: Annotated[tuple[str, ...], Parameter(name="--set", negative="", consume_multiple=False)] = (),
    take: str | None = None,
    config: Config = None,
) -> int:
    """Try records again now: read anew at the source, written through the same pipeline.

    Parameters
    ----------
    every
        Everything that waits.
    values
        FIELD=VALUE, once or more: use this in place of what the source says, until the source says something new; in a two-way
        flow both sides get it. An empty value clears.
    take
        The connection whose values win the clash that waits.
    """

    async def task() -> int:
        from ml_connector_adapters.runner.worker import exit_code

        if bool(failures) == every:
            raise ConfigError("which ones?", fix="Name their ids, or say --all")
        async with opened(config) as here:
            links = await (_waiting(here, None, None, None) if every else _named(here, failures))
            await _decide(here, links, values, take)
            await here.store.links.mark_due([link.id for link in links])
            names = {link.flow for link in links}
            results = [await here.worker.run(flow) for flow in here.workspace.flows if flow.name in names]
            left = {link.id for link in await _waiting(here, None, None, None)}
        for result in results:
            if result.error is not None:
                complain(str(result.error))
        still = [link for link in links if link.id in left]
        answer(f"tried {len(links)}, settled {len(links) - len(still)}, still waiting {len(still)}")
        return exit_code(results) or (1 if still else 0)

    return run(task)


async def _decide(here: "Opened", links: "list[Link]", values: tuple[str, ...], take: str | None) -> None:
    """Keep what the person gave with the links, flow by flow; all of it is checked before any of it is kept."""
    from functools import partial

    from ml_connector.use_cases.mend import given, mend

    if not values and take is None:
        return
    if bad := [each for each in values if "=" not in each]:
        raise ConfigError(f'--set "{bad[0]}" is not FIELD=VALUE', fix='Say: --set phone="+46 8 1"')
    texts = {field.strip(): value for field, _, value in (each.partition("=") for each in values)}
    flows = {flow.name: flow for flow in here.workspace.flows}
    entities = {name: given(flows[name].target, texts) if texts else None for name in {link.flow for link in links}}
    for name in entities:
        if take is not None and (not flows[name].two_way or take not in (flows[name].left, flows[name].right)):
            raise ConfigError(f"--take {take}: flows.{name} has no such side to choose", fix="Leave it out")
    for name, entity in entities.items():
        flow = flows[name]
        side: Side | None = None if take is None else "left" if take == flow.left else "right"
        mine = [link for link in links if link.flow == name]
        await here.worker.booked(flow, partial(mend, flow, mine, here.world, values=entity, take=side))


@app.command
def dismiss(*failures: str, config: Config = None) -> int:
    """Stop telling of these; a later change at the source brings the record back by itself."""

    async def task() -> int:
        if not failures:
            raise ConfigError("which ones?", fix="Name their ids; ml-connector failures list shows them")
        async with opened(config) as here:
            links = await _named(here, failures)
            count = await here.store.links.dismiss([link.id for link in links])
        answer(f"dismissed {count}")
        return 0

    return run(task)
