"""What a person decided about a record that waits (``failures retry ID --set FIELD=VALUE``, ``--take CONNECTION``).

One way, given values stand until the source says something new about the field: what it said when they were first used is kept
beside them. Two-way, they are what both sides shall hold, and all of it is forgotten once both do.
"""

from typing import Final

import msgspec

from ml_connector.domain import ENTITIES, Entity, Kind, Side
from ml_connector.ports.state import Link
from ml_connector.sync import content

_NOTHING: Final = msgspec.Raw(b"")


class _Kept(msgspec.Struct, omit_defaults=True):
    values: msgspec.Raw = _NOTHING
    of: msgspec.Raw = _NOTHING  # what the source said when they were first used; nothing: not used yet
    take: Side | None = None  # whose lines win, where lines clash


_in: Final = msgspec.json.Decoder(_Kept)


def instead(kind: Kind, link: Link, *, values: Entity | None = None, take: Side | None = None) -> bytes:
    """What the link keeps. ``values`` holds the given fields, all others are unset; ``take`` is the winner of its clashes."""
    chosen_ = values if values is not None else ENTITIES[kind]()
    lines = False
    for clash in link.trouble.clashes if take is not None and link.trouble is not None else ():
        if clash.field.startswith("lines"):
            lines = True
            continue
        chosen_ = content.put(chosen_, {clash.field: content.untold(kind, clash.field, getattr(clash, take or "left"))})
    kept = _Kept(values=_raw(chosen_) if chosen_ != ENTITIES[kind]() else _NOTHING, take=take if lines else None)
    return msgspec.json.encode(kept)


def chosen(link: Link, kind: Kind) -> Entity | None:
    """The values that both sides shall have."""
    kept = _in.decode(link.instead) if link.instead is not None else _Kept()
    return content.decode(kind, kept.values) if kept.values else None


def taken(link: Link) -> Side | None:
    """The side that wins what still clashes."""
    return _in.decode(link.instead).take if link.instead is not None else None


def applied(desired: Entity, link: Link, kind: Kind) -> tuple[Entity, Link]:
    """What the target shall hold with the given values in their places, and the link as it shall stand."""
    if link.instead is None:
        return desired, link
    kept = _in.decode(link.instead)
    values = content.decode(kind, kept.values) if kept.values else ENTITIES[kind]()
    paths = content.changed_fields(values, None)
    if kept.of:
        of = content.decode(kind, kept.of)
        paths = [path for path in paths if content.value_at(desired, path) == content.value_at(of, path)]
    if not paths:
        return desired, msgspec.structs.replace(link, instead=None)
    now = _Kept(values=_raw(content.only(values, paths)), of=_raw(content.only(desired, paths)))
    replaced = content.put(desired, {path: content.value_at(values, path) for path in paths})
    return replaced, msgspec.structs.replace(link, instead=msgspec.json.encode(now))


def _raw(entity: Entity) -> msgspec.Raw:
    return msgspec.Raw(content.encode(entity))
