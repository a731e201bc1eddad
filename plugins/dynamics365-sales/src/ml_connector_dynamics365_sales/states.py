"""How a record gets from one state to another: by an update where that is allowed, by the sales messages where it closes.

Whether an update may set closing states is not documented; the messages always work. Source: use-web-api-actions, and the
action reference of FulfillSalesOrder, CancelSalesOrder, WinQuote, CloseQuote, WinOpportunity and LoseOpportunity.
"""

from typing import Final

from ml_connector_dynamics365_sales.api import Api, address
from ml_connector_dynamics365_sales.multipart import Request
from ml_connector_dynamics365_sales.plan import Plan
from ml_connector_dynamics365_sales.wire import Vendor

_SUBJECT: Final = "Closed by ml-connector"
_CLOSE: Final[dict[tuple[str, int], tuple[str, str, str, str]]] = {
    ("salesorder", 2): ("CancelSalesOrder", "OrderClose", "orderclose", "salesorderid"),
    ("salesorder", 3): ("FulfillSalesOrder", "OrderClose", "orderclose", "salesorderid"),
    ("quote", 2): ("WinQuote", "QuoteClose", "quoteclose", "quoteid"),
    ("quote", 3): ("CloseQuote", "QuoteClose", "quoteclose", "quoteid"),
    ("opportunity", 1): ("WinOpportunity", "OpportunityClose", "opportunityclose", "opportunityid"),
    ("opportunity", 2): ("LoseOpportunity", "OpportunityClose", "opportunityclose", "opportunityid"),
}
BOUND: Final = {"FulfillSalesOrder": "salesorders"}
"""Bound to the collection, says the action reference; "not bound" says another page. ``Documents`` tries both."""


def state_of(row: Vendor) -> tuple[int, int]:
    """State and status as they stand."""
    return int(row.get("statecode") or 0), int(row.get("statuscode") or 0)


def steps_to(api: Api, plan: Plan, row: Vendor, goal: tuple[int, int | None], *, bound: bool) -> tuple[Request, ...]:
    """Writes after which the record is in the wanted state and status, in order; none where it is there already.

    ``bound``: messages of ``BOUND`` are sent to their collection.
    """
    state, status = goal
    now = state_of(row)
    if now[0] == state and status in (None, now[1]):
        return ()
    table, target = plan.table.name, address(plan.entity_set, str(row[plan.id]))
    closing = _CLOSE.get((table, state))
    if closing is None or now[0] == state:
        return (_update(api, target, state, status),)
    steps: list[Request] = []
    if table == "salesorder" and now[0] not in (0, 1):
        steps.append(_update(api, target, 0, None))  # from one end to another by way of the open state
    if table == "quote" and state == 2 and now[0] == 0:
        steps.append(_update(api, target, 1, None))  # only an active quote can be won
    message, name, activity, lookup = closing
    close: Vendor = {
        "@odata.type": f"Microsoft.Dynamics.CRM.{activity}",
        "subject": _SUBJECT,
        f"{lookup}@odata.bind": f"/{target}",
    }
    body = {name: close, "Status": -1 if status is None else status}
    return (*steps, api.action(message, body, bound_to=BOUND.get(message, "") if bound else ""))


def _update(api: Api, target: str, state: int, status: int | None) -> Request:
    body = {"statecode": state} if status is None else {"statecode": state, "statuscode": status}
    return api.operation("PATCH", target, body, match="*")
