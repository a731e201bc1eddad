"""One runner per flow: a row with an owner, an end and a fencing number that every transaction of the runner checks.

Its end is told by the one clock that all who may claim it share, see ``Database.present``.
"""

from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.errors import LeaseHeld, LeaseLost
from ml_connector.ports.state import Lease
from ml_connector_adapters.store.engine import Database, whole
from ml_connector_adapters.store.tables import LEASES, from_micros

# Made once: every transaction of a run asks it.
_STANDS: Final = select(LEASES.c.fence).where(*(LEASES.c[name] == bindparam(name) for name in ("flow", "fence", "owner")))
_HELD: Final = _STANDS.with_for_update()


class SqlLeases:
    """Fulfils Leases."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @whole
    async def claim(self, flow: str, owner: str, ttl_s: float) -> Lease:
        until = self._until(ttl_s)
        first = self._db.insert(LEASES).values(flow=flow, owner=owner, fence=1, until=until)
        taken = {"owner": owner, "fence": LEASES.c.fence + 1, "until": until}
        over = LEASES.c.until <= self._db.present()
        claim = first.on_conflict_do_update(index_elements=["flow"], set_=taken, where=over)
        async with self._db.writing() as connection:
            claimed = (await connection.execute(claim.returning(LEASES.c.fence, LEASES.c.until))).one_or_none()
            if claimed is None:
                row = await connection.execute(select(LEASES.c.owner, LEASES.c.until).where(LEASES.c.flow == flow))
                holder, end = row.one()
                raise LeaseHeld(
                    f"{holder} is at work on it and holds it until {from_micros(end):%Y-%m-%d %H:%M:%S} UTC",
                    owner=holder,
                    fix="Leave it alone; if that process is dead, the flow is free at that time",
                    where=flow,
                )
        return Lease(flow=flow, owner=owner, fence=claimed.fence, until=from_micros(claimed.until))

    @whole
    async def renew(self, lease: Lease, ttl_s: float) -> Lease:
        """Also after its end, as long as nobody else has claimed since."""
        renew = update(LEASES).where(_ours(lease)).values(until=self._until(ttl_s)).returning(LEASES.c.until)
        async with self._db.writing() as connection:
            until = (await connection.execute(renew)).scalar()
            if until is None:
                raise lost(lease)
        return msgspec.structs.replace(lease, until=from_micros(until))

    @whole
    async def release(self, lease: Lease) -> None:
        """Does nothing when it is no longer ours."""
        async with self._db.writing() as connection:
            await connection.execute(update(LEASES).where(_ours(lease)).values(owner="", until=0))

    async def check(self, lease: Lease) -> None:
        async with self._db.reading(brief=True) as connection:
            ours = await connection.execute(_STANDS, _names(lease))
            if ours.scalar() is None:
                raise lost(lease)

    @whole
    async def bury(self, flow: str, owner: str) -> None:
        async with self._db.writing() as connection:
            dead = and_(LEASES.c.flow == flow, LEASES.c.owner == owner)
            await connection.execute(update(LEASES).where(dead).values(owner="", until=0))

    def _until(self, ttl_s: float) -> ColumnElement[int]:
        return self._db.present() + int(ttl_s * 1_000_000)


async def hold(connection: AsyncConnection, lease: Lease) -> None:
    """Make sure that the lease is ours until this transaction ends. Raises LeaseLost."""
    ours = await connection.execute(_HELD, _names(lease))
    if ours.scalar() is None:
        raise lost(lease)


def _names(lease: Lease) -> dict[str, Any]:
    return {"flow": lease.flow, "fence": lease.fence, "owner": lease.owner}


def lost(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"The lease of {lease.owner} ended and somebody else may be at work",
        fix="Nothing more is committed by this run; the next one goes on from the last settled batch",
        where=lease.flow,
    )


def _ours(lease: Lease) -> Any:
    return and_(LEASES.c.flow == lease.flow, LEASES.c.fence == lease.fence, LEASES.c.owner == lease.owner)
