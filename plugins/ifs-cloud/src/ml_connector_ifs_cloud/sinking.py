"""What writing any kind has in common: one record a call, its steps one after the other, and an outcome for whatever happens.

A create takes several requests. Its first one carries the key by which ``find`` sees what was begun; the steps after it look at
what stands there and bring only what is missing. So a create that was cut off anywhere is completed by being done again.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from ml_connector.domain import Entity, Record, RemoteId, Version
from ml_connector.errors import AnswerLost, RecordRejected, RetryLater
from ml_connector.ports.sink import (
    Conflict,
    Create,
    Key,
    Later,
    Outcome,
    Rejected,
    Remove,
    SinkLimits,
    Unknown,
    Update,
    Write,
    Written,
)
from ml_connector_adapters.http import Answer
from ml_connector_ifs_cloud.api import Api, Service
from ml_connector_ifs_cloud.errors import STALE, in_use, property_of
from ml_connector_ifs_cloud.places import Action
from ml_connector_ifs_cloud.reading import Reader
from ml_connector_ifs_cloud.rows import Row

S = TypeVar("S", bound=Reader[Any, Any])
H = TypeVar("H", bound=Row)

_etag: Final = msgspec.json.Decoder(Row)


class Moved(Exception):
    """The record is not as it was when the change was decided; ``current`` is None where it is gone."""

    def __init__(self, current: Version | None) -> None:
        super().__init__(current)
        self.current = current


class Steps:
    """The requests of one write, and how many of them were carried out."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.done = 0

    async def post(self, path: str, body: Mapping[str, object]) -> Answer:
        return await self._done("POST", path, body)

    async def patch(self, path: str, etag: str | None, body: Mapping[str, object]) -> str | None:
        """Change a row that has this ETag; returns its new one, None where the answer does not tell."""
        answer = await self._done("PATCH", path, body, etag=etag)
        return answer.headers.get("etag") or (answer.decode(_etag).etag if answer.body else None)

    async def delete(self, path: str, etag: str | None) -> None:
        await self._done("DELETE", path, None, etag=etag)

    async def act(self, action: Action, *, on: str, etag: str | None) -> None:
        await self._api.act(action, on=on, etag=_guarded(etag, on))
        self.done += 1

    async def call(self, service: Service, action: Action) -> None:
        await self._api.call(service, action)
        self.done += 1

    async def _done(self, method: str, path: str, body: Mapping[str, object] | None, *, etag: str | None = "") -> Answer:
        answer = await self._api.change(method, path, body, etag=_guarded(etag, path) if etag != "" else "")
        self.done += 1
        return answer


def _guarded(etag: str | None, path: str) -> str:
    """Nothing is changed without an ETag: IFS would insert, or overwrite what somebody else wrote."""
    if not etag:
        raise RecordRejected(
            f"{path.rpartition('/')[2]} came without @odata.etag, so that it cannot be changed safely", code="ETAG"
        )
    return etag


class IfsSink(ABC, Generic[S, H]):
    """A Sink of one kind over its Reader (S), whose header rows are of type H: what is written is seen as it is read."""

    def __init__(self, api: Api, reader: S) -> None:
        self.api, self.reader, self.rules = api, reader, reader.rules

    @property
    def limits(self) -> SinkLimits:
        """One record takes several dependent calls, so that there is nothing to batch; the limiter paces those in parallel."""
        return SinkLimits(batch=1, parallel=self.api.settings.limits.concurrency, in_steps=True)

    @abstractmethod
    async def accepts(self) -> frozenset[str]: ...

    @abstractmethod
    def field_of(self, key: str) -> str | None:
        """The header's property that holds a canonical field by which records are looked up; None where there is none."""

    @abstractmethod
    async def create(self, steps: Steps, key: Key, entity: Any) -> Written: ...

    @abstractmethod
    async def update(self, steps: Steps, number: RemoteId, changes: Any, version: Version | None) -> Written: ...

    @abstractmethod
    async def remove(self, steps: Steps, number: RemoteId, version: Version | None) -> Written: ...

    @abstractmethod
    def blamed(self, name: str) -> str:
        """The canonical field behind a property (capitals, no underscores); the property itself where there is none."""

    async def find(self, keys: Sequence[Key]) -> dict[Key, list[Record]]:
        found: dict[Key, list[Record]] = {key: [] for key in keys}
        for name in dict.fromkeys(key.field for key in found):
            wanted = [key for key in found if key.field == name and key.value]
            source = self.field_of(name)
            if source is None or not wanted:
                continue
            query = await self.reader.headers()
            select = tuple(dict.fromkeys((*query.select, source))) if query.select else ()
            query = msgspec.structs.replace(query, select=select)
            rows = await self.api.by_keys(query, self.reader.text(source), [key.value for key in wanted])
            for row, record in zip(rows, await self.reader.scattered(rows), strict=True):
                found.get(Key(name, str(getattr(row, source))), []).append(record)
        return found

    async def write(self, writes: Sequence[Write]) -> list[Outcome]:
        return [await self._outcome(write) for write in writes]

    async def known(self, key: Key) -> H | None:
        """The header row that has the key, in scope or not. Raises RecordRejected where several have it."""
        source = self.field_of(key.field)
        if source is None or not key.value:
            raise RecordRejected(f"{self.reader.kind}s cannot be known by {key.field}", code="NO_KEY", field=key.field)
        rows = await self.rows(source, key.value)
        if len(rows) > 1:
            told = ", ".join(self.reader.id_of(row) for row in rows[:5])
            raise RecordRejected(f"{source} {key.value} is that of several: {told}", code="AMBIGUOUS", field=key.field)
        return rows[0] if rows else None

    async def rows(self, source: str, *values: str) -> list[H]:
        """Header rows by one property, in scope or not."""
        query = await self.reader.headers()
        select = tuple(dict.fromkeys((*query.select, source))) if query.select else ()
        query = msgspec.structs.replace(query, select=select, filter="")
        return await self.api.by_keys(query, self.reader.text(source), values)

    async def _outcome(self, write: Write) -> Outcome:
        steps = Steps(self.api)
        try:
            match write:
                case Create(key=key, entity=entity):
                    return await self.create(steps, key, entity)
                case Update(id=number, changes=changes, version=version):
                    return await self.update(steps, number, changes, version)
                case Remove(id=number, version=version):
                    return await self.remove(steps, number, version)
        except Moved as moved:
            return Conflict(current=moved.current)
        except RecordRejected as error:
            if error.code == STALE:
                return await self._overtaken(write)
            return self._refusal(error)
        except AnswerLost as lost:
            return Unknown(reason=lost.what)
        except RetryLater as error:
            if steps.done:  # some of it stands: a look tells what is missing
                return Unknown(reason=f"cut off in the middle: {error.what}")
            if in_use(error):
                return Later(reason=error.what, after_s=error.after_s)
            raise

    async def _overtaken(self, write: Write) -> Outcome:
        """IFS found another ETag than ours on one of the rows."""
        if isinstance(write, Create):
            records = (await self.find([write.key]))[write.key]
            return Conflict(current=records[0].version, id=records[0].id) if records else Unknown(reason="the record moved")
        records = await self.reader.fetch([write.id])
        return Conflict(current=records[0].version if records else None)

    def _refusal(self, error: RecordRejected) -> Rejected:
        name = property_of(error.what)
        field = error.field or (self.blamed(name) if name else "")
        return Rejected(code=error.code or "REFUSED", reason=error.what, field=field, fix=error.fix)


def told(entity: Entity, *names: str) -> bool:
    """Whether the entity says anything about any of these fields."""
    return any(getattr(entity, name) is not msgspec.UNSET for name in names)
