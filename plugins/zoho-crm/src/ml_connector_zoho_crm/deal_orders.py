"""Order lines of deals kept in a Sales_Orders record beside each deal (``order_lines = "sales_order"``).

Zoho demands a subject, an account and lines with products. Everything is matched by the ERP's order number, so a
repetition after a failure halfway changes the same two records.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from ml_connector.errors import AnswerLost, AuthRejected, ContractBroken, RetryLater
from ml_connector.ports.sink import Later, Outcome, Rejected, Unknown, Written
from ml_connector_zoho_crm.api import Api
from ml_connector_zoho_crm.jobs import Job
from ml_connector_zoho_crm.judge import refusal
from ml_connector_zoho_crm.metadata import Metadata
from ml_connector_zoho_crm.plan import Plan
from ml_connector_zoho_crm.queries import ids_by_key, rows_by_id
from ml_connector_zoho_crm.settings import Settings
from ml_connector_zoho_crm.wire import Result, Vendor

_HALF = "the deal was written, its sales order was not: "


class DealOrders:
    """Writes the orders of deals that were just written, and tells of a failure in the deal's own outcome."""

    def __init__(self, api: Api, metadata: Metadata, settings: Settings) -> None:
        self._api, self._metadata, self._settings = api, metadata, settings

    async def follow(self, deals: Plan, jobs: Sequence[Job]) -> None:
        """Bring the orders of written deals in line. Raises nothing a vendor can cause: the deals' outcomes would be lost."""
        waiting = [job for job in jobs if job.rows is not None and isinstance(job.outcome, Written)]
        if not waiting:
            return
        try:
            await self._follow(deals, waiting)
        except (RetryLater, AuthRejected, ContractBroken) as error:
            after = error.after_s if isinstance(error, RetryLater) else None
            for job in waiting:
                if isinstance(job.outcome, Written):
                    job.outcome = Later(reason=f"{_HALF}{error}", after_s=after)

    async def _follow(self, deals: Plan, jobs: Sequence[Job]) -> None:
        orders = await self._metadata.plan("order")
        if orders.lines is None or orders.key not in orders.fields:
            raise ContractBroken(
                f"{orders.module} lacks its lines or the field {orders.key}", fix="Run ml-connector ping --fix"
            )
        standing = await rows_by_id(self._api, deals, [_deal_id(job) for job in jobs], _wanted(deals))
        numbers = {number for row in standing.values() if (number := row.get(deals.key))}
        ids = await ids_by_key(self._api, orders, sorted(map(str, numbers)))
        present = dict(
            zip(ids.values(), await asyncio.gather(*(self._api.record(orders.module, i) for i in ids.values())), strict=True)
        )
        creates: list[tuple[Job, Vendor]] = []
        updates: list[tuple[Job, Vendor]] = []
        for job in jobs:
            deal = standing.get(_deal_id(job), {})
            number, account = deal.get(deals.key), deal.get("Account_Name")
            if not number or not account:
                lacks = "order number" if not number else "account"
                job.outcome = Rejected(
                    code="MANDATORY_NOT_FOUND", reason=f"{_HALF}the deal has no {lacks}, and Zoho demands one", field="lines"
                )
            elif (order_id := ids.get(str(number))) is None:
                if job.rows:
                    creates.append((job, self._order(orders, deals, deal, job.rows)))
            elif rows := orders.lines.changes(job.rows or [], (present[order_id] or {}).get(orders.lines.subform) or []):
                updates.append((job, {"id": order_id, "Deal_Name": {"id": deal["id"]}, orders.lines.subform: rows}))
        await asyncio.gather(self._send(orders, creates, new=True), self._send(orders, updates, new=False))

    def _order(self, orders: Plan, deals: Plan, deal: Vendor, rows: list[Vendor]) -> Vendor:
        assert orders.lines is not None
        body: Vendor = {
            **self._settings.create_defaults.get("order", {}),
            orders.key: deal[deals.key],
            "Subject": deal.get("Deal_Name") or deal[deals.key],
            "Account_Name": {"id": deal["Account_Name"]["id"]},
            "Deal_Name": {"id": deal["id"]},
            orders.lines.subform: rows,
        }
        if deal.get("Currency") and "Currency" in orders.fields:
            body["Currency"] = deal["Currency"]
        return body

    async def _send(self, orders: Plan, pairs: Sequence[tuple[Job, Vendor]], *, new: bool) -> None:
        if not pairs:
            return
        bodies = [body for _, body in pairs]
        try:
            if new:
                results = await self._api.upsert(orders.module, bodies, orders.key)
            else:
                results = await self._api.update(orders.module, bodies)
        except AnswerLost as error:
            for job, _ in pairs:
                job.outcome = Unknown(reason=f"the deal was written; whether its sales order was is not known: {error.what}")
            return
        except (RetryLater, AuthRejected, ContractBroken) as error:
            for job, _ in pairs:
                job.outcome = Later(reason=f"{_HALF}{error}", after_s=getattr(error, "after_s", None))
            return
        for (job, _), result in zip(pairs, results, strict=True):
            if not result.ok:
                job.outcome = _told(result, orders)


def _told(result: Result, orders: Plan) -> Outcome:
    match refusal(result, lambda name: "lines" if name not in orders.fields else orders.canonical(name)):
        case Rejected() as rejected:
            return msgspec.structs.replace(rejected, reason=f"{_HALF}{rejected.reason}", field="lines")
        case Later() as later:
            return msgspec.structs.replace(later, reason=f"{_HALF}{later.reason}")
        case other:  # the order moved or vanished meanwhile: the next attempt sees it anew
            return Later(reason=f"{_HALF}{getattr(other, 'reason', 'it changed meanwhile')}")


def _deal_id(job: Job) -> str:
    assert isinstance(job.outcome, Written)
    return job.outcome.id


def _wanted(deals: Plan) -> tuple[str, ...]:
    names = ("id", deals.key, "Deal_Name", "Account_Name", "Currency")
    return tuple(name for name in names if name == "id" or name in deals.fields)
