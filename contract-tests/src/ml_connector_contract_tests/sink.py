"""What every sink promises: each write has exactly one outcome, and the outcome is true."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec
import pytest

from ml_connector.domain import ENTITIES
from ml_connector.ports.sink import Conflict, Key, Outcome, Rejected, Remove, Unknown, Update, Written
from ml_connector_contract_tests.keys import KeysContract
from ml_connector_contract_tests.source import AWKWARD
from ml_connector_contract_tests.stage import Stage


class SinkContract(KeysContract):
    """Writing and looking up one kind."""

    # Creating

    async def test_a_new_record_is_stored_and_told_as_new(self, stage: Stage) -> None:
        """What the vendor's own tables show is what was written."""
        [outcome] = await stage.sink.write([stage.create(1)])
        assert isinstance(outcome, Written)
        assert outcome.created
        assert stage.stored_text(1) == stage.title(1)

    async def test_the_same_create_twice_stores_once(self, stage: Stage) -> None:
        """A create for a business key that is there already updates it, says so, and names the same record."""
        [first] = await stage.sink.write([stage.create(1)])
        [second] = await stage.sink.write([stage.create(1, **{stage.text: "Acme Holding"})])
        assert isinstance(first, Written)
        assert isinstance(second, Written)
        assert (second.id, second.created) == (first.id, False)
        assert (stage.copies(1), stage.stored_text(1)) == (1, "Acme Holding")

    async def test_every_write_has_its_outcome_in_its_place(self, stage: Stage) -> None:
        """More records than a batch: as many outcomes, each with the id of its own record."""
        writes = [stage.create(n) for n in range(1, stage.many + 1)]
        outcomes = await stage.write(*writes)
        assert len(outcomes) == len(writes)
        found = await stage.sink.find([write.key for write in writes])
        for write, outcome in zip(writes, outcomes, strict=True):
            assert isinstance(outcome, Written)
            assert [record.id for record in found[write.key]] == [outcome.id]

    async def test_one_refused_record_never_sinks_the_rest(self, stage: Stage) -> None:
        """The refusal stands in the refused record's place, and its neighbours are written."""
        refused = stage.refused(2)
        bad = msgspec.structs.replace(stage.create(2), entity=refused)
        outcomes = await stage.write(stage.create(1), bad, stage.create(3))
        assert [type(outcome) for outcome in outcomes] == [Written, Rejected, Written]
        assert set(stage.stored()) == {stage.number(1), stage.number(3)}

    async def test_a_refusal_is_in_the_vendors_words_with_a_code(self, stage: Stage) -> None:
        """Whoever reads the operator's list must be able to act on it."""
        bad = msgspec.structs.replace(stage.create(1), entity=stage.refused(1))
        [outcome] = await stage.sink.write([bad])
        assert isinstance(outcome, Rejected)
        assert outcome.code
        assert outcome.reason
        assert stage.stored() == {}

    async def test_nothing_to_write_costs_no_call(self, stage: Stage) -> None:
        """An empty batch has no outcomes and asks nobody."""
        before = stage.calls()
        assert await stage.sink.write([]) == []
        assert stage.calls() == before

    # What becomes of fields

    async def test_what_is_unset_is_left_alone(self, stage: Stage) -> None:
        """An update of one field keeps the others."""
        stage.needs("clearing")
        [made] = await stage.sink.write([stage.create(1, **{stage.clearable: "+46 18 123456"})])
        await self._update(stage, made, **{stage.text: "Acme Holding"})
        facts = stage.stored()[stage.number(1)]
        assert (facts[stage.text], facts[stage.clearable]) == ("Acme Holding", "+46 18 123456")

    async def test_none_clears(self, stage: Stage) -> None:
        """A field that its owner has emptied is emptied over there, and no other with it."""
        stage.needs("clearing")
        [made] = await stage.sink.write([stage.create(1, **{stage.clearable: "+46 18 123456"})])
        await self._update(stage, made, **{stage.clearable: None})
        facts = stage.stored()[stage.number(1)]
        assert facts[stage.clearable] in (None, "")
        assert facts[stage.text] == stage.title(1)

    async def test_an_empty_text_leaves_the_field_empty(self, stage: Stage) -> None:
        """ "" is stored as empty or as nothing; the old value must not stay."""
        stage.needs("clearing")
        [made] = await stage.sink.write([stage.create(1, **{stage.clearable: "+46 18 123456"})])
        await self._update(stage, made, **{stage.clearable: ""})
        assert stage.stored()[stage.number(1)][stage.clearable] in (None, "")

    @pytest.mark.parametrize("text", AWKWARD)
    async def test_awkward_text_is_stored_as_it_is(self, stage: Stage, text: str) -> None:
        """Quotes, markup, emoji and other scripts arrive unharmed, and come back so."""
        [outcome] = await stage.sink.write([stage.create(1, **{stage.text: text})])
        assert isinstance(outcome, Written)
        assert stage.stored_text(1) == text
        [record] = await stage.find_one(1)
        assert getattr(record.entity, stage.text) == text

    async def test_text_at_the_limit_is_stored_whole(self, stage: Stage) -> None:
        """The limit itself is allowed, counted in characters, not bytes."""
        stage.needs("text limit")
        longest = "Ä" * stage.text_limit
        [outcome] = await stage.sink.write([stage.create(1, **{stage.text: longest})])
        assert isinstance(outcome, Written)
        assert stage.stored_text(1) == longest

    async def test_text_over_the_limit_is_refused_by_field_and_never_cut(self, stage: Stage) -> None:
        """Nobody agreed to half a name."""
        stage.needs("text limit")
        [made] = await stage.sink.write([stage.create(1)])
        [outcome] = await stage.sink.write([self._change(stage, made, **{stage.text: "Ä" * (stage.text_limit + 1)})])
        assert isinstance(outcome, Rejected)
        assert outcome.field == stage.text
        assert stage.stored_text(1) == stage.title(1)

    async def test_amounts_are_stored_and_read_to_the_last_digit(self, stage: Stage) -> None:
        """Decimal in, Decimal out, the same amount in the vendor's own table."""
        stage.needs("amounts")
        for n, amount in enumerate(stage.amounts, 1):
            await stage.sink.write([stage.create(n, **stage.amount(amount))])
            assert Decimal(str(stage.stored()[stage.number(n)][stage.money])) == amount
            [record] = await stage.find_one(n)
            assert stage.amount_of(record.entity) == amount

    async def test_lines_are_replaced_as_a_whole(self, stage: Stage) -> None:
        """An update's lines are the whole list: what is not in it is gone, and the rest is not doubled."""
        stage.needs("lines")
        [made] = await stage.sink.write([stage.create(1, lines=stage.lines("1", "2", "3"))])
        grown = await self._update(stage, made, lines=stage.lines("2", "3", "4", "5"))
        assert len(self._lines(stage)) == 4
        await self._update(stage, grown, lines=stage.lines("5"))
        assert len(self._lines(stage)) == 1

    # Versions

    async def test_an_update_that_nobody_disturbed_is_written(self, stage: Stage) -> None:
        """The version that a write returned is good for the next."""
        [made] = await stage.sink.write([stage.create(1)])
        first = await self._update(stage, made, **{stage.text: "Acme Holding"})
        await self._update(stage, first, **{stage.text: "Acme Group"})
        assert stage.stored_text(1) == "Acme Group"

    async def test_the_version_that_a_write_returns_is_the_one_that_stands(self, stage: Stage) -> None:
        """Else our own write would be taken for somebody's edit when it is read back."""
        [made] = await stage.sink.write([stage.create(1)])
        done = await self._update(stage, made, **{stage.text: "Acme Holding"})
        if done.version is None:
            pytest.skip("a write returns no version")
        [record] = await stage.find_one(1)
        assert (record.id, record.version) == (done.id, done.version)

    async def test_a_stale_version_is_a_conflict_and_nothing_is_written(self, stage: Stage) -> None:
        """Somebody was faster: their edit stays, and the outcome names the version that stands."""
        stage.needs("conflicts", "entering")
        [made] = await stage.sink.write([stage.create(1)])
        assert isinstance(made, Written)
        stage.clock.advance(5)
        stage.edit_as_person(made.id, "Edited by Sam")
        [outcome] = await stage.sink.write([self._change(stage, made, **{stage.text: "Acme Holding"})])
        assert isinstance(outcome, Conflict)
        [record] = await stage.find_one(1)
        assert outcome.current == record.version
        assert stage.stored_text(1) == "Edited by Sam"

    async def test_a_conflict_stands_in_its_place_among_others(self, stage: Stage) -> None:
        """The neighbours of a record that moved are written."""
        stage.needs("conflicts", "entering")
        made = await stage.write(stage.create(1), stage.create(2), stage.create(3))
        stage.clock.advance(5)
        assert isinstance(made[1], Written)
        stage.edit_as_person(made[1].id, "Edited by Sam")
        outcomes = await stage.write(*(self._change(stage, one, **{stage.text: "Acme Holding"}) for one in made))
        assert [type(outcome) for outcome in outcomes] == [Written, Conflict, Written]
        assert [stage.stored_text(n) for n in (1, 2, 3)] == ["Acme Holding", "Edited by Sam", "Acme Holding"]

    async def test_a_record_that_is_gone_is_a_conflict_without_a_version(self, stage: Stage) -> None:
        """An update never brings a deleted record back by itself, and never fails the flow."""
        stage.needs("deleting")
        [made] = await stage.sink.write([stage.create(1)])
        assert isinstance(made, Written)
        stage.clock.advance(5)
        stage.delete_as_person(made.id)
        [outcome] = await stage.sink.write([self._change(stage, made, **{stage.text: "Acme Holding"})])
        assert outcome == Conflict(current=None)
        assert stage.stored() == {}

    # Lost answers

    async def test_an_answer_lost_after_the_work_is_never_a_failure(self, stage: Stage) -> None:
        """The create is Unknown (or proven), a look finds it, and creating it again doubles nothing."""
        stage.needs("lookup")
        stage.lose_next_answer("write", after=True)
        [outcome] = await stage.sink.write([stage.create(1)])
        assert isinstance(outcome, (Unknown, Written))
        assert len(await stage.find_one(1)) == 1
        [again] = await stage.sink.write([stage.create(1)])
        assert isinstance(again, Written)
        assert stage.copies(1) == 1

    async def test_an_answer_lost_before_the_work_is_never_a_success(self, stage: Stage) -> None:
        """Written is said only of what stands; Unknown leaves it to a look, which finds nothing."""
        stage.needs("lookup")
        stage.lose_next_answer("write", after=False)
        [outcome] = await stage.sink.write([stage.create(1)])
        assert isinstance(outcome, (Unknown, Written))
        assert len(await stage.find_one(1)) == (1 if isinstance(outcome, Written) else 0)

    async def test_answers_that_are_lost_every_time_are_unknown(self, stage: Stage) -> None:
        """However often it was tried: an outcome that was never seen is not known, and it is an outcome, not an error."""
        stage.lose_next_answer("write", after=True, times=99)
        [outcome] = await stage.sink.write([stage.create(1)])
        stage.calm()
        assert isinstance(outcome, Unknown)
        assert stage.copies(1) == 1

    async def test_a_lost_answer_to_an_update_is_unknown_or_proven(self, stage: Stage) -> None:
        """After a look the update can be made again, and stands once."""
        [made] = await stage.sink.write([stage.create(1)])
        stage.clock.advance(5)
        stage.lose_next_answer("write", after=True)
        [outcome] = await stage.sink.write([self._change(stage, made, **{stage.text: "Acme Holding"})])
        assert isinstance(outcome, (Unknown, Written, Conflict))
        assert stage.stored_text(1) == "Acme Holding"

    async def test_a_create_that_met_a_server_error_is_not_sent_again_blindly(self, stage: Stage) -> None:
        """A 5xx leaves open whether the work was done; only a vendor that upserts by key may be asked again."""
        stage.break_next_call("write")
        [outcome] = await stage.sink.write([stage.create(1)])
        if stage.upserts:
            assert isinstance(outcome, (Unknown, Written))
        else:
            assert isinstance(outcome, Unknown)
        assert stage.copies(1) == (1 if isinstance(outcome, Written) else 0)

    async def test_an_unreadable_answer_to_a_write_is_unknown_or_proven(self, stage: Stage) -> None:
        """The work was done and the answer is a web page: neither success nor failure can be read from it."""
        stage.garble_next_answer("write")
        [outcome] = await stage.sink.write([stage.create(1)])
        assert isinstance(outcome, (Unknown, Written))
        assert stage.copies(1) == 1

    # Looking up

    async def test_a_record_is_found_by_its_number_the_moment_it_is_written(self, stage: Stage) -> None:
        """No search index that lags behind decides whether something is created again."""
        [made] = await stage.sink.write([stage.create(1)])
        assert isinstance(made, Written)
        assert [record.id for record in await stage.find_one(1)] == [made.id]

    async def test_every_key_that_was_asked_for_is_in_the_answer(self, stage: Stage) -> None:
        """Keys without a record map to nothing, however many are asked for, awkward ones among them."""
        stage.needs("lookup")
        await stage.write(*(stage.create(n) for n in range(1, stage.many + 1)))
        odd = [Key("number", "O'B&/%"), Key("number", "株式会社"), Key("number", "C-0001' or '1'='1")]
        keys = [stage.key(n) for n in range(stage.many + 3, 0, -1)] + odd
        found = await stage.sink.find(keys)
        assert set(found) == set(keys)
        assert [key for key in keys if not found[key]] == [stage.key(stage.many + n) for n in (3, 2, 1)] + odd

    async def test_no_keys_cost_no_call(self, stage: Stage) -> None:
        """Looking for nothing asks nobody, above all not for everything."""
        stage.needs("lookup")
        await stage.sink.write([stage.create(1)])
        before = stage.calls()
        assert await stage.sink.find([]) == {}
        assert stage.calls() == before

    # What it says of itself

    async def test_it_names_only_fields_that_exist_and_its_key_among_them(self, stage: Stage) -> None:
        """Flows are checked against this list before anything is written."""
        accepts = await stage.sink.accepts()
        named = {name for name in accepts if not name.startswith("extra.")}
        assert named <= set(ENTITIES[stage.kind].__struct_fields__)
        assert {"number", stage.text} <= named

    async def test_its_limits_can_be_worked_with(self, stage: Stage) -> None:
        """At least one record at a time, by at least one writer."""
        assert stage.sink.limits.batch >= 1
        assert stage.sink.limits.parallel >= 1

    async def test_taking_a_record_out_of_use_keeps_it(self, stage: Stage) -> None:
        """Remove deactivates as the vendor does it; nothing is ever deleted for good."""
        stage.needs("removing")
        [made] = await stage.sink.write([stage.create(1)])
        assert isinstance(made, Written)
        [outcome] = await stage.sink.write([Remove(id=made.id, version=made.version)])
        assert isinstance(outcome, Written)
        assert stage.copies(1) == 1

    def _lines(self, stage: Stage) -> Sequence[object]:
        lines = stage.stored()[stage.number(1)]["lines"]
        assert isinstance(lines, Sequence)
        return lines

    def _change(self, stage: Stage, made: Outcome, **fields: object) -> Update:
        assert isinstance(made, Written)
        return Update(id=made.id, changes=stage.changes(**fields), version=made.version)

    async def _update(self, stage: Stage, made: Outcome, **fields: object) -> Written:
        stage.clock.advance(5)
        [outcome] = await stage.sink.write([self._change(stage, made, **fields)])
        assert isinstance(outcome, Written)
        assert outcome.created is False
        return outcome
