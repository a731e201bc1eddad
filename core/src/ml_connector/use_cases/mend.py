"""Values that a person gives for records that wait: typed, kept with the link, told in the audit, used by the next try."""

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ml_connector.domain import ENTITIES, Address, Entity, Kind, Money, Side
from ml_connector.errors import ConfigError
from ml_connector.flows import Flow
from ml_connector.flows.fields import misnamed
from ml_connector.ports.state import AuditEntry, Link, Settlement
from ml_connector.sync import content, instead
from ml_connector.sync.passage import World
from ml_connector.use_cases.booking import booked

_SIMPLE: Final = (str, bool, int, Decimal, dt.date)


def given(kind: Kind, texts: Mapping[str, str]) -> Entity:
    """The entity that holds these values at these paths, each read as its field's type; "" clears. Raises ConfigError.

    A path is a field, a part of an address, or ``extra.NAME`` (text). Money is written ``12.50 EUR``, a date ``2026-01-31``.
    """
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for path, text in texts.items():
        if (wrong := misnamed(path, kind)) is not None:
            mistakes.append(f'--set {path}: {kind} has no field "{wrong}"')
            continue
        try:
            values[path] = _typed(kind, path, text)
        except ValueError as error:
            mistakes.append(f"--set {path}: {error}")
    if mistakes:
        raise ConfigError(mistakes[0], mistakes=tuple(mistakes))
    return content.put(ENTITIES[kind](), values)


def _typed(kind: Kind, path: str, text: str) -> Any:
    if text == "":
        return None
    head, _, rest = path.partition(".")
    if head == "extra":
        return text
    fields = {field.name: field.type for field in msgspec.structs.fields(ENTITIES[kind])}
    options = getattr(fields[head], "__args__", ())
    if rest:
        if Address not in options:
            raise ValueError(f"set {head} as a whole")
        return text
    if Money in options:
        amount, _, currency = text.partition(" ")
        try:
            return Money(Decimal(amount), currency.strip().upper())
        except InvalidOperation:
            raise ValueError(f'"{text}" is no amount. Write it like 12.50 EUR') from None
    simple = next((option for option in options if option in _SIMPLE), None)
    if simple is None:
        raise ValueError("this field cannot be given as a text. Correct it at its source")
    try:
        return msgspec.convert(text, simple, strict=False)
    except msgspec.ValidationError:
        raise ValueError(f'"{text}" is no {_WORDS[simple]}') from None


_WORDS: Final[dict[type, str]] = {
    str: "text",
    bool: "yes or no (true, false)",
    int: "whole number",
    Decimal: "number",
    dt.date: "date (2026-01-31)",
}


async def mend(
    flow: Flow, links: Sequence[Link], world: World, *, values: Entity | None = None, take: Side | None = None
) -> None:
    """Keep what a person decided with these links and mark them due; the next run carries it out.

    ``values`` stand for what the source says (one way), or are what both sides shall hold (two-way). ``take``: the clashes of a
    two-way flow are settled for that side. Raises ConfigError when there is nothing to take, and LeaseHeld.
    """
    if take is not None and (idle := [link.number for link in links if link.trouble is None or not link.trouble.clashes]):
        raise ConfigError(f"{idle[0]} waits for no choice between two sides", fix="Leave --take out")
    async with booked(flow, world) as (run, lease):
        batch = Settlement(run=run)
        for link in links:
            kept = instead.instead(flow.target, link, values=values, take=take)
            batch.links.append(msgspec.structs.replace(link, instead=kept))
            told = instead.chosen(batch.links[-1], flow.target)
            batch.audit.append(
                AuditEntry(
                    at=world.clock.now(),
                    run=run.id,
                    flow=flow.name,
                    trace_id=run.trace_id,
                    kind=flow.target,
                    number=link.number,
                    link=link.id,
                    action="noted",
                    left=link.left.place,
                    right=link.right.place,
                    rule="a person decided",
                    reason=f"{flow.connection(take)}'s values were taken" if take is not None else "values were given by hand",
                    changes=content.changes_between(None, told, content.changed_fields(told, None)) if told is not None else (),
                )
            )
        await world.state.settle(lease, batch)
        await world.state.links.mark_due([link.id for link in links])
        run.outcome = "green"
