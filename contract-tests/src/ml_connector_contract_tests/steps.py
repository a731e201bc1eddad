"""What a sink promises that writes one record in several calls: cut off anywhere, the record comes to be whole, and once."""

import itertools
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec
import pytest

from ml_connector.domain import UNSET, Entity, Extra, Record
from ml_connector.errors import RetryLater
from ml_connector.ports.sink import Create, Outcome, Rejected, Sink, Update, Written
from ml_connector_contract_tests.stage import Contract, Cut, Stage

Again: TypeAlias = Literal["created again", "looked up"]

MOST_STEPS = 80
TRIES = 5
PAUSE_S = 60.0


class StepsContract(Contract):
    """Creates whose entity is the stage's ``rich``: everything that takes a call of its own.

    Which call is the last is found out: the cut moves on until the write has fewer calls than that.
    """

    @pytest.mark.parametrize("again", ["created again", "looked up"])
    @pytest.mark.parametrize("dies", [True, False], ids=["and the process dies", "and the process lives"])
    @pytest.mark.parametrize("cut", ["lost before", "lost after", "server error"])
    async def test_a_write_that_is_cut_off_at_any_call_ends_with_one_whole_record(
        self, stage: Stage, cut: Cut, dies: bool, again: Again
    ) -> None:
        """Half a record is found by its key and completed, by the process that began it or by the next."""
        stage.needs("lookup", "steps")
        whole = await self._whole(stage)
        for call in itertools.count(1):
            assert call <= MOST_STEPS, "a write without an end"
            n = call + 1
            write = self._create(stage, n)
            sink = stage.connect().sinks[stage.kind] if dies else stage.sink
            before = stage.steps()
            stage.cut_off(call, cut, dies=dies)
            told = await self._tried(sink, write)
            stage.calm()
            if isinstance(told, Written):
                self._is_whole(stage, n, await self._read(stage, write), whole)
            if stage.steps() - before < call:
                assert isinstance(told, Written)
                return
            assert not isinstance(told, Rejected), f"call {call}: {told}"
            if not isinstance(told, Written):
                if dies:
                    sink = stage.connect().sinks[stage.kind]
                await self._come_to_an_end(stage, sink, write, again, f"call {call}, {cut}")
            self._is_whole(stage, n, await self._read(stage, write), whole)

    async def test_a_whole_record_that_is_created_again_stays_as_it_is(self, stage: Stage) -> None:
        """Its parts are known again for what they are: nothing is doubled."""
        stage.needs("lookup", "steps")
        whole = await self._whole(stage)
        before = await self._read(stage, self._create(stage, 1))
        stage.clock.advance(PAUSE_S)
        [outcome] = await stage.connect().sinks[stage.kind].write([self._create(stage, 1)])
        assert isinstance(outcome, Written)
        after = await self._read(stage, self._create(stage, 1))
        assert (outcome.created, outcome.id, after.id) == (False, before.id, before.id)
        self._is_whole(stage, 1, after, whole)

    def _create(self, stage: Stage, n: int) -> Create:
        return Create(key=stage.key(n), entity=stage.rich(n))

    async def _whole(self, stage: Stage) -> tuple[Mapping[str, Any], int]:
        """The first record, written without disturbance: what it reads as, and how many rows hang on it."""
        write = self._create(stage, 1)
        [outcome] = await stage.sink.write([write])
        assert isinstance(outcome, Written), outcome
        record = await self._read(stage, write)
        return _content(stage, record.entity), stage.parts(1)

    async def _read(self, stage: Stage, write: Create) -> Record:
        """The one record that has the key, as a connection sees it that did not write it."""
        [record] = (await stage.sink.find([write.key]))[write.key]
        return record

    def _is_whole(self, stage: Stage, n: int, record: Record, whole: tuple[Mapping[str, Any], int]) -> None:
        assert stage.copies(n) == 1
        assert (_content(stage, record.entity), stage.parts(n)) == whole

    async def _tried(self, sink: Sink, write: Create | Update) -> Outcome | None:
        """The outcome, None where it was an error that may pass."""
        try:
            [outcome] = await sink.write([write])
        except RetryLater:
            return None
        return outcome

    async def _come_to_an_end(self, stage: Stage, sink: Sink, create: Create, again: Again, where: str) -> None:
        """What the program does until the write has ended: it tries again, or looks and sends what is missing."""
        for _ in range(TRIES):
            stage.clock.advance(PAUSE_S)
            write: Create | Update = create
            found = (await sink.find([create.key]))[create.key] if again == "looked up" else []
            if found:
                [record] = found
                missing = _missing(stage, create.entity, record)
                if missing is None:
                    return
                write = Update(id=record.id, changes=missing, version=record.version)
            told = await self._tried(sink, write)
            if isinstance(told, Written):
                return
            assert not isinstance(told, Rejected), f"{where}: {told}"
        pytest.fail(f"{where}: it never came to be written")


def _content(stage: Stage, entity: Entity | None) -> Mapping[str, Any]:
    """What two records have alike that differ in number and title alone; lines without keys, which may be the vendor's own."""
    assert entity is not None
    own = {"number", stage.key(1).field, stage.text}
    told = {name: value for name, value in msgspec.structs.asdict(entity).items() if name not in own and value is not UNSET}
    if isinstance(extra := told.get("extra"), Extra):
        told["extra"] = {name: value for name, value in extra.items() if name not in stage.counted}
    return {**told, "lines": [msgspec.structs.replace(line, key="") for line in told.get("lines") or ()]}


def _missing(stage: Stage, wanted: Entity, record: Record) -> Entity | None:
    """The fields that do not stand as they were sent; None where all do."""
    fields = {
        name: value
        for name, value in msgspec.structs.asdict(wanted).items()
        if value is not UNSET and name not in ("number", stage.key(1).field) and getattr(record.entity, name) != value
    }
    return stage.changes(**fields) if fields else None
