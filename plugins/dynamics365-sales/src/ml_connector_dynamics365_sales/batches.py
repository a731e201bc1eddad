"""Writes packed into ``$batch`` calls, each no longer than Dataverse takes to work it off within its two minutes.

How long a row takes is the environment's own secret: its plug-ins run. So a batch whose answer does not come makes those after
it half as wide, and each that is answered makes them a little wider again.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from ml_connector.errors import AnswerLost, ConnectorError
from ml_connector_dynamics365_sales.api import AT_ONCE, Api, TooLarge
from ml_connector_dynamics365_sales.judge import STOPS
from ml_connector_dynamics365_sales.multipart import Request, Response

OPERATIONS: Final = 1000
"""Operations of a batch at most, those of change sets and reads among them."""
LEAST: Final = 10
"""Rows of the narrowest batches: what Microsoft's documentation begins with."""
_GROWTH: Final = 20


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """What goes to Dataverse for one record, side by side in one batch.

    writes  stand or fall together
    rows    that they write, those of a deep insert among them: each takes its time
    look    reads how the record stands behind them
    """

    writes: tuple[Request, ...]
    rows: int
    look: Request | None = None

    @property
    def operations(self) -> int:
        return len(self.writes) + (self.look is not None)

    def items(self) -> Iterator[Request | Sequence[Request]]:
        yield self.writes[0] if len(self.writes) == 1 else self.writes
        if self.look is not None:
            yield self.look


class Done(msgspec.Struct, frozen=True):
    """What came of a unit: the first write's answer, or the refusal of them all; and what the look saw."""

    answer: Response
    look: Response | None = None

    @property
    def refused(self) -> bool:
        return self.answer.status >= 400


Result: TypeAlias = Done | ConnectorError
"""An error where the whole call failed: AnswerLost when nobody knows what was done."""


class Batches:
    """Sends the units of one kind. ``width`` is how many rows one batch may write as things are, at most ``most``."""

    def __init__(self, api: Api, most: int) -> None:
        self._api, self._most, self.width = api, most, most

    async def send(self, units: Sequence[Unit]) -> list[Result]:
        """One result per unit, in order. A batch is never sent twice by itself: what came of a lost one must be looked up."""
        waiting = deque(enumerate(units))
        results: dict[int, Result] = {}

        async def lane() -> None:
            while waiting:  # packed when its turn comes: by then the one before may have been too wide
                places, batch = zip(*self._next(waiting), strict=True)
                results.update(zip(places, await self._send(batch), strict=True))

        await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
        return [results[place] for place in range(len(units))]

    def _next(self, waiting: deque[tuple[int, Unit]]) -> Iterator[tuple[int, Unit]]:
        """As many as fit into one batch, one at least."""
        rows = operations = 0
        while waiting:
            unit = waiting[0][1]
            rows += unit.rows
            operations += unit.operations
            if operations > unit.operations and (rows > self.width or operations > OPERATIONS):
                return
            yield waiting.popleft()

    async def _send(self, units: Sequence[Unit]) -> list[Result]:
        rows = sum(unit.rows for unit in units)
        try:
            told = await self._api.batch([item for unit in units for item in unit.items()])
        except AnswerLost as error:
            self._narrow(rows)
            return [error] * len(units)
        except TooLarge:  # for whoever stands between us and Dataverse: nothing was done
            if len(units) == 1:
                return [Done(Response(413, {}, b""))]
            self._narrow(rows)
            middle = len(units) // 2
            return [*await self._send(units[:middle]), *await self._send(units[middle:])]
        except STOPS as error:
            return [error] * len(units)
        if 2 * rows >= self.width:  # a narrow one says nothing about a wide one
            self.width = min(self._most, self.width + max(1, self.width // _GROWTH))
        answers = iter(told)
        return [_done(unit, answers) for unit in units]

    def _narrow(self, rows: int) -> None:
        """A batch of so many rows was too wide. Several of them that fail side by side halve the width once."""
        if rows > LEAST:
            self.width = min(self.width, max(LEAST, rows // 2, self.width // 2))


def _done(unit: Unit, answers: Iterator[Response | list[Response]]) -> Result:
    told = next(answers)
    look = next(answers) if unit.look is not None else None
    several = [told] if isinstance(told, Response) else told
    refused = next((one for one in several if one.status >= 400), None)
    if isinstance(look, list) or (refused is None and len(several) != len(unit.writes)):
        return AnswerLost(f"{len(unit.writes)} writes were sent and {len(several)} answers came")
    return Done(refused or several[0], look)
