"""README's table of systems and their abilities is what the installed plugins say.

``python tests/architecture/test_abilities.py`` prints what belongs between the two marks.
"""

from collections.abc import Iterable
from pathlib import Path

from ml_connector.domain import ENTITIES
from ml_connector.system import SystemSpec
from ml_connector_adapters.plugins import discover

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- abilities -->", "<!-- /abilities -->"
ERPS, CRMS = ("ifs-cloud", "qad", "oracle-fusion"), ("zoho-crm", "dynamics365-sales", "pipedrive")
"""Systems of this repository; whatever else is installed beside them is not the README's business."""


def abilities(systems: Iterable[SystemSpec]) -> str:
    """A Markdown table: a column for each system, a row for each kind, and rows for what else each brings."""
    systems = list(systems)
    heads = (f"[{spec.title}](plugins/{spec.name}/README.md)<br>`{spec.name}`" for spec in systems)
    rows = [_row("", heads), "|---" * (len(systems) + 1) + "|"]
    kinds = {kind for spec in systems for kind in (*spec.reads, *spec.writes)}
    rows += [_row(kind, (_able(kind, spec) for spec in systems)) for kind in ENTITIES if kind in kinds]
    rows.append(_row("tells of changes by notices", (_tick(spec.notices) for spec in systems)))
    rows.append(_row("emulator for `demo` and `twin`", (_tick(spec.twin is not None) for spec in systems)))
    return "\n".join(rows)


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join([name, *cells])} |"


def _able(kind: str, spec: SystemSpec) -> str:
    able = [word for word, kinds in (("read", spec.reads), ("write", spec.writes)) if kind in kinds]
    return ", ".join(able) or "–"


def _tick(able: object) -> str:
    return "✓" if able else "–"


def block() -> str:
    found = discover().systems
    return f"{BEGIN}\n{abilities(found[name] for name in (*ERPS, *CRMS))}\n{END}"


def test_the_readmes_table_of_abilities_is_what_the_plugins_say() -> None:
    readme = README.read_text(encoding="utf-8")
    stands = readme[readme.index(BEGIN) : readme.index(END) + len(END)]
    assert stands == block(), "print it anew with: python tests/architecture/test_abilities.py"


def test_each_erp_has_a_recipe_for_each_crm() -> None:
    found = discover().systems
    assert {name: {*found[name].recipes} & {*CRMS} for name in ERPS} == {name: {*CRMS} for name in ERPS}


def test_every_ability_in_the_table_is_one_that_a_connection_has() -> None:
    assert all(kind in ENTITIES for spec in discover().systems.values() for kind in (*spec.reads, *spec.writes))


if __name__ == "__main__":
    print(block())
