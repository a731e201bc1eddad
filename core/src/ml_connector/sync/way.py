"""One direction of a flow: the side that is read (near) and the side that is written (far)."""

from collections.abc import Iterable

import msgspec

from ml_connector.domain import Kind, Side
from ml_connector.flows import Flow
from ml_connector.ports.state import End, Link


class Way(msgspec.Struct, frozen=True):
    """A one-way flow has the way from left to right, a two-way flow both."""

    flow: Flow
    near: Side = "left"

    @property
    def far(self) -> Side:
        return "right" if self.near == "left" else "left"

    @property
    def back(self) -> "Way":
        return Way(self.flow, self.far)

    @property
    def source(self) -> str:
        """The connection that is read."""
        return self.flow.connection(self.near)

    @property
    def target(self) -> str:
        """The connection that is written."""
        return self.flow.connection(self.far)

    @property
    def kind(self) -> Kind:
        """What is written."""
        return self.flow.kind(self.far)

    def far_end(self, link: Link) -> End:
        return link.end(self.far)

    def near_end(self, link: Link) -> End:
        return link.end(self.near)


def shared(way: Way, flows: Iterable[Flow]) -> bool:
    """Whether other flows write such records as well, so that a write of ours need not have been this one's."""
    others = (each for flow in flows if flow.name != way.flow.name for each in ways(flow))
    return any((each.target, each.kind) == (way.target, way.kind) for each in others)


def ways(flow: Flow) -> tuple[Way, ...]:
    """Every direction in which the flow's records travel."""
    return (Way(flow), Way(flow, "right")) if flow.two_way else (Way(flow),)
