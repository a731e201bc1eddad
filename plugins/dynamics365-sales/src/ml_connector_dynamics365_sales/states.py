"""How a record gets from one state to another: by an update where that is allowed, by the sales messages where it closes.

Whether an update may set closing states is not documented; the messages always work. Source: use-web-api-actions, and the
action reference of FulfillSalesOrder, CancelSalesOrder, WinQuote, CloseQuote, WinOpportunity and LoseOpportunity.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeAlias

from ml_connector_dynamics365_sales.api import Api, address
from ml_connector_dynamics365_sales.multipart import Response
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.wire import Vendor

Step: TypeAlias = Callable[[], Awaitable[Response]]

_SUBJECT: Final = "Closed by ml-connector"
_CLOSE: Final[dict[tuple[str, int], tuple[str, str, str, str]]] = {
    ("salesorder", 2): ("CancelSalesOrder", "OrderClose", "orderclose", "salesorderid"),
    ("salesorder", 3): ("FulfillSalesOrder", "OrderClose", "orderclose", "salesorderid"),
    ("quote", 2): ("WinQuote", "QuoteClose", "quoteclose", "quoteid"),
    ("quote", 3): ("CloseQuote", "QuoteClose", "quoteclose", "quoteid"),
    ("opportunity", 1): ("WinOpportunity", "OpportunityClose", "opportunityclose", "opportunityid"),
    ("opportunity", 2): ("LoseOpportunity", "OpportunityClose", "opportunityclose", "opportunityid"),
}
_BOUND: Final = {"FulfillSalesOrder": "salesorders"}
"""Bound to the collection, says the action reference; "not bound" says another page. ``Api.act`` tries both."""


def steps_to(api: Api, plan: Plan, row_id: str, now: tuple[int, int], goal: tuple[int, int | None]) -> list[Step]:
    """Calls after which the record is in the wanted state and status, in order; none where it is there already."""
    state, status = goal
    if now[0] == state and status in (None, now[1]):
        return []
    table = plan.table.name
    closing = _CLOSE.get((table, state))
    if closing is None or now[0] == state:
        return [_update(api, plan, row_id, state, status)]
    steps: list[Step] = []
    if table == "salesorder" and now[0] not in (0, 1):
        steps.append(_update(api, plan, row_id, 0, None))  # from one end to another by way of the open state
    if table == "quote" and state == 2 and now[0] == 0:
        steps.append(_update(api, plan, row_id, 1, None))  # only an active quote can be won
    message, name, activity, lookup = closing
    close: Vendor = {
        "@odata.type": f"Microsoft.Dynamics.CRM.{activity}",
        "subject": _SUBJECT,
        f"{lookup}@odata.bind": f"/{address(plan.entity_set, row_id)}",
    }
    body = {name: close, "Status": -1 if status is None else status}
    return [*steps, partial(api.act, message, body, bound_to=_BOUND.get(message, ""))]


def _update(api: Api, plan: Plan, row_id: str, state: int, status: int | None) -> Step:
    body = {"statecode": state} if status is None else {"statecode": state, "statuscode": status}
    return partial(api.send, api.operation("PATCH", address(plan.entity_set, row_id), body, match="*"), repeatable=True)
