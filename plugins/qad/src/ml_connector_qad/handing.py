"""What a sweep has read of a record serves the reading that follows it, once and not for long."""

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from ml_connector.domain import RemoteId
from ml_connector.ports.clock import Clock

T = TypeVar("T")
_KEPT: Final = 2000
_KEPT_S: Final = 300.0


class Handing(Generic[T]):
    """By record, the newest of a sweep. Whoever takes gets it once: the next one asks the vendor again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: OrderedDict[RemoteId, tuple[float, T]] = OrderedDict()

    def put(self, record_id: RemoteId, value: T) -> None:
        self._held[record_id] = (self._clock.monotonic() + _KEPT_S, value)
        while len(self._held) > _KEPT:
            self._held.popitem(last=False)

    def take(self, record_id: RemoteId) -> T | None:
        held = self._held.pop(record_id, None)
        return held[1] if held is not None and held[0] > self._clock.monotonic() else None

    def clear(self) -> None:
        self._held.clear()
