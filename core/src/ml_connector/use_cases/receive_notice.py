"""Take one notice from a vendor: prove it, keep it for the flows it concerns, and only then answer."""

from collections.abc import Iterable

from ml_connector.domain import Side
from ml_connector.errors import NoticeRejected
from ml_connector.flows import Flow
from ml_connector.ports.notices import NoticeRequest, Notices
from ml_connector.ports.state import State


async def receive_notice(request: NoticeRequest, readers: dict[str, Notices], flows: Iterable[Flow], state: State) -> set[str]:
    """Names of the flows that have something to look at. Raises NoticeRejected, and then nothing was changed."""
    subscription = await state.subscriptions.by_path(request.path_token)
    if subscription is None or subscription.connection not in readers:
        raise NoticeRejected("no subscription has this address")
    notices = readers[subscription.connection].read(request, subscription)
    concerned: set[str] = set()
    sides: tuple[Side, ...] = ("left", "right")
    for flow in flows:
        for side in sides:
            mine = [
                each for each in notices if (subscription.connection, each.kind) == (flow.connection(side), flow.kind(side))
            ]
            if mine and await state.inbox.add(flow.name, side, mine):
                concerned.add(flow.name)
    return concerned
