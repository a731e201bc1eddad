"""The crosswalk in memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from ml_connector.domain import Ref, RemoteId, Side
from ml_connector.errors import ContractBroken
from ml_connector.ports.state import LOST, Link, Retold, Seen, Standing

_CHUNK: Final = 500


class MemoryLinks:
    """``Links`` over a dict; ``rows`` (by our id) is what stands, ``sighted`` the ids that the present
    sweeps saw, by flow and side."""

    def __init__(self) -> None:
        self.rows: dict[str, Link] = {}
        self.sighted: dict[tuple[str, Side], set[RemoteId]] = {}
        self._ends: dict[tuple[str, Side, RemoteId], str] = {}

    def put(self, links: Iterable[Link]) -> None:
        """Replace what stands under each link's id; part of a settlement."""
        for link in links:
            before = self.rows.get(link.id)
            if before is not None:
                for name in _names(before):
                    if self._ends.get(name) == link.id:
                        del self._ends[name]
            self.rows[link.id] = link
            self._ends |= dict.fromkeys(_names(link), link.id)

    def retell(self, news: Iterable[Retold]) -> None:
        """What other flows' links take for agreed, where it is still what it was; part of a settlement."""
        for each in news:
            link = self.rows.get(each.link)
            if link is not None and link.agreed == each.was:
                self.put([msgspec.structs.replace(link, agreed=each.agreed, drift=each.drift)])

    def check(self, links: Sequence[Link]) -> None:
        """Raises ContractBroken when two links of a flow would hold one remote id on the same side."""
        coming = {link.id: link for link in links}
        claimed: dict[tuple[str, Side, RemoteId], Link] = {}
        for link in coming.values():
            for name in _names(link):
                held = self._ends.get(name, link.id)
                holder = claimed.setdefault(name, link if held in coming else self.rows[held])
                if holder.id != link.id:
                    flow, side, one = name
                    raise ContractBroken(
                        f"Numbers {holder.number} and {link.number} both claim the id {one} on the {side} side",
                        fix="One record over there stands for two here: look at it, then at both numbers",
                        where=flow,
                    )

    async def seen(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, Seen]:
        found = await self.by_id(flow, side, ids)
        return {one: Seen(link.end(side).version, link.standing, link.due) for one, link in found.items()}

    async def by_id(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, Link]:
        await asyncio.sleep(0)
        known = ((one, self._ends.get((flow, side, one))) for one in ids)
        return {one: self.rows[link] for one, link in known if link is not None}

    async def by_number(self, number: str, flow: str | None = None) -> list[Link]:
        await asyncio.sleep(0)
        return [link for link in self._of(flow) if link.number == number]

    async def across(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> dict[RemoteId, RemoteId]:
        other: Side = "right" if side == "left" else "left"
        found = await self.by_id(flow, side, ids)
        return {one: far for one, link in found.items() if (far := link.end(other).id) is not None and link.drift != LOST}

    async def due(self, flow: str) -> list[Link]:
        await asyncio.sleep(0)
        return [link for link in self._of(flow) if link.due]

    async def awaited(self, flow: str, side: Side) -> list[Ref]:
        await asyncio.sleep(0)
        return list(dict.fromkeys(parent for link in self._of(flow) if (parent := _parent(link, side)) is not None))

    async def arrived(self, flow: str, side: Side, parents: Sequence[Ref]) -> int:
        await asyncio.sleep(0)
        wanted = set(parents)
        return self._mark(link for link in self._of(flow) if _parent(link, side) in wanted)

    async def standing(self, flow: str | None = None, standings: Sequence[Standing] = (), *, limit: int = 1000) -> list[Link]:
        await asyncio.sleep(0)
        found = [link for link in self._of(flow) if (link.standing in standings if standings else link.drift is not None)]
        told = [link for link in found if link.trouble is not None and link.trouble.since is not None]
        told.sort(key=lambda link: link.trouble.since, reverse=True)  # type: ignore[union-attr, return-value, arg-type]
        return (told + [link for link in found if link not in told])[:limit]

    async def tally(self, flow: str) -> Mapping[str, int]:
        await asyncio.sleep(0)
        counts = Counter[str](link.standing for link in self._of(flow))
        drifted = sum(link.drift is not None for link in self._of(flow))
        return {**counts, "drifted": drifted} if drifted else dict(counts)

    async def mark_due(self, ids: Sequence[str], *, again: bool = False) -> int:
        await asyncio.sleep(0)
        links = [self.rows[one] for one in dict.fromkeys(ids) if one in self.rows]
        if again:
            links = [
                msgspec.structs.replace(link, agreed=None, left=link.left.place, right=link.right.place, due=False)
                for link in links
            ]
        return self._mark(links)

    async def dismiss(self, ids: Sequence[str]) -> int:
        await asyncio.sleep(0)
        links = [self.rows[one] for one in dict.fromkeys(ids) if one in self.rows]
        self.put(msgspec.structs.replace(link, standing="skipped", trouble=None, drift=None, due=False) for link in links)
        return len(links)

    async def sight(self, flow: str, side: Side, ids: Sequence[RemoteId]) -> None:
        await asyncio.sleep(0)
        self.sighted.setdefault((flow, side), set()).update(ids)

    async def unsighted(self, flow: str, side: Side) -> AsyncIterator[Sequence[Link]]:
        seen = self.sighted.get((flow, side), set())
        links = [link for link in self._of(flow) if link.standing != "gone" and link.end(side).id is not None]
        missing = sorted((link for link in links if link.end(side).id not in seen), key=lambda link: link.end(side).id or "")
        async for page in _paged(missing):
            yield page

    async def forget_sightings(self, flow: str, side: Side) -> None:
        await asyncio.sleep(0)
        self.sighted.pop((flow, side), None)

    async def every(self, flow: str) -> AsyncIterator[Sequence[Link]]:
        async for page in _paged(sorted(self._of(flow), key=lambda link: link.id)):
            yield page

    def _of(self, flow: str | None) -> list[Link]:
        return [link for link in self.rows.values() if flow is None or link.flow == flow]

    def _mark(self, links: Iterable[Link]) -> int:
        marked = [msgspec.structs.replace(link, due=True, turns=None) for link in links if not link.due]
        self.put(marked)
        return len(marked)


async def _paged(links: Sequence[Link]) -> AsyncIterator[Sequence[Link]]:
    for start in range(0, len(links), _CHUNK):
        await asyncio.sleep(0)
        yield links[start : start + _CHUNK]


def _forgetful(link: Link) -> Link:
    return msgspec.structs.replace(link, agreed=None, left=link.left.place, right=link.right.place, due=False)


def _parent(link: Link, side: Side) -> Ref | None:
    trouble = link.trouble if link.standing in ("parked", "skipped") else None
    return trouble.waits_for if trouble is not None and trouble.side == side else None


def _names(link: Link) -> list[tuple[str, Side, RemoteId]]:
    ends: tuple[tuple[Side, RemoteId | None], ...] = (("left", link.left.id), ("right", link.right.id))
    return [(link.flow, side, one) for side, one in ends if one is not None]
