"""What an entity says: encoded, and compared field by field. Equality is by value: 1.5 and 1.50 are the same amount."""

import datetime as dt
import functools
from collections.abc import Container, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from ml_connector.domain import ENTITIES, UNSET, Address, Entity, Extra, Kind, Line, Scalar
from ml_connector.ports.state import Change

E = TypeVar("E", bound=msgspec.Struct)

_TAGS: Final[dict[type, str]] = {Decimal: "decimal", dt.date: "date", dt.datetime: "instant"}
_UNTAG: Final = {"decimal": Decimal, "date": dt.date.fromisoformat, "instant": dt.datetime.fromisoformat}


def _encode_extra(value: Any) -> Any:
    """Custom fields carry their type along, because nothing else says what it was."""
    if isinstance(value, Extra):
        return {name: _typed_part(part) for name, part in sorted(value.as_dict().items())}
    raise TypeError(f"cannot encode {type(value)}")


def _typed_part(part: Scalar) -> Any:
    if type(part) not in _TAGS:
        return part
    return {_TAGS[type(part)]: part.isoformat() if isinstance(part, dt.date) else str(part)}


def _decode_extra(kind: type, value: Any) -> Any:
    if kind is Extra:
        return Extra({name: _untagged(part) for name, part in value.items()})
    raise TypeError(f"cannot decode {kind}")


def _untagged(part: Any) -> Scalar:
    if isinstance(part, dict):
        [(tag, text)] = part.items()
        return _UNTAG[tag](text)  # type: ignore[no-any-return, operator]
    return part  # type: ignore[no-any-return]


_fields_in: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder: Final = msgspec.json.Encoder(enc_hook=_encode_extra)


@functools.cache
def _decoder(kind: Kind) -> msgspec.json.Decoder[Entity]:
    return msgspec.json.Decoder(ENTITIES[kind], dec_hook=_decode_extra)


def encode(entity: Entity) -> bytes:
    """Lossless JSON; unset fields are absent. Equal entities may differ in bytes (1.5 and 1.50): decode to compare."""
    return _encoder.encode(entity)


def decode(kind: Kind, data: bytes) -> Entity:
    return _decoder(kind).decode(data)


def changed_fields(new: Entity, old: Entity | None) -> list[str]:
    """Fields (``extra.NAME`` for custom ones) set in ``new`` that differ in ``old``; all set ones without an ``old``."""
    names: list[str] = []
    was = (UNSET,) * len(new.__struct_fields__) if old is None else msgspec.structs.astuple(old)
    for name, value, before in zip(new.__struct_fields__, msgspec.structs.astuple(new), was, strict=True):
        if value is UNSET or value == before:
            continue
        if name == "extra":
            known = before if isinstance(before, Extra) else Extra()
            names += [f"extra.{key}" for key, part in value.items() if key not in known or known[key] != part]
        elif isinstance(value, Address) and isinstance(before, Address) and _covered(value, before):
            continue
        else:
            names.append(name)
    return names


def _covered(new: Address, old: Address) -> bool:
    return all(getattr(new, part) in (UNSET, getattr(old, part)) for part in new.__struct_fields__)


def parts_of(value: Any) -> tuple[str, ...]:
    """Names of the parts that an address or the custom fields tell of; () for anything else."""
    if isinstance(value, Extra):
        return tuple(value)
    if isinstance(value, Address):
        return tuple(name for name in value.__struct_fields__ if getattr(value, name) is not UNSET)
    return ()


def part(value: Any, told: Container[str], name: str) -> Any:
    """One part of such a value; UNSET when it does not tell it, None when the whole is cleared."""
    if value is None:
        return None
    if name not in told:
        return UNSET
    return value[name] if isinstance(value, Extra) else getattr(value, name)


def value_at(entity: Entity, path: str) -> Any:
    """What stands at the path: a field, a part of an address, or ``extra.NAME``; UNSET where nothing is told."""
    head, _, rest = path.partition(".")
    value = getattr(entity, head)
    return part(value, parts_of(value), rest) if rest else value


def put(entity: E, values: Mapping[str, Any]) -> E:
    """The entity with these values at their paths; UNSET takes what stands there away."""
    whole: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        head, _, rest = path.partition(".")
        if rest:
            parts.setdefault(head, {})[rest] = value
        else:
            whole[head] = value
    for head, given in parts.items():
        before = whole.get(head, getattr(entity, head))
        if head == "extra":
            told = {**(before if isinstance(before, Extra) else {}), **given}
            whole[head] = Extra({name: value for name, value in told.items() if value is not UNSET})
        else:
            whole[head] = msgspec.structs.replace(before if isinstance(before, Address) else Address(), **given)
    return msgspec.structs.replace(entity, **whole) if whole else entity


def only(entity: E, paths: Iterable[str]) -> E:
    """The entity reduced to these paths; everything else is unset."""
    return put(type(entity)(), {path: value_at(entity, path) for path in paths})  # type: ignore[arg-type]


def without_empty(entity: Entity) -> Entity:
    """For a create: what is cleared need not be said."""
    if not _says_empty(entity):
        return entity
    values = {name: value for name, value in msgspec.structs.asdict(entity).items() if value is not None and value is not UNSET}
    if isinstance(entity.extra, Extra):
        values["extra"] = Extra({name: value for name, value in entity.extra.as_dict().items() if value is not None})
    return type(entity)(**values)


def _says_empty(entity: Entity) -> bool:
    for value in msgspec.structs.astuple(entity):  # not ``in``: a Decimal asks at length whether None is a number
        if value is None:
            return True
    return isinstance(entity.extra, Extra) and None in entity.extra.values()


def alike(ours: Any, theirs: Any) -> bool:
    """Equal but for what vendors do to values: trimmed text, fewer decimals, empty for null."""
    if ours == theirs:
        return True
    if ours in (None, "", UNSET) and theirs in (None, "", UNSET):
        return True
    if isinstance(ours, str) and isinstance(theirs, str):
        return ours.split() == theirs.split()
    if isinstance(ours, Decimal) and isinstance(theirs, Decimal):
        places = max(ours.as_tuple().exponent, theirs.as_tuple().exponent)
        step = Decimal(1).scaleb(int(places))
        return abs(ours - theirs) < step
    if isinstance(ours, msgspec.Struct) and type(ours) is type(theirs):
        pairs = ((getattr(ours, name), getattr(theirs, name)) for name in ours.__struct_fields__)
        return all(mine is UNSET or other is UNSET or alike(mine, other) for mine, other in pairs)  # untold is not unlike
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return len(ours) == len(theirs) and all(alike(a, b) for a, b in zip(ours, theirs, strict=True))
    return False


def stands(sent: Entity, before: Entity | None, there: Entity) -> bool:
    """Whether all of what was sent stands there, as far as vendors' spelling goes, and some of it did not before."""
    paths = fine(sent)
    return all(akin(value_at(sent, path), value_at(there, path)) for path in paths) and any(
        before is None or not alike(value_at(before, path), value_at(there, path)) for path in paths
    )


def came(sent: Entity, paths: Iterable[str], before: Entity | None, there: Entity) -> tuple[str, ...]:
    """Of the paths that were sent, those whose values stand there and did not before."""
    was = type(sent)() if before is None else before
    return tuple(
        path
        for path in paths
        if akin(value_at(sent, path), value_at(there, path)) and not alike(value_at(was, path), value_at(there, path))
    )


def akin(ours: Any, theirs: Any) -> bool:
    """Alike, or what a vendor may have made of ours: cut short, in another case, lines under keys of its own."""
    if alike(ours, theirs):
        return True
    if isinstance(ours, str) and isinstance(theirs, str):
        one, other = " ".join(ours.split()).casefold(), " ".join(theirs.split()).casefold()
        return bool(other) and one.startswith(other)
    if isinstance(ours, msgspec.Struct) and type(ours) is type(theirs):
        pairs = ((getattr(ours, name), getattr(theirs, name)) for name in ours.__struct_fields__)
        return all(mine is UNSET or akin(mine, other) for mine, other in pairs)
    if isinstance(ours, tuple) and isinstance(theirs, tuple):
        return alike(_keyless(ours), _keyless(theirs))
    return False


def begun(ours: Any, theirs: Any) -> bool:
    """Whether the lines that stand there are the first of ours, and not all: what is left of a write cut off among them."""
    if not isinstance(ours, tuple) or not isinstance(theirs, tuple):
        return False
    return len(theirs) < len(ours) and akin(ours[: len(theirs)], theirs)


def _keyless(lines: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(msgspec.structs.replace(line, key="") if isinstance(line, Line) else line for line in lines)


def spelling(sent: Entity, there: Entity, *, by_us: bool) -> Entity:
    """What stands there, but with what we sent in place of what no vendor makes of it: that is somebody's edit since.

    ``by_us``: the vendor says that the last hand was ours, so that all of it is spelling.
    """
    if by_us:
        return there
    paths = [path for path in fine(sent) if not akin(value_at(sent, path), value_at(there, path)) and tells(there, path)]
    return put(there, {path: value_at(sent, path) for path in paths})


def learnt(base: Entity, there: Entity) -> Entity:
    """What was known to stand there, in the spelling in which it does."""
    theirs = {path: value_at(there, path) for path in fine(base) if tells(there, path)}
    return put(base, {path: value for path, value in theirs.items() if akin(value_at(base, path), value)})


def fine(entity: Entity) -> list[str]:
    """The paths that are set, parts of an address one by one."""
    found: list[str] = []
    for path in changed_fields(entity, None):
        value = value_at(entity, path)
        found += [f"{path}.{name}" for name in parts_of(value)] if isinstance(value, Address) else [path]
    return found


def strayed(agreed: Entity, theirs: Entity) -> list[str]:
    """Fields that we agreed on and that somebody has changed over there since; what is not told (unset) has not strayed."""
    names: list[str] = []
    for name in agreed.__struct_fields__:
        ours, other = getattr(agreed, name), getattr(theirs, name)
        if ours is UNSET or other is UNSET:
            continue
        if name == "extra":
            names += [f"extra.{key}" for key, part in ours.items() if key in other and not alike(part, other[key])]
        elif not alike(ours, other):
            names.append(name)
    return names


def is_empty(value: Any) -> bool:
    """Not known, cleared, or nothing in it."""
    return value is UNSET or value is None or (isinstance(value, (str, tuple)) and not value)


def tells(entity: Entity, path: str) -> bool:
    """Whether the entity says anything about the field at all."""
    return value_at(entity, path) is not UNSET


def changes_between(
    old: Entity | None, new: Entity, paths: Iterable[str], rules: Mapping[str, str] | None = None
) -> tuple[Change, ...]:
    """One Change per path, in the given order, values as the audit keeps them: JSON-ready, UNSET where not known."""
    because = rules or {}
    return tuple(
        Change(
            field=path,
            old=UNSET if old is None else _told_at(old, path),
            new=_told_at(new, path),
            rule=because.get(path, UNSET),
        )
        for path in paths
    )


def changes_made(encoded: bytes) -> tuple[Change, ...]:
    """One Change per field that an encoded entity tells of, where nothing is known to have been before: for creates.

    The values stay encoded (``msgspec.Raw``), as the audit will want them anyway.
    """
    told = _fields_in.decode(encoded)
    if (extra := told.pop("extra", None)) is not None:
        told |= {f"extra.{name}": part for name, part in _fields_in.decode(extra).items()}
    return tuple([Change(field=name, new=value) for name, value in told.items()])


def told(value: Any, path: str = "") -> Any:
    """A field's value as the audit keeps it: JSON-ready (custom ones carry their type along); None where nothing is known."""
    if value is UNSET:
        return None
    return _typed_part(value) if path.startswith("extra.") else msgspec.to_builtins(value, enc_hook=_encode_extra)


def untold(kind: Kind, path: str, value: Any) -> Any:
    """The field's value again, of one that ``told`` made JSON-ready."""
    head, _, rest = path.partition(".")
    said = {head: {rest: value} if rest else value}
    return value_at(decode(kind, msgspec.json.encode(said)), path)


def _told_at(entity: Entity, path: str) -> Any:
    value = value_at(entity, path)
    return UNSET if value is UNSET else told(value, path)
