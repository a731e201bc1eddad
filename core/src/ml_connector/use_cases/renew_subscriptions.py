"""Keep every connection's notification channel alive: subscribe what is missing, renew at half life."""

from collections.abc import Callable, Iterable

import msgspec

from ml_connector.domain import Kind
from ml_connector.flows import Flow
from ml_connector.ports.clock import Clock
from ml_connector.ports.notices import Callback, Notices, Subscription
from ml_connector.ports.state import State


def kinds_to_watch(connection: str, flows: Iterable[Flow]) -> tuple[Kind, ...]:
    """What changes at the connection would concern a flow, in a stable order."""
    wanted: set[Kind] = set()
    for flow in flows:
        if flow.left == connection:
            wanted.add(flow.entity)
        if flow.right == connection:
            wanted.add(flow.target)
    return tuple(sorted(wanted))


async def renew_subscriptions(
    connection: str,
    notices: Notices,
    flows: Iterable[Flow],
    state: State,
    clock: Clock,
    *,
    public_url: str,
    new_secret: Callable[[], str],
) -> Subscription | None:
    """The living subscription of one connection, None where no flow wants notices from it.

    A subscription whose kinds or address are no longer what is wanted is closed and opened anew. Raises what the vendor's calls
    raise; polling goes on underneath in any case.
    """
    kinds = kinds_to_watch(connection, flows)
    mine = [subscription for subscription in await state.subscriptions.all() if subscription.connection == connection]
    prefix = f"{public_url.rstrip('/')}/notices/"
    fitting = [each for each in mine if each.kinds == kinds and each.callback_url.startswith(prefix)]
    for stale in mine:
        if stale not in fitting[:1]:
            await notices.unsubscribe(stale)
            await state.subscriptions.remove(stale)
    if not kinds:
        return None
    if not fitting:
        path_token = new_secret()
        subscription = await notices.subscribe(Callback(url=prefix + path_token, secret=new_secret(), kinds=kinds))
        await state.subscriptions.save(subscription, path_token)
        return subscription
    subscription = fitting[0]
    if not _past_half_life(subscription, clock):
        return subscription
    renewed = msgspec.structs.replace(await notices.renew(subscription), created_at=clock.now())  # a new life, a new half
    await state.subscriptions.save(renewed, renewed.callback_url.removeprefix(prefix))
    return renewed


def _past_half_life(subscription: Subscription, clock: Clock) -> bool:
    if subscription.expires_at is None:
        return False
    life = subscription.expires_at - subscription.created_at
    return clock.now() >= subscription.created_at + life / 2
