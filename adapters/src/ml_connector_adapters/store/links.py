"""The crosswalk in SQL: links by id, number and standing, and the sightings of a sweep."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, Update, and_, bindparam, delete, exists, func, literal, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.domain import Ref, RemoteId
from ml_connector.errors import ContractBroken
from ml_connector.ports.state import End, Link, Seen, Side, Standing, Trouble
from ml_connector_adapters.store.engine import Database, chunks, whole
from ml_connector_adapters.store.tables import LINKS, SIGHTINGS, to_micros

_IDS: Final = {"left": LINKS.c.left_id, "right": LINKS.c.right_id}
_VERSIONS: Final = {"left": LINKS.c.left_version, "right": LINKS.c.right_version}
_OTHER: Final[dict[Side, Side]] = {"left": "right", "right": "left"}

_trouble_in: Final = msgspec.json.Decoder(Trouble)
_trouble_out: Final = msgspec.json.Encoder()

# Written out, not bound: only then can the planner see that the partial index holds all of them.
_UNSETTLED: Final = LINKS.c.standing != literal("agreed", literal_execute=True)


class SqlLinks:
    """Fulfils Links; ``write`` takes part in the settlement's transaction."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._put = database.bulk(database.upsert(LINKS))
        self._named: dict[tuple[Side, tuple[Any, ...]], Select[Any]] = {}  # queries by ids, made once
        self._sight = database.bulk(database.insert(SIGHTINGS).on_conflict_do_nothing())

    async def seen(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, Seen]:
        rows = await self._by_ids(flow, side, ids, _IDS[side], _VERSIONS[side], LINKS.c.standing, LINKS.c.due)
        return {id_: Seen(version, standing, due) for id_, version, standing, due in rows}

    async def by_id(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, Link]:
        rows = await self._by_ids(flow, side, ids, _IDS[side], LINKS)
        return {id_: _link(row) for id_, *row in rows}

    async def across(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, RemoteId]:
        rows = await self._by_ids(flow, side, ids, _IDS[side], _IDS[_OTHER[side]])
        return {id_: other for id_, other in rows if other is not None}

    async def _by_ids(self, flow: str, side: Side, ids: Sequence[RemoteId], *columns: Any) -> list[Any]:
        found: list[Any] = []
        if (named := self._named.get((side, columns))) is None:
            ours = (LINKS.c.flow == bindparam("of"), self._db.among(_IDS[side], "ids"))
            named = self._named[side, columns] = select(*columns).where(*ours)
        async with self._db.reading() as connection:
            for chunk in chunks(ids):
                found += (await connection.execute(named, {"of": flow, "ids": self._db.listed(chunk)})).all()
        return found

    async def by_number(self, number: str, flow: str | None = None) -> list[Link]:
        return await self._links(
            select(LINKS).where(LINKS.c.number == number, _in_flow(flow)).order_by(LINKS.c.flow, LINKS.c.id)
        )

    async def due(self, flow: str) -> list[Link]:
        return await self._links(select(LINKS).where(LINKS.c.flow == flow, LINKS.c.due.is_(True)).order_by(LINKS.c.id))

    async def awaited(self, flow: str) -> list[Ref]:
        parents = select(LINKS.c.waits_kind, LINKS.c.waits_key).where(_waiting(flow)).distinct()
        async with self._db.reading() as connection:
            return [Ref(kind, key) for kind, key in await connection.execute(parents.order_by(*parents.selected_columns))]

    @whole
    async def arrived(self, flow: str, parents: Sequence[Ref]) -> int:
        marked = 0
        async with self._db.writing() as connection:
            for kind, refs in groupby(sorted(parents, key=lambda ref: ref.kind), key=lambda ref: ref.kind):
                for chunk in chunks(ref.key for ref in refs):
                    below = update(LINKS).where(_waiting(flow), LINKS.c.waits_kind == kind, LINKS.c.waits_key.in_(chunk))
                    marked += (await connection.execute(below.where(LINKS.c.due.is_(False)).values(due=True))).rowcount
        return marked

    async def standing(self, flow: str | None = None, standings: Sequence[Standing] = (), *, limit: int = 1000) -> list[Link]:
        which: ColumnElement[bool] = LINKS.c.standing.in_(standings) if standings else LINKS.c.drift.is_not(None)
        if standings and "agreed" not in standings:
            which = and_(which, _UNSETTLED)
        newest = (LINKS.c.trouble_since.desc().nulls_last(), LINKS.c.id)
        return await self._links(select(LINKS).where(which, _in_flow(flow)).order_by(*newest).limit(limit))

    async def tally(self, flow: str) -> Mapping[str, int]:
        ours = LINKS.c.flow == flow
        others = select(LINKS.c.standing, func.count()).where(ours, _UNSETTLED).group_by(LINKS.c.standing)
        async with self._db.reading() as connection:
            tally: dict[str, int] = {row[0]: row[1] for row in await connection.execute(others)}
            agreed = (await connection.execute(select(func.count()).where(ours))).scalar_one() - sum(tally.values())
            if agreed:
                tally["agreed"] = agreed
            strayed = select(func.count()).where(LINKS.c.flow == flow, LINKS.c.drift.is_not(None))
            drifted = (await connection.execute(strayed)).scalar_one()
        return {**tally, "drifted": drifted} if drifted else tally

    async def mark_due(self, ids: Sequence[str], *, again: bool = False) -> int:
        if again:
            return await self._change(ids, update(LINKS).values(due=True, agreed=None))
        return await self._change(ids, update(LINKS).where(LINKS.c.due.is_(False)).values(due=True))

    async def dismiss(self, ids: Sequence[str]) -> int:
        nothing_to_tell = dict.fromkeys(("drift", "trouble", "trouble_since", "waits_kind", "waits_key"))
        return await self._change(ids, update(LINKS).values(standing="skipped", due=False, **nothing_to_tell))

    @whole
    async def _change(self, ids: Sequence[str], change: Update) -> int:
        changed = 0
        async with self._db.writing() as connection:
            for chunk in chunks(ids):
                changed += (await connection.execute(change.where(LINKS.c.id.in_(chunk)))).rowcount
        return changed

    @whole
    async def sight(self, flow: str, ids: Sequence[RemoteId]) -> None:
        if ids:
            async with self._db.writing() as connection:
                await self._sight.execute(connection, [{"flow": flow, "id": id_} for id_ in ids])

    async def unsighted(self, flow: str) -> AsyncIterator[Sequence[Link]]:
        """In the order of the left ids; what the caller settles meanwhile does not disturb it."""
        sighted = exists().where(SIGHTINGS.c.flow == flow, SIGHTINGS.c.id == LINKS.c.left_id)
        missing = select(LINKS).where(LINKS.c.flow == flow, LINKS.c.standing != "gone", ~sighted).order_by(LINKS.c.left_id)
        behind: ColumnElement[bool] = LINKS.c.left_id.is_not(None)
        while page := await self._links(missing.where(behind).limit(500)):
            yield page
            behind = LINKS.c.left_id > page[-1].left.id

    @whole
    async def forget_sightings(self, flow: str) -> None:
        async with self._db.writing() as connection:
            await connection.execute(delete(SIGHTINGS).where(SIGHTINGS.c.flow == flow))

    async def write(self, connection: AsyncConnection, links: Sequence[Link]) -> None:
        """Links replace what stands under their id. An id that another link holds is SQLAlchemy's IntegrityError."""
        await self._put.execute(connection, [_row(link) for link in links])

    async def clash(self, flow: str, links: Sequence[Link]) -> ContractBroken | None:
        """Which two links want one remote id, if that is why they could not be written; asked after the undoing."""
        sides: tuple[Side, ...] = ("left", "right")
        for side in sides:
            holders = await self.by_id(flow, side, [id_ for link in links if (id_ := link.end(side).id) is not None])
            for link in links:
                id_ = link.end(side).id
                if id_ is not None and (holder := holders.setdefault(id_, link)).id != link.id:
                    return ContractBroken(
                        f"Numbers {holder.number} and {link.number} both claim the id {id_} on the {side} side",
                        fix="One record over there stands for two here: look at it, then at both numbers with: explain NUMBER",
                        where=flow,
                    )
        return None

    async def _links(self, statement: Select[Any]) -> list[Link]:
        async with self._db.reading() as connection:
            return [_link(row) for row in (await connection.execute(statement)).all()]


def _in_flow(flow: str | None) -> ColumnElement[bool]:
    return true() if flow is None else LINKS.c.flow == flow


def _waiting(flow: str) -> ColumnElement[bool]:
    return and_(LINKS.c.flow == flow, LINKS.c.standing == "parked", LINKS.c.waits_key.is_not(None))


def _row(link: Link) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": link.id,
        "flow": link.flow,
        "number": link.number,
        "left_id": link.left.id,
        "left_version": link.left.version,
        "right_id": link.right.id,
        "right_version": link.right.version,
        "standing": link.standing,
        "agreed": link.agreed,
        "held": link.held,
        "drift": link.drift,
        "missed": link.missed,
        "due": link.due,
        "trouble": None,
        "trouble_since": None,
        "waits_kind": None,
        "waits_key": None,
    }
    if trouble := link.trouble:
        row["trouble"] = _trouble_out.encode(trouble).decode()
        row["trouble_since"] = trouble.since and to_micros(trouble.since)
        if ref := trouble.waits_for:
            row["waits_kind"], row["waits_key"] = ref.kind, ref.key
    return row


def _link(row: Iterable[Any]) -> Link:
    (id_, flow, number, left, left_v, right, right_v, standing, agreed, held, drift, missed, due, trouble, *_) = row
    return Link(
        id=id_,
        flow=flow,
        number=number,
        left=End(left, left_v),
        right=End(right, right_v),
        standing=standing,
        agreed=agreed,
        held=held,
        drift=drift,
        missed=missed,
        trouble=None if trouble is None else _trouble_in.decode(trouble),
        due=due,
    )
