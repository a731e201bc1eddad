"""Match step: which record over there is this one, by ordered keys. One, or none, or more than one: never a guess."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from ml_connector.domain import UNSET, Entity, Record, RemoteId, Side
from ml_connector.flows import Flow
from ml_connector.ports.sink import Key, Sink
from ml_connector.ports.state import Link, Links
from ml_connector.sync import content

Fit: TypeAlias = Literal["one", "none", "many", "taken", "twice"]
"""one    exactly one record over there has the key, and it stands for no other
none   no record over there has any of the keys
many   several have it
taken  one has it, and it already stands for another record of this side
twice  several records of this side have the same key
"""


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """``holder``: the link that has the record over there. Of ``one`` it is a link that this record may join (it waits, alone,
    for this very counterpart) or take the place of (what it stood for is gone).
    """

    fit: Fit
    holder: Link | None = None
    records: tuple[Record, ...] = ()  # over there, the candidates
    key: Key | None = None  # the first key that found anything: the evidence

    @property
    def evidence(self) -> str:
        return f"{self.key.field} = {self.key.value}" if self.key is not None else "no key found anything"


class Matcher:
    """Looks for counterparts on side ``far`` of a flow."""

    def __init__(self, flow: Flow, far: Side, sink: Sink, links: Links) -> None:
        self._flow, self._far, self._sink, self._links = flow, far, sink, links
        self._near: Side = "right" if far == "left" else "left"

    async def matches(self, entities: Mapping[RemoteId, Entity]) -> dict[RemoteId, Match]:
        """For each record of this side (by its id), in common terms, what stands for it over there."""
        open_: dict[RemoteId, Entity] = dict(entities)
        found: dict[RemoteId, Match] = {}
        for field in self._flow.match:
            keys = {one: Key(field, str(value)) for one, entity in open_.items() if (value := _told(entity, field))}
            if not keys:
                continue
            there = await self._sink.find(list(dict.fromkeys(keys.values())))
            for one, key in keys.items():
                if records := there.get(key):
                    found[one] = Match(fit="one" if len(records) == 1 else "many", records=tuple(records), key=key)
                    del open_[one]
        found |= {one: Match(fit="none") for one in open_}
        return await self._apart(found, entities)

    async def _apart(self, found: dict[RemoteId, Match], entities: Mapping[RemoteId, Entity]) -> dict[RemoteId, Match]:
        """One to one: not what is linked already, and not twice in this batch."""
        ids = [match.records[0].id for match in found.values() if match.fit == "one"]
        linked = await self._links.by_id(self._flow.name, self._far, ids)
        claims: dict[object, list[RemoteId]] = {}
        for one, match in found.items():
            claim: object = match.records[0].id if match.fit == "one" else _told(entities[one], self._flow.match[0])
            if match.fit in ("one", "none") and claim:
                claims.setdefault((match.fit, claim), []).append(one)
        for ones in claims.values():
            if len(ones) > 1:
                found |= {one: msgspec.structs.replace(found[one], fit="twice") for one in ones}
        for one, match in found.items():
            if match.fit != "one" or (holder := linked.get(match.records[0].id)) is None:
                continue
            free = holder.end(self._near).id is None or holder.standing == "gone"
            found[one] = msgspec.structs.replace(match, fit="one" if free else "taken", holder=holder)
        return found


def _told(entity: Entity, field: str) -> object:
    value = content.value_at(entity, field)
    return value if value not in (UNSET, None, "") else None
