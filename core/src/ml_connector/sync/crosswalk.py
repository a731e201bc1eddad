"""Link step: what one connection's records are called on another, by whatever flow linked them."""

from collections.abc import Iterable, Sequence

import msgspec

from ml_connector.domain import UNSET, Kind, Ref, RemoteId, UnsetType
from ml_connector.flows import Flow
from ml_connector.ports.state import Links, Side


class _Route(msgspec.Struct, frozen=True):
    flow: str
    side: Side  # the near side
    far_kind: Kind


class Crosswalk:
    """Translates refs between the two connections of one flow through the links of every flow between them."""

    def __init__(self, flow: Flow, flows: Iterable[Flow], links: Links) -> None:
        self._links = links
        self._routes: dict[Kind, list[_Route]] = {}
        self._siblings: list[_Route] = []
        for other in flows:
            if (other.left, other.right) == (flow.left, flow.right):
                route, near = _Route(other.name, "left", other.target), other.entity
            elif (other.left, other.right) == (flow.right, flow.left):
                route, near = _Route(other.name, "right", other.entity), other.target
            else:
                continue
            self._routes.setdefault(near, []).append(route)
            if other.name != flow.name and near == flow.entity and route.far_kind == flow.target:
                self._siblings.append(route)

    async def names(self, refs: Iterable[Ref]) -> dict[Ref, Ref | UnsetType]:
        """Ref → the far Ref; UNSET where no flow carries that kind; absent where the parent has no counterpart yet."""
        found: dict[Ref, Ref | UnsetType] = {}
        wanted: dict[Kind, list[Ref]] = {}
        for ref in set(refs):
            if ref.kind in self._routes:
                wanted.setdefault(ref.kind, []).append(ref)
            else:
                found[ref] = UNSET
        for kind, missing in wanted.items():
            for route in self._routes[kind]:
                across = await self._links.across(route.flow, route.side, [ref.key for ref in missing])
                found |= {ref: Ref(route.far_kind, across[ref.key]) for ref in missing if ref.key in across}
        return found

    async def counterparts(self, ids: Sequence[RemoteId]) -> dict[RemoteId, RemoteId]:
        """Ids that another flow between the same connections and kinds already linked: never create those again."""
        found: dict[RemoteId, RemoteId] = {}
        for route in self._siblings:
            found |= await self._links.across(route.flow, route.side, ids)
        return found
