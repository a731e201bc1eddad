"""One runner per flow: a row with an owner, an end and a fencing number that every transaction of the runner checks.

Time is the program's own clock, which is right for processes of one machine.
"""

from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.errors import LeaseHeld, LeaseLost
from ml_connector.ports.state import Lease
from ml_connector_adapters.store.engine import Database, whole
from ml_connector_adapters.store.tables import LEASES, from_micros, to_micros

# Made once: every transaction of a run asks it.
_HELD: Final = (
    select(LEASES.c.fence).where(*(LEASES.c[name] == bindparam(name) for name in ("flow", "fence", "owner"))).with_for_update()
)


class SqlLeases:
    """Fulfils Leases."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @whole
    async def claim(self, flow: str, owner: str, ttl_s: float) -> Lease:
        now = self._db.clock.now()
        until = now + timedelta(seconds=ttl_s)
        first = self._db.insert(LEASES).values(flow=flow, owner=owner, fence=1, until=to_micros(until))
        taken = {"owner": owner, "fence": LEASES.c.fence + 1, "until": to_micros(until)}
        claim = first.on_conflict_do_update(index_elements=["flow"], set_=taken, where=LEASES.c.until <= to_micros(now))
        async with self._db.writing() as connection:
            fence = (await connection.execute(claim.returning(LEASES.c.fence))).scalar()
            if fence is None:
                row = await connection.execute(select(LEASES.c.owner, LEASES.c.until).where(LEASES.c.flow == flow))
                holder, end = row.one()
                raise LeaseHeld(
                    f"{holder} is at work on it and holds it until {from_micros(end):%Y-%m-%d %H:%M:%S} UTC",
                    owner=holder,
                    fix="Leave it alone; if that process is dead, the flow is free at that time",
                    where=flow,
                )
        return Lease(flow=flow, owner=owner, fence=fence, until=until)

    @whole
    async def renew(self, lease: Lease, ttl_s: float) -> Lease:
        """Also after its end, as long as nobody else has claimed since."""
        until = self._db.clock.now() + timedelta(seconds=ttl_s)
        async with self._db.writing() as connection:
            renewed = await connection.execute(update(LEASES).where(_ours(lease)).values(until=to_micros(until)))
            if renewed.rowcount == 0:
                raise lost(lease)
        return msgspec.structs.replace(lease, until=until)

    @whole
    async def release(self, lease: Lease) -> None:
        """Does nothing when it is no longer ours."""
        async with self._db.writing() as connection:
            await connection.execute(update(LEASES).where(_ours(lease)).values(owner="", until=0))

    @whole
    async def bury(self, flow: str, owner: str) -> None:
        async with self._db.writing() as connection:
            dead = and_(LEASES.c.flow == flow, LEASES.c.owner == owner)
            await connection.execute(update(LEASES).where(dead).values(owner="", until=0))


async def hold(connection: AsyncConnection, lease: Lease) -> None:
    """Make sure that the lease is ours until this transaction ends. Raises LeaseLost."""
    ours = await connection.execute(_HELD, {"flow": lease.flow, "fence": lease.fence, "owner": lease.owner})
    if ours.scalar() is None:
        raise lost(lease)


def lost(lease: Lease) -> LeaseLost:
    return LeaseLost(
        f"The lease of {lease.owner} ended and somebody else may be at work",
        fix="Nothing more is committed by this run; the next one goes on from the last settled batch",
        where=lease.flow,
    )


def _ours(lease: Lease) -> Any:
    return and_(LEASES.c.flow == lease.flow, LEASES.c.fence == lease.fence, LEASES.c.owner == lease.owner)
