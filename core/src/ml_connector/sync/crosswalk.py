"""Link step: what one connection's records are called on another, by whatever flow linked them."""

from collections.abc import Iterable, Sequence

import msgspec

from ml_connector.domain import UNSET, Kind, Ref, RemoteId, Side, UnsetType
from ml_connector.flows import Flow
from ml_connector.ports.state import Link, Links

_SIDES: tuple[Side, ...] = ("left", "right")


class _Route(msgspec.Struct, frozen=True):
    flow: str
    side: Side  # the near side, in that flow
    far_kind: Kind


class Crosswalk:
    """Translates refs between the two connections of one flow through the links of every flow between them.

    ``side`` in its methods is the side of this flow whose names are given.
    """

    def __init__(self, flow: Flow, flows: Iterable[Flow], links: Links) -> None:
        self._links = links
        self._routes: dict[tuple[Side, Kind], list[_Route]] = {}
        self._siblings: dict[Side, list[_Route]] = {"left": [], "right": []}
        self._mirrors: list[_Route] = []
        for other in flows:
            for theirs in _SIDES:
                far: Side = "right" if theirs == "left" else "left"
                for side in _SIDES:
                    away: Side = "right" if side == "left" else "left"
                    ours = (flow.connection(side), flow.connection(away))
                    if (other.connection(theirs), other.connection(far)) != ours:
                        continue
                    route, near = _Route(other.name, theirs, other.kind(far)), other.kind(theirs)
                    self._routes.setdefault((side, near), []).append(route)
                    if other.name != flow.name and (near, route.far_kind) == (flow.kind(side), flow.kind(away)):
                        self._siblings[side].append(route)
                        if side == "left" and other.returns(flow):
                            self._mirrors.append(route)

    async def names(self, side: Side, refs: Iterable[Ref]) -> dict[Ref, Ref | UnsetType]:
        """Ref → the far Ref; UNSET where no flow carries that kind; absent where the parent has no counterpart yet."""
        found: dict[Ref, Ref | UnsetType] = {}
        wanted: dict[Kind, list[Ref]] = {}
        for ref in set(refs):
            if (side, ref.kind) in self._routes:
                wanted.setdefault(ref.kind, []).append(ref)
            else:
                found[ref] = UNSET
        for kind, missing in wanted.items():
            for route in self._routes[side, kind]:
                across = await self._links.across(route.flow, route.side, [ref.key for ref in missing])
                found |= {ref: Ref(route.far_kind, across[ref.key]) for ref in missing if ref.key in across}
        return found

    def has_siblings(self, side: Side) -> bool:
        """Whether another flow between the same connections links records of the same kinds."""
        return bool(self._siblings[side])

    async def counterparts(self, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, RemoteId]:
        """Ids that another flow between the same connections and kinds already linked: never create those again."""
        found: dict[RemoteId, RemoteId] = {}
        for route in self._siblings[side]:
            found |= await self._links.across(route.flow, route.side, ids)
        return found

    async def mirrors(self, ids: Sequence[RemoteId]) -> dict[RemoteId, Link]:
        """For ids on the left of a one-way flow, the link of the flow that writes there: some of it is our own work."""
        found: dict[RemoteId, Link] = {}
        for route in self._mirrors:
            found |= await self._links.by_id(route.flow, route.side, ids)
        return found
