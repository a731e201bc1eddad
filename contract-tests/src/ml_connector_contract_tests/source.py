"""What every source promises, and what feeds and sweeps promise on top of it."""

import datetime as dt
from decimal import Decimal

import msgspec
import pytest

from ml_connector.domain import UNSET, Entity, Record
from ml_connector.errors import RetryLater
from ml_connector_contract_tests.stage import Contract, Stage, last_cursor, pages, records, stubs, text_of

AWKWARD = (
    'O\'Brien & "Sons"',
    "Größe <b>50%</b> + #1/2",
    "株式会社アクメ",
    "Acme 🚚🇸🇪",
    "back\\slash, comma; (paren)",
)


class SourceContract(Contract):
    """Fetching by id."""

    async def test_a_record_that_a_person_entered_is_fetched_whole(self, stage: Stage) -> None:
        """Number and text come as they stand, and the id is the one asked for."""
        stage.needs("entering")
        wanted = stage.put_as_person(1)
        record = await stage.fetch_one(wanted)
        assert record.id == wanted
        assert not record.gone
        assert record.entity is not None
        assert record.entity.number == stage.number(1)
        assert text_of(stage, record) == stage.title(1)

    async def test_ids_that_nobody_has_are_absent_and_the_others_come(self, stage: Stage) -> None:
        """A vanished record must not fail the batch it was asked for in, nor be made up."""
        stage.needs("entering", "deleting")
        kept, deleted = stage.put_as_person(1), stage.put_as_person(2)
        stage.delete_as_person(deleted)
        assert [record.id for record in await stage.source.fetch([deleted, kept])] == [kept]

    async def test_no_ids_cost_no_call(self, stage: Stage) -> None:
        """An empty list is answered without asking the vendor, above all not for everything."""
        stage.needs("entering")
        stage.put_as_person(1)
        before = stage.calls()
        assert await stage.source.fetch([]) == []
        assert stage.calls() == before

    async def test_more_ids_than_the_vendor_takes_at_once_all_come(self, stage: Stage) -> None:
        """The adapter splits what is too long for one call, and nothing falls between the parts."""
        ids = stage.put_many()
        assert sorted(record.id for record in await stage.source.fetch(ids)) == sorted(ids)

    async def test_a_record_read_twice_is_the_same_with_the_same_version(self, stage: Stage) -> None:
        """Nothing of the reading itself (times, order, tokens) leaks into content or version."""
        stage.needs("entering")
        one = stage.put_as_person(1)
        first = await stage.fetch_one(one)
        stage.settle()
        assert await stage.fetch_one(one) == first
        assert first.version is not None

    async def test_an_edit_is_fetched_with_another_version(self, stage: Stage) -> None:
        """Reading is never answered from a memory of the adapter's own, and the version moves with the content."""
        stage.needs("entering")
        one = stage.put_as_person(1)
        before = await stage.fetch_one(one)
        stage.settle()
        stage.edit_as_person(one, "Acme Holding")
        after = await stage.fetch_one(one)
        assert text_of(stage, after) == "Acme Holding"
        assert after.version != before.version

    async def test_times_are_aware_utc(self, stage: Stage) -> None:
        """No naive time and no local offset reaches the core."""
        record = (await stage.probe())[0]
        for time in _times(record):
            assert time.utcoffset() == dt.timedelta(0)

    async def test_the_time_of_change_is_the_vendors_now(self, stage: Stage) -> None:
        """Where a time of change is told it is right in UTC, whatever zone the vendor writes it in."""
        record = (await stage.probe())[0]
        if record.changed_at is None:
            pytest.skip("the vendor keeps no time of change")
        assert abs(record.changed_at - stage.clock.now()) <= dt.timedelta(seconds=stage.lag_s)

    async def test_amounts_come_as_exact_decimals(self, stage: Stage) -> None:
        """Money never passes through a float."""
        stage.needs("entering", "amounts")
        for n, amount in enumerate(stage.amounts, 1):
            record = await stage.fetch_one(stage.put_as_person(n, amount=amount))
            told = stage.amount_of(record.entity)
            assert isinstance(told, Decimal)
            assert told == amount

    @pytest.mark.parametrize("text", AWKWARD)
    async def test_awkward_text_is_read_as_it_stands(self, stage: Stage, text: str) -> None:
        """Quotes, markup, percent signs and other scripts survive URLs, filters and JSON."""
        stage.needs("entering")
        record = await stage.fetch_one(stage.put_as_person(1, text=text))
        assert text_of(stage, record) == text


class FeedContract(SourceContract):
    """Reading what changed. Every loss at an edge of page, second or run shows here."""

    async def test_from_the_beginning_every_record_comes(self, stage: Stage) -> None:
        """No cursor means everything."""
        ids = stage.put_many()
        stage.settle()
        assert {record.id for record in await records(stage.feed, None)} == set(ids)

    async def test_an_empty_system_tells_of_nothing(self, stage: Stage) -> None:
        """Emptiness is an answer, not an error."""
        assert await records(stage.feed, None) == []

    async def test_changes_come_oldest_first(self, stage: Stage) -> None:
        """A cursor can stand behind a page only if nothing older follows it."""
        stage.put_many()
        stage.settle()
        times = [record.changed_at for record in await records(stage.feed, None)]
        assert times == sorted(time for time in times if time is not None)

    async def test_records_of_one_instant_all_come_across_page_edges(self, stage: Stage) -> None:
        """An import stamps more records with one time than a page holds; a keyset on the time alone would lose some."""
        ids = stage.put_many(apart_s=0)
        stage.settle()
        assert {record.id for record in await records(stage.feed, None)} == set(ids)

    async def test_reading_goes_on_from_any_pages_cursor_without_loss(self, stage: Stage) -> None:
        """A run that is killed after any page loses nothing of what follows."""
        ids = set(stage.put_many())
        stage.settle()
        read = await pages(stage.feed, None)
        assert len(read) > 1, "set smaller pages in the stage's settings"
        seen: set[str] = set()
        for page in read:
            seen |= {record.id for record in page.records}
            if page.cursor is not None:
                assert seen | {record.id for record in await records(stage.feed, page.cursor)} == ids

    async def test_the_last_cursor_brings_what_comes_later(self, stage: Stage) -> None:
        """An edit and a new record after the run are in the next one, with their new content."""
        ids = stage.put_many()
        stage.settle()
        cursor = last_cursor(await pages(stage.feed, None))
        stage.edit_as_person(ids[0], "Acme Holding")
        new = stage.put_as_person(stage.many + 1)
        stage.settle()
        later = {record.id: text_of(stage, record) for record in await records(stage.feed, cursor)}
        assert later[ids[0]] == "Acme Holding"
        assert new in later

    async def test_a_quiet_system_soon_has_nothing_more_to_tell(self, stage: Stage) -> None:
        """At least once does not mean for ever: without changes, runs end up reading no more than an edge."""
        stage.put_many()
        cursor = None
        for _ in range(3):
            stage.settle()
            read = await pages(stage.feed, cursor)
            cursor = last_cursor(read) or cursor
        assert sum(len(page.records) for page in read) <= stage.many // 2

    async def test_a_change_in_the_same_instant_as_the_last_one_read_is_not_lost(self, stage: Stage) -> None:
        """What is committed at the very time that the cursor stands at still comes."""
        stage.needs("entering")
        first = stage.put_as_person(1)
        read = await pages(stage.feed, None)
        second = stage.put_as_person(2)
        stage.settle()
        later = await records(stage.feed, last_cursor(read))
        assert {first, second} <= {record.id for page in read for record in page.records} | {record.id for record in later}

    async def test_changes_made_while_paging_are_not_lost(self, stage: Stage) -> None:
        """Records that move within the feed while it is being read come with what they hold now, in this run or the next."""
        ids = stage.put_many()
        stage.settle()
        told: dict[str, object] = {}
        cursor, edited = None, False
        async for page in stage.feed.changed_since(None):
            told |= {record.id: text_of(stage, record) for record in page.records}
            cursor = page.cursor or cursor
            if not edited:
                stage.edit_as_person(ids[0], "Edited, first")
                stage.edit_as_person(ids[-1], "Edited, last")
                edited = True
        stage.settle()
        told |= {record.id: text_of(stage, record) for record in await records(stage.feed, cursor)}
        assert set(told) == set(ids)
        assert (told[ids[0]], told[ids[-1]]) == ("Edited, first", "Edited, last")

    async def test_an_outage_while_paging_is_raised_and_the_rest_comes_later(self, stage: Stage) -> None:
        """A feed that breaks off never looks complete, and its last cursor is good."""
        ids = set(stage.put_many())
        stage.settle()
        seen: set[str] = set()
        cursor = None
        with pytest.raises(RetryLater):
            async for page in stage.feed.changed_since(None):
                seen |= {record.id for record in page.records}
                cursor = page.cursor or cursor
                stage.break_next_call("read", times=99)
        stage.calm()
        assert seen != ids, "the outage struck nothing: set smaller pages"
        assert seen | {record.id for record in await records(stage.feed, cursor)} == ids

    async def test_a_cursor_at_a_time_reads_what_changes_then_and_later(self, stage: Stage) -> None:
        """The moment itself is included, and what lies well before it is left out."""
        stage.needs("entering")
        old = stage.put_as_person(1)
        stage.clock.advance(7 * 86_400)
        cursor = stage.feed.cursor_at(stage.clock.now())
        now = stage.put_as_person(2)
        stage.clock.advance(3600)
        later = stage.put_as_person(3)
        stage.settle()
        ids = {record.id for record in await records(stage.feed, cursor)}
        assert {now, later} <= ids
        assert old not in ids

    async def test_a_deletion_is_told(self, stage: Stage) -> None:
        """A record that a person deleted comes as gone, with its id."""
        stage.needs("entering", "deleting", "telling deletions")
        kept, deleted = stage.put_as_person(1), stage.put_as_person(2)
        stage.settle()
        cursor = last_cursor(await pages(stage.feed, None))
        stage.delete_as_person(deleted)
        stage.settle()
        gone = {record.id for record in await records(stage.feed, cursor) if record.gone}
        assert deleted in gone
        assert kept not in gone

    async def test_the_feed_and_a_fetch_tell_the_same(self, stage: Stage) -> None:
        """A page's records are complete (lines included) and carry the version that a fetch would show."""
        ids = stage.put_many()
        stage.settle()
        fed = {record.id: record for record in await records(stage.feed, None)}
        for record in await stage.source.fetch(ids):
            assert fed[record.id].version == record.version
            assert fed[record.id].entity == record.entity


class SweepContract(SourceContract):
    """Reading keys with their versions where the vendor cannot say what changed."""

    async def test_every_key_comes_exactly_once_while_nothing_moves(self, stage: Stage) -> None:
        """Page edges neither repeat nor skip."""
        ids = stage.put_many()
        assert sorted(stub.id for stub in await stubs(stage.sweep)) == sorted(ids)

    async def test_an_empty_system_has_no_stubs(self, stage: Stage) -> None:
        """Emptiness is an answer, not an error."""
        assert await stubs(stage.sweep) == []

    async def test_versions_stay_while_nothing_moves(self, stage: Stage) -> None:
        """A version is the record's, not the reading's: else every sweep would fetch everything."""
        stage.put_many()
        before = await stubs(stage.sweep)
        stage.settle()
        assert await stubs(stage.sweep) == before

    async def test_an_edit_moves_the_version_of_that_record_alone(self, stage: Stage) -> None:
        """Every edit is seen, and only the edited record is fetched."""
        ids = stage.put_many()
        before = {stub.id: stub.version for stub in await stubs(stage.sweep)}
        stage.settle()
        stage.edit_as_person(ids[3], "Acme Holding")
        after = {stub.id: stub.version for stub in await stubs(stage.sweep)}
        assert [one for one in ids if after[one] != before[one]] == [ids[3]]

    async def test_a_change_on_a_line_moves_the_records_version(self, stage: Stage) -> None:
        """Header and lines are one unit: a line may change without its header."""
        stage.needs("entering", "lines")
        quiet, edited = stage.put_as_person(1), stage.put_as_person(2)
        before = {stub.id: stub.version for stub in await stubs(stage.sweep)}
        stage.settle()
        stage.edit_line_as_person(edited)
        after = {stub.id: stub.version for stub in await stubs(stage.sweep)}
        assert after[edited] != before[edited]
        assert after[quiet] == before[quiet]

    async def test_a_stubs_version_is_the_one_on_the_full_record(self, stage: Stage) -> None:
        """Else every record would be read again in every sweep."""
        ids = stage.put_many()
        versions = {stub.id: stub.version for stub in await stubs(stage.sweep)}
        assert {record.id: record.version for record in await stage.source.fetch(ids)} == versions

    async def test_rows_on_stubs_are_what_a_fetch_returns(self, stage: Stage) -> None:
        """The short way to a first load gives the same records as the long one."""
        ids = stage.put_many()
        rows = {stub.id: stub.record for stub in await stubs(stage.sweep, rows=True) if stub.record is not None}
        fetched = {record.id: record for record in await stage.source.fetch(ids)}
        assert rows == {one: fetched[one] for one in rows}

    async def test_a_sweep_with_rows_has_the_same_keys_and_versions(self, stage: Stage) -> None:
        """``rows`` changes the price, not the answer."""
        stage.put_many()
        plain = {(stub.id, stub.version) for stub in await stubs(stage.sweep)}
        assert {(stub.id, stub.version) for stub in await stubs(stage.sweep, rows=True)} == plain

    async def test_a_deleted_record_has_no_stub(self, stage: Stage) -> None:
        """Absence is how a sweep tells of deletions."""
        stage.needs("entering", "deleting")
        kept, deleted = stage.put_as_person(1), stage.put_as_person(2)
        stage.delete_as_person(deleted)
        assert [stub.id for stub in await stubs(stage.sweep)] == [kept]

    async def test_a_record_entered_while_sweeping_hides_no_other(self, stage: Stage) -> None:
        """Keys that stood before the sweep are all in it, though pages shift under it."""
        ids = stage.put_many()
        seen: list[str] = []
        entered = 0
        async for chunk in stage.sweep.stubs(rows=False):
            seen += [stub.id for stub in chunk]
            stage.put_as_person(entered - 100)
            entered += 1
            if entered > 2 * stage.many:
                break
        assert set(ids) <= set(seen)

    async def test_a_sweep_that_breaks_off_is_never_taken_for_complete(self, stage: Stage) -> None:
        """Ending early without an error would turn the missing rest into deletions."""
        stage.put_many()
        seen = 0
        with pytest.raises(RetryLater):
            async for chunk in stage.sweep.stubs(rows=False):
                seen += len(chunk)
                stage.break_next_call("read", times=99)
        assert 0 < seen < stage.many

    async def test_the_span_between_full_readings_is_told_or_there_is_none(self, stage: Stage) -> None:
        """``full_every`` is None or a positive span."""
        every = stage.sweep.full_every
        assert every is None or every > dt.timedelta(0)


def _times(record: Record) -> list[dt.datetime]:
    found = [record.changed_at] if record.changed_at is not None else []
    return found + _times_in(record.entity)


def _times_in(entity: Entity | None) -> list[dt.datetime]:
    if entity is None:
        return []
    values = [value for value in msgspec.structs.asdict(entity).values() if value is not UNSET]
    extras = list(entity.extra.values()) if entity.extra is not UNSET else []
    return [value for value in (*values, *extras) if isinstance(value, dt.datetime)]
