"""What every sink promises about business keys: a record is found by its own key and by no other."""

import pytest

from ml_connector.domain import Record
from ml_connector.errors import ConnectorError
from ml_connector.ports.sink import Key, Unknown, Written
from ml_connector_contract_tests.stage import Contract, Stage

LIKE = "AXB"
"""What a pattern would take for one of the odd keys."""


class KeysContract(Contract):
    """Looking up, and creating what is there already. Where there is no upsert, all of exactness hangs on these."""

    async def test_a_key_that_begins_or_ends_like_another_finds_only_itself(self, stage: Stage) -> None:
        """Neither a search for words nor one for beginnings decides whether something is created again."""
        stage.needs("lookup")
        base = stage.number(1)
        stage.renumber(f"{base}7")
        [made] = await stage.sink.write([stage.create(1)])
        assert isinstance(made, Written)
        parts = [Key(stage.key(1).field, value) for value in (base, f"{base[1:]}7", base[:-1], f"{base}77", f"7{base}7")]
        found = await stage.sink.find([stage.key(1), *parts])
        assert [record.id for record in found[stage.key(1)]] == [made.id]
        assert [key.value for key in parts if found[key]] == []
        for key in parts:
            assert (await stage.sink.find([key]))[key] == [], key.value

    async def test_keys_with_awkward_characters_find_themselves_alone(self, stage: Stage) -> None:
        """What is an operator, a wildcard or a separator somewhere on the way is a letter in a key."""
        stage.needs("lookup")
        keys = await self._odd(stage)
        outcomes = await stage.write(*(stage.create(n) for n in range(1, len(keys) + 1)))
        ids = {key: outcome.id for key, outcome in zip(keys, outcomes, strict=True) if isinstance(outcome, Written)}
        assert [key.value for key in keys if key not in ids] == []
        assert len(set(ids.values())) == len(keys)
        together = await stage.sink.find(keys)
        for key in keys:
            alone = await stage.sink.find([key])
            assert [record.id for record in alone[key]] == [ids[key]], key.value
            assert [record.id for record in together[key]] == [ids[key]], key.value

    async def test_a_create_whose_answer_was_lost_finds_itself_after_a_restart(self, stage: Stage) -> None:
        """Whatever characters its key has, and with no memory of what was sent."""
        stage.needs("lookup")
        keys = await self._odd(stage)
        for n, key in enumerate(keys, 1):
            stage.lose_next_answer("write", after=True)
            [outcome] = await stage.sink.write([stage.create(n)])
            stage.calm()
            assert isinstance(outcome, (Unknown, Written)), key.value
            [again] = await stage.connect().sinks[stage.kind].write([stage.create(n)])
            assert isinstance(again, Written), key.value
            assert stage.copies(n) == 1, key.value
            assert [record.id for record in await stage.find_one(n)] == [again.id], key.value

    @pytest.mark.parametrize("spelt", ["swapped case", "a blank behind", "a blank before"])
    async def test_what_is_found_under_a_spelling_is_what_a_create_meets(self, stage: Stage, spelt: str) -> None:
        """Whether case and blanks count is the vendor's to say; looking up and creating must say the same."""
        stage.needs("lookup")
        number = "ab-1A"
        other = {"swapped case": number.swapcase(), "a blank behind": f"{number} ", "a blank before": f" {number}"}[spelt]
        stage.renumber(number, other)
        [first] = await stage.sink.write([stage.create(1)])
        if not isinstance(first, Written):
            pytest.skip("the vendor takes no such key")
        before = await self._found(stage, 2)
        [second] = await stage.sink.write([stage.create(2)])
        if not isinstance(second, Written):
            assert before == []
            assert stage.copies(2) == 0
            return
        assert [record.id for record in before] == ([] if second.created else [second.id])
        assert second.created == (second.id != first.id)
        assert [record.id for record in await self._found(stage, 2)] == [second.id]

    async def test_of_two_records_with_one_key_both_are_told(self, stage: Stage) -> None:
        """A person must choose: a look-up that shows one of them would have it overwritten."""
        ids = self._doubles(stage)
        assert sorted(record.id for record in await stage.find_one(1)) == sorted(ids)

    async def test_a_create_that_meets_two_records_with_its_key_changes_neither(self, stage: Stage) -> None:
        """It is refused with both in sight, and nothing is doubled a third time."""
        self._doubles(stage)
        before = sorted(str(facts[stage.text]) for _, facts in stage.facts())
        try:
            [outcome] = await stage.sink.write([stage.create(1, **{stage.text: "Acme Holding"})])
        except ConnectorError:
            pytest.fail("one record's trouble is an outcome, never an error")
        assert not isinstance(outcome, (Written, Unknown))
        assert sorted(str(facts[stage.text]) for _, facts in stage.facts()) == before

    async def _odd(self, stage: Stage) -> list[Key]:
        """The odd keys, and one that a pattern among them would take for its own."""
        numbers = [*stage.odd_numbers, LIKE]
        stage.renumber(*numbers)
        return [stage.key(n) for n in range(1, len(numbers) + 1)]

    async def _found(self, stage: Stage, n: int) -> list[Record]:
        return (await stage.sink.find([stage.key(n)]))[stage.key(n)]

    def _doubles(self, stage: Stage) -> list[str]:
        stage.needs("lookup", "entering", "doubles")
        ids = [stage.put_as_person(1, text=text) for text in ("Acme", "Acme again")]
        stage.settle()
        assert len(set(ids)) == stage.copies(1) == 2, "the stage entered one record over the other"
        return ids
