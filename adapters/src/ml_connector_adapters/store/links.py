"""The crosswalk in SQL: links by id, number and standing, and the sightings of a sweep."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, Update, and_, bindparam, delete, exists, func, literal, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ml_connector.domain import Ref, RemoteId, Side
from ml_connector.errors import ContractBroken
from ml_connector.ports.state import LOST, End, Link, Retold, Seen, Standing, Trouble
from ml_connector_adapters.store.engine import CHUNK, Database, chunks, whole
from ml_connector_adapters.store.tables import LINKS, SIGHTINGS, to_micros

_IDS: Final = {"left": LINKS.c.left_id, "right": LINKS.c.right_id}
_VERSIONS: Final = {"left": LINKS.c.left_version, "right": LINKS.c.right_version}
_OTHER: Final[dict[Side, Side]] = {"left": "right", "right": "left"}
_PAGE: Final = 500
"""Most links in one page of those that are walked through."""

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
        rows = await self._by_ids(flow, side, ids, _IDS[side], _IDS[_OTHER[side]], LINKS.c.drift)
        return {id_: other for id_, other, drift in rows if other is not None and drift != LOST}

    async def _by_ids(self, flow: str, side: Side, ids: Sequence[RemoteId], *columns: Any) -> list[Any]:
        found: list[Any] = []
        if (named := self._named.get((side, columns))) is None:
            ours = (LINKS.c.flow == bindparam("of"), self._db.among(_IDS[side], "ids"))
            named = self._named[side, columns] = select(*columns).where(*ours)
        async with self._db.reading(brief=len(ids) <= CHUNK) as connection:
            for chunk in chunks(ids):
                found += (await connection.execute(named, {"of": flow, "ids": self._db.listed(chunk)})).all()
        return found

    async def by_number(self, number: str, flow: str | None = None) -> list[Link]:
        return await self._links(
            select(LINKS).where(LINKS.c.number == number, _in_flow(flow)).order_by(LINKS.c.flow, LINKS.c.id)
        )

    async def due(self, flow: str) -> list[Link]:
        return await self._links(select(LINKS).where(LINKS.c.flow == flow, LINKS.c.due.is_(True)).order_by(LINKS.c.id))

    async def awaited(self, flow: str, side: Side) -> list[Ref]:
        parents = select(LINKS.c.waits_kind, LINKS.c.waits_key).where(_waiting(flow, side)).distinct()
        async with self._db.reading() as connection:
            return [Ref(kind, key) for kind, key in await connection.execute(parents.order_by(*parents.selected_columns))]

    @whole
    async def arrived(self, flow: str, side: Side, parents: Sequence[Ref]) -> int:
        marked = 0
        async with self._db.writing() as connection:
            for kind, refs in groupby(sorted(parents, key=lambda ref: ref.kind), key=lambda ref: ref.kind):
                below = (_waiting(flow, side), LINKS.c.waits_kind == kind, self._db.among(LINKS.c.waits_key, "keys"))
                mark = _one_by_one(update(LINKS).values(due=True), *below, LINKS.c.due.is_(False))
                for chunk in chunks(ref.key for ref in refs):
                    marked += (await connection.execute(mark, {"keys": self._db.listed(chunk)})).rowcount
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
            forgotten = dict.fromkeys(("agreed", "left_held", "right_held", "turns"))
            return await self._change(ids, update(LINKS).values(due=True, **forgotten))
        return await self._change(ids, update(LINKS).values(due=True, turns=None), LINKS.c.due.is_(False))

    async def dismiss(self, ids: Sequence[str]) -> int:
        nothing_to_tell = dict.fromkeys(("drift", "trouble", "trouble_since", "waits_side", "waits_kind", "waits_key"))
        return await self._change(ids, update(LINKS).values(standing="skipped", due=False, **nothing_to_tell))

    @whole
    async def _change(self, ids: Sequence[str], change: Update, *which: ColumnElement[bool]) -> int:
        changed = 0
        change = _one_by_one(change, self._db.among(LINKS.c.id, "ids"), *which)
        async with self._db.writing() as connection:
            for chunk in chunks(sorted(ids)):
                changed += (await connection.execute(change, {"ids": self._db.listed(chunk)})).rowcount
        return changed

    @whole
    async def sight(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> None:
        if ids:
            async with self._db.writing(brief=len(ids) <= CHUNK) as connection:
                await self._sight.execute(connection, [{"flow": flow, "side": side, "id": id_} for id_ in ids])

    async def unsighted(self, flow: str, side: Side) -> AsyncIterator[Sequence[Link]]:
        """What the caller settles meanwhile does not disturb it."""
        id_ = _IDS[side]
        sighted = exists().where(SIGHTINGS.c.flow == flow, SIGHTINGS.c.side == side, SIGHTINGS.c.id == id_)
        missing = select(LINKS).where(LINKS.c.flow == flow, LINKS.c.standing != "gone", ~sighted).order_by(id_)
        behind: ColumnElement[bool] = id_.is_not(None)
        while page := await self._links(missing.where(behind).limit(_PAGE)):
            yield page
            behind = id_ > page[-1].end(side).id

    @whole
    async def forget_sightings(self, flow: str, side: Side) -> None:
        async with self._db.writing() as connection:
            await connection.execute(delete(SIGHTINGS).where(SIGHTINGS.c.flow == flow, SIGHTINGS.c.side == side))

    async def every(self, flow: str) -> AsyncIterator[Sequence[Link]]:
        ours = select(LINKS).where(self._db.beside(LINKS.c.flow) == flow)
        behind: ColumnElement[bool] = LINKS.c.id >= ""
        while page := await self._links(ours.where(behind).order_by(LINKS.c.id).limit(_PAGE)):
            yield page
            behind = LINKS.c.id > page[-1].id

    async def write(self, connection: AsyncConnection, links: Sequence[Link]) -> None:
        """Links replace what stands under their id. A remote id that another link holds is SQLAlchemy's IntegrityError."""
        last = {link.id: link for link in links}
        # First those that let go of an id, so that another of the batch may have it; each in order, so that nobody deadlocks.
        ordered = sorted(last, key=lambda id_: (last[id_].left.id is not None and last[id_].right.id is not None, id_))
        await self._put.execute(connection, [_row(last[id_]) for id_ in ordered])

    async def retell(self, connection: AsyncConnection, news: Sequence[Retold]) -> None:
        """What other flows' links take for agreed, where it is still what it was."""
        for each in news:
            stands = (LINKS.c.id == each.link, LINKS.c.agreed == each.was)
            await connection.execute(update(LINKS).where(*stands).values(agreed=each.agreed, drift=each.drift))

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


def _waiting(flow: str, side: Side) -> ColumnElement[bool]:
    ours = (LINKS.c.flow == flow, LINKS.c.waits_side == side)
    return and_(*ours, LINKS.c.standing.in_(("parked", "skipped")), LINKS.c.waits_key.is_not(None))


def _one_by_one(change: Update, *which: ColumnElement[bool]) -> Update:
    """Row after row in the order of their ids, as a settlement writes them, or two could wait for each other for ever."""
    rows = select(LINKS.c.id).where(*which).order_by(LINKS.c.id).with_for_update()
    return change.where(LINKS.c.id.in_(rows))


def _row(link: Link) -> dict[str, Any]:
    left, right = link.left, link.right
    row: dict[str, Any] = {
        "id": link.id,
        "flow": link.flow,
        "number": link.number,
        "left_id": left.id,
        "left_version": left.version,
        "left_held": left.held,
        "left_missed": left.missed,
        "right_id": right.id,
        "right_version": right.version,
        "right_held": right.held,
        "right_missed": right.missed,
        "standing": link.standing,
        "agreed": link.agreed,
        "drift": link.drift,
        "instead": link.instead,
        "turns": link.turns,
        "due": link.due,
        "trouble": None,
        "trouble_since": None,
        "waits_side": None,
        "waits_kind": None,
        "waits_key": None,
    }
    if trouble := link.trouble:
        row["trouble"] = _trouble_out.encode(trouble).decode()
        row["trouble_since"] = trouble.since and to_micros(trouble.since)
        if ref := trouble.waits_for:
            row["waits_side"], row["waits_kind"], row["waits_key"] = trouble.side, ref.kind, ref.key
    return row


def _link(row: Iterable[Any]) -> Link:
    (id_, flow, number, l_id, l_version, l_held, l_missed, r_id, r_version, r_held, r_missed, *rest) = row
    (standing, agreed, drift, instead, turns, due, trouble, *_) = rest
    return Link(
        id=id_,
        flow=flow,
        number=number,
        left=End(l_id, l_version, l_held, l_missed),
        right=End(r_id, r_version, r_held, r_missed),
        standing=standing,
        agreed=agreed,
        drift=drift,
        instead=instead,
        turns=turns,
        trouble=None if trouble is None else _trouble_in.decode(trouble),
        due=due,
    )
