"""The numbers in the plugins' READMEs: what the figures say, what the twins count, and what ``ping`` tells."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ml_connector.ports.fitness import Need

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "bench"))

from calls import Bench, read, write  # noqa: E402 - the script is no package

SYSTEMS = ("ifs-cloud", "qad", "oracle-fusion", "zoho-crm", "dynamics365-sales", "pipedrive")
RECORDS, CHANGED = 500, 100
ALONE: dict[str, dict[str, Any]] = {"pipedrive": {"seats": 1}}  # what is measured has more, so that nothing waits


def bench(system: str) -> Bench:
    return Bench(system, **ALONE.get(system, {}))


def rows(system: str) -> Iterator[list[str]]:
    """The tables' rows of the section, cell by cell."""
    section = (ROOT / "plugins" / system / "README.md").read_text().split("\n## Numbers\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        if line.startswith("| ") and not line.startswith("| for"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.mark.parametrize("system", SYSTEMS)
def test_calls_for_a_thousand_records_in_a_readme_are_those_of_the_figures(system: str) -> None:
    made = bench(system)
    shown = {name: tuple(map(number, cells)) for name, *cells in rows(system) if "1,000" in name}
    assert shown == made.figures.per_thousand(made.settings)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_thousand_records_take_at_most_five_percent_more_calls_than_the_vendors_sizes_allow(system: str) -> None:
    made = bench(system)
    over = {name: told for name, told in made.figures.per_thousand(made.settings).items() if told[0] > 1.05 * told[1]}
    assert not over


@pytest.mark.parametrize("system", SYSTEMS)
async def test_a_first_load_in_a_readme_is_told_by_ping_in_the_same_numbers(system: str) -> None:
    loads = [(re.split(r", ", name), calls, hours) for name, calls, hours, *_ in rows(system) if "1,000" not in name]
    assert loads
    for (kind, access), calls, hours in loads:
        made = bench(system)
        made.twin.fill(3, 3)
        needs: list[Any] = [Need(kind=kind, access=access, fields=frozenset({"number"}))]  # type: ignore[arg-type]
        [told] = [one for one in await made.connection.fitness.inspect(needs) if one.about == f"{kind}.first_load"]  # type: ignore[union-attr]
        done = {"read": "reading", "write": "writing"}[access]
        assert told.what.startswith(f"{done} 100,000 records takes {calls} calls, {hours} hours")
        await made.connection.close()


@pytest.mark.parametrize("kind", ["account", "order"])
async def test_ifs_is_asked_as_often_as_the_numbers_say(kind: Any) -> None:
    made = Bench("ifs-cloud")
    told = await read(made, kind, RECORDS, CHANGED)
    figures, settings = made.figures, made.settings
    assert abs(told.calls - figures.changed(settings, kind, RECORDS, told.records)) <= 1  # lines of a page: three calls or four
    assert told.records == CHANGED
    made = Bench("ifs-cloud")
    new, changed = await write(made, kind, 20, CHANGED)
    assert new.calls == figures.writes(settings, kind, CHANGED)
    assert changed.calls == figures.updates(kind, CHANGED, lines=figures.lined(settings, kind))


@pytest.mark.parametrize("kind", ["account", "order"])
@pytest.mark.parametrize("page", [None, 40])
async def test_zoho_is_asked_as_often_as_the_numbers_say(kind: Any, page: int | None) -> None:
    """Changes that are told by one query, and by three where credits are tight."""
    made = Bench("zoho-crm", coql_page=page)
    told = await read(made, kind, RECORDS, CHANGED)
    assert (told.calls, told.spent, told.records) == (*made.figures.changed(made.settings, kind, CHANGED), CHANGED)


async def test_what_is_written_to_zoho_takes_the_calls_and_credits_of_the_numbers() -> None:
    made = Bench("zoho-crm")
    new, later = await write(made, "account", RECORDS, 2 * CHANGED)
    assert (new.calls, new.spent) == made.figures.creates(2 * CHANGED)
    assert (later.calls, later.spent) == made.figures.updates(2 * CHANGED)


@pytest.mark.parametrize("kind", ["account", "order"])
@pytest.mark.parametrize(("count", "limits"), [(CHANGED, {}), (CHANGED, {"batch": 30, "page_size": 60}), (1000, {})])
async def test_dataverse_is_asked_as_often_as_the_numbers_say(kind: Any, count: int, limits: dict[str, Any]) -> None:
    """Few that fit into a batch, few in narrow ones, and the thousand of the README."""
    made = Bench("dynamics365-sales", **limits)
    told = await read(made, kind, count + 100, count)
    figures, settings = made.figures, made.settings
    assert (told.calls, told.records) == (figures.changed(settings, kind, count), count)
    made = Bench("dynamics365-sales", **limits)
    new, changed = await write(made, kind, 20, count)
    assert new.calls == figures.creates(settings, kind, count)
    assert changed.calls == figures.updates(settings, kind, count)


@pytest.mark.parametrize("kind", ["account", "order"])
async def test_qad_is_asked_as_often_as_the_numbers_say(kind: Any) -> None:
    """Each kind's keyed reads; documents that did not change are looked into on top, which the figures leave to the README."""
    made = Bench("qad")
    new, changed = await write(made, kind, 20, CHANGED)
    figures, place = made.figures, made.settings.place(kind)
    assert (new.calls, changed.calls) == (CHANGED * figures.creating(place), CHANGED * figures.changing(place))


async def test_oracle_is_asked_as_often_as_the_numbers_say() -> None:
    made = Bench("oracle-fusion")
    new, changed = await write(made, "account", 20, RECORDS)
    assert (new.calls, changed.calls) == (made.figures.writes(made.settings, RECORDS), -(-RECORDS // 25))


@pytest.mark.parametrize("kind", ["account", "deal"])
async def test_pipedrive_is_asked_as_often_as_the_numbers_say(kind: Any) -> None:
    made = Bench("pipedrive")
    told = await read(made, kind, RECORDS, CHANGED)
    assert (told.calls, told.spent) == made.figures.changed(made.settings, kind, CHANGED)


async def test_what_is_written_to_pipedrive_takes_the_calls_and_tokens_of_the_numbers() -> None:
    made = Bench("pipedrive")
    new, changed = await write(made, "account", RECORDS, CHANGED)
    assert (new.calls, new.spent) == made.figures.creates(made.settings, CHANGED, RECORDS)
    assert (changed.calls, changed.spent) == made.figures.updates(CHANGED)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_readme_of_all_repeats_what_the_plugins_say(system: str) -> None:
    told = {name: cells for name, *cells in rows(system)}
    calls = (told[f"account, 1,000 {what}"] for what in ("changed of 5,000 read", "new written", "changed written"))
    hours = (told[f"account, {what}"][1] for what in ("read", "write"))
    shown = " | ".join([*(f"{made} ({fewest})" for made, fewest, *_ in calls), *hours])
    assert f"(plugins/{system}/README.md#numbers) | {shown} |" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_overview_of_all_systems_repeats_what_the_figures_say(system: str) -> None:
    made = bench(system)
    told = made.figures.per_thousand(made.settings)
    names = {"customers": "account", "accounts": "account", "organizations": "account", "deals": "deal", "orders": "order"}
    found = re.findall(rf"^\| {system}, (\w+).*?\| (.*) \|$", (ROOT / "bench/README.md").read_text(), re.MULTILINE)
    assert found
    for word, cells in found:
        kind = names[word] + (" with lines" if (system, word) == ("zoho-crm", "orders") else "")
        shown = [cell.strip() for cell in cells.split("|")]
        for place, what in enumerate(("changed of 5,000 read", "new written", "changed written")):
            pair = told.get(f"{kind}, 1,000 {what}")
            if pair is not None:
                assert shown[2 * place : 2 * place + 2] == [f"{count:,}" for count in pair[:2]], (word, what)
