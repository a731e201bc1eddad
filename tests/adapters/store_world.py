"""What a day at Acme's leaves in the state: orders linked to deals, and what was audited of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ml_connector.domain import Ref
from ml_connector.ports.state import AuditEntry, Change, End, Intent, Lease, Link, Run, Settlement, Standing, Trouble
from ml_connector_adapters.store import Store

MORNING = datetime(2026, 1, 5, 8, 0, 0, 123456, tzinfo=UTC)


def link(number: str = "10042", standing: Standing = "agreed", **more: Any) -> Link:
    known = {"id": f"link-{number}", "flow": "orders", "left": End(f"SO{number}", '"v1"'), "right": End(f"55{number}", "t1")}
    return Link(**{**known, "number": number, "standing": standing, **more})


def parked(number: str, customer: str) -> Link:
    trouble = Trouble(code="parent", reason="customer unknown", waits_for=Ref("account", customer), since=MORNING)
    return link(number, "parked", right=End(), trouble=trouble)


def entry(number: str = "10042", **more: Any) -> AuditEntry:
    known = {"at": MORNING, "run": "run-1", "flow": "orders", "trace_id": "0af7651916cd43dd8448eb211c80319c", "kind": "order"}
    change = Change(field="note", old="by truck", new="by train")
    ends = {"link": f"link-{number}", "left": End(f"SO{number}", '"v1"'), "right": End(f"55{number}")}
    return AuditEntry(**{**known, **ends, "number": number, "action": "updated", "changes": (change,), **more})


def intent(number: str = "10042", at: datetime = MORNING) -> Intent:
    return Intent(link=f"link-{number}", flow="orders", kind="deal", field="name", value=number, source_id=f"SO{number}", at=at)


def run(run_id: str = "run-1", at: datetime = MORNING) -> Run:
    return Run(id=run_id, flow="orders", trace_id="0af7651916cd43dd8448eb211c80319c", started_at=at)


async def keep(store: Store, links: Sequence[Link] = (), audit: Sequence[AuditEntry] = (), flow: str = "orders") -> Lease:
    """Settle these under a lease of an hour, which stays held."""
    lease = await store.leases.claim(flow, "worker-1", 3600)
    await store.settle(lease, Settlement(links=list(links), audit=list(audit)))
    return lease
