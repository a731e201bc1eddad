"""Values that a person gave in place of what a system says (``failures retry ID --set FIELD=VALUE``).

One way, they stand until the source says something new about the field: what it said when they were first used is kept beside
them. Two-way, they are what both sides shall hold, and are forgotten once both do.
"""

from typing import Final

import msgspec

from ml_connector.domain import Entity, Kind
from ml_connector.ports.state import Link
from ml_connector.sync import content


class _Kept(msgspec.Struct, omit_defaults=True):
    values: msgspec.Raw
    of: msgspec.Raw | None = None  # what the source said then; None: not used yet


_in: Final = msgspec.json.Decoder(_Kept)


def instead(values: Entity) -> bytes:
    """What a link keeps of them. ``values`` holds the given fields, all others are unset."""
    return msgspec.json.encode(_Kept(msgspec.Raw(content.encode(values))))


def chosen(link: Link, kind: Kind) -> Entity | None:
    """The values that both sides shall have."""
    return content.decode(kind, _in.decode(link.instead).values) if link.instead is not None else None


def applied(desired: Entity, link: Link, kind: Kind) -> tuple[Entity, Link]:
    """What the target shall hold with the given values in their places, and the link as it shall stand."""
    if link.instead is None:
        return desired, link
    kept = _in.decode(link.instead)
    values = content.decode(kind, kept.values)
    paths = content.changed_fields(values, None)
    if kept.of is not None:
        of = content.decode(kind, kept.of)
        paths = [path for path in paths if content.value_at(desired, path) == content.value_at(of, path)]
    if not paths:
        return desired, msgspec.structs.replace(link, instead=None)
    now = _Kept(
        values=msgspec.Raw(content.encode(content.only(values, paths))),
        of=msgspec.Raw(content.encode(content.only(desired, paths))),
    )
    replaced = content.put(desired, {path: content.value_at(values, path) for path in paths})
    return replaced, msgspec.structs.replace(link, instead=msgspec.json.encode(now))
