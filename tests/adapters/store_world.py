"""What a day at Acme's leaves in the state: orders linked to deals, and what was audited of them; and a server to keep it."""

import base64
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import text

from ml_connector.domain import Ref, Side
from ml_connector.ports.state import AuditEntry, Change, End, Intent, Lease, Link, Run, Settlement, Standing, Trouble
from ml_connector.testing.clock import ManualClock
from ml_connector_adapters.store import Store

KEY = base64.b64encode(bytes([7]) * 32).decode()
"""A master key."""

MORNING = datetime(2026, 1, 5, 8, 0, 0, 123456, tzinfo=UTC)


def link(number: str = "10042", standing: Standing = "agreed", **more: Any) -> Link:
    known = {"id": f"link-{number}", "flow": "orders", "left": End(f"SO{number}", '"v1"'), "right": End(f"55{number}", "t1")}
    return Link(**{**known, "number": number, "standing": standing, **more})


def parked(number: str, customer: str, side: Side = "left") -> Link:
    parent = Ref("account", customer)
    trouble = Trouble(code="parent", reason="customer unknown", side=side, waits_for=parent, since=MORNING)
    return link(number, "parked", right=End(), trouble=trouble)


def entry(number: str = "10042", **more: Any) -> AuditEntry:
    known = {"at": MORNING, "run": "run-1", "flow": "orders", "trace_id": "0af7651916cd43dd8448eb211c80319c", "kind": "order"}
    change = Change(field="note", old="by truck", new="by train")
    ends = {"link": f"link-{number}", "left": End(f"SO{number}", '"v1"'), "right": End(f"55{number}")}
    return AuditEntry(**{**known, **ends, "number": number, "action": "updated", "changes": (change,), **more})


def intent(number: str = "10042", **more: Any) -> Intent:
    known = {"link": f"link-{number}", "flow": "orders", "kind": "deal", "field": "name", "source_id": f"SO{number}"}
    return Intent(**{**known, "value": number, "at": MORNING, **more})


def run(run_id: str = "run-1", at: datetime = MORNING) -> Run:
    return Run(id=run_id, flow="orders", trace_id="0af7651916cd43dd8448eb211c80319c", started_at=at)


async def keep(store: Store, links: Sequence[Link] = (), audit: Sequence[AuditEntry] = (), flow: str = "orders") -> Lease:
    """Settle these under a lease of an hour, which stays held."""
    lease = await store.leases.claim(flow, "worker-1", 3600)
    await store.settle(lease, Settlement(links=list(links), audit=list(audit)))
    return lease


async def pass_time(store: Store, clock: ManualClock, seconds: int) -> None:
    """Later: for whoever looks at our clock, and for leases, which on a server end by the server's."""
    clock.advance(seconds)
    if store.engine.dialect.name == "postgresql":
        async with store.engine.begin() as connection:
            await connection.execute(text(f"UPDATE leases SET until = until - {seconds} * 1000000::bigint"))


class Postgres:
    """A server that lives in the temporary directory, since as root its files belong to a user of its own."""

    def __init__(self, pgserver: Any) -> None:
        self._server = pgserver.get_server(tempfile.mkdtemp(prefix="ml-connector-"), cleanup_mode="delete")
        self._url, self._schemas = self._server.get_uri(), count(1)
        self.run("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf()")

    def fresh(self) -> str:
        """The URL of an empty schema, which is quicker to have than a database."""
        schema = f"test_{next(self._schemas)}"
        self.run(f"CREATE SCHEMA {schema}")
        return f"{self._url}&search_path={schema}"

    def run(self, statements: str) -> None:
        self._server.psql(statements)

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()
